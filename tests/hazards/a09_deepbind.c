/* SPDX-License-Identifier: MIT */
/*
 * a09_deepbind - a plugin opened with RTLD_DEEPBIND, as PHP and sssd do.
 *
 * The plugin looks into the C library before it looks at the preloaded malloc.
 * Blocks go across in every direction: C library to plugin (strdup, getline),
 * host to plugin and back, freed, grown and measured on the other side; from
 * several threads; and the names that plugin and host share stay apart, which
 * is what the flag is for.
 */
#include "hazard.h"

int hazard_who(void);
int hazard_who(void)
{
	return 1;
}

static struct {
	int (*who)(void);
	int (*own)(void);
	void *(*take)(size_t n);
	void *(*grow)(void *p, size_t n);
	void (*drop)(void *p);
	void *(*first)(void);
} plugin;

static int find_all(void *handle)
{
	*(void **)&plugin.who = dlsym(handle, "plugin_who");
	*(void **)&plugin.own = dlsym(handle, "plugin_own");
	*(void **)&plugin.take = dlsym(handle, "plugin_take");
	*(void **)&plugin.grow = dlsym(handle, "plugin_grow");
	*(void **)&plugin.drop = dlsym(handle, "plugin_drop");
	*(void **)&plugin.first = dlsym(handle, "plugin_first");
	return plugin.who && plugin.own && plugin.take && plugin.grow && plugin.drop &&
	       plugin.first;
}

static int across(void)
{
	int bad = 0;
	for (size_t n = 1; n < 4 * MIB; n = n * 3 + 5) {
		unsigned char *p = plugin.take(n), *q = escape(malloc(n));
		if (!p || !q)
			return 1;
		bad |= !all_zero(p, n) || malloc_usable_size(p) < n;
		fill(p, n, n);
		fill(q, n, n);
		p = realloc(p, n + n / 2 + 1);
		q = plugin.grow(q, n + n / 2 + 1);
		bad |= !p || !q || !intact_prefix(p, n, n) || !intact_prefix(q, n, n);
		free(p);
		plugin.drop(q);
		plugin.drop(malloc(n));
		free(plugin.take(n));
	}
	return bad;
}

static void *across_in_thread(void *bad)
{
	__atomic_fetch_add((int *)bad, across() + plugin.own(), __ATOMIC_RELAXED);
	return NULL;
}

int main(void)
{
	const char *path = module_path("mod_plugin.so");
	pthread_t thread[4];
	unsigned char *first;
	int bad = 0;
	void *handle;
	if (!path)
		tap_bail("mod_plugin.so is not built");
	watchdog(HAZARD_SECONDS);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	if (!ok(handle && find_all(handle), "A9 dlopen with RTLD_DEEPBIND"))
		return tap_done();
	is_int(plugin.who(), 2, "A9 the plugin calls its own function, not the host's");
	first = plugin.first();
	ok(first && first[0] == 7 && malloc_usable_size(first) >= 300,
	   "A9 a block of the plugin's constructor");
	free(first);
	is_int(plugin.own(), 0, "A9 the plugin frees and grows what strdup and getline made");
	is_int(across(), 0, "A9 blocks of the host and of the plugin go across");
	for (size_t i = 0; i < COUNT_OF(thread); i++)
		thread[i] = start_thread(across_in_thread, &bad);
	for (size_t i = 0; i < COUNT_OF(thread); i++)
		pthread_join(thread[i], NULL);
	is_int(bad, 0, "A9 the same from four threads");
	is_int(dlclose(handle), 0, "A9 dlclose");
	/* Again, and a failure keeps its message. */
	handle = dlopen(path, RTLD_LAZY | RTLD_DEEPBIND);
	ok(handle && find_all(handle) && plugin.own() == 0, "A9 a second time, bound lazily");
	ok(!dlopen("/nonexistent.so", RTLD_NOW | RTLD_DEEPBIND) && strstr(dlerror(), "nonexistent"),
	   "A9 a missing plugin is reported by its name");
	return tap_done();
}
