"""gdb commands for programs that use libgomax: they list Gs, Ms and Ps, and show where a G waits.

    gmx-gs          every G: number, state, for what it waits and how long, name, function
    gmx-ps          every P: its state, the M that holds it
    gmx-ms          every thread that the library knows: its P, its G
    gmx-fds         every handle of a descriptor: its number, kind and deadlines, and the Gs that wait for it
    gmx-bt G        the stack of a G, by its number; `gmx-bt all` of every G that is off its thread

For a process that is stopped in gdb, and for a core. gdb loads this file with the library when it lies in gdb's auto-load
directory under the library's own path, where `make install` puts it; otherwise: (gdb) source gomax-gdb.py

Of a G that is off its thread gdb shows a stack only if the registers can be written, so not in a core: there its first
frame is shown, and what looks like a return address on its stack.
"""

import bisect
import re
import struct

import gdb

FIELDS = (
    "allg dir_len chunk_len g_size allp allp_ps allm gomaxprocs coarse "
    "g_state g_sp g_m g_entry g_arg g_goid g_flags g_lockedm g_cold c_wait_reason c_wait_since c_name "
    "p_word p_id p_m p_schedtick m_curg m_id m_kind m_tid m_all_link m_alive m_spinning m_parked "
    "c_wait_addr fds "
    "place_bits part_bits first_bits part_size part_chunks place_size place_word place_value "
    "fd_size fd_number fd_kind fd_watch fd_read_deadline fd_write_deadline"
).split()
FD_KINDS = "file tcp unix socket pipe other".split()
FD_WATCH = ["", "", "watched", "lost"]
FOREVER = (1 << 63) - 1
G_STATUS = "idle runnable running syscall waiting parked dead parking suspended interruptible".split()
P_STATUS = {0: "idle", 1: "running", 3: "stopped", 4: "dead"}
IDLE, RUNNABLE, RUNNING, SYSCALL, DEAD = 0, 1, 2, 3, 6
FOREIGN, THREAD_WAIT, ZOMBIE = 2, 4, 8


# A list of a damaged process may not end, so each walk has a bound.
MOST_DIRECTORIES, MOST_PS, MOST_MS, MOST_FRAMES = 1 << 12, 1 << 14, 1 << 20, 1000
MOST_FDS = 1 << 22


class Broken(gdb.GdbError):
    pass


class Walk:
    """The addresses that a walk over a list has seen. A repeated address, or too many, ends the walk with a message."""

    def __init__(self, what, most):
        self.what, self.most, self.seen = what, most, set()

    def new(self, address):
        if address not in self.seen and len(self.seen) < self.most:
            self.seen.add(address)
            return True
        print("the list of %s is damaged: %s" % (self.what, "it is circular" if address in self.seen else "it has no end"))
        return False


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def u64(address):
    return struct.unpack("<Q", read(address, 8))[0]


def u32(address):
    return struct.unpack("<I", read(address, 4))[0]


def i32(address):
    return struct.unpack("<i", read(address, 4))[0]


def i64(address):
    return struct.unpack("<q", read(address, 8))[0]


def escaped(bytes):
    """The host's bytes as text that neither ends a line nor controls a terminal, as in the library's reports
    (src/ds/escape.rs)."""
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\"": "\\\"", "\\": "\\\\"}
    shown = ""
    for c in bytes.decode("utf-8", "surrogateescape"):
        if c in short:
            shown += short[c]
        elif "\udc80" <= c <= "\udcff":
            shown += "\\x%02x" % (ord(c) - 0xDC00)
        else:
            shown += c if c.isprintable() else "\\u{%x}" % ord(c)
    return shown


def text(address, most=200):
    if address == 0:
        return ""
    try:
        return escaped(gdb.selected_inferior().read_memory(address, most).tobytes().split(b"\0")[0])
    except gdb.MemoryError:
        return "?"


def symbol(address):
    """`name+8`, without what gdb says about sections and files."""
    said = gdb.execute("info symbol %#x" % address, to_string=True)
    if said.startswith("No symbol"):
        return "%#x" % address
    return re.sub(r"(::h[0-9a-f]{16})?(?= \+|$)", "", re.sub(r" (in section|of) .*", "", said.strip())).replace(" + ", "+")


