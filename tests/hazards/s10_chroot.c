/* SPDX-License-Identifier: MIT */
/*
 * s10_chroot - a process in an empty root: no /proc, no /sys, no /dev; rows S10,
 * A5 and S11.
 *
 * The first malloc comes after the chroot.  Without privilege a user namespace
 * gives it, where that is allowed.
 */
#include <sched.h>

#include "hazard.h"

static int in_empty_root(void)
{
	char directory[] = "/tmp/hz-root-XXXXXX";
	int bad;
	if (geteuid() != 0 && unshare(CLONE_NEWUSER))
		return 77;
	if (!mkdtemp(directory) || chdir(directory) || rmdir(directory) || chroot("."))
		return 77;
	/* An empty directory that is gone altogether. */
	bad = access("/proc", F_OK) == 0;
	bad |= use_malloc() | use_malloc_in_new_thread() << 1;
	bad |= (how(in_child(use_malloc)) != 0) << 2;
	bad |= (mallinfo2().uordblks == 0 && on_subject()) << 3;
	return bad | malloc_trim(0) << 4 >> 10;
}

int main(int argc, char **argv)
{
	int code;
	(void)argv;
	watchdog(HAZARD_SECONDS);
	if (argc > 1)
		return in_empty_root();
	code = how(run_self("--root", NULL, 0));
	if (code == 77)
		tap_skip_all("S10 chroot is not allowed here");
	is_int(code, 0, "S10 A5 an empty root: threads, fork, trim");
	return tap_done();
}
