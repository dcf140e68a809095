#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pressure_cgroup.sh - HZ_PRESSURE=cgroup in a program that knows nothing of it, seen with hz-stat.
#
# In a mount namespace of its own a tmpfs lies where control groups are mounted, with the files of
# a version 2 group that is the root of what the program sees, as in a container. Real groups
# need a kernel whose memory controller is bound to version 2 and the right to make one.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
[ -d /sys/fs/cgroup ] || skip_all "no /sys/fs/cgroup here"
unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs none /sys/fs/cgroup' 2>/dev/null ||
	skip_all "no mount namespace to be had: needs root"

cat >"$work/burst.c" <<'END'
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	static char *block[2000];
	for (;;) {
		for (int i = 0; i < 2000; i++)
			block[i] = memset(malloc(8000), 1, 8000);
		for (int i = 0; i < 2000; i++)
			free(block[i]);
		usleep(50000);
	}
}
END
$CC -O1 -fno-builtin -o "$work/burst" "$work/burst.c"

# figure NAME: of the process under watch
figure() {
	"$abs_builddir/tools/hz-stat" --json "$pid" 2>/dev/null |
		sed -n 's/.*"'"$1"'":\([0-9]*\).*/\1/p'
}

# watch OPTION MAX CURRENT [PRESSURE]: starts the program in a group with these files
watch() {
	unshare -m sh -c 'set -e
		mount --make-rprivate /
		mount -t tmpfs none /sys/fs/cgroup
		cd /sys/fs/cgroup
		echo "$2" >memory.max
		echo max >memory.high
		echo "$3" >memory.current
		printf "anon 1\nfile 1\ninactive_file 4096\n" >memory.stat
		echo "some avg10=$4 avg60=0.00 avg300=0.00 total=1" >memory.pressure
		exec env LD_PRELOAD="$5" HZ_PRESSURE="$1" "$6"' \
		sh "$1" "$2" "$3" "${4-0.00}" "$HZ_SO" "$work/burst" &
	pid=$!
	until [ "$(figure pressure_looks)" -ge "${looks_min-2}" ] 2>/dev/null; do
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 0.1
	done
}

# dirty -eq|-gt NUMBER: waits until the free pages kept are so many bytes
dirty() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		test "$(figure dirty_bytes)" "$1" "$2" && return 0
		sleep 0.1
	done
	note "dirty_bytes $(figure dirty_bytes)"
	return 1
}

over() {
	kill "$pid"
	wait "$pid" 2>/dev/null
}

watch cgroup 1000000000 900000000
is "$(figure pressure_nears)" 0 "far from the limit"
dirty -gt 0
ok $? "free pages are kept for the next burst"
over
watch cgroup 1000000000 990000000
is "$(figure pressure_nears)" 1 "near the limit, once for all looks"
dirty -eq 0
ok $? "no free page is kept"
over
watch psi 1000000000 990000000
is "$(figure pressure_nears)" 0 "a limit is not asked about by psi"
over
watch psi,cgroup max 990000000 20.00
is "$(figure pressure_nears)" 1 "tasks that wait for memory are"
over
looks_min=0
watch no 1000000000 990000000 20.00
dirty -gt 0
is "$(figure pressure_looks)" 0 "nothing asked for: nobody looks"
over

done_testing
