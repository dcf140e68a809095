#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""report.py - one tree of results as a page and as a scoreboard.

  report.py html TREE         writes TREE/REPORT.html
  report.py scoreboard TREE   prints doc/scoreboard.md
  report.py publish TREE DIR  copies the figures, without logs, to DIR

Reads what the runners left (metrics.tsv, meta.txt, dso_sha1.txt, memory
series, soak and triage lines, the library's own report).  Shows every row,
losses included; what is missing is named."""

import glob
import os
import re
import sys

sys.dont_write_bytecode = True
import benchlib as b  # noqa: E402
import charts  # noqa: E402
from charts import FOCUS, esc  # noqa: E402

GROUPS = [("suite", "Suite"), ("mt_main", "Lane main, to 32 KiB"),
          ("mt_guard", "Lane guard, to 2 KiB"),
          ("mt_cross64", "Lane cross64"), ("mt_cross128", "Lane cross128"),
          ("rows", "Rows"), ("app", "Real program")]
STYLE = """
:root{--bg:#fbfbfa;--fg:#1d2125;--dim:#667078;--line:#e3e5e7;--card:#fff;
--focus:#c2410c;--other:#9fb3c4;--bad:#b3261e;--c0:#2f6f9f;--c1:#4d8a50;
--c2:#8a5fa8;--c3:#a07a1f;--c4:#3a8f8f;--c5:#a8506f;--c6:#5b6ab0;--c7:#7a7a52;
--c8:#707b85}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e4e7ea;
--dim:#98a2ab;--line:#2b3136;--card:#1b1f23;--focus:#fb923c;--other:#4a6074;
--bad:#ff8a80;--c0:#6fb1e0;--c1:#86c58a;--c2:#c39be0;--c3:#dcb85a;--c4:#6fcaca;
--c5:#e594b0;--c6:#9aa8ee;--c7:#b9b98a;--c8:#a3adb6}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:28px 20px 80px;background:var(--bg);
color:var(--fg);font:15px/1.5 system-ui,sans-serif}
h1{font-size:27px;margin:0 0 4px}h2{font-size:20px;margin:44px 0 10px;
border-top:1px solid var(--line);padding-top:18px}h3{font-size:14px;margin:0}
p,li{max-width:76ch}.dim,figcaption{color:var(--dim)}
.lead{font-size:17px}.grid{display:grid;gap:14px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,560px),1fr))}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:12px 14px;overflow-x:auto}.pair{display:grid;gap:6px;
grid-template-columns:1fr 1fr}
.pair figcaption{font-size:12px}figure{margin:6px 0 0}
.card header{display:flex;justify-content:space-between;gap:12px;
align-items:baseline}.card header span{font-size:12px;color:var(--dim)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}
th,td{text-align:right;padding:3px 10px;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}tr.focus td{color:var(--focus);
font-weight:600}.scroll{overflow-x:auto}svg{max-width:100%;height:auto;
display:block}text{fill:var(--fg);font:11px system-ui,sans-serif}
.name{font-size:11px}.focus-text{fill:var(--focus);font-weight:700}
.value{font-size:10.5px;fill:var(--dim)}.best{fill:var(--fg);font-weight:700}
.tick{fill:var(--dim)}.bad{fill:var(--bad);color:var(--bad)}
.grid line,line.grid{stroke:var(--line)}line.axis{stroke:var(--dim)}
.whisker{stroke:var(--fg);opacity:.45}rect.focus,circle.focus{fill:var(--focus)}
rect.other{fill:var(--other)}.cut{stroke:var(--card);fill:none;stroke-width:3}
.curve{fill:none;stroke-width:1.4;opacity:.85}.s-focus{stroke:var(--focus);
stroke-width:2.8;opacity:1}.f-focus{fill:var(--focus);font-weight:700}
""" + "".join("circle.c%d,.f-c%d{fill:var(--c%d)}.s-c%d{stroke:var(--c%d)}"
              % ((i,) * 5) for i in range(9)) + """
