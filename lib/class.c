/* SPDX-License-Identifier: MIT */
/*
 * class.c - the two constant tables.
 *
 * What it is: data.  class_table.h lists the classes ({bytes, pages, blocks}
 * each) and the class of every multiple of 16 up to the largest; here they
 * become the tables that the hit paths index.
 *
 * Invariants: bytes ascend; bytes * blocks <= pages * 4096; the lookup table
 * never names a class smaller than the request.  tests/class_table.sh checks
 * the generated header, tests/test_class.c these tables.
 *
 * It refuses nothing at run time; there is nothing to fail.
 */
#include "class.h"

/* A lane may shrink slabs of small blocks. */
#define SHRUNK(bytes, pages)                                                       \
	((bytes) > HZ_LANE_SLAB_SHRINK_BYTES	    ? (pages)                      \
	 : (pages) > HZ_LANE_SLAB_PAGES_MAX	    ? HZ_LANE_SLAB_PAGES_MAX       \
						    : (pages))
#define BLOCKS(bytes, pages) (SHRUNK(bytes, pages) * HZ_PAGE / (bytes))
#define CLASS(bytes, pages, blocks_full)                                           \
	{                                                                          \
		(bytes), (uint32_t)(((1ULL << 32) + (bytes) - 1) / (bytes)),       \
			SHRUNK(bytes, pages),                                      \
			BLOCKS(bytes, pages) < (blocks_full) ? BLOCKS(bytes, pages) \
							     : (blocks_full),      \
			(bytes) - HZ_LANE_MARK_BYTES                               \
	},

const struct hz_class hz_classes[HZ_CLASSES] = { HZ_CLASS_INIT(CLASS) };

#define H(c) HZ_OFFSET_FIRST + (c) * HZ_OFFSET_STEP,

const uint16_t hz_class_offset[HZ_CLASS_MAX_BYTES / 16 + 1] = { HZ_CLASS_LOOKUP_INIT(H) };

_Static_assert(HZ_OFFSET_FIRST + HZ_CLASSES * HZ_OFFSET_STEP <= 1024,
	       "offsets fit the low ten bits of a page tag and 1 KiB of TLS");
