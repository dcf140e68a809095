/* SPDX-License-Identifier: MIT */
/*
 * test_heap - threads come and go, heaps stay; blocks find their slabs whoever holds them.
 *
 *   crew        threads that do one step at a time, when told, and wait
 *   recycled    a thread's heap is the next thread's; heaps do not pile up
 *   adopted     slabs of an idle heap serve who lacks one
 *   sent        to live heaps (batches), idle ones (at once), strays (passed on)
 *   sleeper     what waits for who is live and asleep
 *   windowed    blocks of a magazine with a window: none is missed, none is double
 *   thinned     pages of slabs that go and come back
 *   late        a thread without a heap allocates and frees
 *   fork        while others work, while others hold locks and shelves are torn
 *
 * After each step every heap, slab, run and page is looked at.
 */
#include <sys/syscall.h>

#include "observe_held.h"
#include "report.h"
#include "whitebox.h"

enum { CREW = 4, BLOCKS = 400, SMALL = 48 };

/* A thread that runs what it is given and waits for more. */
struct hand {
	pthread_t thread;
	void (*todo)(struct hand *hand);
	uint32_t busy; /* 1 work is given, 0 done, 2 end */
	void *block[BLOCKS]; /* of the step */
	size_t n, bytes;
	struct hz_heap *heap;
};

static void *hand_body(void *arg)
{
	struct hand *hand = arg;
	for (uint32_t busy; (busy = hz_load_acquire(&hand->busy)) != 2;) {
		if (!busy) {
			usleep(20);
			continue;
		}
		hand->todo(hand);
		hand->heap = hz_tls.heap;
		hz_store_release(&hand->busy, 0);
	}
	return NULL;
}

static void hire(struct hand *hand)
{
	hand->busy = 0;
	hand->thread = start_thread(hand_body, hand);
}

static void tell(struct hand *hand, void (*todo)(struct hand *hand))
{
	hand->todo = todo;
	hz_store_release(&hand->busy, 1);
	while (hz_load_acquire(&hand->busy))
		usleep(20);
}

static void fire(struct hand *hand)
{
	hz_store_release(&hand->busy, 2);
	pthread_join(hand->thread, NULL);
}

static void do_take(struct hand *hand)
{
	for (size_t i = 0; i < hand->n; i++) {
		hand->block[i] = hzw_malloc(hand->bytes);
		NEED(hand->block[i]);
		fill(hand->block[i], hand->bytes, (uintptr_t)hand->block[i]);
	}
}

static void do_free(struct hand *hand)
{
	for (size_t i = 0; i < hand->n; i++) {
		NEED(intact(hand->block[i], hand->bytes, (uintptr_t)hand->block[i]));
		hzw_free(hand->block[i]);
	}
}

static void do_flush(struct hand *hand)
{
	(void)hand;
	hz_heap_flush_own();
}

static size_t heaps(void)
{
	size_t n = 0;
	for (struct hz_heap *h = hz_heap_first(); h; h = h->next)
		n++;
	return n;
}

static struct hz_run *slab_of(void *p)
{
	struct hz_run *s = hz_run_of(p);
	NEED(s && s->state == HZ_RUN_SLAB);
	return s;
}

/* All is free: nothing is used once everybody gave back what he holds. */
static void nothing_left(void)
{
	for (int i = 0; i < 3; i++) { /* what strayed comes back into our magazines */
		hz_heap_flush_own();
		hz_heap_drain_all();
	}
	all_whole();
	NEED_AT(hz_run_counts.used_pages == 0, hz_run_counts.used_pages);
	hz_pressure_relieve();
	all_whole();
	NEED(hz_run_counts.dirty_pages == 0);
}

