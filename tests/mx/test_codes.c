// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_codes.c - every code that calls return is produced here, or said to be
 * historic. (Codes that tell of the daemon are in test_daemon.c, how requests
 * end in test_status.c.)
 *
 * Flow:  a call that must fail -> the code
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <string.h>
#include <sys/resource.h>

#include "mx_internals/mx__driver_interface.h"
#include "mx_internals/mx__fops.h"
#include "mxtest.h"

/* ---- a call for each code ------------------------------------------------------- */

static mx_endpoint_t ep;
static mx_endpoint_addr_t self;

static mx_return_t bad_bad_bad(void)
{
	mx_endpt_handle_t board;

	T_FAILS(mx_open_board(0, NULL), MX_BAD_BAD_BAD);
	T_OK(mx_open_board(0, &board));
	T_FAILS(mx__get_mapper_state(board, NULL), MX_BAD_BAD_BAD);
	return mx_test(ep, NULL, NULL, NULL);
}

static mx_return_t failure(void)
{
	mx_request_t request;

	return mx_iput(ep, NULL, 0, self, 0, NULL, &request);
}

static mx_return_t already_initialized(void)
{
	return mx_init();
}

static mx_return_t not_initialized(void)
{
	mx_endpt_handle_t board;
	mx_return_t code;

	T_OK(mx_finalize());
	code = mx_progress(ep);
	T_FAILS(mx_hostname_to_nic_id((char *)(uintptr_t) "x", &(uint64_t){0}),
		MX_NOT_INITIALIZED);
	T_FAILS(mx_finalize(), MX_NOT_INITIALIZED);
	T_FAILS(mx_open_board(0, &board), MX_NOT_INITIALIZED);
	T_FAILS(mx_decompose_endpoint_addr(self, NULL, NULL),
		MX_NOT_INITIALIZED);
	T_OK(mx_init());
	ep = t_open();
	return code;
}

static mx_return_t board_unknown(void)
{
	uint32_t board = 1, value;
	mx_endpt_handle_t handle;
	mx_mapper_state_t state;
	uint64_t nic;

	T_FAILS(mx_open_board(1, &handle), MX_BOARD_UNKNOWN);
	T_FAILS(mx_open_board(-1, &handle), MX_BOARD_UNKNOWN);
	T_FAILS(mx__get_mapper_state(MX__INVALID_HANDLE, &state),
		MX_BOARD_UNKNOWN);
	T_FAILS(mx_board_number_to_nic_id(1, &nic), MX_BOARD_UNKNOWN);
	T_FAILS(mx_nic_id_to_board_number(1, &value), MX_BOARD_UNKNOWN);
	T_FAILS(mx_get_info(NULL, MX_NUMA_NODE, &board, sizeof(board), &value,
			    sizeof(value)),
		MX_BOARD_UNKNOWN);
	return mx_open_endpoint(1, 0, 0, NULL, 0, &ep);
}

static mx_return_t bad_endpoint(void)
{
	mx_endpoint_t other = t_open(), odd;
	mx_endpoint_addr_t addr = {{1, 2}};
	void *context;

	T_OK(mx_close_endpoint(other));
	T_FAILS(mx_close_endpoint(other), MX_BAD_ENDPOINT);
	T_FAILS(mx_isend(other, NULL, 0, self, 0, NULL, NULL), MX_BAD_ENDPOINT);
	odd = (mx_endpoint_t)(void *)((char *)ep + 1);
	T_FAILS(mx_progress(odd), MX_BAD_ENDPOINT);
	T_FAILS(mx_progress((mx_endpoint_t)(void *)&addr), MX_BAD_ENDPOINT);
	T_FAILS(mx_get_endpoint_addr_context(addr, &context), MX_BAD_ENDPOINT);
	T_FAILS(mx_set_endpoint_addr_context(addr, NULL), MX_BAD_ENDPOINT);
	T_FAILS(mx_disconnect(ep, addr), MX_BAD_ENDPOINT);
	T_FAILS(mx_open_endpoint(0, 65536, 0, NULL, 0, &other),
		MX_BAD_ENDPOINT);
	return mx_wakeup(NULL);
}

