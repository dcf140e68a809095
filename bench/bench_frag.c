/* SPDX-License-Identifier: MIT */
/*
 * bench_frag - live bytes against resident memory.
 *
 * Fills `mib` MiB with blocks of min..max bytes, frees free% of them at
 * random, rests, refills to the same live bytes with blocks of min2..max2,
 * frees everything, rests again.  One [FRAG] line a step; the ratio is
 * resident over live.  Whole blocks are written unless --touch says else, or
 * live bytes would say nothing.  The time is that of the calls, without the
 * rests; ops is the number of blocks allocated.
 */
#include "bench.h"

enum { MIB, MIN, MAX, FREE_PCT, MIN2, MAX2, NUMBERS };
enum { SEED, REST_MS, OPTIONS };

static struct bench_number numbers[NUMBERS] = {
	[MIB] = { "mib", 256, 1, 1u << 20 },
	[MIN] = { "min", 16, 1, 1u << 30 },
	[MAX] = { "max", 1024, 1, 1u << 30 },
	[FREE_PCT] = { "free_pct", 90, 0, 100 },
	[MIN2] = { "min2", 16, 1, 1u << 30 },
	[MAX2] = { "max2", 255, 1, 1u << 30 },
};
static struct bench_number options[OPTIONS] = {
	[SEED] = { "seed", 0x12345678, 0, UINT32_MAX },
	[REST_MS] = { "rest-ms", 500, 0, 3600000 },
};

struct block {
	void *p;
	size_t size;
};

static struct bench_rng rng;
static struct block *blocks;
static size_t count, live, capacity;
static uint64_t failures;
static long base_kb; /* resident before the first block: the harness */

static void fill(size_t target, size_t min, size_t max)
{
	while (live < target && count < capacity) {
		size_t size = bench_between(&rng, min, max);

		blocks[count].p = bench_alloc(size, &failures);
		if (!blocks[count].p)
			return;
		blocks[count++].size = size;
		live += size;
	}
}

/* Frees with a probability, keeps the rest in order. */
static void drop(uint32_t percent)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (bench_pick(&rng, 100) < percent) {
			live -= blocks[i].size;
			free(blocks[i].p);
		} else {
			blocks[kept++] = blocks[i];
		}
	}
	count = kept;
}

/* The table of blocks is the harness's own, so what of it is resident is not
 * counted. */
static void report(const char *step)
{
	static size_t most; /* blocks so far: pages of the table in use */
	long kb;

	most = count > most ? count : most;
	kb = bench_rss_kb() - base_kb -
	     (long)(most * sizeof(*blocks) / 1024);
	printf("[FRAG] step=%s live_kb=%zu rss_kb=%ld ratio=%.2f\n", step,
	       live / 1024, kb,
	       live ? (double)kb * 1024 / (double)live : 0);
	fflush(stdout);
}

static double timed(void (*what)(void))
{
	double start = bench_now();

	what();
	return bench_now() - start;
}

static uint64_t allocated;

static void step_fill(void)
{
	fill(numbers[MIB].value << 20, numbers[MIN].value,
	     numbers[MAX].value);
	allocated += count;
}

static void step_free(void)
{
	drop((uint32_t)numbers[FREE_PCT].value);
}

static void step_refill(void)
{
	size_t before = count;

	fill(numbers[MIB].value << 20, numbers[MIN2].value,
	     numbers[MAX2].value);
	allocated += count - before;
}

static void step_clear(void)
{
	drop(100);
}

static const struct {
	const char *name;
	void (*run)(void);
	bool rest; /* report again after a rest */
} steps[] = {
	{ "fill", step_fill, false },
	{ "free", step_free, true },
	{ "refill", step_refill, false },
	{ "clear", step_clear, true },
};

int main(int argc, char **argv)
{
	double time = 0;
	char rested[32];
	size_t smallest;

	bench.touch = BENCH_TOUCH_ALL;
	BENCH_PARSE(argc, argv, numbers, options, NULL);
	if (numbers[MAX].value < numbers[MIN].value ||
	    numbers[MAX2].value < numbers[MIN2].value)
		bench_usage("max is below min");
	smallest = (numbers[MIN].value + numbers[MAX].value) / 2;
	if ((numbers[MIN2].value + numbers[MAX2].value) / 2 < smallest)
		smallest = (numbers[MIN2].value + numbers[MAX2].value) / 2;
	capacity = (numbers[MIB].value << 21) / smallest + 1000;
	blocks = bench_pages(capacity * sizeof(*blocks));
	rng.x = (uint32_t)options[SEED].value;
	bench_print_args();
	base_kb = bench_rss_kb();
	for (size_t i = 0; i < BENCH_COUNT(steps); i++) {
		time += timed(steps[i].run);
		report(steps[i].name);
		if (!steps[i].rest)
			continue;
		bench_sleep((double)options[REST_MS].value / 1000);
		snprintf(rested, sizeof(rested), "%s_rest", steps[i].name);
		report(rested);
	}
	return bench_finish(0, allocated, time, failures);
}
