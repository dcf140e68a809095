#!/bin/sh
# SPDX-License-Identifier: MIT
#
# symbols.sh - what the library exports: the whole family, nothing else, and malloc without a
# version, because the loader does not bind a program's malloc to a versioned one.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library

cat >"$work/family" <<'END'
malloc calloc realloc free aligned_alloc posix_memalign memalign valloc pvalloc
malloc_usable_size free_sized free_aligned_sized cfree
mallinfo mallinfo2 malloc_info malloc_stats malloc_trim mallopt
__libc_malloc __libc_calloc __libc_realloc __libc_free
__libc_memalign __libc_valloc __libc_pvalloc
dlopen
_Znwm _Znam
_ZnwmSt11align_val_t _ZnamSt11align_val_t
_ZdlPv _ZdaPv _ZdlPvm _ZdaPvm _ZdlPvRKSt9nothrow_t _ZdaPvRKSt9nothrow_t
_ZdlPvSt11align_val_t _ZdaPvSt11align_val_t _ZdlPvmSt11align_val_t _ZdaPvmSt11align_val_t
_ZdlPvSt11align_val_tRKSt9nothrow_t _ZdaPvSt11align_val_tRKSt9nothrow_t
END
tr ' ' '\n' <"$work/family" | sort >"$work/family.sorted"

# The functions that the public header declares.
$CC -E -P -I"$abs_srcdir/include" -include hz/hz.h -x c /dev/null |
	grep -o '\<hz_[a-z0-9_]* *(' | tr -d ' (' >"$work/declared"
# And the object by which hz-stat reads a process from outside.
echo hz_root >>"$work/declared"
sort -u -o "$work/declared" "$work/declared"

for so in $(libraries); do
	name=$(basename "$so")
	$NM -D --defined-only "$so" | awk '{ print $NF }' >"$work/exports"

	grep -v -e '^hz_' -e '^HZ_' "$work/exports" | sed 's/@.*//' | sort >"$work/got"
	diff "$work/family.sorted" "$work/got" >"$work/diff"
	ok $? "$name exports the allocation functions of C, POSIX, glibc and C++ and dlopen, and no others"
	note <"$work/diff"

	is "$(grep -v -e '^hz_' -e '^HZ_' "$work/exports" | grep -c @)" 0 \
		"$name: malloc and its family have no version"
	is "$(grep '^hz_' "$work/exports" | grep -v -c '@@HZ_0\.1$')" 0 \
		"$name: every hz_ function has version HZ_0.1"
	sed -n 's/^\(hz_[a-z0-9_]*\)@.*/\1/p' "$work/exports" | sort -u >"$work/got"
	diff "$work/declared" "$work/got" >"$work/diff"
	ok $? "$name exports the hz_ functions that <hz/hz.h> declares, all of them"
	note <"$work/diff"
done

# The proof of it all: an unchanged program really gets its memory from us.
cat >"$work/who.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	Dl_info info;

	if (!dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) || malloc(1) == NULL)
		return 1;
	puts(info.dli_fname);
	return 0;
}
END
$CC -o "$work/who" "$work/who.c" -ldl
for so in $(libraries); do
	is "$(LD_PRELOAD=$so "$work/who")" "$so" "$(basename "$so"): a preloaded program calls our malloc"
done

done_testing
