/* SPDX-License-Identifier: MIT */
/*
 * api_conformance - C23, POSIX.1-2024 and glibc's manual, clause by clause.
 *
 *   zero sizes, overflow, ENOMEM and EINVAL, errno kept by free
 *   alignment of every function from 1 byte to 64 MiB
 *   usable size: honest (all of it written, nothing overlaps) and constant
 *   calloc zero after dirty reuse, realloc through every size regime
 *   the glibc extras: valloc pvalloc mallopt mallinfo2 malloc_info
 *   malloc_trim malloc_stats, free_sized free_aligned_sized cfree
 *
 * Sizes are walked so that each class of any allocator is met: every 16 bytes
 * to 2 KiB, then eight per doubling to 8 MiB, each with its neighbours.
 */
#include <limits.h>

#include "alloc_names.h"
#include "probe.h"

#pragma GCC diagnostic ignored "-Walloc-size-larger-than="
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
/* Addresses of dead blocks are compared on purpose. */
#pragma GCC diagnostic ignored "-Wuse-after-free"

enum { MAX_SIZES = 700 };

static size_t sizes[MAX_SIZES];
static size_t nsizes;

static void add_size(size_t n)
{
	if (nsizes == MAX_SIZES)
		tap_bail("more sizes than MAX_SIZES");
	sizes[nsizes++] = n;
}

static void make_sizes(void)
{
	for (size_t n = 0; n <= 2048; n += 16) {
		add_size(n);
		add_size(n + 1);
	}
	for (size_t n = 2048; n < 8 * MIB; n *= 2)
		for (size_t part = 1; part <= 8; part++) {
			add_size(n + n / 8 * part - 1);
			add_size(n + n / 8 * part);
			add_size(n + n / 8 * part + 1);
		}
}

/* ------------------------------------------------------------- zero -- */

static void check_zero_sizes(void)
{
	void *p[8];
	size_t i, j, same = 0, null = 0;
	p[0] = T_malloc(opaque(0));
	p[1] = T_malloc(opaque(0));
	p[2] = T_calloc(opaque(0), 8);
	p[3] = T_calloc(8, opaque(0));
	p[4] = T_realloc(NULL, opaque(0));
	p[5] = T_memalign(64, opaque(0));
	p[6] = T_aligned_alloc(32, opaque(0));
	if (T_posix_memalign(&p[7], 64, opaque(0)))
		p[7] = NULL;
	for (i = 0; i < COUNT_OF(p); i++) {
		null += p[i] == NULL;
		for (j = 0; j < i; j++)
			same += p[i] == p[j];
	}
	is_int(null, 0, "size 0: no NULL from any function");
	is_int(same, 0, "size 0: every block is another");
	for (i = 0; i < COUNT_OF(p); i++)
		T_free(p[i]);
	T_free(NULL);
	is_int(T_malloc_usable_size(NULL), 0, "malloc_usable_size(NULL)");
}

static void check_realloc_edges(void)
{
	void *p = T_realloc(NULL, opaque(100));
	void *q;
	ok(p != NULL, "realloc(NULL, n) is malloc(n)");
	fill(p, 100, 1);
	errno = 0;
	ok(escape(T_realloc(p, opaque(SIZE_MAX / 2 + 100))) == NULL && errno == ENOMEM,
	   "realloc to more than PTRDIFF_MAX: NULL and ENOMEM");
	ok(intact(p, 100, 1), "and the block is untouched");
	errno = 0;
	q = escape(T_realloc(p, opaque(0)));
	ok(q == NULL, "realloc(p, 0) frees and returns NULL, as glibc does");
	is_int(errno, 0, "and does not set errno");
	p = T_malloc(opaque(4 * MIB));
	errno = EDOM;
	ok(escape(T_realloc(p, opaque(0))) == NULL && errno == EDOM, "so for a large block");
}

/* Memory must not grow by blocks that realloc(p, 0) forgot to free. */
static void check_realloc_zero_frees(void)
{
	long before;
	for (int i = 0; i < 64; i++)
		escape(T_realloc(memset(T_malloc(opaque(MIB)), 1, MIB), opaque(0)));
	before = rss_bytes();
	for (int i = 0; i < 256; i++)
		escape(T_realloc(memset(T_malloc(opaque(MIB)), 1, MIB), opaque(0)));
	is_at_most(rss_bytes() - before, 32 * MIB, "256 MiB realloc'ed to 0 are freed");
}

