/* SPDX-License-Identifier: MIT */
/*
 * crime - crimes against malloc, one a process.
 *
 *	crime NAME      commits it, under whatever malloc is preloaded
 *	crime --list    the names
 *
 * Not linked to any allocator: the keeper (zoo.c) preloads one.  Before the
 * crime the process is an ordinary one: the thread has allocated and freed,
 * and witnesses, live blocks of many sizes, know their contents.  After it the
 * process goes on as programs do, allocating and freeing every size; the
 * ending says whether two live blocks overlap or a witness changed.
 */
#include <dlfcn.h>

#include "../alloc_names.h"
#include "../probe.h"
#include "zoo.h"

#pragma GCC diagnostic ignored "-Wuse-after-free"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"
#pragma GCC diagnostic ignored "-Wmismatched-dealloc"
#pragma GCC diagnostic ignored "-Walloc-size-larger-than="

static struct zoo_page alone, *page = &alone;

/* The next call is the crime, and it is about p. */
static void *crime(void *p)
{
	page->named = p;
	__atomic_store_n(&page->stage, ZOO_CRIME, __ATOMIC_SEQ_CST);
	return escape(p);
}

static void after(void)
{
	__atomic_store_n(&page->stage, ZOO_AFTER, __ATOMIC_SEQ_CST);
}

static void free_criminally(void *p)
{
	free(crime(p));
	after();
}

static void *get(size_t n)
{
	void *p = escape(malloc(opaque(n)));
	if (!p)
		_exit(ZOO_CANNOT);
	return p;
}

/* Busy but innocent: blocks of one size made and freed. */
static void others(int count, size_t n)
{
	static void *block[20000];
	for (int i = 0; i < count; i++)
		block[i] = get(n);
	for (int i = 0; i < count; i++)
		free(block[i]);
}

/* Enough frees of one size, and no malloc before them, that everything that
 * was freed before is where freed blocks end up. */
enum { STOCK = 20000 };
static void *stock[STOCK];

static void stock_up(size_t n)
{
	for (int i = 0; i < STOCK; i++)
		stock[i] = get(n);
}

static void stock_free(void)
{
	for (int i = 0; i < STOCK; i++)
		free(stock[i]);
}

/* The calling thread is an ordinary one: it has asked for memory before. */
static void settle(void)
{
	free(get(48));
}

static void *free_it(void *p)
{
	settle();
	free(p);
	return NULL;
}

static void *free_it_criminally(void *p)
{
	settle();
	free_criminally(p);
	return NULL;
}

static void in_thread(void *(*fn)(void *), void *arg)
{
	pthread_join(start_thread(fn, arg), NULL);
}

/* Do two of n blocks of `size` overlap, or lie outside of memory we may use? */
static void must_be_distinct(int n, size_t size)
{
	unsigned char *block[64];
	for (int i = 0; i < n; i++)
		block[i] = get(size);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < i; k++)
			if (block[i] < block[k] + size && block[k] < block[i] + size)
				_exit(ZOO_WRONG);
	for (int i = 0; i < n; i++)
		free(block[i]);
}

/* --------------------------------------------------------- double free -- */

static void double_free_of(size_t n)
{
	void *p = get(n);
	free(p);
	free_criminally(p);
}

static void double_free(void) { double_free_of(64); }
static void double_free_tiny(void) { double_free_of(1); }
static void double_free_empty(void) { double_free_of(0); }
static void double_free_medium(void) { double_free_of(20000); }
static void double_free_128k(void) { double_free_of(131072); }
static void double_free_large(void) { double_free_of(3 * MIB); }
static void double_free_huge(void) { double_free_of(600 * MIB); }

static void double_free_aligned(void)
{
	void *p = escape(aligned_alloc(4096, opaque(4096)));
	free(p);
	free_criminally(p);
}

static void double_free_page_run(void)
{
	/* Aligned beyond a page: no class fits. */
	void *p = escape(aligned_alloc(65536, opaque(200000)));
	free(p);
	free_criminally(p);
}

static void after_one(size_t n)
{
	void *p, *q;
	p = get(n);
	q = get(n);
	free(p);
	free(q);
	free_criminally(p);
}

static void double_free_after_one(void)
{
	stock_up(64);
	after_one(64);
	stock_free();
}

static void double_free_after_one_128k(void)
{
	void *block[64];
	for (int i = 0; i < 64; i++)
		block[i] = get(131072);
	after_one(131072);
	for (int i = 0; i < 64; i++)
		free(block[i]);
}

static void double_free_after_one_large(void)
{
	after_one(3 * MIB);
}

static void double_free_handed_out(void)
{
	/* A size nobody used before: nothing is flushed in between. */
	after_one(112);
	must_be_distinct(3, 112);
}

static void double_free_flushed(void)
{
	stock_up(64);
	free(stock[100]);
	free(stock[101]);
	free_criminally(stock[100]);
	for (int i = 200; i < STOCK; i++)
		free(stock[i]);
}

