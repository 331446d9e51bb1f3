// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_exchange.c - messages and memory: guest to guest, guest to a process of
 * this machine, all through one engine that sleeps between them.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "support/guest.h"
#include "support/raw.h"
#include "support/run.h"

static struct t_vmbd v;
static struct t_guest web, mail;
static struct t_guest_endpoint a, b;
static uint64_t nic_web, nic_mail;

static void attach(struct t_guest *g, uint32_t id, const char *name,
		   uint64_t *nic)
{
	struct vmb_ctl_hello_reply hello;

	t_guest_start(g, &v, id, name);
	t_guest_attach(g);
	t_guest_connect(g);
	ck_assert_int_eq(t_guest_hello(g, 1, &hello), 0);
	ck_assert_uint_eq(hello.features, 0);
	*nic = hello.nic_id;
}

static void setup_threads(unsigned threads)
{
	t_xen_start();
	t_vmbd_start_threads(&v, NULL, threads);
	attach(&web, 5, "web", &nic_web);
	attach(&mail, 6, "mail", &nic_mail);
	ck_assert_int_eq(t_guest_open(&web, 1, 0, &a), 0);
	ck_assert_int_eq(t_guest_open(&mail, 1, 77, &b), 0);
}

static void setup(void)
{
	setup_threads(1);
}

static void setup_two(void)
{
	setup_threads(2);
}

static void teardown(void)
{
	t_vmbd_stop(&v);
	t_xen_stop();
}

START_TEST(boards_are_named_after_guests)
{
	union vmb_ctl_any msg = {
		.lookup = {.kind = VMB_LOOKUP_NAME, .name = "mail:0"}};
	struct vmb_xen_request r =
		t_guest_request(&web, 1, VMB_CTL_LOOKUP, &msg);
	struct vmb_xen_reply reply;
	struct vmb_ctl_lookup found;

	ck_assert_int_eq(t_guest_call(&web, &r, &reply), 0);
	memcpy(&found, reply.msg, sizeof(found));
	ck_assert_uint_eq(found.nic_id, nic_mail);
	strcpy(msg.lookup.name, "localhost");
	r = t_guest_request(&web, 1, VMB_CTL_LOOKUP, &msg);
	ck_assert_int_eq(t_guest_call(&web, &r, &reply), 0);
	memcpy(&found, reply.msg, sizeof(found));
	ck_assert_uint_eq(found.nic_id, nic_web);
	ck_assert_str_eq(found.name, "web:0");
}
END_TEST

static int lookup_handle(struct t_guest *g, uint32_t handle,
			 struct vmb_ctl_lookup *found)
{
	union vmb_ctl_any msg = {
		.lookup = {.kind = VMB_LOOKUP_HANDLE, .handle = handle}};
	struct vmb_xen_request r = t_guest_request(g, 1, VMB_CTL_LOOKUP, &msg);
	struct vmb_xen_reply reply;
	int status = t_guest_call(g, &r, &reply);

	memcpy(found, reply.msg, sizeof(*found));
	return status;
}

/* That one has gone is no secret of its guest's, nor lost with it. */
START_TEST(guests_are_told_who_left)
{
	struct vmb_ctl_lookup found;

	ck_assert_int_eq(t_guest_close(&b), 0);
	ck_assert_int_eq(lookup_handle(&web, b.handle, &found), 0);
	ck_assert_uint_eq(found.nic_id, nic_mail);
	ck_assert_uint_eq(found.id, b.id);
	ck_assert_str_eq(found.name, "mail:0");
	ck_assert_int_eq(t_vmbd_command(&v, NULL, "{s:s,s:s}", "cmd", "detach",
					"guest", "mail"),
			 0);
	t_vmbd_settle(&v);
	ck_assert_int_eq(lookup_handle(&web, b.handle, &found), 0);
	ck_assert_uint_eq(found.nic_id, nic_mail);
}
END_TEST

