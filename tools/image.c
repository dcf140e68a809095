/* SPDX-License-Identifier: MIT */
/*
 * image.c - reading processes and cores, and finding a symbol in them.
 *
 *      maps -> ELF header in memory -> PT_DYNAMIC -> GNU hash -> symbol
 *
 * The ELF structures are read from the image itself, so a library that was
 * replaced on disk since is no trouble.  All counts taken from it are bounded
 * before use.
 */
#define _GNU_SOURCE
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	PHDRS_MAX = 64, /* program headers of a mapped file; usual are a dozen */
	CORE_PHDRS_MAX = 1 << 20,
	DYN_MAX = 512,
	BUCKETS_MAX = 1 << 22, /* libraries with most symbols have 2^17 */
	CHAIN_MAX = 1 << 12,
	PAGE = 4096,
};

static bool fail(struct image *m, const char *text)
{
	snprintf(m->why, sizeof(m->why), "%s", text);
	return false;
}

/* Mappings. */

static struct mapping *map_add(struct image *m)
{
	if (m->nmap % 256 == 0) {
		struct mapping *more = realloc(m->map, (m->nmap + 256) * sizeof(*more));
		if (!more)
			return NULL;
		m->map = more;
	}
	struct mapping *k = &m->map[m->nmap++];
	*k = (struct mapping){ .fd = -1 };
	return k;
}

static bool read_maps(struct image *m)
{
	char path[64], line[4352];
	snprintf(path, sizeof(path), "/proc/%d/maps", m->pid);
	FILE *f = fopen(path, "re");
	if (!f) {
		m->error = errno;
		return false;
	}
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end, offset;
		int at = 0;
		if (sscanf(line, "%lx-%lx %*4s %lx %*s %*s %n", &start, &end, &offset, &at) < 3)
			continue;
		struct mapping *k = map_add(m);
		if (!k)
			break;
		k->start = start, k->end = end, k->offset = offset;
		line[strcspn(line, "\n")] = 0;
		if (at && line[at] == '/')
			k->path = strdup(line + at);
	}
	fclose(f);
	return true;
}

bool image_open_process(struct image *m, int pid)
{
	char path[64];
	*m = (struct image){ .pid = pid, .pagemap = -1, .core_fd = -1 };
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return fail(m, "no such process");
	if (!fgets(m->name, sizeof(m->name), f))
		m->name[0] = 0;
	fclose(f);
	m->name[strcspn(m->name, "\n")] = 0;
	if (!read_maps(m))
		return fail(m, "not permitted: the process is another user's, or "
			       "kernel.yama.ptrace_scope forbids it; try as root");
	if (!m->nmap)
		return fail(m, "no memory: a kernel thread, or it has just ended");
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	m->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	return true;
}

/* Cores. */

static bool within(uint64_t at, uint64_t n, uint64_t of)
{
	return at <= of && n <= of - at;
}

/* NT_FILE: count, page size, {start, end, offset in pages}..., names. */
static void read_files(struct image *m, const uint8_t *note, size_t n)
{
	uint64_t head[2], row[3];
	if (n < sizeof(head))
		return;
	memcpy(head, note, sizeof(head));
	if (!head[1] || head[0] > (n - sizeof(head)) / sizeof(row))
		return;
	size_t name = sizeof(head) + head[0] * sizeof(row);
	for (uint64_t i = 0; i < head[0] && name < n; i++) {
		memcpy(row, note + sizeof(head) + i * sizeof(row), sizeof(row));
		size_t length = strnlen((const char *)note + name, n - name);
		struct mapping *k = map_add(m);
		if (!k || name + length >= n)
			return;
		k->start = row[0], k->end = row[1], k->offset = row[2] * head[1];
		k->path = strdup((const char *)note + name);
		name += length + 1;
	}
}

