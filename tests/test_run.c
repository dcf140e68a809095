/* SPDX-License-Identifier: MIT */
/*
 * test_run - page runs against a shadow: who has which page, and what is written on it.
 *
 *   live[]   runs the test holds; every page of them names its run in its first word
 *   random   alloc (aligned, slab, large), free, resize, purge, rebuild: pages of
 *            live runs keep their word, a run that came clean reads as zero,
 *            the walk meets every page once
 *   scenes   best fit, stock, joining, purge by age and by budget, records,
 *            refused and lying purges, growth, a full arena, rebuild in a child
 *
 * run.c itself checks bins, queue and counters after every change (hz_run_check).
 */
#include "whitebox.h"

#include "bins.h"

enum { LIVE = 200 };

struct live {
	struct hz_run *r;
	uint32_t first, pages;
	bool slab;
	size_t touched;
	uint64_t mark;
};

static struct live live[LIVE];
static size_t nlive;
static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t *word_of(const struct live *l, size_t page)
{
	return (uint64_t *)(l->r->base + page * HZ_PAGE);
}

static bool page_zero(const void *p)
{
	return all_zero(p, HZ_PAGE);
}

static void write_pages(struct live *l, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		*word_of(l, i) = l->mark + i;
}

static void named(const struct live *l)
{
	const struct hz_arena *a = hz_run_arena(l->r);
	NEED(hz_run_first(l->r) == l->first && hz_run_pages(l->r) == l->pages);
	NEED(l->r->base == a->start + (size_t)l->first * HZ_PAGE);
	NEED(l->r->state == (l->slab ? HZ_RUN_SLAB : HZ_RUN_LARGE));
	NEED(hz_run_of(l->r->base) == l->r);
	for (size_t i = 0; l->slab && i < l->pages; i++)
		NEED(hz_run_of(l->r->base + i * HZ_PAGE) == l->r);
	NEED(hz_run_of(l->r->base + (size_t)(l->pages - 1) * HZ_PAGE) == l->r);
}

static void intact_pages(const struct live *l)
{
	named(l);
	for (size_t i = 0; i < l->pages; i++)
		NEED(*word_of(l, i) == l->mark + i || (l->slab && *word_of(l, i) == 0));
}

/* A run as its user makes it: all pages written, of a slab those up to `touched`. */
static struct live *take(size_t pages, size_t align, bool slab, size_t touched)
{
	struct hz_run *r = NULL;
	if (slab && align == 1 && pages <= HZ_STOCK_RUN_PAGES && hz_run_stock(&r, pages, 1))
		r->zero = false;
	if (!r)
		r = hz_run_alloc(pages, align, slab ? HZ_RUN_SLAB : HZ_RUN_LARGE);
	if (!r)
		return NULL;
	struct live *l = &live[nlive++];
	*l = (struct live){ r, hz_run_first(r), (uint32_t)pages, slab, touched,
			    random_next(&state) | 1 };
	NEED(hz_run_pages(r) == pages);
	NEED((uintptr_t)r->base % (align * HZ_PAGE) == 0);
	if (slab) {
		NEED(r->state == HZ_RUN_BUSY);
		r->state = HZ_RUN_SLAB;
	}
	for (size_t i = 0; r->zero && i < pages; i++)
		NEED_AT(page_zero(word_of(l, i)), i);
	if (!r->zero || !slab || touched > pages)
		touched = pages;
	for (size_t i = touched; i < pages; i++)
		NEED(page_zero(word_of(l, i)));
	write_pages(l, 0, touched);
	l->touched = touched;
	named(l);
	return l;
}

static void give(struct live *l)
{
	intact_pages(l);
	size_t touched = l->slab ? l->touched : l->pages;
	hz_run_free(l->r, touched);
	*l = live[--nlive];
}

static void resize(struct live *l, size_t pages)
{
	size_t have = l->pages;
	bool zero = l->r->zero;
	intact_pages(l);
	if (!hz_run_resize(l->r, pages)) {
		NEED(pages > have);
		intact_pages(l);
		return;
	}
	l->pages = (uint32_t)pages;
	NEED(zero || !l->r->zero);
	for (size_t i = have; l->r->zero && i < pages; i++)
		NEED(page_zero(word_of(l, i)));
	write_pages(l, have < pages ? have : pages, pages);
	intact_pages(l);
}

static void rebuild(void)
{
	hz_lock(&hz_arena_lock);
	hz_run_rebuild();
	hz_run_check();
	hz_unlock(&hz_arena_lock);
}

