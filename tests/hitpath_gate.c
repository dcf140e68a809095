/* SPDX-License-Identifier: MIT */
/*
 * hitpath_gate - instructions of malloc and free, counted one by one.
 *
 * The processor's trap flag raises SIGTRAP after every instruction; the
 * handler recognises the first instruction of malloc, free and the others by
 * address and counts from there to their return, the return included, the
 * caller's loop and its PLT stub excluded.  Exact and repeatable, no tracer,
 * no privilege; x86-64 only, elsewhere skipped.
 *
 *	hitpath_gate            the gates, as TAP, figures as diagnostics
 *	hitpath_gate --report   the figures only, "name value", any allocator
 *
 * Gates (a build without optimisation is skipped):
 *   malloc <= 14 and free <= 20 for every size to 64 KiB, each of 16 warm
 *   pairs; foreign free <= 40 on the mean of 1024, at most one locked
 *   instruction per 32; hand-over (malloc here, free there, reused here)
 *   <= 76 per object on the mean of 4096; and see the limits below, those of
 *   lane lean, whose magazines let go of what shrank by 256 KiB, and secure,
 *   which looks at marks.
 *
 * A step costs 2 us on bare metal and 17 us on a nested virtual machine, so
 * the counts below keep the whole program under a million steps.
 */
#include "tap.h"

#if defined(__x86_64__)

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

#include "alloc_names.h"

enum {
	WARM_PAIRS = 2000,  /* before a size is counted */
	COUNTED_PAIRS = 16, /* each must be within the gate */
	WARM_ROUNDS = 8,    /* of a foreign exchange, to a steady state */
	FOREIGN_BLOCKS = 1024,
	HANDED_BLOCKS = 4096,
	HANDED_ROUNDS = 3,
	BATCH_BLOCKS = 4096,
	CHURN_LIVE = 400,
	CHURN_WARM = 40000,
	CHURN_COUNTED = 1000,
	OBJECTS_PER_LOCK = 32,
};

/* Measured, and what another compiler may do: malloc 13, calloc 45 with gcc and 48
 * with clang; lean's hand-over 105 to 113; secure malloc 30, free 45, 59, 112, 129, 90, 359. */
static const struct limits {
	const char *lane;
	int malloc, free, foreign, handover, calloc, aligned, realloc;
} limits_of[] = {
	{ "secure", 33, 48, 64, 125, 135, 98, 390 },
	{ "lean", 14, 20, 40, 125, 49, 50, 200 },
	{ "", 14, 20, 40, 76, 49, 50, 200 }, /* every other */
};
static const struct limits *limit = limits_of;

enum function { MALLOC, FREE, CALLOC, REALLOC, ALIGNED_ALLOC, NFUNCTIONS };

/* What was counted inside one function since the last reset. */
struct counter {
	uintptr_t entry; /* its first instruction */
	unsigned long calls;
	unsigned long steps;  /* of all calls */
	unsigned long most;   /* of one call */
	unsigned long locked; /* bus-locking instructions of all calls */
};

static struct counter counters[NFUNCTIONS];

/* The call being stepped; written by the handler alone. */
static struct {
	struct counter *in; /* NULL: in the caller */
	uintptr_t return_pc, return_sp, last_pc;
	unsigned long steps;
} call;

static void *blocks[HANDED_BLOCKS];
static int report_only;

/*
 * Does the instruction lock the bus?  A lock prefix, or an xchg with memory,
 * which locks without one.
 */
static int locks_bus(uintptr_t pc)
{
	const unsigned char *code = (const unsigned char *)pc;

	for (;; code++) {
		switch (*code) {
		case 0xf0:
			return 1;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
		case 0x64:
		case 0x65:
		case 0x66:
		case 0x67:
		case 0xf2:
		case 0xf3:
			continue;
		}
		break;
	}
	if ((code[0] & 0xf0) == 0x40) /* REX */
		code++;
	return (code[0] == 0x86 || code[0] == 0x87) && (code[1] & 0xc0) != 0xc0;
}

