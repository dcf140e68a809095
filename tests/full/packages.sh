#!/bin/sh
# SPDX-License-Identifier: MIT
#
# packages.sh - installing, upgrading, removing and purging all Debian packages together, in a
# Debian system made for it and thrown away. HZ_DEBS is a directory of the built packages
# (debian.sh keeps them with HZ_KEEP); HZ_MMDEBSTRAP what makes the system, HZ_CHROOT one
# that exists as a tar archive.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
: "${HZ_MMDEBSTRAP:=mmdebstrap --variant=minbase stable}"
[ "$(id -u)" = 0 ] || skip_all "not root"
[ -n "${HZ_DEBS-}" ] || skip_all "HZ_DEBS names no directory of built packages"
[ -n "$(find "$HZ_DEBS" -name 'libhz0_*.deb')" ] || skip_all "HZ_DEBS has no packages in it: debian.sh failed?"
have mmdebstrap || [ -n "${HZ_CHROOT-}" ] || skip_all "no mmdebstrap here and no HZ_CHROOT"
unshare -m true 2>/dev/null || skip_all "no mount namespaces here"

root=$work/root
mkdir "$root"
if [ -n "${HZ_CHROOT-}" ]; then
	tar -C "$root" -xf "$HZ_CHROOT" >"$work/log" 2>&1
else
	$HZ_MMDEBSTRAP "$work/root.tar" >"$work/log" 2>&1 && tar -C "$root" -xf "$work/root.tar"
fi
[ -x "$root/usr/bin/dpkg" ] || { tail -3 "$work/log" | note; skip_all "no Debian system could be made"; }

# inside COMMAND...: in the system; no mount of it is seen outside or outlives the command.
# shellcheck disable=SC2016
inside() {
	unshare -m -p -f --mount-proc="$root/proc" sh -c '
		root=$1
		shift
		mount --make-rprivate / 2>/dev/null
		mount --rbind "$root" "$root" # a root is a mount point, hz-preload needs one
		exec chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' sh "$root" "$@" 2>&1
}

# Every file but what each dpkg run changes.
files() {
	(cd "$root" && find . -xdev \( -path ./proc -o -path ./tmp -o -path ./debs -o -path ./var/lib/dpkg -o \
		-path ./var/cache -o -path ./var/log -o -path ./dev \) -prune -o ! -type d -print |
		grep -v -x -e ./etc/ld.so.cache | sort)
}

mkdir "$root/debs" "$root/debs/next"
cp "$HZ_DEBS"/*_[0-9]*_"$(dpkg --print-architecture)".deb "$root/debs/"
rm -f "$root"/debs/*-dbgsym_*
# A next version: the same files, one control field changed.
for deb in "$root"/debs/*.deb; do
	rm -rf "$work/next"
	dpkg-deb -R "$deb" "$work/next" && sed -i -e 's/^Version: .*/&+next1/' \
		-e 's/(= \([^)]*\))/(= \1+next1)/g' "$work/next/DEBIAN/control" &&
		dpkg-deb -b --root-owner-group "$work/next" "$root/debs/next/" >/dev/null
done
is "$(ls "$root"/debs/*.deb | wc -l) $(ls "$root"/debs/next/*.deb | wc -l)" "7 7" \
	"seven packages and a next version of each"
files >"$work/before"

inside sh -c 'dpkg -i /debs/*.deb' >"$work/log"
ok $? "all packages are installed together"
[ "$tap_bad" -eq 0 ] || tail -5 "$work/log" | note
is "$(inside dpkg -l 'libhz*' 'hz-*' | grep -c '^ii')" 7 "dpkg calls all seven installed"
is "$(inside ldconfig -p | grep -c 'libhz.*\.so\.0 ')" 8 "the loader knows eight libraries"
[ ! -e "$root/etc/ld.so.preload" ]
ok $? "nothing is turned on"
is "$(inside dpkg --audit)" "" "dpkg --audit"
is "$(inside dpkg -V libhz0 libhz-scale0 libhz-lean0 libhz-secure0 libhz-observe0 libhz-dev hz-tools | grep -v '/usr/share/\(doc\|man\)')" "" \
	"dpkg -V"
for tool in hz-run hz-stat; do
	inside $tool --help >/dev/null
	ok $? "$tool --help"
