/* SPDX-License-Identifier: MIT */
/*
 * bench_larson - a server whose threads die and leave their blocks behind.
 *
 * Each of `threads` chains owns an array of live blocks.  A thread replaces
 * `ops` random ones (free, malloc), starts its successor, hands it the array
 * and ends; the successor frees what the dead allocated.  A chain ends after
 * `lives` threads.  ops is threads * lives * ops: replacements.
 */
#include "bench.h"

enum { THREADS, LIVES, OPS, SLOTS, MIN, MAX, NUMBERS };

static struct bench_number numbers[NUMBERS] = {
	[THREADS] = { "threads", 2, 1, 4096 },
	[LIVES] = { "lives", 200, 1, 1u << 30 },
	[OPS] = { "ops", 20000, 1, UINT64_MAX },
	[SLOTS] = { "slots", 5000, 1, 1u << 28 },
	[MIN] = { "min", 8, 1, 1u << 30 },
	[MAX] = { "max", 1000, 1, 1u << 30 },
};
static struct bench_number options[] = {
	{ "seed", 0x12345678, 0, UINT32_MAX },
};

struct chain {
	_Alignas(128) void **slots; /* of the one living thread */
	struct bench_rng rng;       /* likewise */
	uint64_t lives_left, failures;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t chains_alive; /* under lock */

static void *live(void *argument);

static void start(struct chain *c)
{
	pthread_attr_t attr;
	pthread_t id;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&id, &attr, live, c)) {
		fprintf(stderr, "%s: cannot start a thread\n", bench.program);
		exit(3);
	}
	pthread_attr_destroy(&attr);
}

static void *live(void *argument)
{
	struct chain *c = argument;
	uint32_t slots = (uint32_t)numbers[SLOTS].value;
	size_t min = numbers[MIN].value, max = numbers[MAX].value;

	for (uint64_t i = 0; i < numbers[OPS].value; i++) {
		void **slot = &c->slots[bench_pick(&c->rng, slots)];

		free(*slot);
		*slot = bench_alloc(bench_between(&c->rng, min, max),
				    &c->failures);
	}
	if (--c->lives_left) {
		start(c);
		return NULL;
	}
	pthread_mutex_lock(&lock);
	chains_alive--;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(int argc, char **argv)
{
	struct chain *chains;
	uint64_t threads, slots, failures = 0;
	double time;

	BENCH_PARSE(argc, argv, numbers, options, NULL);
	if (numbers[MAX].value < numbers[MIN].value)
		bench_usage("max is below min");
	threads = numbers[THREADS].value;
	slots = numbers[SLOTS].value;
	chains = bench_pages(threads * sizeof(*chains));
	for (uint64_t t = 0; t < threads; t++) {
		struct chain *c = &chains[t];

		c->slots = bench_pages(slots * sizeof(void *));
		c->rng.x = (uint32_t)(options[0].value + 977 * t);
		c->lives_left = numbers[LIVES].value;
		for (uint64_t i = 0; i < slots; i++)
			c->slots[i] = bench_alloc(
				bench_between(&c->rng, numbers[MIN].value,
					      numbers[MAX].value),
				&c->failures);
	}
	chains_alive = threads;
	time = bench_now();
	for (uint64_t t = 0; t < threads; t++)
		start(&chains[t]);
	pthread_mutex_lock(&lock);
	while (chains_alive)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	time = bench_now() - time;
	for (uint64_t t = 0; t < threads; t++) {
		for (uint64_t i = 0; i < slots; i++)
			free(chains[t].slots[i]);
		failures += chains[t].failures;
	}
	bench_print_args();
	return bench_finish(threads,
			    threads * numbers[LIVES].value *
				    numbers[OPS].value,
			    time, failures);
}
