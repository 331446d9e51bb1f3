/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * myriexpress.h - the interface of Myrinet Express (MX), over vmbypass.
 *
 * Programs that were written to libmx compile, link and run as they are: this
 * is a thin spelling of vmbypass/vmb.h. See docs/mx.md for what is the same and
 * what differs, and the manual pages for each call.
 *
 * Errors:   calls return MX_SUCCESS or the code that the error handler returned.
 *           The handler in force is the endpoint's own (MX_PARAM_ERROR_HANDLER),
 *           else the global one (mx_set_error_handler()), at first
 *           MX_ERRORS_ARE_FATAL: it prints what failed and aborts. Besides the
 *           codes named below any call may fail with
 *             MX_NOT_INITIALIZED  before mx_init()
 *             MX_BAD_ENDPOINT     not an open endpoint of this process
 *             MX_NIC_DEAD         the daemon is gone, or was started again
 *             MX_NO_RESOURCES     out of memory
 *             MX_BAD_BAD_BAD      a result pointer is NULL; the engine refused
 *                                 the endpoint; all that has no other code
 *           Results are written on success only; but `*result` always.
 * Threads:  every call may be made by any thread at any time. Two threads must
 *           not complete the same request. Not in signal handlers.
 * fork:     handles belong to the process that opened them.
 * Time:     milliseconds; MX_INFINITE (0) is no limit.
 */
#ifndef MYRIEXPRESS_H
#define MYRIEXPRESS_H

#include <inttypes.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MX_PUBLIC __attribute__((visibility("default")))
#else
#define MX_PUBLIC
#endif

#define MX_API 0x301 /* high part: incompatible; low byte: additions */

#define MX_MAX_STR_LEN 128	    /* bytes of a label or product string */
#define MX_MAX_HOSTNAME_LEN 80	    /* bytes of a host name, its NUL included */
#define MX_SIZEOF_ADDR 16	    /* bytes of mx_endpoint_addr_t */
#define MX_ANY_NIC 0xffffffffU	    /* any board */
#define MX_ANY_ENDPOINT 0xffffffffU /* the lowest free endpoint id */
#define MX_INFINITE 0		    /* no time limit */
#define MX_MAX_SEGMENTS 256	    /* of one message */
#define MX_MATCH_MASK_NONE (~(uint64_t)0) /* all 64 bits must be equal */
#define MX_CONTEXT_ID_BITS_MAX 16
#define MX_HAS_NET_TYPE /* MX_NET_TYPE and MX_LINE_SPEED are there */

/* Halves of a value, for printing. */
#define MX_U32(x) \
	((uint32_t)(sizeof(x) == 8 ? (uint64_t)(x) >> 32 : (uint64_t)0))
#define MX_L32(x) ((uint32_t)((uint64_t)(x)&0xffffffffu))

/* ---- codes ------------------------------------------------------------- */

/* What a call returns. "historic": never returned here. */
enum mx_return_code {
	MX_SUCCESS = 0,
	MX_BAD_BAD_BAD = 1,
	MX_FAILURE = 2, /* would wait in a handler; not implemented */
	MX_ALREADY_INITIALIZED = 3,
	MX_NOT_INITIALIZED = 4,
	MX_NO_DEV = 5,	  /* no daemon is there */
	MX_NO_DRIVER = 6, /* VMB_PORT or VMB_DOMAIN makes no sense */
	MX_NO_PERM = 7,	  /* the daemon does not admit us */
	MX_BOARD_UNKNOWN = 8,
	MX_BAD_ENDPOINT = 9,
	MX_BAD_SEG_LIST = 10,
	MX_BAD_SEG_MEM = 11,
	MX_BAD_SEG_CNT = 12,
	MX_BAD_REQUEST = 13,
	MX_BAD_MATCH_MASK = 14,
	MX_NO_RESOURCES = 15,
	MX_BAD_ADDR_LIST = 16,	/* historic */
	MX_BAD_ADDR_COUNT = 17, /* historic */
	MX_BAD_ROOT = 18,	/* historic */
	MX_NOT_COMPLETED = 19,	/* historic */
	MX_BUSY = 20,
	MX_BAD_INFO_KEY = 21,
	MX_BAD_INFO_VAL = 22,
	MX_BAD_NIC = 23, /* historic: see MX_NIC_NOT_FOUND */
	MX_BAD_PARAM_LIST = 24,
	MX_BAD_PARAM_NAME = 25,
	MX_BAD_PARAM_VAL = 26,
	MX_BAD_HOSTNAME_ARGS = 27,
	MX_HOST_NOT_FOUND = 28,
	MX_REQUEST_PENDING = 29, /* historic */
	MX_TIMEOUT = 30,
	MX_NO_MATCH = 31, /* historic */
	MX_BAD_ENDPOINT_ID = 32,
	MX_CONNECTION_FAILED = 33,
	MX_BAD_CONNECTION_KEY = 34,
	MX_BAD_INFO_LENGTH = 35,
	MX_NIC_NOT_FOUND = 36,
	MX_BAD_KERNEL_VERSION = 37, /* the daemon is of another version */
	MX_BAD_LIB_VERSION = 38,
	MX_NIC_DEAD = 39,
	MX_CANCEL_NOT_SUPPORTED = 40,
	MX_CLOSE_IN_HANDLER = 41,
	MX_BAD_MATCHING_FOR_CONTEXT_ID_MASK = 42,
	MX_NOT_SUPPORTED_WITH_CONTEXT_ID = 43 /* historic */
};
typedef enum mx_return_code mx_return_t;

