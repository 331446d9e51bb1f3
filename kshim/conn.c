// SPDX-License-Identifier: GPL-2.0-only
/*
 * One connection with a backend: the ring page, the events page, the
 * event channel, and how all of it ends.
 *
 * Flow:  client.c -> vmb_conn_send() -> ring page -> backend;
 *        backend -> ring page -> interrupt thread -> client.c;
 *        backend -> events page -> interrupt -> endpoint->wait
 * Owns:  both pages, the channel, the numbers of clients, the endpoints' slots
 * Trust: a reply is copied once; it must answer a request that is under way,
 *        for the same client, in the right shape. If not, the connection ends.
 */
#include "shim.h"

#include <linux/interrupt.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <asm/sync_bitops.h>
#include <xen/events.h>

#define LEN(request_, reply_)                                  \
	{                                                      \
		sizeof(struct request_), sizeof(struct reply_) \
	}

const struct vmb_len vmb_lens[] = {
	[VMB_CTL_HELLO] = LEN(vmb_ctl_hello, vmb_ctl_hello_reply),
	[VMB_CTL_OPEN] = LEN(vmb_ctl_open, vmb_ctl_open_reply),
	[VMB_CTL_CLOSE] = LEN(vmb_ctl_close, vmb_ctl_head),
	[VMB_CTL_REGISTER] = LEN(vmb_ctl_register, vmb_ctl_register_reply),
	[VMB_CTL_DEREGISTER] = LEN(vmb_ctl_deregister, vmb_ctl_head),
	[VMB_CTL_CONNECT] = LEN(vmb_ctl_connect, vmb_ctl_connect_reply),
	[VMB_CTL_LOOKUP] = LEN(vmb_ctl_lookup, vmb_ctl_lookup),
	[VMB_CTL_LANE] = LEN(vmb_ctl_lane, vmb_ctl_lane),
	[VMB_CTL_LEAVE] = LEN(vmb_ctl_head, vmb_ctl_head),
};

/* ---- the end -------------------------------------------------------------- */

/* Every request comes back to its client, which drops it. */
static void requests_return(struct vmb_conn *conn)
{
	struct vmb_request *request, *next;
	u32 i;

	for (i = 0; i < VMB_FLIGHT; i++) {
		request = conn->flight[i];
		if (request)
			list_add_tail(&request->link, &request->client->answered);
		conn->flight[i] = NULL;
	}
	list_for_each_entry_safe(request, next, &conn->queue, link)
		list_move_tail(&request->link, &request->client->answered);
}

/* Each client's work drops what it holds, and wakes who waits for it. */
static void conn_kill(struct vmb_conn *conn)
{
	struct vmb_client *client;

	lockdep_assert_held(&conn->lock);

	WRITE_ONCE(conn->dead, true);
	requests_return(conn);
	list_for_each_entry(client, &conn->clients, link) {
		wake_up_all(&client->wait);
		vmb_client_work(client);
	}
}

/* Ends all clients, as often as anybody likes. */
void vmb_conn_end(struct vmb_conn *conn)
{
	spin_lock(&conn->lock);
	if (!conn->dead)
		conn_kill(conn);
	spin_unlock(&conn->lock);
}

/* ---- requests ------------------------------------------------------------- */

static void request_compose(struct vmb_request *request, struct vmb_xen_request *out)
{
	struct vmb_memory *memory, *named;
	u32 op = request->msg.head.op;

	memset(out, 0, sizeof(*out));
	out->id = request->id;
	out->client = request->client->number;
	memcpy(out->msg, &request->msg, request->msg.head.len);
	if (op != VMB_CTL_OPEN && op != VMB_CTL_REGISTER)
		return;

	memory = request->object->memory;
	named = memory->lists ?: memory;
	out->slot = request->object->slot;
	out->pages = memory->count;
	memcpy(out->refs, named->refs, named->granted * sizeof(*named->refs));
}

/* Moves what fits from the queue to the ring. */
static void conn_push(struct vmb_conn *conn)
{
	struct vmb_request *request;
	u32 place = 0;
	int notify;

	lockdep_assert_held(&conn->lock);
	BUILD_BUG_ON(__CONST_RING_SIZE(vmb_xen, PAGE_SIZE) != VMB_FLIGHT);

	while (!RING_FULL(&conn->ring)) {
		request = list_first_entry_or_null(&conn->queue, struct vmb_request, link);
		if (!request)
			break;
		/* No more requests are under way than the ring has slots. */
		while (conn->flight[place])
			place++;
		list_del(&request->link);
		request->id = conn->requests++ * VMB_FLIGHT + place;
		conn->flight[place] = request;
		request_compose(request, RING_GET_REQUEST(&conn->ring, conn->ring.req_prod_pvt));
		conn->ring.req_prod_pvt++;
	}
	RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&conn->ring, notify);
	if (notify)
		notify_remote_via_irq(conn->irq);
}

