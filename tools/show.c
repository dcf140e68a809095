/* SPDX-License-Identifier: MIT */
/*
 * show.c - writing an account.
 *
 *      figures[] = { name, unit, offset, help }  ->  JSON, CSV, OpenMetrics
 *
 * The causes come first and in this order; their sum is resident_bytes.
 */
#define _GNU_SOURCE
#include "show.h"

#include <string.h>
#include <time.h>

enum unit { BYTES, COUNT, TOTAL };

static const struct figure {
	const char *name;
	enum unit unit;
	size_t offset;
	const char *cause; /* NULL: not a part of resident_bytes */
	const char *help;
} figures[] = {
#define F(name, unit, member, cause, help) { name, unit, offsetof(struct account, member), cause, help },
	F("live_bytes", BYTES, live, "live", "resident bytes of blocks the program holds")
	F("slack_bytes", BYTES, slack, "slack", "ends of slabs and of large blocks beside live ones")
	F("free_bytes", BYTES, free, "free", "free blocks in pages with live ones")
	F("cached_bytes", BYTES, cached, "cached", "free blocks in threads' magazines")
	F("remote_bytes", BYTES, remote, "remote", "free blocks on their way to their owner")
	F("empty_bytes", BYTES, empty, "empty", "slab pages without a live block")
	F("dirty_bytes", BYTES, dirty, "dirty", "free pages kept for reuse")
	F("clean_bytes", BYTES, clean, "clean", "resident free pages that are thought to be the kernel's")
	F("metadata_bytes", BYTES, metadata, "metadata", "the library's own tables")
	F("unattributed_bytes", BYTES, unattributed, "unattributed", "pages that changed while they were read")
	F("resident_bytes", BYTES, resident, NULL, "resident heap: the sum of all these")
	F("rss_bytes", BYTES, rss.rss, NULL, "resident set of the process, by the kernel")
	F("pss_bytes", BYTES, rss.pss, NULL, "its proportional share, by the kernel")
	F("swapped_bytes", BYTES, swapped, NULL, "pages of the heap in swap")
	F("reserved_bytes", BYTES, reserved, NULL, "address space of the arenas")
	F("committed_bytes", BYTES, committed, NULL, "heap pages that can be written")
	F("direct_bytes", BYTES, direct, NULL, "mappings outside the arenas")
	F("live_small_bytes", BYTES, live_small, NULL, "blocks in slabs that the program holds")
	F("live_large_bytes", BYTES, live_large, NULL, "large blocks that the program holds, as asked for")
	F("sampled_bytes", BYTES, sampled, NULL, "live blocks whose ends were looked at")
	F("zero_tail_bytes", BYTES, zero_tail, NULL, "zeros at the ends of these")
	F("waste_req_bytes", TOTAL, waste_req, NULL, "box waste: asked for, so far")
	F("waste_alloc_bytes", TOTAL, waste_alloc, NULL, "box waste: handed out, so far")
	F("pages_live", COUNT, pages_live, NULL, "resident pages with a live block")
	F("pages_held", COUNT, pages_held, NULL, "resident pages with blocks held by threads, none live")
	F("pages_empty", COUNT, pages_empty, NULL, "resident pages of slabs, with neither")
	F("pages_free", COUNT, pages_free, NULL, "resident pages outside of slabs and large blocks")
	F("pages_metadata", COUNT, pages_metadata, NULL, "resident pages of metadata")
	F("pages_unattributed", COUNT, pages_unknown, NULL, "resident pages that nobody claimed")
	F("slabs", COUNT, slabs, NULL, "slabs")
	F("large_blocks", COUNT, large_blocks, NULL, "large blocks")
	F("cached_blocks", COUNT, cached_blocks, NULL, "blocks in magazines")
	F("remote_blocks", COUNT, remote_blocks, NULL, "blocks on their way")
	F("heaps", COUNT, heaps, NULL, "heaps")
	F("threads", COUNT, threads, NULL, "threads that have one")
	F("idle_heaps", COUNT, idle_heaps, NULL, "heaps without a thread")
	F("idle_free_bytes", BYTES, idle_free, NULL, "free blocks in resident slab pages of heaps without a thread")
	F("refills", TOTAL, refills, NULL, "empty magazines that were filled, so far")
	F("refills_inbox", TOTAL, refills_inbox, NULL, "of these with blocks that other threads freed")
	F("refills_slabs", TOTAL, refills_slabs, NULL, "of these from partly used slabs of the heap")
	F("adopted", TOTAL, adopted, NULL, "slabs taken over from other heaps, so far")
	F("slabs_opened", TOTAL, slabs_opened, NULL, "new slabs, so far")
	F("drained_for", TOTAL, drained_for, NULL, "blocks put into slabs of sleeping or idle heaps by others")
	F("runs_stock", TOTAL, runs_stock, NULL, "new slabs whose pages were a slab before, so far")
	F("runs_dirty", TOTAL, runs_dirty, NULL, "slabs and large blocks from pages kept, stock included")
	F("runs_clean", TOTAL, runs_clean, NULL, "slabs and large blocks from pages the kernel had")
	F("runs_grown", TOTAL, runs_grown, NULL, "steps by which the heap grew, so far")
	F("purged_bytes", TOTAL, purged, NULL, "bytes given back to the kernel, so far")
	F("system_calls", TOTAL, system_calls, NULL, "system calls for memory, so far")
	F("pressure_events", TOTAL, pressure_events, NULL, "times everything was given back")
	F("pressure_looks", TOTAL, pressure_looks, NULL, "times HZ_PRESSURE looked whether memory is short")
	F("pressure_nears", TOTAL, pressure_nears, NULL, "times it had become so")
	F("purger_wakes", TOTAL, purger_wakes, NULL, "times the thread of HZ_PURGER woke")
	F("torn_records", COUNT, torn, NULL, "records that contradicted themselves")
#undef F
};

