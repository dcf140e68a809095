#!/bin/sh
# SPDX-License-Identifier: MIT
#
# programs_light.sh - the real programs that every machine has, as part of make check.

directory=$(dirname "$0")/programs
command -v bash >/dev/null || { echo "1..0 # SKIP no bash"; exit 0; }
: "${HZ_SO:=$(pwd)/.libs/libhz.so.0}"
export HZ_SO
exec bash "$directory/run.sh" light
