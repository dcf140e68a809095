/* SPDX-License-Identifier: MIT */
/*
 * magazine.c - what happens when a magazine is empty, full, or not the place.
 *
 *   refill    own inbox -> own slabs, fullest first -> other heaps' slabs
 *             -> a new slab (dirty run, clean run, growth) -> pressure -> NULL
 *   overflow  a larger magazine while the thread's share allows, otherwise
 *             the older half goes back to the slabs
 *   give      a block of somebody else: into the open batch for its owner
 *
 * Sizes: a magazine starts small, takes little back until that was asked for again, and
 * doubles, by overflow up to what the byte bounds allow (once between two times that it ran
 * empty: a burst of frees alone is no reason), by running empty only while that costs
 * pointers, not memory.
 * The blocks at the bottom were not used for longest and go first.
 *
 *   NULL | blocks nobody came down to | NULL | WINDOW .. top .. WINDOW | ...
 *        1                          floor, whose block is in `under`   limit
 *
 * A program that only replaces what it has would otherwise live on a large magazine for
 * ever, and nobody see that the rest of it is not used.
 *
 * Invariants: an array's round 0 is NULL for ever; a block leaves its magazine
 * before its bit is set and its bit is cleared before it enters one, so an
 * interruption (fork) loses blocks at worst and never doubles them.
 *
 * Who may call: api.c through heap.h, heap.c.  Part of the heap layer.
 */
#include "magazine.h"

#include "error.h"
#include "pressure.h"
#include "purger.h"

enum {
	/* Blocks a magazine gives or takes at once, at most half of it: enough
	 * to make the slow path's fixed cost vanish, few enough that a magazine
	 * just too small by one does not move thousands each round. */
	PORTION = 256,
	/* Slabs opened anew or taken from in one refill. */
	SLABS_PER_REFILL = 8,
	/* Rounds to which a magazine grows while its heap shrinks: each block in it may keep a page. */
	SHRINKING = 63,
	/* Bytes of a class that a magazine takes back until they are asked for again, and part,
	 * 2^-n, of what the heap has in use: threads that use every size once, and then sleep,
	 * cannot be asked for what they hold.  With a 64th 64 of them hold 20 MiB, not 5. */
	UNPROVEN_BYTES = 2 << 10,
	UNPROVEN_SHIFT = 8,
	/* Slabs whose lists are seen to together: of a portion of one class in a heap
	 * of some megabytes all. */
	SETTLE = 64,
	/* Pops or pushes of a large magazine after which the library is in charge again, and
	 * while more is kept than is used.  With that few a program that replaces what it has
	 * at random comes by, and a burst pays three instructions a block. */
	WINDOW = HZ_LANE_CHECK ? 3 : 255,
	WINDOW_KEPT = HZ_LANE_CHECK ? 1 : 31,
	/* To leave a window counts as so many slow paths: the clock is looked at soon. */
	SLOW_PATHS = HZ_LANE_TICK_SLOW_PATHS / 4,
	/* Blocks given to other owners between two unlocks. */
	STRAYS = HZ_LANE_CHECK ? 2 : 32,
};

/* Largest 2^k - 1 not above n, at least 1. */
static unsigned rounds_below(size_t n)
{
	unsigned r = 1;
	while (r * 2 + 1 <= n)
		r = r * 2 + 1;
	return r;
}

static unsigned rounds_start(unsigned c)
{
	return rounds_below(hz_min(HZ_LANE_MAG_ROUNDS_START,
				   HZ_LANE_MAG_START_BYTES / hz_classes[c].bytes));
}

static unsigned rounds_max(unsigned c)
{
	return rounds_below(hz_min(HZ_LANE_MAG_ROUNDS_MAX,
				   HZ_LANE_MAG_CLASS_BYTES / hz_classes[c].bytes));
}

