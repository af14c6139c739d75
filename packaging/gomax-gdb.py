"""gdb commands for programs that use libgomax: they list Gs, Ms and Ps, and walk the stack of each G.

    gmx-gs          every G: number, state, for what it waits and how long, name, function; also `info goroutines`
    gmx-ps          every P: its state, the M that holds it
    gmx-ms          every thread that the library knows: its P, its G
    gmx-fds         every handle of a descriptor: its number, kind and deadlines, and the Gs that wait for it
    gmx-g G         selects a G, by its number: `bt`, `up`, `frame N` and `info locals` are then about its stack.
                    `gmx-g -` selects none, as does each command that lets the process run
    gmx-g G COMMAND one command about a G; `gmx-g all COMMAND`: about each G that is off its thread
    gmx-bt G        the stack of a G; `gmx-bt all`: of each G that is off its thread

For a process that is stopped in gdb, and for a core. All of them only read. gdb loads this file with the library when it
lies in gdb's auto-load directory under the library's own path, where `make install` puts it; otherwise:
(gdb) source gomax-gdb.py

gdb walks a stack from the registers of a thread. While a G is selected that is off its thread, an unwinder tells gdb that
the newest frame of the current thread was called with the registers that the G has saved, so behind that frame gdb finds
the stack of the G. A filter of `bt` leaves out the frame of the thread, and the frames that the library has above the call
of the host and at the bottom of the stack: `set gomax-frames on` and `bt -no-filters` show them.
"""

import bisect
import re
import struct

import gdb
from gdb.FrameDecorator import FrameDecorator
from gdb.unwinder import Unwinder, register_unwinder

FIELDS = (
    "allg dir_len chunk_len g_size allp allp_ps allm gomaxprocs coarse "
    "g_state g_sp g_m g_entry g_arg g_goid g_flags g_lockedm g_cold c_wait_reason c_wait_since c_name "
    "p_word p_id p_m p_schedtick m_curg m_id m_kind m_tid m_all_link m_alive m_spinning m_parked "
    "c_wait_addr fds g_stack g_stack_class smallest_stack m_held "
    "place_bits part_bits first_bits part_size part_chunks place_size place_word place_value "
    "fd_size fd_number fd_kind fd_watch fd_read_deadline fd_write_deadline"
).split()
FD_KINDS = "file tcp unix socket pipe other".split()
FD_WATCH = ["", "", "watched", "lost"]
FOREVER = (1 << 63) - 1
G_STATUS = "idle runnable running syscall waiting parked dead parking suspended interruptible".split()
P_STATUS = {0: "idle", 1: "running", 3: "stopped", 4: "dead"}
IDLE, RUNNABLE, RUNNING, SYSCALL, DEAD = 0, 1, 2, 3, 6
NAME_LEN = 32
FRESH = 32  # how much of its stack a G uses before it begins: `prepare` in src/sys/arch
FOREIGN, THREAD_WAIT, ZOMBIE = 2, 4, 8


# A list of a damaged process may not end, so each walk has a bound.
MOST_DIRECTORIES, MOST_PS, MOST_MS, MOST_FRAMES = 1 << 12, 1 << 14, 1 << 20, 1000
MOST_FDS = 1 << 22
MOST_COLD = 1 << 22  # bytes of the second parts of one chunk of Gs


class Broken(gdb.GdbError):
    pass


# Lines that are to be written. gdb takes long for each call that writes.
said = []


def say(line):
    said.append(line)
    if len(said) == 1000:
        flush()


def flush():
    if said:
        gdb.write("\n".join(said) + "\n")
        del said[:]


class Walk:
    """The addresses that a walk over a list has seen. A repeated address, or too many, ends the walk with a message."""

    def __init__(self, what, most):
        self.what, self.most, self.seen = what, most, set()

    def new(self, address):
        if address not in self.seen and len(self.seen) < self.most:
            self.seen.add(address)
            return True
        say("the list of %s is damaged: %s" % (self.what, "it is circular" if address in self.seen else "it has no end"))
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
        return escaped(read(address, most).split(b"\0")[0])
    except gdb.MemoryError:
        return "?"


