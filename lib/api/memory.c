// SPDX-License-Identifier: BSD-2-Clause
/*
 * memory.c - memory of the engine's kind, and memory that peers may reach.
 *
 * Flow:  vmb_alloc() -> registration cache -> port mem_alloc()
 *        vmb_register() -> port mem_register() -> key for the peers
 * Owns:  the registrations behind struct vmb_mem.
 * Trust: addresses, lengths and handles are input.
 *
 * Each registration has a key of its own, for the peers and for our own side
 * of a transfer, so that its range, its access rights and its end are exact.
 * The port knows the memory of vmb_alloc() and registers it as such: no copy
 * by the kernel.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/api.h"

_Static_assert(VMB_REMOTE_READ == VMB_ACCESS_REMOTE_READ, "public and wire");
_Static_assert(VMB_REMOTE_WRITE == VMB_ACCESS_REMOTE_WRITE, "public and wire");

enum memory_state {
	MEMORY_FREE,
	MEMORY_REGISTERED,
	MEMORY_ENDING,
};

struct vmb_mem {
	struct vmb_entry entry;
	uint32_t state; /* enum memory_state, changed by compare-and-swap */
	uint64_t key;	/* for peers, and for our side of a transfer */
	uint64_t len;
} __attribute__((aligned(VMB_LINE)));

struct vmb_table vmb_memories =
	VMB_TABLE_INIT(vmb_memories, sizeof(struct vmb_mem));

/* ---- memory of the engine's kind ------------------------------------------------ */

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
	rc = vmb_regcache_alloc(vmb_library.regcache, len, ptr);
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
	int rc = check_memory(ptr, len);

	if (rc)
		return rc;
	mem->len = len;
	return port->ops->mem_register(port, ptr, len, access, &mem->key);
}

static int deregister_memory(struct vmb_mem *mem)
{
	struct vmb_port *port = vmb_library.port;
	int rc = port->ops->mem_deregister(port, mem->key);

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
	what->local_key = mem->key;
	return 0;
}

/* ---- the end of the process context --------------------------------------------- */

void vmb_memory_fini(void)
{
	struct vmb_mem *mem;

	for (unsigned i = 0; (mem = vmb_table_at(&vmb_memories, i)); i++)
		if (begin_end(mem))
			deregister_memory(mem);
}

/* The registrations are the parent's. */
void vmb_memory_mark_forked(void)
{
	struct vmb_mem *mem;

	for (unsigned i = 0; (mem = vmb_table_at(&vmb_memories, i)); i++)
		mem->state = MEMORY_ENDING;
}
