/* SPDX-License-Identifier: MIT */
/*
 * thin.c - pages of slabs given back to the kernel while the slab stays.
 *
 *   slab     | ##.. | .... | .... | ..#. | .... |     # in use  . free
 *   purged      0      1      1      0      1
 *
 * Nothing is ever written to a freed block, and its bit lies elsewhere: a page
 * of a slab without a block in use needs no memory.  When are such pages many
 * and not about to be used?
 *
 *   freed    a heap's slabs are less than half in use and a quarter less than at
 *            the last look: magazines are emptied too, since a block in one
 *            keeps its page.  A heap that came back within two seconds for
 *            half of what went keeps its pages, and blocks in magazines, until
 *            they are old.
 *   aged     in an epoch less than half of the free bytes were taken again
 *   all      hz_purge, malloc_trim, memory refused
 *
 * Invariants: a page goes under its heap's lock with all bits of its blocks set,
 * and is named in `purged` until one of them is taken.  A fork in between leaves
 * a page named that is still there, which costs a page.  Who may call: the heap
 * layer.  It refuses slabs of one block, which close when it is freed.
 */
#include "magazine.h"

#include "pressure.h"

enum {
	/* A slab gives back a quarter of its pages at least; because blocks were freed and
	 * other threads have heaps half of them, for each call interrupts the processors
	 * these run on, and nearly all come at the end, when slabs are about to be empty. */
	WORTH = 4,
	/* Slabs looked at by age at a time, once a second: 512 MiB, what one slow path may pay for. */
	BUDGET = 16384,
	/* So many threads share what one may leave unlooked at: sleeping ones cannot be
	 * asked, so that all of them hold little must be seen to by each. */
	THREADS = 4,
	LEAST_BYTES = 64 << 10,
};

/* All slabs of one class that can give a part-th of their pages; lock held. */
static size_t thin_shelf(const struct hz_shelf *shelf, unsigned part, size_t *looked)
{
	size_t pages = 0;
	for (int i = 0; i < HZ_SHELF_LISTS; i++)
		for (struct hz_run *s = shelf->list[i]; s; s = s->next, ++*looked)
			pages += hz_slab_purge(s, part ? hz_run_pages(s) / part : 1);
	return pages;
}

/* Classes in turn, the lock free between two, until so many slabs were seen. */
static size_t thin(struct hz_heap *h, unsigned part, size_t budget)
{
	size_t pages = 0, looked = 0;
	for (unsigned i = 0; i < HZ_CLASSES && looked < budget; i++) {
		unsigned c = hz_load(&h->thin.next_class) % HZ_CLASSES;
		hz_store(&h->thin.next_class, c + 1);
		hz_lock(&h->lock);
		pages += thin_shelf(&h->shelf[c], part, &looked);
		hz_mag_unlock(h);
	}
	hz_add(&hz_pressure_counts.purged_pages, pages);
	return pages;
}

/* Free bytes of one heap not worth a look: less the more threads there are. */
static size_t least_bytes(void)
{
	return hz_max(HZ_LANE_THIN_BYTES / (1 + hz_heap_live() / THREADS), LEAST_BYTES);
}

/* Whether blocks came back, within two seconds, for half of what went. */
static bool came_back(const struct hz_thin *t)
{
	return t->gone_bytes && t->high_live > t->low_live + t->gone_bytes / 2;
}

static bool spread(size_t free, size_t live)
{
	return unlikely(free > live && free > least_bytes());
}

bool hz_thin_kept(const struct hz_heap *h)
{
	size_t free = hz_load(&h->thin.free_bytes), loose = hz_run_loose() << HZ_PAGE_SHIFT;
	return free + loose > hz_load(&h->thin.slab_bytes) - free;
}

bool hz_thin_shrinking(const struct hz_heap *h)
{
	const struct hz_thin *t = &h->thin;
	size_t free = hz_load(&t->free_bytes), live = hz_load(&t->slab_bytes) - free;
	return spread(free, live) && !came_back(t);
}

void hz_thin_freed(struct hz_heap *h)
{
	struct hz_thin *t = &h->thin;
	size_t free = hz_load(&t->free_bytes), live = hz_load(&t->slab_bytes) - free;
	if (likely(free < live || free < least_bytes())) {
		t->seen_live = live;
		t->high_live = hz_max(t->high_live, live);
	}
	if (live > t->seen_live - t->seen_live / 4)
		return;
	t->seen_live = live;
	uint32_t now = (uint32_t)hz_os_now_ms();
	if (now - t->thin_ms > 2 * HZ_LANE_AGE_MS)
		t->gone_bytes = 0;
	if (!spread(free, live) || came_back(t))
		return;
	hz_mag_shrink_all(h);
	t->thin_ms = now;
	t->low_live = t->high_live = live;
	uint64_t refused = hz_load(&hz_os_counts.refused);
	size_t pages = thin(h, hz_heap_live() > 1 ? WORTH / 2 : WORTH, SIZE_MAX);
	bool kept = !pages && hz_load(&hz_os_counts.refused) != refused; /* as good as come back */
	t->gone_bytes += (pages << HZ_PAGE_SHIFT) + kept;
	if (kept)
		t->high_live = SIZE_MAX;
	hz_pressure_freed();
}

void hz_thin_aged(struct hz_heap *h, uint32_t now_ms)
{
	struct hz_thin *t = &h->thin;
	if (hz_load(&t->free_bytes) < least_bytes() ||
	    now_ms - hz_load(&t->aged_ms) < HZ_LANE_AGE_MS || !hz_trylock(&h->lock))
		return;
	bool quiet = t->reused_bytes < t->free_bytes / 2;
	t->reused_bytes = 0;
	hz_store(&t->aged_ms, now_ms);
	hz_mag_unlock(h);
	if (quiet)
		thin(h, WORTH, BUDGET);
}

size_t hz_heap_thin_all(void)
{
	size_t pages = 0;
	for (struct hz_heap *h = hz_heap_first(); h; h = h->next)
		pages += thin(h, 0, SIZE_MAX);
	return pages;
}