/* Generations come round: who has the handle now is meant. */
START_TEST(living_has_its_handle_to_itself)
{
	const struct vmbd_identity earlier = {.handle = b.handle, .id = 1234};
	struct vmb_ctl_lookup found;

	vmbd_departed_note(&v.d.departed, &earlier);
	ck_assert_int_eq(lookup_handle(&web, b.handle, &found), 0);
	ck_assert_uint_eq(found.id, b.id);
	ck_assert_int_eq(t_guest_close(&b), 0);
	ck_assert_int_eq(lookup_handle(&web, b.handle, &found), 0);
	ck_assert_uint_eq(found.id, b.id);
}
END_TEST

/*
 * Back and forth with pauses, in which everybody falls asleep: each message
 * needs a kick and a note. A lost one is a hang, which ends the test.
 */
START_TEST(guests_wake_each_other_through_the_engine)
{
	uint32_t to_a, to_b;

	ck_assert_int_eq(t_guest_peer(&web, 1, nic_mail, b.id, &to_b), 0);
	ck_assert_int_eq(t_guest_peer(&mail, 1, nic_web, a.id, &to_a), 0);
	ck_assert_uint_eq(to_b, b.handle);
	for (uint64_t i = 0; i < 300; i++) {
		if (i % 3 == 0) {
			usleep(200); /* the engine sleeps after 20 us */
			t_guest_arm(&b);
		}
		t_guest_send(&a, to_b, i);
		if (i % 3 == 0)
			t_guest_await_note(&b);
		t_guest_expect(&b, a.handle, i);
		t_guest_send(&b, to_a, i + 1000);
		t_guest_expect(&a, b.handle, i + 1000);
	}
	ck_assert_uint_ge(a.notes + b.notes, 100);
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_STORM), 0);
}
END_TEST

/*
 * The control thread does nothing: no turn of the loop between kick and
 * event. The engine thread reads the channel and unmasks it by itself.
 */
START_TEST(messages_flow_while_the_control_thread_is_held_up)
{
	struct vmb_slot event;
	uint32_t to_b;

	ck_assert_int_eq(t_guest_peer(&web, 1, nic_mail, b.id, &to_b), 0);
	for (uint64_t i = 0; i < 50; i++) {
		uint64_t end = vmb_now_ns() + 10000000000ull;

		usleep(500);
		t_guest_send(&a, to_b, i);
		while (!vmb_ring_peek(&b.events, &event))
			ck_assert_msg(vmb_now_ns() < end, "message %d is late",
				      (int)i);
		ck_assert_uint_eq(event.hdr, i);
		vmb_ring_release(&b.events, 1);
		vmb_publish(&b.ctl->consumed, vmb_pack(b.events.pos, 0));
	}
}
END_TEST

static void rdma(struct t_guest_endpoint *ep, unsigned op, uint32_t peer,
		 const struct vmb_slot_rdma *what, unsigned code)
{
	struct vmb_slot slot = {.op = (uint8_t)op, .peer = peer, .hdr = 42};
	struct vmb_slot event;

	memcpy(slot.payload, what, sizeof(*what));
	t_guest_post(ep, &slot);
	t_guest_next(ep, &event);
	ck_assert_int_eq(event.op, VMB_EV_DONE);
	ck_assert_uint_eq(event.hdr, 42);
	ck_assert_uint_eq(event.status, code);
}

/* looped: 1 page, as many as refs hold, and lists of 1 and of 2 pages */
static const uint32_t sizes[] = {1, 24, 25, 1025};

