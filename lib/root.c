/* SPDX-License-Identifier: MIT */
/*
 * root.c - hz_root: names, offsets and addresses, all constant.
 *
 *      FIELD(run, hz_run, span)  ->  { "run.span", offsetof, sizeof }
 *      OBJECT(arenas, hz_arenas) ->  { "arenas", &hz_arenas }
 *
 * The table of fields has no address in it and stays in read-only memory
 * shared by all processes; the objects cost the loader one addition each.
 *
 * Who may call: nobody; hz-stat and debuggers read it.
 * It refuses to be complete: what no reader needs is not named.
 */
#include "root.h"

#include "large.h"
#include "pressure.h"
#include "waste.h"

#define FIELD(name, type, member)                                         \
	{ #name "." #member, offsetof(struct type, member),               \
	  sizeof(((struct type *)0)->member) },
#define SIZE(name, type) { #name ".size", sizeof(struct type), 0 },
#define NUMBER(name, value) { name, value, 0 },

static const struct hz_root_field fields[] = {
	NUMBER("page.bytes", HZ_PAGE)
	NUMBER("classes", HZ_CLASSES)
	NUMBER("records.first", HZ_META_FIRST_BYTES)
	NUMBER("tag.owner_shift", HZ_TAG_OWNER_SHIFT)
	NUMBER("tag.offset_first", HZ_OFFSET_FIRST)
	NUMBER("tag.offset_step", HZ_OFFSET_STEP)
	NUMBER("state.clean", HZ_RUN_CLEAN)
	NUMBER("state.dirty", HZ_RUN_DIRTY)
	NUMBER("state.busy", HZ_RUN_BUSY)
	NUMBER("state.slab", HZ_RUN_SLAB)
	NUMBER("state.large", HZ_RUN_LARGE)
	NUMBER("heap.idle", HZ_HEAP_IDLE)
	NUMBER("outbox.slots", HZ_OUTBOX_SLOTS)
	NUMBER("batch.rounds", HZ_LANE_BATCH_ROUNDS)
	NUMBER("mag.rounds", HZ_LANE_MAG_ROUNDS_MAX)
	NUMBER("mark.bytes", HZ_LANE_MARK_BYTES)
	NUMBER("waste.built", HZ_WASTE_BUILT)
	NUMBER("waste.classes", HZ_WASTE_CLASSES)
	SIZE(class, hz_class)
	FIELD(class, hz_class, bytes)
	FIELD(class, hz_class, pages)
	FIELD(class, hz_class, blocks)
	SIZE(arena, hz_arena)
	FIELD(arena, hz_arena, start)
	FIELD(arena, hz_arena, base)
	FIELD(arena, hz_arena, reserved_bytes)
	FIELD(arena, hz_arena, pages_top)
	FIELD(arena, hz_arena, table_low)
	FIELD(arena, hz_arena, runs_next)
	FIELD(arena, hz_arena, runs_high)
	SIZE(run, hz_run)
	FIELD(run, hz_run, span)
	FIELD(run, hz_run, state)
	FIELD(run, hz_run, class_no)
	FIELD(run, hz_run, carved)
	FIELD(run, hz_run, nfree)
	FIELD(run, hz_run, owner)
	FIELD(run, hz_run, bytes)
	FIELD(run, hz_run, bits)
	SIZE(heap, hz_heap)
	FIELD(heap, hz_heap, next)
	FIELD(heap, hz_heap, tls)
	FIELD(heap, hz_heap, state)
	FIELD(heap, hz_heap, tag)
	FIELD(heap, hz_heap, array)
	FIELD(heap, hz_heap, under)
	FIELD(heap, hz_heap, inbox)
	FIELD(heap, hz_heap, box)
	FIELD(heap, hz_heap, counts)
	FIELD(counts, hz_heap_counts, refills)
	FIELD(counts, hz_heap_counts, epochs)
	FIELD(counts, hz_heap_counts, taken)
	FIELD(counts, hz_heap_counts, returned)
	FIELD(counts, hz_heap_counts, closed_blocks)
	FIELD(counts, hz_heap_counts, drained)
	FIELD(counts, hz_heap_counts, refills_inbox)
	FIELD(counts, hz_heap_counts, refills_slabs)
	FIELD(counts, hz_heap_counts, adopted)
	FIELD(counts, hz_heap_counts, opened)
	FIELD(counts, hz_heap_counts, drained_for)
	FIELD(counts, hz_heap_counts, kept)
	SIZE(tls, hz_tls)
	FIELD(tls, hz_tls, mag)
	SIZE(mag, hz_mag)
	FIELD(mag, hz_mag, top)
	SIZE(slot, hz_slot)
	FIELD(slot, hz_slot, next)
	FIELD(slot, hz_slot, batch)
	SIZE(batch, hz_batch)
	FIELD(batch, hz_batch, next)
	FIELD(batch, hz_batch, count)
	FIELD(batch, hz_batch, blocks)
	SIZE(direct, hz_direct)
	FIELD(direct, hz_direct, base)
	FIELD(direct, hz_direct, bytes)
	SIZE(piece, hz_meta_piece)
	FIELD(piece, hz_meta_piece, next)
	FIELD(piece, hz_meta_piece, bytes)
	FIELD(runs, hz_run_counts, used_pages)
	FIELD(runs, hz_run_counts, dirty_pages)
	FIELD(runs, hz_run_counts, peak_pages)
	FIELD(runs, hz_run_counts, reused)
	FIELD(runs, hz_run_counts, fresh)
	FIELD(runs, hz_run_counts, grown)
	FIELD(runs, hz_run_counts, stock)
	FIELD(os, hz_os_counts, map)
	FIELD(os, hz_os_counts, unmap)
	FIELD(os, hz_os_counts, commit)
	FIELD(os, hz_os_counts, purge)
	FIELD(os, hz_os_counts, purge_bytes)
	FIELD(os, hz_os_counts, refused)
	FIELD(pressure, hz_pressure_counts, events)
	FIELD(pressure, hz_pressure_counts, purged_pages)
	FIELD(pressure, hz_pressure_counts, looks)
	FIELD(pressure, hz_pressure_counts, nears)
	FIELD(pressure, hz_pressure_counts, wakes)
	FIELD(large, hz_large_counts, allocs)
	FIELD(large, hz_large_counts, frees)
	FIELD(large, hz_large_counts, reused)
	FIELD(waste, hz_waste, req)
	FIELD(waste, hz_waste, alloc)
	SIZE(waste, hz_waste)
};

extern const struct hz_root hz_root;

HZ_EXPORT const struct hz_root hz_root = {
	.magic = HZ_ROOT_MAGIC,
	.version = HZ_ROOT_VERSION,
	.bytes = sizeof(struct hz_root),
	.library = PACKAGE_VERSION,
	.lane = HZ_LANE_SELF,
	.fields = fields,
	.nfields = sizeof(fields) / sizeof(*fields),
	.nobjects = HZ_ROOT_OBJECTS,
	.objects = {
		{ "arenas", hz_arenas }, /* pointers to arenas */
		{ "arenas_count", &hz_arenas_count },
		{ "classes", hz_classes },
		{ "heaps", &hz_heap_list }, /* address of a pointer to the first */
		{ "direct_table", &hz_large_table }, /* pointer to its entries */
		{ "direct_entries", &hz_large_entries },
		{ "pieces", &hz_meta_pieces },
		{ "runs", &hz_run_counts },
		{ "os", &hz_os_counts },
		{ "pressure", &hz_pressure_counts },
		{ "large", &hz_large_counts },
		{ "remote", &hz_remote_batches },
		{ "waste", hz_waste },
		{ "boxes", &hz_option.boxes },
	},
};
