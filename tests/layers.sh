#!/bin/sh
# SPDX-License-Identifier: MIT
#
# layers.sh - a file of lib/ includes only headers of its own layer or of lower ones.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
cd "$abs_srcdir/lib" || exit 99

# Bottom-up; the files of one line are one layer. Beside them stand option, error and pressure,
# which any layer above os may ask: what their headers need must be low.
cat >"$work/layers" <<'END'
base lane class_table
os
class
arena
run bins
slab
remote
heap magazine handover thin
large
report report_crash report_pages report_rss observe root
api cxx info deepbind
END
cat >"$work/beside" <<'END'
cgroup 1 4
error 1
mark 2 9
option 1
pressure 4 7
probe 1
purger 1 7
report_os 1
waste 3
END

for file in *.c *.h; do
	[ "$file" = class_table.h ] ||
		sed -n "s/^[[:space:]]*#[[:space:]]*include \"\(.*\)\.h\".*/$file \1/p" "$file"
done >"$work/includes"

$AWK -v layers="$work/layers" -v beside="$work/beside" '
	BEGIN {
		while ((getline line < layers) > 0) {
			n = split(line, name, " ")
			for (i = 1; i <= n; i++)
				level[name[i]] = rank
			rank++
		}
		# NAME LEVEL-OF-HEADER [LEVEL-OF-SOURCE]
		while ((getline line < beside) > 0) {
			n = split(line, name, " ")
			side[name[1]] = 1
			level[name[1]] = name[2]
			source[name[1]] = n > 2 ? name[3] : name[2]
		}
	}
	{
		module = $1
		sub(/\..$/, "", module)
		sub(/^observe_.*/, "observe", module)
		is_source = $1 ~ /\.c$/
		wanted = $2
		sub(/^observe_.*/, "observe", wanted)
		if (!(module in level)) { print $1 " belongs to no layer"; next }
		if (!(wanted in level)) { print $1 " includes " $2 ".h, which belongs to no layer"; next }
		mine = is_source && module in source ? source[module] : level[module]
		if (wanted in side && mine >= 1)
			next
		if (level[wanted] > mine)
			print $1 " includes " $2 ".h, which is of a higher layer"
		if (wanted == "observe" && module != "observe" && module != "report" && module != "report_rss")
			print $1 " includes " $2 ".h: observers read, nobody asks them"
	}' "$work/includes" >"$work/wrong"

le 1 "$(wc -l <"$work/includes")" "there are includes to look at"
[ ! -s "$work/wrong" ]
ok $? "every include goes to the same layer or down"
note <"$work/wrong"

# Only one file talks to the kernel.
grep -n -w -E 'mmap|munmap|mprotect|madvise|mremap|syscall|sysconf|getrlimit|prctl' ./*.c |
	grep -v -E '^\./os\.c:|:[[:space:]]*(\*|/\*|//)' | grep -E '\<(mmap|munmap|mprotect|madvise|mremap|syscall|sysconf|getrlimit|prctl) ?\(' >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "system calls are made in os.c alone"
note <"$work/wrong"

done_testing