static void double_free_after_flush(void)
{
	void *p;
	stock_up(64);
	p = stock[STOCK / 2];
	stock_free();
	free_criminally(p);
	stock_up(64);
	stock_free();
}

static void double_free_slab_lives(void)
{
	/* Between live blocks: its slab stays. */
	stock_up(64);
	for (int i = 0; i < STOCK; i += 2)
		free(stock[i]);
	free_criminally(stock[STOCK / 2]);
	for (int i = 1; i < STOCK; i += 2)
		free(stock[i]);
}

static void double_free_slab_gone(void)
{
	/* The pages themselves are given back in between. */
	void *p;
	stock_up(2000);
	p = stock[STOCK / 2];
	stock_free();
	T_malloc_trim(0);
	free_criminally(p);
	others(1000, 2000);
}

static void double_free_after_10000(void)
{
	void *p;
	stock_up(64);
	p = get(64);
	free(p);
	others(5000, 200);
	free_criminally(p);
	stock_free();
}

static void double_free_erased(void)
{
	/* Whatever mark the first free left in the block is gone. */
	unsigned char *p = get(64);
	free(p);
	memset(escape(p), 0, 64);
	free_criminally(p);
}

static void double_free_across(void)
{
	void *p;
	stock_up(64);
	p = get(64);
	in_thread(free_it, p);
	free_criminally(p);
	stock_free();
	T_malloc_trim(0);
}

static void double_free_elsewhere(void)
{
	void *p;
	stock_up(64);
	p = get(64);
	free(p);
	in_thread(free_it_criminally, p);
	stock_free();
	T_malloc_trim(0);
}

static void double_free_across_handed_out(void)
{
	void *p = get(112);
	in_thread(free_it, p);
	free_criminally(p);
	must_be_distinct(60, 112);
}

static void *free_it_twice(void *p)
{
	settle();
	free(p);
	free_criminally(p);
	return NULL;
}

static void double_free_foreign_twice(void)
{
	stock_up(64);
	in_thread(free_it_twice, get(64));
	stock_free();
}

static void *free_many_and_the_last(void *arg)
{
	void **p = arg;
	settle();
	for (int i = 0; i < 62; i++)
		free(p[i]);
	free_criminally(p[61]);
	return NULL;
}

static void double_free_foreign_full(void)
{
	/* As many as go back to their owner at once; the last of them twice. */
	void *p[62];
	for (int i = 0; i < 62; i++)
		p[i] = get(64);
	in_thread(free_many_and_the_last, p);
	others(20000, 64);
}

static void *free_it_around(void *arg)
{
	void **p = arg;
	settle();
	free(p[0]);
	free(p[1]);
	free_criminally(p[0]);
	return NULL;
}

static void double_free_foreign_after_one(void)
{
	void *p[2] = { get(64), get(64) };
	in_thread(free_it_around, p);
	others(20000, 64);
}

static void double_free_large_across(void)
{
	void *p = get(3 * MIB);
	in_thread(free_it, p);
	free_criminally(p);
}

static void *race(void *arg)
{
	static int ready;
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < 2)
		;
	free(escape(arg));
	return NULL;
}

static void double_free_large_race(void)
{
	void *p = get(3 * MIB);
	pthread_t other = start_thread(race, p);
	race(crime(p));
	pthread_join(other, NULL);
	after();
}

static void double_free_128k_across(void)
{
	void *p = get(131072);
	in_thread(free_it, p);
	free_criminally(p);
}

static void *make_one(void *arg)
{
	(void)arg;
	return get(64);
}

static void double_free_of_the_dead(void)
{
	/* The thread that made it has ended. */
	void *p;
	pthread_join(start_thread(make_one, NULL), &p);
	free(p);
	free_criminally(p);
}

static void double_free_in_child(void)
{
	void *p = get(64);
	pid_t child;
	free(p);
	child = fork();
	if (child == 0) {
		free_criminally(p);
		_exit(ZOO_HARMLESS);
	}
	int status = reap(child);
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
}

static void free_after_realloc(void)
{
	/* realloc moved the block; its old address is freed. */
	void *p = get(64), *q = escape(realloc(p, opaque(5000)));
	free_criminally(p);
	others(100, 64);
	free(q);
}

static void free_after_realloc_large(void)
{
	void *p = get(3 * MIB), *wall = get(3 * MIB), *q = escape(realloc(p, opaque(400 * MIB)));
	if (p == q || !wall)
		_exit(ZOO_CANNOT);
	free(q);
	free_criminally(p);
}

static void free_after_realloc_zero(void)
{
	void *p = get(64);
	if (escape(realloc(p, opaque(0))))
		_exit(ZOO_CANNOT);
	free_criminally(p);
}

static void realloc_twice(void)
{
	void *p = get(64), *q = escape(realloc(p, opaque(5000))), *r;
	r = escape(realloc(crime(p), opaque(5000)));
	after();
	others(100, 64);
	if (q == r)
		_exit(ZOO_WRONG);
}

static void double_free_reissued(void)
{
	/* The stale pointer frees the block's next owner's; then he does. */
	void *p = get(112), *q;
	free(p);
	q = get(112);
	free(p);
	free_criminally(q);
	must_be_distinct(3, 112);
}

