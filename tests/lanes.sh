#!/bin/sh
# SPDX-License-Identifier: MIT
#
# lanes.sh - every lane and its twin: the same interface, its own name, the same behaviour.
#
#   names    hz_lane() of a preloaded library says which one it is
#   symbols  the same names and versions in all, the versions of libhz.map
#   abi      abidiff finds no difference but the file's name
#   tests    some of the tests that are programs, under each library
#   alone    --enable-lanes=lean configures, builds, installs and links

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
: "${HZ_LANES:=$(sed -n 's/^HZ_LANES = //p' "$abs_builddir/Makefile")}"
libs=$abs_builddir/.libs

# The name of a library, as hz_lane() says it and with "libhz" before it as its file does.
file_of() {
	case $1 in
		balanced) echo libhz ;;
		*) echo "libhz-$1" ;;
	esac
}
names=
twins=$(sed -n 's/^# *define HZ_OBSERVE_BUILT //p' "$abs_builddir/config.h")
for lane in $HZ_LANES; do
	names="$names $lane"
	if [ "$twins" = 0 ]; then continue; fi
	case $lane in
		balanced) names="$names observe" ;;
		*) names="$names $lane-observe" ;;
	esac
done
first=
for name in $names; do
	: "${first:=$name}"
	[ -f "$libs/$(file_of "$name").so.0" ]
	ok $? "built: $(file_of "$name").so.0"
done

# Names.
cat >"$work/who.c" <<'END'
#include <hz/hz.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	const char *(*lane)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "hz_lane");

	if (malloc(1) == NULL || lane == NULL)
		return 1;
	puts(lane());
	return 0;
}
END
$CC -w -I"$abs_srcdir/include" -o "$work/who" "$work/who.c" -ldl
for name in $names; do
	is "$(HZ_OBSERVE=no LD_PRELOAD=$libs/$(file_of "$name").so.0 "$work/who")" "$name" \
		"hz_lane() of $(file_of "$name")"
done

# Symbols.
sed -n 's/^\(HZ_[0-9.]*\) {.*/\1/p' "$abs_srcdir/lib/libhz.map" | sort >"$work/map"
for name in $names; do
	so=$libs/$(file_of "$name").so.0
	$NM -D --defined-only "$so" | awk '{ print $(NF - 1), $NF }' | sort >"$work/symbols.$name"
	[ -s "$work/symbols.$name" ] && cmp -s "$work/symbols.$first" "$work/symbols.$name"
	ok $? "$name: the dynamic symbols of $first"
	diff "$work/symbols.$first" "$work/symbols.$name" | note
	is "$(sed -n 's/.*@@*//p' "$work/symbols.$name" | sort -u)" "$(cat "$work/map")" \
		"$name: the versions of libhz.map"
	is "$($READELF -dW "$so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')" "$(basename "$so")" \
		"$name: the same version of the file"
done

# Types and layouts, from the debugging information.
if ! have abidw || ! have abidiff; then
	skip "no abidiff (Debian: abigail-tools)"
elif ! $READELF -SW "$libs/$(file_of "$first").so.0" | grep -q '\.debug_info'; then
	skip "the libraries have no debugging information to compare"
else
	# The name of the file is the one difference there is to be.
	for name in $names; do
		abidw "$libs/$(file_of "$name").so.0" |
			sed -e "/^<abi-corpus /s/ soname='[^']*'//" -e "/^<abi-corpus /s/ path='[^']*'//" \
				>"$work/abi.$name"
	done
	for name in $names; do
		[ "$name" != "$first" ] || continue
		grep -q "name='hz_report_get'" "$work/abi.$name" &&
			abidiff "$work/abi.$first" "$work/abi.$name" >"$work/log" 2>&1
		ok $? "$name: abidiff finds no difference to $first"
		head -20 "$work/log" | note
	done
	# And would find one.
	sed "s/\(data-member .*layout-offset-in-bits='\)64'/\1128'/" "$work/abi.$first" >"$work/abi.other"
	abidiff "$work/abi.$first" "$work/abi.other" >"$work/log" 2>&1
	is $(($? & 4)) 4 "(abidiff finds a member that moved)"
fi

# Behaviour: what is linked to one library and runs on another.
for name in $names; do
	[ "$name" != "$first" ] || continue
	tests='api_conformance stress_threads'
	case $name in
		*observe) ;;
		# A thread that frees what others made may hold more of it there.
		scale) tests="$tests api_info fork_atfork hazard_oom thread_pipeline thread_storm" ;;
		*) tests="$tests api_info fork_atfork hazard_oom thread_late_free
			thread_pipeline thread_storm" ;;
	esac
	for test in $tests; do
		[ -x "$abs_builddir/tests/$test" ] || continue
		HZ_OBSERVE=no LD_PRELOAD=$libs/$(file_of "$name").so.0 "$abs_builddir/tests/$test" \
			>"$work/out" 2>"$work/err" </dev/null
		status=$?
		! grep '^not ok' "$work/out" | grep -q -v '# TODO' && grep -q '^1\.\.' "$work/out" && [ $status = 0 ]
		ok $? "$name: $test"
		grep '^not ok' "$work/out" | grep -v '# TODO' | note
		[ $status = 0 ] || tail -3 "$work/err" | note
	done
