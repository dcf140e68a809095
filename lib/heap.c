/* SPDX-License-Identifier: MIT */
/*
 * heap.c - threads come and go, heaps stay.
 *
 *   first malloc of a thread      idle heap, newest first, or a new record
 *   thread exit, second round     magazines -> slabs, heap IDLE with its slabs
 *   somebody lacks a slab         takes one of an idle heap, or of a live one that has
 *                                 much free: retag, no copy
 *   fork                          the child finds its mark page zeroed on its
 *                                 next slow path and sets the world right
 *
 * fork: no lock is held across it, and no handler is registered where the kernel
 * wipes the mark (else one that wipes it, in the child).  In the child
 * only the calling thread lives, and memory is what it was at one instant (a
 * thread that writes during a fork stops at its first write after it).  Locks
 * others held are opened; shelves and bins somebody was inside are put up anew
 * from slabs and page table; the other heaps turn IDLE; what sat in vanished
 * threads' magazines, at most the process budget, is given up.  When a new thread
 * of the child does this, only the forking one can tell which heap is its own:
 * they are LOST, nobody's to touch, until it comes.
 *
 * Thread exit: a key's destructor, re-armed once so that other keys' blocks still meet a
 * live heap.  The key is made when a second heap is: programs of one thread have all keys.
 *
 * Who may call: see heap.h.  It refuses to wait for another thread.
 */
#include "magazine.h"

#include <pthread.h>
#include <sys/syscall.h>

#include "mark.h"
#include "option.h"
#include "pressure.h"
#include "probe.h"
#include "purger.h"

enum {
	/* Free bytes in a live heap's slabs of which others get some.  With less, small heaps
	 * share slabs for nothing, and what 64 sleepers hold is 11 MiB, not 3. */
	ADOPT_BYTES = HZ_LANE_CHECK ? 4 << 10 : 512 << 10,
	/* Heaps that one who lacks a slab looks at, of idle ones and of live ones. */
	ADOPT_LOOKS = 16,
	/* Threads with a heap, at least and for each processor, above which waiters for a lock do
	 * not spin.  With as many glibc's malloc asks how many processors there are, too. */
	CROWD = 8, CROWD_EACH = 4,
};

/* Bottom of every magazine that has no array yet. */
static void *const no_block[1];
#define NO_BLOCK ((void **)(uintptr_t)no_block) /* read only, whatever its type */

/* Slots of a thread without a heap: no tag has key 0, so nothing goes in. */
static const struct hz_slot no_slots[HZ_OUTBOX_SLOTS];
#define NO_SLOTS ((struct hz_slot *)(uintptr_t)no_slots)

__thread struct hz_tls hz_tls = {
	.owner = (uint32_t)HZ_OWNER_NONE,
	/* limit stays NULL: a thread without a heap never asks for it */
	.mag = { [0 ... HZ_CLASSES - 1] = { .top = NO_BLOCK } },
	.slots = NO_SLOTS,
};

static struct {
	struct hz_lock start_lock;
	bool started; /* start lock; release */
	bool usable; /* started but for what may allocate; start lock */
	bool has_key; /* start lock; release */
	pthread_key_t key; /* of thread exit */
	int pid; /* whose the mark is; where only a handler wipes it */

	struct hz_lock lock; /* the registry: */
	struct hz_heap *all; /* append only, release */
	struct hz_heap *idle; /* heaps without a thread; lock, read by anyone */
	uint32_t crowd; /* more live ones are a crowd, 0: not asked yet; lock */
	uint32_t number; /* last one given */
	struct hz_heap *shared; /* release */
	void (*forked)(void); /* the layers above recover too; start */
} heaps __attribute__((aligned(64))); /* not in line with what others write often */

uint32_t hz_heaps_live __attribute__((aligned(64)));
struct hz_heap *const *const hz_heap_list = &heaps.all;

void hz_heap_on_fork(void (*fn)(void))
{
	hz_store_release(&heaps.forked, fn);
}

struct hz_heap *hz_heap_first(void)
{
	return hz_load_acquire(&heaps.all);
}

/* Of libc, which calls it in a forked child before anybody else is there.  Found
 * by name only when called: not a part of every program's start. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
		      void *dso_handle);

static void wipe_mark(void)
{
	heaps.pid = hz_os_pid();
	hz_fork_mark[HZ_MARK_CLAIM] = 0;
	hz_store_release(hz_fork_mark, 0);
}

/* Children that libc did not make and no handler was called in have one thread,
 * this one, and it waits for somebody who is not there. */
