/* SPDX-License-Identifier: MIT */
/*
 * magazine.h - what the files of the heap layer ask of each other.
 *
 *   heap.c      threads come and go, heaps are found, adopted, recovered
 *   magazine.c  blocks move between magazines and slabs
 *   handover.c  and between threads
 *   thin.c      pages go back to the kernel while their slab stays
 *
 * The four are the heap layer; nothing outside it includes this header.  Functions
 * that take a heap expect its own thread unless they say otherwise.
 * Nothing here may be called with a lock held unless said so.
 */
#pragma once

#include "heap.h"

/* Slow-path count; every so often a look at the clock and what is due. */
void hz_heap_tick(struct hz_heap *h);
/* The calling thread's heap, made or found if it may have one, else NULL. */
struct hz_heap *hz_heap_own(void);
/* The heap that serves threads without one; NULL without memory. */
struct hz_heap *hz_heap_shared(void);
/* Moves a slab of class c from another heap's shelf to h's; false if none was found.
 * May give blocks away. */
bool hz_heap_adopt(struct hz_heap *h, unsigned c);

/* Frees blocks into slabs of h, whose lock is held.  Blocks whose slab has
 * another owner by now are moved to the front; returns how many. */
size_t hz_mag_put(struct hz_heap *h, void **blocks, size_t n);
/* Slabs of several blocks, and free bits in them, come to h or (modulo 2^64)
 * leave it; lock held. */
void hz_mag_count(struct hz_heap *h, size_t slab_bytes, size_t free_bytes);
/* Room for more blocks of class c, if there may be any. */
bool hz_mag_grow(struct hz_heap *h, unsigned c);
/* Blocks and batches that turned out to be others', outside of any lock. */
void hz_mag_give_strays(void **blocks, size_t n);
void hz_mag_give_batches(struct hz_batch *list);
/* A heap's inbox into its slabs, its lock held; batches with strays are
 * returned for giving away. */
struct hz_batch *hz_mag_drain_locked(struct hz_heap *h);

/* Frees a block under its owner's lock; any thread. */
void hz_mag_free_direct(void *p);
/* Everything the thread holds goes to slabs and inboxes. */
void hz_mag_flush_all(struct hz_heap *h);
/* Own inbox into magazines and slabs. */
void hz_mag_drain(struct hz_heap *h);
/* Somebody's inbox into its slabs, if its lock can be had; any thread. */
bool hz_mag_drain_for(struct hz_heap *h);
/* After a push to heap `owner` (0: none): drains it if it is idle or much waits. */
void hz_mag_sent(uint32_t owner);
void hz_mag_shrink_idle(struct hz_heap *h);
/* All magazines emptied into slabs and made small. */
void hz_mag_shrink_all(struct hz_heap *h);

/* thin.c: whether more of the heap's slabs is free than in use, and stays so. */
bool hz_thin_shrinking(const struct hz_heap *h);
/* Whether more is free, in its slabs or dirty, than in use. */
bool hz_thin_kept(const struct hz_heap *h);
/* After blocks went back to slabs, outside of locks; the thread's own
 * heap, with magazines changing under the caller's feet. */
void hz_thin_freed(struct hz_heap *h);
/* Once an epoch, for any heap: pages that nobody came back for. */
void hz_thin_aged(struct hz_heap *h, uint32_t now_ms);
/* Gives an idle heap's empty magazine arrays back; its lock holder. */
void hz_mag_release_arrays(struct hz_heap *h);
/* In a forked child: the lock of the array pool is nobody's. */
void hz_mag_reset_lock(void);
