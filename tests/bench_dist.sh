#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_dist.sh - sizes follow the distribution asked for, by chi-square.
#
# 200000 sizes each; cells are the buckets and, inside each, eight equal parts.
# The limit is the 99.9 % point for the degrees of freedom, so a right program
# of fixed seed either always passes or is wrong.

. "${srcdir:-$(dirname "$0")/..}/tests/bench_lib.sh"

# chi_square BUCKETS <SIZES; a bucket is min-max:weight
chi_square() {
	"$AWK" -v buckets="$1" '
	BEGIN {
		n = split(buckets, b, " ")
		for (i = 1; i <= n; i++) {
			split(b[i], p, /[-:]/)
			low[i] = p[1]; high[i] = p[2]; weight[i] = p[3]; sum += p[3]
		}
	}
	{
		for (i = 1; i <= n; i++)
			if ($1 >= low[i] && $1 <= high[i]) {
				cell[i, int(($1 - low[i]) * 8 / (high[i] - low[i] + 1))]++
				inside++
				break
			}
	}
	END {
		if (inside != NR) { print "outside"; exit }
		for (i = 1; i <= n; i++) {
			if (!weight[i]) continue
			span = high[i] - low[i] + 1
			for (k = 0; k < 8; k++) {
				first = k * span / 8; first = first > int(first) ? int(first) + 1 : first
				last = (k + 1) * span / 8; last = last > int(last) ? int(last) + 1 : last
				e = NR * weight[i] / sum * (last - first) / span
				chi += (cell[i, k] - e) ^ 2 / e
				df++
			}
		}
		df--
		# Wilson and Hilferty: z of the 99.9 % point is 3.09
		t = 1 - 2 / (9 * df) + 3.09 * sqrt(2 / (9 * df))
		limit = df * t * t * t
		print (chi <= limit) ? "ok" : "chi-square " chi " above " limit
	}'
}

# check DESCRIPTION BUCKETS ARGUMENTS...
check() {
	text=$1 buckets=$2
	shift 2
	is "$(program bench_malloc_dist 1 400 "$@" --print-sizes 200000 | chi_square "$buckets")" ok "$text"
}

check "uniform" "16-2048:1" 16 2048
check "app" "16-256:80 257-2048:15 2049-32768:5" 16 32768 app
check "app, max 32767" "16-256:80 257-2048:15 2049-32767:5" 16 32767 app
check "app, max 2048: the last bucket is empty" "16-256:80 257-2048:15" 16 2048 app
check "app, clamped below" "100-256:80 257-2048:15 2049-4096:5" 100 4096 app
check "bimodal alone" "16-128:90 16384-32768:10" 16 32768 bimodal
check "bimodal given" "16-32:1 64-127:3" 16 2048 7 bimodal 16 32 1 64 127 3
check "trimix given" "16-31:1 100-199:2 1000-1999:1" 16 2048 trimix 16 31 1 100 199 2 1000 1999 1
check "trimix_smallhot" "16-256:90 257-2048:8 2049-32768:2" 16 32768 trimix_smallhot
check "trimix_mediumhot" "16-256:20 257-2048:30 2049-32768:50" 16 32768 trimix_mediumhot
is "$(program bench_malloc_dist 1 400 16 32768 --print-sizes 200000 |
	chi_square "16-256:80 257-2048:15 2049-32768:5" | cut -d ' ' -f 1)" chi-square \
	"the check itself tells uniform from app"
done_testing
