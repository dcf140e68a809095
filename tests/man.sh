#!/bin/sh
# SPDX-License-Identifier: MIT
#
# man.sh - the manual knows what the library knows: every function and member of the public
# header, every option, every reason for an abort; and neither mandoc nor groff has anything to say
# about any page.

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

# Both formatters, every page.
for file in man/*.[1-8] "$abs_builddir"/man/*.[1-8]; do
	[ -f "$file" ] || continue
	name=${file##*/}
	if have mandoc; then
		is "$(mandoc -T lint -W warning "$file" 2>&1)" "" "mandoc -T lint $name"
	else
		skip "mandoc is not installed"
	fi
	if have groff; then
		# The tables of records are wider than 65 columns, which groff says of each line.
		is "$(groff -ww -mandoc -Tascii "$file" 2>&1 >/dev/null | grep -v "can't break line")" "" \
			"groff -ww $name"
	else
		skip "groff is not installed"
	fi
done

done_testing
