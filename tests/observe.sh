#!/bin/sh
# SPDX-License-Identifier: MIT
#
# observe.sh - the records at exit: who asks gets them, byte for byte, and nobody else does.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
twin=${HZ_SO%.so.0}-observe.so.0
[ -f "$twin" ] || skip_all "observation is not compiled in"

cat >"$work/prog.c" <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCKS = 20000 };
static void *block[BLOCKS];

static void *thread(void *arg)
{
	return memset(malloc(100), 1, 100) == arg ? arg : NULL;
}

/* Asks for `bytes` in medium blocks, prints what was asked for. */
static void medium(void)
{
	size_t asked = 0, n;
	int i;

	for (i = 0; i < 5000; i++) {
		n = (size_t)i * 7919 % 50000;
		if (n > 4096 && n <= 32768)
			asked += n;
		block[i] = malloc(n);
	}
	n = 4097;
	asked += n;
	block[i] = aligned_alloc(4096, n);
	printf("%zu\n", asked);
}

/* Grows blocks where they are; prints what was asked for. */
static void grow(void)
{
	size_t asked = 0;
	char *p;
	int i;

	for (i = 0; i < 100; i++) {
		p = malloc(5000);
		p = realloc(p, 5100); /* 100 more */
		p = realloc(p, 3000); /* nothing more */
		p = realloc(p, 5110); /* 10 more than ever */
		asked += 5110;
		block[i] = p;
		p = aligned_alloc(4096, 5000); /* a block of 8192 bytes */
		p = realloc(p, 8000);
		asked += 8000;
		p = realloc(p, 20000); /* moves: one more */
		asked += 20000;
		block[1000 + i] = p;
	}
	printf("%zu\n", asked);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	pthread_t t;
	int i, fd;

	for (i = 0; i < BLOCKS; i++)
		block[i] = malloc((size_t)i % 3000);
	for (i = 0; i < BLOCKS; i++)
		free(block[i]);
	if (!strcmp(what, "thread"))
		for (i = 0; i < 3; i++)
			if (pthread_create(&t, NULL, thread, NULL) || pthread_join(t, NULL))
				return 1;
	if (!strcmp(what, "own")) { /* descriptor 2 is the program's own file now */
		fd = open(argv[2], O_WRONLY | O_CREAT, 0600);
		if (dup2(fd, 2) != 2)
			return 1;
	}
	if (!strcmp(what, "fork")) {
		if (fork() == 0)
			exit(0);
		wait(NULL);
	}
	if (!strcmp(what, "grow"))
		grow();
	if (!strcmp(what, "medium"))
		medium();
	if (!strcmp(what, "big"))
		for (i = 0; i < 3000; i++) {
			char *p = malloc(i % 2 ? 100000 : 300000);
			if (p == NULL)
				return 1;
			memset(p, 1, 5000);
			block[i] = p;
			if (i % 5 == 0) {
				free(p);
				block[i] = NULL;
			}
		}
	return 0;
}
END
$CC -O1 -fno-builtin -w -o "$work/prog" "$work/prog.c" -lpthread

# run LIBRARY ARGS...: the program on it, standard error in "$work/err"
run() {
	run_library=$1
	shift
	LD_PRELOAD=$run_library "$work/prog" "$@" 2>"$work/err" >"$work/out"
}

value() { # KEY of the record with TAG in "$work/err"
	sed -n "s/^\[$1\].* $2=\([^ ]*\).*/\1/p" "$work/err" | head -1
}

empty() {
	if [ -s "$work/err" ]; then fail "$@"; head -3 "$work/err" | note; else pass "$@"; fi
}

# Silence.
run "$HZ_SO"
empty "nothing is written unasked"
HZ_OBSERVE='' run "$HZ_SO"
empty "an empty list asks for nothing"
HZ_OBSERVE=no run "$twin"
empty "HZ_OBSERVE=no silences the observing twin"
HZ_OBSERVE=seg,smal run "$HZ_SO"
empty "a list with an unknown word changes nothing"
HZ_OBSERVE=fork,full run "$HZ_SO"
empty "modes without a box ask for nothing"
HZ_OBSERVE=all LD_PRELOAD=$HZ_SO "$work/prog" 2>&- >"$work/err"
empty "nothing is written when descriptor 2 was closed at the start"
HZ_OBSERVE=all run "$HZ_SO" own "$work/own"
[ ! -s "$work/own" ] && [ ! -s "$work/err" ]
ok $? "nor into a file that the program opened as descriptor 2"

