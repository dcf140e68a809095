/* SPDX-License-Identifier: MIT */
/*
 * observe_held.h - blocks that are neither the program's nor free in a slab.
 *
 *      magazines of all threads      inboxes and outboxes of all heaps
 *                     \               /
 *                      hz_held_walk(fn)
 *
 * Their bits in the slab say "in use"; who wants to know what the program
 * holds has to know them.  At rest the walk is exact; beside running threads
 * it may miss or repeat a block, and every block was such a one a moment ago.
 *
 * Who may call: observers and report.c.  It refuses to wait: a heap whose lock
 * is taken is left out and said so.
 */
#pragma once

#include "heap.h"

enum hz_held { HZ_HELD_MAGAZINE, HZ_HELD_REMOTE };

typedef void hz_held_fn(void *p, uint32_t class_no, enum hz_held where, void *arg);

/* Calls fn for each; the number of heaps whose magazines could not be seen. */
size_t hz_held_walk(hz_held_fn *fn, void *arg);
