#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# hz_preload.bats - hz-preload(8): every way in which a library or a list can be bad, every
# moment in which it can be killed, and the way out when no program starts.
#
# On a stage: /etc, /run and /usr/local/lib are the tests' own (stage.sh), and the list that is
# written is the one that the loader then reads.
#
# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # see lib.bash

load lib.bash

list=/etc/ld.so.preload
dir=/usr/local/lib
so=$dir/libhz.so.0

setup_file() {
	load lib.bash
	[ -e /etc/.hz-stage ] || return 0
	cd "$BATS_FILE_TMPDIR" || return
	mkfifo never # nobody writes to it: what is read from it takes its time
	# Compilers on the C library's malloc; what they make is on the stage's own /tmp.
	cat >good.c <<-'END'
		#include <stddef.h>
		extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
		extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
		extern void __libc_free(void *);
		void *malloc(size_t n) { return __libc_malloc(n); }
		void *calloc(size_t n, size_t m) { return __libc_calloc(n, m); }
		void *realloc(void *p, size_t n) { return __libc_realloc(p, n); }
		void *memalign(size_t a, size_t n) { return __libc_memalign(a, n); }
		void free(void *p) { __libc_free(p); }
	END
	{
		cat good.c
		echo '#include <stdlib.h>'
		echo '__attribute__((constructor)) static void c(void) { abort(); }'
	} >abort.c
	{
		cat good.c
		echo 'extern void nowhere(void);'
		echo '__attribute__((constructor)) static void c(void) { nowhere(); }'
	} >undefined.c
	{
		cat good.c
		echo 'extern int there; int *here(void) { return &there; }'
	} >data.c
	echo 'void nothing(void) {}' >dep.c
	echo 'int there;' >there.c
	printf 'int versioned(void) { return 1; }\n' >versioned.c
	printf 'V_99 { global: versioned; };\n' >versioned.map
	{
		cat good.c
		echo 'extern int versioned(void); int x(void) { return versioned(); }'
	} >version.c
	build() { # OUTPUT SOURCE FLAGS...
		local to=$1 from=$2
		shift 2
		"$CC" -shared -fPIC -w -O1 -fno-builtin -o "$to" "$from" -Wl,-soname,libhz.so.0 "$@"
	}
	build good.so good.c
	build abort.so abort.c
	build undefined.so undefined.c -Wl,-z,now
	"$CC" -shared -fPIC -w -o libdep.so dep.c -Wl,-soname,libhz-nowhere-dep.so.1
	build needs.so good.c -Wl,--no-as-needed ./libdep.so
	# A version that the C library of this machine does not have.
	"$CC" -shared -fPIC -w -o libv.so versioned.c -Wl,-soname,libc.so.6 \
		-Wl,--version-script=versioned.map
	build version.so version.c ./libv.so
	echo 'int other(void) { return 1; }' >other.c
	build nomalloc.so other.c
	"$CC" -shared -fPIC -w -o tool.so other.c
	"$CC" -o who -x c - -ldl <<-'END'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		int main(void)
		{
			Dl_info info;
			free(malloc(10));
			if (!dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info))
				return 1;
			puts(strrchr(info.dli_fname, '/') + 1);
			return 0;
		}
	END
}

setup() {
	[ -e /etc/.hz-stage ] || skip "not on a stage: run it with stage.sh"
	unset LD_PRELOAD
	PATH=$tools:$BATS_FILE_TMPDIR:$PATH
	cd "$BATS_TEST_TMPDIR" || return
	mount -o remount,rw /etc
	mount -t tmpfs -o mode=755 none "$dir" # over what the last test left
	rm -rf /run/libhz
	cp "$libs"/libhz*.so.0 "$dir"
}

hz() {
	hz-preload "$@" --libdir="$dir"
}

