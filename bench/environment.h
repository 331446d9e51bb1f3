/* SPDX-License-Identifier: BSD-2-Clause */
/* environment.h - what a figure depends on and must travel with it. */
#ifndef BENCH_ENVIRONMENT_H
#define BENCH_ENVIRONMENT_H

#include <jansson.h>

/* New object: commit, build, host, cpu model, processors, kernel, time. */
json_t *bench_environment(void);

#endif
