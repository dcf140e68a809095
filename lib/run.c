/* SPDX-License-Identifier: MIT */
/*
 * run.c - bins, splitting, coalescing and the purge queue.
 *
 *   bins[kind][b]   b < 64: runs of exactly b+1 pages
 *                   else:   four bins per doubling, best of the first few
 *   purge queue     dirty runs, oldest first
 *   stock[n]        former slabs of n pages, whole, last in first out
 *
 * Allocation: best fit among dirty, then among clean, then growth of an
 * arena.  A run is cut at the front; what is left keeps its kind.  Freeing
 * joins neighbours of the same kind: page entries of a free run's first and
 * last page name its record, and the record says whether it ends there.
 *
 * Former slabs first go into stock: taking one again is a few instructions
 * where joining and cutting are hundreds, and finds pages that are touched.
 * Stock is bounded, and joins the bins before the heap would grow beyond its
 * recent peak, when it ages, and before anything is purged.
 *
 * Order of stores: a record gives pages up before another one takes them, so
 * that an interrupted change (fork in another thread) loses pages at worst
 * and never has two runs claim one.
 */
#include "run.h"

enum {
	EXACT = 64, /* bins of one size */
	BINS = EXACT + 4 * 26, /* up to 2^32 pages */
	WORDS = (BINS + 63) / 64,
	/* Runs looked at in a bin of several sizes: best fit in practice. */
	SCAN = 16,
	/* Runs from this size on are pieced together from dirty and clean
	 * neighbours, of which the dirty one has at least half a MiB. */
	JOIN_PAGES = 256,
	JOIN_BIN = EXACT + 4 * 1, /* 128 pages */
	/* Largest run in stock: the largest slab. */
	STOCK_RUN_PAGES = 32,
	/* Stock kept whatever the heap's size, and its part of the heap: 1 MiB
	 * and an eighth.  Random replacement of blocks to 128 KiB swings by
	 * about that. */
	STOCK_PAGES = 256,
	STOCK_SHIFT = 3,
	/* Records set aside before a change: a cut leaves at most two. */
	SPARE = 3,
};

enum kind { DIRTY, CLEAN, KINDS };

static struct {
	struct hz_run *bins[KINDS][BINS];
	uint64_t full[KINDS][WORDS]; /* bit: bin not empty */
	struct hz_run *oldest, *newest; /* purge queue */
	struct hz_run *records[HZ_ARENAS_MAX]; /* unused ones, linked by next */
	uint32_t spare[HZ_ARENAS_MAX]; /* how many */
	struct hz_run *stock[STOCK_RUN_PAGES + 1]; /* by pages, linked by next */
	size_t stock_pages; /* counted as dirty */
} run;

struct hz_run_counts hz_run_counts;

static unsigned bin_of(size_t pages)
{
	if (pages <= EXACT)
		return (unsigned)pages - 1;
	unsigned log = 63 - (unsigned)__builtin_clzll(pages); /* >= 6 */
	return EXACT + (log - 6) * 4 + (unsigned)((pages >> (log - 2)) & 3);
}

static enum kind kind_of(const struct hz_run *r)
{
	return r->state == HZ_RUN_DIRTY ? DIRTY : CLEAN;
}

static size_t *count_of(uint8_t state)
{
	return state == HZ_RUN_DIRTY ? &hz_run_counts.dirty_pages
				     : &hz_run_counts.clean_pages;
}

static void set_span(struct hz_run *r, size_t first, size_t pages)
{
	hz_store(&r->span, (uint64_t)pages << 32 | (uint32_t)first);
}

static void name_page(struct hz_run *r, size_t page)
{
	hz_store(&hz_arena_page(hz_run_arena(r), page)->run, r->number);
}

static void name_ends(struct hz_run *r)
{
	uint32_t first = hz_run_first(r);
	name_page(r, first);
	name_page(r, first + hz_run_pages(r) - 1);
}

/* Unused records. */

static bool ready(struct hz_arena *a)
{
	if (run.spare[a->number] >= SPARE)
		return true;
	return hz_arena_runs_ready(a, SPARE, sizeof(struct hz_run));
}

