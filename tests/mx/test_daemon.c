// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_daemon.c - MX when the daemon is not there, does not want us, is silent
 * or dies; MX in a child; MX beside vmb.h.
 *
 * Flow:  a vmbd of the test's own, or a socket that plays one
 * Owns:  the daemon, one at a time.
 * Trust: nothing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <check.h>
#include <vmbypass/abi/control.h>
#include <vmbypass/vmb.h>

#include "mx_extensions.h"
#include "mx_vmbypass.h"
#include "support/daemon.h"
#include "support/run.h"

#define T_MS 20000
#define returns(call, code) ck_assert_int_eq((int)(call), (int)(code))

static struct t_daemon vmbd;

static void point_at(const char *socket)
{
	char where[128];

	snprintf(where, sizeof(where), "local:%s", socket);
	setenv("VMB_PORT", where, 1);
	mx_set_error_handler(MX_ERRORS_RETURN);
}

static void start(const char *const *extra)
{
	t_daemon_start(&vmbd, extra);
	point_at(vmbd.socket);
}

static mx_endpoint_t open_one(void)
{
	mx_endpoint_t ep = NULL;

	returns(mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, NULL, 0, &ep), 0);
	return ep;
}

static uint64_t own_nic(void)
{
	uint64_t nic = 0;

	returns(mx_board_number_to_nic_id(0, &nic), 0);
	return nic;
}

/* ---- no daemon, no admission ------------------------------------------------------- */

START_TEST(init_says_why_it_cannot_attach)
{
	point_at("/nonexistent/socket");
	returns(mx_init(), MX_NO_DEV);
	setenv("VMB_PORT", "carrier-pigeon", 1);
	returns(mx_init(), MX_NO_DRIVER);
	returns(mx_finalize(), MX_NOT_INITIALIZED);
}
END_TEST

static void write_policy(char *path, const char *text)
{
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fchmod(fd, 0600), 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
}

START_TEST(policy_decides)
{
	static const struct {
		const char *text;
		mx_return_t init, second_open;
	} cases[] = {
		{"[default]\nallow = no\n", MX_NO_PERM, 0},
		{"[default]\nallow = yes\nendpoints = 1\n", 0, MX_BUSY},
	};
	char path[] = "/tmp/mx-policy-XXXXXX";
	const char *const extra[] = {"--policy", path, NULL};
	mx_endpoint_t ep;

	write_policy(path, cases[_i].text);
	start(extra);
	returns(mx_init(), cases[_i].init);
	if (!cases[_i].init) {
		uint32_t told = 0;

		ep = open_one();
		returns(mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, NULL, 0, &ep),
			cases[_i].second_open);
		returns(mx_get_info(NULL, MX_MAX_NATIVE_ENDPOINTS, NULL, 0,
				    &told, sizeof(told)),
			0);
		ck_assert_uint_eq(told, 1);
		returns(mx_finalize(), 0);
	}
	t_daemon_stop(&vmbd);
	unlink(path);
}
END_TEST

/* ---- a daemon of another version ------------------------------------------------------ */

/* Answer the first request with an error, as a newer daemon would. */
static void *refuse_version(void *arg)
{
	int listener = *(int *)arg, conn = accept(listener, NULL, NULL);
	union {
		struct vmb_ctl_head head;
		char bytes[512];
	} m;
	ssize_t n = recv(conn, &m, sizeof(m), 0);

	if (n >= (ssize_t)sizeof(m.head)) {
		m.head.status = (__typeof__(m.head.status))-EPROTO;
		m.head.len = sizeof(m.head);
		send(conn, &m.head, sizeof(m.head), MSG_NOSIGNAL);
	}
	recv(conn, &m, sizeof(m), 0); /* until the client has gone */
	close(conn);
	return NULL;
}

START_TEST(other_version_is_told)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/mx-fake-XXXXXX";
	pthread_t thread;
	int listener;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/sock", dir);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (void *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	pthread_create(&thread, NULL, refuse_version, &listener);
	point_at(a.sun_path);
	returns(mx_init(), MX_BAD_KERNEL_VERSION);
	pthread_join(thread, NULL);
	close(listener);
	unlink(a.sun_path);
	rmdir(dir);
}
END_TEST

