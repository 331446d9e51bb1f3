// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_regcache_sequence.c - random changes of memory and random gets, by two
 * threads at once, against a model that only knows when each page last
 * changed: a get must never name a registration that is older than that.
 *
 * Blocks are shared by the threads: a change takes a block alone, gets share
 * it. The kernel gives addresses of one thread's old block to the other, also
 * while the first is still inside munmap(): then the order is open. Where the
 * port registers addresses the answer is not judged, but whatever the cache
 * keeps of it is, later; where it pins pages the answer must be right.
 *
 * VMB_SEED=number repeats a sequence.
 */
#include "test_regcache.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/util.h"

#define THREADS 2u
#define OPS 15000u /* by each thread */
#define BLOCKS 12u
#define BLOCK_PAGES 48u
#define HELD 8u
#define ENTRIES 24u
#define MALLOC_BYTES (256u << 10) /* glibc maps such by itself */

/* A sanitizer's free() unmaps when it likes, so the model cannot know. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MALLOC_IS_MMAP false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MALLOC_IS_MMAP false
#endif
#endif
#ifndef MALLOC_IS_MMAP
#define MALLOC_IS_MMAP true
#endif

/* ---- model: when did each page change last? ----------------------------- */

#define MODEL_SIZE (1u << 18) /* pages ever used, at most half */

struct model_page {
	uintptr_t page;
	uint64_t changed;  /* clock after the change */
	unsigned changing; /* changes under way */
};

static struct model {
	pthread_mutex_t lock;
	struct model_page pages[MODEL_SIZE];
	unsigned used;
	uint64_t forked; /* clock before the last fork that has ended */
} model = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct model_page *model_page(uintptr_t page)
{
	unsigned i = (unsigned)((page / T_PAGE * 0x9e3779b97f4a7c15ull) >> 46);

	while (model.pages[i].page && model.pages[i].page != page)
		i = (i + 1) % MODEL_SIZE;
	if (!model.pages[i].page && ++model.used > MODEL_SIZE / 2)
		abort();
	model.pages[i].page = page;
	return &model.pages[i];
}

#define model_each(page, start, end)                              \
	for (uintptr_t page = (start) & ~(uintptr_t)(T_PAGE - 1); \
	     page < (end); page += T_PAGE)

static uint64_t model_begin(uintptr_t start, uintptr_t end)
{
	uint64_t now;

	pthread_mutex_lock(&model.lock);
	now = fake_clock();
	model_each(page, start, end) model_page(page)->changing++;
	pthread_mutex_unlock(&model.lock);
	return now;
}

/* A page that was mapped anew since `began` is somebody else's already. */
static void model_end(uintptr_t start, uintptr_t end, uint64_t began)
{
	pthread_mutex_lock(&model.lock);
	model_each(page, start, end)
	{
		struct model_page *m = model_page(page);

		m->changing--;
		if (m->changed < began)
			m->changed = fake_clock();
	}
	pthread_mutex_unlock(&model.lock);
}

static void model_mapped(uintptr_t start, uintptr_t end)
{
	pthread_mutex_lock(&model.lock);
	model_each(page, start, end) model_page(page)->changed = fake_clock();
	pthread_mutex_unlock(&model.lock);
}

/* Clock after the last change; *open: one is under way. */
static uint64_t model_query(uintptr_t start, uintptr_t end, bool *open)
{
	uint64_t last;

	pthread_mutex_lock(&model.lock);
	last = model.forked;
	model_each(page, start, end)
	{
		const struct model_page *m = model_page(page);

		last = vmb_max(last, m->changed);
		*open |= m->changing > 0;
	}
	pthread_mutex_unlock(&model.lock);
	return last;
}

/* ---- blocks and threads -------------------------------------------------- */

enum kind {
	KIND_NONE,
	KIND_PRIVATE,
	KIND_SHARED,
	KIND_MALLOC
};

struct block {
	pthread_rwlock_t lock;
	enum kind kind;
	uintptr_t start, end; /* malloc: not page-aligned */
};

static struct run {
	struct t_cache t;
	struct block blocks[BLOCKS];
	pthread_mutex_t lock;
	char failure[256]; /* the first */
	bool failed;
	unsigned open; /* gets whose order is open */
	unsigned judged;
} run;

struct worker {
	pthread_t thread;
	uint64_t random;
	struct vmb_regref held[HELD];
	unsigned judged, open;
};

static uint64_t roll(struct worker *w, uint64_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (w->random >> 11) % below;
}

__attribute__((format(printf, 1, 2))) static void
note_failure(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	pthread_mutex_lock(&run.lock);
	if (!run.failure[0])
		vsnprintf(run.failure, sizeof(run.failure), format, args);
	vmb_publish(&run.failed, true);
	pthread_mutex_unlock(&run.lock);
	va_end(args);
}

/* ---- changes -------------------------------------------------------------- */