class Runtime:
    """The runtime of the process, by the table that the library carries (src/rt/gdb.rs)."""

    def __init__(self):
        found = re.search(r"(0x[0-9a-f]+) - 0x[0-9a-f]+ is \.gmx\.gdb\b", gdb.execute("info files", to_string=True))
        if not found:
            raise Broken("libgomax is not in this process, or is too old for this script")
        table = int(found.group(1), 16)
        try:
            magic = read(table, 8)
        except gdb.MemoryError:
            raise Broken("the process does not run yet")
        if magic != b"gmxgdb2\0":
            raise Broken("this script is not of the library's version")
        self.sched = u64(u64(table + 8))
        if self.sched == 0:
            raise Broken("the runtime has not been started")
        words = struct.unpack("<%dQ" % len(FIELDS), read(table + 16, 8 * len(FIELDS)))
        self.at = dict(zip(FIELDS, words))

    def gs(self):
        """Every G that lives, or waits to be joined."""
        directories = u64(self.sched + self.at["allg"])
        walk = Walk("goroutines", MOST_DIRECTORIES + MOST_DIRECTORIES * self.at["dir_len"])
        for i in range(MOST_DIRECTORIES):
            directory = u64(directories + 8 * i)
            if directory == 0 or not walk.new(directory):
                return
            for j in range(self.at["dir_len"]):
                chunk = u64(directory + 8 * j)
                if chunk == 0 or not walk.new(chunk):
                    return
                for k in range(self.at["chunk_len"]):
                    g = G(self, chunk + k * self.at["g_size"])
                    if g.status not in (IDLE, DEAD) or (g.status == DEAD and g.flags & ZOMBIE):
                        yield g

    def ps(self):
        table = u64(self.sched + self.at["allp"])
        ps = u64(table + self.at["allp_ps"]) if table else 0
        walk = Walk("Ps", MOST_PS)
        for i in range(u32(self.sched + self.at["gomaxprocs"])):
            p = u64(ps + 8 * i)
            if not walk.new(p):
                return
            yield p

    def ms(self):
        m = u64(self.sched + self.at["allm"])
        walk = Walk("Ms", MOST_MS)
        while m != 0 and walk.new(m):
            if read(m + self.at["m_alive"], 1) != b"\0":
                yield m
            m = u64(m + self.at["m_all_link"])

    def fds(self):
        """The handle of each descriptor, and where it lies (src/ds/slab.rs)."""
        at, slab = self.at, u64(self.sched + self.at["fds"])
        if slab == 0:
            return
        left = MOST_FDS
        for part in range(1 << at["part_bits"]):
            for chunk in range(at["place_bits"] - at["part_bits"] - at["first_bits"]):
                place = u64(slab + part * at["part_size"] + at["part_chunks"] + 8 * chunk)
                if place == 0:
                    break
                first = ((1 << chunk) - 1) << at["first_bits"]
                for i in range(1 << chunk + at["first_bits"]):
                    left -= 1
                    if left < 0:
                        print("the list of descriptors is damaged: it has no end")
                        return
                    word = u64(place + i * at["place_size"] + at["place_word"])
                    if word & 1:
                        yield (
                            word >> 1 << at["place_bits"] | (first + i) << at["part_bits"] | part,
                            place + i * at["place_size"] + at["place_value"],
                        )

    def m_name(self, m):
        return "M%d" % u32(m + self.at["m_id"]) if m else "-"

    def tid(self, m):
        return struct.unpack("<i", read(m + self.at["m_tid"], 4))[0] if m else 0


