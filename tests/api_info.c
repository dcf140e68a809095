/* SPDX-License-Identifier: MIT */
/*
 * api_info - mallinfo2, malloc_info, malloc_stats, malloc_trim and mallopt
 * say the truth.
 *
 *   mallinfo2     100 MiB more in use raise uordblks by as much, freeing
 *                 lowers it again; small and large blocks alike
 *   malloc_info   well-formed XML on the stream it was given
 *   malloc_stats  text on stderr, nowhere else
 *   malloc_trim   0 or 1, and resident memory goes back
 *   mallopt       1 for what glibc knows
 */
#include <limits.h>
#include <malloc.h>

#include "probe.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

enum { SMALL_BLOCKS = 100 * 1024 };

static void *small_block[SMALL_BLOCKS];

static void check_in_use(void)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, used;
	for (int i = 0; i < SMALL_BLOCKS; i++)
		small_block[i] = escape(malloc(1000));
	used = mallinfo2().uordblks + mallinfo2().hblkhd;
	ok(used - before >= 100000u * 1024 && used - before < 150 * MIB,
	   "100 MB in small blocks raise uordblks by %zu", used - before);
	ok(mallinfo2().uordblks >= 100000u * 1024, "and are in uordblks itself");
	for (int i = 0; i < SMALL_BLOCKS; i++)
		free(small_block[i]);
	used = mallinfo2().uordblks + mallinfo2().hblkhd;
	ok(used < before + 8 * MIB, "freeing lowers it to within 8 MiB of before (%zd)",
	   (ssize_t)(used - before));
	for (int i = 0; i < 10; i++)
		small_block[i] = escape(malloc(10 * MIB));
	used = mallinfo2().uordblks + mallinfo2().hblkhd;
	ok(used - before >= 100 * MIB && used - before < 120 * MIB,
	   "100 MiB in large blocks raise uordblks + hblkhd by %zu", used - before);
	for (int i = 0; i < 10; i++)
		free(small_block[i]);
	used = mallinfo2().uordblks + mallinfo2().hblkhd;
	ok(used < before + 8 * MIB, "freeing lowers it again");
	ok(mallinfo2().arena + mallinfo2().hblkhd >= mallinfo2().uordblks,
	   "what is in use was obtained from the kernel");
	ok(mallinfo().uordblks >= 0, "mallinfo saturates or fits");
}

/* -------------------------------------------------------------- XML -- */

/* The elements of one XML text nest and close; attributes are quoted. */
static int well_formed(const char *at)
{
	enum { DEPTH = 32, NAME = 32 };
	char open[DEPTH][NAME];
	int depth = 0, elements = 0;
	while ((at = strchr(at, '<')) != NULL) {
		size_t length = strcspn(++at, " \t\r\n/>");
		const char *end = strchr(at, '>');
		int quotes = 0;
		if (*at == '?' || *at == '!')
			continue;
		if (!end)
			return 0;
		for (const char *c = at; c < end; c++)
			quotes += *c == '"';
		if (quotes % 2)
			return 0;
		if (*at == '/') {
			length = strcspn(at + 1, " \t\r\n>");
			if (depth == 0 || strncmp(open[depth - 1], at + 1, length) ||
			    open[depth - 1][length])
				return 0;
			depth--;
		} else if (length == 0) {
			return 0;
		} else if (end[-1] != '/') {
			if (depth == DEPTH || length >= NAME)
				return 0;
			memcpy(open[depth], at, length);
			open[depth++][length] = 0;
			elements++;
		} else {
			elements++;
		}
		at = end;
	}
	return depth == 0 && elements > 0;
}

static void check_malloc_info(void)
{
	static char text[256 * 1024];
	FILE *file = tmpfile();
	size_t n;
	if (!file) {
		tap_skip(4, "no temporary file");
		return;
	}
	is_int(malloc_info(0, file), 0, "malloc_info(0)");
	fflush(file);
	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = 0;
	ok(n > 0 && strstr(text, "<malloc") != NULL, "writes a malloc element");
	ok(well_formed(text), "in well-formed XML");
	fclose(file);
	errno = 0;
	n = (size_t)malloc_info(opaque(1), stderr);
	ok(n != 0, "malloc_info refuses options it does not know");
	ok(well_formed("<a><b x=\"1\"/></a>") && !well_formed("<a><b></a></b>") &&
		   !well_formed("<a>") && !well_formed("<a x=\"1></a>"),
	   "(the check of the XML can fail)");
}

