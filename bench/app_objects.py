# SPDX-License-Identifier: MIT
"""A program as programs are: text, trees of objects, tables that grow, all
built and dropped a few times.  Run with PYTHONMALLOC=malloc every object goes
to malloc."""

import json
import random


def records(rng, count):
    return [{"id": i, "name": "name-%d" % rng.randrange(10 ** 6),
             "tags": ["t%d" % rng.randrange(50) for _ in range(i % 7)],
             "at": (rng.random(), rng.random())} for i in range(count)]


def main():
    rng = random.Random(1)
    kept = {}
    for turn in range(4):
        found = json.loads(json.dumps(records(rng, 20000)))
        words = {}
        for r in found:
            words.setdefault(r["name"][:7], []).append(r["id"])
            if r["id"] % 50 == turn:
                kept[turn, r["id"]] = r
        text = "\n".join("%s %s" % (k, v) for k, v in sorted(words.items()))
        kept[turn] = len(text.split())
    print(len(kept))


main()
