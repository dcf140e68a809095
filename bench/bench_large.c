/* SPDX-License-Identifier: MIT */
/*
 * bench_large - blocks of megabytes, and blocks that grow.
 *
 *   churn   `live` slots of min..max bytes, replaced at random (5-25 MiB)
 *   grow    `live` vectors grown by half again through realloc from min to
 *           max bytes, in turn, so that neighbours block each other
 *   append  one string after another grown by 16 bytes a step to max
 *
 * By default one byte of each page is written (--touch pages): of the whole
 * block in churn, of what was added when growing.  ops is the number of calls
 * to malloc and realloc.
 */
#include "bench.h"

enum { ITERS, LIVE, MIN, MAX, NUMBERS };

static struct bench_number numbers[NUMBERS] = {
	[ITERS] = { "iters", 2000, 1, UINT64_MAX },
	[LIVE] = { "live", 20, 1, 1u << 20 },
	[MIN] = { "min", 5 << 20, 1, 1ull << 40 },
	[MAX] = { "max", 25 << 20, 1, 1ull << 40 },
};
static struct bench_number options[] = {
	{ "seed", 0x12345678, 0, UINT32_MAX },
};

struct vector {
	char *data;
	size_t size;
};

static struct bench_rng rng;
static uint64_t failures;

static uint64_t churn(struct vector *v)
{
	for (uint64_t i = 0; i < numbers[ITERS].value; i++) {
		uint32_t k = bench_pick(&rng, (uint32_t)numbers[LIVE].value);

		free(v[k].data);
		v[k].data = bench_alloc(bench_between(&rng,
						      numbers[MIN].value,
						      numbers[MAX].value),
					&failures);
	}
	return numbers[ITERS].value;
}

static bool enlarge(struct vector *v, size_t size)
{
	char *data = realloc(v->data, size);

	if (!data) {
		failures++;
		return false;
	}
	bench_touch(data + v->size, size - v->size);
	*v = (struct vector){ data, size };
	return true;
}

static uint64_t grow(struct vector *v)
{
	size_t max = numbers[MAX].value;
	uint64_t ops = 0;

	for (uint64_t i = 0; i < numbers[ITERS].value; i++) {
		for (size_t size = numbers[MIN].value; size <= max;
		     size += size / 2 + 1)
			for (uint64_t k = 0; k < numbers[LIVE].value; k++)
				ops += enlarge(&v[k], size);
		for (uint64_t k = 0; k < numbers[LIVE].value; k++) {
			free(v[k].data);
			v[k] = (struct vector){ NULL, 0 };
		}
	}
	return ops;
}

static uint64_t append(struct vector *v)
{
	uint64_t ops = 0;

	for (uint64_t i = 0; i < numbers[ITERS].value; i++) {
		struct vector *s = &v[i % numbers[LIVE].value];

		free(s->data);
		*s = (struct vector){ NULL, 0 };
		for (size_t size = 16; size <= numbers[MAX].value; size += 16)
			ops += enlarge(s, size);
	}
	return ops;
}

static const struct {
	const char *name;
	uint64_t (*run)(struct vector *);
} modes[] = { { "churn", churn }, { "grow", grow }, { "append", append } };

int main(int argc, char **argv)
{
	struct vector *v;
	int words;
	size_t mode = 0;
	uint64_t ops;
	double time;

	bench.touch = BENCH_TOUCH_PAGES;
	words = BENCH_PARSE(argc, argv, numbers, options,
			    " [churn|grow|append]");
	if (numbers[MAX].value < numbers[MIN].value)
		bench_usage("max is below min");
	while (words && mode < BENCH_COUNT(modes) &&
	       strcmp(modes[mode].name, argv[0]))
		mode++;
	if (words > 1 || mode == BENCH_COUNT(modes))
		bench_usage("a mode it does not know");
	rng.x = (uint32_t)options[0].value;
	v = bench_pages(numbers[LIVE].value * sizeof(*v));
	time = bench_now();
	ops = modes[mode].run(v);
	time = bench_now() - time;
	for (uint64_t k = 0; k < numbers[LIVE].value; k++)
		free(v[k].data);
	bench_print_args();
	return bench_finish(0, ops, time, failures);
}
