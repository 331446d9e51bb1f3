// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_replies.c - a daemon that answers anything, at the library's end of a
 * control socket, against a naive model of what each call must come to.
 *
 * Flow:  fuzzer -> record -> the daemon's socket -> socket.c, channel.c -> the
 *        outcome of a call; what the library says back -> the daemon's socket
 * Owns:  both ends of the socket, the calls.
 * Trust: the daemon is the fuzzer. A reply must end the call that it is for
 *        and no other, what was granted to nobody must be given back, and no
 *        descriptor may stay.
 *
 * A record is 8 bytes: what to do, then choices from which a reply is made
 * that would be good, with something changed now and then.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/socket.h"
#include "base/util.h"
#include "fuzz.h"
#include "port/channel.h"

#define RECORD 8u
#define CALLS 8u
#define SAID 256u	  /* requests that the daemon has not heard, at most */
#define SAID_AT_ONCE 100u /* fewer than fill the socket */
#define PACKETS 64u
#define FDS_MAX 6u

/* What a call asks for, and what its answer has to look like. */
static const struct kind {
	uint32_t op;
	size_t request_bytes, reply_bytes;
	unsigned fds, fds_more;
} kinds[] = {
	{VMB_CTL_OPEN, sizeof(struct vmb_ctl_open),
	 sizeof(struct vmb_ctl_open_reply), 2, 0},
	{VMB_CTL_REGISTER, sizeof(struct vmb_ctl_register),
	 sizeof(struct vmb_ctl_register_reply), 0, 0},
	{VMB_CTL_CONNECT, sizeof(struct vmb_ctl_connect),
	 sizeof(struct vmb_ctl_connect_reply), 0, 0},
	{VMB_CTL_LANE, sizeof(struct vmb_ctl_lane), sizeof(struct vmb_ctl_lane),
	 1, 1},
	{VMB_CTL_CLOSE, sizeof(struct vmb_ctl_close),
	 sizeof(struct vmb_ctl_head), 0, 0},
	/* the longest: more than that is cut, and must not pass for it */
	{VMB_CTL_HELLO, sizeof(struct vmb_ctl_hello),
	 sizeof(struct vmb_ctl_hello_reply), 0, 0},
};

struct m_call {
	bool there, done;
	uint32_t tag;
	const struct kind *kind;
	int result;
	union vmb_ctl_any reply;
	unsigned fds;
};

struct m_packet {
	union vmb_ctl_any body;
	size_t len;
	unsigned fds;
};

struct m_request {
	uint32_t op, tag;
	uint64_t what; /* that is given back: handle, key or ticket; or 0 */
};

static const struct vmb_carrier carrier = {.send = vmb_socket_send,
					   .receive = vmb_socket_receive};
static struct vmb_channel *channel;
static int daemon_fd, file;
static struct m_call calls[CALLS];
static struct m_packet packets[PACKETS]; /* on their way to the library */
static unsigned packet_count;
static struct m_request said[SAID]; /* to the daemon, and not yet heard */
static unsigned said_count;
static uint32_t last_tag;
static bool ended; /* the daemon has closed */

/* ---- the model ----------------------------------------------------------- */

static uint32_t m_say(uint32_t op, uint64_t what)
{
	fuzz_check(said_count < SAID, "more requests than can be");
	said[said_count++] = (struct m_request){op, ++last_tag, what};
	return last_tag;
}

static struct m_call *m_find(uint32_t tag)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (calls[i].there && !calls[i].done && calls[i].tag == tag)
			return &calls[i];
	return NULL;
}

static void m_end(struct m_call *c, int result)
{
	c->done = true;
	c->result = result;
}

static void m_give_back(const union vmb_ctl_any *b, size_t len)
{
	if (b->head.status || b->head.len != len)
		return;
	if (b->head.op == VMB_CTL_OPEN && len == sizeof(b->open_reply))
		m_say(VMB_CTL_CLOSE, b->open_reply.handle);
	if (b->head.op == VMB_CTL_REGISTER && len == sizeof(b->reg_reply))
		m_say(VMB_CTL_DEREGISTER, b->reg_reply.key);
	if (b->head.op == VMB_CTL_LANE && len == sizeof(b->lane) &&
	    b->lane.kind == VMB_LANE_OFFER)
		m_say(VMB_CTL_LANE, b->lane.ticket);
}

static bool m_is_good(const struct m_call *c, const struct m_packet *p)
{
	return p->len == c->kind->reply_bytes && p->fds >= c->kind->fds &&
	       p->fds <= c->kind->fds + c->kind->fds_more;
}

static int m_judge(const struct m_call *c, const struct m_packet *p)
{
	const struct vmb_ctl_head *head = &p->body.head;

	if (p->len > sizeof(p->body) || p->fds > VMB_SOCKET_FDS ||
	    head->len != p->len || head->op != c->kind->op ||
	    head->status > 0 || head->status < -4095)
		return -EPROTO;
	if (!head->status)
		return m_is_good(c, p) ? 0 : -EPROTO;
	if (p->fds ||
	    (p->len != sizeof(*head) && p->len != c->kind->reply_bytes))
		return -EPROTO;
	return head->status;
}