static void recycled(long arg)
{
	(void)arg;
	static struct hand hand[CREW];
	uint32_t tag[CREW];
	NEED(!hz_heap_first() && hz_heap_live() == 0);
	hzw_free(hzw_malloc(1));
	NEED(heaps() == 1 && hz_heap_live() == 1 && hz_tls.heap->state == HZ_HEAP_LIVE);
	NEED(hz_tls.heap->tls == &hz_tls && hz_tls.owner == hz_tls.heap->tag);
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < CREW; i++) {
			hand[i].n = 100, hand[i].bytes = SMALL << i;
			hire(&hand[i]);
			tell(&hand[i], do_take);
			NEED(hand[i].heap->state == HZ_HEAP_LIVE);
			for (int k = 0; k < i; k++)
				NEED(hand[k].heap != hand[i].heap);
		}
		NEED(hz_heap_live() == CREW + 1 && heaps() == CREW + 1);
		all_whole();
		for (int i = 0; i < CREW; i++) {
			tell(&hand[i], do_free);
			fire(&hand[i]);
			NEED(hand[i].heap->state == HZ_HEAP_IDLE && !hand[i].heap->tls);
			for (unsigned c = 0; c < HZ_CLASSES; c++)
				NEED(!hand[i].heap->array[c]);
			NEED(hand[i].heap->mag_bytes == 0);
			NEED(hz_outbox_count(&hand[i].heap->box) == 0);
			tag[i] = hand[i].heap->tag;
		}
		NEED(hz_heap_live() == 1);
		all_whole();
	}
	/* The newest first. */
	hire(&hand[0]);
	tell(&hand[0], do_take);
	NEED(hand[0].heap->tag == tag[CREW - 1]);
	tell(&hand[0], do_free);
	fire(&hand[0]);
	/* A thread that allocates nothing has no heap. */
	hand[0].n = 0;
	hire(&hand[0]);
	tell(&hand[0], do_free);
	NEED(!hand[0].heap);
	fire(&hand[0]);
	NEED(heaps() == CREW + 1);
	nothing_left();
}

/* Metadata stays where it is however many threads come and go. */
static void turnover(long arg)
{
	(void)arg;
	static struct hand hand;
	size_t used[2], committed;
	hzw_free(hzw_malloc(1)); /* pthread_create does so, but of the C library */
	for (int i = 0; i < 300; i++) {
		hand.n = 50, hand.bytes = 16 + 16 * ((size_t)i % 90);
		hire(&hand);
		tell(&hand, do_take);
		tell(&hand, do_free);
		fire(&hand);
		if (i == 100)
			hz_meta_observe(&used[0], &committed);
	}
	hz_meta_observe(&used[1], &committed);
	all_whole();
	NEED(heaps() == 2); /* with this thread's */
	NEED_AT(used[1] <= used[0] + 16 * KIB, used[1] - used[0]);
	nothing_left();
}

/* More than eight threads and four for each processor: who waits for a lock sleeps at once.
 * Bound to one processor nine are that many, wherever this runs. */
static void crowd(long arg)
{
	(void)arg;
	enum { MOST = 9 };
	static struct hand hands[MOST];
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	NEED(sched_setaffinity(0, sizeof(one), &one) == 0);
	hzw_free(hzw_malloc(1));
	for (int i = 0; i < MOST; i++) {
		hands[i].n = 50, hands[i].bytes = SMALL;
		hire(&hands[i]);
		tell(&hands[i], do_take);
		NEED_AT(hz_lock_crowded == (hz_heap_live() > 8), i);
	}
	NEED(hz_lock_crowded);
	for (int i = 0; i < MOST; i++) {
		tell(&hands[i], do_free);
		fire(&hands[i]);
		NEED_AT(hz_lock_crowded == (hz_heap_live() > 8), i);
	}
	NEED(!hz_lock_crowded);
	all_whole();
}

