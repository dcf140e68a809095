/* SPDX-License-Identifier: MIT */
/*
 * adopt.c - a slab that changes owners while others free into it, in C11's own
 * memory model: for a model checker of C programs (genmc -rc11 adopt.c).
 *
 *   adopter   old owner's lock: tag, owner (release), unlock; own lock: take
 *   freer     tag (relaxed, a hint), that owner's lock, owner (acquire): the
 *             same? set the bit : again
 *   before    the old owner's bits were written under the old lock
 *
 * Bits are plain data: a data race, or a bit that is lost, is an error.  Two
 * freers, each with a block of its own.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#ifndef OWNER_STORE
#define OWNER_STORE memory_order_release
#endif
#ifndef OWNER_LOAD
#define OWNER_LOAD memory_order_acquire
#endif

static _Atomic int lock[2], owner, tag;
static int bits = 4; /* block 2 is free: the slab may be adopted */
static int taken; /* by the adopter */

static int try_lock(int h)
{
	int free_word = 0;
	return atomic_compare_exchange_strong_explicit(&lock[h], &free_word, 1,
						       memory_order_acquire, memory_order_relaxed);
}

static void unlock(int h)
{
	atomic_exchange_explicit(&lock[h], 0, memory_order_release);
}

void __VERIFIER_assume(int);

static void *freer(void *arg)
{
	int block = *(int *)arg;
	/* A stray goes round again; how often is not the question here. */
	for (int round = 0; round < 3; round++) {
		int h = atomic_load_explicit(&tag, memory_order_relaxed);
		while (!try_lock(h))
			;
		if (atomic_load_explicit(&owner, OWNER_LOAD) == h) {
			bits |= 1 << block;
			unlock(h);
			return 0;
		}
		unlock(h);
	}
	__VERIFIER_assume(0);
	return arg;
}

static void *adopter(void *arg)
{
	if (!try_lock(0))
		return arg;
	atomic_store_explicit(&tag, 1, memory_order_relaxed);
	atomic_store_explicit(&owner, 1, OWNER_STORE);
	unlock(0);
	while (!try_lock(1))
		;
	taken = bits;
	bits = 0;
	unlock(1);
	return arg;
}

int main(void)
{
	static int block[2] = { 0, 1 };
	pthread_t t[3];
	pthread_create(&t[0], 0, adopter, 0);
	pthread_create(&t[1], 0, freer, &block[0]);
	pthread_create(&t[2], 0, freer, &block[1]);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], 0);
	/* Each block is once in the slab or in the adopter's hands. */
	assert((bits | taken) == 7 && !(bits & taken));
	return 0;
}
