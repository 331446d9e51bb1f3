// SPDX-License-Identifier: BSD-2-Clause
/*
 * backend.c - a backend of device type "vmb" that lies when it is told to.
 *
 * Flow:  shim in a guest <-> ring page, events page, grants <-> [here], dom0
 * Owns:  the device of one guest; run instead of vmbd, never beside it
 * Trust: nobody. It is the liar against whom the shim is tested, and honest
 *        otherwise: it maps what it is given and proves that by writing to it.
 *
 * usage: backend DOMAIN. A guest tells it what to do with a LOOKUP of the name
 * "do:ACTION"; the actions are in the table `actions` below.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>
#include <xen/io/ring.h>
#include <xen/io/xenbus.h>

#include <vmbypass/abi/xenbus.h>

DEFINE_RING_TYPES(vmb_xen, struct vmb_xen_request, struct vmb_xen_reply);

#define HOLDS_MAX 4096 /* mappings of clients */

/* Lies about the next request that is not a LOOKUP. */
enum lie {
	HONEST,
	BAD_ID,	    /* an id that was never used */
	BAD_CLIENT, /* another client's number */
	BAD_OP,	    /* the reply to another operation */
	BAD_TAG,
	BAD_LEN_SHORT, /* a length below the head's */
	BAD_LEN_LONG,  /* past the end of the message */
	BAD_STATUS,    /* a status above 0 */
	BIG_STATUS,    /* a status that is no error number */
	TWICE,	       /* the same reply again */
	INDEX_FAR,     /* a producer index more than a ring ahead */
	INDEX_BACK,    /* a producer index that runs backwards */
	SAME_HANDLE,   /* OPEN: the handle of the last one */
	NO_KEY,	       /* REGISTER: key 0 */
	REFUSE,	       /* -EIO */
	HOLD,	       /* never answered */
	KEEP,	       /* answered, but nothing is unmapped */
};

struct hold {
	bool used;
	bool region;
	uint32_t client;
	uint32_t slot;
	uint64_t name; /* handle or key */
	uint32_t pages;
	char *at;
};

static struct {
	uint32_t domain;
	char front[64], back[64], session[17];
	struct xs_handle *xs;
	xengnttab_handle *gnttab;
	xenevtchn_handle *evtchn;
	bool offered, connected;
	struct vmb_xen_sring *sring;
	struct vmb_xen_back_ring ring;
	struct vmb_xen_events *events;
	evtchn_port_t port;
	struct hold holds[HOLDS_MAX];
	uint32_t handles, keys; /* so far */
	enum lie lie;
} b;

static void put(const char *folder, const char *node, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, node);
	if (!xs_write(b.xs, XBT_NULL, path, value, strlen(value)))
		err(1, "write %s", path);
}

static char *get(const char *folder, const char *node)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, node);
	return xs_read(b.xs, XBT_NULL, path, NULL);
}

static uint32_t get_number(const char *folder, const char *node)
{
	char *text = get(folder, node);
	uint32_t number = text ? strtoul(text, NULL, 10) : 0;

	free(text);
	return number;
}

static void state_put(enum xenbus_state state)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", state);
	put(b.back, "state", text);
}

/* ---- mappings -------------------------------------------------------------- */

static void hold_drop(struct hold *hold)
{
	if (!hold->used)
		return;
	if (xengnttab_unmap(b.gnttab, hold->at, hold->pages))
		err(1, "unmap");
	hold->used = false;
}

static void holds_drop(uint32_t client)
{
	for (int i = 0; i < HOLDS_MAX; i++)
		if (b.holds[i].used && (!client || b.holds[i].client == client))
			hold_drop(&b.holds[i]);
}

static struct hold *hold_find(bool region, uint32_t client, uint64_t name)
{
	for (int i = 0; i < HOLDS_MAX; i++) {
		struct hold *hold = &b.holds[i];

		if (hold->used && hold->region == region &&
		    hold->client == client && hold->name == name)
			return hold;
	}
	return NULL;
}

