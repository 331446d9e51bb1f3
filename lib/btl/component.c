// SPDX-License-Identifier: BSD-2-Clause
/*
 * component.c - the plug-in as Open MPI sees it: parameters, start, progress,
 * end, and what goes wrong in words.
 *
 * Flow:  Open MPI's btl framework -> [here] -> vmb_init(), vmb_open()
 *        opal_progress() -> progress() -> vmb_progress()
 * Owns:  the one module of this process: its endpoint, lists and cache.
 * Trust: parameters are the user's.
 */
#include "btl/btl.h"

#include <sys/random.h>

/*
 * Sizes were measured (docs/mpi.md). An active message holds 32 KiB; the
 * first fragment of a message that has to wait for its receiver is shorter,
 * so that it does not fill the peer's buffers.
 */
#define EAGER_LIMIT (16u << 10)
#define RNDV_EAGER_LIMIT (4u << 10)
#define MAX_SEND_SIZE (32u << 10)
#define PIPELINE_FRAGMENT (1u << 20)
#define OFFER_MIN (128u << 10)

#define FRAGMENTS_AT_ONCE 16

/* ---- errors ------------------------------------------------------------- */

int vmb_btl_code(int rc)
{
	switch (rc) {
	case 0:
		return OPAL_SUCCESS;
	case -EAGAIN:
	case -ENOMEM:
	case -EDQUOT:
	case -ENOSPC:
		return OPAL_ERR_OUT_OF_RESOURCE;
	case -ECONNRESET:
	case -ECONNREFUSED:
	case -EPIPE:
		return OPAL_ERR_UNREACH;
	case -ERANGE:
	case -EACCES:
	case -ENOKEY:
	case -EINVAL:
		return OPAL_ERR_BAD_PARAM;
	default:
		return OPAL_ERROR;
	}
}

/* That nobody can be reached any more: once, when there is somebody to tell. */
static void tell(struct btl_module *m)
{
	if (!m->error || m->told)
		return;
	m->told = true;
	m->error(&m->super, MCA_BTL_ERROR_FLAGS_FATAL, NULL,
		 (char *)"vmbypass");
}

void vmb_btl_report(struct btl_module *m, btl_peer_t *peer, int rc,
		    const char *what)
{
	if (peer)
		peer->state = BTL_PEER_FAILED;
	else
		m->failed = true;
	opal_output(0, "btl:vmb: %s%s%s: %s", what, peer ? ", peer " : "",
		    peer ? OPAL_NAME_PRINT(peer->proc->proc_name) : "",
		    vmb_strerror(rc));
	if (!peer)
		tell(m);
	else if (m->error)
		m->error(&m->super, MCA_BTL_ERROR_FLAGS_FATAL, peer->proc,
			 (char *)"vmbypass");
}

void vmb_btl_worry(struct btl_module *m, int rc)
{
	__atomic_store_n(&m->worry, rc, __ATOMIC_RELAXED);
}

/* What failed before there was anybody to tell is told now. */
static int register_error(mca_btl_base_module_t *btl,
			  mca_btl_base_module_error_cb_fn_t error)
{
	struct btl_module *m = (struct btl_module *)btl;

	m->error = error;
	if (m->failed)
		tell(m);
	return OPAL_SUCCESS;
}

/* ---- the module --------------------------------------------------------- */

static int finalize(mca_btl_base_module_t *btl);

struct btl_module vmb_btl_module = {
	.super =
		{
			.btl_component = &mca_btl_vmb_component.super,
			.btl_registration_handle_size =
				sizeof(mca_btl_base_registration_handle_t),
			.btl_add_procs = vmb_btl_add_procs,
			.btl_del_procs = vmb_btl_del_procs,
			.btl_finalize = finalize,
			.btl_alloc = vmb_btl_alloc,
			.btl_free = vmb_btl_free,
			.btl_prepare_src = vmb_btl_prepare_src,
			.btl_send = vmb_btl_send,
			.btl_sendi = vmb_btl_sendi,
			.btl_put = vmb_btl_put,
			.btl_get = vmb_btl_get,
			.btl_dump = mca_btl_base_dump,
			.btl_register_mem = vmb_btl_register_mem,
			.btl_deregister_mem = vmb_btl_deregister_mem,
			.btl_register_error = register_error,
			.btl_flush = vmb_btl_flush,
		},
};