teardown() {
	# First with what the shell has in itself: nothing else may start.
	[ -e /etc/.hz-stage ] || return 0
	[ ! -e $list ] || : >$list
	rm -rf $list $list.hz-backup /etc/.ld.so* /etc/systemd/system/*
}

# Waiting with builtins alone, up to a minute (of a busy machine): until COMMAND... succeeds.
until_ok() {
	local i
	for ((i = 0; i < 3000; i++)); do
		if "$@"; then return 0; fi
		read -r -t 0.02 <>"$BATS_FILE_TMPDIR/never" || :
	done
	return 1
}

absent() {
	[ ! -e $list ] && [ ! -h $list ]
}

not() {
	if "$@"; then return 1; fi
}

starts() {
	(/bin/true) 2>/dev/null
}

# No temporary file of an edit is left.
swept() {
	local file
	for file in /etc/.ld.so.preload.hz.*; do
		[ ! -e "$file" ] || return 1
	done
}

picture() {
	stat -c '%i %Y %a %F' $list 2>&1 || :
	cat $list 2>&1 || :
}

# refuses TEXT COMMAND...: code 1, the text on either output, and the list is as it was.
refuses() {
	local text=$1 before after
	shift
	before=$(picture)
	run "$@"
	after=$(picture)
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"$text"* ]]
	[ "$before" = "$after" ]
	swept
}

@test "check: libhz is fit, every lane of it, and nothing is written" {
	for file in "$dir"/libhz*.so.0; do
		lane=${file##*/libhz} lane=${lane%.so.0} lane=${lane#-}
		[[ $lane != *observe ]] || continue
		run hz check --lane="${lane:-balanced}"
		echo "$output"
		[ "$status" -eq 0 ]
		[[ $output == *"ok    the probe: its malloc"* ]]
		[[ $output == *"ok    the probe, set-user-id"* ]]
		[[ $output != *"cannot be tried"* ]]
	done
	absent
	swept
	[ ! -e $list.hz-backup ]
}

@test "enable and disable: every program from then on, and not one more" {
	[ "$(who)" = libc.so.6 ]
	hz enable
	[ "$(who)" = libhz.so.0 ]
	[ "$(cat $list)" = "$so" ]
	[ "$(stat -c '%a %u %g' $list)" = "644 0 0" ]
	run hz status
	[ "$status" -eq 0 ]
	before=$(stat -c %i $list)
	hz enable
	[ "$(stat -c %i $list)" = "$before" ]
	hz disable
	[ "$(who)" = libc.so.6 ]
	absent
	run hz disable
	[ "$status" -eq 0 ]
	run hz status
	[ "$status" -eq 3 ]
}

@test "without standard input, output, error: the same" {
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	echo "$dir/tool.so" >$list
	cp $list old
	{ cat old; echo "$so"; } >new
	for closed in '<&-' '>&-' '2>&-' '<&- >&- 2>&-'; do
		eval "hz enable $closed"
		cmp new $list
		eval "hz disable $closed"
		cmp old $list
		eval "hz-preload-static disable $closed" || [ ! -x "$tools/hz-preload-static" ]
	done
}

@test "the entry says \$LIB where the directory is the loader's" {
	lib=$(ldd /bin/sh | sed -n 's|.*=> \(/usr\)*/\(.*\)/libc\.so\.6 .*|\2|p')
	[ "$lib" != lib ] || skip "\$LIB is lib here"
	mkdir -p "/usr/local/$lib" 2>/dev/null && [ "${lib#lib/}" != "$lib" ] ||
		skip "$lib is not below the stage's directory"
	cp "$libs/libhz.so.0" "/usr/local/$lib"
	hz-preload enable --libdir="/usr/local/$lib"
	[ "$(cat $list)" = '/usr/local/$LIB/libhz.so.0' ]
	[ "$(who)" = libhz.so.0 ]
	run hz-preload status
	echo "$output"
	[ "$status" -eq 0 ]
	hz-preload disable
	absent
}

