// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_liar.c - a guest that lies in every field that the daemon reads: the
 * envelope of requests, the ring, granted pages, the store, events. Each lie
 * is answered with an error, stands in the fault log, leaves nothing behind,
 * and another guest goes on.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support/guest.h"
#include "support/raw.h"
#include "support/run.h"

#define FRONT "/local/domain/%u/device/vmb/0"
#define BACK "/local/domain/0/backend/vmb/%u/0"

static struct t_vmbd v;
static struct t_guest liar, other;
static struct t_guest_endpoint own, witness;
static struct t_xen_usage before;

static void bring_up(struct t_guest *g, uint32_t id, const char *name,
		     struct t_guest_endpoint *ep)
{
	t_guest_start(g, &v, id, name);
	t_guest_attach(g);
	t_guest_connect(g);
	ck_assert_int_eq(t_guest_hello(g, 1, NULL), 0);
	ck_assert_int_eq(t_guest_open(g, 1, 0, ep), 0);
}

static void setup(void)
{
	t_xen_start();
	t_vmbd_start(&v, NULL);
	bring_up(&other, 6, "other", &witness);
	bring_up(&liar, 5, "liar", &own);
	before = t_xen_usage();
}

/* A message to itself, through kick, engine and note. */
static void check_works(struct t_guest_endpoint *ep)
{
	static uint64_t number;

	t_guest_send(ep, ep->handle, ++number);
	t_guest_expect(ep, ep->handle, number);
}

static void teardown(void)
{
	check_works(&witness);
	t_vmbd_stop(&v);
	t_xen_stop();
}

/* The liar was sent away; all of it was let go, and it is told why. */
static void check_sent_away(void)
{
	t_guest_await(&liar, XenbusStateClosing);
	ck_assert_ptr_nonnull(t_xen_read(BACK "/error", liar.id));
	ck_assert_uint_eq(t_xen_usage().pages, 2 + witness.pages);
	ck_assert_uint_eq(t_xen_usage().channels, 1);
	t_guest_check_let_go(&liar);
	ck_assert(t_xen_grant_end(liar.id, own.first_ref));
	/* and stays so until it is attached anew */
	t_guest_say(&liar, XenbusStateClosed);
	ck_assert_uint_eq(t_guest_back_state(&liar), XenbusStateClosed);
	t_guest_say(&liar, XenbusStateInitialising);
	ck_assert_uint_eq(t_guest_back_state(&liar), XenbusStateClosed);
	ck_assert_int_eq(t_vmbd_command(&v, NULL, "{s:s, s:s}", "cmd", "detach",
					"guest", "liar"),
			 0);
	t_vmbd_settle(&v);
	ck_assert_uint_eq(t_guest_back_state(&liar), 0);
	t_guest_attach(&liar);
	t_guest_connect(&liar);
	ck_assert_int_eq(t_guest_hello(&liar, 1, NULL), 0);
	ck_assert_int_eq(t_guest_open(&liar, 1, 0, &own), 0);
	check_works(&own);
}

/* ---- the envelope ------------------------------------------------------- */

static struct vmb_xen_request request(uint32_t op)
{
	const union vmb_ctl_any open = {
		.open = {.id = VMB_ID_ANY, .geometry = t_guest_geometry()}};
	const union vmb_ctl_any hello = {.hello = {.abi_major = VMB_ABI_MAJOR}};
	struct vmb_xen_request r;

	r = t_guest_request(&liar, 1, op,
			    op == VMB_CTL_OPEN	  ? &open
			    : op == VMB_CTL_HELLO ? &hello
						  : NULL);
	if (op == VMB_CTL_OPEN)
		t_guest_give_pages(&liar, &r, own.first_page, own.pages);
	r.slot = op == VMB_CTL_OPEN ? 9 : 0;
	return r;
}

static void set_len(struct vmb_xen_request *r, uint32_t len)
{
	memcpy(r->msg + offsetof(struct vmb_ctl_head, len), &len, sizeof(len));
}

#define LIE(name) static void name(struct vmb_xen_request *r)

