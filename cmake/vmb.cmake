# SPDX-License-Identifier: BSD-2-Clause
# Helpers of the build: flags for all, and one function per kind of target.

add_library(vmb_flags INTERFACE)
target_include_directories(vmb_flags INTERFACE
	${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/lib)
target_compile_definitions(vmb_flags INTERFACE _GNU_SOURCE)
target_compile_options(vmb_flags INTERFACE
	-Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes
	-Wpointer-arith -Wvla -Wundef -Wformat=2 -fno-strict-aliasing
	-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=) # __FILE__, also of others
if(VMB_WERROR)
	target_compile_options(vmb_flags INTERFACE -Werror)
endif()
if(VMB_SANITIZE)
	target_compile_options(vmb_flags INTERFACE
		-fsanitize=${VMB_SANITIZE} -fno-omit-frame-pointer
		-fno-sanitize-recover=all)
	target_link_options(vmb_flags INTERFACE -fsanitize=${VMB_SANITIZE})
	# gcc warns that it does not follow stand-alone fences: docs/testing.md
	if(VMB_SANITIZE MATCHES thread AND CMAKE_C_COMPILER_ID STREQUAL GNU)
		target_compile_options(vmb_flags INTERFACE -Wno-tsan)
	endif()
endif()
target_link_libraries(vmb_flags INTERFACE Threads::Threads)

# A message passes some forty small functions of four layers: what is linked for
# users is optimised as a whole. The objects are fat, so that the tests, which
# put functions of their own in place of some, link them as they are.
if(VMB_LTO AND CMAKE_C_COMPILER_ID STREQUAL GNU AND NOT VMB_SANITIZE AND
   NOT CMAKE_BUILD_TYPE STREQUAL Debug)
	set(vmb_lto -flto=auto)
	set(vmb_no_lto -fno-lto)
endif()

# vmb_layer(NAME SOURCE...): one folder of lib/ as an object library.
function(vmb_layer name)
	add_library(vmb_${name} OBJECT ${ARGN})
	target_link_libraries(vmb_${name} PRIVATE vmb_flags)
	if(vmb_lto)
		target_compile_options(vmb_${name} PRIVATE
			${vmb_lto} -ffat-lto-objects)
	endif()
endfunction()

# vmb_program(NAME SOURCE...): an executable with our flags.
function(vmb_program name)
	add_executable(${name} ${ARGN})
	target_link_libraries(${name} PRIVATE vmb_flags)
endfunction()

# vmb_test(NAME LABEL SOURCE...): a libcheck program that sees all internals
# (vmb_testing), run by ctest under LABEL; exit 77 is a skip.
function(vmb_test name label)
	vmb_program(${name} ${ARGN})
	target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
	target_link_libraries(${name} PRIVATE vmb_testing vmb_test_support
		PkgConfig::CHECK)
	add_test(NAME ${name} COMMAND ${name})
	set_tests_properties(${name} PROPERTIES LABELS ${label}
		SKIP_RETURN_CODE 77 TIMEOUT 300
		ENVIRONMENT "CK_DEFAULT_TIMEOUT=120;VMBD=${PROJECT_BINARY_DIR}/xen-ctl/vmbd/vmbd;VMBCTL=${PROJECT_BINARY_DIR}/xen-ctl/vmbctl/vmbctl")
endfunction()
