// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client of the daemon: an open control file, what it holds, and
 * what replies change about that.
 *
 * Flow:  chardev.c makes a request; conn.c sends it, and brings the reply to
 *        client->answered; [here] it takes effect and goes on to read()
 * Owns:  clients, and their objects: endpoints and regions
 * Trust: handles and keys are the backend's words. They find what the same
 *        client holds, nothing else, and need not even be different.
 *
 * The end of a client: when the file is closed, LEAVE follows its last request.
 * All that it holds is kept until LEAVE was answered, or the connection ended.
 */
#include "shim.h"

#include <linux/slab.h>

/* ---- objects -------------------------------------------------------------- */

static void object_free(struct kref *kref)
{
	struct vmb_object *object = container_of(kref, struct vmb_object, kref);

	vmb_memory_free(object->memory);
	vmb_conn_put(object->conn);
	kfree_rcu(object, rcu);
}

void vmb_object_put(struct vmb_object *object)
{
	kref_put(&object->kref, object_free);
}

/* Takes a slot of the events page. */
static int slot_get(struct vmb_conn *conn, struct vmb_object *object)
{
	int err = -EBUSY;
	u32 slot;

	spin_lock(&conn->lock);
	for (slot = 0; slot < VMB_XEN_SLOTS && err; slot++) {
		if (rcu_access_pointer(conn->slots[slot]))
			continue;
		object->slot = slot;
		rcu_assign_pointer(conn->slots[slot], object);
		err = 0;
	}
	spin_unlock(&conn->lock);
	return err;
}

/*
 * An endpoint or a region of @memory, which becomes its own, also where this
 * fails. @memory may be an error, which is returned; -EBUSY: no slot is free.
 */
int vmb_object_new(struct vmb_conn *conn, struct vmb_memory *memory, bool endpoint,
		   struct vmb_object **out)
{
	struct vmb_object *object;
	int err = 0;

	if (IS_ERR(memory))
		return PTR_ERR(memory);

	object = kzalloc(sizeof(*object), GFP_KERNEL_ACCOUNT);
	if (!object) {
		vmb_memory_free(memory);
		return -ENOMEM;
	}
	kref_init(&object->kref);
	kref_get(&conn->kref);
	init_waitqueue_head(&object->wait);
	object->conn = conn;
	object->memory = memory;
	object->endpoint = endpoint;
	if (endpoint)
		err = slot_get(conn, object);
	if (err)
		vmb_object_put(object);
	else
		*out = object;
	return err;
}

/* No kick, no notification, no grant any more; and its holder lets go of it. */
static void object_end(struct vmb_object *object)
{
	struct vmb_conn *conn = object->conn;

	spin_lock(&conn->lock);
	if (object->endpoint)
		RCU_INIT_POINTER(conn->slots[object->slot], NULL);
	WRITE_ONCE(object->ended, true);
	spin_unlock(&conn->lock);

	wake_up_all(&object->wait);
	vmb_memory_unlist(object->memory);
	vmb_memory_revoke(object->memory);
	vmb_object_put(object);
}

/* The client's endpoint or region of that name, or NULL. conn->lock is held. */
struct vmb_object *vmb_object_find(struct vmb_client *client, bool endpoint, u64 name)
{
	struct vmb_object *object;

	hash_for_each_possible(client->objects, object, node, name)
		if (object->name == name && object->endpoint == endpoint)
			return object;
	return NULL;
}

/* ---- requests ------------------------------------------------------------- */

/* Never sent, or the connection has ended: nothing of it remains. */
void vmb_request_drop(struct vmb_request *request)
{
	if (request->object)
		object_end(request->object);
	if (request != &request->client->leave)
		kfree(request);
}

/* Its msg is the reply: for read(), if there still is somebody to read. */
void vmb_request_deliver(struct vmb_request *request)
{
	struct vmb_client *client = request->client;
	bool closed;

	spin_lock(&client->conn->lock);
	closed = client->closed;
	if (!closed)
		list_add_tail(&request->link, &client->replies);
	spin_unlock(&client->conn->lock);

	if (closed)
		kfree(request);
	else
		wake_up_interruptible(&client->wait);
}

/* Its object is the client's from now on, or again, or is no more. */
static void object_done(struct vmb_client *client, struct vmb_request *request)
{
	struct vmb_object *object = request->object;
	u32 op = request->msg.head.op;
	bool made = op == VMB_CTL_OPEN || op == VMB_CTL_REGISTER;
	bool good = !request->msg.head.status;

	request->object = NULL;
	if (made)
		vmb_memory_unlist(object->memory);
	if (made != good) {
		object_end(object);
		return;
	}

	if (op == VMB_CTL_OPEN)
		object->name = request->msg.open_reply.handle;
	else if (op == VMB_CTL_REGISTER)
		object->name = request->msg.reg_reply.key;
	spin_lock(&client->conn->lock);
	hash_add(client->objects, &object->node, object->name);
	spin_unlock(&client->conn->lock);
}

