#!/bin/sh
# SPDX-License-Identifier: MIT
#
# stage.sh COMMAND...: runs it where /etc, /run and /usr/local/lib are its own and in memory, and
# everything else of the machine can only be read. For tests that write /etc/ld.so.preload for
# real, and mount things: whatever they do wrong, it is gone when they end.
#
# /etc/.hz-stage says that one is on a stage; temporary files go to $TMPDIR, in memory as well.
# For root alone: what belongs to root must be seen to.

if [ "${1-}" != --inside ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "1..0 # SKIP not root"
	elif ! unshare --mount true 2>/dev/null; then
		echo "1..0 # SKIP no mount namespaces here"
	elif [ ! -d /usr/local/lib ] || [ ! -d /run ]; then
		echo "1..0 # SKIP no /usr/local/lib or no /run here"
	else
		stage=$(mktemp -d "${TMPDIR:-/tmp}/hz-stage.XXXXXX") || exit 99
		unshare --mount --propagation private sh "$0" --inside "$stage" "$@"
		status=$?
		rmdir "$stage"
		exit $status
	fi
	exit 0
fi
set -eu
stage=$2
shift 2
mount -t tmpfs -o mode=755 none "$stage"
mkdir "$stage/etc" "$stage/tmp"
mount --bind /etc "$stage/etc"

# Read-only, all of it, before anything else is mounted or run.
while read -r _ _ _ _ target _; do
	target=$(printf '%b' "$target")
	case $target in
		"$stage" | /proc | /proc/* | /sys | /sys/* | /dev | /dev/*) ;;
		*) mount -o remount,bind,ro "$target" || : ;;
	esac
done </proc/self/mountinfo 2>/dev/null
for target in / /usr /etc /home /root /tmp /var "$0" "$PWD"; do
	[ -d "$target" ] || target=$(dirname "$target")
	if [ -d "$target" ] && touch "$target/.hz-stage.$$" 2>/dev/null; then
		rm -f "$target/.hz-stage.$$"
		echo "1..0 # SKIP $target cannot be made read-only here"
		exit 0
	fi
done

mount -t tmpfs -o mode=755 none /etc
for name in "$stage"/etc/*; do
	if [ -h "$name" ]; then
		cp -P "$name" /etc # a relative link stays right
	else
		ln -s "$name" /etc
	fi
done
rm -f /etc/ld.so.preload /etc/systemd
mkdir -p /etc/systemd/system
: >/etc/.hz-stage
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /usr/local/lib
TMPDIR=$stage/tmp
export TMPDIR
exec "$@"
