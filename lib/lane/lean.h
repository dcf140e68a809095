/* SPDX-License-Identifier: MIT */
/*
 * lane/lean.h - the constants of libhz-lean: the least resident memory.
 *
 * What costs memory that balanced spends for speed is free pages kept at hand: they go
 * sooner here, and fewer are kept.  Neither smaller magazines nor shorter slabs are of
 * use: a block that comes back through a magazine is resident already, a carved one is
 * not yet (doc/LEDGER.md).
 * Values that are not argued here are balanced's, for its reasons.
 *
 *      dirty      -> little beyond the recent peak, for a fifth of a second
 *      magazines  -> less handed out ahead: what a sleeping thread keeps
 */
#pragma once

#define HZ_LANE_NAME "lean"

enum {
	HZ_LANE_MAG_ROUNDS_START = 15,
	HZ_LANE_MAG_ROUNDS_MAX = 4095,
	HZ_LANE_MAG_ROUNDS_REFILL = 255,
	HZ_LANE_MAG_START_BYTES = 16 << 10,
	/* As in balanced: with half of it 64 threads that sleep hold 12 MiB instead of 2. */
	HZ_LANE_MAG_AHEAD_BYTES = 16 << 10,
	/* As in balanced: half of these, and less stock, made replacing blocks to 128 KiB
	 * 2.8 times as long and 1.4 times as large, and all peaks a tenth larger. */
	HZ_LANE_MAG_CLASS_BYTES = 2 << 20,
	HZ_LANE_MAG_THREAD_BYTES = 16 << 20,
	HZ_LANE_MAG_PROCESS_BYTES = 64 << 20,
	HZ_LANE_MAG_LIVE_SHIFT = 3,

	HZ_LANE_BATCH_ROUNDS = 62,
	HZ_LANE_BATCH_BYTES = 64 << 10,
	/* Pages of slabs are looked for in smaller heaps, too. */
	HZ_LANE_THIN_BYTES = 256 << 10,
	/* A quarter of what balanced leaves to who frees more than it keeps. */
	HZ_LANE_EARLY_SHIFT = 3,

	HZ_LANE_COMMIT_BYTES = 2 << 20,
	HZ_LANE_RECORD_PAGES = 4,
	HZ_LANE_STOCK_BYTES = 256 << 10,
	HZ_LANE_STOCK_SHIFT = 1,

	HZ_LANE_DIRTY_BYTES = 256 << 10,
	/* A 32nd of the recent peak beyond it: large blocks that come and go 0.90 of
	 * balanced's peak, threads that come and go 0.62, at 1.7 and 1.1 times the
	 * processor time.  With a 16th 0.98, 0.77 and 1.2, 1.1. */
	HZ_LANE_DIRTY_SHIFT = 5,
	/* Twice the break-even of a purge and its refault. */
	HZ_LANE_AGE_MS = 200,
	/* A quarter of balanced's, so that an age that short is noticed. */
	HZ_LANE_TICK_SLOW_PATHS = 16,

	/* As in balanced: slabs of four pages gain less than 1 % of all peaks for 2 % of
	 * all time; of two pages nothing for 3 %, and for a third of it where everything is
	 * freed at once. */
	HZ_LANE_SLAB_PAGES_MAX = 16,
	HZ_LANE_SLAB_SHRINK_BYTES = 1 << 10,

	HZ_LANE_ARENA_MIN_BYTES = 256 << 10,
	HZ_LANE_MARK_BYTES = 0,
	HZ_LANE_DELAY = 0,
	HZ_LANE_CHECK = 0,
};