# The records.
n='[0-9][0-9]*'
list="\\($n\\(,$n\\)*\\)*"
cat >"$work/form" <<END
^\[HZ3_SEG_SCAVENGE_OBS\] calls=$n max_segments=$n max_free_pages=$n max_candidate_pages=$n max_potential_bytes=$n\$
^\[HZ3_S62_OBSERVE\] dtor_calls=$n scanned_segs=$n candidate_segs=$n total_pages=$n free_pages=$n used_pages=$n purge_potential_bytes=$n\$
^\[HZ3_S135_PARTIAL_SC\] top_sc=$list pages=\\($n/$n/$n/$n,\\{0,1\\}\\)* occ=\\(\[$n;$n;$n;$n;$n\],\\{0,1\\}\\)*\$
^\[HZ3_S135_FULL_SC\] top_sc=$list total_waste=$list total_pages=$list full_waste=$list full_pages=$list avg_tail=$list avg_full=$list\$
^\[HZ3_S135_FRAG_OBS\] family=small scans=$n pages_total=$n pages_empty=$n pages_decommitted=$n pages_partial=$n occ_0=$n occ_1_25=$n occ_25_50=$n occ_50_75=$n occ_75_100=$n cand_decommit_pages=$n cand_unmap_segs=$n top_partial_sc=$list top_partial_pages=$list top_tail_waste_bytes=$list\$
^\[HZ3_S135_FRAG_OBS\] family=sub4k scans=$n pages_total=
^\[HZ3_S135_FRAG_OBS\] family=medium scans=$n pages_total=
^\[HZ3_S69\] inc=$n dec=$n blocked=$n skip_aligned=$n\$
^\[HZ3_RETENTION_OBS\] calls=$n tls_small_bytes=$n tls_medium_bytes=$n owner_stash_bytes=$n central_medium_bytes=$n arena_used_bytes=$n pack_pool_free_bytes=$n suspicious_bins=$n first_susp_bin=$n first_susp_count=$n first_susp_usable=$n\$
^\[HZ3_LARGE_CACHE_BUDGET\] cached=$n soft_hits=$n hard_evicts=$n madvise_bytes=$n throttle_skips=$n throttle_fires=$n\$
^\[HZ3_LARGE_PATH\] alloc_calls=$n alloc_cache_hits=$n alloc_cache_misses=$n free_calls=$n free_cached=$n free_munmap=$n mmap_calls=$n mmap_bytes=$n munmap_calls=$n munmap_bytes=$n evict_dispose=$n madvise_calls=$n madvise_bytes=$n\$
^\[HZ3_S49_PACK\] hit=$n miss=$n new_segment=$n\$
^\[HZ3_S58_TCACHE_DECAY\] adjust_calls=$n overage_shrinks=$n reclaim_calls=$n reclaim_objs=$n reclaim_pages=$n\$
^\[hz3\] S12_V2 stats: calls=$n hit=$n miss=$n enter=$n\$
^\[HZ3_MEDIUM_WASTE_OBS\] req=$n alloc=$n waste=$n waste_pct=$n\.[0-9][0-9]\$
END
HZ_ARENA_SIZE=1G run "$twin" medium # more than it needs, whatever the build's default
i=0
while IFS= read -r form; do
	i=$((i + 1))
	line=$(sed -n "${i}p" "$work/err")
	printf '%s\n' "$line" | grep -q -e "$form"
	ok $? "$(printf '%s' "$line" | cut -d' ' -f1-2 | cut -d= -f1) has its keys in their order" || note "$line"
done <"$work/form"
is "$(sed -n '16,$p' "$work/err" | grep -c -v '^\[HZ3_MEDIUM_WASTE_SC\] sc=[0-7] req=[0-9]* alloc=[0-9]* waste=[0-9]*$')" 0 \
	"only class records follow"
is "$(value HZ3_SEG_SCAVENGE_OBS calls)" 0 "no pressure: calls=0, and the record is there"
is "$(value HZ3_RETENTION_OBS calls)" "$(value HZ3_RETENTION_OBS calls)" "retention was sampled"
le 1 "$(value HZ3_RETENTION_OBS arena_used_bytes)" "a program with one thread does not report zeros"

# waste = alloc - req, against what the program asked for.
req=$(value HZ3_MEDIUM_WASTE_OBS req) alloc=$(value HZ3_MEDIUM_WASTE_OBS alloc)
is "$req" "$(cat "$work/out")" "waste: req is what the program asked for"
is "$(value HZ3_MEDIUM_WASTE_OBS waste)" $((alloc - req)) "waste = alloc - req"
is "$(sed -n 's/.*WASTE_SC.* req=\([0-9]*\) alloc=\([0-9]*\) waste=\([0-9]*\)$/\1 \2 \3/p' "$work/err" |
	awk '{ r += $1; a += $2; w += $3 } END { printf "%d %d %d", r, a, w }')" \
	"$req $alloc $((alloc - req))" "the classes sum to the total"
HZ_OBSERVE=waste run "$HZ_SO"
empty "box waste is not in libhz"
run "$twin" grow
is "$(value HZ3_MEDIUM_WASTE_OBS req)" "$(cat "$work/out")" "waste: realloc in place counts the growth"
is "$(value HZ3_MEDIUM_WASTE_OBS alloc)" $((100 * (5120 + 8192 + 20480))) \
	"and hands nothing more out"

