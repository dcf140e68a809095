/* SPDX-License-Identifier: MIT */
/*
 * report_pages.c - which pages the kernel counts to the process's resident set.
 *
 *   /proc/self/pagemap   PAGEMAP_SCAN (Linux 6.7), else a word a page
 *   mincore(2)           where that cannot be opened
 *
 * A page that was read and never written is the kernel's page of zeros: present,
 * and not in the resident set.  The scan knows it; a word shows that it is not
 * this process's alone, and its content the rest; mincore takes it for resident.
 *
 * Who may call: a report that somebody asked for, with the descriptor that it
 * closes itself.  It refuses to keep one open between two reports.
 */
#include "report.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "report_os.h"

/* Spelt out, because headers are older than kernels. */
struct page_region {
	uint64_t start, end, categories;
};
struct pagemap_scan {
	uint64_t size, flags, start, end, walk_end, regions, nregions, max_pages;
	uint64_t inverted, mask, any_of, wanted;
};
enum { IS_PRESENT = 1 << 3, IS_ZERO_PAGE = 1 << 5 };
#define PAGEMAP_SCAN _IOWR('f', 16, struct pagemap_scan)

/* Ranges of pages that are present and not the page of zeros. */
static bool scan(int pagemap, uintptr_t at, size_t bytes, unsigned char *resident)
{
	enum { REGIONS = 64 }; /* 1.5 KiB of stack: four calls for 512 pages at worst */
	struct page_region region[REGIONS];
	size_t page = hz_os_page_bytes();
	struct pagemap_scan s = { .size = sizeof(s), .start = at, .end = at + bytes,
				  .regions = (uintptr_t)region, .nregions = REGIONS,
				  .inverted = IS_ZERO_PAGE, .mask = IS_PRESENT | IS_ZERO_PAGE,
				  .wanted = IS_PRESENT };
	for (size_t i = 0; i < (bytes + page - 1) / page; i++)
		resident[i] = 0;
	while (s.start < at + bytes) {
		long got = hz_os_ask(SYS_ioctl, pagemap, PAGEMAP_SCAN, (long)&s, 0);
		if (got < 0 || s.walk_end <= s.start)
			return false;
		for (long i = 0; i < got; i++)
			for (uint64_t p = region[i].start; p < hz_min(region[i].end, s.end); p += page)
				resident[(p - at) / page] = 1;
		s.start = s.walk_end;
	}
	return true;
}

static bool zeros(const uint64_t *p, size_t bytes)
{
	const uint64_t *end = p + bytes / sizeof(*p);
	while (p < end && !*p)
		p++;
	return p == end;
}

/* Before Linux 6.7: one word a page.  A page that is present, of no file and not
 * this process's alone is shared with a forked one or that of zeros. */
static bool read_entries(int pagemap, uintptr_t at, size_t bytes, unsigned char *resident)
{
	enum { ENTRIES = 64, PRESENT = 63, FILE_PAGE = 61, EXCLUSIVE = 56 }; /* bits */
	uint64_t entry[ENTRIES];
	size_t page = hz_os_page_bytes(), n = (bytes + page - 1) / page;
	for (size_t i = 0; i < n; i++, at += page) {
		size_t want = hz_min(ENTRIES, n - i) * sizeof(*entry);
		if (i % ENTRIES == 0 &&
		    hz_os_ask(SYS_pread64, pagemap, (long)entry, (long)want,
			      (long)(at / page * sizeof(*entry))) != (long)want)
			return false;
		uint64_t e = entry[i % ENTRIES];
		resident[i] = (unsigned char)(e >> PRESENT);
		if (resident[i] && !(e >> FILE_PAGE & 1) && !(e >> EXCLUSIVE & 1))
			resident[i] = !zeros((const uint64_t *)at, page);
	}
	return true;
}

int hz_report_pagemap(void)
{
	/* A page that is resident for certain: where this is another machine's
	 * kernel (qemu-user), or one that says nothing, the words are not of our
	 * pages. */
	unsigned char here = 0;
	uintptr_t at = (uintptr_t)&here & ~(hz_os_page_bytes() - 1);
	long fd = hz_os_ask(SYS_openat, AT_FDCWD, (long)"/proc/self/pagemap",
			    O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
	if (fd < 0)
		return -1;
	if (read_entries((int)fd, at, 1, &here) && here)
		return (int)fd;
	hz_os_close((int)fd);
	return -1;
}

bool hz_report_resident(int pagemap, const void *p, size_t pages, unsigned char *resident)
{
	size_t bytes = pages << HZ_PAGE_SHIFT;
	if (pagemap >= 0 && (scan(pagemap, (uintptr_t)p, bytes, resident) ||
			     read_entries(pagemap, (uintptr_t)p, bytes, resident)))
		return true;
	return !hz_os_ask(SYS_mincore, (long)p, (long)bytes, (long)resident, 0);
}
