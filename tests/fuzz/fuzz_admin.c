// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_admin.c - any bytes, in pieces of any size, at the socket of vmbctl,
 * against a naive model of what vmbctl(1) and admin.h say must come of them.
 *
 * Flow:  fuzzer -> pieces -> socket -> admin.c -> command.c -> the daemon's
 *        tables; the answers -> compared line by line, and the tables after all
 * Owns:  a daemon with two clients and no loop of its own, its socket in a
 *        folder that goes with the process.
 * Trust: the administrator is the fuzzer. A line has one answer, in order,
 *        however it was cut; nothing changes but what a good line asks for.
 *
 * The first byte says how the rest is cut, and whether answers are read at once
 * or late. A byte 1 stands for 4096 spaces, so that lines can be too long.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "admin.h"
#include "base/log.h"
#include "base/socket.h"
#include "client.h"
#include "domain.h"
#include "fuzz.h"

#define TEXT_MAX (4u << 20)
#define LINE_MAX_BYTES 65536u
#define PIECES_MAX 100u /* or so */
#define CLIENTS 2u
#define WEIGHT 1u
#define ENDPOINTS 4u
#define MEMORY (1u << 20)

struct vmb_transport {
	struct vmbd_client *client;
};

struct m_limits {
	uint64_t endpoints, memory;
};

static struct vmbd_options options = {.engines = 1, .endpoints_max = 64};
static struct vmbd d = {.options = &options};
static struct vmbd_platform platform = {.d = &d};
static struct vmb_transport transports[CLIENTS];
static char folder[64];
static int sock;

static char text[TEXT_MAX], answers[TEXT_MAX];
static size_t text_len, answers_len;
static unsigned fds_got, fds_due;

/* the model's tables: by client, and of the domains that they are in */
static struct m_limits m_clients[CLIENTS], m_domains[CLIENTS];
static uint64_t m_weights[CLIENTS];

/* ---- the daemon --------------------------------------------------------- */

static uint64_t fake_features(struct vmb_transport *t)
{
	(void)t;
	return 0;
}

static int fake_reply(struct vmb_transport *t, const union vmb_ctl_any *msg,
		      const struct vmb_gift *gift)
{
	(void)t;
	(void)gift;
	fuzz_check(!msg->head.status, "a client is not admitted");
	return 0;
}

static const struct vmb_platform_ops fake = {
	.name = "fake",
	.features = fake_features,
	.reply = fake_reply,
};

static void nothing(void *arg)
{
	(void)arg;
}

/* One in domain "a", one in a domain of its own. */
static void arrive(unsigned i)
{
	static const struct vmb_credentials who = {.pid = 1};
	struct vmb_transport *t = &transports[i];
	union vmb_ctl_any msg = {.hello = {.abi_major = VMB_ABI_MAJOR}};
	struct vmb_platform_request request = {.msg = &msg,
					       .len = sizeof(msg.hello)};

	msg.head.op = VMB_CTL_HELLO;
	msg.head.len = sizeof(msg.hello);
	strcpy(msg.hello.domain, i ? "" : "a");
	fuzz_check(!vmbd_client_events.arrived(&platform, t, &who,
					       &t->client) &&
			   !vmbd_client_events.request(t->client, &request),
		   "arrival");
}

static void take_away(void)
{
	unlink(options.admin);
	rmdir(folder);
}

static void start(void)
{
	static const struct vmb_nic_host host = {.notify = nothing,
						 .barrier = nothing};
	const struct vmb_nic_config config = {
		.host = &host, .threads = 1, .endpoints_max = 64};
	sd_event_source *timer;

	vmb_log_set_level(VMB_LOG_NONE);
	platform.ops = &fake;
	snprintf(folder, sizeof(folder), "%s/vmb-fuzz-XXXXXX",
		 getenv("TMPDIR") ?: "/tmp");
	fuzz_check(mkdtemp(folder), "folder");
	snprintf(options.admin, sizeof(options.admin), "%s/admin", folder);
	atexit(take_away);
	fuzz_check(sd_event_new(&d.event) >= 0, "event loop");
	/* the loop opens what it needs for timers with the first, for ever */
	fuzz_check(sd_event_add_time_relative(d.event, &timer, CLOCK_MONOTONIC,
					      0, 0, NULL, NULL) >= 0,
		   "timer");
	sd_event_source_disable_unref(timer);
	fuzz_check(!vmbd_policy_load(NULL, &d.policy), "policy");
	fuzz_check(!vmb_nic_open(&config, &d.nic), "engine");
	fuzz_check(!vmbd_tables_init(&d), "tables");
	fuzz_check(!vmbd_admin_open(&d, &d.admin), "socket");
	for (unsigned i = 0; i < CLIENTS; i++)
		arrive(i);
}

