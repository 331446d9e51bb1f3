// SPDX-License-Identifier: BSD-2-Clause
/*
 * channel.c - see channel.h.
 *
 * Flow:  start_call() puts a call in the table and tries to send it; whoever
 *        waits or looks flushes what is unsent, receives, and ends the calls
 *        that were answered.
 * Owns:  the order of replies: they find their call by tag.
 * Trust: a reply that fits no call, or not in shape, loses its descriptors,
 *        and what it grants is given back to the daemon.
 */
#include "port/channel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/log.h"

#define BUCKETS 256u
#define REPLIES_PER_LOOK 256 /* whoever looks is bounded in time */
#define ERRNO_MAX 4095

struct vmb_channel {
	pthread_mutex_t lock; /* all that follows but the constants */
	pthread_cond_t ended; /* a call ended, or the reader left */
	int error;	      /* 0 or -EPIPE, for ever */
	bool reading;	      /* a thread sleeps in poll() for all */
	bool deaf;	      /* the daemon takes no more requests */
	uint32_t last_tag;
	struct vmb_list calls[BUCKETS]; /* by tag */
	struct vmb_list unsent;		/* in order */

	const struct vmb_carrier *carrier; /* constant from here on */
	int fd;
	int timeout_ms;
	unsigned generation; /* of the process that opened it */
	struct vmb_list node;
};

struct reply {
	union vmb_ctl_any body;
	struct vmb_socket_packet packet;
};

/* ---- fork --------------------------------------------------------------- */

/*
 * A child must not use the descriptor, and must not keep it open either: by
 * its end the daemon, or the kernel shim, knows that the parent is dead. So it
 * is in the registry until it is closed, and a fork waits for that: nothing is
 * locked inside.
 */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vmb_list registry = {&registry, &registry};
static unsigned generation_now; /* forks between us and the first process */
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

static void fork_prepare(void)
{
	pthread_mutex_lock(&registry_lock);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&registry_lock);
}

static void fork_child(void)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &registry)
		close(vmb_container_of(pos, struct vmb_channel, node)->fd);
	vmb_list_init(&registry);
	vmb_store_relaxed(&generation_now, generation_now + 1);
	pthread_mutex_unlock(&registry_lock);
}