static void double_free_large_reissued(void)
{
	void *p = get(3 * MIB), *q;
	free(p);
	q = get(3 * MIB);
	if (p != q)
		_exit(ZOO_CANNOT);
	free(p);
	free_criminally(q);
}

static void double_free_realloc_between(void)
{
	void *p = get(64), *q = get(64);
	free(p);
	q = escape(realloc(q, opaque(5000)));
	free_criminally(p);
	must_be_distinct(3, 64);
	free(q);
}

static pthread_key_t last;

static void *free_as_it_ends(void *p)
{
	settle();
	pthread_setspecific(last, p);
	free(p);
	settle();
	return NULL;
}

static void double_free_in_destructor(void)
{
	stock_up(64);
	pthread_key_create(&last, free_criminally);
	in_thread(free_as_it_ends, get(64));
	stock_free();
	T_malloc_trim(0);
}

static void *free_it_first(void *p)
{
	free(p);
	free_criminally(p);
	return NULL;
}

static void double_free_foreign_first(void)
{
	/* The first calls of a thread that never asked for memory. */
	stock_up(64);
	in_thread(free_it_first, get(64));
	stock_free();
}

/* -------------------------------------------------------- foreign frees -- */

static char in_static[4096] __attribute__((aligned(64)));
static __thread char in_tls[256] __attribute__((aligned(64)));

static void free_static(void) { free_criminally(in_static + 64); }
static void free_tls(void) { free_criminally(in_tls + 64); }
static void free_text(void) { free_criminally((void *)(uintptr_t)free_text); }
static void free_far(void) { free_criminally((void *)(uintptr_t)0x123456789000); }
static void free_low(void) { free_criminally((void *)(uintptr_t)64); }
static void free_noncanonical(void) { free_criminally((void *)(uintptr_t)0x4141414141414140); }
static void free_kernel(void) { free_criminally((void *)(UINTPTR_MAX - 4095)); }
static void free_minus_one(void) { free_criminally((void *)UINTPTR_MAX); }
static void free_environment(void) { free_criminally(getenv("PATH") ? getenv("PATH") : in_static); }
static void free_break(void) { free_criminally((char *)sbrk(4096) + 16); }

static void free_stack(void)
{
	char in_stack[256] __attribute__((aligned(64)));
	in_stack[0] = 1;
	free_criminally(escape(in_stack + 64));
}

static void free_other_stack(void)
{
	char in_stack[256] __attribute__((aligned(64)));
	in_stack[0] = 1;
	in_thread(free_it_criminally, escape(in_stack + 64));
}

static void *map_pages(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		_exit(ZOO_CANNOT);
	return p;
}

static void free_mapping(void) { free_criminally(map_pages(65536)); }
static void free_inside_mapping(void) { free_criminally((char *)map_pages(65536) + 4112); }

static void free_unmapped(void)
{
	void *p = map_pages(65536);
	munmap(p, 65536);
	free_criminally(p);
}

/* The program's own munmap of a block, and then its free. */
static void free_unmapped_block(void)
{
	char *p = get(3 * MIB);
	munmap(p + 4096, MIB);
	free_criminally(p);
}

/* A pointer that went through an int, and one whose top byte says something. */
static void free_truncated(void)
{
	free_criminally((void *)(uintptr_t)(uint32_t)(uintptr_t)get(64));
}

static void free_tagged(void)
{
	free_criminally((void *)((uintptr_t)get(64) | (uintptr_t)0xb4 << 56));
}

/* What the C library's own malloc made. */
static void free_libc_block(void)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY);
	void *(*libc_malloc)(size_t) =
		(void *(*)(size_t))(uintptr_t)(libc ? dlsym(libc, "__libc_malloc") : NULL);
	if (!libc_malloc)
		_exit(ZOO_CANNOT);
	free_criminally(libc_malloc(100));
}

/* And what another copy of it made, in a namespace of its own. */
static void free_other_libc_block(void)
{
	void *libc = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_LAZY);
	void *(*libc_malloc)(size_t) =
		(void *(*)(size_t))(uintptr_t)(libc ? dlsym(libc, "malloc") : NULL);
	if (!libc_malloc)
		_exit(ZOO_CANNOT);
	free_criminally(libc_malloc(100));
}

/* A chunk header such as glibc's in front of memory that is nobody's block. */
static void free_forged_chunk(void)
{
	size_t *word = (size_t *)(void *)in_static;
	word[9] = 0x71;
	word[9 + 14] = 0x71;
	free_criminally(&word[10]);
	if (get(0x68) == &word[10])
		_exit(ZOO_WRONG);
}

/* Where a heap would begin: headers such as others keep at 64 KiB, 2 and 4 MiB. */
static void free_forged_mapping(void)
{
	uintptr_t base = ((uintptr_t)map_pages(12 * MIB) + 4 * MIB - 1) & ~(uintptr_t)(4 * MIB - 1);
	size_t *word = (size_t *)base;
	for (size_t i = 0; i < 512; i++)
		word[i] = i % 2 ? 0x71 : base;
	free_criminally((void *)(base + 4096));
	if ((uintptr_t)get(0x68) - base < 4 * MIB)
		_exit(ZOO_WRONG);
}

