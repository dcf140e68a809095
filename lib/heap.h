/* SPDX-License-Identifier: MIT */
/*
 * heap.h - what a thread has: magazines, shelves of slabs, an outbox, an inbox.
 *
 *   hz_tls (792 bytes, initial-exec)        hz_heap (metadata, recycled)
 *   | owner tag | state | heap ----------->| inbox | lock | state |
 *   | magazine[class] {top, limit} |        | shelf[class] | outbox |
 *        |                                  | magazine arrays and sizes |
 *        v
 *   array: NULL | block | block | ... top -> | free rounds ... limit
 *
 *   malloc pops the top, free pushes; the NULL below the first block stops the
 *   pop, the limit the push.  Both then come to heap.c.  Of a large magazine
 *   they see a window: a NULL further up, and a limit further down.
 *
 * Threads: uninitialised -> live -> dying -> dead; a dead one is served from
 * a shared heap under its lock.  Heaps: LIVE with a thread, IDLE without; an
 * idle heap keeps its slabs, is taken whole by the next new thread, and gives
 * slabs to any thread that lacks one, as a live one does that has much free.
 *
 * Invariants: magazines and outbox are written by their thread alone; shelves
 * and the bitmaps of a heap's slabs only under its lock; tags are hints, who
 * holds the owner's lock re-checks slab.owner; nobody holds two heaps' locks.
 *
 * Who may call: large.c and api.c; observers read.  It refuses sizes without a
 * class and pointers that are not in a slab.
 */
#pragma once

#include "remote.h"
#include "slab.h"

struct hz_mag {
	void **top; /* last block, or the NULL below the first; thread */
	void **limit; /* full here; thread */
};

enum hz_thread_state {
	HZ_THREAD_NEW, /* never allocated */
	HZ_THREAD_BUSY, /* getting its heap: libc may call back into malloc */
	HZ_THREAD_LIVE,
	HZ_THREAD_DYING, /* its destructor ran once; others' still run */
	HZ_THREAD_DEAD, /* heap given up; served from the shared heap */
};

struct hz_tls {
	uint32_t owner; /* tag of the heap; HZ_OWNER_NONE without; thread */
	uint16_t state; /* enum hz_thread_state; thread */
	uint16_t frees; /* without a heap, modulo 2^16; thread */
	struct hz_heap *heap; /* NULL unless live or dying; thread */
	struct hz_mag mag[HZ_CLASSES];
	struct hz_slot *slots; /* of the heap's outbox; unusable ones without; thread */
};
_Static_assert(offsetof(struct hz_tls, mag) == HZ_OFFSET_FIRST &&
		       sizeof(struct hz_mag) == HZ_OFFSET_STEP,
	       "a class offset leads to its magazine");

/* An owner no tag can match: the xor with any tag is out of range. */
enum { HZ_OWNER_NONE = -HZ_TAG_OWNER_ONE };

extern __thread struct hz_tls hz_tls
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

enum hz_heap_state {
	HZ_HEAP_LIVE,
	HZ_HEAP_IDLE,
	HZ_HEAP_LOST, /* in a child: of a vanished thread, or of the forking one */
};

/* What the fork mark says: 0 in a child that nobody has recovered.  And its second
 * word: whether somebody does. */
enum { HZ_MARK_WHOLE = 1, HZ_MARK_LOST = 2 /* there are LOST heaps */, HZ_MARK_CLAIM = 1 };

/* What slabs of several blocks hold, for thin.c. */
struct hz_thin {
	size_t slab_bytes; /* of the heap's slabs; lock */
	size_t free_bytes; /* of their free bits; lock */
	size_t reused_bytes; /* taken from free bits since aged_ms; lock */
	uint32_t aged_ms; /* last look by age; lock */
	uint32_t thin_ms; /* last that gave pages back because blocks were freed; thread */
	uint32_t next_class; /* where the next look begins; any thread, relaxed */
	size_t seen_live; /* bytes in use at the last look, or before they shrank; thread */
	size_t gone_bytes; /* purged of late; thread */
	size_t low_live, high_live; /* in use when they were, and highest since; thread */
};

