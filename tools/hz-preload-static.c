/* SPDX-License-Identifier: MIT */
/*
 * hz-preload-static - takes libhz out when nothing dynamic starts any more.
 *
 *      hz-preload-static disable [--root=DIR]
 *
 * Linked statically, so that no /etc/ld.so.preload can stop it; the editing is
 * hz-preload's own (list.c).  It refuses everything else.
 *
 * Exit: 0 it is out, or never was in; 1 it could not be taken out; 2 wrong use.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "list.h"

int main(int argc, char **argv)
{
	static char root[PATH_MAX];
	list_keep_standard();
	const char *name = argc == 3 ? argv[2] : "--root=/";
	if (argc < 2 || argc > 3 || strcmp(argv[1], "disable") || strncmp(name, "--root=", 7)) {
		fputs("usage: hz-preload-static disable [--root=DIR]\n", stderr);
		return 2;
	}
	if (!realpath(name + 7, root)) {
		fprintf(stderr, "hz-preload-static: no directory: %s\n", name + 7);
		return 2;
	}
	if (!strcmp(root, "/"))
		*root = 0;
	switch (list_off(root, false)) {
	case LIST_OFF:
		puts("libhz is off for every program started from now on");
		return 0;
	case LIST_OFF_ALREADY:
		puts("libhz is off already");
		return 0;
	default:
		fprintf(stderr, "hz-preload-static: %s\n", list_why);
		return 1;
	}
}
