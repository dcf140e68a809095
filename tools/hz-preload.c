/* SPDX-License-Identifier: MIT */
/*
 * hz-preload - libhz for every program of a machine, and safely out again.
 *
 *      hz-preload check | enable | try | disable | status | service NAME
 *
 * A broken library in /etc/ld.so.preload stops every program from starting,
 * init at the next boot included.  So nothing is written that was not tried
 * (trial.h), what is written is whole or not written (list.h), and a trial ends
 * by itself (try.c).
 *
 * In C because of the last: a shell that has to start mv to undo its work
 * cannot, once nothing starts.  Dynamically linked, because it is also the
 * program that a trial runs on the library (probe.c); hz-preload-static, which
 * takes out and tells, is there for machines on which nothing dynamic starts.
 *
 * Exit: 0 done; 1 not done, and why; 2 wrong use; status: see status.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"
#include "trial.h"

enum {
	WRONG = 2,
	TRY_SECONDS = 600, /* to log in anew and look around */
	TRY_LONGEST = 86400,
};

enum { LANE = 1, REPLACE = 2, VOLATILE = 4, FOR = 8, EXEMPT = 16, REMOVE = 32 };

enum command { CHECK, ENABLE, TRY, DISABLE, STATUS, SERVICE };
static const struct {
	const char *name;
	int options;
	bool root; /* to be root is needed */
} commands[] = {
	[CHECK] = { "check", LANE, true },
	[ENABLE] = { "enable", LANE | REPLACE | VOLATILE, true },
	[TRY] = { "try", LANE | REPLACE | FOR, true },
	[DISABLE] = { "disable", 0, true },
	[STATUS] = { "status", 0, false },
	[SERVICE] = { "service", LANE | EXEMPT | REMOVE, true },
};

static void usage(void)
{
	fputs("usage: hz-preload check [--lane=NAME]\n"
	      "       hz-preload enable [--lane=NAME] [--replace] [--volatile]\n"
	      "       hz-preload try [--lane=NAME] [--replace] [--for=TIME]\n"
	      "       hz-preload disable\n"
	      "       hz-preload status\n"
	      "       hz-preload service NAME [--lane=NAME | --exempt | --remove]\n"
	      "each with [--root=DIR] [--libdir=DIR]\n",
	      stdout);
}

