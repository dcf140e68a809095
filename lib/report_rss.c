/* SPDX-License-Identifier: MIT */
/*
 * report_rss.c - which of the heap's pages are resident, and for what.
 *
 *   slab page   live | free | cached | remote | slack, by bytes; without a
 *               live block what is not cached or remote is empty
 *   large       live | slack
 *   free run    dirty | clean
 *   tables      metadata
 *
 * What hz-stat does from outside, by /proc/self/pagemap, which is open for the
 * time of the call, else by mincore(2).  Blocks that threads hold are
 * noted first, two bits each, in a table that is mapped for the time of the
 * call: 128 bytes a run record.
 *
 * Invariants: the causes of a page add up to a page whatever changes
 * meanwhile, the last one being what the others leave; so their sum is
 * `resident` always.  No lock is held.
 * It refuses to give a part: without residency or the table all are 0.
 */
#include "report.h"

#include <hz/hz.h>

#include "large.h"
#include "observe_held.h"
#include "report_os.h"

enum kind { LIVE, FREE, CACHED, REMOTE, KINDS };

typedef uint64_t block_set[HZ_SLAB_BLOCKS_MAX / 64];

/* Blocks of one slab that are in magazines, and on their way. */
struct held {
	block_set in[2]; /* by enum hz_held */
};

struct residency {
	struct hz_report *r;
	const char *from; /* what `page` describes ... */
	size_t pages; /* ... so many; 0: nothing yet */
	int pagemap; /* descriptor; -1: mincore */
	bool known;
	struct held *held; /* of all run records, arena after arena; NULL: no memory */
	size_t bytes; /* of the table */
	uint32_t first[HZ_ARENAS_MAX + 1]; /* of each arena in the table */
	unsigned char page[512]; /* looked up in one call */
};

/* Whether the page at p is; `left` pages from there are of interest. */
static bool resident(struct residency *s, const char *p, size_t left)
{
	size_t mask = hz_os_page_bytes() - 1;
	if ((size_t)(p - s->from) >> HZ_PAGE_SHIFT >= s->pages) {
		s->from = p - ((uintptr_t)p & mask);
		s->pages = sizeof(s->page);
		const struct hz_arena *a = hz_arena_of(p);
		if (a) /* not beyond what is committed */
			s->pages = hz_min(s->pages, a->pages_top - hz_arena_index(a, s->from));
		else
			s->pages = hz_min(s->pages, left);
		s->known = s->known && hz_report_resident(s->pagemap, s->from, s->pages, s->page);
	}
	size_t i = (size_t)(p - s->from) >> HZ_PAGE_SHIFT;
	/* The kernel's page may be several of ours. */
	return s->known && s->page[i / ((mask + 1) / HZ_PAGE)] & 1;
}

static uint64_t resident_bytes(struct residency *s, const char *p, size_t pages)
{
	uint64_t n = 0;
	for (; pages && s->known; pages--, p += HZ_PAGE)
		n += resident(s, p, pages);
	return n << HZ_PAGE_SHIFT;
}

/* Held blocks. */

static struct held *held_of(struct residency *s, const struct hz_run *run)
{
	size_t i = (size_t)s->first[run->arena] + run->number;
	return i < s->first[run->arena + 1] ? &s->held[i] : NULL;
}

static void note(void *p, uint32_t class_no, enum hz_held where, void *arg)
{
	struct residency *s = arg;
	struct hz_run *run = hz_run_of(p);
	if (!run || hz_load(&run->state) != HZ_RUN_SLAB || hz_load(&run->class_no) != class_no)
		return;
	struct held *held = held_of(s, run);
	size_t i = (size_t)((char *)p - hz_load(&run->base)) / hz_classes[class_no].bytes;
	if (held && i < HZ_SLAB_BLOCKS_MAX)
		held->in[where][i / 64] |= 1ULL << i % 64;
}