class G:
    def __init__(self, runtime, address):
        self.r, self.address = runtime, address
        at = runtime.at
        self.status = u64(address + at["g_state"]) & 0xFF
        self.flags = u32(address + at["g_flags"]) & 0xffff

    def word(self, field):
        return u64(self.address + self.r.at[field])

    def cold(self, field):
        """The address of a field of its second part."""
        return self.word("g_cold") + self.r.at[field]

    @property
    def goid(self):
        return self.word("g_goid")

    @property
    def on_thread(self):
        return self.status in (RUNNING, SYSCALL) or self.flags & (FOREIGN | THREAD_WAIT) != 0

    def line(self):
        state = G_STATUS[self.status] if self.status < len(G_STATUS) else "?"
        if state in ("waiting", "parked", "suspended", "interruptible"):
            since = i64(self.r.sched + self.r.at["coarse"]) - i64(self.cold("c_wait_since"))
            state = "%s %.0f ms" % (text(u64(self.cold("c_wait_reason"))) or state, max(since, 0) / 1e6)
        where = self.r.m_name(self.word("g_m")) if self.on_thread else "-"
        name = escaped(read(self.cold("c_name"), 32).split(b"\0")[0])
        entry = self.word("g_entry")
        runs = "a thread of the host" if self.flags & FOREIGN else symbol(entry) if entry else "-"
        return "%-7d %-4s %-28s %-16s %s" % (self.goid, where, state, name or "-", runs)


def lwp(thread):
    """The system's id of a thread."""
    return thread.ptid[1] or thread.ptid[2]


def saved(sp):
    """The registers of a G that was suspended with this stack pointer, by the pictures in src/sys/arch."""
    machine = gdb.selected_inferior().architecture().name() if hasattr(gdb.selected_inferior(), "architecture") else ""
    if "aarch64" in machine:
        fp, pc, extra = u64(sp), u64(sp + 8), u64(sp + 16)
        return {"pc": pc, "sp": sp + 32, "x29": fp, "x19": extra}
    if symbol(u64(sp)).startswith("gmx_arch_start"):
        return {"rip": u64(sp), "rsp": sp + 8, "rbp": 0, "rbx": 0}
    return {"rip": u64(sp), "rbx": u64(sp + 8), "rbp": u64(sp + 16), "rsp": sp + 24}


def live():
    return "core dump" not in gdb.execute("info target", to_string=True)


def backtrace(g, limit):
    if g.on_thread:
        tid = g.r.tid(g.word("g_m"))
        for thread in gdb.selected_inferior().threads():
            if tid == lwp(thread):
                before = gdb.selected_thread()
                thread.switch()
                gdb.execute("bt %s" % limit)
                before.switch()
                return
        print("its thread %d is not here" % tid)
        return
    sp = g.word("g_sp")
    if sp == 0:
        print("it has not run yet: %s" % symbol(g.word("g_entry")))
        return
    registers = saved(sp)
    if not live():
        return of_core(registers)
    frame = gdb.selected_frame()
    gdb.newest_frame().select()
    before = {name: int(gdb.parse_and_eval("(unsigned long)$" + name)) for name in registers}
    try:
        # the stack pointer last, so that gdb never sees registers of two stacks at once
        for name in sorted(registers, key=lambda r: r in ("sp", "rsp")):
            gdb.execute("set $%s = %#x" % (name, registers[name]), to_string=True)
        gdb.execute("bt %s" % limit)
    finally:
        for name in before:
            gdb.execute("set $%s = %#x" % (name, before[name]), to_string=True)
        if frame.is_valid():
            frame.select()


def of_core(registers):
    pc, sp = registers.get("rip", registers.get("pc")), registers.get("rsp", registers.get("sp"))
    print("#0  %#x in %s" % (pc, symbol(pc)))
    print("perhaps called from (a core's registers cannot be set, so these are guesses):")
    for i in range(512):
        try:
            word = u64(sp + 8 * i)
            call = read(word - 6, 6)[1:] if 4096 < word < 1 << 63 else bytes(5)
        except gdb.MemoryError:
            if i and sp + 8 * i & 0xFFF == 0:
                return
            continue
        if call[0] == 0xE8 or 0xFF in call[:4]:  # x86-64: call to an address, or by a register or a word in memory
            name = symbol(word)
            if not name.startswith("0x"):
                print("    %#x in %s" % (word, name))
                if name.startswith("gmx_arch_start"):
                    return


