#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hz_stat_live.sh - hz-stat on processes that run meanwhile, end meanwhile, are another user's,
# or have an older, newer, deleted or unreachable library.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
stat=$abs_builddir/tools/hz-stat
program=$abs_builddir/tests/rss_reasons
[ -x "$stat" ] && [ -x "$program" ] || skip_all "hz-stat was not built"
cd "$work" || exit 99

start() { # LIBRARY PROGRAM ARGS: runs it until it is ready; its number in $pid
	rm -f ready
	mkfifo ready
	start_library=$1
	shift
	LD_PRELOAD=$start_library "$@" >ready &
	pid=$!
	read -r line <ready
	rm ready
}
stop() {
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
}
figure() { # NAME of the JSON in "json"
	tr ',{' '\n\n' <json | sed -n "s/^\"$1\":\([0-9.]*\).*/\1/p" | head -1
}
causes='live slack free cached remote empty dirty clean metadata unattributed'
sum() {
	sum=0
	for cause in $causes; do
		sum=$((sum + $(figure ${cause}_bytes)))
	done
	echo $sum
}

# Two threads that replace blocks of all sizes, and free each other's.
cat >churn.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { BLOCKS = 20000 };
static void *block[BLOCKS];
static void *churn(void *arg)
{
	unsigned long long r = (unsigned long)arg;
	for (;;) {
		size_t n;
		void *p;
		r ^= r << 13, r ^= r >> 7, r ^= r << 17;
		n = (size_t)1 << (r >> 20) % 16;
		p = malloc(n + (r >> 30) % n);
		memset(p, 1, n);
		free(__atomic_exchange_n(&block[r % BLOCKS], p, __ATOMIC_ACQ_REL));
	}
	return NULL;
}
int main(void)
{
	pthread_t t;
	for (int i = 0; i < BLOCKS; i++)
		block[i] = calloc(1, (size_t)i % 5000 + 1);
	pthread_create(&t, NULL, churn, (void *)88172645463325252ul);
	puts("ready");
	fflush(stdout);
	churn((void *)1234567ul);
}
END
$CC -O1 -fno-builtin -w -o churn churn.c -lpthread || exit 99

start "$HZ_SO" ./churn
if ! "$stat" --json "$pid" >json 2>err; then
	stop
	skip_all "other processes cannot be read here: $(cat err)"
fi
worst=100 wrong=0 answers=0
for _ in 1 2 3 4 5 6 7 8; do
	"$stat" --json "$pid" >json || continue
	answers=$((answers + 1))
	percent=$(figure attributed_percent | cut -d. -f1)
	[ "$percent" -ge $worst ] || worst=$percent
	[ "$(sum)" = "$(figure resident_bytes)" ] || wrong=$((wrong + 1))
done
is $answers 8 "a process that runs meanwhile is read each time"
is $wrong 0 "causes add up each time"
le 97 $worst "percent attributed, the worst of them"