def symbol(address):
    """`name+8`, without what gdb says about sections and files."""
    said = gdb.execute("info symbol %#x" % address, to_string=True)
    if said.startswith("No symbol"):
        return "%#x" % address
    return re.sub(r"(::h[0-9a-f]{16})?(?= \+|$)", "", re.sub(r" (in section|of) .*", "", said.strip())).replace(" + ", "+")


def find_table():
    """Where the table of the library lies, and the library's file; no file if it is a part of the program."""
    found = re.search(r"(0x[0-9a-f]+) - 0x[0-9a-f]+ is \.gmx\.gdb(?: in (.*))?", gdb.execute("info files", to_string=True))
    if not found:
        raise Broken("libgomax is not in this process, or is too old for this script")
    return int(found.group(1), 16), found.group(2)


class Runtime:
    """The runtime of the process, by the table that the library carries (src/rt/gdb.rs)."""

    def __init__(self):
        table, self.file = find_table()
        self.symbols, self.texts, self.threads = {}, {}, None
        try:
            magic = read(table, 8)
        except gdb.MemoryError:
            raise Broken("the process does not run yet")
        if magic != b"gmxgdb3\0":
            raise Broken("this script is not of the library's version")
        self.sched = u64(u64(table + 8))
        if self.sched == 0:
            raise Broken("the runtime has not been started")
        words = struct.unpack("<%dQ" % len(FIELDS), read(table + 16, 8 * len(FIELDS)))
        self.at = dict(zip(FIELDS, words))
        self.now = i64(self.sched + self.at["coarse"])

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
                yield from self.gs_of(chunk)

    def gs_of(self, chunk):
        size, gs = self.at["g_size"], []
        words = read(chunk, self.at["chunk_len"] * size)
        for k in range(self.at["chunk_len"]):
            g = G(self, chunk + k * size, words[k * size : (k + 1) * size])
            if g.status not in (IDLE, DEAD) or (g.status == DEAD and g.flags & ZOMBIE):
                gs.append(g)
        # Their second parts lie side by side. A read for each of them would take longer than all else.
        colds = [g.word("g_cold") for g in gs]
        if not gs or max(colds) - min(colds) > MOST_COLD:
            return gs
        first = min(colds)
        part = max(self.at[field] for field in FIELDS if field.startswith("c_")) + NAME_LEN
        words = read(first, max(colds) - first + part)
        for g, cold in zip(gs, colds):
            g.cold_words = words[cold - first : cold - first + part]
        return gs

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
                        say("the list of descriptors is damaged: it has no end")
                        return
                    word = u64(place + i * at["place_size"] + at["place_word"])
                    if word & 1:
                        yield (
                            word >> 1 << at["place_bits"] | (first + i) << at["part_bits"] | part,
                            place + i * at["place_size"] + at["place_value"],
                        )

    def m_name(self, m):
        return "M%d" % u32(m + self.at["m_id"]) if m else "-"

    def symbol(self, address):
        if address not in self.symbols:
            self.symbols[address] = symbol(address)
        return self.symbols[address]

    def text(self, address):
        if address not in self.texts:
            self.texts[address] = text(address)
        return self.texts[address]

    def g(self, number):
        for g in self.gs():
            if str(g.goid) == number:
                return g
        raise gdb.GdbError("there is no goroutine %s" % number)

    def tid(self, m):
        return struct.unpack("<i", read(m + self.at["m_tid"], 4))[0] if m else 0


