/* SPDX-License-Identifier: MIT */
/*
 * alloc_names.h - the malloc family under the names of the build under test.
 *
 * T_malloc and friends are plain malloc and friends, unless
 * -DHZ_TEST_PREFIX=hz_ (library configured --with-prefix=hz_, which does not
 * interpose and so runs under sanitizers) or hzw_ (the white-box build).
 * A program that uses only T_ names can be built for all three.
 *
 * Everything is declared here: libc's headers lack cfree, free_sized and
 * free_aligned_sized on the systems this builds on.
 */
#ifndef ALLOC_NAMES_H
#define ALLOC_NAMES_H

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>

#ifdef HZ_TEST_PREFIX
#define T_JOIN2(prefix, name) prefix##name
#define T_JOIN(prefix, name) T_JOIN2(prefix, name)
#define T_NAME(name) T_JOIN(HZ_TEST_PREFIX, name)
#else
#define T_NAME(name) name
#endif

#define T_malloc T_NAME(malloc)
#define T_calloc T_NAME(calloc)
#define T_realloc T_NAME(realloc)
#define T_free T_NAME(free)
#define T_aligned_alloc T_NAME(aligned_alloc)
#define T_posix_memalign T_NAME(posix_memalign)
#define T_memalign T_NAME(memalign)
#define T_valloc T_NAME(valloc)
#define T_pvalloc T_NAME(pvalloc)
#define T_malloc_usable_size T_NAME(malloc_usable_size)
#define T_free_sized T_NAME(free_sized)
#define T_free_aligned_sized T_NAME(free_aligned_sized)
#define T_cfree T_NAME(cfree)
#define T_malloc_trim T_NAME(malloc_trim)

#ifdef HZ_TEST_PREFIX
void *T_malloc(size_t);
void *T_calloc(size_t, size_t);
void *T_realloc(void *, size_t);
void T_free(void *);
void *T_aligned_alloc(size_t, size_t);
int T_posix_memalign(void **, size_t, size_t);
void *T_memalign(size_t, size_t);
void *T_valloc(size_t);
void *T_pvalloc(size_t);
size_t T_malloc_usable_size(void *);
int T_malloc_trim(size_t);
#endif

/* Weak: absent from libc before C23, tests ask before they call. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
void T_free_sized(void *, size_t) __attribute__((weak));
void T_free_aligned_sized(void *, size_t, size_t) __attribute__((weak));
void T_cfree(void *) __attribute__((weak));
#pragma GCC diagnostic pop

#endif
