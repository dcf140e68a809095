/* SPDX-License-Identifier: MIT */
/*
 * waste.c - the sums of box waste, and what each block was asked for.
 *
 *      hz_waste[0..7]      requests up to 4, 8, ... 32 KiB
 *      asked[GiB][page]    (row + 1) << 20 | bytes asked for, of the block that
 *                          begins in the page; row + 1 = 0: no medium one
 *
 * The words of a GiB of addresses are mapped when its first block is noted,
 * 1 MiB for 262144 pages.  A block larger than a page shares its first page
 * with no other block's first byte, so a word per page is enough.
 *
 * Invariants: a word is written by who holds the block: no two threads at
 * once; a row's req never exceeds its alloc, because a block's growth goes to
 * the row where its bytes went, and never beyond them.
 * It refuses to be exact without memory for the words, or where two GiB that
 * are a TiB apart share a slot: growth in place is not counted then.
 */
#include "waste.h"

#include "os.h"

struct hz_waste hz_waste[HZ_WASTE_CLASSES];

enum {
	ROW_SHIFT = 20, /* above any size with a class */
	ASKED_MASK = (1 << ROW_SHIFT) - 1,
	GIB_SHIFT = 30,
	SLOTS = 1024, /* a TiB of heap without two in one slot */
};

struct words {
	uintptr_t gib; /* address >> GIB_SHIFT; constant */
	uint32_t of[HZ_GIB >> HZ_PAGE_SHIFT]; /* by page; who holds the block */
};

static struct words *asked[SLOTS]; /* CAS: whoever needs it first */

/* The word of the block at p; NULL when there is none. */
static uint32_t *word_of(const void *p)
{
	uintptr_t gib = (uintptr_t)p >> GIB_SHIFT;
	struct words **slot = &asked[gib % SLOTS], *w = hz_load_acquire(slot);
	if (!w) {
		struct words *fresh = hz_os_map(hz_round_up(sizeof(*fresh), HZ_PAGE));
		if (!fresh)
			return NULL;
		fresh->gib = gib;
		if (__atomic_compare_exchange_n(slot, &w, fresh, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			w = fresh;
		else
			hz_os_unmap(fresh, hz_round_up(sizeof(*fresh), HZ_PAGE));
	}
	return w->gib == gib ? &w->of[(uintptr_t)p % HZ_GIB >> HZ_PAGE_SHIFT] : NULL;
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
