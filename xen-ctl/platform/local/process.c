// SPDX-License-Identifier: BSD-2-Clause
/*
 * process.c - ordinary memory of a client, copied by process_vm_readv and
 * process_vm_writev: the local DMA machine for what is not a memfd.
 *
 * Flow:  mover thread -> vmb_process_read/write() -> kernel -> client's pages
 *        REGISTER -> vmb_process_probe() -> helper thread -> memory_ready()
 * Owns:  a table of clients by ticket, because a mover's last copy may outlive
 *        its client; the pidfd of each.
 * Trust: memory can make a copy endless (userfaultfd, FUSE), so the control
 *        thread never touches any: it asks for permission only, and a helper
 *        thread does the first reading.
 *
 * Whose memory? A pid names another process after its owner died, and another
 * program after exec(). vmb_process_init() gives up CAP_SYS_PTRACE, so the
 * kernel itself checks at every copy that the process under this pid runs as
 * our own user, with no privilege that we lack: a client that executes a
 * set-uid program reaches nothing through us, and clients of other users use
 * memfds. Of pids that are given to others: see base/process.h.
 */
#include <errno.h>
#include <linux/capability.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "platform/local/local.h"

_Static_assert(sizeof(void *) == sizeof(uint64_t), "a ticket fits a cookie");

struct process {
	pid_t pid;
	int pidfd;
	unsigned refs;
};

/* One per program: process_read() gets a cookie, and no platform. */
static struct {
	pthread_mutex_t lock;
	struct vmb_table table;
	bool can_ask; /* pidfd_getfd() tells about permission */
} processes = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- permission --------------------------------------------------------- */

static int drop_ptrace(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(__NR_capget, &head, data))
		return -errno;
	/* stays permitted: the kernel compares what both processes may have */
	data[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective &=
		~CAP_TO_MASK(CAP_SYS_PTRACE);
	if (syscall(__NR_capset, &head, data))
		return -errno;
	return 0;
}

/*
 * May we reach this process? pidfd_getfd() makes the check that
 * process_vm_readv() makes, and touches no memory: -EBADF (there is no such
 * descriptor) is the answer of a process that may be reached.
 */
static int ask_permission(int pidfd)
{
	if (syscall(__NR_pidfd_getfd, pidfd, INT_MAX, 0) < 0)
		return -errno;
	return -EINVAL;
}

bool vmb_process_init(void)
{
	char from = 1, to = 0;
	struct iovec local = {&to, 1}, remote = {&from, 1};
	int self, err;

	err = drop_ptrace();
	if (err) {
		vmb_warn("cannot give up CAP_SYS_PTRACE, so process memory is "
			 "not served: %s",
			 strerror(-err));
		return false;
	}
	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1) {
		vmb_info("process memory is not served: %m");
		return false;
	}
	self = (int)syscall(__NR_pidfd_open, getpid(), 0);
	if (self < 0) {
		vmb_info("process memory is not served, no pidfd: %m");
		return false;
	}
	/* forbidden in some containers: then REGISTER finds out */
	processes.can_ask = ask_permission(self) == -EBADF;
	close(self);
	return true;
}

/* ---- the table ---------------------------------------------------------- */

int vmb_process_open(const struct vmb_credentials *who, int pidfd,
		     uint64_t *ticket)
{
	struct process *process;
	int err = -EOPNOTSUPP;

	if (pidfd < 0 || who->uid != geteuid())
		return -EOPNOTSUPP;
	if (processes.can_ask && ask_permission(pidfd) != -EBADF)
		return -EOPNOTSUPP;
	process = calloc(1, sizeof(*process));
	if (!process)
		return -ENOMEM;
	process->pid = who->pid;
	process->refs = 1;
	process->pidfd = dup(pidfd);
	if (process->pidfd < 0) {
		err = -errno;
		goto err_free;
	}
	pthread_mutex_lock(&processes.lock);
	err = vmb_table_add(&processes.table, process, ticket);
	pthread_mutex_unlock(&processes.lock);
	if (err)
		goto err_close;
	return 0;

err_close:
	close(process->pidfd);
err_free:
	free(process);
	return err;
}

