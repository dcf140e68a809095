/* SPDX-License-Identifier: MIT */
/*
 * purger - HZ_PURGER=1 in a program that knows nothing of it.
 *
 *   sleep     a program that has shown that it comes back for what it frees, and then
 *             only waits: its free pages go, with no call of malloc
 *   thread    is called hz-purger, blocks every signal but libc's own two, is not among
 *             the threads of hz_report, has no part in setuid's hanging or half working
 *   children  have none, whatever they allocate
 *   ends      exit while it works; main leaves by pthread_exit: the process ends with
 *             its last thread, and exit's handlers run
 *   off       without the variable, and in a program too small to need it
 *
 * Each is a run of this program with a word for the scene; nothing is measured in time.
 */
#include <dirent.h>
#include <stdbool.h>
#include <hz/hz.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "churn.h"

enum { BURST = 4000, BURST_BYTES = 16000, BURSTS = 5, OTHER_USER = 65534 };

static void burst(void)
{
	static void *block[BURST];
	for (size_t i = 0; i < BURST; i++)
		block[i] = memset(escape(malloc(BURST_BYTES)), 1, BURST_BYTES);
	for (size_t i = 0; i < BURST; i++)
		free(block[i]);
}

static long tasks(void)
{
	struct stat st;
	return stat("/proc/self/task", &st) ? -1 : (long)st.st_nlink - 2;
}

/* Reads a file of a task, without allocating. */
static char *task_file(long tid, const char *name)
{
	static char text[4096];
	char path[100];
	snprintf(path, sizeof(path), "/proc/self/task/%ld/%s", tid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return text;
}

/* The task called hz-purger, 0 if there is none. */
static long purger(void)
{
	long found = 0;
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		long tid = strtol(entry->d_name, NULL, 10);
		if (tid && strcmp(task_file(tid, "comm"), "hz-purger\n") == 0)
			found = tid;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The thread names itself as soon as it runs. */
static long purger_waited(void)
{
	long tid;
	while (!(tid = purger()))
		usleep(1000);
	return tid;
}

static uint64_t figure(long tid, const char *name, int base)
{
	char *at = strstr(task_file(tid, "status"), name);
	return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

/* Scenes: 0 is well. */

static int scene_sleep(void)
{
	for (int i = 0; i < BURSTS; i++)
		burst();
	long full = rss_bytes(), least = (long)BURST * BURST_BYTES / 4;
	purger_waited();
	if (full < least)
		return 2; /* nothing was kept: nothing to see */
	while (rss_bytes() > full / 8)
		usleep(10000);
	return 0;
}

static int scene_thread(void)
{
	burst();
	long tid = purger_waited();
	struct hz_report r;
	uint64_t libc = 3ULL << 31, blocked = figure(tid, "SigBlk:", 16);
	if (hz_report_get(&r, sizeof(r)) || r.threads != 1 || tasks() != 2)
		return 2;
	/* The kernel lets nobody block SIGKILL and SIGSTOP. */
	if ((blocked | libc | 1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1)) != UINT64_MAX ||
	    blocked & libc)
		return 3;
	if (figure(getpid(), "SigBlk:", 16))
		return 4;
	/* Signals for everybody: the purger is none. */
	for (int i = 0; i < 100; i++)
		syscall(SYS_tgkill, getpid(), (int)tid, SIGTERM);
	if (geteuid() == 0 && (setresuid(OTHER_USER, OTHER_USER, OTHER_USER) ||
			       figure(tid, "Uid:", 10) != OTHER_USER))
		return 5;
	return use_malloc() | use_malloc_in_new_thread();
}

static int scene_children(void)
{
	burst();
	purger_waited();
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			burst();
			_exit(tasks() == 1 ? use_malloc() | use_malloc_in_new_thread() : 1);
		}
		if (!ended_well(reap(pid)))
			return 2;
	}
	return purger() ? 0 : 3;
}

static int scene_grown_child(void)
{
	free(escape(malloc(100)));
	if (tasks() != 1)
		return 2;
	pid_t pid = fork();
	if (pid == 0) {
		burst();
		_exit(tasks() == 1 ? 0 : 1);
	}
	return ended_well(reap(pid)) ? 0 : 3;
}

static void said(void)
{
	static const char text[] = "handler\n";
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(9);
}

static void *last(void *arg)
{
	burst();
	usleep(100000);
	return arg;
}

/* libc ends the process when no thread is left but ours. */
static int scene_pthread_exit(void)
{
	atexit(said);
	burst();
	purger_waited();
	start_thread(last, NULL);
	pthread_exit(NULL);
}

/* Ends while everything moves. */
static int scene_exit(void)
{
	atexit(said);
	churn_start(2);
	burst();
	purger_waited();
	exit(0);
}

static int scene_small(void)
{
	for (int i = 0; i < 100000; i++)
		free(escape(malloc(opaque(100))));
	return tasks() == 1 ? 0 : 2;
}

static int scene_off(void)
{
	burst();
	return tasks() == 1 ? 0 : 2;
}

static const struct {
	const char *name;
	int (*body)(void);
	const char *purger; /* HZ_PURGER */
	bool says; /* exit's handler is to be heard */
	const char *what;
} scenes[] = {
	{ "sleep", scene_sleep, "1", false, "free pages go while the program sleeps" },
	{ "thread", scene_thread, "1", false, "name, signals, users: a thread that is none of the program's" },
	{ "children", scene_children, "1", false, "forked children have none" },
	{ "grown", scene_grown_child, "1", false, "nor those whose parent was too small for one" },
	{ "pthread_exit", scene_pthread_exit, "1", true, "the process ends with its last thread" },
	{ "exit", scene_exit, "1", true, "exit while it works" },
	{ "small", scene_small, "1", false, "a small program has none" },
	{ "off", scene_off, "0", false, "HZ_PURGER=0: no thread" },
	{ "off", scene_off, "2", false, "HZ_PURGER=2: no thread" },
	{ "off", scene_off, NULL, false, "nothing said: no thread" },
};

static void run(size_t i)
{
	int ends[2];
	char text[64];
	size_t used = 0;
	ssize_t n;
	if (pipe(ends))
		tap_bail("pipe");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		watchdog(60);
		if (scenes[i].purger)
			setenv("HZ_PURGER", scenes[i].purger, 1);
		else
			unsetenv("HZ_PURGER");
		execl("/proc/self/exe", "purger", scenes[i].name, (char *)NULL);
		_exit(99);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
	close(ends[0]);
	int status = reap(pid);
	bool well = ended_well(status) && !strcmp(text, scenes[i].says ? "handler\n" : "");
	ok(well, "%s", scenes[i].what);
	if (!well)
		diag("%s: status %#x, said '%s'", scenes[i].name, (unsigned)status, text);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < COUNT_OF(scenes); i++)
		if (strcmp(argv[1], scenes[i].name) == 0)
			return scenes[i].body();
	for (size_t i = 0; i < COUNT_OF(scenes); i++)
		run(i);
	return tap_done();
}
