// SPDX-License-Identifier: BSD-2-Clause
/*
 * conform.c - run the suites over one port: conform PORT [SUITE].
 *
 * Flow:  argv -> port -> suites -> libcheck
 * Owns:  nothing.
 * Trust: the command line names a port that exists, or it says which do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform/conform.h"

static const struct {
	const char *name;
	Suite *(*make)(void);
} suites[] = {
	{"library", t_library_suite},
	{"endpoint", t_endpoint_suite},
	{"connect", t_connect_suite},
	{"messages", t_messages_suite},
	{"requests", t_requests_suite},
	{"unexpected", t_unexpected_suite},
	{"wait", t_wait_suite},
	{"threads", t_threads_suite},
	{"background", t_background_suite},
	{"lane", t_lane_suite},
	{"memory", t_memory_suite},
	{"am", t_am_suite},
	{"process", t_process_suite},
};

int main(int argc, char **argv)
{
	SRunner *runner = srunner_create(NULL);
	int failed;

	t_port = argc > 1 ? t_port_named(argv[1]) : NULL;
	if (!t_port) {
		fprintf(stderr, "usage: conform PORT [SUITE], PORT one of:\n");
		t_port_list();
		return 2;
	}
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		if (argc < 3 || !strcmp(argv[2], suites[i].name))
			srunner_add_suite(runner, suites[i].make());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