static struct process *process_get(uint64_t ticket)
{
	struct process *process;

	pthread_mutex_lock(&processes.lock);
	process = vmb_table_find(&processes.table, ticket);
	if (process)
		process->refs++;
	pthread_mutex_unlock(&processes.lock);
	return process;
}

static void process_put(struct process *process)
{
	unsigned left;

	pthread_mutex_lock(&processes.lock);
	left = --process->refs;
	pthread_mutex_unlock(&processes.lock);
	if (left)
		return;
	close(process->pidfd);
	free(process);
}

void vmb_process_close(uint64_t ticket)
{
	struct process *process;

	pthread_mutex_lock(&processes.lock);
	process = vmb_table_find(&processes.table, ticket);
	vmb_table_remove(&processes.table, ticket);
	pthread_mutex_unlock(&processes.lock);
	if (process)
		process_put(process);
}

/* ---- copies, in mover and helper threads -------------------------------- */

int64_t vmb_process_read(void *cookie, uint64_t addr, void *buf, size_t len)
{
	struct process *process = process_get((uintptr_t)cookie);
	int64_t moved;

	if (!process)
		return -ESRCH;
	moved = vmb_process_read_memory(process->pid, addr, buf, len);
	if (!vmb_process_is_alive(process->pidfd))
		moved = -ESRCH;
	process_put(process);
	return moved;
}

int64_t vmb_process_write(void *cookie, uint64_t addr, const void *buf,
			  size_t len)
{
	struct process *process = process_get((uintptr_t)cookie);
	int64_t moved = -ESRCH;

	if (!process)
		return moved;
	if (vmb_process_is_alive(process->pidfd)) {
		moved = vmb_process_write_memory(process->pid, addr, buf, len);
		if (!vmb_process_is_alive(process->pidfd))
			moved = -ESRCH;
	}
	process_put(process);
	return moved;
}

/* ---- the probe at REGISTER ---------------------------------------------- */

struct probe {
	struct vmb_transport_job job;
	uint64_t ticket, first, last;
	int status;
};

/*
 * The first and the last byte can be read now. What lies between, and whether
 * it can be written, shows in each transfer: it may change at any time.
 */
static void probe_run(struct vmb_helper_job *job)
{
	struct probe *probe = vmb_container_of(job, struct probe, job.helper);
	const uint64_t at[2] = {probe->first, probe->last};
	int64_t moved;
	char byte;

	probe->status = 0;
	for (int i = 0; i < 2 && !probe->status; i++) {
		moved = vmb_process_read((void *)(uintptr_t)probe->ticket,
					 at[i], &byte, 1);
		if (moved == -EPERM || moved == -ENOSYS)
			probe->status = -EOPNOTSUPP;
		else if (moved != 1)
			probe->status = -EFAULT;
	}
}

static void probe_done(struct vmb_helper_job *job)
{
	struct probe *probe = vmb_container_of(job, struct probe, job.helper);
	struct vmb_transport *t = vmb_transport_end(&probe->job);
	int status = probe->status, err;

	free(probe);
	if (!t)
		return;
	err = t->p->config.events->memory_ready(t->client, status);
	if (err)
		vmb_transport_failed(t, err);
	else
		vmb_transport_update(t);
}

int vmb_process_probe(struct vmb_transport *t,
		      const struct vmb_platform_memory *memory)
{
	struct probe *probe;

	if (!t->process)
		return -EOPNOTSUPP;
	if (memory->address + memory->len < memory->address)
		return -EFAULT;
	probe = calloc(1, sizeof(*probe));
	if (!probe)
		return -ENOMEM;
	probe->ticket = t->process;
	probe->first = memory->address;
	probe->last = memory->address + memory->len - 1;
	probe->status = -ECANCELED;
	probe->job.helper.run = probe_run;
	probe->job.helper.done = probe_done;
	probe->job.helper.endless = true;
	vmb_transport_begin(t, &probe->job);
	return -EINPROGRESS;
}