static void everything(void)
{
	struct census c = pages_whole();
	size_t pages = 0;
	NEED(c.lost == 0);
	for (size_t i = 0; i < nlive; i++) {
		intact_pages(&live[i]);
		pages += live[i].pages;
	}
	NEED(c.used == pages);
}

static void start(size_t bytes)
{
	NEED(hz_arena_init(bytes));
	hz_run_counts.now_ms = 1000;
}

static void give_all(void)
{
	while (nlive)
		give(&live[nlive - 1]);
	everything();
	struct census c = pages_whole();
	NEED(c.used == 0);
	hz_run_purge(0, 0);
	c = pages_whole();
	size_t begun = 0;
	for (uint32_t i = 0; i < hz_arenas_count; i++)
		begun += hz_arenas[i]->pages_top > 0;
	NEED(c.dirty == 0 && c.runs == begun);
}

/* Faults: 1 the kernel refuses now and then; 2 purges lie for a while. */
static void random_steps(long faults)
{
	start(8 * MIB);
	for (long step = 0; step < work(faults ? 3000 : 5000); step++) {
		size_t pages = random_to(&state, 16) ? 1 + random_to(&state, 40)
						      : 1 + random_to(&state, 700);
		size_t align = random_to(&state, 4) ? 1 : (size_t)1 << random_to(&state, 7);
		bool slab = pages <= 32 && random_to(&state, 2);
		if (faults == 1)
			hz_os_fault = (struct hz_os_fault){ .at = 1 + random_to(&state, 4),
							    .on = random_to(&state, 2) };
		if (faults == 2)
			hz_os_fault.lie = step / 100 % 2;
		switch (random_to(&state, 12)) {
		default:
			if (nlive < LIVE && hz_run_counts.used_pages < 3000 &&
			    !take(pages, slab ? 1 : align, slab, random_to(&state, pages + 1)))
				NEED(faults == 1);
			break;
		case 5: case 6: case 7: case 8:
			if (nlive)
				give(&live[random_to(&state, nlive)]);
			break;
		case 9: {
			struct live *l = nlive ? &live[random_to(&state, nlive)] : NULL;
			if (l && !l->slab)
				resize(l, pages);
			break;
		}
		case 10: {
			hz_run_counts.now_ms += random_to(&state, 20);
			size_t keep = random_to(&state, 1000), dirty = hz_run_counts.dirty_pages;
			bool young = random_to(&state, 2);
			size_t n = hz_run_purge(keep, young ? 0 : hz_run_counts.now_ms - 10);
			NEED(hz_run_counts.dirty_pages == dirty - n);
			NEED(faults || hz_run_loose() <= keep);
			break;
		}
		case 11:
			if (random_to(&state, 8) == 0)
				rebuild();
			break;
		}
		hz_os_fault.at = 0;
		if (step % 16 == 0)
			everything();
	}
	everything();
	hz_os_fault = (struct hz_os_fault){ 0 };
	rebuild(); /* what was stuck is asked for again */
	give_all();
}

static void lists(long arg)
{
	/* Slabs given back as a list, each with its own touched pages. */
	(void)arg;
	struct hz_run *list = NULL;
	start(8 * MIB);
	for (size_t i = 0; i < 20; i++) {
		struct live *l = take(1 + i % 8, 1, true, i % 3);
		l->r->next = list;
		list = l->r;
	}
	nlive = 0;
	hz_run_free_list(list);
	everything();
	NEED(hz_run_counts.used_pages == 0);
	give_all();
}

static void best_fit(long arg)
{
	(void)arg;
	uint32_t first[4];
	start(8 * MIB);
	/* Dirty holes of 9, 5, 7 and 70 pages, apart from each other. */
	for (size_t i = 0; i < 4; i++) {
		first[i] = take((size_t[]){ 9, 5, 7, 70 }[i], 1, false, 0)->first;
		take(1, 1, false, 0);
	}
	for (size_t i = 4; i-- > 0;)
		give(&live[2 * i]);
	NEED(nlive == 4);
	NEED(take(5, 1, false, 0)->first == first[1]);
	NEED(take(6, 1, false, 0)->first == first[2]);
	NEED(take(6, 1, false, 0)->first == first[0]); /* 1 page left of 7, 3 of 9 */
	NEED(take(3, 1, false, 0)->first == first[0] + 6);
	NEED(take(65, 1, false, 0)->first == first[3]); /* a bin of several sizes */
	NEED(hz_run_counts.dirty_pages == 6);
	struct live *l = take(71, 1, false, 0); /* nothing dirty is long enough */
	NEED(l && l->r->zero);
	everything();
	give_all();
}

