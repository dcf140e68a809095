#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hz_stat.sh - hz-stat on live processes: the account adds up, the three reasons are named,
# errors are one line, and every figure it prints is in hz_obs(5).

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
stat=$abs_builddir/tools/hz-stat
program=$abs_builddir/tests/rss_reasons
[ -x "$stat" ] && [ -x "$program" ] || skip_all "hz-stat was not built"

# start REASON: runs the program on the library until it is ready; its number in $pid
start() {
	mkfifo "$work/ready"
	LD_PRELOAD=$HZ_SO "$program" "$1" >"$work/ready" &
	pid=$!
	read -r live rest <"$work/ready"
	rm "$work/ready"
}

figure() { # NAME of the JSON in "$work/json"
	tr ',{' '\n\n' <"$work/json" | sed -n "s/^\"$1\":\([0-9.]*\).*/\1/p" | head -1
}

stop() {
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
}

start partial
if ! "$stat" --json "$pid" >"$work/json" 2>"$work/err" && grep -q 'not permitted' "$work/err"; then
	stop
	skip_all "other processes cannot be read here"
fi
for reason in partial caches rounding; do
	[ $reason = partial ] || start $reason
	kill -STOP "$pid"
	"$stat" --json "$pid" >"$work/json"
	ok $? "$reason: can be read"
	sum=0
	for cause in live slack free cached remote empty dirty clean metadata unattributed; do
		sum=$((sum + $(figure ${cause}_bytes)))
	done
	resident=$(figure resident_bytes) rss=$(figure rss_bytes)
	is "$sum" "$resident" "$reason: causes add up to the resident heap"
	[ "$resident" -le "$rss" ]
	ok $? "$reason: which is within the resident set ($resident of $rss)"
	le 99 "$(figure attributed_percent | cut -d. -f1)" "$reason: percent attributed"
	[ $((rss / live)) -ge 8 ]
	ok $? "$reason: the resident set is $((rss / live)) times what is live"
	"$stat" --explain "$pid" >"$work/text"
	case $reason in
		partial) word='fragmentation' ;;
		caches) word='thread caches hold it' ;;
		rounding) word='rounding' ;;
	esac
	grep -q "^verdict: $word" "$work/text"
	ok $? "$reason: the verdict is \"$word\""
	grep verdict "$work/text" | note
	stop
done

# The other forms.
start partial
"$stat" --csv "$pid" >"$work/csv"
is "$(awk -F, '{ print NF }' "$work/csv" | uniq | wc -l)" 1 "CSV has a name for every column"
"$stat" --openmetrics --output "$work/hz.prom" "$pid"
is "$(tail -1 "$work/hz.prom")" "# EOF" "OpenMetrics ends as it must"
is "$(ls "$work" | grep -c '^hz\.prom\.')" 0 "and no part of it was ever there"
if have jq; then
	jq -e . "$work/json" >/dev/null
	ok $? "jq reads the JSON"
fi
"$stat" -a --json | grep -q "\"pid\":$pid,"
ok $? "-a finds it"
stop

# Every name is documented.
tr ',{' '\n\n' <"$work/json" | sed -n 's/^"\([a-z_]*\)":.*/\1/p' | sort -u |
	while read -r name; do
		grep -q -w -e "$name" "$abs_srcdir/man/hz_obs.5" || echo "$name"
	done >"$work/missing"
[ -s "$work/json" ] && [ ! -s "$work/missing" ]
ok $? "hz_obs(5) has every name of the JSON"
note <"$work/missing"

# Errors: one line, and a code.
error() { # CODE TEXT ARGS...
	code=$1 text=$2
	shift 2
	"$stat" "$@" >/dev/null 2>"$work/err"
	got=$?
	[ $got -eq "$code" ] && grep -q -e "$text" "$work/err" && [ "$(wc -l <"$work/err")" -eq 1 ]
	ok $? "hz-stat $*: $text" || { note "code $got"; note <"$work/err"; }
}
error 1 'no such process' 4194304
sleep 60 &
pid=$!
error 1 'no libhz in it' $pid
stop
error 1 'not a 64-bit core file' --core "$stat"
error 1 'cannot be opened' --core /nonexistent
error 2 'not a process number' abc
error 2 'whose memory' --json
error 2 "unrecognized option '--unknown'" --unknown
error 2 "'--core' requires an argument" --core
error 2 'not a number of seconds' --watch never 1

done_testing