/* ---- the client's work ---------------------------------------------------- */

static void client_free(struct kref *kref)
{
	struct vmb_client *client = container_of(kref, struct vmb_client, kref);

	vmb_conn_put(client->conn);
	kfree(client);
}

/* Has its work done, soon. conn->lock is held. */
void vmb_client_work(struct vmb_client *client)
{
	kref_get(&client->kref);
	if (!queue_work(vmb_wq, &client->work))
		kref_put(&client->kref, client_free);
}

/* If nothing more will come: out of the connection, with all that it holds. */
static void client_remove(struct vmb_client *client)
{
	struct vmb_conn *conn = client->conn;
	struct vmb_object *object;
	struct hlist_node *next;
	HLIST_HEAD(objects);
	bool over;
	u32 bucket;

	spin_lock(&conn->lock);
	over = list_empty(&client->answered) && (conn->dead || client->left) &&
	       !list_empty(&client->link);
	if (over) {
		list_del_init(&client->link);
		hash_for_each_safe(client->objects, bucket, next, object, node) {
			hash_del(&object->node);
			hlist_add_head(&object->node, &objects);
		}
	}
	spin_unlock(&conn->lock);
	if (!over)
		return;

	hlist_for_each_entry_safe(object, next, &objects, node)
		object_end(object);

	spin_lock(&conn->lock);
	__clear_bit(client->number, conn->numbers);
	spin_unlock(&conn->lock);
	kref_put(&client->kref, client_free);
}

/* Replies take effect here, in order, before the process sees them. */
static void client_work(struct work_struct *work)
{
	struct vmb_client *client = container_of(work, struct vmb_client, work);
	struct vmb_request *request, *next;
	LIST_HEAD(answered);

	spin_lock(&client->conn->lock);
	list_splice_init(&client->answered, &answered);
	spin_unlock(&client->conn->lock);

	list_for_each_entry_safe(request, next, &answered, link) {
		if (READ_ONCE(client->conn->dead)) {
			vmb_request_drop(request); /* it may have no reply */
		} else if (request == &client->leave) {
			client->left = true;
		} else {
			if (request->object)
				object_done(client, request);
			vmb_request_deliver(request);
		}
	}
	client_remove(client);
	kref_put(&client->kref, client_free);
}

/* ---- open and close ------------------------------------------------------- */

/*
 * A new client of @conn. -ENXIO: the connection has ended; -EUSERS: all numbers
 * are taken; -ENOMEM.
 */
int vmb_client_open(struct vmb_conn *conn, struct vmb_client **out)
{
	struct vmb_client *client;
	int err = 0;

	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		return -ENOMEM;

	kref_init(&client->kref);
	kref_get(&conn->kref);
	client->conn = conn;
	init_waitqueue_head(&client->wait);
	INIT_LIST_HEAD(&client->answered);
	INIT_LIST_HEAD(&client->replies);
	hash_init(client->objects);
	INIT_WORK(&client->work, client_work);

	spin_lock(&conn->lock);
	client->number = find_next_zero_bit(conn->numbers, VMB_XEN_CLIENTS + 1, 1);
	if (conn->dead) {
		err = -ENXIO;
	} else if (client->number > VMB_XEN_CLIENTS) {
		err = -EUSERS;
	} else {
		__set_bit(client->number, conn->numbers);
		list_add_tail(&client->link, &conn->clients);
		kref_get(&client->kref); /* of the list */
	}
	spin_unlock(&conn->lock);

	if (err)
		kref_put(&client->kref, client_free);
	else
		*out = client;
	return err;
}

/* The file is gone; nobody calls for it any more. */
void vmb_client_close(struct vmb_client *client)
{
	struct vmb_request *request, *next;
	LIST_HEAD(replies);

	spin_lock(&client->conn->lock);
	client->closed = true;
	list_splice_init(&client->replies, &replies);
	if (!client->conn->dead && client->greeted) {
		client->leave.client = client;
		client->leave.msg.head.op = VMB_CTL_LEAVE;
		client->leave.msg.head.len = sizeof(struct vmb_ctl_head);
		vmb_conn_send(client->conn, &client->leave);
	} else if (!client->conn->dead) {
		client->left = true;
		vmb_client_work(client);
	}
	spin_unlock(&client->conn->lock);

	list_for_each_entry_safe(request, next, &replies, link)
		kfree(request);
	kref_put(&client->kref, client_free);
}
