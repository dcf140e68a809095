/* SPDX-License-Identifier: MIT */
/*
 * lane/lean.h - the constants of libhz-lean: the least resident memory.
 *
 * What a thread holds for itself and what the arena keeps for reuse is memory
 * that nobody else has: this lane keeps little of both and gives it back
 * soon, and pays with slow paths, system calls and page faults.
 * Values that are not argued here are balanced's, for its reasons.
 *
 *      magazines  -> a few pages per class, a MiB per thread
 *      batches    -> handed over early
 *      dirty      -> a program's own small swings, for a fifth of a second
 */
#pragma once

#define HZ_LANE_NAME "lean"

enum {
	HZ_LANE_MAG_ROUNDS_START = 15,
	HZ_LANE_MAG_ROUNDS_MAX = 1023,
	HZ_LANE_MAG_ROUNDS_REFILL = 63,
	HZ_LANE_MAG_START_BYTES = 8 << 10,
	HZ_LANE_MAG_AHEAD_BYTES = 16 << 10,
	/* An eighth of balanced's for a class, a thread and the process. */
	HZ_LANE_MAG_CLASS_BYTES = 128 << 10,
	HZ_LANE_MAG_THREAD_BYTES = 1 << 20,
	HZ_LANE_MAG_PROCESS_BYTES = 4 << 20,
	HZ_LANE_MAG_LIVE_SHIFT = 5,

	HZ_LANE_BATCH_ROUNDS = 62,
	HZ_LANE_BATCH_BYTES = 16 << 10,

	HZ_LANE_COMMIT_BYTES = 2 << 20,

	HZ_LANE_STOCK_BYTES = 128 << 10,
	HZ_LANE_STOCK_SHIFT = 5,

	HZ_LANE_DIRTY_BYTES = 256 << 10,
	HZ_LANE_DIRTY_SHIFT = 5,
	HZ_LANE_AGE_MS = 200,
	HZ_LANE_TICK_SLOW_PATHS = 16,

	HZ_LANE_SLAB_PAGES_MAX = 16,
	HZ_LANE_ARENA_MIN_BYTES = 256 << 10,
	HZ_LANE_CHECK = 0,
};
