/* SPDX-License-Identifier: MIT */
/*
 * held.c - heaps, and free blocks that are in no slab's bitmap.
 *
 *      heap -> thread storage -> magazines     one bit per block: held[0]
 *           -> inbox, open batches             held[1]
 *           -> counters
 *
 * A block that was taken or given meanwhile marks a bit that is looked at only
 * where the bitmap says "in use"; one that lies in no slab makes the answer
 * partial.
 */
#include <stdlib.h>

#include "walk.h"

enum {
	BATCHES_MAX = 1 << 20, /* of all inboxes: 62 million blocks under way */
	TLS_MAX = 1 << 14,
};

static void hold(struct walk *w, uint64_t p, int where)
{
	for (size_t k = 0; k < w->narenas; k++) {
		struct arena *r = &w->arena[k];
		if (p < r->start || (p - r->start) / PAGE >= r->pages)
			continue;
		uint32_t i = r->owner[(p - r->start) / PAGE];
		struct slab s;
		if (!i || number(record(w, r, i - 1) + w->n.run_state, 1) != w->n.state_slab ||
		    !slab_of(w, record(w, r, i - 1), &s))
			break;
		uint64_t off = p - r->start - s.first * PAGE, b = off / s.bytes;
		if (off % s.bytes || b >= s.carved)
			break;
		r->held[where][i - 1][b / 64] |= UINT64_C(1) << b % 64;
		return;
	}
	w->a->partial = true;
}

/* Bytes in the heap's magazines. */
static uint64_t read_magazines(struct walk *w, const uint8_t *heap)
{
	const struct names *n = &w->n;
	uint8_t tls[TLS_MAX];
	static uint64_t block[ROUNDS_MAX];
	uint64_t at = number(heap + n->heap_tls, 8), bytes = 0;
	if (!at)
		return 0;
	w->a->threads++;
	if (!image_read(w->m, at, tls, n->tls_size)) {
		w->a->partial = true; /* the thread has just ended */
		return 0;
	}
	for (unsigned c = 0; c < n->classes; c++) {
		uint64_t array = number(heap + n->heap_array + 8ULL * c, 8);
		uint64_t top = number(tls + n->tls_mag + (uint64_t)c * n->mag_size + n->mag_top, 8);
		uint64_t k = (top - array) / 8;
		if (!array || top <= array || k > n->mag_rounds)
			continue;
		if (!image_read(w->m, array + 8, block, k * 8)) {
			w->a->partial = true;
			continue;
		}
		/* A NULL between them stands for the one that is kept beside. */
		for (uint64_t i = 0; i < k; i++)
			hold(w, block[i] || n->heap_under == ABSENT
					? block[i] : number(heap + n->heap_under + 8ULL * c, 8), 0);
		bytes += k * w->a->of[c].bytes;
	}
	return bytes;
}

static void hold_blocks(struct walk *w, const uint8_t *blocks, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		hold(w, number(blocks + 8 * i, 8), 1);
}

static void read_batches(struct walk *w, const uint8_t *heap)
{
	const struct names *n = &w->n;
	static uint8_t batch[BATCH_MAX];
	uint64_t at = number(heap + n->heap_inbox, 8);
	struct round round = { 0 };
	for (; at && !goes_round(&round, at); at = number(batch + n->batch_next, 8)) {
		if (w->batches++ >= BATCHES_MAX || !image_read(w->m, at, batch, n->batch_size)) {
			w->a->partial = true;
			return;
		}
		uint64_t count = number(batch + n->batch_count, 2);
		if (count <= n->batch_rounds)
			hold_blocks(w, batch + n->batch_blocks, count);
	}
	w->a->partial |= at != 0;
	for (unsigned i = 0; i < n->outbox_slots; i++) {
		const uint8_t *slot = heap + n->heap_box + (size_t)i * n->slot_size;
		uint64_t open = number(slot + n->slot_batch, 8);
		uint64_t next = number(slot + n->slot_next, 8);
		uint64_t count = (next - open - n->batch_blocks) / 8;
		if (!open || next <= open + n->batch_blocks || count > n->batch_rounds)
			continue;
		if (image_read(w->m, open + n->batch_blocks, batch, count * 8))
			hold_blocks(w, batch, count);
		else
			w->a->partial = true;
	}
}

static void add_count(const struct walk *w, const uint8_t *heap, uint32_t which, uint64_t *sum)
{
	if (which != ABSENT)
		*sum += number(heap + w->n.heap_counts + which, 8);
}

static void read_heap(struct walk *w, const uint8_t *heap)
{
	const struct names *n = &w->n;
	struct account *a = w->a;
	bool idle = number(heap + n->heap_state, 4) == n->heap_idle;
	uint64_t tag = number(heap + n->heap_tag, 4) >> n->tag_owner_shift;
	a->heaps++;
	a->idle_heaps += idle;
	if (idle && tag < HEAPS_MAX)
		w->idle[tag / 64] |= UINT64_C(1) << tag % 64;
	add_count(w, heap, n->counts_taken, &a->taken);
	add_count(w, heap, n->counts_returned, &a->returned);
	add_count(w, heap, n->counts_closed_blocks, &a->returned);
	add_count(w, heap, n->counts_refills, &a->refills);
	add_count(w, heap, n->counts_refills_inbox, &a->refills_inbox);
	add_count(w, heap, n->counts_refills_slabs, &a->refills_slabs);
	add_count(w, heap, n->counts_adopted, &a->adopted);
	add_count(w, heap, n->counts_opened, &a->slabs_opened);
	add_count(w, heap, n->counts_drained_for, &a->drained_for);
	add_count(w, heap, n->counts_kept, &a->runs_dirty);
	uint64_t bytes = read_magazines(w, heap);
	if (bytes > a->most_cached)
		a->most_cached = bytes;
	read_batches(w, heap);
}

bool read_heaps(struct walk *w)
{
	uint64_t at = 0;
	uint8_t *heap = malloc(w->n.heap_size);
	struct round round = { 0 };
	w->idle = calloc(HEAPS_MAX / 64, sizeof(*w->idle));
	bool ok = heap && w->idle && read_number(w, w->o.heaps, &at) && read_number(w, at, &at);
	while (ok && at && !goes_round(&round, at)) {
		ok = w->a->heaps < HEAPS_MAX && image_read(w->m, at, heap, w->n.heap_size);
		if (!ok)
			break;
		read_heap(w, heap);
		at = number(heap + w->n.heap_next, 8);
	}
	free(heap);
	return ok && !at;
}
