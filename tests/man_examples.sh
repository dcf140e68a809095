#!/bin/sh
# SPDX-License-Identifier: MIT
#
# man_examples.sh - what the manual tells to type does what it says: the examples of hz(3),
# hz_lanes(7), hz_options(7), hz-stat(1) and hz_obs(5), with what "make install" installs. Those of
# hz-run(1) and hz-preload(8) are in hz_run.bats and hz_preload.bats.
#
# Only names are replaced: the prefix, directories to write to, "program" and "script.py".

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
cd "$abs_builddir" || exit 99
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DESTDIR HZ_OBSERVE
main=$(basename "$HZ_SO" .so.0)

$MAKE -s install DESTDIR="$work/dest" prefix=/usr/local exec_prefix=/usr/local bindir=/usr/local/bin \
	sbindir=/usr/local/sbin libdir=/usr/local/lib includedir=/usr/local/include \
	mandir=/usr/local/share/man >"$work/log" 2>&1
ok $? "make install"
root=$work/dest/usr/local
cd "$work" || exit 99

# The programs of the examples. Those of lanes say whose malloc they have.
mkdir bin
cat >who.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
	Dl_info info;
	free(malloc(10));
	if (!dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info))
		return 1;
	puts(strrchr(info.dli_fname, '/') + 1);
	return 0;
}
END
$CC -w -o bin/program who.c -ldl || exit 99
cp who.c prog.c
echo 'print(open("/proc/self/maps").read().count("libhz"))' >script.py
# What installs puts its directory in .pc files and programs, from configure; here it is below $root.
PATH=$work/bin:$root/bin:$PATH
export PATH HZ_RUN_LIBDIR="$root/lib" PKG_CONFIG_SYSROOT_DIR="$work/dest"
prefix=$(sed -n 's/^libdir=//p' "$root/lib/pkgconfig/$(echo "$main" | sed 's/^lib//').pc")

# examples PAGE: its commands, one a line; with the names replaced.
examples() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh /s/^\.Dl //p' "$1" | sed -e 's/\\&//g' -e 's/\\-/-/g' -e 's/\\e/\\/g' \
		-e "s|/tmp/|$work/|" -e "s|/var/lib/node_exporter/|$work/|" -e "s|/usr/local/lib/|$root/lib/|g"
}
# example PAGE PATTERN: runs the one that matches; its output is in "out"
example() {
	page=$1 pattern=$2
	line=$(examples "$page" | grep -e "$pattern")
	if [ "$(echo "$line" | grep -c .)" != 1 ]; then
		fail "$(basename "$page"): one example with '$pattern'"
		return 1
	fi
	sh -c "$line" >out 2>err
	status=$?
	echo "$page: $line" >>run
	[ $status = 0 ] || { note "$line: code $status"; note <err; }
	return $status
}
# without PAGE PATTERN REASON: the one that matches cannot be run here
without() {
	examples "$1" | grep -e "$2" | sed "s|^|$1: |" >>run
	skip "$(basename "$1"): $3"
}
man=$abs_srcdir/man

if have python3 && [ -f "$root/lib/libhz.so.0" ]; then
	example "$man/hz.3" 'script\.py' && [ "$(cat out)" -gt 0 ]
	ok $? "hz(3): a program on the library"
else
	without "$man/hz.3" 'script\.py' "no python3, or lane balanced is not built"
fi
for lane in lean scale; do
	[ $lane = lean ] && what=hz-run || what=LD_PRELOAD
	[ -f "$root/lib/libhz-$lane.so.0" ] ||
		{ without "$man/hz_lanes.7" "$what" "lane $lane is not built"; continue; }
	example "$man/hz_lanes.7" "$what" && is "$(cat out)" "libhz-$lane.so.0" "hz_lanes(7): by $what"
done
if have "$PKG_CONFIG" && [ -f "$root/lib/libhz-lean.so.0" ]; then
	mkdir path && ln -s "$(command -v "$PKG_CONFIG")" path/pkg-config && ln -s "$(command -v "${CC%% *}")" path/cc
	# The flags have configure's directories, below the root of the installation or not.
	PATH=$work/path:$PATH PKG_CONFIG_LIBDIR=$root/lib/pkgconfig C_INCLUDE_PATH=$root/include \
		LIBRARY_PATH=$root/lib example "$man/hz_lanes.7" pkg-config
	ok $? "hz_lanes(7): linked through pkg-config (libdir $prefix)"
	is "$(LD_LIBRARY_PATH=$root/lib ./a.out)" libhz-lean.so.0 "and on that lane"
