"""Turns include/gomax.h into gomax/_abi.py: constants, structs and prototypes for ctypes.

Run when a wheel is built, so that what Python believes about the interface cannot differ from the header. What this
does not understand is an error, never a guess.

A function that the header says to block never, and to be no safe point (where a stopped world is waited for), is called
with the GIL held: letting go of it would cost more than the call, and would invite every other thread to take it.
"""

import re
from typing import Dict, List, Tuple

SCALARS = {
    "bool": "c_bool",
    "int32_t": "c_int32",
    "uint32_t": "c_uint32",
    "int64_t": "c_int64",
    "uint64_t": "c_uint64",
    "size_t": "c_size_t",
}


class Header:
    def __init__(self, text: str) -> None:
        documented = re.findall(r"/\*\*((?:(?!\*/).)*?)\*/\s*(?:GMX_MUST_USE )?GMX_API[^;()]*?(gmx_\w+)\(", text, re.S)
        self.quick = {"gmx_enter_syscall"}  # a safe point, but at a request it gives its P away and does not wait
        for comment, name in documented:
            # a line that would say what the head of the header says for all is left out
            blocks = re.search(r"\* Blocks: (?!never\.)", comment)
            safepoint = re.search(r"\* Safepoint: (?!no\b)", comment)
            if not blocks and not safepoint:
                self.quick.add(name)
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        self.scalars = dict(SCALARS)
        self.structs: Dict[str, List[Tuple[str, str]]] = {}
        self.functions: List[Tuple[str, str, List[str]]] = []
        for base, name in re.findall(r"^typedef (\w+) (\w+);", text, re.M):
            self.scalars[name] = self.scalars[base]
        self.constants = re.findall(r"^#define (GMX_\w+)[ \t]+\(?(-?\d+)\)?[ \t]*$", text, re.M)
        (self.version,) = re.findall(r'^#define GMX_VERSION_STRING "([^"]+)"', text, re.M)
        for name, body in re.findall(r"^typedef struct (\w+) \{(.*?)\} \1;", text, re.M | re.S):
            self.structs[name] = [self.field(f.strip()) for f in body.split(";") if f.strip()]
        for result, name, parameters in re.findall(r"^(?:GMX_MUST_USE )?GMX_API\s+([^;()]*?)(gmx_\w+)\((.*?)\);", text, re.M | re.S):
            self.functions.append((name, self.kind(result), [self.kind(p) for p in split(parameters)]))
        declared = len(re.findall(r"^(?:GMX_MUST_USE )?GMX_API\b", text, re.M))
        if declared != len(self.functions):
            raise ValueError(f"{declared} functions are declared, {len(self.functions)} were understood")

    def kind(self, declaration: str) -> str:
        """The ctypes name for the type of a result or parameter."""
        words = [w for w in re.findall(r"\w+|\*", declaration) if w not in ("const", "struct")]
        if "(" in declaration:
            return "c_void_p"  # a function
        if "*" in words:
            return "c_char_p" if words[0] == "char" else "c_void_p"
        if words == ["void"]:
            return "None"
        return self.scalars[words[0]]

    def field(self, declaration: str) -> Tuple[str, str]:
        if "(" in declaration:
            (name,) = re.findall(r"\(\*(\w+)\)", declaration)
            return name, "c_void_p"
        match = re.fullmatch(r"(.*?)(\w+)(?:\[(\d+)\])?", declaration, re.S)
        assert match, declaration
        type_, name, count = match.groups()
        plain = type_.replace("struct", "").strip()
        kind = plain if plain in self.structs else self.kind(type_)
        return name, f"{kind} * {count}" if count else kind


def split(parameters: str) -> List[str]:
    """The parameters of a prototype; commas within parentheses separate nothing."""
    found, depth, begin = [], 0, 0
    for i, c in enumerate(parameters):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            found.append(parameters[begin:i])
            begin = i + 1
    found.append(parameters[begin:])
    return [] if parameters.strip() == "void" else found


PYTHON = {"None": "None", "c_bool": "bool", "c_char_p": "bytes", "c_void_p": "Optional[int]"}


def module(header: Header) -> str:
    """The text of gomax/_abi.py."""
    out = [
        '"""What include/gomax.h declares. Written by backend/gomax_abi.py when the wheel was built."""',
        "",
        "from ctypes import *",
        "from typing import Any, Callable, Optional",
        "",
        f'VERSION = "{header.version}"',
    ]
    out += [f"{name} = {value}" for name, value in header.constants]
    for name, fields in header.structs.items():
        out += ["", "", f"class {name}(Structure):"]
        for field, kind in fields:
            simple = "Any" if "*" in kind or kind in header.structs else PYTHON.get(kind, "int")
            out.append(f"    {field}: {'Optional[bytes]' if simple == 'bytes' else simple}")
        out.append("    _fields_ = [" + ", ".join(f'("{f}", {k})' for f, k in fields) + "]")
    out += ["", "", "class Library:", '    """The functions of one libgomax.so."""', ""]
    for name, result, parameters in header.functions:
        arguments = ", ".join("Any" for _ in parameters)
        out.append(f"    {name}: Callable[[{arguments}], {PYTHON.get(result, 'int')}]")
    out += ["", "    def __init__(self, path: str) -> None:", "        waits, quick = CDLL(path), PyDLL(path)  # without the GIL, and with it"]
    for name, result, parameters in header.functions:
        library = "quick" if name in header.quick else "waits"
        out.append(f"        self.{name} = {library}.{name}")
        out.append(f"        {library}.{name}.restype = {result}")
        out.append(f"        {library}.{name}.argtypes = [{', '.join(parameters)}]")
    return "\n".join(out) + "\n"
