/* SPDX-License-Identifier: MIT */
/*
 * whitebox.h - what the unit tests share: one child per scene, and a look at everything.
 *
 *   main --fork--> scene (allocator untouched so far) --> exit code --> ok / not ok
 *
 * A scene starts from the state of a new process, may break what it likes, and
 * says with NEED what has to hold; the first that does not ends it.  Programs
 * are linked to libhzwb.la: their own malloc is the C library's.
 */
#pragma once

#include "api.h"
#include "pressure.h"
#include "probe.h"

/* Seconds that a scene may take; generous, for hangs only. */
enum { SCENE_SECONDS = 60 };

#define NEED(x)                                                               \
	do {                                                                  \
		if (!(x)) {                                                   \
			diag("%s:%d: not so: %s", __FILE__, __LINE__, #x);    \
			_exit(1);                                             \
		}                                                             \
	} while (0)

/* The same, with a number that tells which round it was. */
#define NEED_AT(x, at)                                                                \
	do {                                                                          \
		if (!(x)) {                                                           \
			diag("%s:%d: not so at %lld: %s", __FILE__, __LINE__,         \
			     (long long)(at), #x);                                    \
			_exit(1);                                                     \
		}                                                                     \
	} while (0)

/* Runs body(arg) in a child; its wait status. */
static inline int scene_status(void (*body)(long arg), long arg)
{
	pid_t pid = fork();
	if (pid < 0)
		tap_bail("fork: %s", strerror(errno));
	if (pid == 0) {
		watchdog(SCENE_SECONDS);
		body(arg);
		_exit(0);
	}
	return reap(pid);
}

static inline void tell_status(int status, long arg)
{
	if (WIFSIGNALED(status))
		diag("signal %d at %ld", WTERMSIG(status), arg);
	else if (!ended_well(status))
		diag("exit code %d at %ld", WEXITSTATUS(status), arg);
}

static inline void scene(void (*body)(long arg), long arg, const char *what)
{
	int status = scene_status(body, arg);
	ok(ended_well(status), "%s", what);
	tell_status(status, arg);
}

/* Emulators answer "done" and do nothing; libhz must not believe it. */
static inline bool kernel_wipes(void)
{
	char *p = mmap(NULL, HZ_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(p != MAP_FAILED);
	*p = 1;
	if (madvise(p, HZ_PAGE, MADV_WIPEONFORK))
		return false;
	pid_t pid = fork();
	if (pid == 0)
		_exit(*p);
	return ended_well(reap(pid));
}

/* Every committed page belongs to exactly one run, and the counters say so. */

struct census {
	size_t pages, runs, used, dirty, clean, large, lost;
	const struct hz_arena *arena;
	size_t next; /* page after the last run seen */
};

static inline bool census_one(struct hz_run *r, void *arg)
{
	struct census *c = arg;
	const struct hz_arena *a = hz_run_arena(r);
	size_t pages = hz_run_pages(r);
	if (a != c->arena) {
		c->lost += c->arena ? c->arena->pages_top - c->next : 0;
		c->arena = a;
		c->next = 0;
	}
	NEED(hz_run_first(r) >= c->next);
	c->lost += hz_run_first(r) - c->next;
	c->next = hz_run_first(r) + pages;
	NEED(c->next <= a->pages_top);
	c->runs++;
	c->pages += pages;
	switch (r->state) {
	case HZ_RUN_CLEAN:
		c->clean += pages;
		break;
	case HZ_RUN_DIRTY:
	case HZ_RUN_BUSY: /* in stock, or kept */
		c->dirty += pages;
		break;
	case HZ_RUN_LARGE:
		c->large += pages;
		c->used += pages;
		break;
	case HZ_RUN_SLAB:
		c->used += pages;
		break;
	default:
		NEED(!"a run in the walk has a state");
	}
	return true;
}

/* Nobody else is at work.  Returns what it saw. */
static inline struct census pages_whole(void)
{
	struct census c = { 0 };
	size_t kept = 0; /* by threads, large runs */
	hz_lock(&hz_arena_lock);
	hz_run_walk(census_one, &c);
	c.lost += c.arena ? c.arena->pages_top - c.next : 0;
	for (const struct hz_heap *h = hz_heap_first(); h; h = h->next)
		kept += h->kept.pages;
	NEED(c.used + kept == hz_run_counts.used_pages);
	NEED(c.dirty == hz_run_counts.dirty_pages + kept);
	NEED(c.clean == hz_run_counts.clean_pages);
	NEED(c.large + kept == hz_run_counts.large_pages);
	hz_unlock(&hz_arena_lock);
	return c;
}

/* Slabs of one block change without their heap's lock: a fork may catch one. */
static inline bool slab_whole(struct hz_run *r, void *forked)
{
	if (r->state == HZ_RUN_SLAB && !(forked && r->blocks == 1))
		hz_slab_check(r);
	return true;
}

/* Every invariant of every layer; nobody else is at work. */
static inline void all_whole(void)
{
	struct census c = pages_whole();
	NEED(c.lost == 0);
	hz_lock(&hz_arena_lock);
	hz_run_check();
	hz_unlock(&hz_arena_lock);
	hz_run_walk(slab_whole, NULL);
	for (struct hz_heap *h = hz_heap_first(); h; h = h->next)
		hz_heap_check(h);
}
