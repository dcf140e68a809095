# SPDX-License-Identifier: MIT
"""What the bench's Python programs share: allocators and their verification,
running one command through bench_launch, reading its output, statistics.

Standard library only.  No figure leaves this module for an allocator that
bench_verify did not find in force; every library is copied first, so a rebuild
during a run cannot change what is measured."""

import glob
import hashlib
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
PROGRAMS = [os.path.splitext(f)[0] for f in sorted(os.listdir(HERE))
            if f.startswith("bench_") and f.endswith(".c")]
DEBIAN = "/usr/lib/%s-linux-gnu/" % os.uname().machine
DEFAULT_PEERS = [("jemalloc", DEBIAN + "libjemalloc.so.2"),
                 ("tcmalloc", DEBIAN + "libtcmalloc_minimal.so.4"),
                 ("mimalloc", DEBIAN + "libmimalloc.so.2.0")]
# The C library's own allocator: no preload.
SYSTEM_NAMES = ("sys", "glibc", "system")


class Failure(Exception):
    """Something that must stop the run; its text says what to do."""


# ---- statistics -----------------------------------------------------------

def quantile(values, q):
    """Linear between the two nearest of the sorted values."""
    s = sorted(values)
    at = q * (len(s) - 1)
    low = math.floor(at)
    high = min(low + 1, len(s) - 1)
    return s[low] + (s[high] - s[low]) * (at - low)


def median(values):
    return quantile(values, 0.5)


