// SPDX-License-Identifier: BSD-2-Clause
/* witness.c - see witness.h. */
#include "witness.h"

#include <check.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

/* caches of the allocator and of thread stacks, not of clients */
#if !defined(__has_feature)
#define __has_feature(feature) 0 /* gcc says it with macros */
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MAPS_SLACK 1000		 /* each large piece of it is a mapping */
#define RSS_SLACK_KB (128 << 10) /* freed memory is kept to catch its use */
#else
#define MAPS_SLACK 40
#define RSS_SLACK_KB (4 << 10)
#endif

struct t_witness t_witness;

/* Everything once, so that what is made at first use is made. */
static void warm_up(void)
{
	int fd = t_raw_attach(t_witness.daemon.socket, "warm");
	char at[64];

	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(t_raw_open(fd, VMB_ID_ANY, 0, NULL, NULL), 0);
		ck_assert_int_eq(t_raw_register_memfd(fd, 8192, NULL), 0);
		t_raw_register_process(fd, at, sizeof(at), NULL);
	}
	close(fd);
}

void t_witness_is_served(void)
{
	uint64_t key;

	t_raw_endpoint_fence(&t_witness.ep);
	ck_assert_int_eq(t_raw_register_memfd(t_witness.fd, 4096, &key), 0);
	ck_assert_int_eq(t_raw_deregister(t_witness.fd, key), 0);
}

void t_witness_start(void)
{
	t_daemon_start(&t_witness.daemon, NULL);
	t_witness.fd = t_raw_attach(t_witness.daemon.socket, "good");
	t_raw_endpoint_open(t_witness.fd, 1, &t_witness.ep);
	warm_up();
	t_raw_wait_clients(t_witness.daemon.socket, 1);
	/* requests come after the end of what was closed before them */
	for (int i = 0; i < 3; i++)
		t_witness_is_served();
	t_witness.before = t_raw_usage(t_witness.daemon.pid);
}

void t_usage_is_as_before(pid_t pid, const struct t_raw_usage *before)
{
	struct t_raw_usage after;
	uint64_t limit = vmb_now_ns() + 5000000000ull;

	/* clients that left before hello, and threads, end a little later: some
	 * of those before, too */
	do {
		after = t_raw_usage(pid);
	} while ((after.fds > before->fds || after.threads > before->threads) &&
		 vmb_now_ns() < limit);
	ck_assert_uint_le(after.fds, before->fds);
	ck_assert_uint_le(after.threads, before->threads);
	ck_assert_uint_le(after.maps, before->maps + MAPS_SLACK);
	ck_assert_int_le(after.rss_kb, before->rss_kb + RSS_SLACK_KB);
}

void t_witness_stop(void)
{
	t_witness_is_served();
	t_raw_wait_clients(t_witness.daemon.socket, 1);
	t_usage_is_as_before(t_witness.daemon.pid, &t_witness.before);
	t_raw_endpoint_drop(&t_witness.ep);
	close(t_witness.fd);
	t_daemon_stop(&t_witness.daemon);
}

/* A request that would be good if its values were. */
void t_request_fill(union vmb_ctl_any *msg, uint32_t op)
{
	memset(msg, 0, sizeof(*msg));
	msg->head.op = op;
	msg->head.tag = 5;
	msg->head.len = (uint32_t)t_raw_request_len(op);
	if (op == VMB_CTL_HELLO)
		msg->hello.abi_major = VMB_ABI_MAJOR;
	if (op == VMB_CTL_OPEN) {
		msg->open.id = VMB_ID_ANY;
		msg->open.geometry = t_raw_geometry();
	}
	if (op == VMB_CTL_REGISTER) {
		msg->reg.kind = VMB_REGION_MEMFD;
		msg->reg.len = 4096;
	}
}

void *t_endless_memory(int *uffd)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register r = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*uffd = (int)syscall(__NR_userfaultfd, O_CLOEXEC);
	r.range.start = (uintptr_t)at;
	r.range.len = 4096;
	if (*uffd < 0 || ioctl(*uffd, UFFDIO_API, &api) ||
	    ioctl(*uffd, UFFDIO_REGISTER, &r))
		return NULL;
	return at;
}
