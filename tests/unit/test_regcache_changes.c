// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_regcache_changes.c - memory that changes under a kept registration, in
 * each of the ways that the system offers, and at the worst moment.
 */
#include "test_regcache.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/barrier.h"

#define PAGES 8u
#define BYTES (PAGES * T_PAGE)

static void *map_over(void *p, size_t pages)
{
	return mmap(p, pages * T_PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* Each changes some of [p, p + BYTES) and leaves all of it mapped. */
static void unmap_all(char *p)
{
	munmap(p, BYTES);
	map_over(p, PAGES);
}

static void unmap_first(char *p)
{
	munmap(p, T_PAGE);
	map_over(p, 1);
}

static void unmap_last(char *p)
{
	munmap(p + BYTES - T_PAGE, T_PAGE);
	map_over(p + BYTES - T_PAGE, 1);
}

static void unmap_around(char *p)
{
	munmap(p - T_PAGE, BYTES + 2 * T_PAGE);
	map_over(p - T_PAGE, PAGES + 2);
}

static void replace_middle(char *p)
{
	map_over(p + 2 * T_PAGE, 2);
}

static void replace_by_file(char *p)
{
	int fd = memfd_create("t", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, T_PAGE), 0);
	ck_assert_ptr_ne(mmap(p + T_PAGE, T_PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_FIXED, fd, 0),
			 MAP_FAILED);
	close(fd);
}

static void move_away(char *p)
{
	char *to = t_map(PAGES);

	ck_assert_ptr_eq(
		mremap(p, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	map_over(p, PAGES);
}

static void move_here(char *p)
{
	char *from = t_map(PAGES);

	ck_assert_ptr_eq(mremap(from, BYTES, BYTES,
				MREMAP_MAYMOVE | MREMAP_FIXED, p),
			 p);
}

static void shrink(char *p)
{
	ck_assert_ptr_eq(mremap(p, BYTES, T_PAGE, 0), p);
	map_over(p + T_PAGE, PAGES - 1);
}

static void drop_pages(char *p)
{
	madvise(p + T_PAGE, T_PAGE, MADV_DONTNEED);
}

static void free_pages(char *p)
{
	madvise(p + T_PAGE, T_PAGE, MADV_FREE);
}

static void fork_child(char *p)
{
	pid_t pid = fork();

	(void)p;
	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static const struct {
	const char *what;
	void (*change)(char *p);
} changes[] = {
	{"munmap of all", unmap_all},
	{"munmap of the first page", unmap_first},
	{"munmap of the last page", unmap_last},
	{"munmap of more", unmap_around},
	{"MAP_FIXED over the middle", replace_middle},
	{"MAP_FIXED of a file", replace_by_file},
	{"mremap away", move_away},
	{"mremap to here", move_here},
	{"mremap to less", shrink},
	{"MADV_DONTNEED", drop_pages},
	{"MADV_FREE", free_pages},
	{"fork", fork_child},
};
#define CHANGES ((int)(sizeof(changes) / sizeof(changes[0])))

START_TEST(changed_memory_is_registered_anew)
{
	char *p = (char *)t_map(PAGES + 4) + 2 * T_PAGE;
	uint64_t key, before;
	struct t_cache t;

	t_open(&t, 8);
	key = t_touch(&t, p, BYTES);
	changes[_i].change(p);
	before = fake_clock();
	ck_assert_msg(t_touch(&t, p, BYTES) != key, "after %s",
		      changes[_i].what);
	ck_assert_uint_gt(fake_port_record(&t.fake, t.fake.count).stamp,
			  before);
	t_close(&t);
}
END_TEST

/* The page is held until then, so it must not wait for the next call. */
START_TEST(changed_memory_is_deregistered_without_a_call)
{
	char *p = (char *)t_map(PAGES + 4) + 2 * T_PAGE;
	struct t_cache t;

	t_open(&t, 8);
	t_touch(&t, p, BYTES);
	changes[_i].change(p);
	ck_assert_msg(fake_port_wait(&t.fake, 0), "after %s", changes[_i].what);
	t_close(&t);
}
END_TEST

START_TEST(memory_in_use_that_changes_lives_until_its_put)
{
	char *p = (char *)t_map(PAGES + 4) + 2 * T_PAGE;
	struct vmb_regref ref, later;
	struct t_cache t;

	t_open(&t, 8);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, BYTES, &ref), 0);
	changes[_i].change(p);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, BYTES, &later), 0);
	ck_assert_uint_ne(later.key, ref.key);
	ck_assert(fake_port_record(&t.fake, ref.key).live);
	vmb_regcache_put(t.cache, &ref);
	vmb_regcache_put(t.cache, &later);
	ck_assert_uint_le(fake_port_live(&t.fake), 1);
	t_close(&t);
}
END_TEST

