/* SPDX-License-Identifier: MIT */
/*
 * test_pressure - what HZ_PRESSURE reads, and what happens then; the purger at work.
 *
 *   files     a directory stands for / : groups with and without limits, limits above,
 *             pages of files, stall figures, and text that nobody should write
 *   near      a process at its limit keeps no free page, and does again when it is over
 *   question  is asked once a second, and leaves no descriptor
 *   purger    threads at work, forks in between, a thread that purges every 20 ms: every
 *             invariant is checked by the white-box lane, and children have no purger
 *
 * The clock of the second and third is the test's.
 */
#include <ftw.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "cgroup.h"
#include "option.h"
#include "probe.h"
#include "whitebox.h"

void *hzw_malloc(size_t n);
void hzw_free(void *p);

static char top[] = "/tmp/hz-test-pressure.XXXXXX";
static uint64_t clock_ms; /* 0: the kernel's */

/* libhz looks at the clock through libc, and finds this one. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	uint64_t ms = __atomic_load_n(&clock_ms, __ATOMIC_RELAXED);
	if (!ms || clock != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, clock, ts);
	ts->tv_sec = (time_t)(ms / 1000);
	ts->tv_nsec = (long)(ms % 1000) * 1000000;
	return 0;
}

/* Writes a file below top, with the directories it lies in; NULL removes it. */
static void put(const char *name, const char *text)
{
	char path[600];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	if (!text) {
		unlink(path);
		return;
	}
	for (char *at = path + sizeof(top); (at = strchr(at, '/')); *at++ = '/') {
		*at = 0;
		mkdir(path, 0700);
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	NEED(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st, (void)type, (void)walk;
	return remove(path);
}

static bool near(void)
{
	return hz_cgroup_near(HZ_WATCH_CGROUP);
}

#define GROUP "sys/fs/cgroup/a/b/"
#define ABOVE "sys/fs/cgroup/a/"
#define ROOT "sys/fs/cgroup/"

static void files(long arg)
{
	(void)arg;
	NEED(!near() && !hz_cgroup_near(HZ_WATCH_PSI)); /* nothing there */
	put("proc/self/cgroup", "12:memory:/x\n1:name=systemd:/y\n0::/a/b\n");
	put(GROUP "memory.current", "94000000\n");
	put(GROUP "memory.max", "max\n");
	put(GROUP "memory.high", "max\n");
	NEED(!near());
	put(GROUP "memory.max", "100000000\n");
	NEED(near()); /* no memory.stat: nothing can be taken off */
	put(GROUP "memory.current", "93000000\n");
	NEED(!near());
	put(GROUP "memory.high", "99000000\n"); /* the lower one counts */
	NEED(near());
	put(GROUP "memory.stat", "anon 1\nfile 2\nactive_inactive_file 9\ninactive_file 3000000\n");
	NEED(!near());
	put(GROUP "memory.stat", "inactive_file 1000\n");
	NEED(near());
	put(GROUP "memory.stat", "inactive_file 99999999999\n"); /* more than all: of another moment */
	NEED(!near());
	put(GROUP "memory.current", "1\n");
	/* Groups above. */
	put(ABOVE "memory.max", "200000000\n");
	put(ABOVE "memory.current", "199000000\n");
	NEED(near());
	put(ABOVE "memory.current", "100000000\n");
	NEED(!near());
	put(ROOT "memory.max", "4096\n");
	put(ROOT "memory.current", "4096\n");
	NEED(near());
	/* A container sees its group as the root; without /proc that is all there is. */
	put("proc/self/cgroup", "0::/\n");
	NEED(near());
	put("proc/self/cgroup", NULL);
	NEED(near());
	put(ROOT "memory.max", "0\n");
	put(ROOT "memory.current", "0\n");
	NEED(near()); /* a limit of nothing is reached */
	put(ROOT "memory.max", "max\n");
	NEED(!near());
	/* Nonsense says nothing. */
	static const char *const nonsense[] = { "", "\n", "-1\n", "maximal", "18446744073709551616\n",
						"0x10", " 5" };
	for (size_t i = 0; i < COUNT_OF(nonsense); i++) {
		put(ROOT "memory.max", nonsense[i]);
		put(ROOT "memory.current", "1000\n");
		NEED_AT(!near(), i);
		put(ROOT "memory.max", "1000\n");
		put(ROOT "memory.current", nonsense[i]);
		NEED_AT(!near(), i);
	}
	/* Paths: too long, outside of what is seen, without a name. */
	char longest[5000];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	memcpy(longest, "0::/", 4);
	put("proc/self/cgroup", longest);
	NEED(!near());
	put("proc/self/cgroup", "0::/../../..\n");
	NEED(!near());
	put("proc/self/cgroup", "0::");
	NEED(!near());
	put("proc/self/cgroup", "0::////\n");
	NEED(!near());
}

static bool stalls(void)
{
	return hz_cgroup_near(HZ_WATCH_PSI);
}

static void stall_figures(long arg)
{
	(void)arg;
	put("proc/self/cgroup", "0::/a/b\n");
	put("proc/pressure/memory", "some avg10=9.99 avg60=99.00 avg300=99.00 total=9\n"
				    "full avg10=99.00 avg60=99.00 avg300=99.00 total=9\n");
	NEED(!stalls());
	put("proc/pressure/memory", "some avg10=10.00 avg60=0.00 avg300=0.00 total=9\n");
	NEED(stalls());
	/* The group's own figure is asked where there is one. */
	put(GROUP "memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n");
	NEED(!stalls());
	put(GROUP "memory.pressure", "some avg10=55.12 avg60=0.00 avg300=0.00 total=9\n");
	NEED(stalls() && !near());
	put(GROUP "memory.pressure", "full avg10=55.12 avg60=0.00 avg300=0.00 total=9\n");
	NEED(!stalls());
}

static int descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

enum { BLOCKS = 200, BYTES = 16 << 10, LOOK_MS = 21 /* of the white-box lane, and one */ };

/* Slow paths, so many that the clock is looked at. */
static void some_calls(void)
{
	static void *small[4000];
	for (size_t i = 0; i < COUNT_OF(small); i++)
		small[i] = hzw_malloc(48);
	for (size_t i = 0; i < COUNT_OF(small); i++)
		hzw_free(small[i]);
}

static void fill_and_free(void)
{
	static void *block[BLOCKS];
	for (size_t i = 0; i < BLOCKS; i++)
		block[i] = memset(hzw_malloc(BYTES), 1, BYTES);
	for (size_t i = 0; i < BLOCKS; i++)
		hzw_free(block[i]);
}

static void at_the_limit(long arg)
{
	(void)arg;
	clock_ms = 1000000;
	setenv("HZ_PRESSURE", "psi,cgroup", 1);
	put("proc/self/cgroup", "0::/a/b\n");
	put(GROUP "memory.max", "100000000\n");
	put(GROUP "memory.current", "1000000\n");
	int before = descriptors();
	void *kept = hzw_malloc(1);
	fill_and_free();
	some_calls();
	NEED(hz_pressure_counts.looks == 1 && hz_pressure_counts.nears == 0);
	NEED(hz_run_counts.dirty_pages > 0 && hz_pressure_keep() > 0);
	/* The kernel says that it is near; nobody asks before the time has come. */
	put(GROUP "memory.current", "99000000\n");
	some_calls();
	NEED(hz_pressure_counts.looks == 1 && !hz_cgroup_said);
	uint64_t events = hz_pressure_counts.events;
	clock_ms += LOOK_MS;
	some_calls();
	NEED(hz_pressure_counts.looks == 2 && hz_pressure_counts.nears == 1 && hz_cgroup_said);
	NEED(hz_pressure_counts.events == events + 1);
	NEED(hz_pressure_keep() == 0);
	hz_pressure_freed();
	NEED(hz_run_counts.dirty_pages == 0);
	/* Large blocks: nothing of them is kept. */
	hzw_free(memset(hzw_malloc(300000), 1, 300000));
	NEED(hz_run_counts.dirty_pages == 0);
	/* Still near: everything went once. */
	clock_ms += LOOK_MS;
	some_calls();
	NEED(hz_pressure_counts.looks == 3 && hz_pressure_counts.nears == 1);
	NEED(hz_pressure_counts.events == events + 1);
	/* Over; large blocks alone notice it, too. */
	put(GROUP "memory.current", "1000000\n");
	clock_ms += LOOK_MS;
	hzw_free(memset(hzw_malloc(300000), 1, 300000));
	NEED(hz_pressure_counts.looks == 4 && !hz_cgroup_said);
	NEED(hz_pressure_keep() > 0);
	fill_and_free();
	some_calls();
	NEED(hz_run_counts.dirty_pages > 0);
	NEED(descriptors() == before);
	hzw_free(kept);
	all_whole();
}

static void not_asked(long arg)
{
	(void)arg;
	clock_ms = 1000000;
	put("proc/self/cgroup", "0::/a/b\n");
	put(GROUP "memory.max", "1000\n");
	put(GROUP "memory.current", "1000\n");
	fill_and_free();
	some_calls();
	NEED(hz_pressure_counts.looks == 0 && !hz_cgroup_said);
	NEED(hz_option.watch == 0 && hz_option.purger == 0);
}

/* The purger. */

enum { THREADS = 3, SLOTS = 64, FORKS = 20, WAKES = 10 };

static void *slot[SLOTS]; /* exchanged */
static bool over;

static void *work_on(void *arg)
{
	uint64_t state = (uintptr_t)arg * 2 + 1;
	for (int i = 0; arg ? !__atomic_load_n(&over, __ATOMIC_RELAXED) : i < 3000; i++) {
		size_t n = random_size(&state, random_to(&state, 40) ? 12 : 18);
		void *p = hzw_malloc(n);
		if (p && n)
			memset(p, 1, n);
		hzw_free(__atomic_exchange_n(&slot[random_to(&state, SLOTS)], p, __ATOMIC_ACQ_REL));
	}
	return NULL;
}

static long tasks(void)
{
	struct stat st;
	return stat("/proc/self/task", &st) ? -1 : (long)st.st_nlink - 2;
}

static void purger_at_work(long arg)
{
	(void)arg;
	pthread_t thread[THREADS];
	setenv("HZ_PURGER", "1", 1);
	fill_and_free();
	for (size_t i = 0; i < THREADS; i++)
		thread[i] = start_thread(work_on, (void *)(i + 1));
	for (int i = 0; i < FORKS; i++) {
		usleep(5000);
		pid_t pid = fork();
		NEED(pid >= 0);
		if (pid == 0) {
			watchdog(SCENE_SECONDS);
			work_on(NULL);
			fill_and_free();
			_exit(tasks() == 1 ? 0 : 1);
		}
		NEED_AT(ended_well(reap(pid)), i);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	NEED(tasks() == 2);
	/* The rest goes while nobody calls: the watchdog limits how long. */
	while (hz_load(&hz_run_counts.dirty_pages) || hz_load(&hz_pressure_counts.wakes) < WAKES)
		usleep(1000);
	NEED(hz_load(&hz_run_counts.used_pages) > 0);
}

int main(void)
{
	if (!mkdtemp(top))
		tap_bail("mkdtemp");
	hz_cgroup_under = top;
	scene(files, 0, "limits of control groups as the kernel writes them, and otherwise");
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	mkdir(top, 0700);
	scene(stall_figures, 0, "stall figures, of the group or of the machine");
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	mkdir(top, 0700);
	scene(at_the_limit, 0, "at its limit a process keeps nothing free, afterwards it does again");
	scene(not_asked, 0, "without HZ_PRESSURE nobody looks");
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	scene(purger_at_work, 0, "a purger beside threads and forks, and when all are at rest");
	return tap_done();
}