enum { FIGURES = sizeof(figures) / sizeof(*figures) };

static uint64_t value(const struct account *a, const struct figure *f)
{
	uint64_t v;
	memcpy(&v, (const char *)a + f->offset, sizeof(v));
	return v;
}

static double percent(uint64_t n, uint64_t of)
{
	return of ? 100.0 * (double)n / (double)of : 0;
}

static double attributed(const struct account *a)
{
	return 100.0 - percent(a->unattributed, a->resident);
}

static void text(FILE *to, const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(to, "\\%c", *s);
		else if ((unsigned char)*s < ' ' || (unsigned char)*s > '~')
			fprintf(to, "\\u%04x", (unsigned char)*s);
		else
			fputc(*s, to);
	}
}

/* Classes by resident bytes, most first; returns how many. */
static int top_classes(const struct account *a, int *out, int most)
{
	int n = 0;
	for (int c = 0; c < (int)a->classes; c++) {
		if (!a->of[c].pages)
			continue;
		int i = n < most ? n++ : most;
		for (; i > 0 && a->of[out[i - 1]].resident < a->of[c].resident; i--)
			if (i < most)
				out[i] = out[i - 1];
		if (i < most)
			out[i] = c;
	}
	return n;
}

void show_json(FILE *to, const struct image *m, const struct account *a, int top)
{
	int order[CLASSES_MAX] = { 0 };
	int n = top_classes(a, order, top < CLASSES_MAX ? top : CLASSES_MAX);
	fprintf(to, "{\"pid\":%d,\"name\":\"", m->pid);
	text(to, m->name);
	fprintf(to, "\",\"library\":\"");
	text(to, a->library);
	fprintf(to, "\",\"lane\":\"");
	text(to, a->lane);
	fprintf(to, "\",\"partial\":%s,\"present_bits\":%s,\"attributed_percent\":%.2f",
		a->partial ? "true" : "false", a->has_pages ? "true" : "false", attributed(a));
	for (int i = 0; i < FIGURES; i++)
		fprintf(to, ",\"%s\":%llu", figures[i].name,
			(unsigned long long)value(a, &figures[i]));
	fprintf(to, ",\"classes\":[");
	for (int i = 0; i < n; i++) {
		const struct class_account *k = &a->of[order[i]];
		fprintf(to,
			"%s{\"class\":%d,\"block_bytes\":%llu,\"slabs\":%llu,\"pages\":%llu,"
			"\"class_resident_bytes\":%llu,\"live\":%llu,\"free\":%llu,\"fresh\":%llu,"
			"\"cached\":%llu,\"remote\":%llu,\"partial_pages\":%llu,"
			"\"occupancy\":[%llu,%llu,%llu,%llu,%llu]}",
			i ? "," : "", order[i], (unsigned long long)k->bytes,
			(unsigned long long)k->slabs, (unsigned long long)k->pages,
			(unsigned long long)k->resident, (unsigned long long)k->live,
			(unsigned long long)k->free, (unsigned long long)k->fresh,
			(unsigned long long)k->cached, (unsigned long long)k->remote,
			(unsigned long long)k->partial_pages, (unsigned long long)k->occupancy[0],
			(unsigned long long)k->occupancy[1], (unsigned long long)k->occupancy[2],
			(unsigned long long)k->occupancy[3], (unsigned long long)k->occupancy[4]);
	}
	fprintf(to, "]}\n");
}

