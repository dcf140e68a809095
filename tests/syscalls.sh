#!/bin/sh
# SPDX-License-Identifier: MIT
#
# syscalls.sh - how often the library calls the kernel before the first malloc returns, and
# that it writes nothing and opens nothing.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
have strace || skip_all "no strace here"

calls_max=6

# Leaves right after its first malloc, or without one.
cat >"$work/first.c" <<'END'
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	(void)argv;
	_exit(argc > 1 ? 0 : malloc(argc) == NULL);
}
END
$CC -O1 -fno-builtin -o "$work/first" "$work/first.c"

# A library that does nothing but be loaded, with the same segments as ours.
echo 'int hz_inert = 1;' >"$work/inert.c"
$CC -shared -fPIC -nostartfiles -Wl,-z,now -Wl,-z,relro -o "$work/inert.so" "$work/inert.c"

calls() {
	library=$1
	shift
	strace -E LD_PRELOAD="$library" -o "$work/trace" "$work/first" "$@" || return
	grep -c -v -e '^exit' -e '^+++' -e '^---' "$work/trace"
}

# Mappings the loader makes of a library: one per segment, and one where zeroed data
# reaches beyond the last page of the file.
loads() {
	$READELF -lW "$1" | awk '$1 == "LOAD" { print $3, $5, $6 }' | {
		n=0
		while read -r address file memory; do
			n=$((n + 1))
			if [ $(((address + memory + 4095) / 4096)) -gt $(((address + file + 4095) / 4096)) ]; then
				n=$((n + 1))
			fi
		done
		echo $n
	}
}

inert=$(calls "$work/inert.so" no-malloc) || skip_all "strace does not work here"
cp "$work/trace" "$work/trace.inert"
inert=$((inert + $(loads "$HZ_SO") - $(loads "$work/inert.so")))
ours=$(calls "$HZ_SO")
note "$inert calls to load such a library, $ours until the first malloc of libhz has returned"
le $((ours - inert)) $calls_max "system calls of ours before the first malloc returns"
sed -n '/libhz/,$p' "$work/trace" | note
! grep -q -E '^(write|pwrite|writev|sendto)' "$work/trace"
ok $? "nothing is written"
is "$(grep -c -E '^(open|openat|socket|eventfd2|memfd_create|pipe2?)\(' "$work/trace")" \
	"$(grep -c -E '^(open|openat)\(' "$work/trace.inert")" "no file is opened but those of the loader"
! grep -q -E '^(clone|clone3|fork|rt_sigaction|timer_create|prctl\(PR_SET_NAME)' "$work/trace"
ok $? "no thread, no signal handler"

unused=$(calls "$HZ_SO" no-malloc)
le $((unused - inert)) 0 "system calls of ours in a program without a malloc"

# Memory that cannot be given back, as where it is locked: blocks of all sizes, freed in any
# order, many times.
cat >"$work/refused.c" <<'END'
#include <stdlib.h>

enum { N = 50000, ROUNDS = 20, STEP = 12289 };

int main(void)
{
	static void *block[N];
	for (size_t round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < N; i++)
			block[i] = malloc(16 + i * 7919 % 497);
		for (size_t i = 0; i < N; i++)
			free(block[i * STEP % N]);
	}
}
END
$CC -O1 -fno-builtin -o "$work/refused" "$work/refused.c"
strace -E LD_PRELOAD="$HZ_SO" -o "$work/trace" -e trace=madvise \
	-e inject=madvise:error=EINVAL:when=2+ "$work/refused"
ok $? "a program whose memory the kernel does not take back runs"
refused=$(grep -c 'DONTNEED.*INJECTED' "$work/trace")
le "$refused" 600 "times it is asked to, in 20 rounds of 12 MiB"
le 1 "$refused" "but asked it is"

done_testing
