/* SPDX-License-Identifier: MIT */
/*
 * heap.c - the walk: root, arenas, magazines and batches, runs, pages.
 *
 *   1. names of hz_root -> offsets (struct names below)
 *   2. per arena: all run records at once, present bits of all pages
 *   3. held blocks: magazines, inboxes, open batches -> two bits per block
 *   4. per slab and page: bytes live, free, held -> account
 *
 * A running process changes meanwhile.  A page is given to the first run that
 * claims it and no other, so nothing is counted twice; pages nobody claims are
 * unattributed.  Every number from the image is bounded before it is used, and
 * every list has a limit.
 */
#define _GNU_SOURCE
#include "heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../lib/root.h"

enum {
	PAGE = 4096,
	FIELDS_MAX = 1024,
	ARENAS_MAX = 4096,
	HEAPS_MAX = 1 << 20,
	BATCHES_MAX = 1 << 20, /* of one inbox */
	PIECES_MAX = 1 << 16,
	DIRECT_MAX = 1 << 22,
	RUN_BYTES_MAX = 1024,
	BITS_MAX = 512, /* blocks of a slab */
	/* Live blocks whose ends are looked at, per class: enough for 5 %. */
	SAMPLES = 200,
	SAMPLE_LEAST = 64, /* smaller ones: nothing to see */
};

#define PAGES_MAX (UINT64_C(1) << 31)

/* What is needed of the root, by name; false when it is not there. */
#define NAMES(X)                                                              \
	X(classes) X(records_first) X(tag_owner_shift) X(tag_offset_first)     \
	X(tag_offset_step) X(state_clean) X(state_dirty) X(state_busy)         \
	X(state_slab) X(state_large) X(heap_idle) X(outbox_slots)              \
	X(batch_rounds) X(mag_rounds) X(waste_built) X(waste_classes)          \
	X(class_size) X(class_bytes) X(class_pages) X(class_blocks)            \
	X(arena_size) X(arena_start) X(arena_base) X(arena_reserved_bytes)     \
	X(arena_pages_top) X(arena_table_low) X(arena_runs_next)               \
	X(arena_runs_high) X(run_size) X(run_span) X(run_state)                \
	X(run_class_no) X(run_carved) X(run_nfree) X(run_bytes) X(run_bits)    \
	X(heap_size) X(heap_next) X(heap_tls) X(heap_state) X(heap_array)      \
	X(heap_inbox) X(heap_box) X(heap_counts) X(counts_taken)               \
	X(counts_returned) X(counts_closed_blocks) X(tls_size) X(tls_mag)      \
	X(mag_size) X(mag_top) X(slot_size) X(slot_next) X(slot_batch)         \
	X(batch_size) X(batch_next) X(batch_count) X(batch_blocks)             \
	X(direct_size) X(direct_base) X(direct_bytes) X(piece_size)            \
	X(piece_next) X(piece_bytes) X(os_map) X(os_unmap) X(os_commit)        \
	X(os_purge) X(os_purge_bytes) X(os_refused) X(pressure_events)         \
	X(waste_size) X(waste_req) X(waste_alloc)
#define OBJECTS(X)                                                            \
	X(arenas) X(arenas_count) X(classes) X(heaps) X(direct_table)          \
	X(direct_entries) X(pieces) X(os) X(pressure) X(waste)

struct names {
#define X(name) uint32_t name;
	NAMES(X)
#undef X
};

struct objects {
#define X(name) uint64_t name;
	OBJECTS(X)
#undef X
};

struct arena {
	uint64_t start, base, reserved, table_low, runs_next, runs_high;
	uint64_t pages, nruns;
	uint8_t *present; /* per page */
	uint32_t *owner; /* per page: run that claims it + 1; 0 nobody */
	uint8_t *runs; /* the records */
	uint64_t (*held[2])[BITS_MAX / 64]; /* per run: blocks in magazines; on the way */
};

