#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tls.sh - thread-local storage of the library: at most 1 KiB of each thread's stack mapping,
# reached without a call.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library

for so in $(libraries); do
	name=$(basename "$so")
	size=$($READELF -lW "$so" | awk '$1 == "TLS" { print $6 }')
	le "$((${size:-0}))" 1024 "$name: bytes of thread-local storage"
	! $NM -D "$so" | grep -q __tls_get_addr
	ok $? "$name: no __tls_get_addr, which may allocate"
	$READELF -dW "$so" | grep -q '(FLAGS).*STATIC_TLS' || [ "$((${size:-0}))" -eq 0 ]
	ok $? "$name: initial-exec model"
done

done_testing
