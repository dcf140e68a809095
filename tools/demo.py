# SPDX-License-Identifier: MIT
"""The program that ./bootstrap demo runs: allocates like a small service, prints checksums.

Four threads parse and build JSON records, a dictionary of all of them is sorted and summed
up, three quarters are dropped, and a child process does a part of it again. What it prints
depends on its data alone, so it is the same under every malloc. Under libhz, HZ_DEMO_REPORT
names a file for the library's own report, written while the records are still there.

Run with PYTHONMALLOC=malloc: otherwise small objects never reach malloc.
"""

import ctypes
import hashlib
import json
import os
import subprocess
import sys
import threading

RECORDS = 200_000
THREADS = 4


def record(i):
    return json.dumps({"id": i, "name": "name-%d" % (i * 7919 % 1_000_003),
                       "tags": ["t%d" % (i % k) for k in (3, 7, 31)],
                       "text": "x" * (i * 31 % 400)})


def work(part, lines):
    """Builds every THREADS-th record as text and keeps what parsing it gives."""
    for i in range(part, RECORDS, THREADS):
        lines[i] = json.loads(record(i))


def digest(records):
    total = hashlib.sha256()
    for r in records:
        total.update(json.dumps(r, sort_keys=True).encode())
    return total.hexdigest()[:16]


def main():
    lines = [None] * RECORDS
    threads = [threading.Thread(target=work, args=(n, lines)) for n in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print("%d records by %d threads: %s" % (len(lines), THREADS, digest(lines)))

    by_name = sorted(lines, key=lambda r: r["name"])
    print("sorted by name:", digest(by_name))
    print("bytes of text:", sum(len(r["text"]) for r in by_name))

    by_name = None
    kept = [r for r in lines if r["id"] % 4 == 0]
    lines = None
    print("a quarter kept: %d records: %s" % (len(kept), digest(kept)))

    child = "import json; print('a child process:', sum(len(json.dumps([i] * 50)) for i in range(2000)))"
    print(subprocess.run([sys.executable, "-c", child], stdout=subprocess.PIPE, check=True,
                         universal_newlines=True).stdout.strip())
    sys.stdout.flush()

    path = os.environ.get("HZ_DEMO_REPORT")
    if path:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        if ctypes.CDLL(None).hz_report_write(fd, 0) != 0:
            sys.exit("hz_report_write failed")
        os.close(fd)


main()
