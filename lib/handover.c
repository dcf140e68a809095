/* SPDX-License-Identifier: MIT */
/*
 * handover.c - blocks on their way to the thread that owns them.
 *
 *   give     a foreign block into the open batch for its owner; a block that
 *            is its slab changes owners instead
 *   sent     a batch was pushed: if its owner has no thread, drain it here
 *   drain    own inbox, into magazines and slabs
 *   strays   blocks whose slab changed owners under way: given again
 *
 * Invariants: whoever puts a block into a bitmap holds the lock of the heap that owns the slab
 * and has looked; no two heaps are locked at once; giving may come back to the giver's own
 * magazines, so nobody gives while filling one.
 *
 * Who may call: api.c through heap.h, the rest of the heap layer.  It refuses
 * to wait for an owner, but for threads without a heap.
 */
#include "magazine.h"

#include "error.h"
#include "pressure.h"
#include "probe.h"

enum {
	/* A thread's first frees bring it no heap: they may be libc's, past all destructors,
	 * of what it held for stacks that it keeps no longer (40 MiB: 160 of 256 KiB). */
	EARLY_FREES = 160,
	/* Pages' worth of blocks that wait for a thread before others see to them: 2 MiB; a
	 * half and four times as much were slower. */
	BACKLOG = 512,
};

/* A block of any owner, freed under that owner's lock: the way of threads
 * without a heap and of blocks that strayed. */
void hz_mag_free_direct(void *p)
{
	for (size_t stray = 1; stray;) {
		uint32_t tag = hz_tag_of(p);
		struct hz_heap *h = (struct hz_heap *)hz_remote_inbox(tag >> HZ_TAG_OWNER_SHIFT);
		unsigned c = hz_class_of_offset(tag & (HZ_TAG_OWNER_ONE - 1));
		if (!h || tag < HZ_TAG_OWNER_ONE)
			hz_die("free", p, HZ_WHY_FREE_PAGE);
		if (hz_classes[c].blocks == 1) {
			hz_slab_close_whole(c, &p, 1);
			break;
		}
		hz_lock(&h->lock);
		stray = hz_mag_put(h, &p, 1);
		hz_mag_unlock(h);
	}
	hz_pressure_freed();
}

/* Takes what others freed: into magazines, larger ones if the thread's share
 * allows, the rest into slabs. */
void hz_mag_drain(struct hz_heap *h)
{
	struct hz_batch *b = hz_inbox_take(&h->inbox);
	char *tls = (char *)h->tls;
	uint32_t own = h->tag;
	struct hz_mag *full = NULL; /* the last that took no more */
	while (b) {
		struct hz_batch *next = b->next;
		size_t rest = 0, n = b->count;
		for (size_t i = 0; i < n; i++) {
			void *p = b->blocks[i];
			uint32_t x = hz_tag_of(p) ^ own;
			struct hz_mag *m = (struct hz_mag *)(tls + x);
			if (likely(x < HZ_TAG_OWNER_ONE) &&
			    (likely(m->top != m->limit) ||
			     (m != full && hz_mag_grow(h, hz_class_of_offset(x))))) {
				*++m->top = p;
			} else {
				full = m;
				b->blocks[rest++] = p;
			}
		}
		HZ_PROBE2(remote_collect, h, n);
		hz_bump(&h->counts.drained, n);
		if (rest) {
			hz_lock(&h->lock);
			size_t strays = hz_mag_put(h, b->blocks, rest);
			hz_unlock(&h->lock);
			hz_mag_give_strays(b->blocks, strays);
		}
		hz_batch_keep(&h->spare, b);
		b = next;
	}
}

/* Takes what others freed into slabs only; h's lock is held, its thread may
 * be asleep or gone.  Batches with strays are returned for give-away. */
struct hz_batch *hz_mag_drain_locked(struct hz_heap *h)
{
	struct hz_batch *b = hz_inbox_take(&h->inbox), *left = NULL;
	while (b) {
		struct hz_batch *next = b->next;
		uint32_t n = b->count;
		b->count = (uint16_t)hz_mag_put(h, b->blocks, n);
		hz_bump(&h->counts.drained_for, n - b->count);
		b->next = left;
		left = b;
		b = next;
	}
	return left;
}

