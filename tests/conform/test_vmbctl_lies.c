// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_vmbctl_lies.c - vmbctl against a daemon that is played by the test and
 * lies.
 */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmbypass/abi/stats.h>

#include "base/socket.h"
#include "base/util.h"
#include "ctl.h"
#include "support/run.h"
#include "support/skip.h"

static struct ctl_result r; /* each test runs in a process of its own */

/* ---- the daemon --------------------------------------------------------- */

/* One field of the statistics header, made wrong. */
struct stats_lie {
	uint64_t magic;
	uint16_t major;
	uint32_t records, record_bytes;
	unsigned seals;
	off_t size;
};

#define GOOD_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define STATS_SIZE (VMB_PAGE + 4 * sizeof(struct vmb_stats))

static const struct stats_lie stats_lies[] = {
	{VMB_STATS_MAGIC, 1, 4, 256, GOOD_SEALS, STATS_SIZE}, /* no lie */
	{1, 1, 4, 256, GOOD_SEALS, STATS_SIZE},
	{VMB_STATS_MAGIC, 2, 4, 256, GOOD_SEALS, STATS_SIZE},
	{VMB_STATS_MAGIC, 1, 5, 256, GOOD_SEALS, STATS_SIZE},
	{VMB_STATS_MAGIC, 1, 0xffffffff, 256, GOOD_SEALS, STATS_SIZE},
	{VMB_STATS_MAGIC, 1, 4, 128, GOOD_SEALS, STATS_SIZE},
	{VMB_STATS_MAGIC, 1, 1, 260, GOOD_SEALS, STATS_SIZE},
	{VMB_STATS_MAGIC, 1, 4, 0, GOOD_SEALS, STATS_SIZE},
	{VMB_STATS_MAGIC, 1, 4, 256, 0, STATS_SIZE},
	{VMB_STATS_MAGIC, 1, 0, 256, GOOD_SEALS, VMB_PAGE - 1},
	{VMB_STATS_MAGIC, 1, 0, 256, GOOD_SEALS, 0},
};

struct liar {
	char dir[32], socket[48], path[64];
	const char *answer;	   /* always the same, or these, */
	const char *const *script; /* and at its end none */
	char requests[4096];	   /* all lines that came */
	int memory;		   /* goes with each answer, or -1 */
	int listener;
	pthread_t thread;
};

static int make_stats(const struct stats_lie *lie)
{
	struct vmb_stats_head head = {.magic = lie->magic,
				      .abi_major = lie->major,
				      .records = lie->records,
				      .record_bytes = lie->record_bytes};
	struct vmb_stats record = {.handle = 0x10000, .id = 3, .sends = 42};
	int fd = memfd_create("lie", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
	ck_assert_int_eq(pwrite(fd, &record, sizeof(record), VMB_PAGE),
			 sizeof(record));
	ck_assert_int_eq(ftruncate(fd, lie->size), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, lie->seals), 0);
	return fd;
}

/* Answer each connection once, until the listener is shut down. */
static void *liar_main(void *arg)
{
	struct liar *l = arg;
	size_t used = 0;
	const char *answer;
	ssize_t n;
	int conn;

	while ((conn = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		n = recv(conn, l->requests + used,
			 sizeof(l->requests) - 1 - used, 0);
		ck_assert_int_gt(n, 0);
		used += (size_t)n;
		answer = l->script ? *l->script : l->answer;
		if (l->script && *l->script)
			l->script++;
		if (answer)
			vmb_socket_send(conn, answer, strlen(answer),
					l->memory);
		close(conn);
	}
	return NULL;
}

static void liar_bind(struct liar *l, const char *answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*l = (struct liar){
		.dir = "/tmp/vmb-liar-XXXXXX", .answer = answer, .memory = -1};
	ck_assert_ptr_nonnull(mkdtemp(l->dir));
	snprintf(l->socket, sizeof(l->socket), "%s/s", l->dir);
	snprintf(l->path, sizeof(l->path), "%s.ctl", l->socket);
	strcpy(address.sun_path, l->path);
	l->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(l->listener, (struct sockaddr *)&address,
			      sizeof(address)),
			 0);
}

