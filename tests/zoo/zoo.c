/* SPDX-License-Identifier: MIT */
/*
 * zoo - every crime against malloc, each in a process, and how it ended.
 *
 *	zoo                      under libhz, against zoo/expected, as TAP; lines of
 *	                         the files that HZ_ZOO_EXPECTED names, with colons
 *	                         between, overrule it; unless it is set those of
 *	                         expected-secure, if that is the lane
 *	zoo --endings NAME=SO    "crime ending" lines; NAME= is the C library
 *	zoo --table NAME=SO ...  side by side, a table of doc/security.md
 *
 * Endings:
 *	at-once   the call that is the crime ended the process with SIGABRT (some
 *	          allocators end it with a trap instead: the same)
 *	later     a later call did
 *	signal    the process died of another signal
 *	reported  it wrote a message and went on, unharmed
 *	harmless  it went on, no two blocks overlap, no innocent byte changed
 *	wrong     two blocks overlap or somebody else's data changed
 *	leaks     the next owner of the memory reads what the last one wrote
 *	refused   the call returned an error
 *	hang      it had to be stopped
 *	cannot    the crime cannot be committed with this allocator or machine
 *
 * Where libhz ends a process its line must name program, process, the pointer
 * of the crime and the reason, and be the only one.
 */
#include <unistd.h>

#include "../probe.h"
#include "zoo.h"

enum { TEXT = 2000, ENDINGS_MAX = 300 };

struct result {
	char crime[48], ending[12];
	char text[TEXT]; /* what it wrote to standard error */
	int pid;
	const void *named;
};

static struct zoo_page *page;
static int page_fd;
static char criminal[4096];

static const char *ending_of(int status, const char *text)
{
	if (WIFSIGNALED(status)) {
		int sig = WTERMSIG(status);
		if (sig == SIGALRM)
			return "hang";
		if (sig != SIGABRT && sig != SIGILL && sig != SIGTRAP)
			return "signal";
		return page->stage == ZOO_AFTER ? "later" : "at-once";
	}
	switch (WEXITSTATUS(status)) {
	case ZOO_HARMLESS: return *text ? "reported" : "harmless";
	case ZOO_WRONG: return "wrong";
	case ZOO_LEAKS: return "leaks";
	case ZOO_REFUSED: return "refused";
	case ZOO_CANNOT: return "cannot";
	default: return "broken";
	}
}

static void commit(struct result *r, const char *so)
{
	size_t used = 0;
	ssize_t n;
	int ends[2], status;
	memset(page, 0, sizeof(*page));
	if (pipe2(ends, O_CLOEXEC))
		tap_bail("pipe");
	r->pid = fork();
	if (r->pid == 0) {
		dup2(ends[1], 2);
		dup2(page_fd, ZOO_FD);
		if (*so)
			setenv("LD_PRELOAD", so, 1);
		execl(criminal, criminal, r->crime, (char *)NULL);
		_exit(ZOO_UNKNOWN);
	}
	close(ends[1]);
	while (used < TEXT - 1 && (n = read(ends[0], r->text + used, TEXT - 1 - used)) > 0)
		used += (size_t)n;
	r->text[used] = 0;
	close(ends[0]);
	status = reap(r->pid);
	r->named = page->named;
	snprintf(r->ending, sizeof(r->ending), "%s", ending_of(status, r->text));
}

/* The names, from the criminal itself. */
static size_t names(struct result *list)
{
	char command[4200];
	size_t n = 0;
	FILE *from;
	snprintf(command, sizeof(command), "'%s' --list", criminal);
	from = popen(command, "r");
	while (from && n < ENDINGS_MAX && fscanf(from, "%47s", list[n].crime) == 1)
		n++;
	if (!from || pclose(from) || !n)
		tap_bail("%s does not list its crimes", criminal);
	return n;
}

/* One line, as hz(3) says:
 * libhz: PROGRAM[PID]: FUNCTION(): POINTER: REASON; CLASS, STATE */
static const char *message_fault(const struct result *r)
{
	char start[200], *end = strchr(r->text, '\n');
	const char *at = r->text;
	int n = snprintf(start, sizeof(start), "libhz: crime[%d]: ", r->pid);
	if (!end || end[1])
		return "not one line";
	/* double_free_in_child: another process than the one we know */
	if (strncmp(at, start, (size_t)n) != 0 && strcmp(r->crime, "double_free_in_child") != 0)
		return "program or process";
	at = strstr(at, "]: ");
	if (!at || !strstr(at, "(): 0x"))
		return "no function or pointer";
	snprintf(start, sizeof(start), "(): %p: ", r->named);
	if (r->named && !strstr(at, start))
		return "another pointer";
	at = strchr(at, ';');
	if (!at || !strchr(at, ','))
		return "no class or state";
	return NULL;
}

/* What the file says of a crime; NULL when nothing. */
static const char *expected(FILE *file, const char *crime)
{
	static char line[300], name[48], ending[12];
	rewind(file);
	while (fgets(line, sizeof(line), file))
		if (line[0] != '#' && sscanf(line, "%47s %11s", name, ending) == 2 &&
		    strcmp(name, crime) == 0)
			return ending;
	return NULL;
}

