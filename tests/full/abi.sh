#!/bin/sh
# SPDX-License-Identifier: MIT
#
# abi.sh - all lanes are one interface: abidiff finds nothing but the name of the library.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
have abidiff || skip_all "no abidiff here (Debian: abigail-tools)"

need_library
$READELF -SW "$HZ_SO" | grep -q '\.debug_info' || skip_all "built without -g: abidiff has no types to compare"

first=$HZ_SO
for so in $(libraries); do
	[ "$so" != "$first" ] || continue
	abidiff --headers-dir1 "$abs_srcdir/include" --headers-dir2 "$abs_srcdir/include" \
		"$first" "$so" >"$work/out" 2>&1
	# The SONAME is meant to differ; everything else is a finding.
	grep -v -e '^SONAME changed' -e '^ELF SONAME changed' -e '^$' \
		-e '^Functions changes summary: 0 Removed, 0 Changed, 0 Added functions\?' \
		-e '^Variables changes summary: 0 Removed, 0 Changed, 0 Added variables\?' \
		"$work/out" >"$work/wrong"
	grep -q '^Functions changes summary' "$work/out" || [ ! -s "$work/out" ]
	ok $? "abidiff $(basename "$first" .so.0) $(basename "$so" .so.0)"
	[ ! -s "$work/wrong" ]
	ok $? "the same functions, types and variables"
	head -20 "$work/wrong" | note
done

# And abidiff would tell: a member more in the report is seen.
cp -R "$abs_srcdir/include" "$work/include"
sed 's/^\tuint64_t resident_metadata;/&\n\tuint64_t one_more;/' "$abs_srcdir/include/hz/hz.h" >"$work/include/hz/hz.h"
cat >"$work/a.c" <<'END2'
#include <hz/hz.h>
int hz_report_get(struct hz_report *r, size_t n) { return r && n; }
END2
$CC -g -shared -fPIC -I"$abs_srcdir/include" -Wl,-soname,a.so -o "$work/a.so" "$work/a.c" &&
	$CC -g -shared -fPIC -I"$work/include" -Wl,-soname,a.so -o "$work/b.so" "$work/a.c"
! abidiff "$work/a.so" "$work/b.so" >/dev/null 2>&1
ok $? "a changed structure would be found"

done_testing
