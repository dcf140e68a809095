/* SPDX-License-Identifier: MIT */
/*
 * cxx.c - C++ operators new and delete, in C under their assembler names.
 *
 *   new(n)  = malloc, and on failure the new_handler, again and again, then
 *             std::bad_alloc
 *   delete  = free; sizes and alignments given are not trusted, in lanes with
 *             marks they are compared
 *
 * libstdc++ (or libc++) is not linked: what only it can do, find the handler
 * and throw, is called through weak references, which a C++ program resolves.
 * Names are those of the Itanium ABI on LP64.
 *
 * The nothrow forms of new are the C++ library's own, which by the standard
 * call the throwing ones, ours, and catch: C cannot catch what a new_handler
 * throws.
 *
 * Invariants: exceptions pass through these frames (unwind tables are kept).
 * It refuses to throw by itself: without a C++ runtime it aborts.
 */
#include "api.h"

#include "error.h"
#include "waste.h"

#ifndef HZ_PREFIX

typedef void (*handler)(void);
__attribute__((weak)) handler get_new_handler(void) __asm__("_ZSt15get_new_handlerv");
__attribute__((weak)) void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv");

static HZ_COLD void *again(size_t align, size_t n)
{
	for (;;) {
		handler h = get_new_handler ? get_new_handler() : NULL;
		if (!h)
			break;
		h();
		void *p = hz_aligned(align, n);
		if (p)
			return p;
	}
	if (throw_bad_alloc)
		throw_bad_alloc();
	hz_die("operator new", NULL, "out of memory and no C++ runtime to throw");
}

static HZ_NOINLINE void *new_slow(size_t n)
{
	void *p = HZ_API(malloc)(n);
	return likely(p) ? p : again(1, n);
}

static inline void *new_plain(size_t n)
{
	void *p = hz_take(n, n);
	return likely(p) ? hz_waste_got(p, n, n) : new_slow(n);
}

static inline void *new_aligned(size_t n, size_t align)
{
	void *p = hz_aligned(align, n);
	return likely(p) ? p : again(align, n);
}

#define NEW(symbol, args, body)                                                   \
	HZ_EXPORT void *symbol args;                                              \
	HZ_EXPORT void *symbol args                                               \
	{                                                                         \
		return body;                                                      \
	}
#define DELETE_SIZED(symbol, align, size, ...)                                    \
	HZ_EXPORT void symbol(void *p, ##__VA_ARGS__);                            \
	HZ_EXPORT void symbol(void *p, ##__VA_ARGS__)                             \
	{                                                                         \
		if ((size) != UNKNOWN)                                            \
			hz_mark_sized("operator delete", p, align, size);         \
		HZ_API(free)(p);                                                  \
	}
#define UNKNOWN SIZE_MAX
#define DELETE(symbol, ...) DELETE_SIZED(symbol, 1, UNKNOWN, ##__VA_ARGS__)

struct nothrow;
#define QUIET const struct nothrow *q __attribute__((unused))
#define SIZE size_t s __attribute__((unused))
#define ALIGN size_t a __attribute__((unused))

NEW(_Znwm, (size_t n), new_plain(n))
NEW(_Znam, (size_t n), new_plain(n))
NEW(_ZnwmSt11align_val_t, (size_t n, size_t a), new_aligned(n, a))
NEW(_ZnamSt11align_val_t, (size_t n, size_t a), new_aligned(n, a))

DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE(_ZdlPvRKSt9nothrow_t, QUIET)
DELETE(_ZdaPvRKSt9nothrow_t, QUIET)
DELETE_SIZED(_ZdlPvm, 1, s, SIZE)
DELETE_SIZED(_ZdaPvm, 1, s, SIZE)
DELETE(_ZdlPvSt11align_val_t, ALIGN)
DELETE(_ZdaPvSt11align_val_t, ALIGN)
DELETE_SIZED(_ZdlPvmSt11align_val_t, a, s, SIZE, ALIGN)
DELETE_SIZED(_ZdaPvmSt11align_val_t, a, s, SIZE, ALIGN)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, ALIGN, QUIET)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, ALIGN, QUIET)

#endif
