/* SPDX-License-Identifier: MIT */
/*
 * pressure.h - how much is kept for reuse, and when it is given back.
 *
 *   dirty pages   kept up to recent peak + 1/8 - used, at least 256 KiB, by a
 *                 process that comes back for what it frees, else no more than
 *                 half of what is used; anything older than HZ_LANE_AGE_MS goes
 *   magazines     one process-wide budget divided among the threads
 *   near          HZ_PRESSURE: a limit is near; the budget is 0 until it is over
 *   pressure      the kernel refused, or the arena is full: the budget is 0 for
 *                 once, and begins anew from what is used then
 *
 * All of it happens at cold events (slow paths, frees of runs); there is no
 * thread, but for HZ_PURGER.  Who may call: heap.c, large.c, api.c.  It refuses to touch any
 * bitmap: run.c alone owns free pages.
 */
#pragma once

#include "cgroup.h"
#include "run.h"

/* After runs were freed: purges what is over the budget. */
void hz_pressure_freed(void);
/* A look at the clock: ages the peak, purges what is old. Returns now. */
uint32_t hz_pressure_tick(void);
/* Memory is short, or somebody asks: what the calling thread may give back goes
 * and all that is free with it, and observers look.  Pages given back. */
size_t hz_pressure_relieve(void);
/* Dirty pages that may stay now. */
size_t hz_pressure_keep(void);
static inline bool hz_pressure_look(void)
{
	return unlikely(hz_option.watch) && hz_cgroup_ask();
}

/* What observers are told of.  The call is made with no lock held. */
enum hz_event {
	HZ_EVENT_START, /* the first allocation, once */
	HZ_EVENT_EPOCH, /* a thread's magazines were looked through */
	HZ_EVENT_PRESSURE, /* an arena is full, the kernel refused, or hz_purge */
	HZ_EVENT_THREAD_EXIT, /* a thread gave its heap up */
};
extern void (*const hz_observer)(enum hz_event); /* observe.c's; NULL if not built */

static inline void hz_observed(enum hz_event e)
{
	if (HZ_OBSERVE_BUILT && unlikely(hz_option.boxes))
		hz_observer(e);
}

/* hz_run_alloc, with word to observers when it took a further arena. */
static inline struct hz_run *hz_pressure_run(size_t pages, size_t align, enum hz_run_state state)
{
	uint32_t arenas = hz_load(&hz_arenas_count);
	struct hz_run *r = hz_run_alloc(pages, align, state);
	if (unlikely(hz_load(&hz_arenas_count) != arenas))
		hz_observed(HZ_EVENT_PRESSURE);
	return r;
}

/* Events, for reports: any thread, relaxed. */
struct hz_pressure_counts {
	uint64_t ticks, aged, purged_pages, events; /* aged: ticks that did not come too soon */
	uint64_t looks, nears; /* at the kernel's figures; times they said that it is near */
	uint64_t wakes; /* of the purger */
};
extern struct hz_pressure_counts hz_pressure_counts;
