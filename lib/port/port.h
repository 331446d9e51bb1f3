/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - how a process obtains its pages and reaches its daemon: the seam
 * between the library and the machine.
 *
 * Flow:  api, am -> [here] -> daemon socket (local) or /dev/vmbypass (kshim)
 * Owns:  the control channel, the mappings of endpoint areas and of memory.
 *        Never reads or writes a slot.
 * Trust: the kernel is believed. What the daemon answers is checked for
 *        shape (length, op, tag, number of descriptors).
 *
 * Control calls take microseconds to milliseconds, may be made from any
 * thread, and give up after VMB_PORT_TIMEOUT_MS with -ETIMEDOUT. -EPIPE: the
 * daemon is gone, for this port for ever.
 */
#ifndef VMB_PORT_PORT_H
#define VMB_PORT_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmbypass/abi/control.h>
#include <vmbypass/abi/lane.h>

#define VMB_PORT_TIMEOUT_MS 10000

struct vmb_port_ops;

/* Implementations embed this as their first member. */
struct vmb_port {
	const struct vmb_port_ops *ops;
	struct vmb_ctl_hello_reply hello; /* what the daemon granted */
};

/* One endpoint's pages. Filled by endpoint_open, emptied by endpoint_close. */
struct vmb_port_endpoint {
	uint32_t handle, id, session;
	struct vmb_geometry geometry;
	void *area;  /* VMB_AREA_BYTES(&geometry), mapped, zeroed at open */
	int wait_fd; /* readable after a notification; EOF: daemon gone */
	int kick_fd; /* may be the same */
};

/* Who is behind a handle, a name or a nic id. */
struct vmb_port_identity {
	uint64_t nic_id;
	uint32_t id, session;
	char name[VMB_NAME_BYTES];
};

/* The memory of a lane, see abi/lane.h. */
struct vmb_port_lane {
	void *base; /* VMB_LANE_LEN(slots, bytes), mapped; zeroed at first */
	uint32_t slots, bytes;
	uint64_t ticket;
	/*
	 * Where the sender needs more than the ticket to find the memory: set by
	 * poll of an OFFER, to be told in band to the poll of an ACCEPT, which
	 * checks it. From malloc(), the caller's in both; NULL and 0: no need.
	 */
	uint32_t *refs;
	uint32_t ref_count;
	/*
	 * The process on the other side, and its pidfd; 0: we are not told.
	 * That the kernel lets us copy its memory shows when we do.
	 */
	int32_t process;
	int process_fd;
};

/* References that a lane can have, at most: one a page. */
#define VMB_PORT_LANE_REFS \
	(VMB_LANE_LEN(VMB_LANE_SLOTS_MAX, VMB_LANE_BYTES_MAX) / VMB_PAGE)

struct vmb_port_ops {
	const char *name; /* as in VMB_PORT: "local", "kshim" */
	/*
	 * A registration holds the pages that were there when it was made. If
	 * not: it holds addresses, and reaches whatever is there later.
	 */
	bool pins;

	/*
	 * Attach. where: text after "NAME:", or NULL for the default; domain:
	 * protection domain to join, or NULL. On success *port is owned by
	 * the caller. Errors: see vmb_init().
	 */
	int (*open)(const char *where, const char *domain,
		    struct vmb_port **port);
	/* Detach; unmaps nothing that the caller still holds. */
	void (*close)(struct vmb_port *port);
	/* 0, or -EPIPE when the daemon is gone. One non-blocking look. */
	int (*alive)(struct vmb_port *port);

	/*
	 * id: VMB_ID_ANY or 0..VMB_ID_MAX. The geometry was checked.
	 * Errors: see vmb_open().
	 */
	int (*endpoint_open)(struct vmb_port *port, uint32_t id, uint32_t key,
			     const struct vmb_geometry *geometry,
			     struct vmb_port_endpoint *pep);
	/* Also after -EPIPE: always unmaps and closes what pep holds. */
	void (*endpoint_close)(struct vmb_port *port,
			       struct vmb_port_endpoint *pep);

	/* Wake the engine for this endpoint: one system call, cannot fail. */
	void (*kick)(struct vmb_port_endpoint *pep);
	/*
	 * Sleep until a notification, timeout_ms (-1: none), or the end of
	 * the daemon. Swallows the notification. 0; -ETIMEDOUT; -EINTR;
	 * -EPIPE.
	 */
	int (*wait)(struct vmb_port_endpoint *pep, int timeout_ms);

