/* SPDX-License-Identifier: MIT */
/*
 * large.h - blocks without a class: above 128 KiB, or aligned beyond a page.
 *
 *   in an arena   a run of exactly the pages asked for; tag HZ_TAG_LARGE on
 *                 its first page; freed it is a dirty run like any other
 *   outside       its own mapping when no arena has or gets the room, found
 *                 through a table that grows
 *
 * Invariants: a large block starts on a page; its usable size is whole pages;
 * the table of mappings never fills (it doubles at half).
 *
 * Who may call: api.c.  Any thread.  It refuses pointers that are not the
 * start of a large block by saying so; the caller reports.
 */
#pragma once

#include "heap.h"

/* At least n bytes at a multiple of align (a power of two); zeroed if asked.
 * NULL without memory. */
void *hz_large_alloc(size_t n, size_t align, bool zero);
/* Usable bytes of the large block at p, 0 if there is none. */
size_t hz_large_size(const void *p);
/* False if p is not the start of a large block; nothing changed then. */
bool hz_large_free(void *p);
/* Resizes in place, by moving pages, or not at all (NULL, block unchanged; the
 * caller copies).  n is above HZ_CLASS_MAX_BYTES. */
void *hz_large_resize(void *p, size_t n);

struct hz_large_counts { /* any thread, relaxed */
	uint64_t allocs, frees, moved, in_place;
	size_t direct_bytes, direct_blocks; /* mappings outside the arenas */
	uint64_t reused, failed; /* allocs from dirty pages; allocs that got nothing */
	uint64_t mapped, mapped_bytes, unmapped, unmapped_bytes; /* such mappings so far */
};
extern struct hz_large_counts hz_large_counts;

/* Mappings outside the arenas: large.c's, and of readers outside the process. */
struct hz_direct {
	char *base; /* NULL: unused; (char *)1: was used */
	size_t bytes; /* mapped */
};
extern struct hz_direct *hz_large_table; /* large.c's lock */
extern size_t hz_large_entries; /* of the table, a power of two; its lock */