static void joining(long arg)
{
	(void)arg;
	start(8 * MIB);
	/* Every order of giving back three neighbours ends in one run. */
	for (int order = 0; order < 6; order++) {
		static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
						  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
		struct live *l = take(4, 1, false, 0);
		struct hz_run *r[3] = { l->r, take(6, 1, false, 0)->r, take(8, 1, false, 0)->r };
		uint32_t at = hz_run_first(r[0]);
		NEED(hz_run_first(r[1]) == at + 4 && hz_run_first(r[2]) == at + 10);
		for (int i = 0; i < 3; i++)
			hz_run_free(r[orders[order][i]], SIZE_MAX);
		nlive = 0;
		NEED(hz_run_counts.dirty_pages == 18);
		NEED(take(18, 1, false, 0)->first == at);
		give_all(); /* clean again, one run */
	}
	/* What came clean and was not touched goes back as clean, at once. */
	struct live *l = take(20, 1, true, 7);
	NEED(l->r->zero && l->touched == 7);
	give(l);
	NEED(hz_run_counts.dirty_pages == 7);
	give_all();
	struct live *none = take(20, 1, true, 0);
	give(none);
	NEED(hz_run_counts.dirty_pages == 0);
	give_all();
}

static void stock(long arg)
{
	(void)arg;
	start(8 * MIB);
	struct hz_run *a = take(8, 1, true, 8)->r, *b = take(8, 1, true, 8)->r;
	NEED(hz_run_first(b) == hz_run_first(a) + 8);
	size_t reused = hz_run_counts.reused;
	hz_run_free(a, 8);
	hz_run_free(b, 8);
	nlive = 0;
	NEED(hz_run_counts.dirty_pages == 16 && hz_run_counts.used_pages == 0);
	NEED(a->state == HZ_RUN_BUSY && b->state == HZ_RUN_BUSY);
	/* Whole, the last one first, and never for an aligned run. */
	struct live *l = take(8, 1, true, 8);
	NEED(l->r == b && !b->zero && hz_run_counts.reused == reused + 1);
	l = take(8, 1, true, 8);
	NEED(l->r == a && hz_run_counts.dirty_pages == 0);
	hz_run_free(a, 8);
	hz_run_free(b, 8);
	nlive = 0;
	l = take(8, 64, true, 8);
	NEED(l && (uintptr_t)l->r->base % (64 * HZ_PAGE) == 0);
	/* A run of both: stock joins the bins instead of growing the heap. */
	give_all();
	for (int i = 0; i < 4; i++)
		take(16, 1, true, 16);
	uint32_t first = live[0].first;
	hz_run_counts.peak_pages = hz_run_counts.used_pages;
	while (nlive)
		give(&live[nlive - 1]);
	hz_run_counts.peak_pages = 32;
	l = take(64, 1, false, 0);
	NEED(l->first == first && !l->r->zero);
	everything();
	give_all();
	/* It is bounded: 256 pages while the heap is small. */
	for (int i = 0; i < 20; i++)
		take(32, 1, true, 32);
	while (nlive)
		give(&live[nlive - 1]);
	size_t busy = 0;
	for (int i = 0; i < 20; i++)
		busy += take(32, 1, true, 32)->r->zero;
	NEED(busy == 0); /* the rest came from the bins, dirty too */
	everything();
	give_all();
}

