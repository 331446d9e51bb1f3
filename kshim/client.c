// SPDX-License-Identifier: GPL-2.0-only
/*
 * client.c - a client of the daemon: an open control file, what it holds, and
 * what its replies change about that.
 *
 * Flow:  chardev.c makes a request and sends it; conn.c brings the reply to
 *        client->answered; [here] it takes effect and goes on to read()
 * Owns:  clients, endpoints, regions, requests
 * Trust: handles and keys are the backend's words for them: they only have to
 *        be different, and find nothing but what the same client holds.
 *
 * The end of a client: when the file is closed, LEAVE follows its last request.
 * All that it holds is kept until LEAVE was answered, or the connection ended.
 */
#include "shim.h"

#include <linux/slab.h>

/* ---- endpoints ------------------------------------------------------------ */

static void endpoint_free(struct kref *kref)
{
	struct vmb_endpoint *endpoint =
		container_of(kref, struct vmb_endpoint, kref);

	vmb_memory_put(endpoint->area);
	vmb_conn_put(endpoint->conn);
	kfree_rcu(endpoint, rcu);
}

void vmb_endpoint_put(struct vmb_endpoint *endpoint)
{
	kref_put(&endpoint->kref, endpoint_free);
}

/*
 * Makes an endpoint with memory @area, which becomes its own, and takes a slot
 * for it. -EBUSY: none is free; -ENOMEM; then @area is still the caller's.
 */
int vmb_endpoint_new(struct vmb_conn *conn, struct vmb_memory *area,
		     struct vmb_endpoint **out)
{
	struct vmb_endpoint *endpoint;
	u32 slot;

	endpoint = kzalloc(sizeof(*endpoint), GFP_KERNEL_ACCOUNT);
	if (!endpoint)
		return -ENOMEM;

	kref_init(&endpoint->kref);
	INIT_LIST_HEAD(&endpoint->link);
	init_waitqueue_head(&endpoint->wait);
	endpoint->conn = conn;
	endpoint->area = area;

	spin_lock(&conn->lock);
	for (slot = 0; slot < VMB_XEN_SLOTS; slot++)
		if (!rcu_access_pointer(conn->slots[slot]))
			break;
	if (slot < VMB_XEN_SLOTS) {
		endpoint->slot = slot;
		endpoint->ended = conn->dead;
		rcu_assign_pointer(conn->slots[slot], endpoint);
	}
	spin_unlock(&conn->lock);

	if (slot == VMB_XEN_SLOTS) {
		kfree(endpoint);
		return -EBUSY;
	}
	kref_get(&conn->kref);
	*out = endpoint;
	return 0;
}

/* The backend has left it: no kick, no notification, no grant any more. */
static void endpoint_end(struct vmb_endpoint *endpoint)
{
	struct vmb_conn *conn = endpoint->conn;

	spin_lock(&conn->lock);
	RCU_INIT_POINTER(conn->slots[endpoint->slot], NULL);
	WRITE_ONCE(endpoint->ended, true);
	spin_unlock(&conn->lock);

	wake_up_all(&endpoint->wait);
	vmb_memory_unlist(endpoint->area);
	vmb_memory_revoke(endpoint->area);
	vmb_endpoint_put(endpoint);
}

/* The client's endpoint of that handle, or NULL. conn->lock is held. */
struct vmb_endpoint *vmb_endpoint_find(struct vmb_client *client, u32 handle)
{
	struct vmb_endpoint *endpoint;

	list_for_each_entry(endpoint, &client->endpoints, link)
		if (endpoint->handle == handle)
			return endpoint;
	return NULL;
}

/* The client's region of that key, or NULL. conn->lock is held. */
struct vmb_memory *vmb_region_find(struct vmb_client *client, u64 key)
{
	struct vmb_memory *region;

	hash_for_each_possible(client->regions, region, node, key)
		if (region->key == key)
			return region;
	return NULL;
}

/* ---- requests ------------------------------------------------------------- */

