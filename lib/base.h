/* SPDX-License-Identifier: MIT */
/*
 * base.h - the words every layer uses.
 *
 * What it is: compiler helpers, the logical page, relaxed and ordered atomics under short names.
 * It has no state and calls nothing; every file of the library includes it
 * first and nothing below it exists.
 *
 * It refuses to know about lanes, classes or the operating system: a constant
 * that belongs to one layer lives in that layer's header.
 */
#pragma once

#include <config.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define HZ_EXPORT __attribute__((visibility("default")))
/* For data that hit paths read: addressed directly, not through the GOT. */
#define HZ_HIDDEN __attribute__((visibility("hidden")))
#define HZ_COLD __attribute__((cold, noinline))
#define HZ_NOINLINE __attribute__((noinline))

/* The logical page, 4 KiB on every machine: the unit of runs, page entries
 * and reports.  A kernel page may be larger (16 or 64 KiB on arm64); os.c
 * rounds what it asks of the kernel, nobody else has to know. */
enum { HZ_PAGE_SHIFT = 12, HZ_PAGE = 1 << HZ_PAGE_SHIFT };

#define HZ_KIB ((size_t)1 << 10)
#define HZ_MIB ((size_t)1 << 20)
#define HZ_GIB ((size_t)1 << 30)

/* Atomics.  Every use carries its order in its name; the partner access is
 * named where the field is declared. */
#define hz_load(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define hz_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define hz_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define hz_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define hz_load_seq(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define hz_store_seq(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define hz_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)

/* Whether a race detector watches; gcc and clang say it differently. */
#if defined(__has_feature)
#define HZ_RACE_DETECTOR __has_feature(thread_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define HZ_RACE_DETECTOR 1
#else
#define HZ_RACE_DETECTOR 0
#endif

/* A load on a hit path: an ordinary one, so that the compiler may fold it into
 * the instruction that uses it; only a race detector is told what it is. */
#if HZ_RACE_DETECTOR
#define hz_glance(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#else
#define hz_glance(x) (x)
#endif

/* A counter with one writer at a time (its lock's holder or its thread) that
 * others read: a plain add that sanitizers and readers see as atomic. */
#define hz_bump(p, v) hz_store((p), hz_load(p) + (v))

static inline size_t hz_round_up(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

static inline size_t hz_pages_of(size_t bytes)
{
	return (bytes + HZ_PAGE - 1) >> HZ_PAGE_SHIFT;
}

static inline size_t hz_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t hz_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Clearing and copying of whole blocks: from a multiple of 16, a multiple of 16, at
 * least one.  Ours, because every function taken from libc is looked up by name at each
 * program's start; above 1 KiB x86's own string instructions are as fast as libc's code, and
 * what is more than a second-level cache is copied past all of them: 17 GB/s instead of 9,
 * where the target was not at hand. */
typedef long long hz_v16 __attribute__((vector_size(16), may_alias));

enum { HZ_STRING_BYTES = 1024, HZ_STREAM_BYTES = 1 << 20, HZ_FOUR_STEPS = 64 };

static inline hz_v16 *hz_v16_at(const void *p, size_t bytes)
{
	return (hz_v16 *)((uintptr_t)p + bytes);
}

static inline void hz_zero(void *to, size_t n)
{
	hz_v16 *at = to, *end = hz_v16_at(to, n);
	if (n <= HZ_FOUR_STEPS) {
		at[0] = (hz_v16){ 0 };
		if (n > 16)
			at[1] = end[-2] = end[-1] = (hz_v16){ 0 };
		return;
	}
#if defined(__x86_64__)
	if (n >= HZ_STRING_BYTES) {
		size_t words = n / 8;
		__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(0) : "memory");
		return;
	}
#endif
	for (; at < end - 4; at += 4)
		at[0] = at[1] = at[2] = at[3] = (hz_v16){ 0 };
	end[-4] = end[-3] = end[-2] = end[-1] = (hz_v16){ 0 };
}

static inline void hz_copy(void *to, const void *from, size_t n)
{
	hz_v16 *at = to, *end = hz_v16_at(to, n);
	const hz_v16 *src = from, *last = hz_v16_at(from, n);
	if (n <= HZ_FOUR_STEPS) {
		size_t half = n >> 1 & 48; /* the second of up to four steps: 0, 16, 16, 32 */
		hz_v16 a = src[0], b = *hz_v16_at(from, half), c = *hz_v16_at(last, -half - 16);
		hz_v16 d = last[-1];
		at[0] = a, *hz_v16_at(to, half) = b, *hz_v16_at(end, -half - 16) = c, end[-1] = d;
		return;
	}
#if defined(__x86_64__)
	if (n >= HZ_STREAM_BYTES) {
		for (; at < end; at++, src++)
			__asm__ volatile("movntdq %1, %0" : "=m"(*at) : "x"(*src));
		__asm__ volatile("sfence" : : : "memory");
		return;
	}
	if (n >= HZ_STRING_BYTES) {
		size_t words = n / 8;
		__asm__ volatile("rep movsq" : "+D"(at), "+S"(src), "+c"(words) : : "memory");
		return;
	}
#endif
	for (; at < end - 4; at += 4, src += 4) {
		hz_v16 a = src[0], b = src[1], c = src[2], d = src[3];
		at[0] = a, at[1] = b, at[2] = c, at[3] = d;
	}
	hz_v16 a = last[-4], b = last[-3], c = last[-2], d = last[-1];
	end[-4] = a, end[-3] = b, end[-2] = c, end[-1] = d;
}

/* Moves n words down in memory (to < from); the ranges may overlap. */
static inline void hz_move_down(void **to, void **from, size_t n)
{
#if defined(__x86_64__)
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
#else
	while (n--)
		*to++ = *from++;
#endif
}

#include "lane.h"