static int fragments_open(opal_free_list_t *list, size_t payload)
{
	return opal_free_list_init(
		list, sizeof(btl_fragment_t), opal_cache_line_size,
		OBJ_CLASS(btl_fragment_t), payload, opal_cache_line_size, 0, -1,
		FRAGMENTS_AT_ONCE, NULL, 0, NULL, NULL, NULL);
}

static int items_open(opal_free_list_t *list, size_t size, opal_class_t *class)
{
	return opal_free_list_init(list, size, opal_cache_line_size, class, 0,
				   0, 0, -1, FRAGMENTS_AT_ONCE, NULL, 0, NULL,
				   NULL, NULL);
}

static void lists_close(struct btl_module *m)
{
	OBJ_DESTRUCT(&m->large);
	OBJ_DESTRUCT(&m->small);
	OBJ_DESTRUCT(&m->offers);
	OBJ_DESTRUCT(&m->transfers);
	OBJ_DESTRUCT(&m->ended);
	OBJ_DESTRUCT(&m->come);
	OBJ_DESTRUCT(&m->peers);
	OBJ_DESTRUCT(&m->inbox_lock);
	OBJ_DESTRUCT(&m->lock);
}

/* 0 or -ENOMEM, with nothing open. */
static int lists_open(struct btl_module *m)
{
	int rc;

	OBJ_CONSTRUCT(&m->lock, opal_mutex_t);
	OBJ_CONSTRUCT(&m->inbox_lock, opal_mutex_t);
	OBJ_CONSTRUCT(&m->peers, opal_list_t);
	OBJ_CONSTRUCT(&m->come, opal_list_t);
	OBJ_CONSTRUCT(&m->ended, opal_list_t);
	OBJ_CONSTRUCT(&m->transfers, opal_free_list_t);
	OBJ_CONSTRUCT(&m->offers, opal_free_list_t);
	OBJ_CONSTRUCT(&m->small, opal_free_list_t);
	OBJ_CONSTRUCT(&m->large, opal_free_list_t);
	rc = items_open(&m->transfers, sizeof(btl_transfer_t),
			OBJ_CLASS(btl_transfer_t));
	rc = rc ? rc
		: items_open(&m->offers, sizeof(btl_offer_t),
			     OBJ_CLASS(btl_offer_t));
	rc = rc ? rc : fragments_open(&m->small, m->super.btl_eager_limit);
	rc = rc ? rc : fragments_open(&m->large, m->super.btl_max_send_size);
	if (!rc)
		return 0;
	lists_close(m);
	return -ENOMEM;
}

static int finalize(mca_btl_base_module_t *btl)
{
	struct btl_module *m = (struct btl_module *)btl;

	mca_rcache_base_module_destroy(m->rcache);
	vmb_close(m->ep);
	vmb_finalize();
	lists_close(m);
	return OPAL_SUCCESS;
}

/* ---- start -------------------------------------------------------------- */

static int tell_job(const struct btl_address *address)
{
	int rc;

	OPAL_MODEX_SEND(rc, BTL_MODEX_SCOPE,
			&mca_btl_vmb_component.super.btl_version, address,
			sizeof(*address));
	return rc == OPAL_SUCCESS ? 0 : -EIO;
}

/* Others of the job reach our endpoint by this, and nobody else does. */
static int publish(struct btl_module *m, uint32_t key)
{
	struct btl_address address = {.key = key, .version = BTL_VERSION_1};
	struct vmb_addr self;
	int rc;

	rc = vmb_self(m->ep, &self);
	rc = rc ? rc
		: vmb_addr_query(m->ep, self, &address.nic_id, &address.id,
				 NULL);
	return rc ? rc : tell_job(&address);
}