/* How a request ended. "reserved": in no completed request. */
enum mx_status_code {
	MX_STATUS_SUCCESS = 0,
	MX_STATUS_PENDING = 1,	/* reserved */
	MX_STATUS_BUFFERED = 2, /* reserved */
	MX_STATUS_REJECTED = 3, /* reserved */
	MX_STATUS_TIMEOUT = 4,
	MX_STATUS_TRUNCATED = 5,
	MX_STATUS_CANCELLED = 6,	/* reserved: mx_cancel() ends without */
	MX_STATUS_ENDPOINT_UNKNOWN = 7, /* the nic went away meanwhile */
	MX_STATUS_ENDPOINT_CLOSED = 8,
	MX_STATUS_ENDPOINT_UNREACHABLE = 9,
	MX_STATUS_BAD_SESSION = 10,
	MX_STATUS_BAD_KEY = 11,
	MX_STATUS_BAD_ENDPOINT = 12,
	MX_STATUS_BAD_RDMAWIN = 13,
	MX_STATUS_ABORTED = 14,
	MX_STATUS_EVENTQ_FULL = 15, /* reserved */
	MX_STATUS_NO_RESOURCES = 16
};
typedef enum mx_status_code mx_status_code_t;

/* ---- types ------------------------------------------------------------- */

typedef struct mx_endpoint *mx_endpoint_t; /* an open endpoint */
typedef union mx_request *mx_request_t;	   /* a posted operation */

/* A peer as one endpoint of this process sees it. Opaque, memcmp() works. */
typedef struct {
	uint64_t stuff[MX_SIZEOF_ADDR / 8];
} mx_endpoint_addr_t;

typedef void *mx_segment_ptr_t;
typedef struct {
	mx_segment_ptr_t segment_ptr; /* may be NULL when the length is 0 */
	uint32_t segment_length;      /* bytes */
} mx_segment_t;

struct mx_status {
	mx_status_code_t code;
	mx_endpoint_addr_t source; /* of a receive; else: the target */
	uint64_t match_info;	   /* of the message */
	uint32_t msg_length;	   /* bytes that were sent */
	uint32_t xfer_length;	   /* bytes that were transferred */
	void *context;		   /* as given when posted */
};
typedef struct mx_status mx_status_t;

/*
 * Told of what failed (str: call, code and reason, for the time of the call)
 * and with which code; what it returns is returned to the caller. Also told of
 * requests that end with an error other than a truncation; then ret is their
 * mx_status_code_t, and what it returns is stored in the status.
 */
typedef mx_return_t (*mx_error_handler_t)(char *str, mx_return_t ret);

/* Prints and aborts; with MX_ERRORS_ARE_FATAL=0 in the environment as the
 * next. */
MX_PUBLIC extern const mx_error_handler_t MX_ERRORS_ARE_FATAL;
/* Returns ret. */
MX_PUBLIC extern const mx_error_handler_t MX_ERRORS_RETURN;

enum mx_param_key {
	MX_PARAM_ERROR_HANDLER = 0,
	MX_PARAM_UNEXP_QUEUE_MAX = 1, /* bytes; less than 64 MiB: 64 MiB */
	MX_PARAM_CONTEXT_ID = 2
};
typedef enum mx_param_key mx_param_key_t;

typedef struct {
	mx_param_key_t key;
	union {
		mx_error_handler_t error_handler; /* NULL: the global one */
		uint32_t unexp_queue_max;
		struct {
			uint8_t bits;  /* at most 16 */
			uint8_t shift; /* bits + shift: at most 64 */
		} context_id;
	} val;
} mx_param_t;

