/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl.h - $VMBCTL as its users run it, and what it says. What these helpers
 * cannot do ends the test.
 */
#ifndef TESTS_CONFORM_CTL_H
#define TESTS_CONFORM_CTL_H

#include <stdio.h>
#include <sys/types.h>

#include <jansson.h>

#define CTL_OUTPUT_BYTES 65536

struct ctl_result {
	int status; /* exit code */
	char out[CTL_OUTPUT_BYTES], err[4096];
};

extern uid_t ctl_uid; /* as whom it runs, if not 0; the group is the same */

/* args end with NULL. socket NULL: as the environment says. */
pid_t ctl_spawn(const char *socket, const char *const *args, int out, int err);
/* Wait for its end, which is not by a signal. */
int ctl_exit_code(pid_t pid);

/* What was written to a file, as text; closes it. */
void ctl_take_output(FILE *f, char *text, size_t size);

void ctl_run(const char *socket, struct ctl_result *r, const char *const *args);
#define RUN(socket, result, ...) \
	ctl_run(socket, result, (const char *const[]){__VA_ARGS__, NULL})

void ctl_assert_has(const char *text, const char *part);
json_t *ctl_parse(const char *text);
/* A member that must be there, and of that type. */
json_int_t ctl_integer(const json_t *object, const char *key);
const char *ctl_string(const json_t *object, const char *key);

#endif
