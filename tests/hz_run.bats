#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# hz_run.bats - hz-run(1): whose malloc a program gets, what is refused, and the machine's list
# out of sight. Nothing here touches the machine's /etc: see private() in lib.bash.

# shellcheck disable=SC2016,SC2154  # words for a later shell; variables of lib.bash

load lib.bash

setup_file() {
	load lib.bash
	mkdir "$BATS_FILE_TMPDIR/bin"
	cat >"$BATS_FILE_TMPDIR/who.c" <<-'END'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>

		int main(void)
		{
			Dl_info info;
			void *malloc_of = dlsym(RTLD_DEFAULT, "malloc");

			free(malloc(10));
			if (!malloc_of || !dladdr(malloc_of, &info))
				return 1;
			puts(strrchr(info.dli_fname, '/') + 1);
			return 0;
		}
	END
	"$CC" -o "$BATS_FILE_TMPDIR/bin/who" "$BATS_FILE_TMPDIR/who.c" -ldl
}

setup() {
	unset LD_PRELOAD HZ_OBSERVE HZ_OBSERVE_FILE HZ_ARENA_SIZE
	export HZ_RUN_LIBDIR=$libs
	PATH=$tools:$BATS_FILE_TMPDIR/bin:$PATH
	cd "$BATS_TEST_TMPDIR" || return
}

@test "a program gets its memory from libhz, and so does its child" {
	[ "$(hz-run who)" = libhz.so.0 ]
	[ "$(hz-run -- sh -c 'who; :')" = libhz.so.0 ]
	[ "$(who)" = libc.so.6 ]
}

@test "every lane that is installed can be named" {
	for so in "$libs"/libhz*.so.0; do
		name=${so##*/libhz} name=${name%.so.0}
		case $name in
			*-observe) set -- --observe=waste ;;
			*) set -- ;;
		esac
		lane=${name%-observe} lane=${lane#-}
		[ "$(hz-run --lane="${lane:-balanced}" "$@" who 2>err)" = "${so##*/}" ]
	done
}

@test "a lane that is not there: refused, and those that are named" {
	fails 2 "lane 'absent' is not installed" hz-run --lane=absent true
	fails 2 "installed: balanced" env HZ_RUN_LIBDIR="$PWD" sh -c "
		ln -sf '$libs/libhz.so.0' . && exec hz-run --lane=absent true"
	fails 2 "no lane is called '../x'" hz-run --lane=../x true
	fails 2 "no lane is called ''" hz-run --lane= true
	fails 2 "installed: none" env HZ_RUN_LIBDIR=/nonexistent hz-run true
	fails 2 "the observing twin" env HZ_RUN_LIBDIR="$PWD" hz-run --observe true
}

@test "exit codes are the program's, or 127 and 126" {
	run hz-run sh -c 'exit 42'
	[ "$status" -eq 42 ]
	fails 127 "absent-program: not found" hz-run absent-program
	fails 127 "not found" hz-run ./absent
	fails 127 "not found" hz-run ''
	fails 126 "cannot be executed" hz-run /etc/passwd
	fails 126 "cannot be executed" hz-run /
}

@test "what is in LD_PRELOAD stays, in front; a libhz is replaced; another malloc is refused" {
	: >empty.c
	"$CC" -shared -o "$PWD/tool.so" empty.c
	[ "$(LD_PRELOAD=$PWD/tool.so hz-run sh -c 'echo $LD_PRELOAD')" = "$PWD/tool.so:$libs/libhz.so.0" ]
	[ "$(LD_PRELOAD="$libs/libhz.so.0 $PWD/tool.so" hz-run sh -c 'echo $LD_PRELOAD')" = \
		"$PWD/tool.so:$libs/libhz.so.0" ]
	[ "$(hz-run hz-run who)" = libhz.so.0 ]
	[ "$(hz-run hz-run sh -c 'echo $LD_PRELOAD')" = "$libs/libhz.so.0" ]
	cp tool.so libjemalloc.so.2
	LD_PRELOAD=$PWD/libjemalloc.so.2 fails 2 "already has another malloc" hz-run true
	[ "$(LD_PRELOAD=$PWD/tool.so hz-run --off sh -c 'echo $LD_PRELOAD')" = "$PWD/tool.so" ]
	[ "$(hz-run hz-run --off who)" = libc.so.6 ]
}

