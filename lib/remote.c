/* SPDX-License-Identifier: MIT */
/*
 * remote.c - outboxes, the directory of inboxes, and the pool of batches.
 *
 *   directory   owner number -> inbox, two levels, grown on demand
 *   pool        empty batches: made by nobody's program, kept for ever
 *
 * Batches flow from those who free to those who allocate, so the pool is
 * shared: a stack under a lock that is taken once in many hand-overs.  Who finds
 * it held waits: batches made instead would be there for ever (doc/LEDGER.md).
 *
 * Ordering: blocks are written into the batch before the CAS that publishes
 * it (release); the owner's exchange (acquire) sees them.
 *
 * It refuses to free blocks itself; what is taken is the taker's to place.
 */
#include "remote.h"

enum {
	/* Batches a thread moves between its own and the pool at once: 8 KiB,
	 * and less than one lock in ten hand-overs. */
	PORTION = 16,
	LEAF_SHIFT = 8, /* inboxes per leaf: 2 KiB of pointers */
	LEAVES = 1 << 12, /* of a million heaps, 5 GiB of them */
};

/* Middle size of the blocks of a key's group. */
static size_t middle_of(uint32_t key)
{
	return (size_t)64 << 2 * hz_min(key % HZ_GROUPS, 5);
}

/* Pointers of one batch: HZ_LANE_BATCH_BYTES, at least 4 so that a locked instruction is
 * shared by some. */
static size_t rounds_of(uint32_t key)
{
	return hz_min(hz_max(HZ_LANE_BATCH_BYTES / middle_of(key), 4), HZ_LANE_BATCH_ROUNDS);
}

struct leaf {
	struct hz_inbox *inbox[1 << LEAF_SHIFT];
};

static struct {
	struct leaf *leaves[LEAVES]; /* published with release, never removed */
	struct hz_lock pool_lock;
	struct hz_batch *pool; /* pool lock */
} remote;

size_t hz_remote_batches;

bool hz_remote_register(uint32_t owner, struct hz_inbox *inbox)
{
	uint32_t i = owner >> LEAF_SHIFT;
	if (i >= LEAVES)
		return false;
	struct leaf *leaf = hz_load_acquire(&remote.leaves[i]);
	if (!leaf) {
		struct leaf *fresh = hz_meta_alloc(sizeof(*fresh));
		if (!fresh)
			return false;
		if (__atomic_compare_exchange_n(&remote.leaves[i], &leaf, fresh, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			leaf = fresh;
	}
	hz_store_release(&leaf->inbox[owner & ((1 << LEAF_SHIFT) - 1)], inbox);
	return true;
}

struct hz_inbox *hz_remote_inbox(uint32_t owner)
{
	uint32_t i = owner >> LEAF_SHIFT;
	struct leaf *leaf = i < LEAVES ? hz_load_acquire(&remote.leaves[i]) : NULL;
	return leaf ? hz_load_acquire(&leaf->inbox[owner & ((1 << LEAF_SHIFT) - 1)]) : NULL;
}

static void pool_take(struct hz_spare *spare)
{
	if (!hz_load(&remote.pool))
		return;
	hz_lock(&remote.pool_lock);
	for (; remote.pool && spare->n < PORTION; spare->n++) {
		struct hz_batch *b = remote.pool;
		hz_store(&remote.pool, b->next);
		b->next = spare->list;
		spare->list = b;
	}
	hz_unlock(&remote.pool_lock);
}

struct hz_batch *hz_batch_new(struct hz_spare *spare)
{
	if (!spare->n)
		pool_take(spare);
	struct hz_batch *b = spare->list;
	if (b) {
		spare->list = b->next;
		spare->n--;
		return b;
	}
	b = hz_meta_alloc(sizeof(*b));
	if (b)
		hz_add(&hz_remote_batches, 1);
	return b;
}

void hz_batch_keep(struct hz_spare *spare, struct hz_batch *b)
{
	b->next = spare->list;
	spare->list = b;
	if (++spare->n < 2 * PORTION)
		return;
	hz_lock(&remote.pool_lock);
	for (; spare->n > PORTION; spare->n--) {
		b = spare->list;
		spare->list = b->next;
		b->next = remote.pool;
		hz_store(&remote.pool, b);
	}
	hz_unlock(&remote.pool_lock);
}

void hz_batch_drop(struct hz_batch *list)
{
	struct hz_batch *last = list;
	while (last->next)
		last = last->next;
	hz_lock(&remote.pool_lock);
	last->next = remote.pool;
	hz_store(&remote.pool, list);
	hz_unlock(&remote.pool_lock);
}

void hz_inbox_push(struct hz_inbox *inbox, struct hz_batch *batch, unsigned pages)
{
	struct hz_batch *head = hz_load(&inbox->head);
	do {
		unsigned depth = pages + (head ? hz_load(&head->depth) : 0);
		batch->next = head;
		hz_store(&batch->depth, (uint16_t)hz_min(depth, UINT16_MAX));
	} while (!__atomic_compare_exchange_n(&inbox->head, &head, batch, true,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

uint32_t hz_outbox_flush(struct hz_outbox *box, unsigned i)
{
	struct hz_slot *slot = &box->slot[i];
	struct hz_batch *b = slot->batch;
	if (!b || slot->next == b->blocks)
		return 0;
	uint32_t owner = (slot->key << HZ_GROUP_SHIFT ^ box->own) >> HZ_TAG_OWNER_SHIFT;
	struct hz_inbox *inbox = hz_remote_inbox(owner);
	b->count = (uint16_t)(slot->next - b->blocks);
	b->owner = owner;
	slot->batch = NULL;
	slot->next = slot->end = NULL;
	hz_inbox_push(inbox, b, (unsigned)(b->count * middle_of(slot->key) / HZ_PAGE + 1));
	hz_bump(&box->sent, 1);
	return owner;
}

bool hz_outbox_open(struct hz_outbox *box, struct hz_spare *spare, uint32_t key,
		    uint32_t *sent)
{
	unsigned i = key % HZ_OUTBOX_SLOTS;
	struct hz_slot *slot = &box->slot[i];
	*sent = hz_outbox_flush(box, i);
	if (!slot->batch && !(slot->batch = hz_batch_new(spare)))
		return false;
	slot->key = key;
	slot->next = slot->batch->blocks;
	slot->end = slot->next + rounds_of(key);
	return true;
}

size_t hz_outbox_count(const struct hz_outbox *box)
{
	size_t n = 0;
	for (unsigned i = 0; i < HZ_OUTBOX_SLOTS; i++)
		if (box->slot[i].batch)
			n += (size_t)(hz_load(&box->slot[i].next) - box->slot[i].batch->blocks);
	return n;
}

void hz_remote_reset_lock(void)
{
	hz_lock_reopen(&remote.pool_lock);
}
