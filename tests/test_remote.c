/* SPDX-License-Identifier: MIT */
/*
 * test_remote - pointers on their way from who freed them to who owns them.
 *
 *   directory   numbers far apart, unknown ones, out of range, no memory
 *   outbox      full, clash of keys, flush; every pointer once, in order
 *   batches     own, pool, new: none is lost, none is in two places
 *   threads     four senders, three receivers: every pointer arrives once
 *
 * No heap and no block: pointers are numbers, owners are inboxes.
 */
#include "whitebox.h"

enum {
	OWNERS = 3,
	SENDERS = 4,
	EACH = 30000, /* pointers of one sender */
	KEY_OWNER = 1 << (HZ_TAG_OWNER_SHIFT - HZ_GROUP_SHIFT),
	ROUNDS = HZ_LANE_BATCH_ROUNDS,
};

static struct hz_inbox inbox[OWNERS];

static uint32_t key_of(uint32_t owner, uint32_t group)
{
	return owner * KEY_OWNER + group;
}

static void start(void)
{
	NEED(hz_arena_init(8 * MIB));
	for (uint32_t i = 0; i < OWNERS; i++)
		NEED(hz_remote_register(i + 1, &inbox[i]));
}

static void *number(size_t n)
{
	return (void *)(n << 4);
}

/* As a freeing thread does; the owner something was handed to, or 0. */
static uint32_t post(struct hz_outbox *box, struct hz_spare *spare, uint32_t key, void *p)
{
	struct hz_slot *slot = &box->slot[key % HZ_OUTBOX_SLOTS];
	uint32_t sent = 0;
	if (slot->key != key || slot->next == slot->end)
		NEED(hz_outbox_open(box, spare, key, &sent));
	NEED(slot->key == key && slot->next < slot->end);
	*slot->next++ = p;
	return sent;
}

static void directory(long arg)
{
	(void)arg;
	static const uint32_t far[] = { 1, 2, 255, 256, 257, 99999, (1u << 20) - 1 };
	static struct hz_inbox at[COUNT_OF(far)];
	NEED(hz_arena_init(8 * MIB));
	NEED(!hz_remote_inbox(1) && !hz_remote_inbox(UINT32_MAX) && !hz_remote_inbox(1u << 20));
	hz_os_fault = (struct hz_os_fault){ .at = 1, .on = true };
	while (hz_meta_alloc(64)) /* the metadata that came with the reservation */
		;
	NEED(!hz_remote_register(1, &at[0]) && !hz_remote_inbox(1));
	hz_os_fault = (struct hz_os_fault){ 0 };
	for (size_t i = 0; i < COUNT_OF(far); i++)
		NEED_AT(hz_remote_register(far[i], &at[i]), i);
	NEED(!hz_remote_register(1u << 20, &at[0]) && !hz_remote_register(UINT32_MAX, &at[0]));
	for (size_t i = 0; i < COUNT_OF(far); i++)
		NEED_AT(hz_remote_inbox(far[i]) == &at[i], i);
	NEED(!hz_remote_inbox(0) && !hz_remote_inbox(3) && !hz_remote_inbox(99998));
}