/* --------------------------------------------------------- overflow -- */

#define REFUSED(call, wanted)                                                                      \
	do {                                                                                       \
		errno = 0;                                                                         \
		void *refused_ = escape(call);                                                     \
		ok(refused_ == NULL && errno == (wanted), "%s: NULL and errno %s (got %p, %d)",    \
		   #call, #wanted, refused_, errno);                                               \
	} while (0)

static void check_overflow(void)
{
	static const size_t huge[] = {
		SIZE_MAX,
		SIZE_MAX - 1,
		SIZE_MAX - 15,
		SIZE_MAX - 16,
		SIZE_MAX - 4095,
		SIZE_MAX - 4096,
		SIZE_MAX - 65536,
		(size_t)PTRDIFF_MAX + 1,
		(size_t)PTRDIFF_MAX + 4096,
		(size_t)PTRDIFF_MAX,
		(size_t)PTRDIFF_MAX - 4096,
	};
	for (size_t i = 0; i < COUNT_OF(huge); i++) {
		size_t n = opaque(huge[i]);
		diag("n = %#zx", n);
		REFUSED(T_malloc(n), ENOMEM);
		REFUSED(T_calloc(n, 1), ENOMEM);
		REFUSED(T_calloc(1, n), ENOMEM);
		REFUSED(T_realloc(NULL, n), ENOMEM);
		REFUSED(T_memalign(64, n), ENOMEM);
		REFUSED(T_memalign(MIB, n), ENOMEM);
		REFUSED(T_aligned_alloc(4096, n), ENOMEM);
		REFUSED(T_valloc(n), ENOMEM);
		REFUSED(T_pvalloc(n), ENOMEM);
	}
	REFUSED(T_calloc(opaque(SIZE_MAX / 2 + 1), 2), ENOMEM);
	REFUSED(T_calloc(opaque((size_t)1 << 32), opaque((size_t)1 << 32)), ENOMEM);
	REFUSED(T_calloc(opaque(SIZE_MAX / 16), opaque(17)), ENOMEM);
	REFUSED(T_calloc(opaque(((size_t)1 << 32) + 1), opaque((size_t)1 << 32)), ENOMEM);
	REFUSED(T_memalign(opaque((size_t)1 << 62), 64), ENOMEM);
	REFUSED(T_memalign(opaque((size_t)1 << 62), opaque((size_t)1 << 62)), ENOMEM);
	REFUSED(T_aligned_alloc(opaque((size_t)1 << 62), 64), ENOMEM);
	REFUSED(T_memalign(opaque(SIZE_MAX), 64), EINVAL);
	REFUSED(T_memalign(opaque(SIZE_MAX / 2 + 2), 64), EINVAL);
	/* Nothing a machine of today has, but within PTRDIFF_MAX. */
	REFUSED(T_malloc(opaque((size_t)1 << 60)), ENOMEM);
	REFUSED(T_calloc(opaque((size_t)1 << 30), opaque((size_t)1 << 30)), ENOMEM);
}

/* -------------------------------------------------------- alignment -- */

static size_t misaligned(const void *p, size_t align)
{
	return p == NULL || ((uintptr_t)p & (align - 1)) != 0;
}

static void check_natural_alignment(void)
{
	size_t bad = 0;
	for (size_t i = 0; i < nsizes; i++) {
		void *p[5];
		for (int k = 0; k < 4; k++)
			bad += misaligned(p[k] = T_malloc(sizes[i]), 16);
		bad += misaligned(p[4] = T_calloc(1, sizes[i]), 16);
		p[3] = T_realloc(p[3], sizes[i] + 100);
		bad += misaligned(p[3], 16);
		for (int k = 0; k < 5; k++)
			T_free(p[k]);
	}
	is_int(bad, 0, "malloc, calloc and realloc: 16-byte alignment for all sizes");
}

static void check_alignment_of(size_t align)
{
	static const size_t odd[] = { 0,     1,      7,      16,     24,      63,     64,    100,
				      192,   512,    1000,   4000,   4096,    4097,   10000, 40000,
				      65536, 131072, 131073, 300000, 1048576, 2500000 };
	size_t bad = 0, lost = 0;
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		void *p[3] = { T_memalign(align, odd[i]), T_aligned_alloc(align, odd[i]), NULL };
		if (align >= sizeof(void *) && T_posix_memalign(&p[2], align, odd[i]))
			lost++;
		for (size_t k = 0; k < 3; k++) {
			if (k == 2 && align < sizeof(void *))
				continue;
			bad += misaligned(p[k], align);
			if (p[k] == NULL)
				continue;
			lost += T_malloc_usable_size(p[k]) < odd[i];
			fill(p[k], odd[i], align + k);
		}
		for (size_t k = 0; k < 3; k++)
			if (p[k])
				lost += !intact(p[k], odd[i], align + k);
		p[0] = T_realloc(p[0], odd[i] + odd[i] / 2 + 1);
		lost += p[0] == NULL || !intact_prefix(p[0], odd[i], align);
		for (size_t k = 0; k < 3; k++)
			T_free(p[k]);
	}
	ok(!bad && !lost, "alignment %zu, 22 sizes (misaligned %zu, content lost %zu)", align, bad,
	   lost);
}