static void note_held(struct residency *s)
{
	uint32_t arenas = hz_load_acquire(&hz_arenas_count), runs = 0;
	for (uint32_t i = 0; i < HZ_ARENAS_MAX; i++) {
		const struct hz_arena *a = i < arenas ? hz_load_acquire(&hz_arenas[i]) : NULL;
		s->first[i] = runs;
		if (a)
			runs += (uint32_t)((hz_load(&a->runs_next) - a->base) / sizeof(struct hz_run));
	}
	s->first[HZ_ARENAS_MAX] = runs;
	s->bytes = hz_round_up((size_t)runs * sizeof(*s->held), HZ_PAGE);
	s->held = s->bytes ? hz_os_map(s->bytes) : NULL;
	if (s->held)
		hz_held_walk(note, s);
}

/* Slabs. */

struct blocks {
	block_set is[KINDS];
	unsigned n[KINDS]; /* bits set in each */
	unsigned all; /* blocks of the slab */
	size_t bytes; /* of one */
};

static void sort_blocks(struct residency *s, const struct hz_run *run, unsigned c, struct blocks *k)
{
	const struct held *held = held_of(s, run);
	unsigned carved = hz_load(&run->carved);
	*k = (struct blocks){ .all = hz_classes[c].blocks, .bytes = hz_classes[c].bytes };
	for (unsigned w = 0; w * 64 < k->all; w++) {
		unsigned in = carved > w * 64 ? carved - w * 64 : 0, all = k->all - w * 64;
		uint64_t exist = all >= 64 ? ~0ULL : (1ULL << all) - 1;
		uint64_t used = (in >= 64 ? ~0ULL : (1ULL << in) - 1) & exist & ~hz_load(&run->bits[w]);
		k->is[CACHED][w] = held ? held->in[HZ_HELD_MAGAZINE][w] & used : 0;
		k->is[REMOTE][w] = held ? held->in[HZ_HELD_REMOTE][w] & used & ~k->is[CACHED][w] : 0;
		k->is[LIVE][w] = used & ~k->is[CACHED][w] & ~k->is[REMOTE][w];
		k->is[FREE][w] = exist & ~used;
		for (int kind = 0; kind < KINDS; kind++)
			k->n[kind] += (unsigned)__builtin_popcountll(k->is[kind][w]);
	}
}

/* Bits set in [from, to). */
static unsigned count_bits(const uint64_t *bits, unsigned from, unsigned to)
{
	unsigned n = 0;
	while (from < to) {
		unsigned end = (unsigned)hz_min((from | 63) + 1, to);
		uint64_t mask = end - from == 64 ? ~0ULL : ((1ULL << (end - from)) - 1) << from % 64;
		n += (unsigned)__builtin_popcountll(bits[from / 64] & mask);
		from = end;
	}
	return n;
}

/* Bytes of one kind of block in the page from `from` on. */
static uint64_t bytes_in(const struct blocks *k, enum kind kind, size_t from)
{
	const uint64_t *is = k->is[kind];
	size_t to = from + HZ_PAGE;
	unsigned first = (unsigned)(from / k->bytes);
	unsigned last = (unsigned)hz_min((to + k->bytes - 1) / k->bytes, k->all);
	if (!k->n[kind] || first >= last)
		return 0;
	uint64_t n = (uint64_t)count_bits(is, first, last) * k->bytes;
	/* The first and the last block may reach beyond. */
	if (first * k->bytes < from && is[first / 64] >> first % 64 & 1)
		n -= from - first * k->bytes;
	if (last * k->bytes > to && is[(last - 1) / 64] >> (last - 1) % 64 & 1)
		n -= last * k->bytes - to;
	return n;
}

