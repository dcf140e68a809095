/* SPDX-License-Identifier: MIT */
/*
 * api_random - one thread, every function in random order, every byte known.
 *
 *   slot[i] = { block, size, mark }     size 0..8 MiB, logarithm uniform
 *
 * A step picks a slot and an operation; before a block goes, and on every
 * realloc, its contents are compared with the pattern its mark stands for.
 * The live total is bounded, so that the working set breathes between empty
 * and full.  argument or HZ_TEST_SEED: the seed, printed; same seed, same run.
 */
#include "alloc_names.h"
#include "probe.h"

enum {
	SLOTS = 3000,
	STEPS = 400000,
	SIZE_BITS = 23,
	LIVE_BYTES_MAX = 128 * 1024 * 1024,
};

static struct slot {
	void *block;
	size_t size;
	uint64_t mark;
} slot[SLOTS];

static struct {
	uint64_t state; /* of the generator */
	uint64_t mark;  /* next block's */
	size_t live;    /* bytes asked for and not freed */
	size_t lost;    /* blocks found changed */
	size_t misaligned, dirty, refused;
	size_t steps_done;
} run;

static void accept_block(struct slot *s, void *p, size_t n, size_t align)
{
	if (!p) {
		run.refused++;
		return;
	}
	run.misaligned += ((uintptr_t)p & (align - 1)) != 0;
	run.live += n;
	*s = (struct slot){ p, n, run.mark++ };
	fill(p, n, s->mark);
}

static void give_back(struct slot *s)
{
	run.lost += !intact(s->block, s->size, s->mark);
	run.live -= s->size;
	if (T_free_sized && random_to(&run.state, 8) == 0)
		T_free_sized(s->block, s->size);
	else
		T_free(s->block);
	s->block = NULL;
}

static void resize(struct slot *s)
{
	size_t n = random_size(&run.state, SIZE_BITS) + 1;
	size_t both = n < s->size ? n : s->size;
	void *p;
	if (random_to(&run.state, 3) == 0)
		n = s->size + s->size / 8 + 1;
	if (both > n)
		both = n;
	run.lost += !intact(s->block, s->size, s->mark);
	p = T_realloc(s->block, n);
	if (!p) {
		run.refused++;
		return;
	}
	both = n < s->size ? n : s->size;
	run.lost += !intact_prefix(p, both, s->mark);
	run.live = run.live - s->size + n;
	*s = (struct slot){ p, n, run.mark++ };
	fill(p, n, s->mark);
}

static void allocate(struct slot *s)
{
	size_t n = random_size(&run.state, SIZE_BITS);
	size_t align = (size_t)1 << random_to(&run.state, random_to(&run.state, 10) ? 13 : 23);
	void *p = NULL;
	if (run.live + n > LIVE_BYTES_MAX)
		return;
	switch (random_to(&run.state, 12)) {
	case 0:
		p = T_calloc(n, 1);
		run.dirty += p && !all_zero(p, n);
		accept_block(s, p, n, 16);
		break;
	case 1:
		accept_block(s, T_memalign(align, n), n, align);
		break;
	case 2:
		accept_block(s, T_aligned_alloc(align, n), n, align);
		break;
	case 3:
		align = align < sizeof(void *) ? sizeof(void *) : align;
		if (T_posix_memalign(&p, align, n))
			p = NULL;
		accept_block(s, p, n, align);
		break;
	case 4:
		accept_block(s, T_valloc(n), n, 4096);
		break;
	case 5:
		accept_block(s, T_realloc(NULL, n), n, 16);
		break;
	default:
		accept_block(s, T_malloc(n), n, 16);
	}
}

static void step(void)
{
	struct slot *s = &slot[random_to(&run.state, SLOTS)];
	run.steps_done++;
	if (!s->block)
		allocate(s);
	else if (random_to(&run.state, 4) == 0)
		resize(s);
	else
		give_back(s);
	if (s->block && T_malloc_usable_size(s->block) < s->size)
		run.lost++;
}

int main(int argc, char **argv)
{
	const char *seed = argc > 1 ? argv[1] : getenv("HZ_TEST_SEED");
	long steps = work(STEPS);
	watchdog(3000);
	run.state = seed ? strtoull(seed, NULL, 0) : 20241;
	run.state += run.state == 0;
	diag("seed %llu, %ld steps", (unsigned long long)run.state, steps);
	while (steps-- > 0) {
		step();
		if (steps % 100000 == 0)
			T_malloc_trim(0);
		/* Every now and then everything goes: memory falls free whole. */
		if (steps % 130000 == 0)
			for (int i = 0; i < SLOTS; i++)
				if (slot[i].block)
					give_back(&slot[i]);
	}
	for (int i = 0; i < SLOTS; i++)
		if (slot[i].block)
			give_back(&slot[i]);
	is_int(run.lost, 0, "no block changed under its owner (%zu steps)", run.steps_done);
	is_int(run.misaligned, 0, "every block was aligned as asked");
	is_int(run.dirty, 0, "every calloc was zero");
	is_int(run.refused, 0, "nothing was refused");
	is_int(run.live, 0, "(the books balance)");
	return tap_done();
}