static void adopted(long arg)
{
	(void)arg;
	static struct hand hand;
	void *mine = hzw_malloc(SMALL);
	struct hz_heap *me = hz_tls.heap;
	/* Another class, so that this thread has no slab of the one to come. */
	hand.n = BLOCKS, hand.bytes = 1024;
	hire(&hand);
	tell(&hand, do_take);
	struct hz_heap *old = hand.heap;
	for (size_t i = 0; i < BLOCKS; i++)
		NEED(slab_of(hand.block[i])->owner == old->tag);
	/* Every fourth block goes: its slabs have room and live blocks. */
	for (size_t i = 0; i < BLOCKS; i += 4)
		hzw_free(hand.block[i]);
	hz_heap_flush_own();
	NEED(hz_inbox_any(&old->inbox));
	fire(&hand);
	NEED(old->state == HZ_HEAP_IDLE && !hz_inbox_any(&old->inbox));
	all_whole();
	size_t pages = hz_run_counts.used_pages;
	for (size_t i = 0; i < BLOCKS; i += 4) {
		hand.block[i] = hzw_malloc(1024);
		struct hz_run *s = slab_of(hand.block[i]);
		NEED_AT(s->owner == me->tag, i);
		NEED(hz_tag_of(hand.block[i]) == (me->tag | hz_offset_of_class(s->class_no)));
		fill(hand.block[i], 1024, (uintptr_t)hand.block[i]);
		all_whole();
	}
	NEED(me->counts.adopted > 40);
	NEED_AT(hz_run_counts.used_pages <= pages + 2, hz_run_counts.used_pages - pages);
	do_free(&hand);
	hzw_free(mine);
	NEED(old->state == HZ_HEAP_IDLE);
	nothing_left();
}

static size_t seen;
static void *held[64];

static void see_held(void *p, uint32_t c, enum hz_held where, void *arg)
{
	if (where != HZ_HELD_MAGAZINE || c != *(unsigned *)arg)
		return;
	for (size_t i = 0; i < seen; i++)
		NEED(held[i] != p);
	NEED(p && seen < sizeof(held) / sizeof(*held));
	held[seen++] = p;
}

/* After each free the magazine is walked as a report does. */
static void windowed(long arg)
{
	static void *block[40];
	unsigned c = hz_class_of_size(SMALL), windows = 0;
	(void)arg;
	for (int round = 0; round < 400; round++) {
		size_t n = 1 + (size_t)round % 40;
		for (size_t i = 0; i < n; i++) {
			block[i] = hzw_malloc(SMALL);
			fill(block[i], SMALL, (uintptr_t)block[i]);
		}
		for (size_t i = 0; i < n; i++) {
			NEED(intact(block[i], SMALL, (uintptr_t)block[i]));
			hzw_free(block[i]);
			struct hz_heap *h = hz_tls.heap;
			windows += h->floor[c] != 0;
			seen = 0;
			NEED(hz_held_walk(see_held, &c) == 0);
			NEED(seen == (size_t)(h->tls->mag[c].top - h->array[c]));
		}
		all_whole();
	}
	NEED_AT(windows > 100, windows);
	nothing_left();
}

/* Pages of slabs that go and come back, and what the heap counts of it. */
static void thinned(long arg)
{
	enum { N = 8000, BYTES = 112 };
	static void *block[N];
	(void)arg;
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++) {
			block[i] = hzw_malloc(BYTES);
			fill(block[i], BYTES, (uintptr_t)block[i]);
		}
		struct hz_heap *h = hz_tls.heap;
		NEED(h->thin.free_bytes < HZ_LANE_THIN_BYTES);
		size_t purged = hz_os_counts.purge_bytes;
		for (size_t i = 0; i < N; i++)
			if (i % 400)
				hzw_free(block[i]);
		/* Twenty blocks are left, of 230 pages: all but a few went. */
		all_whole();
		NEED_AT(round || hz_os_counts.purge_bytes > purged + N * BYTES / 2, hz_run_counts.stock_pages);
		hz_heap_thin_all();
		unsigned named = 0;
		for (size_t i = 0; i < N; i += 400) {
			struct hz_run *s = slab_of(block[i]);
			size_t page = (size_t)((char *)block[i] - s->base) >> HZ_PAGE_SHIFT;
			NEED(!(s->purged >> page & 1));
			NEED(intact(block[i], BYTES, (uintptr_t)block[i]));
			named += (unsigned)__builtin_popcount(s->purged);
		}
		NEED_AT(named >= 20, named);
		NEED(h->thin.free_bytes > h->thin.slab_bytes / 2);
		for (size_t i = 0; i < N; i += 400)
			hzw_free(block[i]);
	}
	hz_heap_flush_own();
	NEED(!hz_tls.heap->thin.slab_bytes && !hz_tls.heap->thin.free_bytes);
	nothing_left();
}

