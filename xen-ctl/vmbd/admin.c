// SPDX-License-Identifier: BSD-2-Clause
/*
 * admin.c - see admin.h.
 *
 * Flow:  connect -> line -> command.c -> answer, which waits in a buffer
 *        until the other side has read it
 * Owns:  the listening socket, a few connections, a buffer each way.
 * Trust: the socket is 0600 and its user is looked at again. A line is input,
 *        of at most LINE_MAX_BYTES; who does not read his answer is dropped
 *        after STALLED_US, and never waited for.
 */
#include "admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/socket.h"
#include "command.h"
#include "listen.h"

#define CONNECTIONS_MAX 16u
#define LINE_MAX_BYTES 65536u
#define STALLED_US (10u * 1000 * 1000)
#define PAUSE_US (50u * 1000)

struct vmbd_admin {
	struct vmbd *d;
	struct vmbd_listener listener;
	sd_event_source *source, *resume;
	struct vmb_list connections;
	unsigned count;
};

struct connection {
	struct vmb_list node;
	struct vmbd_admin *admin;
	int fd;
	sd_event_source *io, *stalled;
	char *out; /* answer that is on its way; NULL: none */
	size_t out_len, out_at;
	int out_fd; /* goes with its first bytes; -1: none */
	size_t in_len;
	char in[LINE_MAX_BYTES];
};

static void drop(struct connection *conn)
{
	sd_event_source_disable_unref(conn->io);
	sd_event_source_disable_unref(conn->stalled);
	if (conn->out_fd >= 0)
		close(conn->out_fd);
	close(conn->fd);
	free(conn->out);
	vmb_list_remove(&conn->node);
	conn->admin->count--;
	free(conn);
}

/* ---- answers ------------------------------------------------------------ */

static void forget_answer(struct connection *conn)
{
	free(conn->out);
	conn->out = NULL;
	if (conn->out_fd >= 0)
		close(conn->out_fd);
	conn->out_fd = -1;
	conn->stalled = sd_event_source_disable_unref(conn->stalled);
}

/* 0: all is sent; -EAGAIN: later. */
static int send_answer(struct connection *conn)
{
	ssize_t n;
	int err;

	if (conn->out && conn->out_fd >= 0) {
		/* the first byte carries the descriptor */
		err = vmb_socket_send(conn->fd, conn->out, 1, conn->out_fd);
		if (err)
			return err;
		conn->out_at = 1;
		close(conn->out_fd);
		conn->out_fd = -1;
	}
	while (conn->out && conn->out_at < conn->out_len) {
		n = send(conn->fd, conn->out + conn->out_at,
			 conn->out_len - conn->out_at,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
		conn->out_at += (size_t)n;
	}
	forget_answer(conn);
	return 0;
}

static json_t *make_answer(int err, struct vmbd_command_result *result)
{
	if (err)
		return json_pack("{s:b, s:s, s:i}", "ok", 0, "error",
				 result->error, "errno", -err);
	if (!result->data)
		result->data = json_null();
	return json_pack("{s:b, s:o}", "ok", 1, "data", result->data);
}

static int on_stalled(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	vmb_warn("an administrator's connection does not read, dropped");
	drop(arg);
	return 0;
}

static int start_answer(struct connection *conn, int err,
			struct vmbd_command_result *result)
{
	json_t *answer = make_answer(err, result);
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	size_t len;

	json_decref(answer);
	conn->out_fd = result->fd;
	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len] = '\n'; /* in the place of the NUL */
	conn->out = text;
	conn->out_len = len + 1;
	conn->out_at = 0;
	err = sd_event_add_time_relative(conn->admin->d->event, &conn->stalled,
					 CLOCK_MONOTONIC, STALLED_US, 0,
					 on_stalled, conn);
	return err < 0 ? err : 0;
}

/* ---- requests ----------------------------------------------------------- */

static int serve_line(struct connection *conn, const char *line, size_t len)
{
	struct vmbd_command_result result = {.fd = -1};
	json_error_t where;
	json_t *request;
	int err;

	request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
	if (request) {
		err = vmbd_command_run(conn->admin->d, request, &result);
	} else {
		err = -EINVAL;
		snprintf(result.error, sizeof(result.error),
			 "not JSON: %s at byte %d", where.text, where.position);
	}
	json_decref(request);
	err = start_answer(conn, err, &result);
	return err ? err : send_answer(conn);
}

/* The next line of the buffer, when no answer is on its way. 1: served one. */
static int serve_buffer(struct connection *conn)
{
	char *end = memchr(conn->in, '\n', conn->in_len);
	size_t len;
	int err;

	if (conn->out)
		return 0;
	if (!end)
		return conn->in_len == sizeof(conn->in) ? -EMSGSIZE : 0;
	len = (size_t)(end - conn->in);
	err = serve_line(conn, conn->in, len);
	conn->in_len -= len + 1;
	memmove(conn->in, end + 1, conn->in_len);
	return err && err != -EAGAIN ? err : 1;
}

