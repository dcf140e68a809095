/* SPDX-License-Identifier: MIT */
/*
 * mod_early - a library preloaded in front of the allocator, which allocates
 * as early as anyone can: in an IFUNC resolver, while the loader relocates,
 * and in a constructor.  mod_early_blocks() hands the blocks to the program.
 * Used by hazard_early.
 */
#include <stdlib.h>
#include <string.h>

void *mod_early_block(int i);
int mod_early_answer(void);

static void *block[3];

static int answer(void)
{
	return 42;
}

__attribute__((used)) static int (*resolve(void))(void)
{
	/* Not to be optimised away; this library's own data may be unrelocated. */
	void *p = malloc(100);
	__asm__ volatile("" : "+r"(p) : : "memory");
	free(p);
	return answer;
}

int mod_early_answer(void) __attribute__((ifunc("resolve")));

__attribute__((constructor(101))) static void allocate(void)
{
	block[0] = malloc(100);
	block[1] = calloc(1000, 30);
	block[2] = realloc(malloc(10), 500000);
	for (int i = 0; i < 3; i++)
		if (block[i])
			memset(block[i], i + 1, 100);
}

void *mod_early_block(int i)
{
	return block[i];
}