static void outbox(long arg)
{
	(void)arg;
	static struct hz_outbox box;
	struct hz_spare spare = { 0 };
	start();
	NEED(hz_outbox_count(&box) == 0);
	for (unsigned i = 0; i < HZ_OUTBOX_SLOTS; i++)
		NEED(hz_outbox_flush(&box, i) == 0);
	/* Full: handed over by the next one, whole and in order. */
	for (size_t i = 0; i < ROUNDS; i++)
		NEED(post(&box, &spare, key_of(1, 0), number(i + 1)) == 0);
	NEED(hz_outbox_count(&box) == ROUNDS && !hz_inbox_any(&inbox[0]) && box.sent == 0);
	NEED(post(&box, &spare, key_of(1, 0), number(100)) == 1);
	NEED(hz_outbox_count(&box) == 1 && hz_inbox_any(&inbox[0]) && box.sent == 1);
	struct hz_batch *b = hz_inbox_take(&inbox[0]);
	NEED(b && !b->next && b->count == ROUNDS && b->owner == 1 && !hz_inbox_any(&inbox[0]));
	for (size_t i = 0; i < ROUNDS; i++)
		NEED(b->blocks[i] == number(i + 1));
	hz_batch_keep(&spare, b);
	/* A clash hands the older one over, with what it has. */
	uint32_t clash = key_of(1 + HZ_OUTBOX_SLOTS / KEY_OWNER, 0);
	NEED(clash % HZ_OUTBOX_SLOTS == key_of(1, 0) % HZ_OUTBOX_SLOTS);
	NEED(hz_remote_register(clash / KEY_OWNER, &inbox[2]));
	NEED(post(&box, &spare, clash, number(200)) == 1);
	b = hz_inbox_take(&inbox[0]);
	NEED(b && b->count == 1 && b->blocks[0] == number(100) && hz_outbox_count(&box) == 1);
	NEED(!b->next);
	hz_batch_drop(b);
	/* Groups of one owner are apart; a flush sends what there is. */
	for (uint32_t g = 0; g < HZ_GROUPS; g++)
		NEED(post(&box, &spare, key_of(2, g), number(300 + g)) == 0);
	NEED(hz_outbox_count(&box) == 1 + HZ_GROUPS && !hz_inbox_any(&inbox[1]));
	for (unsigned i = 0; i < HZ_OUTBOX_SLOTS; i++) {
		uint32_t to = hz_outbox_flush(&box, i);
		NEED(to == 0 || to == 2 || to == clash / KEY_OWNER);
		NEED(hz_outbox_flush(&box, i) == 0);
	}
	NEED(hz_outbox_count(&box) == 0 && box.sent == 3 + HZ_GROUPS);
	/* The newest first: a stack. */
	b = hz_inbox_take(&inbox[1]);
	for (uint32_t g = HZ_GROUPS; g-- > 0; b = b->next)
		NEED(b && b->count == 1 && b->blocks[0] == number(300 + g));
	NEED(!b && hz_inbox_take(&inbox[1]) == NULL);
	b = hz_inbox_take(&inbox[2]);
	NEED(b && b->count == 1 && b->blocks[0] == number(200) && !b->next);
}

static size_t listed(const struct hz_spare *spare)
{
	size_t n = 0;
	for (struct hz_batch *b = spare->list; b; b = b->next)
		n++;
	NEED(n == spare->n);
	return n;
}

static void batches(long arg)
{
	(void)arg;
	enum { MANY = 200 };
	struct hz_spare one = { 0 }, two = { 0 };
	struct hz_batch *b[MANY];
	start();
	for (size_t i = 0; i < MANY; i++) {
		NEED((b[i] = hz_batch_new(&one)));
		b[i]->count = (uint32_t)i;
	}
	NEED(hz_remote_batches == MANY && one.n == 0);
	for (size_t i = 0; i < MANY; i++) {
		hz_batch_keep(&one, b[i]);
		NEED_AT(listed(&one) <= 32 && one.n <= i + 1, i);
	}
	NEED(one.n >= 16);
	/* Another thread gets what this one has too much of, and each only once. */
	size_t had = one.n, got = 0;
	for (; got < MANY - had; got++) {
		NEED((b[got] = hz_batch_new(&two)));
		NEED_AT(b[got]->count != MANY, got);
		b[got]->count = MANY;
		listed(&two);
	}
	NEED(hz_remote_batches == MANY && two.n == 0);
	for (; got < MANY; got++) {
		NEED((b[got] = hz_batch_new(&one)));
		NEED_AT(b[got]->count != MANY, got);
		b[got]->count = MANY;
	}
	NEED(hz_remote_batches == MANY && one.n == 0);
	/* What is in the pool comes before new ones. */
	b[0]->next = NULL;
	hz_batch_drop(b[0]);
	NEED((b[0] = hz_batch_new(&two)) && hz_remote_batches == MANY);
	/* None is left and the kernel refuses: the pointer stays with its freer. */
	static struct hz_outbox box;
	uint32_t sent = 9;
	hz_os_fault = (struct hz_os_fault){ .at = 1, .on = true };
	while (hz_meta_alloc(64))
		;
	NEED(!hz_batch_new(&two));
	NEED(!hz_outbox_open(&box, &two, key_of(1, 1), &sent) && sent == 0);
	NEED(hz_outbox_count(&box) == 0);
	/* What was full goes all the same. */
	hz_batch_keep(&two, b[0]);
	for (size_t i = 0; i < ROUNDS; i++)
		post(&box, &two, key_of(1, 1), number(i + 1));
	NEED(!hz_outbox_open(&box, &two, key_of(1, 1), &sent) && sent == 1);
	NEED(hz_inbox_take(&inbox[0]) == b[0] && hz_outbox_count(&box) == 0);
	NEED(!hz_outbox_open(&box, &two, key_of(2, 1), &sent) && sent == 0);
	hz_os_fault = (struct hz_os_fault){ 0 };
	NEED(post(&box, &two, key_of(1, 1), number(7)) == 0 && hz_outbox_count(&box) == 1);
	NEED(hz_remote_batches == MANY + 1);
}

