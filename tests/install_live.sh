#!/bin/sh
# SPDX-License-Identifier: MIT
#
# install_live.sh - make install and make uninstall keep away from a library that every program
# on the machine is using because /etc/ld.so.preload names it: one that is half written would
# stop all of them. Here another file is in the place of that list, and a directory of the test's
# in the place of the system's: should nothing be refused, nothing is harmed.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
cd "$abs_builddir" || exit 99
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DESTDIR

main=$(basename "$HZ_SO")
list=$work/ld.so.preload
target() {
	$MAKE -s "$@" prefix="$work/usr" exec_prefix="$work/usr" libdir="$work/usr/lib" \
		HZ_PRELOAD_FILE="$list" >"$work/log" 2>&1
}

# What both targets ask first, alone: which lists name what would be written to /usr/lib/here.
asked() { # LIST, as printf has it
	printf '%b' "$1" >"$list"
	$MAKE -s refuse-live libdir=/usr/lib/here HZ_PRELOAD_FILE="$list" >"$work/log" 2>&1
}
refused() { # LIST TEXT
	! asked "$1" && grep -q 'hz-preload disable' "$work/log"
	ok $? "refused: $2" || note <"$work/log"
}
allowed() {
	asked "$1"
	ok $? "allowed: $2" || note <"$work/log"
}
refused "/usr/lib/here/$main\n" "the library is in the list"
refused "/lib/a.so:/usr/lib/here/$main # x" "after another, before a comment"
refused "/usr/lib/here/$main.0.0\n" "under the name of the file"
refused "/usr/\$LIB/$main\n" "with \$LIB, which the loader expands"
refused "/usr/\${LIB}/$main\n" "or as \${LIB}"
refused "/usr/lib/here/./$main\n" "on trial"
refused "$main\n" "by its bare name"
allowed "" "an empty list"
allowed "/usr/lib/there/$main\n/lib/a.so\n" "in another directory"
allowed "# /usr/lib/here/$main\n" "in a comment"
allowed "/usr/lib/here/other.so.0\n" "another library"

# And both do ask.
echo "/nowhere/$main # $work/usr/lib/$main" >"$list"
target install
ok $? "make install where the list names a library elsewhere"
before=$(ls -i "$work/usr/lib/$main.0.0")
echo "$work/usr/lib/$main" >"$list"
target install
[ $? -ne 0 ] && grep -q 'is in use' "$work/log" && [ "$(ls -i "$work/usr/lib/$main.0.0")" = "$before" ]
ok $? "make install refuses, and has not touched the file"
target uninstall
[ $? -ne 0 ] && grep -q 'is in use' "$work/log" && [ "$(ls -i "$work/usr/lib/$main.0.0")" = "$before" ]
ok $? "so does make uninstall"
target install DESTDIR="$work/dest"
ok $? "a staged installation is not concerned"
rm -f "$list"
target uninstall
ok $? "nor one without the list"
is "$(find "$work/usr" -type f -o -type l)" "" "make uninstall leaves nothing"

done_testing
