/* SPDX-License-Identifier: MIT */
/*
 * os.c - the only file that enters the kernel.
 *
 *      hz_os_*  ->  call()  ->  raw syscall
 *                     |
 *                  fault counter (white-box lane)
 *
 * Invariants: errno is never written; a refusal is a return value; nothing is
 * ever unmapped or decommitted that the caller did not name exactly.
 *
 * Who may call: every layer above.  It refuses advice beyond DONTNEED after start-up, so
 * that sandboxes which filter madvise's argument never see another one from us.
 */
#include "os.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4 /* Linux 5.7; older kernels answer EINVAL */
#endif

enum {
	/* Spins before a waiter sleeps: about a microsecond, the length of our
	 * longest critical section that makes no system call. */
	SPINS = 100,
	/* A sleeping waiter looks up after this long: a holder that vanished in
	 * a fork which neither the kernel nor libc told us of must not hang its child. */
	WAIT_MS = 200,
};

struct hz_os_counts hz_os_counts;
struct hz_os_fault hz_os_fault;
void (*hz_lock_stalled)(void);
uint32_t hz_lock_forker;
bool hz_lock_crowded;

#if defined(__x86_64__)
static inline long call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
static inline void relax(void)
{
	__builtin_ia32_pause();
}
#elif defined(__aarch64__)
static inline long call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
static inline void relax(void)
{
	__asm__ volatile("yield");
}
#else
#error "libhz knows x86-64 and arm64"
#endif

/* A raw result is an error when it is -4095..-1. */
static inline bool failed(long ret)
{
	return (unsigned long)ret > -4096UL;
}

/* Whether the white-box fault counter takes this call. */
static bool refused(void)
{
	if (!HZ_LANE_CHECK || !hz_os_fault.at)
		return false;
	uint64_t k = hz_add(&hz_os_fault.seen, 1) + 1;
	return k == hz_os_fault.at || (hz_os_fault.on && k > hz_os_fault.at);
}

static long counted(uint64_t *count, long nr, long a, long b, long c, long d, long e)
{
	long ret = refused() ? -(hz_os_fault.error ? hz_os_fault.error : ENOMEM)
			     : call(nr, a, b, c, d, e, 0);
	hz_add(failed(ret) ? &hz_os_counts.refused : count, 1);
	return ret;
}

#if !defined(__x86_64__)
size_t hz_os_page_bytes(void)
{
	static size_t bytes; /* written once with the same value by anybody */
	size_t b = hz_load(&bytes);
	if (!b) {
		b = hz_max(getauxval(AT_PAGESZ), HZ_PAGE);
		hz_store(&bytes, b);
	}
	return b;
}
#endif

static void *map(void *hint, size_t bytes, int prot, int flags)
{
	long ret = counted(&hz_os_counts.map, SYS_mmap, (long)hint, (long)bytes, prot,
			   MAP_PRIVATE | MAP_ANONYMOUS | flags, -1);
	return failed(ret) ? NULL : (void *)ret;
}

void *hz_os_reserve(size_t bytes)
{
	return map(NULL, bytes, PROT_NONE, MAP_NORESERVE);
}

void *hz_os_map(size_t bytes)
{
	return map(NULL, bytes, PROT_READ | PROT_WRITE, 0);
}