struct walk {
	struct image *m;
	struct account *a;
	struct names n;
	struct objects o;
	struct {
		uint32_t pages, blocks, sampled;
	} shape[CLASSES_MAX]; /* of the slabs of a class */
	struct arena *arena;
	size_t narenas;
};

/* Numbers of any width out of a record that was read. */
static uint64_t number(const uint8_t *p, size_t bytes)
{
	uint64_t v = 0;
	memcpy(&v, p, bytes < 8 ? bytes : 8); /* little-endian, as both machines are */
	return v;
}

static bool read_number(struct walk *w, uint64_t at, uint64_t *v)
{
	return image_read(w->m, at, v, sizeof(*v));
}

/* Root. */

static bool equal(const char *name, const char *ours)
{
	for (; *ours; name++, ours++)
		if (*name != *ours && !(*name == '.' && *ours == '_'))
			return false;
	return !*name;
}

static enum heap_result problem(struct image *m, enum heap_result r, const char *text)
{
	snprintf(m->why, sizeof(m->why), "%s", text);
	return r;
}

static enum heap_result find_names(struct walk *w, const struct hz_root *root)
{
	static struct hz_root_field field[FIELDS_MAX];
	static const char *const names[] = {
#define X(name) #name,
		NAMES(X)
#undef X
	};
	static const char *const objects[] = {
#define X(name) #name,
		OBJECTS(X)
#undef X
	};
	uint32_t *offset = (uint32_t *)(void *)&w->n;
	uint64_t *address = (uint64_t *)(void *)&w->o;
	if (root->nfields > FIELDS_MAX || root->nobjects > HZ_ROOT_OBJECTS ||
	    !image_read(w->m, (uint64_t)(uintptr_t)root->fields, field,
			root->nfields * sizeof(*field)))
		return problem(w->m, HEAP_DAMAGED, "its libhz root object is damaged");
	for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
		uint32_t i = 0;
		for (; i < root->nfields; i++) {
			field[i].name[HZ_ROOT_NAME - 1] = 0;
			if (equal(field[i].name, names[k]))
				break;
		}
		if (i == root->nfields) {
			snprintf(w->m->why, sizeof(w->m->why),
				 "its libhz does not describe \"%s\": too old or too new",
				 names[k]);
			return HEAP_NEWER;
		}
		offset[k] = field[i].offset;
	}
	for (size_t k = 0; k < sizeof(objects) / sizeof(*objects); k++)
		for (uint32_t i = 0; i < root->nobjects; i++)
			if (!strncmp(root->objects[i].name, objects[k], HZ_ROOT_NAME))
				address[k] = (uint64_t)(uintptr_t)root->objects[i].address;
	return HEAP_OK;
}

/* Limits on what offsets may be: a damaged root must not make us read beyond
 * our own buffers. */
