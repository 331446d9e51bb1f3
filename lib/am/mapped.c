// SPDX-License-Identifier: BSD-2-Clause
/* mapped.c - see mapped.h. */
#include "am/mapped.h"

#include <errno.h>
#include <stdlib.h>

/* Files that are made one after the other have numbers beside each other. */
static struct vmb_mapped_file *place_of(const struct vmb_mapped *m,
					uint64_t file)
{
	return &m->at[file % VMB_MAPPED_FILES];
}

static void unmap(struct vmb_mapped_file *f, const struct vmb_port_ops *ops)
{
	if (f->base)
		ops->lane_unmap(f->base, f->len);
	*f = (struct vmb_mapped_file){0};
}

static void map(struct vmb_mapped *m, struct vmb_mapped_file *f,
		const struct vmb_port_ops *ops,
		const struct vmb_port_lane *lane,
		const struct vmb_lane_file *where)
{
	void *base;
	int rc = ops->lane_map(lane, where, &base, &f->len);

	if (!rc)
		f->base = base;
	f->failed = rc != 0;
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
	f = place_of(m, where->file);
	if (f->file != where->file) {
		unmap(f, ops);
		f->file = where->file;
	} else if (!f->base && !f->failed) {
		map(m, f, ops, lane, where);
	}
}

void *vmb_mapped_at(const struct vmb_mapped *m,
		    const struct vmb_lane_file *where, uint64_t addr,
		    size_t len)
{
	uint64_t offset = addr - where->start;
	const struct vmb_mapped_file *f;

	if (!where->file || !m->at || addr < where->start)
		return NULL;
	f = place_of(m, where->file);
	if (f->file != where->file || !f->base || offset > f->len ||
	    len > f->len - offset)
		return NULL;
	return f->base + offset;
}

void vmb_mapped_end(struct vmb_mapped *m, const struct vmb_port_ops *ops)
{
	for (unsigned i = 0; m->at && i < VMB_MAPPED_FILES; i++)
		unmap(&m->at[i], ops);
	free(m->at);
	m->at = NULL;
}
