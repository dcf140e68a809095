/* SPDX-License-Identifier: MIT */
/*
 * large.c - runs of their own, and mappings of their own.
 *
 *   alloc    one kept, or a run (dirty, clean, new)  ->  pressure  ->  mapping  ->  NULL
 *   grow     free pages behind it  ->  pages moved to a longer run  ->  copy
 *   shrink   the tail goes back at once
 *
 * Blocks outside the arenas sit in an open-addressing table keyed by address,
 * under one lock: such blocks are few and large, or the process lives under a
 * limit so small that no arena fits, where speed is not the question.
 *
 * Invariants: see large.h.  A freed large block is a dirty run, which the next one or a
 * slab reuses; but some each thread keeps whole, until it needs a slab or is old.
 */
#include "large.h"

#include "mark.h"
#include "pressure.h"
#include "purger.h"

enum {
	/* Pages are moved instead of copied from here on: the call costs what
	 * copying about 100 KiB into fresh pages does. */
	MOVE_BYTES = HZ_MOVED_PAGES << HZ_PAGE_SHIFT,
	/* Moves in one process: each may split mappings, of which the kernel allows 65530. */
	MOVES_MAX = 8192,
	/* Part of a thread's share, 2^-n, that it keeps whole at most: 2 MiB. */
	KEPT_SHIFT = HZ_LANE_CHECK ? 1 : 3,
	/* A block that had to move while growing gets an eighth more. */
	SLACK_SHIFT = 3,
	FIRST_TABLE = 256, /* entries: one page */
	/* No process of ours has more addresses than 2^48: what cannot be is
	 * refused before memory is looked for everywhere. */
	ADDRESS_BITS = 48,
};

static struct {
	struct hz_lock lock;
	size_t used; /* entries of the table once used; lock */
	size_t moves; /* any thread, relaxed */
} large;

struct hz_large_counts hz_large_counts;
struct hz_direct *hz_large_table;
size_t hz_large_entries;

#define GONE ((char *)1)

/* The entry of address p, or the free one where it belongs.  Lock held. */
static struct hz_direct *entry_of(const void *p)
{
	size_t i = ((uintptr_t)p >> HZ_PAGE_SHIFT) * 0x9E3779B97F4A7C15ULL >> 20;
	for (;; i++) {
		struct hz_direct *d = &hz_large_table[i & (hz_large_entries - 1)];
		if (!d->base || d->base == p)
			return d;
	}
}

static void forked(void)
{
	hz_lock_reopen(&large.lock);
}

static bool table_ready(void)
{
	if (large.used * 2 < hz_large_entries)
		return true;
	hz_heap_on_fork(forked);
	struct hz_direct *old = hz_large_table;
	size_t n = hz_large_entries, live = 0;
	for (size_t i = 0; i < n; i++)
		live += old[i].base > GONE;
	size_t entries = n ? (live * 4 > n ? n * 2 : n) : FIRST_TABLE;
	struct hz_direct *fresh = hz_os_map(entries * sizeof(*fresh));
	if (!fresh)
		return large.used + 1 < hz_large_entries; /* slower, not full */
	hz_large_table = fresh;
	hz_large_entries = entries;
	large.used = live;
	for (size_t i = 0; i < n; i++)
		if (old[i].base > GONE)
			*entry_of(old[i].base) = old[i];
	if (old)
		hz_os_unmap(old, n * sizeof(*old));
	return true;
}

static bool remember(char *base, size_t bytes)
{
	hz_lock(&large.lock);
	bool ok = table_ready();
	if (ok) {
		struct hz_direct *d = entry_of(base);
		large.used += !d->base;
		*d = (struct hz_direct){ base, bytes };
	}
	hz_unlock(&large.lock);
	return ok;
}

/* Bytes of the mapping that starts at p, 0 if there is none; forgets it if asked. */
static size_t look_up(const void *p, bool forget)
{
	size_t bytes = 0;
	if (!p || (uintptr_t)p & (HZ_PAGE - 1) || !hz_load(&hz_large_entries))
		return 0;
	hz_lock(&large.lock);
	struct hz_direct *d = entry_of(p);
	if (d->base) {
		bytes = d->bytes;
		if (forget)
			d->base = GONE;
	}
	hz_unlock(&large.lock);
	return bytes;
}

