// SPDX-License-Identifier: BSD-2-Clause
/*
 * abi.c - the layouts and values that programs were compiled with. They are
 * MX's, so they are not ours to change: nothing here but assertions.
 *
 * Flow:  none.
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <mx/mx_internals/mx__driver_interface.h>
#include <mx/mx_internals/mx__fops.h>

#include "mx/mx.h"

#define IS(what, value) _Static_assert((what) == (value), #what " has changed")
#define AT(type, field, byte) IS(offsetof(type, field), byte)

IS(MX_API, 0x301);
IS(MX_INFINITE, 0);
IS(MX_ANY_NIC, 0xffffffffu);
IS(MX_ANY_ENDPOINT, 0xffffffffu);
IS(MX_MAX_SEGMENTS, 256);
IS(MX_MATCH_MASK_NONE, UINT64_MAX);
IS(MX_NOT_SUPPORTED_WITH_CONTEXT_ID, 43);
IS(MX_STATUS_NO_RESOURCES, 16);
IS(MX_LINE_SPEED, 16);
IS(MX_PARAM_CONTEXT_ID, 2);
IS(VMB_SEGMENTS_MAX, MX_MAX_SEGMENTS);
IS(VMB_NAME_MAX, MX_MAX_HOSTNAME_LEN);

IS(sizeof(mx_endpoint_addr_t), MX_SIZEOF_ADDR);
IS(sizeof(mx_return_t), 4);
IS(sizeof(mx_status_code_t), 4);
IS(sizeof(mx_param_key_t), 4);
IS(sizeof(mx_get_info_key_t), 4);
IS(sizeof(mx_unexp_handler_action_t), 4);
IS(sizeof(mx_endpt_handle_t), 4);
IS(sizeof(mx_mapper_state_t), 36);
AT(mx_mapper_state_t, mapper_mac, 4);
AT(mx_mapper_state_t, iport, 10);
AT(mx_mapper_state_t, map_version, 12);
AT(mx_mapper_state_t, flags, 32);
AT(mx_param_t, key, 0);

#ifdef __LP64__
IS(sizeof(mx_endpoint_t), 8);
IS(sizeof(mx_request_t), 8);
IS(sizeof(mx_segment_t), 16);
AT(mx_segment_t, segment_ptr, 0);
AT(mx_segment_t, segment_length, 8);
IS(sizeof(mx_status_t), 48);
AT(mx_status_t, code, 0);
AT(mx_status_t, source, 8);
AT(mx_status_t, match_info, 24);
AT(mx_status_t, msg_length, 32);
AT(mx_status_t, xfer_length, 36);
AT(mx_status_t, context, 40);
IS(sizeof(mx_param_t), 16);
AT(mx_param_t, val, 8);
AT(mx_param_t, val.context_id.bits, 8);
AT(mx_param_t, val.context_id.shift, 9);
#elif defined(__i386__)
IS(sizeof(mx_segment_t), 8);
IS(sizeof(mx_status_t), 40);
AT(mx_status_t, source, 4);
AT(mx_status_t, match_info, 20);
AT(mx_status_t, msg_length, 28);
AT(mx_status_t, xfer_length, 32);
AT(mx_status_t, context, 36);
IS(sizeof(mx_param_t), 8);
AT(mx_param_t, val, 4);
#endif
