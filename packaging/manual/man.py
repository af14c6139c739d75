#!/usr/bin/env python3
"""Writes the manual pages of libgomax: man.py gomax.h OUT

OUT/man3 gets a page for each function, and one for each section of the header, with its types and constants and links
from their names; OUT/man7 gets gomax(7), the words and the rules for all functions; gomax-contexts(7), the contexts and
which functions may be called in each; gomax-functions(7), the tables of docs/functions.md; and gomax-traps(7), which is
docs/traps.md.
"""
import os
import re
import sys

import examples
from header import LINES, Code, Items, read

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
FAMILY, OVERVIEW = "3", "7"
OVERVIEWS = ("gomax-functions", "gomax-contexts", "gomax-traps", "gomax")


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


class Manual:
    def __init__(self, text):
        self.head, self.sections = read(text)
        self.version = re.search(r'GMX_VERSION_STRING "([^"]+)"', text)[1]
        self.functions = {f.name: s for s in self.sections for f in s.functions}
        self.examples = examples.by_function(examples.read())
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

    def see_also(self, own, names=()):
        last = [*names, *(f"\\fB{escape(name)}\\fR(7)" for name in OVERVIEWS if name != own)]
        return [".SH SEE ALSO", *[n + "," for n in last[:-1]], last[-1]]

    def add(self, section, name, lines):
        lines = [line for line in lines if line]
        # A section begins with a paragraph anyway.
        lines = [x for before, x in zip([""] + lines, lines) if x != ".PP" or not before.startswith((".SH", ".SS", ".PP"))]
        self.pages[f"man{section}/{name}.{section}"] = "\n".join(lines) + "\n"

    def function(self, f, s):
        lines = self.begin(f.name, FAMILY, f.brief[:1].lower() + f.brief[1:], s.name)
        lines += [".SH SYNOPSIS", ".nf", ".B #include <gomax.h>", ".PP", f'.B "{escape(f.declaration)}"', ".fi"]
        lines += [".SH DESCRIPTION", *self.text(f.blocks, f.name)]
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
        if f.name in self.examples:
            lines += [".SH EXAMPLE", *self.text([e.code for e in self.examples[f.name]])]
        lines += [".SH HISTORY", f"Since {f.lines.get('Since', LINES['Since'])}."]
        near = [f"\\fB{name}\\fR(3)" for name in self.neighbours(f, s)]
        self.add(FAMILY, f.name, lines + self.see_also(f.name, [*near, f"\\fB{escape(s.slug)}\\fR(3)"]))

    def neighbours(self, f, s):
        """What the comment names and the examples call; of the section what names this one and what stands beside it,
        or all of a small one."""
        at = s.functions.index(f)
        near = f.names | {name for e in self.examples.get(f.name, []) for name in e.calls}
        near |= {g.name for i, g in enumerate(s.functions) if f.name in g.names or abs(i - at) == 1 or len(s.functions) <= 8}
        return [name for name in self.functions if name in near and name != f.name]

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
        self.add(FAMILY, s.slug, lines + self.see_also(s.slug))

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
        self.add(OVERVIEW, "gomax", lines + self.see_also("gomax"))
        lines = self.begin("gomax-contexts", OVERVIEW, "where the functions of libgomax may be called", "Overview")
        lines += [".SH DESCRIPTION", *[x for p in contexts for x in self.of_head(parts[p])], ".SH FUNCTIONS"]
        by = {}
        for s in self.sections:
            for f in s.functions:
                by.setdefault(f.lines.get("Call from", LINES["Call from"]).rstrip("."), []).append(f.name)
        for where, names in sorted(by.items(), key=lambda x: -len(x[1])):
            lines += [".TP", f".B {escape(where)}", ", ".join(f"\\fB{n}\\fR(3)" for n in names)]
        self.add(OVERVIEW, "gomax-contexts", lines + self.see_also("gomax-contexts"))

    def inline(self, text):
        """A text in Markdown: code and what is strong in bold, links as their texts."""
        text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
        parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)", text)
        for i, part in enumerate(parts):
            bare = part.strip("`*")
            if part.startswith("`") and not re.match(r"(gmx|GMX)_", bare) or part.startswith("**"):
                parts[i] = f"\\fB{escape(bare)}\\fR"
            elif part.startswith("*"):
                parts[i] = f"\\fI{escape(bare)}\\fR"
            else:
                parts[i] = self.words(bare if part.startswith("`") else part)
        return "".join(parts)

    def traps(self, document):
        """docs/traps.md: headings, paragraphs, and lists of two levels."""
        title, *blocks = re.split(r"\n+(?=\n|#|- |  - )", document.strip())
        lines = self.begin("gomax-traps", OVERVIEW, "what C programs with goroutines have to know", "Overview")
        lines += [".SH DESCRIPTION"]
        deep = False
        for block in blocks:
            text = " ".join(block.split())
            if block.startswith("  - ") != deep:
                deep = not deep
                lines += [".RS" if deep else ".RE"]
            if text.startswith("## "):
                lines += [f".SH {escape(text[3:].upper())}"]
            elif text.startswith("- "):
                lines += [".IP \\(bu 2", self.inline(text[2:])]
            else:
                lines += [".PP", self.inline(text)]
        self.add(OVERVIEW, "gomax-traps", lines + self.see_also("gomax-traps"))

    def by_purpose(self, document):
        lines = self.begin("gomax-functions", OVERVIEW, "the functions of libgomax by their purpose", "Overview")
        for line in document.split("\n"):
            row = re.match(r"\| (.+) \| (.+) \|$", line)
            if line.startswith("## "):
                lines += [f".SH {line[3:].upper()}"]
            elif row and row[1] != "to":
                lines += [".TP", escape(row[1]), self.words(re.sub(r"`|\[|\]\([^)]*\)", "", row[2]))]
        self.add(OVERVIEW, "gomax-functions", lines + self.see_also("gomax-functions"))

    def all(self):
        self.overview()
        self.by_purpose(document("functions"))
        self.traps(document("traps"))
        for s in self.sections:
            if s.things:
                self.family(s)
            for f in s.functions:
                self.function(f, s)
        return self.pages


def document(name):
    with open(os.path.join(TOP, "docs", f"{name}.md"), encoding="utf-8") as file:
        return file.read()


def main():
    with open(sys.argv[1], encoding="utf-8") as header:
        pages = Manual(header.read()).all()
    for path, text in pages.items():
        path = os.path.join(sys.argv[2], path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
