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
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"

#define STACK_BYTES (256u << 10)
#define STUCK_NS 2000000000u
#define CLOSE_MS 200 /* for each job that still runs at the end */

struct vmb_helper {
	sd_event_source *source;
	pthread_attr_t attr;
	struct vmb_list waiting, running; /* control thread */
	unsigned running_count;

	pthread_mutex_t lock; /* what follows */
	struct vmb_list done;
	int fd;
};

static struct vmb_helper_job *job_of(struct vmb_list *node)
{
	return vmb_container_of(node, struct vmb_helper_job, node);
}

static void *run_job(void *arg)
{
	static const uint64_t one = 1;
	struct vmb_helper_job *job = arg;
	struct vmb_helper *h = job->helper;

	job->run(job);
	pthread_mutex_lock(&h->lock);
	vmb_list_append(&h->done, &job->done_node);
	/* cannot block: the counter would have to be full of jobs */
	if (write(h->fd, &one, sizeof(one)) < 0)
		vmb_error("helper: cannot report a finished job: %m");
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static unsigned running_of(const struct vmb_helper *h, uid_t uid,
			   uint64_t older_ns)
{
	uint64_t now = vmb_now_ns();
	struct vmb_helper_job *job;
	struct vmb_list *pos;
	unsigned n = 0;

	vmb_list_each (pos, &h->running) {
		job = job_of(pos);
		if (job->uid == uid && now - job->started_ns >= older_ns)
			n++;
	}
	return n;
}

bool vmb_helper_is_stuck(const struct vmb_helper *h, uid_t uid)
{
	return running_of(h, uid, STUCK_NS) >= HELPERS_PER_USER;
}

static bool launch(struct vmb_helper *h, struct vmb_helper_job *job)
{
	pthread_t thread;

	if (h->running_count >= HELPERS_MAX ||
	    running_of(h, job->uid, 0) >= HELPERS_PER_USER)
		return false;
	job->started_ns = vmb_now_ns();
	if (pthread_create(&thread, &h->attr, run_job, job))
		return false; /* tried again when another job ends */
	vmb_list_remove(&job->node);
	vmb_list_append(&h->running, &job->node);
	h->running_count++;
	return true;
}

static void launch_waiting(struct vmb_helper *h)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, &h->waiting)
		launch(h, job_of(pos));
}

void vmb_helper_start(struct vmb_helper *h, struct vmb_helper_job *job)
{
	job->helper = h;
	vmb_list_append(&h->waiting, &job->node);
	vmb_list_init(&job->done_node);
	launch(h, job);
}

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
		h->running_count--;
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
	h->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->fd < 0) {
		err = -errno;
		goto err_free;
	}
	err = sd_event_add_io(event, &h->source, h->fd, EPOLLIN, on_done, h);
	if (err < 0)
		goto err_close;
	*helper = h;
	return 0;

err_close:
	close(h->fd);
err_free:
	free(h);
	return err;
}

/* Jobs that are not stuck end in a moment. */
static void await_running(struct vmb_helper *h)
{
	struct pollfd p = {.fd = h->fd, .events = POLLIN};
	uint64_t count;

	while (h->running_count && poll(&p, 1, CLOSE_MS) > 0 &&
	       read(h->fd, &count, sizeof(count)) > 0)
		end_done(h);
}

void vmb_helper_close(struct vmb_helper *h)
{
	struct vmb_list *pos, *tmp;

	if (!h)
		return;
	sd_event_source_disable_unref(h->source);
	end_done(h);
	vmb_list_each_safe (pos, tmp, &h->waiting) {
		vmb_list_remove(pos);
		job_of(pos)->done(job_of(pos));
	}
	await_running(h);
	if (h->running_count) /* a stuck thread has it: left to the exit */
		return;
	close(h->fd);
	pthread_attr_destroy(&h->attr);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
