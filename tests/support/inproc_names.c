// SPDX-License-Identifier: BSD-2-Clause
/*
 * inproc_names.c - connects and look-ups of the port in this process.
 *
 * Flow:  msg, api -> ops table -> [here] -> table of open endpoints
 * Owns:  answers to connects that were started and not fetched.
 * Trust: the test is believed.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "support/inproc_state.h"

static int resolve(struct vmb_port *port, uint64_t nic_id, uint32_t id,
		   uint32_t key, uint32_t *handle, uint32_t *session)
{
	struct t_inproc_endpoint *e;
	int rc = 0;

	if (t_inproc_lost())
		return -EPIPE;
	if (nic_id != T_NIC_ID)
		return -ENXIO;
	if (id > VMB_ID_MAX)
		return -EINVAL;
	pthread_mutex_lock(&t_inproc.kicks);
	e = t_inproc_find(id, 0);
	if (!e) {
		rc = -ECONNREFUSED;
	} else if (e->key != key) {
		rc = -EKEYREJECTED;
	} else {
		vmb_nic_domain_allow(t_port_domain(port), e->ep);
		*handle = e->handle;
		*session = e->session;
	}
	pthread_mutex_unlock(&t_inproc.kicks);
	return rc;
}

int t_inproc_connect(struct vmb_port *port, uint64_t nic_id, uint32_t id,
		     uint32_t key, int timeout_ms, uint32_t *handle,
		     uint32_t *session)
{
	if (t_inproc.hold_connects) {
		poll(NULL, 0,
		     timeout_ms < 0 ? VMB_PORT_TIMEOUT_MS : timeout_ms);
		return -ETIMEDOUT;
	}
	return resolve(port, nic_id, id, key, handle, session);
}

int t_inproc_connect_start(struct vmb_port *port, uint64_t nic_id, uint32_t id,
			   uint32_t key, uint32_t *tag)
{
	int rc = -EBUSY;

	pthread_mutex_lock(&t_inproc.control);
	for (uint32_t i = 0; i < T_CONNECTS && rc; i++) {
		struct t_inproc_answer *a = &t_inproc.answers[i];

		if (a->used)
			continue;
		a->used = true;
		a->rc = resolve(port, nic_id, id, key, &a->handle, &a->session);
		*tag = i;
		rc = 0;
	}
	pthread_mutex_unlock(&t_inproc.control);
	return rc;
}

int t_inproc_connect_poll(struct vmb_port *port, uint32_t tag, uint32_t *handle,
			  uint32_t *session)
{
	struct t_inproc_answer *a = &t_inproc.answers[tag];
	int rc = -EAGAIN;

	(void)port;
	pthread_mutex_lock(&t_inproc.control);
	ck_assert_msg(tag < T_CONNECTS && a->used, "no connect %u", tag);
	if (t_inproc_lost()) {
		rc = -EPIPE;
		a->used = false;
	} else if (!t_inproc.hold_connects) {
		rc = a->rc;
		a->used = false;
		*handle = a->handle;
		*session = a->session;
	}
	pthread_mutex_unlock(&t_inproc.control);
	return rc;
}

void t_inproc_connect_cancel(struct vmb_port *port, uint32_t tag)
{
	(void)port;
	pthread_mutex_lock(&t_inproc.control);
	t_inproc.answers[tag].used = false;
	pthread_mutex_unlock(&t_inproc.control);
}

void t_inproc_depart(struct t_inproc_endpoint *e)
{
	vmb_list_remove(&e->node);
	t_inproc.departed[t_inproc.departures++ % T_DEPARTED] =
		(struct t_inproc_departed){e->handle, e->id, e->session};
}

/* Of those that are open, or have left. Called with kicks held. */
static bool identify(uint32_t handle, struct vmb_port_identity *who)
{
	const struct t_inproc_endpoint *e = t_inproc_find(VMB_ID_ANY, handle);

	if (e) {
		who->id = e->id;
		who->session = e->session;
		return true;
	}
	for (unsigned i = 0; handle && i < T_DEPARTED; i++) {
		if (t_inproc.departed[i].handle != handle)
			continue;
		who->id = t_inproc.departed[i].id;
		who->session = t_inproc.departed[i].session;
		return true;
	}
	return false;
}

static int lookup_handle(uint32_t handle, struct vmb_port_identity *who)
{
	bool known;

	pthread_mutex_lock(&t_inproc.kicks);
	known = identify(handle, who);
	pthread_mutex_unlock(&t_inproc.kicks);
	if (!known)
		return -ENOENT;
	who->nic_id = T_NIC_ID;
	strcpy(who->name, T_NIC_NAME);
	return 0;
}

int t_inproc_lookup(struct vmb_port *port, uint32_t kind, uint32_t handle,
		    struct vmb_port_identity *who)
{
	(void)port;
	if (t_inproc_lost())
		return -EPIPE;
	switch (kind) {
	case VMB_LOOKUP_NAME:
		if (strcmp(who->name, T_NIC_NAME) &&
		    strcmp(who->name, "localhost"))
			return -ENOENT;
		who->nic_id = T_NIC_ID;
		return 0;
	case VMB_LOOKUP_NIC:
		if (who->nic_id != T_NIC_ID)
			return -ENOENT;
		strcpy(who->name, T_NIC_NAME);
		return 0;
	case VMB_LOOKUP_HANDLE:
		return lookup_handle(handle, who);
	default:
		return -EINVAL;
	}
}
