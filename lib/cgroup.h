/* SPDX-License-Identifier: MIT */
/*
 * cgroup.h - whether memory is about to be short for this process.
 *
 *   cgroup   this process's control group, or one above it, has so much in use
 *            that memory.high or memory.max is near
 *   psi      tasks of the group, or of the machine, wait for memory
 *
 * Asked for by HZ_PRESSURE and by nobody else: it opens files.  Each look opens,
 * reads and closes them; nothing is remembered, so a process that is moved or
 * whose limits change is seen as it is then.
 *
 * Who may call: slow paths, by hz_pressure_look; it asks once a second at most.  It refuses
 * to wait and to allocate; a file that is missing or not understood says nothing.
 */
#pragma once

#include "option.h"

/* Once a second: asks the kernel whether memory is about to be short.  True when it has just
 * become so, for hz_pressure_relieve; no lock held. */
bool hz_cgroup_ask(void);
/* What it said last; who asked writes, any thread reads. */
extern bool hz_cgroup_said;
/* Whether any of what `watch` names (set of HZ_WATCH_*) is the case now. */
bool hz_cgroup_near(size_t watch);

/* White-box lane: a directory that stands for the root of all files; NULL: none. */
extern const char *hz_cgroup_under;
