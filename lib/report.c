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
#include "observe_held.h"
#include "pressure.h"

HZ_EXPORT const char *hz_version(void)
{
	return PACKAGE_VERSION;
}

HZ_EXPORT const char *hz_lane(void)
{
	return HZ_LANE_SELF;
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

void hz_meta_observe(size_t *used_bytes, size_t *committed_bytes)
{
	size_t used = hz_load(&hz_meta_counts.used), committed = hz_load(&hz_meta_counts.committed);
	for (uint32_t i = 0; i < hz_load_acquire(&hz_arenas_count); i++) {
		struct hz_arena *a = hz_arenas[i];
		size_t table = (size_t)(a->start - hz_load(&a->table_low));
		used += (size_t)(a->runs_next - a->base) - HZ_META_FIRST_BYTES +
			(size_t)a->pages_top * sizeof(struct hz_page);
		committed += (size_t)(a->runs_high - a->base) + table;
	}
	*used_bytes = used;
	*committed_bytes = committed;
}

static void add_held(void *p, uint32_t class_no, enum hz_held where, void *arg)
{
	struct hz_report *r = arg;
	uint32_t bytes = hz_classes[class_no].bytes;
	(void)p;
	if (where == HZ_HELD_REMOTE) {
		r->remote += bytes;
		return;
	}
	r->cached += bytes;
	r->cached_blocks++;
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
	hz_held_walk(add_held, r);
	for (struct hz_heap *h = hz_heap_first(); h; h = h->next) {
		r->adopted += hz_load(&h->counts.adopted);
		r->handed_over += hz_load(&h->box.sent);
		r->refills += hz_load(&h->counts.refills);
		r->refills_inbox += hz_load(&h->counts.refills_inbox);
		r->runs_dirty += hz_load(&h->counts.kept);
		r->refills_slabs += hz_load(&h->counts.refills_slabs);
		r->slabs_opened += hz_load(&h->counts.opened);
		r->drained_for += hz_load(&h->counts.drained_for);
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
	r->runs_dirty += hz_load(&hz_run_counts.reused);
	r->runs_stock = hz_load(&hz_run_counts.stock);
	r->runs_clean = hz_load(&hz_run_counts.fresh);
	r->runs_grown = hz_load(&hz_run_counts.grown);
	r->purged = hz_load(&hz_os_counts.purge_bytes);
	r->system_calls = hz_load(&hz_os_counts.map) + hz_load(&hz_os_counts.unmap) +
			  hz_load(&hz_os_counts.commit) + hz_load(&hz_os_counts.purge) +
			  hz_load(&hz_os_counts.shift) + hz_load(&hz_os_counts.refused);
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
	if (size > offsetof(struct hz_report, resident))
		hz_report_residency(&r);
	r.size = hz_min(size, sizeof(r));
	__builtin_memcpy(report, &r, r.size);
	return 0;
}

HZ_EXPORT size_t hz_purge(void)
{
	if (!hz_load(&hz_hot.small_limit))
		return 0;
	hz_heap_enter();
	return hz_pressure_relieve() << HZ_PAGE_SHIFT;
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

/* The figures, by their names in the structure and in words. */
#define AT(member) #member, offsetof(struct hz_report, member)
enum unit { BYTES, COUNT, SO_FAR, BYTES_SO_FAR };
static const struct figure {
	char name[18];
	uint16_t at; /* in struct hz_report */
	uint16_t unit; /* enum unit */
	char label[16];
	char what[52];
} figures[] = {
	{ AT(committed), BYTES, "committed", "= used + dirty + clean" },
	{ AT(used), BYTES, "used", "= slab + large" },
	{ AT(slab), BYTES, "slab", "= live + cached + remote + free + fresh + tail" },
	{ AT(live_small), BYTES, "live small", "blocks the program holds" },
	{ AT(cached), BYTES, "cached", "free blocks in threads' magazines" },
	{ AT(remote), BYTES, "remote", "free blocks on their way to their owner" },
	{ AT(free_blocks), BYTES, "free", "free blocks in slabs" },
	{ AT(fresh), BYTES, "fresh", "never handed out, most of it not resident" },
	{ AT(tail), BYTES, "tail", "ends of slabs too short for a block" },
	{ AT(large), BYTES, "large", "large blocks, whole pages" },
	{ AT(live_large), BYTES, "live large", "as asked for, direct ones included" },
	{ AT(direct), BYTES, "direct", "mappings outside the arenas" },
	{ AT(dirty), BYTES, "dirty", "free pages kept for reuse" },
	{ AT(clean), BYTES, "clean", "free pages the kernel holds" },
	{ AT(metadata), BYTES, "metadata", "tables, run records, heaps, magazines" },
	{ AT(reserved), BYTES, "reserved", "address space" },
	{ AT(resident), BYTES, "resident", "= slab + large + free + metadata, resident parts" },
	{ AT(resident_slab), BYTES, "  slab", "" },
	{ AT(resident_large), BYTES, "  large", "" },
	{ AT(resident_free), BYTES, "  free", "" },
	{ AT(resident_metadata), BYTES, "  metadata", "" },
	{ AT(rss_live), BYTES, "of it live", "blocks the program holds" },
	{ AT(rss_slack), BYTES, "  slack", "ends of slabs and large blocks beside live ones" },
	{ AT(rss_free), BYTES, "  free", "free blocks in pages with live ones" },
	{ AT(rss_cached), BYTES, "  cached", "free blocks in threads' magazines" },
	{ AT(rss_remote), BYTES, "  remote", "free blocks on their way to their owner" },
	{ AT(rss_empty), BYTES, "  empty", "slab pages without a live block" },
	{ AT(rss_dirty), BYTES, "  dirty", "free pages kept for reuse" },
	{ AT(rss_clean), BYTES, "  clean", "free pages thought to be the kernel's" },
	{ AT(slabs), COUNT, "slabs", "" },
	{ AT(large_blocks), COUNT, "large blocks", "" },
	{ AT(cached_blocks), COUNT, "cached blocks", "" },
	{ AT(threads), COUNT, "threads", "" },
	{ AT(heaps), COUNT, "heaps", "" },
	{ AT(refills), SO_FAR, "refills", "empty magazines that were filled" },
	{ AT(refills_inbox), SO_FAR, "  inbox", "from what other threads freed" },
	{ AT(refills_slabs), SO_FAR, "  slabs", "from partly used slabs of the heap" },
	{ AT(adopted), SO_FAR, "adopted slabs", "taken from heaps without a thread" },
	{ AT(slabs_opened), SO_FAR, "new slabs", "" },
	{ AT(runs_dirty), SO_FAR, "dirty runs", "from pages kept for reuse" },
	{ AT(runs_stock), SO_FAR, "  stock", "former slabs as they were" },
	{ AT(runs_clean), SO_FAR, "clean runs", "from pages the kernel had" },
	{ AT(runs_grown), SO_FAR, "growth", "steps of the heap" },
	{ AT(drained_for), SO_FAR, "drained for", "blocks put into sleeping heaps' slabs" },
	{ AT(handed_over), SO_FAR, "handed over", "" },
	{ AT(purged), BYTES_SO_FAR, "purged", "given back to the kernel so far" },
	{ AT(system_calls), SO_FAR, "system calls", "" },
};

enum { FIGURES = sizeof(figures) / sizeof(*figures) };

static uint64_t figure_of(const struct hz_report *r, const struct figure *f)
{
	return *(const uint64_t *)(const void *)((const char *)r + f->at);
}

static bool in_bytes(const struct figure *f)
{
	return f->unit == BYTES || f->unit == BYTES_SO_FAR;
}

static void write_text(struct hz_text *t, const struct hz_report *r)
{
	hz_text_word(t, "libhz " PACKAGE_VERSION " (" HZ_LANE_SELF ") heap of this process");
	hz_text_end(t);
	for (const struct figure *f = figures; f < figures + FIGURES; f++) {
		size_t from = t->used;
		hz_text_word(t, "  ");
		hz_text_word(t, f->label);
		while (t->used < from + 16)
			hz_text_word(t, " ");
		hz_text_number(t, figure_of(r, f) >> (in_bytes(f) ? 10 : 0), 10);
		hz_text_word(t, in_bytes(f) ? " KiB" : *f->what ? "    " : "");
		hz_text_word(t, *f->what ? "  " : "");
		hz_text_word(t, f->what);
		hz_text_end(t);
	}
}

/* {"library":"0.1.0",...}, in the order of the table, on one line. */
static void write_json(struct hz_text *t, const struct hz_report *r)
{
	hz_text_word(t, "{\"library\":\"" PACKAGE_VERSION "\",\"lane\":\"" HZ_LANE_SELF "\"");
	for (const struct figure *f = figures; f < figures + FIGURES; f++) {
		hz_text_word(t, ",\"");
		hz_text_word(t, f->name);
		hz_text_word(t, "\":");
		hz_text_number(t, figure_of(r, f), 0);
	}
	hz_text_word(t, "}");
	hz_text_end(t);
}

static void write_openmetrics(struct hz_text *t, const struct hz_report *r)
{
	for (const struct figure *f = figures; f < figures + FIGURES; f++) {
		bool total = f->unit == SO_FAR || f->unit == BYTES_SO_FAR;
		hz_text_word(t, "# TYPE hz_");
		hz_text_word(t, f->name);
		hz_text_word(t, in_bytes(f) ? "_bytes" : "");
		hz_text_word(t, total ? " counter" : " gauge");
		hz_text_end(t);
		hz_text_word(t, "hz_");
		hz_text_word(t, f->name);
		hz_text_word(t, in_bytes(f) ? "_bytes" : "");
		hz_text_word(t, total ? "_total " : " ");
		hz_text_number(t, figure_of(r, f), 0);
		hz_text_end(t);
	}
	hz_text_word(t, "# EOF");
	hz_text_end(t);
}

HZ_EXPORT int hz_report_write(int fd, int format)
{
	if (format < HZ_REPORT_TEXT || format > HZ_REPORT_OPENMETRICS || fd < 0) {
		errno = fd < 0 ? EBADF : EINVAL;
		return -1;
	}
	struct hz_report r;
	hz_report_get(&r, sizeof(r));
	struct hz_text t = { .sink = to_fd, .fd = fd };
	if (format == HZ_REPORT_JSON)
		write_json(&t, &r);
	else if (format == HZ_REPORT_OPENMETRICS)
		write_openmetrics(&t, &r);
	else
		write_text(&t, &r);
	return 0;
}

static void stats_line(struct hz_text *t, const char *name, uint64_t n, const char *what)
{
	hz_text_word(t, name);
	hz_text_number(t, n, 10);
	hz_text_word(t, what);
	hz_text_end(t);
}

/* The report, and what glibc prints last in its own words: there are programs that read it. */
void hz_report_stats(void)
{
	struct hz_report r;
	hz_report_get(&r, sizeof(r));
	struct hz_text t = { .sink = to_fd, .fd = 2 };
	uint64_t mappings = hz_load(&hz_large_counts.direct_blocks);
	write_text(&t, &r);
	stats_line(&t, "system bytes     = ", r.committed + r.direct, "");
	stats_line(&t, "in use bytes     = ", r.live_small + r.live_large, "");
	stats_line(&t, "mmap regions     = ", mappings, " now (max mmap regions: not kept)");
	stats_line(&t, "mmap bytes       = ", r.direct, " now (max mmap bytes: not kept)");
}