/* Blocks freed for somebody else: live, idle, and moved on meanwhile. */
static void sent(long arg)
{
	(void)arg;
	static struct hand a, b;
	a.n = BLOCKS, a.bytes = SMALL;
	hzw_free(hzw_malloc(1)); /* who only frees has no heap at first */
	hire(&a);
	hire(&b);
	tell(&a, do_take);
	/* To a live heap: batches, drained at its next miss. */
	uint64_t drained = a.heap->counts.drained;
	do_free(&a);
	hz_heap_flush_own();
	NEED(hz_inbox_any(&a.heap->inbox) && a.heap->counts.drained == drained);
	NEED(hz_tls.heap->box.sent == BLOCKS / HZ_LANE_BATCH_ROUNDS);
	NEED(hz_outbox_count(&hz_tls.heap->box) == 0);
	all_whole();
	tell(&a, do_take);
	NEED(a.heap->counts.drained > drained && !hz_inbox_any(&a.heap->inbox));
	/* To an idle one: into its slabs at once. */
	tell(&a, do_flush);
	fire(&a);
	do_free(&a);
	hz_heap_flush_own();
	NEED(a.heap->state == HZ_HEAP_IDLE && !hz_inbox_any(&a.heap->inbox));
	nothing_left();
	fire(&b);
}

/* Much that waits for a live owner who does nothing: the sender sees to it. */
static void sleeper(long arg)
{
	(void)arg;
	static struct hand a;
	unsigned deepest = 0;
	a.n = BLOCKS, a.bytes = 8000;
	hzw_free(hzw_malloc(1)); /* who only frees has no heap at first */
	hire(&a);
	tell(&a, do_take);
	uint64_t drained = a.heap->counts.drained, done_for = a.heap->counts.drained_for;
	for (size_t i = 0; i < BLOCKS; i++) {
		hzw_free(a.block[i]);
		unsigned depth = hz_inbox_depth(&a.heap->inbox);
		deepest = depth > deepest ? depth : deepest;
	}
	hz_heap_flush_own();
	NEED_AT(deepest < 512, deepest); /* pages; 2 MiB, and a third of what was sent */
	NEED(a.heap->state == HZ_HEAP_LIVE && a.heap->counts.drained == drained);
	NEED_AT(a.heap->counts.drained_for - done_for >= BLOCKS / 2,
		a.heap->counts.drained_for - done_for);
	all_whole();
	tell(&a, do_flush);
	fire(&a);
	nothing_left();
}

static void strays(long arg)
{
	(void)arg;
	static struct hand a, b;
	void *one[8];
	hzw_free(hzw_malloc(1));
	a.n = 8, a.bytes = 1024;
	b.n = 2, b.bytes = 1024;
	hire(&a);
	tell(&a, do_take);
	memcpy(one, a.block, sizeof(one));
	/* One of a's blocks lies in our open batch for a, the others are free. */
	hzw_free(one[0]);
	NEED(hz_outbox_count(&hz_tls.heap->box) == 1);
	a.n = 7;
	memmove(a.block, one + 1, 7 * sizeof(*one));
	tell(&a, do_free);
	struct hz_heap *old = a.heap;
	fire(&a);
	NEED(slab_of(one[0])->owner == old->tag);
	/* b takes the idle heap whole; its slab changes hands only if another adopts. */
	void *x = hzw_malloc(1024);
	NEED(slab_of(x)->owner == hz_tls.heap->tag);
	NEED(hz_tls.heap->counts.adopted == 1 && slab_of(x) == slab_of(one[0]));
	all_whole();
	/* Our batch for the old owner is handed over now: every block comes home. */
	unsigned nfree = slab_of(x)->nfree;
	hz_heap_flush_own();
	NEED(hz_outbox_count(&hz_tls.heap->box) == 0 && !hz_inbox_any(&old->inbox));
	all_whole();
	hz_heap_flush_own(); /* it was passed on into our magazine */
	NEED(slab_of(x)->nfree > nfree);
	NEED(slab_of(x)->nfree + 1u == slab_of(x)->carved);
	hzw_free(x);
	/* The same with two of them adopting in turn, batches in between. */
	for (int round = 0; round < 50; round++) {
		hire(&a);
		hire(&b);
		a.n = b.n = 20;
		a.bytes = b.bytes = 512;
		tell(&a, do_take);
		tell(&b, do_take);
		for (size_t i = 0; i < 20; i += 2) {
			hzw_free(a.block[i]);
			hzw_free(b.block[i]);
		}
		memmove(b.block, b.block + 1, 19 * sizeof(*b.block));
		for (size_t i = 1; i < 10; i++)
			b.block[i] = b.block[2 * i];
		b.n = 10;
		fire(&a);
		tell(&b, do_free); /* b's magazines are full of 512s ... */
		fire(&b);
		for (size_t i = 1; i < 20; i += 2) {
			void *p = hzw_malloc(512); /* ... and we adopt their slabs */
			hzw_free(a.block[i]);
			hzw_free(p);
		}
		all_whole();
	}
	nothing_left();
}

