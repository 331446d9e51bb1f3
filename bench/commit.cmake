# SPDX-License-Identifier: BSD-2-Clause
# Write OUTPUT, a header with the commit of SOURCE, when it has changed.
execute_process(
	COMMAND git -c safe.directory=* -C ${SOURCE} describe --always --dirty
		--abbrev=12 --exclude=*
	OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
	RESULT_VARIABLE failed ERROR_QUIET)
if(failed)
	set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define BENCH_COMMIT \"@commit@\"\n"
     @ONLY)
