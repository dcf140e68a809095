/* SPDX-License-Identifier: MIT */
/*
 * private.c - mount namespaces, with and without privilege.
 */
#define _GNU_SOURCE
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static bool put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int error = errno;
	close(fd);
	errno = error;
	return ok;
}

bool private_mounts(bool *user)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];
	*user = false;
	if (unshare(CLONE_NEWNS)) {
		if (errno != EPERM || unshare(CLONE_NEWUSER | CLONE_NEWNS))
			return false;
		*user = true;
		/* Without this file (Linux before 3.19) the next is allowed anyway. */
		put("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "%u %u 1", uid, uid);
		if (!put("/proc/self/uid_map", map))
			return false;
		snprintf(map, sizeof(map), "%u %u 1", gid, gid);
		if (!put("/proc/self/gid_map", map))
			return false;
	}
	return !mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL);
}