# Every lane and twin, stopped.
for library in $(libraries); do
	stop
	start "$library" ./churn 2>/dev/null
	sleep 0.1
	kill -STOP "$pid"
	# A thread in the kernel stops when it comes out.
	while cat "/proc/$pid"/task/*/stat | sed 's/.*) //' | grep -q -v '^T'; do
		sleep 0.05
	done
	"$stat" --json "$pid" >json
	is "$? $(sum) $(figure partial)" "0 $(figure resident_bytes) " "$(basename "$library" .so.0): can be read"
	le 99 "$(figure attributed_percent | cut -d. -f1)" "$(basename "$library" .so.0): percent attributed"
done
stop
start "$HZ_SO" ./churn

# Inside and outside: the same account.
cat >inside.c <<'END'
#include <hz/hz.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *block[3][30000];
static pthread_barrier_t rest;
static void *work(void *arg)
{
	void **mine = arg, **other = mine == block[1] ? block[2] : block[1];
	int i;
	for (i = 0; i < 30000; i++)
		mine[i] = memset(malloc(i % 3000 + 1), 1, i % 3000 + 1);
	pthread_barrier_wait(&rest);
	for (i = 0; i < 30000; i++)
		if (i % 100 < 70)
			free(other[i]);
	pthread_barrier_wait(&rest);
	for (;;)
		pause();
}
int main(void)
{
	pthread_t t;
	struct hz_report r;
	pthread_barrier_init(&rest, NULL, 3);
	for (int i = 1; i < 3; i++)
		pthread_create(&t, NULL, work, block[i]);
	for (int i = 0; i < 20; i++)
		block[0][i] = memset(malloc(200000 + i * 100), 1, 200000);
	setvbuf(stdout, memset(malloc(8192), 1, 8192), _IOFBF, 8192);
	pthread_barrier_wait(&rest);
	pthread_barrier_wait(&rest);
	usleep(100000);
	hz_report_get(&r, sizeof(r));
	printf("live=%llu slack=%llu free=%llu cached=%llu remote=%llu empty=%llu dirty=%llu \n",
	       (unsigned long long)r.rss_live, (unsigned long long)r.rss_slack,
	       (unsigned long long)r.rss_free, (unsigned long long)r.rss_cached,
	       (unsigned long long)r.rss_remote, (unsigned long long)r.rss_empty,
	       (unsigned long long)r.rss_dirty);
	fflush(stdout);
	for (;;)
		pause();
}
END
stop
if $CC -O1 -fno-builtin -w -I"$abs_srcdir/include" -o inside inside.c "$HZ_SO" -lpthread \
	-Wl,-rpath,"$(dirname "$HZ_SO")" >log 2>&1; then
	start "$HZ_SO" ./inside
	"$stat" --json "$pid" >json
	said=
	for cause in live slack free cached remote empty dirty; do
		said="$said$cause=$(figure ${cause}_bytes) "
	done
	is "$said" "$line " "hz_report_get in the process says the same"
	stop
else
	skip "no program can be linked with the library here"
	note <log
fi

# Pages that were read and never written are the kernel's page of zeros and not in the resident
# set; before Linux 6.7, whose search the second look does without, they are told by their content.
cat >zeros.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void)
{
	enum { BYTES = 32 << 20 };
	volatile char *p = malloc(BYTES);
	unsigned sum = 0;
	for (int i = 0; i < BYTES; i += 4096)
		sum += p[i];
	printf("%u\n", sum);
	fflush(stdout);
	for (;;)
		pause();
}
END
$CC -O1 -fno-builtin -w -o zeros zeros.c || exit 99
start "$HZ_SO" ./zeros
"$stat" --json "$pid" >json
le "$(figure resident_bytes)" 4194304 "32 MiB that were only read are not resident"
if have strace && strace -o /dev/null -e inject=ioctl:error=ENOTTY "$stat" --json "$pid" >json 2>err; then
	le "$(figure resident_bytes)" 4194304 "nor are they by the words of pagemap"
	le 2097152 "$(figure live_large_bytes)" "(which have it all the same)"
else
	skip "no strace that refuses a system call"
fi
stop
start "$HZ_SO" ./churn

# --watch, until it ends.
: >csv
"$stat" --watch 0.05 --csv "$pid" >csv 2>err &
watcher=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ "$(wc -l <csv)" -ge 4 ] && break
	sleep 0.1
done
stop
wait $watcher
is $? 1 "--watch ends when the process does, with code 1"
is "$(wc -l <err)" 1 "and one line that says so"
note <err
le 4 "$(wc -l <csv)" "lines meanwhile"
is "$(grep -c '^time,pid' csv)" 1 "one line of names"
is "$(awk -F, '{ print NF }' csv | sort -u | wc -l)" 1 "as many columns in each"
is "$(tail -n +2 csv | awk -F, '$1 < last { print } { last = $1 }' | wc -l)" 0 "time goes on"

# Processes come and go while all are read.
(
	for _ in $(seq 40); do
		LD_PRELOAD=$HZ_SO /bin/true
	done
) &
storm=$!
bad=0
while kill -0 $storm 2>/dev/null; do
	"$stat" -a --json >out 2>err || bad=$((bad + 1))
	[ ! -s err ] || bad=$((bad + 1))
done
is $bad 0 "-a passes over processes that have just ended"

# Whose library is not what this hz-stat was built with.
magic=$(grep -zobUaP 'libhz\r\n' "$HZ_SO" | tr '\0' '\n' | head -1 | cut -d: -f1)
if [ -n "$magic" ]; then
	cp "$HZ_SO" newer.so
	printf '\011' | dd of=newer.so bs=1 seek=$((magic + 8)) conv=notrunc 2>/dev/null
	start "$work/newer.so" "$program" partial
	"$stat" "$pid" >out 2>err
	is "$? $(grep -c 'root version 9, this hz-stat knows [0-9]*: too new' err) $(wc -l <err)" \
		"1 1 1" "a newer root is refused in one line"
	stop
	sed 's/counts\.refills_inbox/counts.ref__ls_inbox/; s/runs\.stock/runs.s_ock/' "$HZ_SO" >older.so
	start "$work/older.so" "$program" partial
	"$stat" --json "$pid" >json
	is "$? $(figure refills_inbox) $(figure runs_stock) $(sum)" "0 0 0 $(figure resident_bytes)" \
		"an older library that counts less is read"
	stop
	sed 's/run\.span/run.sp_n/' "$HZ_SO" >other.so
	start "$work/other.so" "$program" partial
	"$stat" "$pid" >out 2>err
	is "$? $(grep -c 'does not describe "run_span"' err)" "1 1" \
		"one without what is needed is refused, by name"
	stop
else
	skip "this grep does not find the root's magic"
fi

# A library that was deleted, as an upgrade does, or lies in another mount namespace: all that is
# needed is in the memory of the process.
cp "$HZ_SO" gone.so
start "$work/gone.so" "$program" partial
rm gone.so
"$stat" --json "$pid" >json
is "$? $(sum)" "0 $(figure resident_bytes)" "a library that was deleted since"
stop
mkdir mnt
if unshare -m sh -c "mount -t tmpfs none '$work/mnt'" 2>/dev/null; then
	rm -f ready
	mkfifo ready
	unshare -m sh -c "mount -t tmpfs none '$work/mnt' && cp '$HZ_SO' '$work/mnt/x.so' &&
		LD_PRELOAD='$work/mnt/x.so' exec '$program' partial" >ready &
	pid=$!
	read -r line <ready
	[ ! -e mnt/x.so ] && "$stat" --json "$pid" >json
	is "$? $(sum)" "0 $(figure resident_bytes)" "a library in another mount namespace"
	stop
else
	skip "no mount namespaces here"
fi

# Another user's.
if [ "$(id -u)" = 0 ] && have setpriv; then
	chmod 755 "$work"
	cp "$stat" hz-stat
	start "$HZ_SO" "$program" partial
	setpriv --reuid=65534 --regid=65534 --clear-groups ./hz-stat "$pid" >out 2>err
	is "$? $(wc -l <err) $(grep -c 'not permitted.*ptrace_scope' err)" "1 1 1" \
		"another user's process: one line that names ptrace_scope"
	note <err
	stop
else
	skip "no other user can be tried here"
fi

done_testing
