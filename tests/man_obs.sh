#!/bin/sh
# SPDX-License-Identifier: MIT
#
# man_obs.sh - hz_obs(5) and the code know the same records: every example parses, every key that
# is printed is in the table of its record, and every option and probe has its entry.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
page=$abs_srcdir/man/hz_obs.5
twin=${HZ_SO%.so.0}-observe.so.0

# "TAG KEY" of every record on standard input; anything that is no record as "bad LINE".
cat >"$work/parse.awk" <<'END'
{
	line = $0
	if (!match(line, /^\[[A-Za-z0-9_]+\] /)) { print "bad", $0; next }
	tag = substr(line, 2, RLENGTH - 3)
	rest = substr(line, RLENGTH + 1)
	sub(/^S12_V2 stats: /, "", rest)
	sub(/ \((no partial pages|no tail waste)\)$/, "", rest)
	n = split(rest, field, " ")
	for (i = 1; i <= n; i++) {
		if (field[i] !~ /^[a-z_0-9]+=([0-9]+(\.[0-9][0-9])?|small|sub4k|medium|([0-9\/]+|\[[0-9;]+\])(,([0-9\/]+|\[[0-9;]+\]))*)?$/)
			print "bad", field[i]
		sub(/=.*/, "", field[i])
		print tag, field[i]
	}
}
END

# The examples, and the tables, of the page.
grep '^\[' "$page" | $AWK -f "$work/parse.awk" >"$work/examples"
! grep '^bad' "$work/examples" >"$work/wrong" && [ -s "$work/examples" ]
ok $? "every example of the page is a record"
note <"$work/wrong"
$AWK '/^\.Ss \[/ { tag = $2; gsub(/[][]/, "", tag) } /^\.Sh/ { tag = "" }
	tag != "" && /^\.It .* Ta / && $2 != "Sy" { print tag, $2 }' "$page" | sort -u >"$work/tables"
sort -u "$work/examples" | comm -23 - "$work/tables" >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "every key of an example is in its table"
note <"$work/wrong"
sort -u "$work/examples" | comm -13 - "$work/tables" >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "and every key of a table is in an example"
note <"$work/wrong"

# What is printed.
if [ -f "$twin" ]; then
	cat >"$work/prog.c" <<'END'
#include <stdlib.h>
int main(void)
{
	static void *p[9000];
	for (int i = 0; i < 9000; i++)
		p[i] = malloc((size_t)i * 7 % 40000);
	for (int i = 0; i < 9000; i += 3)
		free(p[i]);
	return 0;
}
END
	$CC -O1 -fno-builtin -w -o "$work/prog" "$work/prog.c"
	LD_PRELOAD=$twin "$work/prog" 2>"$work/err"
	$AWK -f "$work/parse.awk" "$work/err" | sort -u >"$work/printed"
	is "$(cut -d' ' -f1 "$work/printed" | sort -u | wc -l)" \
		"$(cut -d' ' -f1 "$work/tables" | sort -u | wc -l)" "every record of the page is printed"
	comm -23 "$work/printed" "$work/tables" >"$work/wrong"
	[ ! -s "$work/wrong" ]
	ok $? "every key that is printed is in the page"
	note <"$work/wrong"
fi

sed -n 's/.*{ "\(HZ_[A-Z0-9_]*\)".*/\1/p; s/^\t{ "\(HZ_[A-Z0-9_]*\)",$/\1/p' "$abs_srcdir/lib/option.c" |
	sort -u >"$work/options"
while read -r option; do
	grep -q "^\.It Ev $option\$" "$abs_srcdir/man/hz_options.7" || echo "$option"
done <"$work/options" >"$work/wrong"
[ "$(wc -l <"$work/options")" -ge 4 ] && [ ! -s "$work/wrong" ]
ok $? "hz_options(7) has every option"
note <"$work/wrong"

grep -h -o 'HZ_PROBE[12]([a-z_]*' "$abs_srcdir"/lib/*.c | sed 's/.*(//' | sort -u |
	while read -r probe; do
		grep -q "^\.It Fn $probe\>" "$page" || echo "$probe"
	done >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "every probe is in the page"
note <"$work/wrong"

for name in hz_obs.5 hz-stat.1 hz_options.7; do
	if have mandoc; then
		mandoc -T lint -W warning "$abs_srcdir/man/$name" >"$work/lint" 2>&1
		[ ! -s "$work/lint" ]
		ok $? "mandoc -T lint $name"
		note <"$work/lint"
	else
		skip "mandoc is not installed"
	fi
done
"$abs_builddir/tools/hz-stat" --help | grep -o -e '--[a-z]*' | sort -u | sed 's/^--//' |
	while read -r option; do
		grep -q "Fl Fl $option\>" "$abs_srcdir/man/hz-stat.1" || echo "--$option"
	done >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "hz-stat(1) has every option of hz-stat"
note <"$work/wrong"

done_testing
