/* SPDX-License-Identifier: MIT */
/*
 * report.h - text of figures without stdio.
 *
 *      struct hz_text  <- words and numbers ->  sink, one line at a time
 *
 * The writers of hz_report_write, malloc_stats and malloc_info share it: they
 * must not allocate, and a FILE or a descriptor is only where lines end.
 * Who may call: report.c and info.c.  It refuses lines longer than its buffer
 * by cutting them.
 */
#pragma once

#include "slab.h"

struct hz_text {
	void (*sink)(struct hz_text *t, size_t n); /* takes the first n bytes */
	void *to; /* the sink's own */
	int fd; /* the sink's own */
	size_t used; /* bytes in line */
	char line[2400]; /* the longest, JSON: 50 members of at most 42 bytes and a head */
};

struct hz_report;
/* The members `resident`, resident_* and rss_* of *r (report_rss.c). */
void hz_report_residency(struct hz_report *r);

/* Opens the process's own page tables for the next; -1 when refused. */
int hz_report_pagemap(void);
/* Which of `pages` pages at p are resident, one byte each of the kernel's (bit
 * 0); false when unknown. */
bool hz_report_resident(int pagemap, const void *p, size_t pages, unsigned char *resident);

/* Whether p starts a block that is not free in the slab (report_crash.c). */
enum hz_slab_put hz_slab_probe(const struct hz_run *s, const void *p);

/* Bytes of metadata in use and committed. */
void hz_meta_observe(size_t *used_bytes, size_t *committed_bytes);

void hz_text_word(struct hz_text *t, const char *word);
void hz_text_number(struct hz_text *t, uint64_t n, unsigned width);
void hz_text_end(struct hz_text *t); /* newline, and the line goes out */

/* What malloc_stats writes, to standard error. */
void hz_report_stats(void);
