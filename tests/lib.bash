# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
#
# lib.bash - what the bats files share. `make check` sets the variables; by hand in a build
# directory the defaults do.

export LC_ALL=C
: "${abs_srcdir:=$(cd "$BATS_TEST_DIRNAME/.." && pwd)}"
: "${abs_builddir:=$PWD}"
: "${CC:=cc}"
libs=$abs_builddir/.libs
tools=$abs_builddir/tools

# fails CODE TEXT COMMAND...: it ends with that code and says the text on standard error, in one
# line.
fails() {
	local code=$1 text=$2 got=0
	shift 2
	"$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || got=$?
	echo "code $got: $*"
	cat "$BATS_TEST_TMPDIR/err"
	[ "$got" -eq "$code" ]
	[ "$(wc -l <"$BATS_TEST_TMPDIR/err")" -eq 1 ]
	grep -q -F -e "$text" "$BATS_TEST_TMPDIR/err"
}

# The examples of a manual page, as commands: its lines .Dl after .Sh EXAMPLES.
examples() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh /s/^\.Dl //p' "$abs_srcdir/man/$1" |
		sed -e 's/\\&//g' -e 's/\\-/-/g' -e 's/\\e/\\/g'
}

# Whether mounts of our own are allowed here, in words for skip otherwise.
need_namespaces() {
	unshare --mount true 2>/dev/null || unshare --map-root-user --mount true 2>/dev/null ||
		skip "no mount namespaces here"
}

# Runs a command as root of private mounts, with or without being root.
private() {
	if unshare --mount true 2>/dev/null; then
		unshare --mount --propagation private "$@"
	else
		unshare --map-root-user --mount --propagation private "$@"
	fi
}
