/* SPDX-License-Identifier: MIT */
/*
 * api.h - the public functions' names inside the library, and the hit path they share.
 *
 *      HZ_API(malloc)  =  malloc            in the libraries that interpose
 *                         hz_malloc         built --with-prefix=hz_
 *
 * The top layer: api.c (C), cxx.c (C++) and report.c include it, nobody else.
 * It refuses to be installed: programs have <stdlib.h>, <malloc.h> and hz.h.
 */
#pragma once

#include "large.h"
#include "mark.h"

#define HZ_PASTE2(a, b) a##b
#define HZ_PASTE(a, b) HZ_PASTE2(a, b)
#ifdef HZ_PREFIX
#define HZ_API(name) HZ_PASTE(HZ_PREFIX, name)
#else
#define HZ_API(name) name
#endif

/* The hit path of every function that allocates: NULL if it is none, else a block for n
 * bytes, of which the program asked for `asked`; *offset is that of its class. */
static inline void *hz_take_of(size_t n, size_t asked, uintptr_t *offset)
{
	if (unlikely(n >= hz_glance(hz_hot.small_limit)))
		return NULL;
	*offset = hz_class_offset[(n + HZ_LANE_MARK_BYTES + 15) >> 4];
	struct hz_mag HZ_THREAD *m = hz_mag_to_pop(*offset);
	void **top = m->top;
	void *p = *top;
	if (unlikely(!p))
		return NULL;
	hz_mag_popped(m, top);
	return hz_mark_out(p, (uint32_t)*offset, asked);
}
static inline void *hz_take(size_t n, size_t asked)
{
	uintptr_t offset;
	return hz_take_of(n, asked, &offset);
}
/* Where it is none: errno is set with NULL. */
void *hz_malloc_slow(size_t n);
void *hz_aligned(size_t align, size_t n);

void *HZ_API(malloc)(size_t n);
void HZ_API(free)(void *p);
void *HZ_API(calloc)(size_t count, size_t each);
void *HZ_API(realloc)(void *p, size_t n);
void *HZ_API(aligned_alloc)(size_t align, size_t n);
void *HZ_API(memalign)(size_t align, size_t n);
int HZ_API(posix_memalign)(void **out, size_t align, size_t n);
void *HZ_API(valloc)(size_t n);
void *HZ_API(pvalloc)(size_t n);
size_t HZ_API(malloc_usable_size)(void *p);
void HZ_API(free_sized)(void *p, size_t n);
void HZ_API(free_aligned_sized)(void *p, size_t align, size_t n);
void HZ_API(cfree)(void *p);
