#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare.py - allocators beside each other, interleaved run by run.

  compare.py --alloc libhz=build/.libs/libhz.so --alloc sys \\
             --alloc jemalloc=/usr/lib/.../libjemalloc.so.2 --set quick
  compare.py ... --row 'label: bench_malloc_args 5000000 400 16 2048'
  compare.py ... --set quick --rows 'mtr|larson'

Every row runs round robin over the allocators, each round in another order, so
that each follows each other equally often.  Cells are ratios to the row's best,
of the median run and of the fastest; `~` marks a cell whose middle half overlaps
the best's, so that no difference can be claimed.  Raw figures and logs stay in
--out."""

import argparse
import os
import re
import signal
import sys
import time

sys.dont_write_bytecode = True
import benchlib as b  # noqa: E402

METRICS = [("time", "Time, s"), ("cpu", "CPU (user+sys), s"),
           ("rss_kb", "Peak RSS, MiB")]
RAW_HEADER = ("row\talloc\trun\tstatus\ttime_s\twall_s\tcpu_s\trss_kb\t"
              "post_rss_kb\tminflt\tother_cpus\tlog\n")


def read_rows(path):
    """(sets, label, command, further) of a rows file."""
    rows = []
    with open(path) as f:
        for line in f:
            if line.startswith("#") or not line.strip():
                continue
            cells = line.rstrip("\n").split("\t") + [""]
            further = dict(x.split("=", 1) for x in cells[3].split())
            rows.append((cells[0].split(","), cells[1], cells[2], further))
    return rows


def choose_rows(args):
    rows = []
    if args.set:
        sets = set(args.set.split(","))
        rows = [(l, c, x) for s, l, c, x in
                read_rows(os.environ.get("HZ_BENCH_ROWS") or
                          os.path.join(b.HERE, "rows.tsv"))
                if "all" in sets or sets & set(s)]
        if not rows:
            raise b.Failure("no row belongs to the set " + args.set)
    for text in args.row:
        label, colon, command = text.partition(":")
        if not colon:
            raise b.Failure("a row is 'label: command', not %r" % text)
        rows.append((label.strip(), command.strip(), {}))
    if args.rows:
        rows = [r for r in rows if re.search(args.rows, r[0])]
    for label, command, _ in rows:
        if not b.runnable(command):
            sys.stderr.write("%s: no %s here; left out\n"
                             % (label, command.split()[0]))
    rows = [r for r in rows if b.runnable(r[1])]
    if not rows:
        raise b.Failure("no rows: give --set quick or --row 'label: command'")
    return rows


class Row:
    """Samples of one label: {metric: {allocator: [values]}}."""

    def __init__(self, label):
        self.label, self.samples, self.bad = label, {}, {}

    def add(self, metric, name, value):
        if value is not None:
            self.samples.setdefault(metric, {}).setdefault(name, []) \
                .append(value)

    def best(self, metric, names=None, how=b.median):
        found = {n: how(v) for n, v in self.samples.get(metric, {}).items()
                 if names is None or n in names}
        if not found:
            return None, None
        name = min(found, key=found.get)
        return name, found[name]

    def ratio(self, metric, name, names=None, how=b.median):
        v = self.samples.get(metric, {}).get(name)
        best = self.best(metric, names, how)[1]
        return how(v) / best if v and best else None

    def unsure(self, metric, name):
        """No difference from the best can be claimed."""
        best = self.best(metric)[0]
        s = self.samples[metric]
        return name != best and b.overlap(s[name], s[best])

    def noise(self, metric):
        s = self.samples.get(metric, {})
        return b.median([b.spread(v) for v in s.values()]) if s else 0.0


def foreign(words):
    """A command that is no program of the bench."""
    return os.path.basename(words[0]) not in b.PROGRAMS


def quiet_run(limit, *run):
    """A run; under --quiet repeated, at most four times, while others used
    more processors than `limit`, the quietest kept.  What is chosen by is the
    load, never the result."""
    best = None
    for _ in range(4 if limit is not None else 1):
        r = b.run_once(*run)
        if r["status"] != "ok" or limit is None or r["other"] <= limit:
            return r
        best = r if best is None or r["other"] < best["other"] else best
        time.sleep(1)
    return best


def measure(args, allocs, rows, programs, raw):
    """Runs everything; yields the Rows of each command as it is done."""
    for label, command, further in rows:
        main, extra = Row(label), {x: Row(x) for x in further}
        words = b.resolve(command, programs)
        if foreign(words):
            b.check_bindings(label, words, allocs,
                             os.path.join(args.out, "logs"), args.timeout)
        for run in range(args.runs):
            for a in b.round_order(allocs, run):
                if main.bad.get(a.name, "").startswith("timeout"):
                    continue
                stem = "%s.%s.%d" % (label, a.name, run)
                r = quiet_run(
                    args.quiet, words, a,
                    os.path.join(args.out, "logs", stem + ".log"),
                    args.timeout, os.path.join(args.out, "hang_" + stem))
                raw.write("\t".join(str(x) for x in (
                    label, a.name, run, r["status"], r["time"], r["wall"],
                    r["cpu"], r["rss_kb"], r.get("post_kb"), r["minflt"],
                    "%.2f" % r.get("other", 0), r["log"])) + "\n")
                raw.flush()
                if r["status"] != "ok":
                    main.bad[a.name] = r["status"] + " " + r["log"]
                    if r["status"] != "invalid":
                        continue
                for m in ("time", "cpu", "rss_kb", "post_kb", "minflt",
                          "ops_per_sec", "other"):
                    main.add(m, a.name, r.get(m))
                for x, key in further.items():
                    extra[x].add("rss_kb", a.name, b.number(r["out"], key))
        yield [main] + list(extra.values())


def cell(row, metric, name, show):
    s = row.samples.get(metric, {}).get(name)
    if not s:
        return "FAIL" if name in row.bad else "-"
    mark = "~" if row.unsure(metric, name) else ""
    if show == "mib":
        return "%.1f (%.2f)%s" % (b.median(s) / 1024,
                                  row.ratio(metric, name), mark)
    return "%.2f / %.2f%s" % (row.ratio(metric, name),
                              row.ratio(metric, name, None, min), mark)


def progress(rows, names, done, total):
    """One line a row while running."""
    for row in rows:
        parts = []
        for n in names:
            t = row.samples.get("time", {}).get(n)
            m = row.samples.get("rss_kb", {}).get(n)
            parts.append("%s %s %s" % (
                n, "%.3fs" % b.median(t) if t else
                "FAIL" if n in row.bad else "",
                "%.1fM" % (b.median(m) / 1024) if m else ""))
        sys.stderr.write("[%d/%d] %-18s %s\n"
                         % (done, total, row.label, " | ".join(parts)))


def geomeans(rows, metric, name, how):
    return b.geomean([x for x in (r.ratio(metric, name, None, how)
                                  for r in rows) if x])


def table(rows, names, metric, title, out):
    mib = metric == "rss_kb"
    shown = [r for r in rows if r.samples.get(metric) or
             (r.bad and not mib)]
    out.append("\n## %s: %s\n" % (title, "median (ratio to the lowest)" if mib
                                  else "ratio to the best, median / fastest"))
    out.append("| row | best | noise | " + " | ".join(names) + " |")
    out.append("|---|---|---|" + "---|" * len(names))
    for r in shown:
        name, value = r.best(metric)
        if name is None:
            best = "none"
        elif mib:
            best = "%s %.1f" % (name, value / 1024)
        else:
            best = "%s %.3f" % (name, value)
        out.append("| %s | %s | %.0f%% | %s |" % (
            r.label, best, 100 * r.noise(metric),
            " | ".join(cell(r, metric, n, "mib" if mib else "ratio")
                       for n in names)))
    out.append("| **geomean** | | | " + " | ".join(
        "%.2f" % geomeans(shown, metric, n, b.median) if mib else
        "%.2f / %.2f" % (geomeans(shown, metric, n, b.median),
                         geomeans(shown, metric, n, min))
        for n in names) + " |")


def focus_report(rows, focus, names, out):
    """Where one allocator stands against the best other of each row."""
    peers = [n for n in names if n != focus]
    if focus not in names or not peers:
        return
    out.append("\n## %s against the best peer of each row\n" % focus)
    for metric, title in METRICS:
        for how, what in ((b.median, "median"), (min, "fastest")):
            if metric == "rss_kb" and how is min:
                continue
            ratios = {}
            for r in rows:
                v = r.samples.get(metric, {}).get(focus)
                best = r.best(metric, peers, how)[1]
                if v and best:
                    ratios[r.label] = how(v) / best
            if not ratios:
                continue
            worst = max(ratios, key=ratios.get)
            out.append("* %s, %s: geomean %.3f over %d rows, worst %.2f (%s)"
                       % (title, what, b.geomean(ratios.values()),
                          len(ratios), ratios[worst], worst))
    lines = [loss(r, focus, peers) for r in rows]
    lines = sorted((x for x in lines if x and x[0] > 1.03), reverse=True)
    if lines:
        out.append("\nRows lost by more than 3 %, worst first "
                   "(~: no difference can be claimed):\n")
        out.append("| row | time: median / fastest | CPU | peak RSS |\n"
                   "|---|---|---|---|")
        out.extend(t for _, t in lines)


def loss(row, focus, peers):
    """Worst ratio to the best peer and a line that shows each metric."""
    worst, cells = 0, []
    for metric, _ in METRICS:
        v = row.samples.get(metric, {}).get(focus)
        peer, best = row.best(metric, peers)
        if not v or not best:
            cells.append("")
            continue
        ratio = b.median(v) / best
        fast = min(v) / row.best(metric, peers, min)[1]
        scale = 1024 if metric == "rss_kb" else 1
        worst = max(worst, ratio)
        cells.append("%s%s%s, %.3g against %s %.3g" % (
            "**%.2f**" % ratio if ratio > 1.03 else "%.2f" % ratio,
            " / %.2f" % fast if metric == "time" else "",
            "~" if b.overlap(v, row.samples[metric][peer]) else "",
            b.median(v) / scale, peer, best / scale))
    return worst, "| %s | %s |" % (row.label, " | ".join(cells))


def figures_table(rows, names, out):
    """The figures behind the ratios."""
    for metric, title, scale, shape in (
            ("time", "Time, s", 1, "%.3f [%.3f, %.3f]"),
            ("rss_kb", "Peak RSS, MiB", 1024, "%.1f [%.1f, %.1f]")):
        out.append("\n## %s: median [min, max]\n" % title)
        out.append("| row | " + " | ".join(names) + " |")
        out.append("|---|" + "---|" * len(names))
        for r in rows:
            t = r.samples.get(metric)
            if t:
                out.append("| %s | %s |" % (r.label, " | ".join(
                    shape % tuple(x / scale for x in (
                        b.median(t[n]), min(t[n]), max(t[n])))
                    if n in t else "-" for n in names)))


def faults_table(rows, names, out):
    out.append("\n## Minor faults, median; RSS after the work, MiB\n")
    out.append("| row | " + " | ".join(names) + " |")
    out.append("|---|" + "---|" * len(names))
    for r in rows:
        if "minflt" not in r.samples:
            continue
        cells = []
        for n in names:
            f = r.samples["minflt"].get(n)
            p = r.samples.get("post_kb", {}).get(n)
            cells.append("%s; %s" % (
                "%.0f" % b.median(f) if f else "-",
                "%.1f" % (b.median(p) / 1024) if p else "-"))
        out.append("| %s | %s |" % (r.label, " | ".join(cells)))


def write_summary(rows, names, path):
    with open(path, "w") as f:
        f.write("row\tmetric\talloc\tn\tmedian\tmin\tmax\tratio\tnoise\t"
                "unsure\n")
        for r in rows:
            for m in sorted(r.samples):
                for n in names:
                    v = r.samples[m].get(n)
                    if not v:
                        continue
                    ratio = r.ratio(m, n)
                    f.write("%s\t%s\t%s\t%d\t%.6g\t%.6g\t%.6g\t%s\t%.3f\t%d\n"
                            % (r.label, m, n, len(v), b.median(v), min(v),
                               max(v), "%.3f" % ratio if ratio else "",
                               b.spread(v), r.unsure(m, n)))


def report(rows, names, args):
    out = ["# Comparison, %d runs a cell" % args.runs, ""]
    out += ["* %s: %s" % kv for kv in b.machine()]
    other = [x for r in rows for v in r.samples.get("other", {}).values()
             for x in v]
    if other:
        out.append("* CPUs used by others meanwhile: mean %.2f, worst %.2f"
                   % (sum(other) / len(other), max(other)))
    focus_report(rows, args.focus or names[0], names, out)
    for metric, title in METRICS:
        table(rows, names, metric, title, out)
    figures_table(rows, names, out)
    faults_table(rows, names, out)
    bad = [(r.label, n, w) for r in rows for n, w in sorted(r.bad.items())]
    if bad:
        out.append("\n## Failed or invalid runs\n")
        out += ["* %s, %s: %s" % x for x in bad]
    return "\n".join(out) + "\n"


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--alloc", action="append", default=[],
                   help="name=path.so[@VAR=value,...], or sys for the C "
                   "library's;\ndefault: sys and Debian's peers")
    p.add_argument("--peers", default="", help="more of the same in one "
                   "argument, separated by blanks")
    p.add_argument("--set", help="sets of rows.tsv: quick, local, mtr, "
                   "threads, large, memory, all")
    p.add_argument("--row", action="append", default=[],
                   help="'label: command'")
    p.add_argument("--rows", help="only labels this expression matches")
    p.add_argument("--runs", type=int, default=7)
    p.add_argument("--focus", help="the allocator the losses are listed of; "
                   "default: the first")
    p.add_argument("--out", help="default: a new directory under $TMPDIR")
    p.add_argument("--bin", help="where the bench programs are")
    p.add_argument("--quiet", type=float, metavar="CPUS", help="repeat a run "
                   "(up to 4 times) while others\nuse more processors than "
                   "this, as 0.3")
    p.add_argument("--timeout", type=float, default=60)
    p.add_argument("--list", action="store_true", help="print the rows only")
    return p.parse_args()


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    args = arguments()
    rows = choose_rows(args)
    if args.list:
        for label, command, _ in rows:
            print("%-20s %s" % (label, command))
        return 0
    allocs = [b.Allocator.parse(t) for t in args.alloc + args.peers.split()]
    allocs = allocs or b.default_allocators()
    args.out = args.out or os.path.join(
        os.environ.get("TMPDIR", "/tmp"),
        "hz-bench." + time.strftime("%Y%m%d-%H%M%S"))
    os.makedirs(args.out, exist_ok=True)
    programs = b.find_programs(args.out, args.bin)
    b.run_once.launch = programs["bench_launch"]
    b.prepare(allocs, args.out, programs)
    b.write_meta(args.out, [("runs", args.runs)])
    names, done = [a.name for a in allocs], []
    with open(os.path.join(args.out, "raw.tsv"), "w") as raw:
        raw.write(RAW_HEADER)
        signal.signal(signal.SIGTERM, interrupt)
        try:
            for i, result in enumerate(measure(args, allocs, rows, programs,
                                               raw)):
                progress(result, names, i + 1, len(rows))
                done += result
        except KeyboardInterrupt:
            sys.stderr.write("stopped: the report has the rows so far\n")
    write_summary(done, names, os.path.join(args.out, "summary.tsv"))
    text = report(done, names, args)
    with open(os.path.join(args.out, "summary.md"), "w") as f:
        f.write(text)
    sys.stdout.write(text)
    sys.stderr.write("raw.tsv, summary.tsv, summary.md and logs: %s\n"
                     % args.out)
    return 1 if any(r.bad for r in done) else 0


if __name__ == "__main__":
    b.main_guard(main)
