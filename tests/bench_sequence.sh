#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_sequence.sh - the generator's sequence against vectors computed by hand.
#
# x = x * 1664525 + 1013904223 mod 2^32 from 0x12345678; a choice among n is
# (x * n) >> 32. First 0x12345678 * 1664525 = 0x1ce5e38d43418, its low half plus
# 0x3c6ef35f = 0x75432777, slot 0x75432777 * 400 >> 32 = 183. Then the size: the
# state 0xcd305e6a, 16 + (0xcd305e6a * 2033 >> 32) = 1645. And so on.

. "${srcdir:-$(dirname "$0")/..}/tests/bench_lib.sh"

expected='slot=183 size=1645 state=3442499178
slot=59 size=614 state=1264358700
slot=207 size=1816 state=3802821438
slot=365 size=1944 state=4073751840
slot=259 size=1046 state=2177862482
slot=50 size=836 state=1733597780'
is "$(program bench_malloc_args 1 400 16 2048 --print-choices 6)" "$expected" \
	"bench_malloc_args: high bits, seed 0x12345678"
is "$(program bench_random_mixed_mt_remote 1 1 400 16 2048 --print-choices 6)" "$expected" \
	"bench_random_mixed_mt_remote: thread 0 has the same"

expected='slot=87 size=1997 state=3442499178
slot=369 size=1455 state=1264358700
slot=43 size=1436 state=3802821438
slot=341 size=27 state=4073751840'
is "$(program bench_malloc_args 1 400 16 2048 --compat --print-choices 4)" "$expected" \
	"--compat: remainders of the whole state"

# From 0 the first state is the increment and the second 1013904223 * 1664525 +
# 1013904223 mod 2^32 = 1196435762.
is "$(program bench_malloc_args 1 4294967295 16 2048 0 --print-choices 1 2>&1 | head -n 1)" \
	"bench_malloc_args: ws" "a working set beyond the limit is refused"
is "$(program bench_malloc_args 1 400 16 2048 0 --print-choices 1)" \
	"slot=94 size=582 state=1196435762" "from seed 0"
done_testing
