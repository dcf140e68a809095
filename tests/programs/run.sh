#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh - real programs do the same on libhz as on libc's malloc.
#
#	HZ_SO=path programs/run.sh [--system] [all | light | NAME...]
#
# Each program is a function p_NAME below, which prints what must be the same; it runs without
# and with LD_PRELOAD=$HZ_SO in directories of their own, and the two outputs, standard error
# included, are compared byte by byte. TAP on stdout. What is not installed is skipped with its
# name; HZ_TEST_VERBOSE=1 shows the outputs. With --system it is not LD_PRELOAD but the file
# /etc/ld.so.preload that names the library, in a mount namespace where /etc is a copy: every
# process has it then, set-user-id ones and those with an environment of their
# own as well. A program that does nothing for LIMIT seconds is killed and has failed.
#
# Output must not depend on time, process numbers, paths or address layout: the functions take
# care of that, so that a difference means the allocator.

set -u
export LC_ALL=C TZ=UTC HOME=/nonexistent PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
unset LD_PRELOAD

: "${HZ_SO:?the library to preload}"
HZ_SO=$(realpath "$HZ_SO") || exit 99
LIMIT=${LIMIT:-240}
work=$(mktemp -d "${TMPDIR:-/tmp}/hz-programs.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM
chmod 755 "$work"

# needs PROGRAM...: leave the function (status 77) if one is not installed.
needs() {
	for program in "$@"; do
		command -v "$program" >/dev/null || {
			echo "$program is not installed" >"$work/why"
			exit 77
		}
	done
}

skip_because() {
	echo "$*" >"$work/why"
	exit 77
}

# Everything below runs in an empty directory; $1 is where the function may leave nothing.

p_bash() {
	bash -c '
	declare -A count
	for ((i = 0; i < 20000; i++)); do
		key=k$((i * 7919 % 5003))
		count[$key]=$((${count[$key]:-0} + i))
	done
	for key in "${!count[@]}"; do echo "$key ${count[$key]}"; done | sort | cksum
	for ((i = 0; i < 300; i++)); do
		x=$(echo $i | tr 0-9 a-j)
		line+=$x
	done
	echo "$line" | cksum
	( ( ( echo nested ) ) )
	text=$(seq 1 20000); echo ${#text} "${text: -20}"
	[[ $text =~ 1999([0-9]) ]] && echo "${BASH_REMATCH[1]}"'
}

p_perl() {
	needs perl
	perl -e '
	my %h; $h{($_ * 7919) % 100003} .= "x$_" for 1 .. 200000;
	my $n = 0; $n += length for values %h;
	print scalar(keys %h), " $n\n";
	my $text = join " ", map { "word" . ($_ * 31 % 997) } 1 .. 50000;
	my %w; $w{$1}++ while $text =~ /(\w+)/g;
	my @top = (sort { $w{$b} <=> $w{$a} || $a cmp $b } keys %w)[0 .. 9];
	print join(",", map { "$_=$w{$_}" } @top), "\n";
	my @sorted = sort map { reverse } split / /, $text;
	print "$sorted[0] $sorted[-1]\n";
	$_ = "a" x 100000; s/a/bc/g; print length, "\n";
	for (1 .. 40) { my $pid = fork // die; exit 0 unless $pid; waitpid $pid, 0; $n += $?; }
	print "$n\n"'
}

p_coreutils() {
	seq 1 300000 | shuf --random-source=<(yes) | sort -n --parallel=2 | sha256sum
	seq 1 200000 | sort -R --random-source=<(yes) | sort | uniq | wc
	head -c 3000000 /dev/zero | base64 | md5sum
	seq 1 100000 | split -l 999 - part. && cat part.* | tac | cut -c1-4 | sort -u | wc -l
	ls -la /usr/bin | awk '{ print $1, $NF }' | sort | md5sum
	find /usr/share/doc -maxdepth 1 | sort | xargs -n 50 echo | md5sum
	seq 1 2000 | paste -s -d, | fold -w 70 | expand | pr -t -2 | cksum
	join <(seq 1 5000 | sort) <(seq 2 2 5000 | sort) | wc -l
	factor 1234567890123 600851475143; expr 12 '*' 12; numfmt --to=iec 123456789
	date -u -d @1234567890; printf '%05d %s\n' 42 x; env -i A=b env
}

p_sedawk() {
	needs sed awk grep
	seq 1 200000 | sed -n 's/\(.*\)7\(.*\)/\2<\1>/p' | md5sum
	seq 1 200000 | awk '{ n[$1 % 1009] += $1; s = s substr($1, 1, 1) }
		END { for (i = 0; i < 1009; i++) t = t n[i] ","; print t; print length(s) }' | md5sum
	seq 1 200000 | grep -E '^(1|2)[0-9]*(77|88)$' | wc -l
	seq 1 3000 | sed ':a;N;$!ba;s/\n/+/g' | md5sum
	diff <(seq 1 3000) <(seq 2 3002) | head -3
}

p_tarxz() {
	needs tar xz gzip
	mkdir tree
	for i in 1 2 3 4 5 6 7 8; do seq "$i" 40000 >tree/file$i; done
	tar --sort=name --mtime=@0 --owner=0 --group=0 -cf - tree | tee >(md5sum >tar.sum) |
		xz -1 -T2 --block-size=300000 >t.xz
	xz -dc -T2 t.xz | md5sum
	xz -l --robot t.xz | tail -n 1 | cut -f 2-3
	gzip -9 <tree/file1 | gzip -dc | cmp - tree/file1 && echo same
	sleep 0.2
	cat tar.sum
	mkdir out && xz -dc t.xz | tar -xf - -C out && diff -r tree out/tree && echo restored
}

p_zstd() {
	needs zstd
	seq 1 800000 >numbers
	zstd -q -T2 -9 numbers -o n9.zst && zstd -q -dc n9.zst | cmp - numbers && echo same
	zstd -q -1 --long=24 numbers -o n1.zst && zstd -q -dc --long=24 n1.zst | md5sum
	zstd -q --train numbers -B2048 --maxdict=4096 -o dictionary 2>&1 | head -3
	cksum <n1.zst
}

p_python() {
	needs python3
	PYTHONMALLOC=malloc python3 - <<-'END'
	import json, threading, subprocess, re, zlib, sys, os
	data = [{"id": i, "name": "n%d" % (i * 7919 % 10007), "tags": [str(j) for j in range(i % 7)]}
	        for i in range(60000)]
	text = json.dumps(data, sort_keys=True)
	print(len(text), zlib.crc32(text.encode()), len(json.loads(text)))
	total = [0] * 8
	def worker(k):
	    d = {}
	    for i in range(40000):
	        d[(i * 31 + k) % 5003] = "v%d" % i
	    total[k] = sum(map(len, d.values()))
	threads = [threading.Thread(target=worker, args=(k,)) for k in range(8)]
	[t.start() for t in threads]; [t.join() for t in threads]
	print(total)
	for i in range(10):
	    out = subprocess.run(["/bin/echo", "x" * i * 100], capture_output=True).stdout
	    print(len(out), end=" ")
	for i in range(30):
	    pid = os.fork()
	    if pid == 0:
	        os._exit(len([str(j) for j in range(3000)]) != 3000)
	    print(os.waitpid(pid, 0)[1], end=" ")
	print(len(re.findall(r"(\w+)9\b", text)))
	import gc; del data; gc.collect()
	END
}

p_git() {
	needs git
	export GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
	export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
	export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
	git init -q -b main repository && cd repository || return
	for commit in 1 2 3 4 5; do
		for i in $(seq 1 150); do seq "$commit" $((i * 3)) >file$i; done
		git add . && git commit -q -m "commit $commit"
	done
	git log --stat --format='%H %s' | md5sum
	git -c gc.autoDetach=false -c pack.threads=2 gc -q --aggressive --prune=now
	git fsck --full 2>&1
	git rev-list --objects --all | sort | md5sum
	git clone -q . ../clone && git -C ../clone log -p | md5sum
	git blame -s file9 | md5sum
}

p_gcc() {
	needs gcc
	echo 'int r(int);' >large.c
	for i in $(seq 1 1200); do
		echo "int f$i(int x) { int s = $i; for (int i = 0; i < x; i++)" \
			"{ switch ((s ^ i) & 7) { case 1: s += r(i); break; case 3: s *= 3 + x;" \
			"break; default: s -= i; } } return s; }"
	done >>large.c
	gcc -O2 -S -o - large.c | md5sum
	gcc -g -O1 -c -frandom-seed=1 -ffile-prefix-map="$PWD"=. large.c -o large.o && md5sum <large.o
	printf 'int main(void) { return 0; }\n' >main.c
	printf 'int r(int x) { return x; }\n' >r.c
	gcc -O2 -flto=2 main.c r.c large.c -o program 2>&1 | head -3
	./program && objdump -d large.o | tail -n +4 | md5sum
	gcc -O2 -Wall -c broken.c 2>&1 | head -2
}

p_gxx() {
	needs g++
	cat >heavy.cc <<-'END'
	#include <algorithm>
	#include <functional>
	#include <iostream>
	#include <map>
	#include <ranges>
	#include <regex>
	#include <sstream>
	#include <string>
	#include <unordered_map>
	#include <vector>
	int main()
	{
		std::regex word("([a-z]+)([0-9]+)");
		std::map<std::string, std::vector<int>> m;
		for (int i = 0; i < 3000; i++)
			m["key" + std::to_string(i * 31 % 101)].push_back(i);
		std::ostringstream out;
		for (auto &[k, v] : m) {
			std::smatch s;
			if (std::regex_match(k, s, word))
				out << s[2] << v.size() << ' ';
		}
		auto even = std::views::iota(1, 50) | std::views::filter([](int i) { return i % 2 == 0; });
		for (int i : even)
			out << i;
		try {
			std::vector<int> v(3);
			v.at(5);
		} catch (const std::out_of_range &) {
			out << " caught";
		}
		std::cout << out.str() << "\n";
	}
	END
	g++ -std=c++20 -O2 -S -o - heavy.cc | md5sum
	g++ -std=c++20 -O1 heavy.cc -o heavy && ./heavy
}

p_sqlite3() {
	needs sqlite3
	sqlite3 data.db <<-'END'
	PRAGMA cache_size=-20000;
	CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL);
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1000000)
	  INSERT INTO t SELECT i, 'row' || (i * 7919 % 1000003), i / 7.0 FROM n;
	CREATE INDEX t_b ON t(b);
	SELECT count(*), sum(a), min(b), max(b), round(avg(c), 3) FROM t;
	SELECT count(*) FROM t x JOIN t y ON x.a = y.a + 1 WHERE x.b < y.b AND x.a < 100000;
	DELETE FROM t WHERE a % 3 = 0;
	SELECT substr(b, 1, 4), count(*) FROM t GROUP BY 1 ORDER BY 1 LIMIT 5;
	VACUUM;
	PRAGMA integrity_check;
	END
}

p_redis() {
	needs redis-server redis-cli redis-benchmark
	redis-server --port 0 --unixsocket "$PWD/redis.sock" --dir "$PWD" --save '' \
		--daemonize no >server.log 2>&1 &
	server=$!
	for i in $(seq 1 100); do
		redis-cli -s redis.sock ping >/dev/null 2>&1 && break
		sleep 0.1
	done
	redis-benchmark -s redis.sock -n 40000 -r 10000 -c 20 -q -P 4 \
		-t set,get,lpush,lpop,sadd,hset,zadd >benchmark.log 2>&1
	echo "benchmark $?"
	redis-cli -s redis.sock flushall
	redis-cli -s redis.sock eval 'for i=1,20000 do
		redis.call("set", "k"..i, string.rep("v", i % 300))
		redis.call("zadd", "z", i % 977, i)
		redis.call("hset", "h"..(i%50), i, "x"..i) end return redis.call("dbsize")' 0
	redis-cli -s redis.sock bgsave
	while [ "$(redis-cli -s redis.sock info persistence |
		grep -c rdb_bgsave_in_progress:1)" = 1 ]; do sleep 0.1; done
	redis-cli -s redis.sock info persistence | grep rdb_last_bgsave_status
	redis-cli -s redis.sock zrange z 0 3 withscores
	redis-cli -s redis.sock debug reload 2>&1 | head -1 | cut -c1-3
	redis-cli -s redis.sock memory purge
	redis-cli -s redis.sock dbsize
	redis-cli -s redis.sock shutdown nosave
	wait "$server"
	echo "server $?"
	redis-check-rdb dump.rdb 2>/dev/null | grep -c 'RDB looks OK'
}

p_nginx() {
	needs nginx curl
	mkdir html logs tmp
	seq 1 20000 >html/numbers.txt
	port=$((20000 + $$ % 20000))
	cat >nginx.conf <<-END
	worker_processes 2;
	daemon off;
	pid $PWD/nginx.pid;
	error_log $PWD/logs/error.log;
	$([ "$(id -u)" = 0 ] && echo 'user root;')
	events { worker_connections 64; }
	http {
		access_log off;
		client_body_temp_path $PWD/tmp; proxy_temp_path $PWD/tmp;
		fastcgi_temp_path $PWD/tmp; uwsgi_temp_path $PWD/tmp; scgi_temp_path $PWD/tmp;
		gzip on; gzip_types text/plain;
		server { listen 127.0.0.1:$port; root $PWD/html; }
	}
	END
	nginx -p "$PWD" -c "$PWD/nginx.conf" >nginx.log 2>&1 &
	server=$!
	for i in $(seq 1 100); do
		curl -s -o /dev/null "http://127.0.0.1:$port/numbers.txt" && break
		sleep 0.1
	done
	for i in $(seq 1 40); do
		curl -s "http://127.0.0.1:$port/numbers.txt"
		curl -s --compressed "http://127.0.0.1:$port/numbers.txt"
	done | md5sum
	curl -s -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:$port/missing"
	kill -HUP "$server"
	sleep 0.5
	curl -s "http://127.0.0.1:$port/numbers.txt" | md5sum
	kill -QUIT "$server"
	wait "$server"
	echo "server $?"
	grep -c -E 'signal|alert|emerg' logs/error.log
}

p_java() {
	needs java javac
	cat >Hello.java <<-'END'
	import java.util.*;
	import java.util.zip.*;
	public class Hello {
		public static void main(String[] a) throws Exception {
			long[] sums = new long[8];
			Thread[] threads = new Thread[8];
			for (int k = 0; k < 8; k++) {
				final int me = k;
				threads[k] = new Thread(() -> {
					byte[] data = new byte[300000], out = new byte[400000];
					for (int i = 0; i < data.length; i++) data[i] = (byte)(i * me >> 5);
					for (int r = 0; r < 5; r++) {
						Deflater d = new Deflater();
						d.setInput(data); d.finish();
						sums[me] += d.deflate(out); d.end();
						sums[me] += java.nio.ByteBuffer.allocateDirect(100000).capacity();
					}
				});
				threads[k].start();
			}
			for (Thread t : threads) t.join();
			System.out.println("hello " + Arrays.toString(sums));
			Process p = new ProcessBuilder("/bin/echo", "from a child").start();
			System.out.println(new Scanner(p.getInputStream()).nextLine() + " " + p.waitFor());
		}
	}
	END
	javac -J-Xmx256m Hello.java && java -Xmx256m -Xss256k Hello
}

p_node() {
	needs node
	node -e '
	const zlib = require("zlib"), { Worker } = require("worker_threads");
	const objects = Array.from({ length: 200000 }, (_, i) => ({ i, s: "s" + i }));
	console.log(JSON.stringify(objects).length);
	const data = Buffer.alloc(3000000, "abcdef");
	console.log(zlib.gunzipSync(zlib.gzipSync(data)).equals(data));
	console.log(require("child_process").execSync("echo child").toString().trim());
	let left = 3;
	for (let k = 0; k < 3; k++)
		new Worker(`const a = []; for (let i = 0; i < 100000; i++) a.push("x" + i);
			require("worker_threads").parentPort.postMessage(a.join("").length)`, { eval: true })
			.on("message", (n) => console.log(n)).on("exit", () => --left || console.log("end"));'
}

p_apt() {
	needs apt-get apt-cache
	apt-cache dumpavail 2>/dev/null | md5sum
	apt-cache depends --recurse --no-recommends bash 2>/dev/null | sort | md5sum
	apt-get -s -o Debug::NoLocking=1 install nginx 2>/dev/null | md5sum
	apt-get -s -o Debug::NoLocking=1 update --print-uris 2>/dev/null | md5sum
	dpkg-query -W | md5sum
}

# Shells and programs under small limits of address space, in KiB.
p_ulimit64m() {
	bash -c 'ulimit -v 65536 || exit; ls -l /usr/lib | md5sum; seq 1 60000 | sort -n | md5sum
		echo $(seq 1 1000) | md5sum; head -c 1000000 /dev/zero | tr "\0" x | wc -c
		for i in 1 2 3; do (echo $i) | cat; done'
}

p_ulimit512m() {
	bash -c 'ulimit -v 524288 || exit; ls -lR /usr/share/doc | md5sum
		seq 1 500000 | sort -n | md5sum; seq 1 500000 | sort -R --random-source=<(yes) | md5sum
		command -v python3 >/dev/null && python3 -c "print(sum(len(str(i)) for i in range(300000)))"
		command -v perl >/dev/null && perl -e "print scalar(map { \$_ } 1 .. 300000), qq(\n)"'
}

# A set-user-id program: the loader ignores LD_PRELOAD there unless the library stands in a
# system directory and is set-user-id itself, so what is tested is that nothing is broken.
p_setuid() {
	[ "$(id -u)" = 0 ] || skip_because "not root"
	needs setpriv
	chmod 755 .
	cp "$(command -v id)" ./myid && chown 65534:65534 myid && chmod 4755 myid
	setpriv --reuid 1 --regid 1 --clear-groups ./myid -u 2>&1 | sed 's/ERROR: ld.so.*//'
	HZ_REPORT=$PWD/report ./myid -u 2>&1 | sed '/^ERROR: ld.so/d'
	ls report 2>&1
	command -v su >/dev/null && su -s /bin/sh -c 'echo "$(id -un)"' nobody 2>&1
}

p_man() {
	needs man groff
	[ -e "$(man -w bash 2>/dev/null)" ] || skip_because "there are no manual pages"
	MANWIDTH=80 man -P cat bash 2>&1 | md5sum
	MANWIDTH=80 man -P cat ls 2>&1 | md5sum
}

p_gdb() {
	needs gdb gcc
	cat >t.c <<-'END'
	#include <stdlib.h>
	struct node { struct node *next; int value; };
	int main(void)
	{
		struct node *list = NULL;
		for (int i = 0; i < 5; i++) {
			struct node *n = malloc(sizeof(*n));
			n->next = list;
			n->value = i;
			list = n;
		}
		return list->value;
	}
	END
	gcc -g -O0 t.c -o t
	gdb -q -nx -batch -ex 'set env LD_PRELOAD' -ex 'break 12' -ex run -ex 'p list->value' \
		-ex 'p *list->next.next' -ex 'info line main' -ex 'p sizeof(struct node)' \
		-ex continue ./t 2>&1 | grep -E '^\$' | sed 's/0x[0-9a-f]*/P/g'
}

p_openssl() {
	needs openssl
	head -c 3000000 /dev/zero >zero
	openssl dgst -sha256 zero
	openssl enc -aes-256-cbc -K "$(printf '%064d' 7)" -iv "$(printf '%032d' 7)" -in zero | md5sum
	openssl enc -base64 -in zero | md5sum
	openssl ciphers | tr : '\n' | sort | md5sum
}

# Persistence of both kinds: what a killed server had acknowledged is there when it starts again.
p_redis_aof() {
	needs redis-server redis-cli
	start() {
		redis-server --port 0 --unixsocket "$PWD/redis.sock" --dir "$PWD" --appendonly yes \
			--appendfsync always --enable-debug-command yes --save '' --activedefrag no >>server.log 2>&1 &
		server=$!
		for i in $(seq 1 200); do
			[ "$(redis-cli -s redis.sock ping 2>/dev/null)" = PONG ] && break
			sleep 0.1
		done
	}
	start
	for i in 1 2 3; do
		redis-cli -s redis.sock eval 'for i=1,6000 do local n = i + ARGV[1] * 1000
			redis.call("set", "k"..n, string.rep(i % 10, n % 700))
			redis.call("rpush", "l"..(n % 40), n); redis.call("sadd", "s", n % 555)
			if n % 3 == 0 then redis.call("del", "k"..(n - 2)) end end return "done"' 0 $i
	done
	redis-cli -s redis.sock bgrewriteaof
	while redis-cli -s redis.sock info persistence |
		grep -q aof_rewrite_in_progress:1; do sleep 0.1; done
	redis-cli -s redis.sock --raw debug digest | tee before
	kill -9 "$server"
	wait "$server" 2>/dev/null
	start
	redis-cli -s redis.sock --raw debug digest | cmp - before && echo same
	redis-cli -s redis.sock dbsize
	redis-cli -s redis.sock save
	redis-cli -s redis.sock shutdown nosave
	wait "$server"
	echo "server $?"
}

p_postgres() {
	local bin
	bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	[ -x "$bin/postgres" ] || bin=$(dirname "$(command -v postgres)" 2>/dev/null)
	[ -x "$bin/initdb" ] && [ -x "$bin/pgbench" ] || skip_because "postgres is not installed"
	[ -e "$("$bin/pg_config" --sharedir)/postgres.bki" ] || skip_because "postgres is incomplete"
	local as=
	if [ "$(id -u)" = 0 ]; then
		needs setpriv
		as="setpriv --reuid 65534 --regid 65534 --clear-groups"
		chown 65534:65534 .
	fi
	$as "$bin/initdb" -A trust -U me --locale=C --no-sync -D "$PWD/data" >initdb.log 2>&1
	echo "initdb $?"
	$as "$bin/postgres" -D "$PWD/data" -k "$PWD" -c listen_addresses= -c fsync=off \
		-c shared_buffers=16MB -c jit=off >server.log 2>&1 &
	server=$!
	export PGHOST=$PWD PGUSER=me PGDATABASE=postgres
	for i in $(seq 1 200); do
		"$bin/pg_isready" -q && break
		sleep 0.1
	done
	"$bin/pgbench" -i -s 1 -q >pgbench.log 2>&1
	"$bin/pgbench" -c 4 -j 2 -t 150 >>pgbench.log 2>&1
	echo "pgbench $?"
	"$bin/psql" -X -A -t <<-'END'
	SELECT count(*), sum(abalance) = (SELECT sum(bbalance) FROM pgbench_branches) FROM pgbench_accounts;
	CREATE TABLE t AS SELECT i, md5(i::text) m FROM generate_series(1, 60000) i;
	CREATE INDEX ON t (m);
	SELECT count(*), min(m), max(m) FROM t;
	SELECT count(*) FROM t a JOIN t b ON a.m < b.m AND b.i = a.i + 1;
	SELECT substr(m, 1, 1), count(*) FROM t GROUP BY 1 ORDER BY 1;
	SELECT length(string_agg(m, ',' ORDER BY i)) FROM t;
	DO $$ BEGIN FOR i IN 1..2000 LOOP PERFORM format('%s-%s', i, repeat('x', i)); END LOOP; END $$;
	VACUUM FULL t;
	END
	"$bin/pg_dump" -t t | grep -v '^-- Dumped\|restrict' | md5sum
	kill -INT "$server"
	wait "$server"
	echo "server $?"
	grep -c -E 'PANIC|signal|corrupt' server.log
}

# Logins on the loopback: privilege separation, its filter of system calls, a pseudo-terminal.
p_sshd() {
	[ "$(id -u)" = 0 ] || skip_because "not root"
	needs ssh ssh-keygen
	local daemon
	daemon=$(PATH=$PATH:/usr/sbin command -v sshd) || skip_because "sshd is not installed"
	[ -d /run/sshd ] || mkdir -m 755 /run/sshd 2>/dev/null || skip_because "there is no /run/sshd"
	local port=$((20000 + $$ % 20000))
	chmod 755 .
	ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f key
	cp key.pub authorized
	cat >sshd_config <<-END
	Port $port
	ListenAddress 127.0.0.1
	HostKey $PWD/host
	AuthorizedKeysFile $PWD/authorized
	PidFile $PWD/sshd.pid
	StrictModes no
	UsePAM no
	PermitRootLogin yes
	PasswordAuthentication no
	MaxStartups 100
	END
	"$daemon" -D -e -f "$PWD/sshd_config" >sshd.log 2>&1 &
	server=$!
	login() {
		ssh -q -F /dev/null -i key -p "$port" -o StrictHostKeyChecking=no -o BatchMode=yes \
			-o UserKnownHostsFile=/dev/null -o ConnectionAttempts=20 root@127.0.0.1 "$@"
	}
	for i in $(seq 1 100); do
		grep -q 'Server listening' sshd.log && break
		sleep 0.1
	done
	for i in $(seq 1 15); do
		login "echo login $i; exit 3"
		echo "$?"
	done
	login -tt 'tty >/dev/null && echo terminal' 2>/dev/null | tr -d '\r'
	seq 1 200000 | login 'cat | md5sum'
	login -C 'seq 1 200000' | md5sum
	kill "$server"
	wait "$server"
	grep -c -E 'fatal|Bad system call|segfault|mm_answer.*fail' sshd.log
}

# The interpreter's own tests of what leans on memory, threads and processes.
p_cpython() {
	needs python3
	python3 -c 'import test.test_list, test.test_json' 2>/dev/null ||
		skip_because "python3's tests are not installed"
	mkdir tmp
	PYTHONMALLOC=malloc TMPDIR=$PWD/tmp LIMIT='' python3 -m test -q --timeout 200 test_list test_dict \
		test_bytes test_json test_fork1 test_mmap test_zlib test_thread test_gc test_weakref \
		test_queue test_struct test_array test_deque test_pickle 2>&1 |
		grep -E '^(Result|test_.* (failed|crashed)|Total tests)' | sed 's/ in .*//; s/(.*)//'
}

# Its extensions are loaded with RTLD_DEEPBIND.
p_php() {
	needs php
	php -r '
	echo extension_loaded("ctype") + extension_loaded("tokenizer") + extension_loaded("posix"), "\n";
	for ($i = 0; $i < 200000; $i++) $a["k" . ($i * 7919 % 50021)][] = str_repeat("v", $i % 60);
	$n = 0; foreach ($a as $k => $v) foreach ($v as $s) $n += strlen($s);
	echo count($a), " $n ", ctype_alpha("abc") ? "alpha" : "?", "\n";
	echo count(token_get_all("<?php " . str_repeat("\$x = [1, 2, \"three\"];\n", 5000))), "\n";
	echo strlen(serialize($a)), " ", md5(json_encode($a)), "\n";
	echo strlen(preg_replace("/v{3,}/", "w", implode(",", array_map("implode", $a)))), "\n";
	echo posix_getpid() == getmypid() ? "posix" : "?", "\n";
	$z = iconv("UTF-8", "UTF-16", str_repeat("ä", 100000)); echo strlen($z), "\n";'
}

p_memcached() {
	needs memcached python3
	memcached -s "$PWD/cache.sock" -m 64 -t 4 $([ "$(id -u)" = 0 ] && echo -u root) >server.log 2>&1 &
	server=$!
	for i in $(seq 1 100); do
		[ -S cache.sock ] && break
		sleep 0.1
	done
	python3 - <<-'END'
	import socket, threading, hashlib
	def client(k, out):
	    s = socket.socket(socket.AF_UNIX); s.connect("cache.sock"); f = s.makefile("rwb")
	    h = hashlib.md5()
	    for i in range(3000):
	        v = (b"%d-" % i) * (i * 37 % 400 + 1)
	        f.write(b"set %d_%d 0 0 %d\r\n%s\r\n" % (k, i, len(v), v)); f.flush(); f.readline()
	        if i % 3 == 0:
	            f.write(b"get %d_%d\r\n" % (k, i)); f.flush()
	            n = int(f.readline().split()[3]); h.update(f.read(n + 2)); f.readline()
	    out[k] = h.hexdigest()
	out = {}
	t = [threading.Thread(target=client, args=(k, out)) for k in range(6)]
	[x.start() for x in t]; [x.join() for x in t]
	print(sorted(out.items()))
	END
	kill "$server"
	wait "$server"
	echo "server $?"
}

# A build of many files at once: make, cc, as, ld, ar.
p_make() {
	needs make cc ar nm
	for i in $(seq 1 120); do
		printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <math.h>\n
		struct s%d { int a[%d]; struct s%d *next; };\nint f%d(int x) { struct s%d *s =
		calloc(1, sizeof(*s)); for (int i = 0; i < %d; i++) s->a[i] = x * i ^ %d; int r = s->a[x %% %d];
		free(s); return r + (int)sqrt(x); }\n' $i $((i + 3)) $i $i $i $((i + 3)) $i $((i + 3)) >f$i.c
	done
	printf 'int main(void) { return 0; }\n' >main.c
	printf 'O = $(patsubst %%.c,%%.o,$(wildcard f*.c))\nall: p\np: main.o libf.a\n\tcc -o $@ main.o -L. -lf -lm\nlibf.a: $(O)\n\tar crD $@ $^\n%%.o: %%.c\n\tcc -O2 -g -frandom-seed=1 -ffile-prefix-map=$(CURDIR)=. -c $< -o $@\n' >Makefile
	make -s -j4 2>&1 && ./p && cat f*.o | md5sum
	nm libf.a | grep -c ' T f'
}

light="bash perl coreutils sedawk tarxz python ulimit64m"
all="$light zstd git gcc gxx sqlite3 redis nginx java node apt ulimit512m setuid man gdb openssl
	redis_aof postgres sshd cpython php memcached make"

# system_wide COMMAND...: with $1 in an /etc/ld.so.preload that nobody else sees.
system_wide() {
	local library=$1 upper
	shift
	upper=$(mktemp -d "$work/etc.XXXXXX") && mkdir "$upper/files" "$upper/work" &&
		chmod 755 "$upper/files" || return 99
	# shellcheck disable=SC2016
	unshare -m bash -c '
		mount -t overlay -o "lowerdir=/etc,upperdir=$1/files,workdir=$1/work" none /etc &&
		echo "$2" >/etc/ld.so.preload || exit 99
		shift 2
		exec "$@"' bash "$upper" "$library" "$@"
}

# members SESSION: its processes, and after them the processor time they have used.
members() {
	# shellcheck disable=SC2016
	cat /proc/[0-9]*/stat 2>/dev/null | awk -v session="$1" '{
		pid = $1
		sub(/.*\) /, "")
		if ($4 == session) {
			list = list pid " "
			used += $12 + $13 + $14 + $15
		}
	} END { print list; print used + 0 }'
}

