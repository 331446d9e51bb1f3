// SPDX-License-Identifier: BSD-2-Clause
/* mapped.c - see mapped.h. */
#include "am/mapped.h"

#include <errno.h>
#include <stdlib.h>

/* Files that are made one after the other have numbers beside each other. */
static struct vmb_mapped_file *places_of(const struct vmb_mapped *m,
					 uint64_t file)
{
	return &m->at[file % (VMB_MAPPED_FILES / VMB_MAPPED_WAYS) *
		      VMB_MAPPED_WAYS];
}

static struct vmb_mapped_file *find(const struct vmb_mapped *m, uint64_t file)
{
	struct vmb_mapped_file *f = places_of(m, file);

	for (unsigned i = 0; i < VMB_MAPPED_WAYS; i++)
		if (f[i].file == file)
			return &f[i];
	return NULL;
}

static bool goes_before(const struct vmb_mapped_file *a,
			const struct vmb_mapped_file *b)
{
	if (!a->base != !b->base)
		return !a->base;
	return a->met < b->met;
}

static void unmap(struct vmb_mapped *m, struct vmb_mapped_file *f,
		  const struct vmb_port_ops *ops)
{
	if (f->base) {
		ops->lane_unmap(f->base, f->len);
		m->bytes -= f->len;
	}
	*f = (struct vmb_mapped_file){0};
}

static struct vmb_mapped_file *take_place(struct vmb_mapped *m, uint64_t file,
					  const struct vmb_port_ops *ops)
{
	struct vmb_mapped_file *f = places_of(m, file), *out = f;

	for (unsigned i = 1; i < VMB_MAPPED_WAYS; i++)
		if (goes_before(&f[i], out))
			out = &f[i];
	unmap(m, out, ops);
	out->file = file;
	return out;
}

static void map(struct vmb_mapped *m, struct vmb_mapped_file *f,
		const struct vmb_port_ops *ops,
		const struct vmb_port_lane *lane,
		const struct vmb_lane_file *where)
{
	void *base;
	int rc = ops->lane_map(lane, where, VMB_MAPPED_BYTES - m->bytes, &base,
			       &f->len);

	if (!rc) {
		f->base = base;
		m->bytes += f->len;
	}
	f->failed = rc == -ESTALE;
	m->denied = rc == -EPERM || rc == -ENOSYS;
}

void vmb_mapped_meet(struct vmb_mapped *m, const struct vmb_port_ops *ops,
		     const struct vmb_port_lane *lane,
		     const struct vmb_lane_file *where)
{
	struct vmb_mapped_file *f;

	if (!where->file || !ops->lane_map || m->denied)
		return;
	if (!m->at)
		m->at = calloc(VMB_MAPPED_FILES, sizeof(m->at[0]));
	if (!m->at)
		return;
	f = find(m, where->file);
	if (!f)
		f = take_place(m, where->file, ops);
	else if (!f->base && !f->failed)
		map(m, f, ops, lane, where);
	f->met = ++m->meetings;
}

void *vmb_mapped_at(const struct vmb_mapped *m,
		    const struct vmb_lane_file *where, uint64_t addr,
		    size_t len)
{
	uint64_t offset = addr - where->start; /* or far too much */
	const struct vmb_mapped_file *f;

	if (!where->file || !m->at)
		return NULL;
	f = find(m, where->file);
	if (!f || !f->base || offset > f->len || len > f->len - offset)
		return NULL;
	return f->base + offset;
}

void vmb_mapped_end(struct vmb_mapped *m, const struct vmb_port_ops *ops)
{
	for (unsigned i = 0; m->at && i < VMB_MAPPED_FILES; i++)
		unmap(m, &m->at[i], ops);
	free(m->at);
	m->at = NULL;
}
