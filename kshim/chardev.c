// SPDX-License-Identifier: GPL-2.0-only
/*
 * chardev.c - /dev/vmbypass: the control file, and the file of an endpoint.
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

static const u32 request_len[] = {
	[VMB_CTL_HELLO] = sizeof(struct vmb_ctl_hello),
	[VMB_CTL_OPEN] = sizeof(struct vmb_ctl_open),
	[VMB_CTL_CLOSE] = sizeof(struct vmb_ctl_close),
	[VMB_CTL_REGISTER] = sizeof(struct vmb_ctl_register),
	[VMB_CTL_DEREGISTER] = sizeof(struct vmb_ctl_deregister),
	[VMB_CTL_CONNECT] = sizeof(struct vmb_ctl_connect),
	[VMB_CTL_LOOKUP] = sizeof(struct vmb_ctl_lookup),
};

/* ---- requests that bring or take memory ----------------------------------- */

static bool size_ok(u32 size, u32 min, u32 max)
{
	return size >= min && size <= max && is_power_of_2(size);
}

static int prepare_open(struct vmb_client *client, struct vmb_request *request)
{
	const struct vmb_geometry *g = &request->msg.open.geometry;
	struct vmb_memory *area;
	int err;

	if (!size_ok(g->eq_slots, VMB_EQ_SLOTS_MIN, VMB_EQ_SLOTS_MAX) ||
	    !size_ok(g->rx_bytes, VMB_RX_BYTES_MIN, VMB_RX_BYTES_MAX) ||
	    !size_ok(g->tx_bytes, VMB_TX_BYTES_MIN, VMB_TX_BYTES_MAX))
		return -EINVAL;

	area = vmb_memory_area(VMB_AREA_BYTES(g) / VMB_PAGE,
			       client->conn->backend);
	if (IS_ERR(area))
		return PTR_ERR(area);

	err = vmb_endpoint_new(client->conn, area, &request->endpoint);
	if (err)
		vmb_memory_put(area);
	return err;
}

static int prepare_close(struct vmb_client *client, struct vmb_request *request)
{
	struct vmb_endpoint *endpoint;

	spin_lock(&client->conn->lock);
	endpoint = vmb_endpoint_find(client, request->msg.close.handle);
	if (endpoint)
		list_del_init(&endpoint->link);
	spin_unlock(&client->conn->lock);

	request->endpoint = endpoint;
	return endpoint ? 0 : -ENOENT;
}

static int prepare_register(struct vmb_client *client,
			    struct vmb_request *request)
{
	struct vmb_ctl_register *reg = &request->msg.reg;
	u64 base = reg->base, len = reg->len;
	struct vmb_memory *region;
	u64 pages;

	if (reg->kind != VMB_REGION_GRANT)
		return -EOPNOTSUPP;
	if (!len || base + len < base)
		return -EINVAL;
	if (len > (u64)VMB_XEN_PAGES_MAX * VMB_PAGE)
		return -EFBIG;
	pages = DIV_ROUND_UP(offset_in_page(base) + len, VMB_PAGE);
	if (pages > VMB_XEN_PAGES_MAX)
		return -EFBIG;

	region = vmb_memory_pin(base & PAGE_MASK, pages,
				client->conn->backend);
	if (IS_ERR(region))
		return PTR_ERR(region);
	request->region = region;
	reg->base = offset_in_page(base);
	return 0;
}

static int prepare_deregister(struct vmb_client *client,
			      struct vmb_request *request)
{
	struct vmb_memory *region;

	spin_lock(&client->conn->lock);
	region = vmb_region_find(client, request->msg.dereg.key);
	if (region)
		hash_del(&region->node);
	spin_unlock(&client->conn->lock);

