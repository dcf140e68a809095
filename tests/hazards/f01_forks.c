/* SPDX-License-Identifier: MIT */
/*
 * f01_forks - many forks of a process whose threads are inside malloc; row F1.
 *
 * 500 light children, 10,000 with HZ_TEST_LONG=1, from a process with three busy
 * threads: each allocates and frees every size to 64 KiB and what it inherited,
 * every tenth in a thread of its own.  A child that hangs is killed by its
 * watchdog.
 *
 * And 200 where no page can be wiped by a fork, as on kernels before 4.14 and with
 * pages of 64 KiB: a filter refuses that advice.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "hazard.h"

enum { FORKS = 500, UNWIPED = 200, REFUSED = 77 };

static void *some(void *unused)
{
	size_t bad = 0;
	(void)unused;
	for (size_t n = 16; n <= 64 * KIB; n *= 2) {
		size_t *p = churn_block(n + 8), *q = churn_block(3 * n);
		bad |= !p || !q;
		churn_drop(p);
		churn_drop(q);
	}
	return (void *)bad;
}

static int thread_first; /* in the children */

static int child(long i)
{
	pthread_t thread;
	void *bad = NULL;
	watchdog(HAZARD_SECONDS);
	if (!thread_first) {
		free_inherited();
		if (some(NULL) || churn.errors)
			return 1;
		if (i % 10)
			return 0;
	}
	if (pthread_create(&thread, NULL, some, NULL))
		return 2;
	pthread_join(thread, &bad);
	return bad != NULL;
}

static long hung, bad;

static void forks(long count)
{
	churn_start(3);
	for (long i = 0; i < count; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(child(i));
		int code = pid > 0 ? how(reap(pid)) : -1;
		hung += code == -SIGALRM;
		bad += code != 0;
	}
	churn_stop();
}

/* The advice is asked for at the first malloc: from exec on it is refused. */
static int refuse_wiping(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_WIPEONFORK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { COUNT_OF(code), code };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return REFUSED;
	execl("/proc/self/exe", "f01_forks", "unwiped", (char *)NULL);
	return REFUSED;
}

static int unwiped(void)
{
	char *page = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (madvise(page, 65536, MADV_WIPEONFORK) == 0)
		return REFUSED;
	thread_first = 1;
	forks(work(UNWIPED));
	return hung ? 2 : bad || churn.errors;
}

int main(int argc, char **argv)
{
	(void)argv;
	watchdog(20 * HAZARD_SECONDS);
	if (argc > 1)
		return unwiped();
	pid_t pid = fork();
	if (pid == 0)
		_exit(refuse_wiping());
	int code = how(reap(pid));
	if (code == REFUSED)
		tap_skip(1, "F1 no filters here");
	else
		is_int(code, 0, "F1 where no page is wiped by a fork");
	forks(work(FORKS));
	is_int(hung, 0, "F1 none of %ld children hangs", work(FORKS));
	is_int(bad, 0, "F1 each has its memory");
	is_int(churn.errors, 0, "F1 the parent's blocks are whole");
	return tap_done();
}