static void turn(void)
{
	for (int n = 1; n > 0;)
		n = sd_event_run(d.event, 0);
}

/* ---- tables: the daemon's and the model's ---------------------------------- */

static struct vmbd_domain *domain_of(unsigned i)
{
	return transports[i].client->domain;
}

static void set(struct vmbd_limits *limits, struct m_limits *m)
{
	limits->of[VMBD_ENDPOINTS] = m->endpoints = ENDPOINTS;
	limits->of[VMBD_MEMORY] = m->memory = MEMORY;
}

static void reset(void)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		set(&transports[i].client->limits, &m_clients[i]);
		set(&domain_of(i)->limits, &m_domains[i]);
		vmbd_domain_set_weight(domain_of(i), WEIGHT);
		m_weights[i] = WEIGHT;
	}
	fds_got = fds_due = 0;
	text_len = answers_len = 0;
}

static bool is_same(const struct vmbd_limits *limits, const struct m_limits *m)
{
	return limits->of[VMBD_ENDPOINTS] == m->endpoints &&
	       limits->of[VMBD_MEMORY] == m->memory;
}

static void compare_tables(void)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		fuzz_check(is_same(&transports[i].client->limits,
				   &m_clients[i]),
			   "other limits of a client");
		fuzz_check(is_same(&domain_of(i)->limits, &m_domains[i]),
			   "other limits of a domain");
		fuzz_check(domain_of(i)->weight == m_weights[i],
			   "another weight");
	}
}

/* ---- the model: a line, and what it has to come to ------------------------- */

/* 1: a number of this range; 0: not given; -1: anything else. */
static int m_number(const json_t *request, const char *key, json_int_t min,
		    json_int_t max, json_int_t *value)
{
	const json_t *given = json_object_get(request, key);

	if (!given)
		return 0;
	if (!json_is_integer(given))
		return -1;
	*value = json_integer_value(given);
	return *value >= min && *value <= max ? 1 : -1;
}

/* Which of the two the request names; -1: none. */
static int m_domain(const json_t *request)
{
	const json_t *which = json_object_get(request, "domain");
	const char *name = json_string_value(which);
	json_int_t id = json_integer_value(which);

	if (name && !strcmp(name, "a"))
		return 0;
	if (name && *name && !name[strspn(name, "0123456789")])
		id = strtoll(name, NULL, 10); /* the largest, if too many */
	else if (!json_is_integer(which))
		return -1;
	for (unsigned i = 0; i < CLIENTS; i++)
		if (id == domain_of(i)->id)
			return (int)i;
	return -1;
}

static struct m_limits *m_find(const json_t *request)
{
	const json_t *number = json_object_get(request, "client");
	int i = number ? -1 : m_domain(request);

	if (!number)
		return i < 0 ? NULL : &m_domains[i];
	for (i = 0; i < (int)CLIENTS; i++)
		if (json_is_integer(number) &&
		    json_integer_value(number) == transports[i].client->number)
			return &m_clients[i];
	return NULL;
}

static int m_set_limit(const json_t *request)
{
	struct m_limits *m = m_find(request);
	json_int_t endpoints, memory;
	int a, b;

	if (!m)
		return ENOENT;
	a = m_number(request, "endpoints", 0, 65535, &endpoints);
	b = m_number(request, "memory", 0, 1ll << 40, &memory);
	if (a < 0 || b < 0 || a + b == 0)
		return EINVAL;
	if (a)
		m->endpoints = (uint64_t)endpoints;
	if (b)
		m->memory = (uint64_t)memory;
	return 0;
}

static int m_set_weight(const json_t *request)
{
	int i = m_domain(request);
	json_int_t weight;

	if (i < 0)
		return ENOENT;
	if (m_number(request, "weight", 1, 256, &weight) != 1)
		return EINVAL;
	m_weights[i] = (uint64_t)weight;
	return 0;
}

/* There are no guests here: whichever is named, it is an error. */
static int m_guest(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "guest"));

	return name && *name ? -1 : EINVAL;
}

/* 0; an errno; -1: any error. */
static int m_judge(const json_t *request)
{
	static const char *const questions[] = {
		"status",  "clients", "guests", "domains", "endpoints",
		"regions", "lanes",   "peers",	"limits",  "stats"};
	const char *name = json_string_value(json_object_get(request, "cmd"));
	json_int_t max;

	if (!name)
		return EINVAL;
	for (unsigned i = 0; i < vmb_array_size(questions); i++)
		if (!strcmp(name, questions[i]))
			return 0;
	if (!strcmp(name, "faults"))
		return m_number(request, "max", 1, 4096, &max) < 0 ? EINVAL : 0;
	if (!strcmp(name, "set-limit"))
		return m_set_limit(request);
	if (!strcmp(name, "set-weight"))
		return m_set_weight(request);
	if (!strcmp(name, "attach") || !strcmp(name, "detach"))
		return m_guest(request);
	return EINVAL;
}

