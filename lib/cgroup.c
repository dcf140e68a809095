/* SPDX-License-Identifier: MIT */
/*
 * cgroup.c - limits of control groups (version 2) and pressure stall figures.
 *
 *   /proc/self/cgroup   0::/a/b
 *   /sys/fs/cgroup/a/b  memory.max memory.high memory.current memory.stat
 *   /sys/fs/cgroup/a    the same ...
 *   /sys/fs/cgroup      (in a container, its own group)
 *
 * A limit of a group above is a limit, too.  memory.current counts files that
 * were read; the kernel drops those that nobody uses before anything else, so
 * they are taken off where it is near (the usual figure of a working set).
 *
 * Invariants: a descriptor lives from one call to the next but one; errno is
 * not touched.  Who may call: see cgroup.h.  It refuses version 1, where the
 * same questions have other names, and mounts elsewhere.
 */
#include "cgroup.h"

#include "pressure.h"
#include "report_os.h"

enum {
	/* Near: a 16th of the limit is left.  A service that may use 1 GiB has 64 MiB to
	 * go, a second's growth of most, and a look is once a second. */
	NEAR_SHIFT = 4,
	/* Part of the last 10 s that some task waited for memory, in hundredths.  Near 0
	 * while memory suffices; daemons that end processes for it begin at 60. */
	STALL_PERCENT = 10,
	/* Between two looks at the kernel's figures: some ten small files are opened. */
	ASK_MS = HZ_LANE_CHECK ? 20 : 1000,
	PATH_BYTES = 512,
	/* All of /proc/self/cgroup, or the head of memory.stat down to inactive_file. */
	TEXT_BYTES = 1024,
};

const char *hz_cgroup_under;
bool hz_cgroup_said;
static uint32_t asked_ms; /* last question; CAS by who asks */

struct text {
	char path[PATH_BYTES]; /* of the group's directory */
	size_t used; /* bytes of it */
	char of[TEXT_BYTES]; /* what a file says */
};

static size_t append(char *to, size_t used, const char *from, char end)
{
	for (; *from && *from != end && used + 1 < PATH_BYTES; from++)
		to[used++] = *from;
	to[used] = 0;
	return used;
}

/* Reads the file of this name in the group's directory; false without it. */
static bool read_file(struct text *t, const char *name)
{
	append(t->path, t->used, name, 0);
	bool ok = hz_os_read_file(t->path, t->of, TEXT_BYTES) > 0;
	t->path[t->used] = 0;
	return ok;
}

/* Behind the word where it begins a line or follows a blank, else NULL. */
static const char *behind(const char *text, const char *word)
{
	for (const char *at = text; *at; at++) {
		size_t n = 0;
		while (word[n] && at[n] == word[n])
			n++;
		if (!word[n] && (at == text || at[-1] == '\n' || at[-1] == ' '))
			return at + n;
	}
	return NULL;
}

/* A number, perhaps with a fraction; SIZE_MAX for anything else, as "max". */
static size_t number(const char *text)
{
	size_t n = 0;
	if (!text || *text < '0' || *text > '9')
		return SIZE_MAX;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (size_t)(*text - '0'), &n))
			return SIZE_MAX;
	return *text > ' ' && *text != '.' ? SIZE_MAX : n;
}

static size_t number_in(struct text *t, const char *name)
{
	return read_file(t, name) ? number(t->of) : SIZE_MAX;
}

static bool level_near(struct text *t)
{
	size_t limit = hz_min(number_in(t, "/memory.high"), number_in(t, "/memory.max"));
	if (limit == SIZE_MAX)
		return false;
	size_t edge = limit - (limit >> NEAR_SHIFT), current = number_in(t, "/memory.current");
	if (current == SIZE_MAX || current < edge)
		return false;
	size_t idle = read_file(t, "/memory.stat") ? number(behind(t->of, "inactive_file ")) : 0;
	return idle == SIZE_MAX || current - hz_min(idle, current) >= edge;
}

/* t->path becomes a path below `root`, as long as the text goes. */
static void begin(struct text *t, const char *root, const char *below)
{
	t->used = HZ_LANE_CHECK && hz_cgroup_under ? append(t->path, 0, hz_cgroup_under, 0) : 0;
	t->used = append(t->path, t->used, root, 0);
	size_t least = t->used;
	t->used = append(t->path, t->used, below, '\n');
	while (t->used > least && t->path[t->used - 1] == '/')
		t->path[--t->used] = 0;
}

static bool stalled(struct text *t)
{
	size_t n = number(behind(t->of, "some avg10="));
	return n != SIZE_MAX && n >= STALL_PERCENT;
}

bool hz_cgroup_near(size_t watch)
{
	struct text t;
	begin(&t, "/proc/self", "");
	const char *own = read_file(&t, "/cgroup") ? behind(t.of, "0::") : NULL;
	begin(&t, "/sys/fs/cgroup", "");
	size_t root = t.used;
	begin(&t, "/sys/fs/cgroup", own ? own : "");
	bool psi = watch & HZ_WATCH_PSI, group = psi && read_file(&t, "/memory.pressure");
	if (group && stalled(&t))
		return true;
	while (watch & HZ_WATCH_CGROUP) {
		if (level_near(&t))
			return true;
		if (t.used <= root)
			break;
		while (t.used > root && t.path[--t.used] != '/')
			;
		t.path[t.used] = 0;
	}
	if (!psi || group)
		return false;
	begin(&t, "/proc/pressure", "");
	return read_file(&t, "/memory") && stalled(&t);
}

bool hz_cgroup_ask(void)
{
	uint32_t now = (uint32_t)hz_os_now_ms() | 1, asked = hz_load(&asked_ms);
	if ((asked && now - asked < ASK_MS) ||
	    !__atomic_compare_exchange_n(&asked_ms, &asked, now, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return false;
	hz_add(&hz_pressure_counts.looks, 1);
	bool near = hz_cgroup_near(hz_option.watch), was = hz_load(&hz_cgroup_said);
	hz_store(&hz_cgroup_said, near);
	hz_add(&hz_pressure_counts.nears, near && !was);
	return near && !was;
}
