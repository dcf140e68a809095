#!/bin/sh
# SPDX-License-Identifier: MIT
#
# install_live.sh - make install and make uninstall keep away from a library that every program
# on the machine is using because /etc/ld.so.preload names it; here another file is in its place.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
cd "$abs_builddir" || exit 99
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

main=$(basename "$HZ_SO")
file=$work/ld.so.preload
target() {
	$MAKE -s "$@" prefix="$work/usr" exec_prefix="$work/usr" libdir="$work/usr/lib" \
		HZ_PRELOAD_FILE="$file" >"$work/log" 2>&1
}

echo "/nowhere/$main # $work/usr/lib/$main" >"$file"
target install
ok $? "make install where the file names a library elsewhere"
before=$(ls -i "$work/usr/lib/$main.0.0")

# refuses ENTRY TEXT
refuses() {
	echo "$1" >"$file"
	target install
	[ $? -ne 0 ] && grep -q 'is in use' "$work/log" && [ "$(ls -i "$work/usr/lib/$main.0.0")" = "$before" ]
	ok $? "make install refuses: $2"
	target uninstall
	[ $? -ne 0 ] && grep -q 'is in use' "$work/log" && [ -f "$work/usr/lib/$main.0.0" ]
	ok $? "so does make uninstall"
}
refuses "$work/usr/lib/$main" "its full path"
refuses "/other.so:$work/usr/lib/$main.0.0" "after another, under the name of the file"
refuses "$work/usr/\$LIB/$main" "with \$LIB, which the loader expands"

target install DESTDIR="$work/dest"
ok $? "a staged installation is not concerned"
rm -f "$file"
target uninstall
ok $? "nor one without the file"
is "$(find "$work/usr" -type f -o -type l)" "" "make uninstall leaves nothing"

done_testing
