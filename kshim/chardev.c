// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vmbypass: the control file, and the file of an endpoint.
 *
 * Flow:  write() -> check, allocate or pin, grant -> client.c -> read();
 *        kick: write() -> events page; notification: events page -> read()
 * Owns:  the device node
 * Trust: a process writes anything. Only whole, well-formed requests go on, so
 *        that the backend never takes this guest for a liar because of one of
 *        its processes. See docs/chardev.md.
 */
#include "shim.h"

#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* ---- requests that bring or take memory ----------------------------------- */

static bool size_ok(u32 size, u32 min, u32 max)
{
	return size >= min && size <= max && is_power_of_2(size);
}

static int prepare_open(struct vmb_client *client, struct vmb_request *request)
{
	const struct vmb_geometry *g = &request->msg.open.geometry;
	struct vmb_conn *conn = client->conn;

	if (!size_ok(g->eq_slots, VMB_EQ_SLOTS_MIN, VMB_EQ_SLOTS_MAX) ||
	    !size_ok(g->rx_bytes, VMB_RX_BYTES_MIN, VMB_RX_BYTES_MAX) ||
	    !size_ok(g->tx_bytes, VMB_TX_BYTES_MIN, VMB_TX_BYTES_MAX))
		return -EINVAL;

	return vmb_object_new(conn,
			      vmb_memory_alloc(VMB_AREA_BYTES(g) / VMB_PAGE, conn->backend, false),
			      true, &request->object);
}

static int prepare_register(struct vmb_client *client, struct vmb_request *request)
{
	struct vmb_ctl_register *reg = &request->msg.reg;
	u64 base = reg->base, len = reg->len;
	struct vmb_conn *conn = client->conn;
	u64 pages;

	if (reg->kind != VMB_REGION_GRANT)
		return -EOPNOTSUPP;
	if (!len || base + len < base)
		return -EINVAL;
	pages = DIV_ROUND_UP(offset_in_page(base) + len, VMB_PAGE);
	if (len > (u64)VMB_XEN_PAGES_MAX * VMB_PAGE || pages > VMB_XEN_PAGES_MAX)
		return -EFBIG;

	reg->base = offset_in_page(base);
	return vmb_object_new(conn, vmb_memory_pin(base & PAGE_MASK, pages, conn->backend), false,
			      &request->object);
}

/* CLOSE, DEREGISTER: the object is the request's until the reply. */
static int prepare_end(struct vmb_client *client, struct vmb_request *request, bool endpoint,
		       u64 name)
{
	struct vmb_object *object;

	spin_lock(&client->conn->lock);
	object = vmb_object_find(client, endpoint, name);
	if (object)
		hash_del(&object->node);
	spin_unlock(&client->conn->lock);

	request->object = object;
	return object ? 0 : -ENOENT;
}

/* 0, or the status that the shim itself answers with. */
static int prepare(struct vmb_client *client, struct vmb_request *request)
{
	u32 op = request->msg.head.op;

	if (op != VMB_CTL_HELLO && !READ_ONCE(client->greeted))
		return -ENOTCONN;

	switch (op) {
	case VMB_CTL_OPEN:
		return prepare_open(client, request);
	case VMB_CTL_CLOSE:
		return prepare_end(client, request, true, request->msg.close.handle);
	case VMB_CTL_REGISTER:
		return prepare_register(client, request);
	case VMB_CTL_DEREGISTER:
		return prepare_end(client, request, false, request->msg.dereg.key);
	default:
		return 0;
	}
}

/* ---- the control file ----------------------------------------------------- */

static int control_open(struct inode *inode, struct file *file)
{
	struct vmb_conn *conn = vmb_xenbus_conn();
	struct vmb_client *client;
	int err;

	if (!conn)
		return -ENXIO;

	err = vmb_client_open(conn, &client);
	vmb_conn_put(conn);
	if (err)
		return err;
	file->private_data = client;
	return stream_open(inode, file);
}

static int control_release(struct inode *inode, struct file *file)
{
	vmb_client_close(file->private_data);
	return 0;
}

