/* SPDX-License-Identifier: MIT */
/*
 * misuse - crimes against malloc, one by one, and what becomes of them.
 *
 *	misuse             all of them, as TAP
 *	misuse NAME        one of them, in this process, for a debugger
 *	misuse --report    one line each for any allocator: abort, silent, harmless
 *
 * Each crime runs in a child.  Where detection is promised (MUST) the child
 * dies of SIGABRT after one line on stderr that names the function, the
 * pointer and the reason.  Where it is not (MAY) it does the same, or it goes
 * on and then, allocating a lot of every size, no two live blocks overlap.
 * KNOWN: magazines are not searched on every free, so a double free with
 * others in between is found when the magazine is flushed, and not if malloc
 * hands the block out before that; reported as TODO.
 */
#include "alloc_names.h"
#include "probe.h"

#pragma GCC diagnostic ignored "-Wuse-after-free"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"
#pragma GCC diagnostic ignored "-Wmismatched-dealloc"

enum promise { MUST, MAY, KNOWN };

enum { SECONDS = 60, OVERLAP = 3, HARMLESS = 0 };

/* The pointer the message has to name; shared with the child. */
static const void **named;

static void *name(void *p)
{
	*named = p;
	return escape(p);
}

/* A block that the compiler cannot do without. */
static void *get(size_t n)
{
	return escape(malloc(opaque(n)));
}

/* Busy but innocent: what passes between two frees of the same block. */
static void others(int count, size_t n)
{
	static void *block[20000];
	for (int i = 0; i < count; i++)
		block[i] = get(n);
	for (int i = 0; i < count; i++)
		free(block[i]);
}

/* --------------------------------------------------- double free -- */

static void double_free(void)
{
	void *p = name(get(64));
	free(p);
	free(escape(p));
}

static void double_free_medium(void)
{
	void *p = name(get(20000));
	free(p);
	free(escape(p));
}

static void double_free_large(void)
{
	void *p = name(get(3 * MIB));
	free(p);
	free(escape(p));
}

static void double_free_large_later(void)
{
	void *p = name(get(3 * MIB)), *q = get(3 * MIB);
	free(p);
	free(q);
	free(get(1000));
	free(escape(p));
}

static void double_free_huge(void)
{
	void *p = name(get(600 * MIB));
	free(p);
	free(escape(p));
}

static void double_free_after_one(void)
{
	void *p = name(get(64)), *q = get(64);
	free(p);
	free(q);
	free(escape(p));
}

static void double_free_handed_out(void)
{
	/* No flush between the crime and its fruits: a size nobody used before. */
	void *p = name(get(112)), *q = get(112), *a, *b, *c;
	free(p);
	free(q);
	free(escape(p));
	a = get(112);
	b = get(112);
	c = get(112);
	if (a == b || a == c || b == c)
		_exit(OVERLAP);
}

static void double_free_flushed(void)
{
	/* Both frees, then enough frees of that size to flush both. */
	static void *block[40000];
	void *p;
	for (size_t i = 0; i < COUNT_OF(block); i++)
		block[i] = get(64);
	p = name(block[100]);
	free(p);
	free(block[101]);
	free(escape(p));
	for (size_t i = 200; i < COUNT_OF(block); i++)
		free(block[i]);
}

static void double_free_after_flush(void)
{
	/* The first free has been flushed when the second comes. */
	static void *block[40000];
	void *p;
	for (size_t i = 0; i < COUNT_OF(block); i++)
		block[i] = get(64);
	p = name(block[0]);
	for (size_t i = 0; i < COUNT_OF(block); i++)
		free(block[i]);
	T_malloc_trim(0);
	free(escape(p));
	others(20000, 64);
}

static void double_free_after_10000(void)
{
	void *p = name(get(64));
	free(p);
	others(5000, 200);
	free(escape(p));
}

static void *free_it(void *p)
{
	free(p);
	return NULL;
}

static void double_free_across(void)
{
	void *p = name(get(64));
	pthread_join(start_thread(free_it, p), NULL);
	free(escape(p));
	others(20000, 64);
}

static void double_free_elsewhere(void)
{
	void *p = name(get(64));
	free(p);
	pthread_join(start_thread(free_it, p), NULL);
	others(20000, 64);
}

static void double_free_large_across(void)
{
	void *p = name(get(3 * MIB));
	pthread_join(start_thread(free_it, p), NULL);
	free(escape(p));
}

static void free_after_realloc_moved(void)
{
	void *p = name(get(3 * MIB));
	void *q = realloc(p, opaque(400 * MIB));
	free(q);
	free(escape(p));
}

/* -------------------------------------------------- foreign frees -- */

static char in_static[4096] __attribute__((aligned(64)));

static void free_static(void)
{
	free(name(in_static + 64));
}

static void free_stack(void)
{
	char in_stack[256] __attribute__((aligned(64)));
	in_stack[0] = 1;
	free(name(escape(in_stack + 64)));
}

static void free_text(void)
{
	free(name((void *)(uintptr_t)free_text));
}