/* ------------------------------------------------------- interior frees -- */

static void inside(size_t n, size_t at)
{
	stock_up(n);
	free_criminally((char *)stock[STOCK / 2] + at);
	stock_free();
}

static void free_inside(void) { inside(1000, 64); }
static void free_unaligned(void) { inside(1000, 7); }
static void free_half_aligned(void) { inside(1000, 8); }
static void free_before(void) { free_criminally((char *)get(1000) - 16); others(20000, 1000); }

static void free_inside_handed_out(void)
{
	unsigned char *p = get(112), *q;
	fill(p, 112, 5);
	free_criminally(p + 48);
	q = get(112);
	memset(q, 0, 112);
	if (!intact(p, 48, 5) || (q < p + 112 && p < q + 112))
		_exit(ZOO_WRONG);
}

static void free_inside_medium(void)
{
	free_criminally((char *)get(20000) + 4096);
	others(2000, 20000);
}

static void free_inside_128k(void)
{
	void *block[64];
	for (int i = 0; i < 64; i++)
		block[i] = get(131072);
	free_criminally((char *)block[5] + 65536);
	for (int i = 0; i < 64; i++)
		free(block[i]);
}

static void free_inside_aligned(void)
{
	char *p = escape(aligned_alloc(4096, opaque(8192)));
	free_criminally(p + 2048);
	others(5000, 8192);
}

static void free_inside_large(void) { free_criminally((char *)get(3 * MIB) + MIB); }
static void free_inside_large_16(void) { free_criminally((char *)get(3 * MIB) + 16); }
static void free_unaligned_large(void) { free_criminally((char *)get(3 * MIB) + 1); }
static void free_inside_huge(void) { free_criminally((char *)get(600 * MIB) + 300 * MIB); }
static void free_end_of_large(void) { free_criminally((char *)get(3 * MIB) + 3 * MIB - 16); }
static void free_behind_large(void) { free_criminally((char *)get(3 * MIB) + 3 * MIB); }

static void free_inside_medium_16(void)
{
	free_criminally((char *)get(20000) + 16);
	others(2000, 20000);
}

static void free_inside_shrunk(void)
{
	/* Where the block reached to before realloc made it smaller. */
	char *p = get(12 * MIB), *q = escape(realloc(p, opaque(5 * MIB)));
	free_criminally(q + 5 * MIB + 65536);
}

static void free_inside_elsewhere(void)
{
	in_thread(free_it_criminally, (char *)get(1000) + 48);
	others(20000, 1000);
}

static void free_uncarved(void)
{
	/* Behind the only block of its size. */
	free_criminally((char *)get(96) + 960);
	others(20000, 96);
}

/* ------------------------------------------------------ other functions -- */

static void realloc_criminally(void *p, size_t n)
{
	escape(realloc(crime(p), opaque(n)));
	after();
}

static void realloc_freed_large(void)
{
	void *p = get(3 * MIB);
	free(p);
	realloc_criminally(p, 100);
}

static void realloc_freed(void)
{
	void *p;
	stock_up(64);
	p = get(64);
	free(p);
	realloc_criminally(p, 5000);
	stock_free();
}

static void realloc_freed_in_place(void)
{
	/* To its own size, with another free in between. */
	void *p = get(112), *q = get(112);
	free(p);
	free(q);
	p = escape(realloc(crime(p), opaque(110)));
	after();
	for (int i = 0; i < 8; i++)
		if (get(112) == p)
			_exit(ZOO_WRONG);
}

static void *realloc_it_criminally(void *p)
{
	settle();
	realloc_criminally(p, 5000);
	return NULL;
}

static void realloc_freed_elsewhere(void)
{
	void *p;
	stock_up(64);
	p = get(64);
	free(p);
	in_thread(realloc_it_criminally, p);
	stock_free();
	T_malloc_trim(0);
}

static void realloc_static(void) { realloc_criminally(in_static, 100); }
static void realloc_far(void) { realloc_criminally((void *)(uintptr_t)0x123456789000, 100); }
static void realloc_inside_large(void) { realloc_criminally((char *)get(3 * MIB) + 4096, 100); }

static void realloc_stack(void)
{
	char in_stack[256] __attribute__((aligned(64)));
	in_stack[0] = 1;
	realloc_criminally(escape(in_stack + 64), 100);
}

static void realloc_inside(void)
{
	stock_up(1000);
	realloc_criminally((char *)stock[5] + 48, 5000);
	stock_free();
}

static void usable_criminally(void *p)
{
	opaque(T_malloc_usable_size(crime(p)));
	after();
}

static void usable_static(void) { usable_criminally(in_static); }
static void usable_far(void) { usable_criminally((void *)(uintptr_t)0x123456789000); }

