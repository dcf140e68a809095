/* SPDX-License-Identifier: MIT */
/*
 * s03_overcommit - what a machine that does not overcommit charges; row S3.
 *
 * Under vm.overcommit_memory = 2 the kernel charges every private writable page
 * at once, MAP_NORESERVE or not, and PROT_NONE never.  VmData counts the same
 * pages under every setting, so the charge can be looked at without the switch,
 * which is the machine's:
 *
 *   start            little, whatever was reserved
 *   use              what is used and a step of growth
 *   other sizes      hardly more, after each other
 *
 * Where the switch is on, the same is the real thing, and this says so.
 */
#include "hazard.h"

enum { USED = 64, STEP = 4, START = 4 }; /* MiB */

static long charged_kib(void)
{
	char text[4096], *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	at = strstr(text, "\nVmData:");
	return at ? strtol(at + 8, NULL, 10) : -1;
}

static long most;

/* Blocks of about n bytes, all of them touched. */
static int use_and_free(size_t n)
{
	static void *block[USED * 1024];
	size_t count = USED * MIB / n;
	int bad = 0;
	for (size_t i = 0; i < count; i++) {
		block[i] = malloc(n - 16);
		bad |= !block[i];
		if (block[i])
			memset(block[i], 1, n - 16);
	}
	if (charged_kib() > most)
		most = charged_kib();
	for (size_t i = 0; i < count; i++)
		free(block[i]);
	return bad;
}

int main(void)
{
	static const size_t size[] = { 1024, 4096, 65536, MIB, 1024 };
	watchdog(HAZARD_SECONDS);
	long start = charged_kib(), once = 0;
	int bad = 0;
	if (start < 0)
		tap_skip_all("S3 no /proc/self/status here");
	diag("vm.overcommit_memory is %ld", number_in("/proc/sys/vm/overcommit_memory", 0));
	free(escape(malloc(1)));
	ok(charged_kib() < START * 1024, "S3 a start charges %ld KiB", charged_kib());
	for (size_t i = 0; i < COUNT_OF(size); i++) {
		bad |= use_and_free(size[i]);
		if (i == 0)
			once = most;
	}
	is_int(bad, 0, "S3 nothing was refused");
	ok(once - start < (USED + USED / 8 + STEP) * 1024, "S3 %d MiB of 1 KiB charge %ld KiB", USED,
	   once - start);
	ok(most - start < (USED + USED / 4 + STEP) * 1024,
	   "S3 and as much in other sizes, after each other, %ld KiB", most - start);
	return tap_done();
}
