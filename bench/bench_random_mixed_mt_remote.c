/* SPDX-License-Identifier: MIT */
/*
 * bench_random_mixed_mt_remote - random sizes, part of them freed by another
 * thread.
 *
 * T workers with `ws` slots each.  An iteration drains the inbound ring, picks
 * a slot and draws a size; an empty slot is filled, an occupied one is freed:
 * by its owner, or with probability remote_pct by the next thread, to which
 * the pointer travels through a ring with one producer and one consumer.
 * Thread i sends into ring i and drains ring i - 1.
 *
 * ops is threads * iters: iterations, not calls.  What is still in the slots
 * at the end is freed outside the timed region.
 */
#include "bench.h"

#include <sched.h>

enum { THREADS, ITERS, WS, MIN, MAX, REMOTE_PCT, RING_SLOTS, NUMBERS };

static struct bench_number numbers[NUMBERS] = {
	[THREADS] = { "threads", 16, 1, 4096 },
	[ITERS] = { "iters", 2000000, 1, UINT64_MAX },
	[WS] = { "ws", 400, 1, 1u << 30 },
	[MIN] = { "min", 16, 1, 1u << 30 },
	[MAX] = { "max", 2048, 1, 1u << 30 },
	[REMOTE_PCT] = { "remote_pct", 90, 0, 100 },
	[RING_SLOTS] = { "ring_slots", 65536, 1, 1u << 28 },
};
static struct bench_number options[] = {
	/* prints thread 0's first choices and ends: for the tests */
	{ "print-choices", 0, 0, 1000000 },
};

/* A ring with one producer and one consumer; `slots` is a power of two. */
struct ring {
	_Alignas(128) _Atomic size_t tail; /* producer: store-release */
	size_t head_seen;                  /* producer's copy of head */
	_Alignas(128) _Atomic size_t head; /* consumer: store-release */
	_Alignas(128) void **slots;        /* read-only after the start */
	size_t mask;
};

struct worker {
	_Alignas(128) struct ring out; /* to the next thread */
	struct worker *previous;
	_Atomic bool done; /* no more will be sent; release */
	unsigned id;
	double start, end;
	uint64_t allocated, local_freed, sent, received, fallback, failures;
};

static pthread_barrier_t start_line;

static bool ring_push(struct ring *r, void *p)
{
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail - r->head_seen > r->mask) {
		r->head_seen = atomic_load_explicit(&r->head,
						    memory_order_acquire);
		if (tail - r->head_seen > r->mask)
			return false;
	}
	r->slots[tail & r->mask] = p;
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

/* Frees all that has arrived; returns how many. */
static inline size_t ring_drain(struct ring *r)
{
	size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	size_t count = tail - head;

	if (!count)
		return 0;
	for (; head != tail; head++)
		free(r->slots[head & r->mask]);
	atomic_store_explicit(&r->head, tail, memory_order_release);
	return count;
}

static void finish_inbound(struct worker *w, struct ring *in)
{
	for (;;) {
		bool done = atomic_load_explicit(&w->previous->done,
						 memory_order_acquire);
		size_t n = ring_drain(in);

		w->received += n;
		if (done)
			return;
		if (!n)
			sched_yield();
	}
}

static void *work(void *argument)
{
	struct worker *w = argument;
	struct ring *in = &w->previous->out;
	struct bench_rng rng = bench_seed(w->id);
	uint32_t ws = (uint32_t)numbers[WS].value;
	uint32_t pct = numbers[THREADS].value > 1
			       ? (uint32_t)numbers[REMOTE_PCT].value
			       : 0;
	size_t min = numbers[MIN].value, max = numbers[MAX].value;
	uint64_t iters = numbers[ITERS].value, received = 0;
	void **slots = bench_pages(ws * sizeof(*slots));

	pthread_barrier_wait(&start_line);
	w->start = bench_now();
	for (uint64_t i = 0; i < iters; i++) {
		void **slot;
		size_t size;

		received += ring_drain(in);
		slot = &slots[bench_pick(&rng, ws)];
		size = bench_between(&rng, min, max);
		if (!*slot) {
			*slot = bench_alloc(size, &w->failures);
			w->allocated += *slot != NULL;
			continue;
		}
		if (pct && bench_pick(&rng, 100) < pct) {
			if (ring_push(&w->out, *slot)) {
				w->sent++;
			} else {
				w->fallback++;
				free(*slot);
			}
		} else {
			w->local_freed++;
			free(*slot);
		}
		*slot = NULL;
	}
	w->received = received;
	atomic_store_explicit(&w->done, true, memory_order_release);
	finish_inbound(w, in);
	w->end = bench_now();
	for (uint32_t i = 0; i < ws; i++)
		free(slots[i]);
	return NULL;
}

static struct worker *prepare(unsigned threads)
{
	struct worker *workers = bench_pages(threads * sizeof(*workers));
	size_t slots = 1;

	while (slots < numbers[RING_SLOTS].value)
		slots *= 2;
	for (unsigned i = 0; i < threads; i++) {
		workers[i].id = i;
		workers[i].previous = &workers[(i + threads - 1) % threads];
		workers[i].out.mask = slots - 1;
		workers[i].out.slots = bench_pages(slots * sizeof(void *));
	}
	return workers;
}

static void print_exchange(const struct worker *sum)
{
	uint64_t remote = sum->sent + sum->fallback;
	uint64_t frees = remote + sum->local_freed;
	double fallback = remote ? 100.0 * (double)sum->fallback /
					   (double)remote
				 : 0;

	printf("[EFFECTIVE_REMOTE] target=%.1f%% actual=%.1f%% "
	       "fallback_rate=%.2f%%\n",
	       (double)numbers[REMOTE_PCT].value,
	       frees ? 100.0 * (double)sum->sent / (double)frees : 0,
	       fallback);
	if (fallback >= 0.10)
		printf("[INVALID] fallback_rate >= 0.10%%: "
		       "the rings were too small\n");
	printf("[STATS] allocated=%llu local_freed=%llu remote_sent=%llu "
	       "remote_received=%llu ring_full_fallback=%llu\n",
	       (unsigned long long)sum->allocated,
	       (unsigned long long)sum->local_freed,
	       (unsigned long long)sum->sent,
	       (unsigned long long)sum->received,
	       (unsigned long long)sum->fallback);
}

int main(int argc, char **argv)
{
	struct worker *workers, sum = { .start = 1e300 };
	unsigned threads;

	BENCH_PARSE(argc, argv, numbers, options, NULL);
	if (numbers[MAX].value < numbers[MIN].value)
		bench_usage("max is below min");
	if (options[0].value) {
		bench_print_choices(bench_seed(0), options[0].value,
				    (uint32_t)numbers[WS].value,
				    numbers[MIN].value, numbers[MAX].value);
		return 0;
	}
	threads = (unsigned)numbers[THREADS].value;
	workers = prepare(threads);
	pthread_barrier_init(&start_line, NULL, threads);
	bench_threads(work, workers, sizeof(*workers), threads);
	for (unsigned i = 0; i < threads; i++) {
		sum.start = workers[i].start < sum.start ? workers[i].start
							 : sum.start;
		sum.end = workers[i].end > sum.end ? workers[i].end : sum.end;
		sum.allocated += workers[i].allocated;
		sum.local_freed += workers[i].local_freed;
		sum.sent += workers[i].sent;
		sum.received += workers[i].received;
		sum.fallback += workers[i].fallback;
		sum.failures += workers[i].failures;
	}
	bench_print_args();
	print_exchange(&sum);
	return bench_finish(threads, threads * numbers[ITERS].value,
			    sum.end - sum.start, sum.failures);
}
