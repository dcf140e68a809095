/* SPDX-License-Identifier: MIT */
/*
 * report.c - where the heap's memory is: one walk, the figures of hz_report.
 *
 *   runs    (arena lock)   used, dirty, clean, slabs: free, fresh, tail
 *   heaps   (their locks)  blocks in magazines
 *   inboxes, outboxes      blocks under way
 *   live    what is left of the slabs
 *
 * Reads every layer, writes none.  At rest the equations of hz.h hold exactly;
 * beside running threads each figure is right for some instant of the call.
 *
 * Who may call: anybody outside the library; no layer below includes this.
 * It refuses to allocate and to hold a lock while it writes.
 */
#include "report.h"

#include <errno.h>
#include <hz/hz.h>

#include "large.h"
#include "pressure.h"

HZ_EXPORT const char *hz_version(void)
{
	return PACKAGE_VERSION;
}

HZ_EXPORT const char *hz_lane(void)
{
	return HZ_LANE_NAME;
}

static bool add_run(struct hz_run *s, void *arg)
{
	struct hz_report *r = arg;
	uint64_t bytes = (uint64_t)hz_run_pages(s) << HZ_PAGE_SHIFT;
	switch (hz_load(&s->state)) {
	case HZ_RUN_CLEAN:
		r->clean += bytes;
		break;
	case HZ_RUN_DIRTY:
	case HZ_RUN_BUSY:
		r->dirty += bytes;
		break;
	case HZ_RUN_LARGE:
		r->large += bytes;
		r->live_large += hz_load(&s->bytes);
		r->large_blocks++;
		break;
	case HZ_RUN_SLAB: {
		uint64_t block = s->block_bytes;
		unsigned nfree = hz_load(&s->nfree), carved = hz_load(&s->carved);
		r->slab += bytes;
		r->slabs++;
		r->free_blocks += nfree * block;
		r->fresh += (s->blocks - carved) * block;
		r->tail += bytes - s->blocks * block;
		break;
	}
	default:
		break;
	}
	return true;
}

static uint64_t bytes_at(const void *p)
{
	uint32_t tag = hz_tag_of(p);
	return tag < HZ_TAG_OWNER_ONE
		       ? 0
		       : hz_classes[hz_class_of_offset(tag & (HZ_TAG_OWNER_ONE - 1))].bytes;
}

static uint64_t bytes_under_way(const struct hz_heap *h)
{
	uint64_t bytes = 0;
	/* A batch may be taken and reused under our eyes: bounded, not trusted. */
	size_t most = hz_load(&hz_remote_counts.batches);
	for (struct hz_batch *b = hz_load_acquire(&h->inbox.head); b && most--; b = hz_load(&b->next)) {
		uint32_t n = hz_load(&b->count);
		for (uint32_t i = 0; i < n && i < HZ_LANE_BATCH_ROUNDS; i++)
			bytes += bytes_at(hz_load(&b->blocks[i]));
	}
	for (unsigned i = 0; i < HZ_OUTBOX_SLOTS; i++) {
		const struct hz_slot *slot = &h->box.slot[i];
		struct hz_batch *b = hz_load(&slot->batch);
		size_t n = b ? (size_t)(hz_load_acquire(&slot->next) - b->blocks) : 0;
		for (size_t k = 0; k < n && n <= HZ_LANE_BATCH_ROUNDS; k++)
			bytes += bytes_at(hz_load(&b->blocks[k]));
	}
	return bytes;
}

static void fill(struct hz_report *r)
{
	hz_lock(&hz_arena_lock);
	for (uint32_t i = 0; i < hz_arenas_count; i++) {
		r->reserved += hz_arenas[i]->reserved_bytes;
		r->committed += (uint64_t)hz_arenas[i]->pages_top << HZ_PAGE_SHIFT;
	}
	hz_run_walk(add_run, r);
	hz_unlock(&hz_arena_lock);
	r->used = r->slab + r->large;
	for (struct hz_heap *h = hz_heap_first(); h; h = h->next) {
		size_t blocks = 0;
		r->cached += hz_heap_magazine_bytes(h, &blocks);
		r->cached_blocks += blocks;
		r->remote += bytes_under_way(h);
		r->adopted += hz_load(&h->counts.adopted);
		r->handed_over += hz_load(&h->box.sent);
		r->heaps++;
	}
	uint64_t held = r->free_blocks + r->fresh + r->tail + r->cached + r->remote;
	r->live_small = r->slab > held ? r->slab - held : 0;
	r->direct = hz_load(&hz_large_counts.direct_bytes);
	r->live_large += r->direct;
	r->large_blocks += hz_load(&hz_large_counts.direct_blocks);
	size_t meta, committed;
	hz_meta_observe(&meta, &committed);
	r->metadata = meta;
	r->threads = hz_heap_live();
	r->purged = hz_load(&hz_os_counts.purge_bytes);
	r->system_calls = hz_load(&hz_os_counts.map) + hz_load(&hz_os_counts.unmap) +
			  hz_load(&hz_os_counts.commit) + hz_load(&hz_os_counts.purge) +
			  hz_load(&hz_os_counts.refused);
}