static void liar_clear(struct liar *l)
{
	if (l->memory >= 0)
		close(l->memory);
	close(l->listener);
	unlink(l->path);
	rmdir(l->dir);
}

static void liar_serve(struct liar *l)
{
	ck_assert_int_eq(listen(l->listener, 4), 0);
	pthread_create(&l->thread, NULL, liar_main, l);
}

/* stats may be NULL. */
static void liar_start(struct liar *l, const char *answer,
		       const struct stats_lie *stats)
{
	liar_bind(l, answer);
	if (stats)
		l->memory = make_stats(stats);
	liar_serve(l);
}

static void liar_stop(struct liar *l)
{
	shutdown(l->listener, SHUT_RDWR);
	pthread_join(l->thread, NULL);
	liar_clear(l);
}

/* ---- what it says ------------------------------------------------------- */

START_TEST(statistics_that_lie_are_refused)
{
	struct liar l;

	liar_start(&l, "{\"ok\":true,\"data\":null}\n", &stats_lies[_i]);
	RUN(l.socket, &r, "counters", "--json");
	liar_stop(&l);
	ck_assert_int_eq(r.status, _i ? 1 : 0);
	ctl_assert_has(_i ? r.err : r.out,
		       _i ? "statistics memory" : "\"sends\": 42");
}
END_TEST

/* A page of a memfd that was read is there: the file takes room then. */
START_TEST(memory_without_seals_is_not_touched)
{
	struct stat st;
	struct liar l;

	liar_bind(&l, "{\"ok\":true}\n");
	l.memory = memfd_create("lie", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(l.memory, STATS_SIZE), 0);
	liar_serve(&l);
	RUN(l.socket, &r, "counters");
	ck_assert_int_eq(fstat(l.memory, &st), 0);
	liar_stop(&l);
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "statistics memory");
	ck_assert_int_eq(st.st_blocks, 0);
}
END_TEST

static const char *const bad_answers[] = {
	"",
	"\n",
	"[1,2",
	"{\"ok\":true}\n",
	"{\"ok\":\"yes\",\"data\":[]}\n",
	"{\"data\":[]}\n",
	"{\"ok\":true,\"data\":{}}\n",
	"{\"ok\":true,\"data\":7}\n",
	"{\"ok\":false}\n",
	"{\"ok\":false,\"error\":7,\"errno\":-4}\n",
	"{\"ok\":true,\"ok\":true,\"data\":[]}\n",
};

START_TEST(answer_that_is_none_is_an_error)
{
	struct liar l;

	liar_start(&l, bad_answers[_i], NULL);
	RUN(l.socket, &r, "domains");
	liar_stop(&l);
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "vmbctl: ");
	ck_assert_int_eq(r.out[0], 0);
}
END_TEST

static const char *const bad_states[] = {
	"{\"ok\":true,\"data\":[{\"pid\":7}]}\n",
	"{\"ok\":true,\"data\":7}\n",
	"{\"ok\":true,\"data\":null}\n",
	"{\"ok\":true,\"data\":\"well\"}\n",
};

START_TEST(status_that_is_no_object_is_an_error)
{
	struct liar l;

	liar_start(&l, bad_states[_i], NULL);
	for (int json = 0; json < 2; json++) {
		RUN(l.socket, &r, "status", json ? "--json" : NULL);
		ck_assert_int_eq(r.status, 1);
		ctl_assert_has(r.err, "no object");
		ck_assert_int_eq(r.out[0], 0);
	}
	liar_stop(&l);
}
END_TEST

/* The last has 33 bits, of which the last 32 are 0. */
static const char *const no_users[] = {
	"{\"ok\":true,\"data\":[{\"uid\":\"x\",\"owner\":\"x\"}]}\n",
	"{\"ok\":true,\"data\":[{\"uid\":null,\"owner\":[0]}]}\n",
	"{\"ok\":true,\"data\":[{\"uid\":0.5,\"owner\":false}]}\n",
	"{\"ok\":true,\"data\":[{\"uid\":4294967296,\"owner\":4294967296}]}\n",
};

