/* SPDX-License-Identifier: MIT */
/*
 * arena.c - finding, committing and describing address space.
 *
 *   wish (64 GiB) --refused?--> 16G -> 4G -> 1G -> 256M -> halves -> 256 KiB
 *        |                                                   |
 *   RLIMIT_AS: never more than an eighth of it               v
 *        v                                              start-up fails, the
 *   arena 0 ... full? -> arena 1, 2, ... (same ladder)  next call tries again
 *
 * A reservation costs a table entry of 8 bytes per page and a run record of
 * 128 bytes per page in address space only; both are committed as the heap
 * grows.  Commit steps are small (HZ_LANE_COMMIT_BYTES): under mlockall a step
 * is resident at once, and under RLIMIT_DATA it is charged.
 *
 * Addresses are not held, for limits and mlockall count them: their place is found,
 * with room beside it for the program's mappings, and given back; committing maps
 * it piece by piece.  An arena that finds its next piece taken is full.
 *
 * Committed ranges stay read-write for ever, so the rest of the reservation
 * never shares a mapping with touched pages and core dumps stay small.
 *
 * It refuses to decide when to grow; run.c does.
 */
#include "arena.h"

enum {
	/* Metadata that comes with the reservation: heaps, magazines and batches
	 * of a small program fit; with it a start needs two commits. */
	FIRST_META_BYTES = HZ_META_FIRST_BYTES,
	/* First commit of run records: 128 runs, a small program's. */
	RUNS_STEP_BYTES = 16 << 10,
	/* Commit step of the page table: entries of 32 MiB of heap.  The first
	 * step is part of the first commit. */
	TABLE_STEP_BYTES = 64 << 10,
	/* Later metadata comes in pieces of this size of their own mapping. */
	META_PIECE_BYTES = 1 << 20,
	PIECE_HEAD_BYTES = 64, /* struct hz_meta_piece; keeps lines aligned */
	MARK_BYTES = 64, /* of the fork mark where it has no page of its own */
	/* The first commit of heap: enough for a small program, little enough
	 * to be harmless under mlockall. */
	FIRST_HEAP_BYTES = 1 << 20,
	/* One run record per page at worst: the address space they may take. */
	RUN_BYTES_PER_PAGE = 128,
	/* Room for the program's mappings, as a shift: 256 GiB.  With more the heap
	 * would leave the half terabyte in which race detectors expect it. */
	ROOM_SHIFT = 38,
	/* Reservations end on a multiple of the largest kernel page. */
	GRAIN = 64 << 10,
};

struct hz_hot hz_hot = { .start = (char *)1, .floor = UINTPTR_MAX };
struct hz_arena *hz_arenas[HZ_ARENAS_MAX];
uint32_t hz_arenas_count;
struct hz_lock hz_arena_lock;
uint32_t *hz_fork_mark;
bool hz_fork_wiped;
struct hz_meta_piece *hz_meta_pieces;
struct hz_meta_counts hz_meta_counts;

static struct {
	struct hz_arena first; /* arena 0 */
	struct hz_lock meta_lock; /* the next line and hz_meta_counts */
	char *meta_next, *meta_end; /* current piece of metadata */
	bool hold; /* the kernel does not follow hints; at start */
	size_t limit_bytes; /* an eighth of RLIMIT_AS; at start */
	struct hz_arena *next; /* record for the next arena; arena lock */
} arena;

static bool commit(const struct hz_arena *a, char *p, size_t bytes)
{
	return a->held ? hz_os_commit(p, bytes) : hz_os_map_at(p, bytes);
}

/* Reserves for `bytes` of heap and lays out *a, nothing committed. */
static bool reserve(struct hz_arena *a, size_t bytes)
{
	size_t pages = bytes >> HZ_PAGE_SHIFT;
	size_t table = hz_round_up(pages * sizeof(struct hz_page), GRAIN);
	size_t runs = hz_round_up(pages * RUN_BYTES_PER_PAGE, GRAIN) + FIRST_META_BYTES;
	size_t total = runs + table + bytes;
	size_t room = (size_t)1 << ROOM_SHIFT, wide = total + 2 * room;
	char *base = NULL;
	/* Pages larger than ours would be committed twice at the edges. */
	if (hz_os_page_bytes() == HZ_PAGE && !arena.hold)
		base = hz_os_reserve(wide);
	bool held = !base || !hz_os_unmap(base, wide);
	base = base ? base + room : hz_os_reserve(total);
	if (!base)
		return false;
	*a = (struct hz_arena){
		.base = base,
		.held = held,
		.reserved_bytes = total,
		.start = base + runs + table,
		.pages_max = (uint32_t)pages,
		.runs_next = base + FIRST_META_BYTES,
		.runs_high = base,
		.runs_end = base + runs,
	};
	a->table_low = a->start;
	return true;
}