enum mx_get_info_key {
	MX_NIC_COUNT = 1,	     /* uint32_t */
	MX_NIC_IDS = 2,		     /* uint64_t, ended by a 0 */
	MX_MAX_NATIVE_ENDPOINTS = 3, /* uint32_t */
	MX_NATIVE_REQUESTS = 4,	     /* uint32_t */
	MX_COUNTERS_COUNT = 5,	     /* uint32_t */
	MX_COUNTERS_LABELS = 6,	     /* MX_MAX_STR_LEN bytes each */
	MX_COUNTERS_VALUES = 7,	     /* uint32_t each */
	MX_PRODUCT_CODE = 8,	     /* string */
	MX_PART_NUMBER = 9,	     /* string */
	MX_SERIAL_NUMBER = 10,	     /* string */
	MX_PORT_COUNT = 11,	     /* uint32_t */
	MX_PIO_SEND_MAX = 12,	     /* uint32_t, bytes */
	MX_COPY_SEND_MAX = 13,	     /* uint32_t, bytes */
	MX_NUMA_NODE = 14,	     /* uint32_t; ~0: not known */
	MX_NET_TYPE = 15,	     /* enum mx_net_type */
	MX_LINE_SPEED = 16	     /* mx_line_speed_t */
};
typedef enum mx_get_info_key mx_get_info_key_t;

enum mx_net_type {
	MX_NET_MYRI = 0,
	MX_NET_ETHER = 1
};

enum mx_line_speed {
	MX_SPEED_2G = 0,
	MX_SPEED_10G = 1,
	MX_SPEED_OPEN_MX = 2 /* not one of MX's: ours */
};
typedef enum mx_line_speed mx_line_speed_t;

/* ---- library ----------------------------------------------------------- */

/*
 * Attach this process to its daemon; reads the environment.
 *
 * MX_ALREADY_INITIALIZED (the handler is not told); MX_BAD_LIB_VERSION: this
 * library does not speak the caller's MX_API; MX_NO_DEV, MX_NO_DRIVER,
 * MX_NO_PERM, MX_BAD_KERNEL_VERSION: see above.
 */
#define mx_init() mx__init_api(MX_API)
MX_PUBLIC mx_return_t mx__init_api(int api);

/*
 * Detach; closes what is open. mx_init() may be called again.
 * MX_CLOSE_IN_HANDLER.
 */
MX_PUBLIC mx_return_t mx_finalize(void);

/*
 * The handler of endpoints without their own. May be called before mx_init().
 * NULL: MX_ERRORS_ARE_FATAL. Returns the one before it.
 */
MX_PUBLIC mx_error_handler_t mx_set_error_handler(mx_error_handler_t handler);

/* Static texts, for any number. */
MX_PUBLIC const char *mx_strerror(mx_return_t code);
MX_PUBLIC const char *mx_strstatus(mx_status_code_t code);

/* ---- boards and names -------------------------------------------------- */

/*
 * A nic id (48 bits, never 0) names a board: the NIC as one host or guest sees
 * it, called "host:board". Ours is board 0.
 *
 * MX_BAD_HOSTNAME_ARGS: NULL, or not a name; MX_HOST_NOT_FOUND: the daemon
 * does not know it; MX_BOARD_UNKNOWN: not one of ours.
 */
MX_PUBLIC mx_return_t mx_hostname_to_nic_id(char *hostname, uint64_t *nic_id);
/* hostname: MX_MAX_HOSTNAME_LEN bytes. */
MX_PUBLIC mx_return_t mx_nic_id_to_hostname(uint64_t nic_id, char *hostname);
MX_PUBLIC mx_return_t mx_board_number_to_nic_id(uint32_t board_number,
						uint64_t *nic_id);
MX_PUBLIC mx_return_t mx_nic_id_to_board_number(uint64_t nic_id,
						uint32_t *board_number);

/*
 * Ask about a board (endpoint NULL, its number in in_val or none for board 0)
 * or about that of an endpoint.
 *
 * MX_BAD_INFO_KEY; MX_BAD_INFO_VAL: out_val is NULL; MX_BAD_INFO_LENGTH:
 * out_len is too small; MX_BOARD_UNKNOWN.
 */
MX_PUBLIC mx_return_t mx_get_info(mx_endpoint_t endpoint, mx_get_info_key_t key,
				  void *in_val, uint32_t in_len, void *out_val,
				  uint32_t out_len);

/* ---- endpoints --------------------------------------------------------- */

