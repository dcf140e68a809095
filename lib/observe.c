/* SPDX-License-Identifier: MIT */
/*
 * observe.c - when boxes look, what they keep, where they report.
 *
 *   start         the record of all this is mapped, the report is armed
 *   epoch         small, retention
 *   pressure      seg, small, retention
 *   thread exit   small
 *   exit          small, retention; then everything is written
 *
 * Silence: nothing is written to a standard error descriptor that was closed
 * at the first allocation or is open on another file by now, nor in a child
 * that was forked and never ran exec unless HZ_OBSERVE says fork.  In AT_SECURE
 * programs no option is read, and boxes that report unasked are switched off.
 *
 * Invariants: one observer at a time under `lock`, which is only ever tried,
 * so a signal handler that calls exit inside an observer does not hang.
 */
#include "observe.h"

#include "report_os.h"

#include <stdlib.h>
#include <sys/auxv.h>

/* libc's; atexit itself is in the start files, which the library has not. */
int __cxa_atexit(void (*fn)(void *), void *arg, void *dso_handle);

static struct hz_observation *observation; /* written once, at start; release */

enum {
	/* Another thread's observation that exit waits for, in attempts of about
	 * a microsecond: longer than a scan of 64 segments. */
	EXIT_TRIES = 20000,
	/* A bin that holds this much is suspicious. */
	SUSPICIOUS_SHIFT = 30,
};

#define RAISE(max, n) ((max) = (n) > (max) ? (n) : (max))

static void keep_seg(struct hz_observation *o)
{
	o->seg.calls++;
	RAISE(o->seg.segments, o->scan.pack_segs);
	RAISE(o->seg.free_pages, o->scan.pack_free_pages);
	RAISE(o->seg.candidate_pages, o->scan.pack_candidate_pages);
}

static void keep_small(struct hz_observation *o)
{
	const struct hz_scan *s = &o->scan;
	o->scans++;
	if (s->small_pages < o->small.pages)
		return;
	o->small.segs = s->small_segs;
	o->small.candidates = s->small_candidates;
	o->small.pages = s->small_pages;
	o->small.free_pages = s->small_free_pages;
}

static void keep_retention(struct hz_observation *o)
{
	const struct hz_scan *s = &o->scan;
	size_t small = 0, medium = 0, central = 0;
	uint32_t suspicious = 0;
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		size_t held = s->held_bytes[c];
		if (hz_family_of(hz_classes[c].bytes) == HZ_FAMILY_SMALL) {
			small += held;
		} else {
			medium += held;
			central += s->of[c].free_bytes;
		}
		if (held >> SUSPICIOUS_SHIFT && !suspicious++ && !o->retention.first_blocks) {
			o->retention.first_class = c;
			o->retention.first_blocks = held / hz_classes[c].bytes;
			o->retention.first_usable = hz_classes[c].bytes;
		}
	}
	/* Of a heap beyond one scan's budget the counter knows more. */
	size_t used = (size_t)s->segs << HZ_SEG_SHIFT;
	size_t at_least = hz_load(&hz_run_counts.used_pages) << HZ_PAGE_SHIFT;
	o->retention.calls++;
	RAISE(o->retention.tls_small, small);
	RAISE(o->retention.tls_medium, medium);
	RAISE(o->retention.owner_stash, s->remote_bytes);
	RAISE(o->retention.central_medium, central);
	RAISE(o->retention.arena_used, hz_max(used, hz_round_up(at_least, HZ_MIB)));
	RAISE(o->retention.pack_free, (size_t)s->pack_free_pages << HZ_PAGE_SHIFT);
	RAISE(o->retention.suspicious, suspicious);
}

/* In a forked child: whether it may look and report at all. */
static bool mine(struct hz_observation *o)
{
	int pid = hz_os_pid();
	if (likely(pid == hz_load(&o->pid)))
		return true;
	if (!(hz_option.boxes & HZ_BOX_FORK))
		return false;
	hz_store(&o->lock.word, 0); /* whoever held it is not in this process */
	hz_store(&o->pid, pid);
	return true;
}

