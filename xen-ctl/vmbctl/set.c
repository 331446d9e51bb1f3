// SPDX-License-Identifier: BSD-2-Clause
/* set.c - commands that change what the daemon allows and whom it serves. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "admin.h"
#include "text.h"

static int bad_value(const char *what, const char *text, int err)
{
	return vmb_fail(VMB_EXIT_USAGE, "%s %s: %s", what, text,
			err == -ERANGE ? "too large" : "not a number");
}

/*
 * A domain is given by its name, or by its number as 3 or #3. What is all
 * digits may be either: the daemon knows whether there is such a name.
 */
static json_t *domain_value(const char *text)
{
	uint64_t number;

	if (*text == '#' && isdigit((unsigned char)text[1]) &&
	    !vmb_text_parse_number(text + 1, UINT32_MAX, &number))
		return json_integer((json_int_t)number);
	return json_string(text);
}

/* Send the request; say what holds now. */
static int change(const struct vmb_options *o, json_t *request)
{
	json_t *shown = json_deep_copy(request);
	int err;

	json_object_del(shown, "cmd");
	err = vmb_admin_ask(o, request, NULL, NULL);
	if (!err && o->json)
		vmb_json_print(shown, true);
	json_decref(shown);
	return err;
}

static int add_number(json_t *request, const char *what, const char *text)
{
	bool size = !strcmp(what, "memory");
	uint64_t value;
	int err;

	if (!text)
		return 0;
	err = size ? vmb_text_parse_size(text, &value)
		   : vmb_text_parse_number(text, UINT32_MAX, &value);
	if (!err && value > INT64_MAX)
		err = -ERANGE;
	if (err)
		return bad_value(what, text, err);
	json_object_set_new(request, what, json_integer((json_int_t)value));
	return 0;
}

int vmb_set_limit_run(const struct vmb_options *o)
{
	json_t *request;
	int err;

	if (!o->client == !o->domain)
		return vmb_fail(VMB_EXIT_USAGE,
				"set-limit: give --client NUMBER or "
				"--domain DOMAIN");
	if (!o->endpoints && !o->memory)
		return vmb_fail(VMB_EXIT_USAGE,
				"set-limit: give --endpoints N, "
				"--memory SIZE, or both");
	request = json_pack("{s:s}", "cmd", "set-limit");
	if (o->domain)
		json_object_set_new(request, "domain", domain_value(o->domain));
	err = add_number(request, "client", o->client);
	if (!err)
		err = add_number(request, "endpoints", o->endpoints);
	if (!err)
		err = add_number(request, "memory", o->memory);
	if (err) {
		json_decref(request);
		return err;
	}
	return change(o, request);
}

int vmb_set_weight_run(const struct vmb_options *o)
{
	uint64_t weight;
	int err = vmb_text_parse_number(o->args[1], UINT32_MAX, &weight);

	if (err)
		return bad_value("weight", o->args[1], err);
	return change(o, json_pack("{s:s, s:o, s:I}", "cmd", "set-weight",
				   "domain", domain_value(o->args[0]), "weight",
				   (json_int_t)weight));
}

int vmb_attach_run(const struct vmb_options *o)
{
	return change(o, json_pack("{s:s, s:s}", "cmd", "attach", "guest",
				   o->args[0]));
}

int vmb_detach_run(const struct vmb_options *o)
{
	return change(o, json_pack("{s:s, s:s}", "cmd", "detach", "guest",
				   o->args[0]));
}
