/* SPDX-License-Identifier: MIT */
/*
 * test_large - blocks of pages of their own: runs, and mappings where no arena has room.
 *
 *   sizes, alignment   usable to the last byte, zeroed where asked, no neighbour touched
 *   in place           grown into free pages, shrunk, the tail reused
 *   moved              pages to a longer run; contents there, old pages read as zero
 *   direct             256 full arenas: mappings, their table growing, with gaps
 *   kept               by each thread, within bounds, until it opens a slab or ends
 *   wrong pointers     refused, nothing changed
 */
#include "whitebox.h"

enum { MANY = 1500, KEPT = 64 * KIB /* a large block that is */ };

static uint64_t state = 88172645463325252u;

static void *take(size_t n, size_t align, bool zero)
{
	char *p = hz_large_alloc(n, align, zero);
	NEED(p && (uintptr_t)p % align == 0 && (uintptr_t)p % HZ_PAGE == 0);
	size_t usable = hz_large_size(p);
	NEED(usable >= n && usable < n + HZ_PAGE);
	NEED(!zero || all_zero(p, n));
	fill(p, usable, (uintptr_t)p);
	return p;
}

static void give(void *p)
{
	NEED(intact(p, hz_large_size(p), (uintptr_t)p));
	NEED(hz_large_free(p));
	NEED(!hz_large_free(p) && !hz_large_size(p));
}

static void end(void)
{
	hz_pressure_relieve();
	all_whole();
	NEED(hz_run_counts.used_pages == 0 && hz_run_counts.large_pages == 0);
	NEED(hz_large_counts.direct_bytes == 0 && hz_large_counts.direct_blocks == 0);
	NEED(hz_large_counts.allocs == hz_large_counts.frees);
}

static void sizes(long arg)
{
	(void)arg;
	static const size_t size[] = { 1, 4095, 4096, 4097, 131073, 200000, MIB - 1, 3 * MIB };
	void *p[COUNT_OF(size)];
	for (size_t align = 1; align <= 8 * MIB; align *= 4) {
		for (size_t i = 0; i < COUNT_OF(size); i++)
			p[i] = take(size[i], align, i & 1);
		for (size_t i = 0; i < COUNT_OF(size); i++)
			give(p[i]);
		all_whole();
	}
	NEED(!hz_large_alloc(PTRDIFF_MAX, 1, false));
	NEED(!hz_large_alloc(PTRDIFF_MAX, (size_t)1 << 62, true));
	NEED(!hz_large_alloc(1, (size_t)1 << 62, false));
	hz_large_counts.allocs -= 3;
	end();
}

static void wrong_pointers(long arg)
{
	char local[16];
	(void)arg;
	char *p = take(MIB, 1, false), *small = hzw_malloc(16);
	const void *bad[] = { p + 16, p + HZ_PAGE, p + MIB, p - HZ_PAGE, small, local, NULL,
			      (void *)1, (void *)(uintptr_t)-HZ_PAGE, (void *)HZ_PAGE };
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		NEED_AT(!hz_large_size(bad[i]) && !hz_large_free((void *)(uintptr_t)bad[i]), i);
	give(p);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		NEED_AT(!hz_large_size(bad[i]) && !hz_large_free((void *)(uintptr_t)bad[i]), i);
	hzw_free(small);
	hz_heap_flush_own();
	end();
}

static void in_place(long arg)
{
	(void)arg;
	char *p = take(200000, 1, false);
	for (size_t n = 200000; n < 4 * MIB; n += 100000) {
		size_t was = hz_large_size(p);
		char *q = hz_large_resize(p, n);
		NEED(q == p && hz_large_size(p) == hz_round_up(n, HZ_PAGE));
		NEED(intact(p, was, (uintptr_t)p));
		fill(p, hz_large_size(p), (uintptr_t)p);
		all_whole();
	}
	NEED(hz_large_counts.moved == 0);
	size_t used = hz_run_counts.used_pages;
	NEED(hz_large_resize(p, 200000) == p && intact(p, 200000, (uintptr_t)p));
	NEED(hz_run_counts.used_pages < used / 10);
	fill(p, hz_large_size(p), (uintptr_t)p);
	char *tail = take(300000, 1, true); /* what was given back, zeroed */
	NEED(tail == p + hz_large_size(p));
	give(tail);
	give(p);
	end();
}