@test "set-user-id, set-group-id and file capabilities are refused" {
	cp "$BATS_FILE_TMPDIR/bin/who" suid
	chmod u+s suid
	fails 2 "set-user-id" hz-run ./suid
	cp "$BATS_FILE_TMPDIR/bin/who" sgid
	chmod g+s sgid
	fails 2 "set-group-id" hz-run ./sgid
	printf '#!%s\n' "$PWD/suid" >script
	chmod +x script
	fails 2 "$PWD/suid is set-user-id" hz-run ./script
	run hz-run --off ./suid
	[ "$output" = libc.so.6 ]
	command -v setcap >/dev/null && cp "$BATS_FILE_TMPDIR/bin/who" caps &&
		setcap cap_net_raw+p caps 2>/dev/null || skip "file capabilities cannot be set here"
	fails 2 "file capabilities" hz-run ./caps
}

@test "static, 32-bit and damaged programs are refused" {
	echo 'int main(void) { return 0; }' >main.c
	if "$CC" -static -o static main.c 2>/dev/null; then
		fails 2 "statically linked" hz-run ./static
	fi
	"$CC" -nostdlib -static -o bare -Wl,-emain main.c
	fails 2 "statically linked" hz-run ./bare
	"$CC" -o musl main.c -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1
	fails 2 "linked to musl" hz-run ./musl
	printf '\177ELF\001\001\001\0\0\0\0\0\0\0\0\0\002\0\003\0\001\0\0\0' >old
	head -c 100 /dev/zero >>old
	chmod +x old
	fails 2 "32-bit" hz-run ./old
	for n in 4 16 40 64 100 400; do
		head -c "$n" "$BATS_FILE_TMPDIR/bin/who" >part
		chmod +x part
		fails 2 "damaged" hz-run ./part
	done
}

@test "values that the library would ignore in silence are refused" {
	for size in '' 0 255K 8193G 9T -1 1x 1GG 99999999999999999999 18446744073709551615T; do
		fails 2 "not a size from 256K to 8T: '$size'" hz-run --arena-size="$size" true
	done
	for size in 256K 262144 64G 8T 8796093022208; do
		[ "$(hz-run --arena-size=$size sh -c 'echo $HZ_ARENA_SIZE')" = "$size" ]
	done
	fails 2 "unknown box: 'bogus'" hz-run --observe=seg,bogus true
	fails 2 "unknown box: ''" hz-run --observe= true
	fails 2 "unknown box: ''" hz-run --observe=seg, true
	fails 2 "not a path" hz-run --report= true
	fails 2 "not a path" hz-run --report="/$(printf '%0600d' 0)" true
	fails 2 "goes with no other option" hz-run --off --lane=balanced true
	fails 2 "not a file in a directory that is there: 'absent/x'" hz-run --report=absent/x true
	fails 2 "not a file in a directory" hz-run --report="$PWD" true
	fails 2 "not a file in a directory" hz-run --report=absent/ true
	hz-run --report=%e/x true
	hz-run --report=/%p.none --observe=no true
	fails 2 "unrecognized option '--bogus'" hz-run --bogus true
	fails 2 "'--lane' requires an argument" hz-run --lane
	fails 2 "'--off' doesn't allow an argument" hz-run --off=1 true
	fails 2 "which program?" hz-run
	fails 2 "which program?" hz-run --off --
}

@test "a library directory with blanks, colons or no root is refused" {
	mkdir 'a b'
	ln -s "$libs/libhz.so.0" 'a b'
	fails 2 "cannot be in LD_PRELOAD" env HZ_RUN_LIBDIR="$PWD/a b" hz-run true
	ln -s "$libs/libhz.so.0" .
	fails 2 "cannot be in LD_PRELOAD" env HZ_RUN_LIBDIR=. hz-run true
}

