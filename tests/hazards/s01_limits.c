/* SPDX-License-Identifier: MIT */
/*
 * s01_limits - programs under RLIMIT_AS from 64 MiB on and under RLIMIT_DATA;
 * rows S1 and S2.
 *
 * ls and python3, with and without the limit: the same output.  Then what this
 * process itself can have under such a limit, and that a limit set late still
 * bounds the heap.
 */
#include "hazard.h"

static char *const ls[] = { "ls", "-l", "/usr/bin", NULL };
static char *const python[] = {
	"python3", "-c",
	"import json,threading\n"
	"t=[threading.Thread(target=lambda: json.dumps(list(range(9999)))) for i in range(2)]\n"
	"[x.start() for x in t]; [x.join() for x in t]\n"
	"print(len(json.dumps([str(i) for i in range(50000)])))",
	NULL
};

/* A sum of what the program prints; 0 when it failed. */
static uint64_t sum_of(char *const *argv, int resource, size_t mib)
{
	unsigned char text[4096];
	uint64_t sum = 14695981039346656037U;
	int ends[2];
	ssize_t n;
	pid_t child;
	if (pipe(ends))
		tap_bail("pipe");
	child = fork();
	if (child == 0) {
		struct rlimit limit = { mib * MIB, mib * MIB };
		watchdog_of_exec(HAZARD_SECONDS);
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		close(ends[0]);
		close(ends[1]);
		if (mib && setrlimit(resource, &limit))
			_exit(126);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	while ((n = read(ends[0], text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum = (sum ^ text[i]) * 1099511628211U;
	close(ends[0]);
	return ended_well(reap(child)) ? sum : 0;
}

static void sweep(char *const *argv, int resource, const char *text)
{
	static const size_t mib[] = { 64, 128, 256, 512, 1024, 4096 };
	uint64_t expected = sum_of(argv, resource, 0);
	if (!expected) {
		ok(1, "# SKIP %s does not run here", argv[0]);
		return;
	}
	for (size_t i = 0; i < COUNT_OF(mib); i++)
		ok(sum_of(argv, resource, mib[i]) == expected, "%s %zu MiB: %s", text, mib[i],
		   argv[0]);
}

/* At least three quarters of what a limit leaves can be had, and not more. */
static int late(void)
{
	struct rlimit limit;
	size_t had = 0, more = 60 * MIB;
	free(escape(malloc(1)));
	getrlimit(RLIMIT_DATA, &limit);
	/* What is data already is little. */
	limit.rlim_cur = more;
	if (setrlimit(RLIMIT_DATA, &limit))
		return 2;
	while (had < 4 * more) {
		errno = 0;
		void *p = escape(malloc(100000));
		if (!p)
			break;
		had += 100000;
	}
	diag("S2 %zu KiB of %zu", had / KIB, more / KIB);
	return errno != ENOMEM || had > more || had < more / 4 * 3;
}

int main(void)
{
	watchdog(2 * HAZARD_SECONDS);
	sweep(ls, RLIMIT_AS, "S1 RLIMIT_AS");
	sweep(python, RLIMIT_AS, "S1 RLIMIT_AS");
	is_int(how(in_child(late)), 0, "S2 a limit set after the first malloc bounds the heap");
	ok(sum_of(ls, RLIMIT_DATA, 8) == sum_of(ls, RLIMIT_DATA, 0), "S2 RLIMIT_DATA 8 MiB: ls");
	ok(sum_of(python, RLIMIT_DATA, 64) == sum_of(python, RLIMIT_DATA, 0),
	   "S2 RLIMIT_DATA 64 MiB: python3");
	return tap_done();
}