/* Bytes that call writes to a descriptor, which is a pipe meanwhile; kept in `text`. */
static char text[64 * 1024];

static ssize_t written_to(int fd, void (*call)(void))
{
	int ends[2], kept = dup(fd);
	ssize_t n;
	if (kept < 0 || pipe2(ends, O_NONBLOCK) || dup2(ends[1], fd) < 0)
		tap_bail("cannot redirect descriptor %d", fd);
	call();
	fflush(NULL);
	dup2(kept, fd);
	close(kept);
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	close(ends[0]);
	return n;
}

static void check_malloc_stats(void)
{
	ok(written_to(2, malloc_stats) > 0, "malloc_stats writes to stderr");
	ok(strstr(text, "system bytes     = ") && strstr(text, "in use bytes     = ") &&
		   strstr(text, "max mmap bytes"),
	   "with the lines that readers of glibc's look for");
	ok(written_to(1, malloc_stats) <= 0, "and not to stdout");
}

static void check_trim(void)
{
	long peak, after;
	int code;
	for (int i = 0; i < SMALL_BLOCKS; i++)
		memset(small_block[i] = malloc(1000), 1, 1000);
	peak = rss_exact_bytes();
	for (int i = 0; i < SMALL_BLOCKS; i++)
		free(small_block[i]);
	code = malloc_trim(0);
	after = rss_exact_bytes();
	ok(code == 0 || code == 1, "malloc_trim returns 0 or 1 (%d)", code);
	ok(peak - after > (long)(75 * MIB), "and gave back 100 MB of small blocks (%ld of %ld)",
	   peak - after, peak);
	for (int i = 0; i < 10; i++)
		memset(small_block[i] = malloc(10 * MIB), 1, 10 * MIB);
	peak = rss_exact_bytes();
	for (int i = 0; i < 10; i++)
		free(small_block[i]);
	malloc_trim(0);
	after = rss_exact_bytes();
	ok(peak - after > (long)(90 * MIB), "and 100 MiB of large ones (%ld of %ld)", peak - after,
	   peak);
	errno = ELIBBAD;
	code = malloc_trim(0);
	ok((code == 0 || code == 1) && errno == ELIBBAD, "malloc_trim with nothing to give");
	for (size_t i = 0; i < 4; i++) {
		static const size_t pads[] = { SIZE_MAX, SIZE_MAX - 4095, PTRDIFF_MAX, 1 };
		void *p = malloc(1000);
		code = malloc_trim(pads[i]);
		ok((code == 0 || code == 1) && errno == ELIBBAD, "malloc_trim(%zu)", pads[i]);
		free(p);
	}
}

static void check_mallopt(void)
{
	is_int(mallopt(M_ARENA_MAX, 2), 1, "mallopt(M_ARENA_MAX)");
	is_int(mallopt(M_MMAP_THRESHOLD, 128 * 1024), 1, "mallopt(M_MMAP_THRESHOLD)");
	is_int(mallopt(M_TRIM_THRESHOLD, 128 * 1024), 1, "mallopt(M_TRIM_THRESHOLD)");
	is_int(mallopt(M_MMAP_MAX, 0), 1, "mallopt(M_MMAP_MAX)");
	is_int(mallopt(M_TOP_PAD, 0), 1, "mallopt(M_TOP_PAD)");
	errno = ELIBBAD;
	is_int(mallopt(opaque(INT_MAX), -1), 1, "mallopt of what nobody knows, as glibc");
	is_int(errno, ELIBBAD, "and errno is as it was");
}

int main(void)
{
	watchdog(120);
	check_in_use();
	check_malloc_info();
	check_malloc_stats();
	check_trim();
	check_mallopt();
	return tap_done();
}
