/* SPDX-License-Identifier: MIT */
/*
 * waste.c - the sums of box waste, and what each block was asked for.
 *
 *      hz_waste[0..7]      requests up to 4, 8, ... 32 KiB
 *      asked[arena][page]  (row + 1) << 20 | bytes asked for, of the block that
 *                          begins in the page; row + 1 = 0: no medium one
 *
 * The table of an arena is mapped when its first block is noted: 4 bytes a
 * page of the reservation, of which those in use become resident, 0.1 % of
 * the heap.  A block larger than a page shares its first page with no other
 * block's first byte, so a word per page is enough.
 *
 * Invariants: a word is written by who holds the block: no two threads at
 * once; a row's req never exceeds its alloc, because a block's growth goes to
 * the row where its bytes went, and never beyond them.
 * It refuses to be exact without memory for the table: growth in place is not
 * counted then.
 */
#include "waste.h"

#include "arena.h"

struct hz_waste hz_waste[HZ_WASTE_CLASSES];

enum {
	ROW_SHIFT = 20, /* above any size with a class */
	ASKED_MASK = (1 << ROW_SHIFT) - 1,
};

static uint32_t *asked[HZ_ARENAS_MAX]; /* CAS: whoever needs it first */

/* The word of the block at p; NULL when there is no memory for it, or when the
 * block is a mapping of its own. */
static uint32_t *word_of(const void *p)
{
	const struct hz_arena *a = hz_arena_of(p);
	if (!a)
		return NULL;
	uint32_t *table = hz_load_acquire(&asked[a->number]);
	if (!table) {
		size_t bytes = hz_round_up((size_t)a->pages_max * sizeof(*table), HZ_PAGE);
		uint32_t *fresh = hz_os_map(bytes);
		if (!fresh)
			return NULL;
		if (__atomic_compare_exchange_n(&asked[a->number], &table, fresh, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			table = fresh;
		else
			hz_os_unmap(fresh, bytes);
	}
	return &table[hz_arena_index(a, p)];
}

void hz_waste_note(const void *p, size_t n, size_t up)
{
	bool small = up <= HZ_CLASS_MAX_BYTES, medium = n > HZ_WASTE_LEAST && n <= HZ_WASTE_MOST;
	uint32_t row = medium ? (uint32_t)((n + HZ_PAGE - 1) / HZ_PAGE) : 0;
	if (row) {
		hz_add(&hz_waste[row - 1].req, n);
		hz_add(&hz_waste[row - 1].alloc, small ? hz_classes[hz_class_of_size(up)].bytes
						       : hz_pages_of(up) << HZ_PAGE_SHIFT);
	}
	uint32_t *word = small ? word_of(p) : NULL;
	if (word)
		hz_store(word, row << ROW_SHIFT | (uint32_t)n);
}

void hz_waste_grew(const void *p, size_t n)
{
	uint32_t *word = word_of(p);
	uint32_t was = word ? hz_load(word) : 0, most = was & ASKED_MASK;
	/* Never noted: there was no memory for the table then. */
	if (!was || n <= most)
		return;
	if (was >> ROW_SHIFT)
		hz_add(&hz_waste[(was >> ROW_SHIFT) - 1].req, n - most);
	hz_store(word, was - most + (uint32_t)n);
}