/* The references of a request, from it or from its list pages. */
static uint32_t *refs_read(const struct vmb_xen_request *request)
{
	uint32_t *refs = calloc(request->pages, sizeof(*refs));
	uint32_t lists = 0, domain = b.domain;

	if (request->pages > VMB_XEN_PAGES_MAX)
		errx(1, "%u pages", request->pages);
	if (request->pages <= VMB_XEN_REFS) {
		memcpy(refs, request->refs, request->pages * sizeof(*refs));
		return refs;
	}
	for (uint32_t at = 0; at < request->pages; at += VMB_XEN_LIST_REFS) {
		uint32_t ref = request->refs[lists++];
		uint32_t n = request->pages - at;
		uint32_t *list;

		if (n > VMB_XEN_LIST_REFS)
			n = VMB_XEN_LIST_REFS;
		list = xengnttab_map_grant_refs(b.gnttab, 1, &domain, &ref,
						PROT_READ);
		if (!list)
			err(1, "map list page %u", ref);
		memcpy(refs + at, list, n * sizeof(*refs));
		xengnttab_unmap(b.gnttab, list, 1);
	}
	return refs;
}

static struct hold *hold_make(const struct vmb_xen_request *request,
			      bool region)
{
	uint32_t *refs = refs_read(request);
	struct hold *hold = b.holds;

	while (hold->used && hold < b.holds + HOLDS_MAX)
		hold++;
	hold->at = xengnttab_map_domain_grant_refs(b.gnttab, request->pages,
						   b.domain, refs,
						   PROT_READ | PROT_WRITE);
	free(refs);
	if (!hold->at)
		return NULL;
	hold->used = true;
	hold->region = region;
	hold->client = request->client;
	hold->slot = request->slot;
	hold->pages = request->pages;
	return hold;
}

/* ---- requests -------------------------------------------------------------- */

static int do_hello(struct vmb_ctl_hello_reply *reply)
{
	reply->abi_major = VMB_ABI_MAJOR;
	reply->nic_id = 1;
	strcpy(reply->name, "test:0");
	return sizeof(*reply);
}

static int do_open(const struct vmb_xen_request *request,
		   struct vmb_ctl_open_reply *reply)
{
	struct hold *hold = hold_make(request, false);

	if (!hold)
		return -ENOMEM;
	if (b.lie != SAME_HANDLE)
		b.handles++;
	hold->name = b.handles;
	reply->handle = hold->name;
	reply->session = 1;
	return sizeof(*reply);
}

/* Proves that the region is there: each page's last four bytes get its number. */
static int do_register(const struct vmb_xen_request *request,
		       const struct vmb_ctl_register *msg,
		       struct vmb_ctl_register_reply *reply)
{
	struct hold *hold = hold_make(request, true);

	if (!hold)
		return -ENOMEM;
	for (uint32_t i = 0; i < hold->pages; i++) {
		size_t at = (size_t)(i + 1) * VMB_PAGE - sizeof(i);

		if (at >= msg->base && at + sizeof(i) <= msg->base + msg->len)
			memcpy(hold->at + at, &i, sizeof(i));
	}
	b.keys++;
	hold->name = VMB_KEY(b.keys, 1, 7);
	reply->key = b.lie == NO_KEY ? 0 : hold->name;
	return sizeof(*reply);
}

static int do_drop(bool region, uint32_t client, uint64_t name)
{
	struct hold *hold = hold_find(region, client, name);

	if (!hold)
		return -ENOENT;
	if (b.lie != KEEP)
		hold_drop(hold);
	return sizeof(struct vmb_ctl_head);
}

static void storm(void)
{
	time_t end = time(NULL) + 3;
	uint32_t n;

	for (n = 0; time(NULL) < end; n++)
		xenevtchn_notify(b.evtchn, b.port);
	printf("backend: storm of %u events\n", n);
}

/* All bits, for endpoints that are and that are not, again and again. */
static void notes(void)
{
	time_t end = time(NULL) + 3;

	while (time(NULL) < end) {
		for (uint32_t i = 0; i < VMB_XEN_SLOTS / 64; i++)
			__atomic_store_n(&b.events->notes[i], ~0ull,
					 __ATOMIC_SEQ_CST);
		xenevtchn_notify(b.evtchn, b.port);
	}
}

