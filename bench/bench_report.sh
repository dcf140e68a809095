#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_report.sh - measure, then write the page.
#
#   HZ_SO=... PEERS="name=path.so ..." bench_report.sh [--quick] [--small-host] OUTDIR
#
# Without PEERS the peers are whichever of Debian's jemalloc, tcmalloc and
# mimalloc are installed, and the C library's malloc always.  --quick runs only
# the quick rows.  All variables of run_bench_full_safe.sh hold; an interrupted
# run goes on with RESUME=1.  Ends with OUTDIR/REPORT.html.

# shellcheck source=bench/bench_lib.sh
. "$(dirname "$0")/bench_lib.sh"
need_python
quick=no
while [ $# -gt 1 ]; do
	case $1 in
		--quick) quick=yes ;;
		--small-host) SMALL_HOST=1; export SMALL_HOST ;;
		*) break ;;
	esac
	shift
done
case $#${1:-} in
	1-* | [!1]*) say "usage: bench_report.sh [--quick] [--small-host] OUTDIR"; exit 2 ;;
esac
status=0
if [ "$quick" = yes ]; then
	runs_py rows quick "$1/rows" || status=1
else
	OUT_BASE=$1 "$here/run_bench_full_safe.sh" || status=1
fi
python3 "$here/report.py" html "$1" || status=1
exit $status
