// SPDX-License-Identifier: BSD-2-Clause
/*
 * main.c - vmbd, the daemon: sets everything up, runs the loop, takes
 * everything down.
 *
 * Flow:  options -> policy -> daemon.c -> admin socket -> loop
 * Owns:  the order of these, signals, readiness.
 * Trust: see the parts. The control thread is this one; the engine's threads
 *        run beside it and do not need it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "admin.h"
#include "daemon.h"
#include "domain.h"
#include "guest.h"
#include "logjson.h"

/* ---- signals ------------------------------------------------------------ */

static void reload(struct vmbd *d)
{
	struct vmbd_policy *policy;

	if (vmbd_policy_load(d->options->policy, &policy)) {
		vmb_error("the policy stays as it was");
		return;
	}
	vmbd_policy_free(d->policy);
	d->policy = policy;
	vmbd_domain_reweigh(d);
	vmbd_guest_reconsider(d);
	vmb_log_with(VMB_LOG_INFO,
		     VMB_LOG_FIELDS(VMB_LOG_TEXT("event", "policy_read")),
		     "policy read again: weights hold now, limits for who "
		     "comes");
}

static int on_hangup(sd_event_source *source,
		     const struct signalfd_siginfo *info, void *arg)
{
	(void)source;
	(void)info;
	sd_notify(0, "RELOADING=1");
	reload(arg);
	sd_notify(0, "READY=1");
	return 0;
}

/* Threads inherit the mask: no signal interrupts the engine. */
static int watch_signals(struct vmbd *d)
{
	sigset_t set;
	int err;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	/* without a handler sd-event ends the loop */
	err = sd_event_add_signal(d->event, NULL, SIGTERM, NULL, NULL);
	if (err >= 0)
		err = sd_event_add_signal(d->event, NULL, SIGINT, NULL, NULL);
	if (err >= 0)
		err = sd_event_add_signal(d->event, NULL, SIGHUP, on_hangup, d);
	return err < 0 ? err : 0;
}

/* ---- parts -------------------------------------------------------------- */

/*
 * The variable is inherited by whoever a service starts, and names the file that
 * the journal reads: DEVICE:INODE (systemd.exec(5)).
 */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(fd, &st) && st.st_dev == device && st.st_ino == inode;
}

static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		vmb_warn("cannot raise the number of descriptors: %m");
}

static void say_ready(const struct vmbd *d)
{
	int fd = d->options->ready_fd;

	vmb_log_with(VMB_LOG_INFO,
		     VMB_LOG_FIELDS(VMB_LOG_TEXT("event", "ready"),
				    VMB_LOG_TEXT("socket", d->options->socket)),
		     "ready at %s: %u engine threads, %u endpoints at most",
		     d->options->socket, d->options->engines,
		     d->options->endpoints_max);
	sd_notifyf(0, "READY=1\nSTATUS=serving %s", d->options->socket);
	if (fd < 0)
		return;
	if (write(fd, "\n", 1) != 1)
		vmb_warn("cannot write to descriptor %d: %m", fd);
	close(fd);
}

/* From here on clients come; returns when a signal says so. */
static int serve(struct vmbd *d)
{
	int err;

	err = vmbd_admin_open(d, &d->admin);
	if (err)
		return err;
	err = vmbd_start(d);
	if (err)
		goto err_close_admin;
	vmbd_lock_close(&d->lock); /* who looks now finds us listening */
	say_ready(d);
	err = sd_event_loop(d->event);
	vmb_log_with(VMB_LOG_INFO,
		     VMB_LOG_FIELDS(VMB_LOG_TEXT("event", "stopping")),
		     "stopping");
	sd_notify(0, "STOPPING=1");

err_close_admin:
	vmbd_admin_close(d->admin);
	vmbd_stop(d);
	return err;
}

static int run(struct vmbd *d)
{
	int err;

	err = sd_event_new(&d->event);
	if (err < 0)
		return err;
	err = watch_signals(d);
	if (err)
		goto err_unref_event;
	err = vmbd_open(d);
	if (err)
		goto err_unref_event;
	err = serve(d);
	vmbd_close(d);
err_unref_event:
	sd_event_unref(d->event);
	return err;
}

int main(int argc, char **argv)
{
	struct vmbd_options options;
	struct vmbd d = {.options = &options, .started_ns = vmb_now_ns()};
	int err;

	vmbd_options_parse(&options, argc, argv);
	vmb_log_set_level(options.log);
	vmb_log_set_systemd(is_journal(STDERR_FILENO));
	if (options.log_json)
		vmb_log_set_form(vmbd_logjson);
	raise_descriptors();
	if (vmbd_policy_load(options.policy, &d.policy))
		return VMBD_EXIT_POLICY;
	err = vmbd_lock_open(&d.lock, options.socket);
	if (!err) {
		err = run(&d);
		if (err)
			vmb_error("vmbd ends: %s", strerror(-err));
	} /* else it was said why */
	vmbd_lock_close(&d.lock);
	vmbd_policy_free(d.policy);
	if (!err)
		return VMBD_EXIT_OK;
	return err == -EADDRINUSE ? VMBD_EXIT_BUSY : VMBD_EXIT_FAILED;
}
