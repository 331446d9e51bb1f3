// SPDX-License-Identifier: BSD-2-Clause
/*
 * text.c - errors in words, as they are meant by this library.
 *
 * Flow:  application -> vmb_strerror()
 * Owns:  nothing.
 * Trust: any number is welcome.
 */
#include <limits.h>
#include <string.h>

#include "api/api.h"

static const struct {
	int code;
	const char *text;
} texts[] = {
	{0, "success"},
	{-EACCES, "not allowed: policy of the daemon, or access of the region"},
	{-EAGAIN, "no room now, or work at hand: make progress and try again"},
	{-EBADF, "endpoint was closed"},
	{-EBUSY, "endpoint id is taken"},
	{-ECANCELED, "peer was disconnected"},
	{-ECONNABORTED, "sender gave up: its time limit was over"},
	{-ECONNREFUSED, "nobody is open there: no such endpoint, or no daemon"},
	{-ECONNRESET, "peer has closed or died"},
	{-EDEADLK, "must not wait inside a handler"},
	{-EDQUOT, "over a limit of the daemon's policy, or of locked memory"},
	{-EFAULT, "memory cannot be reached"},
	{-EFBIG, "more memory than can be registered in one piece"},
	{-EINVAL,
	 "bad argument, closed handle, or a bad VMB_PORT or VMB_DOMAIN"},
	{-EIO, "engine faulted the endpoint: see vmbctl faults"},
	{-EKEYREJECTED, "wrong key"},
	{-EMFILE, "too many open endpoints or files"},
	{-EMSGSIZE, "message is too long: truncated, or over the limit"},
	{-ENOBUFS, "resources ran out"},
	{-ENOENT, "not known, or no daemon (start vmbd) or device (load it)"},
	{-ENOKEY, "region key is unknown or stale"},
	{-ENOMEM, "out of memory"},
	{-ENOSPC, "engine or guest has no entry left for this memory"},
	{-ENOTCONN, "not attached: call vmb_init() first"},
	{-ENXIO, "no such nic"},
	{-EOPNOTSUPP, "not supported for this request or memory"},
	{-EPERM, "handle of the parent process: call vmb_init() after fork"},
	{-EPIPE, "daemon is gone"},
	{-EPROTO, "daemon speaks another version"},
	{-ERANGE, "past the end of a memory region"},
	{-ESTALE, "peer was closed and opened again"},
	{-ETIMEDOUT, "timed out"},
	{-EUSERS, "too many clients"},
};

const char *vmb_strerror(int code)
{
	const char *text = NULL;

	for (size_t i = 0; i < vmb_array_size(texts); i++)
		if (texts[i].code == code)
			return texts[i].text;
	if (code < 0 && code != INT_MIN)
		text = strerrordesc_np(-code);
	return text ? text : "unknown error";
}
