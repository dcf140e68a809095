/* SPDX-License-Identifier: MIT */
/*
 * api.c - malloc and its family.
 *
 *   malloc  n -> class offset -> magazine top -> block          13 instructions
 *   free    p -> page entry -> tag ^ own tag -> magazine push   20 instructions
 *                                  |
 *             another owner's: open batch of that owner         about 35
 *
 * Every other function is these two and large.c.  Contracts are those of C23,
 * POSIX.1-2024 and glibc's manual, in this order where they agree, glibc's
 * where they leave a choice; hz(3) says so function by function.
 *
 * Invariants: errno is ENOMEM after every NULL that means no memory, EINVAL
 * where POSIX says so, and untouched otherwise; free never changes it.  Any
 * size above PTRDIFF_MAX is refused before arithmetic.  Any thread may call;
 * nothing here is async-signal-safe; a forked child may call everything.
 *
 * It refuses bad pointers with one line and abort (error.h).
 */
#include "api.h"

#include <errno.h>

#include "error.h"
#include "mark.h"
#include "pressure.h"
#include "waste.h"

static HZ_COLD void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

HZ_NOINLINE void *hz_malloc_slow(size_t n)
{
	void *p;
	if (n <= HZ_MARK_SMALL) {
		unsigned c = hz_class_of_size(n + HZ_LANE_MARK_BYTES);
		p = hz_heap_refill(c);
		p = likely(p) ? hz_mark_out(p, hz_offset_of_class(c), n) : p;
	} else if (n <= PTRDIFF_MAX)
		p = hz_large_alloc(n, 1, false);
	else
		p = NULL;
	return likely(p) ? p : no_memory();
}

/* Its result; of the n bytes the program asked for fewer, to be remembered. */
static void *slow_for(size_t n, size_t asked)
{
	void *p = hz_malloc_slow(n);
	if (asked != n && n <= HZ_MARK_SMALL && likely(p))
		hz_mark_out(p, hz_class_offset[(n + HZ_LANE_MARK_BYTES + 15) >> 4], asked);
	return hz_waste_got(p, asked, n);
}

/* n bytes, of which the program asked for `asked`, by whichever path. */
static inline void *alloc_for(size_t n, size_t asked)
{
	void *p = hz_take(n, asked);
	return likely(p) ? hz_waste_got(p, asked, n) : slow_for(n, asked);
}

HZ_EXPORT void *HZ_API(malloc)(size_t n)
{
	return alloc_for(n, n);
}

/* Whatever the hit paths do not: NULL, what is large, and what is nothing of ours too. */
static HZ_NOINLINE void free_elsewhere(void *p)
{
	if (!p)
		return;
	uint32_t tag = hz_tag_of(p);
	if (tag >= HZ_TAG_OWNER_ONE) {
		hz_mark_in(p, hz_offset_of_tag(tag));
		hz_heap_give(p, tag);
	} else if (!hz_large_free(p))
		hz_die("free", p, hz_page_of(p) ? HZ_WHY_FREE_PAGE : HZ_WHY_FOREIGN);
}

/* x is the page's tag xor the thread's own, and says: not this thread's. */
static HZ_NOINLINE void free_foreign(void *p, uint64_t x)
{
	uint32_t key = hz_key_of((uint32_t)x);
	struct hz_slot *slot = &hz_thread()->slots[key % HZ_OUTBOX_SLOTS];
	void **next = slot->next;
	if (likely(slot->key == key && next != slot->end && next[-1] != p)) {
		hz_mark_in(p, hz_offset_of_tag((uint32_t)x));
		*next = p;
		hz_store_release(&slot->next, next + 1);
		return;
	}
	free_elsewhere(p);
}

static HZ_NOINLINE void free_overflow(void *p, struct hz_mag HZ_THREAD *m)
{
	hz_heap_overflow(p, (uintptr_t)m - hz_tls_at());
}

/* Adds p to a magazine with room; in a lane that delays reuse below the last one. */
static inline void push(struct hz_mag HZ_THREAD *m, void **top, void *p)
{
	void *last = HZ_LANE_DELAY ? *top : NULL;
	top[1] = p;
	if (HZ_LANE_DELAY) {
		top[1] = last;
		*(last ? top : top + 1) = p;
	}
	hz_mag_pushed(m, top);
}

/* Frees p, given its page's tag xor the thread's own. */
static inline void release(void *p, uint64_t x)
{
	if (unlikely(x >= HZ_TAG_OWNER_ONE)) {
		free_foreign(p, x);
		return;
	}
	hz_mark_in(p, (uint32_t)x);
	struct hz_mag HZ_THREAD *m = hz_mag_at(x);
	void **top = m->top;
	/* A mark has told the block freed last already. */
	if (unlikely(top == m->limit || (!HZ_LANE_MARK_BYTES && *top == p))) {
		free_overflow(p, m);
		return;
	}
	push(m, top, p);
}

