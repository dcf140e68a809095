/* SPDX-License-Identifier: MIT */
/*
 * model_fork - how a child finds out that it is one, every interleaving of it.
 *
 * Not the code but its protocol (heap.c), as abstract steps: three threads,
 * three heaps, at most two forks, one inside the other's recovery if it likes.
 * A fork leaves its caller alone in the world, the mark zero (wiped by the kernel
 * or by a handler, before anybody else is there), all locks as they were; the
 * caller then makes new threads whenever it likes.
 *
 *   slow path   mark WHOLE? go on.  LOST? settle.  0? recover
 *   recover     one thread (a word on the page that forks wipe), others wait
 *               for the mark; locks opened, heaps of vanished threads IDLE and
 *               listed; by a new thread: heaps in use LOST; then the mark
 *   settle      the forking thread: own heap LIVE, other LOST ones IDLE
 *   body        attach (idle list, lock, LIVE), own lock, or another's
 *   exit        lock, IDLE, unlock, onto the idle list
 *
 * Checked in every state: nobody works in a child that is not recovered, nor
 * while somebody recovers; no heap has two threads; a thread's heap is neither
 * IDLE nor listed; no heap is listed twice; no lock is opened under a living
 * holder; somebody can always go on.  At the end, when all others have ended
 * and the forking thread took one more slow path: the mark is WHOLE and every
 * heap without a thread is IDLE and listed.
 *
 * Each of the breaches is switched on in turn and must be found.
 */
#include "probe.h"

/* A lock is held by a thread, by nobody, or by one that vanished, whose name is known
 * where it matters. */
enum { THREADS = 3, HEAPS = 3, NOBODY = 7, GHOST = 8, NONE = 7 };
enum { CHILD, WHOLE, LOST_MARK }; /* of the mark */
enum { LIVE, IDLE, LOST };        /* of a heap */

enum place {
	VANISHED, /* not made yet, or left behind by a fork */
	READY,    /* between two calls */
	ENTER,
	FORKED,
	CLAIM,
	AWAIT,
	LOOK,
	OPEN,
	HEAP_BY_HEAP,
	MARK,
	DISCLAIM,
	SETTLE,
	SETTLE_HEAP,
	SETTLE_MARK,
	BODY,
	ATTACH_POP,
	ATTACH_LOCK,
	ATTACH_LIVE,
	OWN_LOCKED,
	OTHER_LOCKED,
	EXIT_LOCK,
	EXIT_IDLE,
	EXIT_LIST,
	EXIT_LISTED,
	ENDED,
};

struct state {
	uint8_t mark, recovering, forks, unheard;
	uint8_t heap[HEAPS], listed[HEAPS], lock[HEAPS], list_lock;
	struct {
		uint8_t place, heap, calls, at, first;
	} t[THREADS];
};

enum breach {
	SOUND,
	NO_CLAIM,       /* two may recover at once */
	CLAIM_SURVIVES, /* the claim is not on the page that forks wipe */
	ANYBODY_FIRST,  /* a new thread takes itself for the forking one */
	MARK_EARLY,     /* the mark is set before the heaps are right */
	NO_AWAIT,       /* who does not recover does not wait */
	ANYBODY_SETTLES,
	LOCKS_STAY,  /* locks of vanished threads are not opened */
	LIST_STAYS,  /* the idle list is not made anew */
	NOBODY_SETTLES,
	OWN_STAYS_LOST, /* of a thread that forked before it had settled */
	SETTLES_LATER, /* who waited for the recovery settles the next time */
	WAITERS_NOTICE, /* no mark: who waits for a lock looks whether it is in a child, and
			 * opens what it does not hold itself, as the names say */
	BREACHES,
};

static const char *const breach_name[BREACHES] = {
	"sound protocol",
	"recovery without a claim",
	"a claim that survives a fork",
	"a new thread takes itself for the first",
	"the mark before the heaps",
	"nobody waits for the recovery",
	"anybody settles",
	"locks stay as they were",
	"the idle list stays as it was",
	"nobody settles",
	"the own heap stays lost",
	"who waited settles the next time",
	"who waits notices the fork, and names are used again",
};