/* Blocks moved when class c's magazine is empty or full. */
static size_t portion(const struct hz_heap *h, unsigned c)
{
	return hz_min((h->rounds[c] + 1u) / 2, PORTION);
}

/* Magazine arrays: metadata, free ones by size. */

static struct {
	struct hz_lock lock;
	void **spare[13]; /* arrays of 2^k pointers, linked by word 1; lock */
} arrays;

static unsigned log_of(unsigned rounds)
{
	return 31 - (unsigned)__builtin_clz(rounds + 1);
}

static void **array_new(unsigned rounds)
{
	unsigned k = log_of(rounds);
	hz_lock(&arrays.lock);
	void **a = arrays.spare[k];
	if (a)
		arrays.spare[k] = a[1];
	hz_unlock(&arrays.lock);
	if (!a)
		a = hz_meta_alloc(sizeof(void *) << k);
	return a;
}

static void array_drop(void **a, unsigned rounds)
{
	unsigned k = log_of(rounds);
	hz_lock(&arrays.lock);
	a[1] = arrays.spare[k];
	arrays.spare[k] = a;
	hz_unlock(&arrays.lock);
}

void hz_mag_reset_lock(void)
{
	hz_lock_reopen(&arrays.lock);
}

void hz_mag_release_arrays(struct hz_heap *h)
{
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		if (h->array[c])
			array_drop(h->array[c], h->rounds[c]);
		h->array[c] = NULL;
		h->rounds[c] = 0;
	}
	h->mag_bytes = 0;
}

/* Blocks class c's magazine may hold: all it has room for once they were asked for again,
 * before that little of what the heap has in use. */
static size_t most(const struct hz_heap *h, unsigned c)
{
	if (likely(h->proven >> c & 1))
		return h->rounds[c];
	size_t used = hz_load(&h->thin.slab_bytes) - hz_load(&h->thin.free_bytes);
	size_t first = (UNPROVEN_BYTES + (used >> UNPROVEN_SHIFT)) / hz_classes[c].bytes;
	return hz_min(first, h->rounds[c]);
}

/* A magazine without its window, as all below expect it to be. */
static void whole(struct hz_heap *h, unsigned c)
{
	void **a = h->array[c];
	if (!a)
		return;
	if (h->floor[c])
		hz_store(&a[h->floor[c]], h->under[c]);
	h->floor[c] = 0;
	struct hz_mag *m = &h->tls->mag[c];
	m->limit = a + hz_max((size_t)(m->top - a), most(h, c));
}

/* The end of every slow path of a magazine. */
static void window(struct hz_heap *h, unsigned c)
{
	struct hz_mag *m = &h->tls->mag[c];
	void **a = h->array[c];
	size_t held = (size_t)(m->top - a), width = hz_thin_kept(h) ? WINDOW_KEPT : WINDOW;
	size_t floor = held > width ? held - width : 0;
	h->low[c] = (uint16_t)hz_min(h->low[c], floor);
	m->limit = a + hz_max(held, hz_min(held + width, most(h, c)));
	if (floor) {
		h->floor[c] = (uint16_t)floor;
		hz_store(&h->under[c], a[floor]); /* first: there are readers outside */
		hz_store(&a[floor], NULL);
	}
}

/* Gives class c an array of `rounds`, keeping the blocks of the old one.
 * False without memory, with nothing changed. */
static bool resize(struct hz_heap *h, unsigned c, unsigned rounds)
{
	struct hz_mag *m = &h->tls->mag[c];
	void **old = h->array[c];
	whole(h, c);
	size_t held = old ? (size_t)(m->top - old) : 0;
	void **a = held <= rounds ? array_new(rounds) : NULL;
	if (!a)
		return false;
	for (size_t i = 1; i <= held; i++)
		a[i] = old[i];
	a[0] = NULL;
	h->array[c] = a;
	m->top = a + held;
	h->mag_bytes += ((size_t)rounds - h->rounds[c]) * hz_classes[c].bytes;
	unsigned was = h->rounds[c];
	h->rounds[c] = (uint16_t)rounds;
	if (old)
		array_drop(old, was);
	whole(h, c);
	return true;
}

