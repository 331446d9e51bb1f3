// SPDX-License-Identifier: BSD-2-Clause
/*
 * daemon.c - find the running vmbd, or start a private one.
 *
 * Flow:  bench_open() -> [here] -> vmbd
 * Owns:  the private daemon and the folder of its socket. Both are gone after
 *        bench_daemon_close() and after SIGINT, SIGTERM, SIGHUP or SIGPIPE;
 *        the daemon also when the bench crashes (PR_SET_PDEATHSIG).
 * Trust: the daemon, its own.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vmbypass/abi/chardev.h>

#include "base/paths.h"
#include "clock.h"
#include "cpu.h"

#define READY_MS 10000
#define STOP_MS 5000

/* What the signal handler cleans up; one private daemon at a time. */
static volatile pid_t private_pid;
static char private_dir[80]; /* empty: there is none */
static char private_socket[108], private_control[112], private_lock[116];
static const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

static void private_remove(void)
{
	if (!private_dir[0])
		return;
	unlink(private_socket);
	unlink(private_control);
	unlink(private_lock);
	rmdir(private_dir);
	private_dir[0] = '\0';
}

/* What it serves ends with us, and while it lives it may make files. */
void bench_daemon_abandon(void)
{
	if (private_pid > 0) {
		kill(private_pid, SIGKILL);
		waitpid(private_pid, NULL, 0);
	}
	private_remove();
}

static void stop_handler(int sig)
{
	bench_daemon_abandon();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Peer's process id when something listens at path, else -errno. */
static pid_t socket_owner(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred cred;
	socklen_t len = sizeof(cred);
	pid_t pid;
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		pid = -errno;
	else
		pid = cred.pid;
	close(fd);
	return pid;
}

/* Where the library would go. */
static int default_socket(char *path, size_t size)
{
	const char *port = getenv("VMB_PORT");

	if (!port || strncmp(port, "local:", 6) || !port[6])
		return vmb_default_socket(path, size);
	if (strlen(port + 6) >= size)
		return -ENAMETOOLONG;
	strcpy(path, port + 6);
	return 0;
}

static bool is_program(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

/* The vmbd that was built or installed with us, else the one in PATH. */
static void daemon_find(char *path, size_t size)
{
	static const char *const places[] = {"vmbd", "../xen-ctl/vmbd/vmbd",
					     "../xen-ctl/vmbd", "../sbin/vmbd"};
	const char *named = getenv("VMBD");
	char self[2048];
	ssize_t len;

	if (named && *named) {
		snprintf(path, size, "%s", named);
		return;
	}
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[len < 0 ? 0 : len] = '\0';
	if (strrchr(self, '/'))
		*strrchr(self, '/') = '\0';
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, size, "%s/%s", self, places[i]);
		if (is_program(path))
			return;
	}
	snprintf(path, size, "vmbd");
}

static int private_make(void)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (!base || !*base || access(base, W_OK | X_OK))
		base = "/tmp";
	if (snprintf(private_dir, sizeof(private_dir), "%s/vmb-bench.XXXXXX",
		     base) >= (int)sizeof(private_dir))
		return -ENAMETOOLONG;
	if (!mkdtemp(private_dir))
		return -errno;
	snprintf(private_socket, sizeof(private_socket), "%s/vmbd.sock",
		 private_dir);
	snprintf(private_control, sizeof(private_control), "%s.ctl",
		 private_socket);
	snprintf(private_lock, sizeof(private_lock), "%s.lock", private_socket);
	return 0;
}

/* how: SIG_BLOCK or SIG_UNBLOCK */
static void stops_block(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		sigaddset(&set, stops[i]);
	sigprocmask(how, &set, NULL);
}

