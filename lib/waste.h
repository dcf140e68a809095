/* SPDX-License-Identifier: MIT */
/*
 * waste.h - what requests of 4 to 32 KiB lose to rounding: box waste.
 *
 *      api.c, each such request  -->  hz_waste[sc]  -->  observers
 *                                     sc = ceil(requested / 4096) - 1
 *
 * The only observation on the allocation path, and only in a build that was
 * asked for it: elsewhere hz_waste_seen is empty and the compiler drops it.
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

/* n bytes were asked for and get a block for `up` bytes. */
static inline void hz_waste_seen(size_t n, size_t up)
{
	if (!HZ_WASTE_BUILT || n <= HZ_WASTE_LEAST || n > HZ_WASTE_MOST)
		return;
	size_t bytes = up <= HZ_CLASS_MAX_BYTES ? hz_classes[hz_class_of_size(up)].bytes
						: hz_pages_of(up) << HZ_PAGE_SHIFT;
	struct hz_waste *w = &hz_waste[(n + HZ_PAGE - 1) / HZ_PAGE - 1];
	hz_add(&w->req, n);
	hz_add(&w->alloc, bytes);
}
