/* SPDX-License-Identifier: MIT */
/*
 * stress_threads - threads, mailboxes, random sizes, threads that end.
 *
 *	stress_threads [ROUNDS]        operations of each thread's life
 *
 *   N threads, each with its own blocks and a mailbox; a step allocates,
 *   resizes, frees, sends a block to a random mailbox or takes one out
 *   a thread lives LIVES times: it ends with its mailbox full, and its
 *   successor finds the blocks
 *
 * All sharing between threads is under the mailbox's mutex, so the program is
 * free of races itself: a ThreadSanitizer report is about the library.  Built
 * with HZ_TEST_PREFIX for that.
 */
#include "alloc_names.h"
#include "probe.h"

enum { THREADS = 6, LIVES = 8, ROUNDS = 30000, OWN = 150, BOX = 64, SIZE_BITS = 17 };

struct block {
	unsigned char *at;
	size_t size;
	uint64_t mark;
};

struct mailbox {
	pthread_mutex_t lock;
	struct block entry[BOX]; /* under the lock */
	unsigned count;          /* under the lock */
};

static struct mailbox mailbox[THREADS];
static long lost, refused, sent; /* atomic */
static long rounds = ROUNDS;

static void count(long *what, long by)
{
	if (by)
		__atomic_fetch_add(what, by, __ATOMIC_RELAXED);
}

static struct block make(uint64_t *state)
{
	struct block b = { NULL, random_size(state, random_to(state, 20) ? 10 : SIZE_BITS),
			   random_next(state) };
	switch (random_to(state, 8)) {
	case 0:
		b.at = T_calloc(1, b.size);
		count(&lost, b.at && !all_zero(b.at, b.size));
		break;
	case 1:
		b.at = T_aligned_alloc((size_t)16 << random_to(state, 9), b.size);
		break;
	default:
		b.at = T_malloc(b.size);
	}
	if (b.at)
		fill(b.at, b.size, b.mark);
	else
		count(&refused, 1);
	return b;
}

static void drop(struct block *b)
{
	if (b->at)
		count(&lost, !intact(b->at, b->size, b->mark));
	T_free(b->at);
	b->at = NULL;
}

static void resize(struct block *b, uint64_t *state)
{
	size_t n = random_size(state, random_to(state, 20) ? 10 : SIZE_BITS) + 1;
	unsigned char *p;
	count(&lost, !intact(b->at, b->size, b->mark));
	p = T_realloc(b->at, n);
	if (!p) {
		count(&refused, 1);
		return;
	}
	count(&lost, !intact_prefix(p, n < b->size ? n : b->size, b->mark));
	b->at = p;
	b->size = n;
	fill(p, n, b->mark);
}

/* A full box returns the block to the sender. */
static struct block send_to(struct mailbox *box, struct block b)
{
	pthread_mutex_lock(&box->lock);
	if (box->count < BOX) {
		box->entry[box->count++] = b;
		b.at = NULL;
	}
	pthread_mutex_unlock(&box->lock);
	count(&sent, !b.at);
	return b;
}

static struct block take_from(struct mailbox *box)
{
	struct block b = { NULL, 0, 0 };
	pthread_mutex_lock(&box->lock);
	if (box->count)
		b = box->entry[--box->count];
	pthread_mutex_unlock(&box->lock);
	return b;
}

static void *live(void *argument)
{
	size_t life = (size_t)argument, me = life % THREADS;
	uint64_t state = life * 7919 + 13;
	struct block own[OWN] = { { NULL, 0, 0 } };
	for (long i = 0; i < rounds; i++) {
		struct block *b = &own[random_to(&state, OWN)];
		if (!b->at) {
			*b = random_to(&state, 3) ? make(&state) : take_from(&mailbox[me]);
			continue;
		}
		switch (random_to(&state, 4)) {
		case 0:
			*b = send_to(&mailbox[random_to(&state, THREADS)], *b);
			break;
		case 1:
			resize(b, &state);
			break;
		default:
			drop(b);
		}
	}
	for (int i = 0; i < OWN; i++)
		drop(&own[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];
	if (argc > 1)
		rounds = strtol(argv[1], NULL, 0);
	rounds = work(rounds);
	diag("%d threads, %d lives of %ld steps", THREADS, LIVES, rounds);
	watchdog(3000);
	for (size_t i = 0; i < THREADS; i++)
		pthread_mutex_init(&mailbox[i].lock, NULL);
	for (size_t i = 0; i < THREADS; i++)
		thread[i] = start_thread(live, (void *)i);
	for (size_t life = 1; life < LIVES; life++)
		for (size_t i = 0; i < THREADS; i++) {
			pthread_join(thread[i], NULL);
			thread[i] = start_thread(live, (void *)(life * THREADS + i));
		}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (size_t i = 0; i < THREADS; i++)
		while (mailbox[i].count)
			drop(&mailbox[i].entry[--mailbox[i].count]);
	is_int(lost, 0, "no block changed");
	is_int(refused, 0, "nothing was refused");
	ok(sent > 0, "%ld blocks changed hands", sent);
	return tap_done();
}
