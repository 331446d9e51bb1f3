// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that the backend may use: allocated here or pinned in a
 * process, granted, and let go of.
 *
 * Flow:  OPEN, REGISTER -> [here] -> grant references -> the backend maps them;
 *        CLOSE, DEREGISTER, LEAVE answered, or the backend gone -> [here]
 * Owns:  pages, pins, grants, and the memory that is stuck
 * Trust: that the backend says it let go of a page is not believed: a page is
 *        used for something else only after its grant could be ended.
 */
#include "shim.h"

#include <linux/capability.h>
#include <linux/delay.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#define BATCH 512u /* pages between two chances for others to run */

/* Better an error to one process than the end of another. */
#define AREA_GFP (GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* Of a version 1 grant table; disks and networks need some, too. */
#define GRANTS_PER_FRAME (PAGE_SIZE / sizeof(struct grant_entry_v1))

static int grants_max;
module_param(grants_max, int, 0444);
MODULE_PARM_DESC(grants_max,
		 "Grant references in use at most (0: half of those this guest may have)");

static int grants;
module_param(grants, int, 0444);
MODULE_PARM_DESC(grants, "Grant references in use, to be read");
static DEFINE_SPINLOCK(grants_lock);

/*
 * Memory that nobody holds, but the backend has mapped, since it died, or it
 * lied; or of which somebody has locked a pinned page. It counts as granted until
 * the grants could be ended, and as pinned until it was given back.
 */
static LIST_HEAD(stuck);
static DEFINE_SPINLOCK(stuck_lock);
static void stuck_retry(struct work_struct *work);
static DECLARE_DELAYED_WORK(stuck_work, stuck_retry);

/* As unpin_user_pages_dirty_lock(), but false where somebody has locked it. */
static bool page_unpin(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (!folio_test_dirty(folio)) {
		if (!folio_trylock(folio))
			return false;
		folio_mark_dirty(folio);
		folio_unlock(folio);
	}
	unpin_user_page(page);
	return true;
}

/*
 * No grant of it is left. False: there are pages yet, which somebody has locked;
 * a file system in user space for as long as that likes.
 */
static bool memory_release(struct vmb_memory *memory)
{
	u32 i, kept = 0;

	for (i = 0; i < memory->count; i++) {
		if (!memory->mm)
			put_page(memory->pages[i]); /* a process may map it */
		else if (!page_unpin(memory->pages[i]))
			memory->pages[kept++] = memory->pages[i];
		cond_resched();
	}
	memory->count = kept;
	if (kept)
		return false;

	if (memory->mm) {
		atomic64_sub(memory->charged, &memory->mm->pinned_vm);
		mmdrop(memory->mm);
	}
	kvfree(memory->pages);
	kvfree(memory->refs);
	kfree(memory);
	return true;
}

static struct vmb_memory *memory_new(u32 count)
{
	struct vmb_memory *memory;

	memory = kzalloc(sizeof(*memory), GFP_KERNEL_ACCOUNT);
	if (!memory)
		return NULL;

	memory->pages = kvmalloc_array(count, sizeof(*memory->pages), GFP_KERNEL_ACCOUNT);
	memory->refs = kvmalloc_array(count, sizeof(*memory->refs), GFP_KERNEL_ACCOUNT);
	if (memory->pages && memory->refs)
		return memory;
	memory_release(memory);
	return NULL;
}

/* ---- grants --------------------------------------------------------------- */

static bool grants_add(int n)
{
	bool room;

	spin_lock(&grants_lock);
	room = n < 0 || grants + n <= grants_max;
	grants += room ? n : 0;
	spin_unlock(&grants_lock);
	return room;
}

/* Grants all its pages, or some and an error. */
static int memory_grant(struct vmb_memory *memory, domid_t backend, bool readonly)
{
	grant_ref_t head;
	u32 n;

	while (memory->granted < memory->count) {
		n = min(memory->count - memory->granted, BATCH);
		if (!grants_add(n))
			return -ENOSPC;
		if (gnttab_alloc_grant_references(n, &head)) {
			grants_add(-n);
			return -ENOSPC;
		}
		for (; n; n--, memory->granted++) {
			struct page *page = memory->pages[memory->granted];
			grant_ref_t ref = gnttab_claim_grant_reference(&head);

			gnttab_grant_foreign_access_ref(ref, backend, xen_page_to_gfn(page),
							readonly);
			memory->refs[memory->granted] = ref;
		}
		cond_resched();
	}
	return 0;
}

/*
 * Ends the grants that the backend does not use any more. One caller at a time.
 */
void vmb_memory_revoke(struct vmb_memory *memory)
{
	u32 i, kept = 0;

	for (i = 0; i < memory->granted; i++) {
		if (!gnttab_try_end_foreign_access(memory->refs[i]))
			memory->refs[kept++] = memory->refs[i];
		cond_resched();
	}
	grants_add(kept - memory->granted);
	memory->granted = kept;
}

/* ---- letting go of it ----------------------------------------------------- */

/* May sleep, but waits neither for the backend nor for a process. */
void vmb_memory_free(struct vmb_memory *memory)
{
	vmb_memory_unlist(memory);
	vmb_memory_revoke(memory);
	if (!memory->granted && memory_release(memory))
		return;

	spin_lock(&stuck_lock);
	list_add_tail(&memory->stuck, &stuck);
	spin_unlock(&stuck_lock);
	queue_delayed_work(vmb_wq, &stuck_work, HZ);
}

