/* SPDX-License-Identifier: MIT */
/*
 * observe_lines.c - the records, byte for byte as hz_obs(5) has them.
 *
 *      [TAG] key=number key=number ...
 *
 * Tags, keys and their order are an interface that scripts grep; a key may
 * only ever be added at the end of a record.  One record is one line and one
 * write().
 *
 * Invariants: what is printed was gathered before; nothing is looked up here
 * but counters.  It refuses to print floating point: a percentage is computed
 * in hundredths.
 */
#include "observe.h"
#include "report.h"

static void to_fd(struct hz_text *t, size_t n)
{
	hz_os_write(t->fd, t->line, n);
}

/* " key=number", the first one behind the tag. */
static void put(struct hz_text *t, const char *key, uint64_t n)
{
	hz_text_word(t, " ");
	hz_text_word(t, key);
	hz_text_word(t, "=");
	hz_text_number(t, n, 0);
}

/* Sums over all heaps of one of their counters. */
#define SUM(field) sum_of(offsetof(struct hz_heap, counts.field))
static uint64_t sum_of(size_t offset)
{
	uint64_t n = 0;
	for (const struct hz_heap *h = hz_heap_first(); h; h = h->next)
		n += hz_load((const uint64_t *)(const void *)((const char *)h + offset));
	return n;
}

static void seg_lines(struct hz_text *t, const struct hz_observation *o)
{
	hz_text_word(t, "[HZ3_SEG_SCAVENGE_OBS]");
	put(t, "calls", o->seg.calls);
	put(t, "max_segments", o->seg.segments);
	put(t, "max_free_pages", o->seg.free_pages);
	put(t, "max_candidate_pages", o->seg.candidate_pages);
	put(t, "max_potential_bytes", (uint64_t)o->seg.candidate_pages << HZ_PAGE_SHIFT);
	hz_text_end(t);
}

/* The classes with most of something, largest first; returns how many. */
struct top {
	unsigned n;
	unsigned class_no[HZ_TOP];
	uint64_t amount[HZ_TOP];
};

static void top_add(struct top *top, unsigned c, uint64_t amount)
{
	unsigned i = top->n < HZ_TOP ? top->n : HZ_TOP;
	if (!amount || (i == HZ_TOP && amount <= top->amount[HZ_TOP - 1]))
		return;
	if (i == HZ_TOP)
		i--;
	for (; i > 0 && top->amount[i - 1] < amount; i--) {
		top->amount[i] = top->amount[i - 1];
		top->class_no[i] = top->class_no[i - 1];
	}
	top->amount[i] = amount;
	top->class_no[i] = c;
	top->n += top->n < HZ_TOP;
}

static uint32_t partial_pages(const struct hz_scan_class *k)
{
	return k->pages - k->occupancy[0] - k->full_pages;
}

static void comma(struct hz_text *t, unsigned i, uint64_t n)
{
	hz_text_word(t, i ? "," : "");
	hz_text_number(t, n, 0);
}

static void top_classes(struct hz_text *t, const char *key, const struct top *top)
{
	hz_text_word(t, key);
	for (unsigned i = 0; i < top->n; i++)
		comma(t, i, top->class_no[i]);
}

static void top_amounts(struct hz_text *t, const char *key, const struct top *top)
{
	hz_text_word(t, key);
	for (unsigned i = 0; i < top->n; i++)
		comma(t, i, top->amount[i]);
}

static void partial_line(struct hz_text *t, const struct hz_scan *s)
{
	struct top top = { 0 };
	for (unsigned c = 0; c < HZ_CLASSES; c++)
		top_add(&top, c, partial_pages(&s->of[c]));
	hz_text_word(t, "[HZ3_S135_PARTIAL_SC]");
	top_classes(t, " top_sc=", &top);
	hz_text_word(t, " pages=");
	for (unsigned i = 0; i < top.n; i++) {
		const struct hz_scan_class *k = &s->of[top.class_no[i]];
		comma(t, i, partial_pages(k));
		hz_text_word(t, "/");
		hz_text_number(t, k->pages, 0);
		hz_text_word(t, "/");
		hz_text_number(t, k->occupancy[0], 0);
		hz_text_word(t, "/");
		hz_text_number(t, k->full_pages, 0);
	}
	hz_text_word(t, " occ=");
	for (unsigned i = 0; i < top.n; i++) {
		hz_text_word(t, i ? ",[" : "[");
		for (int b = 0; b < HZ_OCCUPANCIES; b++) {
			hz_text_word(t, b ? ";" : "");
			hz_text_number(t, s->of[top.class_no[i]].occupancy[b], 0);
		}
		hz_text_word(t, "]");
	}
	hz_text_word(t, top.n ? "" : " (no partial pages)");
	hz_text_end(t);
}

