// SPDX-License-Identifier: BSD-2-Clause
/*
 * admin.c - one question to the daemon and its answer: a line of JSON each, on
 * the stream socket beside the daemon's own.
 *
 * Owns:  the connection, for one question.
 * Trust: the daemon is of our own user or of root, or we are root; still the
 *        answer is input: bounded in size and time, then parsed.
 */
#include "admin.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/socket.h"
#include "base/util.h"

#define ANSWER_BYTES_MAX (256u << 20) /* 65535 endpoints take a tenth */

struct answer {
	char *text;
	size_t len, size;
	int fd; /* -1: none came */
};

static int ask_failed(const char *path, int err)
{
	switch (err) {
	case -ENOENT:
	case -ECONNREFUSED:
		return vmb_fail(err,
				"no daemon at %s: start one with "
				"`vmbd --local`, or name its socket with "
				"--socket",
				path);
	case -EACCES:
	case -EPERM:
		return vmb_fail(err,
				"not allowed to reach %s: be root or the user "
				"who runs vmbd",
				path);
	case -ETIMEDOUT:
		return vmb_fail(err,
				"the daemon at %s does not answer: is it "
				"stopped? `kill -CONT` its process, or restart "
				"it",
				path);
	default:
		return vmb_fail(err, "%s: %s", path, strerrordesc_np(-err));
	}
}

/* Whom we believe. Root looks at the daemons of users, where it was told to. */
static int admit_daemon(int sock, const char *path, struct ucred *peer)
{
	int err = vmb_socket_peer(sock, peer);

	if (err == -EACCES && geteuid() == 0)
		return 0;
	if (err == -EACCES)
		return vmb_fail(err,
				"socket %s belongs to user %u, not to us or "
				"root: not asked",
				path, (unsigned)peer->uid);
	return err ? ask_failed(path, err) : 0;
}

static int connect_admin(const struct vmb_options *o, int *sock,
			 struct ucred *peer)
{
	char path[sizeof(o->socket) + 4];
	int err;

	snprintf(path, sizeof(path), "%s.ctl", o->socket);
	err = vmb_socket_connect(path, SOCK_STREAM, (int)o->timeout_ms, sock);
	if (err)
		return ask_failed(o->socket, err);
	err = admit_daemon(*sock, path, peer);
	if (err)
		close(*sock);
	return err;
}

static int send_line(int sock, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	char *line;
	int len, err;

	if (!text)
		return -ENOMEM;
	len = asprintf(&line, "%s\n", text);
	free(text);
	if (len < 0)
		return -ENOMEM;
	err = vmb_socket_send(sock, line, (size_t)len, -1);
	free(line);
	return err;
}

/* Keep the first descriptor; nobody asked for more. */
static void take_fds(struct answer *a, struct vmb_socket_packet *packet)
{
	if (packet->fd_count && a->fd < 0) {
		a->fd = packet->fds[0];
		packet->fds[0] = packet->fds[--packet->fd_count];
	}
	vmb_socket_close_fds(packet);
}

static int grow(struct answer *a)
{
	size_t size = a->size ? 2 * a->size : 65536;
	char *text;

	if (a->size - a->len > 1)
		return 0;
	if (size > ANSWER_BYTES_MAX)
		return -EMSGSIZE;
	text = realloc(a->text, size);
	if (!text)
		return -ENOMEM;
	a->text = text;
	a->size = size;
	return 0;
}

/* Receive what is there. 1: the line is whole; 0: more must come. */
static int receive_some(int sock, struct answer *a)
{
	struct vmb_socket_packet packet;
	char *end;
	int err;

	err = grow(a);
	if (err)
		return err;
	err = vmb_socket_receive(sock, a->text + a->len, a->size - a->len - 1,
				 &packet);
	if (err)
		return err == -EAGAIN ? 0 : err;
	take_fds(a, &packet);
	if (!packet.len)
		return -ECONNRESET;
	a->text[a->len + packet.len] = '\0';
	end = strchr(a->text + a->len, '\n');
	a->len += packet.len;
	if (end)
		*end = '\0';
	return end != NULL;
}

static int receive_line(int sock, struct answer *a, unsigned timeout_ms)
{
	uint64_t deadline = vmb_now_ns() + timeout_ms * 1000000ull;
	struct pollfd p = {.fd = sock, .events = POLLIN};
	uint64_t now;
	int got = 0;

	while (!got) {
		now = vmb_now_ns();
		if (now >= deadline)
			return -ETIMEDOUT;
		poll(&p, 1, (int)((deadline - now) / 1000000) + 1);
		got = receive_some(sock, a);
	}
	return got < 0 ? got : 0;
}

/* Its words, or what its number means. */
static int refused(const json_t *reply)
{
	const char *text = json_string_value(json_object_get(reply, "error"));
	json_int_t number = json_integer_value(json_object_get(reply, "errno"));
	int code = number > 0 && number <= INT_MAX ? (int)number : EIO;

	if (!text || !*text)
		text = strerrordesc_np(code);
	return vmb_fail(-code, "%s",
			text ? text
			     : "refused, and the daemon does not say why");
}

static int parse_answer(const struct answer *a, json_t **data)
{
	json_t *reply = json_loads(a->text, JSON_REJECT_DUPLICATES, NULL);
	int code = 0, ok = 0;

	if (!reply || json_unpack(reply, "{s:b}", "ok", &ok)) {
		json_decref(reply);
		return vmb_fail(-EPROTO,
				"the daemon's answer is no reply: %.60s",
				a->text);
	}
	if (!ok) {
		code = refused(reply);
	} else if (data) {
		*data = json_incref(json_object_get(reply, "data"));
		if (!*data)
			code = vmb_fail(-EPROTO,
					"the daemon's answer holds no data");
	}
	json_decref(reply);
	return code;
}

static int exchange(const struct vmb_options *o, json_t *request,
		    struct answer *a)
{
	struct ucred peer;
	int sock, err;

	err = connect_admin(o, &sock, &peer);
	if (err)
		return err;
	err = send_line(sock, request);
	if (!err)
		err = receive_line(sock, a, o->timeout_ms);
	close(sock);
	return err ? ask_failed(o->socket, err) : 0;
}

int vmb_admin_ask(const struct vmb_options *o, json_t *request, json_t **data,
		  int *fd)
{
	struct answer a = {.fd = -1};
	int err;

	err = exchange(o, request, &a);
	json_decref(request);
	if (!err)
		err = parse_answer(&a, data);
	if (!err && fd && a.fd < 0)
		err = vmb_fail(-EPROTO, "the daemon sent no descriptor");
	if (!err && fd)
		*fd = a.fd;
	else if (a.fd >= 0)
		close(a.fd);
	free(a.text);
	return err;
}

int vmb_admin_list(const struct vmb_options *o, const char *command,
		   json_t **rows)
{
	int err = vmb_admin_ask(o, json_pack("{s:s}", "cmd", command), rows,
				NULL);

	if (!err && !json_is_array(*rows)) {
		json_decref(*rows);
		err = vmb_fail(-EPROTO, "%s: the daemon's answer is no list",
			       command);
	}
	return err;
}

int vmb_admin_watch(const struct vmb_options *o)
{
	struct ucred peer;
	int sock, pidfd = -1;

	if (connect_admin(o, &sock, &peer))
		return -1;
	if (peer.pid > 0) /* 0: it lives where we cannot see it */
		pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	close(sock);
	return pidfd;
}
