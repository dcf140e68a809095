/* SPDX-License-Identifier: MIT */
/*
 * api_faces - one heap, five faces: hz_report_get, hz_report_write in three
 * formats, malloc_info, mallinfo2 and malloc_stats say the same figures; and
 * what is resident is so, whatever way of asking the kernel allows.
 *
 * Buffers are static and streams are made first, so nothing is allocated
 * between one face and the next.
 */
#include <hz/hz.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "probe.h"

static char text[16][8192];

/* What `call` writes to descriptor fd, which is a pipe meanwhile. */
static const char *written(int fd, void (*call)(void), char *to)
{
	int ends[2], kept = dup(fd);
	ssize_t n;
	if (kept < 0 || pipe(ends) || dup2(ends[1], fd) < 0)
		tap_bail("cannot redirect descriptor %d", fd);
	call();
	dup2(kept, fd);
	close(kept);
	close(ends[1]);
	for (size_t used = 0; (n = read(ends[0], to + used, sizeof(text[0]) - 1 - used)) > 0;)
		used += (size_t)n;
	close(ends[0]);
	return to;
}

static void as_text(void) { hz_report_write(1, HZ_REPORT_TEXT); }
static void as_json(void) { hz_report_write(1, HZ_REPORT_JSON); }
static void as_metrics(void) { hz_report_write(1, HZ_REPORT_OPENMETRICS); }

static FILE *stream;
static void as_xml(void) { malloc_info(0, stream); fflush(stream); }

/* The number behind `name`, in whatever stands between them. */
static unsigned long long number(const char *in, const char *name)
{
	const char *at = strstr(in, name);
	if (!at)
		return ~0ull;
	at += strlen(name);
	return strtoull(at + strspn(at, "\": ="), NULL, 10);
}

/* Makes a system call fail from now on; 0 where there are no such filters. */
static int refuse(int nr, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };
	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Whether /proc/self/pagemap is this kernel's and says that a page in use is
 * present: under qemu-user, and in sandboxes, it may be another's, or empty. */
static int pagemap_true(void)
{
	uint64_t word = 0;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, &word, sizeof(word), (off_t)((uintptr_t)&word / page * sizeof(word)));
	close(fd);
	return n == sizeof(word) && word >> 63;
}

/* Pages that were only read are the kernel's, not the process's, if `told`. */
static void check_zero_pages(const char *by, int told)
{
	enum { BYTES = 32 * MIB };
	struct hz_report before, r;
	unsigned sum = 0;
	char *kept = escape(malloc(BYTES));
	volatile char *block = kept;
	int lowest = dup(1), again;
	close(lowest);
	if (!block)
		tap_bail("no memory");
	hz_report_get(&before, sizeof(before));
	for (size_t i = 0; i < BYTES; i += 4096)
		sum += (unsigned char)block[i];
	hz_report_get(&r, sizeof(r));
	again = dup(1);
	close(again);
	is_int(again, lowest, "%s: no descriptor is left open", by);
	is_int((long long)sum, 0, "(pages of zeros were read)");
	ok((r.resident < before.resident + MIB) == told && r.resident >= before.resident,
	   "%s: pages that were read and never written are %sresident (%lld bytes more)", by,
	   told ? "not " : "", (long long)(r.resident - before.resident));
	for (size_t i = 0; i < BYTES; i += 4096)
		block[i] = 1;
	hz_report_get(&r, sizeof(r));
	/* The block may begin with pages that were resident already. */
	ok(r.resident >= before.resident + BYTES - 2 * MIB && r.resident < before.resident + BYTES + MIB,
	   "%s: once written they are (%lld bytes more)", by,
	   (long long)(r.resident - before.resident));
	free(kept);
	malloc_trim(0); /* the next finds them clean */
}