static bool may_grow(const struct hz_heap *h, unsigned c)
{
	size_t more = ((size_t)h->rounds[c] + 1) * hz_classes[c].bytes;
	return h->rounds[c] < rounds_max(c) && h->mag_bytes + more <= hz_pressure_share();
}

bool hz_mag_grow(struct hz_heap *h, unsigned c)
{
	if (!h->array[c] && !resize(h, c, rounds_start(c)))
		return false;
	whole(h, c);
	if (h->tls->mag[c].top != h->tls->mag[c].limit)
		return true;
	/* What was not asked for again, ever or since, would only lie there. */
	bool again = h->proven & ~h->grown & 1ULL << c;
	h->grown |= 1ULL << c;
	return again && may_grow(h, c) && resize(h, c, h->rounds[c] * 2u + 1);
}

void hz_mag_count(struct hz_heap *h, size_t slab_bytes, size_t free_bytes)
{
	hz_bump(&h->thin.slab_bytes, slab_bytes);
	hz_bump(&h->thin.free_bytes, free_bytes);
}

/* Takes blocks of one of the heap's slabs, whose lock is held. */
static size_t take(struct hz_heap *h, struct hz_run *s, void **out, size_t n)
{
	unsigned was = s->nfree;
	n = hz_slab_take(s, out, n);
	size_t bytes = (size_t)(was - s->nfree) * s->block_bytes;
	hz_bump(&h->thin.free_bytes, -bytes);
	h->thin.reused_bytes += bytes;
	hz_shelf_place(&h->shelf[s->class_no], s);
	return n;
}

/* Slabs that got blocks back: closed if empty, else to the right list of their shelf. */
static void settle(struct hz_heap *h, struct hz_run **slabs, size_t n)
{
	struct hz_run *empty = NULL;
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++) {
		struct hz_run *s = slabs[i];
		struct hz_shelf *shelf = &h->shelf[s->class_no];
		bytes += (size_t)(s->nfree + 1u - s->was) * s->block_bytes;
		s->was = 0;
		if (!hz_slab_empty(s)) {
			hz_shelf_place(shelf, s);
			continue;
		}
		hz_bump(&h->thin.slab_bytes, -((size_t)hz_run_pages(s) << HZ_PAGE_SHIFT));
		bytes -= (size_t)s->nfree * s->block_bytes;
		hz_shelf_remove(shelf, s);
		s->next = empty;
		empty = s;
		hz_bump(&h->counts.closed, 1);
	}
	hz_bump(&h->thin.free_bytes, bytes);
	if (empty)
		hz_slab_close(empty);
}

size_t hz_mag_put(struct hz_heap *h, void **blocks, size_t n)
{
	size_t strays = 0, nslabs = 0;
	struct hz_run *slabs[SETTLE], *s = NULL;
	uintptr_t seen = 0; /* on this page, which is of slab s, was the last block */
	for (size_t i = 0; i < n; i++) {
		void *p = blocks[i];
		if (((uintptr_t)p ^ seen) >> HZ_PAGE_SHIFT) {
			uint32_t tag;
			s = hz_run_tagged(p, &tag);
			if (tag < HZ_TAG_OWNER_ONE)
				hz_die("free", p, HZ_WHY_FREE_PAGE);
			if (unlikely(hz_load_acquire(&s->owner) != h->tag)) {
				blocks[strays++] = p;
				seen = 0;
				continue;
			}
			seen = (uintptr_t)p;
			if (!s->was) {
				if (nslabs == SETTLE) {
					settle(h, slabs, nslabs);
					nslabs = 0;
				}
				s->was = (uint16_t)(s->nfree + 1);
				slabs[nslabs++] = s;
			}
		}
		enum hz_slab_put put = hz_slab_put(s, p);
		if (unlikely(put != HZ_PUT_OK))
			hz_die("free", p, put == HZ_PUT_DOUBLE ? HZ_WHY_DOUBLE : HZ_WHY_INTERIOR);
	}
	settle(h, slabs, nslabs);
	hz_bump(&h->counts.returned, n - strays);
	return strays;
}

