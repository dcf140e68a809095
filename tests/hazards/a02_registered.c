/* SPDX-License-Identifier: MIT */
/*
 * a02_registered - many handlers registered before main: for exit, which beyond
 * 32 allocates with a lock held, for quick_exit and for fork; row A2.
 */
#include "hazard.h"

enum { HANDLERS = 200 };

static int at_exit, at_fork;

static void handler(void)
{
	free(escape(malloc(1000)));
	if (++at_exit == HANDLERS && use_malloc() == 0)
		_exit(0);
}

static void forking(void)
{
	at_fork++;
	free(escape(calloc(10, 1000)));
}

__attribute__((constructor)) static void many(void)
{
	for (int i = 0; i < HANDLERS; i++) {
		atexit(handler);
		at_quick_exit(handler);
		pthread_atfork(forking, forking, forking);
	}
}

static int leave(void)
{
	exit(1); /* the last handler leaves with 0 */
}

static int leave_quickly(void)
{
	quick_exit(1);
}

int main(void)
{
	int status;
	watchdog(HAZARD_SECONDS);
	is_int(how(in_child(leave)), 0, "A2 200 atexit handlers of a constructor");
	is_int(how(in_child(leave_quickly)), 0, "A2 200 handlers of quick_exit");
	at_fork = 0;
	status = in_child(use_malloc);
	ok(ended_well(status) && at_fork == 2 * HANDLERS, "A2 200 handlers of fork");
	int code = tap_done();
	_exit(code);
}