static uint64_t ratio(uint64_t n, uint64_t of)
{
	return of ? n / of : 0;
}

/* The lists of HZ3_S135_FULL_SC: one figure of each class. */
enum full { TOTAL_WASTE, TOTAL_PAGES, FULL_WASTE, FULL_PAGES, AVG_TAIL, AVG_FULL };

static uint64_t full_figure(const struct hz_scan_class *k, enum full which)
{
	switch (which) {
	case TOTAL_WASTE:
		return k->tail_bytes;
	case TOTAL_PAGES:
		return k->pages;
	case FULL_WASTE:
		return k->full_tail_bytes;
	case FULL_PAGES:
		return k->full_pages;
	case AVG_TAIL:
		return ratio(k->tail_bytes, k->pages);
	default:
		return ratio(k->full_tail_bytes, k->full_pages);
	}
}

static void full_line(struct hz_text *t, const struct hz_scan *s)
{
	static const char keys[][16] = { " total_waste=", " total_pages=", " full_waste=",
					 " full_pages=",  " avg_tail=",	   " avg_full=" };
	struct top top = { 0 };
	for (unsigned c = 0; c < HZ_CLASSES; c++)
		top_add(&top, c, s->of[c].tail_bytes);
	hz_text_word(t, "[HZ3_S135_FULL_SC]");
	top_classes(t, " top_sc=", &top);
	if (!top.n) {
		hz_text_word(t, " total_waste= (no tail waste)");
		hz_text_end(t);
		return;
	}
	for (int f = TOTAL_WASTE; f <= AVG_FULL; f++) {
		hz_text_word(t, keys[f]);
		for (unsigned i = 0; i < top.n; i++)
			comma(t, i, full_figure(&s->of[top.class_no[i]], (enum full)f));
	}
	hz_text_end(t);
}

static void frag_line(struct hz_text *t, const struct hz_observation *o, enum hz_family family)
{
	static const char names[HZ_FAMILIES][8] = { "small", "sub4k", "medium" };
	static const char keys[HZ_OCCUPANCIES][11] = { "occ_0", "occ_1_25", "occ_25_50",
						       "occ_50_75", "occ_75_100" };
	const struct hz_scan *s = &o->scan;
	struct top partial = { 0 }, tail = { 0 };
	uint64_t pages = 0, untouched = 0, some = 0, empty, occupancy[HZ_OCCUPANCIES] = { 0 };
	uint64_t candidates = 0;
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		const struct hz_scan_class *k = &s->of[c];
		if (hz_family_of(hz_classes[c].bytes) != family)
			continue;
		pages += k->pages;
		untouched += k->untouched_pages;
		some += partial_pages(k);
		for (int b = 0; b < HZ_OCCUPANCIES; b++)
			occupancy[b] += k->occupancy[b];
		/* Untouched pages may lie in partial slabs as well: at least so many. */
		if (k->occupancy[0] > k->untouched_pages)
			candidates += k->occupancy[0] - k->untouched_pages;
		top_add(&partial, c, partial_pages(k));
		top_add(&tail, c, k->tail_bytes);
	}
	empty = occupancy[0];
	hz_text_word(t, "[HZ3_S135_FRAG_OBS] family=");
	hz_text_word(t, names[family]);
	put(t, "scans", o->scans);
	put(t, "pages_total", pages);
	put(t, "pages_empty", empty);
	put(t, "pages_decommitted", untouched);
	put(t, "pages_partial", some);
	for (int b = 0; b < HZ_OCCUPANCIES; b++)
		put(t, keys[b], occupancy[b]);
	put(t, "cand_decommit_pages", candidates);
	put(t, "cand_unmap_segs", s->empty_segs[family]);
	top_classes(t, " top_partial_sc=", &partial);
	top_amounts(t, " top_partial_pages=", &partial);
	top_amounts(t, " top_tail_waste_bytes=", &tail);
	hz_text_end(t);
}

