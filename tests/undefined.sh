#!/bin/sh
# SPDX-License-Identifier: MIT
#
# undefined.sh - what the library imports. Each name bound at load time costs every program
# start 550 to 800 instructions, and each may call malloc or not exist in a sandbox: a new one
# is a decision. Not here, on purpose: dlsym (allocates), pthread_mutex_* (nobody can say what
# state it has in a forked child).

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library

cat >"$work/allowed" <<'END'
__cxa_atexit                                    observers report at exit
__errno_location                                malloc sets errno, free keeps it
dl_iterate_phdr                                 only from dlopen, which comes through here
clock_gettime                                   age of free pages
getauxval                                       observers look for AT_SECURE; page size on arm64
fputs                                           malloc_info writes to a FILE
pthread_key_create pthread_setspecific          the end of a thread
__register_atfork                               called only where no page is wiped by a fork
pthread_create pthread_attr_init                HZ_PURGER only
pthread_attr_setstacksize                       HZ_PURGER only
pthread_attr_setdetachstate                     HZ_PURGER only
pthread_attr_destroy                            HZ_PURGER only
secure_getenv                                   options, not in setuid programs
__stack_chk_fail                                -fstack-protector in CFLAGS
memcpy memset                                   made of loops and assignments by clang, on arm64
_ZSt15get_new_handlerv _ZSt17__throw_bad_allocv weak: operator new, if there is a C++ library
END

for so in $(libraries); do
	$NM -D --undefined-only "$so" | awk '{ sub(/@.*/, "", $NF); print $NF }' | sort -u >"$work/imports"
	sed 's/  .*//; s/ weak:.*//' "$work/allowed" | tr ' ' '\n' | sort -u >"$work/allowed.sorted"
	comm -23 "$work/imports" "$work/allowed.sorted" >"$work/extra"
	[ ! -s "$work/extra" ]
	ok $? "$(basename "$so") imports only what is on the list ($(wc -l <"$work/imports") names)"
	note <"$work/extra"
	! grep -q -x -e 'dlv*sym' -e 'pthread_mutex_.*' "$work/imports"
	ok $? "$(basename "$so") imports neither dlsym nor a mutex"
done

done_testing
