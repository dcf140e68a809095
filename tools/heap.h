/* SPDX-License-Identifier: MIT */
/*
 * heap.h - a libhz heap in an image, and where its resident pages go.
 *
 *      image -> hz_root -> names -> arenas, runs, heaps -> account
 *
 * The account gives every resident page of the heap to one cause, and divides
 * the pages with live blocks further by bytes; both add up by construction.
 * It refuses a root whose version is newer than its own.
 */
#ifndef HZ_STAT_HEAP_H
#define HZ_STAT_HEAP_H

#include "image.h"

enum { OCCUPANCIES = 5, CLASSES_MAX = 128, WASTE_MAX = 16 };

struct class_account {
	uint64_t bytes; /* block size */
	uint64_t slabs, pages, resident; /* resident in bytes */
	uint64_t live, cached, remote, free, fresh; /* blocks */
	uint64_t partial_pages; /* of slabs with live blocks and room */
	uint64_t occupancy[OCCUPANCIES]; /* pages of slabs */
	uint64_t free_resident; /* bytes of free blocks in resident pages beside live ones */
	uint64_t tail; /* bytes at the ends of slabs */
};

struct account {
	char library[17], lane[17];
	uint32_t version;
	struct image_rss rss;
	uint64_t reserved, committed; /* bytes */

	/* Bytes of resident pages; their sum is `resident`. */
	uint64_t resident;
	uint64_t live, slack, free; /* in pages with live blocks */
	uint64_t cached, remote; /* free blocks that threads hold, or on their way */
	uint64_t empty; /* rest of slab pages without a live block */
	uint64_t dirty; /* free pages kept for reuse */
	uint64_t clean; /* free pages thought to be the kernel's */
	uint64_t metadata;
	uint64_t unattributed;

	/* Resident pages by cause; their sum is resident / 4096. */
	uint64_t pages_live, pages_held, pages_empty, pages_free, pages_metadata, pages_unknown;

	uint64_t swapped; /* bytes of the heap */
	uint64_t live_small, live_large, direct; /* bytes the program holds; direct mappings */
	uint64_t large_blocks, slabs, heaps, threads, idle_heaps;
	uint64_t cached_blocks, remote_blocks, cached_bytes, remote_bytes;
	uint64_t most_cached; /* bytes of magazines of the heap that holds most */
	uint64_t idle_free; /* free bytes in resident slab pages of heaps without a thread */
	uint64_t taken, returned, purged, system_calls, pressure_events;
	/* Where blocks came from, so far: refills of magazines from the heap's own
	 * inbox and partial slabs, slabs of idle heaps, new ones; what others put
	 * into slabs of sleeping heaps; runs from stock, dirty (stock included),
	 * clean, and steps of growth. */
	uint64_t refills, refills_inbox, refills_slabs, adopted, slabs_opened;
	uint64_t drained_for, runs_stock, runs_dirty, runs_clean, runs_grown;
	uint64_t pressure_looks, pressure_nears, purger_wakes; /* HZ_PRESSURE, HZ_PURGER */
	uint64_t waste_req, waste_alloc; /* box waste; alloc 0: not in this library */
	bool waste_built;
	uint64_t sampled, zero_tail; /* bytes of live blocks looked at; zeros at their ends */
	unsigned classes;
	struct class_account of[CLASSES_MAX];
	uint64_t torn; /* records that contradicted themselves */
	bool partial; /* the process changed, or parts could not be read */
	bool has_pages; /* present bits were to be had */
};

enum heap_result { HEAP_OK, HEAP_NONE, HEAP_DENIED, HEAP_NEWER, HEAP_DAMAGED, HEAP_UNUSED };

/* m->why says what was wrong. */
enum heap_result heap_account(struct image *m, struct account *a);

#endif