void show_csv_head(FILE *to)
{
	fprintf(to, "time,pid,name,partial");
	for (int i = 0; i < FIGURES; i++)
		fprintf(to, ",%s", figures[i].name);
	fputc('\n', to);
}

void show_csv(FILE *to, const struct image *m, const struct account *a)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	fprintf(to, "%lld.%03ld,%d,\"", (long long)now.tv_sec, now.tv_nsec / 1000000, m->pid);
	for (const char *s = m->name; *s; s++)
		fputs((const char[]){ *s, *s == '"' ? '"' : 0, 0 }, to);
	fprintf(to, "\",%d", a->partial);
	for (int i = 0; i < FIGURES; i++)
		fprintf(to, ",%llu", (unsigned long long)value(a, &figures[i]));
	fputc('\n', to);
}

static void label(FILE *to, const struct shown *s, const char *cause)
{
	fprintf(to, "{pid=\"%d\",comm=\"", s->pid);
	for (const char *c = s->name; *c; c++)
		if (*c == '"' || *c == '\\')
			fprintf(to, "\\%c", *c);
		else if ((unsigned char)*c >= ' ' && (unsigned char)*c < 127)
			fputc(*c, to);
	fputc('"', to);
	if (cause)
		fprintf(to, ",cause=\"%s\"", cause);
	fputs("} ", to);
}

void show_openmetrics(FILE *to, const struct shown *all, size_t n)
{
	fprintf(to, "# TYPE libhz_resident_bytes gauge\n# UNIT libhz_resident_bytes bytes\n"
		    "# HELP libhz_resident_bytes Resident pages of the heap by cause.\n");
	for (size_t p = 0; p < n; p++)
		for (int i = 0; i < FIGURES && figures[i].cause; i++) {
			fputs("libhz_resident_bytes", to);
			label(to, &all[p], figures[i].cause);
			fprintf(to, "%llu\n",
				(unsigned long long)value(&all[p].account, &figures[i]));
		}
	for (int i = 0; i < FIGURES; i++) {
		const struct figure *f = &figures[i];
		const char *name = f->name;
		if (f->cause || !strcmp(name, "resident_bytes"))
			continue;
		fprintf(to, "# TYPE libhz_%s %s\n", name, f->unit == TOTAL ? "counter" : "gauge");
		const char *suffix = strrchr(name, '_');
		if (suffix && !strcmp(suffix, "_bytes"))
			fprintf(to, "# UNIT libhz_%s bytes\n", name);
		fprintf(to, "# HELP libhz_%s %s.\n", name, f->help);
		for (size_t p = 0; p < n; p++) {
			fprintf(to, "libhz_%s%s", name, f->unit == TOTAL ? "_total" : "");
			label(to, &all[p], NULL);
			fprintf(to, "%llu\n", (unsigned long long)value(&all[p].account, f));
		}
	}
	fputs("# EOF\n", to);
}

/* Text: one screen. */

static const char *human(uint64_t n, char *out)
{
	static const char units[] = "BKMGTP";
	double v = (double)n;
	int u = 0;
	while (v >= 1024 && units[u + 1])
		v /= 1024, u++;
	sprintf(out, u ? "%.1f %ciB" : "%.0f %c", v, units[u]);
	return out;
}

static void bar(FILE *to, uint64_t n, uint64_t of, int width)
{
	int full = of ? (int)((double)n * width / (double)of + 0.5) : 0;
	for (int i = 0; i < full && i < width; i++)
		fputc('#', to);
}