class G:
    """A G, of which `words` is a copy."""

    def __init__(self, runtime, address, words):
        self.r, self.address = runtime, address
        self.words, self.cold_words = words, None
        self.status = self.words[runtime.at["g_state"]]
        self.flags = struct.unpack_from("<H", self.words, runtime.at["g_flags"])[0]

    def word(self, field):
        return struct.unpack_from("<Q", self.words, self.r.at[field])[0]

    def cold(self, field, size=8):
        """A field of its second part."""
        at = self.r.at[field]
        return self.cold_words[at : at + size] if self.cold_words else read(self.word("g_cold") + at, size)

    def cold_word(self, field):
        return struct.unpack("<Q", self.cold(field))[0]

    @property
    def goid(self):
        return self.word("g_goid")

    @property
    def held(self):
        """Whether a signal holds its thread in the middle of it (src/protocol/seize.rs)."""
        m = self.word("g_lockedm") & ~1 if self.status == RUNNABLE else 0
        return m != 0 and read(m + self.r.at["m_held"], 1) != b"\0"

    @property
    def on_thread(self):
        return self.status in (RUNNING, SYSCALL) or self.flags & (FOREIGN | THREAD_WAIT) != 0 or self.held

    @property
    def stack(self):
        """The addresses that are certainly of its stack."""
        hi = self.word("g_stack")
        return range(hi - (self.r.at["smallest_stack"] << 2 * self.words[self.r.at["g_stack_class"]]), hi)

    def line(self):
        state = G_STATUS[self.status] if self.status < len(G_STATUS) else "?"
        if state in ("waiting", "parked", "suspended", "interruptible"):
            since = self.r.now - self.cold_word("c_wait_since")
            state = "%s %.0f ms" % (self.r.text(self.cold_word("c_wait_reason")) or state, max(since, 0) / 1e6)
        elif self.held:
            state = "held"
        where = self.r.m_name(self.word("g_m")) if self.on_thread else "-"
        name = escaped(self.cold("c_name", NAME_LEN).split(b"\0")[0])
        entry = self.word("g_entry")
        runs = "a thread of the host" if self.flags & FOREIGN else self.r.symbol(entry) if entry else "-"
        return "%-7d %-4s %-28s %-16s %s" % (self.goid, where, state, name or "-", runs)

    def __str__(self):
        return "goroutine %s" % re.sub(" +", " ", self.line())


def lwp(thread):
    """The system's id of a thread."""
    return thread.ptid[1] or thread.ptid[2]


def registers_of(frame):
    """Its program counter and stack pointer, by which gdb's frames are told apart here."""
    return tuple(int(frame.read_register(r)) & (1 << 64) - 1 for r in names_of(frame))


def names_of(frame):
    return ("pc", "sp") if "aarch64" in frame.architecture().name() else ("rip", "rsp")


def saved(g):
    """The registers of a G that is off its thread, by the pictures in src/sys/arch."""
    sp = g.word("g_sp")
    runs = g.r.symbol(g.word("g_entry"))
    if g.status == DEAD:
        raise gdb.GdbError("goroutine %d has ended: %s" % (g.goid, runs))
    if sp == 0 or sp == g.word("g_stack") - FRESH:
        raise gdb.GdbError("goroutine %d has not run yet: %s" % (g.goid, runs))
    try:
        first, second, third = struct.unpack("<3Q", read(sp, 24))
    except gdb.MemoryError:
        first = second = third = 0
    if names_of(gdb.newest_frame())[0] == "pc":
        registers = {"pc": second, "sp": sp + 32, "x29": first, "x19": third}
    else:
        registers = {"rip": first, "rsp": sp + 24, "rbp": third, "rbx": second}
    if (second if "pc" in registers else first) == 0:
        raise gdb.GdbError("the stack of goroutine %d is not in this core (docs/c.md, Cores), or cannot be read: %s" % (g.goid, runs))
    return registers


class Place:
    """The registers by which gdb tells a frame from others."""

    def __init__(self, pc, sp):
        self.pc, self.sp = pc, sp


class Selected:
    """A G whose stack gdb shows behind the newest frame of a thread."""

    def __init__(self, g):
        self.number, self.says, self.file, self.registers = g.goid, str(g), g.r.file, saved(g)
        thread, newest = gdb.selected_thread(), gdb.newest_frame()
        self.thread, self.newest = thread.ptid, registers_of(newest)
        self.first = tuple(self.registers[r] for r in names_of(newest))

    def is_here(self):
        thread = gdb.selected_thread()
        return thread is not None and thread.ptid == self.thread


