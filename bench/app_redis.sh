#!/bin/sh
# SPDX-License-Identifier: MIT
#
# app_redis.sh - a redis server on loopback under its own benchmark.
#
#   DO_APP_CMD=1 APP_NAME=redis APP_CMD='sh bench/app_redis.sh' STEPS=app ...
#
# The server runs on whatever is preloaded into this script: some systems link it
# to an allocator of its own, so without a preload it gets the C library as one,
# which comes first then.  The client is the same for all.  Prints requests per second over all commands as
# ops, time and ops/s, and the server's memory.

set -u
port=${REDIS_PORT:-7399}
requests=${REDIS_REQUESTS:-100000}
if [ -z "${LD_PRELOAD:-}" ]; then
	LD_PRELOAD=$(ldd "$(command -v redis-server)" | sed -n 's/.*libc\.so\.6 => \([^ ]*\).*/\1/p')
	export LD_PRELOAD
fi
redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --daemonize no \
	--maxmemory 512mb >/dev/null 2>&1 &
server=$!
unset LD_PRELOAD
trap 'kill $server 2>/dev/null' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do
	redis-cli -p "$port" ping >/dev/null 2>&1 && break
	sleep 0.2
done
redis-benchmark -h 127.0.0.1 -p "$port" -n "$requests" -r 200000 -d 300 -P 16 -c 20 --csv \
	-t set,get,lpush,hset,sadd | tr -d '"' |
	awk -F, -v n="$requests" 'NR > 1 && $2 > 0 { ops += n; time += n / $2 }
	END { printf "ops=%d time=%.6f ops/s=%.0f\n", ops, time, ops / time }' >"${TMPDIR:-/tmp}/redis.$$"
awk '/^VmHWM:/ { peak = $2 } /^VmRSS:/ { now = $2 }
END { printf "[PROCESS_MEMORY] peak_rss_kb=%d post_rss_kb=%d\n", peak, now }' "/proc/$server/status"
redis-cli -p "$port" shutdown nosave >/dev/null 2>&1
wait "$server"
cat "${TMPDIR:-/tmp}/redis.$$"
rm -f "${TMPDIR:-/tmp}/redis.$$"