/* The connection is not dead; conn->lock is held. */
void vmb_conn_send(struct vmb_conn *conn, struct vmb_request *request)
{
	list_add_tail(&request->link, &conn->queue);
	request->client->unanswered++;
	conn_push(conn);
}

/* ---- replies -------------------------------------------------------------- */

/* Whether it answers that request of that client, in the right shape. */
static bool reply_fits(const struct vmb_xen_reply *reply, const struct vmb_ctl_head *head,
		       const struct vmb_request *request)
{
	const struct vmb_ctl_head *asked = &request->msg.head;

	return request->id == reply->id && request->client->number == reply->client &&
	       head->op == asked->op && head->tag == asked->tag && head->status <= 0 &&
	       head->status >= -MAX_ERRNO &&
	       head->len == (head->status ? sizeof(*head) : vmb_lens[head->op].reply) &&
	       /* the last one of its client */
	       (head->op != VMB_CTL_LEAVE || request->client->unanswered == 1);
}

/* Takes one reply, if it is one. */
static bool reply_take(struct vmb_conn *conn, const struct vmb_xen_reply *reply)
{
	struct vmb_request *request = conn->flight[reply->id % VMB_FLIGHT];
	struct vmb_ctl_head head;

	memcpy(&head, reply->msg, sizeof(head));
	if (!request || !reply_fits(reply, &head, request)) {
		pr_err_ratelimited("domain %u: reply to nothing, operation %u, status %d\n",
				   conn->backend, head.op, head.status);
		return false;
	}
	conn->flight[reply->id % VMB_FLIGHT] = NULL;
	memset(&request->msg, 0, sizeof(request->msg));
	memcpy(&request->msg, reply->msg, head.len);
	request->client->unanswered--;
	list_add_tail(&request->link, &request->client->answered);
	vmb_client_work(request->client);
	return true;
}

/* Takes the replies up to @prod, if all of them are. */
static bool replies_take(struct vmb_conn *conn, RING_IDX prod)
{
	struct vmb_xen_reply reply;

	if (RING_RESPONSE_PROD_OVERFLOW(&conn->ring, prod)) {
		pr_err_ratelimited("domain %u: reply index %u after %u\n", conn->backend, prod,
				   conn->ring.rsp_cons);
		return false;
	}
	virt_rmb(); /* replies after the index, pairs with RING_PUSH_RESPONSES */

	while (conn->ring.rsp_cons != prod) {
		RING_COPY_RESPONSE(&conn->ring, conn->ring.rsp_cons, &reply);
		if (!reply_take(conn, &reply))
			return false;
		conn->ring.rsp_cons++;
	}
	return true;
}

/*
 * Takes all replies, and sends what waited for room. Ends: each round takes a
 * reply, and each reply a request of a process. Returns whether there was any.
 */
static bool conn_replies(struct vmb_conn *conn)
{
	bool useful = false;
	RING_IDX prod;
	int more;

	spin_lock(&conn->lock);
	while (!conn->dead) {
		RING_FINAL_CHECK_FOR_RESPONSES(&conn->ring, more);
		prod = READ_ONCE(conn->ring.sring->rsp_prod);
		if (!more || prod == conn->ring.rsp_cons)
			break;
		useful = true;
		if (replies_take(conn, prod)) {
			conn_push(conn);
			continue;
		}
		/* The backend did what no backend does. */
		WRITE_ONCE(conn->broken, true);
		conn_kill(conn);
		vmb_xenbus_broken();
	}
	spin_unlock(&conn->lock);
	return useful;
}

/* ---- interrupts ----------------------------------------------------------- */

/* Passes on the notifications. Returns whether there was one for anybody. */
static bool conn_notes(struct vmb_conn *conn)
{
	unsigned long *notes = (unsigned long *)conn->events->notes;
	struct vmb_object *endpoint;
	unsigned long bits;
	bool useful = false;
	u32 base, bit;

	rcu_read_lock();
	for (base = 0; base < VMB_XEN_SLOTS; base += BITS_PER_LONG, notes++) {
		bits = READ_ONCE(*notes) ? xchg(notes, 0) : 0;
		for_each_set_bit(bit, &bits, BITS_PER_LONG) {
			endpoint = rcu_dereference(conn->slots[base + bit]);
			if (!endpoint)
				continue;
			WRITE_ONCE(endpoint->noted, true);
			wake_up(&endpoint->wait);
			useful = true;
		}
	}
	rcu_read_unlock();
	return useful;
}

