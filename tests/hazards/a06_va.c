/* SPDX-License-Identifier: MIT */
/*
 * a06_va - little address space: a process that has nearly all of it mapped
 * before its first malloc, as if it had 39 bits of it or fewer; rows A6 and S1.
 *
 * All free addresses are reserved in halving steps, and then one hole of the
 * given size is left.  Or it does so after its first malloc, when the heap has
 * its place.
 */
#include "hazard.h"

static int with_hole(size_t hole, int late)
{
	if (late)
		free(escape(malloc(opaque(100))));
	char *p = mmap(NULL, hole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return 2;
	for (size_t n = (size_t)1 << 46; n >= 64 * KIB; n /= 2)
		while (mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			    0) != MAP_FAILED)
			;
	munmap(p, hole);
	/* The first malloc of the process. */
	free(escape(malloc(opaque(100))));
	for (size_t n = 0; n < hole / 2 && n < 200 * MIB; n += 10000)
		if (late && !escape(malloc(10000)))
			return 3;
	return use_malloc() | (hole >= 64 * MIB && use_malloc_in_new_thread());
}

int main(int argc, char **argv)
{
	static const size_t mib[] = { 300 * 1024, 20 * 1024, 1024, 100, 8 };
	watchdog(HAZARD_SECONDS);
	if (argc > 1)
		return with_hole(strtoul(argv[1], NULL, 10) * MIB, strchr(argv[1], 'l') != NULL);
	for (size_t i = 0; i < 2 * COUNT_OF(mib); i++) {
		size_t hole = mib[i / 2];
		char text[32];
		snprintf(text, sizeof(text), "%zu%s", hole, i % 2 ? "l" : "");
		is_int(how(run_self(text, NULL, 0)), 0, "A6 a hole of %zu MiB of addresses%s",
		       hole, i % 2 ? ", later" : "");
	}
	return tap_done();
}
