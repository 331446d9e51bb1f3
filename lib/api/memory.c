// SPDX-License-Identifier: BSD-2-Clause
/*
 * memory.c - memory of the engine's kind, and memory that peers may reach.
 *
 * Flow:  vmb_alloc() -> registration cache -> port mem_alloc()
 *        vmb_register() -> port mem_register() -> key for the peers
 * Owns:  the registrations behind struct vmb_mem, the list of blocks.
 * Trust: addresses, lengths and handles are input.
 *
 * Peers are told a key of its own for each registration, so that its access
 * rights and its end are exact. Our own side of a transfer goes through the
 * block's key when the memory came from vmb_alloc(): no copy by the kernel.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/api.h"

_Static_assert(VMB_REMOTE_READ == VMB_ACCESS_REMOTE_READ, "public and wire");
_Static_assert(VMB_REMOTE_WRITE == VMB_ACCESS_REMOTE_WRITE, "public and wire");

/* What vmb_alloc() gave. */
struct block {
	struct vmb_list node;
	char *start;
	size_t len;
};

enum memory_state {
	MEMORY_FREE,
	MEMORY_REGISTERED,
	MEMORY_ENDING,
};

struct vmb_mem {
	struct vmb_entry entry;
	uint32_t state; /* enum memory_state, changed by compare-and-swap */
	bool own_key;	/* key is ours to deregister */
	uint64_t key;	/* what peers are told */
	uint64_t len;
	uint64_t local_key, local_offset; /* our side of a transfer */
	struct vmb_regref ref;		  /* of a block; entry NULL: none */
} __attribute__((aligned(VMB_LINE)));

struct vmb_table vmb_memories =
	VMB_TABLE_INIT(vmb_memories, sizeof(struct vmb_mem));

static pthread_mutex_t blocks_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct vmb_list blocks = {&blocks, &blocks};

/* ---- blocks ------------------------------------------------------------------ */

/* The block that holds [addr, addr + len). blocks_mutex is held. */
static struct block *find_block(const char *addr, size_t len)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &blocks) {
		struct block *b = vmb_container_of(pos, struct block, node);
		size_t at = (size_t)((uintptr_t)addr - (uintptr_t)b->start);

		if (at < b->len && len <= b->len - at)
			return b;
	}
	return NULL;
}

/* Is it memory of vmb_alloc()? *whole: all of one block. */
static bool in_block(const void *addr, size_t len, bool *whole)
{
	struct block *b;

	pthread_mutex_lock(&blocks_mutex);
	b = find_block(addr, len);
	*whole = b && b->start == addr && b->len == len;
	pthread_mutex_unlock(&blocks_mutex);
	return b != NULL;
}

static int alloc_block(size_t len, void **ptr)
{
	struct block *b = malloc(sizeof(*b));
	void *start;
	int rc;

	if (!b)
		return -ENOMEM;
	rc = vmb_regcache_alloc(vmb_library.regcache, len, &start);
	if (rc) {
		free(b);
		return rc;
	}
	b->start = start;
	b->len = len;
	pthread_mutex_lock(&blocks_mutex);
	vmb_list_append(&blocks, &b->node);
	pthread_mutex_unlock(&blocks_mutex);
	*ptr = start;
	return 0;
}

static void drop_block(const void *ptr)
{
	struct block *b;

	pthread_mutex_lock(&blocks_mutex);
	b = find_block(ptr, 1);
	if (b && b->start == ptr)
		vmb_list_remove(&b->node);
	else
		b = NULL;
	pthread_mutex_unlock(&blocks_mutex);
	free(b);
}

int vmb_alloc(size_t len, void **ptr)
{
	int rc;

	if (!len || !ptr)
		return -EINVAL;
	if (len > VMB_REGION_BYTES_MAX)
		return -ENOMEM;
	rc = vmb_library_enter();
	if (rc)
		return rc;
	rc = alloc_block(len, ptr);
	vmb_library_leave();
	return rc;
}

int vmb_free(void *ptr)
{
	int rc;

	if (!ptr)
		return 0;
	rc = vmb_library_enter();
	if (rc)
		return rc;
	/* first: from then on the address may be given out again */
	drop_block(ptr);
	rc = vmb_regcache_free(vmb_library.regcache, ptr);
	vmb_library_leave();
	return rc;
}

/* ---- registrations ------------------------------------------------------------- */

/* Fault the pages in for writing, as pinning would. */
static int populate(const void *ptr, size_t len)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)ptr & ~(page - 1);
	uintptr_t end = vmb_round_up((uintptr_t)ptr + len, page);

	return madvise((void *)start, end - start, MADV_POPULATE_WRITE) ? -errno
									: 0;
}

/* Is it readable and writable memory of this process? */
static int check_memory(const void *ptr, size_t len)
{
	int rc = populate(ptr, len);
	char stack;

	if (!rc)
		return 0;
	/* a kernel before 5.14 cannot tell; the engine will, when it looks */
	if (rc == -EINVAL && populate(&stack, 1) == -EINVAL)
		return 0;
	return -EFAULT;
}

