/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbd.h - a daemon inside the test process, with both platforms: the local
 * one on a socket in a folder of its own, and that of guests on the host of
 * fake_xen.h.
 *
 * Flow:  test -> t_vmbd_turn() -> event loop -> platforms -> engine threads
 * Owns:  the daemon, its folder. The test's thread is the control thread.
 */
#ifndef TESTS_SUPPORT_VMBD_H
#define TESTS_SUPPORT_VMBD_H

#include <jansson.h>

#include "vmbd/daemon.h"

struct t_vmbd {
	struct vmbd d;
	struct vmbd_options options;
	char dir[32], policy[64];
};

/* policy: text of the file, or NULL: none. */
void t_vmbd_start(struct t_vmbd *v, const char *policy);
/* With so many engine threads. */
void t_vmbd_start_threads(struct t_vmbd *v, const char *policy,
			  unsigned threads);
/* Clients are sent away; the store stays as it is. */
void t_vmbd_stop(struct t_vmbd *v);
/* What is there to do, and at most `wait_us` for something to come. */
void t_vmbd_turn(struct t_vmbd *v, unsigned wait_us);
/* Until the loop has nothing to do for a while. */
void t_vmbd_settle(struct t_vmbd *v);
/* Another policy, as at SIGHUP. */
void t_vmbd_reload(struct t_vmbd *v, const char *policy);

/*
 * A command of the admin socket. 0 or -errno. answer: owned by the caller, or
 * NULL; NULL is what a failed command answers.
 */
int t_vmbd_command(struct t_vmbd *v, json_t **answer, const char *format, ...);
/* Faults of this code in the log. */
unsigned t_vmbd_faults(struct t_vmbd *v, unsigned code);

#define t_vmbd_until(v, expr)                                             \
	do {                                                              \
		uint64_t t_stop = vmb_now_ns() + 20000000000ull;          \
                                                                          \
		while (!(expr)) {                                         \
			ck_assert_msg(vmb_now_ns() < t_stop, "never: %s", \
				      #expr);                             \
			t_vmbd_turn(v, 1000);                             \
		}                                                         \
	} while (0)

#endif
