/* SPDX-License-Identifier: MIT */
/*
 * pages.c - every resident page to its cause.
 *
 *      slab page   live | free | cached | remote | slack or empty, by bytes
 *      large       live | slack
 *      free run    dirty | clean
 *      tables      metadata
 *      nobody's    unattributed
 *
 * The causes of a page add up to its size whatever the records say: the last
 * one of a page is what the others leave.
 */
#include <stdlib.h>

#include "walk.h"

enum {
	DIRECT_MAX = 1 << 22, /* mappings beside the arenas */
	PIECES_MAX = 1 << 16, /* of metadata */
	/* Live blocks whose ends are looked at, per class: enough for 5 %. */
	SAMPLES = 200,
	SAMPLE_LEAST = 64, /* smaller ones: nothing to see */
};

bool slab_of(const struct walk *w, const uint8_t *run, struct slab *s)
{
	const struct names *n = &w->n;
	uint64_t span = number(run + n->run_span, 8);
	s->class_no = (unsigned)number(run + n->run_class_no, 1);
	s->carved = (unsigned)number(run + n->run_carved, 2);
	if (s->class_no >= n->classes)
		return false;
	s->bytes = w->a->of[s->class_no].bytes;
	s->blocks = w->shape[s->class_no].blocks;
	s->first = span & 0xffffffff;
	s->pages = span >> 32;
	memcpy(s->bits, run + n->run_bits, sizeof(s->bits));
	return s->carved <= s->blocks && s->pages == w->shape[s->class_no].pages;
}

void claim_pages(struct walk *w, struct arena *r)
{
	const struct names *n = &w->n;
	uint64_t claims = 0;
	for (uint64_t i = 0; i < r->nruns; i++) {
		const uint8_t *run = record(w, r, i);
		uint64_t span = number(run + n->run_span, 8), state = number(run + n->run_state, 1);
		uint64_t first = span & 0xffffffff, pages = span >> 32;
		if (!pages || !state)
			continue;
		if (first > r->pages || pages > r->pages - first) {
			w->a->torn++;
			continue;
		}
		/* Records that contradict each other this much are damaged, and would
		 * keep us for the square of their number. */
		claims += pages;
		if (claims > 4 * r->pages) {
			w->a->torn++;
			r->runs[i * n->run_size + n->run_state] = 0;
			continue;
		}
		for (uint64_t p = first; p < first + pages; p++)
			if (!r->owner[p])
				r->owner[p] = (uint32_t)i + 1;
			else
				w->a->partial = true;
	}
}

/* Set bits of [from, to) in `bits`. */
static unsigned count_bits(const uint64_t *bits, unsigned from, unsigned to)
{
	unsigned n = 0;
	while (from < to) {
		unsigned end = (from | 63) + 1;
		end = end < to ? end : to;
		uint64_t mask = (end - from == 64 ? ~UINT64_C(0)
						  : ((UINT64_C(1) << (end - from)) - 1))
				<< from % 64;
		n += (unsigned)__builtin_popcountll(bits[from / 64] & mask);
		from = end;
	}
	return n;
}

enum kind { LIVE, FREE, CACHED, REMOTE, KINDS };

/* The blocks of a slab by kind. */
struct blocks {
	uint64_t is[KINDS][BITS_MAX / 64];
	unsigned n[KINDS]; /* bits set in each */
};

static void sort_blocks(const struct arena *r, uint64_t i, const struct slab *s, struct blocks *k)
{
	memset(k, 0, sizeof(*k));
	for (unsigned b = 0; b * 64 < s->blocks; b++) {
		unsigned in = s->carved > b * 64 ? s->carved - b * 64 : 0;
		uint64_t carved = in >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << in) - 1;
		unsigned all = s->blocks - b * 64;
		uint64_t exist = all >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << all) - 1;
		uint64_t used = carved & ~s->bits[b];
		uint64_t cached = r->held[0][i][b] & used, remote = r->held[1][i][b] & used & ~cached;
		k->is[CACHED][b] = cached;
		k->is[REMOTE][b] = remote;
		k->is[LIVE][b] = used & ~cached & ~remote;
		k->is[FREE][b] = exist & ~used;
		for (int kind = 0; kind < KINDS; kind++)
			k->n[kind] += (unsigned)__builtin_popcountll(k->is[kind][b]);
	}
}

/* Bytes of the slab's blocks within [from, to), by kind. */
static void bytes_within(const struct slab *s, const struct blocks *k, uint64_t from, uint64_t to,
			 uint64_t *bytes)
{
	uint64_t b = s->bytes;
	unsigned first = (unsigned)(from / b), last = (unsigned)((to + b - 1) / b);
	if (last > s->blocks)
		last = s->blocks;
	for (int kind = 0; kind < KINDS; kind++) {
		const uint64_t *is = k->is[kind];
		bytes[kind] = 0;
		if (!k->n[kind] || first >= last)
			continue;
		unsigned in = k->n[kind] == s->blocks ? last - first : count_bits(is, first, last);
		uint64_t n = in * b;
		/* The first and the last block may reach beyond. */
		uint64_t begin = first * b, end = (uint64_t)last * b;
		if (begin < from && is[first / 64] >> first % 64 & 1)
			n -= from - begin;
		if (end > to && is[(last - 1) / 64] >> (last - 1) % 64 & 1)
			n -= end - to;
		bytes[kind] = n;
	}
}

