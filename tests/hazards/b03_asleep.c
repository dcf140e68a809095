/* SPDX-License-Identifier: MIT */
/*
 * b03_asleep - owners that sleep, threads that only free; rows B2 and B3.
 *
 *   4 threads allocate 16 MiB each and sleep | 2 threads that never allocate
 *   free it all | malloc_trim: resident memory is back, with all six alive
 *
 * And the memory is used again by another thread without growing.
 */
#include "hazard.h"

enum { OWNERS = 4, EACH = 16 << 20, BLOCK = 200, BLOCKS = EACH / BLOCK };

static void **made[OWNERS];
static pthread_barrier_t ready, done;

static void *owner(void *argument)
{
	void **mine = made[(size_t)argument];
	for (size_t i = 0; i < BLOCKS; i++) {
		mine[i] = malloc(i % 16 ? BLOCK : 4 * BLOCK);
		if (mine[i])
			memset(mine[i], 1, i % 16 ? BLOCK : 4 * BLOCK);
	}
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&done); /* asleep */
	return NULL;
}

static void *freer(void *argument)
{
	for (size_t i = 0; i < BLOCKS; i++)
		for (size_t k = (size_t)argument; k < OWNERS; k += 2)
			free(made[k][i]);
	return NULL;
}

static void *user(void *unused)
{
	size_t n = 0;
	void **mine = made[0];
	(void)unused;
	for (size_t i = 0; i < BLOCKS; i++) {
		mine[i] = calloc(1, BLOCK);
		n += mine[i] != NULL;
	}
	for (size_t i = 0; i < BLOCKS; i++)
		free(mine[i]);
	return n == BLOCKS ? mine : NULL;
}

int main(void)
{
	pthread_t thread[OWNERS + 3];
	long before, full, after, again;
	void *good = NULL;
	watchdog(HAZARD_SECONDS);
	for (size_t i = 0; i < OWNERS; i++) {
		made[i] = mmap(NULL, BLOCKS * sizeof(void *), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (made[i] == MAP_FAILED)
			tap_bail("mmap");
	}
	pthread_barrier_init(&ready, NULL, OWNERS + 1);
	pthread_barrier_init(&done, NULL, OWNERS + 1);
	before = rss_exact_bytes();
	for (size_t i = 0; i < OWNERS; i++)
		thread[i] = start_thread(owner, (void *)i);
	pthread_barrier_wait(&ready);
	full = rss_exact_bytes();
	for (size_t i = 0; i < 2; i++)
		thread[OWNERS + i] = start_thread(freer, (void *)i);
	for (size_t i = 0; i < 2; i++)
		pthread_join(thread[OWNERS + i], NULL);
	malloc_trim(0);
	after = rss_exact_bytes();
	ok(after - before < (full - before) / 8,
	   "B2 B3 freed for sleeping owners, %ld KiB of %ld remain", (after - before) / 1024,
	   (full - before) / 1024);
	thread[OWNERS + 2] = start_thread(user, NULL);
	pthread_join(thread[OWNERS + 2], &good);
	again = rss_exact_bytes();
	ok(good && again - before < 2 * EACH, "B3 and another thread uses it: %ld KiB",
	   (again - before) / 1024);
	pthread_barrier_wait(&done);
	for (size_t i = 0; i < OWNERS; i++)
		pthread_join(thread[i], NULL);
	return tap_done();
}