static void look(struct hz_observation *o, size_t boxes)
{
	hz_scan(o, hz_option.boxes & HZ_BOX_FULL);
	if (boxes & HZ_BOX_SEG)
		keep_seg(o);
	if (boxes & HZ_BOX_SMALL)
		keep_small(o);
	if (boxes & HZ_BOX_RETENTION)
		keep_retention(o);
}

/* HZ_OBSERVE_FILE with %p and %e written out; false when it grows too long. */
static bool path_of(char *path, size_t n)
{
	char name[64], number[24], *digit = number + sizeof(number) - 1;
	size_t used = 0;
	hz_os_program(name, sizeof(name));
	*digit = 0;
	for (int pid = hz_os_pid(); pid; pid /= 10)
		*--digit = (char)('0' + pid % 10);
	for (const char *from = hz_option.observe_file; *from; from++) {
		char one[2] = { *from };
		const char *word = one;
		if (*from == '%' && (from[1] == 'p' || from[1] == 'e'))
			word = *++from == 'p' ? digit : name;
		for (; *word; word++) {
			if (used + 1 >= n)
				return false;
			path[used++] = *word;
		}
	}
	path[used] = 0;
	return true;
}

static int output_open(const struct hz_observation *o)
{
	uint64_t id[2];
	char path[HZ_OBSERVE_PATH_BYTES + 128];
	if (*hz_option.observe_file)
		return path_of(path, sizeof(path)) ? hz_os_append(path) : -1;
	bool same = o->to_stderr && hz_os_file_id(2, id) && id[0] == o->stderr_id[0] &&
		    id[1] == o->stderr_id[1];
	return same ? 2 : -1;
}

static void at_exit(void *arg)
{
	struct hz_observation *o = arg;
	hz_heap_enter();
	if (!mine(o))
		return;
	bool locked = false;
	for (int i = 0; i < EXIT_TRIES && !locked; i++)
		locked = hz_trylock(&o->lock);
	if (!locked)
		return;
	size_t boxes = hz_option.boxes;
	if (boxes & (HZ_BOX_SMALL | HZ_BOX_RETENTION))
		look(o, boxes & (HZ_BOX_SMALL | HZ_BOX_RETENTION));
	int fd = output_open(o);
	if (fd >= 0)
		hz_observe_write(o, fd, boxes);
	if (fd > 2)
		hz_os_close(fd);
	hz_unlock(&o->lock);
}

static void arm(void)
{
	/* Also for boxes that configure switched on: no option was read then. */
	if (getauxval(AT_SECURE)) { /* the kernel raised the process's privileges */
		hz_option.boxes = 0;
		return;
	}
	struct hz_observation *o = hz_os_map(sizeof(*o));
	if (!o || observation)
		return;
	o->pid = hz_os_pid();
	o->to_stderr = hz_os_file_id(2, o->stderr_id);
	hz_store_release(&observation, o);
	__cxa_atexit(at_exit, o, NULL);
}

static void observe(enum hz_event event)
{
	static const size_t looks[] = {
		[HZ_EVENT_EPOCH] = HZ_BOX_SMALL | HZ_BOX_RETENTION,
		[HZ_EVENT_PRESSURE] = HZ_BOX_SEG | HZ_BOX_SMALL | HZ_BOX_RETENTION,
		[HZ_EVENT_THREAD_EXIT] = HZ_BOX_SMALL,
	};
	if (event == HZ_EVENT_START) {
		arm();
		return;
	}
	struct hz_observation *o = hz_load_acquire(&observation);
	size_t boxes = looks[event] & hz_option.boxes;
	if (!o || !boxes || !mine(o))
		return;
	if (event == HZ_EVENT_THREAD_EXIT)
		hz_add(&o->thread_exits, 1);
	if (!hz_trylock(&o->lock))
		return;
	look(o, boxes);
	hz_unlock(&o->lock);
}

void (*const hz_observer)(enum hz_event) HZ_HIDDEN = observe;
