/* SPDX-License-Identifier: MIT */
/*
 * hazard_mmap_fail - system calls that fail from some point on, or lie.
 *
 *   no memory     mmap, mprotect, mremap, brk: ENOMEM
 *   madvise       EPERM, EINVAL, or 0 without doing anything (qemu-user)
 *   munmap        EINVAL          mremap    ENOSYS
 *
 * A seccomp filter in a child does it, after some use of malloc or at once.
 * The child must neither die nor hang, must get NULL and ENOMEM where there
 * is no memory and memory where there is, keep errno in free, see calloc
 * zero, and find every block whole.  The last case refuses all that the
 * strictest sandboxes do.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "alloc_names.h"
#include "probe.h"

enum { SECONDS = 60, BLOCKS = 3000 };

/* One system call and what it returns instead; errno 0: "success". */
struct refusal {
	int call;
	int error;
};

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))

static int install(const struct refusal *refusal, size_t count)
{
	struct sock_filter code[64];
	struct sock_fprog program = { 0, code };
	unsigned short n = 0;
	code[n++] = (struct sock_filter)LOAD(nr);
	for (size_t i = 0; i < count; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 (unsigned)refusal[i].call, 0, 1);
		code[n++] =
			(struct sock_filter)RETURN(SECCOMP_RET_ERRNO | (unsigned)refusal[i].error);
	}
	code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
	program.len = n;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static struct {
	unsigned char *at;
	size_t size;
	uint64_t mark;
} slot[BLOCKS];

enum {
	CHANGED = 1,
	ERRNO_LOST = 2,
	DIRTY = 4,
	NULL_ERRNO = 8,
	REFUSED = 16,
	TRIM_ERRNO = 32, /* no standard asks for it, peers lose it */
	NO_FILTER = 64,
};

static int drop(size_t i)
{
	int bad = intact(slot[i].at, slot[i].size, slot[i].mark) ? 0 : CHANGED;
	errno = ELIBBAD;
	free(slot[i].at);
	bad |= errno == ELIBBAD ? 0 : ERRNO_LOST;
	slot[i].at = NULL;
	return bad;
}

static int take(size_t i, size_t n, int zero)
{
	errno = 0;
	slot[i].at = zero ? calloc(1, n) : malloc(n);
	if (!slot[i].at)
		return REFUSED | (errno == ENOMEM ? 0 : NULL_ERRNO);
	if (zero && !all_zero(slot[i].at, n))
		return DIRTY;
	slot[i].size = n;
	slot[i].mark = i + n;
	fill(slot[i].at, n, slot[i].mark);
	return 0;
}

static int resize(size_t i, size_t n)
{
	unsigned char *p;
	errno = 0;
	p = realloc(slot[i].at, n);
	if (!p)
		return REFUSED | (errno == ENOMEM ? 0 : NULL_ERRNO);
	slot[i].at = p;
	if (!intact_prefix(p, n < slot[i].size ? n : slot[i].size, slot[i].mark))
		return CHANGED;
	slot[i].size = n;
	fill(p, n, slot[i].mark);
	return 0;
}

/* A mixed life of blocks, with everything freed, trimmed and had again. */
static int live(int rounds)
{
	uint64_t state = 3;
	int bad = 0;
	for (int round = 0; round < rounds; round++) {
		for (int step = 0; step < 6000; step++) {
			size_t i = random_to(&state, BLOCKS);
			size_t n = random_size(&state, random_to(&state, 30) ? 12 : 22) + 1;
			if (!slot[i].at)
				bad |= take(i, n, random_to(&state, 3) == 0);
			else if (random_to(&state, 3) == 0)
				bad |= resize(i, n);
			else
				bad |= drop(i);
		}
		for (size_t i = 0; i < BLOCKS; i++)
			if (slot[i].at)
				bad |= drop(i);
		errno = ELIBBAD;
		malloc_trim(0);
		bad |= errno == ELIBBAD ? 0 : TRIM_ERRNO;
		for (size_t i = 0; i < 20; i++)
			bad |= take(i, 300000, 1);
		for (size_t i = 0; i < 20; i++)
			if (slot[i].at)
				bad |= drop(i);
	}
	return bad;
}

/* May it be refused memory? */
static void check(const char *text, const struct refusal *refusal, size_t count, int used_before,
		  int may_refuse)
{
	pid_t child = fork();
	int status, bad = 0;
	if (child == 0) {
		watchdog(SECONDS);
		bad = used_before ? live(1) : 0;
		if (!install(refusal, count))
			_exit(NO_FILTER);
		bad |= live(3);
		_exit(bad);
	}
	status = reap(child);
	if (WIFSIGNALED(status)) {
		ok(0, "%s, %s: died of signal %d", text, used_before ? "later" : "at once",
		   WTERMSIG(status));
		return;
	}
	bad = WEXITSTATUS(status);
	if (bad == NO_FILTER)
		tap_skip_all("seccomp filters are not to be had here");
	if (may_refuse)
		bad &= ~REFUSED;
	is_int(bad, 0,
	       "%s, %s (1 changed, 2 errno of free, 4 calloc dirty, 8 NULL without ENOMEM, 16 "
	       "refused, 32 errno of malloc_trim)",
	       text, used_before ? "later" : "at once");
}

#define CHECK(text, may_refuse, ...)                                                               \
	do {                                                                                       \
		static const struct refusal refusal_[] = { __VA_ARGS__ };                          \
		check(text, refusal_, COUNT_OF(refusal_), 0, may_refuse);                          \
		check(text, refusal_, COUNT_OF(refusal_), 1, may_refuse);                          \
	} while (0)

int main(void)
{
	watchdog(20 * SECONDS);
	CHECK("mmap fails", 1, { SYS_mmap, ENOMEM });
	CHECK("mprotect fails", 1, { SYS_mprotect, ENOMEM });
	CHECK("no memory at all", 1, { SYS_mmap, ENOMEM }, { SYS_mprotect, ENOMEM },
	      { SYS_mremap, ENOMEM }, { SYS_brk, 0 });
	CHECK("no memory, not even given back", 1, { SYS_mmap, ENOMEM }, { SYS_mprotect, ENOMEM },
	      { SYS_mremap, ENOMEM }, { SYS_brk, 0 }, { SYS_munmap, EINVAL },
	      { SYS_madvise, EINVAL });
	CHECK("madvise EPERM", 0, { SYS_madvise, EPERM });
	CHECK("madvise EINVAL", 0, { SYS_madvise, EINVAL });
	CHECK("madvise lies", 0, { SYS_madvise, 0 });
	CHECK("munmap fails", 0, { SYS_munmap, EINVAL });
	CHECK("mremap ENOSYS", 0, { SYS_mremap, ENOSYS });
	CHECK("nothing but mmap, munmap, mprotect, madvise, futex", 0, { SYS_mremap, ENOSYS },
	      { SYS_prctl, EPERM }, { SYS_membarrier, EPERM }, { SYS_sched_yield, EPERM },
	      { SYS_sched_getaffinity, EPERM }, { SYS_getcpu, EPERM }, { SYS_openat, EPERM },
	      { SYS_getrandom, EPERM }, { SYS_clock_gettime, EPERM }, { SYS_rseq, ENOSYS },
	      { SYS_mincore, EPERM }, { SYS_memfd_create, EPERM }, { SYS_getpid, EPERM });
	return tap_done();
}
