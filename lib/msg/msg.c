// SPDX-License-Identifier: BSD-2-Clause
/*
 * msg.c - the messages of one endpoint, from open to close, and progress.
 *
 * Flow:  api -> open, progress, close
 *        am -> the handlers that are bound here
 * Owns:  struct vmb_msg.
 * Trust: see msg.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/barrier.h"
#include "msg/state.h"

static const struct {
	unsigned id;
	vmb_am_handler_fn fn;
} handlers[] = {
	{VMB_MSG_EAGER, vmb_receive_on_eager},
	{VMB_MSG_EAGER_SYNC, vmb_receive_on_eager_sync},
	{VMB_MSG_RTS, vmb_receive_on_rts},
	{VMB_MSG_ACK, vmb_send_on_ack},
	{VMB_MSG_CTS, vmb_announce_on_cts},
	{VMB_MSG_DATA, vmb_fetch_on_data},
	{VMB_MSG_FIN, vmb_announce_on_fin},
	{VMB_MSG_ABORT, vmb_fetch_on_abort},
	{VMB_MSG_RTS_DIRECT, vmb_receive_on_rts_direct},
	{VMB_MSG_SHARE, vmb_share_on_share},
	{VMB_MSG_SHARED, vmb_share_on_shared},
};

int vmb_msg_open(const struct vmb_msg_config *config, struct vmb_msg **out)
{
	struct vmb_msg *msg = calloc(1, sizeof(*msg));

	if (!msg)
		return -ENOMEM;
	msg->config = *config;
	msg->am = config->am;
	msg->sync_max = vmb_min(config->eager_max,
				vmb_am_payload_max(msg->am) -
					sizeof(struct vmb_wire_sync));
	msg->seed = vmb_index_seed();
	vmb_postedset_init(&msg->posted, &msg->seed);
	vmb_itemset_init(&msg->unexpected, &msg->seed);
	vmb_itemset_init(&msg->done, &msg->seed);
	vmb_list_init(&msg->peers);
	vmb_list_init(&msg->busy);
	vmb_list_init(&msg->connects);
	vmb_list_init(&msg->timers);
	vmb_list_init(&msg->ended);
	if (vmb_unexpected_init(msg))
		goto err_unexpected;
	for (unsigned i = 0; i < vmb_array_size(handlers); i++)
		vmb_am_bind(msg->am, handlers[i].id, handlers[i].fn, msg);
	*out = msg;
	return 0;
err_unexpected:
	vmb_unexpected_fini(msg);
	free(msg);
	return -ENOMEM;
}

void vmb_msg_close(struct vmb_msg *msg)
{
	if (!msg)
		return;
	for (unsigned i = 0; i < vmb_array_size(handlers); i++)
		vmb_am_bind(msg->am, handlers[i].id, NULL, NULL);
	vmb_req_pool_fini(msg);
	while (!vmb_list_empty(&msg->peers))
		vmb_msg_peer_close(msg,
				   vmb_list_first(&msg->peers,
						  struct vmb_msg_peer, node));
	vmb_unexpected_fini(msg);
	vmb_postedset_fini(&msg->posted);
	vmb_itemset_fini(&msg->unexpected);
	vmb_itemset_fini(&msg->done);
	free(msg);
}

/* What arrivals leave to be done, and what is due by time. */
static inline int tend(struct vmb_msg *msg)
{
	int n = 0;

	if (vmb_unlikely(!vmb_list_empty(&msg->busy)))
		n += vmb_msg_peers_drain(msg);
	if (vmb_unlikely(!vmb_list_empty(&msg->timers)))
		n += vmb_timer_poll(msg);
	if (vmb_unlikely(!vmb_list_empty(&msg->connects)))
		n += vmb_connect_poll(msg);
	if (vmb_unlikely(!vmb_list_empty(&msg->ended)))
		n += vmb_offers_tell(msg);
	return n;
}

int vmb_msg_progress(struct vmb_msg *msg)
{
	int n;

	if (msg->am->in_handler)
		return vmb_connect_poll(msg); /* that pass goes on later */
	n = vmb_am_poll(msg->am, vmb_unexpected_budget(msg));
	if (vmb_unlikely(n < 0)) {
		vmb_msg_fail(msg, n);
		vmb_offers_tell(msg);
		return n;
	}
	return n + tend(msg);
}

int vmb_msg_take_answer(struct vmb_msg *msg)
{
	if (vmb_likely(vmb_unexpected_fits_one(msg) &&
		       vmb_am_take_answer(msg->am) && !msg->am->error))
		return 1 + tend(msg);
	return vmb_msg_progress(msg);
}

bool vmb_msg_at_rest(const struct vmb_msg *msg)
{
	return vmb_list_empty(&msg->busy) && vmb_list_empty(&msg->timers) &&
	       vmb_list_empty(&msg->connects) && vmb_list_empty(&msg->ended) &&
	       vmb_am_at_rest(msg->am);
}

void vmb_msg_fail(struct vmb_msg *msg, int code)
{
	vmb_req_fail_all(msg, code);
}

void vmb_msg_query(struct vmb_msg *msg, struct vmb_msg_counters *counters)
{
	*counters = msg->counters;
}

struct vmb_addr vmb_msg_addr_of(const struct vmb_msg *msg, uint32_t handle)
{
	if (!handle)
		return (struct vmb_addr){{0, 0}};
	return (struct vmb_addr){{
		vmb_pack(handle, msg->config.endpoint_number),
		vmb_pack(msg->am->pep.session, msg->config.endpoint_place),
	}};
}

struct vmb_addr vmb_msg_addr(struct vmb_msg *msg, const struct vmb_peer *peer)
{
	return vmb_msg_addr_of(msg, peer->handle);
}

void vmb_msg_nonsense(struct vmb_msg *msg)
{
	msg->counters.nonsense++;
}
