/* SPDX-License-Identifier: MIT */
/*
 * bins.c - free runs: where they wait and how they are joined and cut.
 *
 *   of[kind][b]     b < 64: runs of exactly b+1 pages
 *                   else:   four bins per doubling, best of the first few
 *   purge queue     dirty runs, oldest first
 *   stock[n]        former slabs of n pages, whole: an array, last in first out
 *   records         of no run at present, for the next cut
 *
 * A run is cut at the front; what is left keeps its kind.  Freeing joins
 * neighbours of the same kind: page entries of a free run's first and last
 * page name its record, and the record says whether it ends there.
 *
 * Former slabs first go into stock: taking one again is a few instructions
 * where joining and cutting are hundreds, and finds pages that are touched.
 *
 * Order of stores: a record gives pages up before another one takes them, so that an interrupted
 * change (fork in another thread) loses pages at worst and never has two runs claim one.
 *
 * Who may call: run.c, with hz_arena_lock held.  It refuses to decide which
 * kind is taken first and when memory is given back.
 */
#include "bins.h"

enum {
	/* Runs looked at in a bin of several sizes: best fit in practice. */
	SCAN = 16,
	/* Records set aside before a change: a cut leaves at most two. */
	SPARE = 3,
	/* Spare ones more than before that are worth a look for pages of no others: 32 KiB. */
	MUCH_SPARE = 256,
	/* Runs of one length in stock: 512 bytes of pointers, or 32 KiB, touched as used. */
	STOCK_LEAST = 64,
	STOCK_MOST = 4096,
};

struct hz_bins hz_bins;

static size_t *count_of(uint8_t state)
{
	return state == HZ_RUN_DIRTY ? &hz_run_counts.dirty_pages
				     : &hz_run_counts.clean_pages;
}

bool hz_bins_ready(struct hz_arena *a)
{
	while (a->spare.n < SPARE) {
		char **at = &a->spare.hollow;
		if (!*at || *at >= a->runs_next) {
			if (!hz_arena_runs_ready(a, 1, sizeof(struct hz_run)))
				return false;
			at = &a->runs_next;
		}
		struct hz_run *r = (struct hz_run *)*at;
		*at += sizeof(*r);
		if (r->number)
			continue; /* was not given back */
		r->arena = (uint16_t)a->number;
		r->number = (uint32_t)(r - (struct hz_run *)a->base);
		hz_bins_record_drop(r);
	}
	return true;
}

static void record_unlink(struct hz_run *r)
{
	struct hz_arena *a = hz_run_arena(r);
	hz_run_unlink(&a->spare.list, r);
	a->spare.n--;
}

struct hz_run *hz_bins_record_new(struct hz_arena *a)
{
	struct hz_run *r = a->spare.list;
	record_unlink(r);
	return r;
}

void hz_bins_record_drop(struct hz_run *r)
{
	hz_store(&r->state, HZ_RUN_UNUSED);
	hz_run_set_span(r, 0, 0);
	struct hz_arena *a = hz_run_arena(r);
	hz_run_link(&a->spare.list, r);
	a->spare.n++;
}

void hz_bins_records_purge(struct hz_arena *a)
{
	size_t page = hz_os_page_bytes(), n = page / sizeof(struct hz_run);
	uint32_t all = a->spare.n;
	a->spare.seen = (uint32_t)hz_min(a->spare.seen, all);
	if (all - a->spare.seen < MUCH_SPARE || all < hz_run_counts.used_pages)
		return;
	char *first = a->base + HZ_META_FIRST_BYTES, *from = first; /* of those that go */
	for (char *p = first; p <= a->runs_next; p += page) {
		struct hz_run *r = (struct hz_run *)p;
		size_t i = 0;
		while (p + page <= a->runs_next && i < n && r[i].state == HZ_RUN_UNUSED && r[i].number)
			i++;
		if (i == n) {
			while (i--)
				record_unlink(&r[i]);
			continue;
		}
		if (p > from && !hz_os_purge(from, (size_t)(p - from)))
			hz_zero(from, (size_t)(p - from));
		from = p + page;
	}
	a->spare.seen = a->spare.n;
	if (a->spare.n != all)
		a->spare.hollow = first;
}

/* Bins and queue. */

void hz_bins_add(struct hz_run *r)
{
	enum hz_run_kind k = hz_kind_of(r);
	unsigned b = hz_bin_of(hz_run_pages(r));
	hz_run_link(&hz_bins.of[k][b], r);
	hz_bins.full[k][b / 64] |= 1ULL << b % 64;
	hz_bump(count_of(r->state), hz_run_pages(r));
}

