/* SPDX-License-Identifier: MIT */
/*
 * thread_ctor_join - dlopen of a library whose constructor starts a thread,
 * which allocates, and joins it: a deadlock if a thread's first malloc takes
 * the loader's lock (as registering a thread-exit destructor may).
 */
#include <dlfcn.h>
#include <libgen.h>

#include "probe.h"

static char path[4200];

static void *open_module(const char *format)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		tap_bail("no /proc/self/exe");
	self[n] = 0;
	snprintf(path, sizeof(path), format, dirname(self));
	return dlopen(path, RTLD_NOW);
}

int main(void)
{
	const int *done;
	void *module;
	watchdog(120);
	module = open_module("%s/.libs/mod_ctor_thread.so");
	if (!module)
		module = open_module("%s/mod_ctor_thread.so");
	if (!module)
		tap_skip_all("mod_ctor_thread.so is not built (%s)", dlerror());
	ok(1, "dlopen returned");
	done = dlsym(module, "mod_ctor_thread_done");
	ok(done && *done, "and the constructor's thread had its memory");
	is_int(dlclose(module), 0, "dlclose");
	return tap_done();
}
