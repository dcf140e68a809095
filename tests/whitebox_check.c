/* SPDX-License-Identifier: MIT */
/*
 * whitebox_check.c - what must hold between two changes, looked at by the white-box lane.
 *
 *   run    who the walk over the pages meets is in its list, and nobody else is
 *   slab   counters are what the bitmap says, tags and page entries name it
 *   heap   magazines hold blocks that are nobody's, shelves the slabs that can give
 *
 * Part of the white-box library only: the lanes call none of it.  It refuses to be
 * gentle: what contradicts itself traps.
 */
#include "bins.h"
#include "magazine.h"
#include "report.h"

#define hz_assert(x) ((x) ? (void)0 : __builtin_trap())

/* What the walk meets, and what the lists hold. */

struct seen {
	size_t pages[HZ_RUN_LARGE + 1]; /* by state */
	size_t runs[HZ_RUN_LARGE + 1];
};

static bool see(struct hz_run *r, void *arg)
{
	struct seen *seen = arg;
	struct hz_arena *a = hz_run_arena(r);
	size_t first = hz_run_first(r), pages = hz_run_pages(r);
	struct hz_run *next = hz_bins_behind(a, first + pages);
	hz_assert(r == hz_run_record(a, r->number) && r->state <= HZ_RUN_LARGE);
	bool stuck = next && next->state == HZ_RUN_DIRTY && (next->stuck || r->stuck);
	hz_assert(!hz_bins_is_free(r) || !next || next->state != r->state || stuck);
	hz_assert(hz_arena_page(a, first + pages - 1)->run == r->number);
	seen->pages[r->state] += pages;
	seen->runs[r->state]++;
	return true;
}

void hz_run_check(void)
{
	struct seen seen = { 0 };
	size_t runs[HZ_KINDS] = { 0 }, pages[HZ_KINDS] = { 0 }, stuck = 0, queued = 0, stock = 0;
	hz_run_walk(see, &seen);
	for (unsigned i = 0; i < HZ_KINDS * HZ_BINS; i++) {
		enum hz_run_kind k = i / HZ_BINS;
		unsigned b = i % HZ_BINS;
		struct hz_run *prev = NULL, *r = hz_bins.of[k][b];
		hz_assert((hz_bins.full[k][b / 64] >> b % 64 & 1) == (r != NULL));
		for (; r; prev = r, r = r->next) {
			hz_assert(hz_bins_is_free(r) && hz_kind_of(r) == k && r->prev == prev);
			hz_assert(hz_bin_of(hz_run_pages(r)) == b);
			hz_assert(hz_bins_behind(hz_run_arena(r), hz_run_first(r)) == r);
			runs[k]++;
			pages[k] += hz_run_pages(r);
			stuck += k == HZ_KIND_DIRTY && r->stuck;
		}
	}
	for (struct hz_run *older = NULL, *r = hz_bins.oldest; r; older = r, r = r->newer, queued++)
		hz_assert(r->state == HZ_RUN_DIRTY && !r->stuck && r->older == older &&
			  (r->newer || r == hz_bins.newest));
	for (size_t n = 0, k = 0; n <= HZ_STOCK_RUN_PAGES; n++, k = 0) {
		for (; k < hz_bins.count[n]; stock += n, k++)
			hz_assert(hz_bins.stock[n][k]->state == HZ_RUN_BUSY &&
				  hz_run_pages(hz_bins.stock[n][k]) == n);
		hz_assert(hz_bins.low[n] <= k && k <= hz_bins.room[n]);
	}
	for (uint32_t i = 0, n; i < hz_arenas_count; i++) {
		n = hz_arenas[i]->spare.n;
		for (struct hz_run *prev = NULL, *r = hz_arenas[i]->spare.list; r;
		     prev = r, r = r->next, n--)
			hz_assert(r->state == HZ_RUN_UNUSED && !r->span && r->arena == i &&
				  r->prev == prev);
		hz_assert(n == 0);
	}
	/* Who the walk meets is in its list, and nobody else is. */
	hz_assert(runs[HZ_KIND_DIRTY] == seen.runs[HZ_RUN_DIRTY]);
	hz_assert(runs[HZ_KIND_CLEAN] == seen.runs[HZ_RUN_CLEAN]);
	hz_assert(queued + stuck == runs[HZ_KIND_DIRTY] && stock == hz_run_counts.stock_pages);
	hz_assert(hz_run_counts.dirty_pages == pages[HZ_KIND_DIRTY] + stock);
	hz_assert(hz_run_counts.clean_pages == pages[HZ_KIND_CLEAN]);
	/* BUSY is in stock, or a slab being opened or a large run that a thread keeps, which
	 * are counted as used, or a run being purged, which is not counted. */
	size_t used = seen.pages[HZ_RUN_SLAB] + seen.pages[HZ_RUN_LARGE];
	size_t busy = seen.pages[HZ_RUN_BUSY] - stock;
	hz_assert(stock <= seen.pages[HZ_RUN_BUSY]);
	hz_assert(used <= hz_run_counts.used_pages && hz_run_counts.used_pages <= used + busy);
	hz_assert(hz_run_counts.large_pages >= seen.pages[HZ_RUN_LARGE]);
	hz_assert(hz_run_counts.large_pages <= seen.pages[HZ_RUN_LARGE] + busy);
}

