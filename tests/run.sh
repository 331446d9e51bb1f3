#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh - install what is missing, build everything in every way we support,
# run all tests, and end with one line: "N passed, N failed, N skipped".
#
# Flow:  packages -> release -> asan -> tsan -> clang -> fuzz -> style -> xen
# Owns:  build/ below the source folder; every log is in build/log.
#
# Counted are the tests that ctest runs, in each build, those of the suites of
# tests/xen, and the steps of this script itself. Exit status: 0 when nothing failed.
set -uo pipefail
exec </dev/null

root=$(realpath "$(dirname "$(realpath "$0")")/..")
cd "$root" || exit 2
log=$root/build/log
passed=0 failed=0 skipped=0
nightly=no
only=

usage()
{
	cat <<END
usage: tests/run.sh [--nightly] [--only STAGE[,STAGE]...]

Stages: release asan tsan clang fuzz style xen nightly.
  --nightly  longer: 10^8 messages in the stress tests, ten minutes for each
             fuzz target, valgrind on the unit tests
  --only     these stages, not all

CI=true makes a skipped test that tests/skips.txt does not name a failure.
END
}

while [ $# -gt 0 ]; do
	case $1 in
	--nightly) nightly=yes ;;
	--only) only=,${2:?--only needs a stage}, && shift ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
	shift
done

# a clone of another user, run by root: git would refuse to look at it
export GIT_CONFIG_COUNT=1
export GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$root

# ---- steps ----------------------------------------------------------------

say()
{
	printf '%s %s\n' "$(date +%T)" "$*"
}

# step NAME COMMAND...: one named step, its output in a log. 77: a skip, the
# last line says why.
step()
{
	local name=$1 begin=$SECONDS
	shift

	"$@" >"$log/$name.log" 2>&1
	case $? in
	0)
		passed=$((passed + 1))
		say "ok      $name ($((SECONDS - begin)) s)"
		return 0
		;;
	77)
		skip "$name" "$(tail -n 1 "$log/$name.log")"
		return
		;;
	esac
	failed=$((failed + 1))
	say "FAILED  $name ($((SECONDS - begin)) s), the end of $log/$name.log:"
	tail -n 40 "$log/$name.log" | sed 's/^/    /'
	return 1
}

skip()
{
	local name=$1 reason=$2

	if [ "${CI:-}" = true ] && ! skip_allowed "$name"; then
		failed=$((failed + 1))
		say "FAILED  $name was skipped: $reason"
		say "        CI allows only the skips in tests/skips.txt"
		return 1
	fi
	skipped=$((skipped + 1))
	say "skipped $name: $reason"
}

skip_allowed()
{
	local pattern reason

	while read -r pattern reason; do
		case $pattern in '' | '#'*) continue ;; esac
		# shellcheck disable=SC2053 # a pattern is meant
		[[ $1 == $pattern ]] && return 0
	done <tests/skips.txt
	return 1
}

# One line per test of a JUnit file of ctest: state, name, last line of output.
junit_lines()
{
	awk '
	/<testcase / {
		match($0, /name="[^"]*"/)
		name = substr($0, RSTART + 6, RLENGTH - 7)
		state = "failed"
		if ($0 ~ /status="run"/) state = "passed"
		out = ""
	}
	/<skipped message="SKIP_RETURN_CODE/ { state = "skipped" }
	/<failure/ { state = "failed" }
	/<system-out>/ { inside = 1; sub(/.*<system-out>/, "") }
	inside {
		line = $0
		if (sub(/<\/system-out>.*/, "", line)) inside = 0
		if (line !~ /^[ \t]*$/) out = line
	}
	/<\/testcase>/ { print state "\t" name "\t" out }' "$1"
}

# What the failed tests of a log of ctest said.
failures()
{
	awk '
	/^ *Start +[0-9]+: / || /tests passed, / { inside = 0 }
	/ Test +#[0-9]+: .*\*\*\*/ { inside = !/Skipped/ }
	inside' "$1"
}