/*
 * Open an endpoint, ended by mx_close_endpoint(). Peers must give
 * endpoint_key to connect. Parameters may repeat, the last one counts.
 *
 * MX_BOARD_UNKNOWN; MX_BAD_ENDPOINT: the id is over 65535; MX_BUSY: it is
 * taken, or all are; MX_BAD_PARAM_LIST: NULL with a count; MX_BAD_PARAM_NAME;
 * MX_BAD_PARAM_VAL.
 */
MX_PUBLIC mx_return_t mx_open_endpoint(uint32_t board_number,
				       uint32_t endpoint_id,
				       uint32_t endpoint_key,
				       mx_param_t *params_array,
				       uint32_t params_count,
				       mx_endpoint_t *endpoint);

/*
 * Sends that were reported complete are still delivered, unless no receiver
 * makes room for any within ten seconds of the last that did, or after a minute;
 * what else is pending is dropped without report. MX_CLOSE_IN_HANDLER.
 */
MX_PUBLIC mx_return_t mx_close_endpoint(mx_endpoint_t endpoint);

/* All threads that wait in this moment return, with result 0 or, from
 * mx_connect(), MX_TIMEOUT. */
MX_PUBLIC mx_return_t mx_wakeup(mx_endpoint_t endpoint);

/*
 * No arrival is processed and no handler runs, in any thread, until it is enabled again.
 * Not counted. Returns when a handler in another thread has ended.
 */
MX_PUBLIC mx_return_t mx_disable_progression(mx_endpoint_t endpoint);
MX_PUBLIC mx_return_t mx_reenable_progression(mx_endpoint_t endpoint);

/* ---- addresses --------------------------------------------------------- */

/*
 * The address of endpoint_id on nic_id. The daemon answers; the peer need not
 * run. Again is allowed and gives an equal address.
 *
 * MX_NIC_NOT_FOUND; MX_BAD_ENDPOINT_ID: over 65535; MX_CONNECTION_FAILED: it
 * is not open; MX_BAD_CONNECTION_KEY; MX_TIMEOUT: also by mx_wakeup();
 * MX_FAILURE: in a handler.
 */
MX_PUBLIC mx_return_t mx_connect(mx_endpoint_t endpoint, uint64_t nic_id,
				 uint32_t endpoint_id, uint32_t key,
				 uint32_t timeout, mx_endpoint_addr_t *addr);

/*
 * Who is behind an address; any pointer may be NULL. MX_BAD_ENDPOINT: not an
 * address that an open endpoint gave; MX_HOST_NOT_FOUND: the peer has gone so
 * long ago that the daemon has forgotten it, and nobody asked before.
 */
MX_PUBLIC mx_return_t
mx_decompose_endpoint_addr(mx_endpoint_addr_t endpoint_addr, uint64_t *nic_id,
			   uint32_t *endpoint_id);

/* Our own: a destination like any other. */
MX_PUBLIC mx_return_t mx_get_endpoint_addr(mx_endpoint_t endpoint,
					   mx_endpoint_addr_t *endpoint_addr);

/* ---- messages ---------------------------------------------------------- */

/*
 * Post a send or a receive of the concatenation of segments. The list may be
 * reused on return, the memory it names when the request has ended. request
 * NULL: forget at once. A bad destination ends the request, not the call, with
 * MX_STATUS_BAD_SESSION.
 *
 * mx_isend() ends when the memory may be reused: messages up to
 * MX_COPY_SEND_MAX without the receiver. mx_issend() ends when a receive has
 * matched. A receive takes messages m of any source with
 * (m & match_mask) == match_info.
 *
 * MX_BAD_SEG_CNT: over MX_MAX_SEGMENTS; MX_BAD_SEG_LIST: NULL with a count, or
 * 4 GiB and more in all; MX_BAD_SEG_MEM: NULL with a length;
 * MX_BAD_MATCH_MASK: match_info has bits outside of match_mask;
 * MX_BAD_MATCHING_FOR_CONTEXT_ID_MASK: match_mask lacks bits of the context id.
 */
MX_PUBLIC mx_return_t mx_isend(mx_endpoint_t endpoint,
			       mx_segment_t *segments_list,
			       uint32_t segments_count,
			       mx_endpoint_addr_t dest_endpoint,
			       uint64_t match_info, void *context,
			       mx_request_t *request);
MX_PUBLIC mx_return_t mx_issend(mx_endpoint_t endpoint,
				mx_segment_t *segments_list,
				uint32_t segments_count,
				mx_endpoint_addr_t dest_endpoint,
				uint64_t match_info, void *context,
				mx_request_t *request);
