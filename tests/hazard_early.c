/* SPDX-License-Identifier: MIT */
/*
 * hazard_early - blocks from before main: made by the constructor of a
 * library that is preloaded in front, freed by the program.
 *
 * The program runs itself with mod_early.so at the head of LD_PRELOAD, and
 * again with a dozen atexit handlers registered by a constructor, each of
 * which allocates and frees blocks that main made.
 */
#include <dlfcn.h>
#include <libgen.h>

#include "churn.h"

static void *made_in_main[12];

static void free_at_exit(void)
{
	static int i;
	free(made_in_main[i++]);
	if (use_malloc())
		_exit(3);
}

__attribute__((constructor)) static void register_many(void)
{
	for (size_t i = 0; i < COUNT_OF(made_in_main); i++)
		atexit(free_at_exit);
}

static int with_early_library(void)
{
	void *(*early_block)(int) = (void *(*)(int))dlsym(RTLD_DEFAULT, "mod_early_block");
	int (*answer)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "mod_early_answer");
	int bad = 0;
	if (!early_block || !answer || answer() != 42)
		return 2;
	for (int i = 0; i < 3; i++) {
		unsigned char *p = early_block(i);
		bad |= !p || p[0] != i + 1 || p[99] != i + 1;
		p = realloc(p, 700);
		bad |= !p || p[99] != i + 1;
		free(p);
	}
	for (size_t i = 0; i < COUNT_OF(made_in_main); i++)
		made_in_main[i] = malloc(5000);
	return bad | use_malloc();
}

/* NULL when the module is not built. */
static const char *module_path(void)
{
	static char path[4200];
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	static const char *const places[] = { "%s/.libs/mod_early.so", "%s/mod_early.so" };
	if (n <= 0)
		return NULL;
	self[n] = 0;
	dirname(self);
	for (size_t i = 0; i < COUNT_OF(places); i++) {
		snprintf(path, sizeof(path), places[i], self);
		if (access(path, R_OK) == 0)
			return path;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	char preload[9000];
	const char *module, *before = getenv("LD_PRELOAD");
	pid_t child;
	if (argc > 1 && strcmp(argv[1], "--early") == 0)
		return with_early_library();
	watchdog(120);
	module = module_path();
	if (!module)
		tap_skip_all("mod_early.so is not built");
	snprintf(preload, sizeof(preload), "%s%s%s", module, before ? ":" : "",
		 before ? before : "");
	child = fork();
	if (child == 0) {
		watchdog_of_exec(60);
		setenv("LD_PRELOAD", preload, 1);
		execl("/proc/self/exe", "hazard_early", "--early", (char *)NULL);
		_exit(127);
	}
	is_int(reap(child), 0, "blocks of a constructor that runs before all others");
	for (size_t i = 0; i < COUNT_OF(made_in_main); i++)
		made_in_main[i] = malloc(100);
	return tap_done();
}
