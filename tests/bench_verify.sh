#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_verify.sh - what a comparison measures: a preload that is not in force, or is broken,
# gets no figure, and no allocator always runs after the same other.

. "${srcdir:-$(dirname "$0")/..}/tests/bench_lib.sh"
need_python3
cd "$work" || exit 99

matches "$(program bench_verify -)" '^\[VERIFY\] ok$' "the C library's malloc is in force without a preload"

# refused NAME DESCRIPTION: compare.py takes no figure with ./NAME.so
refused() {
	"$bench/compare.py" --alloc "bad=$work/$1.so" --alloc sys --out "$1" --runs 1 \
		--row 'x: bench_malloc_args 1000' >"$1.out" 2>&1
	[ $? -ne 0 ] && [ ! -e "$1/raw.tsv" ]
	ok $? "refused: $2"
	note <"$1.out"
}

refused missing "a file that does not exist"
echo 'no library' >text.so
refused text "a file that is no library"

# Of 2 to 9 allocators each is first as often and follows each other equally often.
PYTHONPATH=$bench python3 -B - >orders 2>&1 <<'END'
import collections
import benchlib
for n in range(2, 10):
    rounds = [benchlib.round_order(list(range(n)), i) for i in range(n * (1 + n % 2))]
    assert all(sorted(r) == list(range(n)) for r in rounds), n
    firsts = collections.Counter(r[0] for r in rounds)
    pairs = collections.Counter(p for r in rounds for p in zip(r, r[1:]))
    assert len(firsts) == n and len(set(firsts.values())) == 1, (n, firsts)
    assert len(pairs) == n * (n - 1) and len(set(pairs.values())) == 1, (n, pairs)
END
ok $? "each round of a comparison has another order, and in all each follows each equally often"
note <orders

have "${CC%% *}" || { skip "no compiler"; done_testing; }
# build NAME <source
build() {
	cat >"$1.c"
	# shellcheck disable=SC2086 # CC may have words
	$CC -shared -fPIC -O1 -o "$1.so" "$1.c" 2>"$1.err" || { fail "cannot compile $1"; note <"$1.err"; }
}

build empty <<'END'
int nothing;
END
refused empty "a library without malloc"

build part <<'END'
#include <stddef.h>
static char arena[1 << 26]; static size_t used;
void *malloc(size_t n) { void *p = arena + used; used += (n + 15) & ~15ul; return p; }
void free(void *p) { (void)p; }
END
refused part "one that provides malloc and free alone"

# A whole family over one arena, with the fault a macro names.
cat >family.c <<'END'
#include <stddef.h>
#include <string.h>
#include <errno.h>
static char arena[1 << 28] __attribute__((aligned(4096))); static size_t used;
static void *get(size_t a, size_t n) {
	size_t at = (__atomic_load_n(&used, 0) + 16 + a - 1) & ~(a - 1);
	used = at + n; ((size_t *)(arena + at))[-1] = n;
#ifdef SAME
	{ static char *last; if (n < 100 && last) return last; last = arena + at; }
#endif
#ifdef DIRTY
	memset(arena + at, 1, n);
#endif
	return arena + at; }
void *malloc(size_t n) { return get(16, n); }
void free(void *p) { (void)p; }
void *calloc(size_t a, size_t b) { return get(16, a * b); }
size_t malloc_usable_size(void *p) { return p ? ((size_t *)p)[-1] : 0; }
void *realloc(void *p, size_t n) { void *q = get(16, n); size_t m = malloc_usable_size(p);
#ifndef FORGET
	if (p) memcpy(q, p, m < n ? m : n);
#endif
	return q; }
void *memalign(size_t a, size_t n) { return get(a < 16 ? 16 : a, n); }
void *aligned_alloc(size_t a, size_t n) { return memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { *p = memalign(a, n); return 0; }
END
for fault in SAME DIRTY FORGET; do
	(echo "#define $fault"; cat family.c) | build "$fault"
	refused "$fault" "fault $fault of an otherwise whole family"
done
build whole <family.c
"$bench/compare.py" --alloc "whole=$work/whole.so" --out whole --runs 1 \
	--row 'x: bench_malloc_args 1000' >out 2>&1
ok $? "the same without a fault is accepted"
note <out
matches "$(cat whole/preload_verify_whole/ssot_header.txt)" '^\[MAPS\] .*r-xp.*/dso/whole\.so$' \
	"its line of maps is kept"
matches "$(cat whole/preload_verify_whole/ssot_header.txt)" '^\[RESOLVE\] malloc_usable_size=.*/dso/whole\.so$' \
	"and where each function resolves to"
matches "$(cat whole/dso_sha1.txt)" '^[0-9a-f]{40}  whole  whole\.so$' "and its sum"
done_testing
