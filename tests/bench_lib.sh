# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# bench_lib.sh - what the tests of the bench share, on top of lib.sh.

# shellcheck source=tests/lib.sh
. "${abs_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}/tests/lib.sh"

# Nothing of the environment decides which allocators a test runs.
unset HZ_SO PEERS ALLOCS ALLOW_FAIL RESUME SMALL_HOST MIMALLOC_BENCH
# shellcheck disable=SC2034 # for the tests
bench=$abs_srcdir/bench
HZ_BENCH_BIN=$abs_builddir/bench
export HZ_BENCH_BIN
[ -x "$HZ_BENCH_BIN/bench_launch" ] || skip_all "the bench programs are not built (make bench)"

need_python3() {
	have python3 || skip_all "no python3"
}

program() {
	program_name=$1
	shift
	"$HZ_BENCH_BIN/$program_name" "$@"
}

# matches TEXT EXPRESSION DESCRIPTION: some line of TEXT, extended expression
matches() {
	if printf '%s\n' "$1" | grep -q -E "$2"; then
		pass "$3"
	else
		fail "$3"
		note "no line of this matches $2:"
		note "$1"
	fi
}