START_TEST(number_that_is_no_user_is_not_root)
{
	struct liar l;

	liar_start(&l, no_users[_i], NULL);
	RUN(l.socket, &r, "clients");
	ck_assert_int_eq(r.status, 0);
	ck_assert_ptr_null(strstr(r.out, "root"));
	RUN(l.socket, &r, "limits");
	ck_assert_int_eq(r.status, 0);
	ck_assert_ptr_null(strstr(r.out, "root"));
	liar_stop(&l);
}
END_TEST

static const struct {
	const char *answer, *says;
} refusals[] = {
	{"{\"ok\":false,\"errno\":1}\n", "Operation not permitted"},
	{"{\"ok\":false,\"errno\":99999}\n", "does not say why"},
	{"{\"ok\":false,\"errno\":4294967297}\n", "Input/output error"},
	{"{\"ok\":false,\"errno\":\"x\"}\n", "Input/output error"},
	{"{\"ok\":false,\"error\":7,\"errno\":1}\n", "Operation not permitted"},
};

START_TEST(refusal_without_words_is_told_by_its_number)
{
	struct liar l;

	liar_start(&l, refusals[_i].answer, NULL);
	RUN(l.socket, &r, "domains");
	liar_stop(&l);
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, refusals[_i].says);
}
END_TEST

START_TEST(refusal_is_told_in_the_words_of_the_daemon)
{
	struct liar l;

	liar_start(&l, "{\"ok\":false,\"error\":\"not today\",\"errno\":1}\n",
		   NULL);
	RUN(l.socket, &r, "domains");
	liar_stop(&l);
	ck_assert_int_eq(r.status, 1);
	ctl_assert_has(r.err, "vmbctl: not today");
}
END_TEST

START_TEST(names_cannot_steer_the_terminal)
{
	struct liar l;

	liar_start(&l, "{\"ok\":true,\"data\":[{\"name\":\"\\u001b[2Jx\"}]}\n",
		   NULL);
	RUN(l.socket, &r, "domains");
	liar_stop(&l);
	ck_assert_int_eq(r.status, 0);
	ctl_assert_has(r.out, "?[2Jx");
	ck_assert_ptr_null(strchr(r.out, '\033'));
}
END_TEST

/* In all that is shown: a label, a value, a refusal, an answer that is none. */
static const struct steering {
	const char *command, *answer;
} steerings[] = {
	{"status", "{\"ok\":true,\"data\":{\"x\\u001b[2J\":\"y\"}}\n"},
	{"status", "{\"ok\":true,\"data\":{\"x\\u009b2J\":\"\\u007f\"}}\n"},
	{"domains", "{\"ok\":true,\"data\":[{\"name\":\"x\\u009b2J\"}]}\n"},
	{"faults",
	 "{\"ok\":true,\"data\":{\"records\":[{\"op\":\"x\\u0085\"}]}}\n"},
	{"domains", "{\"ok\":false,\"error\":\"x\\u001b[2J\\u009b2J\"}\n"},
	{"domains", "x\033[2J\177\n"},
	{"domains", "x\302\2332J\233\340\202\233\n"},
};

static void assert_steers_nothing(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		ck_assert_msg(*c == '\n' || (*c >= ' ' && *c != 0x7f), "%s",
			      text);
		ck_assert_msg(*c != 0x9b && *c != 0x85, "%s", text);
	}
}

START_TEST(nothing_shown_steers_the_terminal)
{
	const struct steering *s = &steerings[_i];
	struct liar l;

	liar_start(&l, s->answer, NULL);
	RUN(l.socket, &r, s->command);
	liar_stop(&l);
	assert_steers_nothing(r.out);
	assert_steers_nothing(r.err);
	ck_assert_msg(strchr(r.out, 'x') || strchr(r.err, 'x'), "lost");
}
END_TEST

