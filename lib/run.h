/* SPDX-License-Identifier: MIT */
/*
 * run.h - page runs: the one pool that slabs and large blocks come from.
 *
 * A run is a number of neighbouring pages of one arena with a record of 128
 * bytes.  All committed pages belong to exactly one run:
 *
 *   | slab | dirty | slab | large .......... | clean | slab | clean ...... top
 *
 *   clean  reads as zero: never touched, or purged and seen to be zero
 *   dirty  free, touched, resident: reused before clean, purged by age/budget
 *   slab   blocks of one class; the record carries their bitmap
 *   large  one block
 *
 * Invariants: neighbours that are free and of the same kind are one run; a
 * free run is in exactly one bin, a dirty one in the purge queue too; `span`
 * is one word, so at any instant (a fork, a reader outside) a free run covers
 * no page of a block.  All changes happen under hz_arena_lock.
 *
 * Who may call: slab.c, large.c, pressure.c; observers walk with hz_run_walk.
 * It refuses to know classes, owners and threads.
 */
#pragma once

#include "arena.h"
#include "class.h"

enum hz_run_state {
	HZ_RUN_UNUSED, /* record without pages */
	HZ_RUN_CLEAN,
	HZ_RUN_DIRTY,
	HZ_RUN_BUSY, /* changing hands: in no bin, neighbours leave it alone */
	HZ_RUN_SLAB,
	HZ_RUN_LARGE,
};

/* Fields without a writer named are the arena lock's. */
struct hz_run {
	uint64_t span; /* pages << 32 | number of the first page */
	char *base; /* first byte while slab or large */
	struct hz_run *next, *prev; /* bin while free; shelf of the owner (its lock) */
	union {
		struct { /* while dirty */
			struct hz_run *older, *newer; /* purge queue */
			uint32_t freed_ms; /* low bits of the clock */
			bool stuck; /* a purge was refused: not in the queue */
		};
		struct { /* while slab; written under the owner's lock */
			uint32_t owner; /* tag of the owning heap, class bits 0; of one block: who opened it */
			uint32_t block_bytes;
			uint32_t reciprocal; /* of block_bytes */
			uint16_t blocks; /* of the whole slab */
			uint16_t carved; /* blocks ever handed out, from the front */
			uint16_t nfree; /* bits set in `bits`, all below carved */
			uint8_t shelf; /* list it is on, HZ_SHELF_NONE if none */
			uint8_t class_no;
			uint16_t was; /* while blocks come back: nfree before, plus 1; else 0 */
			uint16_t purged; /* set of pages given back and not handed out since */
		};
		struct { /* while large */
			size_t bytes; /* asked for; its freer or reallocator */
		};
	};
	uint8_t state; /* enum hz_run_state */
	bool zero; /* slab, large: pages came clean */
	uint16_t arena; /* number of its arena; constant */
	uint32_t number; /* of this record in its arena; constant */
	uint64_t bits[HZ_SLAB_BLOCKS_MAX / 64]; /* slab: 1 = free; owner's lock */
};
_Static_assert(sizeof(struct hz_run) == 128, "a run record is two cache lines");

static inline uint32_t hz_run_first(const struct hz_run *r)
{
	return (uint32_t)hz_load(&r->span);
}

static inline uint32_t hz_run_pages(const struct hz_run *r)
{
	return (uint32_t)(hz_load(&r->span) >> 32);
}

static inline struct hz_arena *hz_run_arena(const struct hz_run *r)
{
	return hz_arenas[r->arena];
}

/* The run record number n of arena a. */
static inline struct hz_run *hz_run_record(const struct hz_arena *a, uint32_t n)
{
	return (struct hz_run *)a->base + n;
}

/* The run that the entry of p's page names, which must name one. */
static inline struct hz_run *hz_run_at(const struct hz_page *page, const void *p)
{
	uint32_t n = hz_load(&page->run);
	if (likely((uintptr_t)hz_hot.start - 1 - (uintptr_t)p > hz_glance(hz_hot.floor)))
		return (struct hz_run *)hz_hot.base + n;
	return hz_run_record(hz_arena_of(p), n);
}

/* The same with the page looked up, too, once for both, and its tag, which is read first:
 * unless it has an owner the run means nothing. */
static inline struct hz_run *hz_run_tagged(const void *p, uint32_t *tag)
{
	char *start = hz_glance(hz_hot.start);
	intptr_t at = (intptr_t)((uintptr_t)start - 1 - (uintptr_t)p);
	if (likely((uintptr_t)at > hz_glance(hz_hot.floor))) {
		const struct hz_page *page = (struct hz_page *)start + (at >> HZ_PAGE_SHIFT);
		*tag = hz_load_acquire(&page->tag);
		return (struct hz_run *)hz_hot.base + hz_load(&page->run);
	}
	const struct hz_page *page = hz_arena_page_elsewhere(p);
	*tag = page ? hz_load_acquire(&page->tag) : HZ_TAG_NONE;
	return page ? hz_run_at(page, p) : NULL;
}

/* The run whose block p lies in, NULL outside of all heaps: only for pages a
 * slab covers or the first page of a large block. */
