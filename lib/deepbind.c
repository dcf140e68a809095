/* SPDX-License-Identifier: MIT */
/*
 * deepbind.c - who looks into the C library first finds us there, too.
 *
 *   dlopen(plugin, RTLD_DEEPBIND)     its free would be libc's, libc's strdup
 *        |                            gives it one of our blocks
 *   libc's symbol table, once:  malloc, free, ... -> ours
 *        |
 *   the real dlopen, by a jump: its caller is still who called us
 *
 * The flag means the same as before for all other names; it is dropped where
 * libc's table cannot be written.  And libc's own names for malloc are ours:
 * the free of a program that wraps them would meet our posix_memalign's blocks.
 *
 * Invariants: other processes pay one jump; words of the table are written whole
 * and old and new are both right for other threads; nobody waits.
 * It refuses namespaces (dlmopen): a C library there keeps its own heap.
 */
#include "api.h"

#ifndef HZ_PREFIX

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static const char family[][20] = {
	"malloc", "calloc", "realloc", "free", "cfree", "memalign", "aligned_alloc", "valloc",
	"pvalloc", "posix_memalign", "malloc_usable_size", "malloc_trim", "malloc_info",
	"malloc_stats", "mallinfo", "mallinfo2", "mallopt", "free_sized", "free_aligned_sized",
	"__libc_malloc", "__libc_calloc", "__libc_realloc", "__libc_free", "__libc_memalign",
	"__libc_valloc", "__libc_pvalloc",
};
enum { COUNT = sizeof(family) / sizeof(*family) };

/* A loaded object's dynamic symbols. */
struct object {
	uintptr_t base;
	ElfW(Sym) *symbol;
	const char *name;
	const uint32_t *hash; /* GNU hash table */
	bool code; /* the tables lie in a segment that is executed */
};

static struct {
	void *(*next)(const char *path, int flags); /* the real one; release */
	struct object ours, libc; /* written before next, by whoever; constant */
	enum { NOT_YET, AT_WORK /* or in vain */, DONE } state; /* CAS */
} deep;

/* The definition of a name behind number *i, 0 for the first: there may be one
 * for each of several versions.  NULL after the last. */
static ElfW(Sym) *definition(const struct object *o, const char *name, uint32_t *i)
{
	const uint32_t *h = o->hash;
	const uint32_t *bucket = h + 4 + h[2] * (sizeof(ElfW(Addr)) / sizeof(*h));
	const uint32_t *chain = bucket + h[0] - h[1];
	uint32_t hash = 5381;
	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	uint32_t at = *i ? *i + 1 : h[0] ? bucket[hash % h[0]] : 0;
	for (bool last = *i ? chain[*i] & 1 : !at; !last; at++) {
		ElfW(Sym) *s = &o->symbol[at];
		last = chain[at] & 1;
		*i = at;
		const char *a = o->name + s->st_name, *b = name;
		while (*a && *a == *b)
			a++, b++;
		if ((chain[at] | 1) == (hash | 1) && s->st_shndx != SHN_UNDEF && *a == *b)
			return s;
	}
	return NULL;
}

static uintptr_t address_in(const struct object *o, const char *name)
{
	uint32_t i = 0;
	const ElfW(Sym) *s = definition(o, name, &i);
	return s ? o->base + s->st_value : 0;
}

/* False for an object without symbols to be found. */
static bool read_object(const struct dl_phdr_info *info, struct object *o)
{
	uintptr_t base = info->dlpi_addr, symbols = 0, names = 0, hash = 0;
	const ElfW(Phdr) *ph = info->dlpi_phdr, *end = ph + info->dlpi_phnum, *p = ph;
	while (p < end && p->p_type != PT_DYNAMIC)
		p++;
	for (const ElfW(Dyn) *d = (const void *)(base + p->p_vaddr); p < end && d->d_tag; d++) {
		/* Relocated by most loaders, not for all objects. */
		uintptr_t at = d->d_un.d_ptr + (d->d_un.d_ptr < base ? base : 0);
		symbols = d->d_tag == DT_SYMTAB ? at : symbols;
		names = d->d_tag == DT_STRTAB ? at : names;
		hash = d->d_tag == DT_GNU_HASH ? at : hash;
	}
	*o = (struct object){ base, (ElfW(Sym) *)symbols, (const char *)names,
			      (const uint32_t *)hash, false };
	for (p = ph; p < end; p++)
		if (p->p_type == PT_LOAD && symbols - base - p->p_vaddr < p->p_memsz)
			o->code = p->p_flags & PF_X;
	return symbols && names && hash;
}

