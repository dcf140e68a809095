#!/bin/sh
# SPDX-License-Identifier: MIT
#
# compilers.sh - the other compiler, gcc or clang, has no warning either: every source of the
# library in every lane, those of the tools, tests and benchmarks once. Nothing is linked or run;
# that is tests/full/config.sh. Only with --enable-werror: a compiler that is not known yet may warn.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
case ${HZ_CFLAGS:-} in *-Werror*) ;; *) skip_all "without --enable-werror" ;; esac
case $(basename "${CC%% *}") in *clang*) other=gcc ;; *) other=clang ;; esac
have $other || skip_all "$other is not installed"
cd "$abs_builddir" || exit 99

# -std, -W... and -fno-builtin...; what else configure found is for the compiler that it found.
flags=$(echo "$HZ_CFLAGS" | tr ' ' '\n' | grep -e '^-std' -e '^-W' -e '^-fno-builtin' | sort -u | xargs)

# clean TEXT FLAGS... -- SOURCES...
clean() {
	text=$1
	shift
	n=0
	: >"$work/said"
	switches=
	while [ "$1" != -- ]; do
		switches="$switches $1"
		shift
	done
	shift
	for source; do
		n=$((n + 1))
		# shellcheck disable=SC2086  # lists of words
		$other -fsyntax-only $flags -DHAVE_CONFIG_H -I. $HZ_CPPFLAGS $switches $CPPFLAGS \
			"$source" >>"$work/said" 2>&1 || echo "$source" >>"$work/said"
	done
	[ ! -s "$work/said" ]
	ok $? "$other, $text: $n sources"
	head -20 "$work/said" | note
}

for header in "$abs_srcdir"/lib/lane/*.h; do
	lane=$(basename "$header" .h)
	clean "lane $lane" "-DHZ_LANE_H=\"lane/$lane.h\"" -DHZ_WASTE=1 -DHZ_OBSERVE_BOXES=15 -- \
		"$abs_srcdir"/lib/*.c
done
unit="-DHZ_LANE_H=\"../tests/lane_whitebox.h\" -DHZ_PREFIX=hzw_"
clean "the library of the unit tests, under a prefix" "$unit" -- "$abs_srcdir"/lib/*.c
clean tools "$unit" '-DHZ_LIBDIR="/usr/lib"' -- "$abs_srcdir"/tools/*.c
clean tests "$unit" -- "$abs_srcdir"/tests/*.c "$abs_srcdir"/tests/hazards/*.c \
	"$abs_srcdir"/tests/fuzz/*.c "$abs_srcdir"/tests/zoo/*.c
clean benchmarks "$unit" -- "$abs_srcdir"/bench/*.c

done_testing