static void registry_init(void)
{
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static bool is_foreign(const struct vmb_channel *ch)
{
	return ch->generation != vmb_load_relaxed(&generation_now);
}

/* ---- the table of calls ------------------------------------------------- */

static struct vmb_channel_call *find_call(struct vmb_channel *ch, uint32_t tag)
{
	struct vmb_list *bucket = &ch->calls[tag % BUCKETS];
	struct vmb_channel_call *call;
	struct vmb_list *pos;

	vmb_list_each (pos, bucket) {
		call = vmb_container_of(pos, struct vmb_channel_call, node);
		if (call->request.head.tag == tag)
			return call;
	}
	return NULL;
}

static void forget_call(struct vmb_channel_call *call)
{
	vmb_list_remove(&call->node);
	vmb_list_remove(&call->unsent_node);
	if (call->kept)
		free(call);
}

static void end_call(struct vmb_channel_call *call, int result)
{
	call->result = result;
	call->done = true;
	vmb_list_remove(&call->unsent_node);
	if (call->orphan)
		forget_call(call);
}

/* The daemon is gone: say so to everybody, now and later. */
static void break_channel(struct vmb_channel *ch)
{
	struct vmb_channel_call *call;
	struct vmb_list *pos, *tmp;

	ch->error = -EPIPE;
	for (unsigned i = 0; i < BUCKETS; i++) {
		vmb_list_each_safe (pos, tmp, &ch->calls[i]) {
			call = vmb_container_of(pos, struct vmb_channel_call,
						node);
			if (!call->done)
				end_call(call, -EPIPE);
		}
	}
	pthread_cond_broadcast(&ch->ended);
}

/* ---- sending ------------------------------------------------------------ */

static void send_unsent(struct vmb_channel *ch)
{
	struct vmb_channel_call *call;
	int err;

	while (!vmb_list_empty(&ch->unsent)) {
		call = vmb_list_first(&ch->unsent, struct vmb_channel_call,
				      unsent_node);
		err = ch->carrier->send(ch->fd, &call->request,
					call->request.head.len,
					call->request_fd);
		if (err == -EAGAIN)
			return;
		if (err == -EPIPE || err == -ECONNRESET) {
			ch->deaf = true; /* its last words may be unread */
			return;
		}
		call->sent = true;
		if (err)
			end_call(call, err);
		else
			vmb_list_remove(&call->unsent_node);
	}
}

static void start_call(struct vmb_channel *ch, struct vmb_channel_call *call)
{
	call->request.head.tag = ++ch->last_tag;
	call->request.head.status = 0;
	call->done = call->sent = false;
	vmb_list_append(&ch->calls[ch->last_tag % BUCKETS], &call->node);
	vmb_list_append(&ch->unsent, &call->unsent_node);
	send_unsent(ch);
}

static struct vmb_channel_call *copy_call(const struct vmb_channel_call *call)
{
	struct vmb_channel_call *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *call;
	copy->kept = true;
	copy->request_fd = -1;
	return copy;
}

/* ---- receiving ---------------------------------------------------------- */

/*
 * The daemon granted something to a call that ended without it (a time-out):
 * give it back, and do not wait to hear about it.
 */
static void give_back(struct vmb_channel *ch, const union vmb_ctl_any *body,
		      size_t len)
{
	struct vmb_channel_call call = {.request_fd = -1,
					.reply_bytes =
						sizeof(struct vmb_ctl_head),
					.orphan = true};
	struct vmb_channel_call *copy;

	if (body->head.status || body->head.len != len)
		return;
	if (body->head.op == VMB_CTL_OPEN &&
	    body->head.len == sizeof(body->open_reply)) {
		call.request.head.op = VMB_CTL_CLOSE;
		call.request.head.len = sizeof(call.request.close);
		call.request.close.handle = body->open_reply.handle;
	} else if (body->head.op == VMB_CTL_REGISTER &&
		   body->head.len == sizeof(body->reg_reply)) {
		call.request.head.op = VMB_CTL_DEREGISTER;
		call.request.head.len = sizeof(call.request.dereg);
		call.request.dereg.key = body->reg_reply.key;
	} else if (body->head.op == VMB_CTL_LANE &&
		   body->head.len == sizeof(body->lane) &&
		   body->lane.kind == VMB_LANE_OFFER) {
		call.request.head.op = VMB_CTL_LANE;
		call.request.head.len = sizeof(call.request.lane);
		call.request.lane.kind = VMB_LANE_CLOSE;
		call.request.lane.ticket = body->lane.ticket;
		call.reply_bytes = sizeof(call.reply.lane);
	} else {
		return;
	}
	copy = copy_call(&call);
	if (copy)
		start_call(ch, copy);
}

/* The same for a call that was answered and is cancelled all the same. */
static void refuse_granted(struct vmb_channel *ch,
			   const struct vmb_channel_call *call)
{
	for (unsigned i = 0; i < call->reply_fds + call->reply_fds_more; i++)
		close(call->fds[i]);
	give_back(ch, &call->reply, call->reply.head.len);
}

/* What the caller is told: the daemon's status when the shape is right. */
static int check_reply(const struct vmb_channel_call *call,
		       const struct reply *reply)
{
	const struct vmb_ctl_head *head = &reply->body.head;
	const struct vmb_socket_packet *packet = &reply->packet;

	if (packet->truncated || head->len != packet->len ||
	    head->op != call->request.head.op)
		return -EPROTO;
	if (head->status > 0 || head->status < -ERRNO_MAX)
		return -EPROTO;
	if (head->status) {
		bool whole = packet->len == sizeof(*head) ||
			     packet->len == call->reply_bytes;

		return whole && !packet->fd_count ? head->status : -EPROTO;
	}
	if (packet->len != call->reply_bytes ||
	    packet->fd_count < call->reply_fds ||
	    packet->fd_count > call->reply_fds + call->reply_fds_more)
		return -EPROTO;
	return 0;
}

static void take_reply(struct vmb_channel *ch, struct reply *reply)
{
	const struct vmb_ctl_head *head = &reply->body.head;
	struct vmb_channel_call *call = NULL;
	int result;

	if (reply->packet.len >= sizeof(*head))
		call = find_call(ch, head->tag);
	if (!call || call->done || !call->sent) {
		vmb_debug("reply of %zu bytes that nobody waits for",
			  reply->packet.len);
		goto refuse;
	}
	result = check_reply(call, reply);
	if (!result) {
		call->reply = reply->body;
		memcpy(call->fds, reply->packet.fds,
		       reply->packet.fd_count * sizeof(int));
		call->reply_fds_more = reply->packet.fd_count - call->reply_fds;
		end_call(call, 0);
		return;
	}
	if (result == -EPROTO && head->status != -EPROTO)
		vmb_error("daemon: reply to operation %u makes no sense: "
			  "operation %u, status %d, %zu bytes, %u descriptors",
			  call->request.head.op, head->op, head->status,
			  reply->packet.len, reply->packet.fd_count);
	end_call(call, result);
refuse:
	vmb_socket_close_fds(&reply->packet);
	if (reply->packet.len >= sizeof(*head))
		give_back(ch, &reply->body, reply->packet.len);
}

/* 1: took a reply; 0: there is none; -EPIPE: the daemon has closed. */
static int receive_one(struct vmb_channel *ch)
{
	struct reply reply = {0};
	int err;

	err = ch->carrier->receive(ch->fd, &reply.body, sizeof(reply.body),
				   &reply.packet);
	if (err == -EAGAIN)
		return 0;
	if (err == -ECONNRESET) /* told once; last words may follow */
		return 1;
	if (err || !reply.packet.len) {
		vmb_socket_close_fds(&reply.packet);
		return -EPIPE;
	}
	take_reply(ch, &reply);
	return 1;
}

/* Send and receive what goes without waiting. */
static void exchange(struct vmb_channel *ch)
{
	int got = 1;

	if (ch->error)
		return;
	send_unsent(ch);
	for (int i = 0; i < REPLIES_PER_LOOK && got > 0; i++)
		got = receive_one(ch);
	if (got < 0 || (got == 0 && ch->deaf))
		break_channel(ch);
	pthread_cond_broadcast(&ch->ended);
}

/* ---- waiting ------------------------------------------------------------ */

/* Sleep for all, until there is something to send or receive. */
static void read_for_all(struct vmb_channel *ch, int timeout_ms)
{
	struct pollfd p = {.fd = ch->fd, .events = POLLIN};

	if (!vmb_list_empty(&ch->unsent))
		p.events |= POLLOUT;
	ch->reading = true;
	pthread_mutex_unlock(&ch->lock);
	poll(&p, 1, timeout_ms); /* an early return is a useless look */
	pthread_mutex_lock(&ch->lock);
	ch->reading = false;
	exchange(ch);
}

static void wait_for_reader(struct vmb_channel *ch, uint64_t deadline_ns)
{
	struct timespec until = vmb_timespec(deadline_ns);

	pthread_cond_timedwait(&ch->ended, &ch->lock, &until);
}

static void wait_call(struct vmb_channel *ch, struct vmb_channel_call *call,
		      int timeout_ms)
{
	uint64_t deadline = vmb_now_ns() + (uint64_t)timeout_ms * 1000000u;
	uint64_t now;

	if (!ch->reading)
		exchange(ch);
	while (!call->done) {
		now = vmb_now_ns();
		if (now >= deadline) {
			end_call(call, -ETIMEDOUT);
			break;
		}
		if (ch->reading)
			wait_for_reader(ch, deadline);
		else
			read_for_all(ch,
				     (int)((deadline - now) / 1000000u) + 1);
	}
	/* another thread may have to read from now on */
	pthread_cond_broadcast(&ch->ended);
}

/* ---- calls -------------------------------------------------------------- */

int vmb_channel_call(struct vmb_channel *ch, struct vmb_channel_call *call,
		     int timeout_ms)
{
	int result;

	if (is_foreign(ch))
		return -EPERM;
	call->kept = call->orphan = false;
	pthread_mutex_lock(&ch->lock);
	result = ch->error;
	if (!result) {
		start_call(ch, call);
		wait_call(ch, call,
			  timeout_ms < 0 ? ch->timeout_ms : timeout_ms);
		result = call->result;
		forget_call(call);
	}
	pthread_mutex_unlock(&ch->lock);
	return result;
}

/* tag NULL: nobody asks for the outcome, and the call is freed at its end. */
static int start_copy(struct vmb_channel *ch,
		      const struct vmb_channel_call *call, uint32_t *tag)
{
	struct vmb_channel_call *copy;
	int err;

	if (is_foreign(ch))
		return -EPERM;
	copy = copy_call(call);
	if (!copy)
		return -ENOMEM;
	copy->orphan = !tag;
	pthread_mutex_lock(&ch->lock);
	err = ch->error;
	if (!err) {
		start_call(ch, copy);
		if (tag)
			*tag = copy->request.head.tag;
	}
	pthread_mutex_unlock(&ch->lock);
	if (err)
		free(copy);
	return err;
}

int vmb_channel_start(struct vmb_channel *ch,
		      const struct vmb_channel_call *call, uint32_t *tag)
{
	return start_copy(ch, call, tag);
}

int vmb_channel_poll(struct vmb_channel *ch, uint32_t tag,
		     struct vmb_channel_call *call)
{
	struct vmb_channel_call *found;
	int result = -ENOENT;

	if (is_foreign(ch))
		return -EPERM;
	pthread_mutex_lock(&ch->lock);
	found = find_call(ch, tag);
	/* who sleeps in poll() must find the reply that wakes it */
	if (found && !found->done && !ch->reading)
		exchange(ch);
	if (found && !found->done) {
		result = -EAGAIN;
	} else if (found) {
		*call = *found;
		result = found->result;
		forget_call(found);
	}
	pthread_mutex_unlock(&ch->lock);
	return result;
}

void vmb_channel_cancel(struct vmb_channel *ch, uint32_t tag)
{
	struct vmb_channel_call *found;

	if (is_foreign(ch))
		return;
	pthread_mutex_lock(&ch->lock);
	found = find_call(ch, tag);
	if (found && found->done && !found->result)
		refuse_granted(ch, found);
	if (found)
		forget_call(found);
	pthread_mutex_unlock(&ch->lock);
}

int vmb_channel_post(struct vmb_channel *ch,
		     const struct vmb_channel_call *call)
{
	return start_copy(ch, call, NULL);
}

int vmb_channel_alive(struct vmb_channel *ch)
{
	int err;

	if (is_foreign(ch))
		return -EPERM;
	pthread_mutex_lock(&ch->lock);
	if (!ch->reading)
		exchange(ch);
	err = ch->error;
	pthread_mutex_unlock(&ch->lock);
	return err;
}

int vmb_channel_fd(const struct vmb_channel *ch)
{
	return is_foreign(ch) ? -EPERM : ch->fd;
}

/* ---- open and close ----------------------------------------------------- */

static void init_channel(struct vmb_channel *ch)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&ch->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ch->ended, &attr);
	pthread_condattr_destroy(&attr);
	for (unsigned i = 0; i < BUCKETS; i++)
		vmb_list_init(&ch->calls[i]);
	vmb_list_init(&ch->unsent);
	pthread_once(&registry_once, registry_init);
	pthread_mutex_lock(&registry_lock);
	ch->generation = generation_now;
	vmb_list_append(&registry, &ch->node);
	pthread_mutex_unlock(&registry_lock);
}

