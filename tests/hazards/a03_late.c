/* SPDX-License-Identifier: MIT */
/*
 * a03_late - the library is not for dlopen, says so, and does no harm; row A3.
 *
 * The program runs itself without LD_PRELOAD and opens the library.
 */
#include "hazard.h"

int main(int argc, char **argv __attribute__((unused)))
{
	char *library = getenv("LD_PRELOAD");
	watchdog(HAZARD_SECONDS);
	if (argc > 1) {
		void *p = malloc(100), *handle = dlopen(getenv("HAZARD_LIBRARY"), RTLD_NOW);
		const char *error = handle ? "none" : dlerror();
		free(p);
		diag("%s", error);
		return handle != NULL || use_malloc();
	}
	if (!library || !on_subject())
		tap_skip_all("A3 no library is preloaded");
	setenv("HAZARD_LIBRARY", library, 1);
	unsetenv("LD_PRELOAD");
	is_int(how(run_self("--late", NULL, 0)), 0, "A3 dlopen is refused, the program goes on");
	return tap_done();
}