static void enter_call(uintptr_t pc, uintptr_t sp)
{
	int i;

	for (i = 0; i < NFUNCTIONS; i++) {
		if (counters[i].entry != pc)
			continue;
		call.in = &counters[i];
		call.return_pc = *(const uintptr_t *)sp;
		call.return_sp = sp + sizeof(uintptr_t);
		call.last_pc = pc;
		call.steps = 0;
		call.in->locked += (unsigned long)locks_bus(pc);
		return;
	}
}

static void leave_call(void)
{
	call.in->calls++;
	call.in->steps += call.steps;
	if (call.steps > call.in->most)
		call.in->most = call.steps;
	call.in = NULL;
}

/* After each instruction; pc is the one to be executed next. */
static void on_step(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *state = context;
	uintptr_t pc = (uintptr_t)state->uc_mcontext.gregs[REG_RIP];
	uintptr_t sp = (uintptr_t)state->uc_mcontext.gregs[REG_RSP];

	(void)signal;
	(void)info;
	if (call.in == NULL) {
		enter_call(pc, sp);
		return;
	}
	if (pc == call.last_pc) /* a repeated string instruction */
		return;
	call.last_pc = pc;
	call.steps++;
	if (pc == call.return_pc && sp == call.return_sp)
		leave_call();
	else
		call.in->locked += (unsigned long)locks_bus(pc);
}

/* The trap flag; 128 bytes below the stack pointer may be in use. */
static inline void stepping_on(void)
{
	__asm__ volatile("subq $128, %%rsp\n\tpushfq\n\t"
			 "orq $0x100, (%%rsp)\n\tpopfq\n\tleaq 128(%%rsp), %%rsp" ::
				 : "memory", "cc");
}

static inline void stepping_off(void)
{
	__asm__ volatile("subq $128, %%rsp\n\tpushfq\n\t"
			 "andq $~0x100, (%%rsp)\n\tpopfq\n\tleaq 128(%%rsp), %%rsp" ::
				 : "memory", "cc");
}

static void reset_counters(void)
{
	int i;

	for (i = 0; i < NFUNCTIONS; i++)
		counters[i].calls = counters[i].steps = counters[i].most = counters[i].locked = 0;
}

static void find_functions(void)
{
	static const char *const names[NFUNCTIONS] = {
		"malloc", "free", "calloc", "realloc", "aligned_alloc",
	};
	struct sigaction action;
	int i;

	for (i = 0; i < NFUNCTIONS; i++) {
		counters[i].entry = (uintptr_t)dlsym(RTLD_DEFAULT, names[i]);
		if (counters[i].entry == 0)
			tap_bail("no %s in this process", names[i]);
	}
	memset(&action, 0, sizeof action);
	action.sa_sigaction = on_step;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGTRAP, &action, NULL);
}

/* The mean of what was counted, in steps per object. */
static double mean(enum function first, enum function second, unsigned long objects)
{
	unsigned long steps = counters[first].steps;

	if (second != first)
		steps += counters[second].steps;
	return (double)steps / (double)objects;
}

static void __attribute__((format(printf, 2, 3))) figure(double value, const char *format, ...)
{
	char name[64];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof name, format, args);
	va_end(args);
	if (report_only)
		tap_line("%s %.2f", name, value);
	else
		diag("figure %s %.2f", name, value);
}

/* mean <= limit; the figure is printed either way. */
static void gate(double value, double limit, const char *name, size_t size)
{
	figure(value, "%s_%zu", name, size);
	if (!report_only)
		ok(value <= limit,
		   "%s of %zu bytes: %.2f instructions, "
		   "at most %.2f",
		   name, size, value, limit);
}

/* ------------------------------------------------------ the own thread -- */

static void *volatile kept; /* keeps pairs from being elided */

static void pairs(size_t size, int count)
{
	while (count-- > 0) {
		kept = malloc(size);
		free(kept);
	}
}

