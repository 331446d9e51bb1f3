# SPDX-License-Identifier: BSD-2-Clause
# What the peers are called, for tables and pictures, and in which order.

def ours: $ENV.VMB_COMPARE_OURS // "vmb-local";

def order: [ours, "btl-vader", "btl-tcp", "ucx", "mpi", "fabric", "unix", "tcp", "floor"];

def title: {
	"vmb-local": "vmbypass",
	"btl-vmb": "MPI over vmbypass",
	"btl-vader": "its shared memory",
	"btl-tcp": "its TCP",
	"ucx": "UCX",
	"mpi": "Open MPI",
	"fabric": "libfabric shm",
	"unix": "AF_UNIX",
	"tcp": "TCP loopback",
	"floor": "floor"
}[.] // .;

# Bytes, as short as exact.
def size_text:
	if . >= 1048576 and . % 1048576 == 0 then "\(. / 1048576) MiB"
	elif . >= 1024 and . % 1024 == 0 then "\(. / 1024) KiB"
	else "\(.) B" end;

# What makes two lines comparable: the same key, whoever measured it. Only
# vmbypass and memcpy know two kinds of memory; who idles does it in its way; a
# stream is faster when all its messages are in one buffer;
# what many do together depends on how many.
def key:
	{test, size, wait: (if .test == "idle" then null else .wait end),
	 ranks: (if (.test | IN("allreduce", "alltoall")) then .processes
		 else null end),
	 buffers: (if .test != "bandwidth" then null
		   elif .one_buffer then "one" else "each" end)};