/* Does Open MPI give up the processor when it has found nothing to do? */
static bool yields(void)
{
	int index = mca_base_var_find("ompi", "mpi", NULL, "yield_when_idle");
	const bool *value = NULL;

	return index >= 0 &&
	       mca_base_var_get_value(index, &value, NULL, NULL) ==
		       OPAL_SUCCESS &&
	       value && *value;
}

/*
 * MPI looks again and again anyway: so does the endpoint, and it gets lanes.
 * While the program computes, a thread of the library sees to it that what was
 * sent arrives (the engine gives back what finds no room).
 */
static int endpoint_open(struct btl_module *m)
{
	struct vmb_open_params params = {
		.size = sizeof(params),
		.id = VMB_ANY_ID,
		.wait = VMB_WAIT_SPIN,
		.flags = VMB_OPEN_BACKGROUND | VMB_OPEN_LANES |
			 (yields() ? VMB_OPEN_YIELDS : 0),
	};
	int rc;

	if (getrandom(&params.key, sizeof(params.key), 0) != sizeof(params.key))
		return -EIO;
	rc = vmb_open(&params, &m->ep);
	if (rc)
		return rc;
	rc = vmb_am_register(m->ep, BTL_AM_ID, vmb_btl_arrive, m);
	rc = rc ? rc : publish(m, params.key);
	if (rc)
		vmb_close(m->ep);
	return rc;
}

/* 0 or -errno; what fails takes back what came before. The endpoint is last:
 * from then on something may arrive. */
static int start(struct btl_module *m)
{
	int rc;

	m->failed = m->told = false;
	m->worry = 0;
	if (mca_btl_vmb_component.port)
		setenv("VMB_PORT", mca_btl_vmb_component.port, 1);
	rc = vmb_init();
	if (rc)
		return rc;
	rc = lists_open(m);
	if (rc)
		goto err_finalize;
	rc = vmb_btl_rcache_open(m);
	if (rc)
		goto err_lists;
	rc = endpoint_open(m);
	if (!rc)
		return 0;
	mca_rcache_base_module_destroy(m->rcache);
err_lists:
	lists_close(m);
err_finalize:
	vmb_finalize();
	return rc;
}

/* A user who named us wants to know; for others something else is there. */
static void explain(int rc)
{
	const char *asked = opal_btl_base_framework.framework_selection;
	bool named = asked && asked[0] != '^' && strstr(asked, "vmb");
	if (named)
		opal_output(0, "btl:vmb: not used: %s", vmb_strerror(rc));
	else
		opal_output_verbose(1, opal_btl_base_framework.framework_output,
				    "btl:vmb: not used: %s", vmb_strerror(rc));
}

static mca_btl_base_module_t **init(int *count, bool progress_threads,
				    bool mpi_threads)
{
	struct btl_module *m = &vmb_btl_module;
	mca_btl_base_module_t **modules;
	int rc;

	(void)progress_threads;
	*count = 0;
	m->deferred = mpi_threads;
	modules = calloc(1, sizeof(*modules));
	rc = modules ? start(m) : -ENOMEM;
	if (!rc) {
		*modules = &m->super;
		*count = 1;
		return modules;
	}
	free(modules);
	explain(rc);
	/* who asks for what we have not said waits for it, for seconds */
	(void)tell_job(&(struct btl_address){.version = BTL_VERSION_NONE});
	return NULL;
}

static void check_worry(struct btl_module *m, int rc)
{
	int worry = __atomic_load_n(&m->worry, __ATOMIC_RELAXED);

	if (worry)
		rc = worry;
	if (rc && rc != -EDEADLK)
		vmb_btl_report(m, NULL, rc, "the endpoint has failed");
}

int vmb_btl_progress(struct btl_module *m)
{
	bool asked = vmb_btl_asked;
	int rc;

	vmb_btl_asked = true;
	rc = vmb_progress(m->ep);
	vmb_btl_asked = asked;
	if (__atomic_load_n(&m->inbox, __ATOMIC_ACQUIRE))
		vmb_btl_deliver(m);
	return rc;
}

