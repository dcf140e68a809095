/* SPDX-License-Identifier: MIT */
/*
 * names.c - from the symbol hz_root to offsets and addresses.
 *
 *      hz_root -> fields { "run.span", 0 } -> names.run_span
 *              -> objects { "arenas", at } -> objects.arenas
 *
 * Everything is found by name, so a library may add and move members without
 * a new version.  Offsets are checked against the sizes that came with them:
 * a damaged root must not make us read beyond our own buffers.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "../lib/root.h"
#include "walk.h"

enum {
	FIELDS_MAX = 1024,
	RUN_BYTES_MAX = 1024,
	HEAP_BYTES_MAX = 1 << 16,
	VALUE_MAX = 1 << 24, /* any offset, size or constant */
};

static bool equal(const char *name, const char *ours)
{
	for (; *ours; name++, ours++)
		if (*name != *ours && !(*name == '.' && *ours == '_'))
			return false;
	return !*name;
}

static enum heap_result unreadable(struct image *m)
{
	return problem(m, HEAP_DAMAGED,
		       m->pid ? "its libhz root object cannot be read"
			      : "its libhz root object is neither in the core nor in a file that "
				"the core names: moved? (--exe)");
}

static enum heap_result find_names(struct walk *w, const struct hz_root *root)
{
	static struct hz_root_field field[FIELDS_MAX];
	enum { /* a byte for each */
#define X(name) char name;
		NEEDED = sizeof(struct { NAMES(X) })
#undef X
	};
	static const char *const names[] = {
#define X(name) #name,
		NAMES(X) LATER_NAMES(X)
#undef X
	};
	static const char *const objects[] = {
#define X(name) #name,
		OBJECTS(X)
#undef X
	};
	uint32_t *offset = (uint32_t *)(void *)&w->n;
	uint64_t *address = (uint64_t *)(void *)&w->o;
	/* A newer library may have more objects than we know places for. */
	uint32_t nobjects = root->nobjects < HZ_ROOT_OBJECTS ? root->nobjects : HZ_ROOT_OBJECTS;
	if (root->nfields > FIELDS_MAX)
		return problem(w->m, HEAP_DAMAGED, "its libhz root object is damaged");
	if (!image_read(w->m, (uint64_t)(uintptr_t)root->fields, field,
			root->nfields * sizeof(*field)))
		return unreadable(w->m);
	for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
		uint32_t i = 0;
		for (; i < root->nfields; i++) {
			field[i].name[HZ_ROOT_NAME - 1] = 0;
			if (equal(field[i].name, names[k]))
				break;
		}
		offset[k] = i < root->nfields ? field[i].offset : ABSENT;
		/* No sum of these can wrap. */
		if (i < root->nfields && offset[k] > VALUE_MAX)
			return problem(w->m, HEAP_DAMAGED, "its libhz root object is damaged");
		if (i == root->nfields && k < NEEDED) {
			snprintf(w->m->why, sizeof(w->m->why),
				 "its libhz does not describe \"%s\": too old or too new",
				 names[k]);
			return HEAP_NEWER;
		}
	}
	for (size_t k = 0; k < sizeof(objects) / sizeof(*objects); k++)
		for (uint32_t i = 0; i < nobjects; i++)
			if (!strncmp(root->objects[i].name, objects[k], HZ_ROOT_NAME))
				address[k] = (uint64_t)(uintptr_t)root->objects[i].address;
	return HEAP_OK;
}

