/* SPDX-License-Identifier: MIT */
/*
 * bench_soak - the same work for a long time: does anything drift?
 *
 * One thread, `ws` random slots, uniform sizes, for `seconds`; at the end of
 * each epoch one CSV row:
 *
 *   t_s,ops,ops_per_sec,rss_kb,vms_kb,minflt,majflt,syscalls
 *
 * ops and all after it count this epoch only.  System calls are those the
 * work itself made: a second process traces this one and counts into a shared
 * page, which costs nothing between the calls; what reading /proc and writing
 * the row needs is not counted.  Where tracing is refused the cell is empty.
 *
 * --cycles N ends an epoch after N iterations instead of epoch_s, and the
 * program after one epoch when seconds is 0.  --prefault N runs N iterations
 * before the first epoch; without it a tenth of cycles.  It raises RSS when
 * the warm-up's peak stays: the triage script runs it three ways to tell
 * whose memory that is.  --trim 1 adds a line [SOAK_END]: live bytes, resident
 * memory, and what of it is left after malloc_trim(0).
 */
#include "bench.h"

#include <malloc.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { SECONDS, EPOCH_S, WS, MIN, MAX, NUMBERS };
enum { CYCLES, PREFAULT, SEED, TRIM, OPTIONS };

static struct bench_number numbers[NUMBERS] = {
	[SECONDS] = { "seconds", 300, 0, 86400 * 30 },
	[EPOCH_S] = { "epoch_s", 5, 1, 86400 },
	[WS] = { "ws", 400, 1, 1u << 30 },
	[MIN] = { "min", 16, 1, 1u << 30 },
	[MAX] = { "max", 32768, 1, 1u << 30 },
};
static struct bench_number options[OPTIONS] = {
	[CYCLES] = { "cycles", 0, 0, UINT64_MAX - 1 },
	[PREFAULT] = { "prefault", UINT64_MAX, 0, UINT64_MAX },
	[SEED] = { "seed", 0x12345678, 0, UINT32_MAX },
	[TRIM] = { "trim", 0, 0, 1 },
};

/* Shared with the tracer: calls entered so far; `traced` when it works. */
static struct counter {
	_Atomic uint64_t calls; /* tracer writes, stopped tracee's side reads */
	_Atomic bool traced;
} *counter;

static struct bench_rng rng;
static void **slots;
static uint64_t failures;

static void work(uint64_t iterations)
{
	uint32_t ws = (uint32_t)numbers[WS].value;

	for (uint64_t i = 0; i < iterations; i++) {
		void **slot = &slots[bench_pick(&rng, ws)];
		size_t size = bench_between(&rng, numbers[MIN].value,
					    numbers[MAX].value);

		if (*slot) {
			free(*slot);
			*slot = NULL;
		} else {
			*slot = bench_alloc(size, &failures);
		}
	}
}

/* Returns the iterations done.  The clock is read without a system call. */
static uint64_t epoch(void)
{
	double end = bench_now() + (double)numbers[EPOCH_S].value;
	uint64_t done = 0;

	if (options[CYCLES].value) {
		work(options[CYCLES].value);
		return options[CYCLES].value;
	}
	while (bench_now() < end) {
		work(10000);
		done += 10000;
	}
	return done;
}

static void print_row(double now, uint64_t ops, double took,
		      const struct rusage *before, uint64_t calls)
{
	struct rusage u;
	char text[24] = "";

	getrusage(RUSAGE_SELF, &u);
	if (counter->traced)
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)calls);
	printf("%.3f,%llu,%.0f,%ld,%ld,%ld,%ld,%s\n", now,
	       (unsigned long long)ops, (double)ops / took, bench_rss_kb(),
	       bench_proc_kb("/proc/self/status", "\nVmSize:"),
	       u.ru_minflt - before->ru_minflt,
	       u.ru_majflt - before->ru_majflt, text);
	fflush(stdout);
}

static void print_end(void)
{
	long before = bench_rss_kb(), after;
	size_t live = 0;

	for (uint64_t i = 0; i < numbers[WS].value; i++)
		live += slots[i] ? malloc_usable_size(slots[i]) : 0;
	malloc_trim(0);
	after = bench_rss_kb();
	printf("[SOAK_END] live_kb=%zu rss_kb=%ld could_be_returned_kb=%ld "
	       "kept_kb=%ld\n",
	       live / 1024, before, before - after,
	       after - (long)(live / 1024));
}

static int soak(void)
{
	double start, now = 0, from;
	uint64_t ops;

	slots = bench_pages(numbers[WS].value * sizeof(*slots));
	rng.x = (uint32_t)options[SEED].value;
	if (options[PREFAULT].value == UINT64_MAX)
		options[PREFAULT].value = options[CYCLES].value / 10;
	work(options[PREFAULT].value);
	puts("t_s,ops,ops_per_sec,rss_kb,vms_kb,minflt,majflt,syscalls");
	start = bench_now();
	do {
		struct rusage before;
		uint64_t calls;

		getrusage(RUSAGE_SELF, &before);
		calls = counter->calls;
		from = bench_now();
		ops = epoch();
		now = bench_now() - start;
		calls = counter->calls - calls;
		print_row(now, ops, bench_now() - from, &before, calls);
	} while (now + 0.001 < (double)numbers[SECONDS].value);
	if (options[TRIM].value)
		print_end();
	return failures != 0;
}

/* Counts the entries of the child's system calls until it ends. */
static int trace(pid_t pid)
{
	bool inside = false;
	int status;

	for (;;) {
		int deliver = 0;

		if (waitpid(pid, &status, 0) != pid)
			return 3;
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status)) {
			raise(WTERMSIG(status));
			return 128 + WTERMSIG(status);
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			inside = !inside;
			counter->calls += inside;
		} else if (WSTOPSIG(status) != SIGSTOP) {
			deliver = WSTOPSIG(status);
		} else {
			ptrace(PTRACE_SETOPTIONS, pid, 0,
			       PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
			counter->traced = true;
		}
		ptrace(PTRACE_SYSCALL, pid, 0, deliver);
	}
}

int main(int argc, char **argv)
{
	pid_t pid;

	BENCH_PARSE(argc, argv, numbers, options, NULL);
	if (numbers[MAX].value < numbers[MIN].value)
		bench_usage("max is below min");
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counter == MAP_FAILED)
		return 3;
	pid = fork();
	if (pid < 0)
		return 3;
	if (pid)
		return trace(pid);
	if (!ptrace(PTRACE_TRACEME, 0, 0, 0))
		raise(SIGSTOP);
	return soak();
}