void hz_mag_give_batches(struct hz_batch *list)
{
	for (struct hz_batch *b = list; b; b = b->next)
		hz_mag_give_strays(b->blocks, b->count);
	if (list)
		hz_batch_drop(list);
}

bool hz_mag_drain_for(struct hz_heap *h)
{
	bool any = false;
	while (hz_inbox_any(&h->inbox) && hz_trylock(&h->lock)) {
		struct hz_batch *left = hz_mag_drain_locked(h);
		hz_unlock(&h->lock);
		hz_mag_give_batches(left);
		any = true;
		/* A live thread looks into its inbox itself; of an idle heap the
		 * last one who held the lock does, or a batch would lie there. */
		if (hz_load_seq(&h->state) != HZ_HEAP_IDLE)
			break;
	}
	return any;
}

void hz_mag_unlock(struct hz_heap *h)
{
	hz_unlock(&h->lock);
	if (hz_load_seq(&h->state) == HZ_HEAP_IDLE)
		hz_mag_drain_for(h);
}

void hz_mag_sent(uint32_t owner)
{
	if (!owner)
		return;
	struct hz_heap *h = (struct hz_heap *)hz_remote_inbox(owner);
	/* The push came before (seq_cst); so did the store of IDLE in the
	 * owner's detaching before its last look: one of the two sees it.  If
	 * the lock is taken, its holder looks again after unlocking. */
	if (hz_load_seq(&h->state) == HZ_HEAP_IDLE || hz_inbox_depth(&h->inbox) >= BACKLOG)
		hz_mag_drain_for(h);
}

/* Into our own magazine. */
static void keep(struct hz_heap *h, void *p, uintptr_t offset)
{
	struct hz_mag *m = (struct hz_mag *)((char *)h->tls + offset);
	if (m->top < m->limit && *m->top != p)
		*++m->top = p;
	else
		hz_heap_overflow(p, offset);
}

/* Into the open batch for its owner. */
static void send(struct hz_heap *h, void *p, uint32_t tag)
{
	uint32_t key = hz_key_of(tag ^ h->tag), sent;
	struct hz_slot *slot = &h->box.slot[key % HZ_OUTBOX_SLOTS];
	if (slot->batch && slot->next != slot->batch->blocks && slot->next[-1] == p)
		hz_die("free", p, HZ_WHY_DOUBLE);
	/* Again if what was sent came back through this very slot. */
	while (slot->key != key || slot->next == slot->end) {
		hz_heap_tick(h);
		bool open = hz_outbox_open(&h->box, &h->spare, key, &sent);
		hz_mag_sent(sent);
		if (!open) {
			hz_mag_free_direct(p);
			return;
		}
	}
	*slot->next++ = p;
	hz_bump(&h->counts.foreign, 1);
}

void hz_heap_give(void *p, uint32_t tag)
{
	hz_heap_enter();
	struct hz_heap *h = hz_tls.heap;
	uint32_t offset = tag & (HZ_TAG_OWNER_ONE - 1);
	unsigned c = hz_class_of_offset(offset);
	if (!h && hz_tls.frees++ >= EARLY_FREES)
		h = hz_heap_own();
	if (!h) {
		hz_mag_free_direct(p);
	} else if ((tag ^ h->tag) < HZ_TAG_OWNER_ONE) {
		keep(h, p, offset); /* ours, of a further arena or straying back */
	} else if (hz_classes[c].blocks == 1) {
		hz_slab_claim(p, h->tag | offset); /* its slab changes owners */
		keep(h, p, offset);
	} else {
		send(h, p, tag);
	}
}

/* Blocks that turned out to be others', outside of any lock. */
void hz_mag_give_strays(void **blocks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hz_heap_give(blocks[i], hz_tag_of(blocks[i]));
}
