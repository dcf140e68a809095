/* SPDX-License-Identifier: MIT */
/*
 * zoo.h - what a criminal tells the keeper.
 *
 * The keeper hands a page of shared memory to the criminal as descriptor
 * ZOO_FD; the criminal says there how far it came and which pointer the crime
 * is about, so that the keeper knows whether a death came at once or later.
 */
#ifndef ZOO_H
#define ZOO_H

enum { ZOO_FD = 9, ZOO_SECONDS = 30 };

enum zoo_stage {
	ZOO_INNOCENT, /* before the crime */
	ZOO_CRIME,    /* inside the call that is the crime */
	ZOO_AFTER,    /* it came back */
};

/* Exit codes of a criminal that lives. */
enum zoo_ending {
	ZOO_HARMLESS = 0, /* no block overlaps another, nothing innocent changed */
	ZOO_WRONG = 3,    /* two blocks overlap, or somebody else's data changed */
	ZOO_LEAKS = 4,    /* what was freed can be read by who gets the memory next */
	ZOO_REFUSED = 5,  /* the call returned an error */
	ZOO_CANNOT = 77,  /* the crime cannot be committed here */
	ZOO_UNKNOWN = 78, /* no such crime */
};

struct zoo_page {
	enum zoo_stage stage;
	const void *named; /* the pointer of the crime; NULL: none in particular */
};

#endif
