/* SPDX-License-Identifier: MIT */
/*
 * s11_cgroup - a group with a memory limit, where too much is no NULL but the
 * end; row S11.
 *
 * A process that never uses more than half of the limit, in ever other sizes and
 * from ever other threads, ten times the limit in sum, lives; and what it frees
 * leaves the group's account when it asks for that.  Needs root and a memory
 * controller, of either version; the group is made beside all others and removed.
 */
#include "hazard.h"

enum { LIMIT = 96, USED = 48, LEFT = 12, ROUNDS = 20 }; /* MiB */

static char group[300];
static const char *limit_name, *usage_name;

static int write_to(const char *name, const char *text)
{
	char path[400];
	ssize_t n = (ssize_t)strlen(text), written;
	snprintf(path, sizeof(path), "%s/%s", group, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	written = write(fd, text, (size_t)n);
	close(fd);
	return written == n ? 0 : -1;
}

static long usage_kib(void)
{
	char path[400];
	snprintf(path, sizeof(path), "%s/%s", group, usage_name);
	long bytes = number_in(path, 0);
	return bytes < 0 ? -1 : bytes / 1024;
}

static int make_group(void)
{
	static const char *const version[][3] = {
		{ "/sys/fs/cgroup", "memory.max", "memory.current" },
		{ "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes" },
	};
	char limit[32];
	snprintf(limit, sizeof(limit), "%zu", LIMIT * MIB);
	for (size_t i = 0; i < COUNT_OF(version); i++) {
		snprintf(group, sizeof(group), "%s/hz-test-%d", version[i][0], (int)getpid());
		limit_name = version[i][1];
		usage_name = version[i][2];
		if (mkdir(group, 0755))
			continue;
		if (write_to(limit_name, limit) == 0)
			return 0;
		rmdir(group);
	}
	return -1;
}

static void *round_of(void *number)
{
	size_t n = 100 + (size_t)number * 3777, count = USED * MIB / n;
	void **block = calloc(count, sizeof(*block));
	for (size_t i = 0; block && i < count; i++) {
		block[i] = malloc(n);
		if (block[i])
			memset(block[i], 1, n);
	}
	for (size_t i = 0; block && i < count; i++)
		free(block[i]);
	free(block);
	return NULL;
}

/* Its own process: what the group holds is what this one holds. */
static int lives(void)
{
	char me[32];
	snprintf(me, sizeof(me), "%d", (int)getpid());
	if (write_to("cgroup.procs", me))
		return 77;
	long before = usage_kib();
	for (size_t i = 0; i < ROUNDS; i++) {
		if (i % 2)
			pthread_join(start_thread(round_of, (void *)i), NULL);
		else
			round_of((void *)i);
	}
	malloc_trim(0);
	long after = usage_kib();
	diag("the group held %ld KiB before, %ld after %d MiB and a trim", before, after,
	     ROUNDS * USED);
	return after - before > LEFT * 1024;
}

int main(void)
{
	watchdog(2 * HAZARD_SECONDS);
	if (make_group())
		tap_skip_all("S11 no group of its own can be made (root, a memory controller)");
	int code = how(in_child(lives));
	for (int i = 0; rmdir(group) && i < 100; i++)
		usleep(20000); /* until the kernel is done with the child */
	if (code == 77)
		tap_skip_all("S11 the group takes no process");
	is_int(code, 0, "S11 %d MiB in turn under a limit of %d MiB; freed memory leaves the group",
	       ROUNDS * USED, LIMIT);
	return tap_done();
}
