#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""runs.py - the runners behind the shell scripts of this directory.

  runs.py suite              rows args, dist, mt r50, mt r90 -> SUMMARY.tsv
  runs.py matrix ...         lanes x remote shares -> ops.tsv, rss.tsv
  runs.py rows SETS OUTDIR   rows of rows.tsv -> raw.tsv, SUMMARY.tsv
  runs.py memts OUT ... -- CMD      memory over time of one command
  runs.py memts-summary CSV RC      its last line again
  runs.py soak-stats CSV ...        drift, CV, percentiles of epochs
  runs.py allocators OUTDIR         copy and verify, print name and path

Allocators come from the environment: <NAME>_SO=path.so each (HZ_SO is libhz),
PEERS="name=path.so ...", the C library always; ALLOCS="a b" picks and orders.
They are interleaved run by run, each round in another order."""

import argparse
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import benchlib as b  # noqa: E402
import compare  # noqa: E402

RAW = ("thread lane remote_pct alloc run ops_per_sec ru_maxrss_kb "
       "alloc_failed status log").split()
SUMMARY = ("row alloc runs ops_per_sec_median ops_per_sec_min "
           "ops_per_sec_max ratio noise unsure rss_kb_median rss_kb_min "
           "rss_kb_max rss_ratio cpu_s_median status").split()


def flag(name, default="1"):
    return os.environ.get(name, default) not in ("", "0", "no")


def count(name, default):
    value = os.environ.get(name) or str(default)
    if not value.isdigit():
        raise b.Failure("%s=%s is not a number" % (name, value))
    return int(value)


def small_host():
    """SMALL_HOST=1 or 0; otherwise fewer than 8 processors are small."""
    if os.environ.get("SMALL_HOST"):
        return flag("SMALL_HOST")
    return (os.cpu_count() or 1) < 8


def collect():
    """The allocators the environment names."""
    found = {}
    for key, path in sorted(os.environ.items()):
        if key.endswith("_SO") and key != "ALLOC_SO" and path:
            name = "libhz" if key == "HZ_SO" else key[:-3].lower()
            found[name] = b.Allocator(name, path)
    for text in os.environ.get("PEERS", "").split():
        a = b.Allocator.parse(text)
        found[a.name] = a
    if not [n for n in found if n != "libhz"]:
        for a in b.default_allocators():
            found.setdefault(a.name, a)
    if not any(n in found for n in b.SYSTEM_NAMES):
        found["sys"] = b.Allocator("sys", "-")
    order = os.environ.get("ALLOCS", "").split() or sorted(
        found, key=lambda n: (n != "libhz", n not in b.SYSTEM_NAMES, n))
    missing = [n for n in order if n not in found]
    if missing:
        raise b.Failure("ALLOCS names %s, but no .so is given for it"
                        % " ".join(missing))
    return [found[n] for n in order]


def start(outdir, allocs, extra=()):
    """Programs ready, allocators copied and verified, machine described."""
    os.makedirs(outdir, exist_ok=True)
    programs = b.find_programs(outdir)
    b.run_once.launch = programs["bench_launch"]
    b.prepare(allocs, outdir, programs)
    b.write_meta(outdir, list(extra))
    return programs


class Stopped(b.Failure):
    """Fail-fast: a run went wrong and ALLOW_FAIL is not set."""


def check(r, what):
    """Invalid runs are kept and marked; anything worse stops."""
    if r["status"] in ("ok", "invalid"):
        return
    message = "%s: %s, log %s" % (what, r["status"], r["log"])
    if not flag("ALLOW_FAIL", "0"):
        raise Stopped(message + " (ALLOW_FAIL=1 goes on)")
    sys.stderr.write(message + "\n")


def note(row, name, r):
    """Puts a run's figures into a Row."""
    if r["status"] != "ok":
        times = int((row.bad.get(name, "").split() or ["0", "0"])[-1]) + 1
        row.bad[name] = "%s %d" % (r["status"], times)
    if r["status"] in ("ok", "invalid"):
        for m in ("time", "cpu", "rss_kb", "post_kb", "minflt",
                  "ops_per_sec", "other"):
            row.add(m, name, r.get(m))


def write_summary(path, rows, names):
    with open(path, "w") as f:
        f.write("\t".join(SUMMARY) + "\n")
        for row in rows:
            for n in names:
                f.write("\t".join(summary_cells(row, n)) + "\n")


def spread_cells(row, metric, name, shape):
    v = row.samples.get(metric, {}).get(name)
    return [shape % x for x in (b.median(v), min(v), max(v))] if v \
        else [""] * 3


