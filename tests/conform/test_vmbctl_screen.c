// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_vmbctl_screen.c - vmbctl top on a terminal: what it draws, and how it
 * leaves the terminal.
 *
 * Owns:  a daemon and a pseudo terminal per test; we hold its other end.
 */
#include <check.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/util.h"
#include "support/daemon.h"
#include "support/run.h"

#define HOME "\033[H" /* a picture begins */

static struct t_daemon d;
static int master;
static pid_t top;
static char text[65536]; /* what came to the terminal */
static size_t used;

static void setup(void)
{
	t_daemon_start(&d, NULL);
}

static void teardown(void)
{
	t_daemon_stop(&d);
}

static void run_top(const char *interval)
{
	const char *program = t_environment("VMBCTL");

	execl(program, program, "top", "--interval", interval, "--socket",
	      d.socket, (char *)NULL);
	_exit(127);
}

static void start(unsigned short rows, unsigned short columns,
		  const char *interval)
{
	struct winsize size = {.ws_row = rows, .ws_col = columns};

	top = forkpty(&master, NULL, NULL, &size);
	ck_assert_int_ge(top, 0);
	if (!top)
		run_top(interval);
}

/* Wait until this has come at or behind a place; returns where it is. */
static char *wait_for(const char *from, const char *part, unsigned ms)
{
	uint64_t until = vmb_now_ns() + ms * 1000000ull;
	struct pollfd p = {.fd = master, .events = POLLIN};
	char *at;
	ssize_t n;

	while (!(at = strstr(from, part))) {
		ck_assert_msg(vmb_now_ns() < until, "it does not come");
		if (poll(&p, 1, 100) <= 0)
			continue;
		n = read(master, text + used, sizeof(text) - 1 - used);
		ck_assert_int_gt(n, 0);
		used += (size_t)n;
	}
	return at;
}

static void quit(void)
{
	int status;

	ck_assert_int_eq(write(master, "q", 1), 1);
	ck_assert_int_eq(waitpid(top, &status, 0), top);
	ck_assert_int_eq(status, 0);
	close(master);
}

/* A stopped top would leave the other screen, and no echo, to the shell. */
START_TEST(suspend_key_is_off_until_the_end)
{
	struct termios before, now;

	start(24, 80, "0.1");
	ck_assert_int_eq(tcgetattr(master, &before), 0);
	wait_for(text, HOME, 20000);
	ck_assert_int_eq(tcgetattr(master, &now), 0);
	ck_assert_int_eq(now.c_cc[VSUSP], _POSIX_VDISABLE);
	ck_assert_int_eq(write(master, "\032", 1), 1);
	wait_for(text + used, HOME, 20000);
	ck_assert_int_eq(write(master, "q", 1), 1);
	wait_for(text, "\033[?1049l", 20000);
	ck_assert_int_eq(waitpid(top, NULL, 0), top);
	ck_assert_int_eq(tcgetattr(master, &now), 0);
	ck_assert_int_ne(now.c_cc[VSUSP], _POSIX_VDISABLE);
	ck_assert_int_ne(now.c_lflag & ECHO, 0);
	close(master);
}
END_TEST

/* Behind the last column, clearing would take what stands in it. */
START_TEST(nothing_is_cleared_behind_a_text)
{
	char *first, *second;

	start(3, 40, "0.1");
	first = wait_for(text, HOME, 20000);
	second = wait_for(first + 1, HOME, 20000);
	ck_assert_int_eq(strncmp(first, HOME "\033[Kvmbypass", 14), 0);
	*second = '\0';
	ck_assert_ptr_null(strstr(first, "\033[J")); /* all rows are used */
	for (char *at = first; (at = strstr(at, "\033[K")); at++)
		ck_assert(at[-1] == '\n' || at == first + strlen(HOME));
	*second = *HOME;
	quit();
}
END_TEST

START_TEST(picture_follows_the_size_at_once)
{
	struct winsize size = {.ws_row = 24, .ws_col = 50};
	char *first, *second;

	start(24, 40, "4");
	first = wait_for(text, HOME, 20000);
	wait_for(first, "q: quit", 20000);
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &size), 0);
	second = wait_for(first + 1, HOME, 2000);
	second = wait_for(second, "\n", 20000);
	/* the title is longer than both */
	ck_assert_int_eq(strcspn(first + 6, "\r"), 40);
	ck_assert_int_eq(strcspn(strstr(first + 1, HOME) + 6, "\r"), 50);
	ck_assert_ptr_nonnull(second);
	quit();
}
END_TEST

/*
 * In the background, and nobody in its session who could bring it back: then
 * the kernel refuses to change the terminal.
 */
static void run_orphan(int err)
{
	pid_t parent = getpid();

	if (fork())
		_exit(0);
	while (getppid() == parent)
		usleep(1000);
	setpgid(0, 0);
	dup2(err, STDERR_FILENO);
	run_top("0.1");
}

START_TEST(terminal_that_cannot_be_used_is_named)
{
	char said[512] = "";
	int fds[2], status;
	pid_t leader, orphan;

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	ck_assert_int_eq(pipe(fds), 0);
	leader = forkpty(&master, NULL, NULL, NULL);
	if (!leader) {
		if (!fork())
			run_orphan(fds[1]);
		pause();
	}
	close(fds[1]);
	ck_assert_int_gt(read(fds[0], said, sizeof(said) - 1), 0);
	ck_assert_msg(strstr(said, "the terminal cannot be used: ") != NULL,
		      "%s", said);
	orphan = waitpid(-1, &status, 0);
	ck_assert_int_gt(orphan, 0);
	ck_assert_int_ne(orphan, leader);
	ck_assert_int_eq(WEXITSTATUS(status), 1);
	kill(leader, SIGKILL);
	waitpid(leader, NULL, 0);
	close(fds[0]);
	close(master);
}
END_TEST

/* ---- suite -------------------------------------------------------------- */

static Suite *screen_suite(void)
{
	Suite *s = suite_create("vmbctl_screen");
	TCase *c = tcase_create("screen");

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, suspend_key_is_off_until_the_end);
	tcase_add_test(c, nothing_is_cleared_behind_a_text);
	tcase_add_test(c, picture_follows_the_size_at_once);
	tcase_add_test(c, terminal_that_cannot_be_used_is_named);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return t_run(screen_suite());
}