/* One request, copied, or ERR_PTR where it is none. */
static struct vmb_request *request_copy(struct vmb_client *client, const char __user *buf,
					size_t count)
{
	struct vmb_request *request;
	struct vmb_ctl_head *head;
	int err = -EFAULT;

	if (count < sizeof(*head) || count > sizeof(request->msg))
		return ERR_PTR(-EMSGSIZE);
	request = kzalloc(sizeof(*request), GFP_KERNEL_ACCOUNT);
	if (!request)
		return ERR_PTR(-ENOMEM);

	request->client = client;
	head = &request->msg.head;
	if (copy_from_user(&request->msg, buf, count))
		goto err_free;
	err = -EINVAL;
	if (head->op < VMB_CTL_HELLO || head->op > VMB_CTL_LANE || head->status)
		goto err_free;
	err = -EMSGSIZE;
	if (head->len != count || head->len != vmb_lens[head->op].request)
		goto err_free;
	return request;

err_free:
	kfree(request);
	return ERR_PTR(err);
}

/* Counts it among those whose reply was not read. */
static int request_count(struct vmb_client *client)
{
	int err = 0;

	spin_lock(&client->conn->lock);
	if (client->conn->dead)
		err = -EPIPE;
	else if (client->outstanding >= VMB_CHARDEV_OUTSTANDING)
		err = -EAGAIN;
	else
		client->outstanding++;
	spin_unlock(&client->conn->lock);
	return err;
}

static int request_send(struct vmb_client *client, struct vmb_request *request)
{
	bool dead;

	spin_lock(&client->conn->lock);
	dead = client->conn->dead;
	if (!dead) {
		client->greeted |= request->msg.head.op == VMB_CTL_HELLO;
		vmb_conn_send(client->conn, request);
	}
	spin_unlock(&client->conn->lock);
	return dead ? -EPIPE : 0;
}

static ssize_t control_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	struct vmb_client *client = file->private_data;
	struct vmb_request *request;
	int status, err;

	request = request_copy(client, buf, count);
	if (IS_ERR(request))
		return PTR_ERR(request);

	err = request_count(client);
	if (err)
		goto err_drop;

	status = prepare(client, request);
	if (status) {
		request->msg.head.status = status;
		request->msg.head.len = sizeof(request->msg.head);
		vmb_request_deliver(request);
		return count;
	}

	err = request_send(client, request);
	if (!err)
		return count;
	/* It has ended for ever: it need not be counted right. */
err_drop:
	vmb_request_drop(request);
	return err;
}

/*
 * The next reply; NULL: there will be none; -EAGAIN: not yet; -EMSGSIZE. It
 * counts until it was copied, since the process decides how long that takes,
 * and whether it fails.
 */
static struct vmb_request *reply_take(struct vmb_client *client, size_t room)
{
	struct vmb_request *reply;

	spin_lock(&client->conn->lock);
	reply = list_first_entry_or_null(&client->replies, struct vmb_request, link);
	if (!reply && !client->conn->dead)
		reply = ERR_PTR(-EAGAIN);
	else if (reply && room < reply->msg.head.len)
		reply = ERR_PTR(-EMSGSIZE);
	else if (reply)
		list_del(&reply->link);
	spin_unlock(&client->conn->lock);
	return reply;
}

static ssize_t control_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct vmb_client *client = file->private_data;
	struct vmb_request *reply;
	bool fault;

	while (IS_ERR(reply = reply_take(client, count))) {
		if (PTR_ERR(reply) != -EAGAIN || file->f_flags & O_NONBLOCK)
			return PTR_ERR(reply);
		/* For waiting only: it looks again, under the lock. */
		if (wait_event_interruptible(client->wait,
					     READ_ONCE(client->conn->dead) ||
						     !list_empty_careful(&client->replies)))
			return -EINTR;
	}
	if (!reply)
		return 0;

	count = reply->msg.head.len;
	fault = copy_to_user(buf, &reply->msg, count);
	spin_lock(&client->conn->lock);
	if (fault)
		list_add(&reply->link, &client->replies);
	else
		client->outstanding--;
	spin_unlock(&client->conn->lock);

	if (!fault)
		kfree(reply);
	wake_up_interruptible(&client->wait); /* there is room, or a reply again */
	return fault ? -EFAULT : count;
}

