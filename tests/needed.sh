#!/bin/sh
# SPDX-License-Identifier: MIT
#
# needed.sh - what the loader has to do for the library: little.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library

for so in $(libraries); do
	name=$(basename "$so")
	$READELF -dW "$so" >"$work/dynamic"
	$READELF -lW "$so" >"$work/segments"

	is "$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$work/dynamic" | xargs)" libc.so.6 \
		"$name needs the C library and nothing else"
	is "$(sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p' "$work/dynamic")" "$name" \
		"$name is known by this name"
	grep -q 'GNU_RELRO' "$work/segments"
	ok $? "$name: relocated data is read-only afterwards"
	! grep -q TEXTREL "$work/dynamic"
	ok $? "$name: no relocation in the code"
	is "$(awk '/GNU_STACK/ { print $7 }' "$work/segments")" RW "$name: the stack is not executable"
	grep -q '(FLAGS_1).*NODELETE' "$work/dynamic"
	ok $? "$name: cannot be unloaded"
	grep -q '(FLAGS_1).*NOOPEN' "$work/dynamic"
	ok $? "$name: cannot be loaded by dlopen, when it would be too late"
	! grep -q -E '\((INIT|INIT_ARRAY|PREINIT_ARRAY|FINI|FINI_ARRAY)\)' "$work/dynamic"
	ok $? "$name: no constructor and no destructor"
	! grep -q -E '\((RPATH|RUNPATH)\)' "$work/dynamic"
	ok $? "$name: no search path of its own"
done

done_testing