class Parked(Unwinder):
    """The unwinder of the newest frame of a thread, while a G is selected."""

    def __init__(self):
        super().__init__("gomax")
        self.enabled, self.selected, self.past_main = False, None, True

    def __call__(self, pending):
        s = self.selected
        if s is None or not s.is_here() or registers_of(pending) != s.newest:
            return None
        words = {name: gdb.Value(word).cast(pending.read_register(name).type) for name, word in s.registers.items()}
        # gdb wants each frame to lie above the frame that it has called: this one, just below the stack of the G.
        info = pending.create_unwind_info(Place(*(words[name] for name in names_of(pending))))
        for name, word in words.items():
            info.add_saved_register(name, word)
        return info

    def select(self, selected):
        if selected and not self.selected:
            self.past_main = gdb.parameter("backtrace past-main")
            if not self.past_main:  # the newest frame of the thread may be that of `main`
                gdb.execute("set backtrace past-main on")
        elif self.selected and not selected and not self.past_main:
            gdb.execute("set backtrace past-main off")
        self.selected, self.enabled = selected, selected is not None
        gdb.frame_filters["gomax"].enabled = self.enabled
        gdb.invalidate_cached_frames()

    def forget(self, _=None):
        if self.selected:
            self.select(None)


parked = Parked()
register_unwinder(None, parked, replace=True)
gdb.events.cont.connect(parked.forget)
gdb.events.exited.connect(parked.forget)


class Frames(gdb.Parameter):
    """Whether `bt` shows the frames that libgomax has on the stack of a goroutine above and below those of the host."""

    set_doc = show_doc = __doc__

    def __init__(self):
        super().__init__("gomax-frames", gdb.COMMAND_STACK, gdb.PARAM_BOOLEAN)
        self.value = False

    def get_set_string(self):
        return ""

    def get_show_string(self, value):
        return "The frames of libgomax are %s." % ("shown" if self.value else "not shown")


frames_shown = Frames()


class Named(FrameDecorator):
    """A frame whose function may have no name."""

    def __init__(self, frame, file):
        super().__init__(frame)
        self.file = file

    def function(self):
        frame = self.inferior_frame()
        return frame.name() or ("<libgomax>" if is_library(frame, self.file) else "??")


class Filter:
    """The frames of the selected G: it leaves out the frame of the thread, and the frames of the library above the
    function that the host has called and at the bottom of the stack. A stack on which the host has no frame stays as it
    is. Without a selected G, `bt` is gdb's own."""

    name, priority, enabled = "gomax", 100, False

    def filter(self, frames):
        s = parked.selected
        if s is None or not s.is_here():
            return frames
        frames = (Named(frame, s.file) for frame in list_from(frames, s))
        return frames if frames_shown.value else self.without(frames, s.file)

    def without(self, frames, file):
        kept, host = [], False
        for frame in frames:
            if is_library(frame.inferior_frame(), file):
                kept.append(frame)
                continue
            yield from kept if host else kept[-1:]
            kept, host = [], True
            yield frame
        if not host or not kept or kept[-1].inferior_frame().unwind_stop_reason() != gdb.FRAME_UNWIND_OUTERMOST:
            yield from kept


def list_from(frames, selected):
    """The frames behind those of the thread."""
    frames = iter(frames)
    for frame in frames:
        if registers_of(frame.inferior_frame()) == selected.first:
            yield frame
            break
    yield from frames


def is_library(frame, file):
    """Whether a frame is of the library, which is this file; None if it is a part of the program."""
    if file is None:
        return symbol(frame.pc()).startswith(("gomax::", "<gomax::", "gmx_"))
    return gdb.solib_name(frame.pc()) == file


gdb.frame_filters["gomax"] = Filter()


def threads():
    """Each thread, and its stack pointer."""
    before, found = gdb.selected_thread(), []
    try:
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            found.append((thread, registers_of(gdb.newest_frame())[1]))
    finally:
        before.switch()
    return found