static inline struct hz_run *hz_run_of(const void *p)
{
	const struct hz_page *page = hz_page_of(p);
	return page && hz_load(&page->run) ? hz_run_at(page, p) : NULL;
}

/* Lists of runs, by next and prev. */
static inline void hz_run_link(struct hz_run **list, struct hz_run *r)
{
	r->prev = NULL;
	r->next = *list;
	if (r->next)
		r->next->prev = r;
	hz_store(list, r);
}
static inline void hz_run_unlink(struct hz_run **list, struct hz_run *r)
{
	if (r->prev)
		r->prev->next = r->next;
	else
		hz_store(list, r->next);
	if (r->next)
		r->next->prev = r->prev;
}

/* A run of exactly `pages` pages at a multiple of `align` pages (a power of
 * two), with every page's entry (slab) or the first and last one's (large)
 * naming it; large with its state set, a slab still BUSY.  Dirty pages are taken before clean ones,
 * clean ones before new ones.  NULL when arenas and kernel have no more.
 * Takes hz_arena_lock.  hz_run_alloc never purges; the caller may. */
struct hz_run *hz_run_alloc(size_t pages, size_t align, enum hz_run_state state);
enum { HZ_STOCK_RUN_PAGES = 32 }; /* largest run in stock: the largest slab */
/* At most n former slabs of so many pages, kept whole, as BUSY slabs; how many.  Takes
 * hz_arena_lock. */
size_t hz_run_stock(struct hz_run **out, size_t pages, size_t n);
/* Frees slabs of so many pages each, of which nothing is read.  Takes hz_arena_lock. */
void hz_run_free_whole(struct hz_run **runs, size_t pages, size_t n);
/* Frees a slab or large run whose tags are cleared; of a run that came clean,
 * pages from `touched` on were never written.  Takes hz_arena_lock. */
void hz_run_free(struct hz_run *r, size_t touched);
/* Large runs that a thread keeps for its next large blocks: BUSY, counted as used. */
enum { HZ_KEPT_RUNS = 16 }; /* few enough to be looked at in turn: 2 MiB of the smallest */
struct hz_kept {
	struct hz_run *run[HZ_KEPT_RUNS]; /* oldest first; its thread */
	uint32_t n, pages; /* how many, of how many pages; its thread, observers read */
};
/* Keeps one whose tag is cleared; the older half goes, again and again, while those kept have
 * more than so many pages.  False if it has more itself. */
bool hz_run_keep(struct hz_kept *k, struct hz_run *r, size_t most_pages);
/* The newest of so many pages and an eighth more at most, as realloc leaves; NULL if none. */
struct hz_run *hz_run_kept(struct hz_kept *k, size_t pages);
/* Frees the oldest n.  Takes hz_arena_lock. */
void hz_run_kept_free(struct hz_kept *k, uint32_t n);
/* Frees slabs linked by next; takes the lock once. */
void hz_run_free_list(struct hz_run *list);
/* Makes a large run longer or shorter in place; false when the pages behind
 * it are not free.  Takes hz_arena_lock. */
bool hz_run_resize(struct hz_run *r, size_t pages);
enum { HZ_MOVED_PAGES = 64 }; /* fewest of a large block that large.c moves */
/* Purges dirty runs while more than `keep` pages are dirty beside stock: the longest,
 * in few calls.  Or, with `before_ms`, the oldest and those freed before it, and stock
 * ages, too; with nothing to keep all of stock.  Returns pages given back.  Takes and
 * drops hz_arena_lock; it is not held while the kernel takes a run's pages. */
size_t hz_run_purge(size_t keep_pages, uint32_t before_ms);

/* Pages by state; arena lock writes, anyone reads. */
struct hz_run_counts {
	size_t used_pages; /* slab and large */
	size_t dirty_pages; /* with stock */
	size_t stock_pages; /* former slabs kept whole */
	size_t clean_pages;
	size_t large_pages;
	size_t peak_pages; /* recent peak of used_pages, decays by pressure.c */
	size_t reused, stock, fresh, grown; /* runs: dirty, of these whole slabs; clean; growth */
	size_t high_pages; /* highest used_pages since pressure.c last set it */
	size_t now_ms; /* last time anybody looked at the clock */
};
extern struct hz_run_counts hz_run_counts;

/* Dirty pages that wait for any use; without the lock of some instant each. */
static inline size_t hz_run_loose(void)
{
	size_t dirty = hz_load(&hz_run_counts.dirty_pages);
	return dirty - hz_min(dirty, hz_load(&hz_run_counts.stock_pages));
}

/* Makes bins and queue anew from the run records, in a child whose parent was
 * inside them.  Arena lock held. */
void hz_run_rebuild(void);

/* Calls fn for every run in address order, until it returns false.  With
 * hz_arena_lock held the picture is exact, without it approximate but safe. */
void hz_run_walk(bool (*fn)(struct hz_run *r, void *arg), void *arg);

/* White-box lane: traps when an invariant is broken.  Arena lock held. */
void hz_run_check(void);
