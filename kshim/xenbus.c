// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device of type "vmb": store nodes and states.
 *
 * Flow:  backend InitWait, a new session -> connection made and offered ->
 *        backend Connected -> processes may come; see docs/xenbus.md
 * Owns:  which connection is the current one
 * Trust: what stands in the backend's folder is checked before it is used. A
 *        state that makes no sense now is ignored.
 */
#include "shim.h"

static struct {
	struct mutex mutex;	   /* dev, and what conn is */
	struct xenbus_device *dev; /* one of a guest */
	spinlock_t lock;	   /* the pointer conn */
	struct vmb_conn *conn;	   /* holds a reference */
	struct work_struct broken;
} shim;

/* The connection that processes may use now, with a reference, or NULL. */
struct vmb_conn *vmb_xenbus_conn(void)
{
	struct vmb_conn *conn;

	spin_lock(&shim.lock);
	conn = shim.conn;
	if (conn && (!READ_ONCE(conn->connected) || READ_ONCE(conn->dead)))
		conn = NULL;
	if (conn)
		kref_get(&conn->kref);
	spin_unlock(&shim.lock);
	return conn;
}

static struct vmb_conn *conn_set(struct vmb_conn *conn)
{
	struct vmb_conn *old;

	spin_lock(&shim.lock);
	old = shim.conn;
	shim.conn = conn;
	spin_unlock(&shim.lock);
	return old;
}

/* @told: the backend knows that we are leaving. */
static void conn_drop(bool told)
{
	struct vmb_conn *conn = conn_set(NULL);

	lockdep_assert_held(&shim.mutex);
	if (conn)
		vmb_conn_close(conn, told);
}

/* ---- store nodes ---------------------------------------------------------- */

/* 16 hex digits of the backend's node "session". */
static int session_read(struct xenbus_device *dev, char session[17])
{
	int found = xenbus_scanf(XBT_NIL, dev->otherend, "session", "%16[0123456789abcdefABCDEF]",
				 session);

	return found == 1 && strlen(session) == 16 ? 0 : -EINVAL;
}

/* The minor version to speak. */
static int abi_read(struct xenbus_device *dev, unsigned int *minor)
{
	unsigned int major;
	int found;

	found = xenbus_scanf(XBT_NIL, dev->otherend, "abi", "%u.%u", &major, minor);
	if (found != 2)
		return found < 0 ? found : -EINVAL;
	if (major != VMB_ABI_MAJOR)
		return -EPROTO;
	*minor = min(*minor, VMB_ABI_MINOR);
	return 0;
}

static int nodes_print(struct xenbus_transaction t, struct xenbus_device *dev,
		       struct vmb_conn *conn, unsigned int minor)
{
	const char *front = dev->nodename;

	/* Do not bring back a folder that was just removed. */
	if (!xenbus_exists(t, front, "state"))
		return -ENOENT;

	return xenbus_printf(t, front, "abi", "%u.%u", VMB_ABI_MAJOR, minor) ?:
	       xenbus_printf(t, front, "session", "%s", conn->session) ?:
	       xenbus_printf(t, front, "ring-ref", "%u", conn->pages->refs[0]) ?:
	       xenbus_printf(t, front, "events-ref", "%u", conn->pages->refs[1]) ?:
	       xenbus_printf(t, front, "event-channel", "%u", conn->port) ?:
	       xenbus_printf(t, front, "state", "%d", XenbusStateInitialised);
}

static int nodes_write(struct xenbus_device *dev, struct vmb_conn *conn, unsigned int minor)
{
	struct xenbus_transaction t;
	int err;

	do {
		err = xenbus_transaction_start(&t);
		if (err)
			return err;
		err = nodes_print(t, dev, conn, minor);
		if (err) {
			xenbus_transaction_end(t, 1);
			return err;
		}
		err = xenbus_transaction_end(t, 0);
	} while (err == -EAGAIN);

	/* xenbus_switch_state() goes by what it wrote last */
	if (!err)
		dev->state = XenbusStateInitialised;
	return err;
}

/* ---- states --------------------------------------------------------------- */

static int conn_offer(struct xenbus_device *dev, const char *session)
{
	struct vmb_conn *conn;
	unsigned int minor;
	int err;

	err = abi_read(dev, &minor);
	if (err) {
		xenbus_dev_error(dev, err, "contract %u.%u is not the backend's", VMB_ABI_MAJOR,
				 VMB_ABI_MINOR);
		return err;
	}

	conn = vmb_conn_open(dev, session);
	if (IS_ERR(conn)) {
		err = PTR_ERR(conn);
		xenbus_dev_error(dev, err, "making a connection");
		return err;
	}

	err = nodes_write(dev, conn, minor);
	if (err) {
		xenbus_dev_error(dev, err, "offering a connection");
		vmb_conn_close(conn, false);
		return err;
	}
	conn_set(conn);
	return 0;
}

