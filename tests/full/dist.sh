#!/bin/sh
# SPDX-License-Identifier: MIT
#
# dist.sh - the release archive is the tree of the repository and what autoreconf makes of it:
# nothing is missing, nothing is changed, nothing else has slipped in.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
have git && git -C "$abs_srcdir" rev-parse HEAD >/dev/null 2>&1 || skip_all "not a git repository"
cd "$abs_builddir" || exit 99
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

$MAKE -s distdir distdir="$work/tree" >"$work/log" 2>&1
ok $? "make distdir"
[ "$tap_bad" -eq 0 ] || tail -5 "$work/log" | note

# What .gitattributes keeps out of archives is about the repository, not about the library.
git -C "$abs_srcdir" ls-files | git -C "$abs_srcdir" check-attr --stdin export-ignore |
	sed -n 's/: export-ignore: unspecified$//p' | grep -v '^\.ci/' | sort >"$work/git"
(cd "$work/tree" && find . -type f -o -type l) | sed 's|^\./||' | sort >"$work/dist"

comm -23 "$work/git" "$work/dist" >"$work/wrong"
[ ! -s "$work/wrong" ] && [ -s "$work/git" ]
ok $? "everything in the repository is in the archive ($(wc -l <"$work/git") files)"
note <"$work/wrong"

cat >"$work/generated" <<'END2'
Makefile.in aclocal.m4 config.h.in configure
build-aux/ar-lib build-aux/compile build-aux/config.guess build-aux/config.sub
build-aux/depcomp build-aux/install-sh build-aux/ltmain.sh build-aux/missing
build-aux/tap-driver.sh build-aux/test-driver
m4/libtool.m4 m4/ltoptions.m4 m4/ltsugar.m4 m4/ltversion.m4 m4/lt~obsolete.m4
END2
tr ' ' '\n' <"$work/generated" | sort >"$work/generated.sorted"
comm -13 "$work/git" "$work/dist" | comm -23 - "$work/generated.sorted" >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "beside it there is only what autoreconf makes"
note <"$work/wrong"

comm -12 "$work/git" "$work/dist" | while IFS= read -r file; do
	cmp -s "$abs_srcdir/$file" "$work/tree/$file" || echo "$file"
	[ -x "$abs_srcdir/$file" ] && [ ! -x "$work/tree/$file" ] && echo "$file: mode"
done >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "with the same content"
note <"$work/wrong"

done_testing