/* A lock held by a thread that did not come along. */
static void reset_lock(long arg)
{
	(void)arg;
	struct hz_spare spare = { 0 };
	start();
	struct hz_batch *b = hz_batch_new(&spare);
	b->next = NULL;
	hz_batch_drop(b);
	hz_remote_reset_lock(); /* nobody holds it: nothing happens */
	NEED(hz_batch_new(&spare) == b);
}

/* Threads. */

static unsigned char seen[SENDERS * EACH];
static unsigned long seen_twice, alive;

static void receive(struct hz_inbox *in, struct hz_spare *spare)
{
	struct hz_batch *b = hz_inbox_take(in);
	while (b) {
		struct hz_batch *next = b->next;
		for (uint32_t i = 0; i < b->count; i++) {
			size_t n = (size_t)b->blocks[i] >> 4;
			if (__atomic_exchange_n(&seen[n], 1, __ATOMIC_RELAXED))
				hz_add(&seen_twice, 1);
		}
		b->count = 0;
		hz_batch_keep(spare, b);
		b = next;
	}
}

static void drop_all(struct hz_spare *spare)
{
	while (spare->list) {
		struct hz_batch *b = spare->list;
		spare->list = b->next;
		spare->n--;
		b->next = NULL;
		hz_batch_drop(b);
	}
	NEED(spare->n == 0);
}

static void *receiver(void *arg)
{
	struct hz_inbox *in = arg;
	struct hz_spare spare = { 0 };
	while (hz_load_acquire(&alive))
		receive(in, &spare);
	receive(in, &spare);
	drop_all(&spare);
	return NULL;
}

static struct hz_outbox boxes[SENDERS];