static void die(void)
{
	_exit(9);
}

static void closing(void)
{
	put(b.back, "online", "0");
	holds_drop(0);
	state_put(XenbusStateClosing);
}

static const struct {
	const char *name;
	void (*now)(void);
	enum lie lie;
} actions[] = {
	{"storm", storm, HONEST},
	{"notes", notes, HONEST},
	{"die", die, HONEST},
	{"close", closing, HONEST},
	{"bad-id", NULL, BAD_ID},
	{"bad-client", NULL, BAD_CLIENT},
	{"bad-op", NULL, BAD_OP},
	{"bad-tag", NULL, BAD_TAG},
	{"short", NULL, BAD_LEN_SHORT},
	{"long", NULL, BAD_LEN_LONG},
	{"status", NULL, BAD_STATUS},
	{"big-status", NULL, BIG_STATUS},
	{"twice", NULL, TWICE},
	{"index-far", NULL, INDEX_FAR},
	{"index-back", NULL, INDEX_BACK},
	{"same-handle", NULL, SAME_HANDLE},
	{"no-key", NULL, NO_KEY},
	{"refuse", NULL, REFUSE},
	{"hold", NULL, HOLD},
	{"keep", NULL, KEEP},
};

/* The action is done after its own reply: see serve(). */
static int do_lookup(const struct vmb_ctl_lookup *msg,
		     struct vmb_ctl_lookup *reply, void (**then)(void))
{
	if (strncmp(msg->name, "do:", 3))
		return -ENOENT;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(msg->name + 3, actions[i].name))
			continue;
		b.lie = actions[i].lie;
		*then = actions[i].now;
		reply->nic_id = 1;
		return sizeof(*reply);
	}
	return -EINVAL;
}

/* Returns the length of the reply, or an error. */
static int answer(const struct vmb_xen_request *request,
		  const union vmb_ctl_any *msg, union vmb_ctl_any *reply,
		  void (**then)(void))
{
	if (b.lie == REFUSE && msg->head.op != VMB_CTL_LOOKUP)
		return -EIO;
	switch (msg->head.op) {
	case VMB_CTL_HELLO:
		return do_hello(&reply->hello_reply);
	case VMB_CTL_OPEN:
		return do_open(request, &reply->open_reply);
	case VMB_CTL_CLOSE:
		return do_drop(false, request->client, msg->close.handle);
	case VMB_CTL_REGISTER:
		return do_register(request, &msg->reg, &reply->reg_reply);
	case VMB_CTL_DEREGISTER:
		return do_drop(true, request->client, msg->dereg.key);
	case VMB_CTL_CONNECT:
		return -ENXIO;
	case VMB_CTL_LOOKUP:
		return do_lookup(&msg->lookup, &reply->lookup, then);
	case VMB_CTL_LEAVE:
		if (b.lie != KEEP)
			holds_drop(request->client);
		return sizeof(struct vmb_ctl_head);
	}
	errx(1, "operation %u", msg->head.op);
}

static void falsify(struct vmb_xen_reply *reply, enum lie lie)
{
	struct vmb_ctl_head *head = (struct vmb_ctl_head *)reply->msg;

	switch (lie) {
	case BAD_ID:
		reply->id += 8;
		break;
	case BAD_CLIENT:
		reply->client++;
		break;
	case BAD_OP:
		head->op = head->op % 8 + 1;
		break;
	case BAD_TAG:
		head->tag++;
		break;
	case BAD_LEN_SHORT:
		head->len = 8;
		break;
	case BAD_LEN_LONG:
		head->len = 0x7fffffff;
		break;
	case BAD_STATUS:
		head->status = 1;
		break;
	case BIG_STATUS:
		head->status = -5000;
		break;
	default:
		break;
	}
}

