// SPDX-License-Identifier: BSD-2-Clause
/* run.c - see run.h. */
#include "support/run.h"

#include "support/skip.h"

int t_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return t_exit_status(failed);
}