static bool sane(const struct names *n)
{
	const uint32_t in_run[] = { n->run_span, n->run_state, n->run_class_no, n->run_carved,
				    n->run_nfree, n->run_bytes };
	for (size_t i = 0; i < sizeof(in_run) / sizeof(*in_run); i++)
		if (in_run[i] > RUN_BYTES_MAX - 8 || in_run[i] + 8 > n->run_size + 7)
			return false;
	return n->run_size >= 64 && n->run_size <= RUN_BYTES_MAX && n->classes &&
	       n->classes <= CLASSES_MAX && n->run_bits + BITS_MAX / 8 <= n->run_size &&
	       n->class_size >= 4 && n->class_size <= 64 && n->class_bytes + 4 <= n->class_size &&
	       n->class_pages + 2 <= n->class_size && n->class_blocks + 2 <= n->class_size &&
	       n->arena_size <= 4096 && n->arena_start + 8 <= n->arena_size &&
	       n->arena_base + 8 <= n->arena_size && n->arena_reserved_bytes + 8 <= n->arena_size &&
	       n->arena_pages_top + 4 <= n->arena_size && n->arena_table_low + 8 <= n->arena_size &&
	       n->arena_runs_next + 8 <= n->arena_size && n->arena_runs_high + 8 <= n->arena_size &&
	       n->heap_size <= 1 << 16 && n->heap_next + 8 <= n->heap_size &&
	       n->heap_tls + 8 <= n->heap_size && n->heap_state + 4 <= n->heap_size &&
	       n->heap_array + 8 * n->classes <= n->heap_size &&
	       n->heap_inbox + 8 <= n->heap_size && n->outbox_slots <= 1024 &&
	       n->slot_size <= 256 && n->slot_next + 8 <= n->slot_size &&
	       n->slot_batch + 8 <= n->slot_size &&
	       n->heap_box + n->outbox_slots * n->slot_size <= n->heap_size &&
	       n->heap_counts + n->counts_taken + 8 <= n->heap_size &&
	       n->heap_counts + n->counts_returned + 8 <= n->heap_size &&
	       n->heap_counts + n->counts_closed_blocks + 8 <= n->heap_size &&
	       n->tls_size <= 1 << 14 && n->mag_size <= 64 && n->mag_top + 8 <= n->mag_size &&
	       n->tls_mag + n->classes * n->mag_size <= n->tls_size &&
	       n->batch_size <= 1 << 16 && n->batch_rounds <= 4096 && n->mag_rounds <= 1 << 16 &&
	       n->batch_next + 8 <= n->batch_size && n->batch_count + 4 <= n->batch_size &&
	       n->batch_blocks + 8 * n->batch_rounds <= n->batch_size &&
	       n->direct_size <= 64 && n->direct_base + 8 <= n->direct_size &&
	       n->direct_bytes + 8 <= n->direct_size && n->waste_classes <= WASTE_MAX &&
	       n->waste_size <= 64 && n->waste_req + 8 <= n->waste_size &&
	       n->waste_alloc + 8 <= n->waste_size && n->records_first < 1 << 24;
}

static enum heap_result find_root(struct walk *w)
{
	struct hz_root root = { .magic = "" };
	w->m->error = 0;
	uint64_t at = image_symbol(w->m, "hz_root");
	if (!at && w->m->error == EPERM)
		return problem(w->m, HEAP_DENIED,
			       "not permitted: the process is another user's, or "
			       "kernel.yama.ptrace_scope forbids it; try as root");
	if (!at && w->m->error == ESRCH)
		return problem(w->m, HEAP_NONE, "no such process");
	if (!at)
		return problem(w->m, HEAP_NONE, "no libhz in it");
	if (!image_read(w->m, at, &root, offsetof(struct hz_root, library)) ||
	    memcmp(root.magic, HZ_ROOT_MAGIC, sizeof(root.magic)))
		return problem(w->m, HEAP_DAMAGED, "its libhz root object is damaged");
	if (root.version > HZ_ROOT_VERSION) {
		snprintf(w->m->why, sizeof(w->m->why),
			 "its libhz has root version %u, this hz-stat knows %d: too new",
			 root.version, HZ_ROOT_VERSION);
		return HEAP_NEWER;
	}
	if (root.bytes < offsetof(struct hz_root, objects) ||
	    !image_read(w->m, at, &root, root.bytes < sizeof(root) ? root.bytes : sizeof(root)))
		return problem(w->m, HEAP_DAMAGED, "its libhz root object is damaged");
	memcpy(w->a->library, root.library, sizeof(root.library));
	memcpy(w->a->lane, root.lane, sizeof(root.lane));
	w->a->version = root.version;
	enum heap_result r = find_names(w, &root);
	if (r == HEAP_OK && !sane(&w->n))
		return problem(w->m, HEAP_DAMAGED, "its libhz root object is damaged");
	return r;
}

/* Classes and arenas. */

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
	    r->runs_next > r->start || r->reserved > UINT64_C(1) << 47 ||
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
}

/* Runs. */

struct slab {
	unsigned class_no, blocks, carved;
	uint64_t bytes, base_pages, pages;
	uint64_t bits[BITS_MAX / 64];
};