static enum breach breach;

struct scenario {
	const char *name;
	uint8_t heap[THREADS];  /* at the beginning */
	uint8_t calls[THREADS]; /* slow paths left, also of new threads */
	uint8_t forks;
	uint8_t forkers; /* set of threads */
};

static const struct scenario *scenario;

#include "explore.h"

static void orphan(struct state *s, unsigned h)
{
	s->heap[h] = IDLE;
	s->listed[h]++;
}

/* The holder of a lock did not come along. */
static uint8_t vanished(uint8_t holder)
{
	if (holder >= THREADS)
		return holder;
	return (uint8_t)(breach == WAITERS_NOTICE ? GHOST + holder : GHOST);
}

/* fork(): one successor, the child. */
static void forked(struct state *s, unsigned me)
{
	if (breach == WAITERS_NOTICE)
		s->unheard = 1;
	else
		s->mark = CHILD;
	if (breach != CLAIM_SURVIVES)
		s->recovering = 0;
	s->forks--;
	for (unsigned h = 0; h < HEAPS; h++)
		s->lock[h] = vanished(s->lock[h]);
	s->list_lock = vanished(s->list_lock);
	for (unsigned i = 0; i < THREADS; i++)
		if (i != me) {
			s->t[i].place = VANISHED;
			s->t[i].heap = NONE;
			s->t[i].calls = scenario->calls[i];
			s->t[i].at = s->t[i].first = 0;
		}
	s->t[me].first = 1;
	s->t[me].calls = 2; /* one, and the last one */
}

static void open_locks(struct state *s)
{
	uint8_t *locks[HEAPS + 1] = { &s->lock[0], &s->lock[1], &s->lock[2], &s->list_lock };
	for (unsigned i = 0; i < HEAPS + 1; i++) {
		if (*locks[i] < THREADS)
			violated("a lock opened under its holder");
		if (*locks[i] >= GHOST && breach != LOCKS_STAY)
			*locks[i] = NOBODY;
	}
	if (breach != LIST_STAYS)
		memset(s->listed, 0, sizeof(s->listed));
}

enum { BLOCKED, DONE };

/* Who waits for a lock: a new thread may have the name of one that vanished, for its
 * stack is used again, and takes that one's locks for its own. */
static int waits(struct state *s, unsigned me)
{
	uint8_t *locks[HEAPS + 1] = { &s->lock[0], &s->lock[1], &s->lock[2], &s->list_lock };
	if (!s->unheard)
		return BLOCKED;
	s->unheard = 0;
	for (unsigned i = 0; i < HEAPS + 1; i++)
		if (*locks[i] >= GHOST && *locks[i] != GHOST + me)
			*locks[i] = NOBODY;
	return DONE;
}

/* The forking thread may have waited for a new one: it settles before it gets a
 * heap, or nobody knows it by the LOST one that is its own. */
static uint8_t after_recovery(const struct state *s)
{
	return s->mark == LOST_MARK && breach != SETTLES_LATER ? SETTLE : BODY;
}

