/* SPDX-License-Identifier: MIT */
/*
 * bench_malloc_args - one thread, random slots, uniform sizes.
 *
 * Picks a slot and draws a size; an occupied slot is freed, an empty one is
 * filled.  Every iteration is one op.  The final drain is inside the timed
 * region.  The three lines to report are 16..2048, 4096..32768 and 16..32768.
 */
#include "bench.h"

enum { ITERS, WS, MIN, MAX, SEED, NUMBERS };

static struct bench_number numbers[NUMBERS] = {
	[ITERS] = { "iters", 20000000, 1, UINT64_MAX },
	[WS] = { "ws", 400, 1, 1u << 30 },
	[MIN] = { "min", 16, 1, 1u << 30 },
	[MAX] = { "max", 2048, 1, 1u << 30 },
	[SEED] = { "seed", 0x12345678, 0, UINT32_MAX },
};
static struct bench_number options[] = {
	{ "print-choices", 0, 0, 1000000 },
};

static double run(struct bench_rng rng, uint64_t *failures)
{
	uint32_t ws = (uint32_t)numbers[WS].value;
	size_t min = numbers[MIN].value, max = numbers[MAX].value;
	uint64_t iters = numbers[ITERS].value;
	void **slots = bench_pages(ws * sizeof(*slots));
	double start = bench_now(), end;

	for (uint64_t i = 0; i < iters; i++) {
		void **slot = &slots[bench_pick(&rng, ws)];
		size_t size = bench_between(&rng, min, max);

		if (*slot) {
			free(*slot);
			*slot = NULL;
		} else {
			*slot = bench_alloc(size, failures);
		}
	}
	for (uint32_t i = 0; i < ws; i++)
		free(slots[i]);
	end = bench_now();
	munmap(slots, ws * sizeof(*slots));
	return end - start;
}

int main(int argc, char **argv)
{
	struct bench_rng rng;
	uint64_t failures = 0;
	double time;

	BENCH_PARSE(argc, argv, numbers, options, NULL);
	if (numbers[MAX].value < numbers[MIN].value)
		bench_usage("max is below min");
	rng.x = (uint32_t)numbers[SEED].value;
	if (options[0].value) {
		bench_print_choices(rng, options[0].value,
				    (uint32_t)numbers[WS].value,
				    numbers[MIN].value, numbers[MAX].value);
		return 0;
	}
	time = run(rng, &failures);
	bench_print_args();
	printf("[RSS] max_kb=%ld\n",
	       bench_proc_kb("/proc/self/status", "\nVmHWM:"));
	return bench_finish(0, numbers[ITERS].value, time, failures);
}
