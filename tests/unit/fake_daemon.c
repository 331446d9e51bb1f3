// SPDX-License-Identifier: BSD-2-Clause
/* fake_daemon.c - see fake_daemon.h. */
#include "support/run.h"
#include "unit/fake_daemon.h"

#include <check.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/barrier.h"

#define PATIENCE_MS 20000

const struct vmb_port_ops *t_fake_port = &vmb_port_local;

bool t_fake_passes_fds(void)
{
	return t_fake_port == &vmb_port_local;
}

void t_fake_send(struct t_fake *fake, const void *bytes, size_t len,
		 const int *fds, unsigned fd_count)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)bytes, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd_count) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, fd_count * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(fake->conn, &msg, MSG_NOSIGNAL), (int)len);
}

/* false: the client has gone. */
static bool next_request(struct t_fake *fake, struct t_request *request)
{
	struct pollfd p = {.fd = fake->conn, .events = POLLIN};
	struct vmb_socket_packet packet;

	ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
	if (vmb_socket_receive(fake->conn, &request->body,
			       sizeof(request->body), &packet) ||
	    !packet.len)
		return false;
	ck_assert(!packet.truncated && packet.fd_count <= 1);
	ck_assert_uint_eq(request->body.head.len, packet.len);
	request->fd = packet.fd_count ? packet.fds[0] : -1;
	return true;
}

struct t_request t_fake_expect(struct t_fake *fake, __u32 op)
{
	struct t_request request;

	ck_assert(next_request(fake, &request));
	ck_assert_uint_eq(request.body.head.op, op);
	ck_assert_int_eq(request.body.head.status, 0);
	return request;
}

void t_fake_reply(struct t_fake *fake, const struct t_request *request,
		  union vmb_ctl_any *reply, size_t len, const int *fds,
		  unsigned fd_count)
{
	reply->head.op = request->body.head.op;
	reply->head.tag = request->body.head.tag;
	reply->head.len = (__u32)len;
	t_fake_send(fake, reply, len, fds, fd_count);
}

void t_fake_hang_up(struct t_fake *fake)
{
	if (fake->conn >= 0) {
		/* also while somebody else looks at the file, by /proc */
		shutdown(fake->conn, SHUT_RDWR);
		close(fake->conn);
	}
	fake->conn = -1;
}

/* Bytes of the reply. */
static size_t say_goodbye(struct t_fake *fake, const union vmb_ctl_any *request,
			  union vmb_ctl_any *reply)
{
	switch (request->head.op) {
	case VMB_CTL_CLOSE:
		fake->closes++;
		fake->closed_handle = request->close.handle;
		return sizeof(reply->head);
	case VMB_CTL_DEREGISTER:
		fake->deregisters++;
		fake->deregistered = request->dereg.key;
		return sizeof(reply->head);
	default:
		ck_assert_uint_eq(request->head.op, VMB_CTL_LANE);
		ck_assert_uint_eq(request->lane.kind, VMB_LANE_CLOSE);
		fake->closed_lane = request->lane;
		reply->lane.kind = VMB_LANE_CLOSE;
		return sizeof(reply->lane);
	}
}

static void serve_goodbyes(struct t_fake *fake)
{
	struct t_request request;

	while (fake->conn >= 0 && next_request(fake, &request)) {
		union vmb_ctl_any reply = {0};
		size_t len = say_goodbye(fake, &request.body, &reply);

		reply.head = request.body.head;
		reply.head.len = (__u32)len;
		/* the client need not wait for it */
		vmb_socket_send(fake->conn, &reply, len, -1);
		if (reply.head.op == VMB_CTL_LANE)
			vmb_publish(&fake->lane_closes, fake->lane_closes + 1);
	}
}

static void *fake_main(void *arg)
{
	struct t_fake *fake = arg;
	union vmb_ctl_any reply = {.hello_reply = fake->hello};
	struct t_request request;

	fake->conn = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fake->conn, 0);
	request = t_fake_expect(fake, VMB_CTL_HELLO);
	fake->asked = request.body.hello;
	t_fake_reply(fake, &request, &reply, sizeof(reply.hello_reply), NULL,
		     0);
	if (fake->script)
		fake->script(fake);
	serve_goodbyes(fake);
	t_fake_hang_up(fake);
	return NULL;
}

