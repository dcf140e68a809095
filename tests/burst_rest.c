/* SPDX-License-Identifier: MIT */
/*
 * burst_rest - a program that comes back for what it freed, and then rests.
 *
 * Bursts within two seconds, 40 MiB of blocks to 1 KiB each, freed in random
 * order, teach the library that this memory is used again, so it is kept.  Then the
 * program goes on with little: it replaces a few of its 5 MiB now and then, which its
 * magazines may serve for ever without anything of the library being run that
 * could look at the clock.  Resident memory must come down all the same.
 *
 * In lane scale 240 MiB, of which it may keep 12 for good: 8 of dirty pages and 4 in slabs.
 */
#include <hz/hz.h>
#include <time.h>

#include "probe.h"

enum { SET = 16000, MORE = 10 * SET, MORE_SCALE = 6 * MORE };
enum { PAUSE_US = 2000, AT_ONCE = 300, PAUSES = 15000, SCALE_BYTES = 12 << 20 };

/* The library learns more with each: one more than it needs, just enough, and many. */
static const int bursts[] = { 3, 2, 5 };

static unsigned char *set[SET], *more[MORE_SCALE];
static uint64_t state = 7;
static long damaged;
static size_t n_more = MORE;

static unsigned char *new_block(void)
{
	size_t least = (size_t)16 << random_to(&state, 6), n = least + random_to(&state, least);
	unsigned char *p = malloc(n);
	if (!p)
		tap_bail("no memory");
	memset(p, (int)n, n);
	p[0] = p[n - 1] = 7;
	return p;
}

static void drop(unsigned char *p)
{
	damaged += p[0] != 7;
	free(p);
}

static void burst(void)
{
	for (size_t i = 0; i < n_more; i++)
		more[i] = new_block();
	for (size_t i = n_more; i > 0; i--) {
		size_t j = random_to(&state, i);
		drop(more[j]);
		more[j] = more[i - 1];
	}
}

int main(void)
{
	long start;
	watchdog(300);
	if (strcmp(hz_lane(), "scale") == 0)
		n_more = MORE_SCALE;
	memset(more, 0, n_more * sizeof(*more));
	memset(set, 0, sizeof(set));
	start = rss_exact_bytes();
	for (size_t i = 0; i < SET; i++)
		set[i] = new_block();
	long live = rss_exact_bytes() - start;
	long most = strcmp(hz_lane(), "scale") == 0 ? live + SCALE_BYTES : 3 * live;
	for (size_t k = 0; k < sizeof(bursts) / sizeof(*bursts); k++) {
		long full = 0, rest = 0;
		int pauses = 0;
		for (int i = 0; i < bursts[k]; i++) {
			burst();
			if (rss_exact_bytes() - start > full)
				full = rss_exact_bytes() - start;
		}
		/* However slow the machine is: only if it never falls it takes all of them. */
		for (; pauses < PAUSES; pauses++) {
			usleep(PAUSE_US);
			for (int n = 0; n < AT_ONCE; n++) {
				size_t i = random_to(&state, SET);
				drop(set[i]);
				set[i] = new_block();
			}
			if (pauses % 100 == 0 && (rest = rss_exact_bytes() - start) < most)
				break;
		}
		diag("%ld KiB for the set, %ld after %d bursts, %ld after %d pauses", live / 1024,
		     full / 1024, bursts[k], rest / 1024, pauses);
		is_at_most(rest / 1024, most / 1024, "KiB resident while the program rests");
	}
	is_int(damaged, 0, "no block changed");
	return tap_done();
}
