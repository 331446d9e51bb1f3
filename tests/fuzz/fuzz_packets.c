// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_packets.c - packets of any length with any number of descriptors at the
 * daemon's end of a control socket, against a naive model of what must reach
 * the tables, and what must come back.
 *
 * Flow:  fuzzer -> record -> client's socket -> transport.c, taking.c,
 *        memory.c -> the events here, which compare with what was sent ->
 *        reply -> client
 * Owns:  the event loop, the socket, the files that the client sends.
 * Trust: the client is the fuzzer. What the requests mean is not asked here
 *        (fuzz_control.c): only that each one arrives once, whole or known to
 *        be too long, with its one descriptor if it may have one, and that no
 *        descriptor stays.
 *
 * A record is 8 bytes: what to do, then choices.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/socket.h"
#include "fuzz.h"
#include "platform/local/local.h"

#define RECORD 8u
#define PACKET_MAX 512u
#define FDS_MAX 5u
#define QUEUE 64u
#define FILE_BYTES 12288u
#define STATUS_GO 77 /* in a request: the events send the client away */

enum file {
	SEALED,
	SEALED_ODD, /* of a length that is no number of pages */
	UNSEALED,
	READ_ONLY,
	NO_MEMFD,
	NO_FILE,
	FILES,
};

struct packet {
	uint8_t bytes[PACKET_MAX];
	size_t len;
	unsigned fd_count;
	enum file file; /* all its descriptors */
};

static struct vmb_platform platform;
static struct vmb_transport *transport; /* NULL: it was sent away */
static int client_fd, files[FILES];
static struct packet queue[QUEUE]; /* sent and not yet served */
static unsigned queue_first, queue_count;
static uint32_t tags[QUEUE * 4]; /* replies that the client has not read */
static unsigned tag_first, tag_count;
static bool closing; /* the client has said its last word */
static struct vmb_list jobs;

/* ---- what stands around the two files ------------------------------------ */

void vmb_signal_client_fds(const struct vmb_signal *signal, int fds[2])
{
	(void)signal;
	fds[0] = files[NO_MEMFD];
	fds[1] = files[NO_FILE];
}

void vmb_signal_given(struct vmb_signal *signal)
{
	(void)signal;
}

void vmb_process_close(uint64_t ticket)
{
	(void)ticket;
}

int vmb_process_probe(struct vmb_transport *t,
		      const struct vmb_platform_memory *memory)
{
	(void)t;
	(void)memory;
	return -EOPNOTSUPP;
}

/* In the place of a thread: later. */
void vmb_helper_start(struct vmb_helper *helper, struct vmb_helper_job *job)
{
	(void)helper;
	vmb_list_append(&jobs, &job->node);
}

static bool help(void)
{
	struct vmb_helper_job *job;

	if (vmb_list_empty(&jobs))
		return false;
	job = vmb_list_first(&jobs, struct vmb_helper_job, node);
	vmb_list_remove(&job->node);
	job->run(job);
	job->done(job);
	return true;
}

/* ---- the model ----------------------------------------------------------- */

static struct packet *front(void)
{
	fuzz_check(queue_count, "a request that was not sent");
	return &queue[queue_first];
}

static void pop(void)
{
	queue_first = (queue_first + 1) % QUEUE;
	queue_count--;
}

static union vmb_ctl_any start_of(const struct packet *p)
{
	union vmb_ctl_any msg;

	memset(&msg, 0, sizeof(msg));
	memcpy(&msg, p->bytes, p->len < sizeof(msg) ? p->len : sizeof(msg));
	return msg;
}

/* Which requests bring memory, as far as this target is concerned. */
static unsigned may_carry(const union vmb_ctl_any *msg, size_t len)
{
	return len >= sizeof(msg->head) && (msg->head.op == VMB_CTL_OPEN ||
					    msg->head.op == VMB_CTL_REGISTER);
}

static uint64_t size_of(enum file file)
{
	return file == SEALED_ODD ? FILE_BYTES - 100 : FILE_BYTES;
}

static int model_map(const struct packet *p, bool attached,
		     const struct vmb_platform_memory *m)
{
	uint64_t size = size_of(p->file);

	if (!attached || p->file == NO_MEMFD || p->file == NO_FILE)
		return -EBADF;
	if (p->file == UNSEALED || p->file == READ_ONLY)
		return -EPERM;
	if ((unsigned __int128)m->address + m->len > size)
		return -EINVAL;
	if (m->kind == VMB_MEMORY_AREA && m->address + m->len != size)
		return -EINVAL;
	return 0;
}

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 7 + offset / 4096);
}

/* ---- the daemon's side --------------------------------------------------- */

