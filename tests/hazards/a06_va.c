/* SPDX-License-Identifier: MIT */
/*
 * a06_va - little address space: a process that has nearly all of it mapped
 * before its first malloc, as if it had 39 bits of it or fewer; rows A6 and S1.
 *
 * All free addresses are reserved in halving steps, and then one hole of the
 * given size is left.
 */
#include "hazard.h"

static int with_hole(size_t hole)
{
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
	return use_malloc() | (hole >= 64 * MIB && use_malloc_in_new_thread());
}

int main(int argc, char **argv)
{
	static const size_t mib[] = { 300 * 1024, 20 * 1024, 1024, 100, 8 };
	watchdog(HAZARD_SECONDS);
	if (argc > 1)
		return with_hole(strtoul(argv[1], NULL, 10) * MIB);
	for (size_t i = 0; i < COUNT_OF(mib); i++) {
		char text[32];
		snprintf(text, sizeof(text), "%zu", mib[i]);
		is_int(how(run_self(text, NULL, 0)), 0, "A6 a hole of %zu MiB of addresses",
		       mib[i]);
	}
	return tap_done();
}