static const uint8_t *record(const struct walk *w, const struct arena *r, uint64_t i)
{
	return r->runs + i * w->n.run_size;
}

static bool slab_of(const struct walk *w, const uint8_t *run, struct slab *s)
{
	const struct names *n = &w->n;
	uint64_t span = number(run + n->run_span, 8);
	s->class_no = (unsigned)number(run + n->run_class_no, 1);
	s->carved = (unsigned)number(run + n->run_carved, 2);
	if (s->class_no >= n->classes)
		return false;
	s->bytes = w->a->of[s->class_no].bytes;
	s->blocks = w->shape[s->class_no].blocks;
	s->base_pages = span & 0xffffffff;
	s->pages = span >> 32;
	memcpy(s->bits, run + n->run_bits, sizeof(s->bits));
	return s->carved <= s->blocks && s->pages == w->shape[s->class_no].pages;
}

static void claim_pages(struct walk *w, struct arena *r)
{
	const struct names *n = &w->n;
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
		for (uint64_t p = first; p < first + pages; p++)
			if (!r->owner[p])
				r->owner[p] = (uint32_t)i + 1;
			else
				w->a->partial = true;
	}
}

/* Held blocks. */

static void hold(struct walk *w, uint64_t p, int where)
{
	for (size_t k = 0; k < w->narenas; k++) {
		struct arena *r = &w->arena[k];
		if (p < r->start || (p - r->start) / PAGE >= r->pages)
			continue;
		uint32_t i = r->owner[(p - r->start) / PAGE];
		struct slab s;
		if (!i || number(record(w, r, i - 1) + w->n.run_state, 1) != w->n.state_slab ||
		    !slab_of(w, record(w, r, i - 1), &s))
			break;
		uint64_t off = p - r->start - s.base_pages * PAGE, b = off / s.bytes;
		if (off % s.bytes || b >= s.carved)
			break;
		r->held[where][i - 1][b / 64] |= UINT64_C(1) << b % 64;
		return;
	}
	w->a->partial = true;
}

static uint64_t read_magazines(struct walk *w, const uint8_t *heap)
{
	const struct names *n = &w->n;
	uint8_t tls[1 << 14];
	static uint64_t block[1 << 16];
	uint64_t at = number(heap + n->heap_tls, 8), bytes = 0;
	if (!at)
		return 0;
	w->a->threads++;
	if (!image_read(w->m, at, tls, n->tls_size)) {
		w->a->partial = true; /* the thread has just ended */
		return 0;
	}
	for (unsigned c = 0; c < n->classes; c++) {
		uint64_t array = number(heap + n->heap_array + 8 * c, 8);
		uint64_t top = number(tls + n->tls_mag + c * n->mag_size + n->mag_top, 8);
		uint64_t k = (top - array) / 8;
		if (!array || top <= array || k > n->mag_rounds)
			continue;
		if (!image_read(w->m, array + 8, block, k * 8)) {
			w->a->partial = true;
			continue;
		}
		for (uint64_t i = 0; i < k; i++)
			hold(w, block[i], 0);
		bytes += k * w->a->of[c].bytes;
	}
	return bytes;
}