# limited FILE COMMAND...: in a session of its own, its output into FILE; killed with all of the
# session (status 137) once LIMIT looks at it, a second apart, have found no processor time
# used, or after ten times as many. Looks are counted, not the clock: what stops or
# starves the program on a busy machine does the same to who looks.
limited() {
	local file=$1 session watcher status
	shift
	# shellcheck disable=SC2016
	setsid bash -c '"$@"' bash "$@" </dev/null >"$file" 2>&1 &
	session=$!
	(
		idle=0 last=
		for ((look = 0; look < 10 * LIMIT && idle < LIMIT; look++)); do
			sleep 1
			used=$(members "$session" | tail -n 1)
			if [ "$used" = "$last" ]; then idle=$((idle + 1)); else idle=0; fi
			last=$used
		done
		# shellcheck disable=SC2046
		kill -KILL $(members "$session" | head -n 1)
	) >/dev/null 2>&1 &
	watcher=$!
	wait "$session"
	status=$?
	kill "$watcher"
	return $status
}

# run NAME PRELOAD DIRECTORY: the function's output into DIRECTORY.out; its status.
run() {
	local with=env
	mkdir "$3"
	if [ -n "$2" ]; then
		with="env LD_PRELOAD=$2"
		[ -z "$system" ] || with="system_wide $2"
	fi
	# shellcheck disable=SC2016
	(
		cd "$3" || exit 99
		export -f needs skip_because system_wide "p_$1"
		export work
		# shellcheck disable=SC2086
		limited "$3.out" $with bash -c "p_$1" bash
	) 2>/dev/null
}

