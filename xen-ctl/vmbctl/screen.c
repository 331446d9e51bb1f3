// SPDX-License-Identifier: BSD-2-Clause
/* screen.c - see screen.h. */
#include "screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l" /* other screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"

static struct termios saved;
static volatile sig_atomic_t taken, resized;
static sigset_t while_waiting; /* blocked then; else SIGWINCH, too */
static char *shown;	       /* what was drawn last, or NULL */

static void write_all(const char *text, size_t len)
{
	ssize_t n;

	while (len && (n = write(STDOUT_FILENO, text, len)) > 0) {
		text += n;
		len -= (size_t)n;
	}
}

/* Only calls that a signal handler may make. */
void vmb_screen_close(void)
{
	if (!taken)
		return;
	taken = 0;
	write_all(LEAVE, strlen(LEAVE));
	tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

static void on_signal(int sig)
{
	vmb_screen_close();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void on_resize(int sig)
{
	(void)sig;
	resized = 1; /* and ppoll() ends */
}

/* It comes while we wait: not between a look at it and the wait. */
static void hold_resize(void)
{
	sigset_t winch;

	sigemptyset(&winch);
	sigaddset(&winch, SIGWINCH);
	sigprocmask(SIG_BLOCK, &winch, &while_waiting);
	sigdelset(&while_waiting, SIGWINCH);
}

int vmb_screen_open(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction end = {.sa_handler = on_signal};
	struct sigaction resize = {.sa_handler = on_resize};
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved))
		return -errno;
	raw = saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	/* a shell would find the terminal as it is now; q is the way out */
	raw.c_cc[VSUSP] = _POSIX_VDISABLE;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaction(ends[i], &end, NULL);
	sigaction(SIGWINCH, &resize, NULL);
	hold_resize();
	taken = 1;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw)) {
		taken = 0;
		return -errno;
	}
	write_all(ENTER, strlen(ENTER));
	return 0;
}

/*
 * The line is cleared first: behind a text as wide as the screen the cursor is
 * still on its last character.
 */
static void draw_line(const char *line, size_t len, size_t columns)
{
	write_all("\033[K", 3);
	write_all(line, len < columns ? len : columns);
}

static void draw(const char *text)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	size_t rows, row = 0, len;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	rows = size.ws_row;
	write_all("\033[H", 3);
	for (; *text && row < rows; row++) {
		len = strcspn(text, "\n");
		if (row)
			write_all("\n", 1);
		draw_line(text, len, size.ws_col);
		text += len + (text[len] == '\n');
	}
	if (row < rows)
		write_all("\n\033[J", 4); /* clear below */
}

void vmb_screen_draw(char *text)
{
	free(shown);
	shown = text;
	draw(shown);
}

int vmb_screen_wait(unsigned timeout_ms)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	struct timespec limit = {.tv_sec = timeout_ms / 1000,
				 .tv_nsec = timeout_ms % 1000 * 1000000L};
	int n = ppoll(&p, 1, &limit, &while_waiting);
	unsigned char key = 0;

	if (resized) {
		resized = 0;
		if (shown)
			draw(shown);
	}
	if (n <= 0)
		return 0;
	if (read(STDIN_FILENO, &key, 1) <= 0)
		return 'q'; /* the terminal has gone */
	return key;
}
