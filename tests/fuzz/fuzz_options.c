/* SPDX-License-Identifier: MIT */
/*
 * fuzz_options - the options parser, against a second one written from the manual.
 *
 *   input   number of the option, then its text
 *
 * option.c is compiled in, so that text after text can be read.  The text ends
 * where memory ends that may be read.  A text that means something sets the
 * option to it, any other changes nothing; a size is always within the range
 * of its option.
 */
#include "option.c"

#include "fuzz.h"

enum { TEXT_MAX = 4000 };

static char *text_end; /* first byte that cannot be read */

static void text_ready(void)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p + 4096, 4096, PROT_NONE))
		tap_skip_all("no memory");
	text_end = p + 4096;
}

/* Digits, then at most one of K, M, G, T; false when that is not it. */
static bool size_by_manual(const char *text, size_t *n)
{
	static const char suffix[] = "KMGT";
	unsigned __int128 sum = 0;
	size_t digits = strspn(text, "0123456789");
	const char *unit = text[digits] ? strchr(suffix, text[digits]) : NULL;
	if (!digits || text[digits + (unit ? 1 : 0)])
		return false;
	for (size_t i = 0; i < digits; i++) {
		sum = sum * 10 + (unsigned)(text[i] - '0');
		if (sum > SIZE_MAX)
			return false;
	}
	if (unit)
		sum <<= 10 * (unit - suffix + 1);
	*n = (size_t)sum;
	return sum <= SIZE_MAX;
}

static bool boxes_by_manual(const char *text, size_t *set)
{
	static const char *const name[] = { "seg", "small", "retention", "waste", "full", "fork" };
	static const size_t bit[] = { HZ_BOX_SEG,   HZ_BOX_SMALL, HZ_BOX_RETENTION,
				      HZ_BOX_WASTE, HZ_BOX_FULL,  HZ_BOX_FORK };
	char copy[TEXT_MAX + 1], *rest = copy, *one;
	*set = 0;
	memcpy(copy, text, strlen(text) + 1);
	while ((one = strsep(&rest, ","))) {
		size_t i = 0;
		while (i < COUNT_OF(name) && strcmp(one, name[i]) != 0)
			i++;
		if (i < COUNT_OF(name))
			*set |= bit[i];
		else if (strcmp(one, "all") == 0)
			*set |= HZ_BOX_ALL;
		else if (strcmp(one, "no") != 0)
			return false;
	}
	*set &= HZ_BOXES_BUILT;
	if (!(*set & HZ_BOX_ALL))
		*set = 0; /* nothing that reports */
	return true;
}

static bool watch_by_manual(const char *text, size_t *set)
{
	char copy[TEXT_MAX + 1], *rest = copy, *one;
	*set = 0;
	memcpy(copy, text, strlen(text) + 1);
	while ((one = strsep(&rest, ","))) {
		if (strcmp(one, "cgroup") == 0)
			*set |= HZ_WATCH_CGROUP;
		else if (strcmp(one, "psi") == 0)
			*set |= HZ_WATCH_PSI;
		else if (strcmp(one, "no") != 0)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct row *row;
	size_t n = size ? size - 1 : 0, want, before;
	char *text;
	if (!text_end)
		text_ready();
	if (!size)
		return 0;
	fuzz_operations++;
	n = n > TEXT_MAX ? TEXT_MAX : n;
	row = &rows[data[0] % ROWS];
	text = text_end - n - 1;
	memcpy(text, data + 1, n);
	text[n] = 0;
	if (row->kind == TEXT) {
		static char old[HZ_OBSERVE_PATH_BYTES];
		bool fits = strlen(text) < HZ_OBSERVE_PATH_BYTES;
		memcpy(old, hz_option.observe_file, sizeof(old));
		take(row, text);
		if (strcmp(hz_option.observe_file, fits ? text : old) != 0)
			fuzz_wrong("%s is '%.100s'", row->name, hz_option.observe_file);
		return 0;
	}
	before = *(size_t *)value_of(row);
	if (row->kind == WATCH) {
		if (!watch_by_manual(text, &want))
			want = before;
	} else if (row->kind == SIZE) {
		if (!size_by_manual(text, &want) || want < row->least || want > row->most)
			want = before;
	} else if (!boxes_by_manual(text, &want)) {
		want = before;
	}
	take(row, text);
	if (*(size_t *)value_of(row) != want)
		fuzz_wrong("%s=%.100s gives %zu, not %zu", row->name, text,
			   *(size_t *)value_of(row), want);
	return 0;
}

#ifndef HZ_LIBFUZZER
/* Texts that nearly mean something: pieces of what the manual names. */
static size_t invent(uint64_t *state, uint8_t *data)
{
	static const char *const piece[] = { "0", "1", "7", "256", "64", "9223372036854775807",
					     "18446744073709551615", "8796093022208", "K", "M", "G",
					     "T", "seg", "small", "retention", "waste", "all",
					     "full", "fork", "no", "cgroup", "psi", ",", ",",
					     " ", "-", "k", "/tmp/%p" };
	size_t n = 1;
	data[0] = (uint8_t)random_to(state, ROWS);
	for (size_t i = random_to(state, random_to(state, 50) ? 6 : 300); i > 0; i--) {
		const char *text = piece[random_to(state, COUNT_OF(piece))];
		memcpy(data + n, text, strlen(text));
		n += strlen(text);
	}
	if (random_to(state, 4) == 0 && n > 1)
		data[1 + random_to(state, n - 1)] = (uint8_t)random_next(state);
	return n;
}

int main(int argc, char **argv)
{
	static uint8_t data[300 * 32];
	uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 0) * 2 + 1 : 1;
	long rounds = argc > 1 ? strtol(argv[1], NULL, 0) : 300000;
	const char *top = getenv("abs_srcdir");
	char path[4096];
	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus_options", top ? top : "..");
	size_t inputs = fuzz_replay(path);
	ok(inputs > 0, "options: %zu inputs of the corpus", inputs);
	for (long i = 0; i < rounds; i++)
		LLVMFuzzerTestOneInput(data, invent(&state, data));
	ok(1, "options: %llu texts", (unsigned long long)fuzz_operations);
	return tap_done();
}
#endif
