#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hazards.sh - all programs of tests/hazards under the library, two at a time.
#
#   tests/hazards.sh             every one
#   tests/hazards.sh a09 s01     those whose names begin so
#   HZ_SO= tests/hazards.sh      with the C library's malloc; HZ_SO=/any/lib.so with another
#
# What they print is passed on, renumbered; one that dies or prints too little is a failure.

so=${HZ_SO-default}
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
if [ "$so" = default ]; then so=$HZ_SO; fi
HZ_SO=$so
[ -z "$so" ] || need_library

dir=$abs_builddir/tests/hazards
pattern=${*:-.}
pattern=$(echo "$pattern" | sed 's/  */|^/g')
for source in "$abs_srcdir"/tests/hazards/[a-z][0-9][0-9]_*; do
	case $source in
		*.c) basename "$source" .c ;;
		*.sh) basename "$source" ;;
	esac
done | grep -E "^$pattern" >"$work/names"

# Longest first would be better; they all take a second or two.
export work so dir HZ_SO abs_srcdir
xargs -P 2 -I NAME sh -c '
	case NAME in
		*.sh) sh "$abs_srcdir/tests/hazards/NAME" ;;
		*) LD_PRELOAD=$so "$dir/NAME" ;;
	esac >"$work/NAME.tap" 2>"$work/NAME.err"
	echo $? >"$work/NAME.code"' <"$work/names"

while read -r name; do
	code=$(cat "$work/$name.code" 2>/dev/null)
	plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$work/$name.tap")
	lines=$(grep -c -E '^(not )?ok ' "$work/$name.tap")
	if [ "$plan" = 0 ]; then
		skip "$name: $(sed -n 's/^1\.\.0 # SKIP //p' "$work/$name.tap")"
		continue
	fi
	$AWK -v n="$tap_run" '
		/^(not )?ok / { sub(/ok [0-9]+/, "ok " ++n); print; next }
		/^1\.\./ { next }
		{ print /^#/ ? $0 : "# " $0 }' "$work/$name.tap"
	tap_run=$((tap_run + lines))
	if [ "$code" = 0 ] || [ "$code" = 1 ]; then
		[ "$lines" = "$plan" ] || fail "$name: $lines of ${plan:-an unknown number of} tests"
	else
		fail "$name ended with $code"
	fi
	head -5 "$work/$name.err" | note
done <"$work/names"

done_testing