HZ_EXPORT int hz_report_get(struct hz_report *report, size_t size)
{
	if (!report || size < sizeof(report->size)) {
		errno = EINVAL;
		return -1;
	}
	struct hz_report r = { 0 };
	hz_heap_enter();
	fill(&r);
	r.size = hz_min(size, sizeof(r));
	__builtin_memcpy(report, &r, r.size);
	return 0;
}

HZ_EXPORT size_t hz_purge(void)
{
	if (!hz_load(&hz_hot.small_limit))
		return 0;
	hz_heap_enter();
	hz_observed(HZ_EVENT_PRESSURE);
	hz_heap_flush_own();
	hz_heap_drain_all();
	return hz_pressure_purge_all() << HZ_PAGE_SHIFT;
}

/* Text. */

void hz_text_word(struct hz_text *t, const char *word)
{
	while (*word && t->used < sizeof(t->line) - 1)
		t->line[t->used++] = *word++;
}

void hz_text_number(struct hz_text *t, uint64_t n, unsigned width)
{
	char digits[24];
	char *at = digits + sizeof(digits) - 1;
	*at = 0;
	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	while (at > digits && (size_t)(digits + sizeof(digits) - 1 - at) < width)
		*--at = ' ';
	hz_text_word(t, at);
}

void hz_text_end(struct hz_text *t)
{
	t->line[t->used++] = '\n';
	t->sink(t, t->used);
	t->used = 0;
}

static void to_fd(struct hz_text *t, size_t n)
{
	hz_os_write(t->fd, t->line, n);
}

/* A name and a number in columns. */
static void column(struct hz_text *t, const char *name, uint64_t n)
{
	size_t from = t->used;
	hz_text_word(t, "  ");
	hz_text_word(t, name);
	while (t->used < from + 16)
		hz_text_word(t, " ");
	hz_text_number(t, n, 10);
}

static void row(struct hz_text *t, const char *name, uint64_t bytes, const char *what)
{
	column(t, name, bytes >> 10);
	hz_text_word(t, " KiB  ");
	hz_text_word(t, what);
	hz_text_end(t);
}

static void count(struct hz_text *t, const char *name, uint64_t n)
{
	column(t, name, n);
	hz_text_end(t);
}

HZ_EXPORT int hz_report_write(int fd, int format)
{
	if (format != HZ_REPORT_TEXT || fd < 0) {
		errno = fd < 0 ? EBADF : EINVAL;
		return -1;
	}
	struct hz_report r;
	hz_report_get(&r, sizeof(r));
	struct hz_text t = { .sink = to_fd, .fd = fd };
	hz_text_word(&t, "libhz " PACKAGE_VERSION " (" HZ_LANE_NAME ") heap of this process");
	hz_text_end(&t);
	row(&t, "committed", r.committed, "= used + dirty + clean");
	row(&t, "used", r.used, "= slab + large");
	row(&t, "slab", r.slab, "= live + cached + remote + free + fresh + tail");
	row(&t, "live small", r.live_small, "blocks the program holds");
	row(&t, "cached", r.cached, "free blocks in threads' magazines");
	row(&t, "remote", r.remote, "free blocks on their way to their owner");
	row(&t, "free", r.free_blocks, "free blocks in slabs");
	row(&t, "fresh", r.fresh, "never handed out, most of it not resident");
	row(&t, "tail", r.tail, "ends of slabs too short for a block");
	row(&t, "large", r.large, "large blocks, whole pages");
	row(&t, "direct", r.direct, "mappings outside the arenas");
	row(&t, "dirty", r.dirty, "free pages kept for reuse");
	row(&t, "clean", r.clean, "free pages the kernel holds");
	row(&t, "metadata", r.metadata, "tables, run records, heaps, magazines");
	row(&t, "reserved", r.reserved, "address space");
	count(&t, "slabs", r.slabs);
	count(&t, "large blocks", r.large_blocks);
	count(&t, "cached blocks", r.cached_blocks);
	count(&t, "threads", r.threads);
	count(&t, "heaps", r.heaps);
	count(&t, "adopted slabs", r.adopted);
	count(&t, "handed over", r.handed_over);
	row(&t, "purged", r.purged, "given back to the kernel so far");
	count(&t, "system calls", r.system_calls);
	return 0;
}