/* ---- a daemon that is silent ------------------------------------------------------------ */

struct caller {
	mx_endpoint_t ep;
	uint64_t nic;
	uint32_t timeout;
	mx_return_t code;
	int done;
};

static void *connect_it(void *arg)
{
	struct caller *c = arg;
	mx_endpoint_addr_t addr;

	c->code = mx_connect(c->ep, c->nic, 4000, 0, c->timeout, &addr);
	__atomic_store_n(&c->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static mx_return_t told;

static mx_return_t note_error(char *str, mx_return_t ret)
{
	(void)str;
	told = ret;
	return ret;
}

/* A connect that nobody has answered belongs to the peer, too. */
static void expect_disconnected(mx_endpoint_t ep, mx_endpoint_addr_t peer,
				uint32_t id)
{
	mx_request_t request;
	mx_status_t status;
	uint32_t result;

	returns(mx_iconnect(ep, own_nic(), id, 0, 2, NULL, &request), 0);
	returns(mx_disconnect(ep, peer), 0);
	returns(mx_wait(ep, &request, T_MS, &status, &result), 0);
	ck_assert_uint_eq(result, 1);
	returns(status.code, MX_STATUS_ENDPOINT_UNREACHABLE);
}

START_TEST(silence_times_out)
{
	struct caller c = {.timeout = MX_INFINITE};
	mx_endpoint_addr_t addr, peer;
	mx_request_t request;
	mx_status_t status;
	pthread_t thread;
	uint32_t result;

	start(NULL);
	returns(mx_init(), 0);
	c.ep = open_one();
	c.nic = own_nic();
	open_one(); /* number 1 */
	returns(mx_connect(c.ep, c.nic, 1, 0, T_MS, &peer), 0);
	ck_assert_int_eq(kill(vmbd.pid, SIGSTOP), 0);
	mx_set_error_handler(note_error); /* an error, unlike other limits */
	returns(mx_connect(c.ep, c.nic, 4000, 0, 30, &addr), MX_TIMEOUT);
	returns(told, MX_TIMEOUT);
	mx_set_error_handler(MX_ERRORS_RETURN);
	expect_disconnected(c.ep, peer, 1);
	pthread_create(&thread, NULL, connect_it, &c);
	while (!__atomic_load_n(&c.done, __ATOMIC_SEQ_CST)) {
		returns(mx_wakeup(c.ep), 0); /* not remembered: again */
		sched_yield();
	}
	pthread_join(thread, NULL);
	returns(c.code, MX_TIMEOUT);
	returns(mx_iconnect(c.ep, c.nic, 4000, 0, 1, NULL, &request), 0);
	returns(mx_cancel(c.ep, &request, &result), 0); /* unanswered */
	ck_assert_uint_eq(result, 1);
	returns(mx_iconnect(c.ep, c.nic, 4000, 0, 1, NULL, &request), 0);
	returns(mx_set_request_timeout(c.ep, request, 1), 0);
	returns(mx_wait(c.ep, &request, T_MS, &status, &result), 0);
	ck_assert_uint_eq(result, 1);
	returns(status.code, MX_STATUS_TIMEOUT);
	ck_assert_int_eq(kill(vmbd.pid, SIGCONT), 0);
	returns(mx_finalize(), 0);
	t_daemon_stop(&vmbd);
}
END_TEST

/* ---- a daemon that dies --------------------------------------------------------------------- */

static void expect_dead(mx_endpoint_t ep)
{
	mx_endpoint_addr_t addr = {{0, 0}};
	mx_status_t status;
	uint32_t result = 7;
	mx_endpoint_t other;
	char name[MX_MAX_HOSTNAME_LEN] = "elsewhere:0";
	uint64_t nic;

	returns(mx_progress(ep), MX_NIC_DEAD);
	returns(mx_irecv(ep, NULL, 0, 0, 0, NULL, NULL), MX_NIC_DEAD);
	returns(mx_wait_any(ep, 0, 0, 0, &status, &result), MX_NIC_DEAD);
	ck_assert_uint_eq(result, 0);
	returns(mx_probe(ep, 0, 9, 9, &status, &result), MX_NIC_DEAD);
	returns(mx_connect(ep, own_nic(), 4000, 0, T_MS, &addr), MX_NIC_DEAD);
	returns(mx_hostname_to_nic_id(name, &nic), MX_NIC_DEAD);
	returns(mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, NULL, 0, &other),
		MX_NIC_DEAD);
}

START_TEST(death_of_the_daemon_is_told_by_each_call)
{
	mx_request_t send, receive;
	mx_endpoint_addr_t self;
	mx_status_t status;
	mx_endpoint_t ep;
	uint32_t result;

	start(NULL);
	returns(mx_init(), 0);
	ep = open_one();
	returns(mx_get_endpoint_addr(ep, &self), 0);
	returns(mx_issend(ep, NULL, 0, self, 1, NULL, &send), 0);
	returns(mx_irecv(ep, NULL, 0, 2, 2, NULL, &receive), 0);
	t_daemon_kill(&vmbd);
	returns(mx_wait(ep, &send, 0, &status, &result), 0);
	returns(status.code, MX_STATUS_ENDPOINT_UNREACHABLE);
	returns(mx_wait(ep, &receive, 0, &status, &result), 0);
	returns(status.code, MX_STATUS_ENDPOINT_UNREACHABLE);
	expect_dead(ep);
	returns(mx_close_endpoint(ep), 0);
	returns(mx_finalize(), 0);
	t_daemon_restart(&vmbd, NULL); /* and all is well again */
	returns(mx_init(), 0);
	ep = open_one();
	returns(mx_finalize(), 0);
	t_daemon_stop(&vmbd);
}
END_TEST

/* ---- fork ------------------------------------------------------------------------------------- */

/* In the child: the parent's handles are of no use, its own are. */
static int child(mx_endpoint_t ep)
{
	mx_endpoint_t own;

	if (mx_progress(ep) != MX_NOT_INITIALIZED)
		return 1;
	if (mx_close_endpoint(ep) != MX_NOT_INITIALIZED)
		return 2;
	if (mx_finalize() != MX_NOT_INITIALIZED)
		return 3;
	if (mx_init())
		return 4;
	if (mx_progress(ep) != MX_BAD_ENDPOINT)
		return 5;
	if (mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, NULL, 0, &own))
		return 6;
	return mx_finalize() ? 7 : 0;
}