static mx_return_t bad_seg_list(void)
{
	mx_segment_t two[2] = {{&ep, 0xffffffffu}, {&ep, 1}};

	T_FAILS(mx_irecv(ep, two, 2, 0, 0, NULL, NULL), MX_BAD_SEG_LIST);
	return mx_isend(ep, NULL, 1, self, 0, NULL, NULL);
}

static mx_return_t bad_seg_mem(void)
{
	mx_segment_t seg = {NULL, 1};

	T_FAILS(mx_issend(ep, &seg, 1, self, 0, NULL, NULL), MX_BAD_SEG_MEM);
	return mx_irecv(ep, &seg, 1, 0, 0, NULL, NULL);
}

static mx_return_t bad_seg_cnt(void)
{
	static mx_segment_t many[257];
	mx_request_t request;
	uint32_t result;

	T_OK(mx_irecv(ep, many, 256, 1, 1, NULL, &request));
	T_OK(mx_cancel(ep, &request, &result));
	T_FAILS(mx_isend(ep, NULL, 0xffffffffu, self, 0, NULL, NULL),
		MX_BAD_SEG_CNT);
	return mx_irecv(ep, many, 257, 0, 0, NULL, NULL);
}

static mx_return_t bad_request(void)
{
	mx_request_t dead, odd = (mx_request_t)(void *)&dead, live, none = NULL;
	mx_endpoint_t other = t_open();
	mx_status_t status;
	uint32_t result;
	void *context;

	T_OK(mx_irecv(ep, NULL, 0, 1, 1, NULL, &live));
	dead = live;
	T_FAILS(mx_test(other, &live, &status, &result), MX_BAD_REQUEST);
	T_FAILS(mx_ibuffered(ep, &live, &result), MX_BAD_REQUEST);
	T_OK(mx_cancel(ep, &live, &result));
	T_FAILS(mx_test(ep, &dead, &status, &result), MX_BAD_REQUEST);
	T_FAILS(mx_wait(ep, &odd, 1, &status, &result), MX_BAD_REQUEST);
	T_FAILS(mx_test(ep, &none, &status, &result), MX_BAD_REQUEST);
	T_FAILS(mx_test(ep, NULL, &status, &result), MX_BAD_REQUEST);
	T_FAILS(mx_forget(ep, &dead), MX_BAD_REQUEST);
	T_FAILS(mx_cancel(ep, &odd, &result), MX_BAD_REQUEST);
	T_FAILS(mx_context(&dead, &context), MX_BAD_REQUEST);
	T_FAILS(mx_context(NULL, &context), MX_BAD_REQUEST);
	T_FAILS(mx_set_request_timeout(ep, dead, 1000), MX_BAD_REQUEST);
	T_OK(mx_close_endpoint(other));
	return mx_forget(ep, NULL);
}

static mx_return_t bad_match_mask(void)
{
	mx_status_t s;
	uint32_t r;

	T_FAILS(mx_test_any(ep, 3, 1, &s, &r), MX_BAD_MATCH_MASK);
	T_FAILS(mx_wait_any(ep, 1, 3, 1, &s, &r), MX_BAD_MATCH_MASK);
	T_FAILS(mx_iprobe(ep, 3, 1, &s, &r), MX_BAD_MATCH_MASK);
	T_FAILS(mx_probe(ep, 1, 3, 1, &s, &r), MX_BAD_MATCH_MASK);
	return mx_irecv(ep, NULL, 0, 3, 1, NULL, NULL);
}

static mx_return_t no_resources(void)
{
	struct rlimit was, now;
	mx_endpoint_t other;
	mx_return_t code;

	T_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	now = was;
	now.rlim_cur = 4;
	T_EQ(setrlimit(RLIMIT_NOFILE, &now), 0);
	code = mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, NULL, 0, &other);
	T_EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
	return code;
}

static mx_return_t busy(void)
{
	mx_endpoint_t other;

	return mx_open_endpoint(0, t_id(ep), 0, NULL, 0, &other);
}