static void moved(long arg)
{
	(void)arg;
	for (size_t n = 150000; n < 6 * MIB; n += n / 2) {
		char *p = take(n, 1, false), *wall = take(5000, 1, false);
		uint64_t moves = hz_large_counts.moved, spared = hz_large_counts.in_place;
		char *q = hz_large_resize(p, 2 * n);
		NEED(q && hz_large_size(q) >= 2 * n);
		NEED(intact_prefix(q, n, (uintptr_t)p));
		NEED(q != p || hz_large_counts.in_place == spared + 1);
		if (q != p && n > 512 * KIB)
			diag("%zu bytes: %s", n, hz_large_counts.moved > moves ? "moved" : "copied");
		NEED(q == p || !hz_large_size(p));
		fill(q, hz_large_size(q), (uintptr_t)q);
		all_whole();
		char *again = take(n, 1, true); /* the pages left behind, zeroed */
		give(again);
		give(wall);
		give(q);
		all_whole();
	}
	NEED(hz_large_counts.moved > 0);
	/* The kernel refuses to move: copied. */
	char *p = take(MIB, 1, false), *wall = take(5000, 1, false);
	hz_pressure_relieve();
	for (uint64_t k = 1; k < 6; k++) {
		hz_os_fault = (struct hz_os_fault){ .at = k };
		size_t n = hz_large_size(p);
		char *q = hz_large_resize(p, 2 * n);
		hz_os_fault = (struct hz_os_fault){ 0 };
		NEED_AT(q || intact(p, n, (uintptr_t)p), k);
		if (q) {
			NEED_AT(intact_prefix(q, n, (uintptr_t)p), k);
			p = q;
			NEED(hz_large_resize(p, MIB) == p);
			fill(p, hz_large_size(p), (uintptr_t)p);
		}
		all_whole();
	}
	give(p);
	give(wall);
	end();
}

static void random_steps(long arg)
{
	(void)arg;
	void *p[40] = { 0 };
	for (long step = 0; step < work(1500); step++) {
		void **at = &p[random_to(&state, COUNT_OF(p))];
		size_t n = 131073 + random_size(&state, 21);
		if (!*at) {
			*at = take(n, (size_t)1 << random_to(&state, 18), random_to(&state, 2));
		} else if (random_to(&state, 2)) {
			give(*at);
			*at = NULL;
		} else {
			size_t was = hz_large_size(*at);
			char *q = hz_large_resize(*at, n);
			NEED(q);
			NEED(intact_prefix(q, was < n ? was : n, (uintptr_t)*at));
			*at = q;
			fill(q, hz_large_size(q), (uintptr_t)q);
		}
		if (step % 16 == 0)
			all_whole();
	}
	for (size_t i = 0; i < COUNT_OF(p); i++)
		if (p[i])
			give(p[i]);
	end();
}

/* Arenas of 256 KiB, all there may be: larger blocks are mappings. */
static void fill_arenas(void)
{
	setenv("HZ_ARENA_SIZE", "256K", 1);
	hzw_free(hzw_malloc(1));
	hz_heap_flush_own();
	NEED(hz_arenas[0]->pages_max == 64);
	hz_lock(&hz_arena_lock);
	while (hz_arenas_count < HZ_ARENAS_MAX)
		NEED(hz_arena_add(1));
	hz_unlock(&hz_arena_lock);
}

static void direct(long arg)
{
	(void)arg;
	static char *p[MANY];
	size_t bytes = 0, n;
	fill_arenas();
	for (size_t i = 0; i < MANY; i++) {
		n = 300000 + i;
		size_t align = i % 5 ? 1 : (size_t)1 << (12 + i % 10);
		p[i] = hz_large_alloc(n, align, i & 1);
		NEED_AT(p[i] && (uintptr_t)p[i] % align == 0 && !hz_page_of(p[i]), i);
		NEED_AT(hz_large_size(p[i]) == hz_round_up(n, HZ_PAGE), i);
		bytes += hz_large_size(p[i]);
		memcpy(p[i], &i, sizeof(i));
		p[i][hz_large_size(p[i]) - 1] = 1;
		/* Gaps, again and again: half of them go at once. */
		if (i % 2) {
			bytes -= hz_large_size(p[i - 1]);
			NEED_AT(hz_large_free(p[i - 1]) && !hz_large_free(p[i - 1]), i);
		}
		NEED(hz_large_counts.direct_bytes == bytes);
	}
	NEED(hz_large_counts.direct_blocks == MANY / 2);
	for (size_t i = 1; i < MANY; i += 2) {
		size_t mark;
		memcpy(&mark, p[i], sizeof(mark));
		n = hz_large_size(p[i]);
		NEED_AT(mark == i && n == hz_round_up(300000 + i, HZ_PAGE), i);
		NEED_AT(!hz_large_size(p[i] + HZ_PAGE) && !hz_large_free(p[i] + HZ_PAGE), i);
		/* Longer, shorter, and as long as it is. */
		char *q = hz_large_resize(p[i], n + (i % 3) * 100000 - (i % 4) * 30000);
		NEED_AT(q && (q == p[i] || !hz_large_size(p[i])), i);
		memcpy(&mark, q, sizeof(mark));
		NEED_AT(mark == i, i);
		p[i] = q;
	}
	for (size_t i = 1; i < MANY; i += 2)
		NEED_AT(hz_large_free(p[i]), i);
	end();
}

