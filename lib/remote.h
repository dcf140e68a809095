/* SPDX-License-Identifier: MIT */
/*
 * remote.h - blocks freed by a thread that does not own them.
 *
 *   freeing thread                                 owner
 *   outbox[64] of open batches  --full: one CAS--> inbox (stack of batches)
 *     key = owner and size group                     | one exchange takes all,
 *     62 pointers or 64 KiB each                     v on the owner's next miss
 *                                                  magazines, slabs
 *
 * A batch goes over whole; the freeing side never waits, takes no lock and
 * touches no line the owner works on but the inbox head, once a batch.
 *
 * Invariants: a batch is in one place: an outbox, an inbox, the hands of the
 * taker, or the pool; blocks in it are the program's no more and free nowhere
 * yet; an inbox outlives every batch for it (heaps are never unmapped).
 *
 * Who may call: heap.c.  It refuses to look at tags beyond the key it is given
 * and does not know what a heap is: owners register their inbox by number.
 */
#pragma once

#include "arena.h"

struct hz_batch {
	struct hz_batch *next; /* stack; its holder */
	uint16_t count; /* pointers in it; set when it is handed over */
	uint16_t depth; /* pages' worth in its inbox, with it, when it came; relaxed */
	uint32_t owner; /* number of the owner it goes to */
	void *blocks[HZ_LANE_BATCH_ROUNDS]; /* freeing thread, then taker */
};

struct hz_inbox {
	struct hz_batch *head; /* pushed by anyone (release), taken whole (acquire) */
};

/* Size groups: eight classes, two doublings, each; a group's batch is bounded
 * by HZ_LANE_BATCH_BYTES of its middle size. */
enum {
	HZ_GROUP_SHIFT = 7, /* tag >> 7 = owner * 8 + group */
	HZ_GROUPS = 1 << (HZ_TAG_OWNER_SHIFT - HZ_GROUP_SHIFT),
	/* Open batches of one thread: all groups of eight owners without a
	 * clash; a clash hands the older batch over early, no more. */
	HZ_OUTBOX_SLOTS = 64,
};

struct hz_slot {
	void **next; /* where the next pointer goes; owning thread */
	void **end; /* full here; equal to next when there is no batch */
	struct hz_batch *batch; /* owning thread */
	uint32_t key; /* (tag ^ own) >> HZ_GROUP_SHIFT, 0 before the first; owning thread */
};

struct hz_outbox {
	struct hz_slot slot[HZ_OUTBOX_SLOTS];
	uint64_t sent; /* batches handed over so far; owning thread */
	uint32_t own; /* tag of whose it is; set once */
};

/* Of a tag xor the sender's own: never 0 for another owner's; and what lies in no slab
 * has no slab's key, because no owner's number is 0. */
static inline uint32_t hz_key_of(uint32_t x)
{
	return x >> HZ_GROUP_SHIFT;
}

/* Where heap number `owner` receives; false without memory for the directory. */
bool hz_remote_register(uint32_t owner, struct hz_inbox *inbox);
/* NULL for a number nobody registered (a corrupt tag). */
struct hz_inbox *hz_remote_inbox(uint32_t owner);

/* Empty batches one thread keeps: who receives and sends needs no lock. */
struct hz_spare {
	struct hz_batch *list; /* owning thread */
	uint32_t n; /* owning thread */
};

/* Prepares the slot of this key for at least one more pointer, handing over what it held if it
 * was full or another key's.  Returns false without memory for a batch; *sent is set to the
 * number of the owner something was handed to, otherwise 0. */
bool hz_outbox_open(struct hz_outbox *box, struct hz_spare *spare, uint32_t key,
		    uint32_t *sent);
/* Hands over the batch of slot i if it has pointers; owner number or 0. */
uint32_t hz_outbox_flush(struct hz_outbox *box, unsigned i);
/* Pointers waiting in an outbox; exact for its own thread. */
size_t hz_outbox_count(const struct hz_outbox *box);

/* Of a batch with about so many pages' worth of blocks. */
void hz_inbox_push(struct hz_inbox *inbox, struct hz_batch *batch, unsigned pages);

static inline bool hz_inbox_any(const struct hz_inbox *inbox)
{
	return hz_load_seq(&inbox->head) != NULL;
}

/* About how many pages' worth waits in it: the head may be taken meanwhile. */
static inline unsigned hz_inbox_depth(const struct hz_inbox *inbox)
{
	const struct hz_batch *head = hz_load_seq(&inbox->head);
	return head ? hz_load(&head->depth) : 0;
}

static inline struct hz_batch *hz_inbox_take(struct hz_inbox *inbox)
{
	return __atomic_exchange_n(&inbox->head, NULL, __ATOMIC_SEQ_CST);
}

extern size_t hz_remote_batches; /* ever made, for reports; any thread, relaxed */

/* An empty batch of the thread's own, of the pool, or new; NULL without memory. */
struct hz_batch *hz_batch_new(struct hz_spare *spare);
/* An empty batch goes to the thread's own, in portions on to the pool. */
void hz_batch_keep(struct hz_spare *spare, struct hz_batch *b);
/* A list of them to the pool; any thread. */
void hz_batch_drop(struct hz_batch *list);

/* In a forked child: the lock of the batch pool is nobody's. */
void hz_remote_reset_lock(void);
