// SPDX-License-Identifier: BSD-2-Clause
/* vmbd.c - see vmbd.h. */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmbd/command.h"
#include "vmbd/domain.h"
#include "vmbd/guest.h"
#include "support/raw.h"
#include "support/vmbd.h"

#define FAULTS 4096

static void load_policy(struct t_vmbd *v, const char *text)
{
	struct vmbd_policy *policy;

	if (text) {
		snprintf(v->policy, sizeof(v->policy), "%s/policy", v->dir);
		t_raw_write_file(v->policy, text);
	}
	ck_assert_int_eq(vmbd_policy_load(text ? v->policy : NULL, &policy), 0);
	vmbd_policy_free(v->d.policy);
	v->d.policy = policy;
}

void t_vmbd_start_threads(struct t_vmbd *v, const char *policy,
			  unsigned threads)
{
	struct vmbd_options *o = &v->options;

	memset(v, 0, sizeof(*v));
	strcpy(v->dir, "/tmp/vmb-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(v->dir));
	*o = (struct vmbd_options){.guests = true,
				   .mode = 0600,
				   .group = (gid_t)-1,
				   .engines = threads,
				   .spin_us = 20,
				   .endpoints_max = 256};
	snprintf(o->socket, sizeof(o->socket), "%s/socket", v->dir);
	v->d.options = o;
	v->d.started_ns = vmb_now_ns();
	if (!getenv("VMB_TEST_LOG"))
		vmb_log_set_level(VMB_LOG_NONE);
	ck_assert_int_ge(sd_event_new(&v->d.event), 0);
	load_policy(v, policy);
	ck_assert_int_eq(vmbd_open(&v->d), 0);
	ck_assert_int_eq(vmbd_start(&v->d), 0);
	t_vmbd_settle(v);
}

void t_vmbd_start(struct t_vmbd *v, const char *policy)
{
	t_vmbd_start_threads(v, policy, 1);
}

void t_vmbd_stop(struct t_vmbd *v)
{
	vmbd_stop(&v->d);
	vmbd_close(&v->d);
	vmbd_policy_free(v->d.policy);
	sd_event_unref(v->d.event);
	if (v->policy[0])
		unlink(v->policy);
	ck_assert_int_eq(rmdir(v->dir), 0);
}

void t_vmbd_turn(struct t_vmbd *v, unsigned wait_us)
{
	int n = sd_event_run(v->d.event, wait_us);

	ck_assert_int_ge(n, 0);
	while (n > 0)
		n = sd_event_run(v->d.event, 0);
}

void t_vmbd_settle(struct t_vmbd *v)
{
	while (sd_event_run(v->d.event, 5000) > 0)
		;
}

void t_vmbd_reload(struct t_vmbd *v, const char *policy)
{
	load_policy(v, policy);
	vmbd_domain_reweigh(&v->d);
	vmbd_guest_reconsider(&v->d);
}

int t_vmbd_command(struct t_vmbd *v, json_t **answer, const char *format, ...)
{
	struct vmbd_command_result result;
	json_t *request;
	va_list args;
	int err;

	va_start(args, format);
	request = json_vpack_ex(NULL, 0, format, args);
	va_end(args);
	ck_assert_ptr_nonnull(request);
	err = vmbd_command_run(&v->d, request, &result);
	json_decref(request);
	if (answer)
		*answer = err ? NULL : result.data;
	else
		json_decref(result.data);
	if (err)
		ck_assert_msg(result.error[0], "refused, and does not say why");
	return err;
}

unsigned t_vmbd_faults(struct t_vmbd *v, unsigned code)
{
	static struct vmb_nic_fault records[FAULTS];
	uint64_t lost;
	size_t n = vmb_nic_faults(v->d.nic, records, FAULTS, &lost);
	unsigned found = 0;

	for (size_t i = 0; i < n; i++)
		found += records[i].code == code;
	return found;
}