static bool reserve_ladder(struct hz_arena *a, size_t wish, size_t least)
{
	static const size_t steps[] = { 64 * HZ_GIB, 16 * HZ_GIB, 4 * HZ_GIB, HZ_GIB,
					256 * HZ_MIB };
	wish = hz_round_up(hz_min(wish, arena.limit_bytes), GRAIN);
	if (wish >= least && reserve(a, wish))
		return true;
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		if (steps[i] < wish && steps[i] >= least && reserve(a, steps[i]))
			return true;
	for (size_t b = hz_min(wish, 256 * HZ_MIB) / 2; b >= least; b /= 2)
		if (reserve(a, hz_round_up(b, GRAIN)))
			return true;
	return false;
}

static void publish(struct hz_arena *a)
{
	a->number = hz_arenas_count;
	hz_store_release(&hz_arenas[hz_arenas_count], a);
	hz_store_release(&hz_arenas_count, hz_arenas_count + 1);
}

/* Commits run records up to `high` (and the first metadata before them). */
static bool commit_runs(struct hz_arena *a, char *high)
{
	if (high <= a->runs_high)
		return true;
	size_t step = a->runs_high == a->base ? FIRST_META_BYTES + RUNS_STEP_BYTES
					      : 4 * RUNS_STEP_BYTES;
	char *want = a->runs_high + hz_max(step, (size_t)(high - a->runs_high));
	if (want > a->runs_end)
		want = a->runs_end;
	want = a->base + hz_round_up((size_t)(want - a->base), hz_os_page_bytes());
	if (want < high || !commit(a, a->runs_high, (size_t)(want - a->runs_high)))
		return false;
	a->runs_high = want;
	return true;
}

bool hz_arena_runs_ready(struct hz_arena *a, size_t n, size_t record_bytes)
{
	return commit_runs(a, a->runs_next + n * record_bytes);
}

/* Commits [low, start + top) at once: entries and heap are neighbours, so the
 * first step of an arena is one call. */
static bool commit_first(struct hz_arena *a)
{
	size_t heap = hz_min(FIRST_HEAP_BYTES, (size_t)a->pages_max << HZ_PAGE_SHIFT);
	size_t table = hz_round_up(heap / HZ_PAGE * sizeof(struct hz_page), hz_os_page_bytes());
	if (!commit(a, a->start - table, table + heap))
		return false;
	a->table_low = a->start - table;
	return true;
}

static bool commit_table(struct hz_arena *a, uint32_t pages)
{
	char *low = a->start - (size_t)pages * sizeof(struct hz_page);
	if (low >= a->table_low)
		return true;
	char *want = a->table_low - TABLE_STEP_BYTES;
	if (want > low)
		want = low;
	want = a->base + ((size_t)(want - a->base) & ~(hz_os_page_bytes() - 1));
	if (want < a->runs_end)
		want = a->runs_end;
	if (!commit(a, want, (size_t)(a->table_low - want)))
		return false;
	a->table_low = want;
	return true;
}

bool hz_arena_grow(struct hz_arena *a, size_t pages, uint32_t *first, uint32_t *got)
{
	size_t left = a->pages_max - a->pages_top;
	if (pages > left)
		return false;
	char *top = a->start + ((size_t)a->pages_top << HZ_PAGE_SHIFT);
	size_t step = a->pages_top ? HZ_LANE_COMMIT_BYTES : FIRST_HEAP_BYTES;
	size_t want = hz_min(hz_max(step >> HZ_PAGE_SHIFT, pages), left);
	/* Records for the new pages come first: memory that later is cut finer
	 * must not need the kernel, which may refuse by then. */
	size_t records = (a->pages_top + want) / HZ_LANE_RECORD_PAGES * RUN_BYTES_PER_PAGE;
	if (!commit_runs(a, a->base + FIRST_META_BYTES + records))
		return false;
	bool done = a->pages_top == 0 && want <= FIRST_HEAP_BYTES >> HZ_PAGE_SHIFT &&
		    commit_first(a);
	if (!done) {
		if (!commit_table(a, a->pages_top + (uint32_t)want))
			return false;
		if (!commit(a, top, want << HZ_PAGE_SHIFT)) {
			want = hz_min(hz_round_up(pages, GRAIN >> HZ_PAGE_SHIFT), left);
			if (!commit(a, top, want << HZ_PAGE_SHIFT))
				return false;
		}
	}
	*first = a->pages_top;
	*got = (uint32_t)want;
	hz_store_release(&a->pages_top, a->pages_top + (uint32_t)want);
	if (a->number == 0)
		hz_store_release(&hz_hot.floor, ~((uintptr_t)a->pages_top << HZ_PAGE_SHIFT));
	return true;
}

