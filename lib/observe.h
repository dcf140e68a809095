/* SPDX-License-Identifier: MIT */
/*
 * observe.h - the boxes: what is looked at, and the figures that are kept.
 *
 *   event ----> hz_observer (observe.c)
 *                 |  scan of a window of segments    (observe_scan.c)
 *                 |  maxima, the largest snapshot
 *               exit: one line a record              (observe_lines.c)
 *
 * Read-only for all other modules; runs at cold events of programs that asked
 * for it, and nowhere else.  Old words on this structure: see hz_obs(5).
 *
 * Invariants: no allocation from the heap that is looked at; no lock of it is
 * waited for; one observer at a time, others skip their turn.
 * Who may call: nobody; low layers have the pointer in pressure.h.
 */
#pragma once

#include "large.h"
#include "pressure.h"
#include "waste.h"

enum {
	/* A segment is a slice of the arena at a multiple of its size. */
	HZ_SEG_SHIFT = 20,
	HZ_SEG_PAGES = 1 << (HZ_SEG_SHIFT - HZ_PAGE_SHIFT),
	/* Segments of one scan: at 16-byte blocks 4 million bits, read in about
	 * 5 ms; an epoch is a second. */
	HZ_SCAN_SEGS = 64, /* used ones; free ones are one record each */
	HZ_TOP = 5, /* size classes a record names */
	HZ_OCCUPANCIES = 5, /* 0, 1-25, 25-50, 50-75, 75-100 % */
};

/* Families of size classes, by block size. */
enum hz_family { HZ_FAMILY_SMALL, HZ_FAMILY_SUB4K, HZ_FAMILY_MEDIUM, HZ_FAMILIES };

static inline enum hz_family hz_family_of(uint32_t bytes)
{
	if (bytes <= 2048)
		return HZ_FAMILY_SMALL;
	return bytes < 4096 ? HZ_FAMILY_SUB4K : bytes <= 32768 ? HZ_FAMILY_MEDIUM : HZ_FAMILIES;
}

/* hz_zero clears whole 16 bytes. */
#define HZ_WHOLE __attribute__((aligned(16)))

/* Slabs of one class, as one scan saw them.  Observer lock. */
struct hz_scan_class {
	uint32_t pages; /* of all slabs */
	uint32_t occupancy[HZ_OCCUPANCIES]; /* pages of slabs with so many live blocks */
	uint32_t full_pages; /* of slabs without a free block */
	uint32_t partial_slabs; /* slabs with live and free blocks */
	uint32_t untouched_pages; /* never written since the kernel gave them */
	uint64_t live; /* blocks the program holds */
	uint64_t tail_bytes, full_tail_bytes; /* ends too short for a block; of full slabs */
	uint64_t free_bytes; /* blocks free in the slabs */
};

struct hz_scan {
	uint32_t segs; /* used: a slab or large block lies in it */
	uint32_t pack_segs, pack_free_pages, pack_candidate_pages; /* partly dirty ones */
	uint32_t small_segs, small_candidates; /* with small slabs; with free pages in them */
	uint32_t small_pages, small_free_pages;
	uint32_t empty_segs[HZ_FAMILIES]; /* nothing but slabs of it, no live block */
	size_t unseen_heaps; /* magazines that could not be read */
	uint64_t held_bytes[HZ_CLASSES] HZ_WHOLE; /* free blocks in magazines; whole process */
	uint64_t held_blocks, remote_blocks; /* whole process */
	uint64_t remote_bytes;
	struct hz_scan_class of[HZ_CLASSES];
};

/* Blocks in magazines and batches, of a window of addresses: one bit per 16
 * bytes, set at their first byte.  A window's last slab may reach beyond it. */
enum { HZ_MARK_BITS = (HZ_SCAN_SEGS + 1) << (HZ_SEG_SHIFT - 4) };

struct hz_observation { /* observer lock, except where named */
	struct hz_lock lock;
	int pid; /* process that was armed */
	bool scanned; /* the last scan is in `scan` */
	bool to_stderr; /* it was open at the first allocation ... */
	uint64_t stderr_id[2]; /* ... on this file */
	uint32_t cursor_arena;
	uint32_t cursor_page; /* where the next scan begins */
	uint32_t thread_exits; /* any thread, relaxed */
	uint32_t scans; /* of box small */
	struct { /* box seg; calls sums, the others are maxima, each by itself */
		uint32_t calls, segments, free_pages, candidate_pages;
	} seg;
	struct { /* box small: the snapshot with most pages, the latest of equals */
		uint32_t segs, candidates, pages, free_pages;
	} small;
	struct { /* box retention: calls sums, the others are maxima */
		uint32_t calls, suspicious;
		size_t tls_small, tls_medium, owner_stash, central_medium, arena_used, pack_free;
		uint32_t first_class; /* the first suspicious bin ever seen */
		size_t first_blocks, first_usable;
	} retention;
	struct hz_scan scan HZ_WHOLE; /* the last one */
	uint64_t mark[HZ_MARK_BITS / 64] HZ_WHOLE;
};

/* One scan from where the last one ended, of at most HZ_SCAN_SEGS segments in
 * use, or of all. */
void hz_scan(struct hz_observation *o, bool all);

/* Writes the records of the boxes asked for, one hz_os_write each. */
void hz_observe_write(const struct hz_observation *o, int fd, size_t boxes);
