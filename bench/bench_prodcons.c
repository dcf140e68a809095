/* SPDX-License-Identifier: MIT */
/*
 * bench_prodcons - one thread allocates, another frees.
 *
 * Each pair passes batches of pointers through a bounded queue, so at most
 * depth * batch blocks are on their way: unlike the rings of the mt_remote
 * lanes the backlog cannot grow with the scheduler's moods.  ops is pairs *
 * objects: one allocation and one free elsewhere.
 */
#include "bench.h"

enum { PAIRS, OBJECTS, MIN, MAX, BATCH, DEPTH, NUMBERS };

static struct bench_number numbers[NUMBERS] = {
	[PAIRS] = { "pairs", 1, 1, 2048 },
	[OBJECTS] = { "objects", 10000000, 1, UINT64_MAX },
	[MIN] = { "min", 16, 1, 1u << 30 },
	[MAX] = { "max", 256, 1, 1u << 30 },
	[BATCH] = { "batch", 120, 1, 1u << 20 },
	[DEPTH] = { "depth", 64, 1, 1u << 20 },
};
static struct bench_number options[] = {
	{ "seed", 0x12345678, 0, UINT32_MAX },
};

/* `depth` batches in a circle: filled are those from `taken` to `given`. */
struct queue {
	_Alignas(128) pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t given, taken; /* under lock; count of batches so far */
	void **batches;        /* a batch belongs to one side at a time */
	struct bench_rng rng;  /* producer */
	uint64_t failures;     /* producer */
};

static void **batch_at(const struct queue *q, uint64_t n)
{
	return q->batches +
	       n % numbers[DEPTH].value * numbers[BATCH].value;
}

static uint64_t batch_count(void)
{
	return (numbers[OBJECTS].value + numbers[BATCH].value - 1) /
	       numbers[BATCH].value;
}

static void pass(struct queue *q, uint64_t *side)
{
	pthread_mutex_lock(&q->lock);
	(*side)++;
	pthread_cond_signal(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

static void produce(struct queue *q)
{
	size_t min = numbers[MIN].value, max = numbers[MAX].value;

	for (uint64_t n = 0; n < batch_count(); n++) {
		void **batch = batch_at(q, n);

		pthread_mutex_lock(&q->lock);
		while (n - q->taken == numbers[DEPTH].value)
			pthread_cond_wait(&q->changed, &q->lock);
		pthread_mutex_unlock(&q->lock);
		for (uint64_t i = 0; i < numbers[BATCH].value; i++)
			batch[i] = bench_alloc(
				bench_between(&q->rng, min, max),
				&q->failures);
		pass(q, &q->given);
	}
}

static void consume(struct queue *q)
{
	for (uint64_t n = 0; n < batch_count(); n++) {
		void **batch = batch_at(q, n);

		pthread_mutex_lock(&q->lock);
		while (q->given == n)
			pthread_cond_wait(&q->changed, &q->lock);
		pthread_mutex_unlock(&q->lock);
		for (uint64_t i = 0; i < numbers[BATCH].value; i++)
			free(batch[i]);
		pass(q, &q->taken);
	}
}

/* A pair is two threads on the same queue. */
struct side {
	struct queue *queue;
	bool producer;
};

static void *work(void *argument)
{
	struct side *s = argument;

	if (s->producer)
		produce(s->queue);
	else
		consume(s->queue);
	return NULL;
}

int main(int argc, char **argv)
{
	struct queue *queues;
	struct side *sides;
	uint64_t pairs, failures = 0;
	double time;

	BENCH_PARSE(argc, argv, numbers, options, NULL);
	if (numbers[MAX].value < numbers[MIN].value)
		bench_usage("max is below min");
	pairs = numbers[PAIRS].value;
	queues = bench_pages(pairs * sizeof(*queues));
	sides = bench_pages(2 * pairs * sizeof(*sides));
	for (uint64_t i = 0; i < pairs; i++) {
		struct queue *q = &queues[i];

		pthread_mutex_init(&q->lock, NULL);
		pthread_cond_init(&q->changed, NULL);
		q->rng.x = (uint32_t)(options[0].value + 977 * i);
		q->batches = bench_pages(numbers[DEPTH].value *
					 numbers[BATCH].value *
					 sizeof(void *));
		sides[2 * i] = (struct side){ q, true };
		sides[2 * i + 1] = (struct side){ q, false };
	}
	time = bench_now();
	bench_threads(work, sides, sizeof(*sides), 2 * pairs);
	time = bench_now() - time;
	for (uint64_t i = 0; i < pairs; i++)
		failures += queues[i].failures;
	bench_print_args();
	return bench_finish(2 * pairs,
			    pairs * batch_count() * numbers[BATCH].value,
			    time, failures);
}
