// SPDX-License-Identifier: BSD-2-Clause
/*
 * stress.c - message counts and the watchdog of the stress programs.
 *
 * Flow:  test -> stress_watch() -> thread: look once a second
 * Owns:  the watchdog thread and how it is told to end.
 * Trust: see stress.h.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/barrier.h"
#include "stress/stress.h"

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;
	const uint32_t *progress;
	void (*dump)(void);
} watch = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

uint32_t stress_messages(void)
{
	const char *mode = getenv("VMB_STRESS");

	if (!mode || !*mode)
		return 1000000;
	if (!strcmp(mode, "nightly"))
		return 100000000;
	fprintf(stderr, "VMB_STRESS: \"%s\" is not \"nightly\"\n", mode);
	exit(2);
}

/* One second, or until stress_unwatch(). True: go on. */
static bool watch_second(void)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	pthread_mutex_lock(&watch.lock);
	while (!watch.stop &&
	       pthread_cond_timedwait(&watch.changed, &watch.lock, &until) !=
		       ETIMEDOUT)
		;
	go_on = !watch.stop;
	pthread_mutex_unlock(&watch.lock);
	return go_on;
}

static void *watch_run(void *unused)
{
	uint32_t last = vmb_load_relaxed(watch.progress);
	unsigned still = 0;

	(void)unused;
	while (watch_second()) {
		uint32_t now = vmb_load_relaxed(watch.progress);

		still = now == last ? still + 1 : 0;
		last = now;
		if (still < STRESS_HANG_S)
			continue;
		fprintf(stderr, "no progress for %u seconds\n", still);
		watch.dump();
		abort();
	}
	return NULL;
}

void stress_watch(const uint32_t *progress, void (*dump)(void))
{
	watch.progress = progress;
	watch.dump = dump;
	watch.stop = false;
	if (pthread_create(&watch.thread, NULL, watch_run, NULL))
		abort();
}

void stress_unwatch(void)
{
	pthread_mutex_lock(&watch.lock);
	watch.stop = true;
	pthread_cond_signal(&watch.changed);
	pthread_mutex_unlock(&watch.lock);
	pthread_join(watch.thread, NULL);
}