static void usable_freed(void)
{
	void *p = get(64);
	free(p);
	usable_criminally(p);
}

static void usable_inside_large(void) { usable_criminally((char *)get(3 * MIB) + 4096); }

static void usable_freed_large(void)
{
	void *p = get(3 * MIB);
	free(p);
	usable_criminally(p);
}

static void need_free_sized(void)
{
	if (!T_free_sized || !T_free_aligned_sized)
		_exit(ZOO_CANNOT);
}

static void free_sized_static(void)
{
	need_free_sized();
	T_free_sized(crime(in_static), 64);
	after();
}

static void free_sized_twice(void)
{
	void *p = get(64);
	need_free_sized();
	T_free_sized(p, 64);
	T_free_sized(crime(p), 64);
	after();
}

static void free_sized_wrong(void)
{
	void *p = get(64), *q = get(5000);
	need_free_sized();
	T_free_sized(crime(p), 5000);
	T_free_sized(escape(q), 1);
	after();
}

static void free_sized_zero(void)
{
	void *p = get(64);
	need_free_sized();
	T_free_sized(crime(p), 0);
	after();
}

static void free_sized_larger(void)
{
	/* By one, where the next step of sizes begins. */
	void *p = get(64);
	need_free_sized();
	T_free_sized(crime(p), 81);
	after();
}

static void free_sized_wrong_large(void)
{
	void *p = get(3 * MIB), *q = get(64);
	need_free_sized();
	T_free_sized(crime(p), 64);
	T_free_sized(escape(q), 3 * MIB);
	after();
}

static void free_aligned_sized_inside(void)
{
	char *p = get(3 * MIB);
	need_free_sized();
	T_free_aligned_sized(crime(p + MIB), 64, 64);
	after();
}

static void free_aligned_sized_wrong(void)
{
	void *p = escape(aligned_alloc(64, opaque(640)));
	need_free_sized();
	T_free_aligned_sized(crime(p), 4096, 640);
	after();
}

static void free_aligned_sized_unaligned(void)
{
	/* malloc gave it, at no such boundary. */
	char *p = get(1000);
	need_free_sized();
	while (!((uintptr_t)p & 4095))
		p = get(1000);
	T_free_aligned_sized(crime(p), 4096, 1000);
	after();
}

/* ------------------------------------------------- writes after the free -- */

static void write_after_free(void)
{
	unsigned char *p = get(200);
	free(p);
	memset(crime(p), 0x41, 200);
	after();
	must_be_distinct(4, 200);
}

static void write_after_free_reuse(void)
{
	/* Through the stale pointer into what is another's by now. */
	unsigned char *p = get(208), *q;
	free(p);
	q = get(208);
	fill(q, 208, 77);
	memset(crime(p), 0x41, 208);
	after();
	if (!intact(q, 208, 77))
		_exit(ZOO_WRONG);
}

static void write_after_free_calloc(void)
{
	unsigned char *p = get(200), *q;
	free(p);
	memset(crime(p), 0x41, 200);
	q = escape(calloc(1, opaque(200)));
	after();
	if (!all_zero(q, 200))
		_exit(ZOO_WRONG);
}

static void write_after_free_large(void)
{
	unsigned char *p = get(3 * MIB);
	free(p);
	memset(crime(p), 0x41, 3 * MIB);
	after();
	p = escape(calloc(1, opaque(3 * MIB)));
	if (!all_zero(p, 3 * MIB))
		_exit(ZOO_WRONG);
}

/* The first words of a freed block, where many keep a link, point elsewhere. */
static void link_to(void *target, size_t at)
{
	void *block[4];
	for (int i = 0; i < 4; i++)
		block[i] = get(112);
	for (int i = 0; i < 4; i++)
		free(block[i]);
	((void **)crime(block[3]))[at] = target;
	after();
	for (int i = 0; i < 4; i++) {
		char *p = get(112);
		memset(p, 1, 112);
		if (p >= in_static && p < in_static + sizeof(in_static))
			_exit(ZOO_WRONG);
	}
}

static void link_to_nowhere(void) { link_to((void *)(uintptr_t)0x4141414141414140, 0); }
static void link_to_victim(void) { link_to(in_static + 64, 0); }
static void link_back_to_victim(void) { link_to(in_static + 64, 1); }

static void link_to_itself(void)
{
	void *p = get(112), *q = get(112);
	free(q);
	free(p);
	*(void **)crime(p) = p;
	after();
	must_be_distinct(4, 112);
}

static void write_after_realloc(void)
{
	unsigned char *p = get(64), *q = escape(realloc(p, opaque(5000)));
	fill(q, 5000, 3);
	memset(crime(p), 0x41, 64);
	after();
	if (!intact(q, 5000, 3))
		_exit(ZOO_WRONG);
	must_be_distinct(4, 64);
}

static void write_after_shrink(void)
{
	unsigned char *p = get(5000), *q = escape(realloc(p, opaque(100)));
	memset((unsigned char *)crime(q) + 200, 0x41, 4000);
	after();
	must_be_distinct(8, 1000);
}

