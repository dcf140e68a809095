/* SPDX-License-Identifier: MIT */
/*
 * info.c - glibc's own questions, answered with true figures.
 *
 *   mallinfo, mallinfo2, malloc_info, malloc_stats   the figures of hz_report
 *   malloc_trim                                      hz_purge
 *   mallopt                                          accepts, changes nothing
 *
 * Meanings as in mallinfo(3): arena = heap pages committed, uordblks = bytes
 * of it the program holds, fordblks = the rest, hblks/hblkhd = mappings beside
 * it and their bytes, keepcost = what malloc_trim would give back.
 *
 * Who may call: programs.  It refuses to lie in unused members: they are 0.
 */
#include "report.h"

#include <errno.h>
#include <hz/hz.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>

#include "api.h"

struct mallinfo2 HZ_API(mallinfo2)(void);
struct mallinfo HZ_API(mallinfo)(void);
int HZ_API(malloc_info)(int options, FILE *to);
void HZ_API(malloc_stats)(void);
int HZ_API(malloc_trim)(size_t pad);
int HZ_API(mallopt)(int what, int value);

HZ_EXPORT struct mallinfo2 HZ_API(mallinfo2)(void)
{
	struct hz_report r = { 0 };
	hz_report_get(&r, offsetof(struct hz_report, resident));
	/* As glibc: mappings of their own count in hblkhd and nowhere else. */
	uint64_t live = r.live_small + r.live_large - r.direct;
	return (struct mallinfo2){
		.arena = r.committed,
		.ordblks = r.cached_blocks,
		.hblks = hz_load(&hz_large_counts.direct_blocks),
		.hblkhd = r.direct,
		.uordblks = live,
		.fordblks = r.committed > live ? r.committed - live : 0,
		.keepcost = r.dirty,
	};
}

static int clamp(size_t n)
{
	return n > INT_MAX ? INT_MAX : (int)n;
}

HZ_EXPORT struct mallinfo HZ_API(mallinfo)(void)
{
	struct mallinfo2 m = HZ_API(mallinfo2)();
	return (struct mallinfo){
		.arena = clamp(m.arena),
		.ordblks = clamp(m.ordblks),
		.hblks = clamp(m.hblks),
		.hblkhd = clamp(m.hblkhd),
		.uordblks = clamp(m.uordblks),
		.fordblks = clamp(m.fordblks),
		.keepcost = clamp(m.keepcost),
	};
}

static void to_file(struct hz_text *t, size_t n)
{
	t->line[n] = 0;
	fputs(t->line, t->to);
}

static void element(struct hz_text *t, const char *name, const char *type, uint64_t n,
		    const char *attribute)
{
	hz_text_word(t, "<");
	hz_text_word(t, name);
	hz_text_word(t, " type=\"");
	hz_text_word(t, type);
	hz_text_word(t, "\" ");
	hz_text_word(t, attribute);
	hz_text_word(t, "=\"");
	hz_text_number(t, n, 0);
	hz_text_word(t, "\"/>");
	hz_text_end(t);
}

HZ_EXPORT int HZ_API(malloc_info)(int options, FILE *to)
{
	if (options != 0 || !to) {
		errno = EINVAL;
		return -1;
	}
	struct hz_report r = { 0 };
	hz_report_get(&r, offsetof(struct hz_report, resident));
	struct hz_text t = { .sink = to_file, .to = to };
	hz_text_word(&t, "<malloc version=\"libhz-" PACKAGE_VERSION "\">");
	hz_text_end(&t);
	element(&t, "system", "current", r.committed + r.direct, "size");
	element(&t, "total", "live", r.live_small + r.live_large, "size");
	element(&t, "total", "cached", r.cached, "size");
	element(&t, "total", "remote", r.remote, "size");
	element(&t, "total", "free", r.free_blocks, "size");
	element(&t, "total", "fresh", r.fresh, "size");
	element(&t, "total", "tail", r.tail, "size");
	element(&t, "total", "large", r.large + r.direct, "size");
	element(&t, "total", "dirty", r.dirty, "size");
	element(&t, "total", "clean", r.clean, "size");
	element(&t, "total", "metadata", r.metadata, "size");
	element(&t, "aspace", "total", r.reserved, "size");
	element(&t, "heaps", "all", r.heaps, "count");
	element(&t, "heaps", "threads", r.threads, "count");
	hz_text_word(&t, "</malloc>");
	hz_text_end(&t);
	return 0;
}

HZ_EXPORT void HZ_API(malloc_stats)(void)
{
	hz_report_stats();
}

HZ_EXPORT int HZ_API(malloc_trim)(size_t pad)
{
	(void)pad;
	return hz_purge() != 0;
}

HZ_EXPORT int HZ_API(mallopt)(int what, int value)
{
	(void)what;
	(void)value;
	return 1;
}