static mx_return_t bad_info_key(void)
{
	uint32_t value;

	T_FAILS(mx_get_info(ep, (mx_get_info_key_t)17, NULL, 0, &value, 4),
		MX_BAD_INFO_KEY);
	return mx_get_info(NULL, (mx_get_info_key_t)0, NULL, 0, &value, 4);
}

static mx_return_t bad_info_val(void)
{
	return mx_get_info(ep, MX_NIC_COUNT, NULL, 0, NULL, 4);
}

static mx_return_t bad_info_length(void)
{
	uint64_t ids[2];

	T_FAILS(mx_get_info(NULL, MX_NIC_IDS, NULL, 0, ids, 15),
		MX_BAD_INFO_LENGTH);
	T_FAILS(mx_get_info(NULL, MX_PRODUCT_CODE, NULL, 0, ids, 3),
		MX_BAD_INFO_LENGTH);
	T_FAILS(mx_get_info(NULL, MX_COUNTERS_VALUES, NULL, 0, ids, 4),
		MX_BAD_INFO_LENGTH);
	T_FAILS(mx_get_info(NULL, MX_COUNTERS_LABELS, NULL, 0, ids, 16),
		MX_BAD_INFO_LENGTH);
	return mx_get_info(ep, MX_NIC_COUNT, NULL, 0, ids, 3);
}

static mx_return_t open_with(mx_param_t *params, uint32_t count)
{
	mx_endpoint_t other = NULL;
	mx_return_t code =
		mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, params, count, &other);

	T_CHECK((code == MX_SUCCESS) == (other != NULL));
	if (other)
		T_OK(mx_close_endpoint(other));
	return code;
}

static mx_return_t bad_param_list(void)
{
	return open_with(NULL, 1);
}

static mx_return_t bad_param_name(void)
{
	mx_param_t p = {.key = (mx_param_key_t)3};

	return open_with(&p, 1);
}

static mx_param_t context_id(uint8_t bits, uint8_t shift)
{
	mx_param_t p = {.key = MX_PARAM_CONTEXT_ID};

	p.val.context_id.bits = bits;
	p.val.context_id.shift = shift;
	return p;
}

static mx_return_t bad_param_val(void)
{
	mx_param_t bits = context_id(17, 0), shift = context_id(16, 49);
	mx_param_t most = context_id(16, 48), none = context_id(0, 64);

	T_OK(open_with(&most, 1));
	T_OK(open_with(&none, 1));
	T_FAILS(open_with(&shift, 1), MX_BAD_PARAM_VAL);
	return open_with(&bits, 1);
}

static mx_return_t bad_hostname_args(void)
{
	char odd[] = "a:b:c", empty[] = "";
	uint64_t nic;

	T_FAILS(mx_hostname_to_nic_id(odd, &nic), MX_BAD_HOSTNAME_ARGS);
	T_FAILS(mx_hostname_to_nic_id(empty, &nic), MX_BAD_HOSTNAME_ARGS);
	T_FAILS(mx_nic_id_to_hostname(1, NULL), MX_BAD_HOSTNAME_ARGS);
	return mx_hostname_to_nic_id(NULL, &nic);
}

static mx_return_t host_not_found(void)
{
	char name[MX_MAX_HOSTNAME_LEN] = "no-such-host:0";
	uint64_t nic;

	T_FAILS(mx_nic_id_to_hostname(1, name), MX_HOST_NOT_FOUND);
	T_FAILS(mx_nic_id_to_hostname(0, name), MX_HOST_NOT_FOUND);
	return mx_hostname_to_nic_id(name, &nic);
}

static mx_return_t bad_endpoint_id(void)
{
	return mx_connect(ep, t_own_nic(), 65536, 0, T_MS, &self);
}

static mx_return_t connection_failed(void)
{
	return mx_connect(ep, t_own_nic(), 60000, 0, T_MS, &self);
}

