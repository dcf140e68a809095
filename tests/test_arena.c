/* SPDX-License-Identifier: MIT */
/*
 * test_arena - reserving, committing, routing, and metadata.
 *
 *   growth       page after page until full: entries, records, routing
 *   ladder       an address limit leaves so much: the arena that still fits
 *   further      256 arenas, each routed; not one more
 *   refusals     every kernel call of a growth refused: nothing moved, later fine
 *   metadata     zeroed, aligned, disjoint; refused; counted
 *   fork mark    zero in a child, nonzero in the parent
 *
 * Each scene is a child whose allocator nobody has touched.
 */
#include "report.h"
#include "whitebox.h"

/* The entry of a page by the definition in arena.h, without its code. */
static struct hz_page *entry(const struct hz_arena *a, size_t page)
{
	return (struct hz_page *)(a->start - 8 * (page + 1));
}

/* Everything that says whose an address is, at both ends of a page. */
static void routed(struct hz_arena *a, size_t page)
{
	char *first = a->start + page * HZ_PAGE, *last = first + HZ_PAGE - 1;
	uint32_t tag = 0x1000000 + (uint32_t)page;
	NEED(entry(a, page)->tag == 0 && entry(a, page)->run == 0);
	entry(a, page)->tag = tag;
	NEED(hz_page_of(first) == entry(a, page) && hz_page_of(last) == entry(a, page));
	NEED(hz_tag_of(first) == tag && hz_tag_of(last) == tag);
	NEED(hz_arena_of(first) == a && hz_arena_of(last) == a);
	NEED(hz_arena_index(a, last) == page && hz_arena_page(a, page) == entry(a, page));
	NEED(*first == 0 && *last == 0);
	*first = *last = 1;
}

static void foreign(const void *p)
{
	NEED(hz_page_of(p) == NULL);
	NEED(hz_tag_of(p) == HZ_TAG_NONE);
	NEED(hz_arena_of(p) == NULL);
}

static void grow_full(struct hz_arena *a)
{
	uint64_t state = 88172645463325252u;
	uint32_t first, got;
	while (a->pages_top < a->pages_max) {
		uint32_t top = a->pages_top;
		size_t want = 1 + random_to(&state, 40);
		want = want < a->pages_max - top ? want : a->pages_max - top;
		NEED(!hz_arena_grow(a, a->pages_max - top + 1, &first, &got));
		NEED(a->pages_top == top);
		NEED(hz_arena_grow(a, want, &first, &got));
		NEED(first == top && got >= want && a->pages_top == top + got);
		for (size_t i = first; i < first + got; i++)
			routed(a, i);
		if (a->pages_top < a->pages_max)
			foreign(a->start + (size_t)a->pages_top * HZ_PAGE);
	}
	NEED(!hz_arena_grow(a, 1, &first, &got));
	NEED(hz_arena_runs_ready(a, a->pages_max, sizeof(struct hz_run)));
	memset(a->runs_next, 0, (size_t)a->pages_max * sizeof(struct hz_run));
	NEED(a->runs_next + (size_t)a->pages_max * sizeof(struct hz_run) <= a->runs_end);
	for (size_t i = 0; i < a->pages_max; i++) /* records lie apart from the entries */
		NEED(entry(a, i)->tag == 0x1000000 + i);
}

static void growth(long bytes)
{
	foreign(NULL);
	foreign(&bytes);
	NEED(hz_arena_init((size_t)bytes));
	struct hz_arena *a = hz_arenas[0];
	NEED(hz_arenas_count == 1 && a->number == 0 && a->pages_top == 0);
	NEED(a->pages_max == (size_t)bytes / HZ_PAGE && (uintptr_t)a->start % HZ_PAGE == 0);
	NEED(a->base < a->start && hz_hot.start == a->start && hz_hot.base == a->base);
	NEED(a->start + (size_t)a->pages_max * HZ_PAGE == a->base + a->reserved_bytes);
	foreign(a->start);
	grow_full(a);
	foreign(a->start - 1);
	foreign(a->start + (size_t)a->pages_max * HZ_PAGE);
	foreign(NULL);
	foreign((void *)-1);
	foreign(&bytes);
}

