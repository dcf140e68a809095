/* SPDX-License-Identifier: MIT */
/*
 * hazard_fds - no descriptor held, no byte written.
 *
 *   before and after any use of malloc: the same open descriptors
 *   with 0..2 closed, and 2 reused by a file of the program: not one byte in
 *   it, however the process uses malloc, fails to get memory and ends
 */
#include <sys/stat.h>

#include <sys/stat.h>

#include "churn.h"

/* The open descriptors as bits; opendir would allocate. */
static uint64_t open_descriptors(void)
{
	uint64_t set = 0;
	for (int fd = 0; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			set |= UINT64_C(1) << fd;
	return set;
}

static void *allocate_and_end(void *unused)
{
	(void)unused;
	use_malloc();
	return NULL;
}

static void use_everything(void)
{
	use_malloc();
	for (int i = 0; i < 20; i++)
		pthread_join(start_thread(allocate_and_end, NULL), NULL);
	free(escape(malloc(opaque((size_t)1 << 60))));
	free(escape(calloc(opaque(SIZE_MAX), 3)));
}

/* A child whose descriptor 2 is a file of its own; the file's length. */
static off_t written_by_child(int how_to_end)
{
	char name[] = "/tmp/hz-fds-XXXXXX";
	int fd = mkstemp(name);
	struct stat status;
	pid_t child;
	if (fd < 0)
		tap_bail("mkstemp: %s", strerror(errno));
	child = fork();
	if (child == 0) {
		struct rlimit no_core = { 0, 0 };
		setrlimit(RLIMIT_CORE, &no_core);
		if (fd < 3)
			_exit(1);
		close(0);
		close(1);
		dup2(fd, 2);
		close(fd);
		use_everything();
		if (how_to_end == 0)
			exit(0);
		if (how_to_end == 1)
			quick_exit(0);
		abort();
	}
	reap(child);
	fstat(fd, &status);
	unlink(name);
	close(fd);
	return status.st_size;
}

int main(void)
{
	uint64_t before = open_descriptors();
	watchdog(120);
	use_everything();
	is_int((long long)open_descriptors(), (long long)before, "the same open descriptors");
	is_int(written_by_child(0), 0, "no byte in the file that has descriptor 2: exit");
	is_int(written_by_child(1), 0, "quick_exit");
	is_int(written_by_child(2), 0, "abort");
	return tap_done();
}