START_TEST(names_beyond_ascii_are_shown)
{
	struct liar l;

	liar_start(&l,
		   "{\"ok\":false,\"error\":\"caf\303\251 "
		   "\342\202\254 \360\237\232\200\"}\n",
		   NULL);
	RUN(l.socket, &r, "domains");
	liar_stop(&l);
	ctl_assert_has(r.err, "caf\303\251 \342\202\254 \360\237\232\200");
}
END_TEST

/* Little enough for the buffer of a terminal. */
static void run_on_terminal(const char *socket, const char *const *args)
{
	int master, slave;
	ssize_t n;

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	r.status = ctl_exit_code(ctl_spawn(socket, args, slave, slave));
	n = read(master, r.out, sizeof(r.out) - 1);
	ck_assert_int_gt(n, 0);
	r.out[n] = '\0';
	close(slave);
	close(master);
}

START_TEST(json_on_a_terminal_is_ascii)
{
	static const char *const args[] = {"domains", "--json", NULL};
	struct liar l;
	json_t *rows;

	liar_start(&l,
		   "{\"ok\":true,\"data\":[{\"name\":\"\\u009b2J\\u007f\"}]}\n",
		   NULL);
	run_on_terminal(l.socket, args);
	liar_stop(&l);
	ck_assert_int_eq(r.status, 0);
	for (const char *c = r.out; *c; c++)
		ck_assert_msg(*c > 0 && *c != 0x7f, "%s", r.out);
	rows = ctl_parse(r.out);
	ck_assert_str_eq(ctl_string(json_array_get(rows, 0), "name"),
			 "\302\2332J\177");
	json_decref(rows);
}
END_TEST

/* ---- following what it says --------------------------------------------- */

#define FAULTS(records) "{\"ok\":true,\"data\":{\"records\":[" records "]}}\n"
#define FAULT(number) "{\"number\":" number "}"

static const struct follow {
	const char *script[4];
	const char *out, *err;
} follows[] = {
	{{FAULTS(FAULT("4") "," FAULT("5")),
	  FAULTS(FAULT("4") "," FAULT("5") "," FAULT("6"))},
	 "{\"number\":4}\n{\"number\":5}\n{\"number\":6}\n",
	 ""},
	{{FAULTS(""), FAULTS(FAULT("0"))}, "{\"number\":0}\n", ""},
	/* missed: also when none was there at the first look */
	{{FAULTS(""), FAULTS(FAULT("2"))},
	 "{\"number\":2}\n",
	 "2 records came too fast"},
	{{FAULTS(FAULT("5")), FAULTS(FAULT("8"))},
	 "{\"number\":5}\n{\"number\":8}\n",
	 "2 records came too fast"},
	/* another daemon */
	{{FAULTS(FAULT("5")), FAULTS(FAULT("0") "," FAULT("1"))},
	 "{\"number\":5}\n{\"number\":0}\n{\"number\":1}\n",
	 "started again"},
	{{FAULTS(FAULT("5")), FAULTS(""), FAULTS(FAULT("0"))},
	 "{\"number\":5}\n{\"number\":0}\n",
	 "started again"},
};

START_TEST(faults_are_followed_through_gaps_and_restarts)
{
	const struct follow *f = &follows[_i];
	struct liar l;

	liar_bind(&l, NULL);
	l.script = f->script;
	liar_serve(&l);
	RUN(l.socket, &r, "faults", "--follow", "--json", "--interval", "0.1");
	liar_stop(&l);
	ck_assert_int_eq(r.status, 1); /* when the script is over */
	ck_assert_str_eq(r.out, f->out);
	ctl_assert_has(r.err, f->err);
	if (!*f->err) /* nothing else was said */
		ck_assert_ptr_eq(strstr(r.err, "vmbctl: "),
				 strstr(r.err, "vmbctl: /tmp/"));
}
END_TEST

