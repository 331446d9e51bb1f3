// SPDX-License-Identifier: BSD-2-Clause
/* screen.c - see screen.h. */
#include "screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l" /* other screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"

static struct termios saved;
static volatile sig_atomic_t taken;

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
	(void)sig; /* ends poll() */
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
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaction(ends[i], &end, NULL);
	sigaction(SIGWINCH, &resize, NULL);
	taken = 1;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw))
		return -errno;
	write_all(ENTER, strlen(ENTER));
	return 0;
}

static void draw_line(const char *line, size_t len, size_t columns)
{
	write_all(line, len < columns ? len : columns);
	write_all("\033[K", 3); /* clear the rest of the line */
}

void vmb_screen_draw(const char *text)
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
	write_all("\033[J", 3); /* clear below */
}

int vmb_screen_wait(unsigned timeout_ms)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned char key = 0;

	if (poll(&p, 1, (int)timeout_ms) <= 0)
		return 0;
	if (read(STDIN_FILENO, &key, 1) <= 0)
		return 'q'; /* the terminal has gone */
	return key;
}
