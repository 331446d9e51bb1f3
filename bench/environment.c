// SPDX-License-Identifier: BSD-2-Clause
/*
 * environment.c - the machine and the build that a figure was taken on.
 *
 * Flow:  bench_report_open() -> [here] -> every JSON line
 * Owns:  nothing.
 * Trust: the kernel and the build.
 */
#include "environment.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench_commit.h"

static json_t *cpu_model(void)
{
	char line[512];
	json_t *model = NULL;
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && !model && fgets(line, sizeof(line), f)) {
		char *value = strchr(line, ':');

		if (!value || strncmp(line, "model name", 10))
			continue;
		line[strcspn(line, "\n")] = '\0';
		model = json_string(value + 2);
	}
	if (f)
		fclose(f);
	return model ? model : json_null();
}

/* A sanitizer or a missing optimisation makes a figure worthless: say so. */
static const char *build_kind(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return "sanitizer";
#elif defined(__OPTIMIZE__)
	return "optimised";
#else
	return "debug";
#endif
}

json_t *bench_environment(void)
{
	json_t *o = json_object();
	struct utsname name = {0};
	time_t now = time(NULL);
	struct tm utc;
	char text[32];

	uname(&name);
	gmtime_r(&now, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	json_object_set_new(o, "commit", json_string(BENCH_COMMIT));
	json_object_set_new(o, "build", json_string(build_kind()));
	json_object_set_new(o, "host", json_string(name.nodename));
	json_object_set_new(o, "cpu_model", cpu_model());
	json_object_set_new(o, "cpus",
			    json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(o, "kernel", json_string(name.release));
	json_object_set_new(o, "time", json_string(text));
	return o;
}
