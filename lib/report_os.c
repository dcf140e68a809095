/* SPDX-License-Identifier: MIT */
/*
 * report_os.c - what only reports and options ask of the kernel.
 *
 *   reports       files to write to, the program's name
 *   HZ_PRESSURE   small files read in one go
 *   HZ_PURGER     name and signals of a thread
 *
 * All of it goes through hz_os_ask: os.c alone enters the kernel.  errno is never
 * written.  Who may call: reports, observers, cgroup.c and purger.c.  It refuses to
 * be needed by a program that asked for none of them.
 */
#include "report_os.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

bool hz_os_file_id(int fd, uint64_t id[2])
{
	struct stat st;
	if (hz_os_ask(SYS_fstat, fd, (long)&st, 0, 0) < 0)
		return false;
	id[0] = st.st_dev; /* NOLINT: the kernel wrote it */
	id[1] = st.st_ino;
	return true;
}

int hz_os_append(const char *path)
{
	long fd = hz_os_ask(SYS_openat, AT_FDCWD, (long)path,
			    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600);
	return fd < 0 ? -1 : (int)fd;
}

void hz_os_close(int fd)
{
	hz_os_ask(SYS_close, fd, 0, 0, 0);
}

/* For the options HZ_PRESSURE and HZ_PURGER. */

long hz_os_read_file(const char *path, char *text, size_t n)
{
	long fd = hz_os_ask(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
	if (fd < 0)
		return -1;
	long got = hz_os_ask(SYS_read, fd, (long)text, (long)n - 1, 0);
	hz_os_close((int)fd);
	text[got < 0 ? 0 : got] = 0;
	return got < 0 ? -1 : got;
}

void hz_os_name_thread(const char *name)
{
	hz_os_ask(SYS_prctl, PR_SET_NAME, (long)name, 0, 0);
}

void hz_os_block_signals(uint64_t *was)
{
	/* 32 and 33 are how libc cancels threads and changes their users. */
	uint64_t all = ~(3ULL << 31);
	hz_os_ask(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)was, sizeof(all));
}

void hz_os_set_signals(const uint64_t *mask)
{
	hz_os_ask(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, 0, sizeof(*mask));
}

void hz_os_program(char *name, size_t n)
{
	char path[1024];
	long got = hz_os_ask(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path,
			     sizeof(path));
	long end = got < 0 ? 0 : got, from = end;
	while (from > 0 && path[from - 1] != '/')
		from--;
	size_t used = 0;
	for (; from < end && used + 1 < n; from++)
		name[used++] = path[from]; /* NOLINT: the kernel wrote it */
	if (!used)
		name[used++] = '-';
	name[used] = 0;
}
