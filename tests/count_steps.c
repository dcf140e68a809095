/* SPDX-License-Identifier: MIT */
/*
 * count_steps - user instructions of a program, from exec to exit.
 *
 *	count_steps [-r N] -- PROG ARGS...
 *
 * prints one number, the instructions all threads of the program executed in
 * user mode, by single-stepping it with ptrace(2); -r N runs it N times and
 * prints the smallest (the loader's work varies with the environment, the
 * minimum does not).  Address space randomisation is switched off for the
 * child.  A repeated string instruction counts once (x86-64).  Children of
 * the program are not followed.  LD_PRELOAD for the program alone comes from
 * STEP_PRELOAD, so that the counter itself runs on libc's malloc.
 *
 * Exit code: 0, or 77 where tracing is refused, or 99 for a wrong use.
 */
#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_REFUSED = 77, EXIT_USAGE = 99 };

/* The program counter of a stopped thread, 0 when it cannot be read. */
static uintptr_t program_counter(pid_t tid)
{
#if defined(__x86_64__)
	errno = 0;
	return (uintptr_t)ptrace(PTRACE_PEEKUSER, tid,
				 (void *)offsetof(struct user_regs_struct, rip), NULL);
#else
	(void)tid;
	return 0;
#endif
}

/* Both sides on one processor: a step is then a plain context switch. */
static void pin_to_one_cpu(void)
{
	cpu_set_t allowed, one;
	int cpu;

	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
		return;
	for (cpu = 0; cpu < CPU_SETSIZE - 1; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			break;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
}

static void child_exec(char **argv)
{
	const char *preload = getenv("STEP_PRELOAD");

	if (personality(ADDR_NO_RANDOMIZE) == -1)
		perror("count_steps: personality");
	if (preload != NULL)
		setenv("LD_PRELOAD", preload, 1);
	unsetenv("STEP_PRELOAD");
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(EXIT_REFUSED);
	raise(SIGSTOP);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

/* One stop of a tracee: counts a step, returns the signal to hand on. */
static int handle_stop(pid_t tid, int status, uintptr_t *last_pc, long *steps)
{
	int signal = WSTOPSIG(status);
	uintptr_t pc;

	if (signal != SIGTRAP)
		return signal == SIGSTOP ? 0 : signal;
	if (status >> 16 != 0) /* exec or clone event */
		return 0;
	pc = program_counter(tid);
	if (pc == 0 || pc != *last_pc)
		++*steps;
	*last_pc = pc;
	return 0;
}

/* Steps of one run, -1 when tracing is refused. */
static long count_run(char **argv)
{
	uintptr_t last_pc = 0;
	long steps = 0;
	int status, started = 0;
	pid_t child = fork(), tid;

	if (child == 0)
		child_exec(argv);
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return -1;
	ptrace(PTRACE_SETOPTIONS, child, NULL,
	       (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE));
	ptrace(PTRACE_CONT, child, NULL, NULL);
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		int signal;

		if (!WIFSTOPPED(status))
			continue;
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8))
			started = 1;
		signal = handle_stop(tid, status, &last_pc, &steps);
		ptrace(started ? PTRACE_SINGLESTEP : PTRACE_CONT, tid, NULL,
		       (void *)(intptr_t)signal);
	}
	return steps;
}

int main(int argc, char **argv)
{
	long best = -1, runs = 1;
	int option;

	while ((option = getopt(argc, argv, "+r:")) != -1)
		if (option == 'r')
			runs = strtol(optarg, NULL, 10);
		else
			return EXIT_USAGE;
	if (optind >= argc || runs < 1) {
		fputs("usage: count_steps [-r N] -- PROG ARGS...\n", stderr);
		return EXIT_USAGE;
	}
	pin_to_one_cpu();
	while (runs-- > 0) {
		long steps = count_run(argv + optind);

		if (steps < 0)
			return EXIT_REFUSED;
		if (best < 0 || steps < best)
			best = steps;
	}
	printf("%ld\n", best);
	return 0;
}
