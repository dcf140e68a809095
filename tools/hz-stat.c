/* SPDX-License-Identifier: MIT */
/*
 * hz-stat - where the memory of a process on libhz is, from outside.
 *
 *      hz-stat [-a] [--watch SECONDS] [--json | --csv | --openmetrics]
 *              [--explain] [--top N] [--output FILE] [--core FILE [--exe FILE]] [PID...]
 *
 * Reads; nothing runs in the process, nothing is written to it.
 * Exit: 0 everything asked for was shown; 1 something was not; 2 wrong use.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "show.h"

enum form { TEXT, JSON, CSV, OPENMETRICS };

static struct {
	enum form form;
	bool all, explain;
	double watch; /* seconds; 0: once */
	int top;
	const char *core, *exe, *output;
	FILE *to;
	int failed;
	bool head; /* of the CSV was written */
	struct shown *shown; /* OpenMetrics wants all at once */
	size_t nshown;
} o = { .top = 8 };

static void usage(void)
{
	fputs("usage: hz-stat [-a] [--watch SECONDS] [--json|--csv|--openmetrics] [--explain]\n"
	      "               [--top N] [--output FILE] [--core FILE [--exe FILE]] [PID...]\n",
	      stdout);
}

static void wrong(const char *text, const char *what)
{
	fprintf(stderr, "hz-stat: %s%s%s\n", text, what ? ": " : "", what ? what : "");
	exit(2);
}

static void show(const struct image *m, const struct account *a)
{
	switch (o.form) {
	case JSON:
		show_json(o.to, m, a, o.top);
		break;
	case CSV:
		if (!o.head)
			show_csv_head(o.to);
		o.head = true;
		show_csv(o.to, m, a);
		break;
	case OPENMETRICS: {
		struct shown *more = realloc(o.shown, (o.nshown + 1) * sizeof(*more));
		if (!more)
			break;
		o.shown = more;
		more[o.nshown] = (struct shown){ .pid = m->pid, .account = *a };
		memcpy(more[o.nshown++].name, m->name, sizeof(m->name));
		break;
	}
	default:
		show_text(o.to, m, a, o.top);
		break;
	}
	if (o.explain && o.form == TEXT)
		show_explain(o.to, m, a);
}

/* Shows one opened image.  Quiet: with -a, whoever has no libhz is passed over. */
static void look(struct image *m, const char *name, bool quiet)
{
	static struct account a;
	enum heap_result r = heap_account(m, &a);
	if (r == HEAP_OK) {
		show(m, &a);
	} else if (!quiet) {
		fprintf(stderr, "hz-stat: %s: %s\n", name, m->why);
		o.failed = 1;
	}
}

static void look_process(int pid, bool quiet)
{
	struct image m;
	char name[16];
	snprintf(name, sizeof(name), "%d", pid);
	if (image_open_process(&m, pid)) {
		look(&m, name, quiet);
	} else if (!quiet) {
		fprintf(stderr, "hz-stat: %s: %s\n", name, m.why);
		o.failed = 1;
	}
	image_close(&m);
}

static void look_all(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	while (d && (e = readdir(d)))
		if (isdigit((unsigned char)e->d_name[0]))
			look_process(atoi(e->d_name), true);
	if (d)
		closedir(d);
}

static void once(char **pids)
{
	char temporary[PATH_MAX];
	o.to = stdout;
	o.nshown = 0;
	if (o.output) {
		/* Whole or not at all: readers of the file never see a part. */
		snprintf(temporary, sizeof(temporary), "%s.%d", o.output, (int)getpid());
		o.to = fopen(temporary, "we");
		o.head = false;
		if (!o.to) {
			fprintf(stderr, "hz-stat: %s: %s\n", temporary, strerror(errno));
			exit(1);
		}
	}
	if (o.core) {
		struct image m;
		if (image_open_core(&m, o.core, o.exe)) {
			look(&m, o.core, false);
		} else {
			fprintf(stderr, "hz-stat: %s: %s\n", o.core, m.why);
			o.failed = 1;
		}
		image_close(&m);
	}
	for (; *pids; pids++)
		look_process(atoi(*pids), false);
	if (o.all)
		look_all();
	if (o.form == OPENMETRICS)
		show_openmetrics(o.to, o.shown, o.nshown);
	bool bad = fflush(o.to) || ferror(o.to);
	if (o.output && (fclose(o.to) || bad || rename(temporary, o.output))) {
		fprintf(stderr, "hz-stat: %s: %s\n", o.output, strerror(errno));
		unlink(temporary);
		exit(1);
	}
	if (bad)
		exit(1);
}

static void check_pid(const char *text)
{
	char *end;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno || *end || end == text || n < 1 || n > INT_MAX)
		wrong("not a process number", text);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },	  { "watch", required_argument, NULL, 'w' },
		{ "json", no_argument, NULL, 'j' },	  { "csv", no_argument, NULL, 'c' },
		{ "openmetrics", no_argument, NULL, 'm' }, { "explain", no_argument, NULL, 'e' },
		{ "top", required_argument, NULL, 't' },  { "output", required_argument, NULL, 'o' },
		{ "core", required_argument, NULL, 'C' }, { "exe", required_argument, NULL, 'x' },
		{ "help", no_argument, NULL, 'h' },	  { 0 },
	};
	int c;
	char *end;
	while ((c = getopt_long(argc, argv, "ah", options, NULL)) != -1) {
		switch (c) {
		case 'a': o.all = true; break;
		case 'j': o.form = JSON; break;
		case 'c': o.form = CSV; break;
		case 'm': o.form = OPENMETRICS; break;
		case 'e': o.explain = true; break;
		case 'o': o.output = optarg; break;
		case 'C': o.core = optarg; break;
		case 'x': o.exe = optarg; break;
		case 'w':
			o.watch = strtod(optarg, &end);
			if (*end || !(o.watch >= 0.01 && o.watch <= 86400))
				wrong("--watch: not a number of seconds", optarg);
			break;
		case 't':
			o.top = (int)strtol(optarg, &end, 10);
			if (*end || o.top < 0 || o.top > CLASSES_MAX)
				wrong("--top: not a number up to 128", optarg);
			break;
		case 'h':
			usage();
			return 0;
		default:
			return 2; /* getopt_long has said why */
		}
	}
	if (o.exe && !o.core)
		wrong("--exe is for --core", NULL);
	if (!o.core && !o.all && optind == argc)
		wrong("whose memory? a PID, -a or --core FILE", NULL);
	for (int i = optind; i < argc; i++)
		check_pid(argv[i]);
	for (;;) {
		once(argv + optind);
		if (o.watch <= 0)
			break;
		if (o.failed)
			break;
		struct timespec pause = { .tv_sec = (time_t)o.watch };
		pause.tv_nsec = (long)((o.watch - (double)pause.tv_sec) * 1e9);
		nanosleep(&pause, NULL);
	}
	free(o.shown);
	return o.failed;
}