/* A thread whose heap is given up: its key's destructor ran twice. */
static pthread_key_t late_key;
static unsigned long late_seen;

static void late_body(void *arg)
{
	/* Rounds of destructors: 1 and 2 with the heap, later without. */
	size_t round = (size_t)arg;
	void *p[50];
	for (size_t i = 0; i < COUNT_OF(p); i++) {
		p[i] = hzw_malloc(100 * i % 700);
		NEED(p[i]);
	}
	if (hz_tls.state == HZ_THREAD_DEAD) {
		late_seen++;
		NEED(!hz_tls.heap && hz_tls.owner == (uint32_t)HZ_OWNER_NONE);
		NEED(slab_of(p[0])->owner == hz_heap_first()->tag || heaps() > 2);
	}
	for (size_t i = 0; i < COUNT_OF(p); i++)
		hzw_free(p[i]);
	if (round < 4)
		pthread_setspecific(late_key, (void *)(round + 1));
}

static void *late_thread(void *arg)
{
	hzw_free(hzw_malloc(100));
	pthread_setspecific(late_key, arg);
	return NULL;
}

static void late(long arg)
{
	(void)arg;
	hzw_free(hzw_malloc(1)); /* our key before theirs: our destructor runs first */
	NEED(pthread_key_create(&late_key, late_body) == 0);
	for (int i = 0; i < 30; i++) {
		pthread_t t = start_thread(late_thread, (void *)1);
		pthread_join(t, NULL);
		all_whole();
	}
	NEED(late_seen >= 30);
	NEED_AT(heaps() == 3, heaps()); /* ours, theirs, the shared one */
	nothing_left();
}

/* Threads that exchange blocks through slots, at random. */

enum { SLOTS = 300, STEPS = 4000 };

static struct slot {
	unsigned char *p;
} slots[SLOTS];
static uint32_t stop;

static void exchange(uint64_t *state)
{
	struct slot *s = &slots[random_to(state, SLOTS)];
	size_t n = random_to(state, 20) ? 8 + random_size(state, 11) : 8 + random_size(state, 18);
	unsigned char *p = random_to(state, 3) ? hzw_malloc(n) : NULL;
	if (p) {
		memcpy(p, &n, sizeof(n));
		fill(p + 8, n - 8, n);
	}
	p = __atomic_exchange_n(&s->p, p, __ATOMIC_ACQ_REL);
	if (p) {
		memcpy(&n, p, sizeof(n));
		NEED(intact(p + 8, n - 8, n));
		hzw_free(p);
	}
}

static void *exchanger(void *arg)
{
	uint64_t state = (uintptr_t)arg * 77 + 1;
	for (long i = 0; i < work(STEPS) && !hz_load(&stop); i++)
		exchange(&state);
	return NULL;
}

static void drop_slots(void)
{
	for (size_t i = 0; i < SLOTS; i++) {
		hzw_free(slots[i].p);
		slots[i].p = NULL;
	}
}

static void exchanging(long arg)
{
	(void)arg;
	pthread_t thread[CREW];
	hzw_free(hzw_malloc(1)); /* pthread_create does so, but of the C library */
	for (uintptr_t round = 0; round < 5; round++) {
		for (uintptr_t i = 0; i < CREW; i++)
			thread[i] = start_thread(exchanger, (void *)(round * CREW + i + 1));
		exchanger((void *)(round + 100));
		for (int i = 0; i < CREW; i++)
			pthread_join(thread[i], NULL);
		all_whole();
		NEED(hz_heap_live() == 1 && heaps() <= CREW + 1);
	}
	drop_slots();
	nothing_left();
}

