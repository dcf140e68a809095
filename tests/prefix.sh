#!/bin/sh
# SPDX-License-Identifier: MIT
#
# prefix.sh - a build --with-prefix=hz_ has hz_malloc and the others and replaces nothing.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

private_build "$work/build" --with-prefix=hz_
ok $? "configure --with-prefix=hz_ in a directory of its own, and make"
if [ "$tap_bad" -ne 0 ]; then
	tail -20 "$work/build.log" | note
	done_testing
fi
so=$work/build/.libs/libhz.so.0

$NM -D --defined-only "$so" | awk '{ print $NF }' >"$work/exports"
missing=
for name in malloc calloc realloc free aligned_alloc posix_memalign memalign valloc pvalloc \
	malloc_usable_size free_sized free_aligned_sized cfree mallinfo mallinfo2 malloc_info \
	malloc_stats malloc_trim mallopt; do
	grep -q "^hz_$name@@HZ_0\.1\$" "$work/exports" || missing="$missing hz_$name"
done
is "$missing" "" "every function of the family is there under its prefix"
is "$(grep -v -e '^hz_' -e '^HZ_' "$work/exports")" "" "nothing of the C library is replaced"

cat >"$work/both.c" <<'END'
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *hz_malloc(size_t);
void *hz_realloc(void *, size_t);
void hz_free(void *);
size_t hz_malloc_usable_size(void *);

int main(void)
{
	char *ours = hz_malloc(1000), *theirs = malloc(1000);

	if (ours == NULL || theirs == NULL || hz_malloc_usable_size(ours) < 1000)
		return 1;
	memset(ours, 1, 1000);
	memset(theirs, 2, 1000);
	ours = hz_realloc(ours, 100000);
	theirs = realloc(theirs, 100000);
	if (ours == NULL || theirs == NULL || ours[999] != 1 || theirs[999] != 2)
		return 1;
	hz_free(ours);
	free(theirs);
	return puts("side by side") < 0;
}
END
$CC -o "$work/both" "$work/both.c" "$so"
is "$(LD_LIBRARY_PATH=$work/build/.libs "$work/both")" "side by side" \
	"both allocators serve one process"

done_testing
