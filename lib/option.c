/* SPDX-License-Identifier: MIT */
/*
 * option.c - the table of options and its one reader.
 *
 *      secure_getenv(HZ_NAME)  -->  table row  -->  hz_option.field
 *
 * Rows behind HZ_OBSERVE are for observers alone and are looked up only when
 * something observes: each look costs every program start some hundred
 * instructions.
 *
 * Invariants: no allocation; values out of range are ignored whole; nothing is
 * read when the kernel says AT_SECURE, nor before libc has its environment.
 * It refuses to look anywhere else: no file is opened.
 */
#include "option.h"

#include <hz/hz.h>
#include <stdlib.h>

struct hz_options hz_option = {
	.arena_bytes = HZ_ARENA_SIZE_DEFAULT,
	.boxes = HZ_BOXES_DEFAULT,
	.contig_pages = HZ3_SEG_SCAVENGE_MIN_CONTIG_PAGES,
};

enum kind { SIZE, BOXES, WATCH, TEXT };

/* Without a pointer: each would be one more thing to relocate at every start. */
#define AT(field) offsetof(struct hz_options, field)
static const struct row {
	char name[36];
	char help[92];
	uint16_t value; /* AT a size_t, or the characters of TEXT */
	uint16_t kind; /* enum kind */
	size_t least, most; /* of SIZE */
} rows[] = {
	/* Below 256 KiB not even a small program's slabs fit one arena; 8 TiB of
	 * 4 KiB pages are what 31-bit page numbers name. */
	{ "HZ_ARENA_SIZE", "address space reserved for the first arena, bytes or with K, M, G, T",
	  AT(arena_bytes), SIZE, HZ_LANE_ARENA_MIN_BYTES, 8192 * HZ_GIB },
	{ "HZ_PURGER", "1: a thread gives memory back while the program sleeps", AT(purger), SIZE,
	  0, 1 },
	{ "HZ_PRESSURE", "what is asked whether memory is about to be short: list of cgroup, psi, no",
	  AT(watch), WATCH, 0, 0 },
	{ "HZ_ZERO", "libhz-secure: blocks up to this size are cleared when freed", AT(zero_bytes),
	  SIZE, 0, 128 * HZ_KIB },
	{ "HZ_OBSERVE",
	  "what reports at exit: list of seg, small, retention, waste, all, full, fork, no",
	  AT(boxes), BOXES, 0, 0 },
	{ "HZ_OBSERVE_FILE",
	  "file the report is appended to, %p = process, %e = program; else standard error",
	  AT(observe_file), TEXT, 0, 0 },
	/* A free stretch is at most a segment, 256 pages. */
	{ "HZ_SEG_SCAVENGE_MIN_CONTIG_PAGES",
	  "free pages in a row that make a segment a candidate of box seg", AT(contig_pages),
	  SIZE, 1, 256 },
};

static void *value_of(const struct row *row)
{
	return (char *)&hz_option + row->value;
}

enum { ROWS = sizeof(rows) / sizeof(*rows) };

static const struct {
	char word[10];
	uint8_t kind; /* enum kind of the lists that know it */
	uint8_t set;
} words[] = {
	{ "seg", BOXES, HZ_BOX_SEG },	      { "small", BOXES, HZ_BOX_SMALL },
	{ "retention", BOXES, HZ_BOX_RETENTION }, { "waste", BOXES, HZ_BOX_WASTE },
	{ "all", BOXES, HZ_BOX_ALL },	      { "full", BOXES, HZ_BOX_FULL },
	{ "fork", BOXES, HZ_BOX_FORK },	      { "no", BOXES, 0 },
	{ "cgroup", WATCH, HZ_WATCH_CGROUP }, { "psi", WATCH, HZ_WATCH_PSI },
	{ "no", WATCH, 0 },
};

HZ_EXPORT const char *hz_option_at(unsigned index, uint64_t *value, const char **help)
{
	if (index >= ROWS)
		return NULL;
	hz_option_read(); /* as the first allocation will find them */
	if (value)
		*value = rows[index].kind == TEXT ? 0 : *(size_t *)value_of(&rows[index]);
	if (help)
		*help = rows[index].help;
	return rows[index].name;
}

/* A size with an optional suffix; false for anything else. */
static bool size_of(const char *text, size_t *out)
{
	size_t n = 0;
	if (*text < '0' || *text > '9')
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

/* The set that one word of a list names; false for an unknown word. */
static bool word_of(enum kind kind, const char *word, size_t n, size_t *set)
{
	for (size_t w = 0; w < sizeof(words) / sizeof(*words); w++) {
		size_t i = 0;
		while (i < n && words[w].word[i] == word[i])
			i++;
		if (i == n && !words[w].word[i] && words[w].kind == kind) {
			*set |= words[w].set;
			return true;
		}
	}
	return false;
}

/* A comma list; boxes that were not compiled in stay off. */
static bool set_of(enum kind kind, const char *text, size_t *out)
{
	size_t set = 0;
	for (;;) {
		size_t n = 0;
		while (text[n] && text[n] != ',')
			n++;
		if (!word_of(kind, text, n, &set))
			return false;
		if (!text[n])
			break;
		text += n + 1;
	}
	if (kind == BOXES)
		set = set & HZ_BOXES_BUILT & HZ_BOX_ALL ? set & HZ_BOXES_BUILT : 0;
	*out = set;
	return true;
}

static void take(const struct row *row, const char *text)
{
	size_t n, *number = value_of(row);
	char *to = value_of(row);
	switch ((enum kind)row->kind) {
	case SIZE:
		if (size_of(text, &n) && n >= row->least && n <= row->most)
			*number = n;
		break;
	case BOXES:
	case WATCH:
		if (set_of((enum kind)row->kind, text, &n))
			*number = n;
		break;
	case TEXT:
		for (n = 0; n < HZ_OBSERVE_PATH_BYTES && text[n]; n++)
			;
		if (n < HZ_OBSERVE_PATH_BYTES)
			for (size_t i = 0; i <= n; i++)
				to[i] = text[i];
		break;
	}
}

void hz_option_read(void)
{
	static bool done; /* any thread; twice does no harm */
	if (hz_load_acquire(&done))
		return;
	for (size_t i = 0; i < ROWS; i++) {
		bool idle = !HZ_LANE_MARK_BYTES && rows[i].value == AT(zero_bytes);
		const char *text = idle ? NULL : secure_getenv(rows[i].name);
		if (text)
			take(&rows[i], text);
		if (rows[i].kind == BOXES && !hz_option.boxes)
			break;
	}
	hz_store_release(&done, true);
}
