/* SPDX-License-Identifier: MIT */
/*
 * test_faults - for every k, the k-th call to the kernel is refused, in every way.
 *
 *   modes    once | from then on     x     purges work | purges lie | metadata used up
 *   script   small, large, aligned, calloc, realloc in place and moving, foreign
 *            frees, threads that end, further arenas, mappings, purge
 *   always   no crash, no hang, every block whole, calloc zero, errno as it was,
 *            or ENOMEM with NULL; NULL only if the kernel had refused
 *   then     the kernel works again: the whole script succeeds, nothing is lost
 *
 * The clock jumps at every few looks, so that what is due once in a while (idle
 * magazines, others' inboxes) happens anywhere in a script.
 *
 * One child for each k and mode; the first k that is never reached ends it.
 */
#include <hz/hz.h>

#include <sys/syscall.h>
#include <time.h>

#include "whitebox.h"

enum {
	HELD = 400, /* blocks the script holds at most */
	LAST_K = 4000, /* calls of a script, far fewer */
	NOT_REACHED = 2, /* exit code: the k-th call never came */
};

static uint64_t hurry; /* state of the clock's jumps; 0: none */

/* libhz looks at the clock through libc, and finds this one. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	static long ahead_ms; /* any thread; the test has one at work at a time */
	long result = syscall(SYS_clock_gettime, clock, ts);
	if (hurry && clock == CLOCK_MONOTONIC_COARSE) {
		if (random_to(&hurry, 4) == 0)
			ahead_ms += (long)random_to(&hurry, 60);
		ts->tv_sec += ahead_ms / 1000;
		ts->tv_nsec += ahead_ms % 1000 * 1000000;
		if (ts->tv_nsec >= 1000000000) {
			ts->tv_sec++;
			ts->tv_nsec -= 1000000000;
		}
	}
	return (int)result;
}

static struct block {
	unsigned char *p;
	size_t n;
	uint64_t mark;
} held[HELD];
static size_t nheld;
static uint64_t marks;
static bool strict; /* nothing may fail */
static bool hungry; /* no metadata is left at certain points */

/* What mmap, munmap, mprotect, mremap and madvise may say, and filters. */
static const int errors[] = { ENOMEM, EAGAIN, EINVAL, EPERM, ENOSYS, EACCES, EBUSY };

enum { ON = 1, LIE = 2, HUNGRY = 4, MODES = 8 };

/* The next heap, array or batch has to ask the kernel. */
static void eat_metadata(void)
{
	struct hz_os_fault was = hz_os_fault;
	if (!hungry || !hz_heap_first())
		return;
	hz_os_fault = (struct hz_os_fault){ .at = 1, .on = true };
	for (size_t n = 16 * KIB; n >= 64; n /= 2)
		while (hz_meta_alloc(n))
			;
	hz_os_fault = was;
}

static bool refused_before(void)
{
	return hz_os_fault.at && hz_load(&hz_os_fault.seen) >= hz_os_fault.at;
}

/* Takes what a function returned into the books; whether there was a block. */
static bool got(void *p, size_t n, bool zero)
{
	if (!p) {
		NEED(errno == ENOMEM);
		NEED(!strict && refused_before());
		return false;
	}
	NEED(errno == ELIBBAD);
	NEED(nheld < HELD);
	NEED(!zero || all_zero(p, n));
	NEED(hzw_malloc_usable_size(p) >= n);
	held[nheld] = (struct block){ p, n, ++marks };
	fill(p, n, marks);
	nheld++;
	return true;
}

static void drop(size_t i)
{
	struct block b = held[i];
	NEED(intact(b.p, b.n, b.mark));
	held[i] = held[--nheld];
	errno = ELIBBAD;
	hzw_free(b.p);
	NEED(errno == ELIBBAD);
}

static void take(size_t n)
{
	errno = ELIBBAD;
	got(hzw_malloc(n), n, false);
}

static void take_zero(size_t n)
{
	errno = ELIBBAD;
	got(hzw_calloc(n, 1), n, true);
}