static mx_return_t bad_connection_key(void)
{
	mx_endpoint_t locked;
	mx_endpoint_addr_t addr;
	mx_return_t code;

	T_OK(mx_open_endpoint(0, MX_ANY_ENDPOINT, 42, NULL, 0, &locked));
	T_OK(mx_connect(ep, t_own_nic(), t_id(locked), 42, T_MS, &addr));
	code = mx_connect(ep, t_own_nic(), t_id(locked), 41, T_MS, &addr);
	T_OK(mx_close_endpoint(locked));
	return code;
}

/* Boards are numbered one after the other, so one bit away may be a guest. */
static uint64_t nobodys_nic(void)
{
	return t_own_nic() ^ 0x8000;
}

static mx_return_t nic_not_found(void)
{
	mx_request_t request = NULL;

	T_FAILS(mx_iconnect(ep, nobodys_nic(), 0, 0, 0, NULL, &request),
		MX_NIC_NOT_FOUND);
	T_FAILS(mx_iconnect(ep, UINT64_C(1) << 48, 0, 0, 0, NULL, &request),
		MX_NIC_NOT_FOUND);
	T_CHECK(request == NULL);
	return mx_connect(ep, nobodys_nic(), 0, 0, T_MS, &self);
}

static mx_return_t bad_lib_version(void)
{
	T_FAILS(mx__init_api(0), MX_BAD_LIB_VERSION);
	T_FAILS(mx__init_api(0x400), MX_BAD_LIB_VERSION);
	T_FAILS(mx__init_api(0x300), MX_ALREADY_INITIALIZED); /* older: good */
	return mx__init_api(0x200);
}

static mx_return_t cancel_not_supported(void)
{
	mx_request_t request;
	uint32_t result;

	T_OK(mx_issend(ep, NULL, 0, self, 9, NULL, &request));
	return mx_cancel(ep, &request, &result);
}

static mx_return_t close_code, finalize_code, wait_code;

static mx_unexp_handler_action_t close_inside(void *context,
					      mx_endpoint_addr_t source,
					      uint64_t match, uint32_t length,
					      void *data)
{
	mx_request_t request = NULL;
	mx_status_t status;
	uint32_t result;

	(void)context;
	(void)source;
	(void)match;
	(void)length;
	(void)data;
	T_OK(mx_irecv(ep, NULL, 0, 77, MX_MATCH_MASK_NONE, NULL, &request));
	wait_code = mx_wait(ep, &request, 1, &status, &result);
	T_OK(mx_progress(ep));
	finalize_code = mx_finalize();
	__atomic_store_n(&close_code, mx_close_endpoint(ep), __ATOMIC_SEQ_CST);
	return MX_RECV_FINISHED;
}

static mx_return_t close_in_handler(void)
{
	double end = t_seconds() + T_MS / 1000;

	T_OK(mx_register_unexp_handler(ep, close_inside, NULL));
	T_OK(mx_isend(ep, NULL, 0, self, 5, NULL, NULL));
	while (!__atomic_load_n(&close_code, __ATOMIC_SEQ_CST)) {
		T_OK(mx_progress(ep));
		T_CHECK(t_seconds() < end);
	}
	T_EQ(finalize_code, MX_CLOSE_IN_HANDLER);
	T_EQ(wait_code, MX_FAILURE); /* it would wait for ever */
	return close_code;
}

static mx_return_t bad_context_id_mask(void)
{
	mx_param_t p = context_id(4, 60);
	mx_endpoint_t other;
	mx_return_t code;

	T_OK(mx_open_endpoint(0, MX_ANY_ENDPOINT, 0, &p, 1, &other));
	T_OK(mx_irecv(other, NULL, 0, 0, UINT64_C(15) << 60, NULL, NULL));
	code = mx_irecv(other, NULL, 0, 0, UINT64_C(7) << 60, NULL, NULL);
	T_OK(mx_close_endpoint(other));
	return code;
}

