// SPDX-License-Identifier: BSD-2-Clause
/*
 * frontend.c - a guest's kernel that lies to vmbd: a frontend of the device in
 * user space, which says what no shim would say.
 *
 *   xen-frontend LIE...     as root in an attached guest without vmbypass.ko
 *   xen-frontend            their names
 *
 * Flow:  [here] -> granted pages, store, event channel -> vmbd in dom0
 * Owns:  the device, from one session to the next; each lie has its own.
 * Trust: vmbd is under test. Each lie must bring an error, or send the device
 *        away, and leave it usable for the next one. See docs/xenbus.md.
 *
 * Prints "ok LIE" or "not ok LIE: why"; exit status 1 when a lie got through.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xenctrl.h> /* before the others; has the barriers of ring.h */

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <xen/io/ring.h>
#include <xen/io/xenbus.h>

#include <vmbypass/abi/xenbus.h>

DEFINE_RING_TYPES(vmb_xen, struct vmb_xen_request, struct vmb_xen_reply);

#define PATIENCE_MS 30000
#define NO_GRANT 0x00fffff0u
#define STORM 200000u

struct liar {
	struct xs_handle *store;
	xengntshr_handle *grants;
	xenevtchn_handle *events;
	char back[128];
	char session[64];
	void *pages; /* ring, then events */
	uint32_t refs[2];
	xenevtchn_port_or_error_t port;
	vmb_xen_front_ring_t ring;
	uint32_t id;
};

static void pause_ms(long ms)
{
	const struct timespec t = {.tv_nsec = ms * 1000000};

	nanosleep(&t, NULL);
}

/* ---- the store ------------------------------------------------------------ */

static void __attribute__((format(printf, 3, 4)))
node_write(struct liar *l, const char *name, const char *format, ...)
{
	char path[192], value[64];
	va_list args;

	snprintf(path, sizeof(path), "device/vmb/0/%s", name);
	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	xs_write(l->store, XBT_NULL, path, value, (unsigned)strlen(value));
}

/* A node of the backend; empty when there is none. */
static void back_read(struct liar *l, const char *name, char text[64])
{
	char path[256], *value;

	snprintf(path, sizeof(path), "%s/%s", l->back, name);
	value = xs_read(l->store, XBT_NULL, path, NULL);
	snprintf(text, 64, "%s", value ? value : "");
	free(value);
}

static int back_state(struct liar *l)
{
	char text[64];

	back_read(l, "state", text);
	return atoi(text);
}

/* 0: the backend got into one of the states from..to. */
static int back_wait(struct liar *l, int from, int to)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 20) {
		int state = back_state(l);

		if (state >= from && state <= to)
			return 0;
		pause_ms(20);
	}
	return -ETIMEDOUT;
}

/* ---- a session ------------------------------------------------------------ */

/* Waits for a session that we have not had. */
static int session_wait(struct liar *l)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 20) {
		char session[64];

		back_read(l, "session", session);
		if (back_state(l) == XenbusStateInitWait &&
		    strcmp(session, l->session)) {
			strcpy(l->session, session);
			return 0;
		}
		pause_ms(20);
	}
	return -ETIMEDOUT;
}

static int pages_make(struct liar *l)
{
	l->pages = xengntshr_share_pages(l->grants, 0, 2, l->refs, 1);
	if (!l->pages)
		return -errno;
	memset(l->pages, 0, 2 * VMB_PAGE);
	SHARED_RING_INIT((vmb_xen_sring_t *)l->pages);
	FRONT_RING_INIT(&l->ring, (vmb_xen_sring_t *)l->pages, VMB_PAGE);
	l->port = xenevtchn_bind_unbound_port(l->events, 0);
	return l->port < 0 ? -errno : 0;
}

static void nodes_write(struct liar *l, uint32_t ring_ref)
{
	node_write(l, "abi", "%u.%u", VMB_ABI_MAJOR, VMB_ABI_MINOR);
	node_write(l, "session", "%s", l->session);
	node_write(l, "ring-ref", "%" PRIu32, ring_ref);
	node_write(l, "events-ref", "%" PRIu32, l->refs[1]);
	node_write(l, "event-channel", "%d", l->port);
	node_write(l, "state", "%d", XenbusStateInitialised);
}

static int session_begin(struct liar *l)
{
	int ret;

	node_write(l, "state", "%d", XenbusStateInitialising);
	ret = session_wait(l);
	return ret ? ret : pages_make(l);
}

static int session_connect(struct liar *l)
{
	int ret = session_begin(l);

	if (ret)
		return ret;
	nodes_write(l, l->refs[0]);
	ret = back_wait(l, XenbusStateConnected, XenbusStateConnected);
	if (!ret)
		node_write(l, "state", "%d", XenbusStateConnected);
	return ret;
}