/* In the order of loading: the program, what is preloaded, what they need.
 * next: the dlopen behind ours, 1 when ours was seen. */
static int look(struct dl_phdr_info *info, size_t size __attribute__((unused)), void *arg)
{
	struct object o;
	uintptr_t *next = arg;
	if (!read_object(info, &o))
		return 0;
	uintptr_t found = address_in(&o, "dlopen");
	if (found == (uintptr_t)dlopen) {
		deep.ours = o;
		*next = 1;
	} else if (found && *next == 1) {
		*next = found;
	}
	if (!deep.libc.hash && address_in(&o, "__libc_start_main"))
		deep.libc = o;
	return 0;
}

/* Whether libc's table says what ours does. */
static bool redirect(void)
{
	const struct object *libc = &deep.libc;
	uintptr_t from = UINTPTR_MAX, to = 0, ours;
	ElfW(Sym) *s;
	if (!libc->hash || libc->code)
		return false;
	for (size_t n = 0; n < COUNT; n++)
		for (uint32_t i = 0; (s = definition(libc, family[n], &i));) {
			from = hz_min(from, (uintptr_t)s & ~(hz_os_page_bytes() - 1));
			to = hz_max(to, (uintptr_t)(s + 1));
		}
	if (from >= to || !hz_os_commit((void *)from, to - from))
		return false;
	for (size_t n = 0; n < COUNT; n++)
		for (uint32_t i = 0; (s = definition(libc, family[n], &i));)
			if ((ours = address_in(&deep.ours, family[n])))
				hz_store(&s->st_value, ours - libc->base);
	uintptr_t page = hz_os_page_bytes();
	from &= ~(page - 1);
	hz_os_ask(SYS_mprotect, (long)from, (long)hz_round_up(to - from, page), PROT_READ, 0);
	return true;
}

/* Where a call goes on, in two registers. */
struct way {
	void *(*next)(const char *path, int flags);
	long flags;
};

static HZ_NOINLINE struct way way_of(int flags)
{
	uintptr_t next = (uintptr_t)hz_load_acquire(&deep.next);
	if (!next) {
		dl_iterate_phdr(look, &next);
		hz_store_release(&deep.next, (__typeof(deep.next))next);
	}
	__typeof(deep.state) state = NOT_YET;
	if (unlikely(flags & RTLD_DEEPBIND) &&
	    __atomic_compare_exchange_n(&deep.state, &state, AT_WORK, false, __ATOMIC_ACQUIRE,
					__ATOMIC_ACQUIRE)) {
		state = redirect() ? DONE : AT_WORK;
		hz_store_release(&deep.state, state);
	}
	return (struct way){ (__typeof(deep.next))next,
			     state == DONE ? flags : flags & ~RTLD_DEEPBIND };
}

/* Nothing here has an address: compilers make a jump of the call only then, and the
 * loader takes who called for the program whose RUNPATH and $ORIGIN count. */
HZ_EXPORT void *dlopen(const char *path, int flags)
{
	struct way way = way_of(flags);
	return way.next(path, (int)way.flags);
}

/* The C library's own names of the same. */
#define ALIAS(type, name, parameters, ...)       \
	HZ_EXPORT type __libc_##name parameters; \
	HZ_EXPORT type __libc_##name parameters { return name(__VA_ARGS__); }

ALIAS(void *, malloc, (size_t n), n)
ALIAS(void *, calloc, (size_t count, size_t each), count, each)
ALIAS(void *, realloc, (void *p, size_t n), p, n)
ALIAS(void *, memalign, (size_t align, size_t n), align, n)
ALIAS(void *, valloc, (size_t n), n)
ALIAS(void *, pvalloc, (size_t n), n)
ALIAS(void, free, (void *p), p)

#endif
