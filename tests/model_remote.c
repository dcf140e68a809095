/* SPDX-License-Identifier: MIT */
/*
 * model_remote - the remote-free protocol, every interleaving of it.
 *
 * Not the code but its protocol, as abstract steps: three threads, three
 * heaps, two slabs of two blocks, magazines and batches of two.  A state is a
 * few bytes; all that can be reached from a scenario are visited, breadth
 * first, each thread's next step tried in each.
 *
 *   push    a full batch into the owner's inbox: one step (one CAS)
 *   sent    after a push: owner IDLE?  inbox not empty?  try its lock; take
 *           all, put, unlock, give strays again, look again
 *   exit    drain, flush, hand over, until nothing is left; lock, IDLE,
 *           unlock; then `sent` for itself; onto the idle list
 *   adopt   try the lock of an idle heap, or of a live one: retag, page by page,
 *           change owner, unlock, look again
 *   start   off the idle list, lock, LIVE
 *   direct  a thread without a heap: lock the owner, look, put, unlock, look
 *           again
 *
 * Checked in every state: each block is in exactly one place; bits of a slab
 * are set and cleared only under its owner's lock; somebody can always go on.
 * At the end: no batch lies in the inbox of an idle heap, a heap without a
 * thread has nothing in magazine or outbox, and if all blocks are free every
 * slab is known to be empty.
 *
 * The model is worth what it can find: each of the breaches below is switched
 * on in turn and must be found in some scenario.
 */
#include "probe.h"

enum { THREADS = 3, HEAPS = 3, SLABS = 2, BLOCKS = 4, ROUNDS = 2, NOBODY = 7, NONE = 7 };

enum breach {
	SOUND,
	NO_LOOK_AFTER_PUSH, /* the freer does not ask whether the owner is idle */
	NO_SECOND_LOOK,     /* who drained an idle heap does not look again after unlocking */
	ADOPTER_NO_LOOK,    /* who adopted from an idle heap does not */
	DIRECT_NO_LOOK,     /* who freed directly into an idle heap does not */
	EXIT_NO_LOOK,       /* the exiting owner does not, after going idle */
	EXIT_ONE_FLUSH,     /* ... flushes once, though strays may have come back */
	FLUSH_NO_OWNER,     /* flush believes the tag and not the slab's owner */
	DRAIN_NO_OWNER,     /* draining for another believes the inbox */
	ADOPT_NO_LOCK,      /* a slab is adopted without its heap's lock */
	OWNER_BEFORE_TAGS,  /* the adopter changes the owner first and the tags then */
	TAKE_BLINDLY,       /* who adopted a slab takes from it without a look */
	TAKE_NO_XCHG,       /* the inbox is read and cleared in two steps */
	BREACHES,
};

static const char *const breach_name[BREACHES] = {
	"sound protocol",
	"freer does not look after its push",
	"drainer does not look again",
	"adopter does not look again",
	"direct free does not look again",
	"exiting owner does not look again",
	"exiting owner flushes once",
	"flush does not check the owner",
	"drain does not check the owner",
	"adoption without the lock",
	"the owner changes before the tags",
	"an adopted slab is not looked at again",
	"inbox taken in two steps",
};

static enum breach breach;

/* Where a thread is; between two of these another may do anything. */
enum place {
	READY,      /* next: strays, then sends, then the script */
	FREE_ROUTE, /* tag read, block in reg */
	FREE_FLUSH, /* own lock held: magazine into slabs */
	DIRECT_LOCKED,
	SENT_STATE, /* is heap `with` idle? */
	SENT_LOCK,
	SENT_TAKE,
	SENT_TAKE_CLEAR,
	SENT_PUT,
	MALLOC_TAKE, /* own inbox */
	MALLOC_TAKE_CLEAR,
	MALLOC_SORT,
	MALLOC_REFILL,
	MALLOC_REFILL_LOCKED,
	MALLOC_ADOPT,
	ADOPT_TAG,
	ADOPT_SECOND_TAG,
	ADOPT_OWNER,
	ADOPT_UNLOCK,
	EXIT_TAKE,
	EXIT_TAKE_CLEAR,
	EXIT_SORT,
	EXIT_FLUSH,
	EXIT_FLUSH_LOCKED,
	EXIT_OUTBOX,
	EXIT_CHECK,
	EXIT_LOCK,
	EXIT_IDLE,
	EXIT_LIST,
	START_LOCK,
	START_LIVE,
	ENDED,
};

