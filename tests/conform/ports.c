// SPDX-License-Identifier: BSD-2-Clause
/*
 * ports.c - the ways to an engine that the suites run over, a line each.
 *
 * Flow:  t_attach() -> start() -> vmb_init() finds the port
 * Owns:  the engine or the daemon of one test.
 * Trust: tests/support fails the test when it cannot do its part.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform/conform.h"
#include "support/daemon.h"
#include "support/inproc.h"
#include "support/shim.h"

/* ---- the engine in this process --------------------------------------------- */

static void inproc_start(void)
{
	t_nic_start(NULL);
	vmb_port_override(&t_port_inproc);
}

static void inproc_stop(void)
{
	vmb_port_override(NULL);
	t_nic_stop();
}

/* ---- a daemon ------------------------------------------------------------------ */

static struct t_daemon vmbd;

static void daemon_start(const char *const *arguments)
{
	char where[sizeof(vmbd.socket) + 8];

	if (vmbd.dir[0])
		t_daemon_restart(&vmbd, arguments);
	else
		t_daemon_start(&vmbd, arguments);
	snprintf(where, sizeof(where), "local:%s", vmbd.socket);
	setenv("VMB_PORT", where, 1);
}

static void local_start(void)
{
	daemon_start(NULL);
}

/* Endpoints are shared out: most pairs belong to two engine threads. */
static void engines_start(void)
{
	static const char *const arguments[] = {"--engines", "3", NULL};

	setenv("VMB_LANES", "0", 1); /* or they would see little of it */
	daemon_start(arguments);
}

static void local_stop(void)
{
	t_daemon_stop(&vmbd);
	memset(&vmbd, 0, sizeof(vmbd));
}

static void local_kill(void)
{
	t_daemon_kill(&vmbd);
}

/* ---- a kernel shim --------------------------------------------------------------- */

static bool shim_runs;

static void kshim_start(void)
{
	char where[64];

	t_nic_start(NULL);
	t_shim_start();
	shim_runs = true;
	snprintf(where, sizeof(where), "kshim:%s", t_shim_path());
	setenv("VMB_PORT", where, 1);
}

/* The backend goes: the shim ends all files, nothing is left behind. */
static void kshim_kill(void)
{
	if (!shim_runs)
		return;
	t_shim_stop();
	t_nic_stop();
	shim_runs = false;
}

/* ---- what is there already --------------------------------------------------------- */

/* A daemon that somebody else runs, reached as VMB_PORT says: a real guest. */
static void env_start(void)
{
}

static void env_stop(void)
{
}

/* ---- the table ----------------------------------------------------------------- */

static const struct t_port ports[] = {
	{"inproc", inproc_start, inproc_stop, NULL, t_port_hold_connects,
	 false},
	{"local", local_start, local_stop, local_kill, NULL, true},
	{"engines", engines_start, local_stop, local_kill, NULL, true},
	{"kshim", kshim_start, kshim_kill, kshim_kill, t_shim_hold_connects,
	 false},
	{"env", env_start, env_stop, NULL, NULL, true},
};

const struct t_port *t_port_named(const char *name)
{
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		if (!strcmp(ports[i].name, name))
			return &ports[i];
	return NULL;
}

void t_port_list(void)
{
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		fprintf(stderr, "  %s\n", ports[i].name);
}

bool t_port_makes_lanes(void)
{
	return !strcmp(t_port->name, "local") ||
	       !strcmp(t_port->name, "inproc");
}