static void take_aligned(size_t align, size_t n)
{
	errno = ELIBBAD;
	void *p = hzw_aligned_alloc(align, n);
	NEED((uintptr_t)p % align == 0);
	got(p, n, false);
	errno = ELIBBAD;
	void *q = (void *)8;
	int error = hzw_posix_memalign(&q, align, n);
	NEED(errno == (error ? ENOMEM : ELIBBAD) && (error == 0 || error == ENOMEM));
	if (error) {
		NEED(q == (void *)8 && !strict && refused_before());
		return;
	}
	NEED((uintptr_t)q % align == 0);
	got(q, n, false);
}

static void resize(size_t i, size_t n)
{
	struct block *b = &held[i];
	size_t both = n < b->n ? n : b->n;
	errno = ELIBBAD;
	unsigned char *q = hzw_realloc(b->p, n);
	if (!q) {
		NEED(errno == ENOMEM && !strict && refused_before());
		NEED(intact(b->p, b->n, b->mark));
		return;
	}
	NEED(errno == ELIBBAD && hzw_malloc_usable_size(q) >= n);
	NEED(intact_prefix(q, both, b->mark));
	b->p = q;
	b->n = n;
	b->mark = ++marks;
	fill(q, n, b->mark);
}

/* A thread that frees what others made, makes its own, and ends. */
static void *worker(void *arg)
{
	for (size_t i = nheld; i > 0; i -= i < 3 ? i : 3)
		drop(i - 1);
	for (size_t i = 0; i < 40; i++)
		take(16 + (size_t)arg * i);
	eat_metadata();
	take_zero(150000);
	if (nheld)
		resize(nheld - 1, 300000);
	for (size_t i = 0; i + 1 < nheld; i += 4)
		drop(i);
	return NULL;
}

static void script(void)
{
	for (size_t i = 0; i < 60; i++)
		take(8 + 37 * i);
	eat_metadata();
	for (size_t i = 0; i < 12; i++)
		take(3000 << (i / 2));
	/* Large: in place, then with a wall behind it, then shorter. */
	for (size_t n = 140000; n < 600000; n *= 2) {
		take_zero(n);
		if (nheld)
			resize(nheld - 1, n + n / 4);
		take(20000);
		if (nheld > 1)
			resize(nheld - 2, 2 * n);
	}
	if (nheld)
		resize(nheld - 1, 500000);
	if (nheld)
		resize(nheld / 2, 400);
	take_aligned(64, 100);
	take_aligned(4096, 5000);
	take_aligned(256 * KIB, 300000);
	/* Reuse: dirty pages, purged pages, zeroed both times. */
	for (size_t i = 0; i < nheld; i += 2)
		drop(i);
	for (size_t i = 0; i < 20; i++)
		take_zero(100 << (i / 2));
	hz_pressure_relieve();
	take_zero(700000);
	take_zero(131072);
	/* Threads, one after another and what they leave. */
	for (uintptr_t i = 1; i < 4; i++) {
		eat_metadata();
		pthread_t t = start_thread(worker, (void *)(i * 30));
		pthread_join(t, NULL);
		for (size_t k = 0; k < nheld; k += 3)
			drop(k);
		for (size_t k = 0; k < 30; k++)
			take(24 + i * 90);
	}
	/* Beyond the first arena: it is full after 1 MiB. */
	for (size_t i = 0; i < 3; i++)
		take(400 * KIB);
	take_zero(1500 * KIB);
	if (nheld)
		resize(nheld - 1, 2 * MIB);
	for (size_t i = 0; i < 10; i++)
		take_zero(50000 + i);
	for (size_t i = 0; i < nheld; i += 2)
		drop(i);
	errno = ELIBBAD;
	hz_purge();
	take_zero(MIB);
	take_zero(40);
	for (size_t i = 0; i < nheld; i++)
		NEED(intact(held[i].p, held[i].n, held[i].mark));
}

static void drop_all(void)
{
	while (nheld)
		drop(nheld - 1);
	hz_heap_flush_own();
	hz_heap_drain_all();
	hz_heap_flush_own();
}

