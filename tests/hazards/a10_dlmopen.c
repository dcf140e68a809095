/* SPDX-License-Identifier: MIT */
/*
 * a10_dlmopen - a second C library in a namespace of its own.
 *
 * The plugin there has its own C library and that one's malloc; both heaps
 * work side by side, from two threads.  A block of the one freed in the other
 * is a foreign block: one line and abort, not a crash later.
 */
#include <link.h>

#include "hazard.h"

static int (*own)(void);
static void *(*take)(size_t n);

static int open_apart(void)
{
	const char *path = module_path("mod_plugin.so");
	void *handle = path ? dlmopen(LM_ID_NEWLM, path, RTLD_NOW) : NULL;
	if (!handle)
		return 0;
	*(void **)&own = dlsym(handle, "plugin_own");
	*(void **)&take = dlsym(handle, "plugin_take");
	return own && take;
}

static void *both(void *bad)
{
	int rounds = 50, n = 0;
	while (rounds--)
		n += own() + use_malloc();
	__atomic_fetch_add((int *)bad, n, __ATOMIC_RELAXED);
	return NULL;
}

int main(int argc, char **argv)
{
	char text[500];
	int bad = 0, status;
	pthread_t other;
	watchdog(HAZARD_SECONDS);
	if (argc > 1 && strcmp(argv[1], "--cross") == 0) {
		if (!open_apart())
			return 3;
		free(take(100));
		return 0;
	}
	if (!open_apart())
		tap_bail("dlmopen: %s", dlerror());
	other = start_thread(both, &bad);
	both(&bad);
	pthread_join(other, NULL);
	is_int(bad, 0, "A10 two C libraries, two heaps, two threads");
	status = run_self("--cross", text, sizeof(text));
	if (on_subject())
		ok(how(status) == -SIGABRT && strstr(text, "not a block of this allocator"),
		   "A10 a block of the other C library is refused by name: %.60s", text);
	return tap_done();
}
