/* SPDX-License-Identifier: MIT */
/*
 * c15_resolver - what the C library keeps for each thread and frees when the
 * thread ends: name service, resolver, strerror, locales; row C15.
 *
 * 300 threads look up users, hosts and messages; memory in use does not grow.
 */
#include <locale.h>
#include <netdb.h>
#include <nss.h>
#include <pwd.h>

#include "hazard.h"

enum { THREADS = 300, WARM = 50 };

static long good; /* atomic */

static void *looks_up(void *unused)
{
	struct addrinfo *found = NULL, hints = { .ai_socktype = SOCK_STREAM };
	char text[64];
	struct passwd user, *result;
	char buffer[2000];
	locale_t c = newlocale(LC_ALL_MASK, "C", NULL);
	(void)unused;
	getaddrinfo("localhost", "80", &hints, &found);
	if (found)
		freeaddrinfo(found);
	getpwuid_r(0, &user, buffer, sizeof(buffer), &result);
	gethostbyname("localhost");
	snprintf(text, sizeof(text), "%s", strerror(100000)); /* kept for the thread */
	freelocale(c);
	__atomic_fetch_add(&good, text[0] != 0, __ATOMIC_RELAXED);
	return NULL;
}

static void run(long n)
{
	for (long i = 0; i < n; i += 2) {
		pthread_t a = start_thread(looks_up, NULL), b = start_thread(looks_up, NULL);
		pthread_join(a, NULL);
		pthread_join(b, NULL);
	}
}

int main(void)
{
	size_t before, after;
	watchdog(HAZARD_SECONDS);
	/* No server is asked: where there is none, each answer takes its time. */
	__nss_configure_lookup("hosts", "files");
	run(WARM);
	before = mallinfo2().uordblks;
	run(work(THREADS));
	after = mallinfo2().uordblks;
	is_int(good, WARM + work(THREADS), "C15 every thread looked up");
	ok(after < before + 32 * KIB, "C15 %zu bytes in use before, %zu after", before, after);
	return tap_done();
}