LD_PRELOAD=$HZ_SO cat /proc/self/maps | grep -q -F "$HZ_SO" || {
	echo "Bail out! $HZ_SO cannot be preloaded"
	exit 99
}

system=
if [ "${1:-}" = --system ]; then
	system=1
	shift
	seen=$(system_wide "$HZ_SO" env -i cat /proc/self/maps 2>&1)
	case $seen in
	*"$HZ_SO"*) ;;
	*)
		echo "1..0 # SKIP no /etc of our own: $(echo "$seen" | head -n 1)"
		exit 0
		;;
	esac
fi
[ $# -gt 0 ] || set -- all
names=
for name; do
	case $name in
	all) names="$names $all" ;;
	light) names="$names $light" ;;
	*) names="$names $name" ;;
	esac
done
echo "1..$(echo "$names" | wc -w)"
number=0 failed=0
for name in $names; do
	number=$((number + 1))
	if ! declare -F "p_$name" >/dev/null; then
		echo "Bail out! no program $name; there are: $all"
		exit 99
	fi
	run "$name" "" "$work/plain"
	status=$?
	if [ $status = 77 ]; then
		echo "ok $number - $name # SKIP $(cat "$work/why")"
	elif [ $status = 124 ] || [ $status = 137 ]; then
		echo "ok $number - $name # SKIP hangs or takes too long without the library"
	else
		run "$name" "$HZ_SO" "$work/hz"
		with=$?
		if [ $with = $status ] && cmp -s "$work/plain.out" "$work/hz.out"; then
			echo "ok $number - $name ($(wc -l <"$work/plain.out") lines)"
			[ -z "${HZ_TEST_VERBOSE:-}" ] || sed 's/^/# /' "$work/plain.out"
		else
			failed=$((failed + 1))
			echo "not ok $number - $name"
			echo "# exit $status without, $with with the library"
			diff "$work/plain.out" "$work/hz.out" | head -20 | cut -c1-200 | sed 's/^/# /'
		fi
	fi
	rm -rf "$work/plain" "$work/hz" "$work"/*.out
done
[ $failed = 0 ]