static struct hz_run *record_new(struct hz_arena *a)
{
	struct hz_run *r = run.records[a->number];
	if (r) {
		run.records[a->number] = r->next;
		run.spare[a->number]--;
		return r;
	}
	r = (struct hz_run *)a->runs_next;
	a->runs_next += sizeof(*r);
	r->arena = (uint16_t)a->number;
	r->number = (uint32_t)(r - (struct hz_run *)a->base);
	return r;
}

static void record_drop(struct hz_run *r)
{
	hz_store(&r->state, HZ_RUN_UNUSED);
	set_span(r, 0, 0);
	r->next = run.records[r->arena];
	run.records[r->arena] = r;
	run.spare[r->arena]++;
}

/* Bins and queue. */

static void bin_add(struct hz_run *r)
{
	enum kind k = kind_of(r);
	unsigned b = bin_of(hz_run_pages(r));
	struct hz_run *head = run.bins[k][b];
	r->prev = NULL;
	r->next = head;
	if (head)
		head->prev = r;
	run.bins[k][b] = r;
	run.full[k][b / 64] |= 1ULL << b % 64;
	hz_bump(count_of(r->state), hz_run_pages(r));
}

static void bin_remove(struct hz_run *r)
{
	enum kind k = kind_of(r);
	unsigned b = bin_of(hz_run_pages(r));
	if (r->prev)
		r->prev->next = r->next;
	else
		run.bins[k][b] = r->next;
	if (r->next)
		r->next->prev = r->prev;
	if (!run.bins[k][b])
		run.full[k][b / 64] &= ~(1ULL << b % 64);
	hz_bump(count_of(r->state), -(size_t)hz_run_pages(r));
}

static void queue_add(struct hz_run *r, uint32_t when)
{
	r->freed_ms = when;
	r->stuck = false;
	r->newer = NULL;
	r->older = run.newest;
	if (run.newest)
		run.newest->newer = r;
	else
		run.oldest = r;
	run.newest = r;
}

static void queue_remove(struct hz_run *r)
{
	if (r->stuck)
		return;
	if (r->older)
		r->older->newer = r->newer;
	else
		run.oldest = r->newer;
	if (r->newer)
		r->newer->older = r->older;
	else
		run.newest = r->older;
}

static void unlink_free(struct hz_run *r)
{
	bin_remove(r);
	if (r->state == HZ_RUN_DIRTY)
		queue_remove(r);
}

static bool is_free(const struct hz_run *r)
{
	return r->state == HZ_RUN_CLEAN || r->state == HZ_RUN_DIRTY;
}

/* Free neighbours of the page range [first, first+pages) of arena a. */

static struct hz_run *before(struct hz_arena *a, size_t first)
{
	if (!first)
		return NULL;
	uint32_t n = hz_load(&hz_arena_page(a, first - 1)->run);
	struct hz_run *r = n ? hz_run_record(a, n) : NULL;
	return r && is_free(r) && hz_run_first(r) + (size_t)hz_run_pages(r) == first ? r : NULL;
}

static struct hz_run *behind(struct hz_arena *a, size_t end)
{
	if (end >= a->pages_top)
		return NULL;
	uint32_t n = hz_load(&hz_arena_page(a, end)->run);
	struct hz_run *r = n ? hz_run_record(a, n) : NULL;
	return r && is_free(r) && hz_run_first(r) == end ? r : NULL;
}

/* Puts the pages of r, which is in no list, back as `state`, joined with its
 * neighbours of that kind.  Returns the joined run. */
static struct hz_run *put_back(struct hz_run *r, enum hz_run_state state)
{
	struct hz_arena *a = hz_run_arena(r);
	size_t first = hz_run_first(r), pages = hz_run_pages(r);
	struct hz_run *next = behind(a, first + pages);
	if (next && next->state == state) {
		unlink_free(next);
		pages += hz_run_pages(next);
		record_drop(next);
	}
	struct hz_run *prev = before(a, first);
	if (prev && prev->state == state) {
		unlink_free(prev);
		size_t more = hz_run_pages(prev);
		record_drop(r);
		first -= more;
		pages += more;
		r = prev;
	}
	hz_store(&r->state, (uint8_t)state);
	set_span(r, first, pages);
	name_ends(r);
	bin_add(r);
	if (state == HZ_RUN_DIRTY)
		queue_add(r, (uint32_t)hz_load(&hz_run_counts.now_ms));
	return r;
}

