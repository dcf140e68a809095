#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pictures.py - the pictures of README.md, from data.

  pictures.py record BUILD    runs tests/rss_reasons of a build directory under its libhz and
                              writes what hz-stat says to doc/rss-account.json
  pictures.py draw            writes doc/architecture.svg, doc/rss-account.svg and, if
                              bench/results has figures, doc/scoreboard.svg

The pictures have no fonts or scripts of their own and follow a light or dark scheme."""

import html
import json
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.join(HERE, "..", "bench")
ACCOUNT = os.path.join(HERE, "rss-account.json")

STYLE = """
text{font:13px system-ui,sans-serif;fill:#1d2125}
.small{font-size:11.5px;fill:#5a646d}.bold{font-weight:700}.code{font-family:ui-monospace,monospace}
.card{fill:#ffffff;stroke:#c9ced3}.page{fill:#fbfbfa}
.focus{fill:#c2410c}.text-focus{fill:#c2410c;font-weight:700}.other{fill:#9fb3c4}
.line{stroke:#667078;fill:none;stroke-width:1.3}.thin{stroke:#c9ced3}
.held{stroke:#1d2125;stroke-width:2.5}
.live{fill:#4d8a50}.free{fill:#c2410c}.cached{fill:#a07a1f}.dirty{fill:#5b6ab0}.own{fill:#8a5fa8}
.hot{fill:#fdece2;stroke:#c2410c}.os{fill:#eef1f3;stroke:#c9ced3}
@media(prefers-color-scheme:dark){
text{fill:#e4e7ea}.small{fill:#a3adb6}.card{fill:#1b1f23;stroke:#3a424a}.page{fill:#14171a}
.focus{fill:#fb923c}.text-focus{fill:#fb923c}.other{fill:#4a6074}.line{stroke:#98a2ab}
.thin{stroke:#3a424a}.held{stroke:#e4e7ea}
.live{fill:#6da870}.free{fill:#fb923c}.cached{fill:#dcb85a}.dirty{fill:#8d9af0}.own{fill:#b98fd6}
.hot{fill:#3a2417;stroke:#fb923c}.os{fill:#22272c;stroke:#3a424a}}
"""


def esc(text):
    return html.escape(str(text), quote=True)


def text(x, y, what, kind="", anchor="start"):
    return '<text x="%g" y="%g" class="%s" text-anchor="%s">%s</text>' % (
        x, y, kind, anchor, esc(what))


def rect(x, y, width, height, kind, radius=0, title=None):
    inner = "<title>%s</title>" % esc(title) if title else ""
    return ('<rect x="%g" y="%g" width="%g" height="%g" rx="%g" class="%s">%s</rect>'
            % (x, y, width, height, radius, kind, inner))


def line(x1, y1, x2, y2, kind="line", arrow=False):
    return '<line x1="%g" y1="%g" x2="%g" y2="%g" class="%s"%s/>' % (
        x1, y1, x2, y2, kind, ' marker-end="url(#tip)"' if arrow else "")


def save(name, width, height, label, body):
    path = os.path.join(HERE, name)
    with open(path, "w", encoding="utf-8") as out:
        out.write(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" '
            'height="%d" role="img" aria-label="%s">\n'
            "<!-- SPDX-License-Identifier: MIT; made by doc/pictures.py -->\n"
            "<style>%s</style>\n"
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" '
            'class="tip" fill="#8a949d"/></marker></defs>\n'
            '<rect width="%d" height="%d" class="page"/>\n%s\n</svg>\n'
            % (width, height, width, height, esc(label), STYLE, width, height, "\n".join(body)))
    print(path)


# ---- where the resident memory of three programs is ------------------------------------

CAUSES = [  # what a reader sees, its colour, the fields of hz-stat it is made of
    ("blocks the program holds", "live", ("live", "slack")),
    ("free blocks between them", "free", ("free", "remote")),
    ("free blocks held by threads", "cached", ("cached",)),
    ("free pages kept for reuse", "dirty", ("empty", "dirty", "clean")),
    ("libhz's own tables", "own", ("metadata", "unattributed")),
]
PROGRAMS = [
    ("partial", "one block in ten is kept", "every page still has one"),
    ("caches", "six threads freed all and sleep", "what they freed is theirs"),
    ("rounding", "an eighth of each block is used", "the rest is inside the blocks"),
]


def record(build):
    build = os.path.abspath(build)
    result = []
    for name, _, _ in PROGRAMS:
        env = dict(os.environ, LD_PRELOAD=os.path.join(build, ".libs", "libhz.so.0"))
        program = subprocess.Popen([os.path.join(build, "tests", "rss_reasons"), name],
                                   env=env, stdout=subprocess.PIPE, text=True)
        held = int(program.stdout.readline().split()[0])
        time.sleep(1)
        seen = json.loads(subprocess.run(
            [os.path.join(build, "tools", "hz-stat"), "--json", str(program.pid)],
            stdout=subprocess.PIPE, text=True, check=True).stdout)
        program.kill()
        program.wait()
        fields = {k: v for k, v in seen.items() if k.endswith("_bytes") or k == "lane"}
        result.append(dict(program="rss_reasons " + name, held_bytes=held, **fields))
    with open(ACCOUNT, "w", encoding="utf-8") as out:
        json.dump(result, out, indent=1)
        out.write("\n")
    print(ACCOUNT)


def mib(value):
    return "%.1f MiB" % (value / (1 << 20)) if value >= 1 << 17 else "%.0f KiB" % (value / 1024)


def account():
    with open(ACCOUNT, encoding="utf-8") as data:
        seen = {entry["program"].split()[-1]: entry for entry in json.load(data)}
    left, width, top, step = 226, 430, 58, 66
    scale = width / max(e["resident_bytes"] for e in seen.values())
    body = [text(16, 26, "Where is it? The resident heap of three programs, by cause", "bold"),
            text(16, 44, "hz-stat, from outside; the upright mark is what the program "
                         "asked for and holds", "small")]
    for i, (name, what, why) in enumerate(PROGRAMS):
        entry, x, y = seen[name], left, top + i * step
        body += [text(left - 12, y + 18, what, anchor="end"),
                 text(left - 12, y + 35, why, "small", "end")]
        for cause, kind, fields in CAUSES:
            value = sum(entry[f + "_bytes"] for f in fields)
            if value * scale >= 0.3:
                body.append(rect(x, y, value * scale, 40, kind,
                                 title="%s: %s" % (cause, mib(value))))
                x += value * scale
        mark = left + entry["held_bytes"] * scale
        body += [line(mark, y - 5, mark, y + 45, "held"),
                 text(x + 8, y + 18, mib(entry["resident_bytes"])),
                 text(x + 8, y + 35, "holds " + mib(entry["held_bytes"]), "small")]
    y = top + len(PROGRAMS) * step + 8
    x = 16
    for i, (cause, kind, _) in enumerate(CAUSES):
        if i == 3:
            x, y = 16, y + 22
        body += [rect(x, y, 12, 12, kind, 2), text(x + 18, y + 11, cause, "small")]
        x += 230
    save("rss-account.svg", 780, y + 28, "Resident memory of three programs by cause", body)


# ---- the library beside others -----------------------------------------------------------

def trees():
    """Directories below bench/results that report.py can read, the newest last."""
    root = os.path.join(BENCH, "results")
    return sorted({os.path.dirname(os.path.dirname(os.path.join(d, f)))
                   for d, _, files in os.walk(root) for f in files if f == "metrics.tsv"})


def scoreboard():
    sys.path.insert(0, BENCH)
    import report  # pylint: disable=import-outside-toplevel
    found = trees()
    if not found:
        print("bench/results has no figures: no scoreboard", file=sys.stderr)
        return
    tree = report.Tree(found[-1])
    panels = [("time", "time (median)"), ("rss_kb", "peak resident memory")]
    left, width, row = 112, 230, 24
    body = [text(16, 26, "libhz beside others: geometric mean of the ratio to the best of each "
                         "row", "bold"),
            text(16, 44, "1.00 is best in every row; shorter is better", "small")]
    bottom = 0
    for p, (metric, title) in enumerate(panels):
        values = {}
        for name in tree.names:
            mean, rows = tree.geomean(metric, name, 0)
            if rows:
                values[name] = (mean, rows)
        if not values:
            continue
        x = left + p * (width + 150)
        scale = width / max(v[0] for v in values.values())
        body.append(text(x, 68, "%s, %d rows" % (title, max(v[1] for v in values.values())),
                         "small"))
        for i, name in enumerate(sorted(values, key=lambda n: values[n][0])):
            mean, rows = values[name]
            y = 78 + i * row
            ours = name == report.FOCUS
            body += [text(x - 8, y + 14, name, "text-focus" if ours else "", "end"),
                     rect(x, y, mean * scale, row - 6, "focus" if ours else "other", 2,
                          "%s: %.2f over %d rows" % (name, mean, rows)),
                     text(x + mean * scale + 6, y + 14, "%.2f" % mean,
                          "text-focus" if ours else "small")]
            bottom = max(bottom, y + row)
        body.append(line(x + scale, 74, x + scale, bottom, "thin"))
    said = dict(tuple(m)[:2] for m in tree.meta)
    body.append(text(16, bottom + 22, "%s, commit %s, %s CPUs, %s; every figure: bench/results"
                     % tuple(said.get(k, "-") for k in ("date", "commit", "cpus", "libc")),
                     "small"))
    save("scoreboard.svg", 780, bottom + 36, "Geometric means of time and memory", body)


# ---- one malloc and one free through the layers ------------------------------------------

def box(x, y, width, height, title, words, kind="card"):
    out = [rect(x, y, width, height, kind, 7), text(x + 12, y + 21, title, "bold")]
    for i, what in enumerate(words):
        out.append(text(x + 12, y + 39 + 16 * i, what, "small"))
    return out


def architecture():
    body = [text(16, 26, "One malloc, one free", "bold"),
            text(16, 44, "left: a thread's own way; right: blocks that another thread frees", "small")]
    body += box(40, 62, 300, 78, "magazine, one per class and thread", (
        "malloc pops, free pushes: 15 and 20 instructions,",
        "no lock, no atomic operation"), "hot")
    body += box(40, 186, 300, 78, "heap: slabs with room", (
        "full and empty magazines are exchanged for",
        "many blocks at once, under the heap's lock"))
    body += box(40, 310, 300, 78, "slab: one class of blocks", (
        "a bitmap beside it, never a link inside it:",
        "what the program freed is not written to"))
    body += box(40, 434, 300, 78, "run of pages, in one arena", (
        "used, dirty (free, resident), clean (the",
        "kernel has it); whoever is old goes back"))
    body += box(440, 62, 300, 78, "batch for the owner", (
        "a block of another thread's slab is collected",
        "until a batch of up to 62 is full"), "hot")
    body += box(440, 186, 300, 78, "inbox of the owner", (
        "one compare-and-swap for a whole batch; the",
        "owner empties it on its own slow path"))
    body += box(440, 310, 300, 78, "large blocks", (
        "from 128 KiB: runs of their own, kept for a",
        "while after free, then given back"))
    body += box(440, 434, 300, 78, "reports and hz-stat", (
        "all tables lie apart from the blocks: a process",
        "can be read from outside, running or as a core"), "os")
    for x in (150,):
        for y in (140, 264, 388):
            body += [line(x, y + 4, x, y + 42, arrow=True), line(x + 60, y + 42, x + 60, y + 4,
                                                                 arrow=True)]
        body += [text(x - 10, 168, "empty or full", "small", "end"),
                 text(x - 10, 292, "no room", "small", "end"),
                 text(x - 10, 416, "all free", "small", "end")]
    body += [line(344, 100, 434, 100, arrow=True), text(389, 92, "not mine", "small", "middle"),
             line(590, 144, 590, 182, arrow=True), text(600, 168, "full", "small"),
             line(434, 225, 344, 225, arrow=True), text(389, 217, "drained", "small", "middle"),
             line(434, 360, 344, 470, arrow=True), line(344, 480, 434, 480, "thin")]
    save("architecture.svg", 780, 530, "One malloc and one free through the layers", body)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "record":
        record(sys.argv[2])
    elif sys.argv[1:] == ["draw"]:
        architecture()
        account()
        scoreboard()
    else:
        sys.stderr.write(__doc__ + "\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
