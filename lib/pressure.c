/* SPDX-License-Identifier: MIT */
/*
 * pressure.c - budgets: what may stay dirty, what a thread may hold.
 *
 *        used   ____
 *        peak  /    \____ decays by half of its distance a second
 *             /   keep = peak + peak/8 - used
 *
 * Keeping as much as the process recently used raises no peak, and what is
 * not used for a second is given back, so neither a phase that frees and
 * allocates again nor an idle process pays for the other.
 *
 * Invariants: nothing here holds a lock while the kernel works; a purge that
 * is refused is not repeated.  It refuses to run in hit paths.
 */
#include "pressure.h"

#include "heap.h"
#include "probe.h"

/* Dirty pages worth a look at the clock: 16 MiB. */
enum { MUCH_PAGES = 4096 };

struct hz_pressure_counts hz_pressure_counts;

static struct {
	uint32_t aged_ms; /* last ageing of the peak; CAS by whoever does it */
} pressure;

size_t hz_pressure_keep(void)
{
	size_t used = hz_load(&hz_run_counts.used_pages);
	size_t peak = hz_load(&hz_run_counts.peak_pages);
	size_t want = peak + (peak >> HZ_LANE_DIRTY_SHIFT);
	size_t least = HZ_LANE_DIRTY_BYTES >> HZ_PAGE_SHIFT;
	return want > used + least ? want - used : least;
}

static void purge(size_t keep, uint32_t before_ms)
{
	size_t n = hz_run_purge(keep, before_ms);
	if (!n)
		return;
	HZ_PROBE1(purge, n);
	hz_add(&hz_pressure_counts.purged_pages, n);
}

void hz_pressure_freed(void)
{
	size_t keep = hz_pressure_keep(), dirty = hz_load(&hz_run_counts.dirty_pages);
	if (unlikely(dirty > keep))
		purge(keep, 0);
	/* Much was freed: the next frees look at the clock, not one in 64. */
	else if (dirty > MUCH_PAGES && dirty > hz_load(&hz_run_counts.used_pages))
		hz_pressure_tick();
}

uint32_t hz_pressure_tick(void)
{
	uint64_t wide = hz_os_now_ms();
	uint32_t now = (uint32_t)wide | 1; /* 0 means never */
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
	if (hz_load(&hz_run_counts.dirty_pages))
		purge(hz_pressure_keep(), now - HZ_LANE_AGE_MS);
	return now;
}

size_t hz_pressure_purge_all(void)
{
	uint64_t events = hz_add(&hz_pressure_counts.events, 1);
	HZ_PROBE1(pressure, events);
	size_t n = hz_run_purge(0, 0);
	HZ_PROBE1(purge, n);
	hz_add(&hz_pressure_counts.purged_pages, n);
	return n;
}

size_t hz_pressure_share(void)
{
	size_t used = hz_load(&hz_run_counts.used_pages) << HZ_PAGE_SHIFT;
	size_t all = hz_max(HZ_LANE_MAG_PROCESS_BYTES, used >> HZ_LANE_MAG_LIVE_SHIFT);
	uint32_t threads = hz_heap_live();
	return hz_min(all / (threads ? threads : 1), HZ_LANE_MAG_THREAD_BYTES);
}