@test "reports: to standard error or to a file, named where hz-run was started" {
	[ -f "$libs/libhz-observe.so.0" ] || skip "built without observation"
	hz-run --observe=small,retention who >out 2>err
	grep -q '^\[' err
	hz-run --observe who >out 2>err
	[ "$(cat out)" = libhz-observe.so.0 ]
	grep -q '^\[' err
	mkdir elsewhere
	hz-run --report=%e.obs sh -c 'cd elsewhere && who' >out 2>err
	[ ! -s err ]
	grep -q '^\[' who.obs
	[ "$(HZ_OBSERVE=seg hz-run --report=x sh -c 'echo $HZ_OBSERVE')" = seg ]
	[ "$(HZ_OBSERVE=seg hz-run --observe=small sh -c 'echo $HZ_OBSERVE')" = small ]
}

@test "\$LIB where the directory is the loader's: no word of set-user-id programs" {
	need_namespaces
	lib=$(ldd /bin/sh | sed -n 's|.*=> \(/usr\)*/\(.*\)/libc\.so\.6 .*|\2|p')
	[ -n "$lib" ] && [ -d /usr/local ] || skip "where is libc?"
	private sh -e -c '
		mount -t tmpfs none /usr/local
		mkdir -p "/usr/local/$1"
		cp "$2/libhz.so.0" "/usr/local/$1"
		export HZ_RUN_LIBDIR=/usr/local/$1
		[ "$(hz-run sh -c "echo \$LD_PRELOAD")" = "/usr/local/\$LIB/libhz.so.0" ]
		[ "$(hz-run who)" = libhz.so.0 ]' sh "$lib" "$libs"
}

@test "--off: what /etc/ld.so.preload names is not loaded, and nobody else notices" {
	need_namespaces
	: >"$BATS_TEST_TMPDIR/list"
	printf '%s\n' "$libs/libhz.so.0" >list
	mkdir etc
	private sh -e -c '
		[ -e /etc/ld.so.preload ] || {
			# A file to mount on, in an /etc of our own.
			mount -t tmpfs none /mnt
			mkdir /mnt/etc
			mount --rbind /etc /mnt/etc
			mount -t tmpfs none /etc
			for f in /mnt/etc/*; do ln -s "$f" /etc; done
			: >/etc/ld.so.preload
		}
		mount --bind list /etc/ld.so.preload
		[ "$(who)" = libhz.so.0 ]
		[ "$(hz-run --off who)" = libc.so.6 ]
		[ "$(hz-run --off sh -c "who; :")" = libc.so.6 ]
		[ "$(who)" = libhz.so.0 ]
		[ "$(hz-run --off pwd)" = "$PWD" ]
		[ "$(hz-run who)" = libhz.so.0 ]
		if [ "$(id -u)" = 0 ] && setpriv --reuid 65534 --clear-groups true 2>/dev/null; then
			cp "$(command -v hz-run)" "$(command -v who)" /etc
			chmod 755 /etc/who /etc/hz-run
			cd /
			[ "$(setpriv --reuid 65534 --clear-groups /etc/hz-run --off /etc/who)" = libc.so.6 ]
			[ "$(setpriv --reuid 65534 --clear-groups /etc/hz-run --off id -u)" = 65534 ]
		fi'
}

@test "the examples of hz-run(1) work" {
	[ -f "$libs/libhz-observe.so.0" ] || skip "built without observation"
	examples hz-run.1 >list
	[ "$(wc -l <list)" -ge 4 ]
	while IFS= read -r line; do
		case $line in
			*python3*) command -v python3 >/dev/null || continue ;;
			*ld.so.preload*) [ -f /etc/ld.so.preload ] || line="$line || [ \$? -eq 1 ]" ;;
		esac
		line=$(printf '%s\n' "$line" | sed "s|/tmp/|$BATS_TEST_TMPDIR/|")
		echo "$line"
		sh -c "$line" >out 2>err || { cat err; false; }
		case $line in *--observe\ *) grep -q '^\[' err ;; esac
	done <list
	ls sort.*.obs
}

@test "hz-run(1) has every option, and is lint clean" {
	hz-run --help | grep -o -e '--[a-z-]*' | sort -u | sed -n 's/^--\(..*\)/\1/p' >list
	[ "$(wc -l <list)" -ge 5 ]
	while read -r option; do
		grep -q "Fl Fl $option\\>" "$abs_srcdir/man/hz-run.1"
	done <list
	command -v mandoc >/dev/null || skip "mandoc is not installed"
	mandoc -T lint -W warning "$abs_srcdir/man/hz-run.1"
}
