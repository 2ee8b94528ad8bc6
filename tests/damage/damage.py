# SPDX-License-Identifier: Apache-2.0
"""Damage for tests/damage/run: what to break, and where the structures are.

A Target is a working copy of a dump that is broken in place and put right again. The case of the undamaged dump says
where processes, VADs, threads, loader entries and images are; a page-table walk makes file offsets of the addresses.
Only images whose pages stand in the file as they were in memory can be aimed at; others are damaged at random.
"""
import array, os, shutil, sqlite3, struct

PAGE = 4096
MASK64 = (1 << 64) - 1
# Levels of page tables: what each takes of an address, from which bit on.
TWO, PAE = [(22, 10), (12, 10)], [(30, 2), (21, 9), (12, 9)]
FOUR = [(39, 9), (30, 9), (21, 9), (12, 9)]
FIVE = [(48, 9)] + FOUR
HOSTILE = [0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 32, (1 << 47) - 1, 1 << 47, (1 << 63) - 1, 1 << 63,
           0xffff800000000000, 0xfffff78000000000, MASK64 - 0xfff, MASK64 - 7, MASK64]
NAMES = ["\x1b]0;owned\x07\x1b[2J", "'; DROP TABLE processes;--", "\u202egpj.exe", "=cmd|' /C calc'!A0", "\ud800\ud800\udc00", "\r\n\0\t\x7f\x9b",
         "%s%n%d{name}", "../../../../etc/passwd", "\ufffe\uffff"]


