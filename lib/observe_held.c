/* SPDX-License-Identifier: MIT */
/*
 * observe_held.c - the walk over magazines, inboxes and outboxes.
 *
 *      heap -> magazines (its lock, tried)
 *           -> inbox     (a stack that may be taken under our eyes)
 *           -> outbox    (open batches, next published with release)
 *
 * Invariants: nothing is written; a batch is read within its array only; the
 * number of batches looked at is bounded by those ever made, so a list that
 * changes cannot keep us for ever.
 *
 * A thread that leaves by the system call alone runs no destructor: its heap is live
 * for ever and its storage may be unmapped.  So the kernel is asked before it is read.
 *
 * It refuses to trust a pointer further than its page's tag.
 */
#include "observe_held.h"

#include <errno.h>
#include <sys/syscall.h>

struct walk {
	hz_held_fn *fn;
	void *arg;
};

/* Every block in the heap's magazines, those of a thread that runs of some instant each.
 * False when the heap's lock is not free. */
static bool magazines(const struct walk *w, struct hz_heap *h)
{
	/* A LOST one's storage may be gone. */
	if (!hz_load(&h->tls) || hz_load(&h->state) != HZ_HEAP_LIVE)
		return true;
	if (!hz_trylock(&h->lock))
		return false;
	for (unsigned c = 0; h->tls && c < HZ_CLASSES; c++) {
		void **a = hz_load(&h->array[c]), **top = hz_load(&h->tls->mag[c].top);
		for (void **p = a + 1; a && top <= a + HZ_LANE_MAG_ROUNDS_MAX && p <= top; p++) {
			void *block = hz_load(p); /* NULL: the window's */
			w->fn(block ? block : hz_load(&h->under[c]), c, HZ_HELD_MAGAZINE, w->arg);
		}
	}
	hz_mag_unlock(h);
	return true;
}

static void remote_block(const struct walk *w, void *p)
{
	uint32_t tag = hz_tag_of(p);
	if (tag >= HZ_TAG_OWNER_ONE)
		w->fn(p, hz_class_of_offset(tag & (HZ_TAG_OWNER_ONE - 1)), HZ_HELD_REMOTE, w->arg);
}

static void remote_blocks(const struct walk *w, const struct hz_heap *h)
{
	size_t most = hz_load(&hz_remote_batches);
	for (struct hz_batch *b = hz_load_acquire(&h->inbox.head); b && most--;
	     b = hz_load(&b->next)) {
		uint32_t n = hz_load(&b->count);
		for (uint32_t i = 0; i < n && i < HZ_LANE_BATCH_ROUNDS; i++)
			remote_block(w, hz_load(&b->blocks[i]));
	}
	for (unsigned i = 0; i < HZ_OUTBOX_SLOTS; i++) {
		const struct hz_slot *slot = &h->box.slot[i];
		struct hz_batch *b = hz_load(&slot->batch);
		size_t n = b ? (size_t)(hz_load_acquire(&slot->next) - b->blocks) : 0;
		for (size_t k = 0; k < n && n <= HZ_LANE_BATCH_ROUNDS; k++)
			remote_block(w, hz_load(&b->blocks[k]));
	}
}

/* False when a page of it is not mapped.  Who may not ask trusts it. */
static bool mapped(const void *p, size_t bytes)
{
	unsigned char resident[sizeof(struct hz_tls) / HZ_PAGE + 2];
	uintptr_t first = (uintptr_t)p & ~(hz_os_page_bytes() - 1);
	bytes += (uintptr_t)p - first;
	return hz_os_ask(SYS_mincore, (long)first, (long)bytes, (long)resident, 0) != -ENOMEM;
}

size_t hz_held_walk(hz_held_fn *fn, void *arg)
{
	struct walk w = { fn, arg };
	size_t unseen = 0;
	for (struct hz_heap *h = hz_heap_first(); h; h = h->next) {
		const struct hz_tls *tls = hz_load(&h->tls);
		if (tls && mapped(tls, sizeof(*tls)))
			unseen += !magazines(&w, h);
		remote_blocks(&w, h);
	}
	return unseen;
}
