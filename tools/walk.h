/* SPDX-License-Identifier: MIT */
/*
 * walk.h - what the files of the walk share; nobody else includes it.
 *
 *   names.c   names of hz_root -> offsets and addresses
 *   heap.c    arenas, classes, counters; the order of it all
 *   held.c    blocks in magazines, inboxes and open batches
 *   pages.c   every resident page to its cause
 *
 * A running process changes meanwhile.  A page is given to the first run that
 * claims it and no other, so nothing is counted twice; pages nobody claims are
 * unattributed.  Every number from the image is bounded before it is used, and
 * every list has an end: a limit, and a test for going round.
 */
#ifndef HZ_STAT_WALK_H
#define HZ_STAT_WALK_H

#include <string.h>

#include "heap.h"

enum {
	PAGE = 4096,
	BITS_MAX = 512, /* blocks of a slab */
	ROUNDS_MAX = 1 << 16, /* blocks of a magazine */
	BATCH_MAX = 1 << 16, /* bytes of a batch */
	HEAPS_MAX = 1 << 22, /* their numbers have 22 bits */
};

#define PAGES_MAX (UINT64_C(1) << 31)
#define SPACE_MAX (UINT64_C(1) << 47) /* bytes of address space */

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
	X(run_class_no) X(run_carved) X(run_nfree) X(run_owner) X(run_bytes)   \
	X(run_bits) X(heap_size) X(heap_next) X(heap_tls) X(heap_state)        \
	X(heap_tag) X(heap_array) X(heap_inbox) X(heap_box) X(heap_counts)     \
	X(counts_taken) X(counts_returned) X(counts_closed_blocks)             \
	X(tls_size) X(tls_mag) X(mag_size) X(mag_top) X(slot_size)             \
	X(slot_next) X(slot_batch) X(batch_size) X(batch_next) X(batch_count)  \
	X(batch_blocks) X(direct_size) X(direct_base) X(direct_bytes)          \
	X(piece_size) X(piece_next) X(piece_bytes) X(os_map) X(os_unmap)       \
	X(os_commit) X(os_purge) X(os_purge_bytes) X(os_refused)               \
	X(pressure_events) X(waste_size) X(waste_req) X(waste_alloc)
/* What older libraries have not: ABSENT, and its figure stays 0. */
#define LATER_NAMES(X)                                                        \
	X(counts_refills) X(counts_refills_inbox) X(counts_refills_slabs)      \
	X(counts_kept) X(counts_adopted) X(counts_opened)                      \
	X(counts_drained_for) X(runs_stock) X(runs_reused) X(runs_fresh)       \
	X(runs_grown) X(pressure_looks) X(pressure_nears) X(pressure_wakes)    \
	X(mark_bytes) X(heap_under)
#define OBJECTS(X)                                                            \
	X(arenas) X(arenas_count) X(classes) X(heaps) X(direct_table)          \
	X(direct_entries) X(pieces) X(os) X(pressure) X(waste) X(runs)

#define ABSENT UINT32_MAX

struct names {
#define X(name) uint32_t name;
	NAMES(X)
	LATER_NAMES(X)
#undef X
};

struct objects { /* addresses; 0: not there */
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
	uint64_t batches; /* seen so far, of all heaps */
	uint64_t looked; /* pages looked up so far, outside of arenas' heaps */
	uint64_t *idle; /* bit: the heap of this number has no thread */
};

/* A list that comes back to where it was, by Brent: true once it does. */
struct round {
	uint64_t mark, steps, power;
};

static inline bool goes_round(struct round *r, uint64_t at)
{
	if (r->steps && at == r->mark)
		return true;
	if (r->steps++ == r->power) {
		r->mark = at;
		r->power = 2 * r->power + 1;
	}
	return false;
}

/* Numbers of any width out of a record that was read. */
static inline uint64_t number(const uint8_t *p, size_t bytes)
{
	uint64_t v = 0;
	memcpy(&v, p, bytes < 8 ? bytes : 8); /* little-endian, as both machines are */
	return v;
}

static inline bool read_number(struct walk *w, uint64_t at, uint64_t *v)
{
	return image_read(w->m, at, v, sizeof(*v));
}

static inline enum heap_result problem(struct image *m, enum heap_result r, const char *text)
{
	snprintf(m->why, sizeof(m->why), "%s", text);
	return r;
}

/* A slab's record, checked. */
struct slab {
	unsigned class_no, blocks, carved;
	uint64_t bytes, first, pages; /* of a block; pages of the slab */
	uint64_t bits[BITS_MAX / 64];
};

static inline const uint8_t *record(const struct walk *w, const struct arena *r, uint64_t i)
{
	return r->runs + i * w->n.run_size;
}

bool slab_of(const struct walk *w, const uint8_t *run, struct slab *s);

/* names.c: finds the root, fills n and o. */
enum heap_result find_root(struct walk *w);
/* held.c: heaps, and what threads hold.  False when a heap cannot be read. */
bool read_heaps(struct walk *w);
/* pages.c, in this order. */
void claim_pages(struct walk *w, struct arena *r);
void add_runs(struct walk *w, struct arena *r);
void add_metadata(struct walk *w);
void add_direct(struct walk *w);

#endif
