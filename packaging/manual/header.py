"""Reads gomax.h: its sections, and the comment and the declaration of each thing in them.

The header is generated from the comments of the source, so this is the one place where the manual gets its text from.
"""
import re
from dataclasses import dataclass, field

# The lines of a function's comment, in their order, and what holds without the line.
LINES = {
    "Blocks": "never.",
    "Call from": "every context.",
    "Safepoint": "no.",
    "Migrates": "no.",
    "Cancellable": "no.",
    "Owns": "nothing.",
    "Returns": None,
    "Since": "0.1",
}


@dataclass
class Code:
    """Lines of a program, or a table whose columns stay as they are."""
    lines: list


@dataclass
class Items:
    """A list: each item is its text."""
    items: list


@dataclass
class Thing:
    kind: str  # function, variable, type, constant
    name: str
    declaration: str
    blocks: list  # str, Code or Items
    lines: dict = field(default_factory=dict)
    members: list = field(default_factory=list)

    @property
    def brief(self):
        """The first sentence, without its end."""
        text = next((block for block in self.blocks if isinstance(block, str)), "")
        return re.split(r"(?<=[^.]\.)\s|: (?=[a-z])", text, maxsplit=1)[0].rstrip(".:")

    @property
    def names(self):
        """What of the library the comment names."""
        text = " ".join([str(block) for block in self.blocks] + list(self.lines.values()))
        return set(re.findall(r"\bgmx_\w+", text)) - {self.name}


@dataclass
class Section:
    name: str
    blocks: list
    things: list

    @property
    def slug(self):
        return "gomax-" + re.sub(r"[^a-z]+", "-", self.name.lower().replace("'", "")).strip("-")

    @property
    def functions(self):
        return [thing for thing in self.things if thing.kind == "function"]


def blocks_of(lines):
    """Paragraphs, lists and code of a comment."""
    blocks = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
            continue
        run = []
        if line.startswith(("  ", "\t")):
            while at < len(lines) and (lines[at].startswith(("  ", "\t")) or not lines[at].strip()):
                run.append(lines[at])
                at += 1
            while not run[-1].strip():
                run.pop()
            width = min(len(x) - len(x.lstrip()) for x in run if x.strip())
            blocks.append(Code([x[width:] for x in run]))
        elif re.match(r"[*-] ", line):
            items = []
            while at < len(lines) and lines[at].strip():
                if re.match(r"[*-] ", lines[at]):
                    items.append(lines[at][2:].strip())
                else:
                    items[-1] += " " + lines[at].strip()
                at += 1
            blocks.append(Items(items))
        else:
            while at < len(lines) and lines[at].strip() and not lines[at].startswith("  "):
                run.append(lines[at].strip())
                at += 1
            blocks.append(" ".join(run))
    return blocks


def comment_of(text):
    """The lines of a comment without its frame."""
    body = re.sub(r"^/\*+|\*+/$", "", text.strip(), count=0)
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in body.split("\n")]
    return lines


def documented(lines):
    """The blocks of a comment, and its labelled lines."""
    labelled = {}
    rest = []
    label = None
    for line in lines:
        found = re.match(r"(%s): (.*)" % "|".join(LINES), line)
        if found:
            label = found[1]
            labelled[label] = found[2]
        elif label and line.strip():
            labelled[label] += " " + line.strip()
        elif not label:
            rest.append(line)
    return blocks_of(rest), labelled


def members_of(declaration):
    """(comment, declaration) of each member of a struct."""
    body = re.search(r"\{(.*)\}", declaration, re.S)
    members = []
    if body:
        for comment, member in re.findall(r"(/\*\*.*?\*/)?\s*([^;/]+;)", body[1], re.S):
            text = [block for block in blocks_of(comment_of(comment)) if isinstance(block, str)] if comment else []
            members.append((" ".join(text), " ".join(member.split())))
    return members


def thing_of(comment, declaration):
    blocks, lines = documented(comment_of(comment))
    macro = re.match(r"#define (\w+)", declaration)
    if macro:
        return Thing("constant", macro[1], declaration, blocks)
    if "GMX_API" in declaration and "(" in declaration:
        name = re.search(r"(\w+)\(", re.sub(r"GMX_\w+ ", "", declaration))[1]
        plain = re.sub(r"\b(GMX_API|GMX_MUST_USE|GMX_NORETURN|GMX_DEPRECATED) ", "", declaration)
        return Thing("function", name, " ".join(plain.split()).rstrip(";") + ";", blocks, lines)
    if "GMX_API" in declaration:
        name = re.search(r"(\w+);", declaration)[1]
        return Thing("variable", name, declaration.replace("GMX_API ", ""), blocks, lines)
    plain = re.sub(r"/\*.*?\*/\n?", "", declaration, flags=re.S)
    plain = "\n".join(line for line in plain.split("\n") if line.strip())
    name = re.search(r"(\w+)(?:\[\d+\])?;\s*$", plain)
    function = re.search(r"\(\*(\w+)\)", plain)
    return Thing("type", function[1] if function and not name else name[1], plain, blocks, {}, members_of(declaration))


def declaration_at(text, at):
    """The end of the declaration that begins there."""
    if text[at] == "#":
        end = text.index("\n", at)
        while text[end - 1] == "\\":
            end = text.index("\n", end + 1)
        return end
    depth = 0
    for i in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if text[i] == ";" and depth == 0:
            return i + 1
    raise ValueError("a declaration without an end")


def read(text):
    """The head of the header as blocks, and the sections."""
    head = blocks_of(comment_of(text[: text.index("*/") + 2]))
    parts = re.split(r"^/\* ---- (.+?) -+ \*/$", text, flags=re.M)
    sections = []
    for name, body in zip(parts[1::2], parts[2::2]):
        intro = re.match(r"\s*/\*\n(.*?)\*/", body, re.S)
        things = []
        for comment in re.finditer(r"^/\*\*.*?\*/\n", body, re.S | re.M):
            at = comment.end()
            if body[at : at + 4] == "#if " or body[at] == "\n":
                continue
            things.append(thing_of(comment[0], body[at : declaration_at(body, at)]))
        sections.append(Section(name, blocks_of(comment_of(intro[0])) if intro else [], things))
    return head, sections
