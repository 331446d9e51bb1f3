// SPDX-License-Identifier: BSD-2-Clause
/*
 * local.c - the platform of one machine: clients are processes that connect
 * to a Unix socket.
 *
 * Flow:  connect -> accept -> who is it? -> events->arrived() -> transport.c
 * Owns:  the listening socket and the list of transports.
 * Trust: the kernel says who connected; what follows is input.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "platform/local/local.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define ARRIVALS_PER_TURN 16
#define TRANSPORTS_MAX 8192
#define HANG_UPS_MAX 256u
#define PAUSE_US (50u * 1000)
#define SEND_BUFFER (16 << 10) /* replies that a client may leave unread */

/* ---- who is it ---------------------------------------------------------- */

static int read_credentials(int fd, struct vmb_credentials *who)
{
	socklen_t len = sizeof(who->groups);
	struct ucred peer;
	socklen_t peer_len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len))
		return -errno;
	who->pid = peer.pid;
	who->uid = peer.uid;
	who->gid = peer.gid;
	if (peer.pid <= 0) /* of another pid namespace */
		return -ESRCH;
	who->group_count = 0;
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, who->groups, &len))
		who->group_count = (unsigned)(len / sizeof(gid_t));
	else
		who->groups_unknown = errno == ERANGE;
	return 0;
}

/*
 * The kernel's own pidfd of the peer where there is one. Otherwise by number:
 * what that leaves open is said in process.c.
 */
static int open_pidfd(int fd, pid_t pid)
{
	int pidfd;
	socklen_t len = sizeof(pidfd);

	if (!getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len))
		return pidfd;
	pidfd = (int)syscall(__NR_pidfd_open, pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

static int identify(struct vmb_transport *t)
{
	int err;

	err = read_credentials(t->fd, &t->who);
	if (err)
		return err;
	if (t->p->transport_count > TRANSPORTS_MAX)
		return -EUSERS;
	if (vmb_helper_refuses(t->p->helper, t->who.uid))
		return -EBUSY;
	t->pidfd = open_pidfd(t->fd, t->who.pid);
	if (t->pidfd == -ESRCH || t->pidfd == -EMFILE || t->pidfd == -ENFILE)
		return t->pidfd;
	if (t->p->process_works)
		vmb_process_open(&t->who, t->pidfd, &t->process);
	return 0;
}

/* ---- arrival ------------------------------------------------------------ */

/* t and its socket are made. */
static int introduce(struct vmb_transport *t)
{
	struct vmb_platform *p = t->p;
	int size = SEND_BUFFER, err;

	err = identify(t);
	if (err)
		return err;
	if (setsockopt(t->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)))
		return -errno;
	err = p->config.events->arrived(p->config.arg, t, &t->who, &t->client);
	return err ? err : vmb_transport_watch(t);
}

/* On the account of who sent it, as every wait for what lies in it. */
static void turn_away(struct vmb_platform *p, int fd)
{
	struct vmb_credentials who = {.uid = geteuid()};

	read_credentials(fd, &who);
	vmb_hang_up(p, who.uid, fd, NULL);
}

static int admit(struct vmb_platform *p, int fd)
{
	struct vmb_transport *t = calloc(1, sizeof(*t));
	int err;

	if (!t) {
		turn_away(p, fd);
		return -ENOMEM;
	}
	t->p = p;
	t->fd = fd;
	t->pidfd = -1;
	vmb_list_append(&p->transports, &t->node);
	p->transport_count++;
	err = introduce(t);
	if (err)
		vmb_transport_drop(t, strerror(-err));
	return err;
}

/*
 * Nobody is accepted for a moment: descriptors are short, or too many sockets
 * of those who left wait to be closed.
 */
static void pause_listening(struct vmb_platform *p)
{
	sd_event_source_set_enabled(p->listen_source, SD_EVENT_OFF);
	sd_event_source_set_time_relative(p->resume_source, PAUSE_US);
	sd_event_source_set_enabled(p->resume_source, SD_EVENT_ONESHOT);
}

static int on_resume(sd_event_source *source, uint64_t usec, void *arg)
{
	struct vmb_platform *p = arg;

	(void)source;
	(void)usec;
	vmbd_listen_take_spare(&p->listener);
	p->one_may_come = true; /* some of those sockets may never be closed */
	sd_event_source_set_enabled(p->listen_source, SD_EVENT_ON);
	return 0;
}