@test "a file that is no library of ours: refused at rest" {
	cd "$BATS_FILE_TMPDIR"
	rm "$so"
	: >"$so"
	refuses "empty" hz enable
	echo text >"$so"
	refuses "not an ELF file" hz enable
	printf '\177ELF\001\001\001\0\0\0\0\0\0\0\0\0\003\0\003\0\001\0\0\0' >"$so"
	head -c 100 /dev/zero >>"$so"
	refuses "32-bit" hz enable
	cp good.so "$so"
	printf '\xf3\0' | dd of="$so" bs=1 seek=18 conv=notrunc status=none
	refuses "another machine (ELF machine 243)" hz enable
	cp nomalloc.so "$so"
	refuses "has no malloc" hz enable
	cp needs.so "$so"
	refuses "it needs libhz-nowhere-dep.so.1" hz enable
	cp who "$so"
	refuses "not a shared library" hz enable
	for bytes in 4 63 200 4096 $(($(stat -c %s "$libs/libhz.so.0") - 1)); do
		head -c "$bytes" "$libs/libhz.so.0" >"$so"
		refuses "truncated or damaged" hz enable
	done
	rm "$so"
	mkdir "$so"
	refuses "libhz.so.0" hz enable
}

@test "others than root could change it: refused before its code runs" {
	chmod g+w "$so"
	refuses "libhz.so.0: can be changed by others than root (mode 0" hz enable
	chmod 646 "$so"
	refuses "can be changed by others than root" hz enable
	chmod 640 "$so"
	refuses "not readable by everybody" hz enable
	chmod 644 "$so"
	chown 12345 "$so"
	refuses "belongs to user 12345" hz enable
	chown 0 "$so"
	chmod 777 "$dir"
	refuses "$dir: can be changed by others than root" hz enable
	chmod 755 "$dir"
	mkdir -m 777 "$dir/open"
	mv "$so" "$dir/open"
	ln -s open/libhz.so.0 "$so"
	refuses "$dir/open: can be changed" hz enable
	chmod 755 "$dir/open"
	hz enable
}

@test "what only the loader knows: refused at work" {
	cd "$BATS_FILE_TMPDIR"
	cp abort.so "$so"
	refuses "Aborted" hz enable
	refuses "not fit" hz check
	cp undefined.so "$so"
	refuses "nowhere" hz enable
	cp version.so "$so"
	refuses "V_99" hz enable
	cp good.so "$so"
	hz enable
}

@test "a library that the loader passes over: refused" {
	# One in front of it in the list that does what it does, unknown as a malloc by its name.
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	sed 's/^void /__attribute__((visibility("default"))) void /' "$BATS_FILE_TMPDIR/good.c" >good.c
	"$CC" -shared -fPIC -w -fno-builtin -o "$dir/front.so" good.c
	echo "$dir/front.so" >$list
	refuses "another malloc, $dir/front.so" hz enable
}

