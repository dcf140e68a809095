/* SPDX-License-Identifier: MIT */
/*
 * object.h - what an ELF file says about itself.
 *
 * The file is mapped and every offset in it is bounded before it is followed;
 * a damaged file is described as such, never trusted.  It refuses to load
 * anything: what really happens only the loader knows.
 */
#ifndef HZ_OBJECT_H
#define HZ_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OBJECT_NEEDED = 16 };

struct object {
	const uint8_t *data; /* the file, mapped; NULL when it is empty */
	size_t bytes;
	bool elf; /* it begins like one */
	bool native; /* class and machine of this program; the rest only then */
	bool whole; /* nothing it describes lies beyond its end */
	bool dynamic, shared; /* has a dynamic section; is of type DYN */
	const char *interp, *soname; /* NULL: none */
	const char *needed[OBJECT_NEEDED];
	unsigned nneeded;
};

/* False, with errno, when the file cannot be read. */
bool object_open(struct object *o, const char *path);
void object_close(struct object *o);
/* Whether it exports a symbol of that name. */
bool object_defines(const struct object *o, const char *name);
/* "a 32-bit program", "a program for machine 183": of one that is not native. */
void object_kind(const struct object *o, char *to, size_t n);

#endif
