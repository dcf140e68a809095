/* SPDX-License-Identifier: MIT */
/*
 * preload.h - the parts of hz-preload.
 *
 *      hz-preload.c   commands        switch.c   on: check, write, look again
 *      try.c          on, for a while service.c  systemd drop-ins
 *      status.c       what is there
 */
#ifndef HZ_PRELOAD_H
#define HZ_PRELOAD_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "list.h"
#include "place.h"

struct plan {
	char root[PATH_MAX]; /* "" is the machine */
	const char *lane, *libdir;
	char soname[PLACE_SONAME];
	char path[PATH_MAX], entry[PATH_MAX]; /* of the library; as the list says it */
	bool replace; /* another malloc goes */
	int program; /* this program, open, for the trial */
};

__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/* What a word of a list names. */
enum word { WORD_OTHER, WORD_OURS, WORD_MALLOC };
enum word word_kind(const char *root, const char *word, size_t n);
/* The file a word stands for, within the root; false if there is none. */
bool word_file(const char *root, const char *word, size_t n, char to[PATH_MAX]);

/* Everything about the library and the list as it would be, without writing. */
bool switch_check(const struct plan *p, bool loud);
enum how { LASTING, FLEETING, TRIAL };
/* Checks and writes; what went wrong was said. */
bool switch_on(const struct plan *p, enum how how);
/* A line for each architecture whose programs will miss their library. */
void switch_warn(const struct plan *p);

/* Exit codes of the commands. */
int try_for(const struct plan *p, long seconds);
int service(const struct plan *p, const char *name, bool exempt, bool off);
void service_list(const char *root);
int status(const struct plan *p);

#endif
