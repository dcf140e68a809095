/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what every program of the bench shares.
 *
 * What it is: the generator, reading of arguments from tables, the clock, the
 * process's own memory figures and the lines that runners parse.  Included by
 * exactly one .c per program, so everything is static.
 *
 * It never calls malloc: the harness's own arrays come from mmap, numbers from
 * /proc are read into the stack.  What a run allocates is what its command
 * line says, and the same with every allocator.
 *
 * It refuses to know any allocator: programs call malloc, free and friends and
 * the runner decides by LD_PRELOAD whose they are.
 */
#pragma once

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BENCH_COUNT(a) (sizeof(a) / sizeof(*(a)))
#define BENCH_UNUSED __attribute__((unused))

/* A number of the command line: a positional argument or a --name. */
struct bench_number {
	const char *name;
	uint64_t value;       /* default, replaced by what was given */
	uint64_t least, most; /* inclusive; outside is a usage error */
};

/* Writing the whole block, or one byte in each of its pages: what faults and
 * what is resident is then the same, and the memory bus does not drown the
 * allocator. */
#define BENCH_TOUCH_ALL SIZE_MAX
#define BENCH_TOUCH_PAGES (SIZE_MAX - 1)

/* What the command line says to all programs alike. */
static struct {
	const char *program;
	const char *words; /* usage text of what follows the numbers */
	size_t touch;      /* bytes written per block, or BENCH_TOUCH_* */
	bool compat;       /* low bits of the generator, as of old */
	struct bench_number *numbers, *options;
	size_t number_count, option_count;
} bench = { .touch = 1 };

/* ---- generator ------------------------------------------------------- */

struct bench_rng {
	uint32_t x;
};

static inline uint32_t bench_next(struct bench_rng *r)
{
	return r->x = r->x * 1664525u + 1013904223u;
}

/* A choice among n.  The product keeps the high bits, since the low ones of
 * such a generator repeat after a few steps; --compat keeps the low. */
static inline uint32_t bench_pick(struct bench_rng *r, uint32_t n)
{
	uint32_t x = bench_next(r);

	return bench.compat ? x % n : (uint32_t)(((uint64_t)x * n) >> 32);
}

static inline size_t bench_between(struct bench_rng *r, size_t min, size_t max)
{
	return min + bench_pick(r, (uint32_t)(max - min + 1));
}

BENCH_UNUSED static struct bench_rng bench_seed(unsigned thread)
{
	return (struct bench_rng){ 0x12345678u + 977u * thread };
}

/* The first choices of a run, for the tests: slot and size of each. */
BENCH_UNUSED static void bench_print_choices(struct bench_rng r,
					     uint64_t count, uint32_t ws,
					     size_t min, size_t max)
{
	for (uint64_t i = 0; i < count; i++) {
		uint32_t slot = bench_pick(&r, ws);
		size_t size = bench_between(&r, min, max);

		printf("slot=%u size=%zu state=%u\n", slot, size, r.x);
	}
}

/* ---- blocks ---------------------------------------------------------- */

/* How much of a block is written decides what is resident, so it is an
 * argument and not a constant. */
static inline void bench_touch(void *p, size_t size)
{
	if (bench.touch == 1)
		*(volatile char *)p = 1;
	else if (bench.touch == BENCH_TOUCH_PAGES)
		for (size_t i = 0; i < size; i += 4096)
			((volatile char *)p)[i] = 1;
	else if (bench.touch)
		memset(p, 0x5a, bench.touch < size ? bench.touch : size);
}

/* NULL from malloc is counted and said once a thread, never fatal: a runner
 * marks the run as bad. */
static inline void *bench_alloc(size_t size, uint64_t *failures)
{
	void *p = malloc(size);

	if (__builtin_expect(!p, 0)) {
		if (!(*failures)++)
			fputs("alloc failed\n", stderr);
		return NULL;
	}
	bench_touch(p, size);
	return p;
}

