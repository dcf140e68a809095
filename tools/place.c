/* SPDX-License-Identifier: MIT */
/*
 * place.c - names of lanes and files, and the loader's token $LIB.
 */
#define _GNU_SOURCE
#include "place.h"

#include <ctype.h>
#include <dirent.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#define STEM "libhz"
#define TWIN "-observe"

bool place_soname(char to[PLACE_SONAME], const char *lane, bool observe)
{
	size_t n = strlen(lane);
	for (size_t i = 0; i < n; i++)
		if (!islower((unsigned char)lane[i]))
			return false;
	if (!n || n > 32 || !strcmp(lane, &TWIN[1]))
		return false;
	bool plain = !strcmp(lane, "balanced");
	snprintf(to, PLACE_SONAME, STEM "%s%s%s.so.0", plain ? "" : "-", plain ? "" : lane,
		 observe ? TWIN : "");
	return true;
}

/* The last component of a word; its length in *n. */
static const char *base(const char *word, size_t *n)
{
	const char *slash = memrchr(word, '/', *n);
	if (!slash)
		return word;
	*n -= (size_t)(slash + 1 - word);
	return slash + 1;
}

bool place_ours(const char *word, size_t n)
{
	const char *name = base(word, &n);
	size_t i = sizeof(STEM) - 1;
	if (n < i || memcmp(name, STEM, i))
		return false;
	if (i < n && name[i] == '-')
		while (i < n && (name[i] == '-' || islower((unsigned char)name[i])))
			i++;
	if (n - i < 3 || memcmp(name + i, ".so", 3))
		return false;
	for (i += 3; i < n; i++)
		if (name[i] != '.' && !isdigit((unsigned char)name[i]))
			return false;
	return true;
}

const char *place_other(const char *word, size_t n)
{
	/* What file names of other mallocs begin with. */
	static const char *const known[] = {
		"libjemalloc",	   "libtcmalloc", "libmimalloc", "libsnmalloc",
		"libsnmallocshim", "librpmalloc", "libscudo",	 "libclang_rt.scudo",
		"libhardened_malloc", "libmesh",  "libhoard",	 "libtbbmalloc",
		"liblockless",	   "libhakozuna", "libnedmalloc", "libdieharder",
	};
	const char *name = base(word, &n);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (n > strlen(known[i]) && !memcmp(name, known[i], strlen(known[i])))
			return known[i] + strlen("lib");
	return NULL;
}

/* $LIB of this program's loader is the directory its C library came from:
 * "lib/x86_64-linux-gnu", "lib64", "lib". */
static int find_lib(struct dl_phdr_info *info, size_t size, void *lib)
{
	static const char file[] = "/libc.so.6";
	const char *path = info->dlpi_name;
	size_t n = path ? strlen(path) : 0, end = sizeof(file) - 1;
	(void)size;
	if (n <= end || strcmp(path + n - end, file))
		return 0;
	if (!strncmp(path, "/usr/", 5))
		path += 4;
	n = strlen(path) - end;
	if (*path == '/' && n > 1 && n < PLACE_LIB)
		snprintf(lib, PLACE_LIB, "%.*s", (int)n - 1, path + 1);
	return 1;
}

void place_lib(char to[PLACE_LIB])
{
	*to = 0;
	dl_iterate_phdr(find_lib, to);
}

void place_entry(char *to, size_t n, const char *dir, const char *soname)
{
	char lib[PLACE_LIB];
	place_lib(lib);
	size_t bytes = strlen(dir), tail = strlen(lib);
	if (tail && bytes > tail && dir[bytes - tail - 1] == '/' && !strcmp(dir + bytes - tail, lib))
		snprintf(to, n, "%.*s$LIB/%s", (int)(bytes - tail), dir, soname);
	else
		snprintf(to, n, "%s/%s", dir, soname);
}

void place_lanes(char *to, size_t n, const char *dir)
{
	static const char tail[] = ".so.0";
	DIR *d = opendir(dir);
	struct dirent *e;
	size_t used = 0;
	snprintf(to, n, "none");
	while (d && (e = readdir(d))) {
		size_t bytes = strlen(e->d_name);
		if (bytes < sizeof(tail) || strcmp(e->d_name + bytes - (sizeof(tail) - 1), tail) ||
		    !place_ours(e->d_name, bytes) || strstr(e->d_name, TWIN))
			continue;
		e->d_name[bytes - (sizeof(tail) - 1)] = 0;
		const char *lane = e->d_name + sizeof(STEM) - 1;
		int r = snprintf(to + used, n - used, "%s%s", used ? " " : "",
				 *lane ? lane + 1 : "balanced");
		if (r < 0 || (size_t)r >= n - used)
			break;
		used += (size_t)r;
	}
	if (d)
		closedir(d);
}
