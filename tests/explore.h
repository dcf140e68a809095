/* SPDX-License-Identifier: MIT */
/*
 * explore.h - visits every state that can be reached from a first one.
 *
 * A model defines `struct state` and expand(), which calls discover() with
 * every successor; explore() goes breadth first until nothing is new or
 * violated() was called.  States are compared byte by byte: a model keeps them
 * in bytes without padding.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include "probe.h"

enum { STATES_MAX = 1 << 22, STATES_TABLE = 1 << 23 };

static struct state *states; /* in order of discovery */
static uint32_t *states_at;  /* hash -> index + 1 */
static size_t nstates;
static const char *violation; /* the first one found */

static void expand(const struct state *from);

static void violated(const char *what)
{
	if (!violation)
		violation = what;
}

static void discover(const struct state *s)
{
	const unsigned char *byte = (const unsigned char *)s;
	uint64_t hash = 14695981039346656037u;
	for (size_t i = 0; i < sizeof(*s); i++)
		hash = (hash ^ byte[i]) * 1099511628211u;
	for (size_t at = (hash ^ hash >> 29) % STATES_TABLE;; at = (at + 1) % STATES_TABLE) {
		if (!states_at[at]) {
			if (nstates == STATES_MAX)
				tap_bail("more than %d states", STATES_MAX);
			states[nstates++] = *s;
			states_at[at] = (uint32_t)nstates;
			return;
		}
		if (memcmp(&states[states_at[at] - 1], s, sizeof(*s)) == 0)
			return;
	}
}

/* The first violation, or NULL after every state was seen. */
static const char *explore(const struct state *first)
{
	violation = NULL;
	nstates = 0;
	memset(states_at, 0, STATES_TABLE * sizeof(*states_at));
	discover(first);
	for (size_t i = 0; i < nstates && !violation; i++)
		expand(&states[i]);
	return violation;
}

static void explore_ready(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	states = mmap(NULL, STATES_MAX * sizeof(*states), PROT_READ | PROT_WRITE, flags, -1, 0);
	states_at = mmap(NULL, STATES_TABLE * sizeof(*states_at), PROT_READ | PROT_WRITE, flags,
			 -1, 0);
	if (states == MAP_FAILED || states_at == MAP_FAILED)
		tap_skip_all("not enough address space");
}

#endif