LIE(client_0)
{
	r->client = 0;
}
LIE(client_1025)
{
	r->client = VMB_XEN_CLIENTS + 1;
}
LIE(client_huge)
{
	r->client = UINT32_MAX;
}
LIE(client_unknown)
{
	r->client = 44;
}
LIE(slot_1024)
{
	r->slot = VMB_XEN_SLOTS;
}
LIE(slot_huge)
{
	r->slot = UINT32_MAX;
}
LIE(slot_taken)
{
	r->slot = 0;
}
LIE(slot_5)
{
	r->slot = 5;
}
LIE(pages_max_and_one)
{
	r->pages = VMB_XEN_PAGES_MAX + 1;
}
LIE(pages_huge)
{
	r->pages = UINT32_MAX;
}
LIE(pages_1)
{
	r->pages = 1;
}
LIE(pages_one_more)
{
	r->pages++;
	r->refs[r->pages - 1] = r->refs[0];
}
LIE(pages_one_less)
{
	r->refs[--r->pages] = 0;
}
LIE(refs_left_over)
{
	r->refs[r->pages] = 8;
}
LIE(reserved_1)
{
	r->reserved_7c0[7] = 1;
}
LIE(len_0)
{
	set_len(r, 0);
}
LIE(len_15)
{
	set_len(r, 15);
}
LIE(len_137)
{
	set_len(r, VMB_XEN_MSG_BYTES + 1);
}
LIE(len_huge)
{
	set_len(r, UINT32_MAX);
}
LIE(len_17)
{
	set_len(r, 17);
}
LIE(status_1)
{
	r->msg[offsetof(struct vmb_ctl_head, status)] = 1;
}
LIE(ref_unknown)
{
	r->refs[0] = 5000;
}
LIE(ref_of_xen)
{
	r->refs[0] = 1;
}
LIE(ref_huge)
{
	r->refs[1] = UINT32_MAX;
}
LIE(ref_read_only)
{
	r->refs[0] = t_xen_grant(5, own.first_page, true);
}

static const struct {
	void (*lie)(struct vmb_xen_request *r);
	uint32_t op;
	int status;
	unsigned fault;
} lies[] = {
	{client_0, VMB_CTL_HELLO, -EINVAL, VMB_NIC_FAULT_CLIENT},
	{client_1025, VMB_CTL_HELLO, -EINVAL, VMB_NIC_FAULT_CLIENT},
	{client_huge, VMB_CTL_CLOSE, -EINVAL, VMB_NIC_FAULT_CLIENT},
	{client_unknown, VMB_CTL_LEAVE, -EINVAL, VMB_NIC_FAULT_CLIENT},
	{slot_1024, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_SLOT},
	{slot_huge, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_SLOT},
	{slot_taken, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_SLOT},
	{slot_5, VMB_CTL_LOOKUP, -EINVAL, VMB_NIC_FAULT_SLOT},
	{slot_5, VMB_CTL_LEAVE, -EINVAL, VMB_NIC_FAULT_SLOT},
	{pages_max_and_one, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_PAGES},
	{pages_huge, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_PAGES},
	{pages_1, VMB_CTL_HELLO, -EINVAL, VMB_NIC_FAULT_PAGES},
	{pages_1, VMB_CTL_LEAVE, -EINVAL, VMB_NIC_FAULT_PAGES},
	{pages_one_more, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_PAGES},
	{pages_one_less, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_PAGES},
	{refs_left_over, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_PAGES},
	{refs_left_over, VMB_CTL_CONNECT, -EINVAL, VMB_NIC_FAULT_PAGES},
	{reserved_1, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_REQUEST},
	{len_0, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_REQUEST},
	{len_15, VMB_CTL_CLOSE, -EINVAL, VMB_NIC_FAULT_REQUEST},
	{len_137, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_REQUEST},
	{len_huge, VMB_CTL_OPEN, -EINVAL, VMB_NIC_FAULT_REQUEST},
	{len_17, VMB_CTL_LEAVE, -EINVAL, VMB_NIC_FAULT_REQUEST},
	{status_1, VMB_CTL_LEAVE, -EINVAL, VMB_NIC_FAULT_REQUEST},
	{ref_unknown, VMB_CTL_OPEN, -EFAULT, VMB_NIC_FAULT_GRANT},
	{ref_of_xen, VMB_CTL_OPEN, -EFAULT, VMB_NIC_FAULT_GRANT},
	{ref_huge, VMB_CTL_OPEN, -EFAULT, VMB_NIC_FAULT_GRANT},
	{ref_read_only, VMB_CTL_OPEN, -EFAULT, VMB_NIC_FAULT_GRANT},
};

