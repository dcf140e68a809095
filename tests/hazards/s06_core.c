/* SPDX-License-Identifier: MIT */
/*
 * s06_core - cores have the size of what was touched; row S6.
 *
 *   8 MiB touched, half of it freed, trimmed    the file: less than 16 MiB
 *   72 MiB touched, 64 freed, trimmed           its blocks: less than twice RSS
 *
 * Reserved addresses must not be in it.  (What was given back is a hole in the
 * file.)  Skipped where cores go to a program.
 */
#include "hazard.h"

enum { BLOCK = 4000 };

static char core_name[256], path[600];
static size_t touched, freed;
static long *resident; /* the child's, shared */

static int dumps(void)
{
	struct rlimit limit;
	size_t n = touched / BLOCK;
	char **block = malloc(n * sizeof(*block));
	getrlimit(RLIMIT_CORE, &limit);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_CORE, &limit) || limit.rlim_cur < 2 * touched)
		return 77;
	for (size_t i = 0; i < n; i++)
		memset(block[i] = malloc(BLOCK), 1, BLOCK);
	for (size_t i = 0; i < freed / BLOCK; i++)
		free(block[i]);
	malloc_trim(0);
	*resident = rss_exact_bytes();
	abort();
}

/* Whether there is a core, and its figures. */
static int core_of(size_t all, size_t back, struct stat *st)
{
	char *at = strstr(core_name, "%p");
	int status, found;
	pid_t child;
	touched = all;
	freed = back;
	child = fork();
	if (child == 0) {
		watchdog(HAZARD_SECONDS);
		_exit(dumps());
	}
	status = reap(child);
	/* Only the process number is understood, as %p or behind a dot. */
	if (at)
		snprintf(path, sizeof(path), "%.*s%d%s", (int)(at - core_name), core_name, child,
			 at + 2);
	else
		snprintf(path, sizeof(path), "%s", core_name);
	if (stat(path, st) != 0 && !at)
		snprintf(path, sizeof(path), "%s.%d", core_name, child);
	found = WIFSIGNALED(status) && WCOREDUMP(status) && stat(path, st) == 0;
	if (found)
		unlink(path);
	return found;
}

int main(void)
{
	char directory[] = "/tmp/hz-core-XXXXXX";
	struct stat st;
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY);
	watchdog(HAZARD_SECONDS);
	if (fd < 0 || read(fd, core_name, sizeof(core_name) - 1) <= 0 || core_name[0] == '|')
		tap_skip_all("S6 cores go to a program");
	close(fd);
	core_name[strcspn(core_name, "\n")] = 0;
	resident = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (resident == MAP_FAILED || !mkdtemp(directory) || chdir(directory))
		tap_bail("mkdtemp");
	int found = core_of(8 * MIB, 4 * MIB, &st);
	if (found) {
		ok(st.st_size < 16 * (long)MIB, "S6 a core of %ld KiB for 8 MiB touched",
		   (long)st.st_size / 1024);
		found = core_of(72 * MIB, 64 * MIB, &st);
		ok(found && st.st_blocks * 512 < 2 * *resident,
		   "S6 %ld KiB on disk for %ld KiB resident, 72 MiB touched before",
		   (long)st.st_blocks / 2, *resident / 1024);
	}
	if (chdir("/") || rmdir(directory))
		diag("%s stays", directory);
	if (!found && !tap_state.run)
		tap_skip_all("S6 no core was written, or not where it was looked for");
	return tap_done();
}
