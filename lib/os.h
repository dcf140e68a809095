/* SPDX-License-Identifier: MIT */
/*
 * os.h - everything libhz ever asks of the kernel.
 *
 * What it is: the lowest layer.  Raw system calls, so that no other preload,
 * sanitizer or tracer that wraps libc's mmap is entered from inside malloc,
 * and so that errno is never touched.  Once the first allocation returned,
 * only mmap, munmap, mprotect, madvise(DONTNEED), mremap and futex follow, the
 * set every known sandbox allows; each may fail and no failure is fatal here.
 * Reports that somebody asked for use a few more, named at the end of os.c.
 *
 * Ranges are in bytes; callers pass multiples of HZ_PAGE, this layer rounds
 * to kernel pages (commit outward, purge inward).  All functions may be called
 * from any thread, in a signal handler and after fork.
 *
 * It refuses to allocate, to print (but for hz_os_write) and to remember
 * anything but the page size.
 */
#pragma once

#include "base.h"

/* A lock: a futex word, no fairness, bounded spinning.  Zero is unlocked.
 * Held: identity of the holding thread, lowest bit set when others wait. */
struct hz_lock {
	uint32_t word; /* any thread, CAS acquire / exchange release */
};

/* Address space, PROT_NONE and without reservation of memory; NULL when the kernel refuses. */
void *hz_os_reserve(size_t bytes);
/* Zeroed read-write memory at addresses that nothing holds; false when the
 * kernel refuses or somebody took them. */
bool hz_os_map_at(void *p, size_t bytes);
/* Zeroed read-write memory of its own mapping; NULL when refused. */
void *hz_os_map(size_t bytes);
/* Gives a mapping back; false when the kernel refuses (it stays mapped). */
bool hz_os_unmap(void *p, size_t bytes);
/* Makes reserved address space read-write; false when refused. */
bool hz_os_commit(void *p, size_t bytes);
/* Gives the pages back; true only when they now read as zero: to see that costs page
 * faults, and a page read before it is written interrupts the other processors. */
bool hz_os_purge(void *p, size_t bytes);
/* Likewise, without a look: what they hold then is unknown. */
bool hz_os_discard(void *p, size_t bytes);
/* Maps purged pages anew, so that they are of one mapping with their neighbours again
 * whatever was moved there.  False when they are mapped no more: nobody's then. */
bool hz_os_renew(void *p, size_t bytes);
/* Moves a mapping's pages to another address (NULL: anywhere); NULL when
 * refused, with the old mapping untouched. */
void *hz_os_move(void *p, size_t old_bytes, void *to, size_t new_bytes);
/* Moves the pages of committed memory to another committed range of the same
 * length, whose pages are lost; the old range then reads as zero.  False when
 * refused, with both ranges as they were. */
bool hz_os_shift(void *p, size_t bytes, void *to);
/* Asks that a page be zero in forked children; false when unknown. */
bool hz_os_wipe_on_fork(void *p, size_t bytes);
/* The limit of address space in bytes, SIZE_MAX when there is none. */
size_t hz_os_address_limit(void);

/* Milliseconds of a coarse monotonic clock. */
uint64_t hz_os_now_ms(void);
/* One write() of the whole text to a descriptor; errors are ignored. */
void hz_os_write(int fd, const char *text, size_t n);
int hz_os_pid(void);
/* Whether this is its process's first thread, as the forking one is in a child. */
bool hz_os_first_thread(void);
/* A system call that changes nothing of the heap's, by its number; an error is -4095..-1. */
long hz_os_ask(long nr, long a, long b, long c, long d);
/* Ends the process with SIGABRT as abort() does, handler and all. */
_Noreturn void hz_os_abort(void);

/* The kernel's page in bytes; 4 KiB on x86-64, asked of the kernel elsewhere. */
#if defined(__x86_64__)
static inline size_t hz_os_page_bytes(void)
{
	return HZ_PAGE;
}
#else
size_t hz_os_page_bytes(void);
#endif

/* Calls asked of the kernel so far, by kind, for reports. */
struct hz_os_counts {
	uint64_t map, unmap, commit, purge, purge_bytes, shift, refused;
};
extern struct hz_os_counts hz_os_counts; /* any thread, relaxed adds */

/* White-box lane only: the k-th call that may be refused (counted from 1)
 * fails, and with `on` all after it.  0 switches the fault off. */
struct hz_os_fault {
	uint64_t seen, at;
	int error; /* what the call says; 0: ENOMEM */
	bool on, lie; /* lie: purge says yes and does nothing */
};
extern struct hz_os_fault hz_os_fault;

/* Called after a waiter slept long: where no mark tells of every fork, heap.c looks
 * whether this is a child. */
extern void (*hz_lock_stalled)(void);
/* Sleeps while *word is value, until woken, for ms at most; wakes one who does. */
long hz_os_wait(const uint32_t *word, uint32_t value, uint32_t ms);
void hz_os_wake(const uint32_t *word);
void hz_lock_wait(struct hz_lock *lock, uint32_t me);
extern bool hz_lock_crowded; /* others want the processor: who waits sleeps at once; heap.c */

/* Identity of the calling thread: never 0, lowest bit clear. */
static inline uint32_t hz_self(void)
{
	uintptr_t tp = (uintptr_t)__builtin_thread_pointer();
	/* Thread control blocks are 64-byte aligned, so 2^31 of them differ. */
	return (uint32_t)(tp >> 6 << 1) | 1u << 31;
}

/* In a forked child: opens a lock that a vanished thread held; whether it did.
 * One that the forking thread holds (fork in a signal handler) stays held. */
extern uint32_t hz_lock_forker; /* its identity, 0: another recovers; who recovers */
static inline bool hz_lock_reopen(struct hz_lock *lock)
{
	uint32_t word = __atomic_load_n(&lock->word, __ATOMIC_RELAXED) & ~1u;
	if (!word || word == hz_lock_forker)
		return false;
	__atomic_store_n(&lock->word, 0, __ATOMIC_RELAXED);
	return true;
}

/* In one order with states and inboxes of heaps, also when it fails: who fails has
 * pushed before, and the holder looks after it unlocked (tests/rc11/idle.c). */
static inline bool hz_trylock(struct hz_lock *lock)
{
	uint32_t free_word = 0;
	return __atomic_compare_exchange_n(&lock->word, &free_word, hz_self(), false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline void hz_lock(struct hz_lock *lock)
{
	if (unlikely(!hz_trylock(lock)))
		hz_lock_wait(lock, hz_self());
}

static inline void hz_unlock(struct hz_lock *lock)
{
	if (unlikely(__atomic_exchange_n(&lock->word, 0, __ATOMIC_SEQ_CST) & 1))
		hz_os_wake(&lock->word);
}
