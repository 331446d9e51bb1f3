// SPDX-License-Identifier: BSD-2-Clause
/*
 * far.c - the half that serves: a process for each test.
 *
 * Flow:  START -> the far half of that name -> VERDICT -> exit -> the next
 * Owns:  the processes, one at a time.
 * Trust: the near half is a partner; an unknown test is said to be one.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "mxtest.h"

#define STATUS_STOP 17

static const struct far_half *const tables[] = {
	t_checklist_1_10_far, t_checklist_11_19_far, t_status_far,
	t_message_far,	      t_request_far,	     t_handler_far,
	t_peer_far,	      t_thread_far,
};

static struct peer *far_peer; /* set in a far half that has begun */

/* ---- verdicts ------------------------------------------------------------------ */

/* The reader may be away or gone: so much is tried, no more. */
static void tell(struct peer *p, const char *text)
{
	mx_segment_t seg = {(void *)(uintptr_t)text,
			    (uint32_t)strlen(text) + 1};
	mx_request_t request;
	mx_status_t status;
	uint32_t result;

	if (mx_isend(p->ep, &seg, 1, p->to, CONTROL_VERDICT, NULL, &request) ||
	    mx_wait(p->ep, &request, T_MS, &status, &result) || !result)
		fprintf(stderr, "far half: verdict not sent: %s\n", text);
}

void t_fail(const char *file, int line, const char *format, ...)
{
	char what[CONTROL_TEXT - 100], text[CONTROL_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(text, sizeof(text), "%.60s:%d: %s",
		 strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line,
		 what);
	if (!far_peer) {
		ck_abort_msg("%s", text);
		abort();
	}
	fprintf(stderr, "far half: %s\n", text);
	far_peer->far = true;
	tell(far_peer, text);
	mx_close_endpoint(far_peer->ep); /* delivers it */
	exit(EXIT_FAILURE);
}

/* ---- one test ------------------------------------------------------------------- */

static void (*find(const char *test))(struct peer *)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct far_half *h = tables[t]; h->test; h++)
			if (!strcmp(h->test, test))
				return h->run;
	return NULL;
}

/* Without a limit: the near half comes when it comes. */
static void wait_start(struct peer *p, char *test, size_t size)
{
	mx_segment_t seg = {test, (uint32_t)size - 1};
	mx_request_t request;
	mx_status_t status;
	uint32_t result = 0;

	T_OK(mx_irecv(p->ep, &seg, 1, CONTROL_START, MX_MATCH_MASK_NONE, NULL,
		      &request));
	while (!result)
		T_OK(mx_wait(p->ep, &request, MX_INFINITE, &status, &result));
	T_EQ(status.code, MX_STATUS_SUCCESS);
	p->to = status.source;
}

static int serve_one(uint32_t id)
{
	struct peer p = {.far = true};
	char test[CONTROL_TEXT] = "";
	void (*run)(struct peer *);
	int status = STATUS_STOP;

	far_peer = &p;
	mx_set_error_handler(MX_ERRORS_RETURN);
	T_OK(mx_init());
	T_OK(mx_open_endpoint(0, id, 0, NULL, 0, &p.ep));
	wait_start(&p, test, sizeof(test));
	if (strcmp(test, CONTROL_STOP) != 0) {
		run = find(test);
		if (!run)
			t_fail(__FILE__, __LINE__, "no far half called %s",
			       test);
		run(&p);
		tell(&p, "");
		status = EXIT_SUCCESS;
	}
	T_OK(mx_close_endpoint(p.ep));
	T_OK(mx_finalize());
	return status;
}

/* MX comes after the fork, so the parent never has it. */
int t_far_main(uint32_t id)
{
	pid_t parent = getpid(), pid;
	int status = 0;

	printf("far half: endpoint %u\n", id);
	fflush(stdout);
	do {
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() == parent)
				exit(serve_one(id));
			exit(EXIT_FAILURE);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid) {
			perror("far half");
			return EXIT_FAILURE;
		}
	} while (!WIFEXITED(status) || WEXITSTATUS(status) != STATUS_STOP);
	return EXIT_SUCCESS;
}
