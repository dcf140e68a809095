/* SPDX-License-Identifier: MIT */
/*
 * lane/scale.h - the constants of libhz-scale: many threads, remote frees.
 *
 * Where blocks are freed by other threads than made them, memory is always on
 * its way somewhere, and what stands in the way is fetching pages: from the
 * kernel, or from another thread's former slabs under the arena's lock.  This
 * lane lets each thread hold more and keeps what was used for longer.
 * Figures: processor time of five rows, 4 and 16 threads, 50 and 90 % freed by
 * another one, to 2, 32 and 128 KiB; balanced 1.34 of the best peer, this 1.10.
 * Values that are not argued here are balanced's, for its reasons.
 *
 *      magazines  -> a swing of producer and consumer fits
 *      stock      -> former slabs wait whole for their next owner
 *      dirty      -> what one phase freed is there for the next
 */
#pragma once

#define HZ_LANE_NAME "scale"

enum {
	HZ_LANE_MAG_ROUNDS_START = 15,
	HZ_LANE_MAG_ROUNDS_MAX = 4095,
	HZ_LANE_MAG_ROUNDS_REFILL = 255,
	HZ_LANE_MAG_START_BYTES = 16 << 10,
	HZ_LANE_MAG_AHEAD_BYTES = 32 << 10,
	/* Four times balanced's for a class and a thread; up to eight threads
	 * have all of it, sixteen half, and of a large heap they may have half.
	 * These three together: 1.27 to 1.18, in nine rows. */
	HZ_LANE_MAG_CLASS_BYTES = 4 << 20,
	HZ_LANE_MAG_THREAD_BYTES = 32 << 20,
	HZ_LANE_MAG_PROCESS_BYTES = 256 << 20,
	HZ_LANE_MAG_LIVE_SHIFT = 1,

	/* 16, 32, 128 and 256 KiB were no better. */
	HZ_LANE_BATCH_ROUNDS = 62,
	HZ_LANE_BATCH_BYTES = 64 << 10,
	HZ_LANE_THIN_BYTES = 4 << 20,
	HZ_LANE_EARLY_SHIFT = 1,

	HZ_LANE_COMMIT_BYTES = 2 << 20,
	HZ_LANE_RECORD_PAGES = 4,

	/* A class's former slabs serve it again before anything is joined and
	 * cut: alone 1.27 to 1.17, in nine rows. */
	HZ_LANE_STOCK_BYTES = 32 << 20,
	HZ_LANE_STOCK_SHIFT = 1,

	/* A quarter beyond the recent peak, for two seconds.  64 MiB and half
	 * for five seconds: no faster, resident memory 1.08. */
	HZ_LANE_DIRTY_BYTES = 8 << 20,
	HZ_LANE_DIRTY_SHIFT = 2,
	HZ_LANE_AGE_MS = 2000,
	HZ_LANE_TICK_SLOW_PATHS = 64,

	HZ_LANE_SLAB_PAGES_MAX = 16,
	HZ_LANE_SLAB_SHRINK_BYTES = 1 << 10,
	HZ_LANE_ARENA_MIN_BYTES = 256 << 10,
	HZ_LANE_MARK_BYTES = 0,
	HZ_LANE_DELAY = 0,
	HZ_LANE_CHECK = 0,
};