void t_fake_init(struct t_fake *fake, void (*script)(struct t_fake *fake),
		 void *arg)
{
	*fake = (struct t_fake){
		.dir = "/tmp/vmb-fake-XXXXXX",
		.conn = -1,
		.script = script,
		.arg = arg,
		.hello = {.abi_major = VMB_ABI_MAJOR,
			  .abi_minor = VMB_ABI_MINOR,
			  .domain_id = 3,
			  .features = t_fake_passes_fds()
					      ? VMB_FEATURE_PROCESS_MEMORY
					      : 0,
			  .nic_id = 0x020000000001,
			  .endpoints_max = 4,
			  .name = "fake:0"},
	};
}

void t_fake_start(struct t_fake *fake)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	ck_assert_ptr_nonnull(mkdtemp(fake->dir));
	snprintf(fake->path, sizeof(fake->path), "%s/s", fake->dir);
	strcpy(address.sun_path, fake->path);
	fake->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	ck_assert_int_eq(listen(fake->listener, 4), 0);
	ck_assert_int_eq(pthread_create(&fake->thread, NULL, fake_main, fake),
			 0);
}

void t_fake_stop(struct t_fake *fake)
{
	pthread_join(fake->thread, NULL);
	close(fake->listener);
	unlink(fake->path);
	rmdir(fake->dir);
}

struct vmb_port *t_fake_open_port(struct t_fake *fake)
{
	struct vmb_port *port = NULL;

	t_fake_start(fake);
	ck_assert_int_eq(t_fake_port->open(fake->path, NULL, &port), 0);
	return port;
}

void t_fake_close_port(struct t_fake *fake, struct vmb_port *port)
{
	t_fake_port->close(port);
	t_fake_stop(fake);
}

void t_fake_script_register(struct t_fake *fake)
{
	struct t_registered *r = fake->arg;
	struct t_request request = t_fake_expect(fake, VMB_CTL_REGISTER);
	union vmb_ctl_any reply = {.reg_reply = {.key = r->key}};

	r->asked = request.body.reg;
	r->fd = request.fd;
	reply.head.status = r->status;
	t_fake_reply(fake, &request, &reply,
		     r->status ? sizeof(reply.head) : sizeof(reply.reg_reply),
		     NULL, 0);
}

void t_fake_check_register(__u32 kind)
{
	struct t_registered r = {.key = 0x0123456700020001ull};
	static char buffer[100];
	struct vmb_port *port;
	struct t_fake fake;
	uint64_t key;

	t_fake_init(&fake, t_fake_script_register, &r);
	port = t_fake_open_port(&fake);
	ck_assert_int_eq(t_fake_port->mem_register(port, buffer, 100,
						   VMB_ACCESS_REMOTE_WRITE,
						   &key),
			 0);
	ck_assert_uint_eq(key, r.key);
	ck_assert_int_eq(t_fake_port->mem_deregister(port, key), 0);
	t_fake_close_port(&fake, port);
	ck_assert_uint_eq(r.asked.kind, kind);
	ck_assert_uint_eq(r.asked.access, VMB_ACCESS_REMOTE_WRITE);
	ck_assert_uint_eq(r.asked.base, (uintptr_t)buffer);
	ck_assert_uint_eq(r.asked.len, 100);
	ck_assert_int_eq(r.fd, -1);
	ck_assert_int_eq(fake.deregisters, 1);
}

const struct vmb_ctl_open_reply t_fake_bad_opens[T_FAKE_BAD_OPENS] = {
	{.handle = 0, .id = 17, .session = 1},
	{.handle = 4, .id = 18, .session = 1},
	{.handle = 4, .id = 17, .session = 0},
	{.handle = 4, .id = 17, .session = 1, .reserved_e0 = 1},
};

int t_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int t_fake_main(int argc, char **argv, Suite *(*suite)(void))
{
	if (argc > 1 && !strcmp(argv[1], vmb_port_kshim.name))
		t_fake_port = &vmb_port_kshim;
	return t_run(suite());
}
