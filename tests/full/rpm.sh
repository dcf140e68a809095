#!/bin/sh
# SPDX-License-Identifier: MIT
#
# rpm.sh - build-aux/libhz.spec makes packages of the release archive, which can be installed,
# used, replaced and erased. HZ_CHROOT is a tar archive of a system to do that in; rpm works on
# it from outside. HZ_RPM_NOCHECK=1 leaves %check out; HZ_KEEP=DIRECTORY keeps the log of the
# build there.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES HZ_SO HZ_LANES HZ_CPPFLAGS HZ_CFLAGS CPPFLAGS LDFLAGS CC
have rpmbuild || skip_all "no rpmbuild here (Debian: rpm)"
spec=$abs_srcdir/build-aux/libhz.spec
version=$(sed -n 's/^AC_INIT(\[libhz\], \[\([^]]*\)\].*/\1/p' "$abs_srcdir/configure.ac")
is "$(sed -n 's/^Version: *//p' "$spec")" "$version" "the spec has the version of configure.ac"

chmod 755 "$work" # tests under other users must reach it
mkdir -p "$work/top/SOURCES"
(cd "$abs_builddir" && ${MAKE:-make} -s distdir distdir="$work/libhz-$version" &&
	tar -C "$work" -cJf "$work/top/SOURCES/libhz-$version.tar.xz" "libhz-$version") >"$work/log" 2>&1
ok $? "the archive"
# The build requirements are other distributions' names; their database is empty here.
rpmbuild --nodeps --define "_topdir $work/top" --define "_dbpath $work/db" \
	${HZ_RPM_NOCHECK:+--nocheck} -ba "$spec" >"$work/log" 2>&1
ok $? "rpmbuild -ba"
[ "$tap_bad" -eq 0 ] || grep -E '^(FAIL|ERROR):|(error|warning): |\*\*\* ' "$work/log" | tail -20 | note
sed -n 's/^# \(TOTAL\|PASS\|SKIP\|FAIL\|ERROR\): */\1 /p' "$work/log" | xargs | note
grep '^SKIP' "$work/log" | note
[ ! -d "${HZ_KEEP:-/nonexistent}" ] || cp "$work/log" "$HZ_KEEP/rpm.log"
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

[ "$(id -u)" = 0 ] && [ -n "${HZ_CHROOT-}" ] && unshare -m true 2>/dev/null || {
	skip "not installed: not root, no HZ_CHROOT or no mount namespaces"
	done_testing
}
root=$work/system
mkdir "$root"
tar -C "$root" -xf "$HZ_CHROOT"
list=$root/etc/ld.so.preload
files() {
	(cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./tmp -o -path ./var \) -prune -o \
		! -type d -print | grep -v -x ./etc/ld.so.cache | sort)
}
# Debian's rpm warns of itself.
rpms() {
	rpm --root "$root" --dbpath /var/lib/rpm --nodeps "$@" >"$work/out" 2>&1
	status=$?
	grep -v -e 'RPM should not be used directly' -e 'assuming you know what you are doing' "$work/out" >"$work/log"
	return $status
}
malloc_of() { # /proc is there for it alone
	unshare -m sh -c 'mount --make-rprivate / && mount -t proc proc "$1/proc" && exec chroot "$1" \
		sed -n "s|.*/\(libhz.*\.so\).*|\1|p" /proc/self/maps' sh "$root" 2>&1 | sort -u
}
files >"$work/before"
find "$work/top/RPMS" -name '*.rpm' ! -name '*debug*' >"$work/list"
# shellcheck disable=SC2046  # a list of files
rpms -i $(cat "$work/list")
ok $? "rpm -i of all"
[ "$tap_bad" -eq 0 ] || tail -5 "$work/log" | note
[ ! -e "$list" ]
ok $? "nothing is turned on"
libdir=${so#"$work/root"}
libdir=${libdir%/*}
printf '# by hand, not %s/libhz.so.0\n%s/libhz.so.0\n' "$libdir" "$libdir" >"$list"
is "$(malloc_of)" libhz.so "every program is on it"
# shellcheck disable=SC2046
rpms -U --replacepkgs $(cat "$work/list") && [ "$(wc -l <"$list")" = 2 ] && [ ! -s "$work/log" ]
ok $? "replaced by a next build while in use, nothing said, it stays turned on"
[ "$tap_bad" -eq 0 ] || tail -5 "$work/log" | note
rpms -e libhz-scale libhz-lean libhz-secure libhz-observe libhz-devel hz-tools && [ "$(wc -l <"$list")" = 2 ]
ok $? "the others are erased, which leaves it turned on"
rpms -e libhz && [ ! -s "$work/log" ]
ok $? "erased while in use, nothing said"
[ "$tap_bad" -eq 0 ] || tail -5 "$work/log" | note
is "$(xargs <"$list")" "# by hand, not $libdir/libhz.so.0" "its entry went with it, a comment stays"
rm -f "$list"
files >"$work/after"
diff "$work/before" "$work/after" >"$work/diff"
ok $? "every file of the system is as it was before"
head -20 "$work/diff" | note

done_testing