int vmb_channel_open(const struct vmb_carrier *carrier, int fd, int timeout_ms,
		     struct vmb_channel **channel)
{
	struct vmb_channel *ch = calloc(1, sizeof(*ch));

	if (!ch)
		return -ENOMEM;
	ch->carrier = carrier;
	ch->fd = fd;
	ch->timeout_ms = timeout_ms;
	init_channel(ch);
	*channel = ch;
	return 0;
}

static void free_calls(struct vmb_channel *ch)
{
	struct vmb_list *pos, *tmp;

	for (unsigned i = 0; i < BUCKETS; i++)
		vmb_list_each_safe (pos, tmp, &ch->calls[i])
			forget_call(vmb_container_of(
				pos, struct vmb_channel_call, node));
}

void vmb_channel_close(struct vmb_channel *ch)
{
	if (!ch)
		return;
	/*
	 * In a child the registry has let go of it, and it is closed. The calls
	 * stay: a thread of the parent may have been changing the table, and
	 * some lay on stacks of such threads.
	 */
	if (!is_foreign(ch)) {
		pthread_mutex_lock(&registry_lock);
		vmb_list_remove(&ch->node);
		close(ch->fd);
		pthread_mutex_unlock(&registry_lock);
		pthread_cond_destroy(&ch->ended);
		pthread_mutex_destroy(&ch->lock);
		free_calls(ch);
	}
	free(ch);
}
