// SPDX-License-Identifier: BSD-2-Clause
/*
 * xen-agent.c - run a command in a guest as if it ran in dom0.
 *
 *   xen-agent serve                          in the guest
 *   xen-agent run ADDRESS SECONDS COMMAND    in dom0
 *
 * Flow:  suite -> run -> TCP -> serve -> /bin/sh -c COMMAND; its output, error
 *        output and exit status come back and are those of run.
 * Owns:  in the guest: the session of each command. When run goes away, or has
 *        waited for SECONDS (exit status 124), the command is killed with all
 *        that it left in its session.
 * Trust: none is needed: the network of the guests ends in dom0.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGENT_PORT 7
#define COMMAND_MAX 65536
#define STATUS_TIMEOUT 124
#define STATUS_BROKEN 255

/* Frames: kind, then length and data of output, or the exit status. */
enum frame_kind {
	FRAME_OUT = 1,
	FRAME_ERR,
	FRAME_EXIT
};

struct frame {
	uint32_t kind;
	uint32_t value;
};

static char buffer[COMMAND_MAX + 1];

/* 0: all of it; -EPIPE: the other side went away before. */
static int read_all(int fd, void *data, size_t len)
{
	char *at = data;

	while (len) {
		ssize_t done = read(fd, at, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EPIPE;
		at += done;
		len -= (size_t)done;
	}
	return 0;
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t done = write(fd, at, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		at += done;
		len -= (size_t)done;
	}
	return 0;
}

static void die(const char *what)
{
	fprintf(stderr, "xen-agent: %s: %s\n", what, strerror(errno));
	exit(STATUS_BROKEN);
}

static struct sockaddr_in address(const char *text)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(AGENT_PORT)};

	if (!inet_aton(text, &a.sin_addr)) {
		errno = EINVAL;
		die(text);
	}
	return a;
}

/* ---- serve -------------------------------------------------------------- */

struct command {
	pid_t pid;
	int pidfd;
	int out, err; /* read ends; -1: at its end */
};

static void command_exec(const char *text, int out, int err)
{
	setsid();
	signal(SIGPIPE, SIG_DFL);
	if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
		_exit(STATUS_BROKEN);
	execl("/bin/sh", "sh", "-c", text, NULL);
	_exit(STATUS_BROKEN);
}

static void command_start(struct command *c, const char *text)
{
	int out[2], err[2];

	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		die("pipe");
	c->pid = fork();
	if (c->pid < 0)
		die("fork");
	if (!c->pid)
		command_exec(text, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	c->out = out[0];
	c->err = err[0];
	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd < 0)
		die("pidfd_open");
}

/* Pass on what is there; *from becomes -1 at its end. */
static int forward(int to, enum frame_kind kind, int *from)
{
	ssize_t len = read(*from, buffer, COMMAND_MAX);
	struct frame frame = {kind, (uint32_t)len};
	int ret;

	if (len <= 0) {
		close(*from);
		*from = -1;
		return 0;
	}
	ret = write_all(to, &frame, sizeof(frame));
	return ret ? ret : write_all(to, buffer, (size_t)len);
}

/*
 * One step: wait, then pass on. ended is whether the command had ended before,
 * so that what it wrote is in the pipes: then wait no more. 1: nothing is left.
 */
static int command_step(struct command *c, int client, bool *ended)
{
	struct pollfd fds[] = {
		{.fd = c->out, .events = POLLIN},
		{.fd = c->err, .events = POLLIN},
		{.fd = *ended ? -1 : c->pidfd, .events = POLLIN},
		{.fd = client, .events = POLLRDHUP},
	};
	int ready = poll(fds, 4, *ended ? 0 : -1), ret = 0;

	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[3].revents)
		return -EPIPE;
	if (fds[0].revents)
		ret = forward(client, FRAME_OUT, &c->out);
	if (!ret && fds[1].revents)
		ret = forward(client, FRAME_ERR, &c->err);
	if (ret)
		return ret;
	if (*ended)
		return !(fds[0].revents || fds[1].revents);
	*ended = fds[2].revents;
	return 0;
}

static void command_serve(int client)
{
	struct command c;
	struct frame last = {.kind = FRAME_EXIT};
	bool ended = false;
	uint32_t len;
	int status, ret = 0;

	if (read_all(client, &len, sizeof(len)) || len > COMMAND_MAX ||
	    read_all(client, buffer, len))
		_exit(1);
	buffer[len] = '\0';
	command_start(&c, buffer);
	while (!ret)
		ret = command_step(&c, client, &ended);
	if (ret < 0)
		kill(-c.pid, SIGKILL);
	waitpid(c.pid, &status, 0);
	last.value = (uint32_t)(WIFEXITED(status) ? WEXITSTATUS(status)
						  : 128 + WTERMSIG(status));
	_exit(write_all(client, &last, sizeof(last)) != 0);
}

static void serve(void)
{
	struct sockaddr_in any = address("0.0.0.0");
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN); /* sessions are not waited for */
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 16))
		die("cannot serve");
	for (;;) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (client < 0)
			continue;
		if (!fork()) {
			signal(SIGCHLD, SIG_DFL);
			command_serve(client);
		}
		close(client);
	}
}

/* ---- run ---------------------------------------------------------------- */

static void expired(int sig)
{
	static const char text[] = "xen-agent: the command took too long\n";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(STATUS_BROKEN);
	_exit(STATUS_TIMEOUT);
}

/* Returns the exit status that came. */
static int output_copy(int fd)
{
	struct frame frame;

	for (;;) {
		int to;

		if (read_all(fd, &frame, sizeof(frame)))
			die("the guest went away");
		if (frame.kind == FRAME_EXIT)
			return (int)frame.value;
		to = frame.kind == FRAME_OUT ? STDOUT_FILENO : STDERR_FILENO;
		if (frame.value > COMMAND_MAX ||
		    read_all(fd, buffer, frame.value))
			die("the guest went away");
		write_all(to, buffer, frame.value);
	}
}

static int run(const char *where, const char *seconds, const char *command)
{
	struct sockaddr_in to = address(where);
	uint32_t len = (uint32_t)strlen(command);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	signal(SIGALRM, expired);
	alarm((unsigned)strtoul(seconds, NULL, 10));
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die(where);
	if (len > COMMAND_MAX || write_all(fd, &len, sizeof(len)) ||
	    write_all(fd, command, len))
		die("the command could not be sent");
	return output_copy(fd);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "serve"))
		serve();
	if (argc == 5 && !strcmp(argv[1], "run"))
		return run(argv[2], argv[3], argv[4]);
	fprintf(stderr, "usage: xen-agent serve\n"
			"       xen-agent run ADDRESS SECONDS COMMAND\n");
	return STATUS_BROKEN;
}