static void free_mapping(void)
{
	void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	free(name(p));
}

static void free_far(void)
{
	free(name((void *)(uintptr_t)0x123456789000));
}

static void free_low(void)
{
	free(name((void *)(uintptr_t)64));
}

static void free_kernel(void)
{
	free(name((void *)(UINTPTR_MAX - 4095)));
}

static void free_minus_one(void)
{
	free(name((void *)UINTPTR_MAX));
}

/* ------------------------------------------------- interior frees -- */

static void free_inside(void)
{
	char *p = get(1000);
	free(name(p + 64));
	others(20000, 1000);
}

static void free_unaligned(void)
{
	char *p = get(1000);
	free(name(p + 7));
	others(20000, 1000);
}

static void free_inside_large(void)
{
	char *p = get(3 * MIB);
	free(name(p + MIB));
}

static void free_inside_large_unaligned(void)
{
	char *p = get(3 * MIB);
	free(name(p + 16));
}

static void free_inside_huge(void)
{
	char *p = get(600 * MIB);
	free(name(p + 300 * MIB));
}

static void free_end_of_large(void)
{
	char *p = get(3 * MIB);
	free(name(p + 3 * MIB - 16));
}

static void free_inside_elsewhere(void)
{
	char *p = get(1000);
	pthread_join(start_thread(free_it, name(p + 48)), NULL);
	others(20000, 1000);
}

static void free_uncarved(void)
{
	/* 60 KiB behind the only block of its size. */
	char *p = get(96);
	free(name(p + 960));
	others(20000, 96);
}

/* ------------------------------------------- other functions -- */

static void realloc_freed_large(void)
{
	void *p = name(get(3 * MIB));
	free(p);
	escape(realloc(escape(p), opaque(100)));
}

static void realloc_static(void)
{
	escape(realloc(name(in_static), opaque(100)));
}

static void realloc_inside_large(void)
{
	char *p = get(3 * MIB);
	escape(realloc(name(p + 4096), opaque(100)));
}

static void usable_static(void)
{
	opaque(T_malloc_usable_size(name(in_static)));
}

static void usable_freed_large(void)
{
	void *p = name(get(3 * MIB));
	free(p);
	opaque(T_malloc_usable_size(escape(p)));
}

static void free_sized_static(void)
{
	if (T_free_sized)
		T_free_sized(name(in_static), 64);
}

static void free_sized_twice(void)
{
	void *p = name(get(64));
	if (!T_free_sized)
		return;
	T_free_sized(p, 64);
	T_free_sized(escape(p), 64);
}

static void free_aligned_sized_inside(void)
{
	char *p = get(3 * MIB);
	if (T_free_aligned_sized)
		T_free_aligned_sized(name(p + MIB), 64, 64);
}

static void free_sized_wrong(void)
{
	/* No crime that must be found, but one that must do no harm. */
	void *p = get(64), *q = get(5000);
	if (!T_free_sized)
		return;
	*named = NULL;
	T_free_sized(escape(p), 5000);
	T_free_sized(escape(q), 1);
}

static const struct crime {
	const char *name;
	void (*commit)(void);
	enum promise promise;
	const char *function; /* that the message names, or other: see same() */
} crimes[] = {
	{ "double_free", double_free, MUST, "free" },
	{ "double_free_medium", double_free_medium, MUST, "free" },
	{ "double_free_large", double_free_large, MUST, "free" },
	{ "double_free_large_later", double_free_large_later, MUST, "free" },
	{ "double_free_huge", double_free_huge, MUST, "free" },
	{ "double_free_after_one", double_free_after_one, KNOWN, "free" },
	{ "double_free_handed_out", double_free_handed_out, KNOWN, "free" },
	{ "double_free_flushed", double_free_flushed, MUST, "free" },
	{ "double_free_after_flush", double_free_after_flush, MAY, "free" },
	{ "double_free_after_10000", double_free_after_10000, MAY, "free" },
	{ "double_free_across", double_free_across, MAY, "free" },
	{ "double_free_elsewhere", double_free_elsewhere, MAY, "free" },
	{ "double_free_large_across", double_free_large_across, MUST, "free" },
	{ "free_after_realloc_moved", free_after_realloc_moved, MUST, "free" },
	{ "free_static", free_static, MUST, "free" },
	{ "free_stack", free_stack, MUST, "free" },
	{ "free_text", free_text, MUST, "free" },
	{ "free_mapping", free_mapping, MUST, "free" },
	{ "free_far", free_far, MUST, "free" },
	{ "free_low", free_low, MUST, "free" },
	{ "free_kernel", free_kernel, MUST, "free" },
	{ "free_minus_one", free_minus_one, MUST, "free" },
	{ "free_inside", free_inside, MAY, "free" },
	{ "free_unaligned", free_unaligned, MAY, "free" },
	{ "free_inside_large", free_inside_large, MUST, "free" },
	{ "free_inside_large_unaligned", free_inside_large_unaligned, MUST, "free" },
	{ "free_inside_huge", free_inside_huge, MUST, "free" },
	{ "free_end_of_large", free_end_of_large, MUST, "free" },
	{ "free_inside_elsewhere", free_inside_elsewhere, MAY, "free" },
	{ "free_uncarved", free_uncarved, MAY, "free" },
	{ "realloc_freed_large", realloc_freed_large, MUST, "realloc" },
	{ "realloc_static", realloc_static, MUST, "realloc" },
	{ "realloc_inside_large", realloc_inside_large, MUST, "realloc" },
	{ "usable_static", usable_static, MUST, "malloc_usable_size" },
	{ "usable_freed_large", usable_freed_large, MUST, "malloc_usable_size" },
	{ "free_sized_static", free_sized_static, MUST, "free" },
	{ "free_sized_twice", free_sized_twice, MUST, "free" },
	{ "free_aligned_sized_inside", free_aligned_sized_inside, MUST, "free" },
	{ "free_sized_wrong", free_sized_wrong, MAY, "free" },
};

