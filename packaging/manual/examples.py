#!/usr/bin/env python3
"""The examples of the manual: examples.py gomax.h prints what is wrong with them.

They stand in programs, one for a section of the header: examples/SECTION.c. A comment `example: gmx_a gmx_b` begins
the example of these functions, and a comment `end` ends it. What is between the two goes to the pages of the
functions. What is outside does not: it calls the examples and checks their results.
"""
import os
import re
import sys
from dataclasses import dataclass

from header import Code, read as read_header

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "examples")
EXAMPLE = re.compile(r"^/\* example: ([\w ]+?) \*/\n(.*?)^/\* end \*/\n", re.S | re.M)
WIDTH, LENGTH = 92, 28  # of an example, in columns and in lines that are not empty


@dataclass
class Example:
    file: str
    names: list  # of the functions that it is for
    code: Code

    @property
    def calls(self):
        text = re.sub(r'"(?:\\.|[^"\\])*"|//.*|/\*[\s\S]*?\*/', "", "\n".join(self.code.lines))
        return set(re.findall(r"\b(gmx_\w+)\(", text))


def programs():
    return sorted(name for name in os.listdir(DIRECTORY) if name.endswith(".c"))


def text_of(program):
    with open(os.path.join(DIRECTORY, program), encoding="utf-8") as file:
        return file.read()


def read():
    """The examples, in the order in which they stand in the programs."""
    return [Example(program, found[1].split(), Code(found[2].strip("\n").split("\n")))
            for program in programs() for found in EXAMPLE.finditer(text_of(program))]


def by_function(examples):
    of = {}
    for example in examples:
        for name in example.names:
            of.setdefault(name, []).append(example)
    return of


def faults(header):
    _, sections = read_header(header)
    functions = [f.name for s in sections for f in s.functions]
    examples = read()
    with_one = by_function(examples)
    for name in functions:
        if name not in with_one:
            yield f"{name}: there is no example of it"
    for e in examples:
        where = f"{e.file}: example of {e.names[0]}"
        for name in e.names:
            if name not in functions:
                yield f"{where}: there is no {name}"
            elif name not in e.calls:
                yield f"{where}: it does not call {name}"
        if len([line for line in e.code.lines if line]) > LENGTH:
            yield f"{where}: more than {LENGTH} lines"
        yield from (f"{where}: a line with more than {WIDTH} columns: {x}" for x in e.code.lines if len(x) > WIDTH)
    for program in programs():
        text = text_of(program)
        if f"gomax-{program[:-2]}" not in [s.slug for s in sections]:
            yield f"{program}: no section has this name"
        begun, ended = len(re.findall(r"/\* example:", text)), len(re.findall(r"/\* end \*/", text))
        whole = len(EXAMPLE.findall(text))
        if not begun == ended == whole:
            yield f"{program}: {begun} examples begin and {ended} end"
        if EXAMPLE.sub("", text).count("assert(") < whole:
            yield f"{program}: fewer checks than examples"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        found = list(faults(file.read()))
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
