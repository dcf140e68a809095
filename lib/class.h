/* SPDX-License-Identifier: MIT */
/*
 * class.h - size classes: what sizes exist and how a request finds its own.
 *
 * 16-byte steps to 128 bytes, then four classes per doubling to 128 KiB.
 * The tables are generated at build time (class_table.h) and constant: they
 * work before any constructor and are shared by all processes.
 *
 *   request n --(n+15)>>4--> hz_class_offset[] --> offset of the class
 *                                                  in a thread's hz_tls
 *   class c   --------------> hz_classes[]     --> bytes, slab pages, blocks
 *
 * A class is named three ways: its number 0..47 (tables, reports), its offset
 * (magazines and page tags: the hit paths use it without scaling) and its
 * block size.  Every power of two up to 128 KiB is a class, and blocks of a
 * class lie at multiples of its size from a page boundary.
 *
 * It refuses sizes above HZ_CLASS_MAX_BYTES; those are large blocks.
 */
#pragma once

#include "base.h"
#include "class_table.h"

struct hz_class {
	uint32_t bytes; /* block size */
	uint32_t reciprocal; /* ceil(2^32 / bytes): block number by multiply */
	uint16_t pages; /* pages of one slab */
	uint16_t blocks; /* blocks of one slab, at most HZ_SLAB_BLOCKS_MAX */
	uint32_t room; /* bytes of a block that may be the program's */
};

/* One slab's free bitmap is 512 bits: with 64 bytes of header two cache
 * lines, 0.8 % of a 16 KiB slab. */
enum { HZ_SLAB_BLOCKS_MAX = 512 };

/* Offsets of magazines in hz_tls: a 16-byte header, 16 bytes per class. */
enum { HZ_OFFSET_FIRST = 16, HZ_OFFSET_STEP = 16 };

extern const struct hz_class hz_classes[HZ_CLASSES] HZ_HIDDEN;
extern const uint16_t hz_class_offset[HZ_CLASS_MAX_BYTES / 16 + 1] HZ_HIDDEN;

/* An offset finds its class without scaling, and to HZ_CLASS_LINEAR_MAX it is the size. */
_Static_assert(sizeof(struct hz_class) == HZ_OFFSET_STEP &&
		       HZ_OFFSET_STEP == HZ_CLASS_STEP_BYTES && HZ_OFFSET_FIRST == HZ_OFFSET_STEP,
	       "classes lie as far apart as magazines, and as the smallest blocks");
static inline const struct hz_class *hz_class_at(uintptr_t offset)
{
	return (const struct hz_class *)((uintptr_t)hz_classes + offset - HZ_OFFSET_FIRST);
}

/* n is at most HZ_CLASS_MAX_BYTES. */
static inline unsigned hz_class_of_size(size_t n)
{
	return (hz_class_offset[(n + 15) >> 4] - HZ_OFFSET_FIRST) / HZ_OFFSET_STEP;
}

static inline unsigned hz_class_of_offset(uint32_t offset)
{
	return (offset - HZ_OFFSET_FIRST) / HZ_OFFSET_STEP;
}

static inline uint32_t hz_offset_of_class(unsigned c)
{
	return HZ_OFFSET_FIRST + c * HZ_OFFSET_STEP;
}
