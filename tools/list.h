/* SPDX-License-Identifier: MIT */
/*
 * list.h - /etc/ld.so.preload: read, edited as text, replaced whole.
 *
 *      read -> words (ours, another malloc, anything else) -> new text
 *           -> temporary in the same directory -> fsync -> rename -> fsync
 *
 *      ROOT/etc/ld.so.preload            a file, or a link of ours to
 *      ROOT/run/libhz/ld.so.preload      what a reboot forgets
 *      ROOT/etc/ld.so.preload.hz-backup  the last list without libhz
 *      ROOT/run/libhz/lock               held while a list is edited
 *
 * At any moment, and after a crash at any moment, the list is the old one or
 * the new one.  What is not ours is kept to the byte: words, comments, blanks.
 * Nothing here starts a program: it works when no program can be started.
 *
 * No comment is written: the loader finds a second comment in a list only if
 * that lies far enough in front (glibc to this day), and takes its words for
 * libraries otherwise.  So what must be known of an entry is in its spelling.
 *
 * It refuses to write over a list that changed since it was read.
 */
#ifndef HZ_LIST_H
#define HZ_LIST_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define LIST_FILE "/etc/ld.so.preload"
#define LIST_BACKUP "/etc/ld.so.preload.hz-backup"
#define LIST_RUN "/run/libhz"
#define LIST_VOLATILE LIST_RUN "/ld.so.preload"
/* In a path, to the kernel nothing: the entry of a trial has it. */
#define LIST_TRIAL "/./"

struct list {
	const char *root; /* "" is the machine */
	char path[PATH_MAX]; /* the file, links followed */
	char link[PATH_MAX]; /* where LIST_FILE leads; "": it is no link */
	bool fleeting; /* it leads to LIST_VOLATILE */
	bool exists; /* there is a file at path */
	struct stat stat; /* of it */
	char *text; /* and what is in it, with a NUL behind */
	size_t bytes;
};

/* Why the last of these failed, in one line. */
extern char list_why[PATH_MAX + 256];

/* Descriptors 0 to 2 lead to /dev/null where they were closed: a list opened
 * as one of them would get the messages, and a trial would close what it needs. */
void list_keep_standard(void);

/* The lock, to be closed; -1 where it cannot be had within ten seconds. */
int list_lock(const char *root);
bool list_read(struct list *l, const char *root);
void list_free(struct list *l);

/* The next word at or after *at, or NULL; its length in *n.  Comments are passed over. */
const char *list_word(const struct list *l, size_t *at, size_t *n);
/* The text without the words that `gone` names, as a new string. */
char *list_without(const struct list *l, bool (*gone)(const char *word, size_t n, void *x), void *x);
/* Whether a libhz in it is there for a trial. */
bool list_on_trial(const struct list *l);

enum list_put { LIST_PUT, LIST_CHANGED, LIST_FAILED };
/* Replaces the list; an empty text removes it.  LIST_CHANGED: somebody else was
 * quicker, read it again. */
enum list_put list_put(const struct list *l, const char *text);
/* As list_put, but into LIST_VOLATILE, to which LIST_FILE becomes a link. */
enum list_put list_put_volatile(const struct list *l, const char *text);
/* As list_put, turning a link of ours into a file. */
enum list_put list_put_lasting(const struct list *l, const char *text);
/* Takes every libhz out, or only one that is on trial.  Locks by itself. */
enum list_off { LIST_OFF, LIST_OFF_ALREADY, LIST_OFF_FAILED };
enum list_off list_off(const char *root, bool trial);
/* Keeps the list that was read; false if that was not possible. */
bool list_backup(const struct list *l);
/* Any file, whole or not at all. */
bool list_write(const char *path, const char *text, mode_t mode);

#endif
