// SPDX-License-Identifier: BSD-2-Clause
/* blocks.c - see blocks.h. */
#include "port/blocks.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/util.h"
#include "port/shared.h"

/* Of all ports, so that a fork can wait for it. Nothing is locked inside. */
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void fork_prepare(void)
{
	pthread_mutex_lock(&blocks_lock);
}

static void fork_unlock(void)
{
	pthread_mutex_unlock(&blocks_lock);
}

static void watch_forks(void)
{
	pthread_atfork(fork_prepare, fork_unlock, fork_unlock);
}

static struct vmb_block *block_of(struct vmb_list *node)
{
	return vmb_container_of(node, struct vmb_block, node);
}

void vmb_blocks_init(struct vmb_blocks *blocks)
{
	pthread_once(&fork_once, watch_forks);
	vmb_list_init(&blocks->list);
}

static void end_use(struct vmb_block *b)
{
	if (--b->uses)
		return;
	close(b->fd);
	free(b);
}

static void unlist(struct vmb_block *b)
{
	vmb_list_remove(&b->node);
	end_use(b);
}

void vmb_blocks_fini(struct vmb_blocks *blocks)
{
	pthread_mutex_lock(&blocks_lock);
	while (!vmb_list_empty(&blocks->list))
		unlist(block_of(blocks->list.next));
	pthread_mutex_unlock(&blocks_lock);
}

/* Their addresses are another's now. */
static void displace(struct vmb_blocks *blocks, uintptr_t start, size_t len)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, &blocks->list) {
		struct vmb_block *b = block_of(pos);

		if (b->start < start + len && start < b->start + b->len)
			unlist(b);
	}
}

int vmb_blocks_add(struct vmb_blocks *blocks, const void *addr, size_t len,
		   int fd)
{
	struct vmb_block *b = malloc(sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->start = (uintptr_t)addr;
	b->len = len;
	b->fd = fd;
	b->file = vmb_shared_file(fd);
	b->uses = 1;
	pthread_mutex_lock(&blocks_lock);
	displace(blocks, b->start, len);
	vmb_list_append(&blocks->list, &b->node);
	pthread_mutex_unlock(&blocks_lock);
	return 0;
}

/* The lock is held. */
static struct vmb_block *look_up(struct vmb_blocks *blocks, uintptr_t addr,
				 size_t len)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &blocks->list) {
		struct vmb_block *b = block_of(pos);

		if (addr >= b->start && addr - b->start < b->len &&
		    len <= b->len - (addr - b->start))
			return b;
	}
	return NULL;
}

void vmb_blocks_drop(struct vmb_blocks *blocks, const void *addr)
{
	struct vmb_block *b;

	pthread_mutex_lock(&blocks_lock);
	b = look_up(blocks, (uintptr_t)addr, 1);
	if (b && b->start == (uintptr_t)addr)
		unlist(b);
	pthread_mutex_unlock(&blocks_lock);
}

struct vmb_block *vmb_blocks_find(struct vmb_blocks *blocks, const void *addr,
				  size_t len)
{
	struct vmb_block *b;

	pthread_mutex_lock(&blocks_lock);
	b = look_up(blocks, (uintptr_t)addr, len);
	if (b)
		b->uses++;
	pthread_mutex_unlock(&blocks_lock);
	return b;
}

void vmb_blocks_put(struct vmb_block *block)
{
	pthread_mutex_lock(&blocks_lock);
	end_use(block);
	pthread_mutex_unlock(&blocks_lock);
}

void vmb_blocks_describe(struct vmb_blocks *blocks, const void *addr,
			 struct vmb_lane_file *what)
{
	struct vmb_block *b = vmb_blocks_find(blocks, addr, 1);

	*what = (struct vmb_lane_file){0};
	if (!b)
		return;
	*what = (struct vmb_lane_file){
		.start = b->start,
		.file = b->file,
		.fd = (uint32_t)b->fd,
	};
	vmb_blocks_put(b);
}

void vmb_blocks_discard(struct vmb_blocks *blocks, const void *addr, size_t len)
{
	struct vmb_block *b = vmb_blocks_find(blocks, addr, len);

	if (!b)
		return;
	vmb_shared_discard(b->fd, b->file, len);
	vmb_blocks_put(b);
}
