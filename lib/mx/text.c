// SPDX-License-Identifier: BSD-2-Clause
/*
 * text.c - codes in words and by name.
 *
 * Flow:  mx_strerror(), mx_strstatus(), error.c -> [here]
 * Owns:  nothing.
 * Trust: any number is welcome.
 */
#include "mx/mx.h"

struct text {
	const char *name, *text;
};

#define CODE(name, text) [name] = {#name, text}

static const struct text returns[] = {
	CODE(MX_SUCCESS, "success"),
	CODE(MX_BAD_BAD_BAD, "failure that has no code of its own"),
	CODE(MX_FAILURE, "not possible here"),
	CODE(MX_ALREADY_INITIALIZED, "library is initialized already"),
	CODE(MX_NOT_INITIALIZED, "library is not initialized"),
	CODE(MX_NO_DEV, "no daemon to attach to (start vmbd)"),
	CODE(MX_NO_DRIVER, "VMB_PORT or VMB_DOMAIN makes no sense"),
	CODE(MX_NO_PERM, "daemon does not admit this user"),
	CODE(MX_BOARD_UNKNOWN, "no such board here"),
	CODE(MX_BAD_ENDPOINT, "not an open endpoint"),
	CODE(MX_BAD_SEG_LIST, "bad segment list"),
	CODE(MX_BAD_SEG_MEM, "segment without memory"),
	CODE(MX_BAD_SEG_CNT, "too many segments"),
	CODE(MX_BAD_REQUEST, "not a request that this can be done with"),
	CODE(MX_BAD_MATCH_MASK, "match information has bits outside the mask"),
	CODE(MX_NO_RESOURCES, "out of resources"),
	CODE(MX_BAD_ADDR_LIST, "bad address list"),
	CODE(MX_BAD_ADDR_COUNT, "bad number of addresses"),
	CODE(MX_BAD_ROOT, "bad root"),
	CODE(MX_NOT_COMPLETED, "not completed"),
	CODE(MX_BUSY, "endpoint id is taken, or no endpoint is left"),
	CODE(MX_BAD_INFO_KEY, "unknown information key"),
	CODE(MX_BAD_INFO_VAL, "no place for the information"),
	CODE(MX_BAD_NIC, "bad nic id"),
	CODE(MX_BAD_PARAM_LIST, "no parameter list"),
	CODE(MX_BAD_PARAM_NAME, "unknown parameter"),
	CODE(MX_BAD_PARAM_VAL, "bad parameter value"),
	CODE(MX_BAD_HOSTNAME_ARGS, "not a host name"),
	CODE(MX_HOST_NOT_FOUND, "host or nic is not known"),
	CODE(MX_REQUEST_PENDING, "request is pending"),
	CODE(MX_TIMEOUT, "timed out or woken up"),
	CODE(MX_NO_MATCH, "no match"),
	CODE(MX_BAD_ENDPOINT_ID, "endpoint id out of range"),
	CODE(MX_CONNECTION_FAILED, "nobody has opened that endpoint"),
	CODE(MX_BAD_CONNECTION_KEY, "wrong key"),
	CODE(MX_BAD_INFO_LENGTH, "too little room for the information"),
	CODE(MX_NIC_NOT_FOUND, "no such nic"),
	CODE(MX_BAD_KERNEL_VERSION, "daemon speaks another version"),
	CODE(MX_BAD_LIB_VERSION, "program was built for another MX"),
	CODE(MX_NIC_DEAD, "daemon is gone"),
	CODE(MX_CANCEL_NOT_SUPPORTED, "sends cannot be cancelled"),
	CODE(MX_CLOSE_IN_HANDLER, "cannot close inside a handler"),
	CODE(MX_BAD_MATCHING_FOR_CONTEXT_ID_MASK,
	     "mask leaves out bits of the context id"),
	CODE(MX_NOT_SUPPORTED_WITH_CONTEXT_ID,
	     "not supported with context ids"),
};

static const struct text statuses[] = {
	CODE(MX_STATUS_SUCCESS, "success"),
	CODE(MX_STATUS_PENDING, "pending"),
	CODE(MX_STATUS_BUFFERED, "buffered"),
	CODE(MX_STATUS_REJECTED, "rejected"),
	CODE(MX_STATUS_TIMEOUT, "timed out"),
	CODE(MX_STATUS_TRUNCATED, "truncated: the receive was shorter"),
	CODE(MX_STATUS_CANCELLED, "cancelled"),
	CODE(MX_STATUS_ENDPOINT_UNKNOWN, "destination nic is not known"),
	CODE(MX_STATUS_ENDPOINT_CLOSED, "peer endpoint is not open"),
	CODE(MX_STATUS_ENDPOINT_UNREACHABLE,
	     "peer cannot be reached or was disconnected"),
	CODE(MX_STATUS_BAD_SESSION, "address is not valid any more"),
	CODE(MX_STATUS_BAD_KEY, "wrong key"),
	CODE(MX_STATUS_BAD_ENDPOINT, "endpoint id out of range"),
	CODE(MX_STATUS_BAD_RDMAWIN, "memory of the message cannot be reached"),
	CODE(MX_STATUS_ABORTED, "aborted by the peer"),
	CODE(MX_STATUS_EVENTQ_FULL, "event queue is full"),
	CODE(MX_STATUS_NO_RESOURCES, "out of resources"),
};

static const struct text unknown = {"unknown code", "unknown code"};

static const struct text *text_of(const struct text *texts, size_t count,
				  unsigned code)
{
	return code < count ? &texts[code] : &unknown;
}

static const struct text *return_text(mx_return_t code)
{
	return text_of(returns, sizeof(returns) / sizeof(returns[0]),
		       (unsigned)code);
}

static const struct text *status_text(mx_status_code_t code)
{
	return text_of(statuses, sizeof(statuses) / sizeof(statuses[0]),
		       (unsigned)code);
}

const char *mx_strerror(mx_return_t code)
{
	return return_text(code)->text;
}

const char *mx_strstatus(mx_status_code_t code)
{
	return status_text(code)->text;
}

const char *mx_code_name(mx_return_t code)
{
	return return_text(code)->name;
}

const char *mx_status_name(mx_status_code_t code)
{
	return status_text(code)->name;
}
