/* SPDX-License-Identifier: MIT */
/*
 * fuzz_api - sequences of calls, read from bytes, against a model of the heap.
 *
 *   input    op, slot, two bytes of size, ... ; what is short ends the input
 *   threads  four take turns: an op passes the word to another one, an op ends
 *            the thread that has it; so blocks are freed by whoever comes
 *   model    of every live block its address, size, usable size and contents;
 *            live blocks in order of address, so that an overlap is seen when
 *            the block is made
 *
 * Checked: alignment, distance to both neighbours with all usable bytes,
 * contents before a block goes and when it is resized, zeros of calloc, usable
 * size constant and at least what was asked for, errno (ENOMEM or EINVAL after
 * NULL, else untouched), NULL for impossible wishes and for no other.
 * An input that ends frees everything.
 *
 * Built with the white-box library (HZ_TEST_PREFIX=hzw_), which checks itself
 * on every slow path, and with the library as it is installed.
 */
#include <semaphore.h>

#include "fuzz.h"

enum { SLOTS = 256, THREADS = 4, WHOLE_BYTES = 1024, EDGE_BYTES = 64, MARK = 4711 };

struct slot {
	unsigned char *at;
	size_t size, usable;
	uint64_t mark;
};

static struct slot slot[SLOTS];
static uint8_t order[SLOTS]; /* of live slots, by address */
static unsigned live;
static size_t live_bytes;
static uint64_t marks;

/* The input, in the hands of the thread that has the word. */
static const uint8_t *in, *in_end;
static unsigned word; /* who has it */

static struct {
	sem_t turn;
	pthread_t id;
	int runs; /* made and not ended */
} thread[THREADS];

static size_t filled(const struct slot *s)
{
	return s->usable <= WHOLE_BYTES ? s->usable : EDGE_BYTES;
}

/* Small blocks whole, others at both ends. */
static void write_block(struct slot *s)
{
	size_t n = filled(s);
	s->mark = ++marks;
	fill(s->at, n, s->mark);
	if (n < s->usable)
		fill(s->at + s->usable - n, n, ~s->mark);
}

static void check_block(const struct slot *s)
{
	size_t n = filled(s);
	if (!intact(s->at, n, s->mark) ||
	    (n < s->usable && !intact(s->at + s->usable - n, n, ~s->mark)))
		fuzz_wrong("block %p of %zu bytes has changed", (void *)s->at, s->size);
	if (T_malloc_usable_size(s->at) != s->usable)
		fuzz_wrong("usable size of %p is another", (void *)s->at);
}