else
	without "$man/hz_lanes.7" pkg-config "no pkg-config, or lane lean is not built"
fi
if [ -f "$root/lib/$main-observe.so.0" ]; then
	LD_PRELOAD=$root/lib/$main.so.0 example "$abs_builddir/man/hz_options.7" HZ_OBSERVE &&
		grep -q '^\[' program.*.obs
	ok $? "hz_options(7): a report in a file of that name"
else
	without "$abs_builddir/man/hz_options.7" HZ_OBSERVE "no observing twin is built"
fi

# hz-stat(1), on a program that waits.
LD_PRELOAD=$root/lib/$main.so.0 "$abs_builddir/tests/rss_reasons" partial >ready &
pid=$!
printf '#!/bin/sh\necho %s\n' "$pid" >bin/pidof
chmod 755 bin/pidof
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ -s ready ] && break
	sleep 0.2
done
if hz-stat "$pid" >out 2>err; then
	example "$man/hz-stat.1" explain && grep -q '^verdict: ' out
	ok $? "hz-stat(1): a verdict"
	# Another process may end while it is looked at, which -a passes over.
	example "$man/hz-stat.1" openmetrics
	is "$(tail -1 hz.prom) $(grep -c "pid=\"$pid\"" hz.prom | sed 's/[1-9][0-9]*/many/')" "# EOF many" \
		"hz-stat(1): a file for the collector"
else
	without "$man/hz-stat.1" 'explain\|openmetrics' "other processes cannot be read here: $(cat err)"
fi
kill -KILL "$pid"
wait "$pid" 2>/dev/null

# The piece of C in hz(3), as it stands.
{
	printf '#include <stdio.h>\n#include <stdlib.h>\n#include <hz/hz.h>\nint main(void)\n{\n'
	printf 'char *volatile p = malloc(100);\n(void)p;\n'
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh DIAG/p' "$man/hz.3" | sed -n '/^\.Bd/,/^\.Ed/{/^\./d;s/\\e/\\/g;p;}'
	printf 'return 0;\n}\n'
} >report.c
$CC -Wall -Wextra -Wno-declaration-after-statement -Werror -I"$root/include" -o report report.c \
	-L"$root/lib" -l"${main#lib}" >log 2>&1
ok $? "hz(3): its C compiles as it stands"
note <log
LD_LIBRARY_PATH=$root/lib ./report >out
[ $? = 0 ] && grep -q -x '[0-9][0-9]* of [0-9][0-9]* KiB' out
ok $? "and prints two figures"
note <out

# A line of diagnostics looks like the one in the manual: numbers and names apart.
shape() {
	sed -e 's/: [a-z]*\[[0-9]*\]/: NAME[N]/' -e 's/0x[0-9a-f]*/ADDRESS/' -e 's/class [0-9]*/class N/' \
		-e 's/, [a-z ]*$/, WHAT/'
}
# (The shell inside redirects: the word of the one outside about a signal is no part of it.)
# shellcheck disable=SC2016
sh -c 'LD_PRELOAD=$0 exec "$1" double_free 2>line' "$root/lib/$main.so.0" "$abs_builddir/tests/zoo/crime" \
	2>/dev/null
is "$(shape <line)" "$(sed -n '/^\.Sh DIAG/,$s/^\.Dl //p' "$man/hz.3" | shape)" \
	"hz(3): a double free says what the manual says it does"

# hz_obs(5): the probe of its example is in the library. (Listening needs the kernel's consent.)
example=$(sed -n 's/^\.Dl bpftrace.*:libhz:\([a-z_]*\) .*/\1/p' "$man/hz_obs.5")
if grep -q '^#define HZ_SDT 1' "$abs_builddir/config.h"; then
	$READELF -n "$root/lib/$main.so.0" 2>/dev/null | grep -q "Name: $example\$"
	ok $? "hz_obs(5): there is a probe $example"
else
	skip "built without <sys/sdt.h>"
fi

# And no example has been left out unsaid.
for page in "$man/hz.3" "$man/hz_lanes.7" "$abs_builddir/man/hz_options.7" "$man/hz-stat.1"; do
	examples "$page" | sed "s|^|$page: |"
done | sort >all
sort run | comm -3 - all >left
[ ! -s left ]
ok $? "each of the $(wc -l <all) commands has been run, or skipped above"
note <left

done_testing
