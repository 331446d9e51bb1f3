// SPDX-License-Identifier: BSD-2-Clause
/*
 * conform.c - run the suites over one port: conform PORT [SUITE]; or between
 * two processes: conform serve TCP-PORT there, conform PORT@HOST:TCP-PORT here.
 *
 * Flow:  argv -> port -> suites -> libcheck
 * Owns:  nothing.
 * Trust: the command line names a port that exists, or it says which do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform/conform.h"
#include "conform/far.h"

static const struct {
	const char *name;
	Suite *(*make)(void);
	bool between; /* one thread, and messages only: see far.h */
} suites[] = {
	{"library", t_library_suite, false},
	{"endpoint", t_endpoint_suite, false},
	{"connect", t_connect_suite, true},
	{"messages", t_messages_suite, true},
	{"requests", t_requests_suite, true},
	{"unexpected", t_unexpected_suite, true},
	{"wait", t_wait_suite, false},
	{"threads", t_threads_suite, false},
	{"background", t_background_suite, false},
	{"lane", t_lane_suite, true},
	{"memory", t_memory_suite, false},
	{"am", t_am_suite, true},
	{"offer", t_offer_suite, false},
	{"process", t_process_suite, false},
};

static int usage(void)
{
	fprintf(stderr, "usage: conform PORT[@HOST:TCP-PORT] [SUITE]\n"
			"       conform serve TCP-PORT\nPORT is one of:\n");
	t_port_list();
	return 2;
}

/* PORT, or PORT@HOST:TCP-PORT */
static bool take_port(char *arg)
{
	char *where = strchr(arg, '@');

	if (where) {
		*where++ = '\0';
		if (!strchr(where, ':'))
			return false;
		far_where = where;
	}
	t_port = t_port_named(arg);
	return t_port && (!far_where || t_port->processes);
}

int main(int argc, char **argv)
{
	SRunner *runner;
	int failed;

	if (argc == 3 && !strcmp(argv[1], "serve"))
		return far_serve(argv[2]);
	if (argc < 2 || !take_port(argv[1]))
		return usage();
	runner = srunner_create(NULL);
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		if ((argc < 3 || !strcmp(argv[2], suites[i].name)) &&
		    (!far_where || suites[i].between))
			srunner_add_suite(runner, suites[i].make());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
