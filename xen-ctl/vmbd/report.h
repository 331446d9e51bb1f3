/* SPDX-License-Identifier: BSD-2-Clause */
/* report.h - the state of the daemon as JSON. NULL: no memory. */
#ifndef VMBD_REPORT_H
#define VMBD_REPORT_H

#include <jansson.h>

#include "daemon.h"

json_t *vmbd_report_status(struct vmbd *d);
json_t *vmbd_report_clients(struct vmbd *d);
json_t *vmbd_report_guests(struct vmbd *d);
json_t *vmbd_report_domains(struct vmbd *d);
json_t *vmbd_report_endpoints(struct vmbd *d);
/* Keys without their random part: knowing a key is being allowed to use it. */
json_t *vmbd_report_regions(struct vmbd *d);
json_t *vmbd_report_lanes(struct vmbd *d);
json_t *vmbd_report_peers(struct vmbd *d);
json_t *vmbd_report_faults(struct vmbd *d, size_t max);
json_t *vmbd_report_limits(struct vmbd *d);

#endif