static void check_alignment(void)
{
	void *p, *untouched = &p;
	for (size_t align = 1; align <= 64 * MIB; align *= 2)
		check_alignment_of(align);
	REFUSED(T_aligned_alloc(opaque(0), 64), EINVAL);
	REFUSED(T_aligned_alloc(opaque(24), 48), EINVAL);
	REFUSED(T_aligned_alloc(opaque(SIZE_MAX), 48), EINVAL);
	p = T_memalign(opaque(24), 100);
	ok(p && !misaligned(p, 32), "memalign rounds alignment 24 up to 32, as glibc does");
	T_free(p);
	p = untouched;
	errno = EDOM;
	is_int(T_posix_memalign(&p, opaque(24), 8), EINVAL, "posix_memalign of alignment 24");
	is_int(T_posix_memalign(&p, opaque(4), 8), EINVAL, "posix_memalign of alignment 4");
	is_int(T_posix_memalign(&p, opaque(0), 8), EINVAL, "posix_memalign of alignment 0");
	is_int(T_posix_memalign(&p, 64, opaque(SIZE_MAX - 64)), ENOMEM,
	       "posix_memalign beyond the address space");
	is_int(errno, ENOMEM, "and says so in errno too, as glibc does");
	is_ptr(p, untouched, "which left the pointer as it was");
	errno = EDOM;
	is_int(T_posix_memalign(&p, 64, 1000), 0, "posix_memalign");
	T_free(p);
	is_int(errno, EDOM, "posix_memalign and free left errno alone");
}

static void check_pages(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bad = 0, small = 0;
	for (size_t i = 0; i < nsizes; i += 3) {
		size_t whole = (sizes[i] + page - 1) / page * page;
		void *v = T_valloc(sizes[i]), *w = T_pvalloc(sizes[i]);
		bad += misaligned(v, page) + misaligned(w, page);
		small += T_malloc_usable_size(w) < whole;
		memset(w, 1, whole);
		T_free(v);
		T_free(w);
	}
	is_int(bad, 0, "valloc and pvalloc are page-aligned");
	is_int(small, 0, "pvalloc has room to the end of the page");
}

/* ------------------------------------------------------ usable size -- */

/* Many blocks of a size at once, every usable byte written: an overlap or a byte too many shows
 * in a neighbour. */
static void check_usable_size(void)
{
	enum { LIVE = 12 };
	size_t short_of = 0, changed = 0, overlap = 0;
	static void *block[MAX_SIZES][LIVE];
	for (size_t i = 0; i < nsizes; i++) {
		size_t live = sizes[i] <= 256 * KIB ? LIVE : 2;
		for (size_t k = 0; k < live; k++) {
			size_t usable;
			block[i][k] = T_malloc(sizes[i]);
			usable = T_malloc_usable_size(block[i][k]);
			short_of += usable < sizes[i];
			fill(block[i][k], usable, i * LIVE + k);
			changed += T_malloc_usable_size(block[i][k]) != usable;
		}
		if (sizes[i] <= 256 * KIB)
			continue;
		/* The large ones not all at once: they would be 600 MiB. */
		for (size_t k = 0; k < live; k++) {
			size_t usable = T_malloc_usable_size(block[i][k]);
			overlap += !intact(block[i][k], usable, i * LIVE + k);
		}
		for (size_t k = 0; k < live; k++)
			T_free(block[i][k]);
	}
	for (size_t i = 0; i < nsizes && sizes[i] <= 256 * KIB; i++)
		for (size_t k = 0; k < LIVE; k++) {
			size_t usable = T_malloc_usable_size(block[i][k]);
			overlap += !intact(block[i][k], usable, i * LIVE + k);
		}
	for (size_t i = 0; i < nsizes && sizes[i] <= 256 * KIB; i++)
		for (size_t k = 0; k < LIVE; k++)
			T_free(block[i][k]);
	is_int(short_of, 0, "usable size is at least the size asked for");
	is_int(changed, 0, "and the same at every call");
	is_int(overlap, 0, "and all of it is the block's alone");
}