static void reply_push(const struct vmb_xen_reply *reply, enum lie lie)
{
	int notify;

	for (int n = lie == TWICE ? 2 : 1; n; n--)
		*RING_GET_RESPONSE(&b.ring, b.ring.rsp_prod_pvt++) = *reply;
	if (lie == INDEX_FAR)
		b.ring.rsp_prod_pvt += VMB_PAGE;
	if (lie == INDEX_BACK)
		b.ring.rsp_prod_pvt -= 2;
	RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&b.ring, notify);
	if (notify || lie != HONEST)
		xenevtchn_notify(b.evtchn, b.port);
}

static void serve(const struct vmb_xen_request *request)
{
	struct vmb_xen_reply reply = {.id = request->id,
				      .client = request->client};
	void (*then)(void) = NULL;
	union vmb_ctl_any msg, out = {0};
	enum lie lie = HONEST;
	int len;

	memcpy(&msg, request->msg, sizeof(msg));
	if (msg.head.op != VMB_CTL_LOOKUP)
		lie = b.lie;
	if (lie == HOLD) {
		b.lie = HONEST;
		return;
	}
	len = answer(request, &msg, &out, &then);
	if (msg.head.op != VMB_CTL_LOOKUP)
		b.lie = HONEST;
	out.head.op = msg.head.op;
	out.head.tag = msg.head.tag;
	out.head.status = len < 0 ? len : 0;
	out.head.len = len < 0 ? (int)sizeof(out.head) : len;
	memcpy(reply.msg, &out, sizeof(out));
	falsify(&reply, lie);
	reply_push(&reply, lie);
	if (then)
		then();
}

static void requests(void)
{
	struct vmb_xen_request request;
	int more;

	do {
		while (RING_HAS_UNCONSUMED_REQUESTS(&b.ring)) {
			RING_COPY_REQUEST(&b.ring, b.ring.req_cons, &request);
			b.ring.req_cons++;
			serve(&request);
			if (!b.connected)
				return;
		}
		RING_FINAL_CHECK_FOR_REQUESTS(&b.ring, more);
	} while (more);
}

/* A kick: what stands at the begin of the area comes back, plus one. */
static void kick(uint32_t slot)
{
	uint64_t bit = 1ull << slot % 64;

	for (int i = 0; i < HOLDS_MAX; i++) {
		struct hold *hold = &b.holds[i];
		uint64_t value;

		if (!hold->used || hold->region || hold->slot != slot)
			continue;
		memcpy(&value, hold->at, sizeof(value));
		value++;
		memcpy(hold->at + VMB_AREA_CONTROL + 2048, &value,
		       sizeof(value));
		if (!(__atomic_fetch_or(&b.events->notes[slot / 64], bit,
					__ATOMIC_SEQ_CST) &
		      bit))
			xenevtchn_notify(b.evtchn, b.port);
	}
}

static void kicks(void)
{
	for (uint32_t i = 0; i < VMB_XEN_SLOTS / 64; i++) {
		uint64_t bits = __atomic_exchange_n(&b.events->kicks[i], 0,
						    __ATOMIC_SEQ_CST);

		for (; bits; bits &= bits - 1)
			kick(i * 64 + __builtin_ctzll(bits));
	}
}

/* ---- states ---------------------------------------------------------------- */

static void drop(void)
{
	holds_drop(0);
	b.lie = HONEST;
	if (!b.connected)
		return;
	b.connected = false;
	xengnttab_unmap(b.gnttab, b.sring, 1);
	xengnttab_unmap(b.gnttab, b.events, 1);
	xenevtchn_unbind(b.evtchn, b.port);
}

static void offer(void)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		err(1, "getrandom");
	snprintf(b.session, sizeof(b.session), "%016llx",
		 (unsigned long long)random);
	put(b.back, "abi", "1.0");
	put(b.back, "session", b.session);
	state_put(XenbusStateInitWait);
	b.offered = true;
}

