#!/bin/sh
# SPDX-License-Identifier: MIT
#
# undefined.sh - what the library imports. Each name costs some 400 instructions at every
# program start, and each may call malloc or not exist in a sandbox: a new one is a decision.
# Not here, on purpose: dlsym (allocates), pthread_mutex_* (not ours to interpret after fork),
# stdio beyond what malloc_info and malloc_stats must write to.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library

cat >"$work/allowed" <<'END'
END

for so in $(libraries); do
	$NM -D --undefined-only "$so" | awk '{ sub(/@.*/, "", $NF); print $NF }' | sort -u >"$work/imports"
	tr -s ' \n' '\n\n' <"$work/allowed" | sort -u >"$work/allowed.sorted"
	comm -23 "$work/imports" "$work/allowed.sorted" >"$work/extra"
	[ ! -s "$work/extra" ]
	ok $? "$(basename "$so") imports only what is on the list ($(wc -l <"$work/imports") names)"
	note <"$work/extra"
	! grep -q -x -e 'dl.*' -e 'pthread_mutex_.*' "$work/imports"
	ok $? "$(basename "$so") imports neither dlsym nor a mutex"
done

done_testing