# results NAME: count the lines on standard input: state, test, reason. Sets
# good and bad.
results()
{
	local name=$1 state test reason

	good=0 bad=0
	while IFS=$'\t' read -r state test reason; do
		case $state in
		passed) good=$((good + 1)) ;;
		skipped) skip "$name/$test" "$reason" || bad=$((bad + 1)) ;;
		*)
			bad=$((bad + 1))
			failed=$((failed + 1))
			say "FAILED  $name/$test${reason:+: $reason}"
			;;
		esac
	done
	passed=$((passed + good))
}

# tests NAME FOLDER CTEST-ARGUMENT...: all tests of a build.
tests()
{
	local name=$1 folder=$2 begin=$SECONDS good bad
	shift 2

	rm -f "$log/$name.xml"
	"${wrap[@]}" ctest --test-dir "$folder" --output-on-failure \
		--no-tests=error --output-junit "$log/$name.xml" "$@" \
		>"$log/$name.log" 2>&1
	if [ ! -s "$log/$name.xml" ]; then
		failed=$((failed + 1))
		say "FAILED  $name: no tests were run, see $log/$name.log"
		return 1
	fi
	results "$name" < <(junit_lines "$log/$name.xml")
	say "        $name: $good passed, $bad failed ($((SECONDS - begin)) s)"
	[ "$bad" = 0 ] || failures "$log/$name.log" | tail -n 80 |
		sed 's/^/    /'
}

build()
{
	local name=$1 folder=$2
	shift 2

	step "$name-configure" cmake "$@" -DVMB_WERROR=ON -DVMB_TESTS=ON \
		-DVMB_MAN=ON &&
		step "$name-build" cmake --build "$folder" -j "$(nproc)"
}

wanted()
{
	[ -z "$only" ] || [[ $only == *,$1,* ]] || return 1
	say "---- $1"
}

# ---- stages ---------------------------------------------------------------

wrap=()

stage_release()
{
	build release build/release --preset release &&
		tests release build/release
}

# What does not depend on the compiler runs once, in the release build.
stage_asan()
{
	build asan build/asan --preset asan &&
		tests asan build/asan -LE 'model|docs|abi'
}

# gcc warns that its ThreadSanitizer ignores stand-alone fences. We know:
# docs/testing.md says what covers them.
stage_tsan()
{
	build tsan build/tsan --preset tsan -DCMAKE_C_FLAGS=-Wno-tsan || return
	# gcc 12's runtime cannot place its shadow under much randomisation
	setarch -R true 2>/dev/null && wrap=(setarch -R)
	tests tsan build/tsan -L 'unit|stress|threads'
	wrap=()
}

# Another compiler, and what the preset debug adds.
stage_clang()
{
	build clang build/clang --preset debug -B build/clang \
		-DCMAKE_C_COMPILER=clang &&
		tests clang build/clang -L unit
}

fuzz_one()
{
	local target=$1 seconds=$2 work name corpus words

	name=$(basename "$target")
	work=$(mktemp -d)
	corpus=tests/fuzz/corpus/$name
	words=tests/fuzz/dict/$name.dict
	mkdir "$work/found" # what it finds, beside what it leaves in TMPDIR
	# a finding is no skip, which 77 would be
	TMPDIR=$work "$target" -max_total_time="$seconds" -timeout=20 \
		-error_exitcode=1 \
		-print_final_stats=1 -artifact_prefix="$log/$name-" \
		$([ -f "$words" ] && echo "-dict=$words") "$work/found" "$corpus"
	local status=$?
	rm -rf "$work"
	return $status
}

