/* SPDX-License-Identifier: MIT */
/*
 * bench_startup - what a process costs before it does anything.
 *
 * Starts a program `count` times, one after another, and prints the fastest
 * and the median time from start to end of each.  Without a program it starts
 * itself in a way that allocates one block and ends; the child then says its
 * own peak.  The preload in force is inherited by the children, so each pays
 * for loading and initialising it.
 */
#include "bench.h"

#include <spawn.h>
#include <sys/wait.h>

static struct bench_number numbers[] = {
	{ "count", 300, 1, 1000000 },
};
static struct bench_number options[] = {
	{ "child", 0, 0, 1 }, /* is the started program */
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double start(char **argv)
{
	extern char **environ;
	double begin = bench_now();
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) ||
	    waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status)) {
		fprintf(stderr, "%s: %s did not start or failed\n",
			bench.program, argv[0]);
		exit(3);
	}
	return bench_now() - begin;
}

static int be_child(bool print)
{
	void *p = malloc(100);

	if (!p)
		return 1;
	bench_touch(p, 100);
	if (print)
		bench_print_memory();
	free(p);
	return 0;
}

int main(int argc, char **argv)
{
	int words = BENCH_PARSE(argc, argv, numbers, options,
				" [program arguments ...]");
	char *self[] = { (char[]){ "/proc/self/exe" }, (char[]){ "1" },
			 (char[]){ "--child=1" }, NULL };
	char *quiet[] = { self[0], (char[]){ "2" }, self[2], NULL };
	char **child = quiet;
	uint64_t count = numbers[0].value;
	double *times, total = 0;

	if (options[0].value)
		return be_child(count == 1);
	bench_print_args();
	fflush(stdout);
	if (words) {
		argv[words] = NULL;
		child = argv;
	} else {
		start(self);
	}
	times = bench_pages(count * sizeof(*times));
	for (uint64_t i = 0; i < count; i++)
		total += times[i] = start(child);
	qsort(times, count, sizeof(*times), compare);
	printf("[STARTUP] fastest_us=%.1f median_us=%.1f\n", times[0] * 1e6,
	       times[count / 2] * 1e6);
	printf("ops=%llu time=%.6f ops/s=%.0f\n", (unsigned long long)count,
	       total, (double)count / total);
	return 0;
}
