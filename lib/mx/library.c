// SPDX-License-Identifier: BSD-2-Clause
/*
 * library.c - mx_init() and mx_finalize().
 *
 * Flow:  mx_init() -> vmb_init(); mx_finalize() -> close all, vmb_finalize()
 * Owns:  whether this process is attached by us. vmb counts its users, so that
 *        a program may use both interfaces.
 * Trust: the API version is the program's, as it was compiled.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mx/mx.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pid_t owner; /* who called mx_init(); 0: nobody */

bool mx_is_initialized(void)
{
	return __atomic_load_n(&owner, __ATOMIC_ACQUIRE) == getpid();
}

/* MX_VERBOSE: where are we? */
static void introduce(void)
{
	const char *verbose = getenv("MX_VERBOSE");
	char name[VMB_NAME_MAX] = "?";
	uint64_t nic_id = 0;

	if (!verbose || !*verbose)
		return;
	if (!vmb_nic_id(&nic_id))
		vmb_nic_id_to_name(nic_id, name);
	fprintf(stderr,
		"libmyriexpress: vmbypass %s, board 0 is %s, nic id %012llx\n",
		vmb_version(), name, (unsigned long long)nic_id);
}

/*
 * What MX's switches are called here; who has set those keeps them.
 *
 * Through the environment, because vmb has no other way to be told: vmb_init()
 * takes no arguments, and both are of the process, not of an endpoint. Another
 * vmb_init(), with a public structure and its rules, would be more than these
 * two words are worth. The price: setenv() must not meet a getenv() of another
 * thread. So it is called for those only who have set MX's switch, as a rule
 * with putenv() just before mx_init(), and changes nothing the second time.
 * Children inherit it beside MX's own.
 */
static void translate_environment(void)
{
	static const struct {
		const char *mx, *value, *vmb;
	} switches[] = {
		{"MX_RCACHE", "0", "VMB_REGCACHE"},
		{"MX_DISABLE_SHMEM", "1", "VMB_LANES"},
		{"MX_DISABLE_SHARED", "1", "VMB_LANES"},
	};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		const char *value = getenv(switches[i].mx);

		if (value && !strcmp(value, switches[i].value))
			setenv(switches[i].vmb, "0", 0);
	}
}

/* Locked. */
static int attach(void)
{
	int rc;

	translate_environment();
	if (owner) /* of the process that forked us */
		mx_endpoint_drop_all();
	rc = vmb_init();
	if (!rc)
		__atomic_store_n(&owner, getpid(), __ATOMIC_RELEASE);
	return rc;
}

mx_return_t mx__init_api(int api)
{
	int rc;

	if (api >> 8 != MX_API >> 8)
		return mx_fail(NULL, "mx_init", MX_BAD_LIB_VERSION, NULL);
	pthread_mutex_lock(&mutex);
	if (mx_is_initialized()) {
		pthread_mutex_unlock(&mutex);
		return MX_ALREADY_INITIALIZED; /* programs live with it */
	}
	rc = attach();
	pthread_mutex_unlock(&mutex);
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		return mx_fail(NULL, "mx_init", MX_NO_DEV, NULL);
	if (rc)
		return mx_fail_plain("mx_init", rc, MX_NO_DRIVER);
	introduce();
	return MX_SUCCESS;
}

mx_return_t mx_finalize(void)
{
	if (mx_in_handler())
		return mx_fail(NULL, __func__, MX_CLOSE_IN_HANDLER, NULL);
	pthread_mutex_lock(&mutex);
	if (!mx_is_initialized()) {
		pthread_mutex_unlock(&mutex);
		return mx_fail(NULL, __func__, MX_NOT_INITIALIZED, NULL);
	}
	mx_endpoint_close_all();
	vmb_finalize();
	__atomic_store_n(&owner, 0, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&mutex);
	return MX_SUCCESS;
}