static int recover(struct state *s, unsigned me)
{
	unsigned h;
	int first = s->t[me].heap != NONE || s->t[me].first || breach == ANYBODY_FIRST;
	switch (s->t[me].place) {
	case FORKED:
		s->t[me].place = s->mark == LOST_MARK ? SETTLE : CLAIM;
		return DONE;
	case CLAIM:
		if (s->recovering && breach != NO_CLAIM) {
			s->t[me].place = breach == NO_AWAIT ? BODY : AWAIT;
			return DONE;
		}
		s->recovering = 1;
		s->t[me].place = LOOK;
		return DONE;
	case AWAIT:
		if (s->mark == CHILD)
			return BLOCKED;
		s->t[me].place = after_recovery(s);
		return DONE;
	case LOOK:
		s->t[me].place = s->mark == CHILD ? OPEN : DISCLAIM;
		return DONE;
	case OPEN:
		open_locks(s);
		if (breach == MARK_EARLY)
			s->mark = first ? WHOLE : LOST_MARK;
		s->t[me].at = 0;
		s->t[me].place = HEAP_BY_HEAP;
		return DONE;
	case HEAP_BY_HEAP:
		h = s->t[me].at++;
		if (h == s->t[me].heap) {
			if (breach != OWN_STAYS_LOST)
				s->heap[h] = LIVE;
		} else if (first || s->heap[h] == IDLE) {
			orphan(s, h);
		} else {
			s->heap[h] = LOST;
		}
		if (s->t[me].at == HEAPS)
			s->t[me].place = MARK;
		return DONE;
	case MARK:
		s->mark = first ? WHOLE : LOST_MARK;
		s->t[me].place = DISCLAIM;
		return DONE;
	default: /* DISCLAIM */
		s->recovering = 0;
		s->t[me].place = after_recovery(s);
		return DONE;
	}
}

static int settle(struct state *s, unsigned me)
{
	unsigned h, own = s->t[me].heap;
	switch (s->t[me].place) {
	case SETTLE:
		if (breach == NOBODY_SETTLES ||
		    (breach != ANYBODY_SETTLES &&
		     (own != NONE ? s->heap[own] != LOST : !s->t[me].first))) {
			s->t[me].place = BODY;
			return DONE;
		}
		if (s->list_lock != NOBODY)
			return waits(s, me);
		s->list_lock = (uint8_t)me;
		s->t[me].at = 0;
		s->t[me].place = SETTLE_HEAP;
		return DONE;
	case SETTLE_HEAP:
		h = s->t[me].at;
		if (s->heap[h] == LOST) {
			if (s->lock[h] != NOBODY)
				return waits(s, me);
			if (h == own)
				s->heap[h] = LIVE;
			else
				orphan(s, h);
		}
		if (++s->t[me].at == HEAPS)
			s->t[me].place = SETTLE_MARK;
		return DONE;
	default: /* SETTLE_MARK */
		s->list_lock = NOBODY;
		s->mark = WHOLE;
		s->t[me].place = BODY;
		return DONE;
	}
}

static int attach(struct state *s, unsigned me)
{
	unsigned h;
	switch (s->t[me].place) {
	case ATTACH_POP:
		for (h = 0; h < HEAPS && !s->listed[h]; h++)
			;
		if (h < HEAPS)
			s->listed[h]--;
		s->list_lock = NOBODY;
		s->t[me].at = (uint8_t)h;
		s->t[me].place = h < HEAPS ? ATTACH_LOCK : READY;
		return DONE;
	case ATTACH_LOCK:
		if (s->lock[s->t[me].at] != NOBODY)
			return waits(s, me);
		s->lock[s->t[me].at] = (uint8_t)me;
		s->t[me].place = ATTACH_LIVE;
		return DONE;
	default: /* ATTACH_LIVE */
		h = s->t[me].at;
		s->heap[h] = LIVE;
		s->lock[h] = NOBODY;
		s->t[me].heap = (uint8_t)h;
		s->t[me].place = READY;
		return DONE;
	}
}

/* One step of the body; choice 1.. locks another heap instead. */
static int body(struct state *s, unsigned me, unsigned choice)
{
	unsigned own = s->t[me].heap;
	if (choice) {
		if (choice > HEAPS || choice - 1 == own || s->lock[choice - 1] != NOBODY)
			return BLOCKED; /* trylock: nothing */
		s->lock[choice - 1] = (uint8_t)me;
		s->t[me].at = (uint8_t)(choice - 1);
		s->t[me].place = OTHER_LOCKED;
		return DONE;
	}
	if (own == NONE) {
		if (s->list_lock != NOBODY)
			return waits(s, me);
		s->list_lock = (uint8_t)me;
		s->t[me].place = ATTACH_POP;
		return DONE;
	}
	if (s->lock[own] != NOBODY)
		return waits(s, me);
	s->lock[own] = (uint8_t)me;
	s->t[me].at = (uint8_t)own;
	s->t[me].place = OWN_LOCKED;
	return DONE;
}