START_TEST(only_old_faults_are_limited_by_max)
{
	static const char *const script[] = {FAULTS(FAULT("5")), FAULTS(""),
					     NULL};
	struct liar l;

	liar_bind(&l, NULL);
	l.script = script;
	liar_serve(&l);
	RUN(l.socket, &r, "faults", "--follow", "--max", "1", "--interval",
	    "0.1");
	liar_stop(&l);
	ck_assert_str_eq(l.requests, "{\"cmd\":\"faults\",\"max\":1}\n"
				     "{\"cmd\":\"faults\",\"max\":4096}\n"
				     "{\"cmd\":\"faults\",\"max\":4096}\n");
}
END_TEST

/* ---- who it is ---------------------------------------------------------- */

#define STRANGER 65533
#define OURS 65534

/* As root: a child of that user plays the daemon, one of ours is vmbctl. */
static pid_t play_as(struct liar *l, uid_t uid)
{
	pid_t pid;

	liar_bind(l, "{\"ok\":true,\"data\":{\"x\":\"said\"}}\n");
	ck_assert_int_eq(chmod(l->dir, 0711), 0);
	ck_assert_int_eq(chmod(l->path, 0666), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	if (setgid(uid) || setuid(uid) || listen(l->listener, 4))
		_exit(1);
	liar_main(l);
	_exit(0);
}

static const struct {
	uid_t daemon, asks;
	int status;
} meetings[] = {
	{OURS, OURS, 0},
	{0, OURS, 0},
	{STRANGER, OURS, 1},
	{STRANGER, 0, 0}, /* root looks at the daemons of users */
};

START_TEST(daemon_of_a_stranger_is_not_asked)
{
	struct liar l;
	pid_t daemon;

	if (getuid())
		return t_skip("only root can be two users");
	daemon = play_as(&l, meetings[_i].daemon);
	ctl_uid = meetings[_i].asks;
	do /* until it listens */
		RUN(l.socket, &r, "status");
	while (strstr(r.err, "no daemon at"));
	kill(daemon, SIGKILL);
	waitpid(daemon, NULL, 0);
	liar_clear(&l);
	ck_assert_int_eq(r.status, meetings[_i].status);
	if (r.status)
		ctl_assert_has(r.err, "belongs to user 65533");
	else
		ctl_assert_has(r.out, "said");
}
END_TEST

/* ---- suite -------------------------------------------------------------- */

static Suite *lies_suite(void)
{
	Suite *s = suite_create("vmbctl_lies");
	TCase *c = tcase_create("lies");

	tcase_set_timeout(c, 30);
	tcase_add_loop_test(c, statistics_that_lie_are_refused, 0,
			    vmb_array_size(stats_lies));
	tcase_add_test(c, memory_without_seals_is_not_touched);
	tcase_add_loop_test(c, answer_that_is_none_is_an_error, 0,
			    vmb_array_size(bad_answers));
	tcase_add_loop_test(c, status_that_is_no_object_is_an_error, 0,
			    vmb_array_size(bad_states));
	tcase_add_loop_test(c, number_that_is_no_user_is_not_root, 0,
			    vmb_array_size(no_users));
	tcase_add_loop_test(c, refusal_without_words_is_told_by_its_number, 0,
			    vmb_array_size(refusals));
	tcase_add_test(c, refusal_is_told_in_the_words_of_the_daemon);
	tcase_add_test(c, names_cannot_steer_the_terminal);
	tcase_add_loop_test(c, nothing_shown_steers_the_terminal, 0,
			    vmb_array_size(steerings));
	tcase_add_test(c, names_beyond_ascii_are_shown);
	tcase_add_test(c, json_on_a_terminal_is_ascii);
	tcase_add_loop_test(c, faults_are_followed_through_gaps_and_restarts, 0,
			    vmb_array_size(follows));
	tcase_add_test(c, only_old_faults_are_limited_by_max);
	tcase_add_loop_test(c, daemon_of_a_stranger_is_not_asked, 0,
			    vmb_array_size(meetings));
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return t_run(lies_suite());
}