/* Cuts r, in no list, to its front `pages`; the rest goes back as `state`. */
static void cut(struct hz_run *r, size_t pages, enum hz_run_state state)
{
	size_t first = hz_run_first(r), all = hz_run_pages(r);
	if (all == pages)
		return;
	struct hz_run *rest = record_new(hz_run_arena(r));
	set_span(r, first, pages);
	set_span(rest, first + pages, all - pages);
	hz_store(&rest->state, HZ_RUN_BUSY);
	put_back(rest, state);
}

/* Stock. */

static bool stock_add(struct hz_run *r, size_t pages)
{
	size_t most = hz_max(STOCK_PAGES, hz_run_counts.used_pages >> STOCK_SHIFT);
	if (pages > STOCK_RUN_PAGES || run.stock_pages + pages > most)
		return false;
	r->next = run.stock[pages];
	run.stock[pages] = r;
	run.stock_pages += pages;
	hz_bump(&hz_run_counts.dirty_pages, pages);
	return true;
}

static struct hz_run *stock_take(size_t pages)
{
	struct hz_run *r = run.stock[pages];
	if (r) {
		run.stock[pages] = r->next;
		run.stock_pages -= pages;
		hz_bump(&hz_run_counts.dirty_pages, -pages);
	}
	return r;
}

