/* SPDX-License-Identifier: MIT */
/*
 * bench_sleepers - threads that used every size once and sleep.
 *
 * Each thread, for each size from 16 bytes to `max` (steps of 16 to 128, then
 * four a doubling: what most allocators have classes for), allocates `blocks`
 * blocks, or as many as make `bytes`, writes them whole and frees them; then it
 * sleeps.  One after the other, or with --together at the same time.  Nothing
 * is live then: the resident set less that before the first thread began is
 * what the threads' caches and the pages behind them retain, one line:
 *
 *   [SLEEP] threads=64 retained_kb=...
 *
 * ops is the number of blocks.
 */
#include "bench.h"

enum { THREADS, BLOCKS, BYTES, MAX, NUMBERS };

static struct bench_number numbers[NUMBERS] = {
	[THREADS] = { "threads", 64, 1, 4096 },
	[BLOCKS] = { "blocks", 64, 1, 1u << 20 },
	[BYTES] = { "bytes", 262144, 16, 1u << 30 },
	[MAX] = { "max", 32768, 16, 1u << 24 },
};
static struct bench_number options[] = {
	{ "together", 0, 0, 1 },
};

struct worker {
	_Alignas(128) uint64_t ops;
	uint64_t failures;
	void **blocks;
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t step;

static size_t next_size(size_t size)
{
	size_t quarter = 16;

	while (quarter * 8 <= size)
		quarter *= 2;
	return size + quarter;
}

static void use_all(struct worker *w)
{
	for (size_t size = 16; size <= numbers[MAX].value; size = next_size(size)) {
		uint64_t n = numbers[BYTES].value / size;

		if (n > numbers[BLOCKS].value)
			n = numbers[BLOCKS].value;
		for (uint64_t i = 0; i < n; i++) {
			w->blocks[i] = bench_alloc(size, &w->failures);
			if (w->blocks[i])
				memset(w->blocks[i], 1, size);
		}
		for (uint64_t i = 0; i < n; i++)
			free(w->blocks[i]);
		w->ops += n;
	}
}

static void *work(void *argument)
{
	pthread_barrier_wait(&step);
	if (!options[0].value)
		pthread_mutex_lock(&turn);
	use_all(argument);
	if (!options[0].value)
		pthread_mutex_unlock(&turn);
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step); /* main reads meanwhile */
	return NULL;
}

int main(int argc, char **argv)
{
	struct worker *workers;
	uint64_t threads, ops = 0, failures = 0;
	pthread_t *ids;
	double time;
	long before;

	BENCH_PARSE(argc, argv, numbers, options, NULL);
	threads = numbers[THREADS].value;
	workers = bench_pages(threads * sizeof(*workers));
	ids = bench_pages(threads * sizeof(*ids));
	pthread_barrier_init(&step, NULL, (unsigned)threads + 1);
	for (uint64_t i = 0; i < threads; i++) {
		workers[i].blocks = bench_pages(numbers[BLOCKS].value * sizeof(void *));
		memset(workers[i].blocks, 0, numbers[BLOCKS].value * sizeof(void *));
		if (pthread_create(&ids[i], NULL, work, &workers[i]))
			return 3;
	}
	bench_sleep(0.05); /* all of them wait: their stacks are there */
	before = bench_rss_kb();
	time = bench_now();
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	time = bench_now() - time;
	bench_sleep(0.1);
	bench_print_args();
	printf("[SLEEP] threads=%llu retained_kb=%ld\n", (unsigned long long)threads,
	       bench_rss_kb() - before);
	pthread_barrier_wait(&step);
	for (uint64_t i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		ops += workers[i].ops;
		failures += workers[i].failures;
	}
	return bench_finish(threads, ops, time, failures);
}
