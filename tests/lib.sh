# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# lib.sh - what the test scripts share: TAP output, a work directory, private builds.
#
# A script sources this, then calls ok/is/pass/fail/skip and ends with done_testing. It runs
# from `make check`, which sets abs_srcdir, abs_builddir, HZ_SO (the built library), CC, NM,
# READELF, AWK, MAKE and PKG_CONFIG; by hand in a build directory the defaults below do.

set -u
export LC_ALL=C

: "${abs_srcdir:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${abs_builddir:=$(pwd)}"
: "${HZ_SO:=$abs_builddir/.libs/libhz.so.0}"
: "${CC:=cc}" "${NM:=nm}" "${READELF:=readelf}" "${AWK:=awk}" "${MAKE:=make}"
: "${PKG_CONFIG:=pkg-config}" "${CPPFLAGS:=}" "${LDFLAGS:=}"

tap_run=0
tap_bad=0

# The subject is a preloaded malloc; nothing of these scripts themselves may run on it.
unset LD_PRELOAD

work=$(mktemp -d "${TMPDIR:-/tmp}/hz-test.XXXXXX") || exit 99
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

pass() {
	tap_run=$((tap_run + 1))
	echo "ok $tap_run - $*"
}

fail() {
	tap_run=$((tap_run + 1))
	tap_bad=$((tap_bad + 1))
	echo "not ok $tap_run - $*"
}

# ok STATUS DESCRIPTION: STATUS is an exit code; use as: condition; ok $? text
ok() {
	tap_status=$1
	shift
	if [ "$tap_status" -eq 0 ]; then pass "$@"; else fail "$@"; fi
	return "$tap_status"
}

# is GOT EXPECTED DESCRIPTION
is() {
	tap_got=$1 tap_expected=$2
	shift 2
	if [ "x$tap_got" = "x$tap_expected" ]; then
		pass "$@"
	else
		fail "$@"
		note "got:      $tap_got"
		note "expected: $tap_expected"
	fi
}

# le GOT LIMIT DESCRIPTION: whole numbers
le() {
	tap_got=$1 tap_limit=$2
	shift 2
	case $tap_got in
		'' | *[!0-9]*) fail "$*: '$tap_got' is not a number"; return ;;
	esac
	if [ "$tap_got" -le "$tap_limit" ]; then
		pass "$* ($tap_got <= $tap_limit)"
	else
		fail "$* ($tap_got > $tap_limit)"
	fi
}

skip() {
	tap_run=$((tap_run + 1))
	echo "ok $tap_run # SKIP $*"
}

skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

# note TEXT, or note <FILE: diagnostics, each line marked as one
note() {
	if [ $# -gt 0 ]; then printf '%s\n' "$*"; else cat; fi | sed 's/^/# /'
}

have() {
	command -v "$1" >/dev/null 2>&1
}

# The exit code says that the script itself came to its end; what failed has been said.
done_testing() {
	echo "1..$tap_run"
	exit 0
}

need_library() {
	[ -f "$HZ_SO" ] || { echo "Bail out! no library at $HZ_SO"; exit 99; }
}

# Every lane that was built, or is installed beside the library under test.
libraries() {
	ls "${HZ_SO%/*}"/libhz*.so.0
}

# A directory whose configure can be run in another directory. A source tree that is itself
# configured refuses this, so such a tree is copied without what was built in it.
vpath_source() {
	if [ ! -f "$abs_srcdir/config.status" ]; then
		echo "$abs_srcdir"
		return
	fi
	mkdir -p "$work/source"
	# Tests that run beside this one write logs there: "file changed as we read it", status 1.
	(cd "$abs_srcdir" && { tar cf - --exclude=./.git --exclude='./build*' --exclude='*.o' \
		--exclude='*.lo' --exclude='*.la' --exclude='.libs' --exclude='.deps' \
		--exclude='*.log' --exclude='*.trs' --exclude=./config.status --exclude=./config.h \
		--exclude=./Makefile --exclude=./libtool --exclude=./stamp-h1 \
		--exclude=./lib/class_table.h . || [ $? -eq 1 ]; } && tar cf - build-aux) |
		(cd "$work/source" && tar xif -)
	echo "$work/source"
}

# private_build DIR SWITCH...: configure and make in DIR; the log is DIR.log. One lane, where
# no switch says otherwise.
private_build() {
	private_dir=$1
	shift
	mkdir -p "$private_dir"
	# Not the jobserver, switches or variables of the make that runs the tests.
	(unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES CPPFLAGS LDFLAGS
	 cd "$private_dir" && "$(vpath_source)/configure" -q CC="$CC" --enable-lanes=balanced "$@" && "$MAKE" -s) \
		>"$private_dir.log" 2>&1
}