/* The pages may go when the backend has let go of them. */
static void session_end(struct liar *l)
{
	node_write(l, "state", "%d", XenbusStateClosing);
	node_write(l, "state", "%d", XenbusStateClosed);
	for (int ms = 0; ms < PATIENCE_MS; ms += 20) {
		if (back_state(l) != XenbusStateConnected)
			break;
		pause_ms(20);
	}
	if (l->port >= 0)
		xenevtchn_unbind(l->events, (evtchn_port_t)l->port);
	if (l->pages)
		xengntshr_unshare(l->grants, l->pages, 2);
	l->pages = NULL;
	l->port = -1;
}

/* ---- requests --------------------------------------------------------------- */

static void request_push(struct liar *l, const struct vmb_xen_request *request)
{
	*RING_GET_REQUEST(&l->ring, l->ring.req_prod_pvt) = *request;
	l->ring.req_prod_pvt++;
	RING_PUSH_REQUESTS(&l->ring);
	xenevtchn_notify(l->events, (evtchn_port_t)l->port);
}

/* Status of the reply; 1: none, but the device was sent away. */
static int reply_wait(struct liar *l)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
		struct vmb_xen_reply reply;
		struct vmb_ctl_head head;

		if (l->ring.sring->rsp_prod != l->ring.rsp_cons) {
			xen_rmb();
			reply = *RING_GET_RESPONSE(&l->ring, l->ring.rsp_cons);
			l->ring.rsp_cons++;
			memcpy(&head, reply.msg, sizeof(head));
			return head.status;
		}
		if (back_state(l) >= XenbusStateClosing)
			return 1;
		pause_ms(10);
	}
	return -ETIMEDOUT;
}

static int call(struct liar *l, uint32_t client, struct vmb_xen_request *r,
		const void *msg, size_t len)
{
	r->id = ++l->id;
	r->client = client;
	memcpy(r->msg, msg, len);
	request_push(l, r);
	return reply_wait(l);
}

static int hello(struct liar *l, uint32_t client)
{
	struct vmb_xen_request r = {0};
	const struct vmb_ctl_hello msg = {
		.head = {.op = VMB_CTL_HELLO, .len = sizeof(msg)},
		.abi_major = VMB_ABI_MAJOR,
		.abi_minor = VMB_ABI_MINOR,
	};

	return call(l, client, &r, &msg, sizeof(msg));
}

static const struct vmb_geometry small = {
	.eq_slots = VMB_EQ_SLOTS_MIN,
	.rx_bytes = VMB_RX_BYTES_MIN,
	.tx_bytes = VMB_TX_BYTES_MIN,
};

/* OPEN with so many pages, all of the reference ref. */
static int open_with(struct liar *l, uint32_t slot, uint32_t pages,
		     uint32_t ref)
{
	struct vmb_xen_request r = {.slot = slot, .pages = pages};
	const struct vmb_ctl_open msg = {
		.head = {.op = VMB_CTL_OPEN, .len = sizeof(msg)},
		.id = VMB_ID_ANY,
		.geometry = small,
	};
	uint32_t refs = pages > VMB_XEN_REFS ? 1 : pages;

	for (uint32_t i = 0; i < refs; i++)
		r.refs[i] = ref;
	return call(l, 1, &r, &msg, sizeof(msg));
}

static int register_with(struct liar *l, uint64_t base, uint64_t len,
			 uint32_t pages)
{
	struct vmb_xen_request r = {.pages = pages, .refs = {l->refs[1]}};
	const struct vmb_ctl_register msg = {
		.head = {.op = VMB_CTL_REGISTER, .len = sizeof(msg)},
		.kind = VMB_REGION_GRANT,
		.access = VMB_ACCESS_ALL,
		.base = base,
		.len = len,
	};

	return call(l, 1, &r, &msg, sizeof(msg));
}

/* A head alone. */
static int head_with(struct liar *l, uint32_t client, uint32_t op, uint32_t len)
{
	struct vmb_xen_request r = {0};
	const struct vmb_ctl_head head = {.op = op, .len = len};

	return call(l, client, &r, &head, sizeof(head));
}

/* ---- lies: the status of the reply, 0 or above when it was believed --------- */

static uint32_t area_pages(void)
{
	return (uint32_t)(VMB_AREA_BYTES(&small) / VMB_PAGE);
}

static int lie_grant(struct liar *l)
{
	return open_with(l, 0, area_pages(), NO_GRANT);
}

static int lie_list(struct liar *l)
{
	/* a list page that is no list: all its references are 0 or garbage */
	memset((char *)l->pages + VMB_PAGE + 128, 0xa5, 896);
	return register_with(l, 0, VMB_XEN_LIST_REFS * (uint64_t)VMB_PAGE,
			     VMB_XEN_LIST_REFS);
}

static int lie_pages(struct liar *l)
{
	return open_with(l, 0, UINT32_MAX, l->refs[1]);
}

static int lie_few_pages(struct liar *l)
{
	return open_with(l, 0, 1, l->refs[1]);
}

static int lie_slot(struct liar *l)
{
	return open_with(l, VMB_XEN_SLOTS, area_pages(), l->refs[1]);
}

static int lie_client(struct liar *l)
{
	return hello(l, VMB_XEN_CLIENTS + 1);
}

