/* SPDX-License-Identifier: MIT */
/*
 * error.h - what libhz says when a program breaks malloc's contract.
 *
 * One line on descriptor 2, "libhz: program[pid]: free(): 0x7f...: reason; class, state",
 * then abort().  Only for misuse that was detected; running out of memory never comes here.
 *
 * Who may call: any layer, with any lock held (the process ends).  The line
 * is built on the stack and leaves in one write; no stdio, no allocation.
 * It refuses to return.
 */
#pragma once

#include "os.h"

_Noreturn void hz_die(const char *function, const void *p, const char *reason);

/* The reasons, one wording each; hz(3) lists them. */
#define HZ_WHY_FOREIGN "not a block of this allocator"
#define HZ_WHY_INTERIOR "not the start of a block"
#define HZ_WHY_DOUBLE "already free (double free)"
#define HZ_WHY_FREE_PAGE "inside free memory (double free or wild pointer)"
#define HZ_WHY_OVERFLOW "written to beyond its end"
#define HZ_WHY_WRITTEN "written to after it was freed"
#define HZ_WHY_SIZE "not of the size that was given"
