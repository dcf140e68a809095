#!/bin/sh
# SPDX-License-Identifier: MIT
#
# analyze.sh - gcc -fanalyzer, clang-tidy, cppcheck and shellcheck have nothing to say. What is
# switched off is in .clang-tidy, .shellcheckrc and here, each with its reason.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
cd "$abs_builddir" || exit 99

include="-DHAVE_CONFIG_H -I. -iquote lib -iquote $abs_srcdir/lib -I$abs_srcdir/include -D_GNU_SOURCE="
# The library with every box and every assertion; the tools as Makefile.am compiles them.
library="$include -DHZ_LANE_H=\"../tests/lane_whitebox.h\" -DHZ_PREFIX=hzw_ -DHZ_WASTE=1
	-DHZ_OBSERVE_BOXES=15"
tools="$include -DHZ_LANE_H=\"../tests/lane_whitebox.h\" -DHZ_PREFIX=hzw_ -DHZ_LIBDIR=\"/usr/lib\""

# each TEXT COMMAND...: COMMAND FLAGS FILE for every source, which prints findings
each() {
	text=$1
	shift
	for source in "$abs_srcdir"/lib/*.c "$abs_srcdir"/tools/*.c; do
		case $source in */lib/*) flags=$library ;; *) flags=$tools ;; esac
		"$@" "$source" $flags 2>&1
	done >"$work/found"
	! grep -q -E '(warning|error|style|performance|portability):' "$work/found"
	ok $? "$text"
	grep -E -A 3 '(warning|error|style|performance|portability):' "$work/found" | head -60 | note
}

# Wrong here: tools/heap.c keeps what it allocates in an array, at an index that the analyzer does
# not know, and it takes what is stored there for lost (free_arenas frees it).
analyzer() {
	source=$1
	shift
	case $source in */tools/heap.c) set -- "$@" -Wno-analyzer-malloc-leak ;; esac
	gcc -std=gnu11 -O2 -Wall -Wextra -fanalyzer "$@" -c "$source" -o /dev/null
}
tidy() {
	source=$1
	shift
	clang-tidy --quiet --config-file="$abs_srcdir/.clang-tidy" "$source" -- -std=gnu11 "$@"
}
# Of its findings these are wrong here:
# memleak              operator new returns what it allocated
# ctunullpointer       a parameter that is only NULL where the caller has returned before
check() {
	source=$1
	shift
	cppcheck -q --enable=warning,performance,portability --std=c11 --inline-suppr \
		--suppress=memleak:*/cxx.c --suppress=ctunullpointer:*/slab.c \
		--suppress=preprocessorErrorDirective -D__linux__ -D__x86_64__ -D__GNUC__=12 \
		--template='{file}:{line}: {severity}: {id}: {message}' \
		$(echo "$*" | sed 's/-iquote /-I/g') "$source"
}

if have gcc; then each "gcc -fanalyzer" analyzer; else skip "no gcc here"; fi
if have clang-tidy; then each "clang-tidy" tidy; else skip "no clang-tidy here"; fi
if have cppcheck; then each "cppcheck" check; else skip "no cppcheck here"; fi

if have shellcheck; then
	cd "$abs_srcdir" || exit 99
	find . \( -name .git -o -name 'build*' -o -name autom4te.cache -o -name '*.m4' -o \
		-path ./debian/tmp -o -path './debian/[hl]*z*' \) -prune -o -type f -size -200k -print |
		grep -v -e '/configure~*$' -e '/config\.status$' -e '/libtool$' |
		xargs awk 'FNR == 1 && /^#! *\/(usr\/)?bin\/(env )?(ba|da)?sh/ { print FILENAME }' >"$work/scripts"
	xargs shellcheck -x --severity=warning -f gcc <"$work/scripts" >"$work/found" 2>&1
	[ ! -s "$work/found" ] && [ -s "$work/scripts" ]
	ok $? "shellcheck, $(wc -l <"$work/scripts") scripts"
	head -40 "$work/found" | note
else
	skip "no shellcheck here"
fi

done_testing