/* looped over lies: the sixteenth of it sends the guest away */
START_TEST(a_lie_is_refused_and_counted)
{
	struct vmb_xen_request r;

	for (unsigned i = 1; i <= XEN_LIES_MAX; i++) {
		r = request(lies[_i].op);
		lies[_i].lie(&r);
		ck_assert_int_eq(t_guest_call(&liar, &r, NULL),
				 lies[_i].status);
		ck_assert_uint_eq(t_vmbd_faults(&v, lies[_i].fault), i);
		/* and not once more, as a process's */
		ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_VALUE), 0);
		ck_assert_uint_eq(t_xen_usage().pages,
				  i < XEN_LIES_MAX ? before.pages
						   : 2 + witness.pages);
		if (i < XEN_LIES_MAX)
			check_works(&own);
	}
	check_sent_away();
}
END_TEST

/* ---- messages of its processes ------------------------------------------ */

/* What a process may do wrong is its own affair, not a lie of the guest. */
START_TEST(a_process_without_hello_is_nobody)
{
	struct vmb_xen_request r = request(VMB_CTL_OPEN);

	r.client = 2;
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(t_guest_call(&liar, &r, NULL), -ENOTCONN);
	ck_assert_uint_eq(t_guest_back_state(&liar), XenbusStateConnected);
	check_works(&own);
}
END_TEST

START_TEST(a_process_that_sends_nonsense_is_sent_away_alone)
{
	struct vmb_xen_request r;
	struct t_guest_endpoint ep;

	ck_assert_int_eq(t_guest_hello(&liar, 2, NULL), 0);
	ck_assert_int_eq(t_guest_open(&liar, 2, 3, &ep), 0);
	for (int i = 0; i < 16; i++) {
		r = request(VMB_CTL_CLOSE);
		r.client = 2;
		set_len(&r, 20);
		ck_assert_int_eq(t_guest_call(&liar, &r, NULL), -EBADMSG);
	}
	ck_assert(t_xen_grant_end(5, ep.first_ref));
	ck_assert_int_eq(t_guest_hello(&liar, 2, NULL), -EPIPE);
	ck_assert_int_eq(t_guest_leave(&liar, 2), 0);
	ck_assert_int_eq(t_guest_hello(&liar, 2, NULL), 0);
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_REQUEST), 16);
	check_works(&own);
}
END_TEST

/* Nobody counts it yet, so that it has no second try. */
START_TEST(a_process_whose_hello_is_nonsense_leaves)
{
	struct vmb_xen_request r = request(VMB_CTL_HELLO);

	r.client = 2;
	set_len(&r, 20);
	ck_assert_int_eq(t_guest_call(&liar, &r, NULL), -EBADMSG);
	ck_assert_int_eq(t_guest_hello(&liar, 2, NULL), -EPIPE);
	ck_assert_int_eq(t_guest_leave(&liar, 2), 0);
	ck_assert_int_eq(t_guest_hello(&liar, 2, NULL), 0);
	check_works(&own);
}
END_TEST

/* It is told why, and remembered until its LEAVE. */
START_TEST(a_process_that_is_not_admitted_leaves)
{
	const union vmb_ctl_any named = {
		.hello = {.abi_major = VMB_ABI_MAJOR, .domain = "other"}};
	const union vmb_ctl_any old = {.hello = {.abi_major = 77}};
	struct vmb_xen_request r;

	r = t_guest_request(&liar, 2, VMB_CTL_HELLO, &named);
	ck_assert_int_eq(t_guest_call(&liar, &r, NULL), -EACCES);
	ck_assert_int_eq(t_guest_hello(&liar, 2, NULL), -EPIPE);
	ck_assert_int_eq(t_guest_leave(&liar, 2), 0);
	r = t_guest_request(&liar, 2, VMB_CTL_HELLO, &old);
	ck_assert_int_eq(t_guest_call(&liar, &r, NULL), -EPROTO);
	ck_assert_int_eq(t_guest_leave(&liar, 2), 0);
	ck_assert_int_eq(t_guest_hello(&liar, 2, NULL), 0);
	ck_assert_int_eq(t_guest_hello(&liar, 2, NULL), -EALREADY);
}
END_TEST

START_TEST(too_many_processes_are_refused)
{
	uint32_t n = 2;
	int status;

	while (!(status = t_guest_hello(&liar, n, NULL)))
		n++;
	ck_assert_int_eq(status, -EUSERS);
	ck_assert_uint_eq(n, 129); /* 128 are there */
	check_works(&own);
}
END_TEST