/* How much of the ends of live blocks is zero: an upper bound of what rounding
 * and generous requests waste, where blocks were not used before.  A lane's two
 * marks at the very end are used. */
static void sample(struct walk *w, const struct arena *r, const struct slab *s,
		   const uint64_t *live, const uint8_t *present)
{
	struct account *a = w->a;
	uint32_t *sampled = &w->shape[s->class_no].sampled;
	uint8_t block[PAGE];
	uint64_t room = s->bytes, marks = w->n.mark_bytes == ABSENT ? 0 : UINT64_C(2) * w->n.mark_bytes;
	if (s->bytes < SAMPLE_LEAST || s->bytes > PAGE || marks > s->bytes)
		return;
	room -= marks;
	for (unsigned b = 0; b < s->blocks && *sampled < SAMPLES; b++) {
		uint64_t off = b * s->bytes, n = s->bytes;
		if (!(live[b / 64] >> b % 64 & 1) || !(present[off / PAGE] & PAGE_PRESENT) ||
		    !(present[(off + n - 1) / PAGE] & PAGE_PRESENT) ||
		    !image_read(w->m, r->start + s->first * PAGE + off, block, n))
			continue;
		++*sampled;
		a->sampled += n;
		for (n = room; n && !block[n - 1];)
			n--;
		a->zero_tail += room - n;
	}
}

/* Numbers of blocks and pages, resident or not. */
static void count_slab(struct walk *w, const struct slab *s, const struct blocks *k)
{
	struct account *a = w->a;
	struct class_account *c = &a->of[s->class_no];
	unsigned live = k->n[LIVE];
	a->slabs++;
	c->slabs++;
	c->pages += s->pages;
	c->live += live;
	c->cached += k->n[CACHED];
	c->remote += k->n[REMOTE];
	c->fresh += s->blocks - s->carved;
	c->free += k->n[FREE] - (s->blocks - s->carved);
	c->tail += s->pages * PAGE - s->blocks * s->bytes;
	c->occupancy[live ? 1 + (live * 4 - 1) / s->blocks : 0] += s->pages;
	if (live && live < s->blocks)
		c->partial_pages += s->pages;
	a->live_small += live * s->bytes;
	a->cached_blocks += k->n[CACHED];
	a->remote_blocks += k->n[REMOTE];
	a->cached_bytes += k->n[CACHED] * s->bytes;
	a->remote_bytes += k->n[REMOTE] * s->bytes;
}

static void add_slab(struct walk *w, struct arena *r, uint64_t i, const struct slab *s)
{
	struct account *a = w->a;
	struct class_account *c = &a->of[s->class_no];
	struct blocks k;
	uint64_t owner = number(record(w, r, i) + w->n.run_owner, 4) >> w->n.tag_owner_shift;
	bool idle = w->idle && owner < HEAPS_MAX && w->idle[owner / 64] >> owner % 64 & 1;
	sort_blocks(r, i, s, &k);
	count_slab(w, s, &k);
	const uint8_t *present = r->present + s->first;
	for (uint64_t p = 0; p < s->pages; p++) {
		uint64_t n[KINDS];
		a->swapped += present[p] & PAGE_SWAPPED ? PAGE : 0;
		if (!(present[p] & PAGE_PRESENT) || r->owner[s->first + p] != i + 1)
			continue;
		bytes_within(s, &k, p * PAGE, (p + 1) * PAGE, n);
		uint64_t rest = PAGE - n[LIVE] - n[CACHED] - n[REMOTE] - n[FREE];
		a->resident += PAGE;
		c->resident += PAGE;
		a->cached += n[CACHED];
		a->remote += n[REMOTE];
		a->live += n[LIVE];
		a->idle_free += idle ? n[FREE] : 0;
		if (n[LIVE]) {
			a->pages_live++;
			a->free += n[FREE];
			a->slack += rest;
			c->free_resident += n[FREE];
		} else {
			a->empty += n[FREE] + rest;
			if (n[CACHED] || n[REMOTE])
				a->pages_held++;
			else
				a->pages_empty++;
		}
	}
	sample(w, r, s, k.is[LIVE], present);
}

static void add_range(struct walk *w, const uint8_t *present, uint64_t pages, uint64_t *bytes,
		      uint64_t *npages)
{
	for (uint64_t p = 0; p < pages; p++) {
		w->a->swapped += present[p] & PAGE_SWAPPED ? PAGE : 0;
		if (!(present[p] & PAGE_PRESENT))
			continue;
		w->a->resident += PAGE;
		*bytes += PAGE;
		++*npages;
	}
}