START_TEST(granted_memory_is_moved)
{
	uint32_t pages = sizes[_i], from = t_xen_pages(5, pages);
	uint32_t to = t_xen_pages(6, pages), to_b;
	uint64_t len = (uint64_t)pages * VMB_PAGE - 100 - 28;
	unsigned before = t_xen_usage().pages;
	uint64_t key_from, key_to;
	char *source = (char *)t_xen_page(5, from) + 100;
	char *sink = (char *)t_xen_page(6, to) + 28;

	for (uint64_t i = 0; i < len; i++)
		source[i] = (char)(i * 31 + i / VMB_PAGE);
	ck_assert_int_eq(t_guest_peer(&web, 1, nic_mail, b.id, &to_b), 0);
	ck_assert_int_eq(
		t_guest_register(&web, 1, from, 100, len, 0, &key_from), 0);
	ck_assert_int_eq(t_guest_register(&mail, 1, to, 28, len,
					  VMB_ACCESS_REMOTE_WRITE, &key_to),
			 0);
	ck_assert_uint_eq(t_xen_usage().pages, before + 2 * pages);
	rdma(&a, VMB_OP_PUT, to_b,
	     &(struct vmb_slot_rdma){
		     .local_key = key_from, .remote_key = key_to, .len = len},
	     VMB_CODE_OK);
	ck_assert_mem_eq(source, sink, len);
	ck_assert_int_eq(sink[-1], 0); /* and not a byte beside it */
	ck_assert_int_eq(sink[len], 0);
	rdma(&a, VMB_OP_PUT, to_b,
	     &(struct vmb_slot_rdma){.local_key = key_from,
				     .remote_key = key_to,
				     .len = len + 1},
	     VMB_CODE_BAD_RANGE);
	rdma(&a, VMB_OP_GET, to_b,
	     &(struct vmb_slot_rdma){
		     .local_key = key_from, .remote_key = key_to, .len = 1},
	     VMB_CODE_DENIED);
	ck_assert_int_eq(t_guest_deregister(&mail, 1, key_to), 0);
	ck_assert_int_eq(t_guest_deregister(&web, 1, key_from), 0);
	ck_assert_uint_eq(t_xen_usage().pages, before);
}
END_TEST

/* A key of another guest is no key here. */
START_TEST(keys_end_at_the_guest)
{
	uint32_t page = t_xen_pages(6, 1), to_b;
	uint64_t key;

	ck_assert_int_eq(t_guest_peer(&web, 1, nic_mail, b.id, &to_b), 0);
	ck_assert_int_eq(t_guest_register(&mail, 1, page, 0, VMB_PAGE, 0, &key),
			 0);
	rdma(&a, VMB_OP_PUT, to_b,
	     &(struct vmb_slot_rdma){
		     .local_key = key, .remote_key = key, .len = 8},
	     VMB_CODE_BAD_KEY);
	ck_assert_int_eq(t_guest_deregister(&web, 1, key), -ENOENT);
}
END_TEST

START_TEST(leave_ends_what_the_client_held)
{
	struct t_guest_endpoint c;
	struct vmb_slot event;
	uint32_t to_c;
	uint64_t key;

	ck_assert_int_eq(t_guest_hello(&web, 9, NULL), 0);
	ck_assert_int_eq(t_guest_open(&web, 9, 5, &c), 0);
	ck_assert_int_eq(t_guest_register(&web, 9, t_xen_pages(5, 30), 0, 1000,
					  0, &key),
			 0);
	ck_assert_int_eq(t_guest_peer(&mail, 1, nic_web, c.id, &to_c), 0);
	t_guest_send(&b, to_c, 1);
	t_guest_expect(&c, b.handle, 1);
	ck_assert(!t_xen_grant_end(5, c.first_ref));
	ck_assert_int_eq(t_guest_leave(&web, 9), 0);
	ck_assert(t_xen_grant_end(5, c.first_ref));
	t_guest_next(&b, &event);
	ck_assert_int_eq(event.op, VMB_EV_GONE);
	/* number and slot are free again */
	ck_assert_int_eq(t_guest_hello(&web, 9, NULL), 0);
	ck_assert_int_eq(t_guest_open(&web, 9, 5, &c), 0);
}
END_TEST

/* One LANE request; its reply in *lane on success. */
static int ask_lane(struct t_guest *g, uint32_t client,
		    struct vmb_ctl_lane *lane)
{
	union vmb_ctl_any msg = {.lane = *lane};
	struct vmb_xen_request r =
		t_guest_request(g, client, VMB_CTL_LANE, &msg);
	struct vmb_xen_reply reply;
	int status = t_guest_call(g, &r, &reply);

	if (!status)
		memcpy(lane, reply.msg, sizeof(*lane));
	return status;
}