class Gs(gdb.Command):
    """Every goroutine of libgomax: number, M if it is on a thread, state, name, function."""

    def __init__(self):
        super().__init__("gmx-gs", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        print("%-7s %-4s %-28s %-16s %s" % ("G", "M", "state", "name", "function"))
        n = 0
        for g in Runtime().gs():
            print(g.line())
            n += 1
        print("%d goroutines" % n)


class Ps(gdb.Command):
    """Every processor (P) of libgomax: its state, and the M that holds it."""

    def __init__(self):
        super().__init__("gmx-ps", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        r = Runtime()
        print("%-5s %-8s %-5s %s" % ("P", "state", "M", "schedtick"))
        for p in r.ps():
            word = u64(p + r.at["p_word"])
            state = P_STATUS.get(word & 0xFF, "?")
            m = u64(p + r.at["p_m"]) if state in ("running", "stopped") else 0
            print("P%-4d %-8s %-5s %d" % (u32(p + r.at["p_id"]), state, r.m_name(m), u64(p + r.at["p_schedtick"])))


class Ms(gdb.Command):
    """Every thread (M) that libgomax knows, with gdb's number for it."""

    def __init__(self):
        super().__init__("gmx-ms", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        r = Runtime()
        threads = {lwp(thread): thread.num for thread in gdb.selected_inferior().threads()}
        print("%-5s %-8s %-7s %-7s %-7s %s" % ("M", "tid", "thread", "kind", "G", "does"))
        for m in r.ms():
            tid, curg = r.tid(m), u64(m + r.at["m_curg"])
            spins, sleeps = (read(m + r.at[f], 1) != b"\0" for f in ("m_spinning", "m_parked"))
            print(
                "%-5s %-8d %-7s %-7s %-7s %s"
                % (
                    r.m_name(m),
                    tid,
                    threads.get(tid, "-"),
                    "host's" if read(m + r.at["m_kind"], 1) != b"\0" else "worker",
                    G(r, curg).goid if curg else "-",
                    "sleeps" if sleeps else "looks for work" if spins else "runs" if curg else "-",
                )
            )


class Fds(gdb.Command):
    """Every descriptor that libgomax has a handle for: its number, kind and deadlines, and the goroutines that wait for it."""

    def __init__(self):
        super().__init__("gmx-fds", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        r = Runtime()
        now = i64(r.sched + r.at["coarse"])
        waits = {}
        for g in r.gs():
            if g.status not in (RUNNABLE, RUNNING, DEAD):
                waits.setdefault(u64(g.cold("c_wait_addr")), []).append(g.goid)
        waits.pop(0, None)
        places = sorted(waits)
        print("%-18s %-5s %-7s %-8s %-10s %-10s %s" % ("handle", "fd", "kind", "epoll", "read by", "write by", "waits"))
        n = 0
        for handle, at in r.fds():
            kind, watch = read(at + r.at["fd_kind"], 1)[0], u32(at + r.at["fd_watch"])
            deadlines = [i64(at + r.at[d]) for d in ("fd_read_deadline", "fd_write_deadline")]
            begin, end = bisect.bisect_left(places, at), bisect.bisect_left(places, at + r.at["fd_size"])
            gs = sorted(g for place in places[begin:end] for g in waits[place])
            print(
                "%#-18x %-5d %-7s %-8s %-10s %-10s %s"
                % (
                    handle,
                    i32(at + r.at["fd_number"]),
                    FD_KINDS[kind] if kind < len(FD_KINDS) else "?",
                    (FD_WATCH[watch] if watch < len(FD_WATCH) else "?") or "-",
                    *("-" if d == FOREVER else "%.0f ms" % ((d - now) / 1e6) for d in deadlines),
                    " ".join("G%d" % g for g in gs) or "-",
                )
            )
            n += 1
        print("%d descriptors" % n)


class Bt(gdb.Command):
    """gmx-bt G [LIMIT]: the stack of the goroutine with this number; `gmx-bt all`: of all that are off their threads."""

    def __init__(self):
        super().__init__("gmx-bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if not words:
            raise gdb.GdbError("gmx-bt G, or gmx-bt all")
        limit = words[1] if len(words) > 1 else MOST_FRAMES
        shown = 0
        for g in Runtime().gs():
            if words[0] == str(g.goid) or (words[0] == "all" and not g.on_thread):
                print("goroutine %s" % re.sub(" +", " ", g.line()))
                backtrace(g, limit)
                print("")
                shown += 1
        if not shown and words[0] != "all":
            raise gdb.GdbError("there is no goroutine %s" % words[0])


Gs()
Ps()
Ms()
Fds()
Bt()