static int register_memory(struct vmb_mem *mem, void *ptr, size_t len,
			   unsigned access)
{
	struct vmb_port *port = vmb_library.port;
	bool whole, own = in_block(ptr, len, &whole);
	int rc;

	mem->len = len;
	mem->ref.entry = NULL;
	if (own)
		rc = vmb_regcache_get(vmb_library.regcache, ptr, len,
				      &mem->ref);
	else
		rc = check_memory(ptr, len);
	if (rc)
		return rc;
	rc = port->ops->mem_register(port, ptr, len, access, &mem->key);
	mem->own_key = !rc;
	if (rc == -EOPNOTSUPP && whole && access == VMB_ACCESS_ALL) {
		mem->key = mem->ref.key; /* grants neither more nor less */
		rc = 0;
	}
	if (rc)
		goto err_put;
	mem->local_key = own ? mem->ref.key : mem->key;
	mem->local_offset = own ? mem->ref.offset : 0;
	return 0;
err_put:
	if (own)
		vmb_regcache_put(vmb_library.regcache, &mem->ref);
	return rc;
}

static int deregister_memory(struct vmb_mem *mem)
{
	struct vmb_port *port = vmb_library.port;
	int rc = 0;

	if (mem->own_key)
		rc = port->ops->mem_deregister(port, mem->key);
	if (mem->ref.entry)
		vmb_regcache_put(vmb_library.regcache, &mem->ref);
	vmb_publish(&mem->state, MEMORY_FREE);
	vmb_table_give(&vmb_memories, &mem->entry);
	return rc;
}

static int take_memory(void *ptr, size_t len, unsigned access,
		       struct vmb_mem **out)
{
	struct vmb_entry *entry;
	struct vmb_mem *mem;
	int rc;

	rc = vmb_table_take(&vmb_memories, &entry);
	if (rc)
		return rc == -EMFILE ? -EDQUOT : rc;
	mem = vmb_container_of(entry, struct vmb_mem, entry);
	rc = register_memory(mem, ptr, len, access);
	if (rc) {
		vmb_table_give(&vmb_memories, entry);
		return rc;
	}
	vmb_publish(&mem->state, MEMORY_REGISTERED); /* pairs with is_open() */
	*out = mem;
	return 0;
}

int vmb_register(void *ptr, size_t len, unsigned access, struct vmb_mem **mem)
{
	int rc;

	if (!ptr || !len || !mem || access & ~VMB_ACCESS_ALL ||
	    len > VMB_REGION_BYTES_MAX || (uintptr_t)ptr + len < len)
		return -EINVAL;
	rc = vmb_library_enter();
	if (rc)
		return rc;
	rc = take_memory(ptr, len, access, mem);
	vmb_library_leave();
	return rc;
}

static bool is_open(const struct vmb_mem *mem)
{
	return vmb_table_holds(&vmb_memories, mem, sizeof(*mem)) &&
	       vmb_observe(&mem->state) == MEMORY_REGISTERED;
}

/* One of several threads may end it. */
static bool begin_end(struct vmb_mem *mem)
{
	uint32_t registered = MEMORY_REGISTERED;

	return is_open(mem) &&
	       __atomic_compare_exchange_n(&mem->state, &registered,
					   MEMORY_ENDING, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

int vmb_deregister(struct vmb_mem *mem)
{
	int rc = vmb_library_enter();

	if (rc)
		return rc;
	rc = begin_end(mem) ? deregister_memory(mem) : -EINVAL;
	vmb_library_leave();
	return rc;
}

int vmb_mem_key(const struct vmb_mem *mem, uint64_t *key)
{
	if (vmb_load_relaxed(&vmb_library.forked))
		return -EPERM;
	if (!key || !is_open(mem))
		return -EINVAL;
	*key = mem->key;
	return 0;
}

int vmb_memory_translate(const struct vmb_mem *mem, struct vmb_slot_rdma *what)
{
	if (!is_open(mem))
		return -EINVAL;
	if (what->local_offset > mem->len ||
	    what->len > mem->len - what->local_offset)
		return -ERANGE;
	what->local_key = mem->local_key;
	what->local_offset += mem->local_offset;
	return 0;
}

/* ---- the end of the process context --------------------------------------------- */

static void drop_blocks(void)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, &blocks) {
		vmb_list_remove(pos);
		free(vmb_container_of(pos, struct block, node));
	}
}

void vmb_memory_fini(void)
{
	struct vmb_mem *mem;

	for (unsigned i = 0; (mem = vmb_table_at(&vmb_memories, i)); i++)
		if (begin_end(mem))
			deregister_memory(mem);
	drop_blocks(); /* their memory goes with the registration cache */
}

/* The registrations are the parent's. Blocks may be half linked: forget. */
void vmb_memory_mark_forked(void)
{
	struct vmb_mem *mem;

	for (unsigned i = 0; (mem = vmb_table_at(&vmb_memories, i)); i++)
		mem->state = MEMORY_ENDING;
	pthread_mutex_init(&blocks_mutex, NULL);
	vmb_list_init(&blocks);
}
