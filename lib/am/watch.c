// SPDX-License-Identifier: BSD-2-Clause
/*
 * watch.c - learn from the kernel when memory of this process goes away.
 *
 * Flow:  munmap() and its like -> kernel -> userfaultfd -> watch thread
 *        -> queue of changes -> vmb_watch_take() (regcache)
 * Owns:  the userfaultfd, the watch thread, the queue of changes.
 * Trust: the kernel is believed; a descriptor that the application closed
 *        under us ends the watch, and everything counts as changed.
 *
 * Ranges are registered for write-protect faults, and nothing is ever
 * write-protected, so no page fault is held up: only the events are wanted.
 */
#include "am/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "am/maps.h"
#include "base/barrier.h"
#include "base/futex.h"
#include "base/log.h"
#include "base/util.h"

#define WATCH_EVENTS                                           \
	(UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP | \
	 UFFD_FEATURE_EVENT_REMOVE)
#define WATCH_FEATURES (WATCH_EVENTS | UFFD_FEATURE_PAGEFAULT_FLAG_WP)

#define WATCH_BATCH 16u	 /* events read at once */
#define WATCH_QUEUE 256u /* changes kept for the consumer; power of 2 */

/* `begun`, `finished`, `head`, `lost` and `broken` are written by the watch
 * thread, the rest of the words by the consumer. */
struct vmb_watch {
	uint32_t begun;	   /* reads that were begun */
	uint32_t finished; /* reads whose changes are queued; a futex */
	uint32_t head;
	uint32_t lost;	 /* the queue was full; consumer clears */
	uint32_t broken; /* the descriptor is gone, no further events */
	uint32_t tail;
	uint32_t taken; /* value of `begun` that was taken in full */
	uint32_t stopping;
	struct vmb_watch_change queue[WATCH_QUEUE];

	int fd, maps_fd, stop_fd;
	bool started;
	pthread_t thread;
	void (*notify)(void *arg);
	void *arg;
};

/* ---- watch thread ------------------------------------------------------ */

static void queue_change(struct vmb_watch *w, uint64_t start, uint64_t len)
{
	uint32_t head = w->head;

	if (head - vmb_observe(&w->tail) == WATCH_QUEUE) {
		vmb_publish(&w->lost, 1u);
		return;
	}
	w->queue[head % WATCH_QUEUE] = (struct vmb_watch_change){
		.start = (uintptr_t)start, .end = (uintptr_t)(start + len)};
	vmb_publish(&w->head, head + 1);
}

static void queue_event(struct vmb_watch *w, const struct uffd_msg *m)
{
	switch (m->event) {
	case UFFD_EVENT_UNMAP:
	case UFFD_EVENT_REMOVE:
		queue_change(w, m->arg.remove.start,
			     m->arg.remove.end - m->arg.remove.start);
		break;
	case UFFD_EVENT_REMAP:
		queue_change(w, m->arg.remap.from, m->arg.remap.len);
		queue_change(w, m->arg.remap.to, m->arg.remap.len);
		break;
	}
}

/*
 * The read releases the threads that wait for their munmap() to return, and
 * any of them may then ask the cache. So `begun` is raised before: who sees
 * it differ from `finished` waits for the queue.
 */
static int read_events(struct vmb_watch *w)
{
	struct uffd_msg msgs[WATCH_BATCH];
	uint32_t begun = w->begun + 1;
	int err = 0;
	ssize_t n;

	vmb_publish(&w->begun, begun);
	vmb_arm_fence();
	n = read(w->fd, msgs, sizeof(msgs));
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		err = -errno;
		vmb_publish(&w->broken, 1u);
		vmb_publish(&w->lost, 1u);
	}
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(msgs[0]); i++)
		queue_event(w, &msgs[i]);
	vmb_publish(&w->finished, begun);
	vmb_futex_wake(&w->finished, INT_MAX);
	w->notify(w->arg);
	return err;
}

static void *watch_run(void *arg)
{
	struct vmb_watch *w = arg;
	struct pollfd fds[2] = {{.fd = w->fd, .events = POLLIN},
				{.fd = w->stop_fd, .events = POLLIN}};

	/* acquire: what was done with the descriptor ends before it does */
	while (!vmb_observe(&w->stopping)) {
		if (poll(fds, 2, -1) < 0)
			continue; /* a debugger's signal */
		if (fds[0].revents && read_events(w))
			break;
	}
	/* here and not by who joins us: until it is closed, a thread that
	 * unmaps watched memory waits for a reader. A broken one is not ours
	 * any more. */
	if (!w->broken)
		close(w->fd);
	return NULL;
}

/* ---- opening and closing ----------------------------------------------- */

