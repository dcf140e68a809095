/* SPDX-License-Identifier: MIT */
/*
 * s00_filters - the system call filters of three sandboxes, rebuilt from what
 * they allow; rows S5, S8, S9, S12, A5.
 *
 *   OpenSSH   preauth child: a short list, mmap and mprotect without PROT_EXEC,
 *             RLIMIT_NOFILE, NPROC and FSIZE 0; anything else kills
 *   Chromium  baseline: flags of mmap and advice of madvise from a list, no
 *             prctl but names, no file; anything else kills
 *   man-db    pipelines: memory, threads, files to read; anything else kills
 *
 * Each is put on after much use of malloc; man-db's, which is inherited by what
 * it executes, also before the first malloc of the process.  Then blocks of every size, growth, threads where the filter allows them, trim.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "hazard.h"

enum { MOST = 400 };

static struct sock_filter code[MOST];
static unsigned short used;

static void emit(unsigned short op, uint8_t yes, uint8_t no, uint32_t k)
{
	if (used == MOST)
		tap_bail("the filter is too long");
	code[used++] = (struct sock_filter){ op, yes, no, k };
}

enum { LOAD = BPF_LD | BPF_W | BPF_ABS, EQUAL = BPF_JMP | BPF_JEQ | BPF_K,
       ANY_BIT = BPF_JMP | BPF_JSET | BPF_K, RETURN = BPF_RET | BPF_K };

static void begin(void)
{
	used = 0;
	emit(LOAD, 0, 0, offsetof(struct seccomp_data, nr));
}

static void answer(long nr, uint32_t action)
{
	emit(EQUAL, 0, 1, (uint32_t)nr);
	emit(RETURN, 0, 0, action);
}

static void allow(const int *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		answer(list[i], SECCOMP_RET_ALLOW);
}
#define ALLOW(...) allow((const int[]){ __VA_ARGS__ }, COUNT_OF(((const int[]){ __VA_ARGS__ })))
#define REFUSE(error, ...)                                                                 \
	for (size_t i_ = 0; i_ < COUNT_OF(((const int[]){ __VA_ARGS__ })); i_++)           \
	answer(((const int[]){ __VA_ARGS__ })[i_], SECCOMP_RET_ERRNO | (error))

/* Allowed when no bit of the argument lies outside the mask; else goes on. */
static void allow_mask(long nr, unsigned argument, uint32_t mask)
{
	emit(EQUAL, 0, 4, (uint32_t)nr);
	emit(LOAD, 0, 0, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * argument));
	emit(ANY_BIT, 1, 0, ~mask);
	emit(RETURN, 0, 0, SECCOMP_RET_ALLOW);
	emit(LOAD, 0, 0, offsetof(struct seccomp_data, nr));
}

/* Allowed when the argument is one of the values, else refused. */
static void allow_values(long nr, unsigned argument, const int *value, uint8_t n, uint32_t action)
{
	emit(EQUAL, 0, (uint8_t)(2 * n + 2), (uint32_t)nr);
	emit(LOAD, 0, 0, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * argument));
	for (uint8_t i = 0; i < n; i++) {
		emit(EQUAL, 0, 1, (uint32_t)value[i]);
		emit(RETURN, 0, 0, SECCOMP_RET_ALLOW);
	}
	emit(RETURN, 0, 0, action);
}

static int end(void)
{
	struct sock_fprog program = { .filter = code };
	emit(RETURN, 0, 0, SECCOMP_RET_KILL_PROCESS);
	program.len = used;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int openssh(void)
{
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_NPROC, &none);
	setrlimit(RLIMIT_NOFILE, &none);
	setrlimit(RLIMIT_FSIZE, &none);
	begin();
	REFUSE(EACCES, SYS_openat, SYS_newfstatat, SYS_fstat, SYS_shmget, SYS_shmat, SYS_shmdt);
	ALLOW(SYS_brk, SYS_clock_gettime, SYS_close, SYS_exit, SYS_exit_group, SYS_futex,
	      SYS_geteuid, SYS_getpid, SYS_getrandom, SYS_gettid, SYS_gettimeofday, SYS_getuid,
	      SYS_madvise, SYS_munmap, SYS_mremap, SYS_nanosleep, SYS_clock_nanosleep,
	      SYS_ppoll, SYS_pselect6, SYS_read, SYS_rt_sigprocmask, SYS_shutdown, SYS_write,
	      SYS_writev);
	allow_mask(SYS_mmap, 2, PROT_READ | PROT_WRITE);
	allow_mask(SYS_mprotect, 2, PROT_READ | PROT_WRITE);
	return end();
}