	request->region = region;
	return region ? 0 : -ENOENT;
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
		return prepare_close(client, request);
	case VMB_CTL_REGISTER:
		return prepare_register(client, request);
	case VMB_CTL_DEREGISTER:
		return prepare_deregister(client, request);
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

/* Copies one request and looks whether it is one. */
static int request_copy(const char __user *buf, size_t count,
			struct vmb_client *client, struct vmb_request **out)
{
	struct vmb_request *request;
	struct vmb_ctl_head *head;
	int err;

	if (count < sizeof(*head) || count > sizeof(request->msg))
		return -EMSGSIZE;

	request = kzalloc(sizeof(*request), GFP_KERNEL_ACCOUNT);
	if (!request)
		return -ENOMEM;

	request->client = client;
	head = &request->msg.head;
	err = -EFAULT;
	if (copy_from_user(&request->msg, buf, count))
		goto err_free;
	err = -EINVAL;
	if (head->op < VMB_CTL_HELLO || head->op > VMB_CTL_LOOKUP ||
	    head->status)
		goto err_free;
	err = -EMSGSIZE;
	if (head->len != count || head->len != request_len[head->op])
		goto err_free;

	*out = request;
	return 0;

err_free:
	kfree(request);
	return err;
}

/* Takes a place among the outstanding requests. */
static int outstanding_get(struct vmb_client *client)
{
	int err = 0;

	spin_lock(&client->conn->lock);
	if (client->conn->dead)
		err = -EPIPE;
	else if (client->outstanding == VMB_CHARDEV_OUTSTANDING)
		err = -EAGAIN;
	else
		client->outstanding++;
	spin_unlock(&client->conn->lock);
	return err;
}

static void outstanding_put(struct vmb_client *client)
{
	bool full;

	spin_lock(&client->conn->lock);
	full = client->outstanding-- == VMB_CHARDEV_OUTSTANDING;
	spin_unlock(&client->conn->lock);
	if (full)
		wake_up_interruptible(&client->wait);
}

static void answer(struct vmb_request *request, int status)
{
	request->msg.head.status = status;
	request->msg.head.len = sizeof(request->msg.head);
	vmb_request_deliver(request);
}

static int request_send(struct vmb_client *client, struct vmb_request *request)
{
	bool dead;

	spin_lock(&client->conn->lock);
	dead = client->conn->dead;
	if (!dead) {
		if (request->msg.head.op == VMB_CTL_HELLO)
			WRITE_ONCE(client->greeted, true);
		vmb_conn_send(client->conn, request);
	}
	spin_unlock(&client->conn->lock);

	if (!dead)
		return 0;
	vmb_request_drop(request);
	return -EPIPE;
}

static ssize_t control_write(struct file *file, const char __user *buf,
			     size_t count, loff_t *pos)
{
	struct vmb_client *client = file->private_data;
	struct vmb_request *request;
	int err;

	err = request_copy(buf, count, client, &request);
	if (err)
		return err;

	err = outstanding_get(client);
	if (err) {
		kfree(request);
		return err;
	}

	err = prepare(client, request);
	if (err) {
		answer(request, err);
		return count;
	}

	err = request_send(client, request);
	if (err) {
		outstanding_put(client);
		return err;
	}
	return count;
}

/* One reply that fits, or NULL and: 0 ended, -EAGAIN none yet, -EMSGSIZE. */
static struct vmb_request *reply_next(struct vmb_client *client, size_t room,
				      int *err)
{
	struct vmb_request *reply;

	spin_lock(&client->conn->lock);
	reply = list_first_entry_or_null(&client->replies, struct vmb_request,
					 link);
	if (!reply) {
		*err = client->conn->dead ? 0 : -EAGAIN;
	} else if (room < reply->msg.head.len) {
		*err = -EMSGSIZE;
		reply = NULL;
	} else {
		list_del(&reply->link);
	}
	spin_unlock(&client->conn->lock);
	return reply;
}

static void reply_back(struct vmb_client *client, struct vmb_request *reply)
{
	spin_lock(&client->conn->lock);
	list_add(&reply->link, &client->replies);
	spin_unlock(&client->conn->lock);
	wake_up_interruptible(&client->wait);
}

/* For waiting only; what it says is looked at again under the lock. */
static bool control_readable(struct vmb_client *client)
{
	return !list_empty_careful(&client->replies) ||
	       READ_ONCE(client->conn->dead);
}

static ssize_t control_read(struct file *file, char __user *buf, size_t count,
			    loff_t *pos)
{
	struct vmb_client *client = file->private_data;
	struct vmb_request *reply;
	int err;

	while (!(reply = reply_next(client, count, &err))) {
		if (err != -EAGAIN || file->f_flags & O_NONBLOCK)
			return err;
		if (wait_event_interruptible(client->wait,
					     control_readable(client)))
			return -EINTR;
	}

	if (copy_to_user(buf, &reply->msg, reply->msg.head.len)) {
		reply_back(client, reply);
		return -EFAULT;
	}
	count = reply->msg.head.len;
	kfree(reply);
	outstanding_put(client);
	return count;
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
	vmb_endpoint_put(file->private_data);
	return 0;
}

static int endpoint_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vmb_endpoint *endpoint = file->private_data;
	unsigned long count = endpoint->area->count;

