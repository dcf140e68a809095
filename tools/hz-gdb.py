# SPDX-License-Identifier: MIT
"""Commands of gdb for programs on libhz: a live process or a core file.

    hz where ADDRESS    which block, slab, run and owner an address belongs to
    hz report           what the heap holds, by kind and by size class

Loaded by gdb itself where it is installed; otherwise with "source hz-gdb.py".

      hz_root -> names -> offsets and objects -> arenas, run records, heaps

No debugging information is needed: libhz exports hz_root, which describes
itself (lib/root.h), as hz-stat has it. Nothing runs in the program and nothing
is written to it; the figures of a process that was stopped anywhere may
contradict themselves by what it was just doing. Of a core only what was dumped
can be told. Which pages are resident, hz-stat knows.
"""

import struct

import gdb

PAGE = 4096
HEAPS_MAX = 1 << 20  # a longer list goes round
BATCHES_MAX = 1 << 20
STATES = ("clean", "dirty", "busy", "slab", "large")


class Bad(gdb.GdbError):
    """Shown by gdb as one line."""


class Root:
    """hz_root of the program: numbers by name, addresses by name."""

    def __init__(self):
        try:
            at = int(gdb.parse_and_eval("(unsigned long)&hz_root"))
        except gdb.error as error:
            raise Bad("no libhz in this program: %s" % error) from None
        self.memory = gdb.selected_inferior()
        raw = self.read(at, 64)
        magic, version, size = struct.unpack_from("<8sII", raw)
        if magic != b"libhz\r\n\0":
            raise Bad("hz_root is damaged")
        if version > 1:
            raise Bad("its libhz has root version %d, this script knows 1" % version)
        raw = self.read(at, size)
        library, lane, fields, nfields, nobjects = struct.unpack_from("<16s16sQII", raw, 16)
        if nfields > 4096 or 64 + 32 * nobjects > size:
            raise Bad("hz_root is damaged")
        self.library, self.lane = text(library), text(lane)
        self.number, self.object = {}, {}
        names = self.read(fields, 32 * nfields)
        for name, offset, _ in struct.iter_unpack("<24sII", names):
            self.number[text(name)] = offset
        for name, address in struct.iter_unpack("<24sQ", raw[64:64 + 32 * nobjects]):
            self.object[text(name)] = address

    def __getitem__(self, name):
        try:
            return self.number[name]
        except KeyError:
            raise Bad("its libhz does not describe %s: too old or too new" % name) from None

    def read(self, at, size):
        try:
            return bytes(self.memory.read_memory(at, size)) if size else b""
        except (gdb.error, OverflowError, ValueError):
            raise Bad("memory at %#x cannot be read" % at) from None

    def u64(self, at):
        return struct.unpack("<Q", self.read(at, 8))[0]

    def u32(self, at):
        return struct.unpack("<I", self.read(at, 4))[0]


def text(raw):
    return raw.split(b"\0")[0].decode("ascii", "replace")


def get(raw, offset, form="<Q"):
    return struct.unpack_from(form, raw, offset)[0]


