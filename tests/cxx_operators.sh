#!/bin/sh
# SPDX-License-Identifier: MIT
#
# cxx_operators.sh - builds tests/cxx_operators.cc with the C++ compiler, if there is one, and
# runs it on the library. (A compiler that only one test needs is not worth a configure check.)

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library

: "${CXX:=c++}"
have "${CXX%% *}" || skip_all "no C++ compiler here"
$CXX -std=c++17 -O1 -Wall -Wno-alloc-size-larger-than -pthread \
	-I"$abs_srcdir/tests" -I"$abs_srcdir/include" -o "$work/cxx_operators" \
	"$abs_srcdir/tests/cxx_operators.cc" >"$work/log" 2>&1 || {
	note <"$work/log"
	echo "Bail out! tests/cxx_operators.cc does not compile"
	exit 99
}
LD_PRELOAD=$HZ_SO "$work/cxx_operators"