START_TEST(child_attaches_for_itself)
{
	mx_endpoint_t ep;
	int status;
	pid_t pid;

#ifdef __SANITIZE_ADDRESS__
	/* gcc 12's sanitizer does not take the locks of its allocator over a
	 * fork: where another thread has one, the child hangs in free() */
	setenv("MX_MONOTHREAD", "1", 1);
#endif
	start(NULL);
	returns(mx_init(), 0);
	ep = open_one();
	pid = fork();
	if (!pid)
		_exit(child(ep));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	returns(mx_progress(ep), 0); /* the parent noticed nothing */
	returns(mx_finalize(), 0);
	t_daemon_stop(&vmbd);
}
END_TEST

/* ---- beside vmb.h ---------------------------------------------------------------------------------- */

/* Each outcome that vmb has is a status of MX. */
START_TEST(outcomes_have_a_status)
{
	static const struct {
		int code;
		mx_status_code_t status;
	} outcomes[] = {
		{0, MX_STATUS_SUCCESS},
		{-EMSGSIZE, MX_STATUS_TRUNCATED},
		{-ECONNRESET, MX_STATUS_ENDPOINT_CLOSED},
		{-ECONNREFUSED, MX_STATUS_ENDPOINT_CLOSED},
		{-ESTALE, MX_STATUS_BAD_SESSION},
		{-EKEYREJECTED, MX_STATUS_BAD_KEY},
		{-EINVAL, MX_STATUS_BAD_ENDPOINT},
		{-ENXIO, MX_STATUS_ENDPOINT_UNKNOWN},
		{-ETIMEDOUT, MX_STATUS_TIMEOUT},
		{-ECANCELED, MX_STATUS_ENDPOINT_UNREACHABLE},
		{-ECONNABORTED, MX_STATUS_ABORTED},
		{-EFAULT, MX_STATUS_BAD_RDMAWIN},
		{-ENOBUFS, MX_STATUS_NO_RESOURCES},
		{-EPIPE, MX_STATUS_ENDPOINT_UNREACHABLE},
		{-EIO, MX_STATUS_ENDPOINT_UNREACHABLE},
	};
	struct vmb_endpoint *beneath = NULL;
	mx_status_t status;
	mx_endpoint_t ep;
	uint32_t result;

	start(NULL);
	returns(mx_init(), 0);
	ep = open_one();
	returns(mx_vmbypass_endpoint(ep, &beneath), 0);
	returns(mx_vmbypass_endpoint(NULL, &beneath), MX_BAD_ENDPOINT);
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		struct vmb_req *req;

		ck_assert_int_eq(vmb_icomplete(beneath, outcomes[i].code, i,
					       &req, &req),
				 0);
		returns(mx_test_any(ep, i, MX_MATCH_MASK_NONE, &status,
				    &result),
			0);
		ck_assert_uint_eq(result, 1);
		returns(status.code, outcomes[i].status);
		ck_assert_ptr_eq(status.context, &req);
	}
	returns(mx_finalize(), 0);
	t_daemon_stop(&vmbd);
}
END_TEST

