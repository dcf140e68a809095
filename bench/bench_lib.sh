# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# bench_lib.sh - what the shell scripts of the bench share.

set -u
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)

# Scripts and their interpreters never run on the allocator they measure.
unset LD_PRELOAD

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "$(basename "$0"): $*"
	exit 1
}

need_python() {
	command -v python3 >/dev/null 2>&1 ||
		die "needs python3 (standard library only) for its statistics"
}

runs_py() {
	python3 "$here/runs.py" "$@"
}

# Directory of the bench programs, compiled when there is no build; with the
# allocators copied and verified in $1.  Sets programs and writes $1/allocators.
prepare() {
	need_python
	mkdir -p "$1" || exit 1
	runs_py allocators "$1" >"$1/allocators" || exit 1
	# shellcheck disable=SC2034 # for the script that called
	programs=$(sed -n 's/^programs //p' "$1/allocators")
}

# Runs a command with a library preloaded into it alone; "-" is none.
with_alloc() {
	with_so=$1
	shift
	if [ "$with_so" = - ]; then "$@"; else LD_PRELOAD=$with_so "$@"; fi
}