static void m_take(const struct m_packet *p)
{
	struct m_call *c;

	if (p->len < sizeof(p->body.head))
		return;
	c = m_find(p->body.head.tag);
	if (c)
		m_end(c, m_judge(c, p));
	if (c && !c->result) {
		c->reply = p->body;
		c->fds = p->fds;
		return;
	}
	m_give_back(&p->body,
		    p->len < sizeof(p->body) ? p->len : sizeof(p->body));
}

/* The library looks at its socket. */
static void m_look(void)
{
	bool end = ended;

	for (unsigned i = 0; i < packet_count && !end; i++)
		m_take(&packets[i]);
	packet_count = 0;
	for (unsigned i = 0; i < CALLS && end; i++)
		if (calls[i].there && !calls[i].done)
			m_end(&calls[i], -EPIPE);
}

/* ---- the daemon ----------------------------------------------------------- */

static void send_packet(const struct m_packet *p, const void *bytes)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, p->len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[FDS_MAX] = {file, file, file, file, file, file};

	if (p->fds) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(p->fds * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, p->fds * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(p->fds * sizeof(int));
	}
	fuzz_check(sendmsg(daemon_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) ==
			   (ssize_t)p->len,
		   "a reply cannot be sent");
}

/* What is sure to be wrong, or maybe: one field of the head, or any byte. */
static void spoil(struct m_packet *p, const uint8_t *r)
{
	switch (r[4] % 16) {
	case 1:
		p->body.head.op = r[5] % 10;
		break;
	case 2:
		p->body.head.status = r[5] % 2 ? -(int)(r[5] * 33u) : r[5];
		break;
	case 3:
		p->body.head.len = r[5];
		break;
	case 4:
		p->len = r[5];
		break;
	case 5:
		p->len = p->body.head.len = r[5];
		break;
	case 6:
		p->body.head.tag = last_tag + r[5] % 4;
		break;
	case 7:
		p->len = p->body.head.len = sizeof(p->body.head);
		p->body.head.status = -(int)(1 + r[5] % 40);
		p->fds = 0;
		break;
	case 8:
		p->fds = r[5] % (FDS_MAX + 1);
		break;
	default:
		break;
	}
}

static void answer(const uint8_t *r)
{
	static uint8_t bytes[512];
	const struct m_call *c = &calls[r[1] % CALLS];
	const struct kind *kind =
		c->kind ? c->kind : &kinds[r[2] % vmb_array_size(kinds)];
	struct m_packet *p = &packets[packet_count];

	if (ended || packet_count == PACKETS)
		return;
	memset(p, 0, sizeof(*p));
	p->len = kind->reply_bytes;
	p->fds = kind->fds + (r[3] & kind->fds_more);
	memset((char *)&p->body + sizeof(p->body.head), r[6],
	       kind->reply_bytes - sizeof(p->body.head));
	if (kind->op == VMB_CTL_LANE)
		p->body.lane.kind = 1 + r[7] % 3;
	p->body.head = (struct vmb_ctl_head){
		.op = kind->op, .tag = c->tag, .len = (uint32_t)p->len};
	spoil(p, r);
	if (!p->len) /* would be the end; that is another step */
		return;
	memset(bytes, r[6], sizeof(bytes));
	memcpy(bytes, &p->body, sizeof(p->body));
	packet_count++;
	send_packet(p, bytes);
}

static uint64_t given_back(const union vmb_ctl_any *m)
{
	if (m->head.op == VMB_CTL_CLOSE)
		return m->close.handle;
	if (m->head.op == VMB_CTL_DEREGISTER)
		return m->dereg.key;
	return m->head.op == VMB_CTL_LANE ? m->lane.ticket : 0;
}

/* All that was said, in order, and nothing else. */
static void hear(void)
{
	struct vmb_socket_packet packet;
	union vmb_ctl_any m;

	for (unsigned i = 0; i < said_count; i++) {
		memset(&m, 0, sizeof(m));
		fuzz_check(!vmb_socket_receive(daemon_fd, &m, sizeof(m),
					       &packet),
			   "a request is missing");
		fuzz_check(packet.len == m.head.len && !packet.truncated &&
				   !packet.fd_count && !m.head.status,
			   "a request not in shape");
		fuzz_check(m.head.op == said[i].op && m.head.tag == said[i].tag,
			   "another request");
		fuzz_check(given_back(&m) == said[i].what,
			   "another thing is given back");
	}
	said_count = 0;
	fuzz_check(vmb_socket_receive(daemon_fd, &m, sizeof(m), &packet) ==
			   -EAGAIN,
		   "a request too many");
}

