/* SPDX-License-Identifier: MIT */
/*
 * thread_adopt - slabs of live threads that have much free serve others.
 *
 *	thread_adopt [ROUNDS]
 *
 *   shrink   every other thread frees nine tenths of its set, at random
 *   grow     the rest double theirs, of the same sizes: what the first left
 *            free serves them, slab by slab, while it goes on with replacing
 *            blocks out of slabs that become another's under its hands
 *   swap     all pass their sets on and change roles, so that most frees are
 *            of somebody else's blocks; now and then a thread ends
 *
 * Before that one thread frees three fifths and sleeps, and main takes as much as is
 * left to it: where that comes from is asserted, and in all parts contents.  Built with
 * HZ_TEST_PREFIX for the white-box build and for a race detector, where only contents,
 * invariants and races count.
 */
#include "alloc_names.h"
#include "probe.h"

#ifndef HZ_TEST_PREFIX
#include <hz/hz.h>
#endif

enum { THREADS = 8, SET = 4000, MOST = 2 * SET, ROUNDS = 12, LEAST = 16, BYTES = 1000 };

struct block {
	unsigned char *at;
	uint32_t size, mark;
};

/* A set is one thread's between two barriers. */
static struct set {
	struct block block[MOST];
	size_t n;
	uint64_t random;
} set[THREADS];

static pthread_barrier_t step;
static long damaged, refused; /* atomic */
static long rounds = ROUNDS;

static void make(struct set *s, struct block *b)
{
	b->size = LEAST + (uint32_t)random_to(&s->random, BYTES);
	b->mark = (uint32_t)random_next(&s->random);
	b->at = T_malloc(b->size);
	if (b->at)
		fill(b->at, b->size, b->mark);
	else
		__atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
}

static void drop(struct block *b)
{
	if (b->at && !intact(b->at, b->size, b->mark))
		__atomic_fetch_add(&damaged, 1, __ATOMIC_RELAXED);
	T_free(b->at);
}

static void resize(struct set *s, size_t n)
{
	while (s->n > n) {
		size_t i = random_to(&s->random, s->n);
		drop(&s->block[i]);
		s->block[i] = s->block[--s->n];
	}
	while (s->n < n)
		make(s, &s->block[s->n++]);
}

static void replace(struct set *s, size_t times)
{
	while (times--) {
		struct block *b = &s->block[random_to(&s->random, s->n)];
		drop(b);
		make(s, b);
	}
}

struct life {
	size_t me;
	long from, to; /* rounds */
};

static void *live(void *argument)
{
	struct life *l = argument;
	for (long r = l->from; r < l->to; r++) {
		struct set *s = &set[(l->me + (size_t)r) % THREADS];
		int shrinks = (l->me + (size_t)r) % 2;
		if (shrinks)
			resize(s, SET / 10);
		pthread_barrier_wait(&step);
		if (!shrinks)
			resize(s, MOST);
		replace(s, shrinks ? SET : SET / 4);
		pthread_barrier_wait(&step);
		resize(s, SET);
		pthread_barrier_wait(&step);
	}
	return NULL;
}

static void *all_rounds(void *argument)
{
	struct life l = { (size_t)argument, 0, rounds };
	return live(&l);
}

/* One of the threads ends after every fourth round, and another goes on. */
static void *generations(void *argument)
{
	struct life l = { (size_t)argument, 0, 0 };
	for (; l.from < rounds; l.from = l.to) {
		l.to = l.from + 4 < rounds ? l.from + 4 : rounds;
		pthread_join(start_thread(live, &l), NULL);
	}
	return NULL;
}

#ifndef HZ_TEST_PREFIX
static pthread_barrier_t shrunk;

static void *leave_free(void *argument)
{
	struct set *s = argument;
	resize(s, MOST);
	resize(s, MOST * 2 / 5);
	pthread_barrier_wait(&shrunk);
	pthread_barrier_wait(&shrunk); /* alive, asleep */
	resize(s, 0);
	return NULL;
}

static uint64_t adopted(void)
{
	struct hz_report r;
	return hz_report_get(&r, sizeof(r)) ? 0 : r.adopted;
}

static void check_sleeper(void)
{
	long start, kept, grown;
	uint64_t before = adopted();
	pthread_t id;
	resize(&set[1], 10); /* this thread has a heap, and arrays */
	pthread_barrier_init(&shrunk, NULL, 2);
	start = rss_exact_bytes();
	id = start_thread(leave_free, &set[0]);
	pthread_barrier_wait(&shrunk);
	kept = rss_exact_bytes() - start;
	start = rss_exact_bytes();
	resize(&set[1], MOST * 2 / 5);
	grown = rss_exact_bytes() - start;
	pthread_barrier_wait(&shrunk);
	pthread_join(id, NULL);
	resize(&set[1], 0);
	diag("a sleeping thread keeps %ld KiB; as much as it uses takes %ld KiB anew, %d slabs adopted",
	     kept / 1024, grown / 1024, (int)(adopted() - before));
	ok(adopted() > before, "slabs of a live thread are adopted");
	is_at_most(100 * grown / (kept + 1), 20, "taken anew, in percent of what it keeps");
}
#endif

int main(int argc, char **argv)
{
	pthread_t id[THREADS];
	if (argc > 1)
		rounds = atol(argv[1]);
	rounds = work(rounds);
	watchdog(120);
	for (size_t i = 0; i < THREADS; i++)
		set[i].random = i + 1;
	pthread_barrier_init(&step, NULL, THREADS);
#ifndef HZ_TEST_PREFIX
	check_sleeper();
#endif
	for (size_t i = 0; i < THREADS; i++)
		id[i] = start_thread(i ? all_rounds : generations, (void *)i);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
	is_at_most(refused, 0, "allocations refused");
	is_at_most(damaged, 0, "blocks damaged");
	return tap_done();
}