/* Fork: of a process whose mark the kernel wipes; whose mark libc's handler wipes;
 * and the same where libc hears nothing of it. */

enum how { WIPED, HANDLED, UNHEARD };

static void start_as(enum how how)
{
	/* The fourth call of a start asks for the mark. */
	hz_os_fault.at = how == WIPED ? 0 : 4;
	hzw_free(hzw_malloc(1));
	hz_os_fault.at = 0;
	NEED(hz_fork_mark && hz_fork_wiped == (how == WIPED && kernel_wipes()));
}

static pid_t fork_as(enum how how)
{
	/* arm64's order of arguments differs; all but the signal are 0. */
	pid_t pid = how == UNHEARD ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
	NEED(pid >= 0);
	return pid;
}

/* qemu-user 7.2 aborts when a child of a process with threads starts one: asked once. */
static bool child_threads;

static void *spin(void *arg)
{
	while (arg && !hz_load(&stop))
		;
	return NULL;
}

static void child_starts(long arg)
{
	(void)arg;
	start_thread(spin, &stop);
	pid_t pid = fork();
	if (pid == 0) {
		watchdog(SCENE_SECONDS);
		_exit(pthread_join(start_thread(spin, NULL), NULL));
	}
	_exit(!ended_well(reap(pid)));
}

static void child_works(enum how how, long i)
{
	watchdog(SCENE_SECONDS);
	for (size_t n = 0; n < 300; n++) {
		void *p = hzw_malloc(n * n % 3000);
		NEED_AT(p, i);
		hzw_free(p);
	}
	/* libc makes no threads in children it did not make */
	if (how != UNHEARD && child_threads) {
		pthread_t t = start_thread(exchanger, (void *)1);
		pthread_join(t, NULL);
	}
	drop_slots();
	/* Unheard, a held lock stalls who wants it, and tells it of the fork. */
	for (struct hz_heap *h = hz_heap_first(); h; h = h->next) {
		hz_lock(&h->lock);
		hz_unlock(&h->lock);
	}
	hz_lock(&hz_arena_lock);
	hz_run_check();
	hz_unlock(&hz_arena_lock);
	hz_run_walk(slab_whole, &i);
	for (struct hz_heap *h = hz_heap_first(); h; h = h->next)
		if (how != UNHEARD || h == hz_tls.heap) {
			NEED_AT(h == hz_tls.heap || h->state == HZ_HEAP_IDLE, i);
			hz_heap_check(h);
		}
	NEED_AT(how == UNHEARD || hz_heap_live() == 1, i);
	_exit(0);
}

static void *until_told(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	while (!hz_load(&stop))
		exchange(&state);
	return NULL;
}

static void forked(long how)
{
	pthread_t thread[3];
	start_as((enum how)how);
	for (uintptr_t i = 0; i < COUNT_OF(thread); i++)
		thread[i] = start_thread(until_told, (void *)(i + 1));
	for (long i = 0; i < work(how == UNHEARD ? 12 : 40); i++) {
		uint64_t state = (uint64_t)i + 1;
		for (size_t k = 0; k < 50; k++)
			exchange(&state);
		pid_t pid = fork_as((enum how)how);
		if (pid == 0)
			child_works((enum how)how, i);
		int status = reap(pid);
		if (!ended_well(status))
			tell_status(status, i);
		NEED_AT(ended_well(status), i);
	}
	hz_store(&stop, 1);
	for (size_t i = 0; i < COUNT_OF(thread); i++)
		pthread_join(thread[i], NULL);
	drop_slots();
	nothing_left();
}

/* What a thread was inside of when the parent forked. */

enum inside { ARENA_LOCK, HEAP_LOCK, OTHER_HEAP_LOCK, BOTH };

static uint32_t locked, fork_done;
static long inside;
static struct hz_heap *torn[2]; /* the forking thread's, another's */

static void tear(struct hz_heap *h)
{
	hz_lock(&h->lock);
	for (unsigned c = 0; c < HZ_CLASSES; c++)
		for (int l = 0; l < HZ_SHELF_LISTS; l++)
			if (h->shelf[c].list[l])
				h->shelf[c].list[l] = (struct hz_run *)8;
}

