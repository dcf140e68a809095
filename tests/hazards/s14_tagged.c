/* SPDX-License-Identifier: MIT */
/*
 * s14_tagged - pointers with something in their upper byte; row S14.
 *
 * A program that uses such tags (top byte ignore, LAM) has to take them off before
 * it frees: a tagged pointer is none of ours.  It is refused by name, unread, like
 * every other foreign one, and what it would have led to stays as it is.
 */
#include "hazard.h"

static void *tagged(void *p)
{
	return (void *)escape((void *)((uintptr_t)p | (uintptr_t)0x5a << 56));
}

static int crime(const char *what)
{
	char *p = malloc(100);
	memset(p, 7, 100);
	switch (*what) {
	case 'f':
		free(tagged(p));
		break;
	case 'l':
		p = malloc(MIB);
		free(tagged(p));
		break;
	case 'r':
		escape(realloc(tagged(p), 200));
		break;
	default:
		opaque(malloc_usable_size(tagged(p)));
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const what[] = { "free", "large: free", "realloc", "usable size" };
	char text[1000];
	watchdog(HAZARD_SECONDS);
	if (argc > 1)
		return crime(argv[1]);
	if (!on_subject())
		tap_skip_all("S14 what other allocators do with a tag is theirs");
	for (size_t i = 0; i < COUNT_OF(what); i++) {
		int code = how(run_self(what[i], text, sizeof(text)));
		ok(code == -SIGABRT && strstr(text, "not a block of this allocator"),
		   "S14 %s of a tagged pointer is refused by name (%d)", what[i], code);
		if (code != -SIGABRT)
			diag("%s", text);
	}
	return tap_done();
}