/* NULL: historic, or elsewhere. */
static mx_return_t (*const producers[])(void) = {
	[MX_BAD_BAD_BAD] = bad_bad_bad,
	[MX_FAILURE] = failure,
	[MX_ALREADY_INITIALIZED] = already_initialized,
	[MX_NOT_INITIALIZED] = not_initialized,
	[MX_BOARD_UNKNOWN] = board_unknown,
	[MX_BAD_ENDPOINT] = bad_endpoint,
	[MX_BAD_SEG_LIST] = bad_seg_list,
	[MX_BAD_SEG_MEM] = bad_seg_mem,
	[MX_BAD_SEG_CNT] = bad_seg_cnt,
	[MX_BAD_REQUEST] = bad_request,
	[MX_BAD_MATCH_MASK] = bad_match_mask,
	[MX_NO_RESOURCES] = no_resources,
	[MX_BUSY] = busy,
	[MX_BAD_INFO_KEY] = bad_info_key,
	[MX_BAD_INFO_VAL] = bad_info_val,
	[MX_BAD_PARAM_LIST] = bad_param_list,
	[MX_BAD_PARAM_NAME] = bad_param_name,
	[MX_BAD_PARAM_VAL] = bad_param_val,
	[MX_BAD_HOSTNAME_ARGS] = bad_hostname_args,
	[MX_HOST_NOT_FOUND] = host_not_found,
	[MX_BAD_ENDPOINT_ID] = bad_endpoint_id,
	[MX_CONNECTION_FAILED] = connection_failed,
	[MX_BAD_CONNECTION_KEY] = bad_connection_key,
	[MX_BAD_INFO_LENGTH] = bad_info_length,
	[MX_NIC_NOT_FOUND] = nic_not_found,
	[MX_BAD_LIB_VERSION] = bad_lib_version,
	[MX_CANCEL_NOT_SUPPORTED] = cancel_not_supported,
	[MX_CLOSE_IN_HANDLER] = close_in_handler,
	[MX_BAD_MATCHING_FOR_CONTEXT_ID_MASK] = bad_context_id_mask,
	[MX_NOT_SUPPORTED_WITH_CONTEXT_ID] = NULL,
};

#define PRODUCERS ((int)(sizeof(producers) / sizeof(producers[0])))

/* Never returned, as the header says; and those of test_daemon.c. */
static const mx_return_t not_here[] = {
	MX_SUCCESS,	    MX_BAD_ADDR_LIST, MX_BAD_ADDR_COUNT,
	MX_BAD_ROOT,	    MX_NOT_COMPLETED, MX_BAD_NIC,
	MX_REQUEST_PENDING, MX_NO_MATCH,      MX_NO_DEV,
	MX_NO_DRIVER,	    MX_NO_PERM,	      MX_BAD_KERNEL_VERSION,
	MX_NIC_DEAD,	    MX_TIMEOUT,	      MX_NOT_SUPPORTED_WITH_CONTEXT_ID,
};

static bool is_not_here(int code)
{
	for (size_t i = 0; i < sizeof(not_here) / sizeof(not_here[0]); i++)
		if (not_here[i] == (mx_return_t)code)
			return true;
	return false;
}

START_TEST(code_is_returned)
{
	ck_assert(!producers[_i] == is_not_here(_i)); /* none is left out */
	if (!producers[_i])
		return;
	t_attach();
	ep = t_open();
	T_OK(mx_get_endpoint_addr(ep, &self));
	T_EQ(producers[_i](), _i);
	t_detach();
}
END_TEST

START_TEST(codes_have_texts)
{
	for (int code = -2; code < 60; code++) {
		bool is = code >= 0 && code <= MX_NOT_SUPPORTED_WITH_CONTEXT_ID;
		const char *text = mx_strerror((mx_return_t)code);

		ck_assert_int_eq(strcmp(text, "unknown code") != 0, is);
		text = mx_strstatus((mx_status_code_t)code);
		is = code >= 0 && code <= MX_STATUS_NO_RESOURCES;
		ck_assert_int_eq(strcmp(text, "unknown code") != 0, is);
	}
}
END_TEST

/* ---- tables --------------------------------------------------------------------- */

Suite *t_codes_suite(void)
{
	Suite *s = suite_create("codes");
	TCase *tc = t_case(s, "calls");

	tcase_add_loop_test(tc, code_is_returned, 0, PRODUCERS);
	tcase_add_test(tc, codes_have_texts);
	return s;
}
