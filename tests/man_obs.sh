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

# Every key has a type, a unit, a rule of update and a meaning.
$AWK '/^\.Ss \[/ { tag = $2 } /^\.Sh/ { tag = "" }
	tag != "" && /^\.It .* Ta / && $2 != "Sy" {
		n = split(substr($0, 5), cell, " Ta ")
		if (n != 5 || cell[2] !~ /^(integer|percent|word|list)$/ || cell[5] == "" ||
		    cell[4] !~ /^(sum|maximum|largest|last scan|once|at exit|constant)$/)
			print tag, $0
	}' "$page" >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "every key has type, unit, update and meaning"
note <"$work/wrong"

# The figures of hz-stat: name, unit and kind, as it says itself.
sed -n '/^\.Ss The account/,/^\.Ss JSON/p' "$page" |
	$AWK -F ' Ta ' '/^\.It [a-z]/ { sub(/^\.It /, "", $1); print $1, $2, $3 }' |
	sort >"$work/figures"
sleep 60 &
pid=$!
LD_PRELOAD=$HZ_SO "$abs_builddir/tests/rss_reasons" partial >"$work/ready" &
program=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ -s "$work/ready" ] && break
	sleep 0.2
done
"$abs_builddir/tools/hz-stat" --openmetrics $program >"$work/metrics" 2>"$work/err"
"$abs_builddir/tools/hz-stat" --json $program >"$work/json" 2>>"$work/err"
kill $pid $program
if [ -s "$work/json" ]; then
	$AWK '/^# TYPE/ { name = substr($3, 7); kind[name] = $4; unit[name] = "count" }
		/^# UNIT/ { unit[substr($3, 7)] = $4 }
		END { for (n in kind) print n, n ~ /^pages_/ ? "pages" : unit[n], kind[n] }' \
		"$work/metrics" | sort >"$work/said"
	# The causes are labels of one family, which is in the page by their names.
	sed -n 's/.*cause="\([a-z]*\)".*/\1_bytes bytes gauge/p' "$work/metrics" >>"$work/said"
	sort -o "$work/said" "$work/said"
	is "$(cat "$work/said")" "$(cat "$work/figures")" "the figures' names, units and kinds are hz-stat's"
	le 40 "$(wc -l <"$work/figures")" "there are figures to compare"
else
	skip "other processes cannot be read here: $(cat "$work/err")"
fi

# The JSON example, by a real parser.
sed -n '/^{"pid"/,/^\.Ed/p' "$page" | sed '/^\.Ed/d' >"$work/example"
names() {
	tr ',{[' '\n\n\n' | sed -n 's/^"\([a-z_]*\)":.*/\1/p' | sort -u
}
if have jq; then
	is "$(jq -r .pid "$work/example" 2>&1 | grep -c '^[0-9]*$')" 1 "the JSON example parses"
elif have python3; then
	python3 -c 'import json, sys; json.load(sys.stdin)' <"$work/example"
	ok $? "the JSON example parses"
else
	skip "neither jq nor python3 is installed"
fi
[ ! -s "$work/json" ] ||
	is "$(names <"$work/json")" "$(names <"$work/example")" "and has the names that are printed, no others"

sed -n 's/.*{ "\(HZ_[A-Z0-9_]*\)".*/\1/p; s/^\t{ "\(HZ_[A-Z0-9_]*\)",$/\1/p' "$abs_srcdir/lib/option.c" |
	sort -u >"$work/options"
while read -r option; do
	grep -q "^\.It Ev $option\$" "$abs_builddir/man/hz_options.7" || echo "$option"
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

# Neither a text without an option nor an option's name misspelt.
sed 's/@HZ_OBSERVE_FILE@/@HZ_OBSERVE_FIEL@/' "$abs_srcdir/build-aux/hz_options.7.in" >"$work/wrong.in"
! $AWK -f "$abs_srcdir/build-aux/gen-options.awk" "$abs_srcdir/lib/option.c" "$work/wrong.in" \
	>"$work/page" 2>"$work/err" && grep -q 'no option is called HZ_OBSERVE_FIEL' "$work/err"
ok $? "a text about no option is an error"

"$abs_builddir/tools/hz-stat" --help | grep -o -e '--[a-z]*' | sort -u | sed 's/^--//' |
	while read -r option; do
		grep -q "Fl Fl $option\>" "$abs_srcdir/man/hz-stat.1" || echo "--$option"
	done >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "hz-stat(1) has every option of hz-stat"
note <"$work/wrong"

done_testing
