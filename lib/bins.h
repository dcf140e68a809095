/* SPDX-License-Identifier: MIT */
/*
 * bins.h - what run.c asks of the lists of free runs.
 *
 *   in a bin     clean or dirty; dirty ones also in the purge queue
 *   in stock     BUSY, a former slab with its page entries as they were
 *   in no list   BUSY, in the hands of the caller
 *
 * Part of the run layer; nothing outside it includes this header.  All of it
 * expects hz_arena_lock to be held.  It refuses runs that are in use.
 */
#pragma once

#include "run.h"

enum hz_run_kind { HZ_KIND_DIRTY, HZ_KIND_CLEAN, HZ_KINDS };

enum {
	HZ_BINS_EXACT = 64, /* bins of one size */
	HZ_BINS = HZ_BINS_EXACT + 4 * 26, /* up to 2^32 pages */
	HZ_BINS_WORDS = (HZ_BINS + 63) / 64,
};

/* All of it is the arena lock's. */
extern struct hz_bins {
	_Alignas(16) struct hz_run *of[HZ_KINDS][HZ_BINS]; /* aligned for hz_zero */
	uint64_t full[HZ_KINDS][HZ_BINS_WORDS]; /* bit: bin not empty */
	struct hz_run *oldest, *newest; /* purge queue */
	struct hz_run **stock[HZ_STOCK_RUN_PAGES + 1]; /* by pages, newest last; metadata */
	uint32_t count[HZ_STOCK_RUN_PAGES + 1]; /* runs in each */
	uint32_t room[HZ_STOCK_RUN_PAGES + 1]; /* for so many */
	uint32_t low[HZ_STOCK_RUN_PAGES + 1]; /* fewest since the last look by age */
} hz_bins;

static inline unsigned hz_bin_of(size_t pages)
{
	if (pages <= HZ_BINS_EXACT)
		return (unsigned)pages - 1;
	unsigned log = 63 - (unsigned)__builtin_clzll(pages); /* >= 6 */
	return HZ_BINS_EXACT + (log - 6) * 4 + (unsigned)((pages >> (log - 2)) & 3);
}

static inline enum hz_run_kind hz_kind_of(const struct hz_run *r)
{
	return hz_load(&r->state) == HZ_RUN_DIRTY ? HZ_KIND_DIRTY : HZ_KIND_CLEAN;
}

static inline void hz_run_set_span(struct hz_run *r, size_t first, size_t pages)
{
	hz_store(&r->span, (uint64_t)pages << 32 | (uint32_t)first);
}

static inline void hz_run_name_page(struct hz_run *r, size_t page)
{
	hz_store(&hz_arena_page(hz_run_arena(r), page)->run, r->number);
}

static inline void hz_run_name_ends(struct hz_run *r)
{
	uint32_t first = hz_run_first(r);
	hz_run_name_page(r, first);
	hz_run_name_page(r, first + hz_run_pages(r) - 1);
}

/* Whether a cut has the records it needs; false when the kernel refuses. */
bool hz_bins_ready(struct hz_arena *a);
struct hz_run *hz_bins_record_new(struct hz_arena *a);
void hz_bins_record_drop(struct hz_run *r);
/* Pages of unused records alone go back to the kernel, when those are very many; it takes
 * them under the lock, a call a stretch, once for 8 MiB of slabs freed at most. */
void hz_bins_records_purge(struct hz_arena *a);

static inline bool hz_bins_is_free(const struct hz_run *r)
{
	uint8_t state = hz_load(&r->state);
	return state == HZ_RUN_CLEAN || state == HZ_RUN_DIRTY;
}

/* Free runs that end before page `first`, or start at page `end`; or NULL. */
struct hz_run *hz_bins_before(struct hz_arena *a, size_t first);
struct hz_run *hz_bins_behind(struct hz_arena *a, size_t end);

/* Into and out of a bin; the purge queue beside it, before `newer` or as newest. */
void hz_bins_add(struct hz_run *r);
void hz_bins_enqueue(struct hz_run *r, uint32_t when, struct hz_run *newer);
void hz_bins_unlink(struct hz_run *r);

/* Puts the pages of r, which is in no list, back as `state`, joined with its
 * neighbours of that kind.  Returns the joined run. */
struct hz_run *hz_bins_put_back(struct hz_run *r, enum hz_run_state state);
/* Cuts r, in no list, to its front `pages`; the rest goes back as `state`. */
void hz_bins_cut(struct hz_run *r, size_t pages, enum hz_run_state state);

/* Best fit of a kind, still in its bin; NULL if there is none. */
struct hz_run *hz_bins_find(enum hz_run_kind k, size_t pages);
/* About the longest dirty run. */
struct hz_run *hz_bins_longest(void);

/* The first of n BUSY former slabs into stock, as many as may (the caller puts the
 * others back); at most n out of it, of exactly so many pages; all of it into the
 * bins, whether there was any. */
size_t hz_bins_stock_add(struct hz_run **runs, size_t pages, size_t n);
size_t hz_bins_stock_take(struct hz_run **out, size_t pages, size_t n);
bool hz_bins_stock_clear(void);
/* One run of at least so many pages; if there is none, all. */
bool hz_bins_stock_break(size_t pages);
/* Into the bins: all of it if so asked or if it is more than may be, otherwise, if
 * `aged`, what nobody took since the last such call. */
void hz_bins_stock_trim(bool all, bool aged);

/* All lists empty, before a rebuild. */
void hz_bins_reset(void);