static void read_after_free(void)
{
	unsigned char *p = get(200);
	fill(p, 200, 9);
	free(p);
	if (intact((unsigned char *)crime(p) + 64, 64, 9 + 64))
		_exit(ZOO_LEAKS);
	after();
}

static void secret_in_new_block(void)
{
	unsigned char *p = get(240), *q;
	fill(p, 240, 11);
	crime(p);
	free(p);
	q = get(240);
	after();
	if (intact(q + 64, 64, 11 + 64))
		_exit(ZOO_LEAKS);
}

/* ------------------------------------------------------------- overflow -- */

/* What to write where that is: who writes what is there already, as a byte of a
 * random mark is in one process of 256, commits no crime. */
static int other_than(unsigned char there)
{
	return there == 0x41 ? 0x42 : 0x41;
}

/* Blocks of a size nobody used, each with a neighbour at its end; written
 * `bytes` beyond what was asked for. */
static void overflow(size_t n, size_t bytes, int before)
{
	unsigned char *block[32], *p;
	size_t usable;
	for (int i = 0; i < 32; i++) {
		block[i] = get(n);
		fill(block[i], n, (uint64_t)i);
	}
	usable = T_malloc_usable_size(block[15]);
	p = crime(block[15]);
	if (before) /* whose block it is that ends there is the allocator's affair */
		page->named = NULL;
	if (before)
		memset(p - bytes, 0x41, bytes);
	else
		memset(p + n, other_than(p[usable]), usable - n + bytes);
	after();
	for (int i = 0; i < 32; i++)
		if (!intact(block[i], n, (uint64_t)i))
			_exit(ZOO_WRONG);
	for (int i = 0; i < 32; i++)
		free(block[i]);
	must_be_distinct(32, n);
}

static void overflow_by_one(void) { overflow(96, 1, 0); }
static void overflow_8(void) { overflow(104, 8, 0); }
static void overflow_32(void) { overflow(160, 32, 0); }
static void overflow_medium(void) { overflow(20480, 32, 0); }
static void overflow_128k(void) { overflow(131072, 32, 0); }
static void underflow_8(void) { overflow(176, 8, 1); }
static void underflow_32(void) { overflow(224, 32, 1); }

static void overflow_inside_rounding(void)
{
	/* Beyond what was asked for, not beyond what was given. */
	unsigned char *p = get(100);
	size_t usable = T_malloc_usable_size(p);
	memset((unsigned char *)crime(p) + 100, 0x41, usable - 100);
	free(p);
	after();
	must_be_distinct(8, 100);
}

static void overflow_into_free(void)
{
	/* Into a neighbour that is free already. */
	unsigned char *block[32];
	for (int i = 0; i < 32; i++)
		block[i] = get(320);
	for (int i = 0; i < 32; i += 2)
		free(block[i]);
	memset((unsigned char *)crime(block[15]) + 320, 0x41, 64);
	after();
	must_be_distinct(32, 320);
	for (int i = 1; i < 32; i += 2)
		free(block[i]);
	must_be_distinct(32, 320);
}

static void overflow_large(void)
{
	unsigned char *p = get(3 * MIB), *q = get(3 * MIB);
	fill(q, 3 * MIB, 1);
	memset((unsigned char *)crime(p) + 3 * MIB, 0x41, 4096);
	after();
	if (!intact(q, 3 * MIB, 1))
		_exit(ZOO_WRONG);
	free(p);
	free(q);
}

static void overflow_by_a_mib(void)
{
	memset((unsigned char *)crime(get(64)) + 64, 0x41, MIB);
	after();
	must_be_distinct(8, 64);
}

static void underflow_by_a_mib(void)
{
	unsigned char *p = get(64);
	memset((unsigned char *)crime(p) - MIB, 0x41, MIB);
	after();
	must_be_distinct(8, 64);
}

static void underflow_large(void)
{
	unsigned char *p = get(3 * MIB), *q = get(3 * MIB);
	memset((unsigned char *)crime(p) - 16, 0x41, 16);
	after();
	free(p);
	free(q);
}

static void write_empty(void)
{
	unsigned char *p = crime(escape(malloc(opaque(0))));
	memset(p, other_than(*p), 1);
	after();
	free(p);
	must_be_distinct(8, 1);
}

/* A neighbour's size, where it stands before the block, made larger: do two
 * blocks overlap once it was freed and taken again? */
static void size_forged(void)
{
	unsigned char *block[8], *p;
	for (int i = 0; i < 8; i++)
		block[i] = get(24);
	crime(block[2]);
	((size_t *)(void *)block[2])[3] = 0x61;
	after();
	for (int i = 0; i < 8; i++)
		fill(block[i], 24, (uint64_t)i);
	((size_t *)(void *)block[2])[3] = 0x61;
	free(block[3]);
	p = get(0x58);
	memset(p, 0, 0x58);
	for (int i = 4; i < 8; i++)
		if (!intact(block[i], 24, (uint64_t)i))
			_exit(ZOO_WRONG);
}

/* ------------------------------------------------------ impossible wishes -- */

