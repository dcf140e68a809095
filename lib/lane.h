/* SPDX-License-Identifier: MIT */
/*
 * lane.h - the one place where a lane's table of constants is taken in.
 *
 * A lane is this library compiled with one table: lane/balanced.h for libhz,
 * lane/scale.h, lane/lean.h and lane/secure.h for the others, all with the same names.  The build
 * names the header in HZ_LANE_H; logic uses the names as ordinary constants,
 * so every branch is compiled in every lane and the dead ones vanish.
 *
 *      HZ_LANE_H --> enum of HZ_LANE_* --> ranges checked here --> all layers
 *
 * It refuses a table whose values would break an invariant elsewhere.
 */
#pragma once

#include HZ_LANE_H

/* The name of this library: an observing twin is given its own. */
#ifndef HZ_LANE_SELF
#define HZ_LANE_SELF HZ_LANE_NAME
#endif

_Static_assert(HZ_LANE_MAG_ROUNDS_MAX >= 1 && HZ_LANE_MAG_ROUNDS_MAX <= 4095,
	       "a magazine array is at most 32 KiB");
_Static_assert(HZ_LANE_MAG_ROUNDS_START >= 1 &&
		       HZ_LANE_MAG_ROUNDS_START <= HZ_LANE_MAG_ROUNDS_MAX,
	       "a magazine starts within its bounds");
_Static_assert(HZ_LANE_BATCH_ROUNDS >= 1 && HZ_LANE_BATCH_ROUNDS <= 62,
	       "a batch with its header fills 512 bytes");
_Static_assert(HZ_LANE_SLAB_PAGES_MAX * 4096 >= HZ_LANE_SLAB_SHRINK_BYTES,
	       "a block fits into its slab");
_Static_assert(HZ_LANE_MARK_BYTES == 0 || HZ_LANE_MARK_BYTES == 8,
	       "a mark is a word, and blocks stay at multiples of 16");
_Static_assert(HZ_LANE_COMMIT_BYTES >= 64 * 1024,
	       "a commit step covers the largest kernel page");