static void further(long arg)
{
	(void)arg;
	NEED(hz_arena_init(512 * KIB));
	NEED(hz_arenas[0]->pages_max == 128);
	hz_lock(&hz_arena_lock);
	struct hz_arena *big = hz_arena_add(1000);
	NEED(big && big->number == 1 && big->pages_max >= 1000 && hz_arenas[1] == big);
	NEED(hz_arenas_count == 2);
	grow_full(big);
	grow_full(hz_arenas[0]);
	while (hz_arenas_count < HZ_ARENAS_MAX) {
		uint32_t n = hz_arenas_count, first, got;
		struct hz_arena *a = hz_arena_add(1);
		NEED_AT(a && a->number == n && hz_arenas[n] == a && hz_arenas_count == n + 1, n);
		NEED_AT(a->pages_max == 128, n);
		foreign(a->start);
		NEED_AT(hz_arena_grow(a, 1, &first, &got) && first == 0, n);
		for (size_t i = 0; i < got; i++)
			routed(a, i);
	}
	NEED(hz_arena_add(1) == NULL && hz_arenas_count == HZ_ARENAS_MAX);
	hz_unlock(&hz_arena_lock);
	for (uint32_t n = 0; n < HZ_ARENAS_MAX; n++)
		NEED_AT(hz_arena_of(hz_arenas[n]->start) == hz_arenas[n], n);
}

