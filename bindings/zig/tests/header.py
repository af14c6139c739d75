#!/usr/bin/env python3
"""Holds src/c.zig to gomax.h: header.py GOMAX_H C_ZIG. Each function, struct and number of either is in the other and looks
the same to a linker. (zig translate-c could do it, but takes minutes to build itself.)"""
import re
import sys

header = re.sub(r"/\*.*?\*/", "", open(sys.argv[1]).read(), flags=re.S)
zig = re.sub(r"//.*", "", open(sys.argv[2]).read())
wrong = []


def c_class(text):
    """pointer, or sign and bytes of a number"""
    if "*" in text or "(" in text:
        return "ptr"
    name = [w for w in re.findall(r"\w+", text) if w not in ("const", "struct")][0]
    return {
        "gmx_status": "i4", "int32_t": "i4", "uint32_t": "u4", "int64_t": "i8", "uint64_t": "u8", "size_t": "u8",
        "gmx_key": "u4", "gmx_p_key": "u4", "gmx_g": "u8", "gmx_cancel": "u8", "gmx_scope": "u8", "gmx_class": "u8", "gmx_cancel_hook": "u8", "gmx_coro": "u8", "gmx_timer": "u8",
        "void": "void", "bool": "b1",
    }.get(name, name)


def zig_class(text):
    text = text.split("=")[0].strip()
    if re.match(r"\?|\*|\[\*|Fn$", text):
        return "ptr"
    return {
        "Status": "i4", "i32": "i4", "u32": "u4", "i64": "i8", "u64": "u8", "usize": "u8", "Key": "u4", "PKey": "u4",
        "G": "u8", "Cancel": "u8", "Hook": "u8", "Scope": "u8", "Class": "u8", "Timer": "u8", "Coro": "u8", "void": "void", "bool": "b1",
    }.get(text, text)


def split(params):
    """at the commas that are not in parentheses"""
    parts, depth = [""], 0
    for ch in params:
        depth += (ch == "(") - (ch == ")")
        if ch == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += ch
    return [p.strip() for p in parts if p.strip() and p.strip() != "void"]


def balanced(text, at):
    """what is in the parentheses that open before `at`, and where it ends"""
    depth, end = 1, at
    while depth:
        depth += (text[end] == "(") - (text[end] == ")")
        end += 1
    return text[at:end - 1], end


def compare(what, there, here):
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            wrong.append(f"{what} {name}: gomax.h {there.get(name)}, c.zig {here.get(name)}")


functions = {}
for m in re.finditer(r"^(?:GMX_MUST_USE )?GMX_API ([^;(]*?)(gmx_\w+)\s*\(", header, re.M):
    if not m.group(1).startswith("volatile"):
        functions[m.group(2)] = ([c_class(p) for p in split(balanced(header, m.end())[0])], c_class(m.group(1)))
mine = {}
for m in re.finditer(r"pub extern fn (gmx_\w+)\(", zig):
    params, end = balanced(zig, m.end())
    types = [zig_class(p.split(":", 1)[1]) for p in split(params)]
    mine[m.group(1)] = (types, zig_class(zig[end:zig.index(";", end)].strip()))
compare("function", functions, mine)

structs, sizes = {}, {}
for m in re.finditer(r"typedef struct (gmx_\w+) \{(.*?)\} \1;", header, re.S):
    fields = []
    for line in filter(None, (f.strip() for f in m.group(2).split(";"))):
        pointer = re.search(r"\(\*(\w+)\)", line)
        array = re.search(r"(\w+)\[(\d+)\]$", line)
        name = pointer.group(1) if pointer else array.group(1) if array else re.findall(r"\w+", line)[-1]
        kind = "ptr" if pointer else c_class(re.sub(rf"\b{name}(\[\d+\])?$", "", line))
        fields.append((name, kind + (f"*{array.group(2)}" if array else "")))
    structs[m.group(1)] = fields


def size(fields):
    at, most = 0, 1
    for _, kind in fields:
        if kind in structs:
            bytes_, align = size(structs[kind]), 8
        else:
            base, _, n = kind.partition("*")
            align = 8 if base == "ptr" else int(base[1:])
            bytes_ = align * int(n or 1)
        at = -(-at // align) * align + bytes_
        most = max(most, align)
    return -(-at // most) * most


mine = {}
for m in re.finditer(r"pub const (gmx_\w+) = extern struct \{(.*?)\n\};", zig, re.S):
    fields = []
    for line in filter(None, (f.strip() for f in re.split(r",\n", m.group(2) + "\n"))):
        name, kind = line.split(":", 1)
        array = re.match(r"\s*\[(\d+)\](\w+)", kind)
        fields.append((name.strip().strip('@"'), zig_class(array.group(2)) + "*" + array.group(1) if array else zig_class(kind)))
    mine[m.group(1)] = fields
opaque = set()
for m in re.finditer(r"pub const (gmx_\w+) = Words\((\d+)\);", zig):  # what is in these is the library's: the size counts
    there = size(structs.get(m.group(1), []))
    if there != 8 * int(m.group(2)):
        wrong.append(f"struct {m.group(1)}: gomax.h {there} bytes, c.zig {8 * int(m.group(2))}")
    opaque.add(m.group(1))
compare("struct", {n: f for n, f in structs.items() if n not in opaque}, mine)

numbers = {n: int(v) for n, v in re.findall(r"^#define (GMX_\w+)\s+\(?(-?\d+)\)?\s*$", header, re.M) if "VERSION" not in n}
mine = {n: int(v) for n, v in re.findall(r"pub const (GMX_\w+) = (-?\d+);", zig)}
wanted = {n: v for n, v in numbers.items() if n in mine or re.match(r"GMX_(OK|E[A-Z]+|SPAWN_\w+|CASE_\w+)$", n)}
compare("number", wanted, mine)

print("\n".join(wrong) or f"{len(functions)} functions, {len(structs)} structs, {len(wanted)} numbers agree")
sys.exit(bool(wrong))
