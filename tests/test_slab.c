/* SPDX-License-Identifier: MIT */
/*
 * test_slab - blocks of a slab against a shadow that knows where each one is.
 *
 *   shadow[i]   NEVER carved, FREE in the slab, OUT in the test's hands
 *   every class, random take and put: no block twice, freed ones first, lowest
 *   address last; wrong pointers refused and nothing changed
 *   shelves     a slab is on the list of its fill, the fullest gives first
 *   retag, repair, close
 */
#include "report.h"
#include "whitebox.h"

enum where { NEVER, FREE, OUT };
enum { OWNER_A = 5 * HZ_TAG_OWNER_ONE, OWNER_B = 900 * HZ_TAG_OWNER_ONE, SLABS = 40 };

struct shadow {
	struct hz_run *s;
	size_t bytes, blocks, out;
	unsigned char is[HZ_SLAB_BLOCKS_MAX];
};

static uint64_t state = 88172645463325252u;

static struct shadow opened(uint32_t owner, unsigned c)
{
	struct shadow m = { hz_slab_open(owner, c), hz_classes[c].bytes, hz_classes[c].blocks, 0,
			    { NEVER } };
	NEED(m.s && m.s->state == HZ_RUN_SLAB && m.s->class_no == c && m.s->owner == owner);
	NEED(m.s->shelf == HZ_SHELF_NONE && hz_slab_spare(m.s) == m.blocks && hz_slab_empty(m.s));
	hz_slab_check(m.s);
	return m;
}

static size_t count(const struct shadow *m, enum where where)
{
	size_t n = 0;
	for (size_t i = 0; i < m->blocks; i++)
		n += m->is[i] == where;
	return n;
}

static void same(const struct shadow *m)
{
	hz_slab_check(m->s);
	NEED(m->s->nfree == count(m, FREE) && m->s->blocks == m->blocks);
	NEED(m->s->carved == m->blocks - count(m, NEVER));
	NEED(hz_slab_spare(m->s) == m->blocks - m->out && m->out == count(m, OUT));
	NEED(hz_slab_empty(m->s) == !m->out);
	for (size_t i = 0; i < m->blocks; i++) {
		enum hz_slab_put want = m->is[i] == OUT	   ? HZ_PUT_OK
					: m->is[i] == FREE ? HZ_PUT_DOUBLE
							   : HZ_PUT_INTERIOR;
		char *p = m->s->base + i * m->bytes;
		NEED_AT(hz_slab_probe(m->s, p) == want, i);
		NEED_AT(hz_slab_probe(m->s, p + 1) == HZ_PUT_INTERIOR, i);
		NEED_AT(hz_slab_probe(m->s, p + m->bytes - 1) == HZ_PUT_INTERIOR, i);
		NEED_AT(hz_slab_probe(m->s, p + m->bytes / 2) == HZ_PUT_INTERIOR, i);
		NEED_AT(hz_tag_of(p) == (m->s->owner | hz_offset_of_class(m->s->class_no)), i);
		NEED_AT(hz_run_of(p + m->bytes - 1) == m->s, i);
	}
	size_t end = (size_t)hz_run_pages(m->s) * HZ_PAGE;
	for (size_t off = m->blocks * m->bytes; off < end; off += 16)
		NEED(hz_slab_probe(m->s, m->s->base + off) == HZ_PUT_INTERIOR);
}

static void take(struct shadow *m, size_t n)
{
	void *out[HZ_SLAB_BLOCKS_MAX + 1];
	size_t freed = count(m, FREE), spare = m->blocks - m->out;
	size_t got = hz_slab_take(m->s, out, n);
	NEED(got == (n < spare ? n : spare));
	for (size_t i = 0; i < got; i++) {
		size_t off = (size_t)((char *)out[i] - m->s->base), no = off / m->bytes;
		NEED(off % m->bytes == 0 && no < m->blocks);
		NEED(m->is[no] != OUT);
		NEED(i + 1 == got || out[i] > out[i + 1]); /* lowest address popped first */
		m->is[no] = OUT;
	}
	m->out += got;
	NEED(count(m, FREE) == (freed > got ? freed - got : 0)); /* freed before fresh */
}

static void put(struct shadow *m, size_t no)
{
	char *p = m->s->base + no * m->bytes;
	struct hz_run was = *m->s;
	enum hz_slab_put done = hz_slab_put(m->s, p);
	if (m->is[no] != OUT) {
		NEED(done == (m->is[no] == FREE ? HZ_PUT_DOUBLE : HZ_PUT_INTERIOR));
		NEED(!memcmp(&was, m->s, sizeof(was)));
		return;
	}
	NEED(done == HZ_PUT_OK);
	m->is[no] = FREE;
	m->out--;
	NEED(hz_slab_put(m->s, p + random_to(&state, m->bytes - 1) + 1) == HZ_PUT_INTERIOR);
}

