/* SPDX-License-Identifier: MIT */
/*
 * bench_launch - runs one command and writes what it cost to a file.
 *
 *   bench_launch FILE PRELOAD|- command arguments ...
 *
 * A child's ru_maxrss starts at the resident size of the process it was forked
 * from, so a runner of tens of MiB cannot measure a program of two; this one
 * stays below 1 MiB.  It is never preloaded itself.  Its exit status is the
 * command's, or 128 + the signal that ended it; a command that cannot start
 * gives 127.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static int write_costs(const char *path, double wall, int status)
{
	struct rusage u;
	FILE *f = fopen(path, "w");

	if (!f)
		return 125;
	getrusage(RUSAGE_CHILDREN, &u);
	fprintf(f,
		"rc=%d\nsignal=%d\nwall_s=%.6f\nuser_s=%.6f\nsys_s=%.6f\n"
		"maxrss_kb=%ld\nminflt=%ld\nmajflt=%ld\nnvcsw=%ld\n"
		"nivcsw=%ld\n",
		WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		WIFSIGNALED(status) ? WTERMSIG(status) : 0, wall,
		seconds(u.ru_utime), seconds(u.ru_stime), u.ru_maxrss,
		u.ru_minflt, u.ru_majflt, u.ru_nvcsw, u.ru_nivcsw);
	if (fclose(f))
		return 125;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	double start;
	int status;
	pid_t pid;

	if (argc < 4) {
		fprintf(stderr, "usage: bench_launch FILE PRELOAD|- "
				"command [arguments]\n");
		return 2;
	}
	/* A runner that is killed leaves nothing running behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	start = now();
	pid = fork();
	if (pid < 0) {
		perror("bench_launch: fork");
		return 125;
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (strcmp(argv[2], "-"))
			setenv("LD_PRELOAD", argv[2], 1);
		else
			unsetenv("LD_PRELOAD");
		execvp(argv[3], argv + 3);
		fprintf(stderr, "bench_launch: %s: %s\n", argv[3],
			strerror(errno));
		_exit(127);
	}
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return 125;
	return write_costs(argv[1], now() - start, status);
}
