/* SPDX-License-Identifier: MIT */
/*
 * s13_moved - a process that is moved: between processors and nodes, into an
 * image and back; row S13.
 *
 *   processors   each thread changes its processor all the time
 *   nodes        memory bound to one node, then interleaved over all
 *   image        every block lies in private memory of no file: what a
 *                checkpoint can save and restore without knowing us
 *   on demand    pages come when they are touched, from another thread
 *                (userfaultfd, as a restored process gets them)
 */
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "hazard.h"

enum { HOPS = 3000, BLOCKS = 4000, BIND = 2, INTERLEAVE = 3 };

static int hop_to(int n)
{
	static cpu_set_t all;
	static int count;
	cpu_set_t one;
	if (!count) {
		sched_getaffinity(0, sizeof(all), &all);
		count = CPU_COUNT(&all);
	}
	CPU_ZERO(&one);
	n %= count;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && n-- == 0)
			CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one);
}

static int processors(void)
{
	uint64_t state = 9;
	size_t *block[100] = { NULL };
	int bad = 0;
	churn_start(2);
	for (int i = 0; i < HOPS; i++) {
		bad |= hop_to(i);
		size_t **slot = &block[random_to(&state, COUNT_OF(block))];
		churn_drop(*slot);
		*slot = churn_block(random_size(&state, 16));
	}
	for (size_t i = 0; i < COUNT_OF(block); i++)
		churn_drop(block[i]);
	churn_stop();
	return bad || churn.errors;
}

static int nodes(void)
{
	unsigned long first = 1;
	for (int policy = BIND; policy <= INTERLEAVE; policy++) {
		if (syscall(SYS_set_mempolicy, policy, &first, 8 * sizeof(first)))
			return 77;
		if (use_malloc() | use_malloc_in_new_thread())
			return 1;
		malloc_trim(0);
	}
	return use_malloc();
}

/* The mapping that holds p. */
static int mapping_of(const void *p, size_t range[2], char *line, size_t size)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int found = 0;
	while (maps && !found && fgets(line, (int)size, maps)) {
		char *rest;
		range[0] = strtoul(line, &rest, 16);
		range[1] = strtoul(rest + 1, NULL, 16);
		found = (uintptr_t)p >= range[0] && (uintptr_t)p < range[1];
	}
	if (maps)
		fclose(maps);
	return found;
}

static int image(void)
{
	static char line[1000];
	size_t range[2];
	for (size_t n = 8; n < 64 * MIB; n *= 4) {
		char *p = malloc(n), permissions[8];
		unsigned long inode = 1;
		int bad = !p || !mapping_of(p, range, line, sizeof(line)) ||
			  sscanf(line, "%*s %7s %*s %*s %lu", permissions, &inode) != 2;
		free(p);
		if (bad || strcmp(permissions, "rw-p") || inode)
			return 1;
	}
	return 0;
}

static int faults = -1;
static long served; /* atomic */

static void *serve(void *unused)
{
	struct uffd_msg message;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	(void)unused;
	while (read(faults, &message, sizeof(message)) == sizeof(message)) {
		struct uffdio_zeropage zero = { .range = { 0, page } };
		if (message.event != UFFD_EVENT_PAGEFAULT)
			continue;
		zero.range.start = message.arg.pagefault.address & ~(page - 1);
		/* Another thread may have had the same fault. */
		if (ioctl(faults, UFFDIO_ZEROPAGE, &zero))
			ioctl(faults, UFFDIO_WAKE, &zero.range);
		__atomic_fetch_add(&served, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int on_demand(void)
{
	static void *block[BLOCKS];
	static char line[1000];
	struct uffdio_api api = { .api = UFFD_API };
	size_t range[2];
	int bad = 0;
	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api))
		return 77;
	start_thread(serve, NULL);
	for (size_t i = 0; i < BLOCKS; i++)
		bad |= !(block[i] = churn_block(2000));
	if (!mapping_of(block[0], range, line, sizeof(line)))
		return 1;
	struct uffdio_register all = { .range = { range[0], range[1] - range[0] },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	for (size_t i = 0; i < BLOCKS; i++)
		churn_drop(block[i]);
	malloc_trim(0);
	if (ioctl(faults, UFFDIO_REGISTER, &all))
		return 77;
	for (size_t i = 0; i < BLOCKS; i++) {
		char *p = calloc(1, 3000);
		bad |= !p || !all_zero(p, 3000);
		block[i] = p;
	}
	for (size_t i = 0; i < BLOCKS; i++)
		free(block[i]);
	bad |= use_malloc();
	_exit(bad || churn.errors ? 1 : served ? 0 : 2);
}

static void row(int (*body)(void), const char *what, const char *without)
{
	int code = how(in_child(body));
	if (code == 77)
		tap_skip(1, "%s", without);
	else
		is_int(code, 0, "S13 %s", what);
}

int main(void)
{
	watchdog(2 * HAZARD_SECONDS);
	row(processors, "every thread changes its processor all the time", "");
	row(nodes, "memory bound to a node, and interleaved", "S13 no memory policies here");
	row(image, "every block lies in private memory of no file", "");
	row(on_demand, "pages that come on demand, from another thread",
	    "S13 no userfaultfd for this process");
	return tap_done();
}
