/* SPDX-License-Identifier: MIT */
/*
 * test_observe - the scan of box small against a shadow count.
 *
 *   random       one thread allocates and frees; at the end live blocks of each
 *                class and pages with a live block are what the shadow says
 *   threads      four threads do so and free each other's blocks; at rest, with
 *                blocks in magazines, inboxes and open batches, the same holds
 *   inc, dec     blocks taken from slabs less those back or held = live
 *   budget       a scan looks at 64 segments at most and goes on from there
 *   maxima       of three observations of different shapes the report has the
 *                largest value of each key, whichever observation it is of
 *
 * White-box: slabs of one page, magazines of three rounds, so that every kind
 * of held block occurs within a few thousand operations.
 */
#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "observe.h"
#include "tap.h"

void *hzw_malloc(size_t n);
void hzw_free(void *p);
size_t hzw_malloc_usable_size(void *p);

enum { BLOCKS = 3000, THREADS = 4, STEPS = 20000 };

static uint64_t shadow_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717) >> 11;
}

static struct hz_observation *observation_new(void)
{
	return hz_os_map(sizeof(struct hz_observation));
}

/* A thread's blocks; others free some of them. */
struct party {
	void *block[BLOCKS];
	uint64_t random;
	pthread_barrier_t *rest;
};

static struct party parties[THREADS];

static void churn(struct party *p, long steps)
{
	while (steps--) {
		size_t i = shadow_random(&p->random) % BLOCKS;
		if (p->block[i]) {
			hzw_free(p->block[i]);
			p->block[i] = NULL;
		} else {
			size_t bits = shadow_random(&p->random) % 16;
			p->block[i] = hzw_malloc(shadow_random(&p->random) % ((size_t)1 << bits) + 1);
		}
	}
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
	return (x > y) - (x < y);
}

/* Compares one full scan with the blocks of all parties. */
static void compare(const char *name)
{
	static uint64_t live[HZ_CLASSES];
	static uintptr_t page[THREADS * BLOCKS * 2];
	size_t pages = 0, used = 0;
	uint64_t blocks = 0, seen = 0, taken = 0, returned = 0;
	struct hz_observation *o = observation_new();
	memset(live, 0, sizeof(live));
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < BLOCKS; i++) {
			uintptr_t at = (uintptr_t)parties[t].block[i];
			size_t n = at ? hzw_malloc_usable_size((void *)at) : 0;
			if (!n)
				continue;
			live[hz_class_of_size(n)]++;
			blocks++;
			if (n <= 2048) {
				page[pages++] = at >> HZ_PAGE_SHIFT;
				page[pages++] = (at + n - 1) >> HZ_PAGE_SHIFT;
			}
		}
	qsort(page, pages, sizeof(*page), by_address);
	for (size_t i = 0; i < pages; i++)
		used += i == 0 || page[i] != page[i - 1];
	hz_scan(o, true);
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		if (o->scan.of[c].live != live[c])
			diag("class %u: %lu live, the scan says %lu", c,
				 (unsigned long)live[c], (unsigned long)o->scan.of[c].live);
		seen += o->scan.of[c].live == live[c];
	}
	ok(seen == HZ_CLASSES, "%s: live blocks of every class (%lu in all)", name,
	   (unsigned long)blocks);
	ok(o->scan.unseen_heaps == 0, "%s: no heap was left out", name);
	ok(o->scan.small_pages - o->scan.small_free_pages == used,
	   "%s: pages with a live block of at most 2048 bytes (%zu of %u)", name, used,
	   o->scan.small_pages);
	for (struct hz_heap *h = hz_heap_first(); h; h = h->next) {
		taken += h->counts.taken;
		returned += h->counts.returned + h->counts.closed_blocks;
	}
	ok(taken - returned - o->scan.held_blocks - o->scan.remote_blocks == blocks,
	   "%s: taken - returned - held (%lu, of these %lu under way) = live", name,
	   (unsigned long)(o->scan.held_blocks + o->scan.remote_blocks),
	   (unsigned long)o->scan.remote_blocks);
	hz_os_unmap(o, sizeof(*o));
}

static void *work(void *arg)
{
	struct party *p = arg;
	churn(p, STEPS / 2);
	pthread_barrier_wait(p->rest);
	/* Half of the neighbour's blocks; nobody else touches those. */
	struct party *next = &parties[(p - parties + 1) % THREADS];
	for (int i = 0; i < BLOCKS; i += 2) {
		hzw_free(next->block[i]);
		next->block[i] = NULL;
	}
	pthread_barrier_wait(p->rest);
	churn(p, STEPS / 8);
	pthread_barrier_wait(p->rest); /* at rest ... */
	pthread_barrier_wait(p->rest); /* ... until compared */
	return NULL;
}

static void check_threads(void)
{
	pthread_t thread[THREADS];
	pthread_barrier_t rest;
	pthread_barrier_init(&rest, NULL, THREADS + 1);
	for (int t = 0; t < THREADS; t++) {
		parties[t].rest = &rest;
		pthread_create(&thread[t], NULL, work, &parties[t]);
	}
	pthread_barrier_wait(&rest);
	pthread_barrier_wait(&rest);
	pthread_barrier_wait(&rest);
	compare("four threads at rest");
	pthread_barrier_wait(&rest);
	for (int t = 0; t < THREADS; t++)
		pthread_join(thread[t], NULL);
	compare("after they ended");
}

/* libhz looks at the clock through libc, and finds this one.  Stopped, nothing grows old
 * while a loaded machine lets the test wait. */
