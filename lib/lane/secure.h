/* SPDX-License-Identifier: MIT */
/*
 * lane/secure.h - the constants of libhz-secure: misuse ends the process at once.
 *
 * Every block ends in a mark (mark.h): eight bytes, a look in free, a store in malloc
 * and in free.  What that costs is a line of the cache where the block is longer than
 * one and cold; everything else is balanced's, for its reasons.
 *
 *      mark    -> double frees, frees inside blocks and writes beyond the end are
 *                 seen by the free that they concern, sizes given to free compared
 *      delay   -> a pointer kept too long does not lead to the next block handed out
 *      zero    -> on demand (HZ_ZERO): to 256 bytes 1.3 times the time of all else
 */
#pragma once

#define HZ_LANE_NAME "secure"

enum {
	HZ_LANE_MAG_ROUNDS_START = 15,
	HZ_LANE_MAG_ROUNDS_MAX = 4095,
	HZ_LANE_MAG_ROUNDS_REFILL = 255,
	HZ_LANE_MAG_START_BYTES = 16 << 10,
	HZ_LANE_MAG_AHEAD_BYTES = 32 << 10,
	HZ_LANE_MAG_CLASS_BYTES = 1 << 20,
	HZ_LANE_MAG_THREAD_BYTES = 8 << 20,
	HZ_LANE_MAG_PROCESS_BYTES = 32 << 20,
	HZ_LANE_MAG_LIVE_SHIFT = 3,
	HZ_LANE_BATCH_ROUNDS = 62,
	HZ_LANE_BATCH_BYTES = 64 << 10,
	HZ_LANE_THIN_BYTES = 1 << 20,
	HZ_LANE_EARLY_SHIFT = 1,
	HZ_LANE_COMMIT_BYTES = 2 << 20,
	HZ_LANE_RECORD_PAGES = 4,
	HZ_LANE_STOCK_BYTES = 1 << 20,
	HZ_LANE_STOCK_SHIFT = 3,
	HZ_LANE_DIRTY_BYTES = 256 << 10,
	HZ_LANE_DIRTY_SHIFT = 3,
	HZ_LANE_AGE_MS = 1000,
	HZ_LANE_TICK_SLOW_PATHS = 64,
	HZ_LANE_SLAB_PAGES_MAX = 16,
	HZ_LANE_SLAB_SHRINK_BYTES = 1 << 10,
	HZ_LANE_ARENA_MIN_BYTES = 256 << 10,
	/* A word: 47 bits of it are known to nobody outside, 17 are the size. */
	HZ_LANE_MARK_BYTES = 8,
	/* A freed block goes below the one on top: two instructions. */
	HZ_LANE_DELAY = 1,
	HZ_LANE_CHECK = 0,
};