static int chromium(void)
{
	static const int advice[] = { MADV_DONTNEED, MADV_RANDOM, MADV_REMOVE, MADV_NORMAL,
				      MADV_FREE };
	static const int names[] = { PR_GET_NAME, PR_SET_NAME, PR_GET_DUMPABLE, PR_SET_DUMPABLE };
	begin();
	REFUSE(EPERM, SYS_openat, SYS_newfstatat, SYS_readlinkat, SYS_faccessat);
	REFUSE(ENOSYS, SYS_clone3);
	ALLOW(SYS_brk, SYS_clock_gettime, SYS_close, SYS_exit, SYS_exit_group, SYS_futex,
	      SYS_getpid, SYS_getrandom, SYS_gettid, SYS_gettimeofday, SYS_munmap, SYS_mremap,
	      SYS_mincore, SYS_nanosleep, SYS_clock_nanosleep, SYS_clone, SYS_rt_sigprocmask,
	      SYS_rt_sigaction, SYS_rt_sigreturn, SYS_set_robust_list, SYS_rseq, SYS_sched_yield,
	      SYS_read, SYS_write, SYS_writev, SYS_fstat, SYS_ppoll, SYS_tgkill);
	allow_mask(SYS_mmap, 3,
		   MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE |
			   MAP_FIXED | MAP_DENYWRITE | MAP_LOCKED);
	allow_mask(SYS_mprotect, 2, PROT_READ | PROT_WRITE | PROT_EXEC);
	allow_values(SYS_madvise, 2, advice, COUNT_OF(advice), SECCOMP_RET_ERRNO | EPERM);
	allow_values(SYS_prctl, 0, names, COUNT_OF(names), SECCOMP_RET_KILL_PROCESS);
	return end();
}

static int man_db(void)
{
	begin();
	REFUSE(ENOSYS, SYS_clone3);
	ALLOW(SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_mincore,
	      SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep, SYS_close, SYS_exit,
	      SYS_exit_group, SYS_futex, SYS_getpid, SYS_getrandom, SYS_gettid, SYS_clone,
	      SYS_prctl, SYS_membarrier, SYS_rseq, SYS_sched_getaffinity, SYS_set_robust_list,
	      SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_openat, SYS_newfstatat,
	      SYS_fstat, SYS_read, SYS_write, SYS_writev, SYS_lseek, SYS_ppoll, SYS_tgkill,
	      SYS_readlinkat, SYS_prlimit64);
	return end();
}

static int (*const filter[])(void) = { openssh, chromium, man_db };
static const char *const name[] = { "OpenSSH preauth", "Chromium baseline", "man-db" };

/* 'e': before the first malloc; 'l': after much use. */
static int inside(const char *mode)
{
	static void *kept[3000];
	size_t which = (size_t)(mode[1] - '0');
	int bad = 0;
	struct timespec while_idle = { 1, 100000000 };
	if (mode[0] == 'l')
		bad |= use_malloc() | use_malloc_in_new_thread();
	if (filter[which]())
		return 77;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT_OF(kept); i++)
			kept[i] = churn_block(i * 8);
		for (size_t i = 0; i < COUNT_OF(kept); i++)
			churn_drop(kept[i]);
		char *p = malloc(MIB), *q;
		fill(p, MIB, 1);
		q = realloc(p, 40 * MIB); /* moves, or is remapped */
		bad |= !q || !intact_prefix(q, MIB, 1);
		q = realloc(q, 100);
		free(q);
		bad |= use_malloc();
		bad |= which > 0 && use_malloc_in_new_thread();
		bad |= malloc_trim(0) < 0;
		if (round == 0 && mode[0] == 'l')
			nanosleep(&while_idle, NULL); /* what is free has aged */
	}
	_exit(bad);
}

int main(int argc, char **argv)
{
	watchdog(HAZARD_SECONDS);
	if (argc > 1)
		return inside(argv[1]);
	for (size_t i = 0; i < COUNT_OF(filter); i++)
		for (int late = i < 2; late < 2; late++) {
			char mode[3] = { late ? 'l' : 'e', (char)('0' + i), 0 };
			int code = how(run_self(mode, NULL, 0));
			if (code == 77)
				tap_skip_all("S no filters here");
			is_int(code, 0, "S %s, %s the first malloc", name[i],
			       late ? "after" : "before");
		}
	return tap_done();
}
