/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * module.h - a program that calls the component as Open MPI does, and asks Open MPI
 * which component it has chosen.
 *
 *   module.c     arguments; who is reached by what
 *   transfers.c  register_mem, put, get, flush, deregister_mem
 */
#ifndef TESTS_MPI_MODULE_H
#define TESTS_MPI_MODULE_H

#include <opal_config.h> /* first of all */

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <opal/mca/btl/btl.h>

#include "conform.h"

/* The other one of ranks 0 and 1, as the component knows it. */
struct other {
	mca_btl_base_module_t *btl;
	struct mca_btl_base_endpoint_t *endpoint;
	int rank;
};

/* keys_end: mpi_leave_pinned is 0, so that deregister_mem() ends a key. */
void transfers(const struct other *other, bool keys_end);

#endif
