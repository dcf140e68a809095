/* SPDX-License-Identifier: MIT */
/*
 * a14_rseq - restartable sequences switched off, or registered by the program
 * itself; row A14.
 */
#include "hazard.h"

static struct {
	_Alignas(32) uint32_t area[16];
} own;

int main(int argc, char **argv __attribute__((unused)))
{
	watchdog(HAZARD_SECONDS);
	if (argc > 1) {
		syscall(SYS_rseq, own.area, 32, 0, 0x53053053);
		return use_malloc() | use_malloc_in_new_thread();
	}
	setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
	is_int(how(run_self("--off", NULL, 0)), 0, "A14 rseq is the program's");
	return tap_done();
}