MX_PUBLIC mx_return_t mx_irecv(mx_endpoint_t endpoint,
			       mx_segment_t *segments_list,
			       uint32_t segments_count, uint64_t match_info,
			       uint64_t match_mask, void *context,
			       mx_request_t *request);

/*
 * Take back a receive that has not matched or a connect that has no answer:
 * *result 1, *request is gone. 0: too late, complete it as usual.
 * MX_BAD_REQUEST; MX_CANCEL_NOT_SUPPORTED: a send.
 */
MX_PUBLIC mx_return_t mx_cancel(mx_endpoint_t endpoint, mx_request_t *request,
				uint32_t *result);

/* ---- completion -------------------------------------------------------- */

/*
 * *result 1: the request has ended, status (may be NULL) is filled, *request is
 * NULL. 0: not yet, or not in time, or mx_wakeup(): also MX_SUCCESS.
 *
 * MX_BAD_REQUEST: not a live request of the endpoint; MX_FAILURE: mx_wait() in
 * a handler, for what has not ended.
 */
MX_PUBLIC mx_return_t mx_test(mx_endpoint_t endpoint, mx_request_t *request,
			      mx_status_t *status, uint32_t *result);
MX_PUBLIC mx_return_t mx_wait(mx_endpoint_t endpoint, mx_request_t *request,
			      uint32_t timeout, mx_status_t *status,
			      uint32_t *result);

/*
 * The same for the request that ended first among those of any kind whose
 * match bits fit. MX_BAD_MATCH_MASK; MX_FAILURE.
 */
MX_PUBLIC mx_return_t mx_test_any(mx_endpoint_t endpoint, uint64_t match_info,
				  uint64_t match_mask, mx_status_t *status,
				  uint32_t *result);
MX_PUBLIC mx_return_t mx_wait_any(mx_endpoint_t endpoint, uint32_t timeout,
				  uint64_t match_info, uint64_t match_mask,
				  mx_status_t *status, uint32_t *result);

/* The request that ended first; it stays, and mx_test() will succeed on it.
 * MX_FAILURE. */
MX_PUBLIC mx_return_t mx_ipeek(mx_endpoint_t endpoint, mx_request_t *request,
			       uint32_t *result);
MX_PUBLIC mx_return_t mx_peek(mx_endpoint_t endpoint, uint32_t timeout,
			      mx_request_t *request, uint32_t *result);

/* The first message that arrived, was not matched, and fits; it stays. Both
 * lengths are its length. MX_BAD_MATCH_MASK; MX_FAILURE. */
MX_PUBLIC mx_return_t mx_iprobe(mx_endpoint_t endpoint, uint64_t match_info,
				uint64_t match_mask, mx_status_t *status,
				uint32_t *result);
MX_PUBLIC mx_return_t mx_probe(mx_endpoint_t endpoint, uint32_t timeout,
			       uint64_t match_info, uint64_t match_mask,
			       mx_status_t *status, uint32_t *result);

/* *result 1: the memory of this send may be reused. MX_BAD_REQUEST. */
MX_PUBLIC mx_return_t mx_ibuffered(mx_endpoint_t endpoint,
				   mx_request_t *request, uint32_t *result);

/* The context that a live request of any endpoint was posted with.
 * MX_BAD_REQUEST. */
MX_PUBLIC mx_return_t mx_context(mx_request_t *request, void **context);

/* ---- old, and never finished ------------------------------------------- */

/* Superseded by mx_register_unexp_handler(), see mx_extensions.h. */
typedef void (*mx_matching_callback_t)(void *context, uint64_t match_value,
				       int length);
MX_PUBLIC mx_return_t mx_register_unexp_callback(mx_endpoint_t endpoint,
						 mx_matching_callback_t cb,
						 void *ctxt);

/* MX has declared and never implemented these: MX_FAILURE, and the handler is
 * not told. */
MX_PUBLIC mx_return_t mx_iput(mx_endpoint_t endpoint, void *local_addr,
			      uint32_t length, mx_endpoint_addr_t dest,
			      uint64_t remote_addr, void *context,
			      mx_request_t *request);
MX_PUBLIC mx_return_t mx_iget(mx_endpoint_t endpoint, void *local_addr,
			      uint32_t length, mx_endpoint_addr_t dest,
			      uint64_t remote_addr, void *context,
			      mx_request_t *request);
MX_PUBLIC mx_return_t mx_buffered(mx_endpoint_t endpoint, mx_request_t *request,
				  uint32_t timeout, uint32_t *result);

#ifdef __cplusplus
}
#endif

#endif
