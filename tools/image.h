/* SPDX-License-Identifier: MIT */
/*
 * image.h - the memory of another process, running or dead.
 *
 *      process   process_vm_readv, /proc/PID/maps, pagemap, smaps_rollup
 *      core      PT_LOAD segments; what was not dumped comes from the mapped
 *                files named in NT_FILE, regular ones only
 *
 * Nothing is written and nothing runs in the process.  Every address and every
 * length comes from memory that may change or lie: reads fail, they never trap.
 * It refuses to interpret what it reads, ELF symbol tables excepted.
 */
#ifndef HZ_IMAGE_H
#define HZ_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct mapping {
	uint64_t start, end, offset; /* addresses, and where in the file */
	char *path; /* NULL: no file */
	int fd; /* of a core's mapped file; -1 not opened, -2 cannot be */
};

struct segment { /* of a core */
	uint64_t start, bytes, dumped, offset;
};

struct image {
	int pid; /* 0: a core */
	int pagemap; /* descriptor; -1: none */
	char name[32]; /* of the program */
	struct mapping *map;
	size_t nmap;
	const uint8_t *core; /* the file, mapped ... */
	size_t core_bytes;
	int core_fd; /* ... and open */
	bool holes; /* it has some: what was not resident is not in it */
	struct segment *segment;
	size_t nsegment;
	const char *exe; /* file to take for the program, instead of what NT_FILE says */
	int error; /* errno of the last read that failed */
	char why[200]; /* one line, when opening or finding failed */
};

bool image_open_process(struct image *m, int pid);
bool image_open_core(struct image *m, const char *path, const char *exe);
void image_close(struct image *m);

/* All n bytes, or false. */
bool image_read(struct image *m, uint64_t at, void *to, size_t n);
/* The address of a dynamic symbol defined by any mapped ELF file; 0 if none. */
uint64_t image_symbol(struct image *m, const char *name);

enum { PAGE_PRESENT = 1, PAGE_SWAPPED = 2 };
/* State of n pages of 4 KiB each.  The kernel leaves pages that were not
 * resident out of a core, as holes; in a core without holes (copied, or from a
 * pipe) pages of zeros count as not present. */
bool image_pages(struct image *m, uint64_t at, size_t n, uint8_t *state);

struct image_rss {
	uint64_t rss, pss, swap; /* bytes; 0 in a core */
};
bool image_rss(struct image *m, struct image_rss *r);

#endif