static void stuck_retry(struct work_struct *work)
{
	struct vmb_memory *memory, *next;
	LIST_HEAD(list);

	spin_lock(&stuck_lock);
	list_splice_init(&stuck, &list);
	spin_unlock(&stuck_lock);

	list_for_each_entry_safe(memory, next, &list, stuck) {
		list_del(&memory->stuck);
		vmb_memory_free(memory);
	}
}

/* ---- making it ------------------------------------------------------------ */

/* Makes list pages where a request cannot name all pages itself. */
static int memory_list(struct vmb_memory *memory, domid_t backend)
{
	struct vmb_memory *lists;
	u32 i;

	if (memory->count <= VMB_XEN_REFS)
		return 0;

	lists = vmb_memory_alloc(DIV_ROUND_UP(memory->count, VMB_XEN_LIST_REFS), backend, true);
	if (IS_ERR(lists))
		return PTR_ERR(lists);

	for (i = 0; i < memory->count; i++) {
		u32 *list = page_address(lists->pages[i / VMB_XEN_LIST_REFS]);

		list[i % VMB_XEN_LIST_REFS] = memory->refs[i];
	}
	memory->lists = lists;
	return 0;
}

/* The backend has read the list pages. */
void vmb_memory_unlist(struct vmb_memory *memory)
{
	if (memory->lists)
		vmb_memory_free(memory->lists);
	memory->lists = NULL;
}

/* One by one: any page will do, and there may be no two together. */
static int memory_fill(struct vmb_memory *memory, u32 count)
{
	for (; memory->count < count; memory->count++) {
		struct page *page = alloc_page(AREA_GFP);

		if (!page)
			return -ENOMEM;
		memory->pages[memory->count] = page;
	}
	return 0;
}

/* @count zeroed pages for @backend. -ENOMEM; -ENOSPC: no grants are left. */
struct vmb_memory *vmb_memory_alloc(u32 count, domid_t backend, bool readonly)
{
	struct vmb_memory *memory = memory_new(count);
	int err;

	if (!memory)
		return ERR_PTR(-ENOMEM);

	err = memory_fill(memory, count) ?:
	      memory_grant(memory, backend, readonly) ?:
	      memory_list(memory, backend);
	if (!err)
		return memory;
	vmb_memory_free(memory);
	return ERR_PTR(err);
}

static int memory_charge(struct vmb_memory *memory, u32 count)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	u64 all = atomic64_add_return(count, &current->mm->pinned_vm);

	if (all > limit && !capable(CAP_IPC_LOCK)) {
		atomic64_sub(count, &current->mm->pinned_vm);
		return -EDQUOT;
	}
	memory->mm = current->mm;
	memory->charged = count;
	mmgrab(memory->mm);
	return 0;
}

/*
 * Whether it is another guest's, mapped by gntdev: it is not ours to grant, and
 * the backend would take this guest for a liar. Foreign ends when the grant is
 * unmapped, which in a PV guest may be while we pin; Private stays as long as
 * gntdev has the page. Of anonymous memory and of files, which have a mapping,
 * the same bits say other things.
 */
static bool page_foreign(struct page *page)
{
	return (PageForeign(page) || PagePrivate(page)) && !page_folio(page)->mapping;
}

static int memory_pin(struct vmb_memory *memory, unsigned long base, u32 count)
{
	while (memory->count < count) {
		struct page **pages = memory->pages + memory->count;
		int n = pin_user_pages_fast(base + (unsigned long)memory->count * PAGE_SIZE,
					    min(count - memory->count, BATCH),
					    FOLL_WRITE | FOLL_LONGTERM, pages);

		if (n <= 0)
			return n == -ENOMEM ? n : -EFAULT;
		memory->count += n;
		while (n--)
			if (page_foreign(*pages++))
				return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/*
 * Pins @count pages of the caller from the one at @base on, for @backend.
 *
 * -EDQUOT: over RLIMIT_MEMLOCK; -EFAULT: not memory, not writable, or another
 * guest's; -EINTR: the process is being killed; -ENOMEM, -ENOSPC.
 */
struct vmb_memory *vmb_memory_pin(u64 base, u32 count, domid_t backend)
{
	struct vmb_memory *memory = memory_new(count);
	int err;

	if (!memory)
		return ERR_PTR(-ENOMEM);

	err = memory_charge(memory, count) ?:
	      memory_pin(memory, base, count) ?:
	      memory_grant(memory, backend, false) ?:
	      memory_list(memory, backend);
	if (!err)
		return memory;
	vmb_memory_free(memory);
	return ERR_PTR(err);
}

/* ---- begin and end -------------------------------------------------------- */

void vmb_memory_init(void)
{
	grants = 0; /* whatever somebody set */
	if (grants_max <= 0)
		grants_max = min(gnttab_max_grant_frames(), 1u << 20) * GRANTS_PER_FRAME / 2;
}

/*
 * The workqueue is idle and everything was freed. What is stuck goes to the
 * kernel, which ends the grants when it can and keeps the pages until then. For
 * locked pages there is nobody else: they are waited for.
 */
void vmb_memory_exit(void)
{
	struct vmb_memory *memory, *next;

	cancel_delayed_work_sync(&stuck_work);
	list_for_each_entry_safe(memory, next, &stuck, stuck) {
		while (memory->granted)
			gnttab_end_foreign_access(memory->refs[--memory->granted], NULL);
		while (!memory_release(memory))
			msleep(100);
	}
}
