#!/bin/sh
# SPDX-License-Identifier: MIT
#
# live.sh - make install and make uninstall keep off a library that every program is loading:
# one that is half written would stop all of them.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
cd "$abs_builddir" || exit 99
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DESTDIR

# Never the real place, should nothing be refused: only the check itself is made.
library=$(basename "$(libraries | head -1)")
try() { # LIBDIR
	$MAKE -s refuse-live DESTDIR="${dest-}" libdir="$1" HZ_PRELOAD_FILE="$work/list" >"$work/log" 2>&1
}

# refused LIST TEXT, allowed LIST TEXT: with this list, installing to /usr/lib/here
refused() {
	printf '%b' "$1" >"$work/list"
	! try /usr/lib/here && grep -q "hz-preload disable" "$work/log"
	ok $? "refused: $2" || note <"$work/log"
}
allowed() {
	printf '%b' "$1" >"$work/list"
	try /usr/lib/here
	ok $? "allowed: $2" || note <"$work/log"
}

allowed "" "an empty list"
rm "$work/list"
try /usr/lib/here
ok $? "allowed: no list"
refused "/usr/lib/here/$library\n" "the library is in the list"
refused "/lib/a.so:/usr/lib/here/$library # x" "among others"
refused "/usr/\$LIB/$library\n" "by \$LIB"
refused "/usr/lib/here/./$library\n" "on trial"
refused "$library\n" "by its bare name"
allowed "/usr/lib/there/$library\n/lib/a.so\n" "in another directory"
allowed "# /usr/lib/here/$library\n" "in a comment"
printf '/usr/lib/here/%s\n' "$library" >"$work/list"
dest=$work/dest
try /usr/lib/here
ok $? "allowed: a package is made, with DESTDIR"

# And both targets ask.
for target in install-libLTLIBRARIES uninstall-libLTLIBRARIES; do
	$MAKE -n "$target" DESTDIR= libdir="$work" HZ_PRELOAD_FILE="$work/list" 2>/dev/null |
		grep -q 'is in use'
	ok $? "$target asks"
done

done_testing
