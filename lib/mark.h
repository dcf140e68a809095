/* SPDX-License-Identifier: MIT */
/*
 * mark.h - a word at the end of every block that says what it is.
 *
 *      block   | n bytes asked for | ........ | mark? | mark |
 *              p                                        p + room
 *      mark    in use: key ^ p ^ n      free: ~ of that
 *
 * malloc writes it, free looks for it and turns it round.  That finds, in the call,
 * a block that is free already, an address inside a block, one never handed out and
 * a write beyond the end; and it says how many bytes were asked for.  Where eight to
 * fifteen bytes of a step are left the word before is a mark, too, so that up to 128
 * bytes one begins at most seven bytes behind the program's; so it does behind a
 * large block.  With HZ_ZERO blocks are cleared when freed and looked at when they
 * are handed out again.
 *
 * Lane secure has marks (HZ_LANE_MARK_BYTES); elsewhere all here is empty.  It is the
 * one lane that writes to freed blocks.
 *
 * Invariants: a block that the program has carries its mark; nothing follows from a
 * mark but the end of the process: whether a block is free its slab's bitmap decides.
 * Who may call: api.c, large.c and slab.c, any thread.  It refuses to repair.
 */
#pragma once

#include "class.h"

/* From start on constant. */
struct hz_mark {
	uint64_t key;
	size_t clear_bytes; /* blocks with less room are cleared when freed */
};
extern struct hz_mark hz_mark HZ_HIDDEN;
void hz_mark_start(void);

/* Largest request with a class. */
enum { HZ_MARK_SMALL = HZ_CLASS_MAX_BYTES - HZ_LANE_MARK_BYTES };

/* End the process (report_crash.c): the mark of p is not that of a block in use;
 * p, free, was written to; p is not a block of the size that was said. */
_Noreturn void hz_mark_bad(const char *function, const void *p);
_Noreturn void hz_mark_written(const void *p);
_Noreturn void hz_mark_missized(const char *function, const void *p);

static inline uint64_t hz_mark_of(const void *p, size_t n)
{
	return hz_glance(hz_mark.key) ^ (uintptr_t)p ^ n;
}

static inline uint64_t *hz_mark_at(const void *p, size_t n)
{
	return (uint64_t *)((uintptr_t)p + n);
}

/* The second mark of a small block with its last word there; or the same. */
static inline uint64_t *hz_mark_second(uint64_t *last, size_t room, size_t n)
{
	return last - ((room - n) >> 3 & 1);
}

/* The one of a large block, behind its n bytes. */
static inline uint64_t *hz_mark_behind(const void *p, size_t n)
{
	return hz_mark_at(p, (n + 7) & ~(size_t)7);
}
static inline void *hz_mark_large(void *p, size_t n)
{
	if (HZ_LANE_MARK_BYTES)
		*hz_mark_behind(p, n) = hz_mark_of(p, n);
	return p;
}
static inline void hz_mark_see_large(const char *function, const void *p, size_t n)
{
	if (HZ_LANE_MARK_BYTES > 0 && *hz_mark_behind(p, n) != hz_mark_of(p, n))
		hz_mark_bad(function, p);
}

/* Dies if p, unless NULL or no block at all, is none for n bytes at a multiple of align. */
void hz_mark_check_size(const char *function, const void *p, size_t align, size_t n);
static inline void hz_mark_sized(const char *function, const void *p, size_t align, size_t n)
{
	if (HZ_LANE_MARK_BYTES)
		hz_mark_check_size(function, p, align, n);
}

/* Block p was never handed out by its slab: what an earlier slab left is no mark. */
static inline void *hz_mark_fresh(void *p, size_t bytes)
{
	if (HZ_LANE_MARK_BYTES > 0 && hz_glance(hz_mark.clear_bytes))
		*hz_mark_at(p, bytes - HZ_LANE_MARK_BYTES) = 0;
	return p;
}

/* Small block p goes to the program, which wants n bytes of it; p is returned. */
static inline void *hz_mark_out(void *p, uint32_t offset, size_t n)
{
	if (!HZ_LANE_MARK_BYTES)
		return p;
	size_t room = hz_class_at(offset)->room;
	uint64_t *last = hz_mark_at(p, room), mark = hz_mark_of(p, n);
	/* Cleared, if its mark is that of a free block. */
	if (unlikely(room < hz_glance(hz_mark.clear_bytes)) && ~(*last ^ hz_mark_of(p, 0)) <= room &&
	    (*hz_mark_at(p, 0) | last[-1]))
		hz_mark_written(p);
	*hz_mark_second(last, room, n) = mark;
	*last = mark;
	return p;
}

/* The bytes asked for of p, a small block in use, or no return; without marks `most`. */
static inline size_t hz_mark_bytes(const char *function, const void *p, uint32_t offset,
				   size_t most)
{
	if (!HZ_LANE_MARK_BYTES)
		return most;
	size_t room = hz_class_at(offset)->room;
	uint64_t *last = hz_mark_at(p, room), mark = *last, n = mark ^ hz_mark_of(p, 0);
	if (unlikely(n > room || *hz_mark_second(last, room, n) != mark))
		hz_mark_bad(function, p);
	return n;
}

/* Small block p comes back. */
static inline void hz_mark_in(void *p, uint32_t offset)
{
	if (!HZ_LANE_MARK_BYTES)
		return;
	hz_mark_bytes("free", p, offset, 0);
	size_t room = hz_class_at(offset)->room;
	uint64_t *last = hz_mark_at(p, room), mark = *last;
	if (unlikely(room < hz_glance(hz_mark.clear_bytes)))
		hz_zero(p, room + HZ_LANE_MARK_BYTES); /* in line: no register is saved for it */
	*last = ~mark;
}

/* What of n bytes to copy: hz_mark_copy wants it whole where nothing lies behind it. */
static inline size_t hz_mark_keep(size_t n)
{
	return HZ_LANE_MARK_BYTES ? n : hz_round_up(n, 16);
}

/* Copies n bytes, without marks a multiple of 16: hz_copy, but nothing, or no more than
 * the next multiple of eight, where the mark begins. */
static inline void hz_mark_copy(void *to, const void *from, size_t n)
{
	size_t most = HZ_LANE_MARK_BYTES ? (n + 7) & ~(size_t)15 : n;
	if (!HZ_LANE_MARK_BYTES || most)
		hz_copy(to, from, most);
	if (HZ_LANE_MARK_BYTES > 0 && most < n)
		*hz_mark_at(to, most) = *hz_mark_at(from, most);
}
