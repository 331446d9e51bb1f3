// SPDX-License-Identifier: BSD-2-Clause
/*
 * helper.c - see helper.h.
 *
 * Flow:  start() -> waiting -> thread: run() -> done list -> eventfd ->
 *        control thread: done()
 * Owns:  the queue and the threads, which are detached.
 * Trust: run() may never return; nobody waits for it.
 */
#include "helper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"

#define STACK_BYTES (256u << 10)
#define STUCK_NS 2000000000u
#define TICK_MS 20u
#define CLOSE_MS 200 /* for each job that still runs at the end */

struct vmb_helper {
	sd_event_source *source, *tick;
	pthread_attr_t attr;
	struct vmb_list waiting, running; /* control thread */
	unsigned running_count[2];	  /* by kind: endless or not */
	unsigned interrupt_count;	  /* of those that run */
	bool no_thread;			  /* was to be had: try again */

	pthread_mutex_t lock; /* what follows */
	struct vmb_list done;
	int fd;
};

static struct vmb_helper_job *job_of(struct vmb_list *node)
{
	return vmb_container_of(node, struct vmb_helper_job, node);
}

/* Whatever mask the thread that started us has. */
static void hear_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGURG);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *run_job(void *arg)
{
	static const uint64_t one = 1;
	struct vmb_helper_job *job = arg;
	struct vmb_helper *h = job->helper;

	hear_signals();
	job->run(job);
	pthread_mutex_lock(&h->lock);
	job->ended = true;
	vmb_list_append(&h->done, &job->done_node);
	/* cannot block: the counter would have to be full of jobs */
	if (write(h->fd, &one, sizeof(one)) < 0)
		vmb_error("helper: cannot report a finished job: %m");
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ---- signals ------------------------------------------------------------- */

static void on_signal(int number)
{
	(void)number; /* that a wait was interrupted is all */
}

static int take_signal(void)
{
	struct sigaction action = {.sa_handler = on_signal}; /* no restart */

	return sigaction(SIGURG, &action, NULL) ? -errno : 0;
}

/* Those that have run for a while; the first breath is not disturbed. */
static void interrupt(struct vmb_helper *h)
{
	uint64_t before = vmb_now_ns() - TICK_MS * 1000000u;
	struct vmb_helper_job *job;
	struct vmb_list *pos;

	pthread_mutex_lock(&h->lock);
	vmb_list_each (pos, &h->running) {
		job = job_of(pos);
		if (job->interrupt && !job->ended && job->started_ns <= before)
			pthread_kill(job->thread, SIGURG);
	}
	pthread_mutex_unlock(&h->lock);
}

/* ---- who may run ---------------------------------------------------------- */

/* Of this user and kind, in a list. */
static unsigned count(const struct vmb_list *list, uid_t uid, bool endless,
		      uint64_t older_ns)
{
	uint64_t before = vmb_now_ns() - older_ns;
	const struct vmb_helper_job *job;
	struct vmb_list *pos;
	unsigned n = 0;

	vmb_list_each (pos, list) {
		job = job_of(pos);
		n += job->uid == uid && job->endless == endless &&
		     job->started_ns <= before;
	}
	return n;
}

bool vmb_helper_refuses(const struct vmb_helper *h, uid_t uid)
{
	return count(&h->running, uid, true, STUCK_NS) >= HELPERS_PER_USER ||
	       count(&h->running, uid, false, STUCK_NS) >= HELPERS_PER_USER ||
	       count(&h->waiting, uid, true, 0) >= HELPERS_QUEUED_ENDLESS ||
	       count(&h->waiting, uid, false, 0) >= HELPERS_QUEUED_SHORT;
}

static void want_tick(struct vmb_helper *h)
{
	int enabled = SD_EVENT_OFF;

	if (!h->tick) /* vmb_helper_close() keeps time itself */
		return;
	sd_event_source_get_enabled(h->tick, &enabled);
	if (enabled != SD_EVENT_OFF)
		return;
	sd_event_source_set_time_relative(h->tick, TICK_MS * 1000u);
	sd_event_source_set_enabled(h->tick, SD_EVENT_ONESHOT);
}

static void launch(struct vmb_helper *h, struct vmb_helper_job *job)
{
	unsigned *running = &h->running_count[job->endless];

	if (*running >= HELPERS_MAX ||
	    count(&h->running, job->uid, job->endless, 0) >= HELPERS_PER_USER)
		return;
	job->started_ns = vmb_now_ns();
	if (pthread_create(&job->thread, &h->attr, run_job, job))
		h->no_thread = true;
	if (h->no_thread || job->interrupt)
		want_tick(h);
	if (h->no_thread)
		return;
	vmb_list_remove(&job->node);
	vmb_list_append(&h->running, &job->node);
	++*running;
	h->interrupt_count += job->interrupt;
}

static void launch_waiting(struct vmb_helper *h)
{
	struct vmb_list *pos, *tmp;

	h->no_thread = false;
	vmb_list_each_safe (pos, tmp, &h->waiting) {
		launch(h, job_of(pos));
		if (h->no_thread)
			break;
	}
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
	struct vmb_helper *h = arg;

	(void)source;
	(void)usec;
	interrupt(h);
	if (h->no_thread)
		launch_waiting(h);
	if (h->interrupt_count || h->no_thread)
		want_tick(h);
	return 0;
}

void vmb_helper_start(struct vmb_helper *h, struct vmb_helper_job *job)
{
	job->helper = h;
	job->ended = false;
	job->started_ns = 0;
	vmb_list_append(&h->waiting, &job->node);
	vmb_list_init(&job->done_node);
	if (!h->no_thread) /* else it is the turn of those before it */
		launch(h, job);
}

/* ---- the end of a job ------------------------------------------------------ */

static struct vmb_helper_job *take_done(struct vmb_helper *h)
{
	struct vmb_helper_job *job = NULL;

	pthread_mutex_lock(&h->lock);
	if (!vmb_list_empty(&h->done)) {
		job = vmb_list_first(&h->done, struct vmb_helper_job,
				     done_node);
		vmb_list_remove(&job->done_node);
	}
	pthread_mutex_unlock(&h->lock);
	return job;
}

static void end_done(struct vmb_helper *h)
{
	struct vmb_helper_job *job;

	while ((job = take_done(h))) {
		vmb_list_remove(&job->node);
		h->running_count[job->endless]--;
		h->interrupt_count -= job->interrupt;
		job->done(job);
	}
}

static int on_done(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct vmb_helper *h = arg;
	uint64_t count;

	(void)source;
	(void)revents;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return -errno;
	end_done(h);
	launch_waiting(h);
	return 0;
}

int vmb_helper_open(sd_event *event, struct vmb_helper **helper)
{
	struct vmb_helper *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	vmb_list_init(&h->waiting);
	vmb_list_init(&h->running);
	vmb_list_init(&h->done);
	pthread_mutex_init(&h->lock, NULL);
	pthread_attr_init(&h->attr);
	pthread_attr_setdetachstate(&h->attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&h->attr, STACK_BYTES);
	err = take_signal();
	if (err)
		goto err_free;
	h->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->fd < 0) {
		err = -errno;
		goto err_free;
	}
	err = sd_event_add_io(event, &h->source, h->fd, EPOLLIN, on_done, h);
	if (err < 0)
		goto err_close;
	err = sd_event_add_time(event, &h->tick, CLOCK_MONOTONIC, 0, 0, on_tick,
				h);
	if (err < 0)
		goto err_unref_source;
	sd_event_source_set_enabled(h->tick, SD_EVENT_OFF);
	*helper = h;
	return 0;

err_unref_source:
	sd_event_source_disable_unref(h->source);
err_close:
	close(h->fd);
err_free:
	free(h);
	return err;
}