@test "a list with another malloc: refused, unless it is to be replaced" {
	cp "$BATS_FILE_TMPDIR/good.so" "$dir/libfancy.so.1"
	printf '%s\n%s\n' "$dir/tool.so" "$dir/libfancy.so.1" >list
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	cp list $list
	refuses "another malloc, $dir/libfancy.so.1" hz enable
	echo libjemalloc.so.2 >$list
	refuses "another malloc, libjemalloc.so.2" hz enable
	cp list $list
	hz enable --replace
	[ "$(cat $list)" = "$dir/tool.so
$so" ]
	cmp list $list.hz-backup
	# Another lane of libhz is not another malloc: it is exchanged.
	[ -e "$dir/libhz-observe.so.0" ] || skip "one library only"
	printf '%s\n' "$dir/libhz-observe.so.0" >$list
	hz enable
	[ "$(cat $list)" = "$so" ]
}

@test "other lines are kept to the byte" {
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	printf '# a comment\n\n %s\t \n  ' "$dir/tool.so" >list
	cp list $list
	hz enable
	[ "$(who)" = libhz.so.0 ]
	printf '\n' | cat list - >expected
	echo "$so" >>expected
	cmp expected $list
	hz disable
	printf '\n' | cat list - | cmp - $list
	# Words of ours on a line with others, in every spelling that ever was.
	printf '%s:%s libhz.so.0\t%s #libhz.so.0\n/usr/$LIB/libhz-scale.so.0\n/opt/libhz.so\n' \
		"$dir/tool.so" "$so" "$dir/tool.so" >$list
	hz disable
	printf '%s:%s #libhz.so.0\n' "$dir/tool.so" "$dir/tool.so" | cmp - $list
	printf '%s/./libhz.so.0' "$dir" >$list
	hz disable
	absent
	mkdir $list
	refuses "ld.so.preload: not a file" hz enable
	refuses "ld.so.preload: not a file" hz disable
	rmdir $list
	head -c 3000000 /dev/zero | tr '\0' '#' >$list
	refuses "File too large" hz enable
	printf 'a\0b' >$list
	refuses "not a text file" hz enable
	refuses "not a text file" hz disable
}

@test "the label that SELinux gives files goes over to the new list" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	echo "$dir/tool.so" >$list
	label() {
		python3 -c 'import os, sys
name, file, label = "security.selinux", *sys.argv[1:]
if label: os.setxattr(file, name, label.encode() + b"\0")
print(os.getxattr(file, name).rstrip(b"\0").decode())' $list "${1-}" 2>/dev/null
	}
	label system_u:object_r:etc_t:s0 || skip "files have no labels here"
	hz enable
	grep -q libhz $list
	[ "$(label)" = system_u:object_r:etc_t:s0 ]
	hz disable
	not grep -q libhz $list
	[ "$(label)" = system_u:object_r:etc_t:s0 ]
}

@test "what the loader says of other entries is told, and is no reason" {
	echo "$dir/absent.so" >$list
	run hz enable
	[ "$status" -eq 0 ]
	[[ $output == *"something else in the list"*"$dir/absent.so"* ]]
	run hz status
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"absent.so: another library, not found"* ]]
	[[ $output == *"libhz is on" ]]
}

@test "no second comment is made: the loader would misread it" {
	printf '# one\n%s\n' "$dir/tool.so" >$list
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	hz enable
	[ "$(grep -c '#' $list)" -eq 1 ]
	[ -z "$(/bin/true 2>&1)" ]
	hz try --for=1s </dev/null || :
	[ -z "$(/bin/true 2>&1)" ]
}

@test "status: foreign entries, odd modes, a missing library, two mallocs" {
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	printf '%s %s\n' "$dir/tool.so" "$so" >$list
	run hz status
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"tool.so: another library, $dir/tool.so"* ]]
	[[ $output == *"libhz.so.0: libhz, $so"* ]]
	chmod 600 $list
	run hz status
	[ "$status" -eq 1 ]
	[[ $output == *"not readable by everybody"* ]]
	chmod 666 $list
	run hz status
	[ "$status" -eq 1 ]
	[[ $output == *"others than root can change it"* ]]
	chmod 644 $list
	printf '%s %s\n' "$so" libjemalloc.so.2 >$list
	run hz status
	[ "$status" -eq 1 ]
	[[ $output == *"more than one malloc"* ]]
	echo "$dir/libhz-absent.so.0" >$list
	run hz status
	[ "$status" -eq 1 ]
	[[ $output == *"not found"*"libhz is off" ]]
	# The loader takes a name without a directory, but not for set-user-id programs.
	echo libhz.so.0 >$list
	run hz status
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"without a directory: set-user-id programs"* ]]
	hz enable
	[ "$(cat $list)" = "$so" ]
	# 0644 again by the next enable.
	install -m 600 /dev/null $list
	hz enable
	[ "$(stat -c %a $list)" = 644 ]
}

