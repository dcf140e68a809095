/* SPDX-License-Identifier: MIT */
/*
 * waste.h - what requests of 4 to 32 KiB lose to rounding: box waste.
 *
 *      api.c, each such request  -->  hz_waste[sc]  -->  observers
 *                                     sc = ceil(requested / 4096) - 1
 *                                -->  what was asked for, by page: a realloc
 *                                     that stays in place adds its growth
 *
 * The only observation on the allocation path, and only in a build that was
 * asked for it: elsewhere the functions here are empty and the compiler drops
 * them.
 *
 * Invariants: alloc >= req in every row; both only grow.
 * Who may call: api.c adds, observers read.  It refuses other sizes silently.
 */
#pragma once

#include "class.h"
#include "option.h"

/* The seeds' medium sizes, in pages of 4 KiB: 4, 8, ... 32 KiB. */
enum { HZ_WASTE_CLASSES = 8, HZ_WASTE_LEAST = 4096, HZ_WASTE_MOST = 32768 };

struct hz_waste {
	uint64_t req, alloc; /* bytes asked for, bytes handed out; any thread, relaxed */
};
extern struct hz_waste hz_waste[HZ_WASTE_CLASSES];

/* Of blocks above 4096 bytes, at most one of which begins in any page. */
void hz_waste_note(const void *p, size_t n, size_t up);
void hz_waste_grew(const void *p, size_t n);

/* n bytes were asked for and got a block for `up` bytes at p, which is
 * returned; NULL: they were not. */
static inline void *hz_waste_got(void *p, size_t n, size_t up)
{
	if (HZ_WASTE_BUILT && up > HZ_WASTE_LEAST && p)
		hz_waste_note(p, n, up);
	return p;
}

/* The block of `bytes` bytes at p stayed where it is for n bytes. */
static inline void hz_waste_kept(const void *p, size_t n, size_t bytes)
{
	if (HZ_WASTE_BUILT && bytes > HZ_WASTE_LEAST)
		hz_waste_grew(p, n);
}