def summary_cells(row, name):
    t = row.samples.get("time", {}).get(name)
    status = row.bad.get(name, "ok" if t else "missing")
    if "/" in status:  # of a comparison: the log's path follows
        status = status.split()[0]
    if not t:
        return [row.label, name, "0"] + [""] * 11 + [status]
    cells = [row.label, name, str(len(t))]
    cells += spread_cells(row, "ops_per_sec", name, "%.0f")
    cells += ["%.3f" % row.ratio("time", name), "%.3f" % b.spread(t),
              "%d" % row.unsure("time", name)]
    cells += spread_cells(row, "rss_kb", name, "%.0f")
    cells += ["%.3f" % row.ratio("rss_kb", name),
              "%.3f" % b.median(row.samples["cpu"][name]),
              status if status == "ok" or not status[-1].isdigit()
              else "%s of %d" % (status, len(t))]
    return cells


def write_results(outdir, title, rows, names):
    """SUMMARY.tsv, metrics.tsv for the report, summary.md for people."""
    write_summary(os.path.join(outdir, "SUMMARY.tsv"),
                  [r for r in rows if r.samples.get("time") or r.bad], names)
    compare.write_summary(rows, names, os.path.join(outdir, "metrics.tsv"))
    write_tables(os.path.join(outdir, "summary.md"), title, rows, names)


def write_tables(path, title, rows, names):
    out = ["# " + title, ""]
    out += ["* %s: %s" % kv for kv in b.machine()]
    compare.focus_report(rows, names[0], names, out)
    for metric, text in compare.METRICS:
        compare.table(rows, names, metric, text, out)
    compare.figures_table(rows, names, out)
    compare.faults_table(rows, names, out)
    bad = [(r.label, n, w) for r in rows for n, w in sorted(r.bad.items())]
    if bad:
        out.append("\n## Failed or invalid\n")
        out += ["* %s, %s: %s" % x for x in bad]
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")


def interleave(row, words, allocs, runs, logs, timeout, each=None,
               stem=None):
    """Fills a Row round robin; `each` sees every run."""
    if compare.foreign(words):
        b.check_bindings(row.label, words, allocs, logs, timeout)
    for run in range(runs):
        for a in b.round_order(allocs, run):
            name = "%s.%s.%d" % (stem or row.label, a.name, run)
            r = b.run_once(words, a, os.path.join(logs, name + ".log"),
                           timeout, os.path.join(os.path.dirname(logs),
                                                 "hang_" + name))
            if each:
                each(a, run, r)
            check(r, "%s, %s, run %d" % (row.label, a.name, run))
            note(row, a.name, r)


# ---- suite ----------------------------------------------------------------

def suite_rows():
    """(switch, label, command) at the host's size."""
    small = small_host()
    iters, threads, mt = ((20000000, 2, 4000000) if small else
                          (50000000, 16, 2000000))
    mtr = "bench_random_mixed_mt_remote %d %d 400 16 2048 %%d 65536" % (
        threads, mt)
    return [
        ("RUN_ARGS", "args-small", "bench_malloc_args %d 400 16 2048" % iters),
        ("RUN_ARGS", "args-medium",
         "bench_malloc_args %d 400 4096 32768" % iters),
        ("RUN_ARGS", "args-mixed",
         "bench_malloc_args %d 400 16 32768" % iters),
        ("RUN_DIST", "dist-app",
         "bench_malloc_dist %d 400 16 32768 app" % iters),
        ("RUN_MT_R50", "mt-r50", mtr % 50),
        ("RUN_MT_R90", "mt-r90", mtr % 90)] + mimalloc_bench_rows()


def mimalloc_bench_rows():
    """Programs of an external, already built mimalloc-bench: external.tsv,
    with the labels that EXTERNAL_ROWS matches."""
    base = os.environ.get("MIMALLOC_BENCH")
    if not base or not flag("RUN_EXTERNAL"):
        return []
    n, rows = str(min(os.cpu_count() or 1, 16)), []
    wanted = re.compile(os.environ.get("EXTERNAL_ROWS") or "")
    with open(os.path.join(b.HERE, "external.tsv")) as f:
        table = [x.rstrip("\n").split("\t") for x in f if x[:1] != "#"]
    for name, arguments in (x for x in table if wanted.search(x[0])):
        places = [os.path.join(base, w, name) for w in ("", "out/bench")]
        path = [p for p in places
                if os.access(p, os.X_OK) and os.path.isfile(p)]
        if path:
            rows.append(("RUN_EXTERNAL", "external-" + name,
                         os.path.abspath(path[0]) + " "
                         + arguments.replace("{n}", n)))
        else:
            sys.stderr.write("MIMALLOC_BENCH: no program %s under %s\n"
                             % (name, base))
    if not rows:
        raise b.Failure("MIMALLOC_BENCH: nothing of external.tsv is under "
                        + base)
    return rows