/* Everything in stock joins the bins; whether there was anything. */
static bool stock_clear(void)
{
	if (!run.stock_pages)
		return false;
	for (size_t n = 1; n <= STOCK_RUN_PAGES; n++)
		for (struct hz_run *r; (r = stock_take(n));)
			put_back(r, HZ_RUN_DIRTY);
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

static struct hz_run *find(enum kind k, size_t pages)
{
	unsigned b = bin_of(pages);
	if (b >= EXACT) {
		struct hz_run *r = best_in(run.bins[k][b], pages);
		if (r)
			return r;
		b++;
	}
	for (unsigned w = b / 64; w < WORDS; w++) {
		uint64_t bits = run.full[k][w];
		if (w == b / 64)
			bits &= ~0ULL << b % 64;
		if (bits)
			return best_in(run.bins[k][w * 64 + (unsigned)__builtin_ctzll(bits)],
				       pages);
	}
	return NULL;
}

/* A dirty run that with its clean neighbours is long enough, both taken from
 * their lists and joined; so that memory at hand serves before new memory
 * does.  Of the candidates the one that is dirtiest. */
static struct hz_run *find_joined(size_t pages)
{
	struct hz_run *best = NULL;
	for (unsigned b = bin_of(pages) + 1; b-- > JOIN_BIN;) {
		struct hz_run *r = run.bins[DIRTY][b];
		for (int i = 0; r && i < SCAN; i++, r = r->next) {
			struct hz_arena *a = hz_run_arena(r);
			size_t first = hz_run_first(r), have = hz_run_pages(r);
			struct hz_run *prev = before(a, first), *next = behind(a, first + have);
			size_t all = have + (prev ? hz_run_pages(prev) : 0) +
				     (next ? hz_run_pages(next) : 0);
			if (all >= pages && (!best || have > hz_run_pages(best)))
				best = r;
		}
		if (best)
			break;
	}
	if (!best)
		return NULL;
	struct hz_arena *a = hz_run_arena(best);
	size_t first = hz_run_first(best), all = hz_run_pages(best);
	struct hz_run *next = behind(a, first + all), *prev = before(a, first);
	unlink_free(best);
	hz_store(&best->state, HZ_RUN_BUSY);
	if (next) {
		unlink_free(next);
		all += hz_run_pages(next);
		record_drop(next);
		set_span(best, first, all);
	}
	if (prev && all < pages) {
		unlink_free(prev);
		all += hz_run_pages(prev);
		first = hz_run_first(prev);
		record_drop(best);
		best = prev;
		set_span(best, first, all);
	}
	hz_store(&best->state, HZ_RUN_DIRTY);
	name_ends(best);
	bin_add(best);
	queue_add(best, (uint32_t)hz_load(&hz_run_counts.now_ms));
	return best;
}

/* New clean pages at the end of arena a, joined with what is free there. */
static struct hz_run *grow(struct hz_arena *a, size_t pages)
{
	uint32_t first, got;
	struct hz_run *last = before(a, a->pages_top);
	size_t have = last && last->state == HZ_RUN_CLEAN ? hz_run_pages(last) : 0;
	if (!ready(a) || !hz_arena_grow(a, pages - hz_min(have, pages - 1), &first, &got))
		return NULL;
	struct hz_run *r = record_new(a);
	set_span(r, first, got);
	hz_store(&r->state, HZ_RUN_BUSY);
	hz_bump(&hz_run_counts.grown, 1);
	return put_back(r, HZ_RUN_CLEAN);
}

static struct hz_run *grow_any(size_t pages)
{
	for (uint32_t i = hz_arenas_count; i-- > 0;) {
		struct hz_run *r = grow(hz_arenas[i], pages);
		if (r)
			return r;
	}
	struct hz_arena *a = hz_arena_add(pages);
	return a ? grow(a, pages) : NULL;
}

static void peak_seen(void)
{
	if (hz_run_counts.used_pages > hz_load(&hz_run_counts.peak_pages))
		hz_store(&hz_run_counts.peak_pages, hz_run_counts.used_pages);
}

static struct hz_run *find_dirty(size_t pages)
{
	struct hz_run *r = find(DIRTY, pages);
	return r || pages < JOIN_PAGES ? r : find_joined(pages);
}

/* A free run of at least so many pages, in its bin, or NULL. */
static struct hz_run *find_any(size_t pages)
{
	struct hz_run *r = find_dirty(pages);
	bool peak = hz_run_counts.used_pages + pages > hz_load(&hz_run_counts.peak_pages);
	if (!r && (peak || pages > STOCK_RUN_PAGES) && stock_clear())
		r = find_dirty(pages);
	if (!r)
		r = find(CLEAN, pages);
	if (!r)
		r = grow_any(pages);
	if (!r && stock_clear())
		r = find_dirty(pages);
	return r;
}

static void used_more(size_t pages, bool fresh)
{
	hz_bump(fresh ? &hz_run_counts.fresh : &hz_run_counts.reused, 1);
	hz_bump(&hz_run_counts.used_pages, pages);
	peak_seen();
}

struct hz_run *hz_run_alloc(size_t pages, size_t align, enum hz_run_state state)
{
	size_t want = pages + align - 1;
	if (want > UINT32_MAX)
		return NULL;
	hz_lock(&hz_arena_lock);
	struct hz_run *r = NULL;
	if (state == HZ_RUN_SLAB && want <= STOCK_RUN_PAGES)
		r = stock_take(pages);
	if (r) { /* base and page entries are as the last slab had them */
		used_more(pages, false);
		hz_unlock(&hz_arena_lock);
		r->zero = false;
		return r;
	}
	r = find_any(want);
	if (!r || !ready(hz_run_arena(r))) {
		hz_unlock(&hz_arena_lock);
		return NULL;
	}
	unlink_free(r);
	enum hz_run_state was = r->state;
	struct hz_arena *a = hz_run_arena(r);
	size_t first = hz_run_first(r);
	size_t lead = align > 1 ? -(((uintptr_t)a->start >> HZ_PAGE_SHIFT) + first) & (align - 1)
				: 0;
	hz_store(&r->state, HZ_RUN_BUSY);
	if (lead) {
		struct hz_run *body = record_new(a);
		size_t all = hz_run_pages(r);
		set_span(r, first, lead);
		set_span(body, first + lead, all - lead);
		hz_store(&body->state, HZ_RUN_BUSY);
		put_back(r, was);
		r = body;
	}
	cut(r, pages, was);
	first = hz_run_first(r);
	r->base = a->start + (first << HZ_PAGE_SHIFT);
	r->zero = was == HZ_RUN_CLEAN;
	name_ends(r);
	if (state != HZ_RUN_SLAB) /* a slab's state is set by who fills the record in */
		hz_store_release(&r->state, (uint8_t)state);
	used_more(pages, was == HZ_RUN_CLEAN);
	if (state == HZ_RUN_LARGE)
		hz_bump(&hz_run_counts.large_pages, pages);
	hz_unlock(&hz_arena_lock);
	/* Pages inside are nobody else's business: named without the lock. */
	if (state == HZ_RUN_SLAB)
		for (size_t i = 1; i + 1 < pages; i++)
			name_page(r, first + i);
	return r;
}

static void free_one(struct hz_run *r, size_t touched)
{
	size_t pages = hz_run_pages(r);
	hz_bump(&hz_run_counts.used_pages, -pages);
	if (r->state == HZ_RUN_LARGE)
		hz_bump(&hz_run_counts.large_pages, -pages);
	bool split = r->zero && touched < pages && ready(hz_run_arena(r));
	bool slab = r->state == HZ_RUN_SLAB;
	hz_store(&r->state, HZ_RUN_BUSY);
	if (slab && !split && stock_add(r, pages))
		return;
	if (split && touched)
		cut(r, touched, HZ_RUN_CLEAN);
	put_back(r, split && !touched ? HZ_RUN_CLEAN : HZ_RUN_DIRTY);
}

void hz_run_free(struct hz_run *r, size_t touched)
{
	hz_lock(&hz_arena_lock);
	free_one(r, touched);
	hz_unlock(&hz_arena_lock);
}

void hz_run_free_list(struct hz_run *list)
{
	hz_lock(&hz_arena_lock);
	for (struct hz_run *r = list, *next; r; r = next) {
		next = r->next;
		free_one(r, r->touched);
	}
	hz_unlock(&hz_arena_lock);
}

bool hz_run_resize(struct hz_run *r, size_t pages)
{
	bool done = false;
	hz_lock(&hz_arena_lock);
	struct hz_arena *a = hz_run_arena(r);
	size_t have = hz_run_pages(r), first = hz_run_first(r);
	if (!ready(a))
		goto out;
	if (pages <= have) {
		cut(r, pages, HZ_RUN_DIRTY);
		done = true;
	} else {
		struct hz_run *next = behind(a, first + have);
		if (first + have == a->pages_top ||
		    (next && first + have + hz_run_pages(next) == a->pages_top &&
		     hz_run_pages(next) < pages - have && next->state == HZ_RUN_CLEAN)) {
			if (!grow(a, pages - have))
				goto out;
			next = behind(a, first + have);
		}
		if (!next || hz_run_pages(next) < pages - have)
			goto out;
		enum hz_run_state was = next->state;
		unlink_free(next);
		hz_store(&next->state, HZ_RUN_BUSY);
		cut(next, pages - have, was);
		record_drop(next);
		set_span(r, first, pages);
		r->zero = r->zero && was == HZ_RUN_CLEAN;
		done = true;
	}
	if (done) {
		name_ends(r);
		hz_bump(&hz_run_counts.used_pages, pages - have);
		hz_bump(&hz_run_counts.large_pages, pages - have);
		peak_seen();
	}
out:
	hz_unlock(&hz_arena_lock);
	return done;
}

/* A stretch of the queue's oldest run, of at most this many pages at a time,
 * so that a purge of much memory keeps no other thread from reusing it. */
enum { PURGE_PAGES = 4096 };

size_t hz_run_purge(size_t keep_pages, uint32_t before_ms)
{
	size_t purged = 0;
	hz_lock(&hz_arena_lock);
	stock_clear();
	for (;;) {
		struct hz_run *r = run.oldest;
		if (!r)
			break;
		bool old = before_ms && (int32_t)(before_ms - r->freed_ms) > 0;
		if (!old && hz_run_counts.dirty_pages <= keep_pages)
			break;
		if (!ready(hz_run_arena(r)))
			break;
		unlink_free(r);
		hz_store(&r->state, HZ_RUN_BUSY);
		uint32_t freed_ms = r->freed_ms;
		size_t pages = hz_run_pages(r);
		struct hz_arena *a = hz_run_arena(r);
		if (pages > PURGE_PAGES) {
			struct hz_run *rest = record_new(a);
			size_t first = hz_run_first(r);
			set_span(r, first, PURGE_PAGES);
			set_span(rest, first + PURGE_PAGES, pages - PURGE_PAGES);
			hz_store(&rest->state, HZ_RUN_DIRTY);
			name_ends(rest);
			bin_add(rest);
			/* As old as it was: back to the front of the queue. */
			queue_add(rest, freed_ms);
			queue_remove(rest);
			rest->older = NULL;
			rest->newer = run.oldest;
			if (run.oldest)
				run.oldest->older = rest;
			else
				run.newest = rest;
			run.oldest = rest;
			pages = PURGE_PAGES;
		}
		name_ends(r);
		char *p = a->start + ((size_t)hz_run_first(r) << HZ_PAGE_SHIFT);
		hz_unlock(&hz_arena_lock);
		bool zero = hz_os_purge(p, pages << HZ_PAGE_SHIFT);
		hz_lock(&hz_arena_lock);
		if (zero) {
			purged += pages;
			put_back(r, HZ_RUN_CLEAN);
		} else {
			/* Refused (locked memory, an emulator): still reusable, not
			 * asked for again until it was used. */
			hz_store(&r->state, HZ_RUN_DIRTY);
			r->stuck = true;
			bin_add(r);
		}
	}
	hz_unlock(&hz_arena_lock);
	return purged;
}

void hz_run_walk(bool (*fn)(struct hz_run *r, void *arg), void *arg)
{
	uint32_t arenas = hz_load_acquire(&hz_arenas_count);
	for (uint32_t i = 0; i < arenas; i++) {
		struct hz_arena *a = hz_arenas[i];
		uint32_t top = hz_load_acquire(&a->pages_top);
		for (size_t page = 0; page < top;) {
			uint32_t n = hz_load(&hz_arena_page(a, page)->run);
			struct hz_run *r = n ? hz_run_record(a, n) : NULL;
			size_t pages = r ? hz_run_pages(r) : 0;
			if (!r || hz_run_first(r) != page || !pages ||
			    hz_load(&r->state) == HZ_RUN_UNUSED || page + pages > top) {
				page++; /* being changed, or lost in a fork */
				continue;
			}
			if (!fn(r, arg))
				return;
			page += pages;
		}
	}
}

static bool rebuild_one(struct hz_run *r, void *arg)
{
	(void)arg;
	if (r->state == HZ_RUN_BUSY)
		hz_store(&r->state, HZ_RUN_DIRTY);
	if (is_free(r)) {
		name_ends(r);
		bin_add(r);
		if (r->state == HZ_RUN_DIRTY)
			queue_add(r, (uint32_t)hz_load(&hz_run_counts.now_ms));
	} else {
		hz_run_counts.used_pages += hz_run_pages(r);
		if (r->state == HZ_RUN_LARGE)
			hz_run_counts.large_pages += hz_run_pages(r);
	}
	return true;
}

void hz_run_rebuild(void)
{
	for (int k = 0; k < KINDS; k++) {
		for (int b = 0; b < BINS; b++)
			run.bins[k][b] = NULL;
		for (int w = 0; w < WORDS; w++)
			run.full[k][w] = 0;
	}
	run.oldest = run.newest = NULL;
	for (int n = 0; n <= STOCK_RUN_PAGES; n++)
		run.stock[n] = NULL; /* BUSY runs are found by the walk */
	run.stock_pages = 0;
	for (int i = 0; i < HZ_ARENAS_MAX; i++) {
		run.records[i] = NULL; /* may be mid-change: left behind */
		run.spare[i] = 0;
	}
	hz_run_counts.used_pages = hz_run_counts.large_pages = 0;
	hz_run_counts.dirty_pages = hz_run_counts.clean_pages = 0;
	hz_run_walk(rebuild_one, NULL);
}