void hz_bins_enqueue(struct hz_run *r, uint32_t when, struct hz_run *newer)
{
	r->freed_ms = when;
	r->stuck = false;
	r->newer = newer;
	r->older = newer ? newer->older : hz_bins.newest;
	*(r->older ? &r->older->newer : &hz_bins.oldest) = r;
	*(newer ? &newer->older : &hz_bins.newest) = r;
}

void hz_bins_unlink(struct hz_run *r)
{
	enum hz_run_kind k = hz_kind_of(r);
	unsigned b = hz_bin_of(hz_run_pages(r));
	hz_run_unlink(&hz_bins.of[k][b], r);
	if (!hz_bins.of[k][b])
		hz_bins.full[k][b / 64] &= ~(1ULL << b % 64);
	hz_bump(count_of(r->state), -(size_t)hz_run_pages(r));
	if (k == HZ_KIND_CLEAN || r->stuck)
		return;
	*(r->older ? &r->older->newer : &hz_bins.oldest) = r->newer;
	*(r->newer ? &r->newer->older : &hz_bins.newest) = r->older;
}

/* Free neighbours of the page range [first, first+pages) of arena a. */

struct hz_run *hz_bins_before(struct hz_arena *a, size_t first)
{
	if (!first)
		return NULL;
	uint32_t n = hz_load(&hz_arena_page(a, first - 1)->run);
	struct hz_run *r = n ? hz_run_record(a, n) : NULL;
	return r && hz_bins_is_free(r) && hz_run_first(r) + (size_t)hz_run_pages(r) == first ? r : NULL;
}

struct hz_run *hz_bins_behind(struct hz_arena *a, size_t end)
{
	if (end >= a->pages_top)
		return NULL;
	uint32_t n = hz_load(&hz_arena_page(a, end)->run);
	struct hz_run *r = n ? hz_run_record(a, n) : NULL;
	return r && hz_bins_is_free(r) && hz_run_first(r) == end ? r : NULL;
}

struct hz_run *hz_bins_put_back(struct hz_run *r, enum hz_run_state state)
{
	struct hz_arena *a = hz_run_arena(r);
	size_t first = hz_run_first(r), pages = hz_run_pages(r);
	struct hz_run *next = hz_bins_behind(a, first + pages);
	if (next && next->state == state) {
		hz_bins_unlink(next);
		pages += hz_run_pages(next);
		hz_bins_record_drop(next);
	}
	struct hz_run *prev = hz_bins_before(a, first);
	if (prev && prev->state == state) {
		hz_bins_unlink(prev);
		size_t more = hz_run_pages(prev);
		hz_bins_record_drop(r);
		first -= more;
		pages += more;
		r = prev;
	}
	hz_store(&r->state, (uint8_t)state);
	hz_run_set_span(r, first, pages);
	hz_run_name_ends(r);
	hz_bins_add(r);
	if (state == HZ_RUN_DIRTY)
		hz_bins_enqueue(r, (uint32_t)hz_load(&hz_run_counts.now_ms), NULL);
	return r;
}

void hz_bins_cut(struct hz_run *r, size_t pages, enum hz_run_state state)
{
	size_t first = hz_run_first(r), all = hz_run_pages(r);
	if (all == pages)
		return;
	struct hz_run *rest = hz_bins_record_new(hz_run_arena(r));
	hz_run_set_span(r, first, pages);
	hz_run_set_span(rest, first + pages, all - pages);
	hz_store(&rest->state, HZ_RUN_BUSY);
	hz_bins_put_back(rest, state);
}

/* Stock. */

/* More than this joins the hz_bins. */
static size_t stock_most(void)
{
	return hz_max(HZ_LANE_STOCK_BYTES >> HZ_PAGE_SHIFT,
		      hz_run_counts.used_pages >> HZ_LANE_STOCK_SHIFT);
}

static void stock_count(size_t pages, size_t more)
{
	hz_bump(&hz_bins.count[pages], (uint32_t)more);
	hz_bins.low[pages] = (uint32_t)hz_min(hz_bins.low[pages], hz_bins.count[pages]);
	hz_bump(&hz_run_counts.stock_pages, more * pages);
	hz_bump(&hz_run_counts.dirty_pages, more * pages);
}

