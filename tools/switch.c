/* SPDX-License-Identifier: MIT */
/*
 * switch.c - hz-preload enable: from a list and a library to the new list.
 *
 *   lock -> read -> refuse another malloc -> library at rest -> at work, with
 *   the very text to be written -> write -> one program started for real,
 *   and the old list back if it does not
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "object.h"
#include "preload.h"
#include "trial.h"

enum {
	ATTEMPTS = 3, /* when others edit the list meanwhile; each is a whole trial */
	TMPFS = 0x01021994, /* statfs(2) */
	RAMFS = (int)0x858458f6,
};

void complain(const char *format, ...)
{
	va_list args;
	fflush(stdout);
	va_start(args, format);
	fputs("hz-preload: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

/* Words. */

/* Copies a word with $LIB replaced; false when it has another token. */
static bool expand(const char *word, size_t n, char to[PATH_MAX])
{
	static const char *const tokens[] = { "$LIB", "${LIB}" };
	char lib[PLACE_LIB];
	size_t used = 0;
	place_lib(lib);
	for (size_t i = 0; i < n;) {
		size_t k = 0, count = sizeof(tokens) / sizeof(*tokens);
		while (k < count && (n - i < strlen(tokens[k]) ||
				     memcmp(word + i, tokens[k], strlen(tokens[k]))))
			k++;
		if (k == count && word[i] == '$')
			return false;
		const char *from = k < count ? lib : word + i;
		size_t bytes = k < count ? strlen(lib) : 1;
		if (used + bytes >= PATH_MAX)
			return false;
		memcpy(to + used, from, bytes);
		used += bytes;
		i += k < count ? strlen(tokens[k]) : 1;
	}
	to[used] = 0;
	return used > 0;
}

bool word_file(const char *root, const char *word, size_t n, char to[PATH_MAX])
{
	/* Where the loader looks for a name without a slash; %s is $LIB. */
	static const char *const dirs[] = { "/lib64", "/usr/lib64", "/lib", "/usr/lib",
					    "/usr/local/lib" };
	char name[PATH_MAX], lib[PLACE_LIB], path[2 * PATH_MAX];
	if (!expand(word, n, name))
		return false;
	if (strchr(name, '/')) {
		snprintf(path, sizeof(path), "%s%s", root, name);
		snprintf(to, PATH_MAX, "%s", name);
		return !access(path, R_OK);
	}
	place_lib(lib);
	for (int i = -2; i < (int)(sizeof(dirs) / sizeof(*dirs)); i++) {
		int r = i < 0 ? snprintf(to, PATH_MAX, "%s/%s/%s", i == -2 ? "" : "/usr", lib, name)
			      : snprintf(to, PATH_MAX, "%s/%s", dirs[i], name);
		snprintf(path, sizeof(path), "%s%s", root, to);
		if (r < PATH_MAX && !access(path, R_OK))
			return true;
	}
	return false;
}

enum word word_kind(const char *root, const char *word, size_t n)
{
	char file[PATH_MAX], path[2 * PATH_MAX];
	struct object o;
	if (place_ours(word, n))
		return WORD_OURS;
	if (place_other(word, n))
		return WORD_MALLOC;
	if (!word_file(root, word, n, file))
		return WORD_OTHER;
	snprintf(path, sizeof(path), "%s%s", root, file);
	if (!object_open(&o, path))
		return WORD_OTHER;
	bool malloc_too = object_defines(&o, "malloc");
	object_close(&o);
	return malloc_too ? WORD_MALLOC : WORD_OTHER;
}

/* The new list. */

struct cut {
	const struct plan *p;
	char first[128]; /* other malloc that was met */
	int ours, exact; /* words of ours; those that are the entry itself */
};

static bool goes(const char *word, size_t n, void *x)
{
	struct cut *c = x;
	enum word k = word_kind(c->p->root, word, n);
	if (k == WORD_MALLOC && !*c->first)
		snprintf(c->first, sizeof(c->first), "%.*s", (int)n, word);
	c->ours += k == WORD_OURS;
	c->exact += k == WORD_OURS && n == strlen(c->p->entry) && !memcmp(word, c->p->entry, n);
	return k == WORD_OURS || (k == WORD_MALLOC && c->p->replace);
}

/* What stays, then our entry: in this order, so that others keep theirs. */
static char *compose(const struct list *l, struct cut *c, enum how how)
{
	const char *entry = c->p->entry, *slash = strrchr(entry, '/');
	char *stays = list_without(l, goes, c), *text = NULL;
	size_t n = stays ? strlen(stays) : 0;
	const char *end = n && stays[n - 1] != '\n' ? "\n" : "";
	int r = !stays	       ? -1
		: how == TRIAL ? asprintf(&text, "%s%s%.*s" LIST_TRIAL "%s\n", stays, end,
					  (int)(slash - entry), entry, slash + 1)
			       : asprintf(&text, "%s%s%s\n", stays, end, entry);
	free(stays);
	if (r < 0) {
		complain("no memory");
		return NULL;
	}
	return text;
}

static bool trial(const struct plan *p, const char *text, bool loud)
{
	const struct trial t = { .root = p->root, .path = p->path, .entry = p->entry, .list = text,
				 .program = p->program, .loud = loud };
	return trial_at_rest(&t) && trial_at_work(&t);
}

bool switch_check(const struct plan *p, bool loud)
{
	struct plan all = *p;
	struct cut c = { .p = &all };
	struct list l;
	all.replace = true;
	if (!list_read(&l, p->root)) {
		complain("%s", list_why);
		list_free(&l);
		return false;
	}
	char *text = compose(&l, &c, LASTING);
	if (*c.first)
		printf("  note  the list has another malloc, %s: enable needs --replace\n", c.first);
	bool ok = text && trial(p, text, loud);
	free(text);
	list_free(&l);
	return ok;
}

static bool forgets(const char *root)
{
	char run[PATH_MAX];
	struct statfs s;
	if (snprintf(run, sizeof(run), "%s/run", root) >= (int)sizeof(run) || statfs(run, &s))
		return false;
	return (int)s.f_type == TMPFS || (int)s.f_type == RAMFS;
}

/* Whether there is nothing to be done, or it cannot be. */
static int settled(const struct plan *p, const struct list *l, const struct cut *c, enum how how)
{
	bool on = c->ours == 1 && c->exact == 1 && !list_on_trial(l) && !(*c->first && p->replace);
	if (*c->first && !p->replace) {
		complain("%s has another malloc, %s: two cannot be; --replace takes it out", l->path,
			 c->first);
		return 1;
	}
	if (how == TRIAL && c->ours) {
		complain(list_on_trial(l) ? "a trial is going on already"
					  : "libhz is on already: hz-preload disable, then try");
		return 1;
	}
	if (how == FLEETING && l->exists && !l->fleeting) {
		complain("%s exists: --volatile would lose it with the next boot", l->path);
		return 1;
	}
	if (how == FLEETING && !forgets(p->root)) {
		complain("%s/run is not a file system in memory: a boot would not undo it", p->root);
		return 1;
	}
	return on && (how == FLEETING) == l->fleeting && (l->stat.st_mode & 0777) == 0644 ? 0 : -1;
}

/* The list as it was. */
static void take_back(const struct plan *p, const struct list *old)
{
	struct list now;
	bool ok = false;
	if (old->exists && list_read(&now, p->root)) {
		ok = list_put(&now, old->text) == LIST_PUT;
		list_free(&now);
	} else if (!old->exists) {
		ok = list_off(p->root, false) == LIST_OFF;
	}
	complain(ok ? "no program starts with it: the list is as it was"
		    : "no program starts with it, and it cannot be taken out: %s", list_why);
}

static enum list_put put(const struct plan *p, const struct list *l, const char *text, enum how how)
{
	/* Without a list of others, a trial is one that a reboot ends, too. */
	if (how == FLEETING || (how == TRIAL && !l->exists && forgets(p->root)))
		return list_put_volatile(l, text);
	return list_put_lasting(l, text);
}

/* One attempt; LIST_CHANGED asks for another. */
static enum list_put attempt(const struct plan *p, enum how how)
{
	enum list_put r = LIST_FAILED;
	struct cut c = { .p = p };
	struct list l;
	if (!list_read(&l, p->root)) {
		complain("%s", list_why);
		list_free(&l);
		return LIST_FAILED;
	}
	char *text = compose(&l, &c, how);
	int done = text ? settled(p, &l, &c, how) : 1;
	if (done >= 0) {
		r = done ? LIST_FAILED : LIST_PUT;
	} else if (!trial(p, text, false)) {
		complain("%s is not fit for every program; nothing was changed", p->path);
	} else if (!c.ours && l.bytes && !list_backup(&l)) {
		complain("%s; nothing was changed", list_why);
	} else {
		r = put(p, &l, text, how);
		if (r == LIST_FAILED)
			complain("%s", list_why);
		if (r == LIST_PUT && !*p->root && !trial_now()) {
			take_back(p, &l);
			r = LIST_FAILED;
		}
	}
	free(text);
	list_free(&l);
	return r;
}

bool switch_on(const struct plan *p, enum how how)
{
	enum list_put r = LIST_CHANGED;
	int lock = list_lock(p->root);
	if (lock < 0) {
		complain("%s", list_why);
		return false;
	}
	for (int i = 0; i < ATTEMPTS && r == LIST_CHANGED; i++)
		r = attempt(p, how);
	close(lock);
	if (r == LIST_CHANGED)
		complain("%s" LIST_FILE " is being edited by others: try again", p->root);
	return r == LIST_PUT;
}

/* Other architectures, as dpkg knows them. */
void switch_warn(const struct plan *p)
{
	static const struct {
		const char *name, *dir; /* of dpkg; below /usr */
	} known[] = {
		{ "amd64", "lib/x86_64-linux-gnu" }, { "arm64", "lib/aarch64-linux-gnu" },
		{ "i386", NULL }, { "armhf", NULL }, { "armel", NULL }, { "x32", NULL },
	};
	char path[2 * PATH_MAX], line[64], lib[PLACE_LIB];
	place_lib(lib);
	snprintf(path, sizeof(path), "%s/var/lib/dpkg/arch", p->root);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		size_t i = 0, count = sizeof(known) / sizeof(*known);
		while (i < count && strcmp(known[i].name, line))
			i++;
		const char *dir = i < count ? known[i].dir : NULL;
		if (!*line || (dir && !strcmp(dir, lib)))
			continue;
		if (dir)
			snprintf(path, sizeof(path), "%s/usr/%s/%s", p->root, dir, p->soname);
		if (dir && !access(path, R_OK))
			continue;
		complain("warning: programs of architecture %s run without libhz and print one line of "
			 "error each: there is no %s for them", line, p->soname);
	}
	if (f)
		fclose(f);
}