void show_text(FILE *to, const struct image *m, const struct account *a, int top)
{
	static const char *const buckets[OCCUPANCIES] = { "0", "1-25", "25-50", "50-75", "75-100" };
	char b1[32], b2[32], b3[32];
	uint64_t rss = a->rss.rss, other = rss > a->resident ? rss - a->resident : 0;
	int order[CLASSES_MAX] = { 0 };
	int n = top_classes(a, order, top < CLASSES_MAX ? top : CLASSES_MAX);
	uint64_t pages[OCCUPANCIES] = { 0 }, all = 0;
	fprintf(to, "%s", m->pid ? "" : "core of ");
	if (m->pid)
		fprintf(to, "%d ", m->pid);
	for (const char *s = m->name; *s; s++)
		fputc((unsigned char)*s >= ' ' ? *s : '?', to);
	fprintf(to, "  libhz %s (%s)%s\n", a->library, a->lane,
		a->partial ? "  PARTIAL: it changed while it was read" : "");
	if (rss)
		fprintf(to, "rss %s = heap %s + %s not libhz's\n", human(rss, b1),
			human(a->resident, b2), human(other, b3));
	if (!a->has_pages)
		fprintf(to, "which pages are resident could not be read\n");
	fprintf(to, "heap %s resident, %.1f %% attributed\n", human(a->resident, b1), attributed(a));
	for (int i = 0; i < FIGURES && figures[i].cause; i++) {
		uint64_t v = value(a, &figures[i]);
		fprintf(to, "  %-13s%11s %5.1f %%  ", figures[i].cause, human(v, b1),
			percent(v, a->resident));
		bar(to, v, a->resident, 40);
		fputc('\n', to);
	}
	fprintf(to, "slab pages by live blocks, %% of capacity\n");
	for (unsigned c = 0; c < a->classes; c++)
		for (int o = 0; o < OCCUPANCIES; o++)
			pages[o] += a->of[c].occupancy[o], all += a->of[c].occupancy[o];
	for (int o = 0; o < OCCUPANCIES; o++) {
		fprintf(to, "  %-13s%11llu %5.1f %%  ", buckets[o], (unsigned long long)pages[o],
			percent(pages[o], all));
		bar(to, pages[o], all, 40);
		fputc('\n', to);
	}
	fprintf(to, "%7s %8s %11s %11s %11s %10s %8s\n", "block", "slabs", "resident", "live",
		"free", "cached", "use %");
	for (int i = 0; i < n; i++) {
		const struct class_account *k = &a->of[order[i]];
		uint64_t capacity = k->live + k->free + k->fresh + k->cached + k->remote;
		fprintf(to, "%7llu %8llu %11s %11llu %11llu %10llu %8.1f\n",
			(unsigned long long)k->bytes, (unsigned long long)k->slabs,
			human(k->resident, b1), (unsigned long long)k->live,
			(unsigned long long)(k->free + k->fresh),
			(unsigned long long)(k->cached + k->remote), percent(k->live, capacity));
	}
	fprintf(to,
		"%llu threads, %llu heaps (%llu idle, %s free in them), %llu large blocks, %s live in "
		"them\n",
		(unsigned long long)a->threads, (unsigned long long)a->heaps,
		(unsigned long long)a->idle_heaps, human(a->idle_free, b1),
		(unsigned long long)a->large_blocks, human(a->live_large, b2));
	fprintf(to,
		"reuse so far: %llu refills, %llu from the inbox, %llu from own slabs; %llu slabs "
		"adopted,\n  %llu new; pages of %llu runs were dirty (%llu in stock), of %llu clean, "
		"%llu steps of growth\n",
		(unsigned long long)a->refills, (unsigned long long)a->refills_inbox,
		(unsigned long long)a->refills_slabs, (unsigned long long)a->adopted,
		(unsigned long long)a->slabs_opened, (unsigned long long)a->runs_dirty,
		(unsigned long long)a->runs_stock, (unsigned long long)a->runs_clean,
		(unsigned long long)a->runs_grown);
}

/* Verdicts. */

