#!/bin/sh
# SPDX-License-Identifier: MIT
#
# class_table.sh - the generated table of size classes, checked without the generator's code.
#
# The table is read back through the C preprocessor, as the library reads it, and every
# property the allocator relies on is recomputed here from the numbers alone.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

table=$abs_builddir/lib/class_table.h
[ -f "$table" ] || { echo "Bail out! no $table"; exit 99; }

cat >"$work/dump.c" <<'END'
#include "class_table.h"
#define X(bytes, pages, blocks) class bytes pages blocks @
#define H(class) lookup class @
HZ_CLASS_INIT(X)
HZ_CLASS_LOOKUP_INIT(H)
count HZ_CLASSES @
max HZ_CLASS_MAX_BYTES @
END
$CC -E -P -I"$abs_builddir/lib" "$work/dump.c" | tr '\n@' ' \n' | sed 's/^ *//' >"$work/dump"

check() {
	out=$($AWK "$2" "$work/dump")
	if [ -z "$out" ]; then
		pass "$1"
	else
		fail "$1"
		printf '%s\n' "$out" | head -5 | note
	fi
}

check "48 classes, as counted and as listed" '
	$1 == "class" { n++ }
	$1 == "count" { count = $2 }
	END { if (n != 48 || count != 48) print n, count }'
check "classes ascend and are multiples of 16" '
	$1 == "class" { if ($2 <= last || $2 % 16) print; last = $2 }'
check "the largest class is 131072 and is the announced maximum" '
	$1 == "class" { last = $2 }
	$1 == "max" { max = $2 }
	END { if (last != 131072 || max != last) print last, max }'
check "every power of two from 16 is a class, so natural alignment exists" '
	$1 == "class" { have[$2] = 1 }
	END { for (p = 16; p <= 131072; p *= 2) if (!have[p]) print p }'
check "16-byte steps to 128, then four classes per doubling" '
	$1 == "class" { block[n++] = $2 }
	END {
		want = 16
		for (i = 0; i < n; i++) {
			if (block[i] != want) print i, block[i], want
			power = 16
			while (power * 2 <= want) power *= 2
			want += want < 128 ? 16 : power / 4
		}
	}'
check "a slab holds 1 to 512 blocks, as many as fit" '
	$1 == "class" && ($4 < 1 || $4 > 512 || $4 * $2 > $3 * 4096 || ($4 + 1) * $2 <= $3 * 4096)'
check "no slab loses more than 2.5 % behind its last block" '
	$1 == "class" && ($3 * 4096 - $4 * $2) * 40 > $3 * 4096'
check "slabs of several blocks are 1 to 16 pages long" '
	$1 == "class" && $4 > 1 && ($3 < 1 || $3 > 16)'
check "from 16384 a block is a slab of exact pages" '
	$1 == "class" && $2 >= 16384 && ($4 != 1 || $3 * 4096 != $2)'
check "from 2560 to 7168 at least four blocks, to 14336 at least two" '
	$1 == "class" && $2 > 2048 && $2 <= 7168 && $4 < 4
	$1 == "class" && $2 > 7168 && $2 < 16384 && $4 < 2'
check "the lookup has an entry for 0 and for every 16 bytes to the maximum" '
	$1 == "lookup" { n++ }
	END { if (n != 131072 / 16 + 1) print n }'
check "each entry is the smallest class that holds 16 * i bytes" '
	$1 == "class" { block[n++] = $2 }
	$1 == "lookup" {
		size = 16 * i++
		if (block[$2] < size || ($2 > 0 && block[$2 - 1] >= size)) print size, $2
	}'
check "rounding up to a class wastes at most a quarter above 64 bytes" '
	$1 == "class" { if (last > 64 && ($2 - last) * 4 > last) print; last = $2 }'

$AWK -v class_max=1000 -f "$abs_srcdir/build-aux/gen-class-table.awk" >"$work/again" &&
	cmp -s "$work/again" "$table"
ok $? "the generator is deterministic and takes no parameters from outside"

done_testing