/* arg: k * MODES + mode */
static void faulty(long arg)
{
	setenv("HZ_ARENA_SIZE", "1M", 1);
	hungry = arg & HUNGRY;
	hurry = (uint64_t)arg * 2654435761u + 1;
	hz_os_fault = (struct hz_os_fault){
		.at = (uint64_t)arg / MODES,
		.error = errors[arg / MODES % COUNT_OF(errors)],
		.on = arg & ON,
		.lie = arg & LIE,
	};
	script();
	bool reached = refused_before();
	/* Half of the children give all back while the kernel still refuses. */
	if (arg / MODES % 2)
		drop_all();
	hz_os_fault = (struct hz_os_fault){ 0 };
	all_whole();
	strict = true;
	script();
	all_whole();
	drop_all();
	all_whole();
	NEED_AT(hz_run_counts.used_pages == 0, hz_run_counts.used_pages);
	NEED(hz_large_counts.direct_blocks == 0 && hz_large_counts.direct_bytes == 0);
	_exit(reached ? 0 : NOT_REACHED);
}

static void exhaustive(long mode, const char *what)
{
	long k = 1, step = 1;
	int status = 0;
	for (; k < LAST_K; k += step) {
		status = scene_status(faulty, k * MODES + mode);
		if (!ended_well(status))
			break;
	}
	if (!ok(WIFEXITED(status) && WEXITSTATUS(status) == NOT_REACHED && k > 25,
		"%s, for each of %ld calls", what, k - 1))
		tell_status(status, k * MODES + mode);
}

/* Refused, each function of os.c says so and changes nothing; then it works. */
static void os_calls(long arg)
{
	(void)arg;
	const size_t bytes = 256 * KIB;
	struct hz_os_counts was = hz_os_counts;
	errno = ELIBBAD;
	hz_os_fault = (struct hz_os_fault){ .at = 1, .on = true };
	NEED(!hz_os_reserve(bytes) && !hz_os_map(bytes));
	NEED(hz_os_counts.map == was.map && hz_os_counts.refused == was.refused + 2);
	hz_os_fault = (struct hz_os_fault){ 0 };
	char *room = hz_os_reserve(bytes), *p = hz_os_map(bytes), *q = hz_os_map(bytes);
	NEED(room && p && q && all_zero(p, bytes) && hz_os_counts.map == was.map + 3);
	NEED(!hz_os_reserve((size_t)1 << 62) && !hz_os_map((size_t)1 << 62)); /* truly */
	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		hz_os_fault = (struct hz_os_fault){ .at = 1, .error = errors[i], .on = true };
		NEED(!hz_os_commit(room, bytes) && !hz_os_unmap(p, bytes));
		NEED(!hz_os_move(p, bytes, NULL, 2 * bytes) && !hz_os_shift(p, bytes, q));
		NEED(!hz_os_wipe_on_fork(p, HZ_PAGE) && !hz_os_purge(p, bytes));
		NEED(!hz_os_discard(p, bytes));
		NEED(!hz_os_reserve(bytes) && !hz_os_map(bytes) && !hz_os_map_at(p, bytes));
		NEED(errno == ELIBBAD);
	}
	memset(p, 1, bytes);
	NEED(!hz_os_purge(p, bytes) && all_zero(p + 8, 0) && p[8] == 1 && p[bytes - 1] == 1);
	hz_os_fault = (struct hz_os_fault){ 0 };
	NEED(!hz_os_map_at(p, bytes) && p[8] == 1); /* somebody is there */
	hz_os_fault = (struct hz_os_fault){ .lie = true };
	NEED(!hz_os_purge(p, bytes) && p[8] == 1 && p[bytes - 1] == 1);
	hz_os_fault = (struct hz_os_fault){ 0 };
	/* Only the second of three. */
	hz_os_fault.at = 2;
	NEED(hz_os_commit(room, HZ_PAGE) && !hz_os_commit(room, HZ_PAGE) &&
	     hz_os_commit(room, HZ_PAGE));
	hz_os_fault = (struct hz_os_fault){ 0 };
	NEED(hz_os_commit(room, bytes) && all_zero(room, bytes));
	fill(p, bytes, 5);
	NEED(hz_os_shift(p, bytes, q) && intact(q, bytes, 5) && all_zero(p, bytes));
	NEED(!hz_os_shift(p + 1, bytes, q) && intact(q, bytes, 5));
	char *to = hz_os_move(q, bytes, NULL, 2 * bytes);
	NEED(to && intact(to, bytes, 5) && all_zero(to + bytes, bytes));
	NEED(hz_os_purge(to, 2 * bytes) && all_zero(to, 2 * bytes));
	NEED(!hz_os_purge(to, 0) && !hz_os_discard(to, 0) && !hz_os_discard(to + 1, bytes));
	memset(to, 7, bytes);
	NEED(hz_os_discard(to, bytes) && all_zero(to, bytes));
	memset(p, 7, 2 * HZ_PAGE);
	NEED(!hz_os_wipe_on_fork(p, 1)); /* less than a page */
	NEED(hz_os_wipe_on_fork(p, HZ_PAGE));
	pid_t pid = fork();
	if (pid == 0)
		_exit(!all_zero(p, HZ_PAGE) || p[HZ_PAGE] != 7);
	NEED(ended_well(reap(pid)) && p[0] == 7);
	NEED(hz_os_unmap(p, bytes) && hz_os_unmap(to, 2 * bytes) && hz_os_unmap(room, bytes));
	NEED(mincore(p, HZ_PAGE, (unsigned char *)&was) == -1 && errno == ENOMEM);
	errno = ELIBBAD;
	NEED(hz_os_address_limit() == SIZE_MAX || hz_os_address_limit() > MIB);
	NEED(hz_os_pid() == getpid() && errno == ELIBBAD);
	uint64_t now = hz_os_now_ms();
	usleep(30000);
	NEED(hz_os_now_ms() >= now + 20);
}

