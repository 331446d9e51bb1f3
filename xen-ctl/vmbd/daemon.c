// SPDX-License-Identifier: BSD-2-Clause
/*
 * daemon.c - the parts of the daemon that serve clients, put together: host,
 * platforms, engine, tables.
 *
 * Flow:  main.c, or a test that is a daemon -> open, start, loop, stop, close
 * Owns:  their order. The event loop is the caller's.
 */
#include "daemon.h"

#include <errno.h>

#include "client.h"

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

int vmbd_open(struct vmbd *d)
{
	int err;

	err = vmb_host_open(d->options->engines, &d->host);
	if (err)
		return err;
	err = open_platforms(d);
	if (err)
		goto err_close_host;
	err = open_engine(d);
	if (err)
		goto err_close_platforms;
	err = vmbd_tables_init(d);
	if (err)
		goto err_fini_tables;
	return 0;

err_fini_tables:
	vmbd_tables_fini(d);
	vmb_nic_close(d->nic);
err_close_platforms:
	close_platforms(d);
err_close_host:
	vmb_host_close(d->host);
	return err;
}

int vmbd_start(struct vmbd *d)
{
	int err;

	err = vmb_nic_start(d->nic);
	for (unsigned i = 0; i < d->platform_count && !err; i++)
		err = d->platforms[i].ops->start(d->platforms[i].platform);
	return err;
}

void vmbd_stop(struct vmbd *d)
{
	for (unsigned i = d->platform_count; i-- > 0;)
		d->platforms[i].ops->stop(d->platforms[i].platform);
}

void vmbd_close(struct vmbd *d)
{
	vmbd_talk_close(d);
	vmbd_tables_fini(d);
	vmb_nic_stop(d->nic);
	vmb_nic_close(d->nic);
	close_platforms(d);
	vmb_host_close(d->host);
}