/*
 * Memory that has grown in place, its first half under the key. What is freed
 * behind it for that, another thread of the process (the watcher, a sanitizer)
 * may be given first: then it is tried elsewhere.
 */
static char *grown(struct t_cache *t, uint64_t *key)
{
	for (int i = 0; i < 20; i++) {
		char *p = t_map(2 * PAGES);

		*key = t_touch(t, p, BYTES);
		munmap(p + BYTES, BYTES);
		if (mremap(p, BYTES, 2 * BYTES, 0) == p)
			return p;
		munmap(p, BYTES);
	}
	ck_abort_msg("no memory grows in place");
	return NULL;
}

START_TEST(memory_that_grows_in_place_stays_kept)
{
	struct t_cache t;
	uint64_t key;
	char *p;

	t_open(&t, 8);
	p = grown(&t, &key);
	ck_assert_uint_eq(t_touch(&t, p, BYTES), key);
	ck_assert_uint_ne(t_touch(&t, p, 2 * BYTES), key);
	t_close(&t);
}
END_TEST

/* mremap() refuses what lies in two mappings: a get must not make two. */
START_TEST(part_that_is_kept_does_not_split_the_mapping)
{
	char *p = t_map(PAGES), *to = t_map(PAGES + 1);
	struct t_cache t;

	t_open(&t, 8);
	t_touch(&t, p + 2 * T_PAGE, T_PAGE);
	ck_assert_ptr_eq(mremap(p, BYTES, BYTES + T_PAGE,
				MREMAP_MAYMOVE | MREMAP_FIXED, to),
			 to);
	t_close(&t);
}
END_TEST

START_TEST(heap_that_shrinks_is_seen)
{
	struct t_cache t;
	char *p;

	t_open(&t, 8);
	t_touch(&t, t_map(1), 1); /* malloc has what it needs */
	p = sbrk(0);
	p += T_PAGE - (uintptr_t)p % T_PAGE;
	ck_assert_int_eq(brk(p + BYTES), 0);
	t_touch(&t, p, BYTES);
	ck_assert_int_eq(brk(p + T_PAGE), 0);
	ck_assert(fake_port_wait(&t.fake, 1));
	t_close(&t);
}
END_TEST

/* A hole punched through the descriptor, or by another process, is told to
 * nobody: so such memory is not kept at all. */
START_TEST(shared_memory_is_registered_each_time)
{
	int fd = memfd_create("t", MFD_CLOEXEC);
	char *file, *both, *zero;
	struct t_cache t;

	ck_assert_int_eq(ftruncate(fd, BYTES), 0);
	file = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	zero = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	both = t_map(PAGES);
	ck_assert_ptr_ne(mmap(both + T_PAGE, T_PAGE, PROT_READ,
			      MAP_PRIVATE | MAP_FIXED, fd, 0),
			 MAP_FAILED);
	t_open(&t, 8);
	ck_assert_uint_ne(t_touch(&t, file, 1), t_touch(&t, file, 1));
	ck_assert_uint_ne(t_touch(&t, zero, 1), t_touch(&t, zero, 1));
	ck_assert_uint_ne(t_touch(&t, both, BYTES), t_touch(&t, both, BYTES));
	ck_assert_uint_eq(fake_port_live(&t.fake), 0);
	ck_assert_uint_eq(t_counters(&t).hits, 0);
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, T_PAGE);
	madvise(zero, T_PAGE, MADV_REMOVE);
	close(fd);
	t_close(&t);
}
END_TEST