static struct vmb_ctl_lane lane_offer(uint32_t receiver, uint32_t sender)
{
	return (struct vmb_ctl_lane){.kind = VMB_LANE_OFFER,
				     .handle = receiver,
				     .peer = sender,
				     .slots = VMB_LANE_SLOTS_MIN,
				     .bytes = VMB_LANE_BYTES_MIN};
}

static size_t lanes_listed(void)
{
	json_t *rows;
	size_t n;

	ck_assert_int_eq(t_vmbd_command(&v, &rows, "{s:s}", "cmd", "lanes"), 0);
	n = json_array_size(rows);
	json_decref(rows);
	return n;
}

/* Each is told which domain the other one is; nothing is mapped for it. */
START_TEST(lanes_are_introduced_between_guests)
{
	struct vmb_ctl_lane offer = lane_offer(b.handle, a.handle), accept;

	ck_assert_int_eq(ask_lane(&mail, 1, &offer), 0);
	ck_assert_uint_eq(offer.guest, 5);
	accept = (struct vmb_ctl_lane){.kind = VMB_LANE_ACCEPT,
				       .handle = a.handle,
				       .peer = b.handle,
				       .ticket = offer.ticket + 1};
	ck_assert_int_eq(ask_lane(&web, 1, &accept), -ENOENT);
	accept.ticket = offer.ticket;
	ck_assert_int_eq(ask_lane(&web, 1, &accept), 0);
	ck_assert_uint_eq(accept.guest, 6);
	ck_assert_uint_eq(accept.slots, VMB_LANE_SLOTS_MIN);
	ck_assert_uint_eq(accept.bytes, VMB_LANE_BYTES_MIN);
	ck_assert_uint_eq(lanes_listed(), 1);
	offer = (struct vmb_ctl_lane){.kind = VMB_LANE_CLOSE,
				      .ticket = offer.ticket};
	ck_assert_int_eq(ask_lane(&mail, 1, &offer), 0);
	ck_assert_uint_eq(lanes_listed(), 0);
}
END_TEST

/* What was under way when a lane ended is late; what never was is a lie. */
START_TEST(late_words_about_lanes_are_no_lies)
{
	struct vmb_ctl_lane lane = lane_offer(b.handle, a.handle), accept;
	struct vmb_ctl_lane close = {.kind = VMB_LANE_CLOSE};

	ck_assert_int_eq(ask_lane(&mail, 1, &lane), 0);
	close.ticket = lane.ticket;
	ck_assert_int_eq(ask_lane(&mail, 1, &close), 0);
	close.ticket = lane.ticket; /* the answer took its place */
	ck_assert_int_eq(ask_lane(&mail, 1, &close), -ENOENT);
	accept = (struct vmb_ctl_lane){.kind = VMB_LANE_ACCEPT,
				       .handle = a.handle,
				       .peer = b.handle,
				       .ticket = lane.ticket};
	ck_assert_int_eq(ask_lane(&web, 1, &accept), -ENOENT);
	lane = lane_offer(b.handle, a.handle);
	ck_assert_int_eq(ask_lane(&mail, 1, &lane), 0);
	ck_assert_int_eq(t_guest_close(&b), 0);
	close.ticket = lane.ticket;
	ck_assert_int_eq(ask_lane(&mail, 1, &close), -ENOENT);
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_LANE), 0);
	close.ticket++;
	ck_assert_int_eq(ask_lane(&mail, 1, &close), -ENOENT);
	close.ticket = 0;
	ck_assert_int_eq(ask_lane(&mail, 1, &close), -ENOENT);
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_LANE), 2);
	/* its own by somebody else, though it has ended */
	close.ticket = lane.ticket;
	ck_assert_int_eq(ask_lane(&web, 1, &close), -ENOENT);
	ck_assert_uint_eq(t_vmbd_faults(&v, VMB_NIC_FAULT_LANE), 3);
}
END_TEST

START_TEST(a_lane_within_a_guest_is_told_apart)
{
	struct t_guest_endpoint c;
	struct vmb_ctl_lane offer;

	ck_assert_int_eq(t_guest_hello(&web, 9, NULL), 0);
	ck_assert_int_eq(t_guest_open(&web, 9, 5, &c), 0);
	offer = lane_offer(c.handle, a.handle);
	ck_assert_int_eq(ask_lane(&web, 9, &offer), 0);
	ck_assert_uint_eq(offer.guest, VMB_LANE_SAME_GUEST);
}
END_TEST