static void *direct_alloc(size_t n, size_t align)
{
	size_t page = hz_os_page_bytes(), extra = align > page ? align : 0, bytes;
	if (__builtin_add_overflow(n, extra + page - 1, &bytes))
		return NULL;
	bytes &= ~(page - 1);
	char *p = hz_os_map(bytes);
	if (!p)
		return NULL;
	if (extra) {
		char *at = (char *)hz_round_up((uintptr_t)p, align);
		size_t want = hz_round_up(n, page), lead = (size_t)(at - p);
		/* A trim that is refused leaves address space behind, no more. */
		if (lead)
			hz_os_unmap(p, lead);
		if (bytes - lead > want)
			hz_os_unmap(at + want, bytes - lead - want);
		p = at;
		bytes = want;
	}
	if (!remember(p, bytes)) {
		hz_os_unmap(p, bytes);
		return NULL;
	}
	hz_add(&hz_large_counts.direct_bytes, bytes);
	hz_add(&hz_large_counts.direct_blocks, 1);
	hz_add(&hz_large_counts.mapped, 1);
	hz_add(&hz_large_counts.mapped_bytes, bytes);
	return p;
}

/* The run whose large block starts at p, or NULL. */
static struct hz_run *run_of(const void *p)
{
	if ((uintptr_t)p & (HZ_PAGE - 1) || hz_tag_of(p) != HZ_TAG_LARGE)
		return NULL;
	return hz_run_of(p);
}

static struct hz_run *run_new(size_t n, size_t align)
{
	size_t pages = hz_pages_of(n + HZ_LANE_MARK_BYTES);
	size_t apart = align > HZ_PAGE ? align >> HZ_PAGE_SHIFT : 1;
	struct hz_heap *h = apart == 1 ? hz_tls.heap : NULL;
	struct hz_run *r = h ? hz_run_kept(&h->kept, pages) : NULL;
	if (r)
		hz_bump(&h->counts.kept, 1);
	else if (!(r = hz_pressure_run(pages, apart, HZ_RUN_LARGE)))
		return NULL;
	r->bytes = n;
	hz_store(&hz_page_of(r->base)->tag, HZ_TAG_LARGE);
	return r;
}

static void run_drop(struct hz_run *r)
{
	hz_run_free(r, hz_run_pages(r));
	hz_pressure_freed();
}

void *hz_large_alloc(size_t n, size_t align, bool zero)
{
	hz_heap_enter();
	hz_add(&hz_large_counts.allocs, 1);
	if (n >> ADDRESS_BITS || !hz_heap_start()) {
		hz_add(&hz_large_counts.failed, 1);
		return NULL;
	}
	if (hz_pressure_look())
		hz_pressure_relieve();
	/* Whether there is so much memory the kernel says, if it is a mapping of its own;
	 * and neither threads nor slabs hold it. */
	bool last = n > 16 * HZ_GIB;
	struct hz_run *r = last ? NULL : run_new(n, align);
	for (; !r; last = true) {
		void *p = direct_alloc(n, align);
		hz_add(&hz_large_counts.failed, last && !p);
		if (p || last)
			return p;
		hz_pressure_relieve();
		r = run_new(n, align);
	}
	hz_add(&hz_large_counts.reused, !r->zero);
	/* Pages that the kernel was given may have been written to since. */
	size_t bytes = (size_t)hz_run_pages(r) << HZ_PAGE_SHIFT;
	if (zero && !(r->zero && hz_os_purge(r->base, bytes)))
		hz_zero(r->base, bytes);
	hz_purger_due();
	return hz_mark_large(r->base, r->bytes);
}

/* Whether the thread keeps it; one that is alone, a part of what large blocks have. */
static bool keep(struct hz_run *r)
{
	struct hz_heap *h = hz_tls.heap;
	size_t most = hz_pressure_share() >> HZ_PAGE_SHIFT;
	if (hz_heap_live() < 2)
		most = hz_min(most, hz_load(&hz_run_counts.large_pages));
	return h && hz_run_keep(&h->kept, r, most >> KEPT_SHIFT);
}

