/* SPDX-License-Identifier: MIT */
/*
 * mod_wrap - a library preloaded in front of the allocator which wraps what an
 * allocator may call in the C library, and allocates in every wrapper, as
 * tracers and test doubles do.  Used by a01_wrapped.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int mod_wrap_depth_max(void);

static int depth, depth_max; /* of one thread: the program has no other */

/* One block per call; a wrapper called by malloc within does no more. */
static void allocate(void)
{
	if (depth > depth_max)
		depth_max = depth;
	if (depth++ < 3) {
		void *p = malloc(100 + (size_t)depth);
		__asm__ volatile("" : "+r"(p) : : "memory");
		free(p);
	}
	depth--;
}

int mod_wrap_depth_max(void)
{
	return depth_max;
}

#define WRAP(type, name, parameters, ...)                                   \
	type name parameters;                                               \
	type name parameters                                                \
	{                                                                   \
		allocate();                                                 \
		return (type)syscall(SYS_##name, __VA_ARGS__);              \
	}

void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t at)
{
	allocate();
	return (void *)syscall(SYS_mmap, p, n, prot, flags, fd, at);
}
WRAP(int, munmap, (void *p, size_t n), p, n)
WRAP(int, mprotect, (void *p, size_t n, int prot), p, n, prot)
WRAP(int, madvise, (void *p, size_t n, int advice), p, n, advice)
WRAP(int, clock_gettime, (clockid_t clock, struct timespec *ts), clock, ts)
WRAP(pid_t, getpid, (void), 0)

int pthread_key_create(pthread_key_t *key, void (*fn)(void *))
{
	int (*next)(pthread_key_t *, void (*)(void *));
	allocate();
	*(void **)&next = dlsym(RTLD_NEXT, "pthread_key_create");
	return next(key, fn);
}

int pthread_setspecific(pthread_key_t key, const void *value)
{
	int (*next)(pthread_key_t, const void *);
	allocate();
	*(void **)&next = dlsym(RTLD_NEXT, "pthread_setspecific");
	return next(key, value);
}

char *secure_getenv(const char *name)
{
	char *(*next)(const char *);
	allocate();
	*(void **)&next = dlsym(RTLD_NEXT, "secure_getenv");
	return next(name);
}

int dl_iterate_phdr(int (*fn)(struct dl_phdr_info *, size_t, void *), void *arg)
{
	int (*next)(int (*)(struct dl_phdr_info *, size_t, void *), void *);
	allocate();
	*(void **)&next = dlsym(RTLD_NEXT, "dl_iterate_phdr");
	return next(fn, arg);
}