/* Memory of the harness itself: zeroed, from the kernel. */
BENCH_UNUSED static void *bench_pages(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		fprintf(stderr, "%s: no memory for the harness\n",
			bench.program);
		exit(3);
	}
	return p;
}

/* A random order of 0 .. n-1. */
BENCH_UNUSED static uint32_t *bench_shuffle(uint32_t n, struct bench_rng *r)
{
	uint32_t *order = bench_pages((size_t)n * sizeof(*order));

	for (uint32_t i = 0; i < n; i++) {
		uint32_t j = bench_pick(r, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	return order;
}

/* ---- clock and memory ------------------------------------------------ */

static inline double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

BENCH_UNUSED static void bench_sleep(double seconds)
{
	struct timespec t = { (time_t)seconds, 0 };

	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* The number after `key` in a file of /proc; 0 when there is none. */
static long bench_proc_kb(const char *path, const char *key)
{
	char text[4096];
	const char *at;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strstr(text, key);
	return at ? strtol(at + strlen(key), NULL, 10) : 0;
}

/* Resident now.  smaps_rollup walks the page tables; the counters behind
 * VmRSS lag by up to 32 pages a CPU. */
static long bench_rss_kb(void)
{
	long kb = bench_proc_kb("/proc/self/smaps_rollup", "\nRss:");

	return kb ? kb : bench_proc_kb("/proc/self/status", "\nVmRSS:");
}

/* VmHWM belongs to this program image alone; ru_maxrss starts at the parent's
 * peak. */
static void bench_print_memory(void)
{
	struct rusage u;
	long now = bench_rss_kb();
	long peak = bench_proc_kb("/proc/self/status", "\nVmHWM:");

	getrusage(RUSAGE_SELF, &u);
	printf("[PROCESS_MEMORY] peak_rss_kb=%ld post_rss_kb=%ld minflt=%ld\n",
	       peak > now ? peak : now, now, u.ru_minflt);
	printf("[PROCESS_CPU] user_s=%ld.%06ld sys_s=%ld.%06ld\n",
	       (long)u.ru_utime.tv_sec, (long)u.ru_utime.tv_usec,
	       (long)u.ru_stime.tv_sec, (long)u.ru_stime.tv_usec);
}

/* The last line of every program; 0 when all went well. */
BENCH_UNUSED static int bench_finish(uint64_t threads, uint64_t ops,
				     double time, uint64_t failures)
{
	printf("[ALLOC_FAILURES] count=%llu\n", (unsigned long long)failures);
	bench_print_memory();
	if (threads)
		printf("threads=%llu ", (unsigned long long)threads);
	printf("ops=%llu time=%.6f ops/s=%.0f\n", (unsigned long long)ops,
	       time, time > 0 ? (double)ops / time : 0);
	return failures ? 1 : 0;
}

/* ---- command line ---------------------------------------------------- */

__attribute__((noreturn)) static void bench_usage(const char *why)
{
	if (why)
		fprintf(stderr, "%s: %s\n", bench.program, why);
	fprintf(stderr, "usage: %s", bench.program);
	for (size_t i = 0; i < bench.number_count; i++)
		fprintf(stderr, " [%s=%llu]", bench.numbers[i].name,
			(unsigned long long)bench.numbers[i].value);
	fprintf(stderr, "%s [--touch N|pages|all] [--compat]",
		bench.words ? bench.words : "");
	for (size_t i = 0; i < bench.option_count; i++)
		fprintf(stderr, " [--%s=%llu]", bench.options[i].name,
			(unsigned long long)bench.options[i].value);
	fputc('\n', stderr);
	exit(2);
}

static bool bench_read(const char *text, uint64_t least, uint64_t most,
		       uint64_t *value)
{
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (*end || errno || n < least || n > most)
		return false;
	*value = n;
	return true;
}

/* One --name value or --name=value; returns how many words it took. */
static int bench_option(int left, char **argv)
{
	char *name = argv[0] + 2, *value = strchr(name, '=');
	size_t length = value ? (size_t)(value - name) : strlen(name);
	int took = value ? 1 : 2;
	uint64_t n;

	if (!strcmp(name, "compat")) {
		bench.compat = true;
		return 1;
	}
	value = value ? value + 1 : left > 1 ? argv[1] : NULL;
	if (!value)
		bench_usage("an option without its value");
	if (length == 5 && !strncmp(name, "touch", 5)) {
		if (!strcmp(value, "all"))
			bench.touch = BENCH_TOUCH_ALL;
		else if (!strcmp(value, "pages"))
			bench.touch = BENCH_TOUCH_PAGES;
		else if (bench_read(value, 0, SIZE_MAX, &n))
			bench.touch = (size_t)n;
		else
			bench_usage("--touch takes a number, pages or all");
		return took;
	}
	for (size_t i = 0; i < bench.option_count; i++) {
		struct bench_number *o = &bench.options[i];

		if (strlen(o->name) != length ||
		    strncmp(o->name, name, length))
			continue;
		if (!bench_read(value, o->least, o->most, &o->value))
			bench_usage("an option out of range");
		return took;
	}
	bench_usage("an option it does not know");
}

/* Reads options anywhere and numbers in order.  Words that are no numbers end
 * the numbers where the program takes words; they are moved to the front of
 * argv and counted. */
BENCH_UNUSED static int bench_parse(int argc, char **argv, const char *words)
{
	size_t next = 0;
	int kept = 0;

	bench.program = strrchr(argv[0], '/');
	bench.program = bench.program ? bench.program + 1 : argv[0];
	bench.words = words;
	for (int i = 1; i < argc;) {
		if (!strncmp(argv[i], "--", 2) && argv[i][2]) {
			i += bench_option(argc - i, argv + i);
			continue;
		}
		if (!kept && next < bench.number_count &&
		    (!words || isdigit((unsigned char)*argv[i]))) {
			struct bench_number *a = &bench.numbers[next++];

			if (!bench_read(argv[i], a->least, a->most, &a->value))
				bench_usage(a->name);
		} else if (words) {
			argv[kept++] = argv[i];
		} else {
			bench_usage("too many arguments");
		}
		i++;
	}
	return kept;
}

/* A reader of a log must see what ran, defaults included. */
BENCH_UNUSED static void bench_print_args(void)
{
	printf("[BENCH_ARGS] program=%s", bench.program);
	for (size_t i = 0; i < bench.number_count; i++)
		printf(" %s=%llu", bench.numbers[i].name,
		       (unsigned long long)bench.numbers[i].value);
	for (size_t i = 0; i < bench.option_count; i++)
		printf(" %s=%llu", bench.options[i].name,
		       (unsigned long long)bench.options[i].value);
	if (bench.touch == BENCH_TOUCH_ALL)
		printf(" touch=all");
	else if (bench.touch == BENCH_TOUCH_PAGES)
		printf(" touch=pages");
	else
		printf(" touch=%zu", bench.touch);
	printf(" compat=%d\n", bench.compat);
}

#define BENCH_PARSE(argc, argv, numbers_, options_, words_)          \
	(bench.numbers = (numbers_),                                 \
	 bench.number_count = BENCH_COUNT(numbers_),                 \
	 bench.options = (options_),                                 \
	 bench.option_count = BENCH_COUNT(options_),                 \
	 bench_parse((argc), (argv), (words_)))

/* ---- threads --------------------------------------------------------- */

/* Starts `count` threads on elements of an array and waits for all. */
BENCH_UNUSED static void bench_threads(void *(*body)(void *), void *first,
				       size_t size, size_t count)
{
	pthread_t *ids = bench_pages(count * sizeof(*ids));

	for (size_t i = 0; i < count; i++) {
		if (pthread_create(&ids[i], NULL, body,
				   (char *)first + i * size)) {
			fprintf(stderr, "%s: cannot start thread %zu\n",
				bench.program, i);
			exit(3);
		}
	}
	for (size_t i = 0; i < count; i++)
		pthread_join(ids[i], NULL);
	munmap(ids, count * sizeof(*ids));
}