@test "a file system that cannot be written: said, and nothing left behind" {
	: >$list
	echo keep >keep
	cp keep $list
	mount -o remount,ro /etc
	refuses "Read-only file system" hz enable
	mount -o remount,rw /etc
	cmp keep $list
}

@test "killed in the middle, at any call: the old list or the new one, and the next run sweeps" {
	command -v strace >/dev/null || skip "strace is not installed"
	strace -o /dev/null true 2>/dev/null || skip "strace is not allowed here"
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	echo "$dir/tool.so" >old
	{ cat old; echo "$so"; } >new
	killed=0
	for call in openat mkdir flock write fchmod fchown fsync rename unlink close; do
		for when in 1 2 3 4; do
			cp new $list
			run strace -o log \
				-e inject="$call:signal=SIGKILL:when=$when" hz-preload disable
			[ "$status" -ne 137 ] || killed=$((killed + 1))
			cmp -s old $list || cmp new $list
		done
	done
	echo "killed $killed times"
	[ "$killed" -ge 15 ]
	cp new $list
	touch /etc/.ld.so.preload.hz.stale0
	hz disable
	cmp old $list
	swept
}

@test "a full disk, a failed sync: the old list stays" {
	command -v strace >/dev/null || skip "strace is not installed"
	strace -o /dev/null true 2>/dev/null || skip "strace is not allowed here"
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	printf '%s\n%s\n' "$dir/tool.so" "$so" >$list
	for fault in write:error=ENOSPC:when=1 fsync:error=EIO fchmod:error=EPERM fchown:error=EPERM \
			rename:error=EROFS; do
		refuses "ld.so.preload" strace -o log -e inject="$fault" hz-preload disable
	done
}

@test "two at once, and others in between: no line is lost" {
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	for i in 1 2 3 4; do
		echo "$dir/tool.so" >$list
		for _ in 1 2 3; do
			hz enable >/dev/null 2>&1 3>&- &
			hz disable >/dev/null 2>&1 3>&- &
		done
		wait
		[ "$(grep -c tool.so $list)" -eq 1 ]
		[ "$(grep -c libhz $list)" -le 1 ]
	done
	# Somebody who takes no lock writes while the check runs: it is seen, and kept.
	# Whole, as by an editor: the loader maps the list, and ends a program that starts
	# while it is cut short.
	echo "$dir/tool.so" >$list
	rm -f /run/libhz/lock # of the rounds before: here it says that the check has begun
	hz enable 3>&- &
	until_ok test -e /run/libhz/lock
	echo "$dir/tool.so $dir/tool.so" >$list.new
	mv $list.new $list
	wait
	[ "$(grep -c "tool.so.*tool.so" $list)" -eq 1 ]
	[ "$(grep -c libhz $list)" -eq 1 ]
	# The lock is waited for.
	exec 9>>/run/libhz/lock
	flock 9
	hz disable 3>&- 9>&- &
	read -r -t 0.3 <>"$BATS_FILE_TMPDIR/never" || :
	grep -q libhz $list
	exec 9>&-
	wait
	not grep -q libhz $list
}

@test "a program started for real fails: the old list is back" {
	# Fit in the trial, broken in the world: the library looks for a file.
	cat "$BATS_FILE_TMPDIR/good.c" - >moody.c <<-'END'
		#include <stdlib.h>
		#include <unistd.h>
		__attribute__((constructor)) static void c(void)
		{
			if (!access("/etc/ld.so.preload", F_OK) && access("/mnt/probe", F_OK))
				abort();
		}
	END
	"$CC" -shared -fPIC -w -fno-builtin -o "$so" moody.c -Wl,-soname,libhz.so.0
	run hz enable
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"the list is as it was"* ]]
	absent
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	printf '%s' "$dir/tool.so" >$list
	run hz enable
	[ "$status" -eq 1 ]
	[ "$(cat $list)" = "$dir/tool.so" ]
}