static FILE *open_expected(const char *name)
{
	const char *top = getenv("abs_srcdir");
	char path[4096];
	FILE *file;
	snprintf(path, sizeof(path), "%s/tests/zoo/%s", top ? top : "..", name);
	file = fopen(path, "r");
	if (!file)
		tap_bail("%s cannot be read", path);
	return file;
}

static int test(struct result *list, size_t count)
{
	const char *so = getenv("HZ_SO"), *overruled = getenv("HZ_ZOO_EXPECTED");
	if (!so)
		tap_bail("HZ_SO is not set");
	if (!overruled && strstr(so, "/libhz-secure"))
		overruled = "expected-secure";
	char path[4096], *lane = strdup(overruled ? overruled : ""), *at = lane, *name;
	FILE *file = open_expected("expected"), *over[4];
	size_t lines = 0, overs = 0;
	while ((name = strsep(&at, ":")) && overs < COUNT_OF(over))
		if (*name)
			over[overs++] = open_expected(name);
	free(lane);
	for (size_t i = 0; i < count; i++) {
		struct result *r = &list[i];
		const char *want = NULL, *fault = NULL;
		for (size_t k = overs; k && !want; k--)
			want = expected(over[k - 1], r->crime);
		if (!want)
			want = expected(file, r->crime);
		commit(r, so);
		if (strcmp(r->ending, "cannot") == 0) {
			tap_skip(1, "%s cannot be committed here", r->crime);
			continue;
		}
		if (strcmp(r->ending, "at-once") == 0 || strcmp(r->ending, "later") == 0)
			fault = message_fault(r);
		ok(want && strcmp(want, r->ending) == 0 && !fault, "%s: %s%s%s%s%s", r->crime,
		   r->ending, want ? "" : ", expected nowhere",
		   want && strcmp(want, r->ending) ? ", expected " : "",
		   want && strcmp(want, r->ending) ? want : "", fault ? ", message wrong" : "");
		if (fault)
			diag("%s: %.300s", fault, r->text);
	}
	rewind(file);
	while (fgets(path, sizeof(path), file))
		lines += path[0] != '#' && path[0] != '\n';
	is_int((long long)lines, (long long)count, "the file of expectations has every crime once");
	ok(count >= 60, "%zu crimes", count);
	return tap_done();
}

static void endings(struct result *list, size_t count, const char *allocator)
{
	const char *so = strchr(allocator, '=');
	if (!so) {
		fprintf(stderr, "zoo: not NAME=LIBRARY: %s\n", allocator);
		exit(2);
	}
	if (so[1] && access(so + 1, R_OK)) {
		fprintf(stderr, "zoo: %s: %s\n", so + 1, strerror(errno));
		exit(2);
	}
	for (size_t i = 0; i < count; i++)
		commit(&list[i], so + 1);
}

static void table(struct result *list, size_t count, int n, char **allocators)
{
	static char cell[16][ENDINGS_MAX][12];
	static const char *const kinds[] = { "at-once", "later", "signal", "reported", "harmless", "refused",
					     "leaks", "wrong", "hang", "cannot" };
	if (n > 16)
		n = 16;
	printf("| crime |");
	for (int a = 0; a < n; a++) {
		endings(list, count, allocators[a]);
		for (size_t i = 0; i < count; i++)
			memcpy(cell[a][i], list[i].ending, sizeof(cell[a][i]));
		printf(" %.*s |", (int)strcspn(allocators[a], "="), allocators[a]);
	}
	printf("\n|---|");
	for (int a = 0; a < n; a++)
		printf("---|");
	printf("\n");
	for (size_t i = 0; i < count; i++) {
		printf("| %s |", list[i].crime);
		for (int a = 0; a < n; a++)
			printf(" %s |", cell[a][i]);
		printf("\n");
	}
	for (size_t k = 0; k < COUNT_OF(kinds); k++) {
		printf("| **%s** |", kinds[k]);
		for (int a = 0; a < n; a++) {
			int sum = 0;
			for (size_t i = 0; i < count; i++)
				sum += strcmp(cell[a][i], kinds[k]) == 0;
			printf(" %d |", sum);
		}
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	static struct result list[ENDINGS_MAX];
	size_t count;
	ssize_t n = readlink("/proc/self/exe", criminal, sizeof(criminal) - 8);
	char *slash;
	if (n <= 0)
		tap_skip_all("/proc is not there");
	criminal[n] = 0;
	slash = strrchr(criminal, '/');
	memcpy(slash + 1, "crime", 6);
	page_fd = memfd_create("zoo", 0);
	if (page_fd < 0 || ftruncate(page_fd, 4096))
		tap_skip_all("no memory to share");
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
	if (page == MAP_FAILED)
		tap_skip_all("no memory to share");
	count = names(list);
	if (argc == 1)
		return test(list, count);
	if (argc == 3 && strcmp(argv[1], "--endings") == 0) {
		endings(list, count, argv[2]);
		for (size_t i = 0; i < count; i++)
			printf("%s %s\n", list[i].crime, list[i].ending);
		return 0;
	}
	if (argc > 2 && strcmp(argv[1], "--table") == 0) {
		table(list, count, argc - 2, argv + 2);
		return 0;
	}
	fprintf(stderr, "usage: zoo [--endings NAME=LIBRARY | --table NAME=LIBRARY ...]\n");
	return 2;
}