int main(void)
{
	struct hz_report r, again;
	struct mallinfo2 m;
	static void *block[5000];
	static char buffer[4096];
	watchdog(60);
	for (int i = 0; i < 5000; i++)
		block[i] = memset(malloc((size_t)i * 13 % 9000 + 1), 1, 1);
	for (int i = 0; i < 5000; i += 3)
		free(block[i]);
	block[0] = memset(malloc(3 * MIB), 1, 3 * MIB);
	hz_report_get(&r, sizeof(r));
	const char *plain = written(1, as_text, text[0]), *json = written(1, as_json, text[1]);
	const char *metrics = written(1, as_metrics, text[2]);
	m = mallinfo2();
	const char *stats = written(2, malloc_stats, text[3]);
	hz_report_get(&again, sizeof(again));

	ok(r.live_small + r.cached + r.remote + r.free_blocks + r.fresh + r.tail == r.slab,
	   "slab adds up");
	ok(r.used + r.dirty + r.clean == r.committed, "committed adds up");
	ok(r.resident_slab + r.resident_large + r.resident_free + r.resident_metadata == r.resident,
	   "resident adds up");
	ok(r.rss_live + r.rss_slack + r.rss_free + r.rss_cached + r.rss_remote + r.rss_empty +
			   r.rss_dirty + r.rss_clean + r.resident_metadata ==
		   r.resident,
	   "resident adds up by cause");
	ok(r.rss_live >= 3 * MIB && r.rss_live <= r.live_small + r.live_large + r.large_blocks * 4096,
	   "resident live bytes: %llu", (unsigned long long)r.rss_live);
	ok(r.resident >= 3 * MIB && r.resident <= (uint64_t)rss_exact_bytes(),
	   "resident: %llu of %ld", (unsigned long long)r.resident, rss_exact_bytes());
	is_int((long long)number(json, "\"live_small\""), (long long)r.live_small, "JSON: live_small");
	is_int((long long)number(json, "\"slab\""), (long long)r.slab, "JSON: slab");
	is_int((long long)number(json, "\"live_large\""), (long long)r.live_large, "JSON: live_large");
	is_int((long long)number(json, "\"committed\""), (long long)r.committed, "JSON: committed");
	is_int((long long)number(metrics, "\nhz_live_small_bytes "), (long long)r.live_small,
	       "OpenMetrics: live_small");
	is_int((long long)number(metrics, "\nhz_cached_bytes "), (long long)r.cached,
	       "OpenMetrics: cached");
	ok(json[0] == '{' && strcmp(json + strlen(json) - 2, "}\n") == 0, "JSON ends");
	ok(strstr(metrics, "# EOF\n") != NULL, "OpenMetrics ends");
	is_int((long long)number(plain, "live small"), (long long)(r.live_small >> 10),
	       "text: live small");
	is_int((long long)number(stats, "committed"), (long long)(again.committed >> 10),
	       "malloc_stats: committed");
	is_int((long long)number(stats, "live small"), (long long)(again.live_small >> 10),
	       "malloc_stats: live small");
	is_int((long long)m.arena, (long long)again.committed, "mallinfo2: arena");
	is_int((long long)m.uordblks,
	       (long long)(again.live_small + again.live_large - again.direct), "mallinfo2: uordblks");
	is_int((long long)m.hblkhd, (long long)again.direct, "mallinfo2: hblkhd");
	is_int((long long)m.keepcost, (long long)again.dirty, "mallinfo2: keepcost");

	int ends[2];
	if (pipe(ends) || !(stream = fdopen(ends[1], "w")))
		tap_bail("no pipe");
	setvbuf(stream, buffer, _IOFBF, sizeof(buffer));
	hz_report_get(&r, sizeof(r));
	as_xml();
	ssize_t n = read(ends[0], text[4], sizeof(text[4]) - 1);
	ok(n > 0, "malloc_info writes");
	is_int((long long)number(text[4], "\"live\" size"),
	       (long long)(r.live_small + r.live_large), "malloc_info: live");
	is_int((long long)number(text[4], "\"current\" size"), (long long)(r.committed + r.direct),
	       "malloc_info: system");
	is_int((long long)number(text[4], "\"cached\" size"), (long long)r.cached,
	       "malloc_info: cached");
	is_int(hz_report_write(1, 3), -1, "an unknown format is refused");

	malloc_trim(0);
	int told = pagemap_true();
	check_zero_pages("by the kernel's own search, if it has one", told);
	if (!refuse(SYS_ioctl, ENOTTY)) {
		tap_skip(8, "seccomp filters are not to be had here");
		return tap_done();
	}
	check_zero_pages("by the words of /proc/self/pagemap", told);
	refuse(SYS_openat, EACCES);
	check_zero_pages("by mincore", 0);
	return tap_done();
}