static int leave(struct state *s, unsigned me)
{
	unsigned h = s->t[me].heap;
	switch (s->t[me].place) {
	case EXIT_LOCK:
		if (s->lock[h] != NOBODY)
			return waits(s, me);
		s->lock[h] = (uint8_t)me;
		s->t[me].place = EXIT_IDLE;
		return DONE;
	case EXIT_IDLE:
		s->heap[h] = IDLE;
		s->lock[h] = NOBODY;
		s->t[me].at = (uint8_t)h;
		s->t[me].heap = NONE;
		s->t[me].place = EXIT_LIST;
		return DONE;
	case EXIT_LIST:
		if (s->list_lock != NOBODY)
			return waits(s, me);
		s->list_lock = (uint8_t)me;
		s->t[me].place = EXIT_LISTED;
		return DONE;
	default: /* EXIT_LISTED */
		s->listed[s->t[me].at]++;
		s->list_lock = NOBODY;
		s->t[me].place = ENDED;
		return DONE;
	}
}

/* Who has no calls left exits; the forking thread first takes one more slow
 * path, when all others have ended. */
static int ready(struct state *s, unsigned me)
{
	if (s->t[me].calls == 0) {
		if (s->t[me].first)
			s->t[me].place = ENDED; /* the process ends: heap kept */
		else
			s->t[me].place = s->t[me].heap == NONE ? ENDED : EXIT_LOCK;
		return DONE;
	}
	if (s->t[me].calls == 1 && s->t[me].first)
		for (unsigned i = 0; i < THREADS; i++)
			if (i != me && s->t[i].place != ENDED)
				return BLOCKED;
	s->t[me].calls--;
	s->t[me].place = ENTER;
	return DONE;
}

static int step(struct state *s, unsigned me, unsigned choice)
{
	uint8_t place = s->t[me].place;
	if (choice && place != BODY)
		return BLOCKED;
	if (place == READY)
		return ready(s, me);
	if (place == ENTER) {
		s->t[me].place = s->mark == WHOLE ? BODY : FORKED;
		return DONE;
	}
	if (place <= DISCLAIM)
		return recover(s, me);
	if (place <= SETTLE_MARK)
		return settle(s, me);
	if (place == BODY)
		return body(s, me, choice);
	if (place <= ATTACH_LIVE)
		return attach(s, me);
	if (place <= OTHER_LOCKED) {
		s->lock[s->t[me].at] = NOBODY;
		s->t[me].place = READY;
		return DONE;
	}
	return leave(s, me);
}

static void check_state(const struct state *s)
{
	for (unsigned i = 0; i < THREADS; i++) {
		unsigned place = s->t[i].place, h = s->t[i].heap;
		int works = place >= BODY && place < ENDED;
		if (place == VANISHED || place == ENDED)
			continue;
		if (works && s->mark == CHILD)
			violated("somebody works in a child that is not recovered");
		if (h != NONE && (s->heap[h] == IDLE || s->listed[h]))
			violated("a thread's heap is idle or listed");
		for (unsigned k = 0; k < THREADS; k++) {
			if (k == i || s->t[k].place == VANISHED || s->t[k].place == ENDED)
				continue;
			if (h != NONE && s->t[k].heap == h)
				violated("two threads have one heap");
			if (works && s->t[k].place >= OPEN && s->t[k].place <= MARK)
				violated("somebody works while somebody recovers");
		}
	}
	for (unsigned h = 0; h < HEAPS; h++)
		if (s->listed[h] > 1)
			violated("a heap is listed twice");
}

static void check_end(const struct state *s)
{
	unsigned owned = 0;
	for (unsigned i = 0; i < THREADS; i++)
		if (s->t[i].heap != NONE)
			owned |= 1u << s->t[i].heap;
	if (breach == WAITERS_NOTICE) /* promises no more than that all can go on */
		return;
	if (s->mark != WHOLE)
		violated("the mark is not whole at the end");
	for (unsigned h = 0; h < HEAPS; h++) {
		if (s->lock[h] != NOBODY)
			violated("a lock is held at the end");
		if (owned >> h & 1 ? s->heap[h] != LIVE : s->heap[h] != IDLE || !s->listed[h])
			violated("a heap without a thread is not to be had");
	}
}

