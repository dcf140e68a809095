/* SPDX-License-Identifier: MIT */
/*
 * stat_fuzz - hz-stat's walk over damaged memory: an answer or an error, never
 * a crash, never for ever.
 *
 * The image is this very process, read through a reader that now and then
 * flips bits, repeats old bytes or fails.  Sums must hold whatever was read.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../tools/heap.h"
#include "probe.h"

enum { ROUNDS = 1500, BLOCKS = 30000 };

extern const char hz_root[];

static uint64_t random_state = 88172645463325252ull;
static unsigned damage; /* one read in so many is damaged; 0: none */

static uint64_t next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

bool image_read(struct image *m, uint64_t at, void *to, size_t n)
{
	struct iovec ours = { to, n }, theirs = { (void *)(uintptr_t)at, n };
	m->error = 14;
	if (n && process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0) != (ssize_t)n)
		return false;
	if (damage && n && next() % damage == 0) {
		for (uint64_t k = next() % 8 + 1; k--;)
			((unsigned char *)to)[next() % n] = (unsigned char)next();
		if (next() % 16 == 0)
			memset(to, (int)next(), n);
		return next() % 8 != 0;
	}
	return true;
}

uint64_t image_symbol(struct image *m, const char *name)
{
	(void)m;
	(void)name;
	return (uintptr_t)hz_root;
}

bool image_pages(struct image *m, uint64_t at, size_t n, uint8_t *state)
{
	(void)m;
	(void)at;
	for (size_t i = 0; i < n; i++)
		state[i] = damage ? (uint8_t)(next() & 3) : PAGE_PRESENT;
	return !damage || next() % 64;
}

bool image_rss(struct image *m, struct image_rss *r)
{
	(void)m;
	*r = (struct image_rss){ .rss = 1 << 20 };
	return true;
}

static uint64_t sum(const struct account *a)
{
	return a->live + a->slack + a->free + a->cached + a->remote + a->empty + a->dirty +
	       a->clean + a->metadata + a->unattributed;
}

int main(void)
{
	static void *block[BLOCKS];
	static struct account a;
	struct image m = { .pid = 1 };
	int results[8] = { 0 }, wrong = 0;

	watchdog(300);
	for (int i = 0; i < BLOCKS; i++)
		block[i] = malloc((size_t)i % 3000 + 1);
	for (int i = 0; i < BLOCKS; i += 3) {
		free(block[i]);
		block[i] = NULL;
	}
	block[0] = malloc(3 << 20);
	ok(heap_account(&m, &a) == HEAP_OK && !a.torn, "an undamaged heap is read");
	ok(sum(&a) == a.resident && a.resident > 0, "causes add up");
	for (int i = 0; i < ROUNDS; i++) {
		damage = 2 + (unsigned)(next() % 60);
		enum heap_result r = heap_account(&m, &a);
		results[r & 7]++;
		if (r == HEAP_OK)
			wrong += sum(&a) != a.resident ||
				 (a.pages_live + a.pages_held + a.pages_empty + a.pages_free +
				  a.pages_metadata + a.pages_unknown) * 4096 != a.resident;
	}
	diag("%d answers, %d errors", results[HEAP_OK], ROUNDS - results[HEAP_OK]);
	ok(results[HEAP_OK] > 0 && results[HEAP_OK] < ROUNDS, "damaged heaps give answers or errors");
	ok(wrong == 0, "and in every answer causes add up");
	return tap_done();
}
