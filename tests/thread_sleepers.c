/* SPDX-License-Identifier: MIT */
/*
 * thread_sleepers - threads that used every size once, and sleep, hold little.
 *
 *   one by one    64 threads in turn: for each size to 32 KiB blocks are allocated,
 *                 written and freed; then all of them sleep, nothing is live
 *   together      the same, all at a time
 *   asked again   who frees and allocates the same again, round by round, has its
 *                 blocks at hand: the tenth round takes few pages anew
 *
 * A sleeping thread cannot be asked for what it holds; what it never asked for twice
 * is better held by the process.  Each part is a process of its own.
 */
#include "probe.h"

enum { THREADS = 64, MOST = 64, CLASS_BYTES = 256 * 1024, MAX_BYTES = 32768 };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t step;
static int in_turn;

static size_t next_size(size_t size)
{
	size_t quarter = 16;
	while (quarter * 8 <= size)
		quarter *= 2;
	return size + quarter;
}

static void use_all(void)
{
	void *block[MOST];
	for (size_t size = 16; size <= MAX_BYTES; size = next_size(size)) {
		size_t n = CLASS_BYTES / size < MOST ? CLASS_BYTES / size : MOST;
		for (size_t i = 0; i < n; i++)
			memset(block[i] = escape(malloc(size)), 1, size);
		for (size_t i = 0; i < n; i++)
			free(block[i]);
	}
}

static void *sleeper(void *unused)
{
	pthread_barrier_wait(&step);
	if (in_turn)
		pthread_mutex_lock(&turn);
	use_all();
	if (in_turn)
		pthread_mutex_unlock(&turn);
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step); /* it sleeps */
	return unused;
}

/* MiB that the sleepers hold. */
static int sleepers(int one_by_one)
{
	pthread_t id[THREADS];
	in_turn = one_by_one;
	pthread_barrier_init(&step, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&id[i], NULL, sleeper, NULL))
			return 255;
	usleep(50000); /* their stacks are there */
	long before = rss_bytes();
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	long more = rss_bytes() - before;
	pthread_barrier_wait(&step);
	for (int i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
	return more < 0 ? 0 : (int)(more / (long)MIB);
}

static long faults(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* Pages taken anew by the tenth round, in percent of the first's. */
static int again(int unused)
{
	(void)unused;
	long start = faults();
	use_all();
	long first = faults() - start;
	for (int round = 2; round < 10; round++)
		use_all();
	start = faults();
	use_all();
	return (int)(100 * (faults() - start) / first);
}

static int alone(int (*body)(int), int arg)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(body(arg));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

int main(void)
{
	watchdog(60);
	is_at_most(alone(sleepers, 1), 10, "64 sleepers, one by one: MiB held");
	is_at_most(alone(sleepers, 0), 16, "64 sleepers, together: MiB held");
	is_at_most(alone(again, 0), 20, "used ten times: pages taken anew in percent of the first time's");
	return tap_done();
}