/* Both interfaces in one process: each ends what it began. */
START_TEST(finalize_leaves_vmb_alone)
{
	struct vmb_endpoint *own;
	mx_endpoint_t ep;

	start(NULL);
	ck_assert_int_eq(vmb_init(), 0);
	ck_assert_int_eq(vmb_open(NULL, &own), 0);
	returns(mx_init(), 0);
	ep = open_one();
	returns(mx_finalize(), 0);
	returns(mx_progress(ep), MX_NOT_INITIALIZED);
	ck_assert_int_eq(vmb_progress(own), 0);
	vmb_finalize();
	t_daemon_stop(&vmbd);
}
END_TEST

/* ---- a nic that goes away ------------------------------------------------------------------------ */

static uint64_t leaving; /* its name is still known; 0: none */

/*
 * In place of the library's, for libmyriexpress too: what it would have said a
 * moment ago.
 */
int vmb_nic_id_to_name(uint64_t nic_id, char name[VMB_NAME_MAX])
{
	int (*inherited)(uint64_t, char *);

	if (leaving && nic_id == leaving) {
		strcpy(name, "leaving:0");
		return 0;
	}
	*(void **)&inherited = dlsym(RTLD_NEXT, "vmb_nic_id_to_name");
	ck_assert_ptr_nonnull(inherited);
	return inherited(nic_id, name);
}

/* mx_iconnect() asks for the name first, which fails at once, and connects. */
START_TEST(nic_that_leaves_during_a_connect_is_told_by_the_status)
{
	mx_request_t request = NULL;
	mx_status_t status;
	mx_endpoint_t ep;
	uint32_t result;
	uint64_t nobody;

	start(NULL);
	returns(mx_init(), 0);
	ep = open_one();
	nobody = own_nic() ^ 0x8000;
	returns(mx_iconnect(ep, nobody, 1, 0, 5, &ep, &request),
		MX_NIC_NOT_FOUND);
	ck_assert_ptr_null(request);
	leaving = nobody;
	returns(mx_iconnect(ep, nobody, 1, 0, 5, &ep, &request), 0);
	returns(mx_wait(ep, &request, T_MS, &status, &result), 0);
	ck_assert_uint_eq(result, 1);
	returns(status.code, MX_STATUS_ENDPOINT_UNKNOWN);
	ck_assert_uint_eq(status.match_info, 5);
	ck_assert_ptr_eq(status.context, &ep);
	returns(mx_finalize(), 0);
	t_daemon_stop(&vmbd);
}
END_TEST