static int register_kind(uint32_t kind, uint32_t pages, uint64_t base,
			 uint64_t len)
{
	const union vmb_ctl_any msg = {
		.reg = {.kind = kind, .base = base, .len = len}};
	struct vmb_xen_request r =
		t_guest_request(&liar, 1, VMB_CTL_REGISTER, &msg);

	if (pages)
		t_guest_give_pages(&liar, &r, t_xen_pages(5, pages), pages);
	return t_guest_call(&liar, &r, NULL);
}

START_TEST(memory_that_is_not_granted_is_refused)
{
	ck_assert_int_eq(register_kind(VMB_REGION_PROCESS, 0, 4096, 8),
			 -EOPNOTSUPP);
	ck_assert_int_eq(register_kind(VMB_REGION_PROCESS, 1, 4096, 8), -EBADF);
	ck_assert_int_eq(register_kind(VMB_REGION_MEMFD, 0, 0, 8), -EOPNOTSUPP);
	ck_assert_int_eq(register_kind(VMB_REGION_GRANT, 0, 0, 8), -EBADF);
	ck_assert_int_eq(register_kind(77, 0, 0, 8), -EINVAL);
	ck_assert_int_eq(register_kind(VMB_REGION_GRANT, 1, 0, 0), -EINVAL);
	ck_assert_int_eq(register_kind(VMB_REGION_GRANT, 1, 0, 1ull << 41),
			 -EINVAL);
	ck_assert_int_eq(register_kind(VMB_REGION_GRANT, 1, 0, 5ull << 30),
			 -EDQUOT);
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_PAGES), 0);
	/* from here on it is the shim that lies */
	ck_assert_int_eq(register_kind(VMB_REGION_GRANT, 2, 4096, 8), -EINVAL);
	ck_assert_int_eq(register_kind(VMB_REGION_GRANT, 1, 4095, 2), -EINVAL);
	ck_assert_int_eq(register_kind(VMB_REGION_GRANT, 2, 0, 4096), -EINVAL);
	ck_assert_int_eq(register_kind(VMB_REGION_GRANT, 1, UINT64_MAX, 8),
			 -EINVAL);
	ck_assert_int_eq(register_kind(VMB_REGION_GRANT, 1, 0, 2ull << 30),
			 -EINVAL);
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_PAGES), 5);
	ck_assert_uint_eq(t_xen_usage().pages, before.pages);
	check_works(&own);
}
END_TEST

/*
 * A list page that is none, and one that holds what is none: among few, and
 * among more than Xen would map of one page.
 */
START_TEST(lists_are_not_believed)
{
	uint32_t count = _i ? 200 : 30;
	uint32_t first = t_xen_pages(5, count), *list;
	const union vmb_ctl_any msg = {
		.reg = {.kind = VMB_REGION_GRANT, .len = count * VMB_PAGE}};
	struct vmb_xen_request r =
		t_guest_request(&liar, 1, VMB_CTL_REGISTER, &msg);

	t_guest_give_pages(&liar, &r, first, count);
	list = t_xen_page(5, first + count); /* the page after */
	ck_assert_uint_ne(list[count - 1], 0);
	list[count - 1] = 6000;
	ck_assert_int_eq(t_guest_call(&liar, &r, NULL), -EFAULT);
	r.refs[0] = 6000;
	ck_assert_int_eq(t_guest_call(&liar, &r, NULL), -EFAULT);
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_GRANT), 2);
	ck_assert_uint_eq(t_xen_usage().pages, before.pages);
}
END_TEST

/* No room for mappings is nobody's lie, and hurts who asks. */
START_TEST(exhaustion_is_an_error_and_no_lie)
{
	struct t_guest_endpoint ep;
	uint64_t key;

	t_xen_limit_pages(t_xen_usage().pages + 1);
	ck_assert_int_eq(t_guest_open(&liar, 1, 7, &ep), -ENOSPC);
	ck_assert_int_eq(t_guest_register(&liar, 1, t_xen_pages(5, 40), 0,
					  40 * VMB_PAGE, 0, &key),
			 -ENOSPC);
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_GRANT), 0);
	ck_assert_uint_eq(t_xen_usage().pages, before.pages);
	check_works(&own);
	t_xen_limit_pages(UINT32_MAX);
	ck_assert_int_eq(t_guest_open(&liar, 1, 7, &ep), 0);
	check_works(&ep);
}
END_TEST