static void refused(void *p)
{
	after();
	_exit(p ? ZOO_WRONG : ZOO_REFUSED);
}

static void malloc_minus_one(void)
{
	crime(NULL);
	refused(escape(malloc(opaque(SIZE_MAX))));
}

static void malloc_ptrdiff(void)
{
	crime(NULL);
	refused(escape(malloc(opaque((size_t)PTRDIFF_MAX + 1))));
}

static void calloc_overflow(void)
{
	crime(NULL);
	refused(escape(calloc(opaque(SIZE_MAX / 4), opaque(8))));
}

static void realloc_minus_one(void)
{
	void *p = get(64);
	crime(p);
	refused(escape(realloc(p, opaque(SIZE_MAX - 64))));
}

static void memalign_overflow(void)
{
	crime(NULL);
	refused(escape(aligned_alloc(4096, opaque(SIZE_MAX - 8191))));
}

static void pvalloc_overflow(void)
{
	crime(NULL);
	refused(escape(T_pvalloc(opaque(SIZE_MAX - 10))));
}

static void alignment_of_three(void)
{
	void *p = NULL;
	crime(NULL);
	refused(posix_memalign(&p, opaque(24), 100) ? NULL : in_static);
}

static void calloc_minus_one(void)
{
	crime(NULL);
	refused(escape(calloc(opaque(SIZE_MAX), opaque(1))));
}

static void realloc_ptrdiff(void)
{
	void *p = get(64);
	crime(p);
	refused(escape(realloc(p, opaque((size_t)PTRDIFF_MAX + 1))));
}

static void reallocarray_overflow(void)
{
	void *p = get(64);
	crime(p);
	refused(escape(reallocarray(p, opaque(SIZE_MAX / 16 + 2), opaque(16))));
}

static void valloc_overflow(void)
{
	crime(NULL);
	refused(escape(T_valloc(opaque(SIZE_MAX - 10))));
}

static void alignment_of_half_of_all(void)
{
	crime(NULL);
	refused(escape(T_memalign(opaque(SIZE_MAX / 2 + 1), opaque(SIZE_MAX / 2 - 4096))));
}

static void alignment_of_nothing(void)
{
	void *p = NULL;
	crime(NULL);
	refused(posix_memalign(&p, opaque(0), 100) ? NULL : in_static);
}

static void code_in_the_heap(void)
{
	unsigned char *p = get(64);
	memset(p, 0xc3, 64); /* "return" on x86 */
	crime(p);
	((void (*)(void))(uintptr_t)p)();
	after();
	_exit(ZOO_WRONG);
}

/* ----------------------------------------------------------------- table -- */

