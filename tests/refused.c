/* SPDX-License-Identifier: MIT */
/*
 * refused - sizes that grow until the kernel refuses them, by many threads at once.
 *
 *   8, 13, 21 ... bytes -> as much as there is no memory for -> NULL -> all is freed
 *
 * Of blocks of gibibytes one word is written: almost all of what is freed was never
 * touched.  Giving that back, and answering a refusal, has to cost by what there is,
 * not by what was asked for: system calls are counted.
 *
 * How many there are depends on how the threads meet: 37 to 28,612 were seen, more where
 * waiters do not spin.  One purge of a block of 64 GiB, page range by page range, is 4096 of
 * them: did they cost by what was asked for, 320 rounds would be a million.
 */
#include <stdatomic.h>

#include "../lib/root.h"
#include "probe.h"

extern const struct hz_root hz_root;

enum { THREADS = 16, ROUNDS = 20, BLOCKS = 70 };

static atomic_long refused, bad, errno_bad;

static void *grow(void *arg)
{
	static const unsigned factor[] = { 2, 3, 5 };
	for (int round = 0; round < ROUNDS; round++) {
		size_t *block[BLOCKS], bytes = sizeof(size_t), before = 5, n = 0;
		for (; n < BLOCKS && bytes <= PTRDIFF_MAX / 5; n++) {
			errno = 0;
			block[n] = escape(malloc(bytes));
			if (!block[n]) {
				refused++;
				errno_bad += errno != ENOMEM;
				break;
			}
			*block[n] = n;
			size_t next = (size_t)arg % 4 ? bytes * factor[(size_t)arg % 4 - 1]
						      : bytes + before;
			before = bytes;
			bytes = next;
		}
		while (n--) {
			bad += *block[n] != n;
			free(block[n]);
		}
	}
	return NULL;
}

/* Calls that gave memory back, so far. */
static long long purges(void)
{
	const struct hz_root *root = &hz_root;
	uint64_t n = 0;
	for (uint32_t i = 0; i < root->nobjects; i++)
		for (uint32_t k = 0; k < root->nfields; k++)
			if (strcmp(root->objects[i].name, "os") == 0 &&
			    strcmp(root->fields[k].name, "os.purge") == 0)
				memcpy(&n, (const char *)root->objects[i].address + root->fields[k].offset,
				       sizeof(n));
	return (long long)n;
}

int main(void)
{
	pthread_t thread[THREADS];
	watchdog(300);
	for (size_t i = 0; i < THREADS; i++)
		thread[i] = start_thread(grow, (void *)i);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	is_int(bad, 0, "every block kept its word");
	is_int(errno_bad, 0, "%ld refusals, each with ENOMEM", (long)refused);
	is_at_most(purges(), 400 * THREADS * ROUNDS, "times memory was given back");
	return tap_done();
}