static void close_slab(struct shadow *m)
{
	struct hz_run *s = m->s;
	char *first = s->base, *last = first + (size_t)hz_run_pages(s) * HZ_PAGE - 1;
	s->next = NULL;
	hz_slab_close(s);
	NEED(hz_tag_of(first) == HZ_TAG_NONE && hz_tag_of(last) == HZ_TAG_NONE);
	m->s = NULL;
}

/* Every class: random take and put, then closed. */
static void random_steps(long arg)
{
	(void)arg;
	NEED(hz_arena_init(64 * MIB));
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		struct shadow m = opened(OWNER_A, c);
		for (long step = 0; step < work(120); step++) {
			if (random_to(&state, 3) == 0)
				take(&m, random_to(&state, random_to(&state, 8) ? 8 : 600));
			else
				for (size_t i = random_to(&state, 12); i-- > 0;)
					put(&m, random_to(&state, m.blocks));
			if (step % 8 == 0)
				same(&m);
			if (step % 50 == 0)
				hz_slab_retag(m.s, step % 100 ? OWNER_A : OWNER_B);
		}
		/* Outside of the slab, on both sides. */
		NEED(hz_slab_put(m.s, m.s->base - m.bytes) == HZ_PUT_INTERIOR);
		NEED(hz_slab_put(m.s, m.s->base + m.blocks * m.bytes) == HZ_PUT_INTERIOR);
		for (size_t i = 0; i < m.blocks; i++)
			if (m.is[i] == OUT)
				put(&m, i);
		same(&m);
		close_slab(&m);
		NEED(hz_run_counts.used_pages == 0);
	}
}

/* A closed slab gives back what was handed out as dirty, the rest as clean. */
static void touched(long arg)
{
	void *out[64];
	(void)arg;
	NEED(hz_arena_init(64 * MIB));
	unsigned c = hz_class_of_size(65536); /* one block of 16 pages */
	struct shadow m = opened(OWNER_A, c);
	close_slab(&m);
	NEED(hz_run_counts.dirty_pages == 0);
	m = opened(OWNER_A, c);
	NEED(m.s->zero && hz_slab_take(m.s, out, 64) == 1);
	memset(out[0], 1, m.bytes);
	NEED(hz_slab_put(m.s, out[0]) == HZ_PUT_OK);
	close_slab(&m);
	NEED(hz_run_counts.dirty_pages == 16);
	/* As former slab it comes back dirty, its record as new. */
	m = opened(OWNER_B, c);
	NEED(!m.s->zero && hz_run_counts.dirty_pages == 0);
	same(&m);
	close_slab(&m);
	NEED(hz_run_counts.dirty_pages == 16 && pages_whole().lost == 0);
	/* A list of them. */
	struct hz_run *list = NULL;
	for (int i = 0; i < 20; i++) {
		struct shadow one = opened(OWNER_A, (unsigned)i);
		one.s->next = list;
		list = one.s;
	}
	hz_slab_close(list);
	NEED(hz_run_counts.used_pages == 0 && pages_whole().lost == 0);
}

/* Every slab is on exactly the list of its fill; nobody else is on one. */
static void shelf_same(struct hz_shelf *shelf, struct shadow *m, size_t n)
{
	size_t on = 0, best = SIZE_MAX, given = SIZE_MAX;
	for (int l = 0; l < HZ_SHELF_LISTS; l++) {
		struct hz_run *prev = NULL;
		for (struct hz_run *s = shelf->list[l]; s; prev = s, s = s->next, on++) {
			size_t spare = hz_slab_spare(s);
			NEED(s->prev == prev && s->shelf == l && spare);
			/* Quarters of the slab, the fullest in list 0. */
			NEED(spare * HZ_SHELF_LISTS >= (size_t)l * (s->blocks + 1u));
			NEED(spare * HZ_SHELF_LISTS < (size_t)(l + 1) * (s->blocks + 1u));
		}
	}
	for (size_t i = 0; i < n; i++) {
		size_t spare = hz_slab_spare(m[i].s);
		on -= spare > 0;
		NEED((m[i].s->shelf == HZ_SHELF_NONE) == !spare);
		best = spare && spare < best ? spare : best;
	}
	NEED(on == 0);
	struct hz_run *first = hz_shelf_first(shelf);
	NEED((first == NULL) == (best == SIZE_MAX));
	if (first) {
		given = hz_slab_spare(first);
		NEED(given * HZ_SHELF_LISTS / (first->blocks + 1u) ==
		     best * HZ_SHELF_LISTS / (first->blocks + 1u));
	}
}

