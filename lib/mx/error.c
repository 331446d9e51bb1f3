// SPDX-License-Identifier: BSD-2-Clause
/*
 * error.c - what fails, in the codes of MX, and who is told.
 *
 * Flow:  mx_*() -> a vmb call failed, or an argument is bad -> [here]
 *        -> the endpoint's handler or the global one -> the caller
 * Owns:  the global handler.
 * Trust: handlers are the application's and may do anything.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mx/mx.h"

#define MESSAGE_BYTES 256

/* ---- handlers ---------------------------------------------------------------- */

static mx_return_t errors_return(char *str, mx_return_t ret)
{
	(void)str;
	return ret;
}

/* The environment is asked when it counts: programs set it at any time. */
static mx_return_t errors_are_fatal(char *str, mx_return_t ret)
{
	const char *fatal = getenv("MX_ERRORS_ARE_FATAL");

	if (fatal && !strcmp(fatal, "0"))
		return ret;
	fprintf(stderr, "libmyriexpress: %s\n", str);
	abort();
}

const mx_error_handler_t MX_ERRORS_ARE_FATAL = errors_are_fatal;
const mx_error_handler_t MX_ERRORS_RETURN = errors_return;

static mx_error_handler_t global_handler = errors_are_fatal;

mx_error_handler_t mx_set_error_handler(mx_error_handler_t handler)
{
	return __atomic_exchange_n(&global_handler,
				   handler ? handler : errors_are_fatal,
				   __ATOMIC_ACQ_REL);
}

/* NULL: it has none, or is not open. */
static mx_error_handler_t own_handler(struct mx_endpoint *e)
{
	if (!mx_beneath(e))
		return NULL;
	return __atomic_load_n(&e->handler, __ATOMIC_RELAXED);
}

static mx_error_handler_t in_force(mx_error_handler_t own)
{
	return own ? own : __atomic_load_n(&global_handler, __ATOMIC_ACQUIRE);
}

/* ---- calls --------------------------------------------------------------------- */

mx_return_t mx_fail_to(mx_error_handler_t own, const char *call,
		       mx_return_t code, const char *reason)
{
	char text[MESSAGE_BYTES];

	snprintf(text, sizeof(text), "%s: %s (%d): %s", call,
		 mx_code_name(code), (int)code,
		 reason ? reason : mx_strerror(code));
	return in_force(own)(text, code);
}

mx_return_t mx_fail(struct mx_endpoint *e, const char *call, mx_return_t code,
		    const char *reason)
{
	return mx_fail_to(own_handler(e), call, code, reason);
}

static const struct {
	int rc;
	mx_return_t code;
} codes[] = {
	{-EACCES, MX_NO_PERM},
	{-EBADF, MX_BAD_ENDPOINT},
	{-EBUSY, MX_BUSY},
	{-ECONNREFUSED, MX_CONNECTION_FAILED},
	{-EDEADLK, MX_FAILURE},
	{-EDQUOT, MX_BUSY},
	{-EKEYREJECTED, MX_BAD_CONNECTION_KEY},
	{-EMFILE, MX_NO_RESOURCES},
	{-EMSGSIZE, MX_BAD_SEG_LIST},
	{-ENOBUFS, MX_NO_RESOURCES},
	{-ENOENT, MX_HOST_NOT_FOUND},
	{-ENOMEM, MX_NO_RESOURCES},
	{-ENOTCONN, MX_NOT_INITIALIZED},
	{-ENXIO, MX_NIC_NOT_FOUND},
	{-EOPNOTSUPP, MX_CANCEL_NOT_SUPPORTED},
	{-EPERM, MX_NOT_INITIALIZED},
	{-EPIPE, MX_NIC_DEAD},
	{-EPROTO, MX_BAD_KERNEL_VERSION},
	{-ETIMEDOUT, MX_TIMEOUT},
	{-EUSERS, MX_NO_RESOURCES},
};

static mx_return_t code_of(int rc, mx_return_t invalid)
{
	if (rc == -EINVAL)
		return invalid;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].rc == rc)
			return codes[i].code;
	return MX_BAD_BAD_BAD;
}

static const char *reason_of(int rc)
{
	return rc == -EINVAL ? NULL : vmb_strerror(rc);
}

mx_return_t mx_fail_open(mx_error_handler_t own, int rc)
{
	return mx_fail_to(own, "mx_open_endpoint", code_of(rc, MX_BAD_ENDPOINT),
			  reason_of(rc));
}

mx_return_t mx_fail_plain(const char *call, int rc, mx_return_t invalid)
{
	return mx_fail_to(NULL, call, code_of(rc, invalid), reason_of(rc));
}

mx_return_t mx_fail_vmb(struct mx_endpoint *e, const char *call, int rc,
			mx_return_t invalid)
{
	if (!mx_is_initialized())
		return mx_fail_to(NULL, call, MX_NOT_INITIALIZED, NULL);
	if (!mx_beneath(e))
		return mx_fail_to(NULL, call, MX_BAD_ENDPOINT, NULL);
	return mx_fail(e, call, code_of(rc, invalid), reason_of(rc));
}

/* ---- requests ------------------------------------------------------------------ */

static const struct {
	int rc;
	mx_status_code_t code;
} status_codes[] = {
	{-EMSGSIZE, MX_STATUS_TRUNCATED},
	{-ECANCELED, MX_STATUS_ENDPOINT_UNREACHABLE}, /* disconnected */
	{-ECONNABORTED, MX_STATUS_ABORTED},
	{-ECONNREFUSED, MX_STATUS_ENDPOINT_CLOSED},
	{-ECONNRESET, MX_STATUS_ENDPOINT_CLOSED},
	{-EFAULT, MX_STATUS_BAD_RDMAWIN},
	{-EINVAL, MX_STATUS_BAD_ENDPOINT}, /* of a connect */
	{-EKEYREJECTED, MX_STATUS_BAD_KEY},
	{-ENOBUFS, MX_STATUS_NO_RESOURCES},
	{-ENOMEM, MX_STATUS_NO_RESOURCES},
	{-ENXIO, MX_STATUS_ENDPOINT_UNKNOWN},
	{-ESTALE, MX_STATUS_BAD_SESSION},
	{-ETIMEDOUT, MX_STATUS_TIMEOUT},
};

static mx_status_code_t status_code_of(int rc)
{
	for (size_t i = 0; i < sizeof(status_codes) / sizeof(status_codes[0]);
	     i++)
		if (status_codes[i].rc == rc)
			return status_codes[i].code;
	return MX_STATUS_ENDPOINT_UNREACHABLE; /* -EPIPE, -EIO */
}

/* A truncation is what the application asked for, and no failure. */
mx_status_code_t mx_fail_request(struct mx_endpoint *e, const char *call,
				 int code)
{
	mx_status_code_t status = status_code_of(code);
	char text[MESSAGE_BYTES];

	if (status == MX_STATUS_TRUNCATED)
		return status;
	snprintf(text, sizeof(text), "%s: request ended with %s (%d): %s", call,
		 mx_status_name(status), (int)status, mx_strstatus(status));
	return (mx_status_code_t)in_force(own_handler(e))(text,
							  (mx_return_t)status);
}
