/* SPDX-License-Identifier: MIT */
/*
 * soak - a long life in phases, by number of operations: does anything drift?
 *
 *	soak [OPERATIONS [ROUNDS]]       under the library, or any other by LD_PRELOAD
 *
 * An operation is one malloc, realloc or free.  Every round is the same life:
 *
 *	steady     a working set of sizes 16 B to 1 KiB, one block replaced at a time
 *	drift      the same while the mean size goes from 64 B to 4 KiB and back
 *	burst      ten times the live set, freed in random order, then idle: few calls a second
 *	threads    short-lived threads whose last blocks are freed by others
 *	pipe       one thread allocates, another frees
 *	fork       children that check, free and allocate; the parent goes on
 *	ramp       buffers that grow by realloc to a megabyte and shrink again
 *
 * and ends with the same live set, where resident memory and mappings are sampled.  From the
 * samples but the first quarter come slopes by Theil and Sen, which a few odd samples do not
 * move: a leak or a fragmentation that grows is a slope, caches are not; and a slope is believed
 * where the samples are in its order.
 *
 * Every block carries its size and a mark at both ends, checked when it is freed.
 *
 * Asserted: contents, no refusal, few mappings, and a slope of resident memory below what a run
 * of this length can tell from none.  Reported: all figures, and the idle time until resident
 * memory is below 1.3 times what is live; that time is the kernel's and the machine's as well.
 */
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "probe.h"

enum {
	SET = 20000, /* blocks of the live set, of 16 B to 1 KiB: 6 MB */
	BURST = 10, /* times the live set */
	RING = 16384, /* blocks between two threads, a power of 2 */
	THREADS = 2, /* at a time in `threads` */
	THREAD_OPS = 4000, /* operations of one short life */
	SURVIVORS = 16, /* blocks it leaves behind */
	FORK_OPS = 20000, /* operations of a child */
	IDLE_MS = 10, /* between two times that an idle program does something */
	IDLE_OPS = 200, /* what it does then */
	ROUNDS_MAX = 4000,
	MAPPINGS_MAX = 2000, /* of 65530 that the kernel allows */
};

struct head {
	uint32_t size, mark;
};

static _Atomic uint64_t operations, damaged, refused;
static _Atomic int64_t live; /* bytes asked for */
static int64_t live_most; /* main: at the ends of phases and of the burst */

/* What a thread did since it last told. */
struct account {
	uint64_t ops;
	int64_t bytes;
	uint64_t rng;
};

static void tell(struct account *a)
{
	operations += a->ops;
	live += a->bytes;
	a->ops = 0;
	a->bytes = 0;
}

static uint32_t pick(struct account *a, uint32_t n)
{
	a->rng = a->rng * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(((a->rng >> 32) * n) >> 32);
}

/* Sizes whose logarithm is even between 16 B and 2^top: small ones are frequent. */
static uint32_t pick_size(struct account *a, unsigned top)
{
	uint32_t least = 16u << pick(a, top - 4);
	return least + pick(a, least);
}

static void seal(void *p, size_t n, uint32_t mark)
{
	*(struct head *)p = (struct head){ (uint32_t)n, mark };
	((char *)p)[n - 1] = (char)(mark ^ n);
}

static bool sealed(const void *p)
{
	struct head h = *(const struct head *)p;
	return h.size >= 16 && ((const char *)p)[h.size - 1] == (char)(h.mark ^ h.size);
}

static void *give(struct account *a, size_t n)
{
	void *p = malloc(n);
	a->ops++;
	if (!p) {
		refused++;
		return NULL;
	}
	seal(p, n, (uint32_t)a->rng);
	a->bytes += (int64_t)n;
	return p;
}

static void take(struct account *a, void *p)
{
	if (!p)
		return;
	a->ops++;
	a->bytes -= ((struct head *)p)->size;
	if (!sealed(p))
		damaged++;
	free(p);
}