/* ---- the ring ----------------------------------------------------------- */

static const uint32_t positions[] = {9, 10, 1000, 0x80000000u, UINT32_MAX};

START_TEST(an_impossible_position_ends_the_device)
{
	liar.ring.sring->req_prod = liar.ring.req_prod_pvt + positions[_i];
	t_xen_event(liar.id, liar.port);
	check_sent_away();
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_RING), 1);
}
END_TEST

/* What the daemon writes it does not read back. */
START_TEST(other_words_of_the_ring_do_not_matter)
{
	struct vmb_xen_request r = request(VMB_CTL_LOOKUP);

	liar.ring.sring->rsp_prod += 100;
	liar.ring.sring->req_event = 0x12345678;
	liar.ring.sring->rsp_event = 0x9abcdef0;
	memset(&liar.ring.sring->pvt, 0xff, sizeof(liar.ring.sring->pvt));
	t_guest_push(&liar, &r);
	t_xen_event(liar.id, liar.port);
	t_vmbd_until(&v, liar.ring.sring->rsp_prod == liar.ring.req_prod_pvt);
	ck_assert_uint_eq(t_guest_back_state(&liar), XenbusStateConnected);
}
END_TEST

/* More at once than one turn serves. */
START_TEST(a_full_ring_is_served)
{
	struct vmb_xen_reply reply;
	struct vmb_xen_request r;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 8; i++) {
			r = request(VMB_CTL_LOOKUP);
			t_guest_push(&liar, &r);
		}
		for (int i = 0; i < 8; i++)
			t_vmbd_until(&v, t_guest_poll(&liar, &reply));
	}
}
END_TEST

/* Words change while they are read: another thread writes all the time. */
static bool stop;

static void *scribble(void *arg)
{
	uint32_t *words = arg, random = 1;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		random = random * 1664525 + 1013904223;
		/* not the positions: they would end the device at once */
		__atomic_store_n(&words[16 + random % (1024 - 16)], random >> 7,
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(a_ring_that_changes_does_no_harm)
{
	vmb_xen_sring_t *ring = liar.ring.sring;
	pthread_t thread;

	stop = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, scribble, ring), 0);
	while (t_guest_back_state(&liar) == XenbusStateConnected) {
		ring->req_prod += 4;
		t_xen_event(liar.id, liar.port);
		t_vmbd_turn(&v, 0);
		check_works(&witness);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check_sent_away();
}
END_TEST

/* ---- the store ---------------------------------------------------------- */

static const struct {
	const char *node, *value; /* NULL: it is not there */
} nodes[] = {
	{"abi", NULL},
	{"abi", "2.0"},
	{"abi", "1.1"},
	{"abi", "1.0x"},
	{"abi", "1"},
	{"abi", "-1.0"},
	{"ring-ref", NULL},
	{"ring-ref", ""},
	{"ring-ref", "eight"},
	{"ring-ref", "-8"},
	{"ring-ref", "7777"},
	{"ring-ref", "99999999999999999999"},
	{"ring-ref", " 8"},
	{"events-ref", NULL},
	{"events-ref", "6666"},
	{"events-ref", "8 8"},
	{"event-channel", NULL},
	{"event-channel", "0"},
	{"event-channel", "63"},
	{"event-channel", "4294967295"},
};

static void connect_wrong(unsigned i)
{
	t_guest_await(&liar, XenbusStateInitWait);
	t_guest_prepare(&liar);
	t_guest_initialise(&liar); /* connects; so begin again */
	t_guest_say(&liar, XenbusStateClosing);
	t_guest_say(&liar, XenbusStateClosed);
	strcpy(liar.session, t_xen_read(BACK "/session", liar.id));
	t_xen_write(liar.session, FRONT "/session", liar.id);
	if (nodes[i].value)
		t_xen_write(nodes[i].value, FRONT "/%s", liar.id,
			    nodes[i].node);
	else
		t_xen_remove(FRONT "/%s", liar.id, nodes[i].node);
	t_guest_say(&liar, XenbusStateInitialised);
}

START_TEST(nodes_are_not_believed)
{
	t_guest_say(&liar, XenbusStateClosing);
	t_guest_say(&liar, XenbusStateClosed);
	for (unsigned n = 1; n <= XEN_LIES_MAX; n++) {
		connect_wrong((unsigned)_i);
		ck_assert_uint_eq(t_guest_back_state(&liar),
				  XenbusStateClosing);
		ck_assert_ptr_nonnull(strstr(t_xen_read(BACK "/error", liar.id),
					     nodes[_i].node));
		ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_NODE), n);
		ck_assert_uint_eq(t_xen_usage().pages, 2 + witness.pages);
		ck_assert_uint_eq(t_xen_usage().channels, 1);
		t_guest_say(&liar, XenbusStateClosed);
	}
	ck_assert_uint_eq(t_guest_back_state(&liar), XenbusStateClosed);
	t_guest_say(&liar, XenbusStateInitialised);
	ck_assert_uint_eq(t_guest_back_state(&liar), XenbusStateClosed);
}
END_TEST