static void read_notes(struct image *m, const uint8_t *at, size_t n)
{
	while (n >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h;
		memcpy(&h, at, sizeof(h));
		uint64_t name = ((uint64_t)h.n_namesz + 3) & ~3ull;
		uint64_t desc = ((uint64_t)h.n_descsz + 3) & ~3ull;
		uint64_t all = sizeof(h) + name + desc;
		if (all > n)
			return;
		const uint8_t *text = at + sizeof(h) + name;
		if (h.n_type == NT_FILE)
			read_files(m, text, h.n_descsz);
		/* prpsinfo: the name is 16 bytes behind 40 others */
		if (h.n_type == NT_PRPSINFO && h.n_descsz >= 56)
			snprintf(m->name, sizeof(m->name), "%.15s", (const char *)text + 40);
		at += all;
		n -= all;
	}
}

/* A core may name anything as a mapped file: a pipe would keep us for ever. */
static int open_regular(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && (fstat(fd, st) || !S_ISREG(st->st_mode))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

bool image_open_core(struct image *m, const char *path, const char *exe)
{
	*m = (struct image){ .pagemap = -1, .exe = exe };
	struct stat st;
	m->core_fd = open_regular(path, &st);
	if (m->core_fd < 0)
		return fail(m, "cannot be opened");
	m->core_bytes = (size_t)st.st_size;
	off_t hole = lseek(m->core_fd, 0, SEEK_HOLE);
	m->holes = hole >= 0 && hole < st.st_size;
	void *p = m->core_bytes ? mmap(NULL, m->core_bytes, PROT_READ, MAP_PRIVATE, m->core_fd, 0)
				: MAP_FAILED;
	if (p == MAP_FAILED)
		return fail(m, "cannot be mapped");
	m->core = p;
	Elf64_Ehdr h;
	if (m->core_bytes < sizeof(h))
		return fail(m, "not a core file");
	memcpy(&h, m->core, sizeof(h));
	uint64_t n = h.e_phnum, dumped = 0;
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64 ||
	    h.e_type != ET_CORE || h.e_phentsize != sizeof(Elf64_Phdr))
		return fail(m, "not a 64-bit core file");
	if (n == PN_XNUM && within(h.e_shoff, sizeof(Elf64_Shdr), m->core_bytes)) {
		Elf64_Shdr s;
		memcpy(&s, m->core + h.e_shoff, sizeof(s));
		n = s.sh_info;
	}
	if (n > CORE_PHDRS_MAX || !within(h.e_phoff, n * sizeof(Elf64_Phdr), m->core_bytes))
		return fail(m, "a damaged core file");
	m->segment = calloc(n + 1, sizeof(*m->segment));
	if (!m->segment)
		return fail(m, "no memory");
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Phdr ph;
		memcpy(&ph, m->core + h.e_phoff + i * sizeof(ph), sizeof(ph));
		if (ph.p_offset >= m->core_bytes)
			continue;
		if (!within(ph.p_offset, ph.p_filesz, m->core_bytes))
			ph.p_filesz = m->core_bytes - ph.p_offset;
		if (ph.p_type == PT_NOTE)
			read_notes(m, m->core + ph.p_offset, ph.p_filesz);
		if (ph.p_type != PT_LOAD)
			continue;
		struct segment *s = &m->segment[m->nsegment++];
		*s = (struct segment){ ph.p_vaddr, ph.p_memsz,
				       ph.p_filesz < ph.p_memsz ? ph.p_filesz : ph.p_memsz,
				       ph.p_offset };
		dumped += s->dumped;
		if (dumped > m->core_bytes) /* no part of a file is in two places */
			return fail(m, "a damaged core file");
	}
	if (!m->nmap)
		return fail(m, "names no mapped files (no NT_FILE note)");
	return true;
}

void image_close(struct image *m)
{
	for (size_t i = 0; i < m->nmap; i++) {
		free(m->map[i].path);
		if (m->map[i].fd >= 0)
			close(m->map[i].fd);
	}
	free(m->map);
	free(m->segment);
	if (m->core)
		munmap((void *)(uintptr_t)m->core, m->core_bytes);
	if (m->pagemap >= 0)
		close(m->pagemap);
	if (m->core_fd >= 0)
		close(m->core_fd);
	m->core_fd = -1;
	m->map = NULL;
	m->segment = NULL;
	m->core = NULL;
	m->pagemap = -1;
}

