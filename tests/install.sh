#!/bin/sh
# SPDX-License-Identifier: MIT
#
# install.sh - make install DESTDIR=, and what a user then does with the result.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
cd "$abs_builddir" || exit 99
main=$(basename "$HZ_SO" .so.0)
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

variable() {
	sed -n "s/^$1 = //p" Makefile | sed -e "s|\${prefix}|$prefix|" -e "s|\${exec_prefix}|$prefix|" \
		-e "s|\${datarootdir}|$prefix/share|" -e "s|\$(libdir)|$libdir|"
}
prefix=$(sed -n 's/^prefix = //p' Makefile)
libdir=
libdir=$(variable libdir)
dest=$work/dest

$MAKE -s install DESTDIR="$dest" >"$work/log" 2>&1
ok $? "make install DESTDIR="
[ "$tap_bad" -eq 0 ] || tail -5 "$work/log" | note

for file in "$libdir/$main.so" "$libdir/$main.so.0" "$(variable includedir)/hz/hz.h" \
	"$libdir/pkgconfig/${main#lib}.pc" "$(variable mandir)/man3/hz.3"; do
	[ -f "$dest$file" ]
	ok $? "installed: $file"
done
static=
[ ! -f tools/hz-preload-static ] || static=hz-preload-static
lanes=$(for so in $(libraries); do
	lane=$(basename "$so" .so.0)
	echo "$lane.la $lane.so $lane.so.0 $lane.so.0.0.0 $lane.so.0.0.0-gdb.py ${lane#lib}.pc"
done)
# Built beside its source, hz_options.7 is in man, too.
is "$(cd "$dest" && find . -type f -o -type l | sed 's|.*/||' | sort | xargs)" \
	"$( (echo hz-run hz-stat hz.h hz-preload hz-preload.service hz-gdb.py $static $lanes; echo hz_options.7; cd "$abs_srcdir/man" && ls) | tr ' ' '\n' | sort -u | xargs)" \
	"and nothing else"
! grep -q "$work" "$dest$libdir"/pkgconfig/*.pc
ok $? "the staging directory is not recorded"

$MAKE -s installcheck DESTDIR="$dest" >"$work/log" 2>&1
ok $? "make installcheck DESTDIR="
[ "$tap_bad" -eq 0 ] || tail -5 "$work/log" | note

# As a user does it: flags from pkg-config, then a look at whose malloc it is.
if have "$PKG_CONFIG"; then
	PKG_CONFIG_LIBDIR=$dest$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest
	export PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
	flags=$($PKG_CONFIG --cflags --libs "${main#lib}")
	ok $? "pkg-config knows ${main#lib}: $flags"
	is "$($PKG_CONFIG --modversion "${main#lib}")" "$(sed -n 's/^#define PACKAGE_VERSION "\(.*\)"/\1/p' config.h)" \
		"pkg-config gives the version"
	cat >"$work/user.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <hz/hz.h>

int main(void)
{
	Dl_info info;
	void *p = malloc(100);

	if (p == NULL || !dladdr((void *)malloc, &info))
		return 1;
	free(p);
	puts(info.dli_fname);
	return 0;
}
END
	# shellcheck disable=SC2086  # a list of flags
	$CC -Wall -Werror -fPIE -o "$work/user" "$work/user.c" $flags -ldl 2>"$work/log"
	ok $? "a program compiles with these flags"
	note <"$work/log"
	is "$(LD_LIBRARY_PATH=$dest$libdir "$work/user")" "$dest$libdir/$main.so.0" \
		"and gets its memory from the installed library"
	is "$(LD_PRELOAD=$dest$libdir/$main.so.0 sh -c 'echo works')" works \
		"the installed library can be preloaded"
else
	skip "no pkg-config here"
fi

$MAKE -s uninstall DESTDIR="$dest" >"$work/log" 2>&1
is "$(find "$dest" -type f -o -type l)" "" "make uninstall leaves no file"
for dir in "$(variable includedir)/hz" "$(variable datarootdir)/libhz" "$(variable datarootdir)/gdb/auto-load$libdir"; do
	[ ! -d "$dest$dir" ]
	ok $? "nor $dir"
done

done_testing