static const char *const states[] = {"",  "9",	"-1", "four", "1000000000000",
				     "0", "1",	"2",  "5",    "6",
				     "7", "\n", "8",  "4 "};

/* Whatever it says it is: it may only lose its connection. */
START_TEST(states_out_of_turn_do_no_harm)
{
	for (unsigned i = 0; i < vmb_array_size(states); i++) {
		t_xen_write(states[i], FRONT "/state", liar.id);
		t_vmbd_settle(&v);
		ck_assert_uint_eq(t_guest_back_state(&liar),
				  XenbusStateInitWait);
		ck_assert_uint_eq(t_xen_usage().pages, 2 + witness.pages);
		if (i % 2)
			t_guest_connect(&liar);
		else
			t_guest_say(&liar, XenbusStateInitialising);
		if (i % 2)
			continue;
		t_guest_connect(&liar);
	}
	t_xen_remove("/local/domain/%u/device", liar.id);
	t_vmbd_settle(&v);
	ck_assert_uint_eq(t_guest_back_state(&liar), XenbusStateInitWait);
}
END_TEST

/* It writes faster than we look; the queue is emptied all the same. */
START_TEST(a_flood_of_writes_is_borne)
{
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < 10000; j++)
			t_xen_write("4", FRONT "/state", liar.id);
		t_vmbd_turn(&v, 0);
		check_works(&witness);
	}
	check_works(&own);
}
END_TEST

/* What is ours it cannot write; if the store let it, we would not care. */
START_TEST(the_backend_is_found_by_its_own_path)
{
	t_xen_write("/local/domain/6/device/vmb/0", BACK "/frontend", liar.id);
	t_xen_write("6", FRONT "/backend-id", liar.id);
	t_xen_write("/local/domain/6/backend/vmb/5/0", FRONT "/backend",
		    liar.id);
	t_vmbd_settle(&v);
	check_works(&own);
	ck_assert_uint_eq(t_guest_back_state(&other), XenbusStateConnected);
}
END_TEST

/* ---- events ------------------------------------------------------------- */

static void storm(uint32_t slot, unsigned ms)
{
	uint64_t end = vmb_now_ns() + ms * 1000000ull;

	while (vmb_now_ns() < end) {
		if (slot < VMB_XEN_SLOTS)
			t_guest_kick(&liar, slot);
		else
			t_xen_event(liar.id, liar.port);
		t_vmbd_turn(&v, 0);
	}
}

/* looped: bare events, and kicks of endpoints that are not there */
static const uint32_t targets[] = {VMB_XEN_SLOTS, 1, 1023};

START_TEST(a_storm_is_heard_more_and_more_rarely)
{
	unsigned at_first = t_xen_delivered(liar.id, liar.port), later;

	storm(targets[_i], 300);
	later = t_xen_delivered(liar.id, liar.port);
	/* 17 at once, then after 1, 2, 4 .. 64, 64 ms */
	ck_assert_uint_ge(later - at_first, 17);
	ck_assert_uint_le(later - at_first, 40);
	check_works(&witness);
	/* honest again: heard at the latest after the longest delay */
	check_works(&own);
	check_works(&own);
}
END_TEST

START_TEST(a_long_storm_is_recorded)
{
	while (!t_vmbd_faults(&v, VMB_NIC_FAULT_STORM))
		storm(VMB_XEN_SLOTS, 50);
	check_works(&witness);
	ck_assert_uint_eq(t_guest_back_state(&liar), XenbusStateConnected);
}
END_TEST

/* Kicks without descriptors cost looks, and nothing else. */
START_TEST(kicks_without_work_are_borne)
{
	for (int i = 0; i < 1000; i++) {
		t_guest_kick(&liar, own.slot);
		t_vmbd_turn(&v, 0);
	}
	check_works(&own);
	check_works(&witness);
}
END_TEST