static void lock_stalled(void)
{
	if (heaps.pid != hz_os_pid()) {
		wipe_mark();
		hz_heap_forked();
	}
}

bool hz_heap_start(void)
{
	if (likely(hz_load_acquire(&heaps.started)))
		return true;
	/* What start calls may be wrapped and allocate: from the shared heap. */
	if ((hz_load(&heaps.start_lock.word) & ~1u) == hz_self())
		return heaps.usable;
	hz_lock(&heaps.start_lock);
	bool first = !heaps.started;
	uint32_t was = hz_tls.state;
	if (!heaps.started) {
		hz_option_read();
		if (!hz_arena_init(hz_option.arena_bytes)) {
			hz_unlock(&heaps.start_lock);
			return false;
		}
		hz_purger_born();
		heaps.usable = true;
		hz_tls.state = HZ_THREAD_BUSY;
		if (!hz_fork_wiped) {
			heaps.pid = hz_os_pid();
			hz_lock_stalled = lock_stalled;
			__register_atfork(NULL, NULL, wipe_mark, NULL);
		}
		hz_store_release(&heaps.started, true);
		hz_mark_start();
		hz_store_release(&hz_hot.small_limit, (size_t)HZ_MARK_SMALL + 1);
		hz_tls.state = was;
	}
	hz_unlock(&heaps.start_lock);
	if (first)
		hz_observed(HZ_EVENT_START);
	return true;
}

static struct hz_heap *heap_new(void)
{
	struct hz_heap *h = hz_meta_alloc(sizeof(*h));
	if (!h)
		return NULL;
	hz_lock(&heaps.lock);
	uint32_t number = heaps.number + 1;
	if (!hz_remote_register(number, &h->inbox)) {
		hz_unlock(&heaps.lock);
		return NULL; /* the directory is full */
	}
	heaps.number = number;
	h->tag = h->box.own = number << HZ_TAG_OWNER_SHIFT;
	h->next = heaps.all;
	hz_store_release(&heaps.all, h);
	hz_unlock(&heaps.lock);
	return h;
}

