/* SPDX-License-Identifier: MIT */
/*
 * pressure.c - budgets: what may stay dirty, what a thread may hold.
 *
 *        used   ____
 *        peak  /    \____ decays by half of its distance a second
 *             /   keep = peak + peak/8 + (large + peak - used)/4 - used
 *
 * Keeping as much as the process recently used raises no peak, and what is
 * not used for a second is given back.  But a process that has freed most of
 * what it had may never call again, so as long as it has not shown twice, or once in
 * a loop, that it comes back within two seconds for what it gave up, it keeps no more than
 * half of what it uses, and then as much as it came back for, until memory
 * grows old unused.
 * The first two such returns cost page faults, the last one costs what the
 * exit of the process would.
 *
 * Invariants: no lock is held while the kernel takes a run's pages; a purge that
 * is refused is not repeated.  It refuses to run in hit paths.
 */
#include "pressure.h"

#include "heap.h"
#include "probe.h"

enum {
	/* Who comes back so soon, beside the time its page faults take at so many a millisecond,
	 * is in a loop, and believed the first time. */
	LOOP_MS = 50, LOOP_PAGES = 512,
	/* Dirty pages worth a look at the clock: 16 MiB. */
	MUCH_PAGES = 4096,
	LEAST_PAGES = HZ_LANE_DIRTY_BYTES >> HZ_PAGE_SHIFT,
};

struct hz_pressure_counts hz_pressure_counts;

static struct {
	uint32_t aged_ms; /* last ageing of the peak; CAS by whoever does it */
	/* Of whoever frees, relaxed; lost updates cost a purge too few or many. */
	uint32_t early_ms; /* last purge before its time */
	size_t early_pages, early_used; /* purged so, of late; used then */
	size_t trusted_pages; /* the most it came back for, from the second time on */
	uint32_t backs; /* times it came back, ever */
} pressure;

static size_t keep_of(size_t used, bool early)
{
	if (unlikely(hz_load(&hz_cgroup_said)))
		return 0;
	size_t peak = hz_load(&hz_run_counts.peak_pages);
	/* What was freed of late may be large blocks again. */
	size_t coarse = hz_load(&hz_run_counts.large_pages) + (peak > used ? peak - used : 0);
	size_t want = peak + ((peak + 2 * coarse) >> HZ_LANE_DIRTY_SHIFT);
	size_t keep = want > used + LEAST_PAGES ? want - used : LEAST_PAGES;
	if (!early || used > hz_load(&hz_run_counts.high_pages) / 2)
		return keep;
	size_t least = hz_max(LEAST_PAGES, used >> HZ_LANE_EARLY_SHIFT);
	return hz_min(keep, hz_max(least, hz_load(&pressure.trusted_pages)));
}

size_t hz_pressure_keep(void)
{
	return keep_of(hz_load(&hz_run_counts.used_pages), true);
}

static size_t purge(size_t keep, uint32_t before_ms)
{
	size_t n = hz_run_purge(keep, before_ms);
	if (n) {
		HZ_PROBE1(purge, n);
		hz_add(&hz_pressure_counts.purged_pages, n);
	}
	return n;
}

/* More is dirty than may be kept.  Before its time that is looked at each time
 * use has halved, by when much has joined to be given back in few calls. */
static void over(size_t used, size_t dirty)
{
	if (dirty > keep_of(used, false)) {
		purge(keep_of(used, false), 0);
		return;
	}
	uint32_t now = (uint32_t)hz_os_now_ms();
	bool soon = now - hz_load(&pressure.early_ms) < 2 * HZ_LANE_AGE_MS;
	size_t gone = soon ? hz_load(&pressure.early_pages) : 0;
	size_t back = hz_load(&hz_run_counts.high_pages) - hz_load(&pressure.early_used);
	if (gone > LEAST_PAGES && back > gone / 2 && back > hz_load(&pressure.trusted_pages)) {
		if (hz_add(&pressure.backs, 1) ||
		    now - hz_load(&pressure.early_ms) < LOOP_MS + gone / LOOP_PAGES) {
			hz_store(&pressure.trusted_pages, back + back / 4);
			return;
		}
		gone = 0;
	}
	size_t n = purge(keep_of(used, true), 0);
	if (!n) /* refused, as for locked memory */
		hz_store(&pressure.trusted_pages, SIZE_MAX);
	hz_store(&pressure.early_pages, gone + n);
	hz_store(&pressure.early_ms, now);
	hz_store(&pressure.early_used, used);
	hz_store(&hz_run_counts.high_pages, used);
}

void hz_pressure_freed(void)
{
	size_t used = hz_load(&hz_run_counts.used_pages), dirty = hz_run_loose();
	if (unlikely(hz_load(&hz_cgroup_said))) /* former slabs kept whole are free, too */
		dirty = hz_load(&hz_run_counts.dirty_pages);
	if (unlikely(dirty > keep_of(used, true)))
		over(used, dirty);
	/* Much was freed: the next frees look at the clock, not one in 64. */
	else if (dirty > MUCH_PAGES && dirty > used)
		hz_pressure_tick();
}

uint32_t hz_pressure_tick(void)
{
	uint32_t now = (uint32_t)hz_os_now_ms() | 1; /* 0 means never */
	hz_store(&hz_run_counts.now_ms, (size_t)now);
	hz_add(&hz_pressure_counts.ticks, 1);
	uint32_t aged = hz_load(&pressure.aged_ms);
	if (now - aged < HZ_LANE_AGE_MS / 2 ||
	    !__atomic_compare_exchange_n(&pressure.aged_ms, &aged, now, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return now;
	hz_add(&hz_pressure_counts.aged, 1);
	size_t used = hz_load(&hz_run_counts.used_pages);
	size_t peak = hz_load(&hz_run_counts.peak_pages);
	/* An update by a concurrent allocation may be lost; the next one of its
	 * kind writes the peak again. */
	hz_store(&hz_run_counts.peak_pages, used + (peak > used ? (peak - used) / 2 : 0));
	/* What grew old was kept in vain. */
	if (hz_load(&hz_run_counts.dirty_pages) &&
	    purge(hz_pressure_keep(), now - HZ_LANE_AGE_MS) > hz_max(LEAST_PAGES, used / 8))
		hz_store(&pressure.trusted_pages, 0);
	return now;
}

size_t hz_pressure_relieve(void)
{
	uint64_t events = hz_add(&hz_pressure_counts.events, 1);
	HZ_PROBE1(pressure, events);
	hz_heap_flush_own();
	hz_heap_drain_all();
	/* Of what is free now, before it goes. */
	hz_observed(HZ_EVENT_PRESSURE);
	size_t thinned = hz_heap_thin_all(), n = hz_run_purge(0, 0);
	HZ_PROBE1(purge, n);
	hz_add(&hz_pressure_counts.purged_pages, n);
	/* What it once used it cannot have now. */
	hz_store(&hz_run_counts.peak_pages, hz_load(&hz_run_counts.used_pages));
	hz_store(&pressure.trusted_pages, 0);
	return thinned + n;
}

size_t hz_pressure_share(void)
{
	size_t used = hz_load(&hz_run_counts.used_pages) << HZ_PAGE_SHIFT;
	size_t all = hz_max(HZ_LANE_MAG_PROCESS_BYTES, used >> HZ_LANE_MAG_LIVE_SHIFT);
	uint32_t threads = hz_heap_live();
	return hz_min(all / (threads ? threads : 1), HZ_LANE_MAG_THREAD_BYTES);
}