/* ---- the library ----------------------------------------------------------- */

static struct vmb_channel_call make_call(const struct kind *kind)
{
	struct vmb_channel_call call = {
		.request.head = {.op = kind->op,
				 .len = (uint32_t)kind->request_bytes},
		.request_fd = -1,
		.reply_bytes = kind->reply_bytes,
		.reply_fds = kind->fds,
		.reply_fds_more = kind->fds_more,
	};

	return call;
}

static void check_outcome(const struct m_call *c, int result,
			  const struct vmb_channel_call *call)
{
	fuzz_check(result == c->result, "another outcome");
	if (result)
		return;
	fuzz_check(!memcmp(&call->reply, &c->reply, c->kind->reply_bytes),
		   "another answer");
	fuzz_check(call->reply_fds + call->reply_fds_more == c->fds,
		   "another number of descriptors");
	for (unsigned i = 0; i < c->fds; i++)
		fuzz_check(!close(call->fds[i]), "not a descriptor");
}

static void start_call(struct m_call *c, const uint8_t *r)
{
	const struct kind *kind = &kinds[r[2] % vmb_array_size(kinds)];
	struct vmb_channel_call call = make_call(kind);
	uint32_t tag;

	if (c->there)
		return;
	if (vmb_channel_start(channel, &call, &tag)) {
		fuzz_check(ended, "a call that cannot start");
		return;
	}
	*c = (struct m_call){.there = true, .kind = kind};
	c->tag = ended ? tag : m_say(kind->op, 0);
	fuzz_check(tag == c->tag, "another tag");
}

static void poll_call(struct m_call *c)
{
	struct vmb_channel_call call;
	int result = vmb_channel_poll(channel, c->tag, &call);

	if (!c->there) /* the tag of one that was answered or is none */
		return fuzz_check(result == -ENOENT, "a call that is none");
	if (!c->done)
		m_look();
	if (!c->done)
		return fuzz_check(result == -EAGAIN, "it ended by itself");
	check_outcome(c, result, &call);
	c->there = false;
}

static void cancel_call(struct m_call *c)
{
	vmb_channel_cancel(channel, c->tag);
	if (c->there && c->done && !c->result)
		m_give_back(&c->reply, c->reply.head.len);
	c->there = false;
}

/* The answer may be there before the question; else there is no time. */
static void call_now(const uint8_t *r)
{
	const struct kind *kind = &kinds[r[2] % vmb_array_size(kinds)];
	struct vmb_channel_call call = make_call(kind);
	struct m_call *c = &calls[CALLS - 1];
	int result;

	if (c->there || ended)
		return;
	*c = (struct m_call){.there = true, .kind = kind};
	c->tag = m_say(kind->op, 0);
	result = vmb_channel_call(channel, &call, 0);
	m_look();
	if (!c->done)
		m_end(c, -ETIMEDOUT);
	check_outcome(c, result, &call);
	c->there = false;
}

/* ---- the run ---------------------------------------------------------------- */

static void end_daemon(void)
{
	if (ended)
		return;
	hear();
	fuzz_check(!vmb_channel_alive(channel), "it ended by itself");
	m_look();
	hear();
	/* close() alone ends it when nobody else, by /proc, holds the file */
	shutdown(daemon_fd, SHUT_RDWR);
	close(daemon_fd);
	ended = true;
}

static void step(const uint8_t *r)
{
	struct m_call *c = &calls[r[1] % CALLS];

	if (!ended && said_count > SAID_AT_ONCE)
		hear();
	switch (r[0] % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
		return start_call(c, r);
	case 4:
	case 5:
		return poll_call(c);
	case 6:
		return cancel_call(c);
	case 7:
		return call_now(r);
	case 8:
		if (!ended)
			hear();
		return;
	case 9:
		if (r[1] == 9)
			end_daemon();
		return;
	default:
		return answer(r);
	}
}

static void start(void)
{
	int fds[2];

	vmb_log_set_level(VMB_LOG_NONE);
	fuzz_check(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds),
		   "socket");
	fuzz_check(!vmb_channel_open(&carrier, fds[0], 0, &channel), "channel");
	daemon_fd = fds[1];
	memset(calls, 0, sizeof(calls));
	packet_count = said_count = last_tag = 0;
	ended = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before;

	file = file ? file : eventfd(0, EFD_CLOEXEC);
	before = fuzz_open_fds();
	start();
	for (; size >= RECORD; data += RECORD, size -= RECORD)
		step(data);
	end_daemon();
	for (unsigned i = 0; i < CALLS; i++)
		if (calls[i].there && i % 2)
			poll_call(&calls[i]);
		else
			cancel_call(&calls[i]);
	fuzz_check(vmb_channel_alive(channel) == -EPIPE,
		   "the end of the daemon is not noticed");
	vmb_channel_close(channel);
	fuzz_check(fuzz_open_fds() == before, "a descriptor is left");
	return 0;
}