/* The backend waits for us. Where we cannot come, we stay Initialising. */
static void backend_waits(struct xenbus_device *dev)
{
	char session[17];

	if (session_read(dev, session)) {
		xenbus_dev_error(dev, -EINVAL, "the backend's session is not 16 hex digits");
		return;
	}
	if (shim.conn && !strcmp(shim.conn->session, session))
		return;

	conn_drop(false);
	if (conn_offer(dev, session))
		xenbus_switch_state(dev, XenbusStateInitialising);
}

static void backend_connected(struct xenbus_device *dev)
{
	struct vmb_conn *conn = shim.conn;
	char session[17];

	if (!conn || conn->connected || dev->state != XenbusStateInitialised)
		return;
	/* of an earlier session? */
	if (session_read(dev, session) || strcmp(conn->session, session))
		return;

	/* From now on the interrupt looks at alive; and so do we, once. */
	smp_store_mb(conn->connected, true);
	if (!READ_ONCE(conn->events->alive)) {
		vmb_conn_end(conn);
		return;
	}
	xenbus_switch_state(dev, XenbusStateConnected);
	dev_info(&dev->dev, "connected to domain %u\n", conn->backend);
}

static void backend_changed(struct xenbus_device *dev, enum xenbus_state state)
{
	mutex_lock(&shim.mutex);
	switch (state) {
	case XenbusStateInitWait:
		backend_waits(dev);
		break;
	case XenbusStateConnected:
		backend_connected(dev);
		break;
	case XenbusStateClosed:
		if (dev->state == XenbusStateClosed)
			break;
		fallthrough; /* it was Closing, and we were not in time */
	case XenbusStateClosing:
		conn_drop(false);
		xenbus_frontend_closed(dev);
		break;
	default:
		break;
	}
	mutex_unlock(&shim.mutex);
}

/* The backend broke the contract: leave it, and wait for a new session. */
static void leave_broken(struct work_struct *work)
{
	mutex_lock(&shim.mutex);
	if (shim.dev && shim.conn && READ_ONCE(shim.conn->broken)) {
		xenbus_switch_state(shim.dev, XenbusStateClosing);
		conn_drop(true);
		xenbus_switch_state(shim.dev, XenbusStateClosed);
	}
	mutex_unlock(&shim.mutex);
}

void vmb_xenbus_broken(void)
{
	queue_work(vmb_wq, &shim.broken);
}

/* ---- the driver ----------------------------------------------------------- */

static int shim_probe(struct xenbus_device *dev, const struct xenbus_device_id *id)
{
	int err;

	mutex_lock(&shim.mutex);
	err = shim.dev ? -EBUSY : 0;
	shim.dev = shim.dev ?: dev;
	mutex_unlock(&shim.mutex);
	if (err)
		return err;

	/* Not under the mutex: open of a misc device holds a lock of its own. */
	err = vmb_chardev_register(&dev->dev);
	if (!err)
		return xenbus_switch_state(dev, XenbusStateInitialising);

	mutex_lock(&shim.mutex);
	shim.dev = NULL;
	mutex_unlock(&shim.mutex);
	return err;
}

/* Detached, or the module goes: in that case no file is open. */
static void shim_remove(struct xenbus_device *dev)
{
	vmb_chardev_deregister();

	mutex_lock(&shim.mutex);
	xenbus_switch_state(dev, XenbusStateClosing);
	conn_drop(true);
	shim.dev = NULL;
	mutex_unlock(&shim.mutex);
	/* the bus writes Closed */
}

/* In another place: grants and channel are void. The backend there waits. */
static int shim_resume(struct xenbus_device *dev)
{
	mutex_lock(&shim.mutex);
	conn_drop(false);
	mutex_unlock(&shim.mutex);
	return 0;
}

static const struct xenbus_device_id shim_ids[] = {{VMB_XEN_DEVICE}, {""}};

static struct xenbus_driver shim_driver = {
	.name = KBUILD_MODNAME,
	.ids = shim_ids,
	.not_essential = true,
	.probe = shim_probe,
	.remove = shim_remove,
	.resume = shim_resume,
	.otherend_changed = backend_changed,
};

int vmb_xenbus_register(void)
{
	mutex_init(&shim.mutex);
	spin_lock_init(&shim.lock);
	INIT_WORK(&shim.broken, leave_broken);
	/*
	 * No owner: with one, the bus would hold the module as long as there is
	 * a device, and it could not be unloaded. Files hold it while they are
	 * open; shim_remove() undoes the rest, after the bus has stopped to call
	 * us.
	 */
	return __xenbus_register_frontend(&shim_driver, NULL, KBUILD_MODNAME);
}

void vmb_xenbus_unregister(void)
{
	xenbus_unregister_driver(&shim_driver);
}