static int progress(void)
{
	struct btl_module *m = &vmb_btl_module;
	int before = m->events;

	if (m->failed)
		return 0;
	check_worry(m, vmb_btl_progress(m));
	if (__atomic_load_n(&m->busy, __ATOMIC_RELAXED))
		vmb_btl_advance(m);
	return m->events - before;
}

/* ---- parameters --------------------------------------------------------- */

static int register_params(void)
{
	mca_btl_base_module_t *btl = &vmb_btl_module.super;

	btl->btl_eager_limit = EAGER_LIMIT;
	btl->btl_rndv_eager_limit = RNDV_EAGER_LIMIT;
	btl->btl_max_send_size = MAX_SEND_SIZE;
	btl->btl_rdma_pipeline_send_length = PIPELINE_FRAGMENT;
	btl->btl_rdma_pipeline_frag_size = PIPELINE_FRAGMENT;
	/* what is not offered is sent: a put is the engine's alone */
	btl->btl_min_rdma_pipeline_size = SIZE_MAX;
	btl->btl_put_limit = btl->btl_get_limit = SIZE_MAX;
	btl->btl_flags = MCA_BTL_FLAGS_SEND | MCA_BTL_FLAGS_SEND_INPLACE |
			 MCA_BTL_FLAGS_GET;
	/* a transfer registers our side itself, if it needs to */
	btl->btl_put_local_registration_threshold = SIZE_MAX;
	btl->btl_get_local_registration_threshold = SIZE_MAX;
	/* over shared memory of Open MPI's own: who has both, has this */
	btl->btl_exclusivity = MCA_BTL_EXCLUSIVITY_HIGH + 1;
	btl->btl_latency = 1;
	btl->btl_bandwidth = 40000; /* Mbit/s */
	mca_btl_vmb_component.port = NULL;
	(void)mca_base_component_var_register(
		&mca_btl_vmb_component.super.btl_version, "port",
		"How to reach the daemon of vmbypass: \"local:PATH\" or "
		"\"kshim\" (default: VMB_PORT in the environment, else what "
		"there is)",
		MCA_BASE_VAR_TYPE_STRING, NULL, 0, 0, OPAL_INFO_LVL_4,
		MCA_BASE_VAR_SCOPE_READONLY, &mca_btl_vmb_component.port);
	mca_btl_vmb_component.offer_min = OFFER_MIN;
	(void)mca_base_component_var_register(
		&mca_btl_vmb_component.super.btl_version, "offer_min",
		"Messages of at least so many bytes are offered to their "
		"receiver, and both processes copy them at the same time; "
		"shorter ones are sent in fragments",
		MCA_BASE_VAR_TYPE_SIZE_T, NULL, 0, 0, OPAL_INFO_LVL_4,
		MCA_BASE_VAR_SCOPE_READONLY, &mca_btl_vmb_component.offer_min);
	return mca_btl_base_param_register(
		&mca_btl_vmb_component.super.btl_version, btl);
}

static int verify_and_open(void)
{
	mca_btl_base_module_t *btl = &vmb_btl_module.super;

	if (btl->btl_max_send_size > MAX_SEND_SIZE)
		btl->btl_max_send_size = MAX_SEND_SIZE;
	if (btl->btl_eager_limit > btl->btl_max_send_size)
		btl->btl_eager_limit = btl->btl_max_send_size;
	return mca_btl_base_param_verify(btl);
}

static int nothing(void)
{
	return OPAL_SUCCESS;
}

__attribute__((
	visibility("default"))) struct btl_component mca_btl_vmb_component = {
	.super =
		{
			.btl_version =
				{
					MCA_BTL_DEFAULT_VERSION("vmb"),
					.mca_open_component = verify_and_open,
					.mca_close_component = nothing,
					.mca_register_component_params =
						register_params,
				},
			.btl_data =
				{.param_field =
					 MCA_BASE_METADATA_PARAM_CHECKPOINT},
			.btl_init = init,
			.btl_progress = progress,
		},
};
