/* SPDX-License-Identifier: MIT */
/*
 * place.h - lanes, the files they are in, and how the loader is told of one.
 *
 *      "scale", observing -> libhz-scale-observe.so.0 -> /usr/$LIB/libhz-scale-observe.so.0
 *
 * A lane is whatever libhz-NAME.so.0 lies in the directory of libraries; there
 * is no list of lanes here to fall behind.
 *
 * Paths are written with the loader's own token $LIB where the directory is
 * what that stands for.  A program of another architecture then finds its own
 * library, and a path is silently passed over in set-user-id programs, where a
 * bare SONAME in LD_PRELOAD costs a line of error for each.
 */
#ifndef HZ_PLACE_H
#define HZ_PLACE_H

#include <stdbool.h>
#include <stddef.h>

enum { PLACE_SONAME = 64 };

/* The SONAME of a lane; false if that cannot be the name of one. */
bool place_soname(char to[PLACE_SONAME], const char *lane, bool observe);
/* Whether a word of a preload list names a libhz, of any lane and version. */
bool place_ours(const char *word, size_t n);
/* The well-known malloc that such a word names; NULL if none. */
const char *place_other(const char *word, size_t n);
/* What $LIB is for this program's loader: "lib/x86_64-linux-gnu"; "" unknown. */
enum { PLACE_LIB = 128 };
void place_lib(char to[PLACE_LIB]);
/* dir/soname as the loader should read it. */
void place_entry(char *to, size_t n, const char *dir, const char *soname);
/* The lanes in a directory, with blanks between; "none" if there are none. */
void place_lanes(char *to, size_t n, const char *dir);

#endif