done
is "$(inside hz-run -- sh -c 'grep -o -m 1 "libhz\.so" /proc/self/maps')" libhz.so "hz-run runs on it"

# As hz-preload does it: tried, turned on, exchanged, turned off.
for lane in balanced scale lean secure; do
	case $lane in balanced) name=libhz ;; *) name=libhz-$lane ;; esac
	inside hz-preload check --lane=$lane >"$work/log"
	status=$?
	[ $status = 0 ] && grep -q '^fit for every program' "$work/log" &&
		grep -q 'the probe, set-user-id' "$work/log" && ! grep -q 'cannot be tried' "$work/log"
	ok $? "hz-preload check --lane=$lane"
	[ "$tap_bad" -eq 0 ] || note <"$work/log"
	inside hz-preload enable --lane=$lane >"$work/log"
	ok $? "hz-preload enable --lane=$lane"
	# shellcheck disable=SC2016
	is "$(cat "$root/etc/ld.so.preload")" '/usr/$LIB/'$name.so.0 "the entry"
	is "$(inside sh -c 'grep -o -m 1 "/libhz.*\.so" /proc/self/maps')" /$name.so "every program is on it"
done
inside hz-preload status >"$work/log"
ok $? "hz-preload status"
inside hz-preload disable >"$work/log" && [ ! -e "$root/etc/ld.so.preload" ]
ok $? "hz-preload disable"
inside hz-preload enable >"$work/log" && inside hz-preload-static disable >"$work/log" &&
	[ ! -e "$root/etc/ld.so.preload" ]
ok $? "hz-preload-static disable"

# Turned on by hand, for the whole system, another library beside it.
# shellcheck disable=SC2016
printf '# by hand\n/usr/$LIB/libhz.so.0\n' >"$root/etc/ld.so.preload"
is "$(inside sh -c 'grep -o -m 1 "libhz\.so" /proc/self/maps')" libhz.so "every program is on it"
inside sh -c 'dpkg -i /debs/next/*.deb' >"$work/log"
ok $? "upgrade of all, while it is in use"
is "$(grep -c -e 'ld\.so' -e ERROR "$work/log")" 0 "no program complained meanwhile"
# shellcheck disable=SC2016
is "$(xargs <"$root/etc/ld.so.preload")" '# by hand /usr/$LIB/libhz.so.0' "it is still turned on"
is "$(inside dpkg -l 'libhz*' 'hz-*' | grep -c '^ii.*+next1')" 7 "dpkg calls all seven upgraded"

# One by one, the one in use last but one: who needs it goes with it.
inside dpkg -r hz-tools libhz-dev libhz-scale0 libhz-lean0 libhz-secure0 >"$work/log"
ok $? "removal of five"
# shellcheck disable=SC2016
is "$(xargs <"$root/etc/ld.so.preload")" '# by hand /usr/$LIB/libhz.so.0' "which leaves it turned on"
inside dpkg -r libhz0 libhz-observe0 >"$work/log"
ok $? "removal of the library in use"
is "$(grep -c -e 'ERROR: ld\.so' "$work/log")" 0 "no program complained meanwhile"
is "$(cat "$root/etc/ld.so.preload" 2>/dev/null)" "# by hand" "turned off by that, the other line kept"
rm -f "$root/etc/ld.so.preload"
inside dpkg -P hz-tools libhz-dev libhz-scale0 libhz-lean0 libhz-secure0 libhz-observe0 libhz0 >"$work/log"
ok $? "purge of all"
is "$(inside dpkg -l 'libhz*' 'hz-*' | grep -c '^[a-z][a-z] ')" 0 "dpkg does not know them any more"
files >"$work/after"
diff "$work/before" "$work/after" >"$work/diff"
ok $? "every file of the system is as it was before"
head -20 "$work/diff" | note

# And back: removed packages that are installed again.
inside sh -c 'dpkg -i /debs/*.deb && dpkg -r hz-tools libhz-dev libhz0 && dpkg -i /debs/*.deb &&
	dpkg -P hz-tools libhz-dev libhz-scale0 libhz-lean0 libhz-secure0 libhz-observe0 libhz0' >"$work/log"
ok $? "install, remove, install, purge"
[ "$tap_bad" -eq 0 ] || tail -5 "$work/log" | note

done_testing