def suite(_):
    outdir = os.environ.get("OUTDIR") or "suite"
    allocs, runs = collect(), count("RUNS", 11)
    programs = start(outdir, allocs, [("runs", runs)])
    names, rows = [a.name for a in allocs], []
    chosen = [x for x in suite_rows() if flag(x[0])]
    for i, (_, label, command) in enumerate(chosen):
        row = compare.Row(label)
        interleave(row, b.resolve(command, programs), allocs, runs,
                   os.path.join(outdir, "logs"), count("TIMEOUT_SEC", 120))
        rows.append(row)
        compare.progress([row], names, i + 1, len(chosen))
    for _, label, command in chosen:
        words = b.resolve(command, programs)
        if flag("DO_RSS", "0"):
            rss_logs(outdir, label, words, allocs)
        if flag("DO_PERF_STAT", "0"):
            perf_stat(outdir, label, words, allocs)
    write_results(outdir, "Suite", rows, names)
    return 0


def rss_logs(outdir, label, words, allocs):
    """One run each in which memory is sampled over time."""
    for a in allocs:
        stem = os.path.join(outdir, "%s.%s" % (label, a.name))
        log = b.run_once([sys.executable, os.path.abspath(__file__), "memts",
                          stem + ".mem.csv", "--preload", a.path, "--"]
                         + words, b.Allocator("sys", "-", a.env),
                         stem + ".rss.log", count("RSS_TIMEOUT_SEC", 120))
        check(log, "RSS of %s, %s" % (label, a.name))


