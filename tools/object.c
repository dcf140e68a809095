/* SPDX-License-Identifier: MIT */
/*
 * object.c - program headers, dynamic section, dynamic symbols.
 */
#define _GNU_SOURCE
#include "object.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#else
enum { MACHINE = EM_NONE };
#endif

/* n bytes of the file at an offset that may be any number; NULL if not there. */
static const void *at(const struct object *o, uint64_t offset, uint64_t n)
{
	if (offset > o->bytes || n > o->bytes - offset)
		return NULL;
	return o->data + offset;
}

/* A string that ends within the file. */
static const char *text(const struct object *o, uint64_t offset)
{
	const char *s = at(o, offset, 1);
	return s && memchr(s, 0, o->bytes - offset) ? s : NULL;
}

/* Unaligned headers are possible in a damaged file, so headers are copied. */
static bool header(const struct object *o, Elf64_Ehdr *e)
{
	const void *p = at(o, 0, sizeof(*e));
	if (p)
		memcpy(e, p, sizeof(*e));
	return p != NULL;
}

static bool program(const struct object *o, const Elf64_Ehdr *e, unsigned i, Elf64_Phdr *h)
{
	const void *p = at(o, e->e_phoff, 0);
	p = p ? at(o, e->e_phoff + (uint64_t)i * sizeof(*h), sizeof(*h)) : NULL;
	if (p)
		memcpy(h, p, sizeof(*h));
	return p != NULL;
}

/* Where in the file an address is; beyond its end if nowhere. */
static uint64_t offset_of(const struct object *o, const Elf64_Ehdr *e, uint64_t address)
{
	Elf64_Phdr h;
	for (unsigned i = 0; i < e->e_phnum && program(o, e, i, &h); i++)
		if (h.p_type == PT_LOAD && address >= h.p_vaddr &&
		    address - h.p_vaddr < h.p_filesz)
			return h.p_offset + (address - h.p_vaddr);
	return UINT64_MAX;
}

static void read_dynamic(struct object *o, const Elf64_Ehdr *e, const Elf64_Phdr *h)
{
	uint64_t strings = UINT64_MAX;
	Elf64_Dyn d;
	for (int pass = 0; pass < 2; pass++)
		for (uint64_t i = 0; i < h->p_filesz / sizeof(d); i++) {
			const void *p = at(o, h->p_offset + i * sizeof(d), sizeof(d));
			if (!p)
				return;
			memcpy(&d, p, sizeof(d));
			if (d.d_tag == DT_NULL)
				break;
			if (!pass && d.d_tag == DT_STRTAB)
				strings = offset_of(o, e, d.d_un.d_ptr);
			if (!pass || strings > o->bytes || d.d_un.d_val > o->bytes)
				continue;
			const char *s = text(o, strings + d.d_un.d_val);
			if (d.d_tag == DT_SONAME)
				o->soname = s;
			if (d.d_tag == DT_NEEDED && s && o->nneeded < OBJECT_NEEDED)
				o->needed[o->nneeded++] = s;
		}
}

static void read_headers(struct object *o)
{
	Elf64_Ehdr e;
	Elf64_Phdr h;
	if (!header(o, &e) || e.e_phentsize != sizeof(h)) {
		o->whole = false;
		return;
	}
	o->shared = e.e_type == ET_DYN;
	for (unsigned i = 0; i < e.e_phnum; i++) {
		if (!program(o, &e, i, &h) ||
		    (h.p_type != PT_NOTE && h.p_filesz && !at(o, h.p_offset, h.p_filesz))) {
			o->whole = false;
			continue;
		}
		if (h.p_type == PT_INTERP)
			o->interp = text(o, h.p_offset);
		if (h.p_type == PT_DYNAMIC) {
			o->dynamic = true;
			read_dynamic(o, &e, &h);
		}
	}
	/* Section headers come last in a file: a tail that is missing shows here. */
	if (e.e_shoff && !at(o, e.e_shoff, (uint64_t)e.e_shnum * e.e_shentsize))
		o->whole = false;
}

bool object_open(struct object *o, const char *path)
{
	struct stat s;
	*o = (struct object){ .whole = true };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	int error = fstat(fd, &s) ? errno : S_ISREG(s.st_mode) ? 0 : EACCES;
	if (!error && s.st_size) {
		void *p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p == MAP_FAILED) {
			error = errno;
		} else {
			o->data = p;
			o->bytes = (size_t)s.st_size;
		}
	}
	close(fd);
	errno = error;
	if (error)
		return false;
	o->elf = o->bytes >= SELFMAG && !memcmp(o->data, ELFMAG, SELFMAG);
	Elf64_Ehdr e;
	if (o->elf && !header(o, &e))
		o->whole = false;
	o->native = o->elf && o->whole && o->data[EI_CLASS] == ELFCLASS64 &&
		    o->data[EI_DATA] == ELFDATA2LSB && e.e_machine == MACHINE;
	if (o->native)
		read_headers(o);
	return true;
}

void object_close(struct object *o)
{
	if (o->data)
		munmap((void *)(uintptr_t)o->data, o->bytes);
	*o = (struct object){ .data = NULL };
}

bool object_defines(const struct object *o, const char *name)
{
	Elf64_Ehdr e;
	Elf64_Shdr h, strings;
	Elf64_Sym s;
	if (!o->native || !header(o, &e) || e.e_shentsize != sizeof(h))
		return false;
	for (unsigned i = 0; i < e.e_shnum; i++) {
		const void *p = at(o, e.e_shoff + (uint64_t)i * sizeof(h), sizeof(h));
		if (!p)
			return false;
		memcpy(&h, p, sizeof(h));
		if (h.sh_type != SHT_DYNSYM || h.sh_link >= e.e_shnum)
			continue;
		p = at(o, e.e_shoff + (uint64_t)h.sh_link * sizeof(h), sizeof(h));
		if (!p)
			return false;
		memcpy(&strings, p, sizeof(strings));
		for (uint64_t k = 0; k < h.sh_size / sizeof(s); k++) {
			p = at(o, h.sh_offset + k * sizeof(s), sizeof(s));
			if (!p || strings.sh_offset > o->bytes)
				return false;
			memcpy(&s, p, sizeof(s));
			const char *found = text(o, strings.sh_offset + s.st_name);
			if (s.st_shndx != SHN_UNDEF && found && !strcmp(found, name))
				return true;
		}
	}
	return false;
}

void object_kind(const struct object *o, char *to, size_t n)
{
	unsigned machine = o->bytes >= 20 ? o->data[18] | (unsigned)o->data[19] << 8 : 0;
	if (o->bytes > EI_CLASS && o->data[EI_CLASS] == ELFCLASS32)
		snprintf(to, n, "32-bit");
	else
		snprintf(to, n, "for another machine (ELF machine %u)", machine);
}
