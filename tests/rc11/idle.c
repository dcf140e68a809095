/* SPDX-License-Identifier: MIT */
/*
 * idle.c - a batch for a heap whose thread is just ending, in C11's own memory
 * model: for a model checker of C programs (genmc -rc11 idle.c).
 *
 *   freer   blocks into the batch, CAS on the inbox, is the owner IDLE?
 *   owner   lock, IDLE, unlock, IDLE still? then is the inbox empty?
 *
 * One of the two sees the other's write, with every order that the orderings in
 * remote.h, handover.c and heap.c allow, and sees the blocks.  Two freers.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#ifndef INBOX_ORDER /* of the look into the inbox, hz_inbox_any */
#define INBOX_ORDER memory_order_seq_cst
#endif
#ifndef TRY_ORDER /* of hz_trylock, also when it fails */
#define TRY_ORDER memory_order_seq_cst
#endif
#ifndef UNLOCK_ORDER
#define UNLOCK_ORDER memory_order_seq_cst
#endif
#ifndef STATE_ORDER /* of the store and the loads of the heap's state */
#define STATE_ORDER memory_order_seq_cst
#endif

enum { LIVE, IDLE };

static struct batch {
	struct batch *next;
	int block; /* plain: published by the CAS */
} batch[2];
static struct batch *_Atomic inbox;
static _Atomic int state, lock;
static int bits; /* of the slabs; under the lock */

static int try_lock(void)
{
	int free_word = 0;
	return atomic_compare_exchange_strong_explicit(&lock, &free_word, 1, TRY_ORDER, TRY_ORDER);
}

static void unlock(void)
{
	atomic_exchange_explicit(&lock, 0, UNLOCK_ORDER);
}

static void drain(void)
{
	while (atomic_load_explicit(&inbox, INBOX_ORDER) && try_lock()) {
		struct batch *b = atomic_exchange_explicit(&inbox, 0, memory_order_seq_cst);
		for (; b; b = b->next)
			bits += b->block;
		unlock();
		if (atomic_load_explicit(&state, STATE_ORDER) != IDLE)
			break;
	}
}

static void sent(void)
{
	if (atomic_load_explicit(&state, STATE_ORDER) == IDLE)
		drain();
}

static void *freer(void *arg)
{
	struct batch *b = arg, *head = atomic_load_explicit(&inbox, memory_order_relaxed);
	b->block = 1;
	do
		b->next = head;
	while (!atomic_compare_exchange_strong_explicit(&inbox, &head, b, memory_order_seq_cst,
							memory_order_relaxed));
	sent();
	return 0;
}

static void *owner(void *arg)
{
	while (!try_lock())
		;
	atomic_store_explicit(&state, IDLE, STATE_ORDER);
	unlock();
	sent();
	return arg;
}

int main(void)
{
	pthread_t t[3];
	pthread_create(&t[0], 0, owner, 0);
	pthread_create(&t[1], 0, freer, &batch[0]);
	pthread_create(&t[2], 0, freer, &batch[1]);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], 0);
	assert(!atomic_load_explicit(&inbox, memory_order_relaxed)); /* nothing is stranded */
	assert(bits == 2); /* and nothing was lost or taken twice */
	return 0;
}