/* The part of [at, at+n) that one mapped file of a core's process holds. */
static size_t read_file(struct image *m, uint64_t at, uint8_t *to, size_t n)
{
	for (size_t i = 0; i < m->nmap; i++) {
		struct mapping *k = &m->map[i];
		if (at < k->start || at >= k->end)
			continue;
		if (k->fd == -1) {
			struct stat st;
			const char *first = m->map[0].path, *path = k->path;
			if (m->exe && path && first && !strcmp(path, first))
				path = m->exe;
			k->fd = path ? open_regular(path, &st) : -1;
			if (k->fd < 0)
				k->fd = -2;
		}
		if (n > k->end - at)
			n = k->end - at;
		ssize_t got = k->fd < 0 ? -1
					: pread(k->fd, to, n, (off_t)(k->offset + at - k->start));
		return got > 0 ? (size_t)got : 0;
	}
	return 0;
}

static size_t read_core(struct image *m, uint64_t at, uint8_t *to, size_t n)
{
	for (size_t i = 0; i < m->nsegment; i++) {
		const struct segment *s = &m->segment[i];
		uint64_t off = at - s->start;
		if (at < s->start || off >= s->dumped)
			continue;
		if (n > s->dumped - off)
			n = s->dumped - off;
		memcpy(to, m->core + s->offset + off, n);
		return n;
	}
	return read_file(m, at, to, n);
}