static void longest(long arg)
{
	(void)arg;
	static const uint32_t pages[] = { 20, 9000, 80, 100 };
	struct hz_run *r[COUNT_OF(pages)];
	start(64 * MIB);
	for (size_t i = 0; i < COUNT_OF(pages); i++) {
		r[i] = take(pages[i], 1, false, 0)->r;
		take(1, 1, false, 0);
	}
	for (uint32_t i = 0; i < COUNT_OF(pages); i++) {
		hz_run_counts.now_ms = 2000 + 100 * i;
		hz_run_free(r[i], SIZE_MAX);
	}
	/* A stretch of the longest; what is left of it is as old as before. */
	NEED(hz_run_purge(9000, 0) == 4096 && hz_run_counts.dirty_pages == 9200 - 4096);
	NEED(r[0]->state == HZ_RUN_DIRTY && hz_bins.oldest == r[0] && hz_bins.newest == r[3]);
	NEED(hz_bins.oldest->newer->freed_ms == 2100);
	NEED(hz_run_purge(200, 0) == 9000 - 4096 && hz_run_purge(199, 0) == 100);
	NEED(r[3]->state == HZ_RUN_CLEAN && hz_run_counts.dirty_pages == 100);
	/* One that was refused is not in the way. */
	hz_os_fault.lie = true;
	NEED(hz_run_purge(99, 0) == 0);
	hz_os_fault.lie = false;
	hz_run_check();
	NEED(hz_run_purge(0, 0) == 0 && hz_run_counts.dirty_pages == 100);
	struct live *l = take(10, 1, false, 0);
	give(l);
	NEED(hz_run_purge(70, 0) == 20 && hz_run_counts.dirty_pages == 80);
}

enum { MANY = 10000 };

/* Records that are not in the kernel's hands. */
static size_t records_kept(const struct hz_arena *a, size_t n)
{
	const struct hz_run *first = (struct hz_run *)(a->base + HZ_META_FIRST_BYTES);
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		kept += first[i].number != 0;
	return kept;
}

static void records(long lie)
{
	static struct hz_run *r[MANY];
	start(256 * MIB);
	for (int again = 0; again < 3; again++) {
		for (size_t i = 0; i < MANY; i++)
			NEED(r[i] = hz_run_alloc(1, 1, HZ_RUN_LARGE));
		struct hz_arena *a = hz_run_arena(r[0]);
		size_t n = (size_t)(a->runs_next - a->base - HZ_META_FIRST_BYTES) / sizeof(*r[0]);
		NEED(n >= MANY && n < MANY + 64 && records_kept(a, n) == n);
		/* Every other one: as many records as before, and more for what is between. */
		for (size_t i = 0; i < MANY; i += 2)
			hz_run_free(r[i], SIZE_MAX);
		if (!lie)
			hz_run_purge(0, 0);
		NEED(records_kept(a, n) == n);
		hz_os_fault.lie = lie;
		for (size_t i = 1; i < MANY; i += 2)
			hz_run_free(r[i], SIZE_MAX);
		hz_run_purge(0, 0);
		hz_os_fault.lie = false;
		everything();
		NEED(records_kept(a, n) < 200); /* used ones, and their neighbours */
	}
}

static void purge(long arg)
{
	(void)arg;
	start(64 * MIB);
	/* By age: only what was freed before. */
	struct hz_run *r[4];
	for (int i = 0; i < 4; i++) {
		r[i] = take(10, 1, false, 0)->r;
		take(1, 1, false, 0);
	}
	for (uint32_t i = 0; i < 4; i++) {
		hz_run_counts.now_ms = 2000 + 100 * i;
		hz_run_free(r[i], SIZE_MAX);
	}
	NEED(hz_run_purge(SIZE_MAX, 2000) == 0);
	NEED(hz_run_purge(SIZE_MAX, 2001) == 10 && r[0]->state == HZ_RUN_CLEAN);
	NEED(hz_run_purge(SIZE_MAX, 2201) == 20 && hz_run_counts.dirty_pages == 10);
	NEED(r[3]->state == HZ_RUN_DIRTY && r[2]->state == HZ_RUN_CLEAN);
	/* By budget; the clock's wrap is no age. */
	NEED(hz_run_purge(10, 0) == 0 && hz_run_purge(9, 0) == 10);
	hz_run_counts.now_ms = (uint32_t)-5;
	struct hz_run *wrap = hz_run_alloc(3, 1, HZ_RUN_LARGE);
	hz_run_free(wrap, SIZE_MAX);
	NEED(hz_run_purge(SIZE_MAX, (uint32_t)-6) == 0);
	NEED(hz_run_purge(SIZE_MAX, 5) > 0);
	/* Much at once goes in stretches, all of it. */
	struct hz_run *big = hz_run_alloc(9000, 1, HZ_RUN_LARGE);
	memset(big->base, 1, 9000 * HZ_PAGE);
	char *base = big->base;
	hz_run_free(big, SIZE_MAX);
	uint64_t calls = hz_os_counts.purge;
	NEED(hz_run_purge(0, 0) == 9000 && hz_os_counts.purge == calls + 3);
	NEED(all_zero(base, 9000 * HZ_PAGE));
	NEED(hz_run_counts.dirty_pages == 0);
}

