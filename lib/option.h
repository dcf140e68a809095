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

/* What observes and reports, a set; see hz_obs(5). */
enum {
	HZ_BOX_SEG = 1,
	HZ_BOX_SMALL = 2,
	HZ_BOX_RETENTION = 4,
	HZ_BOX_WASTE = 8,
	HZ_BOX_ALL = 15,
	HZ_BOX_FULL = 16, /* scans have no budget */
	HZ_BOX_FORK = 32, /* forked children report, too */
	/* What this build can do, and what it does unasked (configure's list, or
	 * the macros of old build scripts). */
	HZ_WASTE_BUILT = HZ_OBSERVE_BUILT && (HZ_WASTE || HZ3_S56_MEDIUM_WASTE_OBSERVE),
	HZ_BOXES_BUILT = HZ_OBSERVE_BUILT ? 63 - (HZ_WASTE_BUILT ? 0 : HZ_BOX_WASTE) : 0,
	HZ_BOXES_DEFAULT = HZ_BOXES_BUILT &
			   (HZ_OBSERVE_BOXES | (HZ3_SEG_SCAVENGE_OBSERVE ? HZ_BOX_SEG : 0) |
			    (HZ3_S62_OBSERVE ? HZ_BOX_SMALL : 0) |
			    (HZ3_S55_RETENTION_OBSERVE ? HZ_BOX_RETENTION : 0) |
			    (HZ3_S56_MEDIUM_WASTE_OBSERVE ? HZ_BOX_WASTE : 0)),
};

enum { HZ_OBSERVE_PATH_BYTES = 512 }; /* longest HZ_OBSERVE_FILE, its NUL included */

/* What HZ_PRESSURE asks the kernel about, a set. */
enum { HZ_WATCH_CGROUP = 1, HZ_WATCH_PSI = 2 };

struct hz_options {
	size_t arena_bytes; /* HZ_ARENA_SIZE: address space of the first arena */
	size_t purger; /* HZ_PURGER: 1 = a thread gives memory back */
	size_t watch; /* HZ_PRESSURE: set of HZ_WATCH_* */
	size_t zero_bytes; /* HZ_ZERO: blocks to this size are cleared when freed */
	size_t boxes; /* HZ_OBSERVE: set of HZ_BOX_*; 0 = silent */
	size_t contig_pages; /* HZ_SEG_SCAVENGE_MIN_CONTIG_PAGES: seg's candidates */
	char observe_file[HZ_OBSERVE_PATH_BYTES]; /* HZ_OBSERVE_FILE; empty: stderr */
};
extern struct hz_options hz_option; /* start lock; constant afterwards */

/* hz_option_at of <hz/hz.h> reads the same table. */
void hz_option_read(void);
