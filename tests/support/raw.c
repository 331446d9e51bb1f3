// SPDX-License-Identifier: BSD-2-Clause
/* raw.c - see raw.h. */
#include "support/raw.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/socket.h"
#include "base/util.h"
#include "support/daemon.h"

/* ---- packets ------------------------------------------------------------ */

int t_raw_connect(const char *path)
{
	int fd;

	ck_assert_int_eq(vmb_socket_connect(path, SOCK_SEQPACKET,
					    T_RAW_TIMEOUT_MS, &fd),
			 0);
	return fd;
}

int t_raw_send(int fd, const void *buf, size_t len, const int *fds,
	       unsigned fd_count)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	ck_assert_uint_le(fd_count, 8);
	if (fd_count) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, fd_count * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void t_raw_receive(int fd, struct t_raw_reply *reply)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct vmb_socket_packet packet;
	int err;

	memset(reply, 0, sizeof(*reply));
	ck_assert_msg(poll(&p, 1, T_RAW_TIMEOUT_MS) == 1,
		      "no answer within %d ms", T_RAW_TIMEOUT_MS);
	err = vmb_socket_receive(fd, &reply->msg, sizeof(reply->msg), &packet);
	if (err == -ECONNRESET)
		return;
	ck_assert_int_eq(err, 0);
	ck_assert(!packet.truncated);
	reply->len = packet.len;
	reply->fd_count = packet.fd_count;
	memcpy(reply->fds, packet.fds, sizeof(reply->fds));
}

void t_raw_close_fds(struct t_raw_reply *reply)
{
	while (reply->fd_count)
		close(reply->fds[--reply->fd_count]);
}

/* ---- requests ----------------------------------------------------------- */

size_t t_raw_request_len(uint32_t op)
{
	static const size_t len[] = {
		[VMB_CTL_HELLO] = sizeof(struct vmb_ctl_hello),
		[VMB_CTL_OPEN] = sizeof(struct vmb_ctl_open),
		[VMB_CTL_CLOSE] = sizeof(struct vmb_ctl_close),
		[VMB_CTL_REGISTER] = sizeof(struct vmb_ctl_register),
		[VMB_CTL_DEREGISTER] = sizeof(struct vmb_ctl_deregister),
		[VMB_CTL_CONNECT] = sizeof(struct vmb_ctl_connect),
		[VMB_CTL_LOOKUP] = sizeof(struct vmb_ctl_lookup),
		[VMB_CTL_LANE] = sizeof(struct vmb_ctl_lane),
	};

	return op < vmb_array_size(len) ? len[op] : 0;
}

int t_raw_call(int fd, union vmb_ctl_any *msg, uint32_t op, const int *fds,
	       unsigned fd_count, struct t_raw_reply *reply)
{
	static uint32_t last_tag = 1000;
	struct vmb_ctl_head *head = &msg->head;

	head->op = op;
	head->tag = ++last_tag;
	head->len = (uint32_t)t_raw_request_len(op);
	ck_assert_int_eq(t_raw_send(fd, msg, head->len, fds, fd_count), 0);
	t_raw_receive(fd, reply);
	ck_assert_msg(reply->len >= sizeof(*head), "the daemon closed");
	ck_assert_uint_eq(reply->msg.head.len, reply->len);
	ck_assert_uint_eq(reply->msg.head.op, op);
	ck_assert_uint_eq(reply->msg.head.tag, head->tag);
	if (reply->msg.head.status)
		ck_assert_uint_eq(reply->fd_count, 0);
	return reply->msg.head.status;
}

uint64_t t_raw_features = VMB_FEATURES_ALL;

int t_raw_hello(int fd, const char *domain, struct vmb_ctl_hello_reply *reply)
{
	union vmb_ctl_any msg = {.hello = {.abi_major = VMB_ABI_MAJOR,
					   .abi_minor = VMB_ABI_MINOR,
					   .features = t_raw_features}};
	struct t_raw_reply r;
	int status;

	snprintf(msg.hello.domain, sizeof(msg.hello.domain), "%s", domain);
	status = t_raw_call(fd, &msg, VMB_CTL_HELLO, NULL, 0, &r);
	if (!status)
		ck_assert_uint_eq(r.len, sizeof(*reply));
	if (reply)
		*reply = r.msg.hello_reply;
	return status;
}