struct hz_heap_counts { /* its thread, relaxed; readers add heaps up */
	uint64_t refills, flushes, opened, closed, adopted, drained, foreign;
	uint64_t taken; /* blocks out of slabs; thread, of the shared heap its lock */
	uint64_t returned, closed_blocks; /* back into slabs: its lock; being slabs: thread */
	uint64_t epochs, decays, decayed, shrunk; /* idle magazines: flushed, blocks, halved */
	uint64_t refills_inbox, refills_slabs, drained_for; /* from there; blocks by others, its lock */
	uint64_t kept; /* large blocks that were served from what it kept */
};

struct hz_heap {
	/* The line that threads which free for this heap write and read: */
	struct hz_inbox inbox; /* first: the directory leads here */
	uint32_t state; /* enum hz_heap_state; lock, seq_cst against inbox */
	char line[64 - sizeof(struct hz_inbox) - sizeof(uint32_t)];

	/* The lines of its own thread: */
	struct hz_lock lock; /* shelves, bitmaps and owner of its slabs, state */
	uint32_t tag; /* number << HZ_TAG_OWNER_SHIFT; constant */
	uint32_t slow_paths; /* since the last look at the clock; thread */
	uint32_t epoch_ms; /* last shrinking of magazines; thread */
	uint32_t seen_drained; /* an outside tick's memory of drained */
	bool watched; /* its thread's end will be noticed; thread */
	struct hz_tls *tls; /* of its thread, NULL if none; lock */
	struct hz_heap *next; /* all heaps, append only */
	struct hz_heap *next_idle; /* idle list; registry lock */
	size_t mag_bytes; /* capacity of all magazines; thread */
	struct hz_heap_counts counts;
	uint64_t grown; /* set of classes whose magazine was full since it was empty; thread */
	uint64_t proven; /* set of those that were then asked for again; thread */
	_Alignas(16) void **array[HZ_CLASSES]; /* NULL before use; thread; aligned for hz_zero */
	void **seen_top[HZ_CLASSES]; /* tops at the last epoch; thread */
	void *under[HZ_CLASSES]; /* the block in whose place a window's NULL is; thread */
	uint16_t rounds[HZ_CLASSES]; /* capacity of each array; thread */
	uint16_t floor[HZ_CLASSES]; /* index of that NULL, 0 if there is no window; thread */
	uint16_t low[HZ_CLASSES]; /* lowest floor since the last epoch; thread */
	struct hz_shelf shelf[HZ_CLASSES]; /* lock */
	struct hz_thin thin;
	struct hz_outbox box; /* thread */
	struct hz_spare spare; /* empty batches; thread */
	struct hz_kept kept; /* thread */
};

/* Hot fields of the calling thread.  On x86-64 the segment register does the
 * addition; elsewhere the thread pointer is a register already.  The functions
 * with asm spare the hit paths an instruction that compilers spend. */