/* In the child: becomes vmbd, which dies with its parent. */
static void private_exec(const char *program, const struct bench_options *o,
			 int ready_fd, pid_t parent)
{
	const char *args[16] = {program,	"--local",   "--socket",
				private_socket, "--engines", "1",
				"--log",	"warn",	     "--ready-fd"};
	unsigned n = 9;
	char fd_text[16], cpu_text[16], spin_text[24];

	snprintf(fd_text, sizeof(fd_text), "%d", ready_fd);
	args[n++] = fd_text;
	if (o->engine_cpu >= 0) {
		snprintf(cpu_text, sizeof(cpu_text), "%d", o->engine_cpu);
		args[n++] = "--cpu";
		args[n++] = cpu_text;
	}
	if (o->engine_spin_us >= 0) {
		snprintf(spin_text, sizeof(spin_text), "%ld",
			 o->engine_spin_us);
		args[n++] = "--spin-us";
		args[n++] = spin_text;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	for (unsigned i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		signal(stops[i], SIG_DFL); /* not ours: it would remove all */
	stops_block(SIG_UNBLOCK);
	/* only the engine is pinned, and the bench is not pinned yet */
	execvp(program, (char *const *)(uintptr_t)args);
	fprintf(stderr, "cannot start %s: %s; name it with --daemon or VMBD\n",
		program, strerror(errno));
	_exit(127);
}

/* The daemon writes one line when it serves; its end closes the pipe. */
static int private_wait_ready(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;
	int n = poll(&p, 1, READY_MS);

	if (n < 0)
		return -errno;
	if (!n)
		return -ETIMEDOUT;
	return read(fd, &byte, 1) == 1 ? 0 : -ESRCH; /* it has ended */
}

static void private_stop(void)
{
	int fd = (int)syscall(SYS_pidfd_open, private_pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	kill(private_pid, SIGTERM);
	if (fd < 0 || poll(&p, 1, STOP_MS) != 1) {
		fprintf(stderr, "vmbd %d did not stop: killed\n",
			(int)private_pid);
		kill(private_pid, SIGKILL);
	}
	waitpid(private_pid, NULL, 0);
	private_pid = 0;
	if (fd >= 0)
		close(fd);
}

static int private_start(const char *program, const struct bench_options *o)
{
	pid_t pid, parent = getpid();
	int fds[2], ret;

	if (pipe(fds))
		return -errno;
	fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	stops_block(SIG_BLOCK); /* who stops us has to know the daemon */
	pid = fork();
	if (!pid)
		private_exec(program, o, fds[1], parent);
	ret = pid < 0 ? -errno : 0;
	private_pid = pid;
	stops_block(SIG_UNBLOCK);
	close(fds[1]);
	if (!ret) {
		ret = private_wait_ready(fds[0]);
		if (ret)
			private_stop();
	}
	close(fds[0]);
	return ret;
}

static int private_open(struct bench_daemon *d,
			const struct bench_options *options)
{
	char program[4096];
	int ret;

	if (strcmp(options->daemon, "auto"))
		snprintf(program, sizeof(program), "%s", options->daemon);
	else
		daemon_find(program, sizeof(program));
	for (unsigned i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		signal(stops[i], stop_handler);
	ret = private_make();
	if (ret) {
		fprintf(stderr, "cannot make a folder for the socket: %s\n",
			strerror(-ret));
		return ret;
	}
	ret = private_start(program, options);
	if (ret) {
		fprintf(stderr, "%s did not become ready: %s\n", program,
			strerror(-ret));
		private_remove();
		return ret;
	}
	d->private = true;
	d->pid = private_pid;
	strcpy(d->where, private_socket);
	return 0;
}

/* Will the library go to the kernel shim of a guest? */
static bool in_guest(void)
{
	const char *port = getenv("VMB_PORT");

	if (port && *port)
		return !strncmp(port, "kshim", 5);
	return !access(VMB_CHARDEV_PATH, F_OK);
}

int bench_daemon_open(struct bench_daemon *d,
		      const struct bench_options *options)
{
	bool only_running = !strcmp(options->daemon, "none");
	char port[128];
	int ret = -ENOENT;

	*d = (struct bench_daemon){0};
	if (in_guest() && (only_running || !strcmp(options->daemon, "auto")))
		return 0;
	if (only_running || !strcmp(options->daemon, "auto")) {
		ret = default_socket(d->where, sizeof(d->where));
		d->pid = ret ? ret : socket_owner(d->where);
		ret = d->pid < 0 ? d->pid : 0;
	}
	if (ret && only_running) {
		fprintf(stderr, "no vmbd answers at %s: %s\n", d->where,
			strerror(-ret));
		return ret;
	}
	if (ret)
		ret = private_open(d, options);
	if (ret)
		return ret;
	snprintf(port, sizeof(port), "local:%s", d->where);
	return setenv("VMB_PORT", port, 1) ? -errno : 0;
}

void bench_daemon_close(struct bench_daemon *d)
{
	if (d->private) {
		private_stop();
		private_remove();
	}
	d->private = false;
}

bool bench_daemon_settle(const struct bench_daemon *d)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	uint64_t start = bench_monotonic_ns(), before, after, now;

	if (!d->pid)
		return true;
	if (bench_cpu_time(d->pid, &before))
		return false;
	do {
		uint64_t slept = bench_monotonic_ns();

		nanosleep(&pause, NULL);
		now = bench_monotonic_ns();
		if (bench_cpu_time(d->pid, &after))
			return false;
		if (after - before < (now - slept) / 20)
			return true;
		before = after;
	} while (now - start < 1000000000u);
	return false;
}
