/* SPDX-License-Identifier: MIT */
/*
 * trial.h - whether a library may be given to every program of a machine.
 *
 *   at rest      owner, modes, ELF class, truncation, what it needs
 *   at work      a private mount namespace, in it an /etc that differs in one
 *                file: the list as it would be.  Programs run there, and all
 *                must end with 0, say nothing of ld.so, and the probe must have
 *                found its malloc in the file that was meant.
 *
 * At rest comes first, because at work the library's code runs as root.
 * What the loader thinks of a library only the loader knows: symbols, versions,
 * constructors and whatever else may be wrong with it show at work.
 * It refuses nothing by itself; it answers.
 */
#ifndef HZ_TRIAL_H
#define HZ_TRIAL_H

#include <limits.h>
#include <stdbool.h>

struct trial {
	const char *root; /* "" is the machine */
	const char *path; /* of the library, within the root */
	const char *entry; /* what the list says for it */
	const char *list; /* the list to be tried */
	int program; /* this program, open: it is its own probe */
	bool loud; /* say what was tried, not only what failed */
};

/* One line for every finding, good ones only if loud; false: one was bad. */
bool trial_at_rest(const struct trial *t);
bool trial_at_work(const struct trial *t);
/* The machine as it is: one small program, started now. */
bool trial_now(void);

/* The probe: what hz-preload does when called as TRIAL_PROBE, with a path. */
#define TRIAL_PROBE "hz-preload-probe"
int trial_probe(const char *path);

#endif