class Run:
    """One run record: a slab, a large block or free pages."""

    def __init__(self, heap, arena, at, raw):
        root = heap.root
        span = get(raw, root["run.span"])
        self.at, self.arena = at, arena
        self.start = arena.start + (span & 0xffffffff) * PAGE
        self.pages = span >> 32
        state = raw[root["run.state"]]
        self.state = heap.states.get(state, "unknown")
        self.bytes = self.pages * PAGE
        self.owner = None
        if self.state == "slab":
            number = raw[root["run.class_no"]]
            self.klass = number
            self.block, self.blocks = heap.classes[number] if number < len(heap.classes) else (0, 0)
            self.carved = get(raw, root["run.carved"], "<H")
            self.owner = get(raw, root["run.owner"], "<I") >> root["tag.owner_shift"]
            words = min((self.blocks + 63) // 64, (len(raw) - root["run.bits"]) // 8)
            self.free = int.from_bytes(raw[root["run.bits"]:root["run.bits"] + 8 * words], "little")
        elif self.state == "large":
            self.bytes = get(raw, root["run.bytes"])


class Arena:
    def __init__(self, root, at):
        raw = root.read(at, root["arena.size"])
        self.start = get(raw, root["arena.start"])
        self.base = get(raw, root["arena.base"])
        self.reserved = get(raw, root["arena.reserved_bytes"])
        self.pages = get(raw, root["arena.pages_top"], "<I")
        self.next = get(raw, root["arena.runs_next"])
        self.first = self.base + root["records.first"]
        if not self.base < self.start <= self.base + self.reserved or self.next > self.start:
            raise Bad("the arena at %#x is damaged" % at)

    def has(self, address):
        return self.base <= address < self.base + self.reserved


class Heap:
    def __init__(self):
        root = self.root = Root()
        self.states = {root["state." + name]: name for name in STATES}
        count = root.u32(root.object["arenas_count"])
        if not count:
            raise Bad("its libhz has not been used yet")
        size = root["class.size"]
        raw = root.read(root.object["classes"], size * root["classes"])
        self.classes = [(get(raw, i + root["class.bytes"], "<I"), get(raw, i + root["class.blocks"], "<H"))
                        for i in range(0, len(raw), size)]
        self.arenas = [Arena(root, root.u64(root.object["arenas"] + 8 * i))
                       for i in range(min(count, 4096))]

    def records(self, arena):
        """Addresses and bytes of the run records in use."""
        size = self.root["run.size"]
        raw = self.root.read(arena.first, max(0, (arena.next - arena.first) // size * size))
        for i in range(0, len(raw), size):
            yield arena.first + i, raw[i:i + size]

    def runs(self, arena):
        for at, raw in self.records(arena):
            if get(raw, self.root["run.span"]) >> 32 and raw[self.root["run.state"]] in self.states:
                yield Run(self, arena, at, raw)

    def run_of(self, arena, address):
        page, span = (address - arena.start) // PAGE, self.root["run.span"]
        for at, raw in self.records(arena):
            both = get(raw, span)
            if both & 0xffffffff <= page < (both & 0xffffffff) + (both >> 32):
                return Run(self, arena, at, raw)
        return None

    def direct(self):
        """Large blocks with a mapping of their own: base and bytes."""
        root = self.root
        table, entries = root.u64(root.object["direct_table"]), root.u64(root.object["direct_entries"])
        if not table or entries > 1 << 22:
            return
        size = root["direct.size"]
        raw = root.read(table, entries * size)
        for i in range(0, len(raw), size):
            base = get(raw, i + root["direct.base"])
            if base >= PAGE:
                yield base, get(raw, i + root["direct.bytes"])

    def heaps(self):
        """Bytes of each heap; one for each thread that ever allocated at a time."""
        root = self.root
        at = root.u64(root.u64(root.object["heaps"]))
        for _ in range(HEAPS_MAX):
            if not at:
                return
            raw = root.read(at, root["heap.size"])
            yield raw
            at = get(raw, root["heap.next"])

    def number_of(self, heap):
        return get(heap, self.root["heap.tag"], "<I") >> self.root["tag.owner_shift"]

    def held(self, heap):
        """Free blocks that are in no bitmap: where they are, class (or None), address."""
        root = self.root
        tls = get(heap, root["heap.tls"])
        try:
            raw = root.read(tls, root["tls.size"]) if tls else b""
        except Bad:
            raw = b""  # the thread has just ended
        for k in range(len(self.classes) if raw else 0):
            array = get(heap, root["heap.array"] + 8 * k)
            top = get(raw, root["tls.mag"] + k * root["mag.size"] + root["mag.top"])
            if array and array < top <= array + 8 * root["mag.rounds"]:
                # A NULL between them stands for the one that is kept beside.
                under = get(heap, root["heap.under"] + 8 * k)
                for block, in struct.iter_unpack("<Q", root.read(array + 8, top - array)):
                    yield "cached", k, block or under
        at = get(heap, root["heap.inbox"])
        for _ in range(BATCHES_MAX):
            if not at:
                break
            batch = root.read(at, root["batch.size"])
            count = min(get(batch, root["batch.count"], "<H"), root["batch.rounds"])
            for block, in struct.iter_unpack("<Q", batch[root["batch.blocks"]:][:8 * count]):
                yield "in the inbox", None, block
            at = get(batch, root["batch.next"])
        for i in range(root["outbox.slots"]):
            slot = root["heap.box"] + i * root["slot.size"]
            batch, end = get(heap, slot + root["slot.batch"]), get(heap, slot + root["slot.next"])
            first = batch + root["batch.blocks"]
            if batch and first < end <= first + 8 * root["batch.rounds"]:
                for block, in struct.iter_unpack("<Q", root.read(first, end - first)):
                    yield "in the outbox", None, block

    def holder(self, block):
        for heap in self.heaps():
            for where, _, address in self.held(heap):
                if address == block:
                    return where, self.number_of(heap)
        return None


def say(line):
    gdb.write(line + "\n")


class Hz(gdb.Command):
    """Look into the heap of a program on libhz."""

    def __init__(self):
        super().__init__("hz", gdb.COMMAND_DATA, prefix=True)


class Where(gdb.Command):
    """hz where ADDRESS: which block, slab, run and owner an address belongs to.

States of a block: live (the program has it), free (in its slab), cached (free, in the
magazine of a thread), in the inbox or outbox of a heap (free, on the way to its owner),
never handed out."""

    def __init__(self):
        super().__init__("hz where", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument:
            raise Bad("usage: hz where ADDRESS")
        address = int(gdb.parse_and_eval("(unsigned long)(%s)" % argument)) & (1 << 64) - 1
        heap = Heap()
        for arena in heap.arenas:
            if arena.has(address):
                self.in_arena(heap, arena, address)
                return
        for base, size in heap.direct():
            if base <= address < base + max(size, 1):
                say("%#x: %d bytes into a live large block of %d bytes at %#x, with a mapping of its own"
                    % (address, address - base, size, base))
                return
        say("%#x: not libhz's" % address)

    def in_arena(self, heap, arena, address):
        if address < arena.start:
            say("%#x: libhz's own tables" % address)
            return
        run = heap.run_of(arena, address)
        if (address - arena.start) // PAGE >= arena.pages:
            say("%#x: address space that was never used" % address)
        elif run is None:
            say("%#x: pages in no run: changing hands" % address)
        elif run.state == "slab":
            self.in_slab(heap, run, address)
        elif run.state == "large":
            past = ", past its end" if address - run.start >= run.bytes else ""
            say("%#x: %d bytes into a live large block of %d bytes at %#x%s"
                % (address, address - run.start, run.bytes, run.start, past))
            self.tell_run(run)
        else:
            say("%#x: %s pages, free" % (address, run.state))
            self.tell_run(run)

    def in_slab(self, heap, run, address):
        index = (address - run.start) // run.block if run.block else run.blocks
        if index >= run.blocks:
            say("%#x: the rest at the end of a slab" % address)
        else:
            block = run.start + index * run.block
            say("%#x: %d bytes into a block of %d bytes at %#x: %s"
                % (address, address - block, run.block, block, self.state(heap, run, index, block)))
        self.tell_run(run)
        say("  class %d: block %d of %d, %d were handed out at least once, %d are free in the slab"
            % (run.klass, index, run.blocks, run.carved, bin(run.free).count("1")))
        say("  owner: heap %d" % run.owner)

    @staticmethod
    def state(heap, run, index, block):
        if index >= run.carved:
            return "never handed out"
        if run.free >> index & 1:
            return "free"
        holder = heap.holder(block)
        return "%s of heap %d, free" % holder if holder else "live"

    @staticmethod
    def tell_run(run):
        say("  run: %s, %d pages at %#x, record at %#x" % (run.state, run.pages, run.start, run.at))


class Report(gdb.Command):
    """hz report: what the heap holds, by kind and by size class."""

    def __init__(self):
        super().__init__("hz report", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        heap = Heap()
        root = heap.root
        pages = dict.fromkeys(STATES, 0)
        slabs = [[0] * 3 for _ in heap.classes]  # slabs, blocks handed out, free in slabs
        held = [0] * len(heap.classes)
        large = [0, 0]
        kinds = {}
        shape = {}
        for arena in heap.arenas:
            for run in heap.runs(arena):
                pages[run.state] = pages.get(run.state, 0) + run.pages
                if run.state == "slab" and run.klass < len(slabs):
                    sums = slabs[run.klass]
                    sums[0] += 1
                    sums[1] += run.carved
                    sums[2] += bin(run.free & (1 << run.carved) - 1).count("1")
                    for page in range(run.pages):
                        shape[run.start + page * PAGE] = run.klass
                elif run.state == "large":
                    large[0] += 1
                    large[1] += run.bytes
        for one in heap.heaps():
            for where, klass, block in heap.held(one):
                klass = shape.get(block & -PAGE) if klass is None else klass
                if klass is not None:
                    held[klass] += 1
                    kinds[where] = kinds.get(where, 0) + heap.classes[klass][0]
        direct = list(heap.direct())
        live = sum(max(0, s[1] - s[2] - h) * c[0] for s, h, c in zip(slabs, held, heap.classes))
        say("libhz %s, lane %s: %d arenas, %d heaps" % (root.library, root.lane, len(heap.arenas),
                                                       sum(1 for _ in heap.heaps())))
        say("live: %d bytes in small blocks, %d bytes in %d large blocks"
            % (live, large[1] + sum(size for _, size in direct), large[0] + len(direct)))
        for where in sorted(kinds):
            say("free, %s: %d bytes" % (where, kinds[where]))
        say("pages: " + ", ".join("%d %s" % (pages[state], state) for state in STATES))
        say("class  block bytes  slabs     live     held     free")
        for k, (size, _) in enumerate(heap.classes):
            count, carved, free = slabs[k]
            if count:
                say("%5d %12d %6d %8d %8d %8d"
                    % (k, size, count, max(0, carved - free - held[k]), held[k], free))


Hz()
Where()
Report()
