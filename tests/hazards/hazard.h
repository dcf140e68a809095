/* SPDX-License-Identifier: MIT */
/*
 * hazard.h - what the hazard programs share beyond churn.h.
 *
 *   module_path    a plugin of this directory, as it was built
 *   run_self       this program again, from exec, with an argument
 *   in_child       a function in a child, so that a death is a line
 *   on_subject     whether libhz is the malloc of this process
 *
 * A program is named by the row of the hazard list that it is for; each line it
 * prints begins with the row.  They are not linked to the library but run with
 * it preloaded, by tests/hazards.sh, and can be run with any other malloc.
 */
#pragma once

#include <dlfcn.h>
#include <malloc.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../churn.h"

enum { HAZARD_SECONDS = 60 };

static inline int on_subject(void)
{
	return dlsym(RTLD_DEFAULT, "hz_version") != NULL;
}

/* NULL when it is not built. */
static inline const char *module_path(const char *name)
{
	static char path[4200];
	char self[4000], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return NULL;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (!slash)
		return NULL;
	*slash = 0;
	snprintf(path, sizeof(path), "%s/.libs/%s", self, name);
	return access(path, R_OK) == 0 ? path : NULL;
}

/* The program again; stderr goes to `text` if there is one. Its wait status. */
static inline int run_self(const char *mode, char *text, size_t size)
{
	int ends[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t child;
	if (pipe(ends))
		tap_bail("pipe");
	child = fork();
	if (child == 0) {
		watchdog(HAZARD_SECONDS);
		if (text)
			dup2(ends[1], 2);
		close(ends[0]);
		close(ends[1]);
		execl("/proc/self/exe", "hazard", mode, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	while (text && (n = read(ends[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	if (text)
		text[used] = 0;
	close(ends[0]);
	status = reap(child);
	return status;
}

static inline int in_child(int (*body)(void))
{
	pid_t child = fork();
	if (child == 0) {
		watchdog(HAZARD_SECONDS);
		_exit(body());
	}
	return reap(child);
}

/* How a child ended, for a line: its exit code, or minus the signal. */
static inline int how(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