static void map(const struct packet *p, const struct vmb_platform_request *r)
{
	const struct vmb_ctl_register *reg = &r->msg->reg;
	bool area = r->msg->head.op == VMB_CTL_OPEN;
	struct vmb_platform_memory m = {
		.kind = area ? VMB_MEMORY_AREA : VMB_REGION_MEMFD,
		.address = area ? 0 : reg->base,
		.len = area ? size_of(p->file) - (reg->len & 1) : reg->len};
	int want = model_map(p, r->attached, &m), err;
	const uint8_t *base;

	if (!m.len) /* never asked for */
		return;
	err = vmb_memory_map(transport, r->attachment, &m);
	fuzz_check(err == want, "another verdict on memory");
	if (err)
		return;
	base = m.base;
	fuzz_check(base[0] == byte_at(m.address) &&
			   base[m.len - 1] == byte_at(m.address + m.len - 1),
		   "other memory than was named");
	vmb_memory_unmap(transport, &m);
}

static unsigned on_attachments(const struct vmbd_client *client,
			       const union vmb_ctl_any *msg, size_t len)
{
	const struct packet *p = front();
	union vmb_ctl_any want = start_of(p);

	(void)client;
	fuzz_check(len == p->len && !memcmp(msg, &want, sizeof(want)),
		   "another message was looked at");
	return may_carry(msg, len);
}

/* Each reply has a gift now and then, so that those that wait have one, too. */
static int reply(const union vmb_ctl_any *request)
{
	union vmb_ctl_any msg = {.head = {.op = request->head.op,
					  .tag = request->head.tag,
					  .len = sizeof(msg.head)}};
	struct vmb_gift gift = {.process_of = transport};
	int err;

	if (request->head.tag % 4 == 1)
		gift.signal = &(struct vmb_signal){0};
	else if (request->head.tag % 4 == 2)
		fuzz_check(!vmb_lane_make(transport, transport, 4096,
					  &gift.lane),
			   "lane");
	err = vmb_transport_reply(transport, &msg, &gift);
	if (gift.lane)
		vmb_lane_free(gift.lane);
	fuzz_check(!err || closing, "a reply that cannot be given");
	if (!err) {
		fuzz_check(tag_count < QUEUE * 4, "too many replies");
		tags[(tag_first + tag_count++) % (QUEUE * 4)] =
			request->head.tag;
	}
	return err;
}

static int on_request(struct vmbd_client *client,
		      const struct vmb_platform_request *r)
{
	const struct packet *p = front();
	union vmb_ctl_any want = start_of(p);
	unsigned carried = may_carry(&want, p->len) && p->fd_count;

	(void)client;
	fuzz_check(r->len == p->len, "a message of another length");
	fuzz_check(!memcmp(r->msg, &want, sizeof(want)), "another message");
	fuzz_check(r->attached == carried && !r->attachment == !carried,
		   "another number of descriptors");
	fuzz_check(r->attached_more == (p->fd_count > carried),
		   "descriptors too many are not told");
	if (may_carry(&want, p->len))
		map(p, r);
	pop();
	if (want.head.status == STATUS_GO)
		return -EPROTO;
	return reply(r->msg);
}

static void on_left(struct vmbd_client *client, const char *why)
{
	(void)client;
	(void)why;
	transport = NULL;
}

static const struct vmb_platform_events events = {
	.attachments = on_attachments,
	.request = on_request,
	.left = on_left,
};

/* ---- the client ----------------------------------------------------------- */

