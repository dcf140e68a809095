/* SPDX-License-Identifier: MIT */
/*
 * slab.h - slabs: runs cut into blocks of one class, and shelves of them.
 *
 *   slab   | block 0 | block 1 | ... | carved ->| never handed out ...| tail |
 *   bits       0         1       0     (1 = free here; not yet carved: 0)
 *
 *   shelf  one per owner and class: slabs with something to give, in four
 *          lists by how much; the fullest slab gives first, so that the
 *          emptier ones can fall empty and return to the arena
 *
 * Invariants: a block is in exactly one place: free in its slab, in somebody's
 * magazine or batch, or the program's; nfree counts bits; a slab is on a shelf
 * list exactly when it has a block to give; nothing is ever written to a block.
 * Shelf, bits and counters are guarded by the owner's lock; the slab layer
 * takes none but, for opening and closing, the arena's.  `purged` names pages
 * that the kernel has although the slab goes on; no block in use lies there.
 *
 * Who may call: heap.c with the owner's lock held; observers read.
 * It refuses to know who the owner is: a tag is all it is told.
 */
#pragma once

#include "run.h"

enum { HZ_SHELF_LISTS = 4, HZ_SHELF_NONE = 255 };

struct hz_shelf {
	struct hz_run *list[HZ_SHELF_LISTS]; /* [0] fullest; owner's lock */
};

/* A new slab of the class for the owner (tag with class bits 0), on no shelf
 * yet; NULL without memory. */
struct hz_run *hz_slab_open(uint32_t owner, unsigned c);
/* At most n slabs of a class of one block each, their blocks in out: former slabs
 * if there are any, else one.  Returns how many; 0 without memory. */
size_t hz_slab_open_whole(uint32_t owner, unsigned c, void **out, size_t n);
/* Gives n such blocks of class c, at most HZ_SLAB_WHOLE, back with their slabs.  Who
 * holds such a block holds all there is of the slab: it is on no shelf, no lock of a
 * heap is needed, and its record, in whose cache it may be, is not read. */
enum { HZ_SLAB_WHOLE = 64 };
void hz_slab_close_whole(unsigned c, void **blocks, size_t n);
/* Makes such a slab, whose block is p, that of the tag's owner; ends the process if p
 * is not the start of it. */
void hz_slab_claim(void *p, uint32_t tag);
/* Gives empty slabs' pages back to the arena: a list linked by next. */
void hz_slab_close(struct hz_run *list);
/* Makes another owner's slab, taken off its shelf, the given one's. */
void hz_slab_retag(struct hz_run *s, uint32_t owner);

/* Takes up to n blocks; writes them so that out[count-1] has the lowest
 * address.  Freed blocks come before fresh ones.  Returns the count. */
size_t hz_slab_take(struct hz_run *s, void **out, size_t n);

/* Gives pages without a block in use back to the kernel, each once until a
 * block of it is taken again, if they are at least so many.  Returns how many. */
size_t hz_slab_purge(struct hz_run *s, size_t least);

enum { HZ_SLAB_NO_BLOCK = UINT16_MAX }; /* more than any slab has */
/* Block number of p, or that when p does not start a block handed out once: the product's
 * upper half counts blocks, its lower is below the reciprocal only at a block's start. */
static inline unsigned hz_slab_number(const struct hz_run *s, const void *p)
{
	uint64_t at = (uint64_t)((const char *)p - s->base) * s->reciprocal;
	return (uint32_t)at < s->reciprocal && at >> 32 < s->carved ? (unsigned)(at >> 32)
								     : HZ_SLAB_NO_BLOCK;
}

enum hz_slab_put { HZ_PUT_OK, HZ_PUT_INTERIOR, HZ_PUT_DOUBLE };
/* Frees a block; the other results change nothing. */
static inline enum hz_slab_put hz_slab_put(struct hz_run *s, const void *p)
{
	unsigned i = hz_slab_number(s, p);
	if (unlikely(i == HZ_SLAB_NO_BLOCK))
		return HZ_PUT_INTERIOR;
	uint64_t bit = 1ULL << i % 64;
	if (unlikely(s->bits[i / 64] & bit))
		return HZ_PUT_DOUBLE;
	s->bits[i / 64] |= bit;
	s->nfree++;
	return HZ_PUT_OK;
}

/* Blocks the slab can give. */
static inline unsigned hz_slab_spare(const struct hz_run *s)
{
	return (unsigned)s->nfree + s->blocks - s->carved;
}

static inline bool hz_slab_empty(const struct hz_run *s)
{
	return s->nfree == s->carved;
}

/* The list its occupancy asks for, HZ_SHELF_NONE without a block to give:
 * spare * lists / all of them, without a division. */
static inline uint8_t hz_shelf_of(const struct hz_run *s)
{
	_Static_assert(HZ_SHELF_LISTS == 4, "quarters");
	unsigned spare = hz_slab_spare(s) * HZ_SHELF_LISTS, all = s->blocks + 1u;
	if (unlikely(!spare))
		return HZ_SHELF_NONE;
	return (uint8_t)((spare >= all) + (spare >= 2 * all) + (spare >= 3 * all));
}

/* Puts the slab on that list, or on none. */
void hz_shelf_move(struct hz_shelf *shelf, struct hz_run *s, uint8_t list);
static inline void hz_shelf_place(struct hz_shelf *shelf, struct hz_run *s)
{
	uint8_t list = hz_shelf_of(s);
	if (list != s->shelf)
		hz_shelf_move(shelf, s, list);
}
static inline void hz_shelf_remove(struct hz_shelf *shelf, struct hz_run *s)
{
	if (s->shelf != HZ_SHELF_NONE)
		hz_shelf_move(shelf, s, HZ_SHELF_NONE);
}

/* The slab to take from next, or NULL. */
static inline struct hz_run *hz_shelf_first(const struct hz_shelf *shelf)
{
	for (int i = 0; i < HZ_SHELF_LISTS; i++)
		if (shelf->list[i])
			return shelf->list[i];
	return NULL;
}

/* One of which half is free, or NULL; any thread. */
static inline struct hz_run *hz_shelf_sparse(const struct hz_shelf *shelf)
{
	struct hz_run *s = hz_load(&shelf->list[HZ_SHELF_LISTS - 1]);
	return s ? s : hz_load(&shelf->list[HZ_SHELF_LISTS - 2]);
}

/* In a child whose parent was inside this slab: counter, tags and shelf mark are
 * made anew from the bitmap; false if it is no slab worth keeping. */
bool hz_slab_repair(struct hz_run *s);

/* White-box lane: traps when the slab contradicts itself. */
void hz_slab_check(const struct hz_run *s);