class Target:
    def __init__(self, path, folder, case):
        self.name = path
        self.copy = os.path.join(folder, "damaged-" + os.path.basename(path))
        shutil.copyfile(path, self.copy)
        os.chmod(self.copy, 0o600)
        self.beside = []            # what belongs to it: a state file, the other parts
        base = os.path.basename(path)
        stem = os.path.splitext(base)[0] + "." if path.endswith((".vmem", ".vmss", ".vmsn")) else base[:-7] if path.endswith("-1.kdump") else None
        for name in os.listdir(os.path.dirname(path) or "."):
            if stem and name.startswith(stem) and name != base:
                self.beside.append(os.path.join(folder, "damaged-" + name))
                shutil.copyfile(os.path.join(os.path.dirname(path), name), self.beside[-1])
        self.size = os.path.getsize(path)
        self.file = open(self.copy, "r+b", buffering=0)
        self.undo, self.cut = [], None
        self.segments = []          # (physical start, length, file offset)
        self.places = {}            # kind -> [(offset, length)]
        self.values = []            # addresses that mean something, for pointers to point at
        self.tables = []            # file offsets of page-table pages
        self.roots = []             # of processes: physical addresses
        self.width = 8              # of a pointer
        self.levels, self.entry = FOUR, 8       # of page tables, and an entry's bytes
        self.bases = {}             # of a process's images, by its id
        self.parameters = []        # (process id, root, address) of process parameters
        self.found = None           # file offsets of what looks like a pointer into the kernel
        if case:
            self.learn(case)

    # ---- reading and breaking

    def read(self, offset, length):
        return os.pread(self.file.fileno(), length, offset).ljust(length, b"\0")

    def write(self, offset, data):
        data = data[:max(0, (self.cut[0] if self.cut else self.size) - offset)]
        if data:
            self.undo.append((offset, self.read(offset, len(data))))
            os.pwrite(self.file.fileno(), data, offset)

    def truncate(self, size):
        if self.cut:
            return
        self.cut = (size,)
        os.ftruncate(self.file.fileno(), size)

    def restore(self):
        for offset, data in reversed(self.undo):
            os.pwrite(self.file.fileno(), data, offset)
        if self.cut:      # what was broken before the cut was cut off broken
            with open(self.name, "rb") as f:
                f.seek(self.cut[0])
                self.file.seek(self.cut[0])
                shutil.copyfileobj(f, self.file)
            self.cut = None
        self.undo = []

    def close(self):
        self.file.close()
        for name in [self.copy] + self.beside:
            os.unlink(name)

    # ---- where things are

    def offset(self, pa):
        for start, length, at in self.segments:
            if start <= pa < start + length:
                return at + pa - start
        return None

    def leaf(self, dtb, va):
        """Where the last level's entry stands in the file."""
        return self.walk(dtb, va)[1]

    def physical(self, dtb, va):
        return self.walk(dtb, va)[0]

    def walk(self, dtb, va):
        table, last = dtb & (0xffffffe0 if self.levels == PAE else 0xffffffffff000), None
        for i, (shift, bits) in enumerate(self.levels):
            at = self.offset(table)
            if at is None:
                return None, None
            at += (va >> shift & (1 << bits) - 1) * self.entry
            last = at if shift == 12 else None
            entry = int.from_bytes(self.read(at, self.entry), "little")
            if not entry & 1:
                return None, last
            table = entry & 0xffffffffff000
            if entry & 0x80 and shift in (30, 22, 21) and (i or self.levels == TWO):
                return (table & ~((1 << shift) - 1)) + (va & ((1 << shift) - 1)), None
        return table + (va & 0xfff), last

    def find_levels(self, dtb, base):
        """Which of the machines' page tables lead to the kernel's header."""
        for self.levels, self.entry in ((TWO, 4), (PAE, 8)) if self.width == 4 else ((FOUR, 8), (FIVE, 8)):
            pa = self.physical(dtb, base)
            at = self.offset(pa) if pa is not None else None
            if at is not None and self.read(at, 2) == b"MZ":
                return
        self.levels = (PAE if self.width == 4 else FOUR)

    def table_of(self, *entries):
        """A page of them, over and over."""
        data = b"".join((e & ((1 << 8 * self.entry) - 1)).to_bytes(self.entry, "little") for e in entries)
        return data * (PAGE // len(data))

    def add(self, kind, dtb, va, length, before=0):
        if va is None:
            return
        va &= MASK64 if self.width == 8 else 0xffffffff
        pa = self.physical(dtb, va)
        at = self.offset(pa) if pa is not None else None
        if at is not None:
            self.places.setdefault(kind, []).append((max(0, at - before), length + before))
            self.values.append(va)

    def learn(self, case):
        db = sqlite3.connect(case)
        db.text_factory = bytes
        ranges = db.execute("SELECT start, length FROM memory_ranges ORDER BY start").fetchall()
        kind, dtb, architecture, base = db.execute("SELECT format, dtb, architecture, kernel_base FROM dumps").fetchone()
        kind = (kind or b"").decode()
        self.width = 4 if (architecture or b"").startswith(b"x86") else 8
        self.segments = self.find_segments(kind, ranges)
        if not self.segments or not dtb:
            db.close()
            return
        self.find_levels(dtb, (base or 0) & (MASK64 if self.width == 8 else 0xffffffff))
        system = {r[0]: (r[1] or 0) & MASK64 for r in db.execute("SELECT process_id, dtb FROM processes")}
        for va, in db.execute("SELECT eprocess FROM processes"):
            self.add("process", dtb, va, 0xc00, 0x80)
        for va, in db.execute("SELECT ethread FROM threads"):
            self.add("thread", dtb, va, 0x900, 0x80)
        for va, in db.execute("SELECT node FROM vads"):
            self.add("vad", dtb, va, 0x90, 0x10)
        for va, in db.execute("SELECT file_object FROM vads WHERE file_object IS NOT NULL"):
            self.add("file", dtb, va, 0xd8, 0x80)
        for va, in db.execute("SELECT control_area FROM vads WHERE control_area IS NOT NULL"):
            self.add("section", dtb, va, 0x100, 0x10)
        for va, in db.execute("SELECT base FROM drivers WHERE base IS NOT NULL"):
            self.add("driver", dtb, va, 0x1000)
        for pid, va in db.execute("SELECT process_id, base FROM modules"):
            self.add("image", system.get(pid, 0), va, 0x1000)
            self.bases.setdefault(pid, []).append(va)
        for pid, va in db.execute("SELECT process_id, peb FROM processes WHERE peb IS NOT NULL"):
            self.add("peb", system.get(pid, 0), va, 0x400)
            self.ldr(pid, system.get(pid, 0), va & MASK64)
        for va, in db.execute("SELECT object FROM handles WHERE object IS NOT NULL LIMIT 2000") if self.has(db, "handles") else []:
            self.add("object", dtb, va, 0x60, 0x60)
        self.add("kernel", dtb, base, 0x1000)
        self.add("shared data", dtb, 0xfffff78000000000 if self.width == 8 else 0xffdf0000, 0x400)
        roots = {dtb} | {d for d in system.values() if d}
        self.roots = sorted(roots - {dtb})
        db.close()
        self.find_tables(roots)
        if not self.values:
            return
        low = [(p, 0x100) for p in range(PAGE, 0x100000, PAGE) if self.read(self.offset(p) or 0, 1) == b"\xe9"]
        if low:
            self.places["low stub"] = low
        self.pages = self.size // PAGE

    def find_segments(self, kind, ranges):
        """Where physical memory stands in the file, for the formats that keep it as it was."""
        if kind == "raw":
            return [(0, self.size, 0)]
        if kind in ("windows-full", "vmware"):      # pages in the order of the runs, behind the header or from the file's start
            out, at = [], 0 if kind == "vmware" else 0x1000 if self.width == 4 else 0x2000
            for start, length in ranges:
                out.append((start, length, at))
                at += length
            return out if kind == "windows-full" or self.name.endswith(".vmem") else []
        out, at = [], 0
        if kind == "lime":
            while at + 32 <= self.size:
                magic, _, start, last, _ = struct.unpack("<IIQQQ", self.read(at, 32))
                if magic != 0x4C694D45 or last < start:
                    break
                out.append((start, last - start + 1, at + 32))
                at += 32 + last - start + 1
        elif kind == "elf" and self.read(0, 5) == b"\x7fELF\x02":
            (table,), (size, n) = struct.unpack("<Q", self.read(32, 8)), struct.unpack("<HH", self.read(54, 4))
            for i in range(n):
                p_type, _, offset, _, pa, length = struct.unpack("<IIQQQQ", self.read(table + i * size, 40))
                if p_type == 1:
                    out.append((pa, length, offset))
        elif kind.startswith(("windows-bitmap", "windows-live", "windows-active", "windows-complete")) and \
                self.read((0x1000 if self.width == 4 else 0x2000) + 4, 4) == b"DUMP":
            head = 0x1000 if self.width == 4 else 0x2000
            first, _, pages = struct.unpack("<QQQ", self.read(head + 0x20, 24))
            for i, byte in enumerate(self.read(head + 0x38, min(pages // 8 + 1, 1 << 21))):
                for bit in range(8):
                    if byte >> bit & 1:
                        out.append(((i * 8 + bit) * PAGE, PAGE, first))
                        first += PAGE
            joined = []
            for start, length, at in out:
                if joined and joined[-1][0] + joined[-1][1] == start and joined[-1][2] + joined[-1][1] == at:
                    joined[-1] = (joined[-1][0], joined[-1][1] + length, joined[-1][2])
                else:
                    joined.append((start, length, at))
            out = joined
        return out

    @staticmethod
    def has(db, table):
        return db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone()

    def pointer(self, dtb, va):
        pa = self.physical(dtb, va)
        at = self.offset(pa) if pa is not None else None
        return int.from_bytes(self.read(at, self.width), "little") if at is not None else 0

    def ldr(self, pid, dtb, peb):
        ldr, parameters = (self.pointer(dtb, peb + self.width * i) for i in (3, 4))
        self.add("loader", dtb, ldr, 0x60)
        self.add("parameters", dtb, parameters, 0x410)
        self.parameters.append((pid, dtb, parameters))
        head = at = ldr + (0x10 if self.width == 8 else 0xc)
        for _ in range(300):
            at = self.pointer(dtb, at)
            if not at or at == head:
                break
            self.add("loader", dtb, at, 0x120)

    def pointers(self):
        """File offsets of all that looks like a pointer into the kernel, whatever the machine and the format: lists of any kind are made of them."""
        if self.found is None:
            low, high = (0x80000000, 0xfffff000) if self.width == 4 else (0xffff800000000000, MASK64 - PAGE)
            self.found = []
            for at in range(0, self.size - self.size % self.width, 1 << 24):
                data = self.read(at, 1 << 24)
                if data.count(0) < len(data):
                    words = array.array("I" if self.width == 4 else "Q", data)
                    self.found += [at + i * self.width for i, word in enumerate(words) if low <= word < high and not word & 3]
        return self.found

    def find_tables(self, roots):
        seen, level = set(), sorted(roots)
        for depth in range(len(self.levels)):
            below = []
            for table in level:
                at = self.offset(table)
                if at is None or table in seen or len(seen) > 6000:
                    continue
                seen.add(table)
                self.tables.append(at)
                if depth + 1 < len(self.levels):
                    top = self.levels == PAE and not depth       # in the middle of a page
                    page = self.read(at, 32 if top else PAGE).ljust(PAGE, b"\0")
                    for (entry,) in struct.iter_unpack("<Q" if self.entry == 8 else "<I", page):
                        if entry & 1 and not (entry & 0x80 and (depth or self.levels == TWO)):
                            below.append(entry & 0xffffffffff000)
                    if top:
                        self.tables.pop()
            level = below
        self.tables.sort()


# ---- the kinds of damage; each returns what it did

def flip_bits(t, rng):
    n = rng.choice([1, 16, 256, 4096])
    for _ in range(n):
        at = rng.randrange(t.size)
        t.write(at, bytes([t.read(at, 1)[0] ^ 1 << rng.randrange(8)]))
    return "%d bits flipped anywhere" % n


def random_pages(t, rng):
    n = rng.choice([1, 8, 64, 512])
    for _ in range(n):
        t.write(rng.randrange(max(1, t.size // PAGE)) * PAGE, rng.randbytes(PAGE))
    return "%d pages of random bytes" % n


def shuffle_pages(t, rng):
    n = rng.choice([2, 32, 512])
    at = [rng.randrange(max(1, t.size // PAGE)) * PAGE for _ in range(n)]
    pages = [t.read(a, PAGE) for a in at]
    rng.shuffle(pages)
    for a, page in zip(at, pages):
        t.write(a, page)
    return "%d pages shuffled" % n


def cut(t, rng):
    size = rng.choice([rng.randrange(t.size), rng.randrange(min(t.size, 0x4000)), t.size - rng.randrange(1, min(t.size, PAGE)), rng.randrange(t.size) & ~(PAGE - 1)])
    t.truncate(max(1, size))
    return "cut to %d bytes" % size


def header(t, rng):
    n = rng.choice([1, 4, 64])
    for _ in range(n):
        at = rng.randrange(min(t.size, rng.choice([64, 0x1000, 0x2000, 0x10000])))
        width = rng.choice([1, 2, 4, 8])
        t.write(at, struct.pack("<Q", rng.choice(HOSTILE + [rng.getrandbits(64)]))[:width])
    return "%d values of the file's header" % n


def somewhere(t, rng, kinds=None):
    kind = rng.choice(sorted(k for k in t.places if not kinds or k in kinds))
    at, length = rng.choice(t.places[kind])
    return kind, at, length


def structure_bits(t, rng):
    n = rng.choice([1, 8, 64, 512])
    kinds = set()
    for _ in range(n):
        kind, at, length = somewhere(t, rng)
        at += rng.randrange(length)
        kinds.add(kind)
        t.write(at, bytes([(t.read(at, 1) or b"\0")[0] ^ 1 << rng.randrange(8)]))
    return "%d bits in %s" % (n, ", ".join(sorted(kinds)))


def structure_values(t, rng):
    n = rng.choice([1, 8, 64, 512])
    kinds = set()
    for _ in range(n):
        kind, at, length = somewhere(t, rng)
        width = rng.choice([1, 2, 4, 8, 8])
        at += rng.randrange(max(1, length // width)) * width
        kinds.add(kind)
        value = rng.choice(HOSTILE) if rng.random() < 0.5 else rng.choice(t.values) + rng.choice([0, 8, 16, -16, 0x448, 1])
        t.write(at, struct.pack("<Q", value & MASK64)[:width])
    return "%d hostile values in %s" % (n, ", ".join(sorted(kinds)))


def one_kind_everywhere(t, rng):
    """The same field of every structure of a kind: all counts huge, all links to one place."""
    kind, _, length = somewhere(t, rng)
    offset, width = rng.randrange(length) & ~7, rng.choice([2, 4, 8])
    value = rng.choice(HOSTILE + [rng.choice(t.values)])
    for at, _ in t.places[kind]:
        t.write(at + offset, struct.pack("<Q", value & MASK64)[:width])
    return "every %s has 0x%x at +0x%x" % (kind, value, offset)


def pointers_crossed(t, rng):
    """What looks like a kernel pointer in structures leads to another structure: loops, shared nodes, other types."""
    n, done = rng.choice([1, 8, 64]), 0
    for _ in range(n * 20):
        kind, at, length = somewhere(t, rng, {"process", "thread", "vad", "file", "section", "object", "loader", "parameters", "peb"} & set(t.places) or None)
        at += (rng.randrange(length) & ~7)
        (value,) = struct.unpack("<Q", t.read(at, 8).ljust(8, b"\0"))
        if value >> 47 in (0x1ffff, 0) and value > 0x10000:
            t.write(at, struct.pack("<Q", rng.choice(t.values)))
            done += 1
            if done == n:
                break
    return "%d pointers crossed" % done


def pointers_rewired(t, rng):
    """Pointers of the kernel anywhere, in the lists nothing else here aims at, too, lead where others lead: cycles, shared tails, other types."""
    found = t.pointers()
    if len(found) < 16:
        return "no pointers"
    how = rng.choice(["like others", "like others", "like their neighbours", "all to one place"])
    n, one = min(len(found), rng.choice([16, 256, 4096, 65536])), t.read(rng.choice(found), t.width)
    start = rng.randrange(len(found) - n + 1) if rng.random() < 0.5 else None
    for i in range(n):
        which = rng.randrange(len(found)) if start is None else start + i
        other = rng.randrange(len(found)) if how == "like others" else max(0, which - rng.randrange(1, 9))
        t.write(found[which], one if how == "all to one place" else t.read(found[other], t.width))
    return "%d pointers %s lead %s" % (n, "anywhere" if start is None else "in a row", how)


def entry_of(t, rng):
    return rng.choice(t.tables) + rng.randrange(PAGE // t.entry) * t.entry


def physical_of(t, at):
    for start, length, offset in t.segments:
        if offset <= at < offset + length:
            return start + at - offset
    return 0


def table_bits(t, rng):
    n = rng.choice([1, 16, 256])
    for _ in range(n):
        at = entry_of(t, rng) + rng.randrange(t.entry)
        t.write(at, bytes([t.read(at, 1)[0] ^ 1 << rng.randrange(8)]))
    return "%d bits in page tables" % n


def table_loops(t, rng):
    """Tables that name themselves or other tables, or nothing but large pages."""
    n = rng.choice([1, 4, 32])
    how = rng.choice(["itself once", "itself always", "others", "large pages", "one page always", "prototype entries", "transition entries"])
    for _ in range(n):
        table = rng.choice(t.tables)
        own = physical_of(t, table)
        if how == "itself once":
            t.write(table + rng.randrange(PAGE // t.entry) * t.entry, t.table_of(own | 0x67)[:t.entry])
        elif how == "itself always":
            t.write(table, t.table_of(own | 0x67))
        elif how == "others":
            t.write(table, t.table_of(*(physical_of(t, rng.choice(t.tables)) | 0x67 for _ in range(PAGE // t.entry))))
        elif how == "large pages":
            t.write(table, t.table_of(*(i << (22 if t.entry == 4 else 30) | 0xe7 for i in range(PAGE // t.entry))))
        elif how == "one page always":
            t.write(table, t.table_of(rng.randrange(max(1, t.size // PAGE)) * PAGE | 0x67))
        elif how == "prototype entries":
            t.write(table, t.table_of(rng.choice(t.values) << 16 | 0x400))
        else:
            t.write(table, t.table_of(own | 0x8e0))
    return "%d page tables name %s" % (n, how)


def table_pages(t, rng):
    n = rng.choice([1, 8, 64])
    for _ in range(n):
        a, b = rng.choice(t.tables), rng.choice(t.tables)
        x, y = t.read(a, PAGE), t.read(b, PAGE)
        t.write(a, y)
        t.write(b, x if rng.random() < 0.7 else rng.randbytes(PAGE))
    return "%d page tables swapped" % n


def endless_vads(t, rng):
    """VADs that span all of user memory, over page tables that have everything."""
    for at, length in t.places["vad"] if rng.random() < 0.5 else [rng.choice(t.places["vad"]) for _ in range(20)]:
        node = t.read(at, length)
        for o in range(0x10, min(0x50, len(node) - 4), 4):
            (value,) = struct.unpack_from("<I", node, o)
            if 0x10 < value < 0x7fffffff and rng.random() < 0.5:
                t.write(at + o, struct.pack("<I", rng.choice([0, 0xffffffff, 0x7ffffffe, 0x7ffffff, 1])))
    tables = table_loops(t, rng) if rng.random() < 0.7 else "page tables as they are"
    return "VADs over everything, " + tables


def one_frame(t, rng):
    """All of every process's user memory is one frame of code, by page tables whose entries are all alike, and a VAD spans it."""
    frame, last, middle, top = rng.sample(range(1, t.size // PAGE), 4)
    wanted = b"MZ" + rng.randbytes(PAGE - 2) if rng.random() < 0.5 else b"\x55\x48\x89\xe5\x90\xc3" * (PAGE // 6) + b"\0" * (PAGE % 6)
    at = [t.offset(page * PAGE) for page in (frame, last, middle, top)]
    if None in at:
        return table_loops(t, rng)
    t.write(at[0], wanted)
    for table, below in zip(at[1:], (frame, last, middle)):
        t.write(table, t.table_of(below * PAGE | 0x67))
    below = {2: frame if rng.random() < 0.5 else last, 3: middle}.get(len(t.levels), top)
    for root in t.roots:
        where = t.offset(root & (0xffffffe0 if t.levels == PAE else 0xffffffffff000))
        if where is not None:
            t.write(where, t.table_of(below * PAGE | (0x67 if t.levels != PAE else 1))[:t.entry * (2 if t.levels == PAE else rng.choice([1, 16, 256]))])
    return "every process maps page 0x%x all over, %s" % (frame, endless_vads(t, rng) if rng.random() < 0.5 else "VADs as they are")


def names(t, rng):
    """Every text of one process's structures becomes a hostile one."""
    n = 0
    for _ in range(rng.choice([4, 64])):
        kind, at, length = somewhere(t, rng, {"process", "parameters", "loader", "file", "driver", "image"} & set(t.places) or None)
        name = rng.choice(NAMES)
        data = name.encode("utf-16-le", "surrogatepass") if rng.random() < 0.6 else name.encode("utf-8", "surrogatepass")
        old = t.read(at, length)
        for o in range(0, len(old) - 16, 8):
            if all(32 <= c < 127 for c in old[o:o + 6]):
                t.write(at + o, data)
                n += 1
                break
    memory = t.read(0, 0) or b""
    for _ in range(64):      # and texts wherever they are
        start = rng.randrange(t.size)
        memory = t.read(start, 65536)
        found = memory.find(rng.choice(["\\Windows\\", ".dll", ".exe", "C:\\"]).encode("utf-16-le"))
        if found >= 0:
            t.write(start + found, rng.choice(NAMES).encode("utf-16-le", "surrogatepass"))
            n += 1
    return "%d hostile names" % n


def long_texts(t, rng):
    """Texts as long as they can be, in each process's parameters: two pages over and over, which image headers had before."""
    units = rng.sample(["c", "d", "\\", "\u0001", "\u202e", "%", "'", "\ud800"], 2)
    n = 0
    for pid, dtb, parameters in t.parameters:
        base = max(t.bases.get(pid, [0]))       # system libraries lie highest, and their frames are shared
        frames = [t.physical(dtb, base), t.physical(dtb, base + PAGE)]
        entries = [t.leaf(dtb, base + i * PAGE) for i in range(16)]
        if None in frames + entries or None in map(t.offset, frames):
            continue
        for frame, unit in zip(frames, units):
            t.write(t.offset(frame), (unit * 2048).encode("utf-16-le", "surrogatepass"))
        for i, at in enumerate(entries):
            t.write(at, t.table_of(frames[i // 8] & ~(PAGE - 1) | 0x25)[:t.entry])
        for field in (0x38, 0x60, 0x70) if t.width == 8 else (0x24, 0x38, 0x40):
            pa = t.physical(dtb, parameters + field)
            if pa is not None and t.offset(pa) is not None:
                t.write(t.offset(pa), struct.pack("<HH", 0xfffe, 0xfffe) + bytes(t.width - 4) + base.to_bytes(t.width, "little"))
                n += 1
    return "%d texts of 32,767 characters, %r" % (n, units)


def image_headers(t, rng):
    n = rng.choice([1, 8, 64])
    for _ in range(n):
        _, at, _ = somewhere(t, rng, {"image", "driver", "kernel"} & set(t.places) or None)
        (nt,) = struct.unpack("<I", t.read(at + 0x3c, 4).ljust(4, b"\0"))
        nt = nt if nt < 0xf00 else 0x80
        where = at + nt + rng.choice([6, 0x14, 0x18, 0x28, 0x38, 0x3c, 0x50, 0x54, 0x84, 0x88, 0x8c, 0x90, 0x94, 0x98, 0xb0, 0xb8, 0xbc, 0xd0, 0xd8,
                                      rng.randrange(0x300)])
        t.write(where, struct.pack("<I", rng.choice(HOSTILE) & 0xffffffff)[:rng.choice([2, 4])])
    return "%d values of PE headers" % n


def enormous(t, rng):
    """Counts and lengths of four billion and more: a value of the header's that could be one, and its likes in the structures."""
    big = rng.choice([0xffffffff, 0xfffffffe, 0x7fffffff, 0x80000000, 0x40000000, MASK64, 1 << 62, (1 << 63) - 1, 1 << 40])
    width = 4 if big <= 0xffffffff else 8
    place, length = rng.choice([(0, 0x200), (0, 0x2000), (0x2000, 0x100), (0, min(t.size, 0x10000))])
    n = 0
    for _ in range(400):
        at = place + (rng.randrange(length) & ~(width - 1))
        (value,) = struct.unpack("<Q", t.read(at, width).ljust(8, b"\0"))
        if 0 < value < 1 << 24:
            t.write(at, struct.pack("<Q", big)[:width])
            n += 1
            if n == rng.choice([1, 1, 3]):
                break
    for _ in range(rng.choice([0, 0, 20]) if t.places else 0):
        _, at, length = somewhere(t, rng)
        t.write(at + (rng.randrange(max(8, length)) & ~3), struct.pack("<I", big & 0xffffffff))
    return "%d counts of 0x%x" % (n, big)


def single(t, rng):
    """One byte, anywhere or in what the file begins with; or the file cut off."""
    if rng.random() < 0.25:
        return cut(t, rng)
    at = rng.randrange(t.size if rng.random() < 0.6 else min(t.size, rng.choice([0x200, 0x2000, 0x4000])))
    value = rng.choice([0, 0xff, rng.randrange(256), t.read(at, 1)[0] ^ 1 << rng.randrange(8)])
    t.write(at, bytes([value]))
    return "byte 0x%x is 0x%x" % (at, value)


ANYWHERE = [enormous, flip_bits, random_pages, shuffle_pages, cut, header, pointers_rewired]
AIMED = [structure_bits, structure_values, structure_values, one_kind_everywhere, one_kind_everywhere, pointers_crossed, pointers_crossed, names, image_headers]
TABLES = [table_bits, table_loops, table_loops, table_pages, one_frame]


def apply(target, rng, only=None):
    kinds = list(ANYWHERE)
    if target.values:
        kinds += AIMED
        if target.tables:
            kinds += TABLES
        if "vad" in target.places and target.tables:
            kinds += [endless_vads]
        if target.parameters:
            kinds += [long_texts]
    if only:
        kinds = [kind for kind in kinds + [single] if kind.__name__ == only]
        return kinds[0](target, rng) if kinds else "nothing: it has no place for that"
    done = [rng.choice(kinds)(target, rng) for _ in range(rng.choice([1, 1, 1, 2, 4]) if target.values else 1)]
    return "; ".join(done)