static void map_block(struct worker *w, struct block *b)
{
	size_t len = (1 + roll(w, BLOCK_PAGES)) * T_PAGE;
	bool shared = roll(w, 4) == 0;
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED) {
		note_failure("mmap: %s", strerror(errno));
		return;
	}
	b->kind = shared ? KIND_SHARED : KIND_PRIVATE;
	b->start = (uintptr_t)p;
	b->end = b->start + len;
	model_mapped(b->start, b->end);
}

static void malloc_block(struct worker *w, struct block *b)
{
	size_t len = MALLOC_BYTES + roll(w, MALLOC_BYTES);

	b->start = (uintptr_t)malloc(len);
	if (!b->start)
		return;
	b->end = b->start + len;
	b->kind = KIND_MALLOC;
	model_mapped(b->start, b->end);
}

static void unmap(uintptr_t start, uintptr_t end)
{
	uint64_t began = model_begin(start, end);

	munmap((void *)start, end - start);
	model_end(start, end, began);
}

static void free_block(struct block *b)
{
	if (b->kind == KIND_MALLOC) {
		uint64_t began = model_begin(b->start, b->end);

		free((void *)b->start);
		model_end(b->start, b->end, began);
	} else {
		unmap(b->start, b->end);
	}
	b->kind = KIND_NONE;
}

/* Some pages of the block; all when it has only one. */
static void some_pages(struct worker *w, const struct block *b,
		       uintptr_t *start, uintptr_t *end)
{
	uint64_t pages = (b->end - b->start) / T_PAGE;
	uint64_t first = roll(w, pages);

	*start = b->start + first * T_PAGE;
	*end = *start + (1 + roll(w, pages - first)) * T_PAGE;
}

/* Unmaps some pages; the block keeps what lies before, or else behind. */
static void cut_block(struct worker *w, struct block *b)
{
	uintptr_t start, end;

	some_pages(w, b, &start, &end);
	unmap(start, end);
	if (start > b->start) {
		if (end < b->end)
			unmap(end, b->end);
		b->end = start;
	} else if (end < b->end) {
		b->start = end;
	} else {
		b->kind = KIND_NONE;
	}
}

static void resize_block(struct worker *w, struct block *b)
{
	size_t len = b->end - b->start;
	size_t new_len = (1 + roll(w, BLOCK_PAGES)) * T_PAGE;
	uintptr_t old = b->start, start;
	uint64_t began;

	if (b->kind == KIND_SHARED && new_len > len)
		return; /* beyond the end of its file */
	began = model_begin(old, old + len);
	start = (uintptr_t)mremap((void *)old, len, new_len, MREMAP_MAYMOVE);
	if (start == (uintptr_t)MAP_FAILED) {
		/* EFAULT: pages that were replaced are a mapping of their own */
		if (errno != EFAULT)
			note_failure("mremap: %s", strerror(errno));
		start = old;
		new_len = len;
	}
	if (start != old)
		model_mapped(start, start + new_len);
	else if (new_len > len)
		model_mapped(start + len, start + new_len);
	/* where it stayed, the part that it kept did not change */
	pthread_mutex_lock(&model.lock);
	model_each(page, old, old + len)
	{
		struct model_page *m = model_page(page);

		m->changing--;
		if ((start != old || page >= start + new_len) &&
		    m->changed < began)
			m->changed = fake_clock();
	}
	pthread_mutex_unlock(&model.lock);
	b->start = start;
	b->end = start + new_len;
}

static void drop_pages(struct worker *w, struct block *b)
{
	uintptr_t start, end;
	uint64_t began;

	some_pages(w, b, &start, &end);
	began = model_begin(start, end);
	madvise((void *)start, end - start,
		b->kind == KIND_SHARED ? MADV_REMOVE : MADV_DONTNEED);
	model_end(start, end, began);
}