static bool stopped;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	static struct timespec then; /* the thread that stopped it */
	if (!stopped || clock != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, clock, ts);
	if (!then.tv_sec)
		syscall(SYS_clock_gettime, clock, &then);
	*ts = then;
	return 0;
}

/* A process of its own, because what is looked at is its report at exit: three
 * pressure events, and beside each a scan of ours. */
enum { MAX_BLOCKS = 800, MAX_BYTES = 32768, KEYS = 3 };

struct keys {
	uint32_t of[3][KEYS]; /* of each scan: segments, free pages, candidate pages */
};

static void scan_and_press(struct keys *k, int i)
{
	struct hz_observation *o = observation_new();
	hz_scan(o, true);
	k->of[i][0] = o->scan.pack_segs;
	k->of[i][1] = o->scan.pack_free_pages;
	k->of[i][2] = o->scan.pack_candidate_pages;
	hz_os_unmap(o, sizeof(*o));
	hz_observer(HZ_EVENT_PRESSURE);
}

static void press(struct keys *k, const char *file)
{
	static void *block[MAX_BLOCKS];
	stopped = true;
	setenv("HZ_OBSERVE", "seg,full", 1);
	setenv("HZ_OBSERVE_FILE", file, 1);
	setenv("HZ_SEG_SCAVENGE_MIN_CONTIG_PAGES", "16", 1); /* a block has 8 */
	for (int i = 0; i < MAX_BLOCKS; i++)
		block[i] = memset(hzw_malloc(MAX_BYTES), 1, MAX_BYTES);
	/* A little free in every segment ... */
	for (int i = 0; i < MAX_BLOCKS; i += 32) {
		hzw_free(block[i]);
		block[i] = NULL;
	}
	scan_and_press(k, 0);
	/* ... much in few, of no use to anybody, but not half, which goes early ... */
	for (int i = 0; i < MAX_BLOCKS; i++)
		if (i < MAX_BLOCKS * 3 / 8 || i % 32 == 7) {
			hzw_free(block[i]);
			block[i] = NULL;
		}
	for (int i = 0; i < MAX_BLOCKS * 3 / 8; i += 64)
		block[i] = hzw_malloc(MAX_BYTES);
	scan_and_press(k, 1);
	/* ... and less again. */
	for (int i = 0; i < MAX_BLOCKS / 3; i++)
		if (!block[i])
			block[i] = hzw_malloc(MAX_BYTES);
	scan_and_press(k, 2);
	exit(0);
}

static void check_maxima(void)
{
	char path[] = "/tmp/hz-test-observe.XXXXXX", line[400] = "";
	int fd = mkstemp(path), status = -1;
	struct keys *k = hz_os_map(sizeof(*k));
	unsigned calls = 0, got[KEYS] = { 0 }, most[KEYS] = { 0 };
	k = mmap(k, sizeof(*k), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	pid_t pid = fork();
	if (pid == 0)
		press(k, path);
	waitpid(pid, &status, 0);
	ok(status == 0 && read(fd, line, sizeof(line) - 1) > 0, "a process under pressure reports");
	close(fd);
	unlink(path);
	sscanf(line,
	       "[HZ3_SEG_SCAVENGE_OBS] calls=%u max_segments=%u max_free_pages=%u "
	       "max_candidate_pages=%u",
	       &calls, &got[0], &got[1], &got[2]);
	for (int i = 0; i < 3; i++)
		for (int key = 0; key < KEYS; key++)
			most[key] = k->of[i][key] > most[key] ? k->of[i][key] : most[key];
	for (int i = 0; i < 3; i++)
		diag("observation %d: %u segments, %u free pages, %u candidates", i, k->of[i][0],
		     k->of[i][1], k->of[i][2]);
	ok(calls == 3, "calls sums (%u)", calls);
	for (int key = 0; key < KEYS; key++)
		ok(got[key] == most[key], "key %d is the maximum: %u, of scans %u", key, got[key],
		   most[key]);
	ok(k->of[0][0] > k->of[1][0] && k->of[0][2] < k->of[1][2],
	   "the maxima are of different observations");
}

/* 100 MiB of large blocks, never touched: more segments than one scan's budget. */
static void check_budget(void)
{
	enum { LARGE = 100 };
	static void *block[LARGE];
	struct hz_observation *o = observation_new();
	for (int i = 0; i < LARGE; i++)
		block[i] = hzw_malloc(HZ_MIB);
	hz_scan(o, true);
	uint32_t all = o->scan.segs, sum = 0, scans = 0;
	ok(all >= LARGE, "a full scan sees all %u segments", all);
	o->cursor_arena = o->cursor_page = 0;
	for (; sum < all && scans < 10; scans++) {
		hz_scan(o, false);
		if (o->scan.segs > HZ_SCAN_SEGS)
			break;
		sum += o->scan.segs;
	}
	ok(scans == (all + HZ_SCAN_SEGS - 1) / HZ_SCAN_SEGS,
	   "scans of at most %d go on where the last one ended: %u of them see %u", HZ_SCAN_SEGS, scans,
	   sum);
	for (int i = 0; i < LARGE; i++)
		hzw_free(block[i]);
	hz_os_unmap(o, sizeof(*o));
}

int main(void)
{
	check_maxima(); /* before this process has a heap */
	for (int t = 0; t < THREADS; t++)
		parties[t].random = (uint64_t)t * 7919 + 12345;
	compare("nothing");
	churn(&parties[0], STEPS);
	compare("one thread");
	check_threads();
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < BLOCKS; i++) {
			hzw_free(parties[t].block[i]);
			parties[t].block[i] = NULL;
		}
	compare("everything freed");
	check_budget();
	return tap_done();
}