bool image_read(struct image *m, uint64_t at, void *to, size_t n)
{
	uint8_t *p = to;
	while (n) {
		ssize_t got;
		if (m->pid) {
			struct iovec ours = { p, n }, theirs = { (void *)(uintptr_t)at, n };
			got = process_vm_readv(m->pid, &ours, 1, &theirs, 1, 0);
			if (got <= 0)
				m->error = got ? errno : EFAULT;
		} else {
			got = (ssize_t)read_core(m, at, p, n);
			m->error = EFAULT;
		}
		if (got <= 0)
			return false;
		p += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

/* ELF. */

static uint32_t gnu_hash(const char *s)
{
	uint32_t h = 5381;
	for (; *s; s++)
		h = h * 33 + (unsigned char)*s;
	return h;
}

struct dynamic {
	uint64_t hash, symtab, strtab, strsz, bias;
};

/* In memory the loader may have made addresses of these, or not. */
static uint64_t absolute(uint64_t value, uint64_t bias, uint64_t low)
{
	return value < low ? value + bias : value;
}

static bool read_dynamic(struct image *m, uint64_t base, struct dynamic *d)
{
	Elf64_Ehdr h;
	Elf64_Phdr ph[PHDRS_MAX];
	if (!image_read(m, base, &h, sizeof(h)) || memcmp(h.e_ident, ELFMAG, SELFMAG) ||
	    h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_phentsize != sizeof(*ph) ||
	    h.e_phnum > PHDRS_MAX || (h.e_type != ET_DYN && h.e_type != ET_EXEC) ||
	    !image_read(m, base + h.e_phoff, ph, h.e_phnum * sizeof(*ph)))
		return false;
	const Elf64_Phdr *dyn = NULL, *first = NULL;
	for (int i = 0; i < h.e_phnum; i++) {
		/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) read above */
		if (ph[i].p_type == PT_DYNAMIC)
			dyn = &ph[i];
		if (ph[i].p_type == PT_LOAD && (!first || ph[i].p_vaddr < first->p_vaddr))
			first = &ph[i];
	}
	if (!dyn || !first)
		return false;
	Elf64_Dyn e[DYN_MAX];
	size_t n = dyn->p_memsz / sizeof(*e);
	n = n < DYN_MAX ? n : DYN_MAX;
	*d = (struct dynamic){ .bias = base - (first->p_vaddr & ~(uint64_t)(PAGE - 1)) };
	if (!image_read(m, d->bias + dyn->p_vaddr, e, n * sizeof(*e)))
		return false;
	for (size_t i = 0; i < n && e[i].d_tag != DT_NULL; i++) {
		uint64_t at = absolute(e[i].d_un.d_ptr, d->bias, base);
		switch (e[i].d_tag) {
		case DT_GNU_HASH: d->hash = at; break;
		case DT_SYMTAB: d->symtab = at; break;
		case DT_STRTAB: d->strtab = at; break;
		case DT_STRSZ: d->strsz = e[i].d_un.d_val; break;
		default: break;
		}
	}
	return d->hash && d->symtab && d->strtab;
}

static uint64_t look_up(struct image *m, const struct dynamic *d, const char *name)
{
	uint32_t head[4], index, h = gnu_hash(name); /* buckets, first, bloom words, shift */
	if (!image_read(m, d->hash, head, sizeof(head)) || !head[0] || head[0] > BUCKETS_MAX ||
	    head[2] > BUCKETS_MAX)
		return 0;
	uint64_t buckets = d->hash + sizeof(head) + 8ull * head[2];
	uint64_t chains = buckets + 4ull * head[0];
	if (!image_read(m, buckets + 4ull * (h % head[0]), &index, 4) || index < head[1])
		return 0;
	for (int i = 0; i < CHAIN_MAX; i++, index++) {
		uint32_t link;
		Elf64_Sym s;
		char text[64];
		size_t n = strlen(name) + 1;
		if (!image_read(m, chains + 4ull * (index - head[1]), &link, 4))
			return 0;
		if ((link | 1) == (h | 1) &&
		    image_read(m, d->symtab + (uint64_t)index * sizeof(s), &s, sizeof(s)) &&
		    s.st_shndx != SHN_UNDEF && s.st_name < d->strsz && n <= sizeof(text) &&
		    image_read(m, d->strtab + s.st_name, text, n) && !memcmp(text, name, n))
			return d->bias + s.st_value;
		if (link & 1)
			return 0;
	}
	return 0;
}

uint64_t image_symbol(struct image *m, const char *name)
{
	for (size_t i = 0; i < m->nmap; i++) {
		struct dynamic d;
		if (!m->map[i].path || m->map[i].offset || !read_dynamic(m, m->map[i].start, &d))
			continue;
		uint64_t at = look_up(m, &d, name);
		if (at)
			return at;
	}
	return 0;
}

/* Pages. */

static bool all_zero(const uint8_t *p, size_t n)
{
	return !p[0] && !memcmp(p, p + 1, n - 1);
}

/* The stretch of the file from `at` on that is no hole: [data, hole). */
struct extent {
	uint64_t data, hole;
};

static bool has_data(const struct image *m, struct extent *e, uint64_t from, uint64_t to)
{
	if (from >= e->hole) {
		off_t data = lseek(m->core_fd, (off_t)from, SEEK_DATA);
		off_t hole = data < 0 ? data : lseek(m->core_fd, data, SEEK_HOLE);
		e->data = data < 0 ? UINT64_MAX : (uint64_t)data;
		e->hole = hole < 0 ? UINT64_MAX : (uint64_t)hole;
	}
	return e->data < to;
}

static bool core_pages(struct image *m, uint64_t at, size_t n, uint8_t *state)
{
	memset(state, 0, n);
	for (size_t i = 0; i < m->nsegment; i++) {
		const struct segment *s = &m->segment[i];
		struct extent extent = { 0, 0 };
		/* Offsets within the segment, which lies within the file: no sum wraps. */
		uint64_t skip = s->start < at ? at - s->start : 0;
		uint64_t lead = s->start > at ? s->start - at : 0;
		for (; skip < s->dumped && s->dumped - skip >= PAGE && lead / PAGE < n;
		     skip += PAGE, lead += PAGE) {
			uint64_t from = s->offset + skip;
			bool exact = m->holes && from % PAGE == 0;
			if (exact ? has_data(m, &extent, from, from + PAGE)
				  : !all_zero(m->core + from, PAGE))
				state[lead / PAGE] = PAGE_PRESENT;
		}
	}
	return true;
}

/* PAGEMAP_SCAN, Linux 6.7: ranges instead of 8 bytes a page, and it knows the
 * page of zeros, which is present and not in the resident set.  Spelt out,
 * because headers are older than kernels. */
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, any_of, wanted;
};

