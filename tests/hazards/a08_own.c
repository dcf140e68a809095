/* SPDX-License-Identifier: MIT */
/*
 * a08_own - a program that defines malloc itself; rows A8 and C1.
 *
 *   wraps    its malloc, calloc, realloc and free call __libc_malloc and so
 *            on and count: then posix_memalign, which it does not define, must
 *            give blocks that __libc_free takes
 *   brings   its malloc is its own; what it does not define is asked about
 *            blocks that are not ours: recognised without being read
 *
 * Nothing can be done about the second but to say so.
 */
#include "hazard.h"

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t each);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);
extern void *__libc_memalign(size_t align, size_t n);

static long calls;
static int brings;
static _Alignas(16) char pool[8 * MIB];
static size_t used;

void *malloc(size_t n)
{
	calls++;
	if (!brings)
		return __libc_malloc(n);
	n = (n + 15) & ~(size_t)15;
	/* The last block ends where nothing can be read. */
	return used + n <= sizeof(pool) ? &pool[(used += n) - n] : NULL;
}

void *calloc(size_t count, size_t each)
{
	calls++;
	return brings ? malloc(count * each) : __libc_calloc(count, each);
}

void *realloc(void *p, size_t n)
{
	calls++;
	if (!brings)
		return __libc_realloc(p, n);
	void *q = malloc(n);
	return q && p ? memcpy(q, p, n) : q;
}

void free(void *p)
{
	calls++;
	if (!brings)
		__libc_free(p);
}

static int wraps(void)
{
	int bad = 0;
	void *p = NULL;
	for (size_t n = 1; n < MIB; n = n * 2 + 1) {
		bad |= posix_memalign(&p, 64, n) || (uintptr_t)p % 64;
		fill(p, n, n);
		p = realloc(p, 2 * n);
		bad |= !p || !intact_prefix(p, n, n);
		free(p);
		p = aligned_alloc(64, 64 * n);
		free(p);
		p = __libc_memalign(256, n);
		bad |= (uintptr_t)p % 256 != 0 || malloc_usable_size(p) < n;
		free(p);
		p = strdup("made by the C library");
		bad |= malloc_usable_size(p) < 22;
		free(p);
	}
	return bad | use_malloc();
}

int main(int argc, char **argv __attribute__((unused)))
{
	char text[500];
	int status;
	watchdog(HAZARD_SECONDS);
	if (argc > 1) {
		brings = 1;
		/* Behind the pool's end, where a look at a header would be one at
		 * unmapped memory. */
		char *edge = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return edge != MAP_FAILED && malloc_usable_size(edge + 4096) == 0;
	}
	is_int(wraps(), 0, "A8 C1 a program whose malloc calls __libc_malloc mixes no heaps");
	ok(calls > 100, "A8 its own functions were called %ld times", calls);
	if (on_subject()) {
		status = run_self("--brings", text, sizeof(text));
		ok(how(status) == -SIGABRT && strstr(text, "malloc_usable_size()"),
		   "A8 a block of the program's own malloc is recognised unread: %.70s", text);
	}
	return tap_done();
}