static void hold_batch(struct walk *w, uint64_t at, uint64_t count)
{
	uint64_t block[4096];
	if (count > w->n.batch_rounds)
		return;
	if (!image_read(w->m, at + w->n.batch_blocks, block, count * 8)) {
		w->a->partial = true;
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		hold(w, block[i], 1);
}

static void read_batches(struct walk *w, const uint8_t *heap)
{
	const struct names *n = &w->n;
	uint64_t at = number(heap + n->heap_inbox, 8);
	for (int i = 0; at && i < BATCHES_MAX; i++) {
		uint64_t next = 0, count = 0;
		if (!image_read(w->m, at + n->batch_next, &next, 8) ||
		    !image_read(w->m, at + n->batch_count, &count, 4)) {
			w->a->partial = true;
			break;
		}
		hold_batch(w, at, count);
		at = next;
	}
	for (unsigned i = 0; i < n->outbox_slots; i++) {
		const uint8_t *slot = heap + n->heap_box + (size_t)i * n->slot_size;
		uint64_t batch = number(slot + n->slot_batch, 8);
		uint64_t next = number(slot + n->slot_next, 8);
		if (batch && next > batch + n->batch_blocks)
			hold_batch(w, batch, (next - batch - n->batch_blocks) / 8);
	}
}

static bool read_heaps(struct walk *w)
{
	const struct names *n = &w->n;
	uint64_t at = 0;
	uint8_t *heap = malloc(n->heap_size);
	bool ok = heap && read_number(w, w->o.heaps, &at) && read_number(w, at, &at);
	for (int i = 0; ok && at && i < HEAPS_MAX; i++) {
		if (!image_read(w->m, at, heap, n->heap_size)) {
			ok = false;
			break;
		}
		const uint8_t *counts = heap + n->heap_counts;
		w->a->heaps++;
		w->a->idle_heaps += number(heap + n->heap_state, 4) == n->heap_idle;
		w->a->taken += number(counts + n->counts_taken, 8);
		w->a->returned += number(counts + n->counts_returned, 8) +
				  number(counts + n->counts_closed_blocks, 8);
		uint64_t bytes = read_magazines(w, heap);
		if (bytes > w->a->idle_cached)
			w->a->idle_cached = bytes;
		read_batches(w, heap);
		at = number(heap + n->heap_next, 8);
	}
	free(heap);
	return ok;
}

/* The account. */

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

/* Bytes of the slab's blocks within [from, to), by kind.  `is` has a bitmap
 * per kind. */
static void bytes_within(const struct slab *s, const uint64_t (*is)[BITS_MAX / 64], uint64_t from,
			 uint64_t to, uint64_t *bytes)
{
	uint64_t b = s->bytes;
	unsigned first = (unsigned)(from / b), last = (unsigned)((to + b - 1) / b);
	if (last > s->blocks)
		last = s->blocks;
	for (int k = 0; k < KINDS; k++)
		bytes[k] = 0;
	if (first >= last)
		return;
	for (int k = 0; k < KINDS; k++) {
		uint64_t n = count_bits(is[k], first, last) * b;
		/* The first and the last block may reach beyond. */
		uint64_t begin = first * b, end = (uint64_t)last * b;
		if (begin < from && is[k][first / 64] >> first % 64 & 1)
			n -= from - begin;
		if (end > to && is[k][(last - 1) / 64] >> (last - 1) % 64 & 1)
			n -= end - to;
		bytes[k] = n;
	}
}

static void sample(struct walk *w, const struct arena *r, const struct slab *s,
		   const uint64_t *live, const uint8_t *present);

static void add_slab(struct walk *w, struct arena *r, uint64_t i, const struct slab *s)
{
	struct account *a = w->a;
	struct class_account *k = &a->of[s->class_no];
	uint64_t is[KINDS][BITS_MAX / 64] = { 0 };
	for (unsigned b = 0; b * 64 < s->blocks; b++) {
		unsigned in = s->carved > b * 64 ? s->carved - b * 64 : 0;
		uint64_t carved = in >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << in) - 1;
		unsigned all = s->blocks - b * 64;
		uint64_t exist = all >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << all) - 1;
		is[CACHED][b] = r->held[0][i][b] & carved & ~s->bits[b];
		is[REMOTE][b] = r->held[1][i][b] & carved & ~s->bits[b] & ~is[CACHED][b];
		is[LIVE][b] = carved & ~s->bits[b] & ~is[CACHED][b] & ~is[REMOTE][b];
		is[FREE][b] = exist & ~(is[LIVE][b] | is[CACHED][b] | is[REMOTE][b]);
	}
	unsigned live = count_bits(is[LIVE], 0, s->blocks);
	unsigned cached = count_bits(is[CACHED], 0, s->blocks);
	unsigned remote = count_bits(is[REMOTE], 0, s->blocks);
	a->slabs++;
	k->slabs++;
	k->pages += s->pages;
	k->live += live;
	k->cached += cached;
	k->remote += remote;
	k->fresh += s->blocks - s->carved;
	k->free += s->carved - live - cached - remote;
	k->tail += s->pages * PAGE - s->blocks * s->bytes;
	k->occupancy[live ? 1 + (live * 4 - 1) / s->blocks : 0] += s->pages;
	if (live && live < s->blocks)
		k->partial_pages += s->pages;
	a->live_small += live * s->bytes;
	a->cached_blocks += cached;
	a->remote_blocks += remote;
	a->cached_bytes += cached * s->bytes;
	a->remote_bytes += remote * s->bytes;
	const uint8_t *present = r->present + s->base_pages;
	for (uint64_t p = 0; p < s->pages; p++) {
		uint64_t n[KINDS];
		a->swapped += present[p] & PAGE_SWAPPED ? PAGE : 0;
		if (!(present[p] & PAGE_PRESENT) || r->owner[s->base_pages + p] != i + 1)
			continue;
		bytes_within(s, (const uint64_t(*)[BITS_MAX / 64])is, p * PAGE, (p + 1) * PAGE, n);
		uint64_t rest = PAGE - n[LIVE] - n[CACHED] - n[REMOTE] - n[FREE];
		a->resident += PAGE;
		k->resident += PAGE;
		a->cached += n[CACHED];
		a->remote += n[REMOTE];
		a->live += n[LIVE];
		if (n[LIVE]) {
			a->pages_live++;
			a->free += n[FREE];
			a->slack += rest;
			k->free_resident += n[FREE];
		} else {
			a->empty += n[FREE] + rest;
			if (n[CACHED] || n[REMOTE])
				a->pages_held++;
			else
				a->pages_empty++;
		}
	}
	sample(w, r, s, is[LIVE], present);
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