/* ------------------------------------------------------------ zeros -- */

static void check_calloc(void)
{
	size_t dirty = 0, beyond = 0;
	for (size_t i = 0; i < nsizes; i++) {
		void *p[3];
		size_t live = sizes[i] <= MIB ? 3 : 1;
		for (size_t k = 0; k < live; k++) {
			p[k] = T_malloc(sizes[i]);
			memset(p[k], 0xa5, T_malloc_usable_size(p[k]));
		}
		for (size_t k = 0; k < live; k++)
			T_free(p[k]);
		for (size_t k = 0; k < live; k++) {
			p[k] = T_calloc(sizes[i], 1);
			dirty += !all_zero(p[k], sizes[i]);
			beyond += !all_zero(p[k], T_malloc_usable_size(p[k]));
			memset(p[k], 0x5a, T_malloc_usable_size(p[k]));
		}
		for (size_t k = 0; k < live; k++)
			T_free(p[k]);
	}
	is_int(dirty, 0, "calloc is zero after dirty reuse, all sizes to 16 MiB");
	is_int(beyond, 0, "up to the end of what malloc_usable_size says, as with glibc");
	dirty = 0;
	for (int round = 0; round < 3; round++) {
		unsigned char *p = T_malloc(opaque(64 * MIB)), *q;
		memset(p, 0xa5, 64 * MIB);
		T_free(p);
		T_malloc_trim(0);
		q = T_calloc(opaque(8 * MIB), 6);
		dirty += !all_zero(q, 48 * MIB);
		memset(q, 0xa5, 48 * MIB);
		T_free(q);
	}
	is_int(dirty, 0, "calloc of 48 MiB is zero after 64 MiB dirty and a trim");
}

/* A dirty large block shrunk in place gives its tail back; calloc may meet it. */
static void check_calloc_after_shrink(void)
{
	size_t dirty = 0;
	for (size_t n = 192 * KIB; n <= 16 * MIB; n *= 2) {
		unsigned char *p = T_malloc(n), *q[8];
		memset(p, 0xa5, n);
		p = T_realloc(p, n / 2 + 1);
		for (int k = 0; k < 8; k++) {
			q[k] = T_calloc(1, n / 16);
			dirty += !all_zero(q[k], n / 16);
		}
		for (int k = 0; k < 8; k++)
			T_free(q[k]);
		T_free(p);
	}
	is_int(dirty, 0, "calloc from the tail of a shrunk dirty block is zero");
}

/* ---------------------------------------------------------- realloc -- */

static size_t realloc_keeps(size_t from, size_t to)
{
	size_t lost = 0, both = from < to ? from : to;
	void *p = T_malloc(from);
	fill(p, from, from ^ to);
	p = T_realloc(p, to);
	if (p == NULL)
		return 1;
	lost += !intact_prefix(p, both, from ^ to);
	lost += T_malloc_usable_size(p) < to;
	fill(p, T_malloc_usable_size(p), 7);
	T_free(p);
	return lost;
}

