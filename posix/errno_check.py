#!/usr/bin/env python3
"""Which functions of a library keep the address of errno over a call that may park.

    posix/errno_check.py [--groups poll,sockets,files,sleep,names] [--direct] FILE...

The address of errno is a thread's. A compiler may ask for it once in a function and keep it, also over a call after
which a goroutine of libgomax is on another thread. Such a function then reads or writes the errno of the thread where
it was before. Each line of the output names a function, the call over which the address is kept, and where it is used
after that. The exit status is 1 if there is such a function, and 0 if not.

Every shared object and program for x86-64 can be asked, also a stripped one: objdump shows the code, and the unwind
tables say where functions begin. A call may park if it is one of libgomax_posix in the given groups, or a call of a
function in the same file that makes such a call, and so on (with --direct: only the first). Not seen are calls through
pointers, calls of other libraries that park, and addresses that are kept elsewhere than in registers and on the stack.
So no line is no proof; but a line is a reason to hold the goroutine (gmx_posix_hold), or to leave a group off.
"""

import argparse
import re
import subprocess
import sys

GROUPS = {
    "poll": "poll ppoll select pselect __poll_chk __ppoll_chk",
    "sockets": "recv recvfrom recvmsg send sendto sendmsg accept accept4 connect __recv_chk __recvfrom_chk",
    "files": "read readv write writev __read_chk",
    "sleep": "sleep usleep nanosleep clock_nanosleep",
    "names": "getaddrinfo",
}
ERRNO = "__errno_location"
# what a call may change, by the ABI
LOST = {"rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"}
NARROW = {}
for name in "ax bx cx dx".split():
    NARROW.update({f"r{name}": f"r{name}", f"e{name}": f"r{name}", name: f"r{name}", f"{name[0]}l": f"r{name}"})
for name in "si di bp sp".split():
    NARROW.update({f"r{name}": f"r{name}", f"e{name}": f"r{name}", name: f"r{name}", f"{name}l": f"r{name}"})
for i in range(8, 16):
    NARROW.update({f"r{i}{end}": f"r{i}" for end in ("", "d", "w", "b")})


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Insn:
    def __init__(self, at, text):
        self.at = at
        self.op, _, rest = text.strip().partition(" ")
        if self.op in ("bnd", "notrack", "rep", "repz", "lock"):
            self.op, _, rest = rest.strip().partition(" ")
        # `mov %rax,0x8(%rsp)   # 1234 <name>`
        rest, _, note = rest.strip().partition("#")
        named = re.search(r"<([^>+]+)(\+0x[0-9a-f]+)?>", note or rest)
        self.name = named.group(1).split("@")[0] if named and not named.group(2) else None
        target = re.match(r"([0-9a-f]+)\b", rest)
        self.target = int(target.group(1), 16) if target and self.op[0] in "jc" else None
        self.operands = re.findall(r"[^,(]*\([^)]*\)|[^,]+", rest.split("<")[0].strip())
        self.operands = [o.strip() for o in self.operands]


def register(operand):
    return NARROW.get(operand[1:]) if operand.startswith("%") else None


def place(operand):
    """A register or a slot of the stack, by name."""
    return register(operand) or (operand if re.fullmatch(r"-?(0x[0-9a-f]+)?\(%r[sb]p\)", operand) else None)


def code(path):
    """Instructions by address, and the addresses at which functions begin, with their names."""
    insns, names = {}, {}
    for line in run("objdump", "-d", "--no-show-raw-insn", "-j", ".text", path).splitlines():
        head = re.match(r"([0-9a-f]+) <(.+)>:$", line)
        if head:
            names[int(head.group(1), 16)] = head.group(2)
            continue
        insn = re.match(r" *([0-9a-f]+):\t(.+)$", line)
        if insn:
            at = int(insn.group(1), 16)
            insns[at] = Insn(at, insn.group(2))
    # of functions without a name, too
    begins = {int(pc, 16) for pc in re.findall(r"\bpc=([0-9a-f]+)\.\.", run("readelf", "--debug-dump=frames", path))}
    for pc in begins & insns.keys():
        names.setdefault(pc, f"the function at {pc:#x}")
    return insns, names