def perf_stat(outdir, label, words, allocs):
    """perf stat of one run each; the events the machine has."""
    if not b.have("perf"):
        sys.stderr.write("DO_PERF_STAT: there is no perf; skipped\n")
        return
    with open(os.path.join(outdir, "perf_stat_%s.tsv" % label), "w") as f:
        f.write("alloc\tvalue\tunit\tevent\n")
        for a in allocs:
            env = dict(os.environ, **a.env)
            preload = [] if a.path == "-" else ["env", "LD_PRELOAD=" + a.path]
            p = subprocess.run(
                ["perf", "stat", "-x", "\t", "-e", "task-clock,page-faults,"
                 "context-switches,cycles,instructions,cache-misses,"
                 "dTLB-load-misses", "--"] + preload + words, env=env,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for line in p.stderr.decode("utf-8", "replace").splitlines():
                cells = line.split("\t")
                if len(cells) > 3:
                    f.write("\t".join([a.name] + cells[:3]) + "\n")


# ---- matrix ---------------------------------------------------------------

def read_lanes():
    """name -> (max, threads, iterations) for this host."""
    lanes, small = {}, small_host()
    with open(os.environ.get("HZ_BENCH_LANES") or
              os.path.join(b.HERE, "lanes.tsv")) as f:
        for line in f:
            if line.startswith("#") or not line.strip():
                continue
            name, top, t, i, st, si = line.split()
            lanes[name] = (int(top), int(st if small else t),
                           int(si if small else i))
    return lanes


def matrix_arguments(words):
    """The options, and allocators given as --<name>-so PATH."""
    p = argparse.ArgumentParser(prog="ssot_mt_remote_matrix.sh")
    p.add_argument("--runs", type=int, default=10)
    p.add_argument("--rss-runs", type=int, default=3)
    p.add_argument("--allocs", default="")
    p.add_argument("--outdir", required=True)
    p.add_argument("--lanes", default="", help="of lanes.tsv, comma list")
    p.add_argument("--remotes", default="0,50,90")
    p.add_argument("--bench-args", help="'T iters ws min max remote ring' "
                   "instead of lanes")
    p.add_argument("--timeout", type=float, default=120)
    args, rest = p.parse_known_args(words)
    while rest:
        m = re.fullmatch(r"--([a-z0-9_.+-]+)-so(?:=(.*))?", rest.pop(0))
        if not m or (m.group(2) is None and not rest):
            p.error("an option it does not know, or one without a value")
        path = m.group(2) if m.group(2) is not None else rest.pop(0)
        name = "libhz" if m.group(1) == "hz" else m.group(1)
        os.environ["PEERS"] = "%s %s=%s" % (os.environ.get("PEERS", ""),
                                            name, path)
    if args.allocs:
        os.environ["ALLOCS"] = " ".join(
            "libhz" if n == "hz" else n for n in args.allocs.split(","))
    return args


def matrix_cells(args):
    """(lane, threads, remote, arguments of the program)."""
    if args.bench_args:
        w = args.bench_args.split()
        if len(w) < 6:
            raise b.Failure("--bench-args is 'T iters ws min max remote ...'")
        return [("custom", int(w[0]), int(w[5]), w)]
    lanes, cells = read_lanes(), []
    for lane in (args.lanes or "main").split(","):
        if lane not in lanes:
            raise b.Failure("no lane %s in lanes.tsv" % lane)
        top, threads, iters = lanes[lane]
        for remote in args.remotes.split(","):
            cells.append((lane, threads, int(remote), [
                str(threads), str(iters), "400", "16", str(top), remote,
                "65536"]))
    return cells


def matrix(words):
    args = matrix_arguments(words)
    allocs = collect()
    programs = start(args.outdir, allocs,
                     [("runs", args.runs), ("rss_runs", args.rss_runs),
                      ("small_host", int(small_host()))])
    names, rows = [a.name for a in allocs], []
    logs = os.path.join(args.outdir, "logs")
    files = {k: open(os.path.join(args.outdir, k + ".tsv"), "w")
             for k in ("ops", "rss")}
    for f in files.values():
        f.write("\t".join(RAW) + "\n")
    cells = matrix_cells(args)
    for i, (lane, threads, remote, line) in enumerate(cells):
        row = compare.Row("%s-T%d-r%d" % (lane, threads, remote))
        program = [programs["bench_random_mixed_mt_remote"]] + line
        for kind, runs in (("ops", args.runs), ("rss", args.rss_runs)):
            target = row if kind == "ops" else compare.Row(row.label)

            def each(a, run, r, kind=kind):
                files[kind].write("\t".join(str(x) for x in (
                    threads, lane, remote, a.name, run,
                    int(r.get("ops_per_sec") or 0), int(r["rss_kb"] or 0),
                    r.get("alloc_failed", 0), r["status"], r["log"])) + "\n")
                files[kind].flush()
            interleave(target, program, allocs, runs, logs, args.timeout,
                       each, row.label + "." + kind)
            for n, v in target.samples.get("rss_kb", {}).items():
                if kind == "rss":
                    row.samples["rss_kb"][n] = \
                        row.samples["rss_kb"].get(n, []) + v
        rows.append(row)
        compare.progress([row], names, i + 1, len(cells))
    for f in files.values():
        f.close()
    write_results(args.outdir, "mt_remote matrix", rows, names)
    return 0


# ---- rows of rows.tsv, real programs --------------------------------------

def rows_command(words):
    """runs.py rows SETS OUTDIR"""
    if len(words) != 2:
        raise b.Failure("usage: runs.py rows SETS OUTDIR")
    outdir, runs = words[1], count("RUNS", 7)
    allocs = collect()
    programs = start(outdir, allocs, [("runs", runs)])
    args = argparse.Namespace(set=words[0], row=[], rows=None, runs=runs,
                              out=outdir, timeout=count("TIMEOUT_SEC", 120),
                              quiet=None)
    if words[0] == "app":
        chosen = [(os.environ.get("APP_NAME", "app"),
                   ["sh", "-c", os.environ["APP_CMD"]], {})]
        args.runs = count("APP_RUNS", 5)
    else:
        chosen = compare.choose_rows(args)
    names, done = [a.name for a in allocs], []
    with open(os.path.join(outdir, "raw.tsv"), "w") as raw:
        raw.write(compare.RAW_HEADER)
        for i, result in enumerate(compare.measure(args, allocs, chosen,
                                                   programs, raw)):
            compare.progress(result, names, i + 1, len(chosen))
            done += result
            for r in result:
                if r.bad and not flag("ALLOW_FAIL", "0") and any(
                        not w.startswith("invalid") for w in r.bad.values()):
                    raise Stopped("%s: %s" % (r.label, r.bad))
    write_results(outdir, "Rows", done, names)
    return 0


# ---- memory over time -----------------------------------------------------

def sample(pid, full):
    """rss_kb, vms_kb, pss_kb, uss_kb of a process; None when it is gone."""
    try:
        with open("/proc/%d/statm" % pid) as f:
            size, resident = f.read().split()[:2]
        kb = os.sysconf("SC_PAGE_SIZE") // 1024
        row = [int(resident) * kb, int(size) * kb, "", ""]
        if full:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                text = f.read()
            row[2] = int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
            row[3] = sum(map(int, re.findall(r"^Private_\w+:\s+(\d+)", text,
                                             re.M)))
        return row if row[0] else None
    except (OSError, ValueError, AttributeError):
        return None


def memts_line(path, rc):
    """The [MEM_TS] line of a CSV."""
    with open(path) as f:
        rss = [int(line.split(",")[1]) for line in f if line[:1].isdigit()]
    if not rss:
        return "[MEM_TS] out=%s rc=%d n=0" % (path, rc)
    return ("[MEM_TS] out=%s rc=%d n=%d mean_kb=%d max_kb=%d p95_kb=%d"
            % (path, rc, len(rss), round(sum(rss) / len(rss)), max(rss),
               b.p95_nearest(rss)))


def memts(words):
    """memts OUT [--preload SO] -- CMD"""
    try:
        at = words.index("--")
        out, options, command = words[0], words[1:at], words[at + 1:]
        command[0]
    except (ValueError, IndexError):
        raise b.Failure("usage: OUT=file measure_mem_timeseries.sh CMD ...")
    interval = count("INTERVAL_MS", 50) / 1000 or 0.001
    every, env = count("PSS_EVERY", 20), dict(os.environ)
    if "--preload" in options and options[-1] != "-":
        env["LD_PRELOAD"] = options[-1]
    p = subprocess.Popen(command, env=env)
    begin, n = time.monotonic(), 0
    with open(out, "w") as f:
        f.write("t_ms,rss_kb,vms_kb,pss_kb,uss_kb\n")
        while p.poll() is None:
            row = sample(p.pid, every and n % every == 0)
            now = time.monotonic()
            if row:
                f.write(",".join(map(str, [round((now - begin) * 1000)]
                                     + row)) + "\n")
                n += 1
            time.sleep(max(0, begin + n * interval - time.monotonic())
                       if row else interval / 10)
    rc = p.returncode if p.returncode >= 0 else 128 - p.returncode
    print(memts_line(out, rc))
    return rc


def memts_summary(words):
    print(memts_line(words[0], int(words[1])))
    return 0


# ---- soak -----------------------------------------------------------------

def read_soak(path):
    with open(path) as f:
        lines = [x.strip().split(",") for x in f if x[:1].isdigit()]
    keys = ("t_s", "ops", "ops_per_sec", "rss_kb", "vms_kb", "minflt",
            "majflt", "syscalls")
    return [dict(zip(keys, x)) for x in lines]


def soak_line(path):
    """Drift of RSS between the first and the last tenth, variation of the
    rate, percentiles of the time per op over epochs (p99.9 is the slowest)."""
    rows = read_soak(path)
    if not rows:
        raise b.Failure(path + ": no epochs")
    rss = [float(r["rss_kb"]) for r in rows]
    rate = [float(r["ops_per_sec"]) for r in rows]
    tenth = max(1, len(rows) // 10)
    first, last = (sum(x) / tenth for x in (rss[:tenth], rss[-tenth:]))
    ns = [1e9 / r for r in rate]
    known = [r for r in rows if r.get("syscalls")]
    ops = sum(float(r["ops"]) for r in known)
    calls = "%.3g" % (sum(float(r["syscalls"]) for r in known) / ops) \
        if ops else "unknown"
    return ("[SOAK] file=%s epochs=%d drift_pct=%.2f cv=%.4f "
            "ns_per_op_p50=%.2f p90=%.2f p99=%.2f p99.9=%.2f rss_kb_mean=%d "
            "syscalls_per_op=%s"
            % (os.path.basename(path), len(rows), 100 * (last - first)
               / first, b.cv(rate), *(b.quantile(ns, q) for q in
                                      (.5, .9, .99, .999)),
               sum(rss) / len(rss), calls))


def soak_stats(words):
    if not words:
        raise b.Failure("usage: runs.py soak-stats CSV ...")
    for path in words:
        print(soak_line(path))
    return 0


def allocators(words):
    """Copies and verifies; one line `name path` each."""
    outdir = words[0] if words else "."
    allocs = collect()
    programs = start(outdir, allocs)
    for a in allocs:
        print(a.name, a.path)
    print("programs", os.path.dirname(programs["bench_launch"]))
    return 0


COMMANDS = {"suite": suite, "matrix": matrix, "rows": rows_command,
            "memts": memts, "memts-summary": memts_summary,
            "soak-stats": soak_stats, "allocators": allocators}


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.stderr.write(__doc__ + "\n")
        return 2
    return COMMANDS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    b.main_guard(main)
