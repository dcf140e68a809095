/* SPDX-License-Identifier: MIT */
/*
 * fragmented [MIB] - pages without a live block go back although their slab stays.
 *
 *   96 MiB (or MIB, at most 400) of blocks of 16 to 2016 bytes; 19 of 20 freed in
 *   random order; what is resident then is less than twice the pages that hold a live
 *   byte, though nothing is called in between; less yet after 2 s with a few
 *   allocations; and little of all that when the rest is freed
 *
 * Of blocks of 16 to 32 KiB, and of 256 KiB to 2 MiB, likewise, freed in order; in a
 * process of its own each, for one that comes back for what it freed is trusted to do so again.
 *
 * Lane scale keeps a quarter of the recent peak and 8 MiB, for two seconds, which
 * these do not wait for.
 */
#include <hz/hz.h>

#include "probe.h"

enum { MOST_BYTES = 400 * 1024 * 1024, BLOCKS = MOST_BYTES / 1016 + 1000, PAGE = 4096 };
static size_t bytes = 96 * MIB;

static unsigned char *block[BLOCKS];
static size_t size[BLOCKS];
static unsigned char seen[(size_t)MOST_BYTES * 4 / PAGE];
static uint64_t state = 88172645463325252u;

static int lane_is(const char *name)
{
	return strcmp(hz_lane(), name) == 0;
}

static size_t draw(size_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

static size_t fill_up(size_t low, size_t high)
{
	size_t n = 0;
	for (size_t all = 0; all < bytes && n < BLOCKS; n++) {
		size[n] = low + draw(high - low + 1);
		memset(block[n] = malloc(size[n]), 1, size[n]);
		all += size[n];
	}
	return n;
}

static void shuffle(size_t n)
{
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = draw(i + 1);
		unsigned char *p = block[i];
		size_t s = size[i];
		block[i] = block[j], size[i] = size[j];
		block[j] = p, size[j] = s;
	}
}

/* Bytes of the pages that blocks from..n lie on. */
static size_t live_pages(size_t from, size_t n)
{
	uintptr_t low = UINTPTR_MAX;
	size_t pages = 0;
	memset(seen, 0, sizeof(seen));
	for (size_t i = from; i < n; i++)
		if ((uintptr_t)block[i] < low)
			low = (uintptr_t)block[i];
	low /= PAGE;
	for (size_t i = from; i < n; i++)
		for (uintptr_t p = (uintptr_t)block[i] / PAGE;
		     p <= ((uintptr_t)block[i] + size[i] - 1) / PAGE; p++)
			if (p - low < sizeof(seen) && !seen[p - low]) {
				seen[p - low] = 1;
				pages++;
			}
	return pages * PAGE;
}

/* Two seconds with a few allocations. */
static void go_on(void)
{
	void *few[20];
	for (int i = 0; i < 200; i++) {
		for (size_t k = 0; k < COUNT_OF(few); k++)
			few[k] = escape(malloc(16 + draw(2001)));
		for (size_t k = 0; k < COUNT_OF(few); k++)
			free(few[k]);
		usleep(10000);
	}
}

static void small(void)
{
	memset(block, 0, sizeof(block));
	memset(size, 0, sizeof(size));
	memset(seen, 1, sizeof(seen));
	free(escape(malloc(1)));
	long start = rss_bytes();
	size_t n = fill_up(16, 2016), keep = n - n / 20;
	long full = rss_bytes() - start;
	ok(full > (long)bytes, "filled: %ld KiB", full / 1024);
	shuffle(n);
	for (size_t i = 0; i < keep; i++)
		free(block[i]);
	long live = (long)live_pages(keep, n), rest = rss_bytes() - start;
	diag("live pages %ld KiB", live / 1024);
	is_at_most(100 * rest / live, 200,
		   "19 of 20 freed: resident in percent of live pages");
	go_on();
	is_at_most(100 * (rss_bytes() - start) / live, lane_is("lean") ? 135 : 200,
		   "and 2 s with a few allocations later");
	int whole = 1;
	for (size_t i = keep; i < n; i++)
		whole &= block[i][0] == 1 && block[i][size[i] - 1] == 1;
	ok(whole, "what was kept is whole");
	for (size_t i = keep; i < n; i++)
		free(block[i]);
	is_at_most((rss_bytes() - start) / 1024, (lane_is("scale") ? 12 : 2) * 1024,
		   "all freed: KiB resident above the start");
}

/* Blocks from low to high bytes freed in order, in a process of its own: MiB above the start. */
static int in_order(size_t low, size_t high)
{
	int status = 0;
	pid_t pid = fork();
	if (pid) {
		waitpid(pid, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
	}
	free(escape(malloc(1)));
	long start = rss_bytes();
	size_t n = fill_up(low, high);
	for (size_t i = 0; i < n; i++)
		free(block[i]);
	long more = (rss_bytes() - start) / 1024 / 1024;
	_exit(more < 0 ? 0 : more > 255 ? 255 : (int)more);
}

int main(int argc, char **argv)
{
	watchdog(60);
	if (argc > 1 && atoi(argv[1]) > 0 && atoi(argv[1]) <= 400)
		bytes = (size_t)atoi(argv[1]) * MIB;
	is_at_most(in_order(16384, 32768), lane_is("scale") ? 40 : 8,
		   "medium blocks freed: MiB resident above the start");
	is_at_most(in_order(MIB / 4, 2 * MIB), lane_is("scale") ? 40 : 1,
		   "large blocks freed: MiB resident above the start");
	small();
	return tap_done();
}