struct region {
	uint64_t start, end, categories;
};

enum { IS_PRESENT = 1 << 3, IS_SWAPPED = 1 << 4, IS_ZERO_PAGE = 1 << 5 };
#define SCAN _IOWR('f', 16, struct scan)

static bool scan_pages(struct image *m, uint64_t at, size_t n, uint8_t *state)
{
	enum { REGIONS = 4096 };
	static struct region region[REGIONS];
	uint64_t end = at + (uint64_t)n * PAGE;
	struct scan s = { .size = sizeof(s), .start = at, .end = end,
			  .vec = (uintptr_t)region, .vec_len = REGIONS,
			  .any_of = IS_PRESENT | IS_SWAPPED,
			  .wanted = IS_PRESENT | IS_SWAPPED | IS_ZERO_PAGE };
	while (s.start < end) {
		int got = ioctl(m->pagemap, SCAN, &s);
		if (got < 0 || got > REGIONS || s.walk_end <= s.start || s.walk_end > end)
			return false;
		for (int i = 0; i < got; i++) {
			const struct region *r = &region[i];
			if (r->start < at || r->end > end || r->start > r->end)
				return false;
			uint8_t v = r->categories & IS_SWAPPED	 ? PAGE_SWAPPED
				    : r->categories & IS_ZERO_PAGE ? 0
								   : PAGE_PRESENT;
			memset(state + (r->start - at) / PAGE, v, (r->end - r->start) / PAGE);
		}
		s.start = s.walk_end;
	}
	return true;
}

/* An older kernel's word for a page that is of no file and not the process's
 * alone: shared with a forked one, or that of zeros. */
static bool zero_page(struct image *m, uint64_t at, size_t kernel)
{
	uint8_t page[PAGE];
	for (at -= at % kernel; kernel; kernel -= PAGE, at += PAGE)
		if (!image_read(m, at, page, PAGE) || !all_zero(page, PAGE))
			return false;
	return true;
}

bool image_pages(struct image *m, uint64_t at, size_t n, uint8_t *state)
{
	enum { CHUNK = 8192 };
	static uint64_t entry[CHUNK];
	if (!m->pid)
		return core_pages(m, at, n, state);
	size_t kernel = (size_t)sysconf(_SC_PAGESIZE), ratio = kernel / PAGE;
	memset(state, 0, n);
	if (m->pagemap >= 0 && ratio == 1 && scan_pages(m, at, n, state))
		return true;
	memset(state, 0, n);
	for (size_t done = 0; done < n;) {
		uint64_t first = (at + done * PAGE) / kernel;
		size_t want = (n - done + ratio - 1) / ratio + 1;
		want = want < CHUNK ? want : CHUNK;
		ssize_t got = m->pagemap < 0 ? -1
					     : pread(m->pagemap, entry, want * 8, (off_t)(first * 8));
		if (got < 8)
			return false;
		for (; done < n; done++) {
			uint64_t i = (at + done * PAGE) / kernel - first;
			if (i >= (uint64_t)got / 8)
				break;
			state[done] = (uint8_t)((entry[i] >> 63 & 1) * PAGE_PRESENT |
						(entry[i] >> 62 & 1) * PAGE_SWAPPED);
			if (state[done] & PAGE_PRESENT && !(entry[i] >> 56 & 1) &&
			    !(entry[i] >> 61 & 1) && zero_page(m, at + done * PAGE, kernel))
				state[done] = 0;
		}
	}
	return true;
}

bool image_rss(struct image *m, struct image_rss *r)
{
	char path[64], line[256];
	*r = (struct image_rss){ 0 };
	if (!m->pid)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", m->pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		unsigned long kib;
		if (sscanf(line, "Rss: %lu", &kib) == 1)
			r->rss = (uint64_t)kib << 10;
		else if (sscanf(line, "Pss: %lu", &kib) == 1)
			r->pss = (uint64_t)kib << 10;
		else if (sscanf(line, "Swap: %lu", &kib) == 1)
			r->swap = (uint64_t)kib << 10;
	}
	fclose(f);
	return r->rss != 0;
}
