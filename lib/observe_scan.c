/* SPDX-License-Identifier: MIT */
/*
 * observe_scan.c - one look at the runs of some segments.
 *
 *   arena   |  seg  |  seg  |  seg  | ...        seg: 1 MiB aligned
 *           | slab | dirty | slab | large ......... | clean | slab |
 *                    pieces of runs, segment by segment -> figures
 *
 * Blocks in magazines and batches are marked in a bitmap that covers a window
 * of addresses; a slab's live blocks are those neither free nor marked.  A
 * scan goes on where the last one ended.  No lock
 * is held: a run that changes meanwhile is skipped or counted as it was, every
 * field is bounded before it is used, and nothing is followed but records at
 * known places.
 *
 * It refuses to look at more than its budget unless asked to.
 */
#include "observe.h"

#include "observe_held.h"

/* The segment being read: figures in pages. */
struct seg {
	uintptr_t number; /* address >> HZ_SEG_SHIFT; 0 = none */
	uint32_t used; /* slabs and large blocks */
	uint32_t dirty; /* free and resident */
	uint32_t stretch, longest; /* free ones in a row: now, at most */
	uint32_t small, small_free;
	uint32_t family[HZ_FAMILIES]; /* slabs */
	bool live; /* a block of the program lies in it */
};

struct window {
	struct hz_observation *o;
	uintptr_t low; /* first address marks stand for ... */
	size_t bits; /* ... and how many there are */
	uint32_t budget; /* segments */
	struct seg seg;
};

static void mark(void *p, uint32_t c, enum hz_held where, void *arg)
{
	struct window *w = arg;
	struct hz_scan *s = &w->o->scan;
	if (c >= HZ_CLASSES || !p)
		return;
	if (where == HZ_HELD_MAGAZINE) {
		s->held_bytes[c] += hz_classes[c].bytes;
		s->held_blocks++;
	} else {
		s->remote_bytes += hz_classes[c].bytes;
		s->remote_blocks++;
	}
	size_t bit = ((uintptr_t)p - w->low) >> 4;
	if (bit < w->bits)
		w->o->mark[bit / 64] |= 1ULL << bit % 64;
}

static void seg_end(struct window *w)
{
	struct hz_scan *s = &w->o->scan;
	struct seg *g = &w->seg;
	if (g->used) {
		s->segs++;
		if (g->dirty) {
			s->pack_segs++;
			s->pack_free_pages += g->dirty;
			if (g->longest >= hz_option.contig_pages)
				s->pack_candidate_pages += g->longest;
		}
		if (g->small) {
			s->small_segs++;
			s->small_candidates += g->small_free > 0;
			s->small_pages += g->small;
			s->small_free_pages += g->small_free;
		}
		for (int f = 0; f < HZ_FAMILIES && !g->live; f++)
			s->empty_segs[f] += g->family[f] == g->used;
	}
	*g = (struct seg){ 0 };
}

/* Makes the segment of this address the current one. */
static struct seg *seg_at(struct window *w, uintptr_t address)
{
	if (w->seg.number != address >> HZ_SEG_SHIFT) {
		seg_end(w);
		w->seg.number = address >> HZ_SEG_SHIFT;
	}
	return &w->seg;
}

static bool marked(const struct window *w, uintptr_t p)
{
	size_t bit = (p - w->low) >> 4;
	return bit < w->bits && w->o->mark[bit / 64] >> bit % 64 & 1;
}

/* Pages (bits) of the slab that a live block touches; *live counts blocks. */
static uint64_t live_pages(const struct window *w, const struct hz_run *r, unsigned carved,
			   uint32_t bytes, unsigned *live)
{
	uint64_t pages = 0;
	uintptr_t base = (uintptr_t)r->base;
	*live = 0;
	for (unsigned i = 0; i < carved; i++) {
		if (hz_load(&r->bits[i / 64]) >> i % 64 & 1)
			continue;
		size_t off = (size_t)i * bytes;
		if (marked(w, base + off))
			continue;
		++*live;
		unsigned first = (unsigned)(off >> HZ_PAGE_SHIFT);
		unsigned last = (unsigned)((off + bytes - 1) >> HZ_PAGE_SHIFT);
		pages |= (2ULL << (last & 63)) - (1ULL << (first & 63));
	}
	return pages;
}

static unsigned occupancy_of(unsigned live, unsigned blocks)
{
	return live ? 1 + (live * 4 - 1) / blocks : 0;
}