/* Never sent, or the connection has ended: nothing of it remains. */
void vmb_request_drop(struct vmb_request *request)
{
	if (request->endpoint)
		endpoint_end(request->endpoint);
	if (request->region)
		vmb_memory_put(request->region);
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

static void open_done(struct vmb_client *client, struct vmb_request *request,
		      int status)
{
	struct vmb_endpoint *endpoint = request->endpoint;
	u32 handle = request->msg.open_reply.handle;
	bool good;

	request->endpoint = NULL;
	vmb_memory_unlist(endpoint->area);
	if (status) {
		endpoint_end(endpoint);
		return;
	}

	spin_lock(&client->conn->lock);
	good = handle && !vmb_endpoint_find(client, handle);
	endpoint->handle = handle;
	list_add_tail(&endpoint->link, &client->endpoints);
	spin_unlock(&client->conn->lock);
	if (!good)
		vmb_conn_fail(client->conn, "not a new handle", handle);
}

static void close_done(struct vmb_client *client, struct vmb_request *request,
		       int status)
{
	struct vmb_endpoint *endpoint = request->endpoint;

	request->endpoint = NULL;
	if (!status) {
		endpoint_end(endpoint);
		return;
	}
	spin_lock(&client->conn->lock);
	list_add_tail(&endpoint->link, &client->endpoints);
	spin_unlock(&client->conn->lock);
}

static void register_done(struct vmb_client *client,
			  struct vmb_request *request, int status)
{
	struct vmb_memory *region = request->region;
	u64 key = request->msg.reg_reply.key;
	bool good;

	request->region = NULL;
	vmb_memory_unlist(region);
	if (status) {
		vmb_memory_put(region);
		return;
	}

	spin_lock(&client->conn->lock);
	good = key != VMB_KEY_NONE && key != VMB_KEY_TX &&
	       !vmb_region_find(client, key);
	region->key = key;
	hash_add(client->regions, &region->node, key);
	spin_unlock(&client->conn->lock);
	if (!good)
		vmb_conn_fail(client->conn, "not a new key", key);
}

static void deregister_done(struct vmb_client *client,
			    struct vmb_request *request, int status)
{
	struct vmb_memory *region = request->region;

	request->region = NULL;
	if (!status) {
		vmb_memory_put(region);
		return;
	}
	spin_lock(&client->conn->lock);
	hash_add(client->regions, &region->node, region->key);
	spin_unlock(&client->conn->lock);
}

static void leave_done(struct vmb_client *client, int status)
{
	if (status)
		vmb_conn_fail(client->conn, "LEAVE refused", -status);
	spin_lock(&client->conn->lock);
	client->left = true;
	spin_unlock(&client->conn->lock);
}

/* The reply takes effect here, before the process sees it. */
static void request_done(struct vmb_client *client, struct vmb_request *request)
{
	int status = request->msg.head.status;

	switch (request->msg.head.op) {
	case VMB_CTL_OPEN:
		open_done(client, request, status);
		break;
	case VMB_CTL_CLOSE:
		close_done(client, request, status);
		break;
	case VMB_CTL_REGISTER:
		register_done(client, request, status);
		break;
	case VMB_CTL_DEREGISTER:
		deregister_done(client, request, status);
		break;
	case VMB_CTL_LEAVE:
		leave_done(client, status);
		return;
	}
	vmb_request_deliver(request);
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

/* Out of the connection, with all that it holds. */
static void client_remove(struct vmb_client *client)
{
	struct vmb_conn *conn = client->conn;
	struct vmb_endpoint *endpoint, *next;
	struct vmb_memory *region;
	struct hlist_node *tmp;
	HLIST_HEAD(regions);
	LIST_HEAD(endpoints);
	u32 bucket;

	spin_lock(&conn->lock);
	list_splice_init(&client->endpoints, &endpoints);
	hash_for_each_safe(client->regions, bucket, tmp, region, node) {
		hash_del(&region->node);
		hlist_add_head(&region->node, &regions);
	}
	spin_unlock(&conn->lock);

	list_for_each_entry_safe(endpoint, next, &endpoints, link) {
		list_del_init(&endpoint->link);
		endpoint_end(endpoint);
	}
	hlist_for_each_entry_safe(region, tmp, &regions, node) {
		hlist_del_init(&region->node);
		vmb_memory_put(region);
	}

	spin_lock(&conn->lock);
	list_del(&client->link);
	__clear_bit(client->number, conn->numbers);
	spin_unlock(&conn->lock);
	kref_put(&client->kref, client_free);
}

/* The next reply, or NULL; then @over: nothing more will come. */
static struct vmb_request *client_next(struct vmb_client *client, bool *dead,
				       bool *over)
{
	struct vmb_request *request;

	spin_lock(&client->conn->lock);
	request = list_first_entry_or_null(&client->answered,
					   struct vmb_request, link);
	if (request)
		list_del(&request->link);
	*dead = client->conn->dead;
	*over = !request && !client->removed && (*dead || client->left);
	client->removed |= *over;
	spin_unlock(&client->conn->lock);
	return request;
}

static void client_work(struct work_struct *work)
{
	struct vmb_client *client = container_of(work, struct vmb_client, work);
	struct vmb_request *request;
	bool dead, over;

	while ((request = client_next(client, &dead, &over))) {
		if (dead)
			vmb_request_drop(request);
		else
			request_done(client, request);
	}
	if (over)
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
	client->conn = conn;
	init_waitqueue_head(&client->wait);
	INIT_LIST_HEAD(&client->answered);
	INIT_LIST_HEAD(&client->replies);
	INIT_LIST_HEAD(&client->endpoints);
	hash_init(client->regions);
	INIT_WORK(&client->work, client_work);

	spin_lock(&conn->lock);
	client->number = find_next_zero_bit(conn->numbers, VMB_XEN_CLIENTS + 1,
					    1);
	if (conn->dead)
		err = -ENXIO;
	else if (client->number > VMB_XEN_CLIENTS)
		err = -EUSERS;
	if (!err) {
		__set_bit(client->number, conn->numbers);
		list_add_tail(&client->link, &conn->clients);
		kref_get(&client->kref); /* of the list */
	}
	spin_unlock(&conn->lock);

	if (err) {
		kfree(client);
		return err;
	}
	kref_get(&conn->kref);
	*out = client;
	return 0;
}

static void client_leave(struct vmb_client *client)
{
	client->leave.client = client;
	client->leave.msg.head.op = VMB_CTL_LEAVE;
	client->leave.msg.head.len = sizeof(struct vmb_ctl_head);
	vmb_conn_send(client->conn, &client->leave);
}

/* The file is gone; nobody calls for it any more. */
void vmb_client_close(struct vmb_client *client)
{
	struct vmb_conn *conn = client->conn;
	struct vmb_request *request, *next;
	LIST_HEAD(replies);

	spin_lock(&conn->lock);
	client->closed = true;
	list_splice_init(&client->replies, &replies);
	if (!conn->dead && client->greeted) {
		client_leave(client);
	} else if (!conn->dead) {
		client->left = true;
		vmb_client_work(client);
	}
	spin_unlock(&conn->lock);

	list_for_each_entry_safe(request, next, &replies, link)
		kfree(request);
	kref_put(&client->kref, client_free);
}
