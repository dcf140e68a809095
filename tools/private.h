/* SPDX-License-Identifier: MIT */
/*
 * private.h - mounts that nobody else sees.
 *
 * Afterwards this process and its children have their own table of mounts;
 * those that others make still arrive, ours never leave.
 */
#ifndef HZ_PRIVATE_H
#define HZ_PRIVATE_H

#include <stdbool.h>

/* Without the privilege to do so, through a user namespace in which this user
 * keeps its number; *user tells.  False, with errno, where neither is allowed. */
bool private_mounts(bool *user);

#endif
