/* SPDX-License-Identifier: MIT */
/*
 * run.c - page runs handed out, taken back, resized and purged.
 *
 *   alloc    stock (slabs) -> dirty, best fit -> clean -> growth of an arena
 *            -> a further arena
 *   free     stock (slabs) -> joined into the bins, dirty or clean
 *   purge    dirty runs, to clean: what is old, or the longest in the fewest calls
 *
 * Stock (bins.h) is bounded and joins the bins before the heap would grow
 * beyond its recent peak or by much of it, by age, and when nothing else is left.
 *
 * Invariants: see run.h.  The lock is dropped while the kernel purges; the run
 * is BUSY then and belongs to the purger.  Who may call: see run.h.
 * It refuses to purge on its own account; pressure.c decides.
 */
#include "bins.h"

enum {
	/* Part of what is used, 2^-n, that stock may be when the heap grows. */
	GROW_SHIFT = 3,
};

_Alignas(64) struct hz_run_counts hz_run_counts; /* written often: lines of their own */

/* New clean pages at the end of arena a, joined with what is free there. */
static struct hz_run *grow(struct hz_arena *a, size_t pages)
{
	uint32_t first, got;
	struct hz_run *last = hz_bins_before(a, a->pages_top);
	size_t have = last && last->state == HZ_RUN_CLEAN ? hz_run_pages(last) : 0;
	if (!hz_bins_ready(a) || !hz_arena_grow(a, pages - hz_min(have, pages - 1), &first, &got))
		return NULL;
	struct hz_run *r = hz_bins_record_new(a);
	hz_run_set_span(r, first, got);
	hz_store(&r->state, HZ_RUN_BUSY);
	hz_bump(&hz_run_counts.grown, 1);
	return hz_bins_put_back(r, HZ_RUN_CLEAN);
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

/* The end of every change. */
static void leave(void)
{
	if (HZ_LANE_CHECK)
		hz_run_check();
	hz_unlock(&hz_arena_lock);
}

static void peak_seen(void)
{
	size_t used = hz_run_counts.used_pages;
	hz_store(&hz_run_counts.peak_pages, hz_max(used, hz_load(&hz_run_counts.peak_pages)));
	hz_store(&hz_run_counts.high_pages, hz_max(used, hz_load(&hz_run_counts.high_pages)));
}

/* A free run of at least so many pages, in its bin, or NULL. */
static struct hz_run *find_any(size_t pages)
{
	struct hz_run *r = hz_bins_find(HZ_KIND_DIRTY, pages);
	bool peak = hz_run_counts.used_pages + pages > hz_load(&hz_run_counts.peak_pages);
	if (!r && (peak || pages > HZ_STOCK_RUN_PAGES) && hz_bins_stock_break(pages))
		r = hz_bins_find(HZ_KIND_DIRTY, pages);
	if (!r)
		r = hz_bins_find(HZ_KIND_CLEAN, pages);
	/* Addresses are charged, too: no more of them for what stock is more than a little. */
	if (!r && hz_run_counts.stock_pages > hz_run_counts.used_pages >> GROW_SHIFT &&
	    hz_bins_stock_break(pages))
		r = hz_bins_find(HZ_KIND_DIRTY, pages);
	if (!r)
		r = grow_any(pages);
	if (!r && hz_bins_stock_clear())
		r = hz_bins_find(HZ_KIND_DIRTY, pages);
	return r;
}

static void used_more(size_t pages, bool fresh)
{
	hz_bump(fresh ? &hz_run_counts.fresh : &hz_run_counts.reused, 1);
	hz_bump(&hz_run_counts.used_pages, pages);
	peak_seen();
}

size_t hz_run_stock(struct hz_run **out, size_t pages, size_t n)
{
	if (!hz_load(&hz_bins.count[pages]))
		return 0;
	hz_lock(&hz_arena_lock);
	n = hz_bins_stock_take(out, pages, n);
	if (n) {
		used_more(n * pages, false);
		hz_bump(&hz_run_counts.reused, n - 1);
		hz_bump(&hz_run_counts.stock, n);
	}
	leave();
	return n;
}

void hz_run_free_whole(struct hz_run **runs, size_t pages, size_t n)
{
	hz_lock(&hz_arena_lock);
	hz_bump(&hz_run_counts.used_pages, -(n * pages));
	for (size_t i = 0; i < n; i++)
		hz_store(&runs[i]->state, HZ_RUN_BUSY);
	for (size_t i = hz_bins_stock_add(runs, pages, n); i < n; i++)
		hz_bins_put_back(runs[i], HZ_RUN_DIRTY);
	leave();
}

struct hz_run *hz_run_alloc(size_t pages, size_t align, enum hz_run_state state)
{
	size_t want = pages + align - 1;
	if (want > UINT32_MAX)
		return NULL;
	hz_lock(&hz_arena_lock);
	struct hz_run *r = find_any(want);
	if (!r || !hz_bins_ready(hz_run_arena(r))) {
		leave();
		return NULL;
	}
	hz_bins_unlink(r);
	enum hz_run_state was = r->state;
	struct hz_arena *a = hz_run_arena(r);
	size_t first = hz_run_first(r);
	size_t lead = align > 1 ? -(((uintptr_t)a->start >> HZ_PAGE_SHIFT) + first) & (align - 1)
				: 0;
	hz_store(&r->state, HZ_RUN_BUSY);
	if (lead) {
		struct hz_run *body = hz_bins_record_new(a);
		size_t all = hz_run_pages(r);
		hz_run_set_span(r, first, lead);
		hz_run_set_span(body, first + lead, all - lead);
		hz_store(&body->state, HZ_RUN_BUSY);
		hz_bins_put_back(r, was);
		r = body;
	}
	hz_bins_cut(r, pages, was);
	first = hz_run_first(r);
	r->base = a->start + (first << HZ_PAGE_SHIFT);
	r->zero = was == HZ_RUN_CLEAN;
	hz_run_name_ends(r);
	if (state != HZ_RUN_SLAB) /* a slab's state is set by who fills the record in */
		hz_store_release(&r->state, (uint8_t)state);
	used_more(pages, was == HZ_RUN_CLEAN);
	if (state == HZ_RUN_LARGE)
		hz_bump(&hz_run_counts.large_pages, pages);
	leave();
	/* Pages inside are nobody else's business: named without the lock. */
	if (state == HZ_RUN_SLAB)
		for (size_t i = 1; i + 1 < pages; i++)
			hz_run_name_page(r, first + i);
	return r;
}

static void free_one(struct hz_run *r, size_t touched)
{
	size_t pages = hz_run_pages(r);
	hz_bump(&hz_run_counts.used_pages, -pages);
	if (r->state == HZ_RUN_LARGE)
		hz_bump(&hz_run_counts.large_pages, -pages);
	bool split = r->zero && touched < pages && hz_bins_ready(hz_run_arena(r));
	bool slab = r->state == HZ_RUN_SLAB;
	hz_store(&r->state, HZ_RUN_BUSY);
	if (slab && !split && hz_bins_stock_add(&r, pages, 1))
		return;
	if (split && touched)
		hz_bins_cut(r, touched, HZ_RUN_CLEAN);
	hz_bins_put_back(r, split && !touched ? HZ_RUN_CLEAN : HZ_RUN_DIRTY);
}

void hz_run_free(struct hz_run *r, size_t touched)
{
	hz_lock(&hz_arena_lock);
	free_one(r, touched);
	leave();
}

void hz_run_kept_free(struct hz_kept *k, uint32_t n)
{
	if (!n)
		return;
	hz_lock(&hz_arena_lock);
	for (uint32_t i = 0; i < n; i++) {
		hz_bump(&k->pages, -hz_run_pages(k->run[i]));
		hz_store(&k->run[i]->state, HZ_RUN_LARGE);
		free_one(k->run[i], hz_run_pages(k->run[i]));
	}
	leave();
	k->n -= n;
	hz_move_down((void **)k->run, (void **)k->run + n, k->n);
}

bool hz_run_keep(struct hz_kept *k, struct hz_run *r, size_t most_pages)
{
	uint32_t pages = hz_run_pages(r);
	while (k->n == HZ_KEPT_RUNS || k->pages + (pages > most_pages ? 0 : pages) > most_pages)
		hz_run_kept_free(k, (k->n + 1) / 2);
	if (pages > most_pages)
		return false;
	hz_store(&r->state, HZ_RUN_BUSY);
	k->run[k->n++] = r;
	hz_bump(&k->pages, pages);
	return true;
}

struct hz_run *hz_run_kept(struct hz_kept *k, size_t pages)
{
	for (uint32_t i = k->n; i-- > 0;) {
		struct hz_run *r = k->run[i];
		uint32_t have = hz_run_pages(r);
		if (have < pages || have > pages + pages / 8)
			continue;
		hz_bump(&k->pages, -have);
		hz_move_down((void **)k->run + i, (void **)k->run + i + 1, --k->n - i);
		r->zero = false;
		hz_store(&r->state, HZ_RUN_LARGE);
		return r;
	}
	return NULL;
}

void hz_run_free_list(struct hz_run *list)
{
	hz_lock(&hz_arena_lock);
	for (struct hz_run *r = list, *next; r; r = next) {
		next = r->next;
		free_one(r, hz_pages_of((size_t)r->carved * r->block_bytes));
	}
	leave();
}

bool hz_run_resize(struct hz_run *r, size_t pages)
{
	bool done = false;
	hz_lock(&hz_arena_lock);
	struct hz_arena *a = hz_run_arena(r);
	size_t have = hz_run_pages(r), first = hz_run_first(r);
	if (!hz_bins_ready(a))
		goto out;
	if (pages <= have) {
		hz_bins_cut(r, pages, HZ_RUN_DIRTY);
	} else {
		struct hz_run *next = hz_bins_behind(a, first + have);
		if (first + have == a->pages_top ||
		    (next && first + have + hz_run_pages(next) == a->pages_top &&
		     hz_run_pages(next) < pages - have && next->state == HZ_RUN_CLEAN)) {
			if (!grow(a, pages - have))
				goto out;
			next = hz_bins_behind(a, first + have);
		}
		if (!next || hz_run_pages(next) < pages - have)
			goto out;
		enum hz_run_state was = next->state;
		hz_bins_unlink(next);
		hz_store(&next->state, HZ_RUN_BUSY);
		hz_bins_cut(next, pages - have, was);
		hz_bins_record_drop(next);
		hz_run_set_span(r, first, pages);
		r->zero = r->zero && was == HZ_RUN_CLEAN;
	}
	hz_run_name_ends(r);
	hz_bump(&hz_run_counts.used_pages, pages - have);
	hz_bump(&hz_run_counts.large_pages, pages - have);
	peak_seen();
	done = true;
out:
	leave();
	return done;
}

/* A stretch of a run, of at most this many pages or a sixteenth of it at a
 * time, so that a purge of much memory keeps no other thread from reusing it. */
enum { PURGE_PAGES = 4096 };

size_t hz_run_purge(size_t keep_pages, uint32_t before_ms)
{
	size_t purged = 0;
	hz_lock(&hz_arena_lock);
	hz_bins_stock_trim(!keep_pages, before_ms != 0);
	for (;;) {
		struct hz_run *r = before_ms ? NULL : hz_bins_longest();
		if (!r || r->stuck)
			r = hz_bins.oldest;
		if (!r)
			break;
		bool old = before_ms && (int32_t)(before_ms - r->freed_ms) > 0;
		if (!old && hz_run_loose() <= keep_pages)
			break;
		if (!hz_bins_ready(hz_run_arena(r)))
			break;
		struct hz_run *newer = r->newer;
		hz_bins_unlink(r);
		hz_store(&r->state, HZ_RUN_BUSY);
		uint32_t freed_ms = r->freed_ms;
		size_t pages = hz_run_pages(r), part = hz_max(PURGE_PAGES, pages >> 4);
		struct hz_arena *a = hz_run_arena(r);
		if (pages > part) {
			struct hz_run *rest = hz_bins_record_new(a);
			size_t first = hz_run_first(r);
			hz_run_set_span(r, first, part);
			hz_run_set_span(rest, first + part, pages - part);
			hz_store(&rest->state, HZ_RUN_DIRTY);
			hz_run_name_ends(rest);
			hz_bins_add(rest);
			hz_bins_enqueue(rest, freed_ms, newer);
			pages = part;
		}
		hz_run_name_ends(r);
		char *p = a->start + ((size_t)hz_run_first(r) << HZ_PAGE_SHIFT);
		hz_unlock(&hz_arena_lock);
		bool zero = hz_os_purge(p, pages << HZ_PAGE_SHIFT), ours = true;
		/* Where blocks were moved to is a mapping of its own, which joins others when it is
		 * mapped anew. */
		if (zero && pages >= HZ_MOVED_PAGES && hz_load(&hz_os_counts.shift))
			ours = hz_os_renew(p, pages << HZ_PAGE_SHIFT);
		hz_lock(&hz_arena_lock);
		purged += zero ? pages : 0;
		if (zero && ours) {
			hz_bins_put_back(r, HZ_RUN_CLEAN);
		} else if (ours) {
			/* Refused (locked memory, an emulator): still reusable, not
			 * asked for again until it was used. */
			hz_store(&r->state, HZ_RUN_DIRTY);
			r->stuck = true;
			hz_bins_add(r);
		}
	}
	for (uint32_t i = 0; i < hz_arenas_count; i++)
		hz_bins_records_purge(hz_arenas[i]);
	leave();
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

/* Free runs are BUSY, in no list, until the second walk comes to them; `zero`
 * says meanwhile which are clean. */
static bool rebuild_mark(struct hz_run *r, void *arg)
{
	(void)arg;
	if (hz_bins_is_free(r) || r->state == HZ_RUN_BUSY) {
		r->zero = r->state == HZ_RUN_CLEAN;
		hz_store(&r->state, HZ_RUN_BUSY);
		return true;
	}
	hz_run_counts.used_pages += hz_run_pages(r);
	if (r->state == HZ_RUN_LARGE)
		hz_run_counts.large_pages += hz_run_pages(r);
	return true;
}

static bool rebuild_free(struct hz_run *r, void *arg)
{
	(void)arg;
	if (r->state == HZ_RUN_BUSY)
		hz_bins_put_back(r, r->zero ? HZ_RUN_CLEAN : HZ_RUN_DIRTY);
	return true;
}

void hz_run_rebuild(void)
{
	hz_bins_reset(); /* what was in stock is BUSY and found by the walk */
	hz_run_counts.used_pages = hz_run_counts.large_pages = 0;
	hz_run_counts.dirty_pages = hz_run_counts.clean_pages = hz_run_counts.stock_pages = 0;
	hz_run_walk(rebuild_mark, NULL);
	hz_run_walk(rebuild_free, NULL);
}