/* Takes the bottom n blocks out of a magazine. */
static void drop_bottom(struct hz_heap *h, unsigned c, size_t n)
{
	struct hz_mag *m = &h->tls->mag[c];
	void **a = h->array[c];
	size_t held = (size_t)(m->top - a) - n;
	hz_move_down(a + 1, a + 1 + n, held);
	m->top = a + held;
}

/* The oldest n blocks of a magazine go back to their slabs. */
static void flush(struct hz_heap *h, unsigned c, size_t n)
{
	whole(h, c);
	h->low[c] = 0;
	if (hz_classes[c].blocks == 1) {
		for (size_t i = 0, some; i < n; i += some)
			hz_slab_close_whole(c, h->array[c] + 1 + i, some = hz_min(n - i, HZ_SLAB_WHOLE));
		drop_bottom(h, c, n);
		hz_bump(&h->counts.flushes, 1);
		hz_bump(&h->counts.closed_blocks, n);
		return;
	}
	hz_lock(&h->lock);
	size_t strays = hz_mag_put(h, h->array[c] + 1, n);
	hz_unlock(&h->lock);
	void *out[STRAYS];
	size_t done = n - strays, some;
	/* What went is behind the strays; they leave in portions, because giving
	 * them away may come back to this very magazine. */
	for (size_t i = strays; i > 0; i--)
		h->array[c][done + i] = h->array[c][i];
	for (drop_bottom(h, c, done); strays; strays -= some) {
		whole(h, c);
		/* A flush of this magazine in between took some of them along. */
		size_t held = (size_t)(h->tls->mag[c].top - h->array[c]);
		strays = hz_min(strays, held);
		some = hz_min(strays, STRAYS);
		for (size_t i = 0; i < some; i++)
			out[i] = h->array[c][1 + i];
		drop_bottom(h, c, some);
		hz_mag_give_strays(out, some);
	}
	hz_bump(&h->counts.flushes, 1);
}

static bool holds_any(const struct hz_heap *h)
{
	for (unsigned c = 0; c < HZ_CLASSES; c++)
		if (h->array[c] && h->tls->mag[c].top != h->array[c])
			return true;
	return hz_outbox_count(&h->box) != 0;
}

void hz_mag_flush_all(struct hz_heap *h)
{
	/* Again for what strayed back, into a magazine or a new batch. */
	do {
		for (unsigned c = 0; c < HZ_CLASSES; c++) {
			if (!h->array[c])
				continue;
			size_t held = (size_t)(h->tls->mag[c].top - h->array[c]);
			if (held)
				flush(h, c, held);
		}
		for (unsigned i = 0; i < HZ_OUTBOX_SLOTS; i++)
			hz_mag_sent(hz_outbox_flush(&h->box, i));
	} while (holds_any(h));
	hz_pressure_freed();
}

/* Class c's empty magazine got n blocks; whether any. */
static bool filled(struct hz_heap *h, unsigned c, size_t n)
{
	h->tls->mag[c].top = h->array[c] + n;
	hz_bump(&h->counts.taken, n);
	return n;
}