static uint32_t partial_slabs(const struct hz_scan *s)
{
	uint32_t n = 0;
	for (unsigned c = 0; c < HZ_CLASSES; c++)
		n += s->of[c].partial_slabs;
	return n;
}

static void small_lines(struct hz_text *t, const struct hz_observation *o)
{
	const struct hz_scan *s = &o->scan;
	uint64_t rest = s->held_blocks + s->remote_blocks;
	hz_text_word(t, "[HZ3_S62_OBSERVE]");
	put(t, "dtor_calls", hz_load(&o->thread_exits));
	put(t, "scanned_segs", o->small.segs);
	put(t, "candidate_segs", o->small.candidates);
	put(t, "total_pages", o->small.pages);
	put(t, "free_pages", o->small.free_pages);
	put(t, "used_pages", o->small.pages - o->small.free_pages);
	put(t, "purge_potential_bytes", (uint64_t)o->small.free_pages << HZ_PAGE_SHIFT);
	hz_text_end(t);
	partial_line(t, s);
	full_line(t, s);
	for (int f = 0; f < HZ_FAMILIES; f++)
		frag_line(t, o, (enum hz_family)f);
	hz_text_word(t, "[HZ3_S69]");
	put(t, "inc", SUM(taken) + hz_load(&hz_large_counts.allocs) -
			      hz_load(&hz_large_counts.failed));
	put(t, "dec", SUM(returned) + SUM(closed_blocks) + rest + hz_load(&hz_large_counts.frees));
	put(t, "blocked", partial_slabs(s));
	put(t, "skip_aligned", 0);
	hz_text_end(t);
}

static void retention_line(struct hz_text *t, const struct hz_observation *o)
{
	hz_text_word(t, "[HZ3_RETENTION_OBS]");
	put(t, "calls", o->retention.calls);
	put(t, "tls_small_bytes", o->retention.tls_small);
	put(t, "tls_medium_bytes", o->retention.tls_medium);
	put(t, "owner_stash_bytes", o->retention.owner_stash);
	put(t, "central_medium_bytes", o->retention.central_medium);
	put(t, "arena_used_bytes", o->retention.arena_used);
	put(t, "pack_pool_free_bytes", o->retention.pack_free);
	put(t, "suspicious_bins", o->retention.suspicious);
	put(t, "first_susp_bin", o->retention.first_class);
	put(t, "first_susp_count", o->retention.first_blocks);
	put(t, "first_susp_usable", o->retention.first_usable);
	hz_text_end(t);
}

