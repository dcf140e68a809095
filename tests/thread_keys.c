/* SPDX-License-Identifier: MIT */
/*
 * thread_keys - the program's thread-specific keys remain the program's.
 *
 * After malloc has been used, PTHREAD_KEYS_MAX keys can be created but for at
 * most one, each works, and a thread that uses all of them with malloc'ed
 * values and destructors ends well.
 */
#include <limits.h>

#include "probe.h"

static pthread_key_t key[PTHREAD_KEYS_MAX];
static int nkeys;

static void *use_all(void *unused)
{
	long wrong = 0;
	(void)unused;
	for (int i = 0; i < nkeys; i++)
		wrong += pthread_setspecific(key[i], malloc(64)) != 0;
	for (int i = 0; i < nkeys; i++)
		wrong += pthread_getspecific(key[i]) == NULL;
	return (void *)wrong;
}

int main(void)
{
	void *wrong;
	watchdog(120);
	free(escape(malloc(100)));
	while (nkeys < PTHREAD_KEYS_MAX && pthread_key_create(&key[nkeys], free) == 0)
		nkeys++;
	ok(nkeys >= PTHREAD_KEYS_MAX - 1, "%d of %d keys are left to the program", nkeys,
	   PTHREAD_KEYS_MAX);
	pthread_join(start_thread(use_all, NULL), &wrong);
	is_int((long)wrong, 0, "a thread uses all of them");
	return tap_done();
}
