#!/bin/sh
# SPDX-License-Identifier: MIT
#
# config.sh - the library as others configure it: each row is built with warnings as errors in a
# directory of its own and tested there. HZ_ROWS="NAME..." takes some of the rows.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES HZ_SO HZ_LANES HZ_CPPFLAGS HZ_CFLAGS

# name compiler what switches: "check" runs the tests, "build" only builds them as well.
cat >"$work/rows" <<'END2'
gcc-all        gcc   check
clang-all      clang check
gcc-balanced   gcc   check --enable-lanes=balanced
gcc-scale      gcc   check --enable-lanes=scale
gcc-lean       gcc   check --enable-lanes=lean
gcc-secure     gcc   check --enable-lanes=secure
clang-balanced clang build --enable-lanes=balanced
clang-scale    clang build --enable-lanes=scale
clang-lean     clang build --enable-lanes=lean
clang-secure   clang build --enable-lanes=secure
gcc-silent     gcc   check --disable-observe
clang-silent   clang build --disable-observe
gcc-prefix     gcc   check --with-prefix=hz_
clang-prefix   clang build --with-prefix=hz_
gcc-all-boxes  gcc   build --enable-observe=all
gcc-small      gcc   build --with-arena-size=1G
END2

jobs=-j$(nproc 2>/dev/null || echo 2)
chmod 755 "$work" # tests under other users must reach it
while read -r name compiler what switches; do
	case " ${HZ_ROWS:-$name} " in *" $name "*) ;; *) continue ;; esac
	have "$compiler" || { skip "$name: no $compiler here"; continue; }
	dir=$work/$name
	mkdir "$dir"
	log=$work/log
	(
		cd "$dir" || exit 99
		export CC="$compiler"
		# shellcheck disable=SC2086  # a list of switches
		"$(vpath_source)/configure" -q --enable-werror CC="$compiler" $switches &&
			$MAKE -s "$jobs" && $MAKE -s "$jobs" check TESTS= || exit 1
		[ "$what" = build ] || $MAKE "$jobs" check
	) >"$log" 2>&1 </dev/null
	ok $? "$name: $what $switches"
	sed -n 's/^# \(TOTAL\|PASS\|SKIP\|FAIL\|ERROR\): */\1 /p' "$log" | tail -n 5 | xargs | note
	grep '^SKIP' "$log" | note
	if [ "$tap_bad" -ne 0 ]; then
		grep -E '^(FAIL|ERROR|XPASS):|error:|\*\*\*' "$log" | head -20 | note
		[ ! -d "${HZ_KEEP:-/nonexistent}" ] || cp "$log" "$HZ_KEEP/config-$name.log"
	fi
	rm -rf "$dir"
done <"$work/rows"

done_testing
