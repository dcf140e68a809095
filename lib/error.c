/* SPDX-License-Identifier: MIT */
/*
 * error.c - the last line of a process that misused the heap.
 *
 *      "libhz: " function "(): 0x" pointer ": " reason "\n"
 *
 * Invariants: no allocation, no lock, one write.  Who may call: see error.h.
 * It refuses to go on: state may be wrong, and a wrong heap corrupts data.
 */
#include "error.h"

static char *append(char *at, const char *end, const char *text)
{
	while (*text && at < end)
		*at++ = *text++;
	return at;
}

_Noreturn HZ_COLD void hz_die(const char *function, const void *p, const char *reason)
{
	char line[192];
	const char *end = line + sizeof(line) - 1;
	char hex[2 * sizeof(uintptr_t) + 1], *digit = hex + sizeof(hex) - 1;
	uintptr_t v = (uintptr_t)p;
	*digit = 0;
	do
		*--digit = "0123456789abcdef"[v & 15];
	while (v >>= 4);
	char *at = append(line, end, "libhz: ");
	at = append(at, end, function);
	at = append(at, end, "(): 0x");
	at = append(at, end, digit);
	at = append(at, end, ": ");
	at = append(at, end, reason);
	*at++ = '\n';
	hz_os_write(2, line, (size_t)(at - line));
	hz_os_abort();
}
