#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debian.sh - the Debian packages build from the release archive, tests included, source package
# too; lintian has nothing to say; a second build elsewhere, at another time of another place,
# makes the same bytes.
#
# HZ_KEEP=DIRECTORY keeps the packages of the first build there (for packages.sh), and its log.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES HZ_SO HZ_LANES HZ_CPPFLAGS HZ_CFLAGS CPPFLAGS LDFLAGS CC
for tool in dpkg-buildpackage dh; do
	have $tool || skip_all "no $tool here (Debian: dpkg-dev debhelper)"
done
# Tests under other users must reach it.
chmod 755 "$work"
version=$(sed -n 's/^libhz (\(.*\)-[^-]*).*/\1/p;q' "$abs_srcdir/debian/changelog")
is "$version" "$(sed -n 's/^AC_INIT(\[libhz\], \[\([^]]*\)\].*/\1/p' "$abs_srcdir/configure.ac")" \
	"debian/changelog has the version of configure.ac"

(cd "$abs_builddir" && ${MAKE:-make} -s distdir distdir="$work/tree") >"$work/log" 2>&1
ok $? "make distdir"
# What dh_auto_clean would find changed by autoreconf is no part of the packages.
place() {
	mkdir -p "$1"
	cp -a "$work/tree" "$1/libhz-$version"
	chmod -R u+w "$1"
	tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 -cJf "$1/libhz_$version.orig.tar.xz" \
		"libhz-$version"
}

place "$work/one"
(cd "$work/one/libhz-$version" && DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS-}" dpkg-buildpackage -us -uc) \
	>"$work/log" 2>&1
ok $? "dpkg-buildpackage, binary and source ${DEB_BUILD_OPTIONS:+(with $DEB_BUILD_OPTIONS)}"
[ "$tap_bad" -eq 0 ] || grep -E '^(FAIL|ERROR)|error: |\*\*\* ' "$work/log" | tail -20 | note
sed -n 's/^# \(TOTAL\|PASS\|SKIP\|FAIL\|ERROR\): */\1 /p' "$work/log" | xargs | note
grep '^SKIP' "$work/log" | note
[ ! -d "${HZ_KEEP:-/nonexistent}" ] || cp "$work/log" "$HZ_KEEP/debian.log"
if [ "$tap_bad" -ne 0 ]; then
	note "once more without the tests, to look at the packages all the same"
	rm -rf "$work/one"
	place "$work/one"
	(cd "$work/one/libhz-$version" && DEB_BUILD_OPTIONS=nocheck dpkg-buildpackage -us -uc) >"$work/log" 2>&1
	ok $? "dpkg-buildpackage, without the tests"
fi
is "$(cd "$work/one" && ls ./*.deb | sed 's/_.*//; s|^\./||' | grep -v dbgsym | xargs)" \
	"hz-tools libhz-dev libhz-lean0 libhz-observe0 libhz-scale0 libhz-secure0 libhz0" "all seven packages"

if have lintian; then
	(cd "$work/one" && lintian -I -E --pedantic ./*.changes) >"$work/out" 2>&1
	status=$?
	grep -E '^[EWIPX]:|rror' "$work/out" >"$work/wrong"
	[ $status = 0 ] && [ ! -s "$work/wrong" ]
	ok $? "lintian -I -E --pedantic"
	note <"$work/wrong"
else
	skip "no lintian here"
fi

# The same again: path, time zone, language, umask, parallelism, HOME; without the tests.
place "$work/another-place/deeper/down"
(cd "$work/another-place/deeper/down/libhz-$version" && umask 002 &&
	env -i PATH="$PATH:/usr/games" HOME=/nonexistent TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 \
	DEB_BUILD_OPTIONS="nocheck parallel=1" dpkg-buildpackage -us -uc -b) >"$work/log" 2>&1
ok $? "a second build, elsewhere"
[ "$tap_bad" -eq 0 ] || tail -20 "$work/log" | note
for deb in "$work/one"/*.deb; do
	cmp -s "$deb" "$work/another-place/deeper/down/$(basename "$deb")"
	ok $? "$(basename "$deb"): the same bytes"
done

if [ -n "${HZ_KEEP-}" ]; then find "$work/one" -maxdepth 1 -type f -exec cp {} "$HZ_KEEP" \;; fi
done_testing