/* A lock: one at a time, waiters woken, reopened only for who vanished. */
static struct hz_lock lock;
static unsigned long guarded;

static void *locker(void *arg)
{
	for (long i = 0; i < 20000; i++) {
		hz_lock(&lock);
		hz_store(&guarded, hz_load(&guarded) + 1);
		if (i % 4096 == 0)
			usleep(100); /* others sleep on it */
		hz_unlock(&lock);
	}
	return arg;
}

static void *leaves_it_held(void *arg)
{
	hz_lock(&lock);
	return arg;
}

static void locks(long arg)
{
	(void)arg;
	pthread_t thread[4];
	for (size_t i = 0; i < COUNT_OF(thread); i++)
		thread[i] = start_thread(locker, NULL);
	for (size_t i = 0; i < COUNT_OF(thread); i++)
		pthread_join(thread[i], NULL);
	NEED(guarded == 20000 * COUNT_OF(thread) && lock.word == 0);
	hz_lock_forker = hz_self();
	NEED(!hz_lock_reopen(&lock) && hz_trylock(&lock) && !hz_trylock(&lock));
	NEED(!hz_lock_reopen(&lock) && lock.word == hz_self()); /* ours: stays held */
	hz_unlock(&lock);
	pthread_t t = start_thread(leaves_it_held, NULL);
	pthread_join(t, NULL);
	NEED(!hz_trylock(&lock) && hz_lock_reopen(&lock) && lock.word == 0);
}

int main(void)
{
	scene(os_calls, 0, "each call to the kernel: refused without effect, then done");
	scene(locks, 0, "locks exclude, wake, and are reopened for who vanished");
	exhaustive(0, "the k-th call refused");
	exhaustive(ON, "all from the k-th call refused");
	exhaustive(LIE, "the k-th call refused while purges lie");
	exhaustive(LIE | ON, "all from the k-th call refused while purges lie");
	exhaustive(HUNGRY, "the k-th call refused, metadata used up");
	exhaustive(HUNGRY | ON, "all from the k-th call refused, metadata used up");
	return tap_done();
}