struct thread_state {
	uint8_t place;  /* enum place */
	uint8_t heap;   /* NONE: no heap (never, or ended) */
	uint8_t at;     /* script position */
	uint8_t reg;    /* block or slab at hand */
	uint8_t with;   /* heap at hand */
	uint8_t hands;  /* blocks taken, in no container */
	uint8_t strays; /* blocks to be freed again */
	uint8_t sends;  /* heaps to look after */
	uint8_t outbox[HEAPS];
	uint8_t adopted; /* adoption tried in this malloc */
};

struct state {
	struct thread_state t[THREADS];
	uint8_t magazine[HEAPS]; /* the heap's thread's */
	uint8_t inbox[HEAPS];
	uint8_t lock[HEAPS];   /* thread or NOBODY */
	uint8_t idle[HEAPS];   /* state IDLE */
	uint8_t listed[HEAPS]; /* on the idle list */
	uint8_t bits[SLABS];   /* free bits, as blocks */
	uint8_t owner[SLABS];
	uint8_t tag[BLOCKS]; /* of the page each lies on */
	uint8_t known_empty[SLABS]; /* found empty when the last bit was set */
	uint8_t program;            /* blocks the program holds */
};

struct scenario {
	const char *name;
	const char *script[THREADS]; /* m malloc, f free, x exit, s start */
	uint8_t heap[THREADS];       /* at the beginning */
	uint8_t program;             /* blocks held at the beginning */
	uint8_t bits;                /* free bits at the beginning */
	uint8_t magazine0;           /* blocks in heap 0's magazine */
};

static const struct scenario *scenario;
static const char *violation;

static unsigned slab_of(unsigned block)
{
	return block / 2;
}

static unsigned low(unsigned mask)
{
	return (unsigned)__builtin_ctz(mask);
}

static unsigned count(unsigned mask)
{
	return (unsigned)__builtin_popcount(mask);
}

static void violated(const char *what)
{
	if (!violation)
		violation = what;
}

static void set_bit(struct state *s, unsigned me, unsigned block)
{
	unsigned slab = slab_of(block);
	if (s->lock[s->owner[slab]] != me)
		violated("a bit set without the owner's lock");
	if (s->bits[slab] >> block & 1)
		violated("a free bit set again");
	s->bits[slab] |= (uint8_t)(1u << block);
	s->known_empty[slab] = count(s->bits[slab]) == 2;
	for (unsigned i = 0; s->known_empty[slab] && i < THREADS; i++)
		if (s->t[i].place >= ADOPT_SECOND_TAG && s->t[i].place <= ADOPT_OWNER &&
		    s->t[i].reg == slab)
			violated("a slab is closed whose tags are being written");
}

/* Blocks of mask into slabs of heap h, whose lock is held; returns strays. */
static unsigned put(struct state *s, unsigned me, unsigned h, unsigned mask, int trust)
{
	unsigned strays = 0;
	for (; mask; mask &= mask - 1) {
		unsigned block = low(mask);
		if (trust || s->owner[slab_of(block)] == h)
			set_bit(s, me, block);
		else
			strays |= 1u << block;
	}
	return strays;
}

/* Blocks taken from the own inbox: by tag into the magazine while there is
 * room, the rest stays in hand. */
static void sort(struct state *s, struct thread_state *t)
{
	for (unsigned mask = t->hands; mask; mask &= mask - 1) {
		unsigned block = low(mask);
		if (s->tag[block] == t->heap && count(s->magazine[t->heap]) < ROUNDS) {
			s->magazine[t->heap] |= (uint8_t)(1u << block);
			t->hands &= (uint8_t) ~(1u << block);
		}
	}
	t->strays |= t->hands; /* given again, which locks and looks */
	t->hands = 0;
}

static void take(struct state *s, struct thread_state *t, unsigned h, enum place then,
		 enum place clear)
{
	t->hands = s->inbox[h];
	if (breach == TAKE_NO_XCHG) {
		t->place = (uint8_t)clear;
		return;
	}
	s->inbox[h] = 0;
	t->place = (uint8_t)then;
}