/* A refused neighbour must not take the watch away from a kept entry. */
START_TEST(refused_get_leaves_its_neighbour_watched)
{
	char *p = t_map(PAGES);
	struct t_cache t;
	uint64_t key;

	t_open(&t, 8);
	ck_assert_ptr_ne(mmap(p + 4 * T_PAGE, T_PAGE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 MAP_FAILED);
	key = t_touch(&t, p, 4 * T_PAGE);
	t_touch(&t, p + 2 * T_PAGE, 3 * T_PAGE);
	ck_assert_uint_eq(t_touch(&t, p, 4 * T_PAGE), key);
	map_over(p + 3 * T_PAGE, 1);
	ck_assert_uint_ne(t_touch(&t, p, 4 * T_PAGE), key);
	t_close(&t);
}
END_TEST

/* ---- fork -------------------------------------------------------------- */

static int child_of_cache(struct t_cache *t, char *p, struct vmb_regref *ref)
{
	struct vmb_regref mine;
	void *own;

	if (vmb_regcache_get(t->cache, p, BYTES, &mine) != -EPERM ||
	    vmb_regcache_alloc(t->cache, 1, &own) != -EPERM ||
	    vmb_regcache_free(t->cache, p) != -EPERM)
		return 1;
	vmb_regcache_put(t->cache, ref);
	vmb_regcache_invalidate(t->cache, NULL, SIZE_MAX);
	munmap(p, BYTES); /* nobody waits for a reader here */
	vmb_regcache_close(t->cache);
	return t->fake.live == 2 ? 0 : 2; /* nothing was ended */
}

START_TEST(child_may_not_use_the_cache_nor_end_it)
{
	char *p = t_map(PAGES);
	struct vmb_regref ref;
	struct t_cache t;
	int status;
	void *own;
	pid_t pid;

	t_open(&t, 8);
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, 1, &own), 0);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, BYTES, &ref), 0);
	pid = fork();
	if (pid == 0)
		_exit(child_of_cache(&t, p, &ref));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	vmb_regcache_put(t.cache, &ref);
	t_close(&t);
}
END_TEST

/* A child that lives on holds no descriptor through which the parent's
 * memory would stay watched, with nobody left to read. */
