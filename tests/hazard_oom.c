/* SPDX-License-Identifier: MIT */
/*
 * hazard_oom - out of memory is NULL and ENOMEM, and then it is over.
 *
 * Under RLIMIT_AS and under RLIMIT_DATA, for small, medium and large blocks:
 * allocate until refused; every refusal sets errno; free works without
 * memory; after freeing all, nearly as much can be had again, by blocks of
 * that size and of others; realloc that fails leaves its block alone.
 *
 * Each case in a child of its own, whose limit is set after the first malloc:
 * the figures say what the limit left.
 */
#include "probe.h"

enum { SECONDS = 60, MAX_BLOCKS = 4000000, LIMIT_MIB = 200 };

/* Outside the heap, and shared: RLIMIT_DATA does not count it. */
static void **block;

static size_t allocate_all(size_t n, int *wrong_errno)
{
	size_t count = 0;
	while (count < MAX_BLOCKS) {
		errno = 0;
		block[count] = escape(malloc(opaque(n)));
		if (!block[count]) {
			*wrong_errno |= errno != ENOMEM;
			break;
		}
		*(size_t *)block[count] = count;
		count++;
	}
	return count;
}

static int free_all(size_t count)
{
	int changed = 0;
	for (size_t i = 0; i < count; i++) {
		changed |= *(size_t *)block[i] != i;
		errno = ELIBBAD;
		free(block[i]);
		changed |= errno != ELIBBAD;
	}
	return changed;
}

enum { NO_OOM = 1, WRONG_ERRNO = 2, CHANGED = 4, NOT_AGAIN = 8, OTHERS = 16, REALLOC = 32 };

static int refused_realloc(void)
{
	void *p = malloc(100), *q;
	int bad = 0;
	if (!p)
		return REALLOC;
	fill(p, 100, 9);
	errno = 0;
	q = realloc(p, opaque(400 * MIB));
	if (q || errno != ENOMEM)
		bad = REALLOC;
	else if (!intact(p, 100, 9))
		bad = REALLOC;
	free(q ? q : p);
	return bad;
}

/* What went wrong with blocks of n bytes, as bits. */
static int run(int resource, size_t n)
{
	struct rlimit limit;
	int bad = 0, wrong_errno = 0;
	size_t first, again, other = n > 100000 ? 1000 : 200000;
	free(escape(malloc(100)));
	/* RLIMIT_AS counts what is mapped already, reservations included. */
	limit.rlim_cur = limit.rlim_max = LIMIT_MIB * MIB;
	if (resource == RLIMIT_AS)
		limit.rlim_cur = limit.rlim_max =
			limit.rlim_cur + (rlim_t)number_in("/proc/self/statm", 0) * 4096;
	setrlimit(resource, &limit);
	first = allocate_all(n, &wrong_errno);
	if (first == MAX_BLOCKS || first * n > (size_t)100000 * MIB)
		bad |= NO_OOM;
	bad |= free_all(first) ? CHANGED : 0;
	again = allocate_all(n, &wrong_errno);
	if (again < first / 10 * 9)
		bad |= NOT_AGAIN;
	bad |= free_all(again) ? CHANGED : 0;
	again = allocate_all(other, &wrong_errno);
	if (again * other < first * n / 10 * 6)
		bad |= OTHERS;
	bad |= free_all(again) ? CHANGED : 0;
	bad |= refused_realloc();
	return bad | (wrong_errno ? WRONG_ERRNO : 0);
}

static void check(int resource, const char *name, size_t n)
{
	pid_t child = fork();
	int status;
	if (child == 0) {
		watchdog(SECONDS);
		_exit(run(resource, n));
	}
	status = reap(child);
	if (WIFEXITED(status))
		is_int(WEXITSTATUS(status), 0,
		       "%s, blocks of %zu: refused, freed, had again (1 no refusal, 2 errno, 4 "
		       "changed, 8 not again, 16 not others, 32 realloc)",
		       name, n);
	else
		ok(0, "%s, blocks of %zu: died of signal %d", name, n, WTERMSIG(status));
}

/* A reservation made before the limit was set is not bounded by RLIMIT_AS; a program that sets
 * it for its children is: the case runs again from exec. */
static int exec_limited(const char *self, size_t n)
{
	struct rlimit limit = { LIMIT_MIB * MIB, LIMIT_MIB * MIB };
	char size[32];
	pid_t child = fork();
	if (child == 0) {
		snprintf(size, sizeof(size), "%zu", n);
		setrlimit(RLIMIT_AS, &limit);
		execl(self, self, size, (char *)NULL);
		_exit(127);
	}
	return reap(child);
}

static int limited_from_start(size_t n)
{
	int bad = 0, wrong_errno = 0;
	size_t first = allocate_all(n, &wrong_errno), again;
	if (first == MAX_BLOCKS || first * n > LIMIT_MIB * MIB)
		bad |= NO_OOM;
	/* The bookkeeping of this test takes 32 MiB of the 200. */
	if (first * n < LIMIT_MIB * MIB / 2)
		bad |= NOT_AGAIN;
	bad |= free_all(first) ? CHANGED : 0;
	again = allocate_all(n, &wrong_errno);
	if (again < first / 10 * 9)
		bad |= NOT_AGAIN;
	bad |= free_all(again) ? CHANGED : 0;
	return bad | refused_realloc() | (wrong_errno ? WRONG_ERRNO : 0);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 64, 500, 4000, 20000, 100000, 1000000, 20000000 };
	block = mmap(NULL, MAX_BLOCKS * sizeof(*block), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (block == MAP_FAILED)
		tap_bail("no room for the bookkeeping");
	if (argc > 1) {
		watchdog(SECONDS);
		return limited_from_start(strtoul(argv[1], NULL, 10));
	}
	watchdog(COUNT_OF(sizes) * 2 * SECONDS);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		int status = exec_limited("/proc/self/exe", sizes[i]);
		ok(ended_well(status),
		   "RLIMIT_AS of %d MiB from exec, blocks of %zu: at least half of it, twice "
		   "(wait status %#x)",
		   LIMIT_MIB, sizes[i], (unsigned)status);
		check(RLIMIT_DATA, "RLIMIT_DATA", sizes[i]);
	}
	return tap_done();
}
