/* SPDX-License-Identifier: MIT */
/*
 * s07_maps - the process has all the mappings that the kernel allows, or all
 * but a few; row S7.
 *
 * Then malloc gives memory or NULL with ENOMEM, free works, nothing is lost,
 * and when mappings are free again everything is as before.  And a heap in
 * heavy use has few mappings.
 */
#include "hazard.h"

enum { MOST = 70000 };

static char *fill_up(size_t *n)
{
	/* Alternating protections of one large mapping: one each. */
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, MOST * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	for (*n = 1; *n < MOST; *n += 2)
		if (mprotect(p + *n * page, page, PROT_READ))
			return p;
	return NULL;
}

static int crowded(size_t spare)
{
	static void *block[2000];
	size_t n, got = 0, page = (size_t)sysconf(_SC_PAGESIZE);
	int bad = 0;
	free(escape(malloc(1)));
	char *p = fill_up(&n);
	if (!p)
		return 77;
	munmap(p, spare * page);
	for (int round = 0; round < 3; round++) {
		got = 0;
		for (size_t i = 0; i < COUNT_OF(block); i++) {
			size_t size = 100 + i * (i % 50 ? 16 : 256);
			errno = 0;
			block[i] = churn_block(size);
			bad |= !block[i] && errno != ENOMEM;
			got += block[i] != NULL;
		}
		for (size_t i = 0; i < COUNT_OF(block); i += 2) {
			size_t *q = block[i];
			if (q && (q = realloc(q, 2 * q[0] + 100))) {
				bad |= !intact(q + 1, q[0] - sizeof(*q), q[0]);
				block[i] = q;
			}
		}
		for (size_t i = 0; i < COUNT_OF(block); i++)
			churn_drop(block[i]);
		malloc_trim(0);
	}
	diag("S7 %zu of %zu blocks with %zu mappings free", got, COUNT_OF(block), spare);
	munmap(p, MOST * page);
	return bad || churn.errors || use_malloc() || use_malloc_in_new_thread();
}

static int none(void)
{
	return crowded(0);
}

static int few(void)
{
	return crowded(40);
}

/* Mappings that heavy use of all sizes leaves behind. */
static int frugal(void)
{
	static void *block[20000];
	uint64_t state = 3;
	free(escape(malloc(1)));
	long before = mapping_count();
	for (int round = 0; round < 200000; round++) {
		size_t i = random_to(&state, COUNT_OF(block));
		free(block[i]);
		block[i] = malloc(random_size(&state, round % 100 ? 12 : 19));
		if (round % 20000 == 0)
			malloc_trim(0);
	}
	diag("S7 %ld mappings before, %ld after", before, mapping_count());
	return mapping_count() > before + 20;
}

int main(void)
{
	int code;
	watchdog(2 * HAZARD_SECONDS);
	code = how(in_child(none));
	if (code == 77)
		ok(1, "# SKIP S7 the kernel allows more mappings than this fills");
	else {
		is_int(code, 0, "S7 no mapping is left");
		is_int(how(in_child(few)), 0, "S7 forty mappings are left");
	}
	is_int(how(in_child(frugal)), 0, "S7 a heap in heavy use has few mappings");
	return tap_done();
}