static unsigned place_of(const unsigned char *at)
{
	unsigned low = 0, high = live;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (slot[order[middle]].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void enter(unsigned i)
{
	const struct slot *s = &slot[i];
	unsigned at = place_of(s->at);
	if (at > 0) {
		const struct slot *before = &slot[order[at - 1]];
		if (before->at + before->usable > s->at)
			fuzz_wrong("%p lies in %p, %zu bytes", (void *)s->at,
				   (void *)before->at, before->usable);
	}
	if (at < live && s->at + s->usable > slot[order[at]].at)
		fuzz_wrong("%p, %zu bytes, reaches into %p", (void *)s->at, s->usable,
			   (void *)slot[order[at]].at);
	memmove(order + at + 1, order + at, live - at);
	order[at] = (uint8_t)i;
	live++;
	live_bytes += s->usable;
}

static void leave(unsigned i)
{
	unsigned at = place_of(slot[i].at);
	live--;
	memmove(order + at, order + at + 1, live - at);
	live_bytes -= slot[i].usable;
}

/* What a call returned for a wish that can be had. */
static void accept(unsigned i, void *p, size_t size, size_t align)
{
	struct slot *s = &slot[i];
	if (!p)
		fuzz_wrong("%zu bytes refused, errno %d", size, errno);
	if (errno != MARK)
		fuzz_wrong("errno %d after success", errno);
	if ((uintptr_t)p & ((align > 16 ? align : 16) - 1))
		fuzz_wrong("%p is not aligned to %zu", p, align);
	s->at = p;
	s->size = size;
	s->usable = T_malloc_usable_size(p);
	if (s->usable < size)
		fuzz_wrong("%zu usable bytes for %zu", s->usable, size);
	enter(i);
	write_block(s);
}

static void refuse(const void *p, int error)
{
	if (p)
		fuzz_wrong("an impossible wish was granted");
	if (errno != error)
		fuzz_wrong("errno %d, not %d", errno, error);
	errno = MARK;
}

static void release(unsigned i, unsigned how)
{
	struct slot *s = &slot[i];
	check_block(s);
	leave(i);
	if (how == 1)
		T_free_sized(s->at, s->size);
	else if (how == 2)
		T_free_aligned_sized(s->at, 16, s->size);
	else if (how == 3 && T_realloc(s->at, 0))
		fuzz_wrong("realloc to 0 returned a block");
	else if (how == 0)
		T_free(s->at);
	if (errno != MARK)
		fuzz_wrong("errno %d after a free", errno);
	s->at = NULL;
}

static void resize(unsigned i, size_t n)
{
	struct slot *s = &slot[i];
	size_t keep = n < s->usable ? n : s->usable;
	unsigned char *p;
	check_block(s);
	if (!n)
		n = 1;
	if (keep > filled(s))
		keep = filled(s);
	leave(i);
	p = T_realloc(s->at, n);
	if (p && !intact_prefix(p, keep, s->mark))
		fuzz_wrong("realloc lost contents of %p", (void *)p);
	accept(i, p, n, 16);
}

/* A size from two bytes: all classes, most of them small, some pages and MiB. */
static size_t size_of(unsigned a, unsigned b)
{
	switch (a >> 5) {
	case 0:
	case 1:
	case 2: return (a & 31) + b % 128;
	case 3:
	case 4: return (a & 31) * 32 + b;
	case 5: return (a & 31) * 1024 + b * 4;
	case 6: return ((size_t)(a & 31) << 12) + b * 16 + 1;
	default: /* a quarter of them large */
		return a & 3 || live_bytes > 64 * MIB ? b * 8
						      : (size_t)(a & 31) * 16384 + ((size_t)b << 12);
	}
}

static void make(unsigned i, unsigned how, size_t n, unsigned detail)
{
	size_t align = (size_t)1 << detail % 17, count = detail % 7 + 1;
	void *p = NULL;
	int error;
	switch (how) {
	case 0:
		p = T_calloc(count, n / count);
		n = n / count * count;
		if (p && !all_zero(p, n))
			fuzz_wrong("calloc of %zu bytes is not zero", n);
		align = 16;
		break;
	case 1:
		p = T_aligned_alloc(align, n);
		break;
	case 2:
		align = align < sizeof(void *) ? sizeof(void *) : align;
		error = T_posix_memalign(&p, align, n);
		if (error)
			fuzz_wrong("posix_memalign: error %d", error);
		break;
	case 3:
		p = T_memalign(align + (detail & 16), n);
		break;
	case 4:
		p = detail & 1 ? T_valloc(n) : T_pvalloc(n);
		align = 4096;
		if (!(detail & 1)) /* whole pages were asked for: free_sized may compare */
			n = n ? (n + 4095) & ~(size_t)4095 : 4096;
		break;
	case 5:
		p = T_realloc(NULL, n);
		align = 16;
		break;
	default:
		p = T_malloc(n);
		align = 16;
	}
	accept(i, p, n, align);
}

static void wish(unsigned i, unsigned detail)
{
	size_t much = SIZE_MAX - detail * 64;
	void *p = &slot;
	switch (detail % 8) {
	case 0: refuse(T_malloc(opaque(much)), ENOMEM); break;
	case 1: refuse(T_calloc(opaque(much / 2), opaque(3)), ENOMEM); break;
	case 2: refuse(T_aligned_alloc(4096, opaque(much)), ENOMEM); break;
	case 3: refuse(T_aligned_alloc(opaque(24), 100), EINVAL); break;
	case 4: refuse(T_pvalloc(opaque(much)), ENOMEM); break;
	case 5:
		if (slot[i].at)
			refuse(T_realloc(slot[i].at, opaque(much)), ENOMEM);
		break;
	case 6:
		if (T_posix_memalign(&p, opaque(24), 100) != EINVAL || p != (void *)&slot)
			fuzz_wrong("posix_memalign with an alignment of 24");
		break;
	default: refuse(T_malloc(opaque((size_t)PTRDIFF_MAX + 1 + detail)), ENOMEM);
	}
	if (slot[i].at)
		check_block(&slot[i]);
}

static void *worker(void *arg);

/* Gives the word to thread `to`, making it if need be. */
static void pass(unsigned to)
{
	word = to;
	if (!thread[to].runs) {
		thread[to].runs = 1;
		thread[to].id = start_thread(worker, (void *)(uintptr_t)to);
	}
	sem_post(&thread[to].turn);
}

/* Executes until the word goes to somebody else, 1, or the input ends, 0; 2: the thread is
 * to end, the word goes to thread 0. */
static int interpret(unsigned me)
{
	while (in_end - in >= 4) {
		unsigned op = in[0], i = in[1], a = in[2], b = in[3];
		in += 4;
		__atomic_fetch_add(&fuzz_operations, 1, __ATOMIC_RELAXED);
		errno = MARK;
		if (op < 96) {
			if (slot[i].at)
				release(i, 0);
			else
				make(i, 9, size_of(a, b), op);
		} else if (op < 160) {
			if (slot[i].at)
				release(i, op & 3);
			else
				make(i, op % 6, size_of(a, b), b + op);
		} else if (op < 232) {
			if (slot[i].at)
				resize(i, size_of(a, b));
			else
				make(i, 9, size_of(a, b), op);
		} else if (op < 250) {
			wish(i, b);
		} else if (op == 250) {
			T_free(NULL);
			if (a < 16)
				T_malloc_trim(b);
		} else if (op < 255) {
			if (a % THREADS != me) {
				pass(a % THREADS);
				return 1;
			}
		} else if (me) {
			return 2;
		}
	}
	return 0;
}

static void *worker(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	for (;;) {
		sem_wait(&thread[me].turn);
		int end = interpret(me);
		if (end == 1)
			continue;
		if (end == 2) {
			thread[me].runs = 0;
			pthread_detach(pthread_self());
			pass(0);
			return NULL;
		}
		pass(0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int ready;
	if (!ready) {
		for (unsigned i = 0; i < THREADS; i++)
			sem_init(&thread[i].turn, 0, 0);
		thread[0].runs = ready = 1;
	}
	in = data;
	in_end = data + size;
	/* Thread 0 is this one; the word is back when the input is at its end. */
	while (interpret(0) == 1)
		sem_wait(&thread[0].turn);
	errno = MARK;
	for (unsigned i = 0; i < SLOTS; i++)
		if (slot[i].at)
			release(i, 0);
	if (live || live_bytes)
		fuzz_wrong("%u blocks, %zu bytes left in the model", live, live_bytes);
	return 0;
}

FUZZ_MAIN("calls", "corpus_api", 300000)
