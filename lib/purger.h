/* SPDX-License-Identifier: MIT */
/*
 * purger.h - a thread that gives memory back while the program sleeps.
 *
 * Everything else in libhz happens when the program allocates or frees.  One
 * that freed much and then waits keeps, until it moves again, what was worth
 * keeping had it gone on.  HZ_PURGER=1 makes a thread that does at the age what
 * the program's next slow path would.
 *
 * It is none of the program's: it has no heap and no share of the magazines'
 * budget, is not counted, and no signal reaches it.  But the kernel knows it: what
 * only a process with one thread may do (unshare and setns with user namespaces)
 * is refused, and libc locks where it would not with one thread.
 *
 * Who may call: slow paths of malloc, when what they were called for is done.
 * It refuses to be started from free, in forked children, and where privileges
 * were raised (no option is read there).
 */
#pragma once

#include "option.h"

void hz_purger_start(void);

/* The allocator starts, in this process: in those it forks there is no purger. */
void hz_purger_born(void);

/* At the end of an allocation's slow path, with no lock held: starts the purger if
 * it is wanted and worth it.  May allocate. */
static inline void hz_purger_due(void)
{
	if (unlikely(hz_option.purger))
		hz_purger_start();
}