@test "try: Enter keeps it, the end of the time does not" {
	run hz try --for=1s <>"$BATS_FILE_TMPDIR/never"
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"the time is over: libhz is off again"* ]]
	absent
	echo | hz try --for=1m
	[ "$(cat $list)" = "$so" ]
	[ ! -h $list ]
	run hz try
	[ "$status" -eq 1 ]
	[[ $output == *"on already"* ]]
	hz disable
	# With a list of others: the same, and they stay.
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	echo "$dir/tool.so" >$list
	run hz try --for=1s <>"$BATS_FILE_TMPDIR/never"
	[ "$status" -eq 1 ]
	[ "$(cat $list)" = "$dir/tool.so" ]
}

# Starts a trial in the background, in $front; its standard input stays open.
start_trial() {
	until_ok none_runs # a guardian of the trial before
	hz-preload try --for="$1" --libdir="$dir" <>"$BATS_FILE_TMPDIR/never" >trial.out 2>&1 3>&- &
	front=$!
	until_ok on_trial || { cat trial.out; false; }
	until_ok grep -q Enter trial.out || { cat trial.out; false; }
}

none_runs() {
	! pgrep -x hz-preload >/dev/null
}

on_trial() {
	[ -e $list ] && [[ $(<$list) == */./libhz* ]]
}

@test "try: interrupted, killed, or its guardian killed: off" {
	for signal in HUP INT TERM QUIT KILL; do
		start_trial 1m
		[ -h $list ] && [ "$(who)" = libhz.so.0 ]
		kill -$signal "$front"
		until_ok absent
		wait "$front" || :
	done
	start_trial 1m
	guardian=$(pgrep -P "$front")
	kill -KILL "$guardian"
	until_ok absent
	wait "$front" && false
	grep -q "the guardian was killed" trial.out
}

@test "try: kept by enable, ended by disable, from elsewhere" {
	start_trial 1m
	run hz status
	[[ $output == *"on trial"* ]]
	hz enable
	wait "$front"
	[ "$(cat $list)" = "$so" ]
	hz disable
	start_trial 1m
	hz disable
	wait "$front" && false
	absent
}

@test "try: the library breaks every program: off again with nothing to start" {
	start_trial 1s
	# From here to the end nothing but builtins.
	mv "$BATS_FILE_TMPDIR/abort.so" "$so"
	not starts
	until_ok absent
	starts
	cp "$so" "$BATS_FILE_TMPDIR/abort.so"
	wait "$front" || :
	grep -q "the time is over" trial.out
}

@test "hz-preload-static and the shell itself: out when nothing dynamic starts" {
	[ -x "$tools/hz-preload-static" ] || skip "nothing can be linked statically here"
	cp "$BATS_FILE_TMPDIR/abort.so" "$so"
	echo "$so" >$list
	not starts
	hz-preload-static disable
	absent
	starts
	echo "$so" >$list
	not starts
	: >$list
	starts
	fails 2 usage hz-preload-static enable
	fails 2 "no directory" hz-preload-static disable --root=/nonexistent
	run hz-preload-static disable
	[ "$status" -eq 0 ]
}

@test "enable --volatile: until /run is empty, silently" {
	hz enable --volatile
	[ "$(readlink $list)" = /run/libhz/ld.so.preload ]
	[ "$(who)" = libhz.so.0 ]
	run hz status
	[ "$status" -eq 0 ]
	rm -r /run/libhz
	run who
	[ "$output" = libc.so.6 ]
	run hz status
	[ "$status" -eq 3 ]
	hz enable --volatile
	[ "$(who)" = libhz.so.0 ]
	hz enable
	[ ! -h $list ] && [ "$(cat $list)" = "$so" ]
	[ ! -e /run/libhz/ld.so.preload ]
	refuses "would lose it with the next boot" hz enable --volatile
	hz disable
	hz enable --volatile
	hz disable
	absent
	[ ! -e /run/libhz/ld.so.preload ]
	ln -s /run/libhz/ld.so.preload $list
	hz disable
	absent
	# A /run that is on disk forgets nothing.
	mkdir -p root/etc root/run "root$dir"
	cp "$so" "root$dir"
	run hz enable --volatile --root=root
	[ "$status" -eq 1 ]
}

