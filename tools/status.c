/* SPDX-License-Identifier: MIT */
/*
 * status.c - hz-preload status: the list word by word, and what is odd about it.
 *
 * Exit: 0 libhz is on, 3 it is off (as systemctl status has it), 1 something
 * needs attention, on or off.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"

enum { ON, ODD, OFF = 3 };

static bool show_file(const struct list *l)
{
	mode_t mode = l->stat.st_mode & 07777;
	printf("%s" LIST_FILE ": ", l->root);
	if (*l->link)
		printf("a link to %s, ", l->link);
	if (!l->exists) {
		puts(*l->link ? "which is not there: nothing is preloaded" : "not there");
		return true;
	}
	printf("mode %04o, %zu bytes\n", mode, l->bytes);
	bool ok = !(mode & 0022) && !l->stat.st_uid;
	if (!ok)
		printf("  others than root can change it: whoever may is root\n");
	if (!(mode & S_IROTH)) {
		printf("  not readable by everybody: programs of other users do without, silently\n");
		ok = false;
	}
	return ok;
}

static bool show_word(const struct list *l, const char *word, size_t n)
{
	char file[PATH_MAX];
	bool found = word_file(l->root, word, n, file);
	printf("  %.*s: ", (int)n, word);
	switch (word_kind(l->root, word, n)) {
	case WORD_OURS: printf("libhz"); break;
	case WORD_MALLOC: printf("another malloc"); break;
	default: printf("another library"); break;
	}
	if (found)
		printf(", %s\n", file);
	else
		puts(memchr(word, '$', n) ? ", not found here"
					  : ", not found: each program start prints a line");
	if (!memchr(word, '/', n)) {
		printf("    without a directory: set-user-id programs do not load it, and print a line\n");
		return false;
	}
	return found;
}

int status(const struct plan *p)
{
	struct list l;
	size_t at = 0, n;
	const char *word;
	int ours = 0, others = 0;
	if (!list_read(&l, p->root)) {
		complain("%s", list_why);
		list_free(&l);
		return ODD;
	}
	bool ok = show_file(&l);
	while ((word = list_word(&l, &at, &n))) {
		bool found = show_word(&l, word, n);
		ok &= found;
		ours += found && word_kind(l.root, word, n) == WORD_OURS;
		others += word_kind(l.root, word, n) == WORD_MALLOC;
	}
	if (ours > 1 || (ours && others)) {
		puts("  more than one malloc: the first is used, the others are dead weight");
		ok = false;
	}
	if (ours && list_on_trial(&l))
		puts("  on trial: hz-preload enable keeps it, hz-preload disable ends it");
	service_list(p->root);
	puts(ours ? "libhz is on" : "libhz is off");
	list_free(&l);
	return !ok ? ODD : ours ? ON : OFF;
}