done

# What lane secure catches, and with its option.
if [ -x "$abs_builddir/tests/zoo/zoo" ] && [ -f "$libs/libhz-secure.so.0" ]; then
	for files in expected-secure expected-secure:expected-zero; do
		case $files in *zero) zero=256 ;; *) zero=0 ;; esac
		HZ_ZERO=$zero HZ_SO=$libs/libhz-secure.so.0 HZ_ZOO_EXPECTED=$files \
			"$abs_builddir/tests/zoo/zoo" >"$work/out" 2>&1
		status=$?
		! grep -q '^not ok' "$work/out" && grep -q '^1\.\.' "$work/out" && [ $status = 0 ]
		ok $? "secure: the zoo, $files"
		grep '^not ok' "$work/out" | note
	done
	# What is right goes on: sequences of calls against a model, with the sizes told to free.
	for zero in 0 256; do
		HZ_ZERO=$zero LD_PRELOAD=$libs/libhz-secure.so.0 "$abs_builddir/tests/fuzz/fuzz_api" \
			>"$work/out" 2>&1
		status=$?
		! grep -q '^not ok' "$work/out" && grep -q '^1\.\.' "$work/out" && [ $status = 0 ]
		ok $? "secure: tests/fuzz/fuzz_api, HZ_ZERO=$zero"
		tail -3 "$work/out" | note
	done
else
	skip "no lane secure here"
fi

# doc/tuning.md has each constant with the value it has in each table.
for lane in balanced scale lean secure; do
	sed -n 's/^\tHZ_LANE_\([A-Z_]*\) = .*/\1/p' "$abs_srcdir/lib/lane/$lane.h" >"$work/constants"
	{
		printf '#include <stdio.h>\n#include "lane/%s.h"\nint main(void)\n{\n' $lane
		sed 's/.*/\tprintf("%s %ld\\n", "&", (long)HZ_LANE_&);/' "$work/constants"
		printf '\treturn 0;\n}\n'
	} >"$work/constants.c"
	$CC -w -iquote "$abs_srcdir/lib" -o "$work/print" "$work/constants.c"
	"$work/print" | $AWK '
		$1 ~ /_BYTES$/ && $2 >= 1024 { $2 = $2 >= 1048576 ? $2 / 1048576 " MiB" : $2 / 1024 " KiB" }
		{ print }' >"$work/is.$lane"
	$AWK -F ' *[|] *' -v lane=$lane '
		$2 == "constant" { for (i = 1; i <= NF; i++) if ($i == lane) column = i }
		column && $2 ~ /^[A-Z_]+$/ { print $2, $column }' "$abs_srcdir/doc/tuning.md" >"$work/said.$lane"
	sort "$work/is.$lane" >"$work/is" && sort "$work/said.$lane" >"$work/said"
	[ -s "$work/is" ] && diff "$work/is" "$work/said" >"$work/wrong"
	ok $? "doc/tuning.md has the constants of $lane"
	note <"$work/wrong"
done

# The manual.
page=$abs_srcdir/man/hz_lanes.7
for name in $names; do
	grep -q "Li $(file_of "$name") Ta $name Ta " "$page" || echo "$name"
done >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "hz_lanes(7) has every library"
note <"$work/wrong"

# One lane alone.
if private_build "$work/alone" --enable-lanes=lean --prefix=/opt/hz CFLAGS=-O0; then
	pass "--enable-lanes=lean configures and builds"
	(unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
	 cd "$work/alone" && $MAKE -s install DESTDIR="$work/dest") >"$work/log" 2>&1
	ok $? "and installs"
	is "$(cd "$work/dest/opt/hz/lib" && echo *.so pkgconfig/*)" \
		"libhz-lean-observe.so libhz-lean.so pkgconfig/hz-lean-observe.pc pkgconfig/hz-lean.pc" \
		"itself, its twin and their .pc files, no other's"
	if have "$PKG_CONFIG"; then
		# shellcheck disable=SC2046  # a list of flags
		$CC -w -o "$work/user" "$work/who.c" $(PKG_CONFIG_LIBDIR=$work/dest/opt/hz/lib/pkgconfig \
			PKG_CONFIG_SYSROOT_DIR=$work/dest $PKG_CONFIG --cflags --libs hz-lean) -ldl
		is "$(LD_LIBRARY_PATH=$work/dest/opt/hz/lib "$work/user")" lean \
			"a program links to it through pkg-config"
	else
		skip "no pkg-config here"
	fi
else
	fail "--enable-lanes=lean configures and builds"
	tail -20 "$work/alone.log" | note
fi

done_testing