class File:
    def __init__(self, path, parks, direct):
        self.insns, self.names = code(path)
        self.order = sorted(self.insns)
        self.after = dict(zip(self.order, self.order[1:]))
        self.entries = set(self.names)
        self.owner, now = {}, None
        for at in self.order:
            now = at if at in self.entries else now
            self.owner[at] = now
        self.by_name = {name: at for at, name in self.names.items()}
        self.parks = set(parks)  # names, and the begins of functions
        if not direct:
            self.close()

    def callee(self, insn):
        """The begin of a function of this file, or a name; None: through a pointer."""
        if insn.target in self.entries:
            return insn.target
        return self.by_name.get(insn.name, insn.name)

    def close(self):
        callers = {}
        for insn in self.insns.values():
            tail = insn.op == "jmp" and (insn.target in self.entries or insn.target is None and insn.name
                                         or insn.target not in self.insns)
            if insn.op.startswith("call") or tail:
                callers.setdefault(self.callee(insn), set()).add(self.owner[insn.at])
        # a part of a function that lies elsewhere (NAME.cold) parks for the function
        for insn in self.insns.values():
            if insn.op[0] == "j" and insn.target in self.insns and self.owner[insn.target] != self.owner[insn.at]:
                callers.setdefault(self.owner[insn.target], set()).add(self.owner[insn.at])
        new = list(self.parks)
        while new:
            for caller in callers.get(new.pop(), ()):
                if caller not in self.parks:
                    self.parks.add(caller)
                    new.append(caller)

    def says(self, callee):
        return self.names.get(callee, callee) if isinstance(callee, int) else callee

    def step(self, insn, state, found):
        """What is known after an instruction: where addresses of errno are, and over which calls each was kept."""
        for operand in insn.operands:
            base = re.fullmatch(r"\(%(\w+)\)", operand)
            kept = base and insn.op != "lea" and state.get(NARROW.get(base.group(1)))
            if kept:
                found.setdefault(self.owner[insn.at], {}).setdefault(insn.at, set()).update(kept)
        if insn.op.startswith("call"):
            callee = self.callee(insn)
            state = {at: kept for at, kept in state.items() if at not in LOST}
            if callee == ERRNO:
                state["rax"] = frozenset()
            elif callee in self.parks:
                state = {at: kept | {self.says(callee)} for at, kept in state.items()}
            return state
        if not insn.operands or insn.op.startswith(("cmp", "test", "j", "push", "nop", "ret")):
            return state
        to = place(insn.operands[-1])
        kept = state.get(place(insn.operands[0])) if insn.op in ("mov", "movq") and len(insn.operands) == 2 else None
        if to and (to in state or kept is not None):
            state = dict(state)
            state.pop(to, None)
            if kept is not None:
                state[to] = kept
        return state

    def nexts(self, insn):
        if insn.op.startswith(("ret", "ud2", "hlt")):
            return
        if insn.op[0] == "j" and insn.target in self.insns:
            # a jump to the begin of another function is a call; to a part of this one that lies elsewhere it is none
            if insn.target not in self.entries or ".cold" in self.names[insn.target]:
                yield insn.target
        if insn.op != "jmp" and insn.at in self.after and self.after[insn.at] not in self.entries:
            yield self.after[insn.at]

    def check(self):
        found, states = {}, {}
        todo = [(at, {}) for at in self.entries if at in self.insns]
        for at in self.order:  # only functions that ask for the address
            if self.insns[at].op.startswith("call") and self.callee(self.insns[at]) == ERRNO:
                break
        else:
            return found
        while todo:
            at, new = todo.pop()
            old = states.get(at)
            merged = dict(old or {})
            for where, kept in new.items():
                merged[where] = merged.get(where, frozenset()) | kept
            if old is not None and merged == old:
                continue
            states[at] = merged
            insn = self.insns[at]
            after = self.step(insn, merged, found)
            todo += [(next_at, after) for next_at in self.nexts(insn)]
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--direct", action="store_true", help="only calls of libgomax_posix itself")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    groups = args.groups.split(",")
    if not set(groups) <= GROUPS.keys():
        parser.error("groups are " + ", ".join(GROUPS))
    parks = {name for group in groups for name in GROUPS[group].split()}
    any_found = False
    for path in args.files:
        if "X86-64" not in run("readelf", "-h", path):
            parser.error(f"{path}: not for x86-64")
        file = File(path, parks, args.direct)
        found = file.check()
        for function in sorted(found, key=file.says):
            calls = sorted(set().union(*found[function].values()))
            uses = ", ".join(f"{at:#x}" for at in sorted(found[function]))
            print(f"{path}: {file.says(function)}: over {', '.join(calls)}; used at {uses}")
        any_found |= bool(found)
        print(f"{path}: {len(found)} functions keep the address of errno over a call that may park")
    return 1 if any_found else 0


if __name__ == "__main__":
    sys.exit(main())