static void expand(const struct state *from)
{
	int moved = 0, ended = 0, forker = 0;
	for (unsigned me = 0; me < THREADS && !violation; me++) {
		struct state next = *from;
		forker |= from->t[me].first;
		if (from->t[me].place == ENDED) {
			ended++;
			continue;
		}
		if (from->t[me].place == VANISHED) {
			/* Made by any thread of the process that is there. */
			int there = 0;
			for (unsigned i = 0; i < THREADS; i++)
				there |= from->t[i].place != VANISHED && from->t[i].place != ENDED;
			if (there) {
				next.t[me].place = READY;
				moved = 1;
				discover(&next);
			}
			continue;
		}
		for (unsigned choice = 0; choice <= HEAPS && !violation; choice++) {
			next = *from;
			if (step(&next, me, choice) == BLOCKED)
				continue;
			moved = 1;
			check_state(&next);
			discover(&next);
		}
		if (from->t[me].place == READY && from->forks && scenario->forkers >> me & 1) {
			next = *from;
			forked(&next, me);
			moved = 1;
			check_state(&next);
			discover(&next);
		}
	}
	if (ended == THREADS) {
		if (forker)
			check_end(from);
	} else if (!moved && !violation) {
		violated("nobody can go on");
	}
}

static struct state first_state(void)
{
	struct state s;
	memset(&s, 0, sizeof(s));
	s.mark = WHOLE;
	s.forks = scenario->forks;
	s.list_lock = NOBODY;
	for (unsigned h = 0; h < HEAPS; h++) {
		s.lock[h] = NOBODY;
		s.heap[h] = IDLE;
		s.listed[h] = 1;
	}
	for (unsigned i = 0; i < THREADS; i++) {
		s.t[i].place = READY;
		s.t[i].heap = scenario->heap[i];
		s.t[i].calls = scenario->calls[i];
		if (s.t[i].heap != NONE) {
			s.heap[s.t[i].heap] = LIVE;
			s.listed[s.t[i].heap] = 0;
		}
	}
	return s;
}

static const struct scenario scenarios[] = {
	{ "a thread with a heap forks while others work", { 0, 1, 2 }, { 1, 2, 1 }, 1, 1 },
	{ "a thread without a heap forks", { NONE, 1, 2 }, { 0, 1, 1 }, 1, 1 },
	{ "heaps come and go during the fork", { 0, 1, NONE }, { 0, 1, 2 }, 1, 1 },
	{ "a child's new thread forks", { 0, NONE, 1 }, { 0, 1, 1 }, 2, 3 },
	{ "a fork in a child that is being recovered", { 0, NONE, NONE }, { 0, 1, 1 }, 2, 7 },
	{ "forks by threads without a heap", { NONE, NONE, 0 }, { 0, 1, 1 }, 2, 3 },
};

int main(void)
{
	size_t total = 0;
	watchdog(300);
	explore_ready();
	for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
		struct state first;
		const char *what;
		scenario = &scenarios[i];
		first = first_state();
		what = explore(&first);
		ok(!what, "%s: %zu states%s%s", scenario->name, nstates, what ? ": " : "",
		   what ? what : "");
		total += nstates;
	}
	diag("%zu states", total);
	for (breach = SOUND + 1; breach < BREACHES; breach++) {
		const char *what = NULL;
		for (size_t i = 0; i < COUNT_OF(scenarios) && !what; i++) {
			struct state first;
			scenario = &scenarios[i];
			first = first_state();
			what = explore(&first);
		}
		ok(what != NULL, "found: %s (%s%s%s)", breach_name[breach],
		   what ? scenario->name : "no scenario", what ? ": " : "", what ? what : "");
	}
	return tap_done();
}