/* Whether every member lies within its structure. */
static bool sane(const struct names *n)
{
	const uint32_t in_run[] = { n->run_span, n->run_state, n->run_class_no, n->run_carved,
				    n->run_nfree, n->run_owner, n->run_bytes };
	const uint32_t counts[] = { n->counts_taken, n->counts_returned, n->counts_closed_blocks,
				    n->counts_refills, n->counts_refills_inbox,
				    n->counts_refills_slabs, n->counts_adopted, n->counts_opened,
				    n->counts_drained_for, n->counts_kept };
	for (size_t i = 0; i < sizeof(in_run) / sizeof(*in_run); i++)
		if (in_run[i] > RUN_BYTES_MAX - 8 || in_run[i] + 8 > n->run_size + 7)
			return false;
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		if (counts[i] != ABSENT && n->heap_counts + counts[i] + 8 > n->heap_size)
			return false;
	return n->run_size >= 64 && n->run_size <= RUN_BYTES_MAX && n->classes &&
	       n->classes <= CLASSES_MAX && n->run_bits + BITS_MAX / 8 <= n->run_size &&
	       n->class_size >= 4 && n->class_size <= 64 && n->class_bytes + 4 <= n->class_size &&
	       n->class_pages + 2 <= n->class_size && n->class_blocks + 2 <= n->class_size &&
	       n->arena_size <= 4096 && n->arena_start + 8 <= n->arena_size &&
	       n->arena_base + 8 <= n->arena_size && n->arena_reserved_bytes + 8 <= n->arena_size &&
	       n->arena_pages_top + 4 <= n->arena_size && n->arena_table_low + 8 <= n->arena_size &&
	       n->arena_runs_next + 8 <= n->arena_size && n->arena_runs_high + 8 <= n->arena_size &&
	       n->heap_size <= HEAP_BYTES_MAX && n->heap_next + 8 <= n->heap_size &&
	       n->heap_tls + 8 <= n->heap_size && n->heap_state + 4 <= n->heap_size &&
	       n->heap_tag + 4 <= n->heap_size && n->tag_owner_shift < 32 &&
	       n->heap_array + 8 * n->classes <= n->heap_size &&
	       (n->heap_under == ABSENT || n->heap_under + 8 * n->classes <= n->heap_size) &&
	       n->heap_inbox + 8 <= n->heap_size && n->outbox_slots <= 1024 &&
	       n->slot_size <= 256 && n->slot_next + 8 <= n->slot_size &&
	       n->slot_batch + 8 <= n->slot_size &&
	       n->heap_box + n->outbox_slots * n->slot_size <= n->heap_size &&
	       n->tls_size <= 1 << 14 && n->mag_size <= 64 && n->mag_top + 8 <= n->mag_size &&
	       n->tls_mag + n->classes * n->mag_size <= n->tls_size &&
	       n->batch_size <= BATCH_MAX && n->batch_rounds <= 4096 && n->mag_rounds <= ROUNDS_MAX &&
	       n->batch_next + 8 <= n->batch_size && n->batch_count + 4 <= n->batch_size &&
	       n->batch_blocks + 8 * n->batch_rounds <= n->batch_size &&
	       n->direct_size <= 64 && n->direct_base + 8 <= n->direct_size &&
	       n->direct_bytes + 8 <= n->direct_size && n->waste_classes <= WASTE_MAX &&
	       n->waste_size <= 64 && n->waste_req + 8 <= n->waste_size &&
	       n->waste_alloc + 8 <= n->waste_size;
}

enum heap_result find_root(struct walk *w)
{
	struct hz_root root = { .magic = "" };
	w->m->error = 0;
	uint64_t at = image_symbol(w->m, "hz_root");
	if (!at && w->m->error == EPERM)
		return problem(w->m, HEAP_DENIED,
			       "not permitted: the process is another user's, or "
			       "kernel.yama.ptrace_scope forbids it; try as root");
	if (!at && w->m->error == ESRCH)
		return problem(w->m, HEAP_NONE, "no such process");
	if (!at)
		return problem(w->m, HEAP_NONE, "no libhz in it");
	if (!image_read(w->m, at, &root, offsetof(struct hz_root, library)))
		return unreadable(w->m);
	if (memcmp(root.magic, HZ_ROOT_MAGIC, sizeof(root.magic)))
		return problem(w->m, HEAP_DAMAGED, "its libhz root object is damaged");
	if (root.version > HZ_ROOT_VERSION) {
		snprintf(w->m->why, sizeof(w->m->why),
			 "its libhz has root version %u, this hz-stat knows %d: too new",
			 root.version, HZ_ROOT_VERSION);
		return HEAP_NEWER;
	}
	if (root.bytes < offsetof(struct hz_root, objects) ||
	    !image_read(w->m, at, &root, root.bytes < sizeof(root) ? root.bytes : sizeof(root)))
		return problem(w->m, HEAP_DAMAGED, "its libhz root object is damaged");
	memcpy(w->a->library, root.library, sizeof(root.library));
	memcpy(w->a->lane, root.lane, sizeof(root.lane));
	w->a->version = root.version;
	enum heap_result r = find_names(w, &root);
	if (r == HEAP_OK && !sane(&w->n))
		return problem(w->m, HEAP_DAMAGED, "its libhz root object is damaged");
	return r;
}
