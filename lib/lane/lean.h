/* SPDX-License-Identifier: MIT */
/*
 * lane/lean.h - the constants of libhz-lean: the least resident memory.
 *
 * Two things cost memory that the other lanes spend for speed: free pages kept
 * at hand, and slabs so long that one class keeps what another lacks.  Smaller
 * magazines are not among them: a block that comes back through a magazine is
 * resident already, a carved one is not yet (doc/LEDGER.md).
 * Values that are not argued here are balanced's, for its reasons.
 *
 *      slabs      -> two pages: a class gives back what it does not use
 *      dirty      -> a small program's own swings, for a fifth of a second
 */
#pragma once

#define HZ_LANE_NAME "lean"

enum {
	HZ_LANE_MAG_ROUNDS_START = 15,
	HZ_LANE_MAG_ROUNDS_MAX = 4095,
	HZ_LANE_MAG_ROUNDS_REFILL = 255,
	HZ_LANE_MAG_START_BYTES = 16 << 10,
	HZ_LANE_MAG_AHEAD_BYTES = 8 << 10,
	HZ_LANE_MAG_CLASS_BYTES = 1 << 20,
	/* As in balanced: half of it made replacing blocks to 128 KiB 1.2 times
	 * as long and larger, too.  But a large heap does not raise it by more
	 * than a 32nd of itself. */
	HZ_LANE_MAG_THREAD_BYTES = 8 << 20,
	HZ_LANE_MAG_PROCESS_BYTES = 32 << 20,
	HZ_LANE_MAG_LIVE_SHIFT = 5,

	HZ_LANE_BATCH_ROUNDS = 62,
	HZ_LANE_BATCH_BYTES = 64 << 10,
	HZ_LANE_THIN_BYTES = 256 << 10,
	HZ_LANE_EARLY_SHIFT = 3,

	HZ_LANE_COMMIT_BYTES = 2 << 20,
	/* Slabs are shorter, so records are more. */
	HZ_LANE_RECORD_PAGES = 2,

	/* Former slabs are recycled as in balanced: the same pages again. */
	HZ_LANE_STOCK_BYTES = 1 << 20,
	HZ_LANE_STOCK_SHIFT = 3,

	/* A quarter of balanced's, and a 32nd of the recent peak beyond it:
	 * large blocks that come and go 0.94 of balanced's peak, growing ones
	 * 0.83, threads that come and go 0.62; in processor time 1.1 to 1.3,
	 * and 1.8 where blocks to 128 KiB are replaced (0.57 of the memory).
	 * A 16th gains half of that. */
	HZ_LANE_DIRTY_BYTES = 256 << 10,
	HZ_LANE_DIRTY_SHIFT = 5,
	/* Twice the break-even of a purge and its refault. */
	HZ_LANE_AGE_MS = 200,
	/* A quarter of balanced's, so that an age that short is noticed. */
	HZ_LANE_TICK_SLOW_PATHS = 16,

	/* Slabs of blocks to 1 KiB are two pages long: a heap refilled with
	 * other sizes 0.88 of balanced's peak, threads that come and go 0.65;
	 * it costs 1 % of record more and up to 1.2 in processor time where
	 * everything is allocated and then freed.  One page: 0.77 and 1.5. */
	HZ_LANE_SLAB_PAGES_MAX = 2,
	HZ_LANE_SLAB_SHRINK_BYTES = 1 << 10,

	HZ_LANE_ARENA_MIN_BYTES = 256 << 10,
	HZ_LANE_MARK_BYTES = 0,
	HZ_LANE_DELAY = 0,
	HZ_LANE_CHECK = 0,
};
