/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - the main of a fuzz target without a fuzzer.
 *
 *	target [-n OPERATIONS] [-s SEED] [FILE | DIRECTORY ...]
 *
 * Replays the files as inputs, then makes inputs of pseudo-random bytes until
 * the target has counted so many operations.  With -DHZ_LIBFUZZER none of this
 * is compiled: libFuzzer brings its own main.
 *
 * A target defines LLVMFuzzerTestOneInput, counts into fuzz_operations, and
 * calls fuzz_wrong, which does not return, when something does not hold.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <dirent.h>
#include <sys/stat.h>

#include "../alloc_names.h"
#include "../probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t fuzz_operations;

/* What went wrong; a core or the fuzzer says where. */
#define fuzz_wrong(...)                                                              \
	do {                                                                         \
		fprintf(stderr, "fuzz: operation %llu: ",                            \
			(unsigned long long)fuzz_operations);                        \
		fprintf(stderr, __VA_ARGS__);                                        \
		fputc('\n', stderr);                                                 \
		__builtin_trap();                                                    \
	} while (0)

#ifndef HZ_LIBFUZZER

enum { FUZZ_INPUT_MAX = 1 << 16 };

static size_t fuzz_replay(const char *path)
{
	static uint8_t data[FUZZ_INPUT_MAX];
	struct stat st;
	size_t inputs = 0;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		char inner[4096];
		DIR *dir = opendir(path);
		struct dirent *entry;
		while (dir && (entry = readdir(dir))) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
			inputs += fuzz_replay(inner);
		}
		if (dir)
			closedir(dir);
		return inputs;
	}
	FILE *file = fopen(path, "rb");
	if (!file)
		return 0;
	LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), file));
	fclose(file);
	return 1;
}

/* what: for the TAP line; corpus and operations: what is done unasked. */
static inline int fuzz_main(int argc, char **argv, const char *what, const char *corpus,
			    uint64_t operations)
{
	static uint8_t data[FUZZ_INPUT_MAX];
	uint64_t seed = 1, end;
	const char *top = getenv("abs_srcdir");
	char path[4096];
	size_t inputs = 0;
	int c;
	while ((c = getopt(argc, argv, "n:s:")) != -1) {
		if (c == 'n')
			operations = strtoull(optarg, NULL, 0);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	for (int i = optind; i < argc; i++)
		inputs += fuzz_replay(argv[i]);
	if (optind == argc) {
		snprintf(path, sizeof(path), "%s/tests/fuzz/%s", top ? top : "..", corpus);
		inputs = fuzz_replay(path);
	}
	ok(inputs > 0, "%s: %zu inputs of the corpus", what, inputs);
	seed = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	end = fuzz_operations + operations;
	while (fuzz_operations < end) {
		size_t n = 1 + random_to(&seed, random_to(&seed, 4) ? 4096 : FUZZ_INPUT_MAX - 1);
		for (size_t i = 0; i + 8 <= n; i += 8) {
			uint64_t word = random_next(&seed);
			memcpy(data + i, &word, 8);
		}
		LLVMFuzzerTestOneInput(data, n);
	}
	ok(1, "%s: %llu operations", what, (unsigned long long)fuzz_operations);
	return tap_done();
}

#define FUZZ_MAIN(what, corpus, operations)                                       \
	int main(int argc, char **argv)                                           \
	{                                                                         \
		return fuzz_main(argc, argv, what, corpus, operations);           \
	}
#else
#define FUZZ_MAIN(what, corpus, operations)
#endif

#endif
