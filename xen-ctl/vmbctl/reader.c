// SPDX-License-Identifier: BSD-2-Clause
/*
 * reader.c - see reader.h.
 *
 * Trust: size, seals and header are checked once, then the private copies of
 *        the sizes are used. Counters are the engine's word.
 */
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin.h"
#include "base/barrier.h"
#include "base/util.h"

#define RECORDS_MAX 65536u

static const struct field {
	const char *name;
	size_t offset;
} fields[] = {
#define FIELD(name)                                     \
	{                                               \
#name, offsetof(struct vmb_stats, name) \
	}
	FIELD(sends),	      FIELD(send_bytes), FIELD(arrivals),
	FIELD(arrival_bytes), FIELD(puts),	 FIELD(put_bytes),
	FIELD(gets),	      FIELD(get_bytes),	 FIELD(bounces),
	FIELD(stalls),	      FIELD(faults),	 FIELD(notifies),
	FIELD(kicks),	      FIELD(fences),
#undef FIELD
};

static const char *state_name(uint32_t state)
{
	switch (state) {
	case VMB_STATE_OPEN:
		return "open";
	case VMB_STATE_FAULTED:
		return "faulted";
	case VMB_STATE_CLOSED:
		return "closed";
	default:
		return "unknown";
	}
}

/*
 * Is it a memfd that cannot shrink under the mapping? First: any other question
 * might wait for the owner of a file system in user space.
 */
static bool is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && seals & F_SEAL_SHRINK;
}

/* It must hold what its header says. */
static int check_header(const struct vmb_reader *r)
{
	const struct vmb_stats_head *head = r->head;

	if (head->magic != VMB_STATS_MAGIC || head->abi_major != VMB_ABI_MAJOR)
		return -EPROTO;
	if (r->records > RECORDS_MAX ||
	    r->record_bytes < sizeof(struct vmb_stats) ||
	    r->record_bytes % sizeof(uint64_t))
		return -EPROTO;
	if ((uint64_t)r->records * r->record_bytes > r->bytes - VMB_PAGE)
		return -EPROTO;
	return 0;
}

int vmb_reader_map(int fd, struct vmb_reader *r)
{
	struct stat st;
	void *mapped;
	int err;

	if (!is_sealed(fd))
		return -EPROTO;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)VMB_PAGE)
		return -EPROTO;
	mapped = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		return -errno;
	r->head = mapped;
	r->bytes = (size_t)st.st_size;
	r->records = vmb_load_relaxed(&r->head->records);
	r->record_bytes = vmb_load_relaxed(&r->head->record_bytes);
	err = check_header(r);
	if (err)
		vmb_reader_close(r);
	return err;
}

int vmb_reader_open(const struct vmb_options *o, struct vmb_reader *r)
{
	int fd, err;

	err = vmb_admin_ask(o, json_pack("{s:s}", "cmd", "stats"), NULL, &fd);
	if (err)
		return err;
	err = vmb_reader_map(fd, r);
	close(fd);
	if (err)
		vmb_fail(err,
			 "statistics memory of the daemon: %s; is vmbctl of "
			 "the same version?",
			 strerrordesc_np(-err));
	return err;
}

void vmb_reader_close(struct vmb_reader *r)
{
	munmap((void *)r->head, r->bytes);
	r->head = NULL;
}

bool vmb_reader_get(const struct vmb_reader *r, uint32_t index,
		    struct vmb_stats *record)
{
	const char *at = (const char *)r->head + VMB_PAGE +
			 (size_t)index * r->record_bytes;
	const struct vmb_stats *shared = (const void *)at;
	const uint64_t *from = (const void *)at;
	uint64_t *to = (uint64_t *)(void *)record;
	uint32_t handle = vmb_observe(&shared->handle);

	if (!handle)
		return false;
	for (size_t i = 0; i < sizeof(*record) / sizeof(*to); i++)
		to[i] = vmb_observe(&from[i]); /* handle is read last again */
	return record->handle == handle &&
	       vmb_load_relaxed(&shared->handle) == handle;
}

json_t *vmb_reader_json(const struct vmb_stats *record)
{
	json_t *row = json_pack("{s:I, s:I, s:I, s:s}", "handle",
				(json_int_t)record->handle, "domain",
				(json_int_t)record->domain, "id",
				(json_int_t)record->id, "state",
				state_name(record->state));
	uint64_t value;

	for (size_t i = 0; i < vmb_array_size(fields); i++) {
		memcpy(&value, (const char *)record + fields[i].offset,
		       sizeof(value));
		json_object_set_new(row, fields[i].name,
				    json_integer((json_int_t)value));
	}
	return row;
}