static void push(struct state *s, struct thread_state *t, unsigned h)
{
	s->inbox[h] |= t->outbox[h];
	t->outbox[h] = 0;
	if (breach != NO_LOOK_AFTER_PUSH)
		t->sends |= (uint8_t)(1u << h);
}

/* What a step can do: nothing (0: blocked), or one successor; choices are
 * numbered from 0, and 2 says that there is another. */
enum { BLOCKED, DONE, MORE };

static int route(struct state *s, struct thread_state *t, unsigned me)
{
	unsigned block = t->reg, to = t->with;
	(void)me;
	if (t->heap == NONE) {
		if (s->lock[to] != NOBODY)
			return BLOCKED;
		s->lock[to] = (uint8_t)me;
		t->place = DIRECT_LOCKED;
		return DONE;
	}
	if (to == t->heap) {
		if (count(s->magazine[to]) == ROUNDS) {
			if (s->lock[to] != NOBODY)
				return BLOCKED;
			s->lock[to] = (uint8_t)me;
			t->place = FREE_FLUSH;
			return DONE;
		}
		s->magazine[to] |= (uint8_t)(1u << block);
		t->hands = 0;
		t->place = READY;
		return DONE;
	}
	t->outbox[to] |= (uint8_t)(1u << block);
	t->hands = 0;
	if (count(t->outbox[to]) == ROUNDS)
		push(s, t, to);
	t->place = READY;
	return DONE;
}

static void begin_free(struct state *s, struct thread_state *t, unsigned block)
{
	t->hands = (uint8_t)(1u << block);
	t->reg = (uint8_t)block;
	t->with = s->tag[block];
	t->place = FREE_ROUTE;
}

/* The choice-th block of mask, and whether there are more. */
static int nth(unsigned mask, int choice, unsigned *block)
{
	while (choice-- > 0)
		mask &= mask - 1;
	*block = low(mask);
	return mask & (mask - 1) ? MORE : DONE;
}

static int ready(struct state *s, struct thread_state *t, int choice)
{
	unsigned block, h;
	int more;
	if (t->strays) {
		block = low(t->strays);
		t->strays &= (uint8_t)(t->strays - 1);
		begin_free(s, t, block);
		return DONE;
	}
	if (t->sends) {
		t->with = (uint8_t)low(t->sends);
		t->sends &= (uint8_t)(t->sends - 1);
		t->place = SENT_STATE;
		return DONE;
	}
	/* An exit in progress goes on where it was. */
	if (t->at & 0x80) {
		t->at &= 0x7f;
		t->place = t->adopted;
		t->adopted = 0;
		return DONE;
	}
	switch (scenario->script[t - s->t][t->at]) {
	case 0:
		t->place = ENDED;
		return DONE;
	case 'f':
		if (!s->program) {
			t->at++;
			return DONE;
		}
		more = nth(s->program, choice, &block);
		s->program &= (uint8_t) ~(1u << block);
		t->at++;
		begin_free(s, t, block);
		return more;
	case 'm':
		if (t->heap != NONE && s->magazine[t->heap]) {
			more = nth(s->magazine[t->heap], choice, &block);
			s->magazine[t->heap] &= (uint8_t) ~(1u << block);
			s->program |= (uint8_t)(1u << block);
			t->at++;
			t->adopted = 0;
			return more;
		}
		if (t->heap == NONE || t->adopted) {
			t->at++; /* no memory */
			t->adopted = 0;
			return DONE;
		}
		t->place = MALLOC_TAKE;
		return DONE;
	case 'x':
		t->at++;
		t->place = t->heap == NONE ? READY : EXIT_TAKE;
		return DONE;
	default: /* 's' */
		t->at++;
		for (h = 0; h < HEAPS; h++)
			if (s->listed[h] && t->heap == NONE) {
				s->listed[h] = 0;
				t->with = (uint8_t)h;
				t->place = START_LOCK;
				break;
			}
		return DONE;
	}
}

/* Strays and sends first, then the exit goes on at `where`. */
static void detour(struct thread_state *t, enum place where)
{
	t->at |= 0x80;
	t->adopted = (uint8_t)where;
	t->place = READY;
}

static int lock_of(struct state *s, unsigned h, unsigned me)
{
	if (s->lock[h] != NOBODY)
		return 0;
	s->lock[h] = (uint8_t)me;
	return 1;
}

