/* SPDX-License-Identifier: MIT */
/*
 * arena.h - reserved address space, and the table that says whose a page is.
 *
 * One range of addresses, held or not (arena.c), metadata out of line:
 *
 *   base                                       start
 *   | first metadata | runs (128 B each) ... ][ ... page table |  heap ...
 *   |   64 KiB       | grows up ->            ]   <- grows down|  grows up ->
 *   |<--------------- never holds user data ------------------>|<- pages ->
 *
 * The entry of the page at start + i*4096 is 8 bytes at start - 8*(i+1), so
 * that one subtraction from `start` routes a pointer.  An entry holds the
 * page's tag (owner and class offset; 0 = no small block lives here) and the
 * number of the run it belongs to.
 *
 * Invariants: [start, start + committed) is read-write and so are its
 * entries; hz_hot describes arena 0 and nothing outside it; committed memory
 * is never decommitted, only purged; arenas are never given back.
 *
 * Who may call: run.c and above.  Growth needs hz_arena_lock; routing needs
 * nothing.  It refuses to know what a run or a class is.
 */
#pragma once

#include "os.h"

struct hz_page {
	uint32_t tag; /* owner << 10 | class offset; slab's owner writes */
	uint32_t run; /* number of the run in its arena; arena lock */
};

/* Tags below one owner's range are not small blocks: */
enum {
	HZ_TAG_NONE = 0, /* free, metadata, or inside a large block */
	HZ_TAG_LARGE = 1, /* first page of a large block */
	HZ_TAG_OWNER_SHIFT = 10, /* bits of the class offset */
	HZ_TAG_OWNER_ONE = 1 << HZ_TAG_OWNER_SHIFT,
};

/* The class offset in a slab's tag. */
static inline uint32_t hz_offset_of_tag(uint32_t tag)
{
	return tag & (HZ_TAG_OWNER_ONE - 1);
}

/* Metadata before the first run record of an arena. */
enum { HZ_META_FIRST_BYTES = 64 << 10 };

struct hz_arena {
	char *start; /* first heap byte; constant */
	char *base; /* first byte of the reservation; constant */
	size_t reserved_bytes; /* whole reservation; constant */
	uint32_t pages_max; /* heap pages reserved; constant */
	uint32_t pages_top; /* heap pages committed; arena lock, read by anyone */
	char *table_low; /* lowest committed entry; arena lock */
	char *runs_next; /* next never-used run; arena lock */
	char *runs_high; /* committed so far; arena lock */
	char *runs_end; /* where the page table's region begins; constant */
	bool held; /* uncommitted addresses are mapped, PROT_NONE; constant */
	uint32_t number; /* index in hz_arenas; constant */
	struct hz_spares {
		struct hz_run *list; /* unused run records, linked both ways */
		uint32_t n; /* how many */
		uint32_t seen; /* fewest since the last look at them, or then */
		char *hollow; /* from here to runs_next some were given back; NULL: none */
	} spare; /* bins.c, arena lock */
};

/* What the hit paths read, one line, written at start and on growth. */
struct hz_hot {
	char *start; /* arena 0's start; before that 1 */
	uintptr_t floor; /* start-1-p above this is arena 0; ~committed bytes */
	size_t small_limit; /* requests below this have a magazine; 0 = not yet */
	char *base; /* arena 0's reservation: run records are numbered from here */
};
extern struct hz_hot hz_hot HZ_HIDDEN;

/* More arenas than a process needs: a 64 GiB arena is one; the 256 KiB ones of
 * the bottom of the ladder reach 64 MiB, beyond which bigger ones fit. */
enum { HZ_ARENAS_MAX = 256 };
extern struct hz_arena *hz_arenas[HZ_ARENAS_MAX]; /* append only, release */
extern uint32_t hz_arenas_count; /* arena lock, read by anyone */
extern struct hz_lock hz_arena_lock; /* arenas, runs, bins, purge queue */

/* First arena and hz_hot.start; bytes = wished heap size.  False when the
 * kernel refuses even the smallest; may be called again. */
bool hz_arena_init(size_t bytes);
/* A further arena with at least `pages` heap pages.  Arena lock held. */
struct hz_arena *hz_arena_add(size_t pages);
/* Commits `pages` to *got more pages, the number of the first in *first.
 * False when the arena is full or the kernel refuses.  Arena lock held. */
bool hz_arena_grow(struct hz_arena *a, size_t pages, uint32_t *first, uint32_t *got);
/* Zeroed room for `runs` more run records is committed; false when refused.  Arena lock held. */
bool hz_arena_runs_ready(struct hz_arena *a, size_t n, size_t record_bytes);

/* Metadata: zeroed, 64-byte aligned, never given back; NULL when refused.  Any thread. */
void *hz_meta_alloc(size_t bytes);
/* Each later piece of metadata begins with this; newest first. */
struct hz_meta_piece {
	struct hz_meta_piece *next; /* release */
	size_t bytes; /* mapped; constant */
};
extern struct hz_meta_piece *hz_meta_pieces; /* meta lock; read by anyone */

struct hz_meta_counts { /* meta lock; read by anyone */
	size_t used, committed; /* bytes handed out, and of all pieces */
};
extern struct hz_meta_counts hz_meta_counts;

/* In a forked child: the metadata lock is nobody's. */
void hz_arena_reset_lock(void);

/* Two words that forked children find zeroed (the first is nonzero otherwise), if
 * hz_fork_wiped: by the kernel.  It is constant once there is a mark. */
extern uint32_t *hz_fork_mark HZ_HIDDEN;
extern bool hz_fork_wiped;

/* The arena whose committed heap holds p, or NULL.  Any thread, no lock. */
struct hz_arena *hz_arena_of(const void *p);

/* The entry of the page p lies in; NULL outside of all committed heaps. */
struct hz_page *hz_arena_page_elsewhere(const void *p);
static inline struct hz_page *hz_page_of(const void *p)
{
	char *start = hz_glance(hz_hot.start);
	intptr_t at = (intptr_t)((uintptr_t)start - 1 - (uintptr_t)p);
	if (likely((uintptr_t)at > hz_glance(hz_hot.floor)))
		return (struct hz_page *)start + (at >> HZ_PAGE_SHIFT);
	return hz_arena_page_elsewhere(p);
}

/* The tag of that page; HZ_TAG_NONE outside. */
uint32_t hz_arena_tag_elsewhere(const void *p);
static inline uint32_t hz_tag_of(const void *p)
{
	char *start = hz_glance(hz_hot.start);
	intptr_t at = (intptr_t)((uintptr_t)start - 1 - (uintptr_t)p);
	if (likely((uintptr_t)at > hz_glance(hz_hot.floor)))
		return hz_load(&((struct hz_page *)start)[at >> HZ_PAGE_SHIFT].tag);
	return hz_arena_tag_elsewhere(p);
}

static inline struct hz_page *hz_arena_page(const struct hz_arena *a, size_t i)
{
	return (struct hz_page *)a->start - 1 - i;
}

static inline size_t hz_arena_index(const struct hz_arena *a, const void *p)
{
	return (size_t)((const char *)p - a->start) >> HZ_PAGE_SHIFT;
}