/* For p in arena 0's committed heap: its page's tag xor the thread's own; else false. */
static inline bool near(const void *p, uint64_t *x)
{
	char *start = hz_glance(hz_hot.start);
	uintptr_t below = (uintptr_t)start - 1;
	__asm__("" : "+r"(below)); /* or clang spends an instruction on ~p + start */
	intptr_t at = (intptr_t)(below - (uintptr_t)p);
	if (unlikely((uintptr_t)at <= hz_glance(hz_hot.floor)))
		return false;
	*x = hz_load(&((struct hz_page *)start)[at >> HZ_PAGE_SHIFT].tag) ^ hz_thread()->owner;
	return true;
}

HZ_EXPORT void HZ_API(free)(void *p)
{
	uint64_t x;
	if (likely(near(p, &x)))
		release(p, x);
	else
		free_elsewhere(p);
}

/* Bytes of a small block, by its tag, that may be the program's. */
static inline size_t bytes_of_tag(uint32_t tag)
{
	return hz_class_at(hz_offset_of_tag(tag))->room;
}

/* Usable bytes of the block at p, which must be one. */
static inline size_t usable_or_die(const void *p, const char *function)
{
	uint32_t tag = hz_tag_of(p);
	if (likely(tag >= HZ_TAG_OWNER_ONE))
		return hz_mark_bytes(function, p, hz_offset_of_tag(tag), bytes_of_tag(tag));
	size_t n = hz_large_size(p);
	if (unlikely(!n))
		hz_die(function, p, hz_page_of(p) ? HZ_WHY_FREE_PAGE : HZ_WHY_FOREIGN);
	return n;
}

static HZ_NOINLINE void *cleared_whole(void *p, uintptr_t offset, size_t n)
{
	hz_zero(p, offset <= HZ_CLASS_LINEAR_MAX ? offset : hz_class_at((uint32_t)offset)->bytes);
	return hz_waste_got(hz_mark_out(p, (uint32_t)offset, n), n, n);
}

/* All that malloc_usable_size says, and the mark.  Two to four steps take as many stores:
 * the first two and the last two of a block whose size its class's offset is. */
static inline void *cleared(void *p, uintptr_t offset, size_t n)
{
	uintptr_t last = hz_beside(offset - 32);
	if (unlikely(last > HZ_FOUR_STEPS - 32))
		return cleared_whole(p, offset, n);
	hz_v16 *at = p, *end = hz_v16_at(p, last);
	at[0] = at[1] = end[0] = end[1] = (hz_v16){ 0 };
	return hz_waste_got(hz_mark_out(p, (uint32_t)offset, n), n, n);
}

static HZ_NOINLINE void *calloc_slow(size_t count, size_t each)
{
	size_t n;
	if (__builtin_mul_overflow(count, each, &n))
		return no_memory();
	if (n > HZ_MARK_SMALL) {
		void *p = n <= PTRDIFF_MAX ? hz_large_alloc(n, 1, true) : NULL;
		return p ? p : no_memory();
	}
	void *p = hz_malloc_slow(n);
	return p ? cleared(p, hz_class_offset[(n + HZ_LANE_MARK_BYTES + 15) >> 4], n) : NULL;
}

HZ_EXPORT void *HZ_API(calloc)(size_t count, size_t each)
{
	size_t n;
	uintptr_t offset;
	void *p = NULL;
	if (likely(!__builtin_mul_overflow(count, each, &n)))
		p = hz_take_of(n, n, &offset);
	return likely(p) ? cleared(p, offset, n) : calloc_slow(count, each);
}

/* A large block, or none at all, to n bytes. */
static HZ_NOINLINE void *realloc_large(void *p, size_t n)
{
	size_t old = usable_or_die(p, "realloc");
	if (!n) {
		HZ_API(free)(p);
		return NULL;
	}
	if (n > PTRDIFF_MAX)
		return no_memory();
	size_t want = n;
	if (n > HZ_MARK_SMALL) {
		void *q = hz_large_resize(p, n);
		if (q || n <= old)
			return q ? q : p;
		want = n + n / 8; /* it had to move: with room to grow */
		want = want <= PTRDIFF_MAX ? want : n;
	}
	void *q = alloc_for(want, want);
	if (q) {
		hz_mark_copy(q, p, hz_mark_keep(hz_min(n, old)));
		HZ_API(free)(p);
	}
	return q;
}

/* A smaller size keeps its block unless that would waste half of it and at
 * least this much: copying costs more than a cache line is worth. */
enum { SHRINK_BYTES = 128 };

/* Whether n bytes stay in a block with room for `most`. */
static inline bool stays(size_t n, size_t most)
{
	return n <= most && (n >= most / 2 || (n && most < SHRINK_BYTES));
}

static HZ_NOINLINE void *realloc_slow(void *p, size_t n)
{
	uint32_t tag = hz_tag_of(p);
	if (tag < HZ_TAG_OWNER_ONE)
		return realloc_large(p, n);
	size_t most = bytes_of_tag(tag);
	size_t old = hz_mark_bytes("realloc", p, hz_offset_of_tag(tag), most);
	if (stays(n, most)) {
		hz_waste_kept(p, n, most);
		return hz_mark_out(p, hz_offset_of_tag(tag), n);
	}
	void *q = n ? alloc_for(n, n) : NULL;
	if (q)
		hz_mark_copy(q, p, hz_mark_keep(hz_min(n, old)));
	if (q || !n)
		HZ_API(free)(p);
	return q;
}