static int lie_stranger(struct liar *l)
{
	return head_with(l, 77, VMB_CTL_CLOSE, sizeof(struct vmb_ctl_close));
}

static int lie_operation(struct liar *l)
{
	return head_with(l, 1, 99, sizeof(struct vmb_ctl_head));
}

static int lie_length(struct liar *l)
{
	return head_with(l, 1, VMB_CTL_LOOKUP, UINT32_MAX);
}

static int lie_size(struct liar *l)
{
	return register_with(l, 0, 1ull << 40, 1);
}

static int lie_wrap(struct liar *l)
{
	return register_with(l, UINT64_MAX - 8, 64, 1);
}

static int lie_again(struct liar *l)
{
	return hello(l, 1);
}

/* A producer a hundred rings ahead: the device must be sent away. */
static int lie_ring(struct liar *l)
{
	l->ring.sring->req_prod = l->ring.req_prod_pvt + 800;
	xenevtchn_notify(l->events, (evtchn_port_t)l->port);
	return reply_wait(l) == 1 ? -ECONNABORTED : 0;
}

/* Events that bring nothing; requests must still be answered. */
static int lie_storm(struct liar *l)
{
	for (uint32_t i = 0; i < STORM; i++)
		xenevtchn_notify(l->events, (evtchn_port_t)l->port);
	return hello(l, 2) ? 0 : -EAGAIN;
}

/* Sixteen of them, and the device must be sent away. */
static int lie_always(struct liar *l)
{
	for (int i = 0; i < 64; i++) {
		if (open_with(l, VMB_XEN_SLOTS + 1, 1, NO_GRANT) == 1)
			return -ECONNABORTED;
	}
	return 0;
}

/* All bits of the page of kicks, for endpoints that there are not. */
static int lie_kicks(struct liar *l)
{
	struct vmb_xen_events *e = (void *)((char *)l->pages + VMB_PAGE);

	memset(e->kicks, 0xff, sizeof(e->kicks));
	xenevtchn_notify(l->events, (evtchn_port_t)l->port);
	return hello(l, 3) ? 0 : -EAGAIN;
}

static const struct {
	const char *name;
	int (*tell)(struct liar *l);
} lies[] = {
	{"grant", lie_grant},	    {"list", lie_list},
	{"pages", lie_pages},	    {"few-pages", lie_few_pages},
	{"slot", lie_slot},	    {"client", lie_client},
	{"stranger", lie_stranger}, {"operation", lie_operation},
	{"length", lie_length},	    {"size", lie_size},
	{"wrap", lie_wrap},	    {"again", lie_again},
	{"ring", lie_ring},	    {"storm", lie_storm},
	{"always", lie_always},	    {"kicks", lie_kicks},
};

#define LIES (sizeof(lies) / sizeof(lies[0]))

static bool told(struct liar *l, unsigned n)
{
	int ret = session_connect(l);

	if (!ret)
		ret = hello(l, 1);
	if (ret) {
		printf("not ok %s: no session: %s\n", lies[n].name,
		       strerror(-ret));
	} else {
		ret = lies[n].tell(l);
		if (ret >= 0 && back_state(l) < XenbusStateClosing)
			printf("not ok %s: it was believed\n", lies[n].name);
		else if (ret == -ETIMEDOUT)
			printf("not ok %s: no answer\n", lies[n].name);
		else
			printf("ok %s: %s\n", lies[n].name,
			       ret < 0 ? strerror(-ret) : "sent away");
		ret = ret == -ETIMEDOUT ||
		      (ret >= 0 && back_state(l) < XenbusStateClosing);
	}
	session_end(l);
	return !ret;
}

static int open_all(struct liar *l)
{
	char *back;

	l->port = -1;
	l->store = xs_open(0);
	l->grants = xengntshr_open(NULL, 0);
	l->events = xenevtchn_open(NULL, 0);
	if (!l->store || !l->grants || !l->events)
		return -errno;
	back = xs_read(l->store, XBT_NULL, "device/vmb/0/backend", NULL);
	if (!back)
		return -ENODEV;
	snprintf(l->back, sizeof(l->back), "%s", back);
	free(back);
	return 0;
}

static int names_print(void)
{
	for (unsigned i = 0; i < LIES; i++)
		printf("%s\n", lies[i].name);
	return 0;
}

/* False: it got through, or there is none of that name. */
static bool tell(struct liar *l, const char *name)
{
	for (unsigned i = 0; i < LIES; i++) {
		if (!strcmp(lies[i].name, name))
			return told(l, i);
	}
	printf("not ok %s: not known here\n", name);
	return false;
}

int main(int argc, char **argv)
{
	static struct liar liar;
	bool failed = false;
	int ret;

	if (argc == 1)
		return names_print();
	setlinebuf(stdout);
	ret = open_all(&liar);
	if (ret) {
		fprintf(stderr, "xen-frontend: no device to lie by: %s\n",
			strerror(-ret));
		return 2;
	}
	for (int i = 1; i < argc; i++)
		failed |= !tell(&liar, argv[i]);
	return failed;
}
