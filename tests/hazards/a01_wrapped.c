/* SPDX-License-Identifier: MIT */
/*
 * a01_wrapped - a library in front of the allocator wraps mmap, pthread_key_create
 * and others, and allocates in each wrapper; and malloc meets a process where
 * nothing was initialised: rows A1 and A11.
 *
 * The program runs itself with mod_wrap.so at the head of LD_PRELOAD.
 */
#include "hazard.h"

static int wrapped(void)
{
	int (*depth)(void);
	*(void **)&depth = dlsym(RTLD_DEFAULT, "mod_wrap_depth_max");
	if (!depth)
		return 2;
	/* A wrapper was in front: the C library's mmap is not the one we see. */
	free(escape(malloc(1)));
	void *handle = dlopen("libm.so.6", RTLD_NOW | RTLD_DEEPBIND);
	return use_malloc() || malloc_trim(0) < 0 || !handle || depth() > 3;
}

int main(int argc, char **argv)
{
	const char *before = getenv("LD_PRELOAD"), *module = module_path("mod_wrap.so");
	char preload[9000];
	if (argc > 1 && strcmp(argv[1], "--wrapped") == 0)
		return wrapped();
	watchdog(HAZARD_SECONDS);
	if (!module)
		tap_bail("mod_wrap.so is not built");
	snprintf(preload, sizeof(preload), "%s%s%s", module, before ? ":" : "",
		 before ? before : "");
	setenv("LD_PRELOAD", preload, 1);
	is_int(how(run_self("--wrapped", NULL, 0)), 0,
	       "A1 A11 wrappers of mmap, keys and clocks that allocate");
	return tap_done();
}