static void connect_front(void)
{
	char *session = get(b.front, "session");
	int port;

	if (b.connected || !session || strcmp(session, b.session)) {
		free(session);
		return;
	}
	free(session);
	port = xenevtchn_bind_interdomain(b.evtchn, b.domain,
					  get_number(b.front, "event-channel"));
	if (port < 0)
		err(1, "bind");
	b.port = port;
	b.sring = xengnttab_map_grant_ref(b.gnttab, b.domain,
					  get_number(b.front, "ring-ref"),
					  PROT_READ | PROT_WRITE);
	b.events = xengnttab_map_grant_ref_notify(
		b.gnttab, b.domain, get_number(b.front, "events-ref"),
		PROT_READ | PROT_WRITE, offsetof(struct vmb_xen_events, alive),
		b.port);
	if (!b.sring || !b.events)
		err(1, "map");
	BACK_RING_INIT(&b.ring, b.sring, VMB_PAGE);
	b.events->alive = 1;
	b.connected = true;
	b.offered = false;
	state_put(XenbusStateConnected);
	printf("backend: connected\n");
}

static void front_changed(void)
{
	uint32_t front = get_number(b.front, "state");
	bool online = get_number(b.back, "online");

	switch (front) {
	case XenbusStateInitialised:
		connect_front();
		break;
	case XenbusStateClosing:
		drop();
		break;
	case XenbusStateInitialising:
	case XenbusStateClosed:
		drop();
		if (!online && front == XenbusStateClosed)
			exit(0);
		if (online && !b.offered)
			offer();
		break;
	}
}

static void attach(void)
{
	struct xs_permissions front[2] = {
		{.id = b.domain, .perms = XS_PERM_NONE},
		{.id = 0, .perms = XS_PERM_READ},
	};
	struct xs_permissions back[2] = {
		{.id = 0, .perms = XS_PERM_NONE},
		{.id = b.domain, .perms = XS_PERM_READ},
	};
	char number[16];

	snprintf(number, sizeof(number), "%u", b.domain);
	xs_mkdir(b.xs, XBT_NULL, b.back);
	xs_set_permissions(b.xs, XBT_NULL, b.back, back, 2);
	put(b.back, "frontend", b.front);
	put(b.back, "frontend-id", number);
	put(b.back, "online", "1");
	offer();
	xs_mkdir(b.xs, XBT_NULL, b.front);
	xs_set_permissions(b.xs, XBT_NULL, b.front, front, 2);
	put(b.front, "backend", b.back);
	put(b.front, "backend-id", "0");
	put(b.front, "state", "1");
}

static void loop(void)
{
	struct pollfd fds[2] = {
		{.fd = xs_fileno(b.xs), .events = POLLIN},
		{.fd = xenevtchn_fd(b.evtchn), .events = POLLIN},
	};

	if (poll(fds, 2, -1) < 0)
		err(1, "poll");
	if (fds[0].revents) {
		unsigned int n;

		free(xs_read_watch(b.xs, &n));
		front_changed();
	}
	if (fds[1].revents) {
		int port = xenevtchn_pending(b.evtchn);

		if (port >= 0)
			xenevtchn_unmask(b.evtchn, port);
		if (b.connected)
			requests();
		if (b.connected)
			kicks();
	}
}

int main(int argc, char **argv)
{
	char path[128], *state;

	if (argc != 2)
		errx(2, "usage: backend DOMAIN");
	setlinebuf(stdout);
	b.domain = strtoul(argv[1], NULL, 10);
	snprintf(b.front, sizeof(b.front), "/local/domain/%u/device/vmb/0",
		 b.domain);
	snprintf(b.back, sizeof(b.back), "/local/domain/0/backend/vmb/%u/0",
		 b.domain);
	b.xs = xs_open(0);
	b.gnttab = xengnttab_open(NULL, 0);
	b.evtchn = xenevtchn_open(NULL, 0);
	if (!b.xs || !b.gnttab || !b.evtchn)
		err(1, "open");

	state = get(b.back, "state");
	if (state) { /* of one that died, or closed the device */
		put(b.back, "online", "1");
		offer();
	} else {
		attach();
	}
	free(state);
	snprintf(path, sizeof(path), "%s/state", b.front);
	if (!xs_watch(b.xs, path, "front"))
		err(1, "watch");
	for (;;)
		loop();
}
