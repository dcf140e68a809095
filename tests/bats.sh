#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bats.sh FILE.bats: runs it with bats, which prints TAP; without bats all of it is skipped. A
# file that says so runs on a stage (stage.sh).

if ! command -v bats >/dev/null; then
	echo "1..0 # SKIP bats is not installed"
	exit 0
fi
if [ ! -f "${abs_builddir:-.}/.libs/libhz.so.0" ]; then
	echo "1..0 # SKIP lane balanced, which the tools take unless told, is not built"
	exit 0
fi
unset LD_PRELOAD
# The harness goes by what is printed; bats' own code would only count the failures again.
if grep -q '^# On a stage' "$1"; then
	sh "$(dirname "$0")/stage.sh" bats --formatter tap "$1"
else
	bats --formatter tap "$1"
fi
exit 0