static int step_free(struct state *s, struct thread_state *t, unsigned me)
{
	unsigned h;
	switch (t->place) {
	case FREE_ROUTE:
		return route(s, t, me);
	case FREE_FLUSH:
		h = t->heap;
		t->strays |= (uint8_t)put(s, me, h, s->magazine[h], breach == FLUSH_NO_OWNER);
		s->magazine[h] = t->hands; /* room for the one at hand */
		t->hands = 0;
		s->lock[h] = NOBODY;
		t->place = READY;
		return DONE;
	default: /* DIRECT_LOCKED */
		h = t->with;
		t->strays |= (uint8_t)put(s, me, h, t->hands, 0);
		t->hands = 0;
		s->lock[h] = NOBODY;
		if (breach != DIRECT_NO_LOOK)
			t->sends |= (uint8_t)(1u << h);
		t->place = READY;
		return DONE;
	}
}

static int step_sent(struct state *s, struct thread_state *t, unsigned me)
{
	unsigned h = t->with;
	switch (t->place) {
	case SENT_STATE:
		t->place = s->idle[h] ? SENT_LOCK : READY;
		return DONE;
	case SENT_LOCK:
		t->place = s->inbox[h] && lock_of(s, h, me) ? SENT_TAKE : READY;
		return DONE;
	case SENT_TAKE:
		take(s, t, h, SENT_PUT, SENT_TAKE_CLEAR);
		return DONE;
	case SENT_TAKE_CLEAR:
		s->inbox[h] = 0;
		t->place = SENT_PUT;
		return DONE;
	default: /* SENT_PUT */
		t->strays |= (uint8_t)put(s, me, h, t->hands, breach == DRAIN_NO_OWNER);
		t->hands = 0;
		s->lock[h] = NOBODY;
		if (breach != NO_SECOND_LOOK)
			t->sends |= (uint8_t)(1u << h);
		t->place = READY;
		return DONE;
	}
}

/* A slab of a heap with a free bit; the first there is. */
static unsigned adoptable(const struct state *s, unsigned h)
{
	for (unsigned slab = 0; slab < SLABS; slab++)
		if (s->owner[slab] == h && s->bits[slab])
			return slab;
	return NONE;
}

static int step_adopt(struct state *s, struct thread_state *t, unsigned me)
{
	unsigned h = t->with, slab;
	switch (t->place) {
	case MALLOC_ADOPT:
		t->adopted = 1;
		t->place = READY;
		for (unsigned i = 0; i < 2 * HEAPS; i++) {
			h = i % HEAPS; /* first those on the idle list, then any */
			if (h == t->heap || s->lock[h] != NOBODY || (i < HEAPS && !s->listed[h]))
				continue;
			if (breach != ADOPT_NO_LOCK)
				s->lock[h] = (uint8_t)me;
			t->with = (uint8_t)h;
			t->place = ADOPT_TAG;
			break;
		}
		return DONE;
	case ADOPT_TAG:
		slab = adoptable(s, h);
		if (slab == NONE) {
			t->place = ADOPT_UNLOCK;
			return DONE;
		}
		t->reg = (uint8_t)slab;
		s->tag[2 * slab] = t->heap;
		if (breach == OWNER_BEFORE_TAGS)
			s->owner[slab] = t->heap;
		t->place = ADOPT_SECOND_TAG;
		return DONE;
	case ADOPT_SECOND_TAG:
		s->tag[2 * t->reg + 1] = t->heap;
		t->place = ADOPT_OWNER;
		return DONE;
	case ADOPT_OWNER:
		if (breach == ADOPT_NO_LOCK && s->lock[h] != NOBODY)
			violated("a slab changes hands under somebody's lock");
		s->owner[t->reg] = t->heap;
		if (count(s->bits[t->reg]) < 2)
			t->adopted = 2; /* a block of it is out: it may be closed */
		t->place = ADOPT_UNLOCK;
		return DONE;
	default: /* ADOPT_UNLOCK */
		if (s->lock[h] == me)
			s->lock[h] = NOBODY;
		if (breach != ADOPTER_NO_LOOK)
			t->sends |= (uint8_t)(1u << h);
		t->place = MALLOC_REFILL;
		return DONE;
	}
}

