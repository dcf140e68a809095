/* SPDX-License-Identifier: MIT */
/*
 * report_crash.c - the last line of a process that misused the heap.
 *
 *      libhz: PROGRAM[PID]: FUNCTION(): 0xPOINTER: REASON; CLASS, STATE
 *
 * CLASS and STATE are what the run records say of the page, read without locks
 * and believed in nothing: a record is found by walking, not by its number.
 *
 * Invariants: no allocation, no lock, one write; only the calls to the kernel
 * that abort makes as well.  Who may call: see error.h.
 * It refuses to go on: state may be wrong, and a wrong heap corrupts data.
 */
#include "error.h"

#include <sys/auxv.h>

#include "mark.h"
#include "report.h"

struct line {
	char text[256];
	size_t used;
};

static void append(struct line *l, const char *text)
{
	while (*text && l->used < sizeof(l->text) - 1)
		l->text[l->used++] = *text++;
}

static void append_number(struct line *l, uintptr_t v, unsigned base)
{
	char digits[24], *at = digits + sizeof(digits) - 1;
	*at = 0;
	do
		*--at = "0123456789abcdef"[v % base];
	while (v /= base);
	append(l, at);
}

enum hz_slab_put hz_slab_probe(const struct hz_run *s, const void *p)
{
	unsigned i = hz_slab_number(s, p);
	if (i == HZ_SLAB_NO_BLOCK)
		return HZ_PUT_INTERIOR;
	return s->bits[i / 64] >> i % 64 & 1 ? HZ_PUT_DOUBLE : HZ_PUT_OK;
}

static const char *state_in(const struct hz_run *s, const void *p)
{
	size_t i = (size_t)((const char *)p - s->base) / s->block_bytes;
	if (i >= s->carved)
		return ", never handed out";
	enum hz_slab_put put = hz_slab_probe(s, p);
	if (put == HZ_PUT_INTERIOR)
		return ", inside a block";
	return put == HZ_PUT_DOUBLE ? ", free in its slab" : ", in use or kept by a thread";
}

struct sought {
	const char *p;
	struct hz_run *run; /* that covers it */
};

static bool covers(struct hz_run *r, void *arg)
{
	struct sought *s = arg;
	const char *from = hz_run_arena(r)->start + ((size_t)hz_run_first(r) << HZ_PAGE_SHIFT);
	if ((size_t)(s->p - from) >> HZ_PAGE_SHIFT >= hz_run_pages(r))
		return true;
	s->run = r;
	return false;
}

static void append_state(struct line *l, const void *p)
{
	struct sought s = { p, NULL };
	hz_run_walk(covers, &s);
	uint8_t state = s.run ? hz_load(&s.run->state) : HZ_RUN_UNUSED;
	if (state == HZ_RUN_SLAB) {
		append(l, "; class ");
		append_number(l, s.run->block_bytes, 10);
		append(l, state_in(s.run, p));
	} else if (state == HZ_RUN_LARGE) {
		append(l, p == s.run->base ? "; large, in use" : "; large, inside a block");
	} else {
		append(l, s.run ? "; no class, free pages" : "; no class, not in the heap");
	}
}

_Noreturn HZ_COLD void hz_die(const char *function, const void *p, const char *reason)
{
	struct line l = { .used = 0 };
	uintptr_t at = getauxval(AT_EXECFN); /* the name it was executed by */
	const char *file = at ? (const char *)at : "", *name = file;
	for (; *file; file++)
		if (*file == '/')
			name = file + 1;
	append(&l, "libhz: ");
	append(&l, *name ? name : "-");
	append(&l, "[");
	append_number(&l, (uintptr_t)hz_os_pid(), 10);
	append(&l, "]: ");
	append(&l, function);
	append(&l, "(): 0x");
	append_number(&l, (uintptr_t)p, 16);
	append(&l, ": ");
	append(&l, reason);
	append_state(&l, p);
	l.text[l.used++] = '\n';
	hz_os_write(2, l.text, l.used);
	hz_os_abort();
}

_Noreturn HZ_COLD void hz_mark_bad(const char *function, const void *p)
{
	const struct hz_run *s = hz_run_of(p);
	if (!s)
		hz_die(function, p, HZ_WHY_INTERIOR);
	if (hz_load(&s->state) == HZ_RUN_LARGE)
		hz_die(function, p, HZ_WHY_OVERFLOW);
	enum hz_slab_put put = hz_slab_probe(s, p);
	if (put == HZ_PUT_INTERIOR)
		hz_die(function, p, HZ_WHY_INTERIOR);
	size_t room = s->block_bytes - HZ_LANE_MARK_BYTES;
	bool again = ~(*hz_mark_at(p, room) ^ hz_mark_of(p, 0)) <= room;
	hz_die(function, p, again || put == HZ_PUT_DOUBLE ? HZ_WHY_DOUBLE : HZ_WHY_OVERFLOW);
}

_Noreturn HZ_COLD void hz_mark_written(const void *p)
{
	hz_die("malloc", p, HZ_WHY_WRITTEN);
}

_Noreturn HZ_COLD void hz_mark_missized(const char *function, const void *p)
{
	hz_die(function, p, HZ_WHY_SIZE);
}