/* Fills it from the heap's slabs. */
static bool fill(struct hz_heap *h, unsigned c, size_t want)
{
	void **out = h->array[c] + 1;
	size_t got = 0;
	if (hz_classes[c].blocks == 1) { /* on no shelf: nothing for the heap's lock */
		got = hz_slab_open_whole(h->tag, c, out, want);
		hz_bump(&h->counts.opened, got);
		return filled(h, c, got);
	}
	hz_lock(&h->lock);
	for (int i = 0; i < SLABS_PER_REFILL && got < want; i++) {
		struct hz_run *s = hz_shelf_first(&h->shelf[c]);
		if (!s)
			break;
		got += take(h, s, out + got, want - got);
	}
	hz_unlock(&h->lock);
	hz_bump(&h->counts.refills_slabs, got != 0);
	return filled(h, c, got);
}

/* Fills it from a new slab. */
static void fill_new(struct hz_heap *h, unsigned c, size_t want)
{
	hz_run_kept_free(&h->kept, h->kept.n);
	struct hz_run *s = hz_slab_open(h->tag, c);
	if (!s)
		return;
	hz_bump(&h->counts.opened, 1);
	hz_lock(&h->lock);
	hz_mag_count(h, (size_t)hz_classes[c].pages << HZ_PAGE_SHIFT, 0);
	want = take(h, s, h->array[c] + 1, want);
	hz_unlock(&h->lock);
	filled(h, c, want);
}

static void *pop(struct hz_mag *m)
{
	void *p = *m->top;
	if (p)
		m->top--;
	return p;
}

/* One block past all magazines: for threads without a heap from the shared
 * one, and where there is no memory for a magazine from the thread's own. */
static void *refill_one(struct hz_heap *h, unsigned c)
{
	if (!h)
		return NULL;
	struct hz_shelf *shelf = &h->shelf[c];
	void *p = NULL;
	hz_lock(&h->lock);
	struct hz_batch *left = hz_mag_drain_locked(h);
	struct hz_run *s = hz_shelf_first(shelf);
	if (!s && (s = hz_slab_open(h->tag, c)))
		hz_mag_count(h, (size_t)hz_run_pages(s) << HZ_PAGE_SHIFT, 0);
	if (s)
		hz_bump(&h->counts.taken, take(h, s, &p, 1));
	hz_mag_unlock(h);
	hz_mag_give_batches(left);
	return p;
}

static void *refill_live(struct hz_heap *h, unsigned c)
{
	struct hz_mag *m = &h->tls->mag[c];
	h->slow_paths += h->floor[c] ? SLOW_PATHS : 0;
	hz_heap_tick(h);
	whole(h, c);
	/* What the tick gave away may have come back, too: fill() wants it empty. */
	void *p = pop(m);
	if (p) {
		window(h, c);
		return p;
	}
	if (h->grown >> c & 1) {
		h->proven |= 1ULL << c;
		h->grown &= ~(1ULL << c);
		whole(h, c);
	}
	if (hz_inbox_any(&h->inbox)) {
		hz_mag_drain(h);
		p = pop(m);
		hz_bump(&h->counts.refills, p != NULL);
		hz_bump(&h->counts.refills_inbox, p != NULL);
		if (p)
			return p;
	}
	if (!h->array[c]) {
		if (!resize(h, c, rounds_start(c)))
			return refill_one(h, c);
	} else {
		size_t ahead = hz_min(HZ_LANE_MAG_ROUNDS_REFILL,
				      HZ_LANE_MAG_AHEAD_BYTES / hz_classes[c].bytes);
		if (h->rounds[c] * 2u + 1 <= ahead && may_grow(h, c))
			resize(h, c, h->rounds[c] * 2u + 1);
	}
	size_t want = portion(h, c);
	if (!fill(h, c, want)) {
		bool adopted = hz_heap_adopt(h, c);
		whole(h, c);
		/* What was given away meanwhile may have come back. */
		if (adopted || *m->top)
			return refill_live(h, c);
		fill_new(h, c, want);
	}
	hz_bump(&h->counts.refills, 1);
	p = pop(m);
	window(h, c);
	if (HZ_LANE_CHECK)
		hz_heap_check(h);
	return p;
}

