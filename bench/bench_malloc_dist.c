/* SPDX-License-Identifier: MIT */
/*
 * bench_malloc_dist - one thread, random slots, sizes from a distribution.
 *
 * The loop of bench_malloc_args with sizes from up to three buckets, each
 * uniform inside and chosen by weight.  Buckets are clamped to [min, max]; one
 * that is empty then has weight 0.
 *
 *   (none)     uniform in [min, max]
 *   app        16-256:80, 257-2048:15, 2049-max:5
 *   bimodal    lo_min lo_max lo_w hi_min hi_max hi_w
 *              (alone: 16 128 90 16384 32768 10)
 *   trimix     a_min a_max a_w b_min b_max b_w c_min c_max c_w
 *   trimix_smallhot, trimix_mediumhot
 *              16-256, 257-2048, 2049-32768 by 90/8/2 and 20/30/50
 */
#include "bench.h"

enum { ITERS, WS, MIN, MAX, SEED, NUMBERS };
enum { BUCKETS = 3 };

static struct bench_number numbers[NUMBERS] = {
	[ITERS] = { "iters", 20000000, 1, UINT64_MAX },
	[WS] = { "ws", 400, 1, 1u << 30 },
	[MIN] = { "min", 16, 1, 1u << 30 },
	[MAX] = { "max", 32768, 1, 1u << 30 },
	[SEED] = { "seed", 0x12345678, 0, UINT32_MAX },
};
static struct bench_number options[] = {
	{ "print-sizes", 0, 0, 100000000 }, /* for the tests */
};

struct bucket {
	uint64_t min, max, weight;
};

/* `words` of the mode are numbers when `given` is set; then there must be
 * three for each of `count` buckets, or none where a default exists. */
struct mode {
	const char *name;
	int count;
	bool given, has_default;
	struct bucket buckets[BUCKETS];
};

static const struct mode modes[] = {
	{ "app",
	  3,
	  false,
	  true,
	  { { 16, 256, 80 }, { 257, 2048, 15 }, { 2049, UINT64_MAX, 5 } } },
	{ "bimodal",
	  2,
	  true,
	  true,
	  { { 16, 128, 90 }, { 16384, 32768, 10 } } },
	{ "trimix", 3, true, false, { { 0 } } },
	{ "trimix_smallhot",
	  3,
	  false,
	  true,
	  { { 16, 256, 90 }, { 257, 2048, 8 }, { 2049, 32768, 2 } } },
	{ "trimix_mediumhot",
	  3,
	  false,
	  true,
	  { { 16, 256, 20 }, { 257, 2048, 30 }, { 2049, 32768, 50 } } },
};

/* The distribution in force; `total` is the sum of the weights, 0 for the
 * uniform one, which takes no draw for a bucket. */
static struct {
	struct bucket buckets[BUCKETS];
	uint32_t total;
} dist;

static inline size_t draw_size(struct bench_rng *r)
{
	const struct bucket *b = dist.buckets;
	uint32_t at;

	if (!dist.total)
		return bench_between(r, b->min, b->max);
	at = bench_pick(r, dist.total);
	while (at >= b->weight) {
		at -= (uint32_t)b->weight;
		b++;
	}
	return bench_between(r, b->min, b->max);
}

static void read_buckets(const struct mode *m, int argc, char **argv)
{
	memcpy(dist.buckets, m->buckets, sizeof(dist.buckets));
	if (argc == 0 && m->has_default)
		return;
	if (!m->given || argc != 3 * m->count)
		bench_usage("a mode with too many or too few numbers");
	for (int i = 0; i < m->count; i++) {
		struct bucket *b = &dist.buckets[i];

		if (!bench_read(argv[3 * i], 1, 1u << 30, &b->min) ||
		    !bench_read(argv[3 * i + 1], b->min, 1u << 30, &b->max) ||
		    !bench_read(argv[3 * i + 2], 0, 1000000, &b->weight))
			bench_usage("a bucket is min max weight");
	}
}

static void choose(int argc, char **argv)
{
	uint64_t min = numbers[MIN].value, max = numbers[MAX].value;
	size_t i = 0;

	if (argc == 0) {
		dist.buckets[0] = (struct bucket){ min, max, 1 };
		return;
	}
	while (i < BENCH_COUNT(modes) && strcmp(modes[i].name, argv[0]))
		i++;
	if (i == BENCH_COUNT(modes))
		bench_usage("a mode it does not know");
	read_buckets(&modes[i], argc - 1, argv + 1);
	for (i = 0; i < BUCKETS; i++) {
		struct bucket *b = &dist.buckets[i];

		b->min = b->min < min ? min : b->min;
		b->max = b->max > max ? max : b->max;
		if (b->min > b->max)
			b->weight = 0;
		dist.total += (uint32_t)b->weight;
	}
	if (!dist.total)
		bench_usage("no bucket is left inside [min, max]");
}

static double run(struct bench_rng rng, uint64_t *failures)
{
	uint32_t ws = (uint32_t)numbers[WS].value;
	uint64_t iters = numbers[ITERS].value;
	void **slots = bench_pages(ws * sizeof(*slots));
	double start = bench_now(), end;

	for (uint64_t i = 0; i < iters; i++) {
		void **slot = &slots[bench_pick(&rng, ws)];
		size_t size = draw_size(&rng);

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
	int words = BENCH_PARSE(argc, argv, numbers, options, " [mode ...]");
	struct bench_rng rng = { (uint32_t)numbers[SEED].value };
	uint64_t failures = 0;
	double time;

	if (numbers[MAX].value < numbers[MIN].value)
		bench_usage("max is below min");
	choose(words, argv);
	for (uint64_t i = 0; i < options[0].value; i++)
		printf("%zu\n", draw_size(&rng));
	if (options[0].value)
		return 0;
	time = run(rng, &failures);
	bench_print_args();
	printf("[DIST] mode=%s", words ? argv[0] : "uniform");
	for (int i = 0; i < BUCKETS; i++)
		if (dist.buckets[i].weight)
			printf(" %llu-%llu:%llu",
			       (unsigned long long)dist.buckets[i].min,
			       (unsigned long long)dist.buckets[i].max,
			       (unsigned long long)dist.buckets[i].weight);
	printf("\n[RSS] max_kb=%ld\n",
	       bench_proc_kb("/proc/self/status", "\nVmHWM:"));
	return bench_finish(0, numbers[ITERS].value, time, failures);
}
