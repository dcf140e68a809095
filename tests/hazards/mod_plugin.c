/* SPDX-License-Identifier: MIT */
/*
 * mod_plugin - a plugin that uses malloc in every way a plugin does: in its
 * constructor, for blocks the host frees, on blocks of the host, and on
 * blocks that the C library made (strdup, getline).  It has a function whose
 * name the host has, too.  Used by a09_deepbind and a10_dlmopen.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int hazard_who(void);
int plugin_who(void);
int plugin_own(void);
void *plugin_take(size_t n);
void *plugin_grow(void *p, size_t n);
void plugin_drop(void *p);
void *plugin_first(void);
const char *plugin_error(void);

static void *first;

int hazard_who(void)
{
	return 2;
}

/* Through the symbol table, as RTLD_DEEPBIND is about. */
int plugin_who(void)
{
	return hazard_who();
}

__attribute__((constructor)) static void allocate(void)
{
	first = malloc(300);
	if (first)
		memset(first, 7, 300);
}

void *plugin_first(void)
{
	return first;
}

/* What the C library allocates, the plugin frees; 0 if all was well. */
int plugin_own(void)
{
	int bad = 0;
	char *line = NULL, *made = NULL, *copy = strdup("a line\nanother\n");
	size_t room = 0;
	volatile size_t huge = (size_t)-1 / 2 + 1;
	void *page = NULL;
	FILE *file = copy ? fmemopen(copy, strlen(copy), "r") : NULL;
	if (!file)
		return 1;
	bad |= getline(&line, &room, file) != 7 || strcmp(line, "a line\n") != 0;
	line = realloc(line, 5000);
	bad |= !line || malloc_usable_size(line) < 5000;
	fclose(file);
	free(line);
	bad |= asprintf(&made, "%s%d", copy, 42) < 0;
	free(made);
	copy = realloc(copy, 1 << 20);
	free(copy);
	bad |= posix_memalign(&page, 4096, 100) != 0 || malloc_usable_size(page) < 100;
	free(page);
	errno = 0;
	made = malloc(huge);
	bad |= made != NULL || errno != ENOMEM;
	return bad;
}

void *plugin_take(size_t n)
{
	return calloc(1, n);
}

void *plugin_grow(void *p, size_t n)
{
	return realloc(p, n);
}

void plugin_drop(void *p)
{
	free(p);
}
