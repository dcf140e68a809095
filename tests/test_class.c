/* SPDX-License-Identifier: MIT */
/*
 * test_class - the tables of size classes as the library compiled them.
 *
 *   request n  -> the smallest class that holds it, for every n
 *   class      -> number, offset and size lead to each other
 *   block      -> its number by multiplication, exact for every byte of a slab
 *   alignment  -> the smallest class whose blocks lie right, against a search
 *
 * tests/class_table.sh looks at the generated header alone; this at what
 * class.c makes of it, in the lane whose slabs are one page.
 */
#include "whitebox.h"

static void test_lookup(void)
{
	unsigned want = 0, wrong = 0;
	for (size_t n = 0; n <= HZ_CLASS_MAX_BYTES; n++) {
		while (hz_classes[want].bytes < n)
			want++;
		wrong += hz_class_of_size(n) != want;
	}
	is_int(wrong, 0, "every size finds the smallest class that holds it");
	is_int(want, HZ_CLASSES - 1, "the largest size is of the last class");
}

static void test_names(void)
{
	unsigned wrong = 0;
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		uint32_t offset = hz_offset_of_class(c);
		wrong += hz_class_of_offset(offset) != c;
		wrong += hz_class_of_size(hz_classes[c].bytes) != c;
		wrong += offset >= HZ_TAG_OWNER_ONE;
		wrong += offset != offsetof(struct hz_tls, mag) + c * sizeof(struct hz_mag);
		wrong += c && hz_classes[c].bytes <= hz_classes[c - 1].bytes;
	}
	is_int(wrong, 0, "number, offset and size of a class lead to each other");
}

static void test_slabs(void)
{
	unsigned wrong = 0, inexact = 0, unstarted = 0, powers = 0;
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		const struct hz_class *k = &hz_classes[c];
		size_t slab = (size_t)k->pages * HZ_PAGE, used = (size_t)k->blocks * k->bytes;
		wrong += !k->blocks || k->blocks > HZ_SLAB_BLOCKS_MAX || used > slab;
		wrong += slab - used >= k->bytes && k->blocks < HZ_SLAB_BLOCKS_MAX;
		wrong += k->bytes <= HZ_LANE_SLAB_SHRINK_BYTES &&
			 k->pages > HZ_LANE_SLAB_PAGES_MAX;
		powers += !(k->bytes & (k->bytes - 1));
		/* As slab.h does it: exact within a slab of several blocks, and in
		 * one of one block what seems to start a block is beyond the first. */
		for (uint64_t off = 0; off < slab; off++) {
			uint64_t at = off * k->reciprocal;
			bool starts = (uint32_t)at < k->reciprocal && at >> 32 < k->blocks;

			inexact += k->blocks > 1 && at >> 32 != off / k->bytes;
			unstarted += starts != (off < used && off % k->bytes == 0);
		}
	}
	is_int(wrong, 0, "a slab holds as many blocks as fit, within the lane's bounds");
	is_int(inexact, 0, "the reciprocal numbers every byte of every slab exactly");
	is_int(unstarted, 0, "and the product's lower half tells which of them start a block");
	is_int(powers, 14, "every power of two from 16 bytes to 128 KiB is a class");
}

static unsigned search(size_t n, size_t align)
{
	for (unsigned c = 0; c < HZ_CLASSES; c++)
		if (hz_classes[c].bytes >= n && hz_classes[c].bytes % align == 0)
			return c;
	return HZ_CLASSES;
}

static void test_aligned(void)
{
	unsigned wrong = 0;
	for (size_t align = 1; align <= HZ_PAGE; align *= 2)
		for (size_t n = 1; n <= HZ_CLASS_MAX_BYTES; n += n < 4096 ? 1 : 61)
			wrong += hz_class_of_size(hz_round_up(n, align)) != search(n, align);
	is_int(wrong, 0, "the class of a multiple of the alignment is the smallest that serves it");
	is_int(search(HZ_CLASS_MAX_BYTES, HZ_PAGE), HZ_CLASSES - 1,
	       "the largest class is aligned to a page");
}

int main(void)
{
	watchdog(60);
	test_lookup();
	test_names();
	test_slabs();
	test_aligned();
	return tap_done();
}
