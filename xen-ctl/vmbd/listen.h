/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listen.h - Unix sockets that the daemon listens on, and the lock that keeps
 * two daemons from taking one path at the same time.
 */
#ifndef VMBD_LISTEN_H
#define VMBD_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Held from before the look at old sockets until the new ones listen; after
 * that they answer who asks. The lock file is `path`.lock, and goes with it.
 */
struct vmbd_lock {
	int fd; /* -1: not held */
	char path[256];
};

/*
 * Create the folder of the socket if it is missing (0755 for root, else
 * 0700), refuse one in which others could replace our files, and take the
 * lock. -EADDRINUSE: another daemon starts there; -EPERM: the folder.
 */
int vmbd_lock_open(struct vmbd_lock *lock, const char *socket_path);
/* One that is not held is ignored. */
void vmbd_lock_close(struct vmbd_lock *lock);

struct vmbd_listener {
	int fd;	      /* -1: closed */
	int spare_fd; /* to turn somebody away when none is left; -1: none */
	const char *path;
};

/*
 * Listen at path, which stays the caller's. A socket file that nobody answers
 * is replaced. -EADDRINUSE: somebody listens there; -EEXIST: not a socket.
 * type: SOCK_STREAM or SOCK_SEQPACKET; group: (gid_t)-1 keeps ours. The
 * listener is closed after a failure.
 */
int vmbd_listen_open(const char *path, int type, mode_t mode, gid_t group,
		     struct vmbd_listener *listener);
/*
 * A connection that does not block, or -EAGAIN, or another error. *turned_away:
 * no descriptor was left but the spare one; the caller closes the connection,
 * or the loop would be told of it for ever.
 */
int vmbd_listen_accept(struct vmbd_listener *listener, bool *turned_away);
/* After that, and again until there is one: have a spare descriptor. */
void vmbd_listen_take_spare(struct vmbd_listener *listener);
/* Close and take the file away. A closed one is ignored. */
void vmbd_listen_close(struct vmbd_listener *listener);

#endif