def p95_nearest(values):
    """Element (n * 95 + 99) / 100, counted from one, of the sorted values."""
    s = sorted(values)
    return s[(len(s) * 95 + 99) // 100 - 1]


def geomean(values):
    v = [x for x in values if x and x > 0]
    return math.exp(sum(map(math.log, v)) / len(v)) if v else float("nan")


def cv(values):
    """Coefficient of variation: sample standard deviation over the mean."""
    m = sum(values) / len(values)
    if len(values) < 2 or not m:
        return 0.0
    return math.sqrt(sum((x - m) ** 2 for x in values)
                     / (len(values) - 1)) / m


def spread(values):
    """Noise: (max - min) / median."""
    m = median(values)
    return (max(values) - min(values)) / m if m else 0.0


def overlap(a, b):
    """True when the middle halves of two samples overlap, or when there are
    too few of them: no difference can be claimed."""
    return (min(len(a), len(b)) < 3 or quantile(a, .25) <= quantile(b, .75)
            and quantile(b, .25) <= quantile(a, .75))


# ---- allocators -----------------------------------------------------------

class Allocator:
    """A name, the .so it stands for ("-" for the C library) and environment
    variables that belong to it."""

    def __init__(self, name, path, env=None):
        self.name, self.path, self.env = name, path, env or {}
        self.source, self.sha1 = path, "-"

    @classmethod
    def parse(cls, text):
        """name=path.so or name=path.so@VAR=value,VAR=value; `sys` alone."""
        if text in SYSTEM_NAMES:
            return cls(text, "-")
        name, eq, rest = text.partition("=")
        if not eq or not re.fullmatch(r"[A-Za-z0-9_.+-]+", name):
            raise Failure("an allocator is name=path.so, not %r" % text)
        path, _, variables = rest.partition("@")
        env = dict(v.split("=", 1) for v in variables.split(",") if "=" in v)
        return cls(name, path, env)

    def install(self, outdir):
        """Copies the library into outdir/dso and notes its sum."""
        if self.path == "-":
            return
        if not os.path.isfile(self.path):
            raise Failure("%s: no such library: %s" % (self.name, self.path))
        with open(self.path, "rb") as f:
            data = f.read()
        self.sha1 = hashlib.sha1(data).hexdigest()
        copy = os.path.join(os.path.abspath(outdir), "dso", self.name + ".so")
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        if not os.path.exists(copy) or sha1_of(copy) != self.sha1:
            with open(copy + ".new", "wb") as f:
                f.write(data)
            os.replace(copy + ".new", copy)
        self.path = copy


def sha1_of(path):
    with open(path, "rb") as f:
        return hashlib.sha1(f.read()).hexdigest()


def default_allocators():
    found = [Allocator("sys", "-")]
    for name, path in DEFAULT_PEERS:
        if os.path.exists(path):
            found.append(Allocator(name, path))
    return found


def verify(alloc, outdir, programs):
    """Runs bench_verify under the preload; raises unless it is in force."""
    where = os.path.join(outdir, "preload_verify_" + alloc.name)
    os.makedirs(where, exist_ok=True)
    cost = os.path.join(where, "cost")
    env = dict(os.environ, **alloc.env)
    try:
        p = subprocess.run([programs["bench_launch"], cost, alloc.path,
                            programs["bench_verify"], alloc.path],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=30, env=env)
        text, status = p.stdout.decode("utf-8", "replace"), p.returncode
    except subprocess.TimeoutExpired:
        text, status = "[VERIFY] fail: no end after 30 s\n", 124
    with open(os.path.join(where, "ssot_header.txt"), "w") as f:
        f.write("[PRELOAD] name=%s source=%s copy=%s sha1=%s env=%s\n"
                % (alloc.name, alloc.source, alloc.path, alloc.sha1,
                   ",".join("%s=%s" % v for v in sorted(alloc.env.items()))))
        f.write(text)
    if status or "[VERIFY] ok" not in text:
        raise Failure("%s: the preload is not in force or is broken "
                      "(status %d), see %s" % (alloc.name, status,
                                               os.path.join(where,
                                                            "ssot_header.txt")))


def prepare(allocs, outdir, programs):
    """Copies and verifies all; writes dso_sha1.txt.  Before any figure."""
    os.makedirs(outdir, exist_ok=True)
    if len({a.name for a in allocs}) != len(allocs):
        raise Failure("two allocators of one name")
    for a in allocs:
        a.install(outdir)
        verify(a, outdir, programs)
    with open(os.path.join(outdir, "dso_sha1.txt"), "w") as f:
        for a in allocs:
            f.write("%s  %s  %s\n" % (a.sha1, a.name,
                                     os.path.basename(a.source)))


# ---- programs -------------------------------------------------------------

def find_programs(outdir, bin_dir=None):
    """The bench programs: --bin, $HZ_BENCH_BIN, the build tree, or compiled
    here when there is no build."""
    places = [bin_dir, os.environ.get("HZ_BENCH_BIN"),
              os.path.join(TOP, "build", "bench"), HERE]
    for place in filter(None, places):
        found = {p: os.path.join(os.path.abspath(place), p) for p in PROGRAMS}
        if all(os.access(f, os.X_OK) for f in found.values()) and (
                place in places[:2]
                or all(os.path.getmtime(f) >= newest_source(p)
                       for p, f in found.items())):
            return found
        if bin_dir:
            raise Failure("not all bench programs are in " + bin_dir)
    return compile_programs(os.path.join(os.path.abspath(outdir), "bin"))


def newest_source(program):
    return max(os.path.getmtime(os.path.join(HERE, f))
               for f in (program + ".c", "bench.h"))


def compile_programs(where):
    os.makedirs(where, exist_ok=True)
    cc = os.environ.get("CC", "cc").split()
    found = {}
    for p in PROGRAMS:
        found[p] = os.path.join(where, p)
        if (os.path.exists(found[p])
                and os.path.getmtime(found[p]) >= newest_source(p)):
            continue
        subprocess.run(cc + ["-std=gnu11", "-O2", "-pthread", "-o", found[p],
                             os.path.join(HERE, p + ".c"), "-ldl"],
                       check=True)
    return found


def runnable(command):
    """A program of ours, or one that is installed (also behind env)."""
    words = [w for w in command.split() if w != "env" and "=" not in w]
    return (words[0] in PROGRAMS + ["{python}"]
            or shutil.which(words[0]) is not None)


def resolve(command, programs):
    """The words of a command with the bench's own names made paths."""
    words = command.split() if isinstance(command, str) else list(command)
    words = [w.replace("{here}", HERE).replace("{python}", sys.executable)
             for w in words]
    return [programs.get(words[0], words[0])] + words[1:]


# ---- which library serves malloc in programs of others ---------------------

BINDING = re.compile(r"binding file (.+?) \[\d+\] to (.+?) \[\d+\]: "
                     r"normal symbol `(\w+)'")


def read_bindings(stem):
    """{program: library} of what the loader wrote to stem.bind.PID, one file
    a process; None when it wrote nothing even of the launcher.  All objects
    of a program bind malloc alike, so one that does not itself call it has
    what the others have."""
    found, asked = {}, False
    for path in glob.glob(glob.escape(stem) + ".bind.*"):
        mine, last = {}, None
        with open(path, errors="replace") as f:
            for name, library, symbol in BINDING.findall(f.read()):
                name = os.path.basename(name)
                if ".so" not in name:
                    mine.setdefault(name, None)
                if symbol == "malloc":
                    last = os.path.realpath(library)
                    if name in mine:
                        mine[name] = last
        os.unlink(path)
        if "bench_launch" in mine:
            asked = True
        else:
            found.update({n: x or last for n, x in mine.items() if x or last})
    return found if asked or found else None


def check_bindings(label, words, allocs, outdir, timeout=120):
    """One run each of a command that is not ours, in which the loader writes
    down what it binds.  bench_verify says that a library works, not that this
    program takes malloc from it: a static one cannot, and one that is linked
    to an allocator of its own would stand for the C library's.  So whatever
    takes it from a preloaded library must take it from each, and without one
    from the C library.  What was found stays in LABEL.ALLOCATOR.bindings."""
    found = {}
    for a in allocs:
        stem = os.path.join(outdir, "%s.%s" % (label, a.name))
        run_once(words, a, stem + ".bind.log", timeout, None,
                 {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": stem + ".bind"})
        found[a] = read_bindings(stem)
        with open(stem + ".bindings", "w") as f:
            f.writelines("%s\t%s\n" % x
                         for x in sorted((found[a] or {}).items()))
    preloaded = [a for a in allocs if a.path != "-"]
    if None in found.values() or not preloaded:
        return  # a loader that cannot be asked, or nothing to compare
    served = {p for a in preloaded for p, x in found[a].items()
              if x == os.path.realpath(a.path)}
    if served == {"sh"}:
        sys.stderr.write("%s: only the shell takes malloc from the allocators\n"
                         % label)
    served = served - {"sh"} or served
    for a in allocs:
        wrong = {p: found[a][p] for p in served if p in found[a] and not
                 (is_libc(found[a][p]) if a.path == "-" else
                  found[a][p] == os.path.realpath(a.path))}
        if wrong or not served:
            raise Failure("%s, %s: malloc comes from elsewhere: %s" % (
                label, a.name, ", ".join(
                    "%s has %s" % (p, os.path.basename(x))
                    for p, x in sorted((wrong or found[a]).items()))))


def is_libc(path):
    return re.match(r"(libc[.-]|ld-musl)", os.path.basename(path))


# ---- one run --------------------------------------------------------------

# Programs of others that run for a fixed time and print a rate, in operations
# per second or millions of them.
RATES = [re.compile(x, re.M) for x in (
    r"^Throughput = +(\d+) operations per second()",
    r"free/sec: ([\d.]+) (M)",
    r"\.(\d+) memory ops/CPU second()",
    r"^(\d+) iterations$()")]
# Their time is that of so many: between 1 and 10 s on one fast processor.
RATE_OPS = 1e8

def parse_output(text):
    """key=value of tagged lines as TAG.key (TAG.step.key where a line has
    step=), of the last line with ops/s= as bare keys."""
    out = {}
    for line in text.splitlines():
        pairs = re.findall(r"([A-Za-z0-9_/]+)=([^\s=]+)", line)
        tag = re.match(r"\[([A-Z_]+)\]", line)
        if tag:
            d = dict(pairs)
            prefix = tag.group(1) + "."
            if "step" in d:
                prefix += d["step"] + "."
            for k, v in pairs:
                out[prefix + k] = v
        elif "ops/s=" in line:
            out.update(pairs)
    if "ops/s" not in out:
        for m in filter(None, (r.search(text) for r in RATES)):
            rate = float(m.group(1)) * (1e6 if m.group(2) else 1)
            if rate > 0:
                out.update({"ops/s": rate, "time": RATE_OPS / rate})
    return out


def number(values, key):
    try:
        return float(str(values.get(key, "")).rstrip("%"))
    except ValueError:
        return None


def read_costs(path):
    with open(path) as f:
        return {k: float(v) for k, v in
                (line.strip().split("=", 1) for line in f if "=" in line)}


def other_cpu(before, after, own):
    """CPU seconds that others used meanwhile."""
    return max(0.0, (after - before) / os.sysconf("SC_CLK_TCK") - own)


def busy_jiffies():
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:9]]
    return sum(v) - v[3] - v[4]


def stop(p):
    """Ends a launcher and all of its session; it may have ended itself."""
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_once(words, alloc, log, timeout=120, hang_dir=None, extra_env=None):
    """One measured run.  Returns a dict with rc, status, time, wall, cpu,
    rss_kb, minflt, ...; status is ok, failed, invalid, timeout or a signal.
    `words` are resolved; `log` gets the program's whole output."""
    os.makedirs(os.path.dirname(log), exist_ok=True)
    launch = os.path.join(os.path.dirname(words[0]), "bench_launch")
    if not os.access(launch, os.X_OK):
        launch = run_once.launch
    cost = log + ".cost"
    if os.path.exists(cost):
        os.unlink(cost)
    env = dict(os.environ, **alloc.env)
    env.update(extra_env or {})
    busy = busy_jiffies()
    start = time.monotonic()
    with open(log, "wb") as f:
        p = subprocess.Popen([launch, cost, alloc.path] + words, stdout=f,
                             stderr=subprocess.STDOUT, env=env,
                             start_new_session=True)
        try:
            rc = p.wait(timeout)
            status = "ok"
        except subprocess.TimeoutExpired:
            if hang_dir:
                capture_hang(p.pid, hang_dir)
            stop(p)
            rc, status = p.wait(), "timeout"
        except BaseException:
            stop(p)
            raise
    wall = time.monotonic() - start
    with open(log, "rb") as f:
        text = f.read().decode("utf-8", "replace")
    v = parse_output(text)
    r = {"rc": rc, "status": status, "out": v, "log": log, "text": text,
         "wall": wall, "time": None, "cpu": None, "rss_kb": None,
         "minflt": None, "majflt": None}
    if status == "timeout":
        return r
    c = read_costs(cost)
    os.unlink(cost)
    r.update(wall=c["wall_s"], cpu=c["user_s"] + c["sys_s"],
             rss_kb=c["maxrss_kb"], minflt=c["minflt"], majflt=c["majflt"],
             sys=c["sys_s"])
    r["other"] = other_cpu(busy, busy_jiffies(), r["cpu"]) / max(wall, 1e-9)
    r["time"] = number(v, "time") or r["wall"]
    r["ops_per_sec"] = number(v, "ops/s")
    r["post_kb"] = number(v, "PROCESS_MEMORY.post_rss_kb")
    r["alloc_failed"] = int(number(v, "ALLOC_FAILURES.count") or
                            ("alloc failed" in text))
    if c["signal"]:
        r["status"] = signal.Signals(int(c["signal"])).name
    elif r["alloc_failed"]:
        r["status"] = "alloc_failed"
    elif rc:
        r["status"] = "failed"
    elif "[INVALID]" in text:
        r["status"] = "invalid"
    return r


run_once.launch = None


def capture_hang(pid, where):
    """What hz-hang-capture sees of the process and its children."""
    subprocess.run([os.path.join(HERE, "hz-hang-capture"), "--out", where,
                    "--no-kill", str(pid)], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def round_order(items, number):
    """The items in the order of round `number`: a Williams square, in which each
    starts as often and follows each other one equally often, over as many rounds
    as there are items (twice as many if that is odd).  In a rotated order one
    would always follow the same other, and what a run leaves to the next, free
    huge pages above all, would be that one's alone."""
    n = len(items)
    order = [(number + (i // 2 if i % 2 == 0 else n - (i + 1) // 2)) % n
             for i in range(n)]
    if n % 2 and number // n % 2:
        order.reverse()
    return [items[i] for i in order]


# ---- the machine ----------------------------------------------------------

def first_match(path, pattern):
    try:
        with open(path) as f:
            m = re.search(pattern, f.read(), re.M)
        return m.group(1).strip() if m else "?"
    except OSError:
        return "?"


def machine():
    """Description of the machine as key, value pairs; no names of hosts."""
    u = os.uname()
    rows = [("date", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
            ("cpu", first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)$")),
            ("cpus", str(os.cpu_count())),
            ("memory_kb", first_match("/proc/meminfo",
                                      r"^MemTotal:\s+(\d+)")),
            ("kernel", u.sysname + " " + u.release),
            ("system", first_match("/etc/os-release",
                                   r'^PRETTY_NAME="?([^"\n]*)')),
            ("libc", " ".join(os.confstr("CS_GNU_LIBC_VERSION").split())
             if hasattr(os, "confstr") else "?"),
            ("thp", first_match("/sys/kernel/mm/transparent_hugepage/enabled",
                                r"\[(\w+)\]")),
            ("loadavg", " ".join("%.2f" % x for x in os.getloadavg()))]
    commit = ""
    if have("git"):
        commit = subprocess.run(["git", "-C", TOP, "rev-parse", "--short", "HEAD"],
                                stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout.decode().strip()
    rows.append(("commit", commit or "?"))
    return rows


def write_meta(outdir, extra=()):
    with open(os.path.join(outdir, "meta.txt"), "w") as f:
        for k, v in machine() + list(extra):
            f.write("%s=%s\n" % (k, v))


def have(tool):
    return shutil.which(tool) is not None


def main_guard(main):
    """Runs a main(); a Failure is one line on stderr and status 1."""
    try:
        sys.exit(main())
    except Failure as e:
        sys.stderr.write("%s: %s\n" % (os.path.basename(sys.argv[0]), e))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
