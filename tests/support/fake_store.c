// SPDX-License-Identifier: BSD-2-Clause
/*
 * fake_store.c - the store of fake_xen.h: a flat list of paths, watches, and
 * transactions that are copies.
 *
 * Flow:  xs_write() and its like -> tree -> watches -> queue -> xs_check_watch()
 * Owns:  the tree, one connection.
 */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xenstore.h>

#include "fake_xen_inside.h"

#define NODES_MAX 1024u
#define WATCHES_MAX 64u
#define QUEUE_MAX 16384u
#define CHANGES_MAX 64u

struct node {
	char *path, *value;
	char perms[32];
};

struct tree {
	struct node nodes[NODES_MAX];
	unsigned count;
};

struct watch {
	char path[128], token[32];
};

struct xs_handle {
	int fd;
	struct watch watches[WATCHES_MAX];
	unsigned watch_count;
	struct watch queue[QUEUE_MAX];
	unsigned head, tail;
};

static struct tree now;
static struct xs_handle *connection;
static unsigned disturbances;

/* one transaction at a time is all that is needed */
static struct {
	struct tree tree;
	bool open;
	char changed[CHANGES_MAX][128];
	unsigned change_count;
} transaction;

/* ---- the tree ----------------------------------------------------------- */

static struct node *find(struct tree *t, const char *path)
{
	for (unsigned i = 0; i < t->count; i++)
		if (!strcmp(t->nodes[i].path, path))
			return &t->nodes[i];
	return NULL;
}

static bool is_under(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return !strncmp(path, folder, len) && (!path[len] || path[len] == '/');
}

/* A new node has the permissions of its parent. */
static const char *parent_perms(struct tree *t, const char *path)
{
	char parent[128];
	struct node *node;

	snprintf(parent, sizeof(parent), "%s", path);
	while (strrchr(parent, '/')) {
		*strrchr(parent, '/') = '\0';
		node = find(t, parent);
		if (node)
			return node->perms;
	}
	return "n0";
}

static void set(struct tree *t, const char *path, const char *value, size_t len)
{
	struct node *node = find(t, path);

	if (!node) {
		ck_assert_uint_lt(t->count, NODES_MAX);
		node = &t->nodes[t->count];
		snprintf(node->perms, sizeof(node->perms), "%s",
			 parent_perms(t, path));
		node->path = strdup(path);
		node->value = NULL;
		t->count++;
	}
	free(node->value);
	node->value = strndup(value, len);
}

static void drop_node(struct tree *t, unsigned i)
{
	free(t->nodes[i].path);
	free(t->nodes[i].value);
	t->nodes[i] = t->nodes[--t->count];
}

static void clear(struct tree *t)
{
	while (t->count)
		drop_node(t, 0);
}

static void copy(struct tree *to, const struct tree *from)
{
	clear(to);
	for (unsigned i = 0; i < from->count; i++) {
		to->nodes[i] = from->nodes[i];
		to->nodes[i].path = strdup(from->nodes[i].path);
		to->nodes[i].value = strdup(from->nodes[i].value);
	}
	to->count = from->count;
}

/* ---- watches ------------------------------------------------------------ */

static void enqueue(const char *path, const char *token)
{
	static const uint64_t one = 1;
	struct watch *event;

	event = &connection->queue[connection->tail++ % QUEUE_MAX];
	ck_assert_uint_le(connection->tail - connection->head, QUEUE_MAX);
	snprintf(event->path, sizeof(event->path), "%s", path);
	snprintf(event->token, sizeof(event->token), "%s", token);
	ck_assert_int_eq(write(connection->fd, &one, sizeof(one)), sizeof(one));
}

void t_fake_store_fire(const char *path)
{
	const struct watch *w;

	for (unsigned i = 0; connection && i < connection->watch_count; i++) {
		w = &connection->watches[i];
		if (is_under(path, w->path))
			enqueue(path, w->token);
	}
}

static void changed(const char *path)
{
	if (!transaction.open) {
		t_fake_store_fire(path);
		return;
	}
	ck_assert_uint_lt(transaction.change_count, CHANGES_MAX);
	snprintf(transaction.changed[transaction.change_count++], 128, "%s",
		 path);
}

static struct tree *tree_of(xs_transaction_t in)
{
	ck_assert_int_eq(in != XBT_NULL, transaction.open);
	return in == XBT_NULL ? &now : &transaction.tree;
}

static bool remove_tree(struct tree *t, const char *path)
{
	char gone[128];
	bool any = false;

	for (unsigned i = t->count; i-- > 0;) {
		if (!is_under(t->nodes[i].path, path))
			continue;
		snprintf(gone, sizeof(gone), "%s", t->nodes[i].path);
		drop_node(t, i);
		changed(gone);
		any = true;
	}
	return any;
}

/* ---- for the test ------------------------------------------------------- */

#define FORMAT_PATH(path)                            \
	char path[128];                              \
	va_list args;                                \
	va_start(args, format);                      \
	vsnprintf(path, sizeof(path), format, args); \
	va_end(args)

void t_xen_write(const char *value, const char *format, ...)
{
	FORMAT_PATH(path);
	set(&now, path, value, strlen(value));
	t_fake_store_fire(path);
}

void t_xen_remove(const char *format, ...)
{
	FORMAT_PATH(path);
	remove_tree(&now, path);
}

const char *t_xen_read(const char *format, ...)
{
	static char value[4096];
	const struct node *node;
	FORMAT_PATH(path);

	node = find(&now, path);
	if (!node)
		return NULL;
	snprintf(value, sizeof(value), "%s", node->value);
	return value;
}