/* One guest dies, the other hears of it and goes on. */
START_TEST(death_is_told_to_peers)
{
	struct vmb_slot event;
	uint32_t to_b;

	ck_assert_int_eq(t_guest_peer(&web, 1, nic_mail, b.id, &to_b), 0);
	t_guest_send(&a, to_b, 1);
	t_guest_expect(&b, a.handle, 1);
	t_xen_domain_die(5);
	t_guest_next(&b, &event);
	ck_assert_int_eq(event.op, VMB_EV_GONE);
	ck_assert_uint_eq(event.peer, a.handle);
	t_guest_send(&b, b.handle, 5);
	t_guest_expect(&b, b.handle, 5);
}
END_TEST

/* ---- a process of this machine ------------------------------------------ */

struct process {
	pthread_t thread;
	struct t_raw_endpoint ep;
	struct vmb_ring doorbell, events;
	struct vmb_control_page *ctl;
	uint32_t peer;
	bool done;
};

static void process_post(struct process *p, uint64_t number)
{
	const struct vmb_slot slot = {
		.op = VMB_OP_SEND, .peer = p->peer, .hdr = number};
	const uint64_t one = 1;

	ck_assert_int_eq(
		vmb_ring_observe(&p->doorbell,
				 vmb_low(vmb_observe(&p->ctl->progress))),
		0);
	vmb_ring_commit(&p->doorbell, &slot);
	vmb_arm_fence();
	if (vmb_load_relaxed(&p->ctl->kick_arm))
		ck_assert_int_eq(write(p->ep.kick_fd, &one, sizeof(one)), 8);
}

static uint64_t process_next(struct process *p, uint32_t arm)
{
	struct pollfd poll_fd = {.fd = p->ep.notify_fd, .events = POLLIN};
	struct vmb_slot event;
	char byte;

	vmb_store_relaxed(&p->ctl->event_arm, arm);
	vmb_arm_fence();
	while (!vmb_ring_peek(&p->events, &event)) {
		ck_assert_int_eq(poll(&poll_fd, 1, 10000), 1);
		ck_assert_int_eq(read(p->ep.notify_fd, &byte, 1), 1);
	}
	ck_assert_int_eq(event.op, VMB_EV_ARRIVE);
	vmb_ring_release(&p->events, 1);
	vmb_publish(&p->ctl->consumed, vmb_pack(p->events.pos, 0));
	return event.hdr;
}

/* Finds the guest by its name, and answers what it sends. */
static void *process_main(void *arg)
{
	const struct vmb_geometry g = t_raw_geometry();
	struct process *p = arg;
	int fd = t_raw_attach(v.options.socket, "");

	t_raw_endpoint_open(fd, 3, &p->ep);
	p->ctl = (void *)(p->ep.area + VMB_AREA_CONTROL);
	vmb_ring_init(&p->doorbell, p->ep.area + VMB_AREA_DOORBELL,
		      VMB_DOORBELL_SLOTS, 0);
	vmb_ring_init(&p->events, p->ep.area + VMB_AREA_EQ, g.eq_slots, 0);
	ck_assert_int_eq(t_raw_peer(fd, nic_web, a.id, 0, &p->peer), 0);
	process_post(p, 1);
	for (uint32_t i = 1; i <= 100; i++)
		process_post(p, process_next(p, i) + 1);
	t_raw_endpoint_drop(&p->ep);
	close(fd);
	__atomic_store_n(&p->done, true, __ATOMIC_RELEASE);
	return NULL;
}

START_TEST(a_guest_talks_to_a_process)
{
	struct process p = {.done = false};
	struct vmb_slot event;

	ck_assert_int_eq(pthread_create(&p.thread, NULL, process_main, &p), 0);
	for (uint64_t i = 0; i < 100; i++) {
		t_guest_next(&a, &event);
		ck_assert_int_eq(event.op, VMB_EV_ARRIVE);
		ck_assert_uint_eq(event.hdr, 2 * i + 1);
		t_guest_send(&a, event.peer, event.hdr + 1);
	}
	t_vmbd_until(&v, __atomic_load_n(&p.done, __ATOMIC_ACQUIRE));
	pthread_join(p.thread, NULL);
}
END_TEST

