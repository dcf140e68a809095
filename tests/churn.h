/* SPDX-License-Identifier: MIT */
/*
 * churn.h - threads that keep the allocator busy while a test does something
 * to the process: fork, signals, failing system calls.
 *
 *	churn_start(3);  ...  churn_stop();
 *
 * Each thread replaces random blocks among its own and steals from the next
 * thread's shared row, so that foreign frees, refills and flushes are in
 * flight at any moment.  churn_errors counts blocks found changed.
 */
#ifndef CHURN_H
#define CHURN_H

#include "probe.h"

enum { CHURN_MOST = 16, CHURN_OWN = 200, CHURN_SHARED = 64 };

static struct {
	int running; /* atomic */
	int threads;
	long errors, rounds; /* atomic */
	pthread_t thread[CHURN_MOST];
	/* Atomic slots: whoever exchanges a block out owns it. */
	void *shared[CHURN_MOST][CHURN_SHARED];
} churn;

/* A block that carries its own size, so that a thief can check it. */
static inline size_t *churn_block(size_t n)
{
	size_t *p;
	if (n < 16)
		n = 16;
	p = (size_t *)escape(malloc(n));
	if (p) {
		p[0] = n;
		fill(p + 1, n - sizeof(*p), n);
	}
	return p;
}

static inline void churn_drop(size_t *p)
{
	if (p && !intact(p + 1, p[0] - sizeof(*p), p[0]))
		__atomic_fetch_add(&churn.errors, 1, __ATOMIC_RELAXED);
	free(p);
}

static inline void *churn_body(void *argument)
{
	size_t me = (size_t)argument, next = (me + 1) % (size_t)churn.threads;
	uint64_t state = me + 77;
	size_t *own[CHURN_OWN] = { NULL };
	while (__atomic_load_n(&churn.running, __ATOMIC_RELAXED)) {
		size_t i = random_to(&state, CHURN_OWN), k = random_to(&state, CHURN_SHARED);
		churn_drop(own[i]);
		own[i] = churn_block(random_size(&state, random_to(&state, 50) ? 12 : 20));
		churn_drop((size_t *)__atomic_exchange_n(&churn.shared[next][k], NULL,
							 __ATOMIC_ACQ_REL));
		churn_drop((size_t *)__atomic_exchange_n(
			&churn.shared[me][k], (void *)churn_block(i * 8), __ATOMIC_ACQ_REL));
		__atomic_fetch_add(&churn.rounds, 1, __ATOMIC_RELAXED);
	}
	for (size_t i = 0; i < CHURN_OWN; i++)
		churn_drop(own[i]);
	return NULL;
}

static inline void churn_start(int threads)
{
	churn.running = 1;
	churn.threads = threads;
	for (size_t i = 0; i < (size_t)threads; i++)
		churn.thread[i] = start_thread(churn_body, (void *)i);
	/* Every thread has its heap before the test begins. */
	while (__atomic_load_n(&churn.rounds, __ATOMIC_RELAXED) < 1000)
		usleep(100);
}

static inline void churn_stop(void)
{
	__atomic_store_n(&churn.running, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < churn.threads; i++)
		pthread_join(churn.thread[i], NULL);
	for (int i = 0; i < churn.threads; i++)
		for (int k = 0; k < CHURN_SHARED; k++)
			churn_drop((size_t *)__atomic_exchange_n(&churn.shared[i][k], NULL,
								 __ATOMIC_ACQ_REL));
}

/* What a process needs to be able to do at any time; 0 if it could. */
static inline int use_malloc(void)
{
	enum { BLOCKS = 12 };
	size_t *block[BLOCKS];
	int bad = 0;
	for (size_t n = 16; n <= MIB; n *= 4) {
		for (int i = 0; i < BLOCKS; i++) {
			block[i] = n == MIB && i > 0 ? NULL : churn_block(n + (size_t)i);
			bad |= !block[i] && (n < MIB || i == 0);
		}
		for (int i = 0; i < BLOCKS; i++) {
			bad |= block[i] &&
			       !intact(block[i] + 1, block[i][0] - sizeof(size_t), block[i][0]);
			block[i] = (size_t *)realloc(block[i], n / 2 + 40);
			free(block[i]);
		}
	}
	return bad;
}

/* What a child inherits and nobody else has: it can free it. */
static inline int free_inherited(void)
{
	for (int i = 0; i < churn.threads; i++)
		for (int k = 0; k < CHURN_SHARED; k++) {
			size_t *p = (size_t *)__atomic_exchange_n(&churn.shared[i][k], NULL,
								  __ATOMIC_ACQ_REL);
			/* Its thread may have been about to write it. */
			free(p);
		}
	return 0;
}

static inline void *use_malloc_in_thread(void *unused)
{
	(void)unused;
	return (void *)(size_t)use_malloc();
}

static inline int use_malloc_in_new_thread(void)
{
	pthread_t thread;
	void *bad;
	if (pthread_create(&thread, NULL, use_malloc_in_thread, NULL))
		return 1;
	pthread_join(thread, &bad);
	return bad != NULL;
}

#endif