/* ---- anything ----------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Good requests with some bytes changed, and whole ones of noise. */
static struct vmb_xen_request random_request(uint32_t *state)
{
	static const uint32_t ops[] = {VMB_CTL_HELLO,	   VMB_CTL_OPEN,
				       VMB_CTL_CLOSE,	   VMB_CTL_REGISTER,
				       VMB_CTL_CONNECT,	   VMB_CTL_LOOKUP,
				       VMB_CTL_DEREGISTER, VMB_CTL_LEAVE};
	struct vmb_xen_request r = {.id = next_random(state)};
	unsigned char *bytes = (unsigned char *)&r;
	struct vmb_ctl_head head = {.op = ops[next_random(state) % 8]};
	unsigned changes = next_random(state) % 4;

	head.len = head.op == VMB_CTL_LEAVE
			   ? (uint32_t)sizeof(head)
			   : (uint32_t)t_raw_request_len(head.op);
	memcpy(r.msg, &head, sizeof(head));
	r.client = 1 + next_random(state) % 4;
	r.slot = head.op == VMB_CTL_OPEN ? next_random(state) % 8 : 0;
	r.pages = next_random(state) % 3 ? 0 : next_random(state) % 30;
	for (uint32_t i = 0; i < r.pages && i < VMB_XEN_REFS; i++)
		r.refs[i] = 8 + next_random(state) % 60;
	if (!(next_random(state) % 64))
		changes = sizeof(r);
	while (changes--)
		bytes[next_random(state) % sizeof(r)] =
			(unsigned char)next_random(state);
	return r;
}

static void reconnect(void)
{
	t_guest_say(&liar, XenbusStateClosed);
	t_vmbd_command(&v, NULL, "{s:s, s:s}", "cmd", "detach", "guest",
		       "liar");
	t_vmbd_settle(&v);
	t_guest_attach(&liar);
	/* its memory is not endless: all of it is free again */
	t_guest_connect(&liar);
}

START_TEST(noise_does_no_harm)
{
	uint32_t state = 0x12345 + (uint32_t)_i;
	struct vmb_xen_request r;
	struct vmb_xen_reply reply;

	for (int i = 0; i < 3000; i++) {
		r = random_request(&state);
		t_guest_push(&liar, &r);
		t_vmbd_until(&v, t_guest_poll(&liar, &reply) ||
					 t_guest_back_state(&liar) !=
						 XenbusStateConnected);
		if (t_guest_back_state(&liar) != XenbusStateConnected)
			reconnect();
		if (i % 100 == 0)
			check_works(&witness);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("liar");
	TCase *c = tcase_create("guest");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, a_lie_is_refused_and_counted, 0,
			    vmb_array_size(lies));
	tcase_add_test(c, a_process_without_hello_is_nobody);
	tcase_add_test(c, a_process_that_sends_nonsense_is_sent_away_alone);
	tcase_add_test(c, a_process_that_is_not_admitted_leaves);
	tcase_add_test(c, a_process_whose_hello_is_nonsense_leaves);
	tcase_add_test(c, too_many_processes_are_refused);
	tcase_add_test(c, memory_that_is_not_granted_is_refused);
	tcase_add_loop_test(c, lists_are_not_believed, 0, 2);
	tcase_add_test(c, exhaustion_is_an_error_and_no_lie);
	tcase_add_loop_test(c, an_impossible_position_ends_the_device, 0,
			    vmb_array_size(positions));
	tcase_add_test(c, other_words_of_the_ring_do_not_matter);
	tcase_add_test(c, a_full_ring_is_served);
	tcase_add_test(c, a_ring_that_changes_does_no_harm);
	tcase_add_loop_test(c, nodes_are_not_believed, 0,
			    vmb_array_size(nodes));
	tcase_add_test(c, states_out_of_turn_do_no_harm);
	tcase_add_test(c, a_flood_of_writes_is_borne);
	tcase_add_test(c, the_backend_is_found_by_its_own_path);
	tcase_add_loop_test(c, a_storm_is_heard_more_and_more_rarely, 0,
			    vmb_array_size(targets));
	tcase_add_test(c, a_long_storm_is_recorded);
	tcase_add_test(c, kicks_without_work_are_borne);
	tcase_add_loop_test(c, noise_does_no_harm, 0, 4);
	suite_add_tcase(s, c);
	return t_run(s);
}
