/* SPDX-License-Identifier: MIT */
/*
 * bench_verify - is the allocator that was asked for the one in force?
 *
 *   LD_PRELOAD=/path/to/x.so bench_verify /path/to/x.so
 *   bench_verify -              (the C library's own)
 *
 * Prints where each function of the family resolves to and the line of
 * /proc/self/maps that holds it, and exercises them: blocks that do not
 * overlap and keep their content, zeroed calloc, realloc that preserves,
 * usable sizes at least as asked, a free from another thread.  Exit status 1
 * and a line [VERIFY] fail when something is not as expected: no figure may
 * be taken then.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <dlfcn.h>
#include <limits.h>
#include <malloc.h>

static int faults;

static void fail(const char *what)
{
	printf("[FAULT] %s\n", what);
	faults++;
}

static const char *path_of(const void *address)
{
	static char real[PATH_MAX];
	Dl_info info;

	if (!address || !dladdr(address, &info) ||
	    !realpath(info.dli_fname, real))
		return "none";
	return real;
}

static bool is_libc(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && (!strncmp(name, "/libc.so", 8) ||
			!strncmp(name, "/libc-", 6) ||
			!strncmp(name, "/ld-musl", 8));
}

static void check_resolution(const char *wanted)
{
	static const char *const names[] = {
		"malloc", "free", "calloc", "realloc", "malloc_usable_size",
		"posix_memalign", "aligned_alloc", "memalign",
	};
	char real[PATH_MAX];

	if (strcmp(wanted, "-") && !realpath(wanted, real))
		fail("the library named does not exist");
	for (size_t i = 0; i < BENCH_COUNT(names); i++) {
		const char *path = path_of(dlsym(RTLD_DEFAULT, names[i]));
		bool same = strcmp(wanted, "-") ? !strcmp(path, real)
						: is_libc(path);

		printf("[RESOLVE] %s=%s%s\n", names[i], path,
		       same ? "" : " (elsewhere)");
		if (!same)
			fail(names[i]);
	}
}

static void print_maps(const char *wanted)
{
	char line[PATH_MAX + 200], real[PATH_MAX];
	FILE *f = fopen("/proc/self/maps", "re");
	int found = 0;

	if (!f || !strcmp(wanted, "-") || !realpath(wanted, real)) {
		if (f)
			fclose(f);
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, real) || !strstr(line, "r-xp"))
			continue;
		printf("[MAPS] %s", line);
		found++;
	}
	fclose(f);
	if (!found)
		fail("no line of /proc/self/maps names the library");
}

static void *free_it(void *p)
{
	free(p);
	return NULL;
}

enum { BLOCKS = 4000 };

static void check_content(void)
{
	unsigned char **p = bench_pages(BLOCKS * sizeof(*p));
	struct bench_rng rng = { 1 };
	uint32_t *size = bench_pages(BLOCKS * sizeof(*size));

	for (uint32_t i = 0; i < BLOCKS; i++) {
		size[i] = 1 + bench_pick(&rng, i % 100 ? 2000 : 200000);
		p[i] = malloc(size[i]);
		if (!p[i] || malloc_usable_size(p[i]) < size[i]) {
			fail("malloc or malloc_usable_size");
			return;
		}
		memset(p[i], (int)(i & 255), size[i]);
	}
	for (uint32_t i = 0; i < BLOCKS; i++) {
		unsigned char *q = p[i];

		if (q[0] != (i & 255) || q[size[i] - 1] != (i & 255)) {
			fail("a block lost its content");
			return;
		}
		q = realloc(q, 3 * (size_t)size[i]);
		if (!q || q[size[i] - 1] != (i & 255)) {
			fail("realloc");
			return;
		}
		free(q);
	}
}

static void check_the_rest(void)
{
	pthread_t id;
	void *p = NULL;
	char *z = calloc(100, 77);

	for (size_t i = 0; z && i < 7700; i++)
		if (z[i]) {
			fail("calloc is not zero");
			break;
		}
	if (!z || malloc_usable_size(z) < 7700)
		fail("calloc");
	if (posix_memalign(&p, 4096, 100) || ((uintptr_t)p & 4095))
		fail("posix_memalign");
	free(p);
	if (pthread_create(&id, NULL, free_it, z) || pthread_join(id, NULL))
		fail("a free by another thread");
	free(NULL);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: bench_verify library.so|-\n");
		return 2;
	}
	bench.program = "bench_verify";
	check_resolution(argv[1]);
	print_maps(argv[1]);
	if (!faults) {
		check_content();
		check_the_rest();
	}
	printf("[VERIFY] %s\n", faults ? "fail" : "ok");
	return faults != 0;
}