	if (vma->vm_pgoff || vma_pages(vma) != count ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;

	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	return vm_insert_pages(vma, vma->vm_start, endpoint->area->pages,
			       &count);
}

static ssize_t endpoint_write(struct file *file, const char __user *buf,
			      size_t count, loff_t *pos)
{
	struct vmb_endpoint *endpoint = file->private_data;
	int err;

	if (count != sizeof(u64))
		return -EINVAL;
	if (READ_ONCE(endpoint->ended))
		return -EPIPE;
	err = vmb_conn_kick(endpoint->conn, endpoint->slot);
	return err ?: count;
}

static ssize_t endpoint_read(struct file *file, char __user *buf, size_t count,
			     loff_t *pos)
{
	struct vmb_endpoint *endpoint = file->private_data;
	const u64 one = 1;

	if (count < sizeof(one))
		return -EINVAL;

	while (!READ_ONCE(endpoint->ended) && !xchg(&endpoint->noted, false)) {
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(endpoint->wait,
					     READ_ONCE(endpoint->ended) ||
					     READ_ONCE(endpoint->noted)))
			return -EINTR;
	}
	if (READ_ONCE(endpoint->ended))
		return 0;
	return copy_to_user(buf, &one, sizeof(one)) ? -EFAULT : sizeof(one);
}

static __poll_t endpoint_poll(struct file *file, poll_table *wait)
{
	struct vmb_endpoint *endpoint = file->private_data;

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

static int control_endpoint(struct vmb_client *client, const void __user *arg)
{
	struct vmb_chardev_endpoint which;
	struct vmb_endpoint *endpoint;
	int fd;

	if (copy_from_user(&which, arg, sizeof(which)))
		return -EFAULT;
	if (which.reserved_20)
		return -EINVAL;

	spin_lock(&client->conn->lock);
	endpoint = vmb_endpoint_find(client, which.handle);
	if (endpoint)
		kref_get(&endpoint->kref);
	spin_unlock(&client->conn->lock);
	if (!endpoint)
		return -ENOENT;

	fd = anon_inode_getfd("[vmbypass]", &endpoint_fops, endpoint,
			      O_RDWR | O_CLOEXEC);
	if (fd < 0)
		vmb_endpoint_put(endpoint);
	return fd;
}

static long control_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	if (cmd != VMB_IOC_ENDPOINT)
		return -ENOTTY;
	return control_endpoint(file->private_data, (void __user *)arg);
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
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &control_fops,
	.mode = 0600, /* the udev rule gives it to a group */
};

int vmb_chardev_register(struct device *parent)
{
	control_device.parent = parent;
	return misc_register(&control_device);
}

/* Open files go on, and find that their connection has ended. */
void vmb_chardev_deregister(void)
{
	misc_deregister(&control_device);
}