bool hz_arena_init(size_t bytes)
{
	size_t limit = hz_os_address_limit();
	arena.limit_bytes = limit == SIZE_MAX ? SIZE_MAX & ~(size_t)(GRAIN - 1) : limit / 8;
	struct hz_arena *a = &arena.first;
	if (!a->base && !reserve_ladder(a, bytes, HZ_LANE_ARENA_MIN_BYTES)) {
		arena.limit_bytes = SIZE_MAX;
		return false;
	}
	if (!commit_runs(a, a->base + FIRST_META_BYTES)) {
		arena.hold = true;
		if (a->held || !reserve_ladder(a, bytes, HZ_LANE_ARENA_MIN_BYTES) ||
		    !commit_runs(a, a->base + FIRST_META_BYTES))
			return false;
	}
	size_t mark = hz_os_page_bytes();
	hz_fork_wiped = mark < FIRST_META_BYTES && hz_os_wipe_on_fork(a->base, mark);
	if (!hz_fork_wiped)
		mark = MARK_BYTES; /* heap.c has to wipe it */
	*(uint32_t *)a->base = 1;
	hz_store_release(&hz_fork_mark, (uint32_t *)a->base);
	arena.meta_next = a->base + mark;
	arena.meta_end = a->base + FIRST_META_BYTES;
	hz_meta_counts.committed = FIRST_META_BYTES;
	hz_hot.base = a->base;
	hz_store_release(&hz_hot.start, a->start);
	publish(a);
	return true;
}

struct hz_arena *hz_arena_add(size_t pages)
{
	if (hz_arenas_count == HZ_ARENAS_MAX)
		return NULL;
	if (!arena.next)
		arena.next = hz_meta_alloc(sizeof(*arena.next));
	struct hz_arena *a = arena.next;
	size_t least = hz_round_up(pages << HZ_PAGE_SHIFT, GRAIN);
	size_t like_first = (size_t)arena.first.pages_max << HZ_PAGE_SHIFT;
	least = hz_max(least, HZ_LANE_ARENA_MIN_BYTES);
	if (!a || !reserve_ladder(a, hz_max(like_first, least), least))
		return NULL;
	arena.next = NULL;
	publish(a);
	return a;
}

struct hz_arena *hz_arena_of(const void *p)
{
	uint32_t n = hz_load_acquire(&hz_arenas_count);
	for (uint32_t i = 0; i < n; i++) {
		struct hz_arena *a = hz_load_acquire(&hz_arenas[i]);
		size_t off = (size_t)((const char *)p - a->start);
		if (off < (size_t)hz_load_acquire(&a->pages_top) << HZ_PAGE_SHIFT)
			return a;
	}
	return NULL;
}

struct hz_page *hz_arena_page_elsewhere(const void *p)
{
	const struct hz_arena *a = p ? hz_arena_of(p) : NULL;
	return a ? hz_arena_page(a, hz_arena_index(a, p)) : NULL;
}

uint32_t hz_arena_tag_elsewhere(const void *p)
{
	const struct hz_page *page = hz_arena_page_elsewhere(p);
	return page ? hz_load(&page->tag) : (uint32_t)HZ_TAG_NONE;
}

void *hz_meta_alloc(size_t bytes)
{
	bytes = hz_round_up(bytes, 64);
	hz_lock(&arena.meta_lock);
	if ((size_t)(arena.meta_end - arena.meta_next) < bytes) {
		size_t least = hz_round_up(bytes + PIECE_HEAD_BYTES, GRAIN);
		size_t piece = hz_max(META_PIECE_BYTES, least);
		char *p = hz_os_map(piece);
		if (!p && piece > least)
			p = hz_os_map(piece = least);
		if (!p) {
			hz_unlock(&arena.meta_lock);
			return NULL;
		}
		struct hz_meta_piece *head = (struct hz_meta_piece *)(void *)p;
		head->next = hz_meta_pieces;
		head->bytes = piece;
		hz_store_release(&hz_meta_pieces, head);
		arena.meta_next = p + PIECE_HEAD_BYTES;
		arena.meta_end = p + piece;
		hz_meta_counts.committed += piece;
	}
	void *p = arena.meta_next;
	arena.meta_next += bytes;
	hz_meta_counts.used += bytes;
	hz_unlock(&arena.meta_lock);
	return p;
}

void hz_arena_reset_lock(void)
{
	hz_lock_reopen(&arena.meta_lock);
}