/* Many live blocks of every size, each byte known: do two overlap? */
static int blocks_overlap(void)
{
	enum { BLOCKS = 30000 };
	static struct {
		void *at;
		size_t size;
	} live[BLOCKS];
	uint64_t state = 9;
	int overlap = 0;
	for (size_t i = 0; i < BLOCKS; i++) {
		/* Every second one of a size that the crimes are about. */
		static const size_t sizes[] = { 64, 96, 1000, 64, 200, 20000 };
		live[i].size = i & 1 ? sizes[i / 2 % COUNT_OF(sizes)] : random_size(&state, 13) + 1;
		live[i].at = malloc(live[i].size);
		if (!live[i].at)
			return OVERLAP;
		fill(live[i].at, live[i].size, i);
	}
	for (size_t i = 0; i < BLOCKS; i++)
		overlap |= !intact(live[i].at, live[i].size, i);
	return overlap ? OVERLAP : HARMLESS;
}

static void commit(const struct crime *crime)
{
	struct rlimit no_core = { 0, 0 };
	setrlimit(RLIMIT_CORE, &no_core);
	alarm(SECONDS);
	/* The thread has a heap with a past. */
	others(300, 64);
	crime->commit();
	_exit(blocks_overlap());
}

/* The child's end, and what it wrote to stderr. */
static int run(const struct crime *crime, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;
	int ends[2];
	pid_t child;
	*named = NULL;
	if (pipe(ends))
		tap_bail("pipe");
	child = fork();
	if (child == 0) {
		dup2(ends[1], 2);
		close(ends[0]);
		close(ends[1]);
		commit(crime);
	}
	close(ends[1]);
	while (used < size - 1 && (n = read(ends[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
	close(ends[0]);
	return reap(child);
}

/* "libhz: function(): 0xpointer: reason\n", one line and nothing else. */
static int is_message(const char *text, const char *function)
{
	char start[128];
	int length = snprintf(start, sizeof(start), "libhz: %s(): %p: ", function, *named);
	const char *end = strchr(text, '\n');
	return strncmp(text, start, (size_t)length) == 0 && end && end[1] == 0 &&
	       end - text > length + 5;
}

static const char *outcome(int status, const char *text, const struct crime *crime)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		return is_message(text, crime->function) ? "abort" : "abort with another message";
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGALRM ? "hang" : "signal";
	return WEXITSTATUS(status) == OVERLAP ? "silent" : "harmless";
}

static void judge(const struct crime *crime, int report_only)
{
	char text[1000];
	int status = run(crime, text, sizeof(text));
	const char *what = outcome(status, text, crime);
	int aborted = strcmp(what, "abort") == 0, harmless = strcmp(what, "harmless") == 0;
	if (report_only) {
		tap_line("%s %s", crime->name, what);
		return;
	}
	if (crime->promise == MUST && *named == NULL && harmless)
		tap_skip(1, "%s cannot be committed here", crime->name);
	else if (crime->promise == MUST)
		ok(aborted, "%s is found and named (%s)", crime->name, what);
	else if (crime->promise == MAY)
		ok(aborted || (harmless && !*text), "%s is found or harmless (%s)", crime->name,
		   what);
	else if (aborted || harmless)
		ok(1, "%s is found or harmless (%s)", crime->name, what);
	else
		tap_todo(0, "magazines are not searched", "%s (%s)", crime->name, what);
	if (!aborted && *text)
		diag("%.200s", text);
}

int main(int argc, char **argv)
{
	int report_only = argc > 1 && strcmp(argv[1], "--report") == 0;
	named = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (named == MAP_FAILED)
		tap_bail("mmap");
	for (size_t i = 0; i < COUNT_OF(crimes); i++) {
		if (argc > 1 && !report_only) {
			if (strcmp(argv[1], crimes[i].name) == 0)
				commit(&crimes[i]);
		} else {
			judge(&crimes[i], report_only);
		}
	}
	return report_only ? 0 : tap_done();
}
