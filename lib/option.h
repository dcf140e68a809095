/* SPDX-License-Identifier: MIT */
/*
 * option.h - what the environment may say.
 *
 * One table in option.c: name, type, default, range, one line of help.  Read
 * once, before the first allocation; never in a process whose privileges were
 * raised (AT_SECURE).  An unknown name or a value out of range changes
 * nothing: a preloaded library must not stop the programs of a machine.
 *
 * Only cold paths read options; there is none on a hit path.
 * Who may call: heap.c at start, api.c and observers afterwards.
 */
#pragma once

#include "base.h"

struct hz_options {
	size_t arena_bytes; /* HZ_ARENA_SIZE: address space of the first arena */
};
extern struct hz_options hz_option; /* start lock; constant afterwards */

/* hz_option_at of <hz/hz.h> reads the same table. */
void hz_option_read(void);