/* Room for n more, or for none. */
static bool stock_room(size_t pages, size_t n)
{
	uint32_t have = hz_bins.count[pages], room = hz_bins.room[pages];
	uint32_t more = room ? STOCK_MOST : STOCK_LEAST;
	if (have + n <= room)
		return true;
	struct hz_run **a = room < more ? hz_meta_alloc(more * sizeof(*a)) : NULL;
	if (!a)
		return false;
	for (size_t i = 0; i < have; i++)
		a[i] = hz_bins.stock[pages][i];
	hz_bins.stock[pages] = a;
	hz_bins.room[pages] = more;
	return true;
}

size_t hz_bins_stock_add(struct hz_run **runs, size_t pages, size_t n)
{
	size_t most = stock_most(), have = hz_run_counts.stock_pages;
	if (pages > HZ_STOCK_RUN_PAGES || have + pages > most)
		return 0;
	n = hz_min(n, (most - have) / pages);
	if (!stock_room(pages, n))
		return 0;
	for (size_t i = 0; i < n; i++)
		hz_bins.stock[pages][hz_bins.count[pages] + i] = runs[i];
	stock_count(pages, n);
	return n;
}

size_t hz_bins_stock_take(struct hz_run **out, size_t pages, size_t n)
{
	n = hz_min(n, hz_bins.count[pages]);
	stock_count(pages, -n);
	for (size_t i = 0; i < n; i++)
		out[i] = hz_bins.stock[pages][hz_bins.count[pages] + i];
	return n;
}

/* Joins what is below the newest `keep` runs of so many pages into the hz_bins. */
static void stock_cut(size_t pages, uint32_t keep)
{
	struct hz_run **a = hz_bins.stock[pages];
	size_t n = hz_bins.count[pages] - keep;
	stock_count(pages, -n);
	for (size_t i = 0; i < n; i++)
		hz_bins_put_back(a[i], HZ_RUN_DIRTY);
	if (n)
		hz_move_down((void **)a, (void **)a + n, keep);
}

bool hz_bins_stock_break(size_t pages)
{
	for (size_t n = pages; n <= HZ_STOCK_RUN_PAGES; n++) {
		struct hz_run *r;
		if (hz_bins.count[n] && hz_bins_stock_take(&r, n, 1))
			return hz_bins_put_back(r, HZ_RUN_DIRTY);
	}
	return hz_bins_stock_clear();
}

void hz_bins_stock_trim(bool all, bool aged)
{
	all = all || hz_run_counts.stock_pages > stock_most();
	for (size_t n = 1; n <= HZ_STOCK_RUN_PAGES; n++) {
		stock_cut(n, all ? 0 : hz_bins.count[n] - (aged ? hz_bins.low[n] : 0));
		if (aged)
			hz_bins.low[n] = hz_bins.count[n];
	}
}

bool hz_bins_stock_clear(void)
{
	if (!hz_run_counts.stock_pages)
		return false;
	hz_bins_stock_trim(true, false);
	return true;
}

static struct hz_run *best_in(struct hz_run *r, size_t pages)
{
	struct hz_run *best = NULL;
	for (int i = 0; r && i < SCAN; i++, r = r->next) {
		size_t have = hz_run_pages(r);
		if (have >= pages && (!best || have < hz_run_pages(best)))
			best = r;
	}
	return best;
}

struct hz_run *hz_bins_find(enum hz_run_kind k, size_t pages)
{
	unsigned b = hz_bin_of(pages);
	if (b >= HZ_BINS_EXACT) {
		struct hz_run *r = best_in(hz_bins.of[k][b], pages);
		if (r)
			return r;
		b++;
	}
	for (unsigned w = b / 64; w < HZ_BINS_WORDS; w++) {
		uint64_t bits = hz_bins.full[k][w];
		if (w == b / 64)
			bits &= ~0ULL << b % 64;
		if (bits)
			return best_in(hz_bins.of[k][w * 64 + (unsigned)__builtin_ctzll(bits)],
				       pages);
	}
	return NULL;
}

struct hz_run *hz_bins_longest(void)
{
	for (unsigned w = HZ_BINS_WORDS; w--;) {
		uint64_t bits = hz_bins.full[HZ_KIND_DIRTY][w];
		if (bits)
			return hz_bins.of[HZ_KIND_DIRTY][w * 64 + 63 - (unsigned)__builtin_clzll(bits)];
	}
	return NULL;
}

void hz_bins_reset(void)
{
	hz_zero(&hz_bins, sizeof(hz_bins));
	for (uint32_t i = 0; i < hz_arenas_count; i++)
		hz_arenas[i]->spare = (struct hz_spares){ 0 }; /* may be mid-change: left behind */
}
