// SPDX-License-Identifier: BSD-2-Clause
/*
 * store.c - the nodes of docs/xenbus.md in the Xen store.
 *
 * Flow:  xen.c, guest.c -> [here] -> libxenstore -> xenstored
 * Owns:  the paths, and how a value is read and written.
 * Trust: xenstored is believed; it says who a domain is. What a guest wrote
 *        is copied, bounded, and has to be printable.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "platform/xen/xen.h"

/* A guest can make our transactions fail by writing to its own nodes. */
#define TRIES_MAX 32

void vmb_xen_front_path(uint32_t guest, const char *node,
			char path[XEN_PATH_BYTES])
{
	snprintf(path, XEN_PATH_BYTES, "/local/domain/%u/device/%s/0%s%s",
		 guest, VMB_XEN_DEVICE, *node ? "/" : "", node);
}

void vmb_xen_back_path(const struct vmb_platform *p, uint32_t guest,
		       const char *node, char path[XEN_PATH_BYTES])
{
	snprintf(path, XEN_PATH_BYTES, "/local/domain/%u/backend/%s/%u/0%s%s",
		 p->self, VMB_XEN_DEVICE, guest, *node ? "/" : "", node);
}

/* ---- values ------------------------------------------------------------- */

int vmb_xen_store_read(struct vmb_platform *p, const char *path,
		       char value[XEN_VALUE_BYTES])
{
	unsigned len;
	char *found = xs_read(p->store, XBT_NULL, path, &len);
	int err = 0;

	if (!found)
		return -errno;
	if (len >= XEN_VALUE_BYTES)
		err = -EINVAL;
	for (unsigned i = 0; i < len && !err; i++)
		if (!isprint((unsigned char)found[i]))
			err = -EINVAL;
	if (!err) {
		memcpy(value, found, len);
		value[len] = '\0';
	}
	free(found);
	return err;
}

int vmb_xen_store_number(struct vmb_platform *p, const char *path,
			 uint32_t *value)
{
	char text[XEN_VALUE_BYTES], *end;
	unsigned long number;
	int err;

	err = vmb_xen_store_read(p, path, text);
	if (err)
		return err;
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || *end || number > UINT32_MAX)
		return -EINVAL;
	*value = (uint32_t)number;
	return 0;
}

static int put(struct vmb_platform *p, xs_transaction_t in, const char *path,
	       const char *value)
{
	return xs_write(p->store, in, path, value, (unsigned)strlen(value))
		       ? 0
		       : -errno;
}

int vmb_xen_back_write(struct vmb_guest *g, const char *node, const char *value)
{
	char path[XEN_PATH_BYTES];
	int err;

	vmb_xen_back_path(g->p, g->who.id, node, path);
	err = put(g->p, XBT_NULL, path, value);
	if (err)
		vmb_error("guest %s: cannot write %s: %s", g->who.name, path,
			  strerror(-err));
	return err;
}

int vmb_xen_store_identity(struct vmb_platform *p, uint32_t id,
			   struct vmb_guest_identity *who)
{
	char path[XEN_PATH_BYTES], value[XEN_VALUE_BYTES];
	int err;

	memset(who, 0, sizeof(*who));
	who->id = id;
	if (!xs_is_domain_introduced(p->store, id))
		return -ENOENT;
	snprintf(path, sizeof(path), "/local/domain/%u/name", id);
	err = vmb_xen_store_read(p, path, value);
	if (err)
		return err;
	if (strlen(value) >= sizeof(who->name))
		return -EINVAL;
	strcpy(who->name, value);
	snprintf(path, sizeof(path), "/local/domain/%u/vm", id);
	if (!vmb_xen_store_read(p, path, value) && !strncmp(value, "/vm/", 4) &&
	    strlen(value + 4) < sizeof(who->uuid))
		strcpy(who->uuid, value + 4);
	return 0;
}

/* ---- several nodes at once ---------------------------------------------- */

/* Do it in a transaction, again when others came between. */
static int transact(struct vmb_platform *p, uint32_t guest,
		    int (*write)(struct vmb_platform *p, xs_transaction_t in,
				 uint32_t guest, const void *arg),
		    const void *arg)
{
	xs_transaction_t in;
	int err;

	for (unsigned i = 0; i < TRIES_MAX; i++) {
		in = xs_transaction_start(p->store);
		if (in == XBT_NULL)
			return -errno;
		err = write(p, in, guest, arg);
		if (xs_transaction_end(p->store, in, err != 0) || err)
			return err;
		if (errno != EAGAIN)
			return -errno;
	}
	return -EAGAIN;
}

