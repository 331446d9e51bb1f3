// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_abi.c - what programs were compiled with: every value, size, place and
 * prototype of MX, as MX had it. A header that differs does not get past the
 * compiler, so there is nothing to run.
 *
 * Flow:  headers -> compiler
 * Owns:  nothing.
 * Trust: nothing, lib/mx/abi.c least of all: the library may be wrong with its
 *        header.
 */
#include "myriexpress.h"

/* The first header brings these, and programs include no other. */
_Static_assert(sizeof(PRId64 SCNx64) > 1, "<inttypes.h>");
_Static_assert(UINT64_C(1) == (uint64_t)1, "<stdint.h>");

#include <stddef.h>

#include "mx_extensions.h"
#include "mx_internals/mx__driver_interface.h"
#include "mx_internals/mx__fops.h"

#define SAME(a, b) __builtin_types_compatible_p(a, b)
#define IS(what, value) _Static_assert((what) == (value), #what " has changed")
#define SIZE(type, bytes) IS(sizeof(type), bytes)
#define AT(type, field, byte) IS(offsetof(type, field), byte)
#define TYPE(what, type) _Static_assert(SAME(__typeof__(what), type), #what)
#define FIELD(type, field, of) TYPE(((type *)0)->field, of)
#define CALL(name, result, ...) \
	_Static_assert(SAME(__typeof__(name), result(__VA_ARGS__)), #name)

/* ---- constants ------------------------------------------------------------------ */

IS(MX_API, 0x301);
IS(MX_MAX_STR_LEN, 128);
IS(MX_MAX_HOSTNAME_LEN, 80);
IS(MX_SIZEOF_ADDR, 16);
IS(MX_ANY_NIC, 0xffffffffU);
IS(MX_ANY_ENDPOINT, 0xffffffffU);
IS(MX_INFINITE, 0);
IS(MX_MAX_SEGMENTS, 256);
IS(MX_MATCH_MASK_NONE, 0xffffffffffffffffU);
TYPE(MX_MATCH_MASK_NONE, uint64_t);
IS(MX_CONTEXT_ID_BITS_MAX, 16);
IS(MX_HAS_ICONNECT_V2, 1);
IS(MX__INVALID_HANDLE, -1);

/* There, and empty. */
#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)
IS(sizeof(TEXT_OF(MX_HAS_NET_TYPE)), 1);

#ifndef mx_init
#error "mx_init() is a macro"
#endif
TYPE(mx_init(), mx_return_t);

IS(MX_U32(UINT64_C(0x123456789abcdef0)), 0x12345678);
IS(MX_L32(UINT64_C(0x123456789abcdef0)), 0x9abcdef0);
IS(MX_U32((uint32_t)0x9abcdef0), 0);
IS(MX_L32((uint32_t)0x9abcdef0), 0x9abcdef0);
TYPE(MX_U32(UINT64_C(1)), uint32_t);
TYPE(MX_L32(UINT64_C(1)), uint32_t);

/* ---- what calls return ---------------------------------------------------------- */

IS(MX_SUCCESS, 0);
IS(MX_BAD_BAD_BAD, 1);
IS(MX_FAILURE, 2);
IS(MX_ALREADY_INITIALIZED, 3);
IS(MX_NOT_INITIALIZED, 4);
IS(MX_NO_DEV, 5);
IS(MX_NO_DRIVER, 6);
IS(MX_NO_PERM, 7);
IS(MX_BOARD_UNKNOWN, 8);
IS(MX_BAD_ENDPOINT, 9);
IS(MX_BAD_SEG_LIST, 10);
IS(MX_BAD_SEG_MEM, 11);
IS(MX_BAD_SEG_CNT, 12);
IS(MX_BAD_REQUEST, 13);
IS(MX_BAD_MATCH_MASK, 14);
IS(MX_NO_RESOURCES, 15);
IS(MX_BAD_ADDR_LIST, 16);
IS(MX_BAD_ADDR_COUNT, 17);
IS(MX_BAD_ROOT, 18);
IS(MX_NOT_COMPLETED, 19);
IS(MX_BUSY, 20);
IS(MX_BAD_INFO_KEY, 21);
IS(MX_BAD_INFO_VAL, 22);
IS(MX_BAD_NIC, 23);
IS(MX_BAD_PARAM_LIST, 24);
IS(MX_BAD_PARAM_NAME, 25);
IS(MX_BAD_PARAM_VAL, 26);
IS(MX_BAD_HOSTNAME_ARGS, 27);
IS(MX_HOST_NOT_FOUND, 28);
IS(MX_REQUEST_PENDING, 29);
IS(MX_TIMEOUT, 30);
IS(MX_NO_MATCH, 31);
IS(MX_BAD_ENDPOINT_ID, 32);
IS(MX_CONNECTION_FAILED, 33);
IS(MX_BAD_CONNECTION_KEY, 34);
IS(MX_BAD_INFO_LENGTH, 35);
IS(MX_NIC_NOT_FOUND, 36);
IS(MX_BAD_KERNEL_VERSION, 37);
IS(MX_BAD_LIB_VERSION, 38);
IS(MX_NIC_DEAD, 39);
IS(MX_CANCEL_NOT_SUPPORTED, 40);
IS(MX_CLOSE_IN_HANDLER, 41);
IS(MX_BAD_MATCHING_FOR_CONTEXT_ID_MASK, 42);
IS(MX_NOT_SUPPORTED_WITH_CONTEXT_ID, 43);

/* ---- how requests end ----------------------------------------------------------- */

IS(MX_STATUS_SUCCESS, 0);
IS(MX_STATUS_PENDING, 1);
IS(MX_STATUS_BUFFERED, 2);
IS(MX_STATUS_REJECTED, 3);
IS(MX_STATUS_TIMEOUT, 4);
IS(MX_STATUS_TRUNCATED, 5);
IS(MX_STATUS_CANCELLED, 6);
IS(MX_STATUS_ENDPOINT_UNKNOWN, 7);
IS(MX_STATUS_ENDPOINT_CLOSED, 8);
IS(MX_STATUS_ENDPOINT_UNREACHABLE, 9);
IS(MX_STATUS_BAD_SESSION, 10);
IS(MX_STATUS_BAD_KEY, 11);
IS(MX_STATUS_BAD_ENDPOINT, 12);
IS(MX_STATUS_BAD_RDMAWIN, 13);
IS(MX_STATUS_ABORTED, 14);
IS(MX_STATUS_EVENTQ_FULL, 15);
IS(MX_STATUS_NO_RESOURCES, 16);

/* ---- the other enums ------------------------------------------------------------ */

IS(MX_PARAM_ERROR_HANDLER, 0);
IS(MX_PARAM_UNEXP_QUEUE_MAX, 1);
IS(MX_PARAM_CONTEXT_ID, 2);

IS(MX_NIC_COUNT, 1);
IS(MX_NIC_IDS, 2);
IS(MX_MAX_NATIVE_ENDPOINTS, 3);
IS(MX_NATIVE_REQUESTS, 4);
IS(MX_COUNTERS_COUNT, 5);
IS(MX_COUNTERS_LABELS, 6);
IS(MX_COUNTERS_VALUES, 7);
IS(MX_PRODUCT_CODE, 8);
IS(MX_PART_NUMBER, 9);
IS(MX_SERIAL_NUMBER, 10);
IS(MX_PORT_COUNT, 11);
IS(MX_PIO_SEND_MAX, 12);
IS(MX_COPY_SEND_MAX, 13);
IS(MX_NUMA_NODE, 14);
IS(MX_NET_TYPE, 15);
IS(MX_LINE_SPEED, 16);

IS(MX_NET_MYRI, 0);
IS(MX_NET_ETHER, 1);

IS(MX_SPEED_2G, 0);
IS(MX_SPEED_10G, 1);
IS(MX_SPEED_OPEN_MX, 2);

IS(MX_RECV_CONTINUE, 0);
IS(MX_RECV_FINISHED, 1);

SIZE(mx_return_t, 4);
SIZE(mx_status_code_t, 4);
SIZE(mx_param_key_t, 4);
SIZE(mx_get_info_key_t, 4);
SIZE(mx_line_speed_t, 4);
SIZE(enum mx_net_type, 4);
SIZE(mx_unexp_handler_action_t, 4);

/* ---- types ---------------------------------------------------------------------- */

TYPE(mx_endpoint_t, struct mx_endpoint *);
TYPE(mx_request_t, union mx_request *);
TYPE(mx_segment_ptr_t, void *);
TYPE(mx_return_t, enum mx_return_code);
TYPE(mx_status_code_t, enum mx_status_code);
TYPE(mx_status_t, struct mx_status);
TYPE(mx_param_key_t, enum mx_param_key);
TYPE(mx_get_info_key_t, enum mx_get_info_key);
TYPE(mx_line_speed_t, enum mx_line_speed);
TYPE(mx_unexp_handler_action_t, enum mx_unexp_handler_action);
TYPE(mx_error_handler_t, mx_return_t (*)(char *, mx_return_t));
TYPE(mx_matching_callback_t, void (*)(void *, uint64_t, int));
TYPE(mx_unexp_handler_t,
     mx_unexp_handler_action_t (*)(void *, mx_endpoint_addr_t, uint64_t,
				   uint32_t, void *));
TYPE(mx_endpt_handle_t, int);

FIELD(mx_endpoint_addr_t, stuff, uint64_t[2]);
FIELD(mx_segment_t, segment_ptr, mx_segment_ptr_t);
FIELD(mx_segment_t, segment_length, uint32_t);
FIELD(mx_status_t, code, mx_status_code_t);
FIELD(mx_status_t, source, mx_endpoint_addr_t);
FIELD(mx_status_t, match_info, uint64_t);
FIELD(mx_status_t, msg_length, uint32_t);
FIELD(mx_status_t, xfer_length, uint32_t);
FIELD(mx_status_t, context, void *);
FIELD(mx_param_t, key, mx_param_key_t);
FIELD(mx_param_t, val.error_handler, mx_error_handler_t);
FIELD(mx_param_t, val.unexp_queue_max, uint32_t);
FIELD(mx_param_t, val.context_id.bits, uint8_t);
FIELD(mx_param_t, val.context_id.shift, uint8_t);

SIZE(mx_endpoint_addr_t, 16);
AT(mx_endpoint_addr_t, stuff, 0);

SIZE(mx_mapper_state_t, 36);
AT(mx_mapper_state_t, board_number, 0);
AT(mx_mapper_state_t, mapper_mac, 4);
AT(mx_mapper_state_t, iport, 10);
AT(mx_mapper_state_t, map_version, 12);
AT(mx_mapper_state_t, num_hosts, 16);
AT(mx_mapper_state_t, network_configured, 20);
AT(mx_mapper_state_t, routes_valid, 24);
AT(mx_mapper_state_t, level, 28);
AT(mx_mapper_state_t, flags, 32);
FIELD(mx_mapper_state_t, board_number, uint32_t);
FIELD(mx_mapper_state_t, mapper_mac, uint8_t[6]);
FIELD(mx_mapper_state_t, iport, uint16_t);
FIELD(mx_mapper_state_t, flags, uint32_t);

AT(mx_segment_t, segment_ptr, 0);
AT(mx_status_t, code, 0);
AT(mx_param_t, key, 0);
#if defined(__LP64__)
IS(_Alignof(mx_endpoint_addr_t), 8);
SIZE(mx_endpoint_t, 8);
SIZE(mx_request_t, 8);
SIZE(mx_segment_ptr_t, 8);
SIZE(mx_error_handler_t, 8);
SIZE(mx_matching_callback_t, 8);
SIZE(mx_unexp_handler_t, 8);
SIZE(mx_segment_t, 16);
AT(mx_segment_t, segment_length, 8);
SIZE(mx_status_t, 48);
AT(mx_status_t, source, 8);
AT(mx_status_t, match_info, 24);
AT(mx_status_t, msg_length, 32);
AT(mx_status_t, xfer_length, 36);
AT(mx_status_t, context, 40);
SIZE(mx_param_t, 16);
AT(mx_param_t, val, 8);
AT(mx_param_t, val.error_handler, 8);
AT(mx_param_t, val.unexp_queue_max, 8);
AT(mx_param_t, val.context_id.bits, 8);
AT(mx_param_t, val.context_id.shift, 9);
#elif defined(__i386__)
SIZE(mx_endpoint_t, 4);
SIZE(mx_request_t, 4);
SIZE(mx_segment_ptr_t, 4);
SIZE(mx_error_handler_t, 4);
SIZE(mx_matching_callback_t, 4);
SIZE(mx_unexp_handler_t, 4);
SIZE(mx_segment_t, 8);
AT(mx_segment_t, segment_length, 4);
SIZE(mx_status_t, 40);
AT(mx_status_t, source, 4);
AT(mx_status_t, match_info, 20);
AT(mx_status_t, msg_length, 28);
AT(mx_status_t, xfer_length, 32);
AT(mx_status_t, context, 36);
SIZE(mx_param_t, 8);
AT(mx_param_t, val, 4);
#endif

/* ---- calls ---------------------------------------------------------------------- */

TYPE(&MX_ERRORS_ARE_FATAL, const mx_error_handler_t *);
TYPE(&MX_ERRORS_RETURN, const mx_error_handler_t *);

CALL(mx__init_api, mx_return_t, int);
CALL(mx_finalize, mx_return_t, void);
CALL(mx_set_error_handler, mx_error_handler_t, mx_error_handler_t);
CALL(mx_open_endpoint, mx_return_t, uint32_t, uint32_t, uint32_t, mx_param_t *,
     uint32_t, mx_endpoint_t *);
CALL(mx_close_endpoint, mx_return_t, mx_endpoint_t);
CALL(mx_wakeup, mx_return_t, mx_endpoint_t);
CALL(mx_disable_progression, mx_return_t, mx_endpoint_t);
CALL(mx_reenable_progression, mx_return_t, mx_endpoint_t);
CALL(mx_isend, mx_return_t, mx_endpoint_t, mx_segment_t *, uint32_t,
     mx_endpoint_addr_t, uint64_t, void *, mx_request_t *);
CALL(mx_issend, mx_return_t, mx_endpoint_t, mx_segment_t *, uint32_t,
     mx_endpoint_addr_t, uint64_t, void *, mx_request_t *);
CALL(mx_irecv, mx_return_t, mx_endpoint_t, mx_segment_t *, uint32_t, uint64_t,
     uint64_t, void *, mx_request_t *);
CALL(mx_cancel, mx_return_t, mx_endpoint_t, mx_request_t *, uint32_t *);
CALL(mx_test, mx_return_t, mx_endpoint_t, mx_request_t *, mx_status_t *,
     uint32_t *);
CALL(mx_wait, mx_return_t, mx_endpoint_t, mx_request_t *, uint32_t,
     mx_status_t *, uint32_t *);
CALL(mx_test_any, mx_return_t, mx_endpoint_t, uint64_t, uint64_t, mx_status_t *,
     uint32_t *);
CALL(mx_wait_any, mx_return_t, mx_endpoint_t, uint32_t, uint64_t, uint64_t,
     mx_status_t *, uint32_t *);
CALL(mx_ipeek, mx_return_t, mx_endpoint_t, mx_request_t *, uint32_t *);
CALL(mx_peek, mx_return_t, mx_endpoint_t, uint32_t, mx_request_t *, uint32_t *);
CALL(mx_iprobe, mx_return_t, mx_endpoint_t, uint64_t, uint64_t, mx_status_t *,
     uint32_t *);
CALL(mx_probe, mx_return_t, mx_endpoint_t, uint32_t, uint64_t, uint64_t,
     mx_status_t *, uint32_t *);
CALL(mx_ibuffered, mx_return_t, mx_endpoint_t, mx_request_t *, uint32_t *);
CALL(mx_context, mx_return_t, mx_request_t *, void **);
CALL(mx_get_info, mx_return_t, mx_endpoint_t, mx_get_info_key_t, void *,
     uint32_t, void *, uint32_t);
CALL(mx_hostname_to_nic_id, mx_return_t, char *, uint64_t *);
CALL(mx_board_number_to_nic_id, mx_return_t, uint32_t, uint64_t *);
CALL(mx_nic_id_to_board_number, mx_return_t, uint64_t, uint32_t *);
CALL(mx_nic_id_to_hostname, mx_return_t, uint64_t, char *);
CALL(mx_connect, mx_return_t, mx_endpoint_t, uint64_t, uint32_t, uint32_t,
     uint32_t, mx_endpoint_addr_t *);
CALL(mx_decompose_endpoint_addr, mx_return_t, mx_endpoint_addr_t, uint64_t *,
     uint32_t *);
CALL(mx_get_endpoint_addr, mx_return_t, mx_endpoint_t, mx_endpoint_addr_t *);
CALL(mx_strerror, const char *, mx_return_t);
CALL(mx_strstatus, const char *, mx_status_code_t);
CALL(mx_register_unexp_callback, mx_return_t, mx_endpoint_t,
     mx_matching_callback_t, void *);
CALL(mx_iput, mx_return_t, mx_endpoint_t, void *, uint32_t, mx_endpoint_addr_t,
     uint64_t, void *, mx_request_t *);
CALL(mx_iget, mx_return_t, mx_endpoint_t, void *, uint32_t, mx_endpoint_addr_t,
     uint64_t, void *, mx_request_t *);
CALL(mx_buffered, mx_return_t, mx_endpoint_t, mx_request_t *, uint32_t,
     uint32_t *);
CALL(mx_iconnect, mx_return_t, mx_endpoint_t, uint64_t, uint32_t, uint32_t,
     uint64_t, void *, mx_request_t *);
CALL(mx_disconnect, mx_return_t, mx_endpoint_t, mx_endpoint_addr_t);
CALL(mx_register_unexp_handler, mx_return_t, mx_endpoint_t, mx_unexp_handler_t,
     void *);
CALL(mx_forget, mx_return_t, mx_endpoint_t, mx_request_t *);
CALL(mx_progress, mx_return_t, mx_endpoint_t);
CALL(mx_set_endpoint_addr_context, mx_return_t, mx_endpoint_addr_t, void *);
CALL(mx_get_endpoint_addr_context, mx_return_t, mx_endpoint_addr_t, void **);
CALL(mx_set_request_timeout, mx_return_t, mx_endpoint_t, mx_request_t,
     uint32_t);
CALL(mx_decompose_endpoint_addr2, mx_return_t, mx_endpoint_addr_t, uint64_t *,
     uint32_t *, uint32_t *);

CALL(mx_open_board, mx_return_t, int, mx_endpt_handle_t *);
CALL(mx__get_mapper_state, mx_return_t, mx_endpt_handle_t, mx_mapper_state_t *);
