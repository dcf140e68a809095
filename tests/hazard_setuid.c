/* SPDX-License-Identifier: MIT */
/*
 * hazard_setuid - in a set-user-id program the environment commands nothing.
 *
 * A copy of this program, owned by another user and set-user-id, runs with
 * every HZ_ variable set to something that an ordinary process would obey: a
 * file to report to, output on exit, a tiny arena.  It works, writes not a
 * byte and creates no file; the control, the same without set-user-id, shows
 * what the variables do (nothing is fine).
 *
 * Only a library that the program is linked to comes along; a relative or
 * unsafe path is dropped by the loader and the test skips.  Needs root.
 */
#include <dlfcn.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "churn.h"

enum { OTHER_USER = 65534, SKIPPED = 77 };

static char directory[] = "/var/tmp/hz-setuid-XXXXXX";
static char copy[64], report[64];

/* Runs in the copy. */
static int as_other(void)
{
	if (!getauxval(AT_SECURE) || geteuid() != OTHER_USER)
		return SKIPPED;
	if (!dlsym(RTLD_DEFAULT, "hz_version"))
		return SKIPPED;
	/* Enough for a purger, had it been asked for by somebody else. */
	for (int i = 0; i < 20; i++)
		free(memset(escape(malloc(MIB)), 1, MIB));
	int bad = use_malloc();
	struct stat tasks; /* a link for each thread, and two */
	if (stat("/proc/self/task", &tasks) || tasks.st_nlink != 3)
		return 1;
	return bad | use_malloc_in_new_thread();
}

static int copy_self(void)
{
	static char bytes[65536];
	int from = open("/proc/self/exe", O_RDONLY), to;
	ssize_t n;
	snprintf(copy, sizeof(copy), "%s/program", directory);
	snprintf(report, sizeof(report), "%s/report", directory);
	to = open(copy, O_WRONLY | O_CREAT | O_EXCL, 0700);
	if (from < 0 || to < 0)
		return 0;
	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		if (write(to, bytes, (size_t)n) != n)
			return 0;
	if (fchown(to, OTHER_USER, OTHER_USER) || fchmod(to, 04755))
		return 0;
	close(from);
	close(to);
	return chmod(directory, 0777) == 0;
}

static void set_everything(void)
{
	static const char *const names[] = { "HZ_REPORT", "HZ_OUTPUT",  "HZ_LOG",
					     "HZ_DUMP",   "HZ_OBSERVE", "HZ_STATS_FILE" };
	for (size_t i = 0; i < COUNT_OF(names); i++)
		setenv(names[i], report, 1);
	setenv("HZ_OPTIONS", report, 1);
	setenv("HZ_ARENA_SIZE", "4096", 1);
	setenv("HZ_ARENA", "nonsense", 1);
	setenv("HZ_VERBOSE", "1", 1);
	setenv("HZ_PURGER", "1", 1);
	setenv("HZ_PRESSURE", "cgroup,psi", 1);
	setenv("HZ_STATS", "1", 1);
}

/* Bytes on both output descriptors of the copy; *status as from waitpid. */
static size_t run_copy(int *status)
{
	char text[1000];
	size_t used = 0;
	ssize_t n;
	int ends[2];
	pid_t child;
	if (pipe(ends))
		tap_bail("pipe");
	child = fork();
	if (child == 0) {
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		close(ends[0]);
		close(ends[1]);
		watchdog_of_exec(60);
		set_everything();
		execl(copy, copy, "--as-other", (char *)NULL);
		_exit(SKIPPED);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
	close(ends[0]);
	*status = reap(child);
	if (used)
		diag("%.200s", text);
	return used;
}

/* Whether the other user may read the library: below a private home nobody does. */
static int library_is_readable(void)
{
	Dl_info info;
	void *at = dlsym(RTLD_DEFAULT, "malloc");
	pid_t child = fork();
	if (child == 0)
		_exit(setgid(OTHER_USER) || setuid(OTHER_USER) || !at || !dladdr(at, &info) ||
		      access(info.dli_fname, R_OK));
	return child > 0 && reap(child) == 0;
}

int main(int argc, char **argv)
{
	struct stat unused;
	size_t bytes;
	int status, created;
	if (argc > 1 && strcmp(argv[1], "--as-other") == 0)
		return as_other();
	if (geteuid() != 0)
		tap_skip_all("needs root to make a set-user-id program");
	watchdog(120);
	if (!library_is_readable())
		tap_skip_all("the library is below a directory that other users cannot enter");
	if (!mkdtemp(directory) || !copy_self())
		tap_bail("cannot make a copy in %s", directory);
	bytes = run_copy(&status);
	created = stat(report, &unused) == 0;
	unlink(report);
	unlink(copy);
	rmdir(directory);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		tap_skip_all("set-user-id is not honoured there, or libhz is not linked in");
	is_int(status, 0, "the set-user-id program works");
	is_int((long long)bytes, 0, "and wrote nothing");
	is_int(created, 0, "and created no file");
	return tap_done();
}