#if defined(__x86_64__) && defined(__SEG_FS) && !HZ_RACE_DETECTOR
#define HZ_THREAD __seg_fs
static inline uintptr_t hz_tls_at(void)
{
	uintptr_t at;
	__asm__("movq hz_tls@gottpoff(%%rip), %0" : "=r"(at));
	return at;
}
static inline struct hz_mag HZ_THREAD *hz_mag_at(uintptr_t offset)
{
	__asm__("addq hz_tls@gottpoff(%%rip), %0" : "+r"(offset) : : "cc");
	return (struct hz_mag HZ_THREAD *)offset;
}
/* The same: for a block that is returned, in rax. */
static inline struct hz_mag HZ_THREAD *hz_mag_to_pop(uintptr_t offset)
{
	__asm__("addq hz_tls@gottpoff(%%rip), %0" : "+c"(offset) : : "cc");
	return (struct hz_mag HZ_THREAD *)offset;
}
/* x, anywhere but there. */
static inline uintptr_t hz_beside(uintptr_t x)
{
	__asm__("" : "+d"(x));
	return x;
}
static inline void hz_mag_pushed(struct hz_mag HZ_THREAD *m, void **top)
{
	(void)top; /* the operand is spelt out: clang's would lose the segment */
	__asm__("addq $8, %%fs:(%0)" : : "r"(m) : "memory", "cc");
}
static inline void hz_mag_popped(struct hz_mag HZ_THREAD *m, void **top)
{
	(void)top;
	__asm__("subq $8, %%fs:(%0)" : : "r"(m) : "memory", "cc");
}
#else
#define HZ_THREAD
static inline uintptr_t hz_tls_at(void)
{
	return (uintptr_t)&hz_tls;
}
static inline struct hz_mag *hz_mag_at(uintptr_t offset)
{
	return (struct hz_mag *)(hz_tls_at() + offset);
}
#define hz_mag_to_pop hz_mag_at
#define hz_beside(x) (x)
static inline void hz_mag_pushed(struct hz_mag *m, void **top)
{
	m->top = top + 1;
}
static inline void hz_mag_popped(struct hz_mag *m, void **top)
{
	m->top = top - 1;
}
#endif

static inline struct hz_tls HZ_THREAD *hz_thread(void)
{
	return (struct hz_tls HZ_THREAD *)hz_tls_at();
}

/* To be called on entry of every slow path: notices a fork. */
void hz_heap_forked(void);
/* What a layer above has to set right in a forked child. */
void hz_heap_on_fork(void (*fn)(void));
static inline void hz_heap_enter(void)
{
	uint32_t *mark = hz_load_acquire(&hz_fork_mark);
	if (unlikely(mark && hz_load(mark) != HZ_MARK_WHOLE))
		hz_heap_forked();
}

/* Makes the allocator usable: reserves, sets hz_hot.  False without memory;
 * the next call tries again.  Any thread, any number of times. */
bool hz_heap_start(void);

/* A block of class c when the magazine has none; NULL without memory. */
void *hz_heap_refill(unsigned c);
/* Frees a block of the calling thread when its magazine (at class offset
 * `offset`) is full, or reports that it is the block freed last. */
void hz_heap_overflow(void *p, uintptr_t offset);
/* Frees a block of a slab of another owner, when the open batch cannot take
 * it, or when the calling thread has no heap. */
void hz_heap_give(void *p, uint32_t tag);

/* Gives back what the calling thread holds for itself. */
void hz_heap_flush_own(void);
/* Drains inboxes of all heaps into their slabs, the pressure handler's way of
 * reaching memory of sleeping and ended threads.  Returns heaps reached. */
size_t hz_heap_drain_all(void);

/* Gives back every page without a block in use of all heaps' slabs.  Returns pages. */
size_t hz_heap_thin_all(void);

/* All heaps, newest first, for observers; append only.  The pointer is for
 * readers outside the process. */
struct hz_heap *hz_heap_first(void);
extern struct hz_heap *const *const hz_heap_list;
/* Unlocks a heap that is not the thread's own: what came meanwhile, to a heap
 * that is idle, is drained.  Every such unlock is this one. */
void hz_mag_unlock(struct hz_heap *h);
/* Threads with a heap, now; registry lock, read by anyone, who may sleep on it. */
extern uint32_t hz_heaps_live;
static inline uint32_t hz_heap_live(void)
{
	return hz_load(&hz_heaps_live);
}
/* What is due once an age for all heaps but the caller's own: inboxes of threads that
 * seem asleep, pages that nobody came back for. */
void hz_heap_aged(struct hz_heap *own, uint32_t now_ms);

/* Magazines' share of one thread in bytes (pressure.c). */
size_t hz_pressure_share(void);

/* White-box lane: traps when a heap contradicts itself. */
void hz_heap_check(struct hz_heap *h);
