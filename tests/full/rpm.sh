#!/bin/sh
# SPDX-License-Identifier: MIT
#
# rpm.sh - build-aux/libhz.spec makes packages of the release archive.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES HZ_SO HZ_LANES HZ_CPPFLAGS HZ_CFLAGS CPPFLAGS LDFLAGS CC
have rpmbuild || skip_all "no rpmbuild here (Debian: rpm)"
spec=$abs_srcdir/build-aux/libhz.spec
version=$(sed -n 's/^AC_INIT(\[libhz\], \[\([^]]*\)\].*/\1/p' "$abs_srcdir/configure.ac")
is "$(sed -n 's/^Version: *//p' "$spec")" "$version" "the spec has the version of configure.ac"

mkdir -p "$work/top/SOURCES"
(cd "$abs_builddir" && ${MAKE:-make} -s distdir distdir="$work/libhz-$version" &&
	tar -C "$work" -cJf "$work/top/SOURCES/libhz-$version.tar.xz" "libhz-$version") >"$work/log" 2>&1
ok $? "the archive"
# The build requirements are other distributions' names; their database is empty here.
rpmbuild --nodeps --define "_topdir $work/top" --define "_dbpath $work/db" \
	${HZ_RPM_NOCHECK:+--nocheck} -ba "$spec" >"$work/log" 2>&1
ok $? "rpmbuild -ba"
[ "$tap_bad" -eq 0 ] || grep -i -E 'error|warning|\*\*\*|^FAIL' "$work/log" | tail -20 | note
grep -i -E '^ *(File (not found|listed twice)|Installed \(but unpackaged\))' "$work/log" | note
is "$(find "$work/top/RPMS" -name '*.rpm' -exec basename {} \; | sed "s/-$version-.*//" | grep -v debug | sort | xargs)" \
	"hz-tools libhz libhz-devel libhz-lean libhz-observe libhz-scale libhz-secure" "all seven packages"

mkdir "$work/root"
find "$work/top/RPMS" -name '*.rpm' | while IFS= read -r rpm; do
	rpm -qp --dbpath "$work/db" --requires "$rpm" >>"$work/requires" 2>/dev/null
	rpm2archive "$rpm" >>"$work/log" 2>&1 && tar -C "$work/root" -xzf "$rpm.tgz"
done
so=$(find "$work/root" -name libhz.so.0)
[ -n "$so" ] && [ "$(LD_PRELOAD=$so sh -c 'echo works' 2>&1)" = works ]
ok $? "the packaged library can be preloaded"
is "$(find "$work/root" -name 'libhz*.so.0' | wc -l)" 8 "eight libraries"
is "$(find "$work/root" -name '*.la' | wc -l)" 0 "no .la file"

done_testing
