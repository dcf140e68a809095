/* SPDX-License-Identifier: MIT */
/*
 * lane/balanced.h - the constants of libhz, the default lane.
 *
 * Best time and best resident memory together; what each value was weighed
 * against is in doc/LEDGER.md.  Same names in every lane.
 *
 *      magazines  -> what one thread may hold back for itself
 *      batches    -> what is owed to other threads before it is handed over
 *      dirty      -> what the arena keeps for reuse before the kernel gets it
 */
#pragma once

#define HZ_LANE_NAME "balanced"

enum {
	/* Rounds of a class's first magazine: 15 pointers and the bottom mark
	 * fill 128 bytes, two lines; a program that frees a handful of a class
	 * never needs more. */
	HZ_LANE_MAG_ROUNDS_START = 15,
	/* Most rounds of a magazine that grew by overflow: 32 KiB of pointers. */
	HZ_LANE_MAG_ROUNDS_MAX = 4095,
	/* Most rounds of a magazine that grew because it ran empty: handing out
	 * ahead touches no block, only 2 KiB of pointers. */
	HZ_LANE_MAG_ROUNDS_REFILL = 255,
	/* Bytes a magazine of medium blocks starts with; small ones start with
	 * MAG_ROUNDS_START rounds. */
	HZ_LANE_MAG_START_BYTES = 16 << 10,
	/* Bytes handed out ahead at most when a magazine grows by running empty: four
	 * pages. With 32 and 8 KiB 64 threads that used every class once and slept held 4
	 * and 13 MiB instead of 4; bench_bulk stagger was 0.97 and 1.08 in time. */
	HZ_LANE_MAG_AHEAD_BYTES = 16 << 10,
	/* Most bytes one class holds in one thread.  A recycled block is touched
	 * already, a fresh one is not: 1 MiB halved the time of the 128 KiB classes,
	 * 2 MiB took another quarter, and both lowered memory. */
	HZ_LANE_MAG_CLASS_BYTES = 2 << 20,
	/* Most bytes all magazines of one thread can hold, and the least that all
	 * threads together may; above it an eighth of the used heap.  Capacity,
	 * of which blocks at hand are about half.  With half of it 16 threads
	 * replacing blocks to 32 KiB took 1.1 times as long and a tenth more memory;
	 * a magazine grows only for what is asked for again, so it is not all used. */
	HZ_LANE_MAG_THREAD_BYTES = 16 << 20,
	HZ_LANE_MAG_PROCESS_BYTES = 64 << 20,
	HZ_LANE_MAG_LIVE_SHIFT = 3,

	/* Pointers in one batch: with its header 512 bytes. */
	HZ_LANE_BATCH_ROUNDS = 62,
	/* Bytes in one batch: enough to make a locked instruction rare beside
	 * what a program does with the blocks, small beside a magazine. */
	HZ_LANE_BATCH_BYTES = 64 << 10,

	/* Free bytes in a heap's slabs not worth a look for pages without a block
	 * in use. */
	HZ_LANE_THIN_BYTES = 1 << 20,
	/* Part of what is used, 2^-n, that stays dirty in a process that freed the
	 * more and has not shown that it comes back for it. */
	HZ_LANE_EARLY_SHIFT = 1,

	/* Commit step of the arena: not more, because under mlockall a step
	 * becomes resident at once. */
	HZ_LANE_COMMIT_BYTES = 2 << 20,
	/* Committed run records: one for so many pages of committed heap, the
	 * length of the shortest slabs but two; untouched ones are not resident. */
	HZ_LANE_RECORD_PAGES = 4,

	/* Former slabs kept whole in lists by length whatever the heap's size,
	 * and their part, 2^-n, of the heap.  By so much the sums by length of blocks
	 * to 128 KiB replaced at random swing; beyond the peak nothing is kept. */
	HZ_LANE_STOCK_BYTES = 256 << 10,
	HZ_LANE_STOCK_SHIFT = 1,

	/* Dirty pages kept whatever the heap's size: what a small program may
	 * waste.  Swings of the heap are covered by its recent peak.  With 1 MiB
	 * time was the same, and small heaps of two threads a tenth larger. */
	HZ_LANE_DIRTY_BYTES = 256 << 10,
	/* And beyond the recent peak: a 2^-3 part of it, and twice that of what large
	 * blocks have or, freed of late, may have again: they fit each other worst.
	 * Replacing blocks of 5 to 25 MiB takes 0.65 of the time with it, for 8 % more
	 * memory, growing some to 4 MiB over and over 0.9 for 6 %. */
	HZ_LANE_DIRTY_SHIFT = 3,
	/* Age at which dirty pages are given back, ms: break-even of a purge
	 * and its refault is far above 100 ms. */
	HZ_LANE_AGE_MS = 1000,
	/* Slow paths between two looks at the clock. */
	HZ_LANE_TICK_SLOW_PATHS = 64,

	/* Slabs as class_table.h says: none is longer. */
	HZ_LANE_SLAB_PAGES_MAX = 16,
	HZ_LANE_SLAB_SHRINK_BYTES = 1 << 10,

	/* Arena sizes below the default, down to which the ladder goes. */
	HZ_LANE_ARENA_MIN_BYTES = 256 << 10,

	/* Bytes at the end of a block that are not the program's; what was freed
	 * last is handed out first: lane secure has it otherwise. */
	HZ_LANE_MARK_BYTES = 0,
	HZ_LANE_DELAY = 0,

	/* Internal checks: off. */
	HZ_LANE_CHECK = 0,
};
