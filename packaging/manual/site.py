#!/usr/bin/env python3
"""Writes the source of the site: site.py ROOT OUT. Sphinx makes the pages from it (ci/site.sh).

OUT gets the files of the repository, so that the documents and what they refer to stand beside each other as they do
there; OUT/reference, a page for each section of gomax.h; and OUT/index.md.
"""
import os
import re
import shutil
import subprocess
import sys

import examples
from header import LINES, Code, Items, read

# The documents, in the order of the menu.
MENU = {
    "Begin": ["README.md", "docs/start.md", "docs/cookbook.md", "docs/functions.md", "docs/coming-from.md"],
    "Languages": ["docs/c.md", "docs/traps.md", "docs/cpp.md", "docs/python.md", "docs/zig.md", "docs/nim.md"],
    "With others": ["docs/go.md", "docs/runtimes.md", "docs/posix.md", "docs/libraries.md", "docs/tuning.md", "docs/inside.md", "docs/metrics.md", "docs/errors.md",
                    "docs/install.md"],
    "How it works": ["docs/scheduler.md", "docs/tour.md", "docs/meaning.md", "docs/benchmarks.md", "docs/measurements.md"],
    "The project": ["CHANGELOG.md", "docs/versions.md", "SECURITY.md", "CONTRIBUTING.md", "HACKING.md", "docs/testing.md", "docs/mutations.md"],
}


class Reference:
    def __init__(self, text):
        _, self.sections = read(text)
        roles = {"function": "func", "type": "type", "constant": "macro", "variable": "var"}
        self.roles = {t.name: f"c:{roles[t.kind]}" for s in self.sections for t in s.things}
        self.examples = examples.by_function(examples.read())

    def words(self, text):
        text = re.sub(r"([\\*`|])", r"\\\1", text)
        text = re.sub(r"(\w)_(?=\W|$)", r"\1\\_", text)

        def name(found):
            word = found[0]
            return f":{self.roles[word]}:`{word}`" if word in self.roles else f"``{word}``"

        # a role needs a border on each side
        return re.sub(r"\\?\*?\b(?:gmx|GMX)_\w+(?:\.\w+)?(?:\\?\*)?", lambda m: self.bordered(m, name), text)

    def bordered(self, found, name):
        word = re.search(r"(?:gmx|GMX)_\w+", found[0])
        before, after = found[0][: word.start()], found[0][word.end():]
        return f"{before}\\ {name(word)}\\ {after}" if found.start() and found.string[found.start() - 1] not in " (" else f"{before}{name(word)}\\ {after}"

    def markdown(self, text):
        """A document in which each name as code leads to the reference; not in programs, headings and links."""

        def name(found):
            return f"{{{self.roles[found[1]]}}}{found[0]}" if found[1] in self.roles else found[0]

        parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
        return "".join(x if x.startswith("```") else re.sub(r"^#.*|\[[^\]]*\]\([^)]*\)|`([^`]+)`", name, x, flags=re.M) for x in parts)

    def blocks(self, blocks, indent):
        lines = []
        for block in blocks:
            if isinstance(block, Code):
                lines += [".. code-block:: c", "", *["   " + line for line in block.lines], ""]
            elif isinstance(block, Items):
                lines += [f"* {self.words(item)}" for item in block.items] + [""]
            else:
                lines += [self.words(block), ""]
        return [indent + line if line else "" for line in lines]

    def function(self, f):
        lines = [f".. c:function:: {f.declaration.rstrip(';')}", "", *self.blocks(f.blocks, "   ")]
        for label, default in LINES.items():
            text = f.lines.get(label, default)
            if text:
                lines += [f"   :{label}: {self.words(text)}"]
        lines += [""]
        for e in self.examples.get(f.name, []):  # it stands once, at the first of its functions
            lines += ["   .. rubric:: Example", ""]
            lines += self.blocks([e.code] if e.names[0] == f.name else [f"See {e.names[0]}."], "   ")
        return lines

    def thing(self, t):
        if t.kind == "type":
            lines = [f".. c:type:: {t.name}", "", "   .. code-block:: c", "", *["      " + x for x in t.declaration.split("\n")], ""]
        elif t.kind == "constant":
            value = re.sub(r"#define \w+ ?", "", t.declaration).strip()
            lines = [f".. c:macro:: {t.name}", "", *([f"   ``{value}``", ""] if value and "\n" not in value else [])]
        else:
            lines = [f".. c:var:: {t.declaration.rstrip(';').replace('extern ', '')}", ""]
        lines += self.blocks(t.blocks, "   ")
        for comment, member in t.members:
            if comment:
                lines += [f"   ``{member.rstrip(';')}``", f"      {self.words(comment)}", ""]
        return lines

    def page(self, s):
        lines = [s.name, "=" * len(s.name), "", *self.blocks(s.blocks, "")]
        if s.functions:
            lines += ["Functions", "---------", ""] + [x for f in s.functions for x in self.function(f)]
        others = [t for t in s.things if t.kind != "function"]
        if others:
            lines += ["Types and constants", "-------------------", ""] + [x for t in others for x in self.thing(t)]
        return "\n".join(lines) + "\n"

    def index(self):
        """Each function with its first sentence, by section: what is there, at a glance."""
        lines = ["All functions", "=============", ""]
        for s in self.sections:
            if s.functions:
                lines += [f":doc:`{s.name} <{s.slug}>`", "", ".. list-table::", "   :widths: 30 70", ""]
                for f in s.functions:
                    lines += [f"   * - :c:func:`{f.name}`", f"     - {self.words(f.brief)}"]
                lines += [""]
        return "\n".join(lines) + "\n"


def document(root, path, out, reference):
    """A document with links to the reference, and without its links to directories, which have no page."""
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()

    def link(found):
        to = found[2].split("#")[0]
        return found[1] if to and os.path.isdir(os.path.join(root, os.path.dirname(path), to)) else found[0]

    text = re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", link, text)
    with open(out, "w", encoding="utf-8") as file:
        file.write(reference.markdown(text))


def main():
    root, out = map(os.path.abspath, sys.argv[1:3])
    with open(os.path.join(root, "include/gomax.h"), encoding="utf-8") as file:
        reference = Reference(file.read())
    for path in subprocess.run(["git", "ls-files"], cwd=root, check=True, capture_output=True, text=True).stdout.split("\n"):
        if path:
            link = os.path.join(out, path)
            os.makedirs(os.path.dirname(link), exist_ok=True)
            if path.endswith(".md"):
                document(root, path, link, reference)
            else:
                shutil.copyfile(os.path.join(root, path), link)
    pages = {"functions": reference.index()}
    pages.update((s.slug, reference.page(s)) for s in reference.sections if s.things)
    os.makedirs(os.path.join(out, "reference"))
    for name, text in pages.items():
        with open(os.path.join(out, "reference", name + ".rst"), "w", encoding="utf-8") as file:
            file.write(text)
    menu = "# libgomax\n\nThe scheduler of the Go runtime for C, C++, Python, Zig and Nim: [what it is](README.md).\n"
    for title, documents in MENU.items():
        menu += f"\n```{{toctree}}\n:caption: {title}\n:maxdepth: 1\n\n" + "\n".join(documents) + "\n```\n"
    menu += "\n```{toctree}\n:caption: Reference\n:maxdepth: 1\n\n" + "\n".join(f"reference/{name}" for name in pages) + "\n```\n"
    with open(os.path.join(out, "index.md"), "w", encoding="utf-8") as file:
        file.write(menu)


if __name__ == "__main__":
    main()
