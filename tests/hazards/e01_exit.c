/* SPDX-License-Identifier: MIT */
/*
 * e01_exit - a process ends while its threads are in malloc; row E1.
 *
 *   return from main | exit in a second thread | quick_exit | _exit | the main
 *   thread by pthread_exit, the process by the last thread
 *
 * An atexit handler registered first, which runs last, and a destructor of the
 * program allocate and free what others made.
 */
#include "hazard.h"

static void *kept[100];

static void last(void)
{
	for (size_t i = 0; i < COUNT_OF(kept); i++)
		free(kept[i]);
	if (use_malloc())
		_exit(9);
}

__attribute__((destructor)) static void program_ends(void)
{
	free(escape(malloc(100)));
}

__attribute__((constructor)) static void first(void)
{
	if (getenv("HAZARD_EXIT"))
		atexit(last);
}

static void *leaves(void *unused)
{
	(void)unused;
	exit(0);
}

static int run(const char *mode)
{
	watchdog(HAZARD_SECONDS);
	for (size_t i = 0; i < COUNT_OF(kept); i++)
		kept[i] = malloc(i * 100);
	at_quick_exit(last);
	churn_start(3);
	switch (mode[0]) {
	case '2':
		start_thread(leaves, NULL);
		for (;;)
			free(escape(malloc(100)));
	case 'q':
		quick_exit(0);
	case '_':
		_exit(0);
	case 'p':
		start_thread(leaves, NULL);
		pthread_exit(NULL);
	default:
		return 0;
	}
}

int main(int argc, char **argv)
{
	static const char *const modes[] = { "return", "2nd thread", "quick_exit", "_exit",
					     "pthread_exit" };
	enum { ROUNDS = 8 };
	if (argc > 1)
		return run(argv[1]);
	watchdog(HAZARD_SECONDS);
	setenv("HAZARD_EXIT", "1", 1);
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		int bad = 0;
		for (int round = 0; round < ROUNDS; round++)
			bad += how(run_self(modes[i], NULL, 0)) != 0;
		is_int(bad, 0, "E1 %s with three busy threads, %d times", modes[i], ROUNDS);
	}
	unsetenv("HAZARD_EXIT");
	return tap_done();
}
