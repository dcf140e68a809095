/* SPDX-License-Identifier: MIT */
/*
 * lane/scale.h - the constants of libhz-scale: many threads, remote frees.
 *
 * Where blocks are freed by other threads than made them, memory is always on
 * its way somewhere: this lane lets each thread hold more, hands over more at
 * once and keeps what was used for longer, and pays with resident memory.
 * Values that are not argued here are balanced's, for its reasons.
 *
 *      magazines  -> a swing of producer and consumer fits
 *      batches    -> a locked instruction for twice as many bytes
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
	/* Twice balanced's for a class and a thread, and for the process what
	 * 16 threads need before their shares shrink. */
	HZ_LANE_MAG_CLASS_BYTES = 2 << 20,
	HZ_LANE_MAG_THREAD_BYTES = 16 << 20,
	HZ_LANE_MAG_PROCESS_BYTES = 128 << 20,
	HZ_LANE_MAG_LIVE_SHIFT = 2,

	HZ_LANE_BATCH_ROUNDS = 62,
	HZ_LANE_BATCH_BYTES = 128 << 10,

	HZ_LANE_COMMIT_BYTES = 2 << 20,
	HZ_LANE_RECORD_PAGES = 4,

	HZ_LANE_STOCK_BYTES = 4 << 20,
	HZ_LANE_STOCK_SHIFT = 2,

	HZ_LANE_DIRTY_BYTES = 4 << 20,
	HZ_LANE_DIRTY_SHIFT = 2,
	HZ_LANE_AGE_MS = 2000,
	HZ_LANE_TICK_SLOW_PATHS = 64,

	HZ_LANE_SLAB_PAGES_MAX = 16,
	HZ_LANE_SLAB_SHRINK_BYTES = 1 << 10,
	HZ_LANE_ARENA_MIN_BYTES = 256 << 10,
	HZ_LANE_CHECK = 0,
};