code{font:13px ui-monospace,monospace}pre{font:12.5px/1.45 ui-monospace,
monospace;overflow-x:auto}
"""


def read_metrics(path):
    """{row: {metric: {alloc: (median, min, max, ratio, unsure, noise, n)}}}
    in the file's order."""
    rows = {}
    if not os.path.exists(path):
        return rows
    with open(path) as f:
        next(f)
        for entry in f:
            c = entry.rstrip("\n").split("\t")
            rows.setdefault(c[0], {}).setdefault(c[1], {})[c[2]] = (
                float(c[4]), float(c[5]), float(c[6]), float(c[7] or 1),
                c[9] == "1", float(c[8]), int(c[3]))
    return rows


def read_pairs(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [x.rstrip("\n").split("=", 1) for x in f if "=" in x]


def read_lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return f.read().splitlines()


class Tree:
    """All results below one directory."""

    def __init__(self, path):
        self.path = path
        self.groups = [(k, t, read_metrics(os.path.join(path, k,
                                                        "metrics.tsv")))
                       for k, t in GROUPS]
        self.groups = [g for g in self.groups if g[2]]
        self.meta = self.first("meta.txt", read_pairs)
        self.sums = [x.split() for x in self.first("dso_sha1.txt",
                                                   read_lines)]
        seen = {n for _, _, rows in self.groups for r in rows.values()
                for m in r.values() for n in m}
        self.names = [s[1] for s in self.sums if s[1] in seen]
        self.names += sorted(seen - set(self.names))
        if not self.groups:
            raise b.Failure("no metrics.tsv below " + path)

    def first(self, name, how):
        for where in [self.path] + [os.path.join(self.path, k)
                                    for k, _, _ in self.groups]:
            found = how(os.path.join(where, name))
            if found:
                return found
        return []

    def rows(self, metric):
        """(group, row, {alloc: cell}) of all rows that have the metric."""
        for key, _, rows in self.groups:
            for name, metrics in rows.items():
                if metrics.get(metric):
                    yield key, name, metrics[metric]

    def geomean(self, metric, alloc, what=0):
        """Geometric mean of the ratio to the row's best (median or min)."""
        ratios = []
        for _, _, cells in self.rows(metric):
            if alloc in cells and len(cells) == len(self.names):
                best = min(c[what] for c in cells.values())
                if best > 0:
                    ratios.append(cells[alloc][what] / best)
        return b.geomean(ratios), len(ratios)

    def against_best(self, metric, what=0):
        """[(ratio, row, best peer, unsure)] of FOCUS, worst first."""
        out = []
        for key, name, cells in self.rows(metric):
            peers = {n: c for n, c in cells.items() if n != FOCUS}
            if FOCUS in cells and peers:
                best = min(peers, key=lambda n: peers[n][what])
                if peers[best][what] > 0:
                    mine = cells[FOCUS]
                    unsure = mine[6] < 3 or (mine[1] <= peers[best][2]
                                             and peers[best][1] <= mine[2])
                    out.append((mine[what] / peers[best][what], name, best,
                                unsure))
        return sorted(out, reverse=True)

    def invalid(self):
        found = []
        for key, _, _ in self.groups:
            for entry in read_lines(os.path.join(self.path, key,
                                                 "SUMMARY.tsv"))[1:]:
                c = entry.split("\t")
                if c[-1] != "ok":
                    found.append((key, c[0], c[1], c[-1]))
        return found


# ---- words ----------------------------------------------------------------

def headline(tree):
    """Where the library stands, in sentences, from the figures alone."""
    out = []
    for metric, word in (("time", "time"), ("rss_kb", "peak memory")):
        found = tree.against_best(metric)
        if not found:
            continue
        won = sum(1 for r in found if r[0] <= 1)
        close = sum(1 for r in found if 1 < r[0] <= 1.03)
        lost = [r for r in found if r[0] > 1.03]
        clear = [r for r in lost if not r[3]]
        out.append("%s: %.2f of the best peer of each row (geometric mean of "
                   "%d rows); best or equal in %d, within 3 %% in %d, behind "
                   "in %d, of which %d beyond the noise%s."
                   % (word.capitalize(), b.geomean([r[0] for r in found]),
                      len(found), won, close, len(lost), len(clear),
                      "; furthest in %s, %.2f of %s" % (lost[0][1],
                                                        lost[0][0],
                                                        lost[0][2])
                      if lost else ""))
    out = out or ["%s is not among the allocators of this run." % FOCUS]
    return out + crowded(tree)


def crowded(tree):
    """How much of the machine others had: a quarter of a processor moves a
    median by more than allocators differ."""
    other = [c[0] for _, _, cells in tree.rows("other")
             for c in cells.values()]
    if not other:
        return []
    mean = sum(other) / len(other)
    return ["Others used %.2f processors meanwhile%s" % (
        mean, "." if mean < 0.25 else ": trust processor time and memory, "
        "and no time that is not far apart.")]


def occupancy(tree):
    """Sums of the library's own occupancy buckets, and its verdict."""
    keys = [("empty", "occ_0"), ("1-25 %", "occ_1_25"),
            ("25-50 %", "occ_25_50"), ("50-75 %", "occ_50_75"),
            ("75-100 %", "occ_75_100")]
    total, other = [0] * 5, {"pages_empty": 0, "cand_decommit_pages": 0,
                             "pages_total": 0, "pages_partial": 0}
    found = False
    for path in sorted(glob.glob(os.path.join(tree.path, "observe",
                                              "*.log"))):
        for entry in read_lines(path):
            if "HZ3_S135_FRAG_OBS]" not in entry:
                continue
            v = dict(re.findall(r"(\w+)=(\d+)", entry))
            found = True
            total = [t + int(v.get(k, 0)) for t, (_, k) in zip(total, keys)]
            for k in other:
                other[k] += int(v.get(k, 0))
    if not found:
        return None
    return [(n, t) for (n, _), t in zip(keys, total)], verdict(total, other)


def verdict(occ, v):
    """The rules by which fragmentation is read."""
    pages = max(1, v["pages_total"])
    if (v["pages_empty"] + v["cand_decommit_pages"]) > pages / 4:
        return ("Much is empty or could be given back: releasing pages would "
                "help.")
    partial = max(1, sum(occ[1:4]))
    if occ[1] * 2 > partial and partial * 2 > pages:
        return ("Partly used pages dominate and most are below a quarter "
                "full: the geometry of the classes or the order of reuse is "
                "the cause.")
    if partial * 2 > pages:
        return ("Partly used pages dominate, most of them well filled: look "
                "at the classes that hold most of them, and where many do, "
                "at the order of reuse.")
    return "Most pages are well filled: little to gain from releasing."


# ---- page -----------------------------------------------------------------

def table(head, rows, focus_column=0):
    cells = ["<div class=scroll><table><tr>%s</tr>" % "".join(
        "<th>%s" % esc(h) for h in head)]
    for r in rows:
        kind = " class=focus" if r[focus_column] == FOCUS else ""
        cells.append("<tr%s>%s</tr>" % (kind, "".join("<td>%s" % esc(c)
                                                      for c in r)))
    return "".join(cells) + "</table></div>"


def geomean_rows(tree):
    out = []
    for n in tree.names:
        cells = [n]
        for metric, what in (("time", 0), ("time", 1), ("cpu", 0),
                             ("rss_kb", 0)):
            mean, rows = tree.geomean(metric, n, what)
            cells.append("%.2f" % mean if rows else "-")
        out.append(cells)
    return out


def panel(name, metrics, names):
    figures = []
    for metric, caption, scale in (("time", "time, s", 1),
                                   ("rss_kb", "peak memory, MiB", 1 / 1024)):
        cells = metrics.get(metric)
        if not cells:
            continue
        values = {n: (c[0] * scale, c[1] * scale, c[2] * scale, c[3], c[4])
                  for n, c in cells.items()}
        if min(v[0] for v in values.values()) <= 0:
            continue
        figures.append("<figure>%s<figcaption>%s</figcaption></figure>"
                       % (charts.bars(values, names, caption), caption))
    noise = [c[5] for c in metrics.get("time", {}).values()]
    tail = ("<span>noise %.0f %%</span>" % (100 * b.median(noise))
            if noise else "")
    return ("<section class=card><header><h3>%s</h3>%s</header><div "
            "class=pair>%s</div></section>" % (esc(name), tail,
                                               "".join(figures)))


def series(tree):
    """{row: {alloc: [(s, MiB)]}} of the memory series."""
    found = {}
    for path in sorted(glob.glob(os.path.join(tree.path, "rss_timeseries",
                                              "*.csv"))):
        row, _, name = os.path.basename(path)[:-4].partition(".")
        points = [(int(c[0]) / 1000, int(c[1]) / 1024) for c in
                  (x.split(",") for x in read_lines(path)[1:]) if len(c) > 1]
        if points:
            found.setdefault(row, {})[name] = points
    return found


def page(tree):
    out = ["<!doctype html><html lang=en><meta charset=utf-8><meta name="
           "viewport content='width=device-width,initial-scale=1'><title>"
           "libhz beside its peers</title><style>%s</style>" % STYLE,
           "<h1>libhz beside its peers</h1><p class=dim>%s</p>"
           % esc(" · ".join("%s %s" % tuple(m) for m in tree.meta))]
    out += ["<p class=lead>%s</p>" % esc(x) for x in headline(tree)]
    out.append(reading())
    points = {n: (tree.geomean("time", n)[0], tree.geomean("rss_kb", n)[0])
              for n in tree.names}
    points = {n: p for n, p in points.items() if p[0] == p[0]
              and p[1] == p[1]}
    out.append("<h2>Time and memory together</h2><div class=grid>")
    if len(points) > 1:
        out.append("<div class=card>%s</div>" % charts.scatter(
            points, tree.names, "time, geometric mean of the ratio to each "
            "row's best", "peak memory, likewise"))
    out.append("<div class=card>%s</div></div>" % table(
        ("geomean of ratio to the best", "time, median", "time, fastest",
         "CPU", "peak memory"), geomean_rows(tree)))
    for _, title, rows in tree.groups:
        out.append("<h2>%s</h2><div class=grid>%s</div>" % (
            esc(title), "".join(panel(n, m, tree.names)
                                for n, m in rows.items())))
    out += memory_section(tree) + soak_section(tree) + bad_section(tree)
    out.append("<h2>Libraries</h2>" + table(
        ("name", "sha1", "file"), [(s[1], s[0], " ".join(s[2:]))
                                         for s in tree.sums]))
    return "\n".join(out)


def reading():
    return ("<p class=dim>Runs were interleaved, in another order each round. "
            "Bars are medians with the smallest and the largest run as ticks; × is the "
            "ratio to the row's best, bars end at 4. ~ marks a difference "
            "from the best that the noise does not allow to claim. Peak "
            "memory of a program that frees everything says what was held at "
            "most; what is released at exit cannot show. A run in which "
            "rings overflowed (0.10 % or more) is invalid and is named "
            "below.</p>")


def memory_section(tree):
    found = series(tree)
    out = ["<h2>Memory over time</h2>"]
    if not found:
        out.append("<p>No series in this run.</p>")
    out.append("<div class=grid>%s</div>" % "".join(
        "<section class=card><header><h3>%s</h3><span>resident</span>"
        "</header>%s</section>" % (esc(row), charts.curves(s, tree.names))
        for row, s in found.items()))
    out.append("<h2>Occupancy of partly used memory</h2>")
    seen = occupancy(tree)
    if seen:
        out.append("<div class=card>%s<p>%s</p></div>"
                   % (charts.histogram(seen[0]), esc(seen[1])))
    else:
        out.append("<p>No observation lines in this run: the library gave "
                   "none under HZ_OBSERVE.</p>")
    return out


def soak_section(tree):
    out = ["<h2>Long runs</h2>"]
    for title, path in (("Soak", "soak/soak.txt"),
                        ("Whose memory is it", "triage/triage.txt")):
        rows = [dict(re.findall(r"(\S+?)=(\S+)", x)) for x in
                read_lines(os.path.join(tree.path, path))]
        if not rows:
            out.append("<p>%s: not in this run.</p>" % esc(title))
            continue
        for r in rows:
            if "file" in r:
                r["file"] = r["file"].replace("soak_", "").replace(".csv", "")
        out.append("<h3>%s</h3>" % esc(title) + table(
            list(rows[0]), [[r.get(k, "") for k in rows[0]] for r in rows]))
    out.append("<p class=dim>Targets: no drift of memory, at most 1e-6 "
               "system calls per op, less variation than every peer. cause is "
               "the benchmark where memory falls once its warm-up is left "
               "out, otherwise the allocator; could_be_returned is what "
               "malloc_trim gave back.</p>")
    return out


def bad_section(tree):
    bad = tree.invalid()
    out = ["<h2>Failed and invalid runs</h2>"]
    if not bad:
        return out + ["<p>None.</p>"]
    return out + [table(("group", "row", "allocator", "what"), bad, 2)]


# ---- scoreboard -----------------------------------------------------------

def scoreboard(tree):
    out = ["<!-- SPDX-License-Identifier: MIT -->", "# Scoreboard", "",
           "Generated by `bench/report.py scoreboard` from `bench/results/`; "
           "not edited by hand.", ""]
    out += ["* %s: %s" % tuple(m) for m in tree.meta]
    out += ["", "## In words", ""] + ["* " + x for x in headline(tree)]
    out += ["", "## Geometric mean of the ratio to the best of each row", "",
            "| | time, median | time, fastest | CPU | peak RSS |",
            "|---|---|---|---|---|"]
    out += ["| %s |" % " | ".join(r) for r in geomean_rows(tree)]
    for metric, title, scale, shape in (
            ("time", "Time, s: median (ratio to the best)", 1, "%.3f"),
            ("rss_kb", "Peak RSS, MiB: median (ratio to the lowest)",
             1 / 1024, "%.1f")):
        out += ["", "## " + title, "",
                "| row | noise | %s |" % " | ".join(tree.names),
                "|---|---|%s" % ("---|" * len(tree.names))]
        for _, name, cells in tree.rows(metric):
            out.append("| %s | %.0f%% | %s |" % (
                name, 100 * b.median([c[5] for c in cells.values()]),
                " | ".join((shape + " (%.2f)%s") % (
                    cells[n][0] * scale, cells[n][3],
                    "~" if cells[n][4] else "") if n in cells else "-"
                    for n in tree.names)))
    out += ["", "`~`: the middle halves of the two samples overlap, no "
            "difference from the best can be claimed.", ""]
    bad = tree.invalid()
    if bad:
        out += ["## Failed and invalid runs", ""]
        out += ["* %s, %s, %s: %s" % x for x in bad] + [""]
    return "\n".join(out)


def publish(tree, where):
    """Every figure, unfiltered; not the logs, nor where they were."""
    for name in ("*.txt", "*/*.txt", "*/*.tsv", "soak/*.csv",
                 "rss_timeseries/*.csv"):
        for path in glob.glob(os.path.join(tree.path, name)):
            if "preload_verify_" in path:
                continue
            target = os.path.join(where, os.path.relpath(path, tree.path))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            lines = read_lines(path)
            if lines and lines[0].endswith("\tlog"):
                lines = [x.rpartition("\t")[0] for x in lines]
            if path.endswith("mem_ts.txt"):
                lines = [re.sub(r"out=\S*/", "out=", x) for x in lines]
            if not path.endswith(".report.txt"):
                with open(target, "w") as f:
                    f.write("\n".join(lines) + "\n")
    return 0


def main():
    if not (len(sys.argv) == 3 and sys.argv[1] in ("html", "scoreboard")
            or len(sys.argv) == 4 and sys.argv[1] == "publish"):
        sys.stderr.write(__doc__ + "\n")
        return 2
    tree = Tree(sys.argv[2])
    if sys.argv[1] == "publish":
        return publish(tree, sys.argv[3])
    if sys.argv[1] == "scoreboard":
        sys.stdout.write(scoreboard(tree))
        return 0
    path = os.path.join(sys.argv[2], "REPORT.html")
    with open(path, "w", encoding="utf-8") as f:
        f.write(page(tree))
    print(path)
    return 0


if __name__ == "__main__":
    b.main_guard(main)
