#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debian_prerm.sh - a Debian package that is removed takes its library out of
# /etc/ld.so.preload and nothing else, by rename; one that is upgraded leaves it there. On
# a root of its own.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
mkdir -p "$work/etc"
file=$work/etc/ld.so.preload

# prerm PACKAGE ACTION [REFCOUNT]
prerm() {
	DPKG_ROOT=$work DPKG_MAINTSCRIPT_PACKAGE=$1 DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=${3:-1} \
		sh "$abs_srcdir/debian/library.prerm.in" "$2" >"$work/out" 2>&1
}

# after BEFORE AFTER TEXT: what remains once libhz0 is removed; "gone" for no file
after() {
	printf "$1" >"$file"
	prerm libhz0 remove || fail "exit code $?"
	if [ -e "$file" ]; then got=$(cat "$file"; echo .); else got=gone; fi
	is "$got" "$( [ "$2" = gone ] && echo gone || { printf "$2"; echo .; })" "$3"
}

after '/usr/$LIB/libhz.so.0\n' gone "the only entry: the file goes"
after '# mine\n/usr/$LIB/libhz.so.0\n/opt/other.so\n' '# mine\n/opt/other.so\n' "other lines stay"
after '/opt/a.so /usr/$LIB/libhz.so.0:/opt/b.so # why\n' '/opt/a.so /opt/b.so # why\n' \
	"others on its line stay, and the comment"
after '/opt/a.so   /opt/b.so\n' '/opt/a.so   /opt/b.so\n' "a file without it is not touched"
after '# /usr/$LIB/libhz.so.0\n' '# /usr/$LIB/libhz.so.0\n' "nor an entry in a comment"
after '/usr/$LIB/libhz-lean.so.0\n' '/usr/$LIB/libhz-lean.so.0\n' "nor another lane"
after '/usr/lib/x86_64-linux-gnu/libhz.so.0.0.0\n' gone "the full name of the file is known, too"

entry='/usr/$LIB/libhz.so.0'
for action in upgrade failed-upgrade; do
	echo "$entry" >"$file"
	prerm libhz0 $action
	is "$(cat "$file")" "$entry" "$action leaves the entry"
done
prerm libhz0 remove 2
is "$(cat "$file")" "$entry" "so does removal of one architecture of two"
chmod 600 "$file"
echo /opt/other.so >>"$file"
before=$(stat -c %i "$file")
prerm libhz0 deconfigure
is "$(stat -c %a "$file")" 600 "the mode is kept"
[ "$(stat -c %i "$file")" != "$before" ]
ok $? "the file is replaced, not written into"
is "$(ls "$work/etc")" ld.so.preload "nothing else is left beside it"
rm -f "$file"

printf '/usr/$LIB/libhz-scale-observe.so.0\n/usr/$LIB/libhz.so.0\n' >"$file"
prerm libhz-observe0 remove
is "$(cat "$file")" "$entry" "libhz-observe0 takes the twins out"

ln -sf /run/libhz/ld.so.preload "$file"
prerm libhz0 remove
ok $? "a dangling link is no error"
prerm libhz0 remove && [ ! -s "$work/out" ]
ok $? "nothing to do, nothing said"

done_testing
