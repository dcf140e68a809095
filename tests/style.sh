#!/bin/sh
# SPDX-License-Identifier: MIT
#
# style.sh - the limits on lib/ that keep it readable: length, width, preprocessor, chapters.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
cd "$abs_srcdir" || exit 99

core_lines_max=6000     # the allocator itself
if_per_1000_max=8       # lines of #if, #ifdef, #ifndef, #elif in lib/
file_lines_max=600
columns_max=100
chapter_lines_min=8     # a file opens with a comment of at least this many lines

set -- $(ls lib/*.c lib/*.h lib/lane/*.h | grep -v -x lib/class_table.h)

core=$(ls "$@" | grep -v -e '^lib/observe' -e '^lib/root' -e '^lib/report' -e '^lib/waste' -e '^lib/probe' \
	-e '^lib/info' -e '^lib/lane/' -e '^lib/option' -e '^lib/cgroup' -e '^lib/purger' -e '^lib/mark' \
	-e '^lib/deepbind')
le "$(cat $core | wc -l)" $((core_lines_max - 1)) "lines of lib/ without observers, reports, tables (lanes, options), the loader's tables (RTLD_DEEPBIND) and what is off unless asked for (marks: lane secure)"
ifs=$(cat "$@" | grep -c -E '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef|elif)\>')
le $((ifs * 1000 / $(cat "$@" | wc -l))) $((if_per_1000_max - 1)) \
	"preprocessor conditions per 1000 lines"

# each TEXT AWK-PROGRAM: the program prints what is wrong, given one file.
each() {
	text=$1 program=$2
	shift 2
	for file in "$@"; do
		awk "$program" "$file" | sed "s|^|$file: |"
	done >"$work/wrong"
	[ ! -s "$work/wrong" ]
	ok $? "$text"
	head -20 "$work/wrong" | note
}

each "no file is longer than $file_lines_max lines" \
	"END { if (NR > $file_lines_max) print NR \" lines\" }" "$@"
# A tab counts as four columns.
each "no line is wider than $columns_max columns" \
	"{ line = \$0; gsub(/\t/, \"    \", line)
	   if (length(line) > $columns_max) print NR \": \" length(line) \" columns\" }" "$@"
each "every file names its licence in the first three lines" \
	'NR <= 3 && /SPDX-License-Identifier: MIT/ { found = 1 }
	 END { if (!found) print "no SPDX line" }' "$@"
each "every file opens with a chapter of at least $chapter_lines_min comment lines" \
	"/^[[:space:]]*\$/ { next }
	 !over && !inside && !/^[[:space:]]*\\/[*\\/]/ { over = 1 }
	 !over { n++ }
	 !over && /\\/\\*/ { inside = 1 }
	 !over && /\\*\\// { inside = 0 }
	 END { if (n < $chapter_lines_min) print \"chapter of \" n + 0 \" lines\" }" "$@"
each "no blanks at the end of a line" '/[ \t]$/ { print NR }' "$@"

set -- $(ls lib/*.h lib/lane/*.h | grep -v -x lib/class_table.h)
each "headers of lib/ use #pragma once" \
	'/^#pragma once/ { found = 1 } END { if (!found) print "no #pragma once" }' "$@"

# Everything else that is text names its licence, too.
find . \( -name .git -o -name 'build*' -o -name autom4te.cache -o -name .libs -o -name .deps \) \
	-prune -o -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.am' -o -name '*.ac' -o \
	-name '*.awk' -o -name '*.in' -o -name '*.map' -o -name '*.md' -o -name '*.py' -o -name '*.[1-8]' \
	-o -name bootstrap \) ! -name config.h ! -name config.h.in ! -name Makefile.in \
	! -name class_table.h ! -name tap-driver.sh ! -name ltmain.sh -print |
	while read -r file; do
		head -5 "$file" | grep -q SPDX-License-Identifier || echo "$file"
	done >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "every source names its licence in the first five lines"
note <"$work/wrong"

done_testing