static bool backend_gone(struct vmb_conn *conn)
{
	return READ_ONCE(conn->connected) && !READ_ONCE(conn->events->alive);
}

/*
 * The channel stays masked until xen_irq_lateeoi(), so the interrupt and its
 * thread never run at once; events that bring nothing are unmasked later and
 * later by the kernel.
 */
static irqreturn_t conn_interrupt(int irq, void *data)
{
	struct vmb_conn *conn = data;
	bool useful = conn_notes(conn);

	if (!READ_ONCE(conn->dead) &&
	    (READ_ONCE(conn->ring.sring->rsp_prod) != conn->ring.rsp_cons || backend_gone(conn)))
		return IRQ_WAKE_THREAD;

	if (!READ_ONCE(conn->events->alive))
		wake_up(&conn->gone);
	xen_irq_lateeoi(irq, useful ? 0 : XEN_EOI_FLAG_SPURIOUS);
	return IRQ_HANDLED;
}

static irqreturn_t conn_thread(int irq, void *data)
{
	struct vmb_conn *conn = data;
	bool useful = conn_replies(conn);

	if (backend_gone(conn))
		vmb_conn_end(conn);
	xen_irq_lateeoi(irq, useful ? 0 : XEN_EOI_FLAG_SPURIOUS);
	return IRQ_HANDLED;
}

/*
 * Kicks the engine for @slot. Under RCU, because after a grace period that
 * follows the end the channel is somebody else's.
 */
int vmb_conn_kick(struct vmb_conn *conn, u32 slot)
{
	int err = -EPIPE;

	rcu_read_lock();
	if (!READ_ONCE(conn->dead)) {
		if (!sync_test_and_set_bit(slot, (unsigned long *)conn->events->kicks))
			notify_remote_via_irq(conn->irq);
		err = 0;
	}
	rcu_read_unlock();
	return err;
}

/* ---- begin and end -------------------------------------------------------- */

static int conn_channel(struct vmb_conn *conn, struct xenbus_device *dev)
{
	int err, irq;

	err = xenbus_alloc_evtchn(dev, &conn->port);
	if (err)
		return err;

	irq = bind_evtchn_to_irq_lateeoi(conn->port);
	if (irq < 0) {
		xenbus_free_evtchn(dev, conn->port);
		return irq;
	}
	conn->irq = irq;

	err = request_threaded_irq(irq, conn_interrupt, conn_thread, 0, KBUILD_MODNAME, conn);
	if (err)
		unbind_from_irqhandler(irq, conn);
	return err;
}

static void conn_free(struct kref *kref)
{
	struct vmb_conn *conn = container_of(kref, struct vmb_conn, kref);

	vmb_memory_free(conn->pages);
	kvfree(conn);
}

void vmb_conn_put(struct vmb_conn *conn)
{
	kref_put(&conn->kref, conn_free);
}

/* Makes the pages and the channel that will be offered in @session. */
struct vmb_conn *vmb_conn_open(struct xenbus_device *dev, const char *session)
{
	struct vmb_conn *conn;
	int err;

	conn = kvzalloc(sizeof(*conn), GFP_KERNEL);
	if (!conn)
		return ERR_PTR(-ENOMEM);

	kref_init(&conn->kref);
	spin_lock_init(&conn->lock);
	init_waitqueue_head(&conn->gone);
	INIT_LIST_HEAD(&conn->queue);
	INIT_LIST_HEAD(&conn->clients);
	conn->backend = dev->otherend_id;
	strscpy(conn->session, session, sizeof(conn->session));

	conn->pages = vmb_memory_alloc(2, conn->backend, false);
	if (IS_ERR(conn->pages)) {
		err = PTR_ERR(conn->pages);
		kvfree(conn);
		return ERR_PTR(err);
	}
	conn->ring.sring = page_address(conn->pages->pages[0]);
	XEN_FRONT_RING_INIT(&conn->ring, conn->ring.sring, PAGE_SIZE);
	conn->events = page_address(conn->pages->pages[1]);

	err = conn_channel(conn, dev);
	if (err) {
		vmb_conn_put(conn);
		return ERR_PTR(err);
	}
	return conn;
}

/*
 * Ends it and gives back the channel and the grants of its pages. A backend
 * that is there and has been told gets a second to unmap them, so that none of
 * them is left over.
 */
void vmb_conn_close(struct vmb_conn *conn, bool told)
{
	vmb_conn_end(conn);
	if (told)
		wait_event_timeout(conn->gone, !READ_ONCE(conn->events->alive), HZ);
	synchronize_rcu(); /* vmb_conn_kick() */
	unbind_from_irqhandler(conn->irq, conn);
	vmb_memory_revoke(conn->pages);
	vmb_conn_put(conn);
}
