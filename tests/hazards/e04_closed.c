/* SPDX-License-Identifier: MIT */
/*
 * e04_closed - all descriptors are closed, by a program that turns into a
 * daemon or cares; malloc goes on, the next file gets number 0, and misuse
 * still ends in SIGABRT when nobody can be told; rows E4 and E6.
 */
#include "hazard.h"

static int close_all(void)
{
	free(escape(malloc(100)));
	for (int i = 0; i < 64; i++)
		close(i);
	if (use_malloc() || malloc_trim(0) < 0)
		return 1;
	if (open("/", O_RDONLY) != 0)
		return 2;
	return use_malloc_in_new_thread();
}

static int misuse_unheard(void)
{
	void *p = malloc(100);
	for (int i = 0; i < 64; i++)
		close(i);
	free((char *)escape(p) + 16 * MIB * 1024); /* far from any block */
	return 0;
}

static int misuse_in_fifo(void)
{
	int ends[2];
	signal(SIGPIPE, SIG_DFL);
	if (pipe(ends))
		return 1;
	dup2(ends[1], 2);
	close(ends[0]);
	free((char *)escape(malloc(100)) + 16 * MIB * 1024);
	return 0;
}

int main(void)
{
	int status;
	watchdog(HAZARD_SECONDS);
	is_int(how(in_child(close_all)), 0, "E4 all descriptors closed");
	if (!on_subject())
		return tap_done();
	is_int(how(in_child(misuse_unheard)), -SIGABRT, "E6 misuse with nowhere to say it");
	status = in_child(misuse_in_fifo);
	ok(how(status) == -SIGABRT || how(status) == -SIGPIPE, "E6 misuse with a broken pipe");
	return tap_done();
}