__attribute__((format(printf, 1, 2), noreturn)) static void wrong(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("hz-preload: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(WRONG);
}

static long seconds(const char *text)
{
	char *end;
	errno = 0;
	long n = strtol(text, &end, 10), unit = *end == 'm' ? 60 : *end == 'h' ? 3600 : 1;
	if (*text < '0' || *text > '9' || errno || (*end && (!strchr("smh", *end) || end[1])) ||
	    n < 1 || n > TRY_LONGEST / unit)
		wrong("--for: not a time from 1s to 24h: '%s'", text);
	return n * unit;
}

static void set_root(struct plan *p, const char *dir)
{
	if (!realpath(dir, p->root))
		wrong("--root: %s: %s", dir, strerror(errno));
	if (!strcmp(p->root, "/"))
		*p->root = 0;
}

/* Which library, and how the list says it. */
static void choose(struct plan *p)
{
	char lanes[256], dir[2 * PATH_MAX], file[PATH_MAX];
	snprintf(dir, sizeof(dir), "%s%s", p->root, p->libdir);
	if (*p->libdir != '/' || strpbrk(p->libdir, " \t\n:#"))
		wrong("--libdir: a full path without blank, colon and # can be in a list: '%s'",
		      p->libdir);
	place_lanes(lanes, sizeof(lanes), dir);
	if (!place_soname(p->soname, p->lane, false))
		wrong("no lane is called '%s'; installed: %s", p->lane, lanes);
	if (snprintf(p->path, sizeof(p->path), "%s/%s", p->libdir, p->soname) >=
		    (int)sizeof(p->path) ||
	    snprintf(file, sizeof(file), "%s%s", p->root, p->path) >= (int)sizeof(file) ||
	    access(file, F_OK))
		wrong("lane '%s' is not installed: no %s%s; installed: %s", p->lane, p->root,
		      p->path, lanes);
	place_entry(p->entry, sizeof(p->entry), p->libdir, p->soname);
	p->program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (p->program < 0) {
		complain("/proc/self/exe: %s: is /proc mounted?", strerror(errno));
		exit(1);
	}
}

static int check(const struct plan *p)
{
	printf("libhz, lane %s: %s\n", p->lane, p->path);
	bool ok = switch_check(p, true);
	printf("%s\n", ok ? "fit for every program" : "not fit");
	switch_warn(p);
	return !ok;
}

static int enable(const struct plan *p, bool fleeting)
{
	if (!switch_on(p, fleeting ? FLEETING : LASTING))
		return 1;
	printf("libhz, lane %s, is on for every program started from now on%s\n"
	       "undo: hz-preload disable\n",
	       p->lane, fleeting ? ", until the next boot" : "");
	switch_warn(p);
	return 0;
}

static int disable(const struct plan *p)
{
	switch (list_off(p->root, false)) {
	case LIST_OFF:
		puts("libhz is off for every program started from now on");
		return 0;
	case LIST_OFF_ALREADY:
		puts("libhz is off already");
		return 0;
	default:
		complain("%s", list_why);
		return 1;
	}
}

int main(int argc, char **argv)
{
	enum { ROOT = 256, LIBDIR };
	static const struct option options[] = {
		{ "lane", required_argument, NULL, LANE },
		{ "replace", no_argument, NULL, REPLACE },
		{ "volatile", no_argument, NULL, VOLATILE },
		{ "for", required_argument, NULL, FOR },
		{ "exempt", no_argument, NULL, EXEMPT },
		{ "remove", no_argument, NULL, REMOVE },
		{ "root", required_argument, NULL, ROOT },
		{ "libdir", required_argument, NULL, LIBDIR },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	static struct plan p = { .lane = "balanced", .libdir = HZ_LIBDIR };
	long time = TRY_SECONDS;
	int c, given = 0, count = sizeof(commands) / sizeof(*commands);
	if (argc == 2 && !strcmp(argv[0], TRIAL_PROBE))
		return trial_probe(argv[1]);
	list_keep_standard();
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		given |= c < ROOT && c != 'h' && c != '?' ? c : 0;
		switch (c) {
		case LANE: p.lane = optarg; break;
		case FOR: time = seconds(optarg); break;
		case ROOT: set_root(&p, optarg); break;
		case LIBDIR: p.libdir = optarg; break;
		case REPLACE: p.replace = true; break;
		case VOLATILE: case EXEMPT: case REMOVE: break;
		case 'h':
			usage();
			return 0;
		default:
			return WRONG; /* getopt_long has said why */
		}
	}
	argv += optind;
	int command = 0;
	while (*argv && command < count && strcmp(commands[command].name, *argv))
		command++;
	if (!*argv)
		wrong("check, enable, try, disable, status or service? See hz-preload --help");
	if (command == count)
		wrong("unknown command '%s': see hz-preload --help", *argv);
	if (command == SERVICE && !argv[1])
		wrong("service: which one?");
	if (argv[command == SERVICE ? 2 : 1])
		wrong("%s: one word too many: '%s'", *argv, argv[command == SERVICE ? 2 : 1]);
	if (given & ~commands[command].options)
		wrong("%s does not take that option: see hz-preload --help", *argv);
	if (command == SERVICE && (given & (given - 1)))
		wrong("service: --lane, --exempt or --remove, not two of them");
	if (commands[command].root && geteuid()) {
		complain("%s is for root", *argv);
		return 1;
	}
	if (command != DISABLE && command != STATUS && !(given & (EXEMPT | REMOVE)))
		choose(&p);
	switch ((enum command)command) {
	case CHECK: return check(&p);
	case ENABLE: return enable(&p, given & VOLATILE);
	case TRY: return try_for(&p, time);
	case DISABLE: return disable(&p);
	case STATUS: return status(&p);
	default: return service(&p, argv[1], given & EXEMPT, given & REMOVE);
	}
}