stage_fuzz()
{
	local seconds=15 target

	if ! compgen -G 'tests/fuzz/*.c' >/dev/null; then
		skip fuzz "there are no fuzz targets"
		return
	fi
	[ $nightly = no ] || seconds=600
	step fuzz-configure cmake --preset fuzz -DVMB_WERROR=ON &&
		step fuzz-build cmake --build build/fuzz --target fuzz \
			-j "$(nproc)" || return
	for target in build/fuzz/tests/fuzz/fuzz_*; do
		[ -f "$target" ] && [ -x "$target" ] || continue
		step "$(basename "$target")" fuzz_one "$target" $seconds
	done
}

# Files of the project, tracked or about to be; those that were deleted not.
files()
{
	local file

	git ls-files --cached --others --exclude-standard -- "$@" |
		while read -r file; do
			[ ! -f "$file" ] || echo "$file"
		done
}

format_check()
{
	files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

spelling_check()
{
	files | grep -v '^LICENSE\|^tests/fuzz/corpus/' | xargs codespell
}

shell_check()
{
	local script

	files | xargs grep -l '^#!/bin/bash' | while read -r script; do
		bash -n "$script" || return 1
	done
}

stage_style()
{
	if ! git rev-parse --git-dir >/dev/null 2>&1; then
		skip style "not a git checkout"
		return
	fi
	step format format_check
	step spelling spelling_check
	step shell shell_check
}

# Suites in dom0 and guests of an emulated machine with a real Xen.
stage_xen()
{
	local begin=$SECONDS good bad

	build xen build/release --preset release || return
	tests/xen/run.sh >"$log/xen.results" 2>"$log/xen.log"
	case $? in
	0) results xen <"$log/xen.results" ;;
	77)
		skip xen "$(tail -n 1 "$log/xen.log")"
		return
		;;
	*)
		failed=$((failed + 1))
		say "FAILED  xen: $(tail -n 1 "$log/xen.log")"
		return
		;;
	esac
	say "        xen: $good passed, $bad failed ($((SECONDS - begin)) s)"
	[ "$bad" = 0 ] || tail -n 30 "$log"/xen/[0-9]*.log | sed 's/^/    /'
}

valgrind_one()
{
	CK_FORK=no valgrind -q --error-exitcode=1 --leak-check=full \
		--errors-for-leak-kinds=definite "$1"
}

stage_nightly()
{
	local program

	for program in build/release/tests/unit/test_*; do
		[ -f "$program" ] && [ -x "$program" ] || continue
		step "valgrind-$(basename "$program")" valgrind_one "$program"
	done
}

# Programs of our build folders that run now, one process number a line.
running()
{
	local exe

	for exe in /proc/[0-9]*/exe; do
		[[ $(readlink "$exe" 2>/dev/null) == "$root"/build/* ]] ||
			continue
		exe=${exe#/proc/}
		echo "${exe%/exe}"
	done
}

nothing_left()
{
	local left

	left=$(comm -13 <(echo "$running_before" | sort) <(running | sort))
	[ -n "$left" ] || return 0
	echo "still running:"
	# shellcheck disable=SC2086 # one word a process
	ps -o pid,etime,args -p $left
	return 1
}

# ---- the run --------------------------------------------------------------

mkdir -p "$log"
running_before=$(running)
kinds="build test check"
# Debian has the hypervisor for one more machine; the emulated one is a PC
if [ "$(uname -m)" = x86_64 ] && { [ -z "$only" ] || [[ $only == *,xen,* ]]; }; then
	kinds="$kinds xen"
fi
if [ $nightly = yes ]; then
	kinds="$kinds nightly"
	export VMB_STRESS=nightly
fi
# shellcheck disable=SC2086 # one word a kind
step packages tests/packages.sh $kinds || {
	echo "$passed passed, $failed failed, $skipped skipped"
	exit 1
}
for stage in release asan tsan clang fuzz style xen; do
	if wanted $stage; then
		stage_$stage
	fi
done
if [ $nightly = yes ] && wanted nightly; then
	stage_nightly
fi
step nothing-left-running nothing_left

say "whole run: $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