static void *insider(void *arg)
{
	(void)arg;
	struct hz_shelf was[2][HZ_CLASSES];
	for (int i = 0; i < 2; i++)
		memcpy(was[i], torn[i]->shelf, sizeof(was[i]));
	if (inside == ARENA_LOCK || inside == BOTH)
		hz_lock(&hz_arena_lock);
	if (inside == HEAP_LOCK || inside == BOTH)
		tear(torn[0]);
	if (inside == OTHER_HEAP_LOCK || inside == BOTH)
		tear(torn[1]);
	hz_store_release(&locked, 1);
	while (!hz_load_acquire(&fork_done))
		usleep(20);
	for (int i = 0; i < 2; i++) {
		memcpy(torn[i]->shelf, was[i], sizeof(was[i]));
		if (torn[i]->lock.word)
			hz_unlock(&torn[i]->lock);
	}
	if (hz_arena_lock.word)
		hz_unlock(&hz_arena_lock);
	return NULL;
}

static void forked_inside(long which)
{
	static struct hand hand;
	void *mine[60];
	enum how how = (enum how)(which / 100);
	inside = which % 100;
	start_as(how);
	for (size_t i = 0; i < COUNT_OF(mine); i++)
		mine[i] = hzw_malloc(200);
	for (size_t i = 0; i < COUNT_OF(mine); i += 2)
		hzw_free(mine[i]);
	hand.n = 100, hand.bytes = 300;
	hire(&hand);
	tell(&hand, do_take);
	for (size_t i = 0; i < 100; i += 2)
		hzw_free(hand.block[i]);
	hz_heap_flush_own();
	hz_heap_drain_all();
	torn[0] = hz_tls.heap, torn[1] = hand.heap;
	/* Both have slabs on shelves, or there is nothing to tear. */
	NEED(hz_shelf_first(&torn[0]->shelf[hz_class_of_size(200)]));
	NEED(hz_shelf_first(&torn[1]->shelf[hz_class_of_size(300)]));
	pthread_t t = start_thread(insider, NULL);
	while (!hz_load_acquire(&locked))
		usleep(20);
	pid_t pid = fork_as(how);
	if (pid == 0)
		child_works(how, which);
	int status = reap(pid);
	hz_store_release(&fork_done, 1);
	pthread_join(t, NULL);
	if (!ended_well(status))
		tell_status(status, which);
	NEED_AT(ended_well(status), which);
	fire(&hand);
	all_whole();
}

/* In the child another thread comes to a slow path before the forking one does. */
static void *first_in_child(void *arg)
{
	for (size_t i = 0; i < 100; i++)
		hzw_free(hzw_malloc(i * 30));
	return arg;
}

static void do_first(struct hand *hand)
{
	(void)hand;
	first_in_child(NULL);
}

static void do_name(struct hand *hand)
{
	hand->n = hz_self();
}

/* The thread has the name of one that vanished, if there is one of that name: its
 * stack is used again. */
static void do_first_of(uint32_t name)
{
	static struct hand hand[8];
	size_t which = 0;
	for (size_t i = 0; i < COUNT_OF(hand); i++) {
		hire(&hand[i]);
		tell(&hand[i], do_name);
		which = hand[i].n == (name & ~1u) ? i : which;
	}
	tell(&hand[which], do_first);
	for (size_t i = 0; i < COUNT_OF(hand); i++)
		fire(&hand[i]);
}

