#!/bin/sh
# SPDX-License-Identifier: MIT
#
# man.sh - the manual knows what the library knows: every function and member of the public
# header, every option, every reason for an abort; and mandoc has nothing to say about it.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
cd "$abs_srcdir" || exit 99

page=man/hz.3

# named TEXT: each line of the file "items" must be in the page.
named() {
	text=$1
	while IFS= read -r item; do
		grep -q -F -e "$item" $page || echo "$item"
	done <"$work/items" >"$work/missing"
	[ -s "$work/items" ] || echo "nothing found to look for" >"$work/missing"
	[ ! -s "$work/missing" ]
	ok $? "$text"
	note <"$work/missing"
}

$CC -E -P -Iinclude -include hz/hz.h -x c /dev/null >"$work/header"
grep -o '\<hz_[a-z0-9_]* *(' "$work/header" | tr -d ' (' | sort -u >"$work/items"
named "every function"
sed -n '/^struct hz_report {/,/^}/p' include/hz/hz.h |
	sed -n 's/^[[:space:]]*[a-z0-9_]*t \([a-z0-9_]*\);.*/\1/p' >"$work/items"
named "every member of the report"
sed -n 's/.*{ "\(HZ_[A-Z0-9_]*\)".*/\1/p' lib/option.c >"$work/items"
named "every option"
sed -n 's/^#define HZ_WHY_[A-Z_]* "\(.*\)"/\1/p' lib/error.h >"$work/items"
named "every reason"
sed -n '/family.*<</,/^END$/p' tests/symbols.sh | grep -v -e END -e _Z | tr ' ' '\n' >"$work/items"
named "every function that is replaced"

if have mandoc; then
	mandoc -T lint -W warning $page >"$work/lint" 2>&1
	[ ! -s "$work/lint" ]
	ok $? "mandoc -T lint"
	note <"$work/lint"
else
	skip "mandoc is not installed"
fi

# The other formatter; the tables of hz_obs(5) are wider than its lines, which it says.
for file in man/*.[1-8] "$abs_builddir"/man/*.[1-8]; do
	[ -f "$file" ] && [ "$file" != man/hz_obs.5 ] || continue
	if have groff; then
		is "$(LC_ALL=C groff -ww -mandoc -Tascii "$file" 2>&1 >/dev/null)" "" "groff -ww ${file##*/}"
	else
		skip "groff is not installed"
	fi
done

done_testing
