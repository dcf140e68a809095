/* SPDX-License-Identifier: MIT */
/*
 * hz-run - run one program on libhz, or without the machine's libhz.
 *
 *      hz-run [--lane=NAME] [--observe[=LIST]] [--arena-size=SIZE]
 *             [--report=FILE] [--] PROGRAM [ARGUMENT...]
 *      hz-run --off [--] PROGRAM [ARGUMENT...]
 *
 * Checks, sets LD_PRELOAD and the HZ_ variables, and becomes the program.
 * What the library would pass over in silence is refused here: a lane that is
 * not installed, a value out of range, a program the loader would not give a
 * library to.
 *
 * A C program, not a script: whether a library can be loaded is in ELF headers
 * and file capabilities, and --off is three system calls; a script would need
 * readelf, getcap and unshare to be installed for each.
 *
 * Exit: that of the program; 2 refused; 126 it cannot be run; 127 not found.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "object.h"
#include "place.h"
#include "private.h"

#define PRELOAD_FILE "/etc/ld.so.preload"

enum {
	REFUSED = 2,
	CANNOT_RUN = 126, /* as env(1) and the shell have it */
	NOT_FOUND = 127,
	SCRIPTS = 5, /* the kernel follows no longer chain of #! */
	REPORT_PATH = 511, /* what the library keeps of HZ_OBSERVE_FILE */
};

static struct {
	const char *lane, *boxes, *arena, *report;
	bool observe, off;
} o = { .lane = "balanced" };