/* With a thread that stays behind; with one that holds the arena's lock. */
static void forked_other_first(long which)
{
	long behind = which % 100;
	static struct hand hand;
	void *mine[20];
	pthread_t t = 0;
	start_as((enum how)(which / 100));
	for (size_t i = 0; i < COUNT_OF(mine); i++)
		mine[i] = hzw_malloc(200);
	hand.n = 50, hand.bytes = 300;
	hire(&hand);
	tell(&hand, do_take);
	torn[0] = hz_tls.heap, torn[1] = hand.heap;
	if (!behind) {
		tell(&hand, do_free);
		fire(&hand);
	} else if (behind == 2) {
		inside = BOTH;
		t = start_thread(insider, NULL);
		while (!hz_load_acquire(&locked))
			usleep(20);
	}
	pid_t pid = fork();
	if (pid == 0) {
		struct hz_heap *own = hz_tls.heap;
		watchdog(SCENE_SECONDS / 2);
		do_first_of(behind == 2 ? hz_arena_lock.word : 0);
		NEED(hz_tls.heap == own && own->state != HZ_HEAP_IDLE && own->tls == &hz_tls);
		for (struct hz_heap *h = hz_heap_first(); h; h = h->next)
			hz_heap_check(h);
		for (size_t i = 0; i < COUNT_OF(mine); i++)
			hzw_free(mine[i]);
		child_works(WIPED, 0);
	}
	int status = reap(pid);
	if (!ended_well(status))
		tell_status(status, 0);
	NEED(ended_well(status));
	if (behind == 2) {
		hz_store_release(&fork_done, 1);
		pthread_join(t, NULL);
	}
	if (behind)
		fire(&hand);
}

/* The forking thread has no heap and comes last, or never. */
static void forked_without_heap(long comes)
{
	static struct hand hand;
	hand.n = 50, hand.bytes = 300;
	hire(&hand);
	tell(&hand, do_take);
	pid_t pid = fork();
	if (pid == 0) {
		watchdog(SCENE_SECONDS / 2);
		NEED(!hz_tls.heap);
		do_first_of(0);
		all_whole();
		if (comes)
			child_works(WIPED, 0);
		_exit(0);
	}
	int status = reap(pid);
	if (!ended_well(status))
		tell_status(status, 0);
	NEED(ended_well(status));
	fire(&hand);
}

static void scene_of_threads(void (*body)(long arg), long arg, const char *what)
{
	if (child_threads)
		scene(body, arg, what);
	else
		tap_skip(1, "a child cannot start a thread in this emulator");
}

int main(void)
{
	child_threads = ended_well(scene_status(child_starts, 0));
	scene(recycled, 0, "heaps of ended threads are taken by new ones, newest first");
	scene(turnover, 0, "300 threads, one after another: one heap beside main's, no more metadata");
	scene(crowd, 0, "of many threads for few processors none spins");
	scene(adopted, 0, "slabs of idle heaps are adopted");
	scene(sent, 0, "blocks go to live heaps in batches, to idle ones at once");
	scene(sleeper, 0, "much that waits for a sleeping owner is freed for it");
	scene(strays, 0, "blocks whose slab moved on find it");
	scene(windowed, 0, "of a magazine with a window every block is seen once");
	scene(thinned, 0, "pages without a block go, and come back, while their slabs stay");
	scene(late, 0, "a thread without a heap is served from the shared one");
	scene(exchanging, 0, "five threads exchange blocks at random; nothing is lost");
	scene(forked, WIPED, "children of a process at work are whole");
	scene(forked, HANDLED, "and where no page is wiped by a fork");
	scene(forked, UNHEARD, "and where nobody tells of it, by waiting");
	scene(forked_other_first, 0, "a new thread notices the fork before the forking one");
	scene_of_threads(forked_other_first, 1, "the same, and another thread was left behind");
	scene_of_threads(forked_other_first, 2,
			 "the same, and it has the name of one that held locks");
	scene_of_threads(forked_other_first, 100 * HANDLED + 2,
			 "and where no page is wiped by a fork");
	scene_of_threads(forked_without_heap, 0,
			 "the same, and the forking thread never had a heap");
	scene_of_threads(forked_without_heap, 1, "the same, and it comes later");
	scene(forked_inside, ARENA_LOCK, "fork while somebody held the arena");
	scene(forked_inside, HEAP_LOCK, "fork while somebody was inside our shelves");
	scene(forked_inside, OTHER_HEAP_LOCK, "fork while somebody was inside another's shelves");
	scene(forked_inside, BOTH, "fork while all of it was torn");
	scene(forked_inside, 100 * HANDLED + BOTH, "and where no page is wiped by a fork");
	scene(forked_inside, 100 * UNHEARD + BOTH, "and where nobody tells of it");
	return tap_done();
}