START_TEST(parent_unmaps_freely_beside_a_living_child)
{
	char *p = t_map(PAGES), *q = t_map(PAGES);
	struct t_cache t;
	int go[2];
	pid_t pid;

	t_open(&t, 8);
	t_touch(&t, p, BYTES);
	ck_assert_int_eq(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		char byte;

		close(go[1]);
		_exit(read(go[0], &byte, 1) ? 1 : 0);
	}
	t_touch(&t, q, BYTES);
	t_close(&t);
	munmap(p, BYTES);
	munmap(q, BYTES);
	close(go[1]);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

/* ---- the worst moment -------------------------------------------------- */

static char *other_memory;

static void unmap_other(struct fake_port *f)
{
	if (other_memory)
		munmap(other_memory, BYTES);
	other_memory = NULL;
	(void)f;
}

/* free() in the port may give memory back that is watched. */
START_TEST(port_may_unmap_watched_memory)
{
	char *p = t_map(PAGES);
	struct t_cache t;

	t_open(&t, 8);
	t.fake.deregistering = unmap_other;
	other_memory = t_map(PAGES);
	t_touch(&t, other_memory, BYTES);
	t_touch(&t, p, BYTES);
	munmap(p, BYTES);
	ck_assert(fake_port_wait(&t.fake, 0));
	t_close(&t);
}
END_TEST

static void replace_other(struct fake_port *f)
{
	map_over(other_memory, PAGES);
	f->registered = NULL;
}

/* Between the port's registration and the table. */
START_TEST(memory_that_changes_during_its_get_is_not_kept)
{
	struct vmb_regref ref;
	struct t_cache t;

	t_open(&t, 8);
	other_memory = t_map(PAGES);
	t.fake.registered = replace_other;
	ck_assert_int_eq(vmb_regcache_get(t.cache, other_memory, BYTES, &ref),
			 0);
	ck_assert_uint_ne(t_touch(&t, other_memory, BYTES), ref.key);
	vmb_regcache_put(t.cache, &ref);
	ck_assert_uint_eq(fake_port_live(&t.fake), 1);
	t_close(&t);
}
END_TEST

static unsigned handled;

static void unmap_in_handler(int number)
{
	int before = errno;

	(void)number;
	madvise(other_memory, T_PAGE, MADV_DONTNEED);
	vmb_publish(&handled, handled + 1);
	errno = before;
}

static void *send_signals(void *target)
{
	for (int i = 0; i < 300; i++) {
		unsigned seen = vmb_observe(&handled);

		pthread_kill(*(pthread_t *)target, SIGUSR1);
		while (vmb_observe(&handled) == seen)
			sched_yield();
	}
	return NULL;
}

/* The handler interrupts the cache anywhere, with its lock held too. */
START_TEST(signal_handler_may_change_watched_memory)
{
	pthread_t self = pthread_self(), sender;
	struct t_cache t;

	signal(SIGUSR1, unmap_in_handler);
	t_open(&t, 8);
	other_memory = t_map(PAGES);
	t_touch(&t, other_memory, BYTES);
	pthread_create(&sender, NULL, send_signals, &self);
	while (vmb_observe(&handled) < 300)
		t_touch(&t, other_memory, BYTES);
	pthread_join(sender, NULL);
	ck_assert_uint_gt(t_counters(&t).invalidated, 0);
	t_close(&t);
}
END_TEST

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static unsigned at_gate;

static void wait_at_gate(struct fake_port *f)
{
	(void)f;
	vmb_publish(&at_gate, 1u);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

/*
 * Nobody takes changes while the sweeper stands at the gate, and it stands
 * there before the many come: else it might take them as fast as they do.
 */
START_TEST(more_changes_than_fit_forget_everything)
{
	enum {
		COUNT = 600
	};
	char *p = t_map(2 * COUNT), *kept = t_map(1);
	struct t_cache t;
	unsigned missed;

	t_open(&t, COUNT + 10);
	t.fake.deregistering = wait_at_gate;
	for (int i = 0; i < COUNT; i++)
		t_touch(&t, p + 2 * i * T_PAGE, 1);
	t_touch(&t, kept, 1);
	pthread_mutex_lock(&gate);
	munmap(p, T_PAGE);
	while (!vmb_observe(&at_gate))
		sched_yield();
	for (int i = 1; i < COUNT; i++)
		munmap(p + 2 * i * T_PAGE, T_PAGE);
	pthread_mutex_unlock(&gate);
	missed = t_counters(&t).misses;
	for (int i = 0; i < COUNT; i++) {
		map_over(p + 2 * i * T_PAGE, 1);
		t_touch(&t, p + 2 * i * T_PAGE, 1);
	}
	ck_assert_uint_eq(t_counters(&t).misses, missed + COUNT);
	ck_assert_uint_eq(t_counters(&t).invalidated, COUNT + 1);
	t_close(&t);
}
END_TEST

/* A program that closes every descriptor it does not know. */
START_TEST(closed_descriptor_ends_keeping_not_the_process)
{
	char *p = t_map(PAGES), link[64], path[64];
	struct t_cache t;
	ssize_t n;

	t_open(&t, 8);
	t_touch(&t, p, BYTES);
	for (int fd = 3; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, link, sizeof(link) - 1);
		if (n > 0 && (link[n] = '\0', strstr(link, "userfaultfd")))
			close(fd);
	}
	unmap_all(p);
	ck_assert(fake_port_wait(&t.fake, 0));
	ck_assert_uint_ne(t_touch(&t, p, BYTES), t_touch(&t, p, BYTES));
	ck_assert_uint_eq(fake_port_live(&t.fake), 0);
	t_close(&t);
}
END_TEST

TCase *t_changes(void)
{
	TCase *c = tcase_create("changes");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, changed_memory_is_registered_anew, 0, CHANGES);
	tcase_add_loop_test(c, changed_memory_is_deregistered_without_a_call, 0,
			    CHANGES);
	tcase_add_loop_test(c, memory_in_use_that_changes_lives_until_its_put,
			    0, CHANGES);
	tcase_add_test(c, memory_that_grows_in_place_stays_kept);
	tcase_add_test(c, part_that_is_kept_does_not_split_the_mapping);
	tcase_add_test(c, heap_that_shrinks_is_seen);
	tcase_add_test(c, shared_memory_is_registered_each_time);
	tcase_add_test(c, refused_get_leaves_its_neighbour_watched);
	tcase_add_test(c, child_may_not_use_the_cache_nor_end_it);
	tcase_add_test(c, parent_unmaps_freely_beside_a_living_child);
	tcase_add_test(c, port_may_unmap_watched_memory);
	tcase_add_test(c, memory_that_changes_during_its_get_is_not_kept);
	tcase_add_test(c, signal_handler_may_change_watched_memory);
	tcase_add_test(c, more_changes_than_fit_forget_everything);
	tcase_add_test(c, closed_descriptor_ends_keeping_not_the_process);
	return c;
}