static void direct_refused(long arg)
{
	(void)arg;
	fill_arenas();
	/* Every call of an allocation, of a resize, of a free. */
	for (uint64_t k = 1; k < 12; k++)
		for (int on = 0; on < 2; on++) {
			hz_os_fault = (struct hz_os_fault){ .at = k, .on = on };
			errno = ELIBBAD;
			char *p = hz_large_alloc(300000, k % 2 ? 1 : 64 * KIB, true);
			hz_os_fault = (struct hz_os_fault){ 0 };
			NEED_AT(errno == ELIBBAD && (p || on || k < 12), k);
			if (!p)
				p = hz_large_alloc(300000, 1, true);
			NEED_AT(p && all_zero(p, 300000), k);
			fill(p, 300000, k);
			hz_os_fault = (struct hz_os_fault){ .at = k, .on = on };
			char *q = hz_large_resize(p, 900000);
			hz_os_fault = (struct hz_os_fault){ 0 };
			NEED_AT(intact(q ? q : p, 300000, k), k);
			NEED_AT(hz_large_size(q ? q : p) >= (q ? 900000u : 300000u), k);
			hz_os_fault = (struct hz_os_fault){ .at = k, .on = on };
			NEED_AT(hz_large_free(q ? q : p) && !hz_large_size(q ? q : p), k);
			hz_os_fault = (struct hz_os_fault){ 0 };
		}
	NEED(hz_large_counts.direct_bytes == 0 && hz_large_counts.direct_blocks == 0);
	/* The table cannot grow: it fills no further than one free entry. */
	static char *p[600];
	size_t n = 0;
	for (; n < COUNT_OF(p); n++) {
		p[n] = hz_large_alloc(300000, 1, false);
		if (!p[n])
			break;
		memcpy(p[n], &n, sizeof(n));
	}
	NEED(n == COUNT_OF(p));
	for (size_t i = 0; i < n; i++) {
		size_t mark;
		memcpy(&mark, p[i], sizeof(mark));
		NEED_AT(mark == i && hz_large_free(p[i]), i);
	}
	NEED(hz_large_counts.direct_bytes == 0 && hz_large_counts.direct_blocks == 0);
}

/* Threads that move mappings about, each over the addresses the others leave. */
static void *mover(void *arg)
{
	uint64_t mine = (uintptr_t)arg;
	char *p[8] = { 0 };
	size_t n[8];
	for (long i = 0; i < work(15000); i++) {
		size_t at = random_to(&mine, COUNT_OF(p)), bytes;
		bytes = 300000 + random_to(&mine, 64) * HZ_PAGE;
		if (p[at]) {
			uint64_t mark;
			char *q = hz_large_resize(p[at], bytes);
			NEED_AT(q && hz_large_size(q) >= bytes, i);
			memcpy(&mark, q, sizeof(mark));
			NEED_AT(mark == (uintptr_t)arg * 100 + at, i);
			p[at] = q;
			if (i % 3 == 0) {
				NEED_AT(hz_large_free(p[at]), i);
				p[at] = NULL;
			}
		} else {
			n[at] = (uintptr_t)arg * 100 + at;
			p[at] = hz_large_alloc(bytes, 1, false);
			NEED_AT(p[at], i);
			memcpy(p[at], &n[at], sizeof(n[at]));
		}
	}
	for (size_t i = 0; i < COUNT_OF(p); i++)
		NEED_AT(!p[i] || hz_large_free(p[i]), i);
	return NULL;
}

static void movers(long arg)
{
	(void)arg;
	pthread_t thread[8];
	fill_arenas();
	for (uintptr_t i = 0; i < COUNT_OF(thread); i++)
		thread[i] = start_thread(mover, (void *)(i + 1));
	for (size_t i = 0; i < COUNT_OF(thread); i++)
		pthread_join(thread[i], NULL);
	hz_heap_flush_own();
	end();
}

/* What one thread keeps whole. */
static struct hz_kept *kept(void)
{
	return &hz_tls.heap->kept;
}

static uint32_t here, done; /* threads that have a heap; that shall end */

static void *bystander(void *arg)
{
	hzw_free(hzw_malloc(1));
	hz_add(&here, 1);
	while (!hz_load_acquire(&done))
		usleep(100);
	if (arg) { /* what it keeps goes with it */
		give(take(KEPT, 1, false));
		NEED(kept()->n == 1);
	}
	return NULL;
}

static pthread_t not_alone(void *arg)
{
	pthread_t thread = start_thread(bystander, arg);
	while (!hz_load_acquire(&here))
		usleep(100);
	return thread;
}

