#!/bin/sh
# SPDX-License-Identifier: MIT
#
# configure.sh - configure refuses what it does not understand and names what it would take.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

configure=$(vpath_source)/configure
[ -x "$configure" ] || skip_all "no configure script"
cache=$work/config.cache
mkdir "$work/build"
cd "$work/build" || exit 99
unset MAKEFLAGS MAKELEVEL

# The results of the compiler checks are kept from the first run for the others.
run() {
	"$configure" -q --cache-file="$cache" CC="$CC" "$@" >"$work/out" 2>&1
}

# refuses SWITCH TEXT: configure fails and its message contains TEXT
refuses() {
	if run "$1"; then
		fail "$1 is refused"
	elif grep -q -e "$2" "$work/out"; then
		pass "$1 is refused, and the message says: $2"
	else
		fail "$1 is refused with a message that says: $2"
		tail -5 "$work/out" | note
	fi
}

takes() {
	run "$@"
	ok $? "$* is taken"
}

takes --enable-lanes=lean,scale
takes --enable-lanes=all --with-arena-size=64G

refuses --enable-lanes=bogus 'valid lanes: all balanced scale lean secure'
refuses --enable-lanes=balanced,bogus 'unknown lane: bogus'
refuses --enable-lanes= 'valid lanes: all balanced scale lean secure'
refuses --disable-lanes 'valid lanes: all balanced scale lean secure'
for size in 12Q 0 -1 '' 1023K 9T 8193G 010M 1.5G 64GB yes G 0x100000 99999999999999999999 999999999999999T; do
	refuses "--with-arena-size=$size" 'valid forms:.*K, M, G or T'
done
refuses --without-arena-size 'valid forms:.*K, M, G or T'
for prefix in 9lives a-b '' 'a b'; do
	refuses "--with-prefix=$prefix" 'valid forms: letters'
done
refuses --enable-werror=perhaps 'neither yes nor no'
refuses --enable-foo '--with-arena-size=SIZE'
refuses --with-foo=1 '--enable-lanes=LIST'
refuses --enable-lane=all '--enable-lanes=LIST'

# What distributions pass to every package.
takes --cache-file=/dev/null --disable-dependency-tracking --disable-maintainer-mode --disable-silent-rules \
	--build="$("$(dirname "$configure")/build-aux/config.guess")" --prefix=/usr \
	--includedir=/usr/include --mandir=/usr/share/man --infodir=/usr/share/info \
	--sysconfdir=/etc --localstatedir=/var --runstatedir=/run --libdir=/usr/lib \
	--libexecdir=/usr/libexec
takes --disable-option-checking --enable-foo

define() {
	sed -n 's/^#define HZ_ARENA_SIZE_DEFAULT //p' config.h
}
for pair in 1M:1048576 268435456:268435456 3G:3221225472 8T:8796093022208; do
	run --with-arena-size="${pair%%:*}"
	is "$(define)" "${pair#*:}UL" "--with-arena-size=${pair%%:*} reaches config.h"
done
run
is "$(define)" 68719476736UL "the default is 64G"


# Boxes: the set of those that report unasked, and whether waste is compiled in.
for row in seg:1:0 small:2:0 retention:4:0 waste:8:1 seg,small,retention:7:0 all:15:1 none:0:0; do
	list=${row%%:*} rest=${row#*:}
	run --enable-observe="$list"
	is "$(sed -n 's/^# *define HZ_OBSERVE_BOXES //p; s/^# *define HZ_WASTE //p' config.h | xargs)" \
		"${rest%:*} ${rest#*:}" "--enable-observe=$list reaches config.h"
done
run --disable-observe
is "$(sed -n 's/^# *define HZ_OBSERVE_BUILT //p' config.h)" 0 "--disable-observe reaches config.h"
refuses --enable-observe=seg,smal 'valid boxes: seg small retention waste'
refuses --enable-sdt=perhaps 'neither yes nor no nor auto'

done_testing