/* Takes address space and leaves `left` bytes of it, of a limit of eight times `wish`. */
static void leave(size_t left, size_t wish)
{
	size_t mapped = (size_t)number_in("/proc/self/statm", 0) * HZ_PAGE;
	struct rlimit limit = { 8 * wish, RLIM_INFINITY };
	size_t hog = 8 * wish - left - mapped;
	void *p = mmap(NULL, hog, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	NEED(p != MAP_FAILED);
	NEED(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* The ladder: what is left of the address space (MiB), and the arena to come of it. */
static const struct {
	size_t left_kib, wish_mib, arena_kib;
} ladder[] = {
	{ 80u << 20, 64 << 10, 64u << 20 }, { 50u << 20, 64 << 10, 16u << 20 },
	{ 9u << 20, 64 << 10, 4u << 20 },   { 3u << 20, 64 << 10, 1u << 20 },
	{ 500u << 10, 64 << 10, 256 << 10 }, { 200 << 10, 64 << 10, 128 << 10 },
	{ 100 << 10, 64 << 10, 64 << 10 },  { 5000, 64 << 10, 4096 },
	{ 900, 64 << 10, 512 },		    { 600, 64 << 10, 256 },
	{ 5000, 128, 4096 },		    { 300 << 10, 128, 128 << 10 },
};

static void limited(long i)
{
	leave(ladder[i].left_kib * KIB, ladder[i].wish_mib * MIB);
	NEED(hz_arena_init(1024 * 1024 * MIB));
	struct hz_arena *a = hz_arenas[0];
	size_t kib = (size_t)a->pages_max * (HZ_PAGE / KIB);
	if (kib != ladder[i].arena_kib)
		diag("%zu KiB of heap, %zu wanted", kib, ladder[i].arena_kib);
	NEED(kib == ladder[i].arena_kib);
	NEED(a->reserved_bytes <= ladder[i].left_kib * KIB);
	uint32_t first, got;
	NEED(hz_arena_grow(a, 16, &first, &got) && got >= 16);
	for (size_t n = 0; n < got; n++)
		routed(a, n);
}

static void none_fits(long arg)
{
	(void)arg;
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	leave(300 * KIB, 1024 * MIB);
	errno = ELIBBAD;
	NEED(!hz_arena_init(64 * 1024 * MIB));
	NEED(!hz_arena_init(64 * 1024 * MIB));
	NEED(hz_arenas_count == 0 && errno == ELIBBAD);
	foreign(&limit);
	NEED(setrlimit(RLIMIT_AS, &limit) == 0);
	NEED(hz_arena_init(64 * 1024 * MIB));
	NEED(hz_arenas_count == 1 && hz_arenas[0]->pages_max == 64 * 1024 * MIB / HZ_PAGE);
}

/* The k-th call is refused, alone or with all after it. */
static void init_refused(long k)
{
	hz_os_fault = (struct hz_os_fault){ .at = (uint64_t)k / 2, .on = k & 1 };
	bool done = hz_arena_init(8 * MIB);
	bool met = hz_os_fault.seen >= hz_os_fault.at;
	NEED(done || met);
	hz_os_fault = (struct hz_os_fault){ 0 };
	if (!done)
		NEED(hz_arenas_count == 0 && hz_arena_init(8 * MIB));
	NEED(hz_arenas_count == 1);
	grow_full(hz_arenas[0]);
	_exit(met ? 0 : 2);
}

static void grow_refused(long arg)
{
	(void)arg;
	uint32_t first, got;
	NEED(hz_arena_init(40 * MIB));
	struct hz_arena *a = hz_arenas[0];
	for (uint64_t k = 0; a->pages_top < a->pages_max; k++) {
		struct hz_arena was = *a;
		hz_os_fault = (struct hz_os_fault){ .at = 1 + k % 4, .on = k / 4 % 2 };
		bool done = hz_arena_grow(a, 7, &first, &got);
		bool on = hz_os_fault.on && hz_os_fault.at == 1;
		hz_os_fault = (struct hz_os_fault){ 0 };
		NEED_AT(!done || !on, k);
		if (done) {
			NEED_AT(first == was.pages_top && got >= 7, k);
		} else {
			NEED_AT(a->pages_top == was.pages_top, k);
			NEED_AT(hz_arena_grow(a, 7, &first, &got) || a->pages_max - a->pages_top < 7,
				k);
			if (a->pages_top == was.pages_top)
				break;
		}
		for (size_t i = was.pages_top; i < a->pages_top; i++)
			routed(a, i);
	}
	/* Records, and an arena more. */
	hz_os_fault = (struct hz_os_fault){ .at = 1, .on = true };
	char *high = a->runs_high;
	size_t more = (size_t)(high - a->runs_next) / sizeof(struct hz_run);
	NEED(hz_arena_runs_ready(a, more, sizeof(struct hz_run)));
	NEED(!hz_arena_runs_ready(a, more + 1, sizeof(struct hz_run)) && a->runs_high == high);
	NEED(!hz_arena_add(1) && hz_arenas_count == 1);
	hz_os_fault = (struct hz_os_fault){ 0 };
	NEED(hz_arena_runs_ready(a, more + 1, sizeof(struct hz_run)));
	memset(high, 1, sizeof(struct hz_run));
	a = hz_arena_add(1);
	NEED(a && hz_arenas_count == 2);
	NEED(hz_arena_grow(a, 3, &first, &got));
	routed(a, 0);
}

static void metadata(long arg)
{
	(void)arg;
	size_t used, committed, used2, committed2, sum = 0;
	uint64_t state = 1;
	NEED(hz_arena_init(8 * MIB));
	hz_meta_observe(&used, &committed);
	char *low = NULL, *end = NULL;
	for (int i = 0; i < 3000; i++) {
		size_t n = 1 + random_to(&state, i % 100 ? 1000 : 100000);
		char *p = hz_meta_alloc(n);
		NEED_AT(p && (uintptr_t)p % 64 == 0, i);
		NEED_AT(all_zero(p, n), i); /* disjoint: each is written full */
		memset(p, 0xa5, n);
		NEED_AT(!end || p == end || p >= end + 64 || p < low, i);
		low = p, end = p + hz_round_up(n, 64);
		sum += hz_round_up(n, 64);
	}
	hz_meta_observe(&used2, &committed2);
	NEED(used2 - used == sum && committed2 >= used2);
	/* A piece for itself, refused and then not. */
	errno = ELIBBAD;
	hz_os_fault = (struct hz_os_fault){ .at = 1, .on = true };
	NEED(!hz_meta_alloc(5 * MIB) && errno == ELIBBAD);
	hz_os_fault = (struct hz_os_fault){ .at = 1 }; /* the round piece; the exact one comes */
	char *p = hz_meta_alloc(MIB / 2 + 64);
	hz_os_fault = (struct hz_os_fault){ 0 };
	NEED(p && all_zero(p, MIB / 2 + 64));
	p = hz_meta_alloc(5 * MIB);
	NEED(p && all_zero(p, 5 * MIB));
	hz_meta_observe(&used, &committed);
	NEED(used - used2 == 5 * MIB + MIB / 2 + 64 && committed >= used);
}

/* Addresses that are not held may be somebody else's when their time comes. */
static void taken(long held)
{
	uint32_t first, got;
	/* The call that gives the place back, or nothing. */
	hz_os_fault = (struct hz_os_fault){ .at = held ? 2 : 0 };
	NEED(hz_arena_init(40 * MIB));
	hz_os_fault = (struct hz_os_fault){ 0 };
	struct hz_arena *a = hz_arenas[0];
	NEED(a->held == held && hz_arena_grow(a, 7, &first, &got));
	char *top = a->start + ((size_t)a->pages_top << HZ_PAGE_SHIFT);
	/* A wish for an address that is taken is not granted. */
	char *got_at = mmap(top, HZ_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(got_at != MAP_FAILED && munmap(got_at, HZ_PAGE) == 0);
	NEED((got_at != top) == held);
	errno = ELIBBAD;
	if (held)
		return;
	NEED(mmap(top, HZ_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == top);
	struct hz_arena was = *a;
	NEED(!hz_arena_grow(a, 7, &first, &got) && a->pages_top == was.pages_top);
	NEED(hz_arena_add(1000) && hz_arenas_count == 2);
	NEED(hz_arena_grow(hz_arenas[1], 1000, &first, &got) && got >= 1000);
	memset(hz_arenas[1]->start, 1, 1000 * HZ_PAGE);
	NEED(munmap(top, HZ_PAGE) == 0 && hz_arena_grow(a, 7, &first, &got));
	NEED(errno == ELIBBAD);
}

static void fork_mark(long refused)
{
	bool wiped = !refused && kernel_wipes();
	/* Calls of a start: look for a place, leave it, commit, wipe on fork. */
	hz_os_fault = (struct hz_os_fault){ .at = refused ? 4 : 0 };
	NEED(hz_arena_init(8 * MIB));
	hz_os_fault = (struct hz_os_fault){ 0 };
	NEED(hz_fork_mark && hz_fork_wiped == wiped);
	char *p = hz_meta_alloc(64);
	NEED((char *)hz_fork_mark + (wiped ? HZ_PAGE : 64) <= p && all_zero(p, 64));
	memset(p, 1, 64);
	pid_t pid = fork();
	if (pid == 0)
		_exit(*hz_fork_mark != (uint32_t)!wiped || *p != 1);
	NEED(ended_well(reap(pid)));
	NEED(*hz_fork_mark == 1);
}

/* qemu-user says "done" to a limit on address space and sets none. */
static void limit_holds(long arg)
{
	struct rlimit limit = { 256 * MIB, RLIM_INFINITY };
	(void)arg;
	NEED(setrlimit(RLIMIT_AS, &limit) == 0);
	_exit(mmap(NULL, 1024 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		   0) != MAP_FAILED);
}

/* A limit from outside leaves no room to look for a place: addresses are held at once. */
static void room_is(long arg)
{
	(void)arg;
	_exit(mmap(NULL, (size_t)1 << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0) == MAP_FAILED);
}

int main(void)
{
	bool limits = ended_well(scene_status(limit_holds, 0));
	scene(growth, 256 << 10, "an arena of 256 KiB grows until it is full, every page routed");
	scene(growth, 8 << 20, "an arena of 8 MiB does");
	scene(growth, 100 << 20, "an arena of 100 MiB does");
	scene(further, 0, "further arenas up to the last, every one routed");
	for (size_t i = 0; limits && i < COUNT_OF(ladder); i++) {
		char what[100];
		snprintf(what, sizeof(what), "%zu KiB of address space: an arena of %zu KiB",
			 ladder[i].left_kib, ladder[i].arena_kib);
		scene(limited, (long)i, what);
	}
	if (limits)
		scene(none_fits, 0, "no arena fits: refused, and made when one does");
	else
		tap_skip(COUNT_OF(ladder) + 1, "limits on address space are not kept here");
	int status = 0;
	long k = 2;
	for (; ended_well(status) && k < 100; k++)
		status = scene_status(init_refused, k);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 2 && k > 8,
	   "a start with its k-th call refused, %ld times, works the next time", (k - 2) / 2);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 2)
		tell_status(status, k);
	scene(grow_refused, 0, "a refused growth changes nothing, and works the next time");
	scene(metadata, 0, "metadata: zeroed, aligned, disjoint, counted, refused and had again");
	if (ended_well(scene_status(room_is, 0)))
		scene(taken, 0,
		      "addresses are not held; a taken piece makes the arena full, no more");
	else
		tap_skip(1, "no room to find a place in: addresses are held");
	scene(taken, 1, "addresses are held if they cannot be given back");
	scene(fork_mark, 0, "the fork mark is zero in a child");
	scene(fork_mark, 1, "without a fork mark metadata is the same");
	return tap_done();
}