int t_raw_attach(const char *path, const char *domain)
{
	int fd = t_raw_connect(path);

	ck_assert_int_eq(t_raw_hello(fd, domain, NULL), 0);
	return fd;
}

struct vmb_geometry t_raw_geometry(void)
{
	return (struct vmb_geometry){.eq_slots = VMB_EQ_SLOTS_MIN,
				     .rx_bytes = VMB_RX_BYTES_MIN,
				     .tx_bytes = VMB_TX_BYTES_MIN};
}

int t_raw_memfd(size_t len, int seals)
{
	int fd = memfd_create("t_raw", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
	if (seals)
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

int t_raw_open(int fd, uint32_t id, uint32_t key,
	       struct vmb_ctl_open_reply *reply, int fds[2])
{
	union vmb_ctl_any msg = {
		.open = {.id = id, .key = key, .geometry = t_raw_geometry()}};
	struct vmb_geometry geometry = t_raw_geometry();
	int memfd = t_raw_memfd(VMB_AREA_BYTES(&geometry), T_RAW_SEALS);
	struct t_raw_reply r;
	int status;

	status = t_raw_call(fd, &msg, VMB_CTL_OPEN, &memfd, 1, &r);
	close(memfd);
	if (status)
		return status;
	ck_assert_uint_eq(r.len, sizeof(*reply));
	ck_assert_uint_eq(r.fd_count, 2);
	if (reply)
		*reply = r.msg.open_reply;
	if (fds)
		memcpy(fds, r.fds, 2 * sizeof(int));
	else
		t_raw_close_fds(&r);
	return 0;
}

int t_raw_close(int fd, uint32_t handle)
{
	union vmb_ctl_any msg = {.close = {.handle = handle}};
	struct t_raw_reply r;

	return t_raw_call(fd, &msg, VMB_CTL_CLOSE, NULL, 0, &r);
}

static int do_register(int fd, union vmb_ctl_any *msg, const int *memfd,
		       uint64_t *key)
{
	struct t_raw_reply r;
	int status;

	status =
		t_raw_call(fd, msg, VMB_CTL_REGISTER, memfd, memfd ? 1 : 0, &r);
	if (!status) {
		ck_assert_uint_eq(r.len, sizeof(r.msg.reg_reply));
		ck_assert_uint_ne(r.msg.reg_reply.key, VMB_KEY_NONE);
	}
	if (key)
		*key = r.msg.reg_reply.key;
	return status;
}

int t_raw_register_part(int fd, int memfd, uint64_t base, uint64_t len,
			uint64_t *key)
{
	union vmb_ctl_any msg = {.reg = {.kind = VMB_REGION_MEMFD,
					 .access = VMB_ACCESS_ALL,
					 .base = base,
					 .len = len}};

	return do_register(fd, &msg, &memfd, key);
}

int t_raw_register_memfd(int fd, size_t len, uint64_t *key)
{
	int memfd = t_raw_memfd(len, T_RAW_SEALS);
	int status = t_raw_register_part(fd, memfd, 0, len, key);

	close(memfd);
	return status;
}

int t_raw_register_process(int fd, const void *at, size_t len, uint64_t *key)
{
	union vmb_ctl_any msg = {.reg = {.kind = VMB_REGION_PROCESS,
					 .access = VMB_ACCESS_ALL,
					 .base = (uintptr_t)at,
					 .len = len}};

	return do_register(fd, &msg, NULL, key);
}

int t_raw_deregister(int fd, uint64_t key)
{
	union vmb_ctl_any msg = {.dereg = {.key = key}};
	struct t_raw_reply r;

	return t_raw_call(fd, &msg, VMB_CTL_DEREGISTER, NULL, 0, &r);
}

int t_raw_peer(int fd, uint64_t nic_id, uint32_t id, uint32_t key,
	       uint32_t *handle)
{
	union vmb_ctl_any msg = {
		.connect = {.nic_id = nic_id, .id = id, .key = key}};
	struct t_raw_reply r;
	int status = t_raw_call(fd, &msg, VMB_CTL_CONNECT, NULL, 0, &r);

	if (handle)
		*handle = r.msg.connect_reply.handle;
	return status;
}

/* ---- endpoints by hand -------------------------------------------------- */

void t_raw_endpoint_open(int fd, uint32_t id, struct t_raw_endpoint *ep)
{
	t_raw_endpoint_open_keyed(fd, id, 0, ep);
}

void t_raw_endpoint_open_keyed(int fd, uint32_t id, uint32_t key,
			       struct t_raw_endpoint *ep)
{
	struct vmb_geometry g = t_raw_geometry();
	union vmb_ctl_any msg = {.open = {.id = id, .key = key, .geometry = g}};
	int memfd = t_raw_memfd(VMB_AREA_BYTES(&g), T_RAW_SEALS);
	struct t_raw_reply r;

	ck_assert_int_eq(t_raw_call(fd, &msg, VMB_CTL_OPEN, &memfd, 1, &r), 0);
	ck_assert_uint_eq(r.fd_count, 2);
	*ep = (struct t_raw_endpoint){.open = r.msg.open_reply,
				      .kick_fd = r.fds[0],
				      .notify_fd = r.fds[1]};
	ep->area = mmap(NULL, VMB_AREA_BYTES(&g), PROT_READ | PROT_WRITE,
			MAP_SHARED, memfd, 0);
	ck_assert_ptr_ne(ep->area, MAP_FAILED);
	close(memfd);
}

void t_raw_endpoint_drop(struct t_raw_endpoint *ep)
{
	struct vmb_geometry g = t_raw_geometry();

	munmap(ep->area, VMB_AREA_BYTES(&g));
	close(ep->kick_fd);
	close(ep->notify_fd);
}

static struct vmb_control_page *control_of(struct t_raw_endpoint *ep)
{
	return (void *)(ep->area + VMB_AREA_CONTROL);
}

static struct vmb_slot *event_of(struct t_raw_endpoint *ep)
{
	struct vmb_slot *slot = (void *)(ep->area + VMB_AREA_EQ);

	slot += ep->events % VMB_EQ_SLOTS_MIN;
	return __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE) == ep->events + 1
		       ? slot
		       : NULL;
}

static void take_event(struct t_raw_endpoint *ep)
{
	ep->events++;
	__atomic_store_n(&control_of(ep)->consumed, (uint64_t)ep->events,
			 __ATOMIC_RELEASE);
}

static void post(struct t_raw_endpoint *ep, struct vmb_slot what)
{
	struct vmb_slot *slot = (void *)(ep->area + VMB_AREA_DOORBELL);

	slot += ep->position % VMB_DOORBELL_SLOTS;
	what.seq = slot->seq;
	*slot = what;
	__atomic_store_n(&slot->seq, ++ep->position, __ATOMIC_SEQ_CST);
	ck_assert_int_eq(eventfd_write(ep->kick_fd, 1), 0);
}

void t_raw_endpoint_post_fence(struct t_raw_endpoint *ep, uint32_t arm)
{
	__atomic_store_n(&control_of(ep)->event_arm, arm, __ATOMIC_SEQ_CST);
	post(ep, (struct vmb_slot){.op = VMB_OP_FENCE, .hdr = ep->position});
}

bool t_raw_endpoint_fenced(struct t_raw_endpoint *ep)
{
	const struct vmb_slot *slot = event_of(ep);

	if (!slot)
		return false;
	ck_assert_uint_eq(slot->op, VMB_EV_DONE);
	ck_assert_uint_eq(slot->hdr, ep->position - 1);
	take_event(ep);
	return true;
}

unsigned t_raw_endpoint_send(struct t_raw_endpoint *ep, uint32_t peer)
{
	const struct vmb_slot *slot;
	unsigned code = VMB_CODE_OK;

	post(ep, (struct vmb_slot){.op = VMB_OP_SEND, .peer = peer});
	post(ep, (struct vmb_slot){.op = VMB_OP_FENCE, .hdr = ep->position});
	do {
		while (!(slot = event_of(ep)))
			sched_yield();
		if (slot->op == VMB_EV_DONE)
			continue;
		ck_assert_uint_eq(slot->op, VMB_EV_BOUNCE);
		code = slot->status;
		take_event(ep);
	} while (!t_raw_endpoint_fenced(ep));
	return code;
}

uint32_t t_raw_endpoint_receive(struct t_raw_endpoint *ep)
{
	const struct vmb_slot *slot = event_of(ep);
	uint32_t peer;

	if (!slot)
		return 0;
	ck_assert_uint_eq(slot->op, VMB_EV_ARRIVE);
	peer = slot->peer;
	take_event(ep);
	return peer;
}

/* Until it has ended, ask to be told and sleep. */
void t_raw_endpoint_fence(struct t_raw_endpoint *ep)
{
	struct vmb_control_page *ctl = control_of(ep);
	struct pollfd p = {.fd = ep->notify_fd, .events = POLLIN};
	uint64_t byte;

	t_raw_endpoint_post_fence(ep, (ctl->event_arm + 1) & ~VMB_ARM_WORD);
	while (!t_raw_endpoint_fenced(ep)) {
		ck_assert_msg(poll(&p, 1, T_RAW_TIMEOUT_MS) == 1,
			      "no notification");
		ck_assert_int_gt(read(ep->notify_fd, &byte, sizeof(byte)), 0);
		__atomic_store_n(&ctl->event_arm, ctl->event_arm + 1,
				 __ATOMIC_SEQ_CST);
	}
}

/* ---- admin -------------------------------------------------------------- */

void t_raw_admin(const char *path, const char *request, char *answer,
		 size_t size)
{
	char ctl[160];
	size_t len = 0;
	ssize_t n;
	int fd;

	snprintf(ctl, sizeof(ctl), "%s.ctl", path);
	ck_assert_int_eq(
		vmb_socket_connect(ctl, SOCK_STREAM, T_RAW_TIMEOUT_MS, &fd), 0);
	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL),
			 (ssize_t)strlen(request));
	ck_assert_int_eq(send(fd, "\n", 1, MSG_NOSIGNAL), 1);
	do {
		n = recv(fd, answer + len, size - 1 - len, 0);
		ck_assert_msg(n > 0, "no answer to %s", request);
		len += (size_t)n;
		answer[len] = 0;
	} while (answer[len - 1] != '\n');
	close(fd);
}