/* A folder that `owner` writes and `reader` reads, empty. */
static int make_folder(struct vmb_platform *p, xs_transaction_t in,
		       const char *path, uint32_t owner, uint32_t reader)
{
	struct xs_permissions perms[2] = {
		{.id = owner, .perms = XS_PERM_NONE},
		{.id = reader, .perms = XS_PERM_READ},
	};

	xs_rm(p->store, in, path);
	if (!xs_mkdir(p->store, in, path) ||
	    !xs_set_permissions(p->store, in, path, perms, 2))
		return -errno;
	return 0;
}

struct node {
	const char *name, *value;
};

static int put_all(struct vmb_platform *p, xs_transaction_t in,
		   const char *folder, const struct node *nodes, unsigned count)
{
	char path[XEN_PATH_BYTES + 32];
	int err = 0;

	for (unsigned i = 0; i < count && !err; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, nodes[i].name);
		err = put(p, in, path, nodes[i].value);
	}
	return err;
}

static int new_session(char session[XEN_SESSION_BYTES])
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	snprintf(session, XEN_SESSION_BYTES, "%016" PRIx64, random);
	return 0;
}

static void abi_text(char text[16])
{
	snprintf(text, 16, "%u.%u", VMB_ABI_MAJOR, VMB_ABI_MINOR);
}

static int write_device(struct vmb_platform *p, xs_transaction_t in,
			uint32_t guest, const void *session)
{
	char front[XEN_PATH_BYTES], back[XEN_PATH_BYTES];
	char self[16], other[16], abi[16];
	const struct node of_front[] = {
		{"backend", back}, {"backend-id", self}, {"state", "1"}};
	const struct node of_back[] = {
		{"frontend", front}, {"frontend-id", other}, {"online", "1"},
		{"abi", abi},	     {"session", session},   {"state", "2"}};
	int err;

	abi_text(abi);
	vmb_xen_front_path(guest, "", front);
	vmb_xen_back_path(p, guest, "", back);
	snprintf(self, sizeof(self), "%u", p->self);
	snprintf(other, sizeof(other), "%u", guest);
	err = make_folder(p, in, back, p->self, guest);
	if (!err)
		err = put_all(p, in, back, of_back, vmb_array_size(of_back));
	if (!err)
		err = make_folder(p, in, front, guest, p->self);
	if (!err)
		err = put_all(p, in, front, of_front, vmb_array_size(of_front));
	return err;
}

int vmb_xen_store_attach(struct vmb_platform *p, uint32_t guest,
			 char session[XEN_SESSION_BYTES])
{
	int err = new_session(session);

	return err ? err : transact(p, guest, write_device, session);
}

static int write_offer(struct vmb_platform *p, xs_transaction_t in,
		       uint32_t guest, const void *session)
{
	char folder[XEN_PATH_BYTES], error[XEN_PATH_BYTES], abi[16];
	const struct node nodes[] = {
		{"abi", abi}, {"session", session}, {"state", "2"}};

	abi_text(abi);
	vmb_xen_back_path(p, guest, "", folder);
	vmb_xen_back_path(p, guest, "error", error);
	xs_rm(p->store, in, error); /* of the last connection */
	return put_all(p, in, folder, nodes, vmb_array_size(nodes));
}

int vmb_xen_store_offer(struct vmb_guest *g)
{
	int err = new_session(g->session);

	return err ? err : transact(g->p, g->who.id, write_offer, g->session);
}

void vmb_xen_store_remove(struct vmb_platform *p, uint32_t guest,
			  bool front_too)
{
	char path[XEN_PATH_BYTES];

	if (front_too) {
		vmb_xen_front_path(guest, "", path);
		xs_rm(p->store, XBT_NULL, path);
	}
	/* with the folder of this guest, which holds nothing else */
	vmb_xen_back_path(p, guest, "", path);
	*strrchr(path, '/') = '\0';
	xs_rm(p->store, XBT_NULL, path);
}
