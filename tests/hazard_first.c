/* SPDX-License-Identifier: MIT */
/*
 * hazard_first - whatever a process calls first, works.
 *
 * The program runs itself once per function; that call is the first of the
 * malloc family from main.  And a constructor of this program runs before
 * main with the same choice, so that nothing at all came before.
 */
#include <malloc.h>

#include "alloc_names.h"
#include "probe.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static int first_free(void)
{
	free(NULL);
	return 1;
}

static int usable(void *p, size_t n)
{
	if (!p)
		return 0;
	memset(p, 1, n);
	free(p);
	return 1;
}

static int first_malloc(void)
{
	return usable(escape(malloc(opaque(100))), 100);
}

static int first_malloc_large(void)
{
	return usable(escape(malloc(opaque(10 * MIB))), 10 * MIB);
}

static int first_realloc(void)
{
	return usable(realloc(NULL, opaque(100)), 100);
}

static int first_calloc(void)
{
	unsigned char *p = calloc(opaque(100), 8);
	return p && all_zero(p, 800) && usable(p, 800);
}

static int first_memalign(void)
{
	void *p = memalign(opaque(4096), 100);
	return ((uintptr_t)p & 4095) == 0 && usable(p, 100);
}

static int first_posix_memalign(void)
{
	void *p = NULL;
	return posix_memalign(&p, opaque(MIB), 100) == 0 && usable(p, 100);
}

static int first_usable_size(void)
{
	return malloc_usable_size(NULL) == 0;
}

static int first_info(void)
{
	/* fopen would be the first malloc. */
	return malloc_info(0, stderr) == 0;
}

static int first_trim(void)
{
	int code = malloc_trim(0);
	return code == 0 || code == 1;
}

static int first_mallinfo2(void)
{
	return mallinfo2().uordblks < MIB;
}

static int first_mallopt(void)
{
	return mallopt(M_ARENA_MAX, 1) == 1;
}

static int first_stats(void)
{
	malloc_stats();
	return 1;
}

static int first_refused(void)
{
	errno = 0;
	return escape(malloc(opaque(SIZE_MAX))) == NULL && errno == ENOMEM;
}

static int first_cfree(void)
{
	if (T_cfree)
		T_cfree(NULL);
	if (T_free_sized)
		T_free_sized(NULL, 0);
	return 1;
}

static void *in_thread(void *unused)
{
	(void)unused;
	return first_malloc() ? &errno : NULL;
}

static int first_in_thread(void)
{
	pthread_t thread;
	void *good = NULL;
	if (pthread_create(&thread, NULL, in_thread, NULL))
		return 0;
	pthread_join(thread, &good);
	return good != NULL;
}

static int first_in_child(void)
{
	pid_t child = fork();
	if (child == 0)
		_exit(!first_malloc());
	return ended_well(reap(child)) && first_malloc();
}

static const struct {
	const char *name;
	int (*call)(void);
} first[] = {
	{ "free(NULL)", first_free },
	{ "malloc", first_malloc },
	{ "malloc of 10 MiB", first_malloc_large },
	{ "realloc(NULL)", first_realloc },
	{ "calloc", first_calloc },
	{ "memalign", first_memalign },
	{ "posix_memalign", first_posix_memalign },
	{ "malloc_usable_size(NULL)", first_usable_size },
	{ "malloc_info", first_info },
	{ "malloc_trim", first_trim },
	{ "mallinfo2", first_mallinfo2 },
	{ "mallopt", first_mallopt },
	{ "malloc_stats", first_stats },
	{ "a refused malloc", first_refused },
	{ "cfree(NULL), free_sized(NULL)", first_cfree },
	{ "malloc in a second thread", first_in_thread },
	{ "malloc in a forked child", first_in_child },
};

/* Arguments reach constructors in glibc; elsewhere argc is 0. */
__attribute__((constructor)) static void before_main(int argc, char **argv)
{
	if (argc == 3)
		_exit(!(first[strtoul(argv[1], NULL, 10)].call() && first_malloc()));
}

/* The program itself, with the number of the call; its wait status. */
static int run(size_t i, const char *mode)
{
	char number[16];
	pid_t child = fork();
	if (child == 0) {
		snprintf(number, sizeof(number), "%zu", i);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		watchdog_of_exec(60);
		execl("/proc/self/exe", "hazard_first", number, mode, (char *)NULL);
		_exit(127);
	}
	return reap(child);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return !(first[strtoul(argv[1], NULL, 10)].call() && first_malloc());
	watchdog(120);
	for (size_t i = 0; i < COUNT_OF(first); i++) {
		ok(ended_well(run(i, NULL)), "first in main: %s", first[i].name);
		ok(ended_well(run(i, "constructor")), "first in a constructor: %s", first[i].name);
	}
	return tap_done();
}
