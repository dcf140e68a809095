/* SPDX-License-Identifier: MIT */
/*
 * option.c - the table of options and its one reader.
 *
 *      secure_getenv(HZ_NAME)  -->  table row  -->  hz_option.field
 *
 * Invariants: no allocation; values out of range are ignored whole; nothing is
 * read when the kernel says AT_SECURE, nor before libc has its environment.
 * It refuses to look anywhere else: no file is opened.
 */
#include "option.h"

#include <hz/hz.h>
#include <stdlib.h>

struct hz_options hz_option = { .arena_bytes = HZ_ARENA_SIZE_DEFAULT };

static const struct row {
	const char *name;
	size_t *value;
	size_t least, most; /* bytes */
	const char *help;
} rows[] = {
	/* Below 256 KiB not even a small program's slabs fit one arena; 8 TiB of
	 * 4 KiB pages are what 31-bit page numbers name. */
	{ "HZ_ARENA_SIZE", &hz_option.arena_bytes, HZ_LANE_ARENA_MIN_BYTES, 8192 * HZ_GIB,
	  "address space reserved for the first arena, bytes or with K, M, G, T" },
};

HZ_EXPORT const char *hz_option_at(unsigned index, uint64_t *value, const char **help)
{
	if (index >= sizeof(rows) / sizeof(*rows))
		return NULL;
	hz_option_read(); /* as the first allocation will find them */
	if (value)
		*value = *rows[index].value;
	if (help)
		*help = rows[index].help;
	return rows[index].name;
}

/* A size with an optional suffix; false for anything else. */
static bool size_of(const char *text, size_t *out)
{
	size_t n = 0;
	if (!*text)
		return false;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (size_t)(*text - '0'), &n))
			return false;
	unsigned shift = 0;
	switch (*text) {
	case 'T': shift = 40; break;
	case 'G': shift = 30; break;
	case 'M': shift = 20; break;
	case 'K': shift = 10; break;
	default: break;
	}
	text += shift ? 1 : 0;
	*out = n << shift;
	return !*text && *out >> shift == n;
}

void hz_option_read(void)
{
	static bool done; /* any thread; twice does no harm */
	if (hz_load_acquire(&done))
		return;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *text = secure_getenv(rows[i].name);
		size_t n;
		if (text && size_of(text, &n) && n >= rows[i].least && n <= rows[i].most)
			hz_store(rows[i].value, n);
	}
	hz_store_release(&done, true);
}
