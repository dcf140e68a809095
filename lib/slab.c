/* SPDX-License-Identifier: MIT */
/*
 * slab.c - carving, bitmaps, and the four lists of a shelf.
 *
 * A block's number is found by one multiplication with the class's reciprocal
 * (exact for every offset within a slab of at most 64 KiB; a slab of more has
 * one block).  A freed block sets its bit; taking clears bits, lowest address
 * first, and carves only when no bit is left, so a slab touches no page that
 * it need not.
 *
 * Invariants: see slab.h.  Who may call: the owner under its lock.
 * It refuses a pointer that is not the start of a block, a block that is
 * already free and one never handed out, and says which.
 */
#include "slab.h"

#include "error.h"
#include "mark.h"
#include "pressure.h"
#include "probe.h"

/* Words of the bitmap that this slab's blocks need; others say nothing. */
static size_t words_of(const struct hz_run *s)
{
	return (s->blocks + 63u) / 64;
}

/* A run becomes a slab; `carved` of its blocks are handed out. */
static void set_up(struct hz_run *s, uint32_t owner, unsigned c, uint16_t carved)
{
	const struct hz_class *k = &hz_classes[c];
	s->block_bytes = k->bytes;
	s->reciprocal = k->reciprocal;
	s->blocks = k->blocks;
	s->carved = carved;
	s->nfree = 0;
	s->purged = s->was = 0;
	s->class_no = (uint8_t)c;
	s->shelf = HZ_SHELF_NONE;
	for (size_t i = 0; i < words_of(s); i++)
		s->bits[i] = 0;
	hz_slab_retag(s, owner);
	hz_store_release(&s->state, HZ_RUN_SLAB);
	HZ_PROBE1(segment_open, c);
}

struct hz_run *hz_slab_open(uint32_t owner, unsigned c)
{
	struct hz_run *s;
	if (hz_run_stock(&s, hz_classes[c].pages, 1))
		s->zero = false;
	else
		s = hz_pressure_run(hz_classes[c].pages, 1, HZ_RUN_SLAB);
	if (s)
		set_up(s, owner, c, 0);
	return s;
}

size_t hz_slab_open_whole(uint32_t owner, unsigned c, void **out, size_t n)
{
	struct hz_run *runs[HZ_SLAB_WHOLE];
	n = hz_run_stock(runs, hz_classes[c].pages, hz_min(n, HZ_SLAB_WHOLE));
	for (size_t i = 0; i < n; i++)
		__builtin_prefetch(runs[i], 1); /* they may be in other processors' caches */
	for (size_t i = 0; i < n; i++) {
		struct hz_run *s = runs[i];
		s->zero = false;
		if (likely(s->class_no == c && !s->nfree)) {
			hz_slab_claim(s->base, owner | hz_offset_of_class(c));
			hz_store_release(&s->state, HZ_RUN_SLAB);
			HZ_PROBE1(segment_open, c);
		} else {
			set_up(s, owner, c, 1);
		}
		out[i] = s->base;
	}
	return n || !(*runs = hz_slab_open(owner, c)) ? n : hz_slab_take(*runs, out, 1);
}

void hz_slab_close_whole(unsigned c, void **blocks, size_t n)
{
	struct hz_run *runs[HZ_SLAB_WHOLE];
	for (size_t i = 0; i < n; i++) {
		runs[i] = hz_run_of(blocks[i]);
		__builtin_prefetch(runs[i], 1);
		if ((hz_tag_of(blocks[i]) & (HZ_TAG_OWNER_ONE - 1)) != hz_offset_of_class(c))
			hz_die("free", blocks[i], HZ_WHY_FREE_PAGE);
		hz_slab_claim(blocks[i], HZ_TAG_NONE);
		HZ_PROBE1(segment_close, c);
	}
	hz_run_free_whole(runs, hz_classes[c].pages, n);
}

void hz_slab_claim(void *p, uint32_t tag)
{
	if ((uintptr_t)p & (HZ_PAGE - 1))
		hz_die("free", p, HZ_WHY_INTERIOR);
	hz_store(&hz_page_of(p)->tag, tag);
}

/* The pages where a block may start: of a slab that is one block only the first. */
static void tag_pages(const struct hz_run *s, uint32_t tag)
{
	const struct hz_arena *a = hz_run_arena(s);
	size_t first = hz_run_first(s), pages = s->blocks == 1 ? 1 : hz_run_pages(s);
	for (size_t i = 0; i < pages; i++)
		hz_store_release(&hz_arena_page(a, first + i)->tag, tag);
}

void hz_slab_retag(struct hz_run *s, uint32_t owner)
{
	tag_pages(s, owner | hz_offset_of_class(s->class_no));
	/* Released to hz_mag_put, and last: who frees into an adopted slab holds another
	 * lock than the one its bits and tags are written under. */
	hz_store_release(&s->owner, owner);
}