static bool m_brings_descriptor(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));

	return name && !strcmp(name, "stats");
}

static void check_answer(const char *line, size_t len, int want)
{
	json_t *answer = json_loadb(line, len, 0, NULL);
	const json_t *error = json_object_get(answer, "errno");
	bool ok = json_is_true(json_object_get(answer, "ok"));

	fuzz_check(json_is_object(answer), "an answer that is no object");
	fuzz_check(ok == !want, "another verdict");
	if (ok)
		fuzz_check(json_object_get(answer, "data"), "no data");
	else
		fuzz_check(
			json_string_length(json_object_get(answer, "error")) &&
				(want < 0 || json_integer_value(error) == want),
			"another error");
	json_decref(answer);
}

/* The line that `at` stands at, and where the next one is; NULL: no line. */
static const char *next_line(const char *at, const char *end, size_t *len)
{
	const char *stop = memchr(at, '\n', (size_t)(end - at));

	*len = stop ? (size_t)(stop - at) : 0;
	return stop ? stop + 1 : NULL;
}

/* Each line has its answer, until one is too long: then it is the end. */
static void compare_answers(void)
{
	const char *at = text, *a = answers, *next, *a_next;
	size_t len, a_len;
	json_t *request;
	int want;

	for (; (next = next_line(at, text + text_len, &len)); at = next) {
		if (len >= LINE_MAX_BYTES)
			break;
		a_next = next_line(a, answers + answers_len, &a_len);
		fuzz_check(a_next, "a line has no answer");
		request = json_loadb(at, len, JSON_REJECT_DUPLICATES, NULL);
		want = request ? m_judge(request) : EINVAL;
		fds_due += m_brings_descriptor(request);
		json_decref(request);
		check_answer(a, a_len, want);
		a = a_next;
	}
	fuzz_check(a == answers + answers_len, "an answer to no line");
	fuzz_check(fds_got == fds_due, "another number of descriptors");
}

/* ---- the administrator ------------------------------------------------------ */

static int read_answers(void)
{
	struct vmb_socket_packet packet;
	int n = 0;

	while (!vmb_socket_receive(sock, answers + answers_len,
				   sizeof(answers) - answers_len, &packet) &&
	       packet.len) {
		answers_len += packet.len;
		fds_got += packet.fd_count;
		vmb_socket_close_fds(&packet);
		n = 1;
	}
	return n;
}

/* What may be said at once is said; a daemon that has closed hears no more. */
static void say(const char *piece, size_t len, bool read_at_once)
{
	ssize_t n;

	while (len) {
		n = send(sock, piece, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return;
		if (n > 0) {
			piece += n;
			len -= (size_t)n;
		}
		turn();
		if (n < 0 || read_at_once)
			read_answers();
	}
}

static void expand(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size && text_len < TEXT_MAX / 2; i++) {
		size_t n = data[i] == 1 ? 4096 : 1;

		memset(text + text_len, n > 1 ? ' ' : data[i], n);
		text_len += n;
	}
}

/* Pieces of 1 to `most` bytes, each another length. */
static void say_in_pieces(uint8_t how)
{
	static const size_t mosts[] = {1, 3, 17, 300, 5000, 70000, 1u << 20};
	size_t most = mosts[how / 2 % vmb_array_size(mosts)], at = 0, n = 1;

	/* small ones of a long text would take for ever */
	if (most < text_len / PIECES_MAX)
		most = text_len / PIECES_MAX;
	while (at < text_len) {
		n = 1 + n * 7 % most;
		n = n < text_len - at ? n : text_len - at;
		say(text + at, n, how & 1);
		at += n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before;

	if (!size)
		return 0;
	if (!d.nic)
		start();
	before = fuzz_open_fds();
	reset();
	expand(data + 1, size - 1);
	fuzz_check(!vmb_socket_connect(options.admin, SOCK_STREAM, 1000, &sock),
		   "connect");
	turn();
	say_in_pieces(data[0]);
	shutdown(sock, SHUT_WR);
	do
		turn();
	while (read_answers());
	close(sock);
	turn();
	compare_answers();
	compare_tables();
	fuzz_check(fuzz_open_fds() == before, "a descriptor is left");
	return 0;
}
