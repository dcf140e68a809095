/* SPDX-License-Identifier: MIT */
/*
 * a16_runpath - a plugin is looked for where who opens it says.
 *
 * The loader looks at the caller of dlopen: its DT_RUNPATH is searched, and $ORIGIN is
 * its directory.  A library that has a dlopen of its own must not become the caller.
 * This program's DT_RUNPATH is $ORIGIN/.libs (and it has no DT_RPATH, which counts
 * whoever calls).
 */
#include "hazard.h"

static int opens(const char *path, int flags)
{
	void *handle = dlopen(path, flags);
	int found = handle && dlsym(handle, "plugin_who");
	if (!handle)
		diag("%s", dlerror());
	if (handle)
		dlclose(handle);
	return found;
}

int main(void)
{
	static const int flags[] = { RTLD_NOW, RTLD_LAZY | RTLD_GLOBAL, RTLD_NOW | RTLD_DEEPBIND };
	static const char *const how[] = { "", ", global", ", RTLD_DEEPBIND" };
	watchdog(60);
	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		ok(opens("mod_plugin.so", flags[i]), "found by the program's RUNPATH%s", how[i]);
		ok(opens("$ORIGIN/.libs/mod_plugin.so", flags[i]), "found beside the program%s",
		   how[i]);
	}
	ok(dlopen(NULL, RTLD_NOW) != NULL, "the program itself");
	return tap_done();
}
