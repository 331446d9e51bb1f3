/* SPDX-License-Identifier: BSD-2-Clause */
/* control.h - what the two halves say to each other; see mxtest.h. */
#ifndef TESTS_MX_CONTROL_H
#define TESTS_MX_CONTROL_H

#include "mxtest.h"

#define CONTROL_START (T_CONTROL | 1)	/* name of the test, synchronous */
#define CONTROL_VERDICT (T_CONTROL | 2) /* text: empty, or what failed */
#define CONTROL_SYNC_FAR (T_CONTROL | 3)
#define CONTROL_SYNC_NEAR (T_CONTROL | 4)

#define CONTROL_TEXT 512 /* bytes of a text, its NUL included */
#define CONTROL_STOP "stop"

#endif
