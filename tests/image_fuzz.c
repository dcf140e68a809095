/* SPDX-License-Identifier: MIT */
/*
 * image_fuzz - hz-stat on damaged core files: an answer or an error, never a
 * crash, never for ever.
 *
 * The program writes a core of itself: writable memory, the ELF files' first
 * pages, libhz whole, and the note that names the files.  Undamaged it must
 * give the same account as the live process; then bytes of headers, notes,
 * symbol tables and heap are overwritten, and the file is cut short.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../tools/heap.h"
#include "probe.h"

enum { ROUNDS = 1500, BLOCKS = 20000, MAPS = 400, PAGES_4K = 4096, FLIPS = 12,
       MAP_BYTES_MAX = 256 << 20 };

static struct map {
	unsigned long start, end, offset, dumped, at; /* dumped bytes, where in the core */
	char path[200];
} map[MAPS];
static int maps;

static uint64_t random_state = 88172645463325252ull;

static uint64_t next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

static void read_maps(void)
{
	static char line[600];
	FILE *f = fopen("/proc/self/maps", "r");
	while (f && maps < MAPS && fgets(line, sizeof(line), f)) {
		struct map *k = &map[maps];
		char flags[8], path[400] = "";
		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %399s", &k->start, &k->end, flags,
			   &k->offset, path) < 4)
			continue;
		if (path[0] == '/')
			snprintf(k->path, sizeof(k->path), "%s", path);
		else if (strncmp(path, "[v", 2) == 0) /* vvar, vdso, vsyscall */
			continue;
		if (flags[1] == 'w' || strstr(path, "libhz"))
			k->dumped = k->end - k->start;
		else if (k->path[0] && !k->offset)
			k->dumped = PAGES_4K;
		else if (!k->path[0])
			continue; /* the reservation */
		if (k->dumped > MAP_BYTES_MAX)
			continue; /* a sanitizer's */
		maps++;
	}
	if (f)
		fclose(f);
}

static size_t core_bytes, headers_bytes;

/* The core, in a memory file; its descriptor. */
static int write_core(void)
{
	static char note[MAPS * 260];
	int fd = memfd_create("core", 0), files = 0;
	size_t n = 12 + 8; /* note header, "CORE" */
	Elf64_Ehdr h = { .e_ident = ELFMAG, .e_type = ET_CORE, .e_machine = EM_X86_64,
			 .e_version = EV_CURRENT, .e_phoff = sizeof(h), .e_ehsize = sizeof(h),
			 .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = (Elf64_Half)(maps + 1) };
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	for (int i = 0; i < maps; i++)
		files += map[i].path[0] != 0;
	uint64_t head[2] = { (uint64_t)files, PAGES_4K };
	memcpy(note + n, head, sizeof(head));
	n += sizeof(head);
	for (int i = 0; i < maps; i++) {
		uint64_t row[3] = { map[i].start, map[i].end, map[i].offset / PAGES_4K };
		if (map[i].path[0]) {
			memcpy(note + n, row, sizeof(row));
			n += sizeof(row);
		}
	}
	for (int i = 0; i < maps; i++)
		if (map[i].path[0])
			n += (size_t)sprintf(note + n, "%s", map[i].path) + 1;
	Elf64_Nhdr nh = { 5, (Elf64_Word)(n - 20), NT_FILE };
	memcpy(note, &nh, sizeof(nh));
	memcpy(note + 12, "CORE", 5);
	n = (n + 3) & ~(size_t)3;

	headers_bytes = sizeof(h) + (size_t)(maps + 1) * sizeof(Elf64_Phdr) + n;
	size_t at = (headers_bytes + PAGES_4K - 1) & ~(size_t)(PAGES_4K - 1);
	Elf64_Phdr ph = { .p_type = PT_NOTE, .p_filesz = n, .p_offset = headers_bytes - n };
	if (pwrite(fd, &h, sizeof(h), 0) < 0 || pwrite(fd, &ph, sizeof(ph), sizeof(h)) < 0 ||
	    pwrite(fd, note, n, (off_t)(headers_bytes - n)) < 0)
		return -1;
	for (int i = 0; i < maps; i++) {
		struct map *k = &map[i];
		k->at = at;
		ph = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = at, .p_vaddr = k->start,
				   .p_filesz = k->dumped, .p_memsz = k->end - k->start };
		if (pwrite(fd, &ph, sizeof(ph), (off_t)(sizeof(h) + (size_t)(i + 1) * sizeof(ph))) < 0)
			return -1;
		/* Pages never touched stay holes, as in a core by the kernel. */
		for (size_t off = 0; off < k->dumped; off += PAGES_4K) {
			unsigned char there = 0;
			char *p = (char *)k->start + off;
			bool file = k->path[0] != 0;
			if (!file && (mincore(p, PAGES_4K, &there) || !(there & 1)))
				continue;
			if (pwrite(fd, p, PAGES_4K, (off_t)(at + off)) < 0)
				return -1;
		}
		at += k->dumped;
	}
	core_bytes = at;
	return ftruncate(fd, (off_t)at) ? -1 : fd;
}

