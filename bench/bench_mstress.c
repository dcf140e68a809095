/* SPDX-License-Identifier: MIT */
/*
 * bench_mstress - threads come and go, some blocks outlive them.
 *
 * Each round starts `threads` fresh threads.  Each makes `ops` steps: mostly
 * allocating into and freeing from a table of its own, one step in ten
 * exchanging a block with a table that all share, so that blocks are freed by
 * whoever meets them.  A thread that ends leaves one in eight of its blocks in
 * the shared table and frees the others; between rounds half of the shared
 * ones are freed.  Sizes are geometric: each doubling from 16 bytes is half
 * as frequent, with one block in 256 from 16 KiB to `max`.
 *
 * ops is threads * rounds * ops: steps.
 */
#include "bench.h"

enum { THREADS, ROUNDS, OPS, SLOTS, SHARED, MAX, NUMBERS };

static struct bench_number numbers[NUMBERS] = {
	[THREADS] = { "threads", 2, 1, 4096 },
	[ROUNDS] = { "rounds", 40, 1, UINT64_MAX },
	[OPS] = { "ops", 100000, 1, UINT64_MAX },
	[SLOTS] = { "slots", 4000, 8, 1u << 28 },
	[SHARED] = { "shared", 4000, 1, 1u << 28 },
	[MAX] = { "max", 262144, 16384, 1u << 30 },
};
static struct bench_number options[] = {
	{ "seed", 0x12345678, 0, UINT32_MAX },
};

static _Atomic(void *) *shared; /* exchanged whole: acquire-release */

struct worker {
	_Alignas(128) struct bench_rng rng;
	uint64_t failures;
	void **slots; /* reused by each round's thread */
};

static size_t draw_size(struct bench_rng *r)
{
	uint32_t x = bench_next(r);
	unsigned doubling;

	if (x >> 24 == 0)
		return bench_between(r, 16384, numbers[MAX].value);
	doubling = (unsigned)__builtin_clz(x | 1u << 21);
	return bench_between(r, 16u << doubling, 32u << doubling);
}

static void *exchange(struct bench_rng *r, void *mine)
{
	uint32_t at = bench_pick(r, (uint32_t)numbers[SHARED].value);

	return atomic_exchange_explicit(&shared[at], mine,
					memory_order_acq_rel);
}

static void *work(void *argument)
{
	struct worker *w = argument;
	uint32_t slots = (uint32_t)numbers[SLOTS].value;

	for (uint64_t i = 0; i < numbers[OPS].value; i++) {
		void **slot = &w->slots[bench_pick(&w->rng, slots)];

		if (bench_pick(&w->rng, 10) == 0) {
			*slot = exchange(&w->rng, *slot);
		} else if (*slot) {
			free(*slot);
			*slot = NULL;
		} else {
			*slot = bench_alloc(draw_size(&w->rng), &w->failures);
		}
	}
	for (uint32_t i = 0; i < slots; i++) {
		void *p = w->slots[i];

		if (i % 8 == 0)
			p = exchange(&w->rng, p);
		free(p);
		w->slots[i] = NULL;
	}
	return NULL;
}

static void clear_shared(unsigned step)
{
	for (uint64_t i = 0; i < numbers[SHARED].value; i += step)
		free(atomic_exchange(&shared[i], NULL));
}

int main(int argc, char **argv)
{
	struct worker *workers;
	uint64_t threads, failures = 0;
	double time;

	BENCH_PARSE(argc, argv, numbers, options, NULL);
	threads = numbers[THREADS].value;
	shared = bench_pages(numbers[SHARED].value * sizeof(*shared));
	workers = bench_pages(threads * sizeof(*workers));
	for (uint64_t i = 0; i < threads; i++) {
		workers[i].rng.x = (uint32_t)(options[0].value + 977 * i);
		workers[i].slots =
			bench_pages(numbers[SLOTS].value * sizeof(void *));
	}
	time = bench_now();
	for (uint64_t round = 0; round < numbers[ROUNDS].value; round++) {
		bench_threads(work, workers, sizeof(*workers), threads);
		clear_shared(2);
	}
	clear_shared(1);
	time = bench_now() - time;
	for (uint64_t i = 0; i < threads; i++)
		failures += workers[i].failures;
	bench_print_args();
	return bench_finish(threads,
			    threads * numbers[ROUNDS].value *
				    numbers[OPS].value,
			    time, failures);
}