static int step_malloc(struct state *s, struct thread_state *t, unsigned me)
{
	unsigned h = t->heap;
	switch (t->place) {
	case MALLOC_TAKE:
		take(s, t, h, MALLOC_SORT, MALLOC_TAKE_CLEAR);
		return DONE;
	case MALLOC_TAKE_CLEAR:
		s->inbox[h] = 0;
		t->place = MALLOC_SORT;
		return DONE;
	case MALLOC_SORT:
		sort(s, t);
		t->place = s->magazine[h] || t->strays ? READY : MALLOC_REFILL;
		return DONE;
	case MALLOC_REFILL:
		if (!lock_of(s, h, me))
			return BLOCKED;
		t->place = MALLOC_REFILL_LOCKED;
		return DONE;
	default: /* MALLOC_REFILL_LOCKED */
		if (t->adopted == 2 && count(s->bits[t->reg]) == 2 && breach == TAKE_BLINDLY)
			violated("blocks taken from a slab that was closed");
		for (unsigned slab = 0; slab < SLABS; slab++)
			if (s->owner[slab] == h && !s->magazine[h]) {
				s->magazine[h] = s->bits[slab];
				s->bits[slab] = 0;
				s->known_empty[slab] = 0;
			}
		s->lock[h] = NOBODY;
		t->place = s->magazine[h] || t->adopted ? READY : MALLOC_ADOPT;
		return DONE;
	}
}

static int step_exit(struct state *s, struct thread_state *t, unsigned me)
{
	unsigned h = t->heap, mask = 0;
	switch (t->place) {
	case EXIT_TAKE:
		take(s, t, h, EXIT_SORT, EXIT_TAKE_CLEAR);
		return DONE;
	case EXIT_TAKE_CLEAR:
		s->inbox[h] = 0;
		t->place = EXIT_SORT;
		return DONE;
	case EXIT_SORT:
		sort(s, t);
		detour(t, EXIT_FLUSH);
		return DONE;
	case EXIT_FLUSH:
		if (!lock_of(s, h, me))
			return BLOCKED;
		t->place = EXIT_FLUSH_LOCKED;
		return DONE;
	case EXIT_FLUSH_LOCKED:
		t->strays |= (uint8_t)put(s, me, h, s->magazine[h], breach == FLUSH_NO_OWNER);
		s->magazine[h] = 0;
		s->lock[h] = NOBODY;
		detour(t, EXIT_OUTBOX);
		return DONE;
	case EXIT_OUTBOX:
		for (unsigned to = 0; to < HEAPS; to++)
			if (t->outbox[to])
				push(s, t, to);
		detour(t, EXIT_CHECK);
		return DONE;
	case EXIT_CHECK:
		for (unsigned to = 0; to < HEAPS; to++)
			mask |= t->outbox[to];
		t->place = (s->magazine[h] || mask) && breach != EXIT_ONE_FLUSH ? EXIT_FLUSH
										: EXIT_LOCK;
		return DONE;
	case EXIT_LOCK:
		if (!lock_of(s, h, me))
			return BLOCKED;
		t->place = EXIT_IDLE;
		return DONE;
	case EXIT_IDLE:
		s->idle[h] = 1;
		s->lock[h] = NOBODY;
		t->with = (uint8_t)h;
		t->heap = NONE;
		if (breach != EXIT_NO_LOOK)
			t->sends |= (uint8_t)(1u << h);
		t->reg = (uint8_t)h;
		detour(t, EXIT_LIST);
		/* `sent` uses with, strays use reg: the heap is kept in outbox. */
		t->outbox[0] |= (uint8_t)(0x80u | h << 4);
		return DONE;
	default: /* EXIT_LIST */
		h = t->outbox[0] >> 4 & 7;
		t->outbox[0] &= 0x0f;
		s->listed[h] = 1;
		t->place = READY;
		return DONE;
	}
}

static int step_start(struct state *s, struct thread_state *t, unsigned me)
{
	if (t->place == START_LOCK) {
		if (!lock_of(s, t->with, me))
			return BLOCKED;
		t->place = START_LIVE;
		return DONE;
	}
	s->idle[t->with] = 0;
	s->lock[t->with] = NOBODY;
	t->heap = t->with;
	t->place = READY;
	return DONE;
}