/* Those that wait for a place: the endless ones never run. */
static void cancel_waiting(struct vmb_helper *h)
{
	struct vmb_helper_job *job;
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, &h->waiting) {
		job = job_of(pos);
		if (!job->endless)
			continue;
		vmb_list_remove(pos);
		job->done(job);
	}
}

/* Until nothing runs, or nothing has ended for CLOSE_MS. */
static void await_running(struct vmb_helper *h)
{
	struct pollfd p = {.fd = h->fd, .events = POLLIN};
	unsigned silent_ms = 0;
	uint64_t count;

	while (!(vmb_list_empty(&h->running) && vmb_list_empty(&h->waiting)) &&
	       silent_ms < CLOSE_MS) {
		launch_waiting(h);
		if (poll(&p, 1, TICK_MS) > 0 &&
		    read(h->fd, &count, sizeof(count)) > 0)
			silent_ms = 0;
		else
			silent_ms += TICK_MS;
		interrupt(h);
		end_done(h);
	}
}

void vmb_helper_close(struct vmb_helper *h)
{
	if (!h)
		return;
	h->source = sd_event_source_disable_unref(h->source);
	h->tick = sd_event_source_disable_unref(h->tick);
	end_done(h);
	cancel_waiting(h);
	await_running(h);
	if (!vmb_list_empty(&h->running)) /* a stuck thread: left to the exit */
		return;
	close(h->fd);
	pthread_attr_destroy(&h->attr);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
