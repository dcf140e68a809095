/* SPDX-License-Identifier: MIT */
/*
 * tap.h - a test harness in one header that never allocates.
 *
 * The subject under test is malloc itself, so nothing here may call it:
 * every line is composed by vsnprintf in a buffer on the stack and leaves by
 * one write(2), which also keeps lines whole when children or threads report.
 *
 *	int main(void)
 *	{
 *		tap_plan(2);                         or nothing, see below
 *		ok(p != NULL, "malloc(%zu)", n);
 *		is_int(errno, ENOMEM, "errno");
 *		return tap_done();
 *	}
 *
 * Without tap_plan the plan is printed by tap_done.  A program that dies has
 * printed no plan, or too few lines, and is an error for every TAP reader.
 *
 * Exit codes: 0 all passed or everything skipped, 1 some failed, 99 bailed
 * out.  A reader of exit codes instead of TAP builds with
 * -DTAP_SKIP_EXIT=77; Automake's tap-driver calls any code but 0 an error,
 * so 0 is the default.
 *
 * The counters belong to the thread and process that report; a test with
 * threads collects its findings in atomics and reports from main.
 */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef TAP_SKIP_EXIT
#define TAP_SKIP_EXIT 0
#endif

enum {
	TAP_EXIT_FAIL = 1,
	TAP_EXIT_HARD = 99,
	TAP_LINE = 512, /* longest line; what is longer is cut */
};

static struct {
	int planned; /* tests announced; 0: by tap_done */
	int run;     /* ok/not ok lines so far */
	int failed;  /* not ok lines so far */
} tap_state;

/* Write all of it; a harness that cannot report can only give up. */
static inline void tap_emit(const char *text, size_t length)
{
	while (length > 0) {
		ssize_t done = write(STDOUT_FILENO, text, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			_exit(TAP_EXIT_HARD);
		text += done;
		length -= (size_t)done;
	}
}

/* prefix, formatted text, newline: one line, one write, errno kept. */
static inline void tap_vline(const char *prefix, const char *format, va_list args)
{
	char line[TAP_LINE];
	size_t used = strlen(prefix);
	int saved = errno, more;

	memcpy(line, prefix, used);
	more = vsnprintf(line + used, sizeof line - used - 1, format, args);
	if (more > 0)
		used += (size_t)more;
	if (used > sizeof line - 2)
		used = sizeof line - 2;
	line[used++] = '\n';
	tap_emit(line, used);
	errno = saved;
}

static inline void __attribute__((format(printf, 1, 2))) tap_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_vline("", format, args);
	va_end(args);
}

/* A diagnostic: "# text". */
static inline void __attribute__((format(printf, 1, 2))) diag(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_vline("# ", format, args);
	va_end(args);
}

static inline void tap_plan(int tests)
{
	tap_state.planned = tests;
	tap_line("1..%d", tests);
}

/* The end of main: prints a missing plan, returns the exit code. */
static inline int tap_done(void)
{
	if (tap_state.planned == 0) {
		tap_plan(tap_state.run);
	} else if (tap_state.planned != tap_state.run) {
		diag("planned %d tests, ran %d", tap_state.planned, tap_state.run);
		return TAP_EXIT_HARD;
	}
	if (tap_state.failed != 0)
		diag("%d of %d failed", tap_state.failed, tap_state.run);
	return tap_state.failed != 0 ? TAP_EXIT_FAIL : 0;
}

/* The whole program does not apply here. */
static inline void __attribute__((format(printf, 1, 2), noreturn))
tap_skip_all(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_vline("1..0 # SKIP ", format, args);
	va_end(args);
	_exit(TAP_SKIP_EXIT);
}

/* The test itself is broken or cannot go on: not a verdict on malloc. */
static inline void __attribute__((format(printf, 1, 2), noreturn)) tap_bail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_vline("Bail out! ", format, args);
	va_end(args);
	_exit(TAP_EXIT_HARD);
}

static inline int tap_vresult(int passed, const char *format, va_list args)
{
	char prefix[32];

	tap_state.run++;
	if (!passed)
		tap_state.failed++;
	snprintf(prefix, sizeof prefix, "%sok %d - ", passed ? "" : "not ", tap_state.run);
	tap_vline(prefix, format, args);
	return passed;
}

static inline int __attribute__((format(printf, 2, 3))) ok(int passed, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_vresult(passed, format, args);
	va_end(args);
	return passed;
}

static inline int __attribute__((format(printf, 3, 4)))
is_int(long long got, long long want, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_vresult(got == want, format, args);
	va_end(args);
	if (got != want)
		diag("got %lld, wanted %lld", got, want);
	return got == want;
}

static inline int __attribute__((format(printf, 3, 4)))
is_ptr(const void *got, const void *want, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_vresult(got == want, format, args);
	va_end(args);
	if (got != want)
		diag("got %p, wanted %p", got, want);
	return got == want;
}

static inline int __attribute__((format(printf, 3, 4)))
is_str(const char *got, const char *want, const char *format, ...)
{
	int same = strcmp(got, want) == 0;
	va_list args;

	va_start(args, format);
	tap_vresult(same, format, args);
	va_end(args);
	if (!same)
		diag("got \"%s\", wanted \"%s\"", got, want);
	return same;
}

/* A failure that is known and expected: TAP readers report it if it passes after all. */
static inline void __attribute__((format(printf, 3, 4)))
tap_todo(int passed, const char *why, const char *format, ...)
{
	char text[TAP_LINE / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	tap_line("%sok %d - %s # TODO %s", passed ? "" : "not ", ++tap_state.run, text, why);
}

/* got <= limit, for counts and sizes; both are shown either way. */
static inline int __attribute__((format(printf, 3, 4)))
is_at_most(long long got, long long limit, const char *format, ...)
{
	char text[TAP_LINE / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return ok(got <= limit, "%s (%lld, limit %lld)", text, got, limit);
}

/* count tests that cannot run here, each reported as skipped. */
static inline void __attribute__((format(printf, 2, 3)))
tap_skip(int count, const char *format, ...)
{
	char reason[TAP_LINE / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof reason, format, args);
	va_end(args);
	while (count-- > 0)
		tap_line("ok %d # SKIP %s", ++tap_state.run, reason);
}

#endif