static void add_slab(struct residency *s, const struct hz_run *run, const char *p, size_t pages)
{
	struct hz_report *r = s->r;
	struct blocks k;
	unsigned c = hz_load(&run->class_no);
	if (c >= HZ_CLASSES || pages != hz_classes[c].pages) {
		r->rss_empty += resident_bytes(s, p, pages); /* changing hands */
		return;
	}
	sort_blocks(s, run, c, &k);
	for (size_t i = 0; i < pages; i++, p += HZ_PAGE) {
		uint64_t n[KINDS];
		if (!resident(s, p, pages - i))
			continue;
		for (int kind = 0; kind < KINDS; kind++)
			n[kind] = bytes_in(&k, (enum kind)kind, i << HZ_PAGE_SHIFT);
		uint64_t rest = HZ_PAGE - n[LIVE] - n[FREE] - n[CACHED] - n[REMOTE];
		r->rss_live += n[LIVE];
		r->rss_cached += n[CACHED];
		r->rss_remote += n[REMOTE];
		r->rss_free += n[LIVE] ? n[FREE] : 0;
		r->rss_slack += n[LIVE] ? rest : 0;
		r->rss_empty += n[LIVE] ? 0 : n[FREE] + rest;
		r->resident_slab += HZ_PAGE;
	}
}

/* The rest. */

static void add_large(struct residency *s, const struct hz_run *run, const char *p, size_t pages)
{
	size_t bytes = hz_load(&run->bytes);
	for (size_t i = 0; i < pages; i++, p += HZ_PAGE) {
		size_t from = i << HZ_PAGE_SHIFT, live = bytes > from ? bytes - from : 0;
		if (!resident(s, p, pages - i))
			continue;
		live = hz_min(live, HZ_PAGE);
		s->r->rss_live += live;
		s->r->rss_slack += HZ_PAGE - live;
		s->r->resident_large += HZ_PAGE;
	}
}

static bool add_run(struct hz_run *run, void *arg)
{
	struct residency *s = arg;
	const struct hz_arena *a = hz_run_arena(run);
	uint8_t state = hz_load(&run->state);
	const char *p = a->start + ((size_t)hz_run_first(run) << HZ_PAGE_SHIFT);
	size_t pages = hz_run_pages(run);
	if (state == HZ_RUN_SLAB)
		add_slab(s, run, p, pages);
	else if (state == HZ_RUN_LARGE)
		add_large(s, run, p, pages);
	else
		*(state == HZ_RUN_CLEAN ? &s->r->rss_clean : &s->r->rss_dirty) +=
			resident_bytes(s, p, pages);
	return s->known;
}

static void add_metadata(struct residency *s, const char *from, const char *to)
{
	s->pages = 0;
	s->r->resident_metadata += resident_bytes(s, from, (size_t)(to - from) >> HZ_PAGE_SHIFT);
}

void hz_report_residency(struct hz_report *r)
{
	struct residency s = { .r = r, .known = true, .pagemap = hz_report_pagemap() };
	note_held(&s);
	s.known = s.held != NULL;
	hz_run_walk(add_run, &s);
	for (uint32_t i = 0; i < hz_load_acquire(&hz_arenas_count); i++) {
		const struct hz_arena *a = hz_load_acquire(&hz_arenas[i]);
		add_metadata(&s, a->base, a->runs_high);
		add_metadata(&s, a->table_low, a->start);
	}
	for (struct hz_meta_piece *m = hz_load_acquire(&hz_meta_pieces); m; m = m->next)
		add_metadata(&s, (const char *)m, (const char *)m + m->bytes);
	if (s.held)
		hz_os_unmap(s.held, s.bytes);
	if (s.pagemap >= 0)
		hz_os_close(s.pagemap);
	if (!s.known) { /* a part would be a lie */
		r->rss_live = r->rss_slack = r->rss_free = r->rss_cached = r->rss_remote = 0;
		r->rss_empty = r->rss_dirty = r->rss_clean = 0;
		r->resident_slab = r->resident_large = r->resident_metadata = 0;
	}
	r->resident_free = r->rss_dirty + r->rss_clean;
	r->resident = r->resident_slab + r->resident_large + r->resident_free +
		      r->resident_metadata;
}