void hz_slab_close(struct hz_run *list)
{
	for (struct hz_run *s = list; s; s = s->next) {
		if (HZ_LANE_CHECK && (s->shelf != HZ_SHELF_NONE || !hz_slab_empty(s)))
			__builtin_trap();
		tag_pages(s, HZ_TAG_NONE);
		HZ_PROBE1(segment_close, s->class_no);
	}
	hz_run_free_list(list);
}

/* Pages that hold a byte of block p. */
static uint32_t pages_of(const struct hz_run *s, const void *p)
{
	size_t off = (size_t)((const char *)p - s->base);
	size_t first = off >> HZ_PAGE_SHIFT, last = (off + s->block_bytes - 1) >> HZ_PAGE_SHIFT;
	return (2u << last) - (1u << first);
}

size_t hz_slab_take(struct hz_run *s, void **out, size_t n)
{
	size_t spare = hz_slab_spare(s);
	if (n > spare)
		n = spare;
	size_t left = n;
	uint32_t bytes = s->block_bytes;
	for (unsigned w = 0; left && s->nfree; w++) {
		uint64_t bits = s->bits[w];
		char *base = s->base + (size_t)w * 64 * bytes;
		unsigned taken = 0;
		while (bits && left) {
			unsigned i = (unsigned)__builtin_ctzll(bits);
			bits &= bits - 1;
			out[--left] = base + (size_t)i * bytes;
			taken++;
		}
		s->bits[w] = bits;
		s->nfree = (uint16_t)(s->nfree - taken);
	}
	char *p = s->base + (size_t)s->carved * bytes;
	s->carved = (uint16_t)(s->carved + left);
	for (; left; p += bytes)
		out[--left] = hz_mark_fresh(p, bytes);
	for (size_t i = 0; unlikely(s->purged) && i < n; i++)
		s->purged &= (uint16_t)~pages_of(s, out[i]);
	return n;
}

/* Whether blocks first to last are all the slab's. */
static bool all_free(const struct hz_run *s, size_t first, size_t last)
{
	if (first >= s->carved)
		return true;
	last = hz_min(last, s->carved - 1u);
	for (size_t w = first / 64; w <= last / 64; w++) {
		uint64_t low = w == first / 64 ? ~0ULL << first % 64 : ~0ULL;
		uint64_t high = w == last / 64 ? ~0ULL >> (63 - last % 64) : ~0ULL;
		if (~s->bits[w] & low & high)
			return false;
	}
	return true;
}

size_t hz_slab_purge(struct hz_run *s, size_t least)
{
	size_t pages = hz_run_pages(s), done = 0;
	/* Beyond this nothing was ever written, if the pages came clean. */
	size_t end = s->zero ? hz_pages_of((size_t)s->carved * s->block_bytes) : pages;
	uint32_t empty = 0;
	if (pages > 16 || s->blocks == 1)
		return 0;
	for (size_t i = 0; i < end; i++) {
		size_t first = (i << HZ_PAGE_SHIFT) / s->block_bytes;
		size_t last = (((i + 1) << HZ_PAGE_SHIFT) - 1) / s->block_bytes;
		empty |= (uint32_t)all_free(s, first, last) << i;
	}
	empty &= ~(uint32_t)s->purged;
	if ((unsigned)__builtin_popcount(empty) < least)
		return 0;
	while (empty) {
		unsigned from = (unsigned)__builtin_ctz(empty);
		unsigned n = (unsigned)__builtin_ctz(~(empty >> from));
		uint32_t mask = ((1u << n) - 1) << from;
		empty &= ~mask;
		s->purged |= (uint16_t)mask;
		if (hz_os_discard(s->base + ((size_t)from << HZ_PAGE_SHIFT), (size_t)n << HZ_PAGE_SHIFT))
			done += n;
	}
	return done;
}

void hz_shelf_move(struct hz_shelf *shelf, struct hz_run *s, uint8_t list)
{
	if (s->shelf != HZ_SHELF_NONE)
		hz_run_unlink(&shelf->list[s->shelf], s);
	s->shelf = list;
	if (list != HZ_SHELF_NONE)
		hz_run_link(&shelf->list[list], s);
}

bool hz_slab_repair(struct hz_run *s)
{
	const struct hz_class *k = &hz_classes[s->class_no < HZ_CLASSES ? s->class_no : 0];
	if (s->block_bytes != k->bytes || s->blocks != k->blocks || s->carved > s->blocks ||
	    hz_run_pages(s) != k->pages)
		return false;
	unsigned n = 0;
	for (size_t i = 0; i < words_of(s); i++)
		n += (unsigned)__builtin_popcountll(s->bits[i]);
	s->nfree = (uint16_t)n;
	s->shelf = HZ_SHELF_NONE;
	s->was = 0;
	hz_slab_retag(s, s->owner);
	return n <= s->carved;
}