/* The hit path: a block of the thread's own stays, or moves to a larger one out of a
 * magazine and into one with room. */
HZ_EXPORT void *HZ_API(realloc)(void *p, size_t n)
{
	uint64_t x;
	if (unlikely(!p))
		return alloc_for(n, n);
	if (unlikely(!near(p, &x) || x >= HZ_TAG_OWNER_ONE))
		return realloc_slow(p, n);
	size_t most = hz_class_at(x)->room;
	if (stays(n, most)) {
		hz_mark_bytes("realloc", p, (uint32_t)x, most);
		hz_waste_kept(p, n, most);
		return hz_mark_out(p, (uint32_t)x, n);
	}
	struct hz_mag HZ_THREAD *m = hz_mag_at(x);
	void **top = m->top, *q;
	if (unlikely(n <= most || top == m->limit || *top == p || !(q = hz_take(n, n))))
		return realloc_slow(p, n);
	hz_mark_copy(q, p, hz_mark_bytes("realloc", p, (uint32_t)x, most));
	hz_mark_in(p, (uint32_t)x);
	push(m, top, p);
	return hz_waste_got(q, n, n);
}

/* Aligned allocation; align is a power of two. */
void *hz_aligned(size_t align, size_t n)
{
	if (unlikely(n > PTRDIFF_MAX || align > PTRDIFF_MAX))
		return no_memory();
	/* The class of a multiple of a power of two up to a page is one itself: between 2^k and
	 * 2^(k+1) classes are multiples of 2^(k-2), and larger powers divide only 2^k and
	 * 1.5 * 2^k, which are classes. */
	size_t up = hz_round_up(n + !n + HZ_LANE_MARK_BYTES, align);
	if (likely(align <= HZ_PAGE && up <= HZ_CLASS_MAX_BYTES))
		return alloc_for(up - HZ_LANE_MARK_BYTES, n);
	void *p = hz_large_alloc(n ? n : 1, align, false);
	return p ? hz_waste_got(p, n, n) : no_memory();
}

static bool power_of_two(size_t n)
{
	return n && !(n & (n - 1));
}

static HZ_NOINLINE void *aligned_slow(size_t align, size_t n)
{
	if (unlikely(!power_of_two(align))) {
		errno = EINVAL;
		return NULL;
	}
	return hz_aligned(align, n);
}

/* As hz_aligned, whose hit path it has in line: the largest class is a multiple of any
 * such alignment, so that what is small stays small. */
HZ_EXPORT void *HZ_API(aligned_alloc)(size_t align, size_t n)
{
	size_t low = align - 1;
	__asm__("" : "+r"(low)); /* or clang counts the bits of align */
	if (unlikely(low >= HZ_PAGE || (align & low) || n > HZ_MARK_SMALL))
		return aligned_slow(align, n);
	size_t up = ((n + !n + HZ_LANE_MARK_BYTES + low) & ~low) - HZ_LANE_MARK_BYTES;
	void *p = hz_take(up, n);
	return likely(p) ? hz_waste_got(p, n, up) : aligned_slow(align, n);
}

/* glibc: any alignment, rounded up to a power of two. */
HZ_EXPORT void *HZ_API(memalign)(size_t align, size_t n)
{
	if (unlikely(align > (SIZE_MAX >> 1) + 1)) {
		errno = EINVAL;
		return NULL;
	}
	return hz_aligned(align < 2 ? 1 : (size_t)2 << (63 - __builtin_clzll(align - 1)), n);
}

HZ_EXPORT int HZ_API(posix_memalign)(void **out, size_t align, size_t n)
{
	if (unlikely(!power_of_two(align) || align % sizeof(void *)))
		return EINVAL;
	/* errno is ENOMEM too, as with glibc: there are callers that look only there. */
	void *p = hz_aligned(align, n);
	if (unlikely(!p))
		return ENOMEM;
	*out = p;
	return 0;
}

HZ_EXPORT void *HZ_API(valloc)(size_t n)
{
	return hz_aligned(hz_os_page_bytes(), n);
}

HZ_EXPORT void *HZ_API(pvalloc)(size_t n)
{
	size_t page = hz_os_page_bytes();
	if (unlikely(n > PTRDIFF_MAX - page))
		return no_memory();
	return hz_aligned(page, n ? hz_round_up(n, page) : page);
}

HZ_EXPORT size_t HZ_API(malloc_usable_size)(void *p)
{
	return p ? usable_or_die(p, "malloc_usable_size") : 0;
}

HZ_EXPORT void HZ_API(free_sized)(void *p, size_t n)
{
	hz_mark_sized("free_sized", p, 1, n);
	HZ_API(free)(p);
}

HZ_EXPORT void HZ_API(free_aligned_sized)(void *p, size_t align, size_t n)
{
	hz_mark_sized("free_aligned_sized", p, align, n);
	HZ_API(free)(p);
}

HZ_EXPORT void HZ_API(cfree)(void *p)
{
	HZ_API(free)(p);
}
