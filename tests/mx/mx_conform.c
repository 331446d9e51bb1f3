// SPDX-License-Identifier: BSD-2-Clause
/*
 * mx_conform.c - does libmyriexpress do what programs written to MX rely on?
 *
 * Flow:  mx_conform far ID | near NAME/ID [SUITE] -> suites -> libcheck
 * Owns:  nothing.
 * Trust: the command line is checked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "mxtest.h"

static const struct {
	const char *name;
	Suite *(*make)(void);
} suites[] = {
	{"checklist", t_checklist_suite}, {"codes", t_codes_suite},
	{"argument", t_argument_suite},	  {"status", t_status_suite},
	{"error", t_error_suite},	  {"message", t_message_suite},
	{"request", t_request_suite},	  {"handler", t_handler_suite},
	{"peer", t_peer_suite},		  {"thread", t_thread_suite},
};

#define SUITES (sizeof(suites) / sizeof(suites[0]))

static int usage(void)
{
	fprintf(stderr, "usage: mx_conform far ID\n"
			"       mx_conform near NAME/ID [SUITE | stop]\n"
			"suites:");
	for (size_t i = 0; i < SUITES; i++)
		fprintf(stderr, " %s", suites[i].name);
	fprintf(stderr, "\n");
	return 2;
}

static bool parse_id(const char *text, uint32_t *id)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	*id = (uint32_t)value;
	return *text >= '0' && *text <= '9' && !*end && value <= 65535;
}

static bool parse_far(char *text)
{
	char *slash = strrchr(text, '/');

	if (!slash || slash == text)
		return false;
	*slash = 0;
	t_far_name = text;
	return parse_id(slash + 1, &t_far_id);
}

static int run(const char *suite)
{
	SRunner *runner = srunner_create(NULL);
	unsigned found = 0;
	int failed;

	for (size_t i = 0; i < SUITES; i++) {
		if (suite && strcmp(suite, suites[i].name))
			continue;
		srunner_add_suite(runner, suites[i].make());
		found++;
	}
	if (found)
		srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (!found)
		return usage();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* End the far side. */
static int stop(void)
{
	struct peer p = t_begin(CONTROL_STOP);

	t_end_silent(&p);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	uint32_t id;

	if (argc == 3 && !strcmp(argv[1], "far") && parse_id(argv[2], &id))
		return t_far_main(id);
	if (argc < 3 || argc > 4 || strcmp(argv[1], "near") ||
	    !parse_far(argv[2]))
		return usage();
	if (argc == 4 && !strcmp(argv[3], "stop"))
		return stop();
	return run(argc == 4 ? argv[3] : NULL);
}