static void shelves(long arg)
{
	(void)arg;
	struct shadow m[SLABS];
	struct hz_shelf shelf = { 0 }, other = { 0 };
	NEED(hz_arena_init(64 * MIB));
	for (unsigned c = 3; c < HZ_CLASSES; c += 9) {
		for (size_t i = 0; i < SLABS; i++) {
			m[i] = opened(OWNER_A, c);
			hz_shelf_place(&shelf, m[i].s);
		}
		for (long step = 0; step < work(2000); step++) {
			struct shadow *one = &m[random_to(&state, SLABS)];
			if (random_to(&state, 2))
				take(one, 1 + random_to(&state, one->blocks));
			else
				for (size_t i = random_to(&state, one->blocks) + 1; i-- > 0;)
					put(one, random_to(&state, one->blocks));
			hz_shelf_place(&shelf, one->s);
			if (step % 8 == 0)
				shelf_same(&shelf, m, SLABS);
			if (step % 32 == 0) {
				/* Off, to another owner, and back. */
				hz_shelf_remove(&shelf, one->s);
				hz_shelf_remove(&shelf, one->s);
				NEED(one->s->shelf == HZ_SHELF_NONE);
				shelf_same(&other, one, 0);
				hz_slab_retag(one->s, OWNER_B);
				hz_shelf_place(&other, one->s);
				shelf_same(&other, one, 1);
				same(one);
				hz_shelf_remove(&other, one->s);
				hz_slab_retag(one->s, OWNER_A);
				hz_shelf_place(&shelf, one->s);
			}
		}
		for (size_t i = 0; i < SLABS; i++) {
			for (size_t b = 0; b < m[i].blocks; b++)
				if (m[i].is[b] == OUT)
					put(&m[i], b);
			hz_shelf_remove(&shelf, m[i].s);
			close_slab(&m[i]);
		}
		NEED(!hz_shelf_first(&shelf) && !hz_shelf_first(&other));
	}
	NEED(hz_run_counts.used_pages == 0 && pages_whole().lost == 0);
}

/* What a fork in the middle of a change may leave behind. */
static void repair(long arg)
{
	(void)arg;
	NEED(hz_arena_init(64 * MIB));
	for (unsigned c = 0; c < HZ_CLASSES; c++) {
		struct shadow m = opened(OWNER_A, c);
		take(&m, m.blocks);
		for (size_t i = 0; i < m.blocks; i += 3)
			put(&m, i);
		struct hz_run was = *m.s;
		m.s->nfree = (uint16_t)(m.s->nfree + 1 - 2 * (m.s->nfree & 1));
		m.s->shelf = 2;
		m.s->next = m.s->prev = (void *)1;
		for (size_t i = 0; i < (m.blocks == 1 ? 1 : hz_run_pages(m.s)); i++)
			hz_page_of(m.s->base + i * HZ_PAGE)->tag = (uint32_t)OWNER_B;
		NEED_AT(hz_slab_repair(m.s) && m.s->shelf == HZ_SHELF_NONE, c);
		same(&m);
		/* No slab any more, or one that contradicts itself. */
		m.s->carved = (uint16_t)(m.blocks + 1);
		NEED_AT(!hz_slab_repair(m.s), c);
		m.s->carved = was.carved;
		m.s->class_no = (uint8_t)(c + 1);
		NEED_AT(!hz_slab_repair(m.s), c);
		m.s->class_no = HZ_SHELF_NONE;
		NEED_AT(!hz_slab_repair(m.s) || c == 0, c);
		m.s->class_no = (uint8_t)c;
		m.s->blocks++;
		NEED_AT(!hz_slab_repair(m.s), c);
		m.s->blocks--;
		m.s->carved = 0; /* blocks that are free but were never handed out */
		NEED_AT(!hz_slab_repair(m.s), c);
		m.s->carved = was.carved;
		NEED_AT(hz_slab_repair(m.s), c);
		same(&m);
	}
}

static void refused(long arg)
{
	(void)arg;
	NEED(hz_arena_init(256 * KIB));
	hz_os_fault = (struct hz_os_fault){ .at = 1, .on = true };
	errno = ELIBBAD;
	NEED(!hz_slab_open(OWNER_A, 0) && errno == ELIBBAD);
	hz_os_fault = (struct hz_os_fault){ 0 };
	struct shadow m = opened(OWNER_A, 0);
	same(&m);
}

int main(void)
{
	scene(random_steps, 0, "every class: random take and put against a shadow");
	scene(touched, 0, "closed: handed out pages are dirty, others clean; reopened as new");
	scene(shelves, 0, "shelves: the list of its fill, the fullest first");
	scene(repair, 0, "repair: counter, tags and shelf from the bitmap, or refused");
	scene(refused, 0, "no memory: no slab, errno as it was");
	return tap_done();
}