# The twins of the other lanes.
for library in "${HZ_SO%.so.0}"-*-observe.so.0; do
	[ -f "$library" ] || continue
	run "$library" medium
	is "$(value HZ3_MEDIUM_WASTE_OBS req) $(grep -c '^\[HZ3_RETENTION_OBS\] calls=[1-9]' "$work/err")" \
		"$(cat "$work/out") 1" "$(basename "$library" .so.0): reports unasked, waste too"
done

# Boxes one by one; the sum of a program that frees everything.
HZ_OBSERVE=seg run "$HZ_SO"
is "$(cut -d' ' -f1 "$work/err" | xargs)" "[HZ3_SEG_SCAVENGE_OBS]" "box seg alone"
HZ_OBSERVE=small run "$HZ_SO" thread
is "$(value HZ3_S62_OBSERVE dtor_calls)" 3 "three threads ended"
HZ_OBSERVE=small run "$HZ_SO"
is "$(value HZ3_S69 inc)" "$(value HZ3_S69 dec)" "inc = dec of a program that frees everything"
is "$(value HZ3_S62_OBSERVE total_pages)" \
	$(($(value HZ3_S62_OBSERVE free_pages) + $(value HZ3_S62_OBSERVE used_pages))) \
	"total_pages = free_pages + used_pages"

# Where to.
HZ_OBSERVE=seg HZ_OBSERVE_FILE="$work/x-%e-%p.obs" run "$HZ_SO"
empty "with HZ_OBSERVE_FILE nothing goes to standard error"
is "$(ls "$work" | sed -n 's/^x-prog-[0-9]*\.obs$/yes/p')" yes "the file is named by program and process"
is "$(cat "$work"/x-prog-*.obs | wc -l)" 1 "and has the record"
HZ_OBSERVE=seg run "$HZ_SO" fork
is "$(wc -l <"$work/err")" 1 "a forked child is silent"
HZ_OBSERVE=seg,fork run "$HZ_SO" fork
is "$(wc -l <"$work/err")" 2 "unless the list says fork"
if have strace; then
	strace -f -e trace=write -o "$work/trace" -E LD_PRELOAD="$twin" "$work/prog" 2>"$work/err"
	is "$(grep -c 'write(2,' "$work/trace")" "$(wc -l <"$work/err")" "a record is one write"
fi

# Pressure.
for library in "$HZ_SO" "$twin"; do
	HZ_OBSERVE=seg,small,retention HZ_ARENA_SIZE=64M run "$library" big
	ok $? "$(basename "$library"): a program that fills a 64 MiB arena completes"
	le 1 "$(value HZ3_SEG_SCAVENGE_OBS calls)" "and says pressure"
	is "$(value HZ3_SEG_SCAVENGE_OBS max_potential_bytes)" \
		$(($(value HZ3_SEG_SCAVENGE_OBS max_candidate_pages) * 4096)) \
		"potential = candidates * 4096"
done

# No cost: the allocation functions are the same code without observers.
assembly() { # VALUE of HZ_OBSERVE_BUILT
	cp "$abs_srcdir/lib/api.c" "$work/api.c"
	# shellcheck disable=SC2086 # lists of words
	(cd "$abs_builddir" && $CC -I. $HZ_CPPFLAGS '-DHZ_LANE_H="lane/balanced.h"' $CPPFLAGS \
		-DHZ_OBSERVE_BUILT="$1" $HZ_CFLAGS -O2 -fPIC -g0 -S -o - "$work/api.c")
}
if [ -n "${HZ_CFLAGS:-}" ]; then
	assembly 1 >"$work/with.s" 2>"$work/log" && assembly 0 >"$work/without.s" 2>>"$work/log"
	[ -s "$work/with.s" ] && cmp -s "$work/with.s" "$work/without.s"
	ok $? "malloc, free and the others are the same code with --disable-observe"
	note <"$work/log"
fi

# Raised privileges.
cp "$work/prog" "$work/secure" 2>/dev/null
$CC -O1 -fno-builtin -w -o "$work/secure" "$work/prog.c" -lpthread -Wl,--no-as-needed "$twin" \
	-Wl,-rpath,"$(dirname "$twin")" && chmod 4755 "$work/secure" && chmod 755 "$work"
if [ "$(id -u)" = 0 ] && have setpriv &&
	setpriv --reuid=65534 --clear-groups "$work/secure" >/dev/null 2>"$work/err" </dev/null; then
	"$work/secure" 2>"$work/plain" >/dev/null
	[ -s "$work/plain" ]
	ok $? "(the program reports when started plainly)"
	empty "a set-user-ID program is silent"
else
	skip "no set-user-ID program can be tried here"
fi

done_testing