static void send_packet(const struct packet *p)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)p->bytes, p->len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[FDS_MAX];

	for (unsigned i = 0; i < p->fd_count; i++)
		fds[i] = files[p->file];
	if (p->fd_count) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(p->fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds,
		       p->fd_count * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(p->fd_count * sizeof(int));
	}
	if (sendmsg(client_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		queue_count++; /* else there is no room, or nobody */
}

static void make_packet(const uint8_t *r)
{
	static const uint32_t ops[] = {VMB_CTL_OPEN, VMB_CTL_REGISTER,
				       VMB_CTL_CONNECT, 0};
	static const uint64_t numbers[] = {0,
					   1,
					   100,
					   4095,
					   4096,
					   FILE_BYTES,
					   FILE_BYTES - 100,
					   FILE_BYTES + 1,
					   1ull << 47,
					   UINT64_MAX,
					   UINT64_MAX - 4095,
					   8192};
	struct packet *p = &queue[(queue_first + queue_count) % QUEUE];
	union vmb_ctl_any msg;

	if (queue_count == QUEUE)
		return;
	memset(&msg, 0, sizeof(msg));
	msg.head.op = ops[r[1] % 4];
	msg.head.tag = r[2];
	msg.head.status = r[3] % 64 == 1 ? STATUS_GO : 0;
	msg.reg.base = numbers[r[4] % vmb_array_size(numbers)];
	msg.reg.len = numbers[r[5] % vmb_array_size(numbers)];
	memset(p, r[6], sizeof(*p));
	memcpy(p->bytes, &msg, sizeof(msg));
	p->len = r[3] & 0x80 ? r[6] * 2u : sizeof(msg.reg);
	p->fd_count = r[7] % 8 > FDS_MAX ? 0 : r[7] % 8;
	p->file = r[7] / 8 % FILES;
	send_packet(p);
}

static unsigned gifts_of(uint32_t tag)
{
	return tag % 4 == 1 ? 2 : tag % 4 == 2 ? 1 : 0;
}

/* 1: a reply; 0: there is none. */
static int read_reply(void)
{
	struct vmb_socket_packet packet;
	union vmb_ctl_any msg;

	if (vmb_socket_receive(client_fd, &msg, sizeof(msg), &packet) ||
	    !packet.len)
		return 0;
	fuzz_check(tag_count, "a reply that was not given");
	fuzz_check(packet.len == sizeof(msg.head) && !packet.truncated,
		   "a reply of another length");
	fuzz_check(msg.head.tag == tags[tag_first], "a reply out of order");
	fuzz_check(packet.fd_count == gifts_of(msg.head.tag),
		   "another number of gifts");
	vmb_socket_close_fds(&packet);
	tag_first = (tag_first + 1) % (QUEUE * 4);
	tag_count--;
	return 1;
}

/* ---- the run ---------------------------------------------------------------- */

static int make_memfd(unsigned size, int seals)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t bytes[FILE_BYTES];

	for (unsigned i = 0; i < size; i++)
		bytes[i] = byte_at(i);
	fuzz_check(write(fd, bytes, size) == (ssize_t)size &&
			   !fcntl(fd, F_ADD_SEALS, seals),
		   "memfd");
	return fd;
}

static void start(void)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	vmb_log_set_level(VMB_LOG_NONE);
	files[SEALED] = make_memfd(FILE_BYTES, seals);
	files[SEALED_ODD] = make_memfd(FILE_BYTES - 100, seals);
	files[UNSEALED] = make_memfd(FILE_BYTES, F_SEAL_GROW);
	files[READ_ONLY] = make_memfd(FILE_BYTES, seals | F_SEAL_WRITE);
	files[NO_MEMFD] = eventfd(0, EFD_CLOEXEC);
	files[NO_FILE] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fuzz_check(sd_event_new(&platform.config.event) >= 0, "event loop");
	platform.config.events = &events;
	vmb_list_init(&platform.transports);
	vmb_list_init(&jobs);
}

static void connect_client(void)
{
	int fds[2], smallest = 1;

	fuzz_check(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds),
		   "socket");
	/* so that it is full soon, and replies have to wait */
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest));
	client_fd = fds[1];
	transport = calloc(1, sizeof(*transport));
	fuzz_check(transport, "out of memory");
	transport->p = &platform;
	transport->fd = fds[0];
	transport->pidfd = -1;
	transport->client = (void *)&platform; /* never looked into */
	vmb_list_append(&platform.transports, &transport->node);
	platform.transport_count++;
	fuzz_check(!vmb_transport_watch(transport), "watch");
	queue_count = tag_count = 0;
	closing = false;
}

static void loop(void)
{
	for (int n = 1; n > 0;)
		n = sd_event_run(platform.config.event, 0);
}

static void turn(void)
{
	do
		loop();
	while (help());
}

/* Nothing said is lost: all is served, and answered, once the client reads. */
static void settle(void)
{
	do
		turn();
	while (read_reply());
	if (transport)
		fuzz_check(!queue_count && !tag_count, "a request is lost");
}

static void step(const uint8_t *r)
{
	switch (r[0] % 8) {
	case 0:
		loop();
		break;
	case 3:
		turn();
		break;
	case 1:
		read_reply();
		break;
	case 2:
		settle();
		break;
	default:
		make_packet(r);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before;

	if (!platform.config.event)
		start();
	before = fuzz_open_fds();
	connect_client();
	for (; size >= RECORD && transport; data += RECORD, size -= RECORD)
		step(data);
	if (size % 2)
		settle();
	closing = true;
	shutdown(client_fd, size % 4 / 2 ? SHUT_WR : SHUT_RDWR);
	settle();
	fuzz_check(!transport, "the client's end is not noticed");
	close(client_fd);
	fuzz_check(!platform.transport_count && !platform.hang_ups,
		   "a client is left");
	fuzz_check(fuzz_open_fds() == before, "a descriptor is left");
	return 0;
}
