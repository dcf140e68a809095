/* SPDX-License-Identifier: MIT */
/*
 * probe.c - the program that a trial looks through: whose malloc it has, and
 * whether that works, with threads and across fork.
 *
 * Exit: 0 all is well; 1 something is not, in one line on standard error.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trial.h"

enum {
	THREADS = 4, /* more than the one a program has, fewer than a limit forbids */
	BLOCKS = 500,
	LARGEST = 300000, /* across small, medium and large */
};

static const char *bad;

static void *work(void *seed)
{
	unsigned char *block[BLOCKS] = { NULL };
	unsigned state = (unsigned)(size_t)seed;
	for (int round = 0; round < 4 * BLOCKS && !bad; round++) {
		state = state * 1664525 + 1013904223;
		int i = (int)(state >> 8) % BLOCKS;
		size_t n = 1 + (size_t)(state >> 4) % (round % 16 ? 500 : LARGEST);
		unsigned char *p = block[i];
		if (p && *p != (unsigned char)i)
			bad = "a block lost what was in it";
		unsigned char *q = round % 3 ? realloc(p, n) : calloc(1, n);
		if (!q || round % 3 == 0)
			free(p);
		if (!q || malloc_usable_size(q) < n)
			bad = "no memory";
		else
			*q = (unsigned char)i;
		block[i] = q;
	}
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	return NULL;
}

static void check_owner(const char *path)
{
	struct stat meant, got;
	Dl_info info;
	void *entry = dlsym(RTLD_DEFAULT, "malloc");
	if (!entry || !dladdr(entry, &info) || stat(info.dli_fname, &got))
		bad = "malloc cannot be found";
	else if (stat(path, &meant))
		bad = "the library cannot be seen";
	else if (meant.st_dev != got.st_dev || meant.st_ino != got.st_ino)
		bad = "its malloc is not the library's: it was not loaded";
}

static void check_fork(void)
{
	int status = -1;
	pid_t pid = fork();
	if (!pid) {
		work((void *)7);
		_exit(bad != NULL);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		bad = "a forked child failed";
}

int trial_probe(const char *path)
{
	pthread_t thread[THREADS];
	void *p = NULL;
	check_owner(path);
	if (!bad)
		work((void *)1);
	if (!bad && (posix_memalign(&p, 4096, 100) || ((size_t)p & 4095)))
		bad = "aligned memory is not";
	free(p);
	if (!bad)
		check_fork();
	for (size_t i = 0; !bad && i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, work, (void *)(i + 2)))
			bad = "no thread";
		else if (i)
			pthread_join(thread[i], NULL);
		else
			check_fork(); /* beside a running thread */
	if (!bad)
		pthread_join(thread[0], NULL);
	if (bad)
		fprintf(stderr, "%s\n", bad);
	return bad != NULL;
}
