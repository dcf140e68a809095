/* SPDX-License-Identifier: MIT */
/*
 * pressure.h - how much is kept for reuse, and when it is given back.
 *
 *   dirty pages   kept up to recent peak + 1/8 - used, at least 4 MiB;
 *                 anything older than HZ_LANE_AGE_MS goes
 *   magazines     one process-wide budget divided among the threads
 *   pressure      the kernel refused, or the arena is full: everything goes
 *
 * All of it happens at cold events (slow paths, frees of runs); there is no
 * thread.  Who may call: heap.c, large.c, api.c.  It refuses to touch any
 * bitmap: run.c alone owns free pages.
 */
#pragma once

#include "run.h"

/* After runs were freed: purges what is over the budget. */
void hz_pressure_freed(void);
/* A look at the clock: ages the peak, purges what is old. Returns now. */
uint32_t hz_pressure_tick(void);
/* Purges everything free; returns pages given back. */
size_t hz_pressure_purge_all(void);
/* Dirty pages that may stay now. */
size_t hz_pressure_keep(void);

/* Events, for reports: any thread, relaxed. */
struct hz_pressure_counts {
	uint64_t ticks, purged_pages, events;
};
extern struct hz_pressure_counts hz_pressure_counts;
