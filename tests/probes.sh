#!/bin/sh
# SPDX-License-Identifier: MIT
#
# probes.sh - the USDT probes: notes in the library's file, and what bpftrace hears at them is
# what the library counted, where the kernel lets it listen.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
grep -q '^#define HZ_SDT 1' "$abs_builddir/config.h" || skip_all "built without <sys/sdt.h>"

$READELF -n "$HZ_SO" | sed -n 's/^ *Name: *//p' | sort -u >"$work/notes"
is "$(xargs <"$work/notes")" \
	"epoch pressure purge remote_collect segment_close segment_open thread_exit" \
	"notes of seven probes"

cat >"$work/prog.c" <<'END'
#include <hz/hz.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	size_t (*purge)(void) = (size_t (*)(void))dlsym(RTLD_DEFAULT, "hz_purge");
	int (*get)(struct hz_report *, size_t) =
		(int (*)(struct hz_report *, size_t))dlsym(RTLD_DEFAULT, "hz_report_get");
	struct hz_report r;
	char *p[100];

	for (int k = 0; k < 3; k++) {
		for (int i = 0; i < 100; i++)
			p[i] = memset(malloc(100000), 1, 100000);
		for (int i = 0; i < 100; i++)
			free(p[i]);
		purge();
	}
	get(&r, sizeof(r));
	printf("%d: %llu 3\n", getpid(), (unsigned long long)r.purged / 4096);
	return 0;
}
END
$CC -D_GNU_SOURCE -w -O1 -fno-builtin -I"$abs_srcdir/include" -o "$work/prog" "$work/prog.c" -ldl ||
	exit 99
have bpftrace || { skip "no bpftrace here"; done_testing; }
# The machine may have tracefs mounted nowhere; a namespace of our own has.
cat >"$work/listen" <<END
[ -e /sys/kernel/tracing/uprobe_events ] || mount -t tracefs none /sys/kernel/tracing || exit 3
ulimit -l unlimited
exec timeout -s INT 40 bpftrace -B line -e '
	usdt:$HZ_SO:libhz:pressure { printf("%d pressure\\n", pid); }
	usdt:$HZ_SO:libhz:purge { printf("%d purge %d\\n", pid, arg0); }'
END
unshare -m sh "$work/listen" >"$work/out" 2>"$work/err" &
listener=$!
# It listens when it has heard a first program to its end.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	kill -0 $listener 2>/dev/null || break
	pid=$(LD_PRELOAD=$HZ_SO "$work/prog" | cut -d: -f1)
	sleep 0.2
	[ "$(grep -c "^$pid pressure" "$work/out")" -lt 3 ] || break
done
if [ "$(grep -c "^$pid pressure" "$work/out")" -lt 3 ]; then
	note <"$work/err"
	skip "the kernel does not let bpftrace listen here"
	kill $listener 2>/dev/null
	done_testing
fi
counted=$(LD_PRELOAD=$HZ_SO "$work/prog")
pid=${counted%%:*}
for _ in 1 2 3 4 5 6 7 8 9 10; do
	sleep 0.1
	[ "$(grep -c "^$pid pressure" "$work/out")" -lt 3 ] || break
done
sleep 0.2
is "$pid: $(awk -v pid="$pid" '$1 == pid && $2 == "purge" { pages += $3 }
	$1 == pid && $2 == "pressure" { times++ } END { print pages + 0, times + 0 }' "$work/out")" \
	"$counted" "pages given back and times, as the program counted them"
kill $listener
wait $listener 2>/dev/null

done_testing
