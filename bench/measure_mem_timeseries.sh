#!/bin/sh
# SPDX-License-Identifier: MIT
#
# measure_mem_timeseries.sh - memory of one command over time.
#
#   OUT=file.csv INTERVAL_MS=50 PSS_EVERY=20 [ALLOC_SO=lib.so] \
#       measure_mem_timeseries.sh CMD ...
#
# CSV t_ms,rss_kb,vms_kb,pss_kb,uss_kb; PSS and USS in every PSS_EVERY-th row
# (0: never), since the kernel walks page tables for them.  Then one line
# [MEM_TS], a plot beside the CSV where there is gnuplot, and the command's own
# exit status.  ALLOC_SO is preloaded into the command alone.
#
# What is released at exit cannot show: the last sample is of a living process.

# shellcheck source=bench/bench_lib.sh
. "$(dirname "$0")/bench_lib.sh"
need_python
[ $# -gt 0 ] || { say "usage: OUT=file $(basename "$0") CMD ..."; exit 2; }
out=${OUT:-mem_timeseries.csv}
runs_py memts "$out" --preload "${ALLOC_SO:--}" -- "$@"
status=$?
if command -v gnuplot >/dev/null 2>&1; then
	gnuplot -e "set terminal svg size 800,300; set output '${out%.csv}.svg'; \
set datafile separator ','; set xlabel 's'; set ylabel 'MiB'; set key top left; \
set yrange [0:*]; set grid y; plot '$out' every ::1 using (\$1/1000):(\$2/1024) \
with lines title 'RSS', '' every ::1 using (\$1/1000):(\$4/1024) \
with points pt 7 ps 0.4 title 'PSS'" 2>/dev/null ||
		say "gnuplot could not plot $out"
else
	say "no gnuplot: $out is not plotted"
fi
exit $status
