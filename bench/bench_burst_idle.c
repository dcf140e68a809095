/* SPDX-License-Identifier: MIT */
/*
 * bench_burst_idle - work in bursts, sleep between: what is given back.
 *
 * Each cycle the threads, which live through all of it, allocate `objects`
 * blocks in all, free all but a random keep% of them and sleep for idle_s
 * seconds; the kept ones are freed in the next cycle's burst.  --trickle N
 * lets the main thread allocate and free N small blocks spread over the sleep:
 * a program that goes on doing a little.  One [BURST] line a cycle: live bytes
 * and resident memory at the peak, after the frees and after the sleep.
 *
 * The time is that of the bursts alone; ops is cycles * objects.
 */
#include "bench.h"

enum { OBJECTS, IDLE_S, CYCLES, KEEP, THREADS, NUMBERS };
enum { MIN, MAX, SEED, TRICKLE, IDLE_MS, OPTIONS };

static struct bench_number numbers[NUMBERS] = {
	[OBJECTS] = { "objects", 1000000, 1, 1u << 30 },
	[IDLE_S] = { "idle_s", 2, 0, 86400 },
	[CYCLES] = { "cycles", 3, 1, 1000000 },
	[KEEP] = { "keep", 0, 0, 100 },
	[THREADS] = { "threads", 1, 1, 4096 },
};
static struct bench_number options[OPTIONS] = {
	[MIN] = { "min", 16, 1, 1u << 30 },
	[MAX] = { "max", 255, 1, 1u << 30 },
	[SEED] = { "seed", 0x12345678, 0, UINT32_MAX },
	[TRICKLE] = { "trickle", 0, 0, 1000000 },
	/* instead of idle_s, for short runs */
	[IDLE_MS] = { "idle-ms", 0, 0, 86400000 },
};

struct worker {
	_Alignas(128) struct bench_rng rng;
	uint64_t live_bytes, failures;
	void **blocks;
	uint32_t *sizes;
};

static pthread_barrier_t step; /* all workers and main */
static uint32_t share;         /* objects a worker */

static void fill(struct worker *w)
{
	for (uint32_t i = 0; i < share; i++) {
		size_t size = bench_between(&w->rng, options[MIN].value,
					    options[MAX].value);

		if (w->blocks[i])
			w->live_bytes -= w->sizes[i];
		free(w->blocks[i]);
		w->blocks[i] = bench_alloc(size, &w->failures);
		w->sizes[i] = (uint32_t)size;
		w->live_bytes += size;
	}
}

static void drop(struct worker *w, uint32_t keep)
{
	for (uint32_t i = 0; i < share; i++) {
		if (!w->blocks[i] || bench_pick(&w->rng, 100) < keep)
			continue;
		free(w->blocks[i]);
		w->blocks[i] = NULL;
		w->live_bytes -= w->sizes[i];
	}
}

static void *work(void *argument)
{
	struct worker *w = argument;

	for (uint64_t c = 0; c < numbers[CYCLES].value; c++) {
		pthread_barrier_wait(&step);
		fill(w);
		pthread_barrier_wait(&step);
		pthread_barrier_wait(&step); /* main reads the peak */
		drop(w, (uint32_t)numbers[KEEP].value);
		pthread_barrier_wait(&step);
		pthread_barrier_wait(&step); /* main sleeps and reads */
	}
	drop(w, 0);
	return NULL;
}

static uint64_t live_bytes(const struct worker *w)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < numbers[THREADS].value; i++)
		sum += w[i].live_bytes;
	return sum;
}

static void idle(void)
{
	double seconds = options[IDLE_MS].value
				 ? (double)options[IDLE_MS].value / 1000
				 : (double)numbers[IDLE_S].value;
	uint64_t naps = options[TRICKLE].value ? options[TRICKLE].value : 1;

	for (uint64_t i = 0; i < naps; i++) {
		bench_sleep(seconds / (double)naps);
		if (options[TRICKLE].value)
			free(bench_alloc(100, &(uint64_t){ 0 }));
	}
}

/* One cycle as seen by main; returns the seconds of the burst. */
static double cycle(const struct worker *workers, uint64_t number)
{
	long peak_kb, freed_kb, idle_kb;
	uint64_t peak_live;
	double time, start = bench_now();

	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	time = bench_now() - start;
	peak_live = live_bytes(workers);
	peak_kb = bench_rss_kb();
	start = bench_now();
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	time += bench_now() - start;
	freed_kb = bench_rss_kb();
	idle();
	idle_kb = bench_rss_kb();
	printf("[BURST] cycle=%llu peak_live_kb=%llu peak_rss_kb=%ld "
	       "live_kb=%llu freed_rss_kb=%ld idle_rss_kb=%ld\n",
	       (unsigned long long)number,
	       (unsigned long long)(peak_live / 1024), peak_kb,
	       (unsigned long long)(live_bytes(workers) / 1024), freed_kb,
	       idle_kb);
	fflush(stdout);
	pthread_barrier_wait(&step);
	return time;
}

int main(int argc, char **argv)
{
	struct worker *workers;
	uint64_t threads, failures = 0;
	pthread_t *ids;
	double time = 0;

	BENCH_PARSE(argc, argv, numbers, options, NULL);
	if (options[MAX].value < options[MIN].value)
		bench_usage("max is below min");
	threads = numbers[THREADS].value;
	share = (uint32_t)(numbers[OBJECTS].value / threads);
	if (!share)
		bench_usage("fewer objects than threads");
	workers = bench_pages(threads * sizeof(*workers));
	ids = bench_pages(threads * sizeof(*ids));
	pthread_barrier_init(&step, NULL, (unsigned)threads + 1);
	bench_print_args();
	for (uint64_t i = 0; i < threads; i++) {
		workers[i].rng.x = (uint32_t)(options[SEED].value + 977 * i);
		workers[i].blocks = bench_pages(share * sizeof(void *));
		workers[i].sizes = bench_pages(share * sizeof(uint32_t));
		if (pthread_create(&ids[i], NULL, work, &workers[i]))
			return 3;
	}
	for (uint64_t c = 0; c < numbers[CYCLES].value; c++)
		time += cycle(workers, c);
	for (uint64_t i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		failures += workers[i].failures;
	}
	return bench_finish(threads,
			    numbers[CYCLES].value * share * threads, time,
			    failures);
}
