/* SPDX-License-Identifier: MIT */
/*
 * lane_whitebox.h - the lane the unit tests are compiled with.
 *
 * Everything is small, so that a few thousand operations reach every rare
 * path: magazines of three rounds that flush, slabs of one page that open and
 * close, batches of two, a purge after 16 dirty pages, an arena that is full
 * after 8 MiB.  Every slow path ends with a check of all invariants, and the
 * k-th call to the kernel can be made to fail (hz_os_fault).
 */
#pragma once

#define HZ_LANE_NAME "whitebox"

enum {
	HZ_LANE_MAG_ROUNDS_START = 1,
	HZ_LANE_MAG_ROUNDS_MAX = 7,
	HZ_LANE_MAG_ROUNDS_REFILL = 3,
	HZ_LANE_MAG_START_BYTES = 16 << 10,
	HZ_LANE_MAG_AHEAD_BYTES = 32 << 10,
	HZ_LANE_MAG_CLASS_BYTES = 64 << 10,
	HZ_LANE_MAG_THREAD_BYTES = 256 << 10,
	HZ_LANE_MAG_PROCESS_BYTES = 256 << 10,
	HZ_LANE_MAG_LIVE_SHIFT = 3,
	HZ_LANE_BATCH_ROUNDS = 2,
	HZ_LANE_BATCH_BYTES = 4 << 10,
	HZ_LANE_RECORD_PAGES = 4,
	HZ_LANE_THIN_BYTES = 64 << 10,
	HZ_LANE_EARLY_SHIFT = 1,
	HZ_LANE_COMMIT_BYTES = 64 << 10,
	HZ_LANE_STOCK_BYTES = 256 << 10,
	HZ_LANE_STOCK_SHIFT = 1,
	HZ_LANE_DIRTY_BYTES = 64 << 10,
	HZ_LANE_DIRTY_SHIFT = 3,
	HZ_LANE_AGE_MS = 20,
	HZ_LANE_TICK_SLOW_PATHS = 8,
	HZ_LANE_SLAB_PAGES_MAX = 2,
	HZ_LANE_SLAB_SHRINK_BYTES = 4 << 10,
	HZ_LANE_ARENA_MIN_BYTES = 256 << 10,
	HZ_LANE_MARK_BYTES = 0,
	HZ_LANE_DELAY = 0,
	HZ_LANE_CHECK = 1,
};