static int step(struct state *s, unsigned me, int choice)
{
	struct thread_state *t = &s->t[me];
	if (t->place == READY)
		return ready(s, t, choice);
	if (t->place <= DIRECT_LOCKED)
		return step_free(s, t, me);
	if (t->place <= SENT_PUT)
		return step_sent(s, t, me);
	if (t->place <= MALLOC_REFILL_LOCKED)
		return step_malloc(s, t, me);
	if (t->place <= ADOPT_UNLOCK)
		return step_adopt(s, t, me);
	if (t->place <= EXIT_LIST)
		return step_exit(s, t, me);
	return step_start(s, t, me);
}

/* -------------------------------------------------------- invariants -- */

static void check_state(const struct state *s)
{
	unsigned seen = s->program, twice = 0;
	unsigned places[2 * HEAPS + SLABS + THREADS * (2 + HEAPS)], n = 0;
	for (unsigned h = 0; h < HEAPS; h++) {
		places[n++] = s->magazine[h];
		places[n++] = s->inbox[h];
	}
	for (unsigned slab = 0; slab < SLABS; slab++)
		places[n++] = s->bits[slab];
	for (unsigned i = 0; i < THREADS; i++) {
		/* What was read and not yet cleared is in the inbox still. */
		unsigned reading = s->t[i].place == SENT_TAKE_CLEAR ||
				   s->t[i].place == MALLOC_TAKE_CLEAR ||
				   s->t[i].place == EXIT_TAKE_CLEAR;
		places[n++] = reading ? 0 : s->t[i].hands;
		places[n++] = s->t[i].strays;
		for (unsigned h = 0; h < HEAPS; h++)
			places[n++] = s->t[i].outbox[h] & 0x0fu;
	}
	for (unsigned i = 0; i < n; i++) {
		twice |= seen & places[i];
		seen |= places[i];
	}
	if (twice)
		violated("a block is in two places");
	if (seen != (1u << BLOCKS) - 1)
		violated("a block is lost");
}

static void check_end(const struct state *s)
{
	unsigned used = s->program;
	for (unsigned h = 0; h < HEAPS; h++) {
		if (s->idle[h] && s->inbox[h])
			violated("a batch is stranded in an idle heap");
		if (s->idle[h] && s->magazine[h])
			violated("an idle heap's magazine has blocks");
		if (s->lock[h] != NOBODY)
			violated("a lock is held at the end");
		used |= s->inbox[h] | s->magazine[h];
	}
	for (unsigned i = 0; i < THREADS; i++)
		for (unsigned h = 0; h < HEAPS; h++) {
			used |= s->t[i].outbox[h];
			if (s->t[i].heap == NONE && s->t[i].outbox[h])
				violated("a thread ended with blocks in its outbox");
		}
	for (unsigned slab = 0; slab < SLABS; slab++) {
		if (s->tag[2 * slab] != s->owner[slab] || s->tag[2 * slab + 1] != s->owner[slab])
			violated("tag and owner differ");
		if (!(used >> 2 * slab & 3) && !s->known_empty[slab])
			violated("an empty slab is not recognised");
	}
}

/* ----------------------------------------------------------- explorer -- */

enum { STATES_MAX = 12000000, TABLE = 1 << 25 };

static struct state *states; /* in order of discovery */
static uint32_t *table;      /* hash -> index + 1 */
static size_t nstates;

static void discover(const struct state *s)
{
	const unsigned char *byte = (const unsigned char *)s;
	uint64_t hash = 14695981039346656037u;
	for (size_t i = 0; i < sizeof(*s); i++)
		hash = (hash ^ byte[i]) * 1099511628211u;
	for (size_t at = (hash ^ hash >> 29) % TABLE;; at = (at + 1) % TABLE) {
		if (!table[at]) {
			if (nstates == STATES_MAX)
				tap_bail("more than %d states: %s", STATES_MAX, scenario->name);
			states[nstates++] = *s;
			table[at] = (uint32_t)nstates;
			return;
		}
		if (memcmp(&states[table[at] - 1], s, sizeof(*s)) == 0)
			return;
	}
}

/* All successors of one state. */
static void expand(const struct state *from)
{
	int moved = 0, ended = 0;
	for (unsigned me = 0; me < THREADS && !violation; me++) {
		int more = MORE;
		if (from->t[me].place == ENDED) {
			ended++;
			continue;
		}
		for (int choice = 0; more == MORE && !violation; choice++) {
			struct state next = *from;
			more = step(&next, me, choice);
			if (more == BLOCKED)
				break;
			moved = 1;
			check_state(&next);
			discover(&next);
		}
	}
	if (ended == THREADS)
		check_end(from);
	else if (!moved && !violation)
		violated("nobody can go on");
}