const char *t_xen_perms(const char *format, ...)
{
	const struct node *node;
	FORMAT_PATH(path);

	node = find(&now, path);
	return node ? node->perms : NULL;
}

void t_xen_disturb(unsigned times)
{
	disturbances = times;
}

void t_fake_store_start(void)
{
	clear(&now);
	disturbances = 0;
}

void t_fake_store_stop(void)
{
	ck_assert_msg(!connection, "the store is still open");
	clear(&now);
	clear(&transaction.tree);
}

unsigned t_fake_store_watches(void)
{
	return connection ? connection->watch_count : 0;
}

/* ---- libxenstore -------------------------------------------------------- */

struct xs_handle *xs_open(unsigned long flags)
{
	ck_assert_uint_eq(flags, 0);
	ck_assert_msg(!connection, "one connection is enough");
	connection = calloc(1, sizeof(*connection));
	connection->fd = eventfd(0, EFD_NONBLOCK);
	return connection;
}

void xs_close(struct xs_handle *h)
{
	close(h->fd);
	free(h);
	connection = NULL;
}

int xs_fileno(struct xs_handle *h)
{
	return h->fd;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t in, const char *path,
		    unsigned *num)
{
	struct tree *t = tree_of(in);
	size_t len = strlen(path);
	char **names = calloc(NODES_MAX, sizeof(char *) + 64);
	char *text = (char *)(names + NODES_MAX);

	(void)h;
	*num = 0;
	for (unsigned i = 0; i < t->count; i++) {
		const char *rest = t->nodes[i].path + len + 1;
		bool known = false;
		char name[64];

		if (strncmp(t->nodes[i].path, path, len) ||
		    t->nodes[i].path[len] != '/')
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(rest, "/"),
			 rest);
		for (unsigned n = 0; n < *num; n++)
			known |= !strcmp(names[n], name);
		if (known)
			continue;
		names[*num] = strcpy(text + 64 * *num, name);
		++*num;
	}
	if (!*num && !find(t, path)) {
		free(names);
		errno = ENOENT;
		return NULL;
	}
	return names;
}

void *xs_read(struct xs_handle *h, xs_transaction_t in, const char *path,
	      unsigned *len)
{
	const struct node *node = find(tree_of(in), path);

	(void)h;
	if (!node) {
		errno = ENOENT;
		return NULL;
	}
	*len = (unsigned)strlen(node->value);
	return strdup(node->value);
}

bool xs_write(struct xs_handle *h, xs_transaction_t in, const char *path,
	      const void *data, unsigned len)
{
	(void)h;
	set(tree_of(in), path, data, len);
	changed(path);
	return true;
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t in, const char *path)
{
	return find(tree_of(in), path) || xs_write(h, in, path, "", 0);
}

bool xs_rm(struct xs_handle *h, xs_transaction_t in, const char *path)
{
	(void)h;
	if (remove_tree(tree_of(in), path))
		return true;
	errno = ENOENT;
	return false;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t in,
			const char *path, struct xs_permissions *perms,
			unsigned num)
{
	static const char letters[] = "nrwb";
	struct node *node = find(tree_of(in), path);
	size_t n = 0;

	(void)h;
	ck_assert_ptr_nonnull(node);
	for (unsigned i = 0; i < num; i++)
		n += (size_t)snprintf(node->perms + n, sizeof(node->perms) - n,
				      "%s%c%u", i ? "," : "",
				      letters[perms[i].perms & 3], perms[i].id);
	changed(path);
	return true;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	struct watch *w;

	ck_assert_uint_lt(h->watch_count, WATCHES_MAX);
	w = &h->watches[h->watch_count++];
	snprintf(w->path, sizeof(w->path), "%s", path);
	snprintf(w->token, sizeof(w->token), "%s", token);
	enqueue(path, token); /* each fires once at first */
	return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	for (unsigned i = 0; i < h->watch_count; i++) {
		if (strcmp(h->watches[i].path, path) ||
		    strcmp(h->watches[i].token, token))
			continue;
		h->watches[i] = h->watches[--h->watch_count];
		return true;
	}
	errno = ENOENT;
	return false;
}

char **xs_check_watch(struct xs_handle *h)
{
	const struct watch *event;
	uint64_t count;
	char **result;

	if (h->head == h->tail) {
		if (read(h->fd, &count, sizeof(count)) < 0)
			ck_assert_int_eq(errno, EAGAIN);
		errno = EAGAIN;
		return NULL;
	}
	event = &h->queue[h->head++ % QUEUE_MAX];
	result = calloc(1, 2 * sizeof(char *) + sizeof(*event));
	result[XS_WATCH_PATH] = strcpy((char *)(result + 2), event->path);
	result[XS_WATCH_TOKEN] = strcpy(
		(char *)(result + 2) + sizeof(event->path), event->token);
	return result;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	(void)h;
	ck_assert(!transaction.open);
	copy(&transaction.tree, &now);
	transaction.change_count = 0;
	transaction.open = true;
	return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t in, bool abort)
{
	(void)h;
	ck_assert(transaction.open && in == 1);
	transaction.open = false;
	if (abort)
		return true;
	if (disturbances) {
		disturbances--;
		errno = EAGAIN;
		return false;
	}
	copy(&now, &transaction.tree);
	for (unsigned i = 0; i < transaction.change_count; i++)
		t_fake_store_fire(transaction.changed[i]);
	errno = 0;
	return true;
}

bool xs_is_domain_introduced(struct xs_handle *h, unsigned id)
{
	(void)h;
	return t_fake_domain_runs(id);
}
