/* SPDX-License-Identifier: MIT */
/*
 * thread_pipeline - every block is born in one thread and dies in another.
 *
 *   3 producers --ring--> 3 relays --ring--> 2 consumers
 *     malloc, fill          check, realloc      check, free
 *
 * Sizes 1 byte to 256 KiB.  All contents are checked at every hand-over, and
 * at the end nothing may be missing.
 */
#include <semaphore.h>

#include "probe.h"

enum {
	RING = 256, /* messages in flight between two stages */
	PRODUCERS = 3,
	RELAYS = 3,
	CONSUMERS = 2,
	MESSAGES = 200000, /* of each producer */
	SIZE_BITS = 18,
};

struct message {
	void *block; /* NULL: the sender has ended */
	size_t size;
	uint64_t mark;
};

/* Any number of senders and receivers. */
struct ring {
	pthread_mutex_t lock;
	pthread_cond_t space, news;
	struct message entry[RING];
	unsigned first, count;
};

static struct ring to_relays = { .lock = PTHREAD_MUTEX_INITIALIZER,
				 .space = PTHREAD_COND_INITIALIZER,
				 .news = PTHREAD_COND_INITIALIZER };
static struct ring to_consumers = { .lock = PTHREAD_MUTEX_INITIALIZER,
				    .space = PTHREAD_COND_INITIALIZER,
				    .news = PTHREAD_COND_INITIALIZER };
static long lost, refused, received; /* atomic */

static void send(struct ring *ring, struct message m)
{
	pthread_mutex_lock(&ring->lock);
	while (ring->count == RING)
		pthread_cond_wait(&ring->space, &ring->lock);
	ring->entry[(ring->first + ring->count++) % RING] = m;
	pthread_cond_signal(&ring->news);
	pthread_mutex_unlock(&ring->lock);
}

static struct message receive(struct ring *ring)
{
	struct message m;
	pthread_mutex_lock(&ring->lock);
	while (ring->count == 0)
		pthread_cond_wait(&ring->news, &ring->lock);
	m = ring->entry[ring->first];
	ring->first = (ring->first + 1) % RING;
	ring->count--;
	pthread_cond_signal(&ring->space);
	pthread_mutex_unlock(&ring->lock);
	return m;
}

static void count(long *what, long by)
{
	__atomic_fetch_add(what, by, __ATOMIC_RELAXED);
}

static void *produce(void *seed)
{
	uint64_t state = (uintptr_t)seed;
	for (long i = work(MESSAGES); i > 0; i--) {
		size_t n = random_size(&state, random_to(&state, 8) ? 11 : SIZE_BITS) + 1;
		struct message m = { malloc(n), n, random_next(&state) };
		if (!m.block) {
			count(&refused, 1);
			continue;
		}
		fill(m.block, n, m.mark);
		send(&to_relays, m);
	}
	return NULL;
}

static void *relay(void *seed)
{
	uint64_t state = (uintptr_t)seed;
	struct message m;
	while ((m = receive(&to_relays)).block) {
		size_t n = random_size(&state, random_to(&state, 8) ? 11 : SIZE_BITS) + 1;
		size_t both = n < m.size ? n : m.size;
		void *p;
		count(&lost, !intact(m.block, m.size, m.mark));
		p = realloc(m.block, n);
		if (!p) {
			count(&refused, 1);
			p = m.block;
			n = m.size;
		}
		count(&lost, !intact_prefix(p, both, m.mark));
		m = (struct message){ p, n, m.mark + 1 };
		fill(p, n, m.mark);
		send(&to_consumers, m);
	}
	return NULL;
}

static void *consume(void *unused)
{
	struct message m;
	(void)unused;
	while ((m = receive(&to_consumers)).block) {
		count(&lost, !intact(m.block, m.size, m.mark));
		count(&received, 1);
		free(m.block);
	}
	return NULL;
}

int main(void)
{
	pthread_t producer[PRODUCERS], relays[RELAYS], consumer[CONSUMERS];
	watchdog(work(120));
	for (size_t i = 0; i < PRODUCERS; i++)
		producer[i] = start_thread(produce, (void *)(i + 1));
	for (size_t i = 0; i < RELAYS; i++)
		relays[i] = start_thread(relay, (void *)(i + 101));
	for (size_t i = 0; i < CONSUMERS; i++)
		consumer[i] = start_thread(consume, NULL);
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(producer[i], NULL);
	for (int i = 0; i < RELAYS; i++)
		send(&to_relays, (struct message){ NULL, 0, 0 });
	for (int i = 0; i < RELAYS; i++)
		pthread_join(relays[i], NULL);
	for (int i = 0; i < CONSUMERS; i++)
		send(&to_consumers, (struct message){ NULL, 0, 0 });
	for (int i = 0; i < CONSUMERS; i++)
		pthread_join(consumer[i], NULL);
	is_int(lost, 0, "no block changed on its way");
	is_int(refused, 0, "nothing was refused");
	is_int(received, PRODUCERS * work(MESSAGES), "every block arrived");
	return tap_done();
}
