/* SPDX-License-Identifier: MIT */
/*
 * mod_ctor_thread - a plugin whose constructor waits for a thread that
 * allocates.  dlopen holds the loader's lock meanwhile: whatever a thread's
 * first malloc registers must do without it.  Loaded by thread_ctor_join.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

extern int mod_ctor_thread_done;
int mod_ctor_thread_done;

static void *allocate(void *unused)
{
	(void)unused;
	for (size_t n = 8; n < 1 << 20; n *= 2) {
		void *p = malloc(n);
		__asm__ volatile("" : "+r"(p) : : "memory");
		if (!p)
			return NULL;
		memset(p, 1, n);
		free(p);
	}
	return &mod_ctor_thread_done;
}

__attribute__((constructor)) static void wait_for_thread(void)
{
	pthread_t thread;
	void *result = NULL;
	if (pthread_create(&thread, NULL, allocate, NULL) == 0)
		pthread_join(thread, &result);
	mod_ctor_thread_done = result != NULL;
}