static void check_realloc(void)
{
	static const size_t step[] = { 1,      16,     100,     500,     1024,    4000,    8192,
				       20000,  32768,  65536,   100000,  131072,  131073,  200000,
				       262144, 500000, 1048576, 2097152, 5000000, 16777216 };
	size_t lost = 0, n;
	unsigned char *p;
	for (size_t i = 0; i < COUNT_OF(step); i++)
		for (size_t k = 0; k < COUNT_OF(step); k++)
			lost += realloc_keeps(step[i], step[k]);
	is_int(lost, 0, "realloc from every regime to every other keeps the contents");
	lost = 0;
	p = T_malloc(8);
	fill(p, 8, 3);
	for (n = 8; n < 12 * MIB;) {
		size_t more = n + n / 5 + 8;
		more &= ~(size_t)7;
		p = T_realloc(p, more);
		lost += !intact(p, n, 3);
		n = more;
		fill(p, n, 3);
	}
	is_int(lost, 0, "a buffer growing by a fifth to 12 MiB keeps its contents");
	for (lost = 0; n > 16;) {
		n = (n - n / 3) & ~(size_t)7;
		p = T_realloc(p, n);
		lost += !intact(p, n, 3);
	}
	is_int(lost, 0, "and so does it shrinking by thirds");
	T_free(p);
	lost = 0;
	for (n = 1; n <= 300000; n = n * 3 / 2 + 1) {
		p = T_malloc(n);
		fill(p, n, n);
		lost += T_realloc(p, n) != p;
		T_free(p);
	}
	is_int(lost, 0, "realloc to the same size stays in place");
}

/* Neighbours of a block that grows and shrinks in place are not touched. */
static void check_realloc_neighbours(void)
{
	enum { ROW = 24 };
	void *row[ROW];
	size_t n[ROW], lost = 0;
	uint64_t state = 11;
	for (size_t i = 0; i < ROW; i++)
		fill(row[i] = T_malloc(n[i] = 300000), 300000, i);
	for (int round = 0; round < 400; round++) {
		size_t i = random_to(&state, ROW);
		size_t more = (150000 + random_to(&state, 1200000)) & ~(size_t)7;
		lost += !intact_prefix(row[i], n[i], i);
		row[i] = T_realloc(row[i], more);
		lost += !intact_prefix(row[i], more < n[i] ? more : n[i], i);
		fill(row[i], n[i] = more, i);
	}
	for (size_t i = 0; i < ROW; i++) {
		lost += !intact(row[i], n[i], i);
		T_free(row[i]);
	}
	is_int(lost, 0, "24 large neighbours growing and shrinking at random stay whole");
}

/* ------------------------------------------------------------- free -- */

static void check_free_errno(void)
{
	enum { ROW = 256 };
	void *row[ROW];
	size_t changed = 0;
	for (size_t i = 0; i < nsizes; i++) {
		void *p = escape(T_malloc(sizes[i]));
		errno = ELIBBAD;
		T_free(p);
		changed += errno != ELIBBAD;
	}
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < ROW; i++)
			memset(row[i] = T_malloc(MIB), 1, MIB);
		for (int i = 0; i < ROW; i++) {
			errno = ELIBBAD;
			T_free(row[i]);
			changed += errno != ELIBBAD;
		}
	}
	errno = ELIBBAD;
	T_free(NULL);
	changed += errno != ELIBBAD;
	is_int(changed, 0, "free keeps errno, also where it returns memory to the kernel");
}

static void check_sized_free(void)
{
	size_t changed = 0;
	if (!T_free_sized || !T_free_aligned_sized || !T_cfree) {
		tap_skip(1, "no free_sized, free_aligned_sized or cfree here");
		return;
	}
	errno = ELIBBAD;
	for (size_t i = 0; i < nsizes; i++) {
		T_free_sized(escape(T_malloc(sizes[i])), sizes[i]);
		T_free_aligned_sized(T_aligned_alloc(64, sizes[i]), 64, sizes[i]);
		T_free_aligned_sized(T_aligned_alloc(8192, sizes[i]), 8192, sizes[i]);
		T_cfree(escape(T_malloc(sizes[i])));
		changed += errno != ELIBBAD;
	}
	T_free_sized(NULL, 0);
	T_free_aligned_sized(NULL, 64, 0);
	T_cfree(NULL);
	is_int(changed, 0, "free_sized, free_aligned_sized and cfree free and keep errno");
}

int main(void)
{
	/* The first call of the process, before any malloc. */
	T_free(opaque(0) ? &sizes : NULL);
	watchdog(120);
	make_sizes();
	check_zero_sizes();
	check_realloc_edges();
	check_realloc_zero_frees();
	check_overflow();
	check_natural_alignment();
	check_alignment();
	check_pages();
	check_usable_size();
	check_calloc();
	check_calloc_after_shrink();
	check_realloc();
	check_realloc_neighbours();
	check_free_errno();
	check_sized_free();
	return tap_done();
}