static struct account me = { .rng = 1 };
static void *set[SET];

static void peak(void)
{
	tell(&me);
	if (live > live_most)
		live_most = live;
}

static void steady(uint64_t ops, unsigned top)
{
	for (uint64_t i = 0; i < ops; i += 2) {
		void **slot = &set[pick(&me, SET)];
		take(&me, *slot);
		*slot = give(&me, pick_size(&me, top));
	}
	peak();
}

static void drift(uint64_t ops)
{
	static const unsigned char tops[] = { 7, 8, 9, 10, 11, 12, 13, 12, 11, 10, 9, 8, 7 };
	for (size_t i = 0; i < sizeof(tops); i++)
		steady(ops / sizeof(tops), tops[i]);
}

/* Back to the sizes of `steady` in every slot: where samples are taken. */
static void renew(void)
{
	for (size_t i = 0; i < SET; i++) {
		take(&me, set[i]);
		set[i] = give(&me, pick_size(&me, 10));
	}
	peak();
}

static long statm_pages(void)
{
	char text[128];
	long pages = -1;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n > 0) {
		text[n] = 0;
		sscanf(text, "%*s %ld", &pages);
	}
	return pages;
}

static double resident_mib(void)
{
	return (double)statm_pages() * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static long mappings(void)
{
	static char text[65536];
	long lines = 0;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	for (ssize_t n; (n = read(fd, text, sizeof(text))) > 0;)
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
	close(fd);
	return lines;
}

/* Idle time after a burst until resident memory is below 1.3 times what is live and what the
 * process had before its first block, in steps of IDLE_MS. */
static unsigned fell_after[8], falls;
static unsigned idle_steps = 100; /* at most */
static double base_mib;

static void idle(void)
{
	unsigned steps = 0;
	double bound = base_mib + 1.3 * (double)live / 1048576;
	for (; steps < idle_steps && resident_mib() > bound; steps++) {
		nanosleep(&(struct timespec){ .tv_nsec = IDLE_MS * 1000000l }, NULL);
		steady(IDLE_OPS, 10);
	}
	fell_after[falls++] = steps * IDLE_MS;
}

static void *more[SET * BURST];

static void burst(uint64_t ops, bool wait)
{
	size_t n = SET * BURST;
	for (uint64_t done = 0; done < ops; done += 2 * n) {
		for (size_t i = 0; i < n; i++)
			more[i] = give(&me, pick_size(&me, 10));
		peak();
		for (size_t i = n; i > 0; i--) {
			size_t j = pick(&me, (uint32_t)i);
			take(&me, more[j]);
			more[j] = more[i - 1];
		}
		tell(&me);
	}
	if (wait)
		idle();
}

struct life {
	struct account a;
	void *left[SURVIVORS];
};

static void *short_life(void *arg)
{
	struct life *l = arg;
	void *mine[64] = { 0 };
	for (unsigned i = 0; i < THREAD_OPS; i += 2) {
		void **slot = &mine[pick(&l->a, 64)];
		take(&l->a, *slot);
		*slot = give(&l->a, pick_size(&l->a, 12));
	}
	for (unsigned i = 0; i < 64; i++)
		take(&l->a, mine[i]);
	for (unsigned i = 0; i < SURVIVORS; i++) {
		take(&l->a, l->left[i]); /* of the one before */
		l->left[i] = give(&l->a, pick_size(&l->a, 14));
	}
	tell(&l->a);
	return NULL;
}

static void threads(uint64_t ops)
{
	static struct life lives[THREADS];
	for (uint64_t done = 0; done < ops; done += THREADS * THREAD_OPS) {
		pthread_t t[THREADS];
		unsigned n = 0;
		for (; n < THREADS; n++) {
			lives[n].a.rng = me.rng + n * 977 + done;
			if (pthread_create(&t[n], NULL, short_life, &lives[n]))
				break;
		}
		while (n > 0)
			pthread_join(t[--n], NULL);
	}
	for (unsigned n = 0; n < THREADS; n++)
		for (unsigned i = 0; i < SURVIVORS; i++) {
			take(&me, lives[n].left[i]);
			lives[n].left[i] = NULL;
		}
	peak();
}

/* One writer and one reader: who finds it full or empty gives the processor away. */
static struct {
	_Atomic uint64_t written, read;
	void *block[RING];
} ring;

static void *consumer(void *arg)
{
	struct account a = { .rng = 7 };
	uint64_t blocks = *(uint64_t *)arg;
	for (uint64_t i = 0; i < blocks; i++) {
		while (ring.written == i)
			sched_yield();
		take(&a, ring.block[i % RING]);
		ring.read = i + 1;
	}
	tell(&a);
	return NULL;
}

static void producer_and_consumer(uint64_t ops)
{
	uint64_t blocks = ops / 2;
	pthread_t t;
	ring.written = ring.read = 0;
	if (pthread_create(&t, NULL, consumer, &blocks))
		return;
	for (uint64_t i = 0; i < blocks; i++) {
		while (i - ring.read == RING)
			sched_yield();
		ring.block[i % RING] = give(&me, pick_size(&me, 11));
		ring.written = i + 1;
	}
	pthread_join(t, NULL);
	peak();
}

static void forks(uint64_t ops)
{
	for (uint64_t done = 0; done < ops; done += 2 * FORK_OPS) {
		int status = 0;
		tell(&me);
		uint64_t wrong = damaged + refused;
		pid_t pid = fork();
		if (pid == 0) {
			steady(FORK_OPS, 10);
			for (size_t i = 0; i < SET; i += 7)
				take(&me, set[i]);
			_exit(damaged + refused != wrong);
		}
		operations += FORK_OPS; /* the child's */
		steady(FORK_OPS, 10);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			damaged++;
	}
}

static void ramp(uint64_t ops)
{
	for (uint64_t done = 0; done < ops;) {
		size_t n = 16, most = 65536u << pick(&me, 5);
		unsigned char *p = give(&me, n);
		while (p && n < most) {
			size_t more = n + n / 4 + 16 + pick(&me, 64);
			unsigned char *q = realloc(p, more);
			me.ops++;
			if (!q) {
				refused++;
				break;
			}
			p = q;
			damaged += !sealed(p);
			me.bytes += (int64_t)(more - n);
			n = more;
			seal(p, n, (uint32_t)me.rng);
		}
		while (p && n > 64) {
			struct head h = *(struct head *)p;
			unsigned char *q = realloc(p, n / 3);
			me.ops++;
			if (!q) {
				refused++;
				break;
			}
			p = q;
			damaged += ((struct head *)p)->size != h.size;
			me.bytes -= (int64_t)(n - n / 3);
			n /= 3;
			seal(p, n, (uint32_t)me.rng);
		}
		take(&me, p);
		done += me.ops;
		tell(&me);
	}
	peak();
}

/* ---- figures ------------------------------------------------------------------------- */

static double rss[ROUNDS_MAX], maps[ROUNDS_MAX];
static double slopes[ROUNDS_MAX / 2 * 200];

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_size);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Median of the slopes between any two samples, per round; of too many pairs every k-th. */
static double theil_sen(const double *v, size_t n)
{
	size_t pairs = 0, room = sizeof(slopes) / sizeof(*slopes);
	size_t step = n * (n - 1) / 2 / room + 1, at = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			if (at++ % step == 0)
				slopes[pairs++] = (v[j] - v[i]) / (double)(j - i);
	return median(slopes, pairs);
}