static void keeps(long arg)
{
	hzw_free(hzw_malloc(1));
	give(take(KEPT, 1, false));
	NEED(kept()->n == 0); /* alone: at most a part of what large blocks have */
	char *more = take(2 * KEPT, 1, false);
	give(take(KEPT, 1, false));
	NEED(kept()->n == 1);
	char *slab = hzw_malloc(3000); /* a new slab: what is kept comes first */
	NEED(kept()->n == 0);
	hzw_free(slab);
	give(more);
	pthread_t thread = not_alone((void *)arg);
	char *p = take(KEPT, 1, false), *q = take(KEPT, 1, false);
	size_t used = hz_run_counts.used_pages;
	give(p);
	NEED(kept()->n == 1 && kept()->pages == KEPT / HZ_PAGE && hz_run_counts.used_pages == used);
	all_whole();
	/* Not the next, not one an eighth longer than this, nor one with an alignment. */
	NEED(!hz_large_resize(p, 2 * KEPT));
	char *other[] = { hz_large_alloc(KEPT + 1, 1, false), hz_large_alloc(KEPT - 2 * HZ_PAGE, 1, false),
			  hz_large_alloc(KEPT, KEPT, false) };
	for (size_t i = 0; i < COUNT_OF(other); i++)
		NEED_AT(other[i] && other[i] != p && kept()->n == 1, i);
	char *again = hz_large_alloc(KEPT - HZ_PAGE, 1, true);
	NEED(again == p && all_zero(p, KEPT - HZ_PAGE) && hz_large_size(p) == KEPT);
	NEED(kept()->n == 0 && kept()->pages == 0 && hz_tls.heap->counts.kept == 1);
	fill(p, KEPT, (uintptr_t)p);
	give(p);
	for (size_t i = 0; i < COUNT_OF(other); i++)
		NEED(hz_large_free(other[i]));
	/* At most so many, of so many bytes. */
	size_t most = hz_pressure_share() / 2;
	char *many[3 * HZ_KEPT_RUNS];
	for (size_t i = 0; i < COUNT_OF(many); i++)
		many[i] = take(HZ_PAGE, 1, false);
	for (size_t i = 0; i < COUNT_OF(many); i++) {
		give(many[i]);
		NEED_AT(kept()->n <= HZ_KEPT_RUNS && kept()->pages * (size_t)HZ_PAGE <= most, i);
	}
	NEED(kept()->n >= HZ_KEPT_RUNS / 2);
	give(take(most + MIB, 1, false));
	NEED(kept()->n >= HZ_KEPT_RUNS / 2);
	all_whole();
	/* A child keeps what the forking thread kept; no more what others did. */
	pid_t pid = fork();
	if (pid == 0) {
		uint32_t n = kept()->n;
		for (size_t i = 0; i < 100; i++)
			hzw_free(hzw_malloc(200000));
		NEED(kept()->n == n);
		hz_heap_flush_own();
		NEED(kept()->n == 0);
		all_whole();
		_exit(0);
	}
	NEED(ended_well(reap(pid)));
	give(q);
	hz_store_release(&done, 1);
	pthread_join(thread, NULL);
	all_whole();
	hz_heap_flush_own();
	end();
}

/* Forked while another thread is among the runs: they are put up anew, kept ones, too. */
static void keeps_torn(long arg)
{
	(void)arg;
	hzw_free(hzw_malloc(1));
	not_alone(NULL);
	give(take(KEPT, 1, false));
	NEED(kept()->n == 1);
	hz_arena_lock.word = hz_self() + 64; /* somebody's */
	pid_t pid = fork();
	if (pid == 0) {
		hzw_free(hzw_malloc(200000));
		NEED(kept()->n == 0 && !hz_arena_lock.word);
		all_whole();
		NEED(hz_run_counts.large_pages == 0);
		_exit(0);
	}
	NEED(ended_well(reap(pid)));
}

int main(void)
{
	scene(sizes, 0, "sizes and alignments, usable and zeroed to the last byte");
	scene(wrong_pointers, 0, "what is not the start of a large block is refused");
	scene(in_place, 0, "grown and shrunk in place");
	scene(moved, 0, "moved to longer runs, or copied");
	scene(random_steps, 0, "random steps");
	scene(direct, 0, "mappings beside full arenas, found through a table that grows");
	scene(direct_refused, 0, "mappings while the kernel refuses");
	scene(movers, 0, "threads that move mappings lose none");
	scene(keeps, 0, "a thread keeps some");
	scene(keeps, 1, "and what another one kept when it ended is free");
	scene(keeps_torn, 0, "and in a child forked while the lock was held nobody does");
	return tap_done();
}