void hz_slab_check(const struct hz_run *s)
{
	unsigned n = 0;
	for (size_t i = 0; i < (s->blocks + 63u) / 64; i++)
		n += (unsigned)__builtin_popcountll(s->bits[i]);
	hz_assert(s->state == HZ_RUN_SLAB);
	hz_assert(n == s->nfree && s->nfree <= s->carved && s->carved <= s->blocks);
	hz_assert((size_t)s->blocks * s->block_bytes <= (size_t)hz_run_pages(s) * HZ_PAGE);
	for (unsigned i = s->carved; i < s->blocks; i++)
		hz_assert(!(s->bits[i / 64] >> i % 64 & 1));
	const struct hz_arena *a = hz_run_arena(s);
	for (size_t i = 0; i < hz_run_pages(s); i++) {
		const struct hz_page *page = hz_arena_page(a, hz_run_first(s) + i);
		hz_assert(page->run == s->number);
		hz_assert(page->tag == (i >= (s->blocks == 1 ? 1 : hz_run_pages(s))
						? (uint32_t)HZ_TAG_NONE
						: (s->blocks == 1 ? page->tag & -HZ_TAG_OWNER_ONE
								  : s->owner) |
							  hz_offset_of_class(s->class_no)));
	}
	(void)a;
	(void)n;
}

static bool in_use(const void *p)
{
	struct hz_run *s = hz_run_of(p);
	return s && hz_load(&s->state) == HZ_RUN_SLAB && hz_slab_probe(s, p) == HZ_PUT_OK;
}

void hz_heap_check(struct hz_heap *h)
{
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		void **a = h->array[c];
		if (a && h->tls && h->state == HZ_HEAP_LIVE) {
			struct hz_mag *m = &h->tls->mag[c];
			hz_assert(a[0] == NULL && m->top >= a && m->top <= m->limit);
			hz_assert(m->limit <= a + h->rounds[c] && h->floor[c] < h->rounds[c]);
			hz_assert(!h->floor[c] || (m->top >= a + h->floor[c] && !a[h->floor[c]]));
			for (void **p = a + 1; p <= m->top; p++)
				hz_assert(in_use(p == a + h->floor[c] ? h->under[c] : *p));
		}
	}
	hz_lock(&h->lock);
	for (unsigned c = 0; c < HZ_CLASSES; c++)
		for (int l = 0; l < HZ_SHELF_LISTS; l++)
			for (struct hz_run *s = h->shelf[c].list[l]; s; s = s->next) {
				hz_assert(s->owner == h->tag && s->class_no == c);
				hz_assert(hz_slab_spare(s) > 0 && s->shelf == l);
				hz_slab_check(s);
			}
	hz_unlock(&h->lock);
}
