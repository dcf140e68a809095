/* SPDX-License-Identifier: MIT */
/*
 * mark.c - the key of the marks, and sizes that are given to free.
 *
 *      AT_RANDOM, 16 bytes that the kernel gave the process  -->  key
 *      free_sized(p, n)  -->  class of n == class of what p was asked for
 *
 * Invariants: see mark.h; the key never changes.
 * Who may call: heap.c at start; api.c and cxx.c.  In lanes without marks nobody.
 * It refuses to ask the kernel anything.
 */
#include "mark.h"

#include <sys/auxv.h>

#include "large.h"
#include "option.h"

struct hz_mark hz_mark;

void hz_mark_start(void)
{
	if (!HZ_LANE_MARK_BYTES)
		return;
	/* libc makes its stack and pointer guards of the same bytes: those must not be
	 * found again in a mark. */
	const uint64_t *seed = (const uint64_t *)getauxval(AT_RANDOM);
	uint64_t x = seed ? seed[0] ^ (seed[1] << 29 | seed[1] >> 35) : (uintptr_t)&seed;
	x = (x ^ x >> 33) * 0xFF51AFD7ED558CCDULL;
	x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53ULL;
	hz_mark = (struct hz_mark){ x ^ x >> 33, hz_option.zero_bytes };
}

void hz_mark_check_size(const char *function, const void *p, size_t align, size_t n)
{
	uint32_t tag = hz_tag_of(p);
	size_t have, up = hz_round_up((n | !n) + HZ_LANE_MARK_BYTES, align);
	bool right;
	if (!p)
		return;
	if (tag < HZ_TAG_OWNER_ONE) {
		have = hz_large_size(p);
		/* realloc leaves room to grow, a mapping of its own has whole pages. */
		right = !have || (n <= have && (n >= have / 2 || have <= hz_os_page_bytes()));
	} else if (n > HZ_MARK_SMALL || up > HZ_CLASS_MAX_BYTES || ((uintptr_t)p & (align - 1))) {
		right = false;
	} else if (align > 16) { /* what malloc gives anyway counts as no alignment */
		right = hz_class_offset[(up + 15) >> 4] == hz_offset_of_tag(tag);
	} else {
		/* realloc may have left it in the block of a larger class. */
		have = hz_mark_bytes(function, p, hz_offset_of_tag(tag), 0) + HZ_LANE_MARK_BYTES;
		right = hz_class_of_size(up) == hz_class_of_size(have);
	}
	if (!right)
		hz_mark_missized(function, p);
}