static __poll_t control_poll(struct file *file, poll_table *wait)
{
	struct vmb_client *client = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &client->wait, wait);

	spin_lock(&client->conn->lock);
	if (!list_empty(&client->replies))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (client->conn->dead)
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLHUP;
	else if (client->outstanding < VMB_CHARDEV_OUTSTANDING)
		mask |= EPOLLOUT | EPOLLWRNORM;
	spin_unlock(&client->conn->lock);
	return mask;
}

/* ---- the file of an endpoint ---------------------------------------------- */

static int endpoint_release(struct inode *inode, struct file *file)
{
	vmb_object_put(file->private_data);
	return 0;
}

static int endpoint_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vmb_object *endpoint = file->private_data;
	unsigned long count = endpoint->memory->count;

	if (vma->vm_pgoff || vma_pages(vma) != count || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;

	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	return vm_insert_pages(vma, vma->vm_start, endpoint->memory->pages, &count);
}

static ssize_t endpoint_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	struct vmb_object *endpoint = file->private_data;

	if (count != sizeof(u64))
		return -EINVAL;
	if (READ_ONCE(endpoint->ended))
		return -EPIPE;
	return vmb_conn_kick(endpoint->conn, endpoint->slot) ?: count;
}

static bool endpoint_ready(struct vmb_object *endpoint)
{
	return READ_ONCE(endpoint->ended) || READ_ONCE(endpoint->noted);
}

static ssize_t endpoint_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct vmb_object *endpoint = file->private_data;
	const u64 one = 1;

	if (count < sizeof(one))
		return -EINVAL;

	while (!READ_ONCE(endpoint->ended) && !xchg(&endpoint->noted, false)) {
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(endpoint->wait, endpoint_ready(endpoint)))
			return -EINTR;
	}
	if (READ_ONCE(endpoint->ended))
		return 0;
	return copy_to_user(buf, &one, sizeof(one)) ? -EFAULT : sizeof(one);
}

static __poll_t endpoint_poll(struct file *file, poll_table *wait)
{
	struct vmb_object *endpoint = file->private_data;

	poll_wait(file, &endpoint->wait, wait);
	if (READ_ONCE(endpoint->ended))
		return EPOLLIN | EPOLLRDNORM | EPOLLHUP;
	return READ_ONCE(endpoint->noted) ? EPOLLIN | EPOLLRDNORM : 0;
}

static const struct file_operations endpoint_fops = {
	.owner = THIS_MODULE,
	.release = endpoint_release,
	.mmap = endpoint_mmap,
	.read = endpoint_read,
	.write = endpoint_write,
	.poll = endpoint_poll,
};

/* ---- the control file, continued ------------------------------------------ */

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vmb_client *client = file->private_data;
	struct vmb_chardev_endpoint which;
	struct vmb_object *endpoint;
	int fd;

	if (cmd != VMB_IOC_ENDPOINT)
		return -ENOTTY;
	if (copy_from_user(&which, (void __user *)arg, sizeof(which)))
		return -EFAULT;
	if (which.reserved_20)
		return -EINVAL;

	spin_lock(&client->conn->lock);
	endpoint = vmb_object_find(client, true, which.handle);
	if (endpoint)
		kref_get(&endpoint->kref);
	spin_unlock(&client->conn->lock);
	if (!endpoint)
		return -ENOENT;

	fd = anon_inode_getfd("[vmbypass]", &endpoint_fops, endpoint, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		vmb_object_put(endpoint);
	return fd;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.read = control_read,
	.write = control_write,
	.poll = control_poll,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice control_device = {
	.name = KBUILD_MODNAME,
	.fops = &control_fops,
	.mode = 0600, /* the udev rule gives it to a group */
};

int vmb_chardev_register(struct device *parent)
{
	control_device.parent = parent;
	/* Each time: the number of the last time may be somebody else's by now. */
	control_device.minor = MISC_DYNAMIC_MINOR;
	return misc_register(&control_device);
}

/* Open files go on, and find that their connection has ended. */
void vmb_chardev_deregister(void)
{
	misc_deregister(&control_device);
}