/* ---- the environment --------------------------------------------------------------------------------- */

/*
 * Messages of an endpoint to another one here, until one comes by a lane or so
 * many seconds are over; how many did.
 */
static uint64_t exchange(unsigned seconds)
{
	time_t end = time(NULL) + seconds;
	mx_endpoint_t from = open_one(), to = open_one();
	struct vmb_counters counters = {.size = sizeof(counters)};
	mx_endpoint_addr_t at;
	struct vmb_endpoint *ep;
	mx_request_t request;
	mx_status_t status;
	uint32_t done, id;
	uint64_t nic, word = 7;
	mx_segment_t segment = {&word, sizeof(word)};

	returns(mx_get_endpoint_addr(to, &at), 0);
	returns(mx_decompose_endpoint_addr(at, &nic, &id), 0);
	returns(mx_connect(from, nic, id, 0, 10000, &at), 0);
	returns(mx_vmbypass_endpoint(to, &ep), 0);
	do {
		returns(mx_isend(from, &segment, 1, at, 1, NULL, &request), 0);
		returns(mx_forget(from, &request), 0);
		returns(mx_irecv(to, &segment, 1, 1, MX_MATCH_MASK_NONE, NULL,
				 &request),
			0);
		do {
			returns(mx_progress(from), 0);
			returns(mx_test(to, &request, &status, &done), 0);
		} while (!done);
		ck_assert_int_eq(status.code, MX_STATUS_SUCCESS);
		ck_assert_int_eq(vmb_query_counters(ep, &counters), 0);
	} while (!counters.lane_arrivals && time(NULL) <= end);
	return counters.lane_arrivals;
}

/* Variables of MX are those of vmbypass, or change nothing. */
START_TEST(environment_of_mx_counts)
{
	static const char *const accepted[] = {
		"MX_DISABLE_SELF", "MX_MAX_RETRIES", "MX_ZOMBIE_SEND",
		"MX_IMM_ACK",	   "MX_BONDING",     "MX_PIPELINE_LOG",
		"MX_VERBOSE"};
	static const char *const lanes[] = {"MX_DISABLE_SHMEM",
					    "MX_DISABLE_SHARED"};

	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
		setenv(accepted[i], "1", 1);
	unsetenv("VMB_REGCACHE");
	unsetenv("VMB_LANES");
	setenv("MX_RCACHE", _i ? "0" : "2", 1);
	setenv(lanes[_i % 2], _i ? "1" : "0", 1);
	setenv("VMB_WAIT", "spin", 1);
	start(NULL);
	returns(mx_init(), 0);
	if (_i) {
		ck_assert_uint_eq(exchange(0), 0);
		ck_assert_str_eq(getenv("VMB_REGCACHE"), "0");
	} else {
		ck_assert_uint_gt(exchange(30), 0);
		ck_assert_ptr_null(getenv("VMB_REGCACHE"));
	}
	returns(mx_finalize(), 0);
	t_daemon_stop(&vmbd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("daemon");
	TCase *tc = tcase_create("daemon");

	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, init_says_why_it_cannot_attach);
	tcase_add_loop_test(tc, policy_decides, 0, 2);
	tcase_add_test(tc, other_version_is_told);
	tcase_add_test(tc, silence_times_out);
	tcase_add_test(tc, death_of_the_daemon_is_told_by_each_call);
	tcase_add_test(tc, child_attaches_for_itself);
	tcase_add_test(tc, outcomes_have_a_status);
	tcase_add_test(tc, finalize_leaves_vmb_alone);
	tcase_add_test(tc,
		       nic_that_leaves_during_a_connect_is_told_by_the_status);
	tcase_add_loop_test(tc, environment_of_mx_counts, 0, 3);
	return t_run(s);
}
