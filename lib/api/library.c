// SPDX-License-Identifier: BSD-2-Clause
/*
 * library.c - the process and its daemon: attach, detach, fork.
 *
 * Flow:  vmb_init() -> port open -> registration cache -> ready
 * Owns:  the port, the registration cache, the count of users.
 * Trust: the port checked the daemon's answers.
 *
 * vmb_library_enter() holds the context, so that the last vmb_finalize() does
 * not take the port away under a call of another thread. An open endpoint
 * holds it too.
 */
#include "api/api.h"

#define REGISTRATIONS_KEPT 256

#define TEXT(x) #x
#define VERSION_TEXT(major, minor, patch) \
	TEXT(major) "." TEXT(minor) "." TEXT(patch)

struct vmb_library vmb_library = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

const char *vmb_version(void)
{
	return VERSION_TEXT(VMB_VERSION_MAJOR, VMB_VERSION_MINOR,
			    VMB_VERSION_PATCH);
}

/* ---- fork ---------------------------------------------------------------- */

static void fork_prepare(void)
{
	pthread_mutex_lock(&vmb_library.mutex);
	pthread_mutex_lock(&vmb_endpoints.mutex);
	pthread_mutex_lock(&vmb_memories.mutex);
}

static void fork_unlock(void)
{
	pthread_mutex_unlock(&vmb_memories.mutex);
	pthread_mutex_unlock(&vmb_endpoints.mutex);
	pthread_mutex_unlock(&vmb_library.mutex);
}

/* Alone in a copy of the parent: nothing that it has open may be used. */
static void fork_child(void)
{
	struct vmb_library *lib = &vmb_library;

	pthread_cond_init(&lib->changed, NULL); /* nobody waits here */
	lib->forked = lib->forked || lib->users || lib->calls || lib->busy;
	lib->users = lib->calls = 0;
	lib->busy = false;
	vmb_endpoint_mark_forked();
	vmb_memory_mark_forked();
	fork_unlock();
}

static void watch_forks(void)
{
	pthread_atfork(fork_prepare, fork_unlock, fork_child);
}

/*
 * The child's own vmb_init(): let go of the descriptors and mappings; the port
 * knows that it is the parent's and does not speak. The memory of endpoints
 * stays: another thread of the parent may have been changing it.
 */
static void drop_inherited(struct vmb_library *lib)
{
	vmb_endpoint_drop_forked();
	if (lib->regcache)
		vmb_regcache_close(lib->regcache);
	if (lib->port)
		lib->port->ops->close(lib->port);
	lib->port = NULL;
	lib->regcache = NULL;
	lib->forked = false;
}

/* ---- attach and detach ---------------------------------------------------- */

/* Returns locked, with nobody attaching or detaching. */
static void lock_idle(struct vmb_library *lib)
{
	pthread_mutex_lock(&lib->mutex);
	while (lib->busy)
		pthread_cond_wait(&lib->changed, &lib->mutex);
}

static void set_busy(struct vmb_library *lib, bool busy)
{
	lib->busy = busy;
	pthread_cond_broadcast(&lib->changed);
}

static int attach(struct vmb_library *lib)
{
	int rc;

	vmb_lock_setup();
	vmb_settings_read(&lib->settings);
	rc = vmb_port_open(&lib->port);
	if (rc)
		return rc;
	rc = vmb_regcache_open(lib->port, REGISTRATIONS_KEPT, &lib->regcache);
	if (rc)
		goto err_close_port;
	return 0;
err_close_port:
	lib->port->ops->close(lib->port);
	lib->port = NULL;
	return rc;
}

static void detach(struct vmb_library *lib)
{
	struct vmb_regcache *regcache = lib->regcache;
	struct vmb_port *port = lib->port;

	vmb_memory_fini();
	/* who forks from here on finds nothing to drop */
	lib->regcache = NULL;
	lib->port = NULL;
	vmb_regcache_close(regcache);
	port->ops->close(port);
}

/* One more user of what is attached; -EPIPE: it is of no use any more. */
static int join(struct vmb_library *lib)
{
	int rc = lib->port->ops->alive(lib->port);

	if (!rc)
		lib->users++;
	pthread_mutex_unlock(&lib->mutex);
	return rc;
}

int vmb_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct vmb_library *lib = &vmb_library;
	int rc;

	pthread_once(&once, watch_forks);
	lock_idle(lib);
	if (lib->users)
		return join(lib);
	set_busy(lib, true);
	pthread_mutex_unlock(&lib->mutex);

	if (lib->forked)
		drop_inherited(lib);
	rc = attach(lib);

	pthread_mutex_lock(&lib->mutex);
	if (!rc)
		lib->users = 1;
	set_busy(lib, false);
	pthread_mutex_unlock(&lib->mutex);
	return rc;
}

void vmb_finalize(void)
{
	struct vmb_library *lib = &vmb_library;

	if (vmb_endpoint_any_handler())
		return;
	lock_idle(lib);
	if (!lib->users || --lib->users) {
		pthread_mutex_unlock(&lib->mutex);
		return;
	}
	set_busy(lib, true); /* nobody enters from here on */
	pthread_mutex_unlock(&lib->mutex);

	vmb_endpoint_close_all();

	pthread_mutex_lock(&lib->mutex);
	while (lib->calls)
		pthread_cond_wait(&lib->changed, &lib->mutex);
	pthread_mutex_unlock(&lib->mutex);

	detach(lib);

	pthread_mutex_lock(&lib->mutex);
	set_busy(lib, false);
	pthread_mutex_unlock(&lib->mutex);
}

int vmb_library_enter(void)
{
	struct vmb_library *lib = &vmb_library;
	int rc = 0;

	pthread_mutex_lock(&lib->mutex);
	if (lib->forked)
		rc = -EPERM;
	else if (!lib->users)
		rc = -ENOTCONN;
	else
		lib->calls++;
	pthread_mutex_unlock(&lib->mutex);
	return rc;
}

void vmb_library_leave(void)
{
	struct vmb_library *lib = &vmb_library;

	pthread_mutex_lock(&lib->mutex);
	if (!--lib->calls)
		pthread_cond_broadcast(&lib->changed);
	pthread_mutex_unlock(&lib->mutex);
}