def on_its_thread(g):
    """The thread on which a G is, None if it is off its thread. A G that says it waits may not have left its stack
    yet."""
    if g.r.threads is None:
        g.r.threads = threads()
    tid = g.r.tid(g.word("g_m")) if g.on_thread else 0
    for thread, sp in g.r.threads:
        if lwp(thread) == tid or (not g.on_thread and sp in g.stack):
            return thread
    if g.on_thread:
        raise gdb.GdbError("thread %d of goroutine %d is not here" % (tid, g.goid))
    return None


def select(g):
    """Makes a G the subject of gdb's commands about frames."""
    parked.forget()
    thread = on_its_thread(g)
    if thread:
        thread.switch()
        gdb.newest_frame().select()
        return
    selected = Selected(g)
    parked.select(selected)
    frame = gdb.newest_frame()
    while frame is not None and registers_of(frame) != selected.first:
        frame = frame.older()
    if frame is None:
        parked.forget()
        raise gdb.GdbError("gdb does not find the stack of goroutine %d" % g.goid)
    if not frames_shown.value:
        frame = call_of_host(frame, selected.file)
    frame.select()


def call_of_host(first, file):
    """The frame of the function of the library that the host has called; the first one if there is none."""
    frame = first
    while frame is not None and is_library(frame, file):
        called, frame = frame, frame.older()
    return first if frame is None or frame == first else called


class Back:
    """What was selected before, selected again at the end."""

    def __enter__(self):
        self.selected, self.thread = parked.selected, gdb.selected_thread()
        self.frame = gdb.selected_frame()
        self.is_newest = self.frame == gdb.newest_frame()

    def __exit__(self, *_):
        parked.forget()
        if not self.thread.is_valid():
            return
        self.thread.switch()
        if self.selected:
            parked.select(self.selected)
        if not self.is_newest and self.frame.is_valid():
            self.frame.select()


class Command(gdb.Command):
    """A command that says in one sentence what does not work."""

    def invoke(self, argument, from_tty):
        try:
            self.run(argument)
        except gdb.MemoryError as e:
            raise gdb.GdbError("the memory of libgomax cannot be read: %s" % e)
        except gdb.error as e:
            raise gdb.GdbError(str(e))
        finally:
            flush()


class Gs(Command):
    """Every goroutine of libgomax: number, M if it is on a thread, state, name, function."""

    def __init__(self, name):
        super().__init__(name, gdb.COMMAND_STATUS)

    def run(self, argument):
        say("%-7s %-4s %-28s %-16s %s" % ("G", "M", "state", "name", "function"))
        n = 0
        for g in Runtime().gs():
            say(g.line())
            n += 1
        say("%d goroutines" % n)


class Ps(Command):
    """Every processor (P) of libgomax: its state, and the M that holds it."""

    def __init__(self):
        super().__init__("gmx-ps", gdb.COMMAND_STATUS)

    def run(self, argument):
        r = Runtime()
        say("%-5s %-8s %-5s %s" % ("P", "state", "M", "schedtick"))
        for p in r.ps():
            word = u64(p + r.at["p_word"])
            state = P_STATUS.get(word & 0xFF, "?")
            m = u64(p + r.at["p_m"]) if state in ("running", "stopped") else 0
            say("P%-4d %-8s %-5s %d" % (u32(p + r.at["p_id"]), state, r.m_name(m), u64(p + r.at["p_schedtick"])))


class Ms(Command):
    """Every thread (M) that libgomax knows, with gdb's number for it."""

    def __init__(self):
        super().__init__("gmx-ms", gdb.COMMAND_STATUS)

    def run(self, argument):
        r = Runtime()
        threads = {lwp(thread): thread.num for thread in gdb.selected_inferior().threads()}
        say("%-5s %-8s %-7s %-7s %-7s %s" % ("M", "tid", "thread", "kind", "G", "does"))
        for m in r.ms():
            tid, curg = r.tid(m), u64(m + r.at["m_curg"])
            spins, sleeps = (read(m + r.at[f], 1) != b"\0" for f in ("m_spinning", "m_parked"))
            say(
                "%-5s %-8d %-7s %-7s %-7s %s"
                % (
                    r.m_name(m),
                    tid,
                    threads.get(tid, "-"),
                    "host's" if read(m + r.at["m_kind"], 1) != b"\0" else "worker",
                    u64(curg + r.at["g_goid"]) if curg else "-",
                    "sleeps" if sleeps else "looks for work" if spins else "runs" if curg else "-",
                )
            )