static void first_state(struct state *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < THREADS; i++)
		s->t[i].heap = scenario->heap[i];
	for (unsigned h = 0; h < HEAPS; h++) {
		s->lock[h] = NOBODY;
		s->idle[h] = s->listed[h] = 1;
	}
	for (unsigned i = 0; i < THREADS; i++)
		if (scenario->heap[i] != NONE)
			s->idle[scenario->heap[i]] = s->listed[scenario->heap[i]] = 0;
	for (unsigned slab = 0; slab < SLABS; slab++) {
		s->owner[slab] = s->tag[2 * slab] = s->tag[2 * slab + 1] = (uint8_t)slab;
		s->bits[slab] = scenario->bits & (uint8_t)(3u << 2 * slab);
		s->known_empty[slab] = count(s->bits[slab]) == 2;
	}
	s->program = scenario->program;
	s->magazine[0] = scenario->magazine0;
}

/* The first violation, or NULL after every state was seen. */
static const char *explore(void)
{
	struct state s;
	violation = NULL;
	nstates = 0;
	memset(table, 0, TABLE * sizeof(*table));
	first_state(&s);
	check_state(&s);
	discover(&s);
	for (size_t i = 0; i < nstates && !violation; i++)
		expand(&states[i]);
	return violation;
}

/* Slab 0 is heap 0's (blocks 0 and 1), slab 1 is heap 1's (2 and 3). */
static const struct scenario scenarios[] = {
	{ "owner ends while its blocks are freed", { "x", "ffx", "sm" }, { 0, 1, NONE }, 3, 12, 0 },
	{ "two free into an owner that ends", { "x", "fx", "fx" }, { 0, 1, 2 }, 3, 12, 0 },
	{ "two full batches into one that ends", { "x", "ff", "ff" }, { 0, 2, 1 }, 15, 0, 0 },
	{ "a slab is adopted while others free into it",
	  { "x", "mfx", "fx" },
	  { 0, 2, 1 },
	  1,
	  2,
	  12 },
	{ "adopted from one that comes back", { "xs", "mmx", "ffx" }, { 0, 2, 1 }, 13, 2, 0 },
	{ "a thread without a heap frees", { "x", "ffx", "ff" }, { 0, 1, NONE }, 15, 0, 0 },
	{ "without a heap, and adoption", { "xf", "mx", "ffx" }, { 0, 2, 1 }, 13, 2, 0 },
	{ "everybody ends", { "fx", "fx", "fx" }, { 0, 1, 2 }, 15, 0, 0 },
	{ "everybody allocates, frees and ends", { "mfx", "mfx", "mfx" }, { 0, 1, 2 }, 3, 12, 0 },
	{ "adopted from one that goes on", { "ffmx", "mmfx", "ffx" }, { 0, 2, 1 }, 12, 2, 1 },
	{ "adopted from each other", { "mfmx", "mfmx", "fx" }, { 0, 1, 2 }, 5, 10, 0 },
	{ "full magazines of adopted blocks", { "fx", "mmffx", "ffx" }, { 0, 2, 1 }, 12, 3, 0 },
};

int main(void)
{
	size_t largest = 0, total = 0;
	watchdog(300);
	states = mmap(NULL, STATES_MAX * sizeof(*states), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	table = mmap(NULL, TABLE * sizeof(*table), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (states == MAP_FAILED || table == MAP_FAILED)
		tap_skip_all("not enough address space");
	for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
		const char *what;
		scenario = &scenarios[i];
		what = explore();
		ok(!what, "%s: %zu states%s%s", scenario->name, nstates, what ? ": " : "",
		   what ? what : "");
		total += nstates;
		if (nstates > largest)
			largest = nstates;
	}
	diag("%zu states, %zu in the largest scenario", total, largest);
	for (breach = SOUND + 1; breach < BREACHES; breach++) {
		const char *what = NULL;
		for (size_t i = 0; i < COUNT_OF(scenarios) && !what; i++) {
			scenario = &scenarios[i];
			what = explore();
		}
		ok(what != NULL, "found: %s (%s%s%s)", breach_name[breach],
		   what ? scenario->name : "no scenario", what ? ": " : "", what ? what : "");
	}
	return tap_done();
}
