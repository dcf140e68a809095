/* SPDX-License-Identifier: MIT */
/*
 * bench_bulk - allocate many, free all, in a chosen order.
 *
 * Each thread, each round: `objects` allocations, then as many frees in random
 * order (the default), in the order of allocation (fifo), against it (lifo),
 * or half now and half after the next round (stagger: pages that are never
 * all empty).  ops is threads * rounds * objects.
 */
#include "bench.h"

enum { ROUNDS, OBJECTS, MIN, MAX, THREADS, NUMBERS };
enum order { RANDOM, FIFO, LIFO, STAGGER, ORDERS };

static const char *const order_names[ORDERS] = {
	[RANDOM] = "random", [FIFO] = "fifo",
	[LIFO] = "lifo",     [STAGGER] = "stagger",
};
static struct bench_number numbers[NUMBERS] = {
	[ROUNDS] = { "rounds", 100, 1, UINT64_MAX },
	[OBJECTS] = { "objects", 100000, 1, 1u << 30 },
	[MIN] = { "min", 16, 1, 1u << 30 },
	[MAX] = { "max", 128, 1, 1u << 30 },
	[THREADS] = { "threads", 1, 1, 4096 },
};
static struct bench_number options[] = {
	{ "seed", 0x12345678, 0, UINT32_MAX },
};
static enum order order;

struct worker {
	_Alignas(128) struct bench_rng rng;
	uint64_t failures;
	uint32_t *frees; /* indices in the order of freeing */
	void **blocks;
};

static void set_order(struct worker *w, uint32_t n)
{
	w->frees = bench_shuffle(n, &w->rng);
	if (order == FIFO || order == LIFO)
		for (uint32_t i = 0; i < n; i++)
			w->frees[i] = order == FIFO ? i : n - 1 - i;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	uint32_t n = (uint32_t)numbers[OBJECTS].value;
	uint32_t now = order == STAGGER ? n / 2 : n;
	size_t min = numbers[MIN].value, max = numbers[MAX].value;

	for (uint64_t round = 0; round < numbers[ROUNDS].value; round++) {
		for (uint32_t i = 0; i < n; i++)
			if (!w->blocks[i])
				w->blocks[i] = bench_alloc(
					bench_between(&w->rng, min, max),
					&w->failures);
		for (uint32_t i = 0; i < now; i++) {
			uint32_t k = (uint32_t)((i + round * now) % n);

			free(w->blocks[w->frees[k]]);
			w->blocks[w->frees[k]] = NULL;
		}
	}
	for (uint32_t i = 0; i < n; i++)
		free(w->blocks[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	int words = BENCH_PARSE(argc, argv, numbers, options,
				" [random|fifo|lifo|stagger]");
	struct worker *workers;
	uint64_t threads, objects, failures = 0, ops;
	double time;

	if (numbers[MAX].value < numbers[MIN].value)
		bench_usage("max is below min");
	while (words && order < ORDERS && strcmp(order_names[order], argv[0]))
		order++;
	if (words > 1 || order == ORDERS)
		bench_usage("an order it does not know");
	threads = numbers[THREADS].value;
	objects = numbers[OBJECTS].value;
	workers = bench_pages(threads * sizeof(*workers));
	for (uint64_t i = 0; i < threads; i++) {
		workers[i].rng.x = (uint32_t)(options[0].value + 977 * i);
		workers[i].blocks = bench_pages(objects * sizeof(void *));
		set_order(&workers[i], (uint32_t)objects);
	}
	time = bench_now();
	bench_threads(work, workers, sizeof(*workers), threads);
	time = bench_now() - time;
	for (uint64_t i = 0; i < threads; i++)
		failures += workers[i].failures;
	bench_print_args();
	ops = threads * numbers[ROUNDS].value * objects;
	return bench_finish(threads, order == STAGGER ? ops / 2 : ops, time,
			    failures);
}