/* Where pages were moved to, what is purged is mapped anew as well. */
static void renewed(long arg)
{
	(void)arg;
	start(8 * MIB);
	struct live *l = take(HZ_MOVED_PAGES, 1, false, 0);
	take(1, 1, false, 0);
	struct live *k = take(HZ_MOVED_PAGES - 1, 1, false, 0);
	take(1, 1, false, 0);
	char *base[] = { l->r->base, k->r->base };
	give(k); /* the later one first: what follows it in the list moves */
	give(l);
	uint64_t maps = hz_os_counts.map, purges = hz_os_counts.purge;
	hz_os_counts.shift = 1;
	NEED(hz_run_purge(0, 0) == 2 * HZ_MOVED_PAGES - 1);
	NEED(hz_os_counts.map == maps + 1 && hz_os_counts.purge == purges + 2);
	NEED(all_zero(base[0], HZ_MOVED_PAGES * HZ_PAGE));
	NEED(all_zero(base[1], (HZ_MOVED_PAGES - 1) * HZ_PAGE));
	/* Where that is refused, it is purged all the same, and ours. */
	l = take(HZ_MOVED_PAGES, 1, false, 0);
	give(l);
	hz_os_fault = (struct hz_os_fault){ .at = 2, .on = true };
	NEED(hz_run_purge(0, 0) == HZ_MOVED_PAGES && hz_run_counts.dirty_pages == 0);
	hz_os_fault = (struct hz_os_fault){ 0 };
	everything();
}

static void refused_purge(long lie)
{
	start(8 * MIB);
	struct live *l = take(10, 1, false, 0);
	take(1, 1, false, 0);
	uint32_t first = l->first;
	give(l);
	uint64_t refused = hz_os_counts.refused, calls = hz_os_counts.purge;
	hz_os_fault = (struct hz_os_fault){ .at = lie ? 0 : 1, .on = true, .lie = lie };
	NEED(hz_run_purge(0, 0) == 0 && hz_run_counts.dirty_pages == 10);
	NEED(hz_os_counts.refused == refused + !lie);
	hz_os_fault = (struct hz_os_fault){ 0 };
	/* Not asked for again until it was used. */
	NEED(hz_run_purge(0, 0) == 0 && hz_os_counts.purge == calls);
	everything();
	l = take(10, 1, false, 0);
	NEED(l->first == first && !l->r->zero);
	give(l);
	NEED(hz_run_purge(0, 0) == 10 && hz_run_counts.dirty_pages == 0);
	/* A stuck run joins the neighbour that is freed later. */
	l = take(10, 1, false, 0);
	struct hz_run *r = take(5, 1, false, 0)->r;
	NEED(hz_run_first(r) > first);
	give(l);
	hz_os_fault.lie = true;
	NEED(hz_run_purge(0, 0) == 0);
	hz_os_fault.lie = false;
	everything();
	while (nlive)
		give(&live[nlive - 1]);
	NEED(hz_run_purge(0, 0) > 0);
	everything();
	give_all();
}

static void resizing(long arg)
{
	(void)arg;
	start(8 * MIB);
	struct live *l = take(10, 1, false, 0);
	NEED(hz_run_resize(l->r, 10));
	/* Into clean pages behind, up to the committed end, and beyond by growth. */
	resize(l, 30);
	NEED(l->pages == 30);
	resize(l, hz_arenas[0]->pages_top - l->first);
	NEED(l->first + l->pages == hz_arenas[0]->pages_top);
	resize(l, l->pages + 20);
	NEED(l->first + l->pages <= hz_arenas[0]->pages_top);
	NEED(l->r->zero);
	/* Shorter: the tail is dirty, and may be had again. */
	uint32_t was = l->pages;
	resize(l, 3);
	NEED(l->pages == 3 && hz_run_counts.dirty_pages == was - 3);
	resize(l, 9);
	NEED(l->pages == 9 && !l->r->zero);
	/* Not into a neighbour, not beyond the reservation. */
	struct live *next = take(1, 1, false, 0);
	NEED(next->first == l->first + 9);
	NEED(!hz_run_resize(l->r, 10));
	hz_run_purge(0, 0); /* all behind it is of one kind */
	uint32_t left = hz_arenas[0]->pages_max - next->first;
	NEED(!hz_run_resize(next->r, left + 1) && hz_run_pages(next->r) == 1);
	resize(next, left);
	NEED(next->pages == left && hz_arenas[0]->pages_top == hz_arenas[0]->pages_max);
	everything();
	give_all();
}