/*
 * Whether the later values are the larger ones more often than chance has it
 * (Mann and Kendall, one side, half a percent).  What a program has at the end
 * of a round depends on when its threads ran; eight rounds of a busy machine
 * are a third apart, and slopes of such lengths come without any growth.
 */
static bool rises(const double *v, size_t n)
{
	double more = 0, pairs = (double)n * (double)(n - 1);
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			more += (v[j] > v[i]) - (v[j] < v[i]);
	return more > 2.58 * sqrt(pairs * (double)(2 * n + 5) / 18);
}

static bool figures_can_fail(void)
{
	double flat[9] = { 5, 5, 9, 5, 5, 1, 5, 5, 5 };
	double steep[9] = { 1, 3, 5, 99, 9, 11, 13, 15, 17 };
	double noise[9] = { 40, 30, 52, 35, 50, 33, 38, 54, 41 };
	return theil_sen(flat, 9) == 0 && theil_sen(steep, 9) == 2 && rises(steep, 9) &&
	       !rises(flat, 9) && !rises(noise, 9);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	uint64_t total = argc > 1 ? strtoull(argv[1], NULL, 10) : 6000000;
	size_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 10;
	struct rusage use;
	if (rounds < 4 || rounds > ROUNDS_MAX || total / rounds < 1000)
		tap_bail("usage: soak [OPERATIONS [ROUNDS, 4 to %d]]", ROUNDS_MAX);
	uint64_t part = total / rounds / 7;
	if (argc > 1)
		idle_steps = 1500;
	double start = seconds();
	memset(more, 0, sizeof(more));
	memset(set, 0, sizeof(set));
	base_mib = resident_mib();
	for (size_t r = 0; r < rounds; r++) {
		renew();
		steady(part, 10);
		drift(part);
		renew();
		burst(part, argc > 1 ? r % (rounds / 4) == 0 : r == rounds - 1);
		threads(part);
		producer_and_consumer(part);
		forks(part);
		ramp(part);
		renew();
		rss[r] = resident_mib() - base_mib;
		maps[r] = (double)mappings();
		if (argc > 1)
			diag("%zu %.1f s %.3g operations: live %.1f MiB, resident +%.1f MiB, "
			     "%.0f mappings", r + 1, seconds() - start, (double)operations,
			     (double)live / 1048576, rss[r], maps[r]);
	}
	getrusage(RUSAGE_SELF, &use);

	/* The first quarter warms up. */
	size_t from = rounds / 4, n = rounds - from;
	double growth = theil_sen(rss + from, n) * (double)n;
	bool grows = rises(rss + from, n);
	double more_maps = theil_sen(maps + from, n) * (double)n;
	double middle = median(rss + from, n);
	ok(figures_can_fail(), "the estimate of slopes sees one and no other");
	is_int((long)damaged, 0, "blocks whose contents changed");
	is_int((long)refused, 0, "refusals");
	diag("%.3g operations in %.0f s", (double)operations, seconds() - start);
	diag("resident at the ends of rounds +%.2f MiB of %.2f MiB live; slope %+.4f %% over %zu rounds",
	     middle, (double)live / 1048576, 100 * growth / middle, n);
	diag("mappings %.0f, slope %+.2f over them", maps[rounds - 1], more_maps);
	diag("most resident %.1f MiB, most live %.1f MiB: %.2f",
	     (double)use.ru_maxrss / 1024 - base_mib, (double)live_most / 1048576,
	     ((double)use.ru_maxrss / 1024 - base_mib) * 1048576 / (double)live_most);
	for (unsigned i = 0; i < falls; i++)
		diag("after burst %u below 1.3 of the live set in %u ms%s", i + 1, fell_after[i],
		     fell_after[i] >= idle_steps * IDLE_MS ? ": never" : "");
	ok(maps[rounds - 1] < MAPPINGS_MAX, "mappings stay few");
	ok(!grows || growth / middle < 0.1,
	   "resident memory does not grow by a tenth in this run");
	for (size_t i = 0; i < SET; i++)
		take(&me, set[i]);
	tell(&me);
	is_int((long)live, 0, "bytes that were never freed");
	return tap_done();
}
