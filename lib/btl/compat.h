/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat.h - where the headers of Open MPI 4.1 and 5.0 differ.
 *
 * Flow:  btl.h, component.c, peer.c, arrive.c -> [here] -> Open MPI's headers
 * Owns:  nothing.
 * Trust: as btl.h.
 *
 * The version of the btl interface decides (btl.h of Open MPI): 3.1.0 comes
 * with 4.1, 3.3.0 with 5.0. What else changed with it is decided alike.
 */
#ifndef VMB_BTL_COMPAT_H
#define VMB_BTL_COMPAT_H

#include <opal_config.h>

#include <opal/mca/btl/btl.h>

#if BTL_VERSION >= 330
#include <opal/mca/pmix/pmix-internal.h>
#include <opal/mca/threads/mutex.h>
#define BTL_MODEX_SCOPE PMIX_GLOBAL
#define BTL_TELLS_SENDER 1 /* with what arrives; windows need it */
#else
#include <opal/mca/pmix/pmix.h>
#include <opal/threads/mutex.h>
#define BTL_MODEX_SCOPE OPAL_PMIX_GLOBAL
#define BTL_TELLS_SENDER 0
#endif

/*
 * What arrived, all of it in one segment, to who registered for its tag.
 * peer: the sender, if BTL_TELLS_SENDER and it is known, else NULL.
 */
static inline void btl_compat_deliver(mca_btl_base_module_t *btl,
				      mca_btl_base_tag_t tag,
				      struct mca_btl_base_endpoint_t *peer,
				      mca_btl_base_segment_t *segment)
{
	const mca_btl_active_message_callback_t *to =
		&mca_btl_base_active_message_trigger[tag];
#if BTL_TELLS_SENDER
	const mca_btl_base_receive_descriptor_t des = {
		.endpoint = peer,
		.des_segments = segment,
		.des_segment_count = 1,
		.tag = tag,
		.cbdata = to->cbdata,
	};

	to->cbfunc(btl, &des);
#else
	mca_btl_base_descriptor_t des = {
		.des_segments = segment,
		.des_segment_count = 1,
	};

	(void)peer;
	to->cbfunc(btl, tag, &des, to->cbdata);
#endif
}

#endif