static void add_runs(struct walk *w, struct arena *r)
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
	if (bytes > UINT64_C(1) << 47)
		return;
	while (pages) {
		uint64_t n = pages < CHUNK ? pages : CHUNK;
		if (!image_pages(w->m, at, n, present))
			return;
		add_range(w, present, n, sum, npages);
		at += n * PAGE;
		pages -= n;
	}
}

static void add_metadata(struct walk *w)
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
	for (int i = 0; at && i < PIECES_MAX; i++) {
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

static void add_direct(struct walk *w)
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
			if (base < PAGE || bytes > UINT64_C(1) << 47)
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

/* How much of the ends of live blocks is zero: an upper bound of what rounding
 * and generous requests waste, where blocks were not used before. */
static void sample(struct walk *w, const struct arena *r, const struct slab *s,
		   const uint64_t *live, const uint8_t *present)
{
	struct account *a = w->a;
	uint32_t *sampled = &w->shape[s->class_no].sampled;
	uint8_t block[PAGE];
	if (s->bytes < SAMPLE_LEAST || s->bytes > PAGE)
		return;
	for (unsigned b = 0; b < s->blocks && *sampled < SAMPLES; b++) {
		uint64_t off = b * s->bytes, n = s->bytes;
		if (!(live[b / 64] >> b % 64 & 1) || !(present[off / PAGE] & PAGE_PRESENT) ||
		    !(present[(off + n - 1) / PAGE] & PAGE_PRESENT) ||
		    !image_read(w->m, r->start + s->base_pages * PAGE + off, block, n))
			continue;
		++*sampled;
		a->sampled += n;
		while (n && !block[n - 1])
			n--;
		a->zero_tail += s->bytes - n;
	}
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
	a->waste_built = n->waste_built != 0;
	for (unsigned c = 0; a->waste_built && c < n->waste_classes; c++) {
		if (read_number(w, w->o.waste + c * n->waste_size + n->waste_req, &v))
			a->waste_req += v;
		if (read_number(w, w->o.waste + c * n->waste_size + n->waste_alloc, &v))
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