@test "a link of somebody else: what it leads to is edited" {
	cp "$BATS_FILE_TMPDIR/tool.so" "$dir"
	mkdir -p /etc/elsewhere
	echo "$dir/tool.so" >/etc/elsewhere/list
	ln -s elsewhere/list $list
	hz enable
	[ -h $list ] && [ "$(tail -1 /etc/elsewhere/list)" = "$so" ]
	[ "$(who)" = libhz.so.0 ]
	hz disable
	[ -h $list ] && [ "$(cat $list)" = "$dir/tool.so" ]
	rm -r /etc/elsewhere
	refuses "a link to elsewhere/list" hz enable
}

@test "the unit starts what is installed, and is a unit" {
	unit=$abs_builddir/data/hz-preload.service
	grep -q '^ExecStart=/.*/hz-preload enable --volatile --lane=' "$unit"
	not grep -q '@' "$unit"
	command -v systemd-analyze >/dev/null || skip "systemd is not installed"
	sed "s|=/.*/hz-preload|=$tools/hz-preload|" "$unit" >hz-preload.service
	run systemd-analyze --man=no verify ./hz-preload.service
	echo "$output"
	[[ $output != *hz-preload.service* ]]
}

@test "service: a drop-in, checked, and taken back" {
	mkdir -p /run/systemd/system
	printf '[Service]\nExecStart=/bin/true\n' >/run/systemd/system/some.service
	conf=/etc/systemd/system/some.service.d/50-libhz.conf
	hz service some
	grep -q -x "Environment=\"LD_PRELOAD=$so\"" $conf
	[ "$(stat -c %a $conf)" = 644 ]
	run hz status
	[[ $output == *"service some.service: $so"* ]]
	hz service some.service --exempt
	grep -q -x 'InaccessiblePaths=-/etc/ld.so.preload' $conf
	not grep -q LD_PRELOAD $conf
	run hz status
	[[ $output == *"service some.service: exempt"* ]]
	hz service some --remove
	[ ! -e /etc/systemd/system/some.service.d ]
	hz service some --remove
	absent
	printf '[Service]\nEnvironment=A=b "LD_PRELOAD=/x.so"\n' >/run/systemd/system/busy.service
	refuses "sets LD_PRELOAD already" hz service busy
	[ ! -e /etc/systemd/system/busy.service.d ]
	run hz service unknown
	[ "$status" -eq 0 ]
	[[ $output == *"warning: there is no unknown.service"* ]]
	cp "$BATS_FILE_TMPDIR/abort.so" "$so"
	run hz service some
	[ "$status" -eq 1 ]
	[ ! -e $conf ]
	for name in '' ../x a/b .x 'a b'; do
		fails 2 "not the name of a service" hz-preload service "$name" --remove
	done
}

# What `other_system` does, in a mount namespace of its own: nothing that is mounted is there
# when the files of the test are removed.
other_system() {
	set -e
	root=$BATS_TEST_TMPDIR/root
	mkdir -p "$root"/{usr,etc,run,dev,proc,mnt}
	for name in /bin /sbin /lib*; do
		[ ! -h "$name" ] || cp -P "$name" "$root"
	done
	mount --bind /usr "$root/usr"
	mount --bind "$dir" "$root$dir"
	cp /etc/ld.so.cache /etc/passwd /etc/nsswitch.conf "$root/etc"
	chmod 755 "$root"
	hz check --root="$root"
	mkdir -p "$root/var/lib/dpkg"
	printf '%s\n' amd64 arm64 i386 >"$root/var/lib/dpkg/arch"
	hz enable --root="$root" 2>"$BATS_TEST_TMPDIR/err"
	[ "$(grep -c 'warning: programs of architecture' "$BATS_TEST_TMPDIR/err")" -eq 2 ]
	grep -q "architecture i386 run without libhz" "$BATS_TEST_TMPDIR/err"
	[ "$(cat "$root$list")" = "$so" ]
	absent
	[ ! -e /run/libhz ]
	hz status --root="$root"
	hz disable --root="$root"
	[ ! -e "$root$list" ]
	umount "$root$dir"
	fails 2 "not installed" hz-preload enable --root="$root" --libdir="$dir"
}