static void replace_pages(struct worker *w, struct block *b)
{
	int kind = b->kind == KIND_SHARED ? MAP_SHARED : MAP_PRIVATE;
	uintptr_t start, end;
	uint64_t began;

	some_pages(w, b, &start, &end);
	began = model_begin(start, end);
	if (mmap((void *)start, end - start, PROT_READ | PROT_WRITE,
		 kind | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		note_failure("mmap fixed: %s", strerror(errno));
	model_end(start, end, began);
}

static void fork_once(void)
{
	static const char byte;
	uint64_t before = fake_clock();
	struct vmb_regref ref;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(vmb_regcache_get(run.t.cache, &byte, 1, &ref) == -EPERM
			      ? 0
			      : 1);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		note_failure("fork: status %d", status);
	pthread_mutex_lock(&model.lock);
	model.forked = vmb_max(model.forked, before);
	pthread_mutex_unlock(&model.lock);
}

static void change(struct worker *w, struct block *b)
{
	if (pthread_rwlock_trywrlock(&b->lock))
		return;
	if (b->kind == KIND_NONE) {
		if (MALLOC_IS_MMAP && roll(w, 4) == 0)
			malloc_block(w, b);
		else
			map_block(w, b);
	} else if (b->kind == KIND_MALLOC || roll(w, 5) == 0) {
		free_block(b);
	} else {
		static void (*const ways[])(struct worker *, struct block *) = {
			cut_block, resize_block, drop_pages, replace_pages};

		ways[roll(w, 4)](w, b);
	}
	pthread_rwlock_unlock(&b->lock);
}

/* ---- gets ------------------------------------------------------------------ */

static void judge(struct worker *w, uintptr_t addr, size_t len,
		  const struct vmb_regref *ref, uint64_t changed, bool open)
{
	struct fake_record r = fake_port_record(&run.t.fake, ref->key);

	if (!r.live)
		note_failure("%#lx+%zu: key %lu is not live", addr, len,
			     ref->key);
	if (addr < r.start || addr + len > r.end ||
	    ref->offset != addr - r.start)
		note_failure("%#lx+%zu: registered is %#lx-%#lx, offset %lu",
			     addr, len, r.start, r.end, ref->offset);
	w->open += open;
	if (open && !run.t.fake.ops.pins)
		return;
	w->judged++;
	if (r.stamp < changed)
		note_failure("%#lx+%zu: registered at %lu, changed at %lu",
			     addr, len, r.stamp, changed);
}

static void put(struct vmb_regref *ref)
{
	if (ref->entry && !fake_port_record(&run.t.fake, ref->key).live)
		note_failure("key %lu ended in use", ref->key);
	vmb_regcache_put(run.t.cache, ref);
}

static void get(struct worker *w, struct block *b)
{
	struct vmb_regref *ref = &w->held[roll(w, HELD)];
	uintptr_t addr, end;
	uint64_t changed;
	bool open = false;
	int err;

	put(ref);
	if (pthread_rwlock_tryrdlock(&b->lock))
		return;
	if (b->kind == KIND_NONE)
		goto unlock;
	addr = b->start;
	end = b->end;
	if (roll(w, 2)) {
		some_pages(w, b, &addr, &end);
		addr += roll(w, T_PAGE);
		end = vmb_min(end, b->end);
	}
	changed = model_query(addr, end, &open);
	err = vmb_regcache_get(run.t.cache, (void *)addr, end - addr, ref);
	if (err)
		note_failure("get: %s", strerror(-err));
	else
		judge(w, addr, end - addr, ref, changed, open);
unlock:
	pthread_rwlock_unlock(&b->lock);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < OPS && !vmb_observe(&run.failed); i++) {
		struct block *b = &run.blocks[roll(w, BLOCKS)];

		if (roll(w, 1000) == 0)
			fork_once();
		else if (roll(w, 5) == 0)
			change(w, b);
		else
			get(w, b);
	}
	for (unsigned i = 0; i < HELD; i++)
		put(&w->held[i]);
	return NULL;
}

static void run_workers(uint64_t seed)
{
	struct worker workers[THREADS] = {0};

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].random = (seed + 1) * (2 * i + 1) * 0x9e3779b9u;
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		run.judged += workers[i].judged;
		run.open += workers[i].open;
	}
}

START_TEST(random_changes_are_never_missed)
{
	const char *given = getenv("VMB_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)_i / 2 + 1;
	struct vmb_regcache_counters counters;

	mallopt(M_MMAP_THRESHOLD, 128 << 10); /* and do not adapt it */
	mallopt(M_MMAP_MAX, 65536);
	pthread_mutex_init(&run.lock, NULL);
	for (unsigned i = 0; i < BLOCKS; i++)
		pthread_rwlock_init(&run.blocks[i].lock, NULL);
	t_open(&run.t, ENTRIES);
	run.t.fake.ops.pins = _i % 2;
	run_workers(seed);
	ck_assert_msg(!run.failure[0], "VMB_SEED=%lu: %s", seed, run.failure);
	counters = t_counters(&run.t);
	/* pinned pages are given up when in doubt: far fewer hits, more so on
	 * a busy machine */
	ck_assert_uint_gt(counters.hits, _i % 2 ? OPS / 100 : OPS / 10);
	ck_assert_uint_gt(counters.invalidated, OPS / 50);
	ck_assert_uint_gt(run.judged, OPS);
	ck_assert(fake_port_wait(&run.t.fake, ENTRIES));
	for (unsigned i = 0; i < BLOCKS; i++)
		if (run.blocks[i].kind != KIND_NONE)
			free_block(&run.blocks[i]);
	if (getenv("VMB_VERBOSE"))
		printf("seed %lu: %lu hits, %lu misses, %lu invalidated, "
		       "%u judged, %u open\n",
		       seed, counters.hits, counters.misses,
		       counters.invalidated, run.judged, run.open);
	t_close(&run.t);
}
END_TEST

TCase *t_sequence(void)
{
	TCase *c = tcase_create("sequence");

	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, random_changes_are_never_missed, 0, 4);
	return c;
}