struct hz_heap *hz_heap_shared(void)
{
	struct hz_heap *h = hz_load_acquire(&heaps.shared);
	if (h || !hz_heap_start() || !(h = heap_new()))
		return h;
	/* Idle for ever: who hands it a batch drains it at once. */
	hz_store(&h->state, HZ_HEAP_IDLE);
	struct hz_heap *none = NULL;
	if (!__atomic_compare_exchange_n(&heaps.shared, &none, h, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		h = none; /* the second one stays empty */
	return h;
}

/* Processors this process may run on; 0 if the kernel does not say. */
static uint32_t processors(void)
{
	uint64_t set[16] = { 0 }; /* 1024 of them */
	uint32_t n = 0;
	hz_os_ask(SYS_sched_getaffinity, 0, sizeof(set), (long)set, 0);
	for (size_t i = 0; i < sizeof(set) / sizeof(*set); i++)
		n += (uint32_t)__builtin_popcountll(set[i]);
	return n;
}

/* So many threads with a heap more (or, modulo 2^32, fewer); registry lock. */
static void live_more(uint32_t n)
{
	hz_bump(&hz_heaps_live, n);
	if (hz_heaps_live > CROWD && !heaps.crowd)
		heaps.crowd = CROWD_EACH * processors() ?: UINT32_MAX;
	hz_store(&hz_lock_crowded, hz_heaps_live > CROWD && hz_heaps_live > heaps.crowd);
}

static struct hz_heap *idle_pop(void)
{
	hz_lock(&heaps.lock);
	struct hz_heap *h = heaps.idle;
	if (h)
		hz_store(&heaps.idle, h->next_idle);
	live_more(1);
	hz_unlock(&heaps.lock);
	return h;
}

static void idle_push(struct hz_heap *h)
{
	hz_lock(&heaps.lock);
	hz_store(&h->next_idle, heaps.idle);
	hz_store(&heaps.idle, h);
	live_more(-1u);
	hz_unlock(&heaps.lock);
	if (unlikely(hz_option.purger && !hz_load(&hz_heaps_live)))
		hz_os_wake(&hz_heaps_live);
}

/* A heap with this thread's storage that is live already: libc reset the
 * storage after a resolver had allocated, before main. */
static struct hz_heap *heap_again(void)
{
	struct hz_heap *h = hz_load_acquire(&heaps.all);
	bool same = h && !h->next && hz_load(&h->tls) == &hz_tls;
	return same && hz_load(&h->state) == HZ_HEAP_LIVE ? h : NULL;
}

static void mags_reset(struct hz_heap *h)
{
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		struct hz_mag *m = &hz_tls.mag[c];
		m->top = h && h->array[c] ? h->array[c] : NO_BLOCK;
		m->limit = m->top + (h && h->array[c] ? h->rounds[c] : 0);
		if (h)
			h->seen_top[c] = NULL;
	}
}

static void thread_exit(void *arg);

/* Has the end of the heap's thread noticed.  May allocate, for keys beyond the first 32. */
static void watch(struct hz_heap *h)
{
	if (!hz_load(&heaps.has_key) && hz_trylock(&heaps.start_lock)) {
		if (!heaps.has_key && pthread_key_create(&heaps.key, thread_exit) == 0)
			hz_store_release(&heaps.has_key, true);
		hz_unlock(&heaps.start_lock);
	}
	h->watched = hz_load_acquire(&heaps.has_key); /* before what may come back here */
	h->watched = h->watched && pthread_setspecific(heaps.key, h) == 0;
}

static struct hz_heap *attach(void)
{
	hz_tls.state = HZ_THREAD_BUSY;
	if (!hz_heap_start()) {
		hz_tls.state = HZ_THREAD_NEW;
		return NULL;
	}
	struct hz_heap *h = heap_again() ?: idle_pop() ?: heap_new();
	if (!h) {
		hz_lock(&heaps.lock);
		live_more(-1u);
		hz_unlock(&heaps.lock);
		hz_tls.state = HZ_THREAD_NEW;
		return NULL;
	}
	hz_lock(&h->lock);
	hz_store(&h->tls, &hz_tls);
	hz_store_seq(&h->state, HZ_HEAP_LIVE);
	hz_unlock(&h->lock);
	mags_reset(h);
	hz_tls.slots = h->box.slot;
	hz_tls.heap = h;
	hz_tls.owner = h->tag;
	hz_tls.state = HZ_THREAD_LIVE;
	h->watched = false;
	/* The purger's thread keeps the process alive until all others have ended. */
	if (hz_load(&hz_heaps_live) > 1 || hz_load(&heaps.has_key) || hz_option.purger)
		watch(h);
	return h;
}

struct hz_heap *hz_heap_own(void)
{
	struct hz_heap *h = hz_tls.heap;
	if (likely(h))
		return h;
	return hz_tls.state == HZ_THREAD_NEW ? attach() : NULL;
}

static void detach(struct hz_heap *h)
{
	hz_heap_flush_own();
	hz_tls.owner = (uint32_t)HZ_OWNER_NONE;
	hz_tls.state = HZ_THREAD_DEAD;
	hz_tls.heap = NULL;
	hz_tls.slots = NO_SLOTS;
	mags_reset(NULL);
	hz_lock(&h->lock);
	hz_mag_release_arrays(h);
	hz_store(&h->tls, NULL);
	hz_store_seq(&h->state, HZ_HEAP_IDLE);
	hz_unlock(&h->lock);
	/* Whoever pushed before it could see IDLE left it to us. */
	hz_mag_sent(h->tag >> HZ_TAG_OWNER_SHIFT);
	idle_push(h);
	hz_pressure_freed();
	HZ_PROBE1(thread_exit, h);
	hz_observed(HZ_EVENT_THREAD_EXIT);
}

static void thread_exit(void *arg)
{
	struct hz_heap *h = hz_tls.heap;
	hz_heap_enter();
	if (!h || h != arg)
		return;
	if (hz_tls.state == HZ_THREAD_LIVE) {
		hz_tls.state = HZ_THREAD_DYING;
		if (pthread_setspecific(heaps.key, h) == 0)
			return; /* again, after the other keys' destructors */
	}
	detach(h);
}

void hz_heap_flush_own(void)
{
	struct hz_heap *h = hz_tls.heap;
	if (h) {
		hz_mag_drain(h);
		hz_mag_flush_all(h);
		hz_run_kept_free(&h->kept, h->kept.n);
	}
}

size_t hz_heap_drain_all(void)
{
	size_t n = 0;
	for (struct hz_heap *h = hz_heap_first(); h; h = h->next)
		if (h != hz_tls.heap && hz_mag_drain_for(h))
			n++;
	return n;
}

/* Moves a slab of class c from heap o's shelf to h's: of an idle heap the fullest, of a
 * live one one of which half is free, and there. */
static bool adopt_from(struct hz_heap *h, struct hz_heap *o, unsigned c)
{
	struct hz_run *s = NULL;
	size_t bytes = (size_t)hz_classes[c].pages << HZ_PAGE_SHIFT, free = 0;
	if (!hz_trylock(&o->lock))
		return false;
	if (o->state == HZ_HEAP_IDLE)
		s = hz_shelf_first(&o->shelf[c]);
	else if (o->state == HZ_HEAP_LIVE)
		s = hz_shelf_sparse(&o->shelf[c]);
	if (s && s->purged && o->state == HZ_HEAP_LIVE)
		s = NULL;
	if (s) {
		hz_shelf_remove(&o->shelf[c], s);
		free = (size_t)s->nfree * s->block_bytes;
		hz_mag_count(o, -bytes, -free);
		hz_slab_retag(s, h->tag);
	}
	hz_mag_unlock(o);
	if (!s)
		return false;
	hz_lock(&h->lock);
	hz_mag_count(h, bytes, free);
	/* It was in no lock's care for a moment: who freed its last block into h
	 * meanwhile has closed it, or it was adopted again. */
	if (likely(hz_load(&s->state) == HZ_RUN_SLAB && hz_load(&s->owner) == h->tag))
		hz_shelf_place(&h->shelf[c], s);
	hz_unlock(&h->lock);
	hz_bump(&h->counts.adopted, 1);
	return true;
}

/* The lists are walked without their lock: heaps are never freed. */
bool hz_heap_adopt(struct hz_heap *h, unsigned c)
{
	struct hz_heap *o = hz_load(&heaps.idle);
	for (int i = 0; o && i < ADOPT_LOOKS; i++, o = hz_load(&o->next_idle))
		if (o != h && adopt_from(h, o, c))
			return true;
	o = h;
	for (int i = 0; i < ADOPT_LOOKS; i++) {
		o = o->next ? o->next : hz_heap_first();
		if (o == h)
			break;
		if (hz_load(&o->thin.free_bytes) > ADOPT_BYTES && hz_shelf_sparse(&o->shelf[c]) &&
		    adopt_from(h, o, c))
			return true;
	}
	return false;
}

void hz_heap_aged(struct hz_heap *own, uint32_t now_ms)
{
	for (struct hz_heap *o = hz_heap_first(); o; o = o->next) {
		hz_thin_aged(o, now_ms);
		uint32_t seen = (uint32_t)hz_load(&o->counts.drained);
		if (o != own && hz_load(&o->seen_drained) == seen && hz_inbox_any(&o->inbox))
			hz_mag_drain_for(o);
		hz_store(&o->seen_drained, seen);
	}
}

/* What is due once in a while; the clock is looked at every so many slow paths, at
 * each while the heap shrinks. */
void hz_heap_tick(struct hz_heap *h)
{
	if (unlikely(!h->watched && hz_load_acquire(&heaps.has_key)))
		watch(h);
	if (likely(++h->slow_paths < HZ_LANE_TICK_SLOW_PATHS && !hz_thin_shrinking(h)))
		return;
	h->slow_paths = 0;
	uint32_t now = hz_pressure_tick();
	if (hz_pressure_look())
		hz_pressure_relieve();
	if (now - h->epoch_ms >= HZ_LANE_AGE_MS) {
		h->epoch_ms = now;
		if (hz_load(&hz_cgroup_said))
			hz_mag_shrink_all(h);
		else
			hz_mag_shrink_idle(h);
		hz_run_kept_free(&h->kept, h->kept.n);
		hz_bump(&h->counts.epochs, 1);
		for (unsigned i = 0; i < HZ_OUTBOX_SLOTS; i++)
			hz_mag_sent(hz_outbox_flush(&h->box, i));
		hz_heap_aged(h, now);
		HZ_PROBE1(epoch, h);
		hz_observed(HZ_EVENT_EPOCH);
	}
}

/* Fork. */

static bool repair_one(struct hz_run *s, void *arg)
{
	struct hz_heap *h = arg;
	if (hz_load(&s->state) == HZ_RUN_SLAB && s->owner == h->tag && hz_slab_repair(s)) {
		hz_shelf_place(&h->shelf[s->class_no], s);
		if (s->blocks > 1)
			hz_mag_count(h, (size_t)hz_run_pages(s) << HZ_PAGE_SHIFT,
				     (size_t)s->nfree * s->block_bytes);
	}
	return true;
}

/* Somebody held the heap's lock: its shelves are put up anew. */
static void repair(struct hz_heap *h)
{
	if (!hz_lock_reopen(&h->lock))
		return;
	for (unsigned c = 0; c < HZ_CLASSES; c++)
		h->shelf[c] = (struct hz_shelf){ 0 };
	h->thin = (struct hz_thin){ 0 };
	hz_run_walk(repair_one, h);
}

/* The heap of a thread that did not come along. */
static void orphan(struct hz_heap *h)
{
	if (h == heaps.shared)
		return;
	if (h->state != HZ_HEAP_IDLE) {
		h->state = HZ_HEAP_IDLE;
		h->tls = NULL;
		h->mag_bytes = 0;
		hz_zero(h->array, sizeof(h->array)); /* blocks in them are given up */
		hz_zero(h->floor, sizeof(h->floor));
		hz_zero(h->rounds, sizeof(h->rounds));
		hz_zero(h->box.slot, sizeof(h->box.slot));
		h->spare = (struct hz_spare){ 0 };
	}
	h->next_idle = heaps.idle;
	heaps.idle = h;
}

/* A new thread of the child recovered it; which of the LOST heaps is its own only
 * the forking thread can tell: when it comes, the others are those of vanished
 * threads.  What they are owed meanwhile stays in their inboxes. */
static void settle_lost(void)
{
	struct hz_heap *own = hz_tls.heap;
	if (own ? hz_load(&own->state) != HZ_HEAP_LOST : !hz_os_first_thread())
		return;
	hz_lock(&heaps.lock);
	for (struct hz_heap *h = heaps.all; h; h = h->next) {
		if (h->state != HZ_HEAP_LOST)
			continue;
		hz_lock(&h->lock);
		if (h == own)
			hz_store_seq(&h->state, HZ_HEAP_LIVE);
		else
			orphan(h);
		hz_unlock(&h->lock);
	}
	if (!own)
		live_more(-1u);
	hz_unlock(&heaps.lock);
	hz_store_release(hz_fork_mark, HZ_MARK_WHOLE);
}

static void recover(void)
{
	/* Who has a heap forked; who has none may be a new thread and holds no lock,
	 * whatever name it inherited. */
	bool first = hz_tls.heap || hz_os_first_thread();
	hz_lock_forker = first ? hz_self() : 0;
	bool torn = hz_lock_reopen(&hz_arena_lock);
	hz_remote_reset_lock();
	hz_mag_reset_lock();
	hz_arena_reset_lock();
	if (heaps.forked)
		heaps.forked();
	hz_lock_reopen(&heaps.start_lock);
	hz_lock_reopen(&heaps.lock);
	if (torn) {
		hz_lock(&hz_arena_lock);
		hz_run_rebuild();
		hz_unlock(&hz_arena_lock);
	}
	heaps.idle = NULL;
	for (struct hz_heap *h = heaps.all; h; h = h->next) {
		repair(h);
		if (torn || h != hz_tls.heap) /* back in the bins, or given up */
			h->kept = (struct hz_kept){ 0 };
		if (h == hz_tls.heap)
			h->state = HZ_HEAP_LIVE; /* LOST if it forked unsettled */
		else if (first || h->state == HZ_HEAP_IDLE)
			orphan(h);
		else
			h->state = HZ_HEAP_LOST;
	}
	hz_heaps_live = (hz_tls.heap != NULL) + !first;
	hz_store_release(hz_fork_mark, first ? HZ_MARK_WHOLE : HZ_MARK_LOST);
}

void hz_heap_forked(void)
{
	/* The claim lies where a fork wipes, for no child to find it taken. */
	uint32_t no = 0, *claim = hz_fork_mark + HZ_MARK_CLAIM;
	while (!hz_load_acquire(hz_fork_mark)) {
		if (!__atomic_compare_exchange_n(claim, &no, 1, false, __ATOMIC_ACQUIRE,
						 __ATOMIC_RELAXED)) {
			no = 0;
			continue;
		}
		if (!hz_load(hz_fork_mark))
			recover();
		hz_store_release(claim, 0);
	}
	/* Also when a new thread was recovering it: before this one gets a heap. */
	if (hz_load(hz_fork_mark) == HZ_MARK_LOST)
		settle_lost();
}
