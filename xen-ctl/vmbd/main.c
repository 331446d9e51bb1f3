// SPDX-License-Identifier: BSD-2-Clause
/*
 * main.c - vmbd, the daemon: sets everything up, runs the loop, takes
 * everything down.
 *
 * Flow:  options -> policy -> platform -> engine -> sockets -> loop
 * Owns:  the order of these, signals, readiness.
 * Trust: see the parts. The control thread is this one; the engine's threads
 *        run beside it and do not need it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "admin.h"
#include "client.h"
#include "daemon.h"
#include "domain.h"
#include "guest.h"

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
	vmb_info("policy read again: weights hold now, limits for who comes");
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

static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		vmb_warn("cannot raise the number of descriptors: %m");
}

static int open_platform(struct vmbd *d, const struct vmb_platform_ops *ops)
{
	const struct vmbd_options *o = d->options;
	struct vmbd_platform *platform = &d->platforms[d->platform_count];
	const struct vmb_platform_config config = {
		.event = d->event,
		.host = d->host,
		.events = &vmbd_client_events,
		.arg = platform,
		.socket = o->socket,
		.mode = o->mode,
		.group = o->group,
	};
	int err;

	platform->d = d;
	platform->ops = ops;
	err = ops->open(&config, &platform->platform);
	if (!err)
		d->platform_count++;
	return err;
}

static void close_platforms(struct vmbd *d)
{
	while (d->platform_count) {
		struct vmbd_platform *p = &d->platforms[--d->platform_count];

		p->ops->close(p->platform);
	}
}

static int open_platforms(struct vmbd *d)
{
	int err;

	err = open_platform(d, &vmb_platform_local);
	if (!err && d->options->guests)
		err = open_platform(d, vmb_platform_guests());
	if (err)
		close_platforms(d);
	return err;
}

static int start_platforms(struct vmbd *d)
{
	int err = 0;

	for (unsigned i = 0; i < d->platform_count && !err; i++)
		err = d->platforms[i].ops->start(d->platforms[i].platform);
	return err;
}

static void stop_platforms(struct vmbd *d)
{
	for (unsigned i = d->platform_count; i-- > 0;)
		d->platforms[i].ops->stop(d->platforms[i].platform);
}

static int open_engine(struct vmbd *d)
{
	const struct vmbd_options *o = d->options;
	const struct vmb_nic_config config = {
		.host = &d->host->ops,
		.threads = o->engines,
		.cpus = o->cpu_count ? o->cpus : NULL,
		.endpoints_max = o->endpoints_max,
		.spin_us = o->spin_us,
		.hold_us = o->hold_us,
		.quantum = o->quantum,
	};

	int err;

	err = vmb_nic_open(&config, &d->nic);
	if (!err)
		d->host->nic = d->nic;
	return err;
}

static void say_ready(const struct vmbd *d)
{
	int fd = d->options->ready_fd;

	vmb_info("ready at %s: %u engine threads, %u endpoints at most",
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

	err = start_platforms(d);
	if (err)
		goto err_stop_platforms;
	err = vmbd_admin_open(d, &d->admin);
	if (err)
		goto err_stop_platforms;
	err = vmb_nic_start(d->nic);
	if (err)
		goto err_close_admin;
	vmbd_lock_close(&d->lock); /* who looks now finds us listening */
	say_ready(d);
	err = sd_event_loop(d->event);
	vmb_info("stopping");
	sd_notify(0, "STOPPING=1");

err_close_admin:
	vmbd_admin_close(d->admin);
err_stop_platforms:
	stop_platforms(d);
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
	err = vmb_host_open(d->options->engines, &d->host);
	if (err)
		goto err_unref_event;
	err = open_platforms(d);
	if (err)
		goto err_close_host;
	err = open_engine(d);
	if (err)
		goto err_close_platforms;
	err = vmbd_tables_init(d);
	if (!err)
		err = serve(d);
	vmbd_tables_fini(d);
	vmb_nic_stop(d->nic);
	vmb_nic_close(d->nic);
err_close_platforms:
	close_platforms(d);
err_close_host:
	vmb_host_close(d->host);
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
	vmb_log_set_systemd(getenv("JOURNAL_STREAM") != NULL);
	raise_descriptors();
	if (vmbd_policy_load(options.policy, &d.policy))
		return VMBD_EXIT_POLICY;
	err = vmbd_lock_open(&d.lock, options.socket);
	if (!err)
		err = run(&d);
	vmbd_lock_close(&d.lock);
	vmbd_policy_free(d.policy);
	if (!err)
		return VMBD_EXIT_OK;
	vmb_error("vmbd ends: %s", strerror(-err));
	return err == -EADDRINUSE ? VMBD_EXIT_BUSY : VMBD_EXIT_FAILED;
}