static void *sender(void *arg)
{
	size_t me = (size_t)arg;
	struct hz_spare spare = { 0 };
	uint64_t state = me + 1;
	for (size_t i = 0; i < EACH; i++) {
		uint32_t r = (uint32_t)random_to(&state, OWNERS * HZ_GROUPS);
		post(&boxes[me], &spare, key_of(1 + r % OWNERS, r / OWNERS),
		     number(me * EACH + i));
	}
	for (unsigned i = 0; i < HZ_OUTBOX_SLOTS; i++)
		hz_outbox_flush(&boxes[me], i);
	drop_all(&spare);
	__atomic_fetch_sub(&alive, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void threads(long arg)
{
	(void)arg;
	pthread_t thread[SENDERS + OWNERS];
	start();
	alive = SENDERS;
	for (size_t i = 0; i < OWNERS; i++)
		thread[SENDERS + i] = start_thread(receiver, &inbox[i]);
	for (size_t i = 0; i < SENDERS; i++)
		thread[i] = start_thread(sender, (void *)i);
	for (size_t i = 0; i < SENDERS + OWNERS; i++)
		pthread_join(thread[i], NULL);
	NEED(seen_twice == 0);
	for (size_t i = 0; i < sizeof(seen); i++)
		NEED_AT(seen[i], i);
	for (size_t i = 0; i < SENDERS; i++)
		NEED(hz_outbox_count(&boxes[i]) == 0);
	/* Every batch that was made is in the pool, once. */
	struct hz_spare spare = { 0 };
	size_t made = hz_remote_batches, n = 0;
	for (; hz_remote_batches == made; n++) {
		struct hz_batch *b = hz_batch_new(&spare);
		NEED(b && b->count == 0);
		b->count = 1;
	}
	NEED(n == made + 1 && !spare.n);
}

/* Threads that want the pool at once wait for it: one that found it held and made a
 * batch of its own would make the number of batches grow for ever. */
enum { CROWD = 8, HELD = 40, TURNS = 200000 };
static pthread_barrier_t all_here;

static void *borrower(void *arg)
{
	struct hz_spare spare = { 0 };
	struct hz_batch *b[HELD];
	(void)arg;
	pthread_barrier_wait(&all_here);
	for (int turn = 0; turn < TURNS; turn++) {
		for (int i = 0; i < HELD; i++)
			NEED((b[i] = hz_batch_new(&spare)));
		for (int i = 0; i < HELD; i++) {
			b[i]->next = NULL;
			hz_batch_drop(b[i]);
		}
	}
	return NULL;
}

static void crowd(long arg)
{
	(void)arg;
	pthread_t thread[CROWD];
	start();
	pthread_barrier_init(&all_here, NULL, CROWD);
	for (size_t i = 0; i < CROWD; i++)
		thread[i] = start_thread(borrower, NULL);
	for (size_t i = 0; i < CROWD; i++)
		pthread_join(thread[i], NULL);
	/* At any time each holds so many, and has a portion of 16 at hand. */
	NEED(hz_remote_batches <= CROWD * (HELD + 16));
}

static void depth(long arg)
{
	(void)arg;
	static struct hz_outbox box;
	struct hz_spare spare = { 0 };
	start();
	NEED(hz_inbox_depth(&inbox[0]) == 0);
	unsigned was = 0;
	for (int i = 0; i < 8; i++) {
		post(&box, &spare, key_of(1, 4), number((size_t)i)); /* blocks of about 16 KiB */
		hz_outbox_flush(&box, key_of(1, 4) % HZ_OUTBOX_SLOTS);
		NEED(hz_inbox_depth(&inbox[0]) >= was + 4);
		was = hz_inbox_depth(&inbox[0]);
	}
	for (int i = 0; i < 20000; i++) {
		post(&box, &spare, key_of(1, 5), number((size_t)i));
		hz_outbox_flush(&box, key_of(1, 5) % HZ_OUTBOX_SLOTS);
		NEED(hz_inbox_depth(&inbox[0]) >= was); /* and does not come round */
		was = hz_inbox_depth(&inbox[0]);
	}
	NEED(was == UINT16_MAX);
	for (struct hz_batch *b = hz_inbox_take(&inbox[0]), *next; b; b = next) {
		next = b->next;
		hz_batch_keep(&spare, b);
	}
	NEED(hz_inbox_depth(&inbox[0]) == 0);
}

int main(void)
{
	scene(directory, 0, "the directory knows whom it was told, and nobody else");
	scene(outbox, 0, "outbox: whole batches, clashes, groups, flush");
	scene(batches, 0, "batches: own, pool, new; refused and had again");
	scene(reset_lock, 0, "a reset of an open lock changes nothing");
	scene(crowd, 0, "eight threads that need the pool at once make no more batches than they hold");
	scene(depth, 0, "an inbox says how much waits in it");
	scene(threads, 0, "four senders and three receivers: every pointer arrives once");
	return tap_done();
}