/* The next one who waits: 0; -EAGAIN: nobody, or not now. */
static int accept_one(struct vmb_platform *p)
{
	bool turned_away;
	int fd, err;

	if (p->hang_ups >= HANG_UPS_MAX && !p->one_may_come) {
		pause_listening(p);
		return -EAGAIN;
	}
	p->one_may_come = false;
	fd = vmbd_listen_accept(&p->listener, &turned_away);
	if (turned_away || fd == -EMFILE || fd == -ENFILE)
		pause_listening(p);
	if (fd < 0)
		return -EAGAIN;
	if (turned_away) {
		turn_away(p, fd);
		return -EAGAIN;
	}
	err = admit(p, fd);
	if (err)
		vmb_debug("connection refused: %s", strerror(-err));
	return 0;
}

static int on_connect(sd_event_source *source, int listen_fd, uint32_t revents,
		      void *arg)
{
	(void)source;
	(void)listen_fd;
	(void)revents;
	for (int i = 0; i < ARRIVALS_PER_TURN && !accept_one(arg); i++)
		;
	return 0;
}

/* ---- operations --------------------------------------------------------- */

static int local_open(const struct vmb_platform_config *config,
		      struct vmb_platform **platform)
{
	struct vmb_platform *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->config = *config;
	p->listener.fd = -1;
	vmb_list_init(&p->transports);
	p->process_works = vmb_process_init();
	config->host->ops.process_read = vmb_process_read;
	config->host->ops.process_write = vmb_process_write;
	err = vmb_helper_open(config->event, &p->helper);
	if (err) {
		free(p);
		return err;
	}
	*platform = p;
	return 0;
}

static int local_start(struct vmb_platform *p)
{
	sd_event *event = p->config.event;
	int err;

	err = vmbd_listen_open(p->config.socket, SOCK_SEQPACKET, p->config.mode,
			       p->config.group, &p->listener);
	if (err)
		return err;
	err = sd_event_add_io(event, &p->listen_source, p->listener.fd, EPOLLIN,
			      on_connect, p);
	if (err < 0)
		return err;
	err = sd_event_add_time(event, &p->resume_source, CLOCK_MONOTONIC, 0, 0,
				on_resume, p);
	if (err < 0)
		return err;
	return sd_event_source_set_enabled(p->resume_source, SD_EVENT_OFF);
}

static void local_stop(struct vmb_platform *p)
{
	struct vmb_list *pos, *tmp;

	p->listen_source = sd_event_source_disable_unref(p->listen_source);
	p->resume_source = sd_event_source_disable_unref(p->resume_source);
	vmbd_listen_close(&p->listener);
	vmb_list_each_safe (pos, tmp, &p->transports)
		vmb_transport_drop(vmb_container_of(pos, struct vmb_transport,
						    node),
				   "daemon stops");
}

static void local_close(struct vmb_platform *p)
{
	if (!p)
		return;
	vmb_helper_close(p->helper);
	free(p);
}

static uint64_t local_features(struct vmb_transport *t)
{
	uint64_t features = VMB_FEATURE_WAKE_WORD;

	if (t->process)
		features |= VMB_FEATURE_PROCESS_MEMORY;
	if (t->p->config.host->ops.barrier)
		features |= VMB_FEATURE_BARRIER;
	if (t->pidfd >= 0)
		features |= VMB_FEATURE_PEER_PROCESS;
	return features;
}

/* All clients are processes of this machine. */
static bool local_coresident(const struct vmb_transport *a,
			     const struct vmb_transport *b)
{
	return a->p == b->p;
}

static void *local_mover_cookie(struct vmb_transport *t)
{
	return (void *)(uintptr_t)t->process;
}

const struct vmb_platform_ops vmb_platform_local = {
	.name = "local",
	.attached_kinds = 1u << VMB_REGION_MEMFD,
	.open = local_open,
	.start = local_start,
	.stop = local_stop,
	.close = local_close,
	.features = local_features,
	.coresident = local_coresident,
	.reply = vmb_transport_reply,
	.drop = vmb_transport_drop,
	.memory_map = vmb_memory_map,
	.memory_unmap = vmb_memory_unmap,
	.mover_cookie = local_mover_cookie,
	.signal_open = vmb_signal_open,
	.signal_bind = vmb_signal_bind,
	.signal_unbind = vmb_signal_unbind,
	.signal_close = vmb_signal_close,
	.lane_make = vmb_lane_make,
	.lane_free = vmb_lane_free,
};