class Fds(Command):
    """Every descriptor that libgomax has a handle for: its number, kind and deadlines, and the goroutines that wait for it."""

    def __init__(self):
        super().__init__("gmx-fds", gdb.COMMAND_STATUS)

    def run(self, argument):
        r = Runtime()
        waits = {}
        for g in r.gs():
            if g.status not in (RUNNABLE, RUNNING, DEAD):
                waits.setdefault(g.cold_word("c_wait_addr"), []).append(g.goid)
        waits.pop(0, None)
        places = sorted(waits)
        say("%-18s %-5s %-7s %-8s %-10s %-10s %s" % ("handle", "fd", "kind", "epoll", "read by", "write by", "waits"))
        n = 0
        for handle, at in r.fds():
            kind, watch = read(at + r.at["fd_kind"], 1)[0], u32(at + r.at["fd_watch"])
            deadlines = [i64(at + r.at[d]) for d in ("fd_read_deadline", "fd_write_deadline")]
            begin, end = bisect.bisect_left(places, at), bisect.bisect_left(places, at + r.at["fd_size"])
            gs = sorted(g for place in places[begin:end] for g in waits[place])
            say(
                "%#-18x %-5d %-7s %-8s %-10s %-10s %s"
                % (
                    handle,
                    i32(at + r.at["fd_number"]),
                    FD_KINDS[kind] if kind < len(FD_KINDS) else "?",
                    (FD_WATCH[watch] if watch < len(FD_WATCH) else "?") or "-",
                    *("-" if d == FOREVER else "%.0f ms" % ((d - r.now) / 1e6) for d in deadlines),
                    " ".join("G%d" % g for g in gs) or "-",
                )
            )
            n += 1
        say("%d descriptors" % n)


def each(number, command, headed):
    """Executes a command about the G with this number, or about all that are off their threads."""
    r = Runtime()
    for g in [g for g in r.gs() if not g.on_thread] if number == "all" else [r.g(number)]:
        if headed:
            say(str(g))
        flush()
        try:
            with Back():
                select(g)
                gdb.execute(command)
        except (gdb.GdbError, gdb.error) as e:
            if number != "all":
                raise
            say(str(e))
        if headed:
            say("")


class Select(Command):
    """gmx-g G: selects the goroutine with this number, so that `bt`, `up`, `down`, `frame` and `info locals` are about its
    stack; if it is on a thread, selects that thread. gmx-g -: goes back to the thread. gmx-g: says which is selected.
    gmx-g G COMMAND: only for this command. gmx-g all COMMAND: for each goroutine that is off its thread."""

    def __init__(self):
        super().__init__("gmx-g", gdb.COMMAND_STACK)

    def run(self, argument):
        number, command = (argument.split(None, 1) + ["", ""])[:2]
        if number == "":
            say(parked.selected.says if parked.selected else "no goroutine is selected")
        elif number in ("-", "0"):
            parked.forget()
        elif command:
            each(number, command, number == "all")
        elif number == "all":
            raise gdb.GdbError("gmx-g all COMMAND")
        else:
            g = Runtime().g(number)
            select(g)
            say(str(g))
            flush()
            gdb.execute("frame")


class Bt(Command):
    """gmx-bt G [LIMIT]: the stack of the goroutine with this number; `gmx-bt all`: of all that are off their threads."""

    def __init__(self):
        super().__init__("gmx-bt", gdb.COMMAND_STACK)

    def run(self, argument):
        words = gdb.string_to_argv(argument)
        if not words:
            raise gdb.GdbError("gmx-bt G, or gmx-bt all")
        each(words[0], "bt %s" % (words[1] if len(words) > 1 else MOST_FRAMES), True)


Gs("gmx-gs")
Gs("info goroutines")
Ps()
Ms()
Fds()
Select()
Bt()