/* 1: there was something; 0: nothing now; -errno. */
static int fill_buffer(struct connection *conn)
{
	size_t room = sizeof(conn->in) - conn->in_len;
	ssize_t n;

	if (!room)
		return 0;
	n = recv(conn->fd, conn->in + conn->in_len, room, MSG_DONTWAIT);
	if (n == 0)
		return -ESHUTDOWN;
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	conn->in_len += (size_t)n;
	return 1;
}

/* One line per turn, so that others get theirs. */
static int serve(struct connection *conn, uint32_t revents)
{
	int err = conn->out ? send_answer(conn) : 0;

	if (err)
		return err;
	if (revents & (EPOLLIN | EPOLLHUP)) {
		err = fill_buffer(conn);
		if (err < 0)
			return err;
	}
	return serve_buffer(conn);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct connection *conn = arg;
	int err = serve(conn, revents);
	bool more;

	(void)fd;
	if (err < 0 && err != -EAGAIN) {
		if (err == -EMSGSIZE)
			vmb_warn("an administrator's line is longer than %u "
				 "bytes, dropped",
				 LINE_MAX_BYTES);
		drop(conn);
		return 0;
	}
	/* a line that is in the buffer already is served in a next turn */
	more = memchr(conn->in, '\n', conn->in_len);
	sd_event_source_set_io_events(source,
				      conn->out || more ? EPOLLOUT : EPOLLIN);
	return 0;
}

/* ---- arrival ------------------------------------------------------------ */

static bool is_administrator(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (!peer.uid || peer.uid == geteuid());
}

static int admit(struct vmbd_admin *admin, int fd)
{
	struct connection *conn;
	int err;

	if (admin->count >= CONNECTIONS_MAX)
		return -EUSERS;
	if (!is_administrator(fd))
		return -EACCES;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return -ENOMEM;
	conn->admin = admin;
	conn->fd = fd;
	conn->out_fd = -1;
	err = sd_event_add_io(admin->d->event, &conn->io, fd, EPOLLIN, on_io,
			      conn);
	if (err < 0) {
		free(conn);
		return err;
	}
	vmb_list_append(&admin->connections, &conn->node);
	admin->count++;
	return 0;
}

/* No descriptor is left, perhaps not even the spare one: look again soon. */
static void pause_listening(struct vmbd_admin *admin)
{
	sd_event_source_set_enabled(admin->source, SD_EVENT_OFF);
	sd_event_source_set_time_relative(admin->resume, PAUSE_US);
	sd_event_source_set_enabled(admin->resume, SD_EVENT_ONESHOT);
}

static int on_resume(sd_event_source *source, uint64_t usec, void *arg)
{
	struct vmbd_admin *admin = arg;

	(void)source;
	(void)usec;
	vmbd_listen_take_spare(&admin->listener);
	sd_event_source_set_enabled(admin->source, SD_EVENT_ON);
	return 0;
}

static int on_connect(sd_event_source *source, int listen_fd, uint32_t revents,
		      void *arg)
{
	struct vmbd_admin *admin = arg;
	bool turned_away;
	int fd, err;

	(void)source;
	(void)listen_fd;
	(void)revents;
	vmbd_listen_take_spare(&admin->listener);
	fd = vmbd_listen_accept(&admin->listener, &turned_away);
	if (turned_away || fd == -EMFILE || fd == -ENFILE)
		pause_listening(admin);
	if (fd < 0)
		return 0;
	err = turned_away ? -EMFILE : admit(admin, fd);
	if (err) {
		vmb_warn("an administrator's connection is refused: %s",
			 strerror(-err));
		close(fd);
	}
	return 0;
}

int vmbd_admin_open(struct vmbd *d, struct vmbd_admin **result)
{
	struct vmbd_admin *admin = calloc(1, sizeof(*admin));
	int err;

	if (!admin)
		return -ENOMEM;
	admin->d = d;
	vmb_list_init(&admin->connections);
	err = vmbd_listen_open(d->options->admin, SOCK_STREAM, 0600, (gid_t)-1,
			       &admin->listener);
	if (err)
		goto err_free;
	err = sd_event_add_io(d->event, &admin->source, admin->listener.fd,
			      EPOLLIN, on_connect, admin);
	if (err < 0)
		goto err_close;
	err = sd_event_add_time(d->event, &admin->resume, CLOCK_MONOTONIC, 0, 0,
				on_resume, admin);
	if (err < 0)
		goto err_unref_source;
	sd_event_source_set_enabled(admin->resume, SD_EVENT_OFF);
	*result = admin;
	return 0;

err_unref_source:
	sd_event_source_disable_unref(admin->source);
err_close:
	vmbd_listen_close(&admin->listener);
err_free:
	free(admin);
	return err;
}

void vmbd_admin_close(struct vmbd_admin *admin)
{
	if (!admin)
		return;
	while (!vmb_list_empty(&admin->connections))
		drop(vmb_list_first(&admin->connections, struct connection,
				    node));
	sd_event_source_disable_unref(admin->source);
	sd_event_source_disable_unref(admin->resume);
	vmbd_listen_close(&admin->listener);
	free(admin);
}