#define CRIME(name) { #name, name }
static const struct {
	const char *name;
	void (*commit)(void);
} crimes[] = {
	CRIME(double_free), CRIME(double_free_tiny), CRIME(double_free_empty),
	CRIME(double_free_medium), CRIME(double_free_128k), CRIME(double_free_large),
	CRIME(double_free_huge), CRIME(double_free_aligned), CRIME(double_free_page_run),
	CRIME(double_free_after_one), CRIME(double_free_after_one_128k),
	CRIME(double_free_after_one_large), CRIME(double_free_handed_out),
	CRIME(double_free_flushed), CRIME(double_free_after_flush),
	CRIME(double_free_slab_lives), CRIME(double_free_across_handed_out),
	CRIME(double_free_slab_gone), CRIME(double_free_after_10000),
	CRIME(double_free_erased), CRIME(double_free_across), CRIME(double_free_elsewhere),
	CRIME(double_free_foreign_twice), CRIME(double_free_foreign_full), CRIME(double_free_foreign_after_one),
	CRIME(double_free_large_across), CRIME(double_free_large_race), CRIME(double_free_128k_across),
	CRIME(double_free_of_the_dead), CRIME(double_free_in_child),
	CRIME(double_free_reissued), CRIME(double_free_large_reissued),
	CRIME(double_free_realloc_between), CRIME(double_free_in_destructor),
	CRIME(double_free_foreign_first),
	CRIME(free_after_realloc), CRIME(free_after_realloc_large),
	CRIME(free_after_realloc_zero), CRIME(realloc_twice),
	CRIME(free_static), CRIME(free_tls), CRIME(free_text), CRIME(free_far), CRIME(free_low),
	CRIME(free_noncanonical), CRIME(free_kernel), CRIME(free_minus_one),
	CRIME(free_environment), CRIME(free_break), CRIME(free_stack), CRIME(free_other_stack),
	CRIME(free_mapping), CRIME(free_inside_mapping), CRIME(free_unmapped),
	CRIME(free_unmapped_block), CRIME(free_truncated), CRIME(free_tagged),
	CRIME(free_libc_block), CRIME(free_other_libc_block), CRIME(free_forged_chunk),
	CRIME(free_forged_mapping),
	CRIME(free_inside), CRIME(free_unaligned), CRIME(free_half_aligned), CRIME(free_before),
	CRIME(free_inside_handed_out), CRIME(free_inside_medium), CRIME(free_inside_128k),
	CRIME(free_inside_medium_16), CRIME(free_inside_shrunk),
	CRIME(free_inside_aligned), CRIME(free_inside_large), CRIME(free_inside_large_16),
	CRIME(free_unaligned_large), CRIME(free_inside_huge), CRIME(free_end_of_large),
	CRIME(free_behind_large), CRIME(free_inside_elsewhere), CRIME(free_uncarved),
	CRIME(realloc_freed), CRIME(realloc_freed_in_place), CRIME(realloc_freed_elsewhere),
	CRIME(realloc_freed_large), CRIME(realloc_static),
	CRIME(realloc_far), CRIME(realloc_stack), CRIME(realloc_inside),
	CRIME(realloc_inside_large), CRIME(usable_static), CRIME(usable_far),
	CRIME(usable_freed), CRIME(usable_inside_large),
	CRIME(usable_freed_large), CRIME(free_sized_static), CRIME(free_sized_twice),
	CRIME(free_sized_zero), CRIME(free_sized_larger),
	CRIME(free_sized_wrong), CRIME(free_sized_wrong_large),
	CRIME(free_aligned_sized_inside), CRIME(free_aligned_sized_wrong),
	CRIME(free_aligned_sized_unaligned),
	CRIME(write_after_free), CRIME(write_after_free_reuse), CRIME(write_after_free_calloc),
	CRIME(write_after_free_large), CRIME(link_to_nowhere), CRIME(link_to_victim),
	CRIME(link_back_to_victim), CRIME(link_to_itself), CRIME(write_after_realloc),
	CRIME(write_after_shrink), CRIME(read_after_free), CRIME(secret_in_new_block),
	CRIME(overflow_by_one), CRIME(overflow_8), CRIME(overflow_32), CRIME(overflow_medium),
	CRIME(overflow_128k), CRIME(underflow_8), CRIME(underflow_32),
	CRIME(overflow_inside_rounding), CRIME(overflow_into_free), CRIME(overflow_large),
	CRIME(overflow_by_a_mib), CRIME(underflow_by_a_mib), CRIME(underflow_large),
	CRIME(write_empty), CRIME(size_forged),
	CRIME(malloc_minus_one), CRIME(malloc_ptrdiff), CRIME(calloc_overflow),
	CRIME(realloc_minus_one), CRIME(memalign_overflow), CRIME(pvalloc_overflow),
	CRIME(calloc_minus_one), CRIME(realloc_ptrdiff), CRIME(reallocarray_overflow),
	CRIME(valloc_overflow), CRIME(alignment_of_half_of_all), CRIME(alignment_of_nothing),
	CRIME(alignment_of_three), CRIME(code_in_the_heap),
};

enum { WITNESSES = 400, BLOCKS = 20000 };

static struct {
	void *at;
	size_t size;
} witness[WITNESSES], live[BLOCKS];

/* Many live blocks of every size, each byte known: does one change? */
static int damage(void)
{
	uint64_t state = 9;
	int changed = 0;
	for (size_t i = 0; i < BLOCKS; i++) {
		/* Every second one of a size that the crimes are about. */
		static const size_t sizes[] = { 64, 96, 1000, 112, 200, 20000, 131072 };
		size_t n = sizes[i / 2 % (i % 64 == 1 ? 7 : 5)];
		live[i].size = i & 1 ? n : random_size(&state, 12) + 1;
		live[i].at = malloc(live[i].size);
		if (!live[i].at)
			return 1;
		fill(live[i].at, live[i].size, i);
	}
	for (size_t i = 0; i < WITNESSES; i++)
		changed |= !intact(witness[i].at, witness[i].size, i);
	for (size_t i = 0; i < BLOCKS; i++) {
		changed |= !intact(live[i].at, live[i].size, i);
		free(live[i].at);
	}
	return changed;
}

static void live_first(void)
{
	uint64_t state = 7;
	for (size_t i = 0; i < WITNESSES; i++) {
		witness[i].size = random_size(&state, i % 50 ? 11 : 18) + 1;
		witness[i].at = get(witness[i].size);
		fill(witness[i].at, witness[i].size, i);
	}
	others(300, 64);
}

int main(int argc, char **argv)
{
	struct rlimit no_core = { 0, 0 };
	void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ZOO_FD, 0);
	if (shared != MAP_FAILED)
		page = shared;
	for (size_t i = 0; i < COUNT_OF(crimes); i++) {
		if (argc == 2 && strcmp(argv[1], "--list") == 0)
			tap_line("%s", crimes[i].name);
		else if (argc == 2 && strcmp(argv[1], crimes[i].name) == 0) {
			if (!getenv("HZ_TEST_CORE"))
				setrlimit(RLIMIT_CORE, &no_core);
			watchdog(ZOO_SECONDS);
			live_first();
			crimes[i].commit();
			_exit(damage() ? ZOO_WRONG : ZOO_HARMLESS);
		}
	}
	return argc == 2 && strcmp(argv[1], "--list") == 0 ? 0 : ZOO_UNKNOWN;
}
