#!/bin/sh
# SPDX-License-Identifier: MIT
#
# observe_builds.sh - what a build was told to report unasked, it reports: each box by itself, as
# configure writes it into config.h and in the seeds' spelling in CPPFLAGS; and the library that
# pressure is provoked with, --with-arena-size=64M.
#
# Only the sources that know of these are compiled again; configure.sh tests what configure makes
# of its switches.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
[ -f "$(dirname "$HZ_SO")/libhz-observe.so.0" ] || skip_all "observation is not compiled in"
objects=$abs_builddir/lib/.libs
[ -n "${HZ_CFLAGS:-}" ] && [ -f "$objects/libhz_la-option.o" ] || skip_all "no objects to link with"

cat >"$work/prog.c" <<'END'
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
	static void *block[3000];
	if (argc > 1)
		for (int i = 0; i < 3000; i++) {
			block[i] = memset(malloc(i % 2 ? 100000 : 300000), 1, 5000);
			if (i % 5 == 0)
				free(block[i]);
		}
	for (int i = 2; argc > 1 && i < 3000; i += 50)
		free(block[i]);
	if (argc > 1)
		malloc_trim(0); /* looks before it gives back */
	for (int i = 0; i < 100; i++)
		block[i] = malloc(5000);
	return 0;
}
END
$CC -O1 -fno-builtin -w -o "$work/prog" "$work/prog.c" || exit 99

# build NAME SOURCES SWITCHES...: libhz with these compiled again, as "$work/NAME.so".
build() {
	build_name=$1 build_sources=$2
	shift 2
	mkdir -p "$work/$build_name"
	[ -f "$work/$build_name/config.h" ] || cp "$abs_builddir/config.h" "$work/$build_name/"
	(
		cd "$abs_builddir" || exit 1
		for file in $build_sources; do
			# shellcheck disable=SC2086 # lists of words
			$CC -I"$work/$build_name" -I. $HZ_CPPFLAGS '-DHZ_LANE_H="lane/balanced.h"' \
				'-DHZ_LANE_SELF="balanced"' $CPPFLAGS "$@" $HZ_CFLAGS -O1 -fPIC -c \
				-o "$work/$build_name/$file.o" "$abs_srcdir/lib/$file.c" || exit 1
		done
		others=
		for object in "$objects"/libhz_la-*.o; do
			file=${object##*/libhz_la-}
			[ -f "$work/$build_name/$file" ] || [ ! -f "$abs_srcdir/lib/${file%.o}.c" ] ||
				others="$others $object"
		done
		# shellcheck disable=SC2086
		$CC -shared -nostartfiles -Wl,-Bsymbolic-functions \
			-Wl,--version-script="$abs_srcdir/lib/libhz.map" $LDFLAGS \
			-o "$work/$build_name.so" "$work/$build_name"/*.o $others -lpthread
	) >"$work/log" 2>&1
	built=$?
	ok $built "$build_name: compiles and links"
	[ $built -eq 0 ] || head -5 "$work/log" | note
}

# reports NAME TAGS: a program that says nothing itself; the first word of each record.
reports() {
	LD_PRELOAD=$work/$1.so "$work/prog" 2>"$work/err"
	is "$(cut -d' ' -f1 "$work/err" | sort -u | tr -d '[]' | xargs)" "$2" "$1: its records, unasked"
}

seg=HZ3_SEG_SCAVENGE_OBS
small='HZ3_S135_FRAG_OBS HZ3_S135_FULL_SC HZ3_S135_PARTIAL_SC HZ3_S62_OBSERVE HZ3_S69'
retention='HZ3_LARGE_CACHE_BUDGET HZ3_LARGE_PATH HZ3_RETENTION_OBS HZ3_S49_PACK HZ3_S58_TCACHE_DECAY hz3'
waste='HZ3_MEDIUM_WASTE_OBS HZ3_MEDIUM_WASTE_SC'
build none option
reports none ''
# Every box as configure has it ...
build box_seg option -DHZ_OBSERVE_BOXES=1
reports box_seg "$seg"
build box_small option -DHZ_OBSERVE_BOXES=2
reports box_small "$small"
build box_retention option -DHZ_OBSERVE_BOXES=4
reports box_retention "$retention"
with_waste='api option root observe observe_lines report waste'
build box_waste "$with_waste" -DHZ_OBSERVE_BOXES=8 -DHZ_WASTE=1
reports box_waste "$waste"
is "$(sed -n 's/^\[HZ3_MEDIUM_WASTE_OBS\] \(req=[0-9]*\).*/\1/p' "$work/err")" req=500000 \
	"box_waste: what the program asked for"
# ... and as the seeds' build scripts have it.
build macro_seg option -DHZ3_SEG_SCAVENGE_OBSERVE=1
reports macro_seg "$seg"
build macro_small option -DHZ3_S62_OBSERVE=1
reports macro_small "$small"
build macro_retention option -DHZ3_S55_RETENTION_OBSERVE=1
reports macro_retention "$retention"
build macro_waste "$with_waste" -DHZ3_S56_MEDIUM_WASTE_OBSERVE=1
reports macro_waste "$waste"
build macro_all "$with_waste" -DHZ3_SEG_SCAVENGE_OBSERVE=1 -DHZ3_S62_OBSERVE=1 \
	-DHZ3_S55_RETENTION_OBSERVE=1 -DHZ3_S56_MEDIUM_WASTE_OBSERVE=1
reports macro_all "$(echo $seg $small $retention $waste | tr ' ' '\n' | sort | xargs)"
HZ_OBSERVE=no reports macro_all ''

# A longer stretch asked for at compile time leaves fewer candidates than none at all.
candidates() { # NAME
	HZ_OBSERVE=seg HZ_ARENA_SIZE=64M LD_PRELOAD=$work/$1.so "$work/prog" much 2>"$work/err"
	sed -n 's/.* max_candidate_pages=\([0-9]*\) .*/\1/p' "$work/err"
}
build contig_1 option -DHZ3_SEG_SCAVENGE_MIN_CONTIG_PAGES=1
build contig_256 option -DHZ3_SEG_SCAVENGE_MIN_CONTIG_PAGES=256
few=$(candidates contig_256) many=$(candidates contig_1)
[ "${few:-0}" -lt "${many:-0}" ]
ok $? "HZ3_SEG_SCAVENGE_MIN_CONTIG_PAGES: $many candidate pages with 1, $few with 256"

# The pressure build.
mkdir "$work/arena_64m"
sed 's/^#define HZ_ARENA_SIZE_DEFAULT .*/#define HZ_ARENA_SIZE_DEFAULT 67108864UL/' \
	"$abs_builddir/config.h" >"$work/arena_64m/config.h"
build arena_64m option
HZ_OBSERVE=seg,small,retention LD_PRELOAD=$work/arena_64m.so "$work/prog" much 2>"$work/err"
ok $? "--with-arena-size=64M: a program that needs more completes"
le 1 "$(sed -n 's/^\[HZ3_SEG_SCAVENGE_OBS\] calls=\([0-9]*\) .*/\1/p' "$work/err")" \
	"--with-arena-size=64M: pressure was seen"

done_testing