static void add_slab(struct window *w, const struct hz_run *r, uintptr_t at, size_t pages)
{
	unsigned c = hz_load(&r->class_no), carved = hz_load(&r->carved);
	unsigned nfree = hz_load(&r->nfree), live;
	if (c >= HZ_CLASSES || pages > 64)
		return;
	uint32_t bytes = hz_classes[c].bytes;
	unsigned blocks = hz_classes[c].blocks;
	if (carved > blocks)
		carved = blocks;
	enum hz_family family = hz_family_of(bytes);
	uint64_t used = live_pages(w, r, carved, bytes, &live);
	struct hz_scan_class *k = &w->o->scan.of[c];
	size_t tail = (pages << HZ_PAGE_SHIFT) - (size_t)blocks * bytes;
	size_t touched = hz_pages_of((size_t)carved * bytes);
	k->pages += (uint32_t)pages;
	k->occupancy[occupancy_of(live, blocks)] += (uint32_t)pages;
	k->live += live;
	k->tail_bytes += tail;
	k->free_bytes += (uint64_t)hz_min(nfree, blocks) * bytes;
	k->partial_slabs += live && live < blocks;
	if (live == blocks) {
		k->full_pages += (uint32_t)pages;
		k->full_tail_bytes += tail;
	}
	k->untouched_pages += (uint32_t)__builtin_popcount(hz_load(&r->purged));
	if (r->zero && touched < pages)
		k->untouched_pages += (uint32_t)(pages - touched);
	for (size_t i = 0; i < pages; i++) {
		struct seg *g = seg_at(w, at + (i << HZ_PAGE_SHIFT));
		bool page_live = used >> i & 1;
		g->used++;
		g->stretch = 0;
		g->live |= page_live;
		if (family < HZ_FAMILIES)
			g->family[family]++;
		if (family == HZ_FAMILY_SMALL) {
			g->small++;
			g->small_free += !page_live;
		}
	}
}

/* The pages of a run that is no slab, piece by piece of each segment. */
static void add_pages(struct window *w, uint8_t state, uintptr_t at, size_t pages)
{
	while (pages) {
		struct seg *g = seg_at(w, at);
		size_t page = at >> HZ_PAGE_SHIFT & (HZ_SEG_PAGES - 1);
		uint32_t n = (uint32_t)hz_min(pages, HZ_SEG_PAGES - page);
		if (state == HZ_RUN_LARGE) {
			g->used += n;
			g->live = true;
			g->stretch = 0;
		} else if (state == HZ_RUN_CLEAN) {
			g->stretch = 0; /* the kernel has these: nothing to gain */
		} else {
			g->dirty += n;
			g->stretch += n;
			if (g->stretch > g->longest)
				g->longest = g->stretch;
		}
		at += (uintptr_t)n << HZ_PAGE_SHIFT;
		pages -= n;
	}
}

/* Marks the blocks in magazines and batches from this page on. */
static void mark_from(struct window *w, const struct hz_arena *a, size_t page)
{
	struct hz_scan *s = &w->o->scan;
	size_t left = hz_load(&a->pages_top) - page;
	w->low = (uintptr_t)a->start + (page << HZ_PAGE_SHIFT);
	w->bits = hz_min(HZ_MARK_BITS, left << (HZ_PAGE_SHIFT - 4));
	hz_zero(w->o->mark, w->bits / 8);
	hz_zero(s->held_bytes, sizeof(s->held_bytes));
	s->held_blocks = s->remote_blocks = s->remote_bytes = 0;
	s->unseen_heaps = hz_held_walk(mark, w);
}

/* Reads the runs that begin in [page, end) of the arena while the budget
 * lasts; returns the page behind the last one. */
static size_t walk(struct window *w, const struct hz_arena *a, size_t page, size_t end)
{
	size_t top = hz_load_acquire(&a->pages_top);
	while (page < end && page < top && w->o->scan.segs < w->budget) {
		uint32_t n = hz_load(&hz_arena_page(a, page)->run);
		const struct hz_run *r = n ? hz_run_record(a, n) : NULL;
		size_t pages = r ? hz_run_pages(r) : 0;
		uint8_t state = r ? hz_load_acquire(&r->state) : (uint8_t)HZ_RUN_UNUSED;
		if (!pages || hz_run_first(r) != page || state == HZ_RUN_UNUSED ||
		    page + pages > top) {
			page++; /* being changed, or inside a run */
			continue;
		}
		uintptr_t at = (uintptr_t)a->start + (page << HZ_PAGE_SHIFT);
		if (state == HZ_RUN_SLAB) {
			size_t bit = (at - w->low) >> 4;
			if (bit + (pages << (HZ_PAGE_SHIFT - 4)) > w->bits)
				mark_from(w, a, page);
			add_slab(w, r, at, pages);
		} else {
			add_pages(w, state, at, pages);
		}
		page += pages;
	}
	return page;
}

void hz_scan(struct hz_observation *o, bool all)
{
	struct window w = { .o = o, .budget = all ? UINT32_MAX : HZ_SCAN_SEGS };
	uint32_t arenas = hz_load_acquire(&hz_arenas_count);
	uint32_t i = all || o->cursor_arena >= arenas ? 0 : o->cursor_arena;
	size_t from = all ? 0 : o->cursor_page, page = from;
	hz_zero(&o->scan, sizeof(o->scan));
	if (arenas)
		mark_from(&w, hz_load_acquire(&hz_arenas[i]), 0);
	/* Once round: the arena begun with is come back to for what is before. */
	for (uint32_t k = 0; k <= arenas && arenas; k++) {
		const struct hz_arena *a = hz_load_acquire(&hz_arenas[i]);
		page = walk(&w, a, page, k == arenas ? from : SIZE_MAX);
		if (o->scan.segs >= w.budget)
			break;
		i = i + 1 == arenas ? 0 : i + 1;
		page = 0;
	}
	o->cursor_arena = i;
	o->cursor_page = (uint32_t)page;
	if (o->scan.segs < w.budget)
		seg_end(&w);
	o->scanned = true;
}