long t_raw_number(const char *answer, const char *name)
{
	char pattern[64];
	const char *at;

	snprintf(pattern, sizeof(pattern), "\"%s\":", name);
	at = strstr(answer, pattern);
	ck_assert_msg(at != NULL, "no %s in %s", name, answer);
	return strtol(at + strlen(pattern), NULL, 10);
}

void t_raw_wait_clients(const char *path, long clients)
{
	uint64_t limit = vmb_now_ns() + T_RAW_TIMEOUT_MS * 1000000ull;
	char answer[1024];
	long now;

	for (;;) {
		t_raw_admin(path, "{\"cmd\":\"status\"}", answer,
			    sizeof(answer));
		now = t_raw_number(answer, "clients");
		if (now == clients)
			return;
		ck_assert_msg(vmb_now_ns() < limit,
			      "%ld clients, and not %ld, after %d ms", now,
			      clients, T_RAW_TIMEOUT_MS);
	}
}

const char *t_raw_ask(const char *path, const char *request)
{
	static char answer[65536];

	t_raw_admin(path, request, answer, sizeof(answer));
	return answer;
}

/* ---- the program -------------------------------------------------------- */

int t_raw_run_vmbd(const char *const *args)
{
	FILE *null = fopen("/dev/null", "we");
	int status;

	ck_assert_ptr_nonnull(null);
	status = t_raw_hear_vmbd(args, null);
	fclose(null);
	return status;
}

int t_raw_hear_vmbd(const char *const *args, FILE *says)
{
	const char *argv[16] = {t_environment("VMBD")};
	int status;
	pid_t pid;

	for (unsigned i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		dup2(fileno(says), STDERR_FILENO);
		dup2(fileno(says), STDOUT_FILENO);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void t_raw_write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(chmod(path, 0600), 0);
}

/* ---- usage -------------------------------------------------------------- */

static unsigned count_entries(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static unsigned count_lines(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned n = 0;
	int c;

	ck_assert_ptr_nonnull(file);
	while ((c = getc(file)) != EOF)
		n += c == '\n';
	fclose(file);
	return n;
}

static long resident_kb(const char *path)
{
	FILE *file = fopen(path, "re");
	long pages = 0;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%*s %ld", &pages), 1);
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

struct t_raw_usage t_raw_usage(pid_t pid)
{
	struct t_raw_usage usage;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	usage.fds = count_entries(path);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	usage.threads = count_entries(path);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	usage.maps = count_lines(path);
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	usage.rss_kb = resident_kb(path);
	return usage;
}
