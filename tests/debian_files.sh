#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debian_files.sh - debian/ knows the library: its symbols files list what the libraries export,
# and everything that "make install" installs is in exactly one package.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
cd "$abs_builddir" || exit 99
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
debian=$abs_srcdir/debian

for so in $(libraries); do
	name=$(basename "$so")
	$NM -D --defined-only "$so" | awk '{ print $NF }' |
		sed -e 's/@@/@/' -e '/@/!s/$/@Base/' -e 's/^HZ_0.1@Base/HZ_0.1@HZ_0.1/' | sort >"$work/got"
	cat "$debian"/*.symbols | awk -v name="$name" '
		/^lib/ { ours = $1 == name }
		/^ / && ours { print $1 }' | sort >"$work/listed"
	if grep -q '^# *define HZ_PREFIX ' config.h; then
		skip "$name: its functions have a prefix here"
		continue
	fi
	diff "$work/listed" "$work/got" >"$work/diff" && [ -s "$work/listed" ]
	ok $? "$name exports what its symbols file lists"
	head -20 "$work/diff" | note
done

# Under the names of a Debian system, whatever the prefix here is.
$MAKE -s install DESTDIR="$work/dest" >"$work/log" 2>&1
ok $? "make install"
prefix=$(sed -n 's/^prefix = //p' Makefile)
libdir=$(sed -n 's/^libdir = //p' Makefile | sed "s|\${exec_prefix}|$prefix|")
(cd "$work/dest" && find . ! -type d ! -name '*.la' | sed "s|^\.||; s,^$libdir/\(libhz\|pkgconfig\),/usr/lib/TRIPLET/\1,
	s|^$prefix/|/usr/|; s|^/||" | sort) >"$work/installed"
# dh_install takes these with a line of the form *.install; d/not-installed is not needed.
cat "$debian"/*.install >"$work/patterns"
while IFS= read -r file; do
	n=0
	while IFS= read -r pattern; do
		# shellcheck disable=SC2254  # it is a pattern
		case $file in $pattern | ${pattern%/}/*) n=$((n + 1)) ;; esac
	done <"$work/patterns"
	[ $n = 1 ] || echo "$file is in $n packages"
done <"$work/installed" >"$work/wrong"
[ ! -s "$work/wrong" ] && [ -s "$work/installed" ]
ok $? "everything that is installed is in one package"
note <"$work/wrong"

while IFS= read -r pattern; do
	found=
	while IFS= read -r file; do
		# shellcheck disable=SC2254
		case $file in $pattern | ${pattern%/}/*) found=yes ;; esac
	done <"$work/installed"
	[ "$found" ] || echo "$pattern"
done <"$work/patterns" >"$work/wrong"
if [ "$(libraries | wc -l)" -eq "$(grep -c '^lib' "$work/listed" "$debian"/*.symbols | awk -F: '{ n += $2 } END { print n }')" ]; then
	[ ! -s "$work/wrong" ]
	ok $? "and no package asks for more"
	note <"$work/wrong"
else
	skip "not all libraries are built"
fi

# lintian has an opinion on long lines. (Rows of a table cannot be broken: an override.)
(cd "$abs_srcdir" && find . \( -name .git -o -name 'build*' -o -name autom4te.cache \) -prune -o \
	\( -name '*.[ch]' -o -name '*.md' -o -name '*.sh' -o -name '*.py' \) ! -name LEDGER.md -type f \
	-exec "$AWK" 'length > 512 { print FILENAME ":" FNR ": " length }' {} +) >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "no line is longer than 512 characters"
note <"$work/wrong"

done_testing
