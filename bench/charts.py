# SPDX-License-Identifier: MIT
"""SVG charts of the report: strings without scripts, fonts or colours of their
own.  Colours are CSS variables of the page, so a chart follows its light or
dark scheme; every mark carries a <title> that a pointer shows."""

import html
import math

FOCUS = "libhz"


def esc(text):
    return html.escape(str(text), quote=True)


def svg(width, height, body, label):
    return ('<svg viewBox="0 0 %d %d" width="%d" height="%d" role="img" '
            'aria-label="%s">%s</svg>'
            % (width, height, width, height, esc(label), "".join(body)))


def text(x, y, content, kind="", anchor="start"):
    return ('<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>'
            % (x, y, kind, anchor, esc(content)))


def line(x1, y1, x2, y2, kind="axis"):
    return ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>'
            % (x1, y1, x2, y2, kind))


def short(value):
    """Three significant digits with k, M, G."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return "%.3g%s" % (value / limit, unit)
    return "%.3g" % value


def colour(names, name):
    """The class of an allocator: the one in question stands out."""
    if name == FOCUS:
        return "focus"
    others = [n for n in names if n != FOCUS]
    return "c%d" % (others.index(name) % 9)


def bars(values, names, unit, cap=4.0):
    """Horizontal bars of one row: values {name: (median, min, max, ratio,
    unsure)}.  Bars end at `cap` times the best; the label says the rest."""
    height, left, width, right = 16, 66, 112, 84
    body, best = [], min(v[0] for v in values.values())
    scale = min(cap, max(v[0] for v in values.values()) / best)
    for i, n in enumerate(names):
        y = i * height
        body.append(text(left - 6, y + 12, n,
                         "name focus-text" if n == FOCUS else "name", "end"))
        if n not in values:
            body.append(text(left + 2, y + 12, "failed", "bad"))
            continue
        v, low, high, ratio, unsure = values[n]
        w = width * min(ratio, scale) / scale
        tip = "%s: median %s %s, %s to %s, %.2f of the best%s" % (
            n, short(v), unit, short(low), short(high), ratio,
            "; within the noise" if unsure else "")
        body.append('<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" '
                    'class="%s"><title>%s</title></rect>'
                    % (left, y + 3, max(w, 1), height - 5,
                       "focus" if n == FOCUS else "other", esc(tip)))
        if ratio > scale * 1.01:
            x = left + width - 9
            body.append('<path d="M%d %d l5 %d l-5 %d" class="cut"/>'
                        % (x, y + 2, (height - 3) / 2, (height - 3) / 2))
        for edge in (low, high):
            x = left + width * edge / best / scale
            if x < left + width:
                body.append(line(x, y + 5, x, y + height - 4, "whisker"))
        body.append(text(left + w + 5, y + 12, "%s %s%s" % (
            short(v), "" if ratio == 1 else "×%.2f" % ratio,
            " ~" if unsure else ""),
            "value best" if ratio == 1 else "value"))
    return svg(left + width + right, len(names) * height + 2, body, unit)


def ticks_log(low, high):
    out, base = [], 10 ** math.floor(math.log10(low))
    while base <= high:
        out += [base * m for m in (1, 1.5, 2, 3, 5, 7)
                if low <= base * m <= high]
        base *= 10
    return out


def scatter(points, names, xname, yname):
    """One point per allocator, both axes logarithmic, best at lower left."""
    width, height, left, bottom = 560, 340, 56, 44
    xs, ys = ([p[k] for p in points.values()] for k in (0, 1))
    lx, hx = min(xs) * 0.94, max(xs) * 1.12
    ly, hy = min(ys) * 0.92, max(ys) * 1.10

    def px(v):
        return left + (width - left - 70) * math.log(v / lx) / math.log(hx
                                                                        / lx)

    def py(v):
        return height - bottom - (height - bottom - 14) * (
            math.log(v / ly) / math.log(hy / ly))
    body = []
    for t in ticks_log(lx, hx):
        body += [line(px(t), 14, px(t), height - bottom, "grid"),
                 text(px(t), height - bottom + 16, "%g" % t, "tick",
                      "middle")]
    for t in ticks_log(ly, hy):
        body += [line(left, py(t), width - 70, py(t), "grid"),
                 text(left - 6, py(t) + 4, "%g" % t, "tick", "end")]
    body += [text((left + width - 70) / 2, height - 6, xname, "tick",
                  "middle"),
             '<text transform="translate(14 %d) rotate(-90)" class="tick" '
             'text-anchor="middle">%s</text>' % ((height - bottom) / 2,
                                                 esc(yname))]
    taken = []
    for n in sorted(points, key=lambda n: points[n][1]):
        x, y = px(points[n][0]), py(points[n][1])
        label = y + 4
        while any(abs(label - b) < 13 and abs(x - a) < 80 for a, b in taken):
            label -= 13
        taken.append((x, label))
        body.append('<circle cx="%.1f" cy="%.1f" r="%d" class="%s"><title>'
                    '%s: time %.2f, memory %.2f</title></circle>'
                    % (x, y, 7 if n == FOCUS else 5, colour(names, n),
                       esc(n), *points[n]))
        body.append(text(x + 10, label, n,
                         "name focus-text" if n == FOCUS else "name"))
    return svg(width, height, body, xname + " against " + yname)


def curves(series, names, yname="MiB"):
    """Lines over seconds: {name: [(t_s, mib)]}; names at their ends."""
    width, height, left, right, bottom = 660, 280, 52, 96, 34
    end = max(p[-1][0] for p in series.values()) or 1
    top = max(y for p in series.values() for _, y in p) * 1.05 or 1

    def px(v):
        return left + (width - left - right) * v / end

    def py(v):
        return height - bottom - (height - bottom - 10) * v / top
    body = []
    step = 10 ** math.floor(math.log10(top / 2))
    step *= next(m for m in (1, 2, 5, 10) if top / (step * m) <= 6)
    t = 0
    while t <= top:
        body += [line(left, py(t), width - right, py(t), "grid"),
                 text(left - 6, py(t) + 4, "%g" % t, "tick", "end")]
        t += step
    for i in range(5):
        body.append(text(px(end * i / 4), height - bottom + 16,
                         "%.2g s" % (end * i / 4), "tick", "middle"))
    body.append(text(left, 9, yname, "tick"))
    labels = []
    order = sorted(series, key=lambda n: (n == FOCUS, n))
    for n in order:
        path = "M" + " L".join("%.1f %.1f" % (px(x), py(y))
                               for x, y in thin(series[n], 400))
        body.append('<path d="%s" class="curve %s"><title>%s</title></path>'
                    % (path, "s-" + colour(names, n), esc(n)))
        labels.append([py(series[n][-1][1]), n])
    place(labels, height - bottom)
    for y, n in labels:
        body.append(text(width - right + 8, y + 4, n,
                         "name f-" + colour(names, n)))
    return svg(width, height, body, yname + " over time")


def place(labels, lowest):
    """Moves labels apart, at least 13 units, in the order of their ends."""
    labels.sort(reverse=True)
    at = lowest + 13
    for entry in labels:
        entry[0] = at = min(entry[0], at - 13)


def thin(points, most):
    """Keeps the highest of each group, so that peaks survive."""
    if len(points) <= most:
        return points
    size = -(-len(points) // most)
    return [max(points[i:i + size], key=lambda p: p[1])
            for i in range(0, len(points), size)]


def histogram(buckets):
    """Vertical bars: [(label, value)]."""
    width, height, bottom = 420, 190, 34
    top = max(v for _, v in buckets) or 1
    each = (width - 20) / len(buckets)
    body = [line(10, height - bottom, width - 10, height - bottom)]
    for i, (label, v) in enumerate(buckets):
        h = (height - bottom - 22) * v / top
        x = 10 + i * each
        body += ['<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" '
                 'class="focus"><title>%s: %s</title></rect>'
                 % (x + 8, height - bottom - h, each - 16, h, esc(label),
                    esc(v)),
                 text(x + each / 2, height - bottom - h - 5, short(v),
                      "value", "middle"),
                 text(x + each / 2, height - bottom + 16, label, "tick",
                      "middle")]
    return svg(width, height, body, "occupancy")