size_t hz_large_size(const void *p)
{
	struct hz_run *r = run_of(p);
	if (r)
		return HZ_LANE_MARK_BYTES ? r->bytes : (size_t)hz_run_pages(r) << HZ_PAGE_SHIFT;
	return look_up(p, false);
}

bool hz_large_free(void *p)
{
	hz_heap_enter();
	struct hz_run *r = run_of(p);
	if (r) {
		hz_mark_see_large("free", r->base, r->bytes);
		uint32_t tag = HZ_TAG_LARGE;
		/* Of two threads that free it at once one loses here. */
		if (!__atomic_compare_exchange_n(&hz_page_of(p)->tag, &tag, HZ_TAG_NONE, false,
						 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return false;
		hz_add(&hz_large_counts.frees, 1);
		if (!keep(r))
			run_drop(r);
		return true;
	}
	size_t bytes = look_up(p, true);
	if (!bytes)
		return false;
	hz_add(&hz_large_counts.frees, 1);
	hz_add(&hz_large_counts.direct_bytes, -bytes);
	hz_add(&hz_large_counts.direct_blocks, -(size_t)1);
	hz_add(&hz_large_counts.unmapped, 1);
	hz_add(&hz_large_counts.unmapped_bytes, bytes);
	if (!hz_os_unmap(p, bytes))
		hz_os_purge(p, bytes); /* refused: at least its pages go */
	return true;
}

/* A longer run that gets this one's pages.  Into clean memory they are moved:
 * neither end is touched.  Into dirty memory they are copied: moving would
 * drop as many resident pages as it saves. */
static void *move_run(struct hz_run *r, size_t n)
{
	size_t old = (size_t)hz_run_pages(r) << HZ_PAGE_SHIFT;
	struct hz_run *to = run_new(n + (n >> SLACK_SHIFT), 1);
	if (!to)
		return NULL;
	if (!to->zero || old < MOVE_BYTES || hz_add(&large.moves, 1) >= MOVES_MAX ||
	    !hz_os_shift(r->base, old, to->base)) {
		hz_copy(to->base, r->base, hz_round_up(hz_min(old, n), 16));
		hz_store(&hz_page_of(r->base)->tag, HZ_TAG_NONE);
		run_drop(r);
		return hz_mark_large(to->base, to->bytes);
	}
	hz_store(&hz_page_of(r->base)->tag, HZ_TAG_NONE);
	r->zero = true; /* its pages are gone: what is left reads as zero */
	if (hz_os_renew(r->base, old))
		hz_run_free(r, 0); /* else it is nobody's, and never touched again */
	hz_add(&hz_large_counts.moved, 1);
	return hz_mark_large(to->base, to->bytes);
}

/* The lock is held while the kernel moves: the addresses left behind may be
 * another thread's block at once, whose entry must not meet the old one. */
static void *direct_resize(void *p, size_t n)
{
	size_t page = hz_os_page_bytes(), want = hz_round_up(n, page), have = 0;
	char *moved = NULL;
	if ((uintptr_t)p & (HZ_PAGE - 1) || want < n || !hz_load(&hz_large_entries))
		return NULL;
	hz_lock(&large.lock);
	struct hz_direct *d = table_ready() ? entry_of(p) : NULL;
	if (d && d->base) {
		have = d->bytes;
		moved = have == want ? p : hz_os_move(p, have, NULL, want);
	}
	if (moved && moved != p) {
		d->base = GONE;
		d = entry_of(moved);
		large.used += !d->base;
	}
	if (moved)
		*d = (struct hz_direct){ moved, want };
	hz_unlock(&large.lock);
	if (moved)
		hz_add(&hz_large_counts.direct_bytes, want - have);
	return moved;
}

void *hz_large_resize(void *p, size_t n)
{
	hz_heap_enter();
	struct hz_run *r = run_of(p);
	if (r) {
		hz_mark_see_large("realloc", r->base, r->bytes);
		if (hz_run_resize(r, hz_pages_of(n + HZ_LANE_MARK_BYTES))) {
			r->bytes = n;
			hz_add(&hz_large_counts.in_place, 1);
			hz_pressure_freed();
			return hz_mark_large(r->base, r->bytes);
		}
		return move_run(r, n);
	}
	return direct_resize(p, n);
}