	/*
	 * Memory of the engine's own kind: page-aligned, zeroed, registered
	 * with VMB_ACCESS_REMOTE_READ: a peer that is sent a large message
	 * fetches it, and may do no more. len is a multiple of the page size.
	 */
	int (*mem_alloc)(struct vmb_port *port, size_t len, void **addr,
			 uint64_t *key);
	/*
	 * Deregisters (returns after the last access) and unmaps. The pages are
	 * the kernel's again, whoever has them mapped.
	 */
	void (*mem_free)(struct vmb_port *port, void *addr, size_t len,
			 uint64_t key);
	/*
	 * What a peer has to be told to map memory of mem_alloc, addr being what
	 * that returned. file 0: it cannot. NULL: as if that were so for all.
	 */
	void (*mem_describe)(struct vmb_port *port, const void *addr,
			     struct vmb_lane_file *what);
	/*
	 * Register [addr, addr + len) of this process, exactly. Memory of
	 * mem_alloc is reached as such under each key. -EOPNOTSUPP: this port
	 * or this kernel cannot; use memory of mem_alloc.
	 */
	int (*mem_register)(struct vmb_port *port, void *addr, size_t len,
			    uint32_t access, uint64_t *key);
	/* Returns after the last access of the engine. */
	int (*mem_deregister)(struct vmb_port *port, uint64_t key);

	/* Errors: see abi/control.h. timeout_ms -1: VMB_PORT_TIMEOUT_MS. */
	int (*connect)(struct vmb_port *port, uint64_t nic_id, uint32_t id,
		       uint32_t key, int timeout_ms, uint32_t *handle,
		       uint32_t *session);
	/*
	 * The same without waiting: start returns a tag, which poll (-EAGAIN:
	 * no answer yet) or cancel ends.
	 */
	int (*connect_start)(struct vmb_port *port, uint64_t nic_id,
			     uint32_t id, uint32_t key, uint32_t *tag);
	int (*connect_poll)(struct vmb_port *port, uint32_t tag,
			    uint32_t *handle, uint32_t *session);
	void (*connect_cancel)(struct vmb_port *port, uint32_t tag);

	/*
	 * kind: VMB_LOOKUP_*; the fields of *who that kind takes as input are
	 * filled in by the caller, the others on success. -ENOENT.
	 */
	int (*lookup)(struct vmb_port *port, uint32_t kind, uint32_t handle,
		      struct vmb_port_identity *who);

	/*
	 * Lanes. All NULL: this port makes none. what: kind (VMB_LANE_OFFER
	 * or _ACCEPT), handle, peer, sizes or ticket. Never waits: start
	 * returns a tag, which poll (-EAGAIN: no answer yet; 0: *lane is the
	 * caller's) or cancel ends. Errors: see abi/control.h.
	 */
	int (*lane_start)(struct vmb_port *port,
			  const struct vmb_ctl_lane *what, uint32_t *tag);
	int (*lane_poll)(struct vmb_port *port, uint32_t tag,
			 struct vmb_port_lane *lane);
	void (*lane_cancel)(struct vmb_port *port, uint32_t tag);
	/*
	 * Unmap. offered: by us, so the daemon is told, and why: VMB_CODE_* of
	 * what the sender did, or 0. Does not wait for it.
	 */
	void (*lane_close)(struct vmb_port *port, struct vmb_port_lane *lane,
			   bool offered, uint32_t reason);
	/*
	 * Copy from or to the memory of lane->process, if that is not 0; NULL
	 * where it always is. Bytes, maybe fewer than len; -ESRCH: it is gone;
	 * -EPERM; -EFAULT.
	 */
	int64_t (*lane_read)(const struct vmb_port_lane *lane, uint64_t addr,
			     void *buf, size_t len);
	int64_t (*lane_write)(const struct vmb_port_lane *lane, uint64_t addr,
			      const void *buf, size_t len);
	/*
	 * Map what its owner, lane->process, says of its memory (checked here),
	 * to read and to write, if it has no more than max bytes. The caller
	 * ends it with lane_unmap. -EPERM, -ENOSYS: we may not, ever; -ESTALE:
	 * it is not that file (any more), or nothing that can be mapped safely;
	 * -EFBIG; -ESRCH; -ENOMEM; -EMFILE. Where lane_read is NULL so are
	 * these.
	 */
	int (*lane_map)(const struct vmb_port_lane *lane,
			const struct vmb_lane_file *what, size_t max,
			void **base, size_t *len);
	void (*lane_unmap)(void *base, size_t len);
	/*
	 * Is it? To be asked after what was read, or it may be another's, and
	 * before what is written.
	 */
	bool (*lane_alive)(const struct vmb_port_lane *lane);
};

extern const struct vmb_port_ops vmb_port_local;
extern const struct vmb_port_ops vmb_port_kshim;

/*
 * Choose by VMB_PORT ("NAME" or "NAME:PATH") or, without it, kshim where this
 * machine has its device, else local; and attach.
 */
int vmb_port_open(struct vmb_port **port);

/* Tests put an implementation of their own in front; NULL takes it away. */
void vmb_port_override(const struct vmb_port_ops *ops);

#endif