static void full(long arg)
{
	(void)arg;
	start(256 * KIB);
	/* One arena after another, each with its own records, up to the last. */
	size_t n = 0, pages = 0;
	struct hz_run *r, *list = NULL;
	for (; (r = hz_run_alloc(30, 1, HZ_RUN_LARGE)); n++, pages += 30) {
		r->next = list;
		list = r;
	}
	NEED(hz_arenas_count == HZ_ARENAS_MAX && n >= 2 * HZ_ARENAS_MAX);
	NEED(hz_run_counts.used_pages == pages && pages_whole().lost == 0);
	NEED(!hz_run_alloc(5, 1, HZ_RUN_SLAB));
	for (uint32_t i = 0; i < HZ_ARENAS_MAX; i++) /* four pages are left of each */
		NEED_AT((r = hz_run_alloc(4, 1, HZ_RUN_LARGE)) != NULL, i);
	NEED(!hz_run_alloc(1, 1, HZ_RUN_SLAB) && !hz_run_alloc(UINT32_MAX, 1, HZ_RUN_LARGE));
	NEED(!hz_run_alloc(1, (size_t)1 << 40, HZ_RUN_LARGE));
	for (; list; list = r) {
		r = list->next;
		hz_run_free(list, SIZE_MAX);
	}
	NEED(pages_whole().lost == 0);
	NEED((r = hz_run_alloc(32, 32, HZ_RUN_LARGE)) || (r = hz_run_alloc(32, 1, HZ_RUN_LARGE)));
	NEED(hz_run_purge(0, 0) > 0);
	NEED(pages_whole().lost == 0);
}

static bool stop_at(struct hz_run *r, void *arg)
{
	size_t *left = arg;
	(void)r;
	return --*left > 0;
}

static void walking(long arg)
{
	(void)arg;
	size_t left = 3;
	start(8 * MIB);
	for (int i = 0; i < 10; i++)
		take(2, 1, i & 1, 2);
	hz_run_walk(stop_at, &left);
	NEED(left == 0);
	everything();
}

static void torn(long arg)
{
	/* A child of a parent that was inside: the lists are lost, the records are not. */
	(void)arg;
	start(8 * MIB);
	for (int i = 0; i < 60; i++)
		take(1 + (size_t)i % 9, 1, i % 3 != 0, (size_t)i % 4);
	for (int i = 0; i < 30; i++)
		give(&live[random_to(&state, nlive)]);
	hz_run_purge(10, 0);
	for (int i = 0; i < 10; i++)
		give(&live[random_to(&state, nlive)]);
	struct census was = pages_whole();
	rebuild();
	struct census is = pages_whole();
	NEED(is.lost == 0 && is.used == was.used && is.clean == was.clean);
	everything();
	/* A run in nobody's hands is dirty memory. */
	struct hz_run *r = hz_run_alloc(5, 1, HZ_RUN_SLAB);
	NEED(r && r->state == HZ_RUN_BUSY);
	rebuild();
	everything();
	give_all();
}

int main(void)
{
	scene(best_fit, 0, "the best fit of dirty runs, then clean ones");
	scene(joining, 0, "neighbours join, in every order; untouched pages stay clean");
	scene(stock, 0, "stock: whole, last in first out, bounded, cleared before growth");
	scene(lists, 0, "a list of slabs is freed, each with its touched pages");
	scene(purge, 0, "purge by age, by budget, in stretches");
	scene(longest, 0, "purge by budget: the longest first");
	scene(records, 0, "pages of unused records go back, and are records again");
	scene(records, 1, "and do so though the kernel only says that they went");
	scene(renewed, 0, "purged where pages were moved to: mapped anew");
	scene(refused_purge, 0, "a refused purge: dirty, not repeated until used");
	scene(refused_purge, 1, "a lying purge: the same");
	scene(resizing, 0, "resizing in place, by growth, not into neighbours");
	scene(full, 0, "arena after arena until all are full, and back");
	scene(walking, 0, "the walk stops when told");
	scene(torn, 0, "lists made anew from the records");
	scene(random_steps, 0, "random steps: every page has one owner and keeps its contents");
	scene(random_steps, 1, "random steps while the kernel refuses now and then");
	scene(random_steps, 2, "random steps while purges lie now and then");
	return tap_done();
}
