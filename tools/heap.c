/* SPDX-License-Identifier: MIT */
/*
 * heap.c - the account of a heap: what is read, and in which order.
 *
 *   1. names of hz_root -> offsets (names.c)
 *   2. per arena: all run records at once, present bits of all pages
 *   3. held blocks: magazines, inboxes, open batches -> two bits per block (held.c)
 *   4. per slab and page: bytes live, free, held -> account (pages.c)
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "walk.h"

enum { ARENAS_MAX = 4096 };

static bool read_classes(struct walk *w)
{
	uint8_t table[CLASSES_MAX * 64];
	const struct names *n = &w->n;
	if (!image_read(w->m, w->o.classes, table, (size_t)n->classes * n->class_size))
		return false;
	w->a->classes = n->classes;
	for (unsigned c = 0; c < n->classes; c++) {
		const uint8_t *k = table + (size_t)c * n->class_size;
		w->a->of[c].bytes = number(k + n->class_bytes, 4);
		uint64_t pages = number(k + n->class_pages, 2);
		uint64_t blocks = number(k + n->class_blocks, 2);
		if (!w->a->of[c].bytes || !pages || pages > 64 || !blocks || blocks > BITS_MAX ||
		    blocks * w->a->of[c].bytes > pages * PAGE)
			return false;
		w->shape[c].pages = (uint32_t)pages;
		w->shape[c].blocks = (uint32_t)blocks;
	}
	return true;
}

static bool read_arena(struct walk *w, uint64_t at)
{
	uint8_t raw[4096];
	const struct names *n = &w->n;
	struct arena *r = &w->arena[w->narenas];
	*r = (struct arena){ 0 };
	if (!at || !image_read(w->m, at, raw, n->arena_size))
		return false;
	r->start = number(raw + n->arena_start, 8);
	r->base = number(raw + n->arena_base, 8);
	r->reserved = number(raw + n->arena_reserved_bytes, 8);
	r->pages = number(raw + n->arena_pages_top, 4);
	r->table_low = number(raw + n->arena_table_low, 8);
	r->runs_next = number(raw + n->arena_runs_next, 8);
	r->runs_high = number(raw + n->arena_runs_high, 8);
	uint64_t first = r->base + n->records_first;
	if (r->pages > PAGES_MAX || r->base >= r->start || r->runs_next < r->base ||
	    r->runs_next > r->start || r->reserved > SPACE_MAX ||
	    r->start - r->base > r->reserved || r->pages * PAGE > r->reserved ||
	    r->table_low > r->start || r->table_low < r->base || r->runs_high > r->start ||
	    r->runs_high < r->base)
		return false;
	/* One record a page at most, and the one page of each that is lost. */
	r->nruns = r->runs_next > first ? (r->runs_next - first) / n->run_size : 0;
	if (r->nruns > 2 * r->pages + 64)
		return false;
	r->present = calloc(r->pages + 1, 1);
	r->owner = calloc(r->pages + 1, sizeof(*r->owner));
	/* In huge pages if there are any: 8 MiB of records are 2000 faults. */
	size_t huge = 2 << 20, bytes = (r->nruns * n->run_size + 8 + huge - 1) & ~(huge - 1);
	r->runs = bytes > huge ? aligned_alloc(huge, bytes) : malloc(bytes);
	if (r->runs && bytes > huge)
		madvise(r->runs, bytes, MADV_HUGEPAGE);
	r->held[0] = calloc(r->nruns + 1, sizeof(*r->held[0]));
	r->held[1] = calloc(r->nruns + 1, sizeof(*r->held[1]));
	w->narenas++; /* freed with the others from here on */
	if (!r->present || !r->owner || !r->runs || !r->held[0] || !r->held[1])
		return false;
	w->a->reserved += r->reserved;
	w->a->committed += r->pages * PAGE;
	if (r->nruns && !image_read(w->m, first, r->runs, r->nruns * n->run_size))
		return false;
	if (r->pages && image_pages(w->m, r->start, r->pages, r->present))
		w->a->has_pages = true;
	return true;
}

static void free_arenas(struct walk *w)
{
	for (size_t i = 0; i < w->narenas; i++) {
		struct arena *r = &w->arena[i];
		free(r->present);
		free(r->owner);
		free(r->runs);
		free(r->held[0]);
		free(r->held[1]);
	}
	free(w->arena);
	free(w->idle);
}

static void read_counts(struct walk *w)
{
	const struct names *n = &w->n;
	struct account *a = w->a;
	const uint32_t calls[] = { n->os_map, n->os_unmap, n->os_commit, n->os_purge,
				   n->os_refused };
	uint64_t v;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (read_number(w, w->o.os + calls[i], &v))
			a->system_calls += v;
	if (read_number(w, w->o.os + n->os_purge_bytes, &v))
		a->purged = v;
	if (read_number(w, w->o.pressure + n->pressure_events, &v))
		a->pressure_events = v;
	const struct {
		uint64_t of;
		uint32_t at;
		uint64_t *to;
	} later[] = { { w->o.runs, n->runs_stock, &a->runs_stock },
		      { w->o.runs, n->runs_reused, &a->runs_dirty },
		      { w->o.runs, n->runs_fresh, &a->runs_clean },
		      { w->o.runs, n->runs_grown, &a->runs_grown },
		      { w->o.pressure, n->pressure_looks, &a->pressure_looks },
		      { w->o.pressure, n->pressure_nears, &a->pressure_nears },
		      { w->o.pressure, n->pressure_wakes, &a->purger_wakes } };
	for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++)
		if (later[i].of && later[i].at != ABSENT &&
		    read_number(w, later[i].of + later[i].at, &v))
			*later[i].to += v;
	a->waste_built = n->waste_built != 0;
	for (unsigned c = 0; a->waste_built && c < n->waste_classes; c++) {
		if (read_number(w, w->o.waste + (uint64_t)c * n->waste_size + n->waste_req, &v))
			a->waste_req += v;
		if (read_number(w, w->o.waste + (uint64_t)c * n->waste_size + n->waste_alloc, &v))
			a->waste_alloc += v;
	}
}

enum heap_result heap_account(struct image *m, struct account *a)
{
	struct walk w = { .m = m, .a = a };
	uint64_t count = 0;
	*a = (struct account){ .classes = 0 };
	enum heap_result result = find_root(&w);
	if (result != HEAP_OK)
		return result;
	if (!image_read(m, w.o.arenas_count, &count, 4) || count > ARENAS_MAX ||
	    !read_classes(&w))
		return problem(m, HEAP_DAMAGED, "its tables are damaged");
	if (!count)
		return problem(m, HEAP_UNUSED, "its libhz has not been used yet");
	w.arena = calloc(count, sizeof(*w.arena));
	if (!w.arena)
		return problem(m, HEAP_DAMAGED, "no memory");
	image_rss(m, &a->rss);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t at;
		if (!read_number(&w, w.o.arenas + 8 * i, &at) || !read_arena(&w, at))
			a->partial = true;
	}
	for (size_t i = 0; i < w.narenas; i++)
		claim_pages(&w, &w.arena[i]);
	if (!read_heaps(&w))
		a->partial = true;
	for (size_t i = 0; i < w.narenas; i++)
		add_runs(&w, &w.arena[i]);
	add_metadata(&w);
	add_direct(&w);
	read_counts(&w);
	if (!w.narenas) {
		free_arenas(&w);
		return problem(m, HEAP_DAMAGED, "none of its arenas can be read");
	}
	free_arenas(&w);
	return HEAP_OK;
}