static void add_large(struct walk *w, struct arena *r, uint64_t i, uint64_t bytes)
{
	struct account *a = w->a;
	uint64_t span = number(record(w, r, i) + w->n.run_span, 8);
	uint64_t first = span & 0xffffffff, pages = span >> 32;
	if (bytes > pages * PAGE)
		bytes = pages * PAGE;
	a->large_blocks++;
	a->live_large += bytes;
	for (uint64_t p = 0; p < pages; p++) {
		uint8_t present = r->present[first + p];
		a->swapped += present & PAGE_SWAPPED ? PAGE : 0;
		if (!(present & PAGE_PRESENT) || r->owner[first + p] != i + 1)
			continue;
		uint64_t used = p * PAGE >= bytes ? 0
				: bytes - p * PAGE < PAGE ? bytes - p * PAGE
							  : PAGE;
		a->resident += PAGE;
		a->pages_live++;
		a->live += used;
		a->slack += PAGE - used;
	}
}

void add_runs(struct walk *w, struct arena *r)
{
	const struct names *n = &w->n;
	struct account *a = w->a;
	for (uint64_t i = 0; i < r->nruns; i++) {
		const uint8_t *run = record(w, r, i);
		uint64_t span = number(run + n->run_span, 8), state = number(run + n->run_state, 1);
		uint64_t first = span & 0xffffffff, pages = span >> 32;
		struct slab s;
		if (!pages || !state || first > r->pages || pages > r->pages - first)
			continue;
		if (state == n->state_slab && slab_of(w, run, &s)) {
			add_slab(w, r, i, &s);
		} else if (state == n->state_large) {
			add_large(w, r, i, number(run + n->run_bytes, 8));
		} else if (state == n->state_slab) {
			a->torn++; /* its pages stay unattributed */
			for (uint64_t p = first; p < first + pages; p++)
				if (r->owner[p] == i + 1)
					r->owner[p] = 0;
		} else {
			bool clean = state == n->state_clean;
			for (uint64_t p = first; p < first + pages; p++)
				if (r->owner[p] == i + 1)
					add_range(w, r->present + p, 1,
						  clean ? &a->clean : &a->dirty, &a->pages_free);
		}
	}
	for (uint64_t p = 0; p < r->pages; p++)
		if (!r->owner[p])
			add_range(w, r->present + p, 1, &a->unattributed, &a->pages_unknown);
}

static void add_memory(struct walk *w, uint64_t at, uint64_t bytes, uint64_t *sum, uint64_t *npages)
{
	enum { CHUNK = 4096 };
	uint8_t present[CHUNK];
	uint64_t pages = (bytes + PAGE - 1) / PAGE;
	if (bytes > SPACE_MAX || w->looked + pages > PAGES_MAX) {
		w->a->partial = true;
		return;
	}
	w->looked += pages;
	while (pages) {
		uint64_t n = pages < CHUNK ? pages : CHUNK;
		if (!image_pages(w->m, at, n, present))
			return;
		add_range(w, present, n, sum, npages);
		at += n * PAGE;
		pages -= n;
	}
}

void add_metadata(struct walk *w)
{
	struct account *a = w->a;
	const struct names *n = &w->n;
	uint64_t at = 0, *sum = &a->metadata, *pages = &a->pages_metadata;
	for (size_t i = 0; i < w->narenas; i++) {
		const struct arena *r = &w->arena[i];
		add_memory(w, r->base, r->runs_high - r->base, sum, pages);
		uint64_t low = r->table_low > r->runs_high ? r->table_low : r->runs_high;
		add_memory(w, low, r->start - low, sum, pages);
	}
	if (!w->o.pieces || !read_number(w, w->o.pieces, &at))
		return;
	struct round round = { 0 };
	for (int i = 0; at && i < PIECES_MAX && !goes_round(&round, at); i++) {
		uint64_t next = 0, bytes = 0;
		if (!read_number(w, at + n->piece_next, &next) ||
		    !read_number(w, at + n->piece_bytes, &bytes) || bytes > UINT64_C(1) << 40) {
			a->partial = true;
			break;
		}
		add_memory(w, at, bytes, sum, pages);
		at = next;
	}
}

void add_direct(struct walk *w)
{
	const struct names *n = &w->n;
	uint64_t table = 0, entries = 0;
	if (!w->o.direct_table || !read_number(w, w->o.direct_table, &table) ||
	    !read_number(w, w->o.direct_entries, &entries) || !table || entries > DIRECT_MAX)
		return;
	uint8_t *e = malloc(entries * n->direct_size + 1);
	if (e && image_read(w->m, table, e, entries * n->direct_size)) {
		for (uint64_t i = 0; i < entries; i++) {
			uint64_t base = number(e + i * n->direct_size + n->direct_base, 8);
			uint64_t bytes = number(e + i * n->direct_size + n->direct_bytes, 8);
			if (base < PAGE || bytes > SPACE_MAX)
				continue;
			w->a->large_blocks++;
			w->a->direct += bytes;
			w->a->live_large += bytes;
			add_memory(w, base, bytes, &w->a->live, &w->a->pages_live);
		}
	} else {
		w->a->partial = true;
	}
	add_memory(w, table, entries * n->direct_size, &w->a->metadata, &w->a->pages_metadata);
	free(e);
}