static void *refill(unsigned c)
{
	struct hz_heap *h = hz_heap_own();
	return h ? refill_live(h, c) : refill_one(hz_heap_shared(), c);
}

void *hz_heap_refill(unsigned c)
{
	hz_heap_enter();
	void *p = refill(c);
	if (unlikely(!p)) {
		/* Nothing anywhere: give back what can be, and try once more. */
		hz_pressure_relieve();
		p = refill(c);
	}
	hz_purger_due();
	return p;
}

void hz_heap_overflow(void *p, uintptr_t offset)
{
	hz_heap_enter();
	unsigned c = hz_class_of_offset((uint32_t)offset);
	struct hz_heap *h = hz_tls.heap;
	struct hz_mag *m = h ? &h->tls->mag[c] : NULL;
	if (!h) {
		hz_mag_free_direct(p); /* zeroed TLS before libc is up */
		return;
	}
	if (h->array[c] && *m->top == p)
		hz_die("free", p, HZ_WHY_DOUBLE);
	h->slow_paths += m->limit < h->array[c] + h->rounds[c] ? SLOW_PATHS : 0;
	hz_heap_tick(h);
	whole(h, c);
	/* Overflowing again before it was empty: a burst of frees, whose blocks go a quarter
	 * of the magazine at a time, for what is left moves down. */
	size_t n = h->grown >> c & 1 ? h->rounds[c] / 4 : 0;
	/* More than once only if what a flush gave away came back. */
	while (m->top == m->limit &&
	       ((h->rounds[c] >= SHRINKING && hz_thin_shrinking(h)) || !hz_mag_grow(h, c))) {
		size_t held = h->array[c] ? (size_t)(m->top - h->array[c]) : 0;
		if (!held) {
			hz_bump(&h->counts.closed_blocks, hz_classes[c].blocks == 1);
			hz_mag_free_direct(p);
			hz_thin_freed(h);
			return;
		}
		flush(h, c, hz_min(hz_max(n, portion(h, c)), held));
		hz_pressure_freed();
		hz_thin_freed(h);
		whole(h, c);
	}
	*++m->top = p;
	window(h, c);
	if (HZ_LANE_CHECK)
		hz_heap_check(h);
}

/* What the thread holds for itself goes back, and the magazines are small again:
 * a block in one keeps the page it lies on. */
void hz_mag_shrink_all(struct hz_heap *h)
{
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		if (h->array[c] && h->tls->mag[c].top != h->array[c])
			flush(h, c, (size_t)(h->tls->mag[c].top - h->array[c]));
		if (h->array[c] && h->rounds[c] > rounds_start(c))
			resize(h, c, rounds_start(c));
	}
}

/* Once an epoch: a magazine nobody touched since the last one gives half of its blocks back. */
void hz_mag_shrink_idle(struct hz_heap *h)
{
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		void **a = h->array[c], **top = h->tls->mag[c].top;
		if (!a || top == a) {
			h->proven &= ~((uint64_t)(h->seen_top[c] == top) << c);
			h->seen_top[c] = top;
			continue;
		}
		size_t held = (size_t)(top - a);
		size_t unused = top == h->seen_top[c] ? held : hz_min(held, h->low[c]);
		if (unused) {
			size_t n = (unused + 1) / 2;
			flush(h, c, n);
			hz_bump(&h->counts.decays, 1);
			hz_bump(&h->counts.decayed, n);
			/* The array may be another one: what left may have come back. */
			top = h->tls->mag[c].top;
			if ((size_t)(top - h->array[c]) < h->rounds[c] / 2u &&
			    h->rounds[c] > rounds_start(c) && resize(h, c, h->rounds[c] / 2))
				hz_bump(&h->counts.shrunk, 1);
		}
		h->seen_top[c] = h->tls->mag[c].top;
		whole(h, c);
		h->low[c] = UINT16_MAX;
		window(h, c);
	}
	hz_pressure_freed();
}
