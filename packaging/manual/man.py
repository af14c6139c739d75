#!/usr/bin/env python3
"""Writes the manual pages of libgomax: man.py gomax.h OUT

OUT/man3 gets a page for each function, and one for each section of the header, with its types and constants and links
from their names; OUT/man7 gets gomax(7), the words and the rules for all functions, gomax-contexts(7), the contexts and
which functions may be called in each, and gomax-functions(7), the tables of docs/functions.md.
"""
import os
import re
import sys

from header import LINES, Code, Items, read

FAMILY, OVERVIEW = "3", "7"


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


class Manual:
    def __init__(self, text):
        self.head, self.sections = read(text)
        self.version = re.search(r'GMX_VERSION_STRING "([^"]+)"', text)[1]
        self.functions = {f.name: s for s in self.sections for f in s.functions}
        self.pages = {}

    def words(self, text, own=None):
        """A paragraph: functions in bold with the section of their page, other names of the library in bold."""

        def name(found):
            word = found[0]
            if word == own or word not in self.functions:
                return f"\\fB{word}\\fR"
            return f"\\fB{word}\\fR(3)"

        return re.sub(r"\b(?:gmx|GMX)_\w+", name, escape(text))

    def text(self, blocks, own=None):
        lines = []
        for block in blocks:
            if isinstance(block, Code):
                lines += [".PP", ".in +4n", ".EX", *[escape(line) or "\\&" for line in block.lines], ".EE", ".in"]
            elif isinstance(block, Items):
                for item in block.items:
                    lines += [".IP \\(bu 2", self.words(item, own)]
            else:
                lines += [".PP", self.words(block, own)]
        return lines

    def terms(self, code):
        """The text of an indented block of the head: terms with their meanings, or paragraphs."""
        lines, paragraph = [], []
        for line in code.lines + [""]:
            term = re.match(r"(\S(?:\S| \S)*)\s{2,}(\S.*)", line)
            if term and not line.rstrip().endswith("0.1") and ":" not in term[1]:
                lines += [".TP", f".B {escape(term[1])}", self.words(term[2])]
            elif line.startswith("  "):
                # the rest of a term, which may have two lines
                second = re.match(r"(\S+)\s{2,}(\S.*)", line)
                lines.append(self.words((second or [line])[0].strip()))
            elif not line.strip() or re.search(r"\S\s{3,}\S", line):
                lines += [".PP", self.words(" ".join(paragraph))] if paragraph else []
                paragraph = []
                if line.strip():
                    lines += [".PP", self.words(re.sub(r"\s{2,}", " ", line))]
            else:
                paragraph.append(line.strip())
        return lines

    def of_head(self, blocks):
        return [x for b in blocks for x in (self.terms(b) if isinstance(b, Code) else self.text([b]))
                if not x.startswith("Clean C99")]

    def begin(self, name, section, brief, topic):
        return [f'.\\" Made from gomax.h.', f'.TH {name} {section} "" "gomax {self.version}" "{topic}"', ".SH NAME",
                f"{name} \\- {escape(brief)}", ".SH LIBRARY", "libgomax (\\fI\\-lgomax\\fR)"]

    def see_also(self, names):
        last = [*names, "\\fBgomax\\-functions\\fR(7)", "\\fBgomax\\-contexts\\fR(7)", "\\fBgomax\\fR(7)"]
        return [".SH SEE ALSO", *[n + "," for n in last[:-1]], last[-1]]

    def add(self, section, name, lines):
        lines = [line for line in lines if line]
        # A section begins with a paragraph anyway.
        lines = [x for before, x in zip([""] + lines, lines) if x != ".PP" or not before.startswith((".SH", ".SS", ".PP"))]
        self.pages[f"man{section}/{name}.{section}"] = "\n".join(lines) + "\n"

    def function(self, f, s):
        prose = [b for b in f.blocks if not isinstance(b, Code)]
        lines = self.begin(f.name, FAMILY, f.brief[:1].lower() + f.brief[1:], s.name)
        lines += [".SH SYNOPSIS", ".nf", ".B #include <gomax.h>", ".PP", f'.B "{escape(f.declaration)}"', ".fi"]
        lines += [".SH DESCRIPTION", *self.text(prose, f.name)]
        lines += [".SH RETURN VALUE"]
        if f.lines.get("Returns"):
            for part in f.lines["Returns"].rstrip(".").split("; "):
                lines += [".IP \\(bu 2", self.words(part, f.name)]
        else:
            lines += [".PP", "None."]
        lines += [".SH CONTEXTS"]
        for label, default in LINES.items():
            if label not in ("Returns", "Since"):
                lines += [".TP", f".B {label}", self.words(f.lines.get(label, default), f.name)]
        if f.example:
            lines += [".SH EXAMPLE", *self.text(f.example)]
        elif any(isinstance(b, Code) for b in s.blocks):
            lines += [".SH EXAMPLE", f"\\fB{escape(s.slug)}\\fR(3) has one."]
        lines += [".SH HISTORY", f"Since {f.lines.get('Since', LINES['Since'])}."]
        others = [g.name for g in s.functions if g.name != f.name]
        self.add(FAMILY, f.name, lines + self.see_also([f"\\fB{n}\\fR(3)" for n in others] + [f"\\fB{escape(s.slug)}\\fR(3)"]))

    def family(self, s):
        first = next((b for b in s.blocks if isinstance(b, str)), s.name)
        brief = re.split(r"(?<=[^.]\.)\s", first)[0].rstrip(".")
        lines = self.begin(s.slug, FAMILY, brief[:1].lower() + brief[1:], s.name)
        lines += [".SH SYNOPSIS", ".nf", ".B #include <gomax.h>"]
        for f in s.functions:
            lines += [".PP", f'.B "{escape(f.declaration)}"']
        lines += [".fi", ".SH DESCRIPTION", *self.text(s.blocks)]
        for kind, title in (("type", "TYPES"), ("constant", "CONSTANTS"), ("variable", "VARIABLES")):
            things = [t for t in s.things if t.kind == kind]
            if things:
                lines += [f".SH {title}"]
            for t in things:
                lines += [f".SS {t.name}", ".in +4n", ".EX", *[escape(x) for x in t.declaration.split("\n")], ".EE", ".in",
                          *self.text(t.blocks)]
                for comment, member in t.members:
                    if comment:
                        lines += [".TP", f".B {escape(member.rstrip(';'))}", self.words(comment)]
                self.add(FAMILY, t.name, [f".so man3/{s.slug}.3"])
        if s.functions:
            lines += [".SH FUNCTIONS"]
            for f in s.functions:
                lines += [".TP", f"\\fB{f.name}\\fR(3)", self.words(f.brief, f.name)]
        self.add(FAMILY, s.slug, lines + self.see_also([]))

    def overview(self):
        title, *rest = self.head
        parts, at = {None: []}, None
        for block in rest:
            if isinstance(block, str) and isinstance(rest[min(rest.index(block) + 1, len(rest) - 1)], Code) and len(block) < 80:
                at = block
                parts[at] = []
            else:
                parts[at].append(block)
        contexts = [p for p in parts if p and p.startswith("Contexts")]
        lines = self.begin("gomax", OVERVIEW, title.split(": ", 1)[1].rstrip("."), "Overview")
        for p, blocks in parts.items():
            if p not in contexts and blocks:
                lines += [f".SH {p.upper() if p else 'DESCRIPTION'}", *self.of_head(blocks)]
        lines += [".SH SECTIONS"]
        for s in self.sections:
            if s.things:
                lines += [".TP", f"\\fB{escape(s.slug)}\\fR(3)", f"{escape(s.name)}: " + ", ".join(f.name for f in s.functions)]
        self.add(OVERVIEW, "gomax", lines + [".SH SEE ALSO", "\\fBgomax\\-functions\\fR(7),", "\\fBgomax\\-contexts\\fR(7)"])
        lines = self.begin("gomax-contexts", OVERVIEW, "where the functions of libgomax may be called", "Overview")
        lines += [".SH DESCRIPTION", *[x for p in contexts for x in self.of_head(parts[p])], ".SH FUNCTIONS"]
        by = {}
        for s in self.sections:
            for f in s.functions:
                by.setdefault(f.lines.get("Call from", LINES["Call from"]).rstrip("."), []).append(f.name)
        for where, names in sorted(by.items(), key=lambda x: -len(x[1])):
            lines += [".TP", f".B {escape(where)}", ", ".join(f"\\fB{n}\\fR(3)" for n in names)]
        self.add(OVERVIEW, "gomax-contexts", lines + [".SH SEE ALSO", "\\fBgomax\\fR(7)"])

    def by_purpose(self, document):
        lines = self.begin("gomax-functions", OVERVIEW, "the functions of libgomax by their purpose", "Overview")
        for line in document.split("\n"):
            row = re.match(r"\| (.+) \| (.+) \|$", line)
            if line.startswith("## "):
                lines += [f".SH {line[3:].upper()}"]
            elif row and row[1] != "to":
                lines += [".TP", escape(row[1]), self.words(re.sub(r"`|\[|\]\([^)]*\)", "", row[2]))]
        self.add(OVERVIEW, "gomax-functions", lines + [".SH SEE ALSO", "\\fBgomax\\-contexts\\fR(7),", "\\fBgomax\\fR(7)"])

    def all(self, document):
        self.overview()
        self.by_purpose(document)
        for s in self.sections:
            if s.things:
                self.family(s)
            for f in s.functions:
                self.function(f, s)
        return self.pages


def main():
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    with open(sys.argv[1], encoding="utf-8") as header, open(os.path.join(top, "docs/functions.md"), encoding="utf-8") as document:
        pages = Manual(header.read()).all(document.read())
    for path, text in pages.items():
        path = os.path.join(sys.argv[2], path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
