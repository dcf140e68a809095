/* SPDX-License-Identifier: MIT */
/*
 * hz/hz.h - what libhz offers beside malloc.
 *
 * The C and C++ allocation functions need no header: link with -lhz (or
 * preload the library) and they are libhz's.  This header is for programs
 * that ask where their memory is, or tell libhz to give some back.
 *
 * All functions may be called from any thread at any time, before the first
 * allocation and in a forked child.  None is async-signal-safe.  None changes
 * errno unless its comment says so.  See hz(3).
 */
#ifndef HZ_HZ_H
#define HZ_HZ_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HZ_VERSION_MAJOR 0
#define HZ_VERSION_MINOR 1
#define HZ_VERSION_PATCH 0

/* Version of the library in use, "0.1.0"; static storage. */
const char *hz_version(void);

/* Lane of the library in use, "balanced", "scale" or "lean", of their observing
 * twins "observe", "scale-observe" or "lean-observe"; static storage. */
const char *hz_lane(void);

/* Where the heap's memory is.  Bytes, except where named otherwise.
 *
 *   reserved >= committed = used + dirty + clean          (heap pages)
 *   used = slab + large
 *   slab = live_small + cached + remote + free_blocks + fresh + tail
 *
 * The second and third line hold exactly when no other thread allocates or
 * frees during the call, otherwise as nearly as it moved. */
struct hz_report {
	size_t size; /* bytes of this structure that were filled in */
	uint64_t reserved; /* address space of all arenas, tables included */
	uint64_t committed; /* heap pages that are read-write */
	uint64_t used; /* pages of slabs and large blocks */
	uint64_t slab; /* pages of slabs */
	uint64_t large; /* pages of large blocks in arenas */
	uint64_t direct; /* mappings outside the arenas */
	uint64_t dirty; /* free pages kept for reuse, resident */
	uint64_t clean; /* free pages the kernel holds */
	uint64_t metadata; /* tables, run records, heaps, magazines: in use */
	uint64_t live_small; /* blocks the program holds, by block size */
	uint64_t live_large; /* large blocks the program holds, as asked for */
	uint64_t cached; /* free blocks in threads' magazines */
	uint64_t remote; /* free blocks on their way to their owner */
	uint64_t free_blocks; /* free blocks in slabs */
	uint64_t fresh; /* blocks of slabs never handed out */
	uint64_t tail; /* ends of slabs too short for a block */
	uint64_t slabs; /* number of slabs */
	uint64_t large_blocks; /* number of large blocks, direct ones included */
	uint64_t cached_blocks; /* number of blocks in `cached` */
	uint64_t threads; /* threads that have a heap */
	uint64_t heaps; /* heaps, with and without a thread */
	uint64_t adopted; /* slabs taken over from other heaps, so far */
	uint64_t handed_over; /* batches sent to other threads, so far */
	uint64_t purged; /* bytes given back to the kernel, so far */
	uint64_t system_calls; /* made by libhz for memory, so far */
	/* Resident pages; 0 where the kernel does not say.  Looked up only if `size`
	 * reaches here, in /proc/self/pagemap, which is open for the time of the
	 * call; where that is refused by mincore(2), which takes pages that were
	 * read and never written for resident ones.
	 *   resident = resident_slab + _large + _free + _metadata */
	uint64_t resident;
	uint64_t resident_slab; /* of slabs */
	uint64_t resident_large; /* of large blocks in arenas */
	uint64_t resident_free; /* of free pages */
	uint64_t resident_metadata;
	/* What served a malloc that found its magazine empty, so far: the ladder of
	 * reuse.  A refill takes blocks from the first rung that has some; a new slab
	 * takes pages from the first of the last three. */
	uint64_t refills; /* empty magazines that were filled */
	uint64_t refills_inbox; /* of these: with blocks that other threads freed */
	uint64_t refills_slabs; /* of these: from partly used slabs of its own */
	uint64_t slabs_opened; /* new slabs (`adopted` ones come before) */
	uint64_t drained_for; /* blocks that others put into sleeping heaps' slabs */
	uint64_t runs_dirty; /* slabs and large blocks from pages kept for reuse */
	uint64_t runs_stock; /* of these: a former slab, as it was */
	uint64_t runs_clean; /* from pages the kernel had */
	uint64_t runs_grown; /* steps by which the heap grew */
	/* Resident bytes by cause, as hz-stat(1) has them:
	 *   resident = rss_live + _slack + _free + _cached + _remote + _empty + _dirty
	 *              + _clean + resident_metadata */
	uint64_t rss_live; /* blocks the program holds */
	uint64_t rss_slack; /* ends of slabs and large blocks, in pages with live ones */
	uint64_t rss_free; /* free blocks in pages with live ones */
	uint64_t rss_cached; /* free blocks in threads' magazines */
	uint64_t rss_remote; /* free blocks on their way to their owner */
	uint64_t rss_empty; /* rest of slab pages without a live block */
	uint64_t rss_dirty; /* free pages kept for reuse */
	uint64_t rss_clean; /* resident free pages thought to be the kernel's */
};

/* Fills in at most `size` bytes of *report (pass sizeof *report): a program
 * built with an older header gets the members it knows, a newer one finds in
 * report->size how many this library filled.  Returns 0, or -1 with errno
 * EINVAL when report is NULL or size is smaller than the first member.
 * Takes internal locks, walks all slabs: about 1 ms per GiB of small blocks,
 * and 10 ms where resident pages are looked up. */
int hz_report_get(struct hz_report *report, size_t size);

enum hz_report_format {
	HZ_REPORT_TEXT = 0, /* for people, KiB */
	HZ_REPORT_JSON = 1, /* one object on one line, names as in struct hz_report */
	HZ_REPORT_OPENMETRICS = 2, /* hz_NAME_bytes and so on, ends with # EOF */
};

/* Writes the report to a descriptor, allocating nothing.  Returns 0, or -1
 * with errno EINVAL for an unknown format or EBADF for a negative fd. */
int hz_report_write(int fd, int format);

/* Gives all free memory that libhz can reach back to the kernel: the calling
 * thread's magazines, what was freed for other threads, free pages.  Returns
 * the bytes given back. */
size_t hz_purge(void);

/* The index-th option that the environment may set, counted from 0: returns
 * its name and sets *value to the value in force and *help to a line about
 * it, static storage; either pointer may be NULL.  Returns NULL behind the
 * last option, with nothing set. */
const char *hz_option_at(unsigned index, uint64_t *value, const char **help);

#ifdef __cplusplus
}
#endif
#endif