static void retention_lines(struct hz_text *t, const struct hz_observation *o)
{
	const struct hz_large_counts *l = &hz_large_counts;
	const struct hz_run_counts *r = &hz_run_counts;
	const struct hz_os_counts *os = &hz_os_counts;
	uint64_t allocs = hz_load(&l->allocs), reused = hz_load(&l->reused);
	uint64_t frees = hz_load(&l->frees), unmapped = hz_load(&l->unmapped);
	uint64_t refills = SUM(refills), out = SUM(taken) + SUM(drained);
	uint64_t rest = o->scan.held_blocks, hits = out > rest ? out - rest : 0;
	uint64_t ticks = hz_load(&hz_pressure_counts.ticks);
	uint64_t aged = hz_load(&hz_pressure_counts.aged), kept = 0;
	for (const struct hz_heap *h = hz_heap_first(); h; h = h->next)
		kept += hz_load(&h->kept.pages);
	retention_line(t, o);
	hz_text_word(t, "[HZ3_LARGE_CACHE_BUDGET]");
	put(t, "cached", (uint64_t)(hz_load(&r->dirty_pages) + kept) << HZ_PAGE_SHIFT);
	put(t, "soft_hits", hz_load(&r->reused) + SUM(kept));
	put(t, "hard_evicts", hz_load(&os->purge));
	put(t, "madvise_bytes", hz_load(&os->purge_bytes));
	put(t, "throttle_skips", ticks > aged ? ticks - aged : 0);
	put(t, "throttle_fires", aged);
	hz_text_end(t);
	hz_text_word(t, "[HZ3_LARGE_PATH]");
	put(t, "alloc_calls", allocs);
	put(t, "alloc_cache_hits", reused);
	put(t, "alloc_cache_misses", allocs - reused);
	put(t, "free_calls", frees);
	put(t, "free_cached", frees - unmapped);
	put(t, "free_munmap", unmapped);
	put(t, "mmap_calls", hz_load(&l->mapped));
	put(t, "mmap_bytes", hz_load(&l->mapped_bytes));
	put(t, "munmap_calls", unmapped);
	put(t, "munmap_bytes", hz_load(&l->unmapped_bytes));
	put(t, "evict_dispose", hz_load(&os->purge));
	put(t, "madvise_calls", hz_load(&os->purge));
	put(t, "madvise_bytes", hz_load(&os->purge_bytes));
	hz_text_end(t);
	hz_text_word(t, "[HZ3_S49_PACK]");
	put(t, "hit", hz_load(&r->reused) + SUM(kept));
	put(t, "miss", hz_load(&r->fresh));
	put(t, "new_segment", hz_load(&r->grown));
	hz_text_end(t);
	hz_text_word(t, "[HZ3_S58_TCACHE_DECAY]");
	put(t, "adjust_calls", SUM(epochs));
	put(t, "overage_shrinks", SUM(shrunk));
	put(t, "reclaim_calls", SUM(decays));
	put(t, "reclaim_objs", SUM(decayed));
	put(t, "reclaim_pages", hz_load(&hz_pressure_counts.purged_pages));
	hz_text_end(t);
	hz_text_word(t, "[hz3] S12_V2 stats:");
	put(t, "calls", hits + refills);
	put(t, "hit", hits);
	put(t, "miss", refills);
	put(t, "enter", refills + SUM(flushes) + SUM(foreign));
	hz_text_end(t);
}

static void waste_lines(struct hz_text *t)
{
	uint64_t req = 0, alloc = 0;
	for (int c = 0; c < HZ_WASTE_CLASSES; c++) {
		req += hz_load(&hz_waste[c].req);
		alloc += hz_load(&hz_waste[c].alloc);
	}
	/* Hundredths of a percent; 128 bits would be needed above 1.8 PB. */
	uint64_t waste = alloc - req, hundredths = alloc ? waste * 10000 / alloc : 0;
	hz_text_word(t, "[HZ3_MEDIUM_WASTE_OBS]");
	put(t, "req", req);
	put(t, "alloc", alloc);
	put(t, "waste", waste);
	put(t, "waste_pct", hundredths / 100);
	hz_text_word(t, hundredths % 100 < 10 ? ".0" : ".");
	hz_text_number(t, hundredths % 100, 0);
	hz_text_end(t);
	for (unsigned c = 0; c < HZ_WASTE_CLASSES; c++) {
		uint64_t r = hz_load(&hz_waste[c].req), a = hz_load(&hz_waste[c].alloc);
		if (!r)
			continue;
		hz_text_word(t, "[HZ3_MEDIUM_WASTE_SC]");
		put(t, "sc", c);
		put(t, "req", r);
		put(t, "alloc", a);
		put(t, "waste", a - r);
		hz_text_end(t);
	}
}

void hz_observe_write(const struct hz_observation *o, int fd, size_t boxes)
{
	struct hz_text t = { .sink = to_fd, .fd = fd };
	if (boxes & HZ_BOX_SEG)
		seg_lines(&t, o);
	if (boxes & HZ_BOX_SMALL)
		small_lines(&t, o);
	if (boxes & HZ_BOX_RETENTION)
		retention_lines(&t, o);
	if (boxes & HZ_BOX_WASTE)
		waste_lines(&t);
}