@test "another system: everything below --root; a warning for each other architecture" {
	[ -h /bin ] && [ -h /lib ] || skip "not a merged /usr"
	export -f other_system hz absent fails
	export list dir so BATS_TEST_TMPDIR
	unshare --mount bash -c other_system
	fails 2 "--root: /nonexistent" hz-preload status --root=/nonexistent
}

@test "not root, wrong words, wrong options: one line" {
	fails 2 "no lane is called '../x'" hz-preload enable --libdir=$dir --lane=../x
	fails 2 "lane 'absent' is not installed" hz-preload enable --libdir=$dir --lane=absent
	fails 2 "a full path without" hz-preload enable --libdir=lib
	fails 2 "does not take that option" hz-preload disable --replace
	fails 2 "does not take that option" hz-preload enable --for=1s
	fails 2 "not two of them" hz-preload service x --exempt --remove
	for time in '' 0 -1 1d 25h 1mm x 99999999999999999999; do
		fails 2 "not a time from 1s to 24h: '$time'" hz-preload try --for="$time"
	done
	fails 2 "or service? See hz-preload --help" hz-preload
	fails 2 "unknown command 'bogus'" hz-preload bogus
	fails 2 "one word too many: 'more'" hz-preload enable more
	fails 2 "one word too many: 'b'" hz-preload service a b
	fails 2 "service: which one?" hz-preload service
	fails 2 "unrecognized option '--bogus'" hz-preload status --bogus
	fails 2 "'--lane' requires an argument" hz-preload check --lane
	chmod 755 "$BATS_TEST_TMPDIR"
	cp "$tools/hz-preload" /run/hz-preload
	cd /
	setpriv --reuid 65534 --clear-groups true 2>/dev/null || skip "no setpriv"
	fails 1 "enable is for root" setpriv --reuid 65534 --clear-groups \
		/run/hz-preload enable --libdir=$dir
	run setpriv --reuid 65534 --clear-groups /run/hz-preload status
	[ "$status" -eq 3 ]
}

@test "the examples of hz-preload(8) work, in their order" {
	mkdir -p /run/systemd/system
	printf '[Service]\nExecStart=/bin/true\n' >/run/systemd/system/nginx.service
	examples hz-preload.8 >list
	[ "$(wc -l <list)" -ge 8 ]
	while IFS= read -r line; do
		echo "$line"
		case $line in
			*' try '*) echo | sh -c "$line --libdir=$dir" && hz-preload disable ;;
			*) sh -c "$line --libdir=$dir" ;;
		esac </dev/null
	done <list
}

@test "hz-preload(8) has every option and command, and is lint clean" {
	page=$abs_srcdir/man/hz-preload.8
	hz-preload --help | grep -o -e '--[a-z-]*' | sort -u | sed -n 's/^--\(..*\)/\1/p' >list
	[ "$(wc -l <list)" -ge 7 ]
	while read -r option; do
		grep -q "Fl Fl $option\\>" "$page"
	done <list
	hz-preload --help | sed -n 's/.*hz-preload \([a-z]*\).*/\1/p' >list
	while read -r command; do
		grep -q "^\.It Cm $command\\>" "$page"
	done <list
	command -v mandoc >/dev/null || skip "mandoc is not installed"
	mandoc -T lint -W warning "$page"
}