static uint64_t sum(const struct account *a)
{
	return a->live + a->slack + a->free + a->cached + a->remote + a->empty + a->dirty +
	       a->clean + a->metadata + a->unattributed;
}

static enum heap_result account_of(const char *path, struct account *a)
{
	struct image m;
	enum heap_result r = HEAP_DAMAGED;
	if (image_open_core(&m, path, NULL))
		r = heap_account(&m, a);
	image_close(&m);
	return r;
}

/* Where to hit: headers and notes, libhz (tables and data), anything. */
static size_t target(void)
{
	static size_t from, to;
	if (!to)
		for (int i = 0; i < maps; i++)
			if (strstr(map[i].path, "libhz")) {
				from = from ? from : map[i].at;
				to = map[i].at + map[i].dumped;
			}
	switch (next() % 4) {
	case 0: return next() % headers_bytes;
	case 1: return next() % 2 ? next() % sizeof(Elf64_Ehdr) : next() % 1024;
	case 2: return to > from ? from + next() % (to - from) : 0;
	default: return next() % core_bytes;
	}
}

int main(void)
{
	static void *block[BLOCKS];
	static struct account live, a;
	struct image m;
	char path[64];
	int results[8] = { 0 }, wrong = 0;

	watchdog(300);
	for (int i = 0; i < BLOCKS; i++)
		block[i] = memset(malloc((size_t)i % 500 + 1), 1, 1);
	for (int i = 0; i < BLOCKS; i += 3)
		free(block[i]);
	read_maps();
	int fd = write_core();
	if (fd < 0)
		tap_bail("cannot write a core");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	image_open_process(&m, getpid());
	bool readable = heap_account(&m, &live) == HEAP_OK;
	image_close(&m);
	ok(account_of(path, &a) == HEAP_OK && !a.torn, "an undamaged core is read");
	ok(sum(&a) == a.resident && a.resident > 0, "causes add up");
	if (readable && live.has_pages) {
		/* Reading it took a few. */
		ok(a.slabs <= live.slabs && a.slabs + 8 >= live.slabs,
		   "slabs, as in the live process (%llu, %llu)", (unsigned long long)a.slabs,
		   (unsigned long long)live.slabs);
		ok(a.resident <= live.resident && a.resident + (64 << 12) >= live.resident,
		   "resident heap, as in the live process within 64 pages (%llu, %llu)",
		   (unsigned long long)a.resident, (unsigned long long)live.resident);
	}
	unsigned char *core = mmap(NULL, core_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (core == MAP_FAILED)
		tap_bail("cannot map the core");
	for (int i = 0; i < ROUNDS; i++) {
		struct {
			size_t at;
			unsigned char was;
		} undo[FLIPS];
		int n = (int)(next() % FLIPS) + 1;
		for (int k = 0; k < n; k++) {
			undo[k].at = target();
			undo[k].was = core[undo[k].at];
			core[undo[k].at] = (unsigned char)(next() % 3 ? next() : 0xff);
		}
		enum heap_result r = account_of(path, &a);
		results[r & 7]++;
		wrong += r == HEAP_OK && sum(&a) != a.resident;
		while (n--)
			core[undo[n].at] = undo[n].was;
	}
	diag("%d answers, %d errors", results[HEAP_OK], ROUNDS - results[HEAP_OK]);
	ok(results[HEAP_OK] > 0 && results[HEAP_OK] < ROUNDS, "damaged cores give answers or errors");
	ok(wrong == 0, "and in every answer causes add up");
	ok(account_of(path, &a) == HEAP_OK, "the damage was undone");
	/* Shorter and shorter: nothing may be looked for behind its end. */
	int answers = 0, cuts = 0;
	for (size_t n = core_bytes; n > 0; n = n > 9 * PAGES_4K ? n - n / 9 : n / 2, cuts++) {
		if (ftruncate(fd, (off_t)n))
			tap_bail("cannot cut the core");
		answers += account_of(path, &a) == HEAP_OK && sum(&a) == a.resident;
	}
	ok(answers < cuts && cuts > 20, "a core cut short gives answers or errors (%d of %d)", answers,
	   cuts);
	return tap_done();
}