static void few_or_many(FILE *to, const struct account *a)
{
	char b1[32], b2[32];
	int first[3], n = 0;
	uint64_t sum = 0, all = 0, low = 0, partial = 0;
	for (unsigned c = 0; c < a->classes; c++) {
		int i = n < 3 ? n++ : 3;
		all += a->of[c].free_resident;
		low += a->of[c].occupancy[1];
		partial += a->of[c].occupancy[1] + a->of[c].occupancy[2] + a->of[c].occupancy[3] +
			   a->of[c].occupancy[4];
		for (; i > 0 && a->of[first[i - 1]].free_resident < a->of[c].free_resident; i--)
			if (i < 3)
				first[i] = first[i - 1];
		if (i < 3)
			first[i] = (int)c;
	}
	for (int i = 0; i < n; i++)
		sum += a->of[first[i]].free_resident;
	fprintf(to, "  %.0f %% of the slab pages in use are filled to 25 %% or less\n",
		percent(low, partial));
	for (int i = 0; i < n && a->of[first[i]].free_resident * 20 >= all; i++)
		fprintf(to, "  class %d (blocks of %llu bytes): %s free beside %s live\n", first[i],
			(unsigned long long)a->of[first[i]].bytes,
			human(a->of[first[i]].free_resident, b1),
			human(a->of[first[i]].live * a->of[first[i]].bytes, b2));
	if (sum * 10 >= all * 8)
		fprintf(to, "  -> few classes hold it: change how long blocks of these sizes live,"
			    " or keep them together\n");
	else
		fprintf(to, "  -> many classes hold it: the order of reuse is the cause\n");
}

void show_explain(FILE *to, const struct image *m, const struct account *a)
{
	char b1[32], b2[32], b3[32];
	uint64_t heap = a->resident, rss = a->rss.rss, other = rss > heap ? rss - heap : 0;
	uint64_t give = a->empty + a->dirty, held = a->cached + a->remote;
	uint64_t waste = a->waste_alloc - a->waste_req;
	double pct = percent(waste, a->waste_alloc), zeros = percent(a->zero_tail, a->sampled);
	uint64_t most = give > held ? give : held;
	most = a->free > most ? a->free : most;
	(void)m;
	if (rss && other > heap) {
		fprintf(to, "verdict: it is not the heap: %s of %s rss are not libhz's\n",
			human(other, b1), human(rss, b2));
	} else if (most * 4 < heap && a->waste_alloc >= heap / 4 && pct > 10) {
		fprintf(to,
			"verdict: rounding: of %s handed out for 4 to 32 KiB, %s (%.1f %%) were not "
			"asked for\n",
			human(a->waste_alloc, b1), human(waste, b2), pct);
	} else if (most * 4 < heap && a->sampled && zeros >= 50) {
		fprintf(to,
			"verdict: rounding: live blocks hold %s (%.1f %% of the heap), but %.0f %% of "
			"the bytes\n  looked at are zeros at the ends of blocks: asked for or rounded "
			"up, and never used\n",
			human(a->live, b1), percent(a->live, heap), zeros);
	} else if (most * 4 < heap) {
		fprintf(to, "verdict: the program holds it: live blocks are %s of %s (%.1f %%)\n",
			human(a->live, b1), human(heap, b2), percent(a->live, heap));
	} else if (most == give) {
		fprintf(to,
			"verdict: release would help: %s of %s are free pages (%s empty in slabs, %s "
			"kept for reuse)\n  -> malloc_trim(0) or hz_purge() gives them back\n",
			human(give, b1), human(heap, b2), human(a->empty, b3),
			human(a->dirty, (char[32]){ 0 }));
	} else if (most == held) {
		fprintf(to,
			"verdict: thread caches hold it: %s of %s are free blocks, in magazines of "
			"%llu threads\n  (the largest %s) and %s on the way to another thread\n",
			human(held, b1), human(heap, b2), (unsigned long long)a->threads,
			human(a->most_cached, b3), human(a->remote, (char[32]){ 0 }));
	} else {
		fprintf(to, "verdict: fragmentation: %s of %s are free blocks in pages with live ones\n",
			human(a->free, b1), human(heap, b2));
		few_or_many(to, a);
	}
	if (a->waste_built)
		fprintf(to, "  box waste: %.2f %% of medium blocks is rounding\n", pct);
}