/* No MAP_FIXED_NOREPLACE: there are sandboxes that end a process for it. */
bool hz_os_map_at(void *p, size_t bytes)
{
	void *got = map(p, bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
	if (got && got != p)
		hz_os_unmap(got, bytes);
	return got == p && p;
}

bool hz_os_unmap(void *p, size_t bytes)
{
	return !failed(counted(&hz_os_counts.unmap, SYS_munmap, (long)p, (long)bytes, 0, 0, 0));
}

bool hz_os_commit(void *p, size_t bytes)
{
	uintptr_t page = hz_os_page_bytes(), from = (uintptr_t)p & -page;
	uintptr_t to = hz_round_up((uintptr_t)p + bytes, page);
	return !failed(counted(&hz_os_counts.commit, SYS_mprotect, (long)from, (long)(to - from),
			       PROT_READ | PROT_WRITE, 0, 0));
}

bool hz_os_discard(void *p, size_t bytes)
{
	uintptr_t page = hz_os_page_bytes(), from = hz_round_up((uintptr_t)p, page);
	uintptr_t to = ((uintptr_t)p + bytes) & -page;
	if (from >= to)
		return false;
	if (!(HZ_LANE_CHECK && hz_os_fault.lie) &&
	    failed(counted(&hz_os_counts.purge, SYS_madvise, (long)from, (long)(to - from),
			   MADV_DONTNEED, 0, 0)))
		return false;
	hz_add(&hz_os_counts.purge_bytes, to - from);
	return from == (uintptr_t)p && to == from + bytes;
}

bool hz_os_purge(void *p, size_t bytes)
{
	/* Some emulators and filters answer "done" and do nothing.  A word that
	 * was not zero before and still is not tells them apart. */
	volatile uint64_t *word = p;
	if (bytes)
		*word = 1;
	return hz_os_discard(p, bytes) && !*word;
}

bool hz_os_renew(void *p, size_t bytes)
{
	/* Of what was unmapped before it was refused, advice is refused, too. */
	return map(p, bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE | MAP_FIXED) ||
	       !failed(call(SYS_madvise, (long)p, (long)bytes, MADV_DONTNEED, 0, 0, 0));
}

void *hz_os_move(void *p, size_t old_bytes, void *to, size_t new_bytes)
{
	int flags = MREMAP_MAYMOVE | (to ? MREMAP_FIXED : 0);
	long ret = counted(&hz_os_counts.map, SYS_mremap, (long)p, (long)old_bytes,
			   (long)new_bytes, flags, (long)to);
	return failed(ret) ? NULL : (void *)ret;
}

bool hz_os_shift(void *p, size_t bytes, void *to)
{
	if (((uintptr_t)p | (uintptr_t)to | bytes) & (hz_os_page_bytes() - 1))
		return false;
	return !failed(counted(&hz_os_counts.shift, SYS_mremap, (long)p, (long)bytes, (long)bytes,
			       MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, (long)to));
}

bool hz_os_wipe_on_fork(void *p, size_t bytes)
{
	size_t page = hz_os_page_bytes();
	if (page > bytes || refused())
		return false;
	/* Emulators without a vDSO say "done" and do nothing (qemu-user 7.2). */
	if (!getauxval(AT_SYSINFO_EHDR))
		return false;
	return !failed(call(SYS_madvise, (long)p, (long)bytes, MADV_WIPEONFORK, 0, 0, 0));
}

size_t hz_os_address_limit(void)
{
	struct rlimit limit;
	long ret = call(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit, 0, 0);
	if (failed(ret) || limit.rlim_cur == RLIM_INFINITY) /* NOLINT: the kernel wrote it */
		return SIZE_MAX;
	return limit.rlim_cur;
}

uint64_t hz_os_now_ms(void)
{
	struct timespec ts;
	if (clock_gettime(CLOCK_MONOTONIC_COARSE, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void hz_os_write(int fd, const char *text, size_t n)
{
	call(SYS_write, fd, (long)text, (long)n, 0, 0, 0);
}

int hz_os_pid(void)
{
	return (int)call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

bool hz_os_first_thread(void)
{
	return call(SYS_gettid, 0, 0, 0, 0, 0, 0) == call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

_Noreturn void hz_os_abort(void)
{
	/* Kernel's structure: handler, flags, restorer, mask. */
	static const unsigned long plain[4]; /* SIG_DFL */
	unsigned long only = 1UL << (SIGABRT - 1);
	for (int round = 0; round < 2; round++) {
		call(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&only, 0, sizeof(only), 0, 0);
		call(SYS_tgkill, hz_os_pid(), call(SYS_gettid, 0, 0, 0, 0, 0, 0), SIGABRT, 0, 0, 0);
		/* A handler returned, or it was ignored: not the second time. */
		call(SYS_rt_sigaction, SIGABRT, (long)plain, 0, sizeof(only), 0, 0);
	}
	for (;;)
		__builtin_trap();
}

long hz_os_wait(const uint32_t *word, uint32_t value, uint32_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
	return call(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, value, (long)&ts, 0, 0);
}

void hz_os_wake(const uint32_t *word)
{
	call(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

void hz_lock_wait(struct hz_lock *lock, uint32_t me)
{
	for (int i = hz_load(&hz_lock_crowded) ? SPINS - 1 : 0; i < SPINS; i++) {
		uint32_t word = hz_load(&lock->word);
		if (word == 0 &&
		    __atomic_compare_exchange_n(&lock->word, &word, me, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
		relax();
	}
	for (;;) {
		uint32_t word = hz_load(&lock->word);
		if (word == 0) {
			/* Others may sleep: take it with the mark set. */
			if (__atomic_compare_exchange_n(&lock->word, &word, me | 1, false,
							__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
				return;
			continue;
		}
		if (!(word & 1) &&
		    !__atomic_compare_exchange_n(&lock->word, &word, word | 1, false,
						 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			continue;
		if (hz_os_wait(&lock->word, word | 1, WAIT_MS) == -ETIMEDOUT && hz_lock_stalled)
			hz_lock_stalled();
	}
}

long hz_os_ask(long nr, long a, long b, long c, long d)
{
	return call(nr, a, b, c, d, 0, 0);
}