static int open_userfaultfd(void)
{
	struct uffdio_api api = {.api = UFFD_API, .features = WATCH_FEATURES};
	int flags = O_CLOEXEC | O_NONBLOCK;
	long fd;

	/* faults of the kernel itself are what needs a privilege: do without;
	 * kernels before 5.11 do not know the flag */
	fd = syscall(SYS_userfaultfd, flags | UFFD_USER_MODE_ONLY);
	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_userfaultfd, flags);
	if (fd < 0)
		return -errno;
	if (ioctl((int)fd, UFFDIO_API, &api)) {
		int err = -errno;

		close((int)fd);
		return err;
	}
	return (int)fd;
}

static void close_file(int fd)
{
	if (fd >= 0)
		close(fd);
}

int vmb_watch_open(void (*notify)(void *arg), void *arg,
		   struct vmb_watch **watch)
{
	struct vmb_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->notify = notify;
	w->arg = arg;
	w->fd = open_userfaultfd();
	w->maps_fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0 || w->maps_fd < 0 || w->stop_fd < 0) {
		vmb_info("registrations are not kept: userfaultfd %d, maps %d",
			 w->fd, w->maps_fd);
		vmb_watch_close(w);
		return -EOPNOTSUPP;
	}
	*watch = w;
	return 0;
}

int vmb_watch_start(struct vmb_watch *w)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&w->thread, NULL, watch_run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->started = !err;
	return -err;
}

void vmb_watch_close(struct vmb_watch *w)
{
	if (w->started) {
		vmb_publish(&w->stopping, 1u);
		eventfd_write(w->stop_fd, 1);
		pthread_join(w->thread, NULL);
		w->fd = -1; /* the thread closed it */
	}
	vmb_watch_abandon(w);
}

void vmb_watch_abandon(struct vmb_watch *w)
{
	close_file(w->fd);
	close_file(w->maps_fd);
	close_file(w->stop_fd);
	free(w);
}

/* ---- ranges ------------------------------------------------------------ */

/*
 * Whole mappings are watched, and for good. A watched part would be a mapping
 * of its own, and mremap() over mappings fails: the application would notice
 * us. To end a watch the kernel walks all page tables of the mapping, which
 * costs more than the events that it saves.
 *
 * Shared memory and files are refused: they can be changed through a
 * descriptor or by another process, and no event tells.
 */
int vmb_watch_add(struct vmb_watch *w, uintptr_t start, uintptr_t end)
{
	uintptr_t low = start, high = end;
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_WP};

	if (vmb_observe(&w->broken) ||
	    vmb_maps_private(w->maps_fd, &low, &high) != 1)
		return -EOPNOTSUPP;
	reg.range.start = low;
	reg.range.len = high - low;
	if (ioctl(w->fd, UFFDIO_REGISTER, &reg))
		return -EOPNOTSUPP;
	/* again, for it could change until here; from here on we are told */
	if (vmb_maps_private(w->maps_fd, &start, &end) != 1)
		return -EOPNOTSUPP;
	return 0;
}

/* ---- consumer ---------------------------------------------------------- */

bool vmb_watch_changed(const struct vmb_watch *w)
{
	return vmb_observe(&w->begun) != w->taken;
}

static void wait_for_queue(struct vmb_watch *w, uint32_t begun)
{
	for (;;) {
		uint32_t finished = vmb_observe(&w->finished);

		if ((int32_t)(finished - begun) >= 0)
			return;
		vmb_futex_wait(&w->finished, finished, UINT64_MAX);
	}
}

bool vmb_watch_take(struct vmb_watch *w, struct vmb_watch_change *change)
{
	uint32_t begun = vmb_observe(&w->begun);

	wait_for_queue(w, begun);
	if (vmb_observe(&w->lost)) {
		/* cleared before the caller acts on it: a loss that comes
		 * later is seen later */
		vmb_publish(&w->lost, 0u);
		vmb_publish(&w->tail, vmb_observe(&w->head));
		*change = (struct vmb_watch_change){0, UINTPTR_MAX};
		return true;
	}
	if (w->tail != vmb_observe(&w->head)) {
		*change = w->queue[w->tail % WATCH_QUEUE];
		vmb_publish(&w->tail, w->tail + 1);
		return true;
	}
	w->taken = begun;
	return false;
}

/*
 * A kernel with changes under way answers -EAGAIN before it looks at the
 * range; else it refuses the empty one, whatever is mapped.
 */
bool vmb_watch_changing(const struct vmb_watch *w)
{
	struct uffdio_writeprotect nothing = {.range.len = 0};
	bool settled = ioctl(w->fd, UFFDIO_WRITEPROTECT, &nothing) &&
		       errno == EINVAL && !vmb_observe(&w->broken);

	/* what ended before the look was read before it: pairs with `begun` */
	vmb_arm_fence();
	return !settled;
}