/* A process must not become part of a guest. */
static void *join_main(void *arg)
{
	struct vmb_ctl_hello_reply reply;
	int fd = t_raw_connect(v.options.socket), *status = arg;
	int err = t_raw_hello(fd, "web", &reply);

	close(fd);
	__atomic_store_n(status, err ? err : 1, __ATOMIC_RELEASE);
	return NULL;
}

START_TEST(no_process_joins_a_guest)
{
	pthread_t thread;
	int status = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, join_main, &status), 0);
	t_vmbd_until(&v, __atomic_load_n(&status, __ATOMIC_ACQUIRE));
	pthread_join(thread, NULL);
	ck_assert_int_eq(status, -EACCES);
}
END_TEST

/* ---- who uses what ------------------------------------------------------ */

static void check_text(const json_t *row, const char *key, const char *value)
{
	ck_assert_str_eq(json_string_value(json_object_get(row, key)), value);
}

START_TEST(listings_name_the_guest)
{
	static const char *const lists[] = {"endpoints", "regions", "clients"};
	json_t *rows;
	uint64_t key;

	ck_assert_int_eq(t_guest_register(&web, 1, t_xen_pages(5, 1), 0, 100, 0,
					  &key),
			 0);
	for (unsigned i = 0; i < vmb_array_size(lists); i++) {
		ck_assert_int_eq(
			t_vmbd_command(&v, &rows, "{s:s}", "cmd", lists[i]), 0);
		check_text(json_array_get(rows, 0), "guest", "web");
		check_text(json_array_get(rows, 0), "domain_name", "web");
		ck_assert_ptr_null(
			json_object_get(json_array_get(rows, 0), "pid"));
		json_decref(rows);
	}
	ck_assert_int_eq(t_vmbd_command(&v, &rows, "{s:s}", "cmd", "guests"),
			 0);
	ck_assert_int_eq(json_integer_value(json_object_get(
				 json_array_get(rows, 0), "memory_bytes")),
			 100 + a.pages * VMB_PAGE); /* with its area */
	check_text(json_array_get(rows, 0), "uuid",
		   "00000000-0000-0000-0000-000000000001");
	json_decref(rows);
	ck_assert_int_eq(t_vmbd_command(&v, &rows, "{s:s}", "cmd", "status"),
			 0);
	check_text(rows, "platform", "local xen");
	json_decref(rows);
}
END_TEST

/* looped: with one engine thread, and with two */
static void add_case(Suite *s, const char *name, SFun start)
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, start, teardown);
	tcase_add_test(c, boards_are_named_after_guests);
	tcase_add_test(c, guests_are_told_who_left);
	tcase_add_test(c, living_has_its_handle_to_itself);
	tcase_add_test(c, guests_wake_each_other_through_the_engine);
	tcase_add_test(c, messages_flow_while_the_control_thread_is_held_up);
	tcase_add_loop_test(c, granted_memory_is_moved, 0,
			    vmb_array_size(sizes));
	tcase_add_test(c, keys_end_at_the_guest);
	tcase_add_test(c, leave_ends_what_the_client_held);
	tcase_add_test(c, lanes_are_introduced_between_guests);
	tcase_add_test(c, late_words_about_lanes_are_no_lies);
	tcase_add_test(c, a_lane_within_a_guest_is_told_apart);
	tcase_add_test(c, death_is_told_to_peers);
	tcase_add_test(c, a_guest_talks_to_a_process);
	tcase_add_test(c, no_process_joins_a_guest);
	tcase_add_test(c, listings_name_the_guest);
	suite_add_tcase(s, c);
}

int main(void)
{
	Suite *s = suite_create("exchange");

	add_case(s, "one engine thread", setup);
	add_case(s, "two engine threads", setup_two);
	return t_run(s);
}
