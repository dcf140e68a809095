/* SPDX-License-Identifier: MIT */
/*
 * root.h - the one object from which another process reads this heap.
 *
 *   hz_root (exported, HZ_0.1)
 *     fields  -> "run.span" lies at offset 0 and has 8 bytes, ...
 *     objects -> "arenas" is at this address, ...
 *
 * A reader finds the symbol in the ELF symbol table, and everything else by
 * name: names may be added, moved and lost without a new version.  `version`
 * changes only when this header's own layout or a name's meaning does; a
 * reader refuses a version that is newer than it knows.
 *
 * Invariants: constant, complete before the first instruction of the library;
 * nothing has to run in the process that is read.
 * Who may include it: root.c and readers outside the library.  It refuses to
 * include anything of the library.
 */
#pragma once

#include <stdint.h>

#define HZ_ROOT_MAGIC "libhz\r\n" /* 8 bytes with its NUL */

enum { HZ_ROOT_VERSION = 1, HZ_ROOT_NAME = 24 };

struct hz_root_field {
	char name[HZ_ROOT_NAME]; /* structure.member, or structure.size, or a constant */
	uint32_t offset; /* bytes from the structure's start, or the constant */
	uint32_t bytes; /* of the member; 0: a constant or a size */
};

struct hz_root_object {
	char name[HZ_ROOT_NAME];
	const void *address;
};

enum { HZ_ROOT_OBJECTS = 14 };

struct hz_root {
	char magic[8];
	uint32_t version;
	uint32_t bytes; /* of this structure */
	char library[16]; /* "0.1.0" */
	char lane[16]; /* "balanced", "observe", "lean-observe" */
	const struct hz_root_field *fields;
	uint32_t nfields, nobjects;
	struct hz_root_object objects[HZ_ROOT_OBJECTS];
};