static void check_pairs(void)
{
	static const size_t sizes[] = {
		16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536,
	};
	size_t i;

	for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		pairs(sizes[i], WARM_PAIRS);
		reset_counters();
		stepping_on();
		pairs(sizes[i], COUNTED_PAIRS);
		stepping_off();
		if (counters[MALLOC].calls != COUNTED_PAIRS ||
		    counters[FREE].calls != COUNTED_PAIRS)
			tap_bail("saw %lu mallocs and %lu frees of %d pairs",
				 counters[MALLOC].calls, counters[FREE].calls, COUNTED_PAIRS);
		gate((double)counters[MALLOC].most, limit->malloc, "malloc", sizes[i]);
		gate((double)counters[FREE].most, limit->free, "free", sizes[i]);
	}
}

static void batch(size_t size)
{
	int i;

	for (i = 0; i < BATCH_BLOCKS; i++)
		blocks[i] = malloc(size);
	for (i = 0; i < BATCH_BLOCKS; i++)
		free(blocks[i]);
}

static void report_batch(void)
{
	int i;

	for (i = 0; i < WARM_ROUNDS; i++)
		batch(64);
	reset_counters();
	stepping_on();
	batch(64);
	stepping_off();
	figure(mean(MALLOC, FREE, BATCH_BLOCKS), "batch_64");
}

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t bound)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)random_state * bound >> 32);
}

/* Replace random ones among the live; sizes uniform in 16..limit. */
static void churn(int count, uint32_t limit)
{
	while (count-- > 0) {
		uint32_t i = random_below(CHURN_LIVE);

		free(blocks[i]);
		blocks[i] = malloc(16 + random_below(limit - 15));
	}
}

static void report_churn(uint32_t limit)
{
	int i;

	memset(blocks, 0, sizeof blocks);
	churn(CHURN_WARM, limit);
	reset_counters();
	stepping_on();
	churn(CHURN_COUNTED, limit);
	stepping_off();
	figure(mean(MALLOC, FREE, CHURN_COUNTED), "churn_16_%u", limit);
	for (i = 0; i < CHURN_LIVE; i++)
		free(blocks[i]);
}

static void callocs(int count)
{
	while (count-- > 0) {
		kept = calloc(1, 64);
		free(kept);
	}
}

static void aligned(int count)
{
	while (count-- > 0) {
		kept = aligned_alloc(64, 192);
		free(kept);
	}
}

static void reallocs(int count)
{
	while (count-- > 0) {
		kept = malloc(16);
		kept = realloc(kept, 200);
		kept = realloc(kept, 800);
		free(kept);
	}
}

static void check_kind(void (*kind)(int), const char *name, double limit)
{
	int i;
	unsigned long steps = 0;

	kind(WARM_PAIRS);
	reset_counters();
	stepping_on();
	kind(COUNTED_PAIRS);
	stepping_off();
	for (i = 0; i < NFUNCTIONS; i++)
		steps += counters[i].steps;
	figure((double)steps / COUNTED_PAIRS, "%s", name);
	if (!report_only)
		ok((double)steps / COUNTED_PAIRS <= limit, "%s: %.2f instructions, at most %.2f", name,
		   (double)steps / COUNTED_PAIRS, limit);
}

/* ---------------------------------------------------- the other thread -- */

/* Main posts go with the work set up, the other posts done. */
static struct {
	sem_t go, done;
	int count; /* blocks to free; 0: end */
	int step;  /* count the instructions */
} other;

static void *free_for_others(void *unused)
{
	(void)unused;
	for (;;) {
		int i;

		while (sem_wait(&other.go) != 0)
			continue;
		if (other.count == 0)
			return NULL;
		if (other.step)
			stepping_on();
		for (i = 0; i < other.count; i++)
			free(blocks[i]);
		stepping_off();
		sem_post(&other.done);
	}
}

static void other_frees(int count, int step)
{
	other.count = count;
	other.step = step;
	sem_post(&other.go);
	if (count == 0)
		return;
	while (sem_wait(&other.done) != 0)
		continue;
}

static void fill_blocks(size_t size, int count)
{
	int i;

	for (i = 0; i < count; i++)
		blocks[i] = malloc(size);
}