__attribute__((format(printf, 1, 2), noreturn)) static void refuse(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("hz-run: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(REFUSED);
}

static void usage(void)
{
	fputs("usage: hz-run [--lane=NAME] [--observe[=LIST]] [--arena-size=SIZE] [--report=FILE]\n"
	      "              [--] PROGRAM [ARGUMENT...]\n"
	      "       hz-run --off [--] PROGRAM [ARGUMENT...]\n",
	      stdout);
}

/* What HZ_OBSERVE takes: see hz_options(7).  Sets *waste if box waste is in it. */
static void check_boxes(const char *list, bool *waste)
{
	static const char *const words[] = { "seg",  "small", "retention", "waste",
					     "all", "full",	 "fork",	    "no" };
	for (const char *word = list;; word++) {
		size_t n = strcspn(word, ","), i = 0, count = sizeof(words) / sizeof(*words);
		while (i < count && (strlen(words[i]) != n || memcmp(words[i], word, n)))
			i++;
		if (i == count)
			refuse("--observe: unknown box: '%.*s'; "
			       "valid: seg small retention waste all full fork no", (int)n, word);
		*waste |= !strcmp(words[i], "waste") || !strcmp(words[i], "all");
		word += n;
		if (!*word)
			return;
	}
}

/* What HZ_ARENA_SIZE takes. */
static void check_arena(const char *text)
{
	static const char units[] = "KMGT";
	char *end;
	errno = 0;
	uint64_t n = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	if (*text < '0' || *text > '9' || errno || end[unit != NULL] || n > UINT64_MAX >> shift ||
	    n << shift < UINT64_C(256) << 10 || n << shift > UINT64_C(8) << 40)
		refuse("--arena-size: not a size from 256K to 8T: '%s'", text);
}

/* The file that execvp would run, in `to`; exits if there is none. */
static void find(const char *name, char to[PATH_MAX])
{
	const char *path = getenv("PATH");
	struct stat s;
	int error = ENOENT;
	if (!path)
		path = "/bin:/usr/bin";
	if (strchr(name, '/')) {
		path = NULL;
		snprintf(to, PATH_MAX, "%s", name);
		if (!stat(to, &s) && S_ISREG(s.st_mode) && !access(to, X_OK))
			return;
		error = errno == ENOENT ? ENOENT : EACCES;
	}
	for (; path; path = *path ? path + 1 : NULL) {
		size_t n = strcspn(path, ":");
		snprintf(to, PATH_MAX, "%.*s%s%s", (int)n, path, n ? "/" : "./", name);
		if (*name && !stat(to, &s) && S_ISREG(s.st_mode)) {
			if (!access(to, X_OK))
				return;
			error = EACCES;
		}
		path += n;
	}
	fprintf(stderr, "hz-run: %s: %s\n", name,
		error == ENOENT ? "not found" : "cannot be executed");
	exit(error == ENOENT ? NOT_FOUND : CANNOT_RUN);
}

/* Refuses a program that would run as if nothing had been asked for.  Whoever
 * runs it: a command line must not mean one thing to root and another to others. */
static void check_program(const char *file, int depth)
{
	char line[256], kind[64];
	struct object e;
	struct stat s;
	if (!stat(file, &s) && (s.st_mode & S_ISUID || (s.st_mode & S_ISGID && s.st_mode & S_IXGRP)))
		refuse("%s is set-user-id or set-group-id: the loader gives it no library from "
		       "the environment", file);
	if (getxattr(file, "security.capability", NULL, 0) > 0)
		refuse("%s has file capabilities: the loader gives it no library from the "
		       "environment", file);
	if (!object_open(&e, file))
		return; /* may be executed but not read: nothing is known against it */
	if (e.elf && !e.whole && !e.interp)
		refuse("%s is a damaged ELF file", file);
	if (e.elf && !e.native) {
		object_kind(&e, kind, sizeof(kind));
		refuse("%s is %s, this libhz is not", file, kind);
	}
	if (e.elf && e.interp && strstr(e.interp, "/ld-musl"))
		refuse("%s is linked to musl: libhz needs the GNU C library", file);
	/* The loader itself has no loader, but a name. */
	if (e.elf && !e.interp && !e.soname)
		refuse("%s is statically linked: no library can be given to it", file);
	line[0] = 0;
	if (!e.elf && e.bytes > 2 && e.data[0] == '#' && e.data[1] == '!')
		snprintf(line, sizeof(line), "%.*s", (int)(e.bytes < 200 ? e.bytes : 200) - 2,
			 (const char *)e.data + 2);
	object_close(&e);
	char *interpreter = line + strspn(line, " \t");
	interpreter[strcspn(interpreter, " \t\r\n")] = 0;
	if (*interpreter && depth < SCRIPTS)
		check_program(interpreter, depth + 1);
}

/* LD_PRELOAD without libhz, then ours.  What was there stays in front: tools
 * that look at or wrap malloc, sanitizers above all, must be found first. */
static void preload(const char *ours)
{
	const char *old = getenv("LD_PRELOAD");
	size_t room = (old ? strlen(old) : 0) + (ours ? strlen(ours) : 0) + 2, used = 0;
	char *list = malloc(room);
	if (!list)
		refuse("no memory");
	*list = 0;
	while (old && *(old += strspn(old, " :"))) {
		size_t n = strcspn(old, " :");
		const char *other = ours ? place_other(old, n) : NULL;
		if (other)
			refuse("LD_PRELOAD already has another malloc: %.*s", (int)n, old);
		if (!place_ours(old, n))
			used += (size_t)sprintf(list + used, "%s%.*s", used ? ":" : "", (int)n, old);
		old += n;
	}
	if (ours)
		used += (size_t)sprintf(list + used, "%s%s", used ? ":" : "", ours);
	if (used ? setenv("LD_PRELOAD", list, 1) : unsetenv("LD_PRELOAD"))
		refuse("LD_PRELOAD: %s", strerror(errno));
	free(list);
}

static void set(const char *name, const char *value)
{
	if (setenv(name, value, 1))
		refuse("%s: %s", name, strerror(errno));
}

/* Whether a report could be written there: what the library cannot open, it
 * passes over.  A directory with a % in its name is known to the program only. */
static bool can_be_file(char *path)
{
	struct stat s;
	char *slash = strrchr(path, '/');
	if (!stat(path, &s) && S_ISDIR(s.st_mode))
		return false;
	*slash = 0;
	bool there = strchr(path, '%') || (!stat(*path ? path : "/", &s) && S_ISDIR(s.st_mode));
	*slash = '/';
	return there;
}

static void set_report(void)
{
	char path[PATH_MAX] = "";
	if (*o.report != '/' && !getcwd(path, sizeof(path)))
		refuse("--report: the current directory: %s", strerror(errno));
	size_t n = strlen(path);
	if (n + 1 + strlen(o.report) > REPORT_PATH || !*o.report)
		refuse("--report: not a path of 1 to %d characters", REPORT_PATH);
	snprintf(path + n, sizeof(path) - n, "%s%s", n ? "/" : "", o.report);
	if (!can_be_file(path))
		refuse("--report: not a file in a directory that is there: '%s'", o.report);
	set("HZ_OBSERVE_FILE", path);
	/* A file to report to means that a report is wanted: of what costs nothing. */
	if (!o.observe && !getenv("HZ_OBSERVE"))
		set("HZ_OBSERVE", "seg,small,retention");
}

static void turn_on(void)
{
	char soname[PLACE_SONAME], path[PATH_MAX], entry[PATH_MAX], lanes[256];
	const char *dir = getenv("HZ_RUN_LIBDIR");
	bool waste = !o.boxes;
	if (!dir || !*dir)
		dir = HZ_LIBDIR;
	if (o.boxes)
		check_boxes(o.boxes, &waste);
	if (o.arena)
		check_arena(o.arena);
	bool twin = o.observe && waste;
	if (!place_soname(soname, o.lane, false)) {
		place_lanes(lanes, sizeof(lanes), dir);
		refuse("no lane is called '%s'; installed: %s", o.lane, lanes);
	}
	if (snprintf(path, sizeof(path), "%s/%s", dir, soname) >= (int)sizeof(path) ||
	    access(path, R_OK)) {
		place_lanes(lanes, sizeof(lanes), dir);
		refuse("lane '%s' is not installed: no %s; installed: %s", o.lane, path, lanes);
	}
	if (twin) {
		place_soname(soname, o.lane, true);
		if (snprintf(path, sizeof(path), "%s/%s", dir, soname) >= (int)sizeof(path) ||
		    access(path, R_OK))
			refuse("the observing twin of lane '%s' is not installed: no %s; "
			       "--observe=seg,small,retention does without", o.lane, path);
	}
	if (*dir != '/' || strpbrk(path, " :"))
		refuse("%s cannot be in LD_PRELOAD: a full path without blank and colon can", path);
	place_entry(entry, sizeof(entry), dir, soname);
	preload(entry);
	if (o.observe)
		set("HZ_OBSERVE", o.boxes ? o.boxes : "all");
	if (o.arena)
		set("HZ_ARENA_SIZE", o.arena);
	if (o.report)
		set_report();
}

/* An empty file over the list of the machine, for this process and its children. */
static void turn_off(void)
{
	bool user;
	preload(NULL);
	if (access(PRELOAD_FILE, F_OK))
		return;
	if (!private_mounts(&user))
		refuse("--off: no private mounts here: %s", strerror(errno));
	if (mount("/dev/null", PRELOAD_FILE, NULL, MS_BIND, NULL))
		refuse("--off: %s cannot be covered: %s", PRELOAD_FILE, strerror(errno));
}

int main(int argc, char **argv)
{
	enum { LANE = 256, OBSERVE, ARENA, REPORT, OFF };
	static const struct option options[] = {
		{ "lane", required_argument, NULL, LANE },
		{ "observe", optional_argument, NULL, OBSERVE },
		{ "arena-size", required_argument, NULL, ARENA },
		{ "report", required_argument, NULL, REPORT },
		{ "off", no_argument, NULL, OFF },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	char file[PATH_MAX];
	bool on = false;
	int c;
	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		on |= c >= LANE && c < OFF;
		switch (c) {
		case LANE: o.lane = optarg; break;
		case OBSERVE: o.observe = true; o.boxes = optarg; break;
		case ARENA: o.arena = optarg; break;
		case REPORT: o.report = optarg; break;
		case OFF: o.off = true; break;
		case 'h':
			usage();
			return 0;
		default:
			return REFUSED; /* getopt_long has said why */
		}
	}
	argv += optind;
	if (!*argv)
		refuse("which program? See hz-run --help");
	if (o.off && on)
		refuse("--off goes with no other option");
	find(*argv, file);
	if (!o.off)
		check_program(file, 0);
	if (o.off)
		turn_off();
	else
		turn_on();
	execvp(file, argv);
	fprintf(stderr, "hz-run: %s: %s\n", file, strerror(errno));
	return CANNOT_RUN;
}