static void check_foreign(size_t size, int gated)
{
	unsigned long locked;
	int i;

	for (i = 0; i < WARM_ROUNDS; i++) {
		fill_blocks(size, FOREIGN_BLOCKS);
		other_frees(FOREIGN_BLOCKS, 0);
	}
	fill_blocks(size, FOREIGN_BLOCKS);
	reset_counters();
	other_frees(FOREIGN_BLOCKS, 1);
	locked = counters[FREE].locked;
	figure((double)locked * OBJECTS_PER_LOCK / FOREIGN_BLOCKS, "foreign_locked_per_%d_%zu",
	       OBJECTS_PER_LOCK, size);
	if (!gated) {
		figure(mean(FREE, FREE, FOREIGN_BLOCKS), "foreign_free_%zu", size);
		return;
	}
	gate(mean(FREE, FREE, FOREIGN_BLOCKS), limit->foreign, "foreign_free", size);
	if (!report_only)
		ok(locked * OBJECTS_PER_LOCK <= FOREIGN_BLOCKS,
		   "%lu locked instructions in %d foreign frees of %zu "
		   "bytes, at most one per %d",
		   locked, FOREIGN_BLOCKS, size, OBJECTS_PER_LOCK);
}

/* In the steady state each malloc reuses what the other thread freed.  Of some
 * rounds the least: counting is so slow that what is due once a second by the
 * clock, whatever is handed over, falls into one or the other. */
static void check_handover(size_t size)
{
	double both = 0, ours = 0, theirs = 0;
	int i, round;

	for (round = 0; round < HANDED_ROUNDS; round++) {
		for (i = 0; i < WARM_ROUNDS; i++) {
			fill_blocks(size, HANDED_BLOCKS);
			other_frees(HANDED_BLOCKS, 0);
		}
		reset_counters();
		stepping_on();
		fill_blocks(size, HANDED_BLOCKS);
		stepping_off();
		other_frees(HANDED_BLOCKS, 1);
		if (round && mean(MALLOC, FREE, HANDED_BLOCKS) >= both)
			continue;
		both = mean(MALLOC, FREE, HANDED_BLOCKS);
		ours = mean(MALLOC, MALLOC, HANDED_BLOCKS);
		theirs = mean(FREE, FREE, HANDED_BLOCKS);
	}
	figure(ours, "handover_malloc_%zu", size);
	figure(theirs, "handover_free_%zu", size);
	gate(both, limit->handover, "handover", size);
}

static void check_two_threads(void)
{
	pthread_t thread;

	sem_init(&other.go, 0, 0);
	sem_init(&other.done, 0, 0);
	if (pthread_create(&thread, NULL, free_for_others, NULL) != 0)
		tap_bail("cannot create a thread");
	check_foreign(16, 1);
	check_foreign(64, 1);
	check_foreign(1024, 1);
	check_foreign(8192, 0);
	check_handover(64);
	other_frees(0, 0);
	pthread_join(thread, NULL);
}

/* Those of the lane in force, if there is one. */
static void find_limits(void)
{
	const char *(*lane)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "hz_lane");
	size_t n = lane ? strcspn(lane(), "-") : 0;

	while (*limit->lane && (strlen(limit->lane) != n || strncmp(limit->lane, lane(), n) != 0))
		limit++;
}

int main(int argc, char **argv)
{
	report_only = argc > 1 && strcmp(argv[1], "--report") == 0;
#if !defined(__OPTIMIZE__)
	if (!report_only)
		tap_skip_all("built without optimisation");
#endif
	find_functions();
	find_limits();
	check_pairs();
	check_two_threads();
	check_kind(callocs, "calloc_free_64", limit->calloc);
	check_kind(aligned, "aligned_alloc_free_64_192", limit->aligned);
	check_kind(reallocs, "malloc16_realloc200_realloc800_free", limit->realloc);
	report_batch();
	report_churn(1024);
	report_churn(32768);
	return report_only ? 0 : tap_done();
}

#else

int main(void)
{
	tap_skip_all("counts instructions on x86-64 only");
}

#endif
