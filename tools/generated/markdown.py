"""Render a page of docs/ as a manual. It knows the part of Markdown that our pages use.

A table of terms and their meanings or values, or of what happens then, becomes a list, any other a table of
tbl(1). A block whose lines are too long for a terminal is an error, but for hexadecimal digits and commands,
which are folded.
"""

import re
import sys

import roff

MANUALS = {"counting.md": "presence-counting(7)", "engine.md": "presence-engine(7)",
           "protocol.md": "presence-protocol(7)",
           "segment.md": "THE SEGMENT in presenced(8)",
           "topologies.md": "presence-topologies(7)", "web.md": "presence-web(8)"}
CODE_COLUMNS = 71  # of the 78 that manuals have in a terminal of 80
HEX_COLUMNS = 64
TOGETHER = 24      # code up to here is not broken between words
BULLET = r"\(bu 2"
ITEM = r"- |\d\. "  # how an item of a list begins
TERM_COLUMNS = 16  # a term up to here stands beside its text


# ---- text within a paragraph ---------------------------------------------------------------------

def reference(text, target, manual):
    """A link, as words. `manual`: the one that it stands in, such as presenced(8)."""
    page, _, anchor = target.partition("#")
    if "://" in target:
        return f"{text} <{target}>"
    if not page:
        return text
    page = page.rsplit("/")[-1]
    name = MANUALS.get(page, f"*docs/{page}*").removesuffix(f" in {manual}")
    if text == page:
        return name
    return f"{text} in {name}" if anchor else f"{text} ({name})"


def inline(text):
    """A paragraph's text as roff."""
    done = ""
    for code, strong, emphasis, other in re.findall(
            r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*|([^`*]+|[`*])", text):
        if code != code.strip():
            code = f'"{code}"'
        together = roff.bold(code).replace(" ", r"\ " if len(code) <= TOGETHER else " ")
        done += (together if code else roff.bold(strong) if strong
                 else roff.italic(emphasis) if emphasis else roff.prose(other))
    return done


# ---- blocks --------------------------------------------------------------------------------------

def folded(line):
    """A command of the shell in lines that are short enough, broken before an option if possible."""
    while len(line) > CODE_COLUMNS:
        spaces = [end for end in range(CODE_COLUMNS - 1) if line[end] == " " and line[:end].strip()
                  and line[:end].count('"') % 2 == line[:end].count("'") % 2 == 0]
        if not spaces or "#" in line:
            break
        end = max([end for end in spaces if line[end + 1] == "-"] or spaces)
        yield line[:end] + " \\"
        line = "    " + line[end + 1:]
    yield line


def code(name, lines):
    width = HEX_COLUMNS if name.startswith("hex") else CODE_COLUMNS
    if width == HEX_COLUMNS:
        lines = [line[start:start + width] for line in lines for start in range(0, len(line), width)]
    elif name.startswith("sh "):
        lines = [part for line in lines for part in folded(line)]
    for line in lines:
        if len(line) > width:
            sys.exit(f"the block '{name}' is too wide for a manual, which has {width} columns: {line}")
    return roff.example("\n".join(lines), indent=0)


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def terms(rows):
    longest = max(len(re.sub("[`*]", "", row[0])) for row in rows)
    indent = str(longest + 2) if longest <= TERM_COLUMNS else ""
    return "".join(roff.item(inline(term), roff.paragraph(inline(text)), indent)
                   for term, text in rows)


def tabular(rows):
    """A table of tbl(1); its last column takes the space that the others leave."""
    head, *rest = rows
    last = len(head) - 1
    wide = max(range(len(head)), key=lambda column: max(len(row[column]) for row in rest))
    form = " ".join("lx" if column == wide else "l" for column in range(last + 1))
    lines = [".PP", ".TS", " ".join(["lB"] * len(head)), f"{form}.",
             "\t".join(map(inline, head))]
    for row in rest:
        lines.append("\t".join(f"T{{\n{roff.paragraph(inline(cell))}T}}" if column == wide and cell
                               else inline(cell) for column, cell in enumerate(row)))
    return "\n".join([*lines, ".TE"]) + "\n"


def table(lines):
    rows = [cells(line) for line in lines if not re.fullmatch(r"[|\s:-]+", line)]
    return terms(rows[1:]) if rows[0][1:] in (["meaning"], ["then"], ["value"]) else tabular(rows)


def bullets(lines):
    """A list, with bullets or numbers."""
    items = re.split(rf"^({ITEM})", "\n".join(lines), flags=re.M)[1:]
    return "".join(f".IP {BULLET if mark == '- ' else mark + '3'}\n"
                   f"{roff.paragraph(inline(' '.join(one.split())))}"
                   for mark, one in zip(items[::2], items[1::2]))


def heading(line):
    level = line.index(" ")
    text = line[level + 1:]
    return f".SH {roff.plain(text.upper())}\n" if level == 2 else f".SS {roff.plain(text)}\n"


def chunks(text, manual):
    """Split a page into blocks: each with its kind and its lines. Links are words in them."""
    for part in re.split(r"(^```.*\n(?s:.*?)^```$)", text, flags=re.M):
        fenced = re.fullmatch(r"```(.*)\n((?s:.*?))```", part)
        if fenced:
            yield "code", [fenced[1], *fenced[2].splitlines()]
            continue
        part = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", lambda link: reference(link[1], link[2], manual), part)
        for block in re.split(r"\n\s*\n", part.strip("\n")):
            lines = [line for line in block.splitlines() if line.strip()]
            if lines:
                yield {"#": "heading", "|": "table"}.get(lines[0][0], "text"), lines


def body(text, manual=""):
    """Markdown as roff, without the page's title."""
    out = ""
    for kind, lines in chunks(text, manual):
        if kind == "heading":
            out += heading(lines.pop(0))
            kind = "text"
        if kind == "code":
            out += code(lines[0], lines[1:])
        elif kind == "table":
            out += table(lines)
        else:
            end = next((number for number, line in enumerate(lines) if re.match(ITEM, line)),
                       len(lines))
            if end > 0:
                out += ".PP\n" + roff.paragraph(inline(" ".join(map(str.strip, lines[:end]))))
            out += bullets(lines[end:])
    return out


def section(path, name, manual):
    """One section of a page, without its heading, for a manual such as presenced(8)."""
    with open(path, encoding="utf-8") as file:
        found = re.search(rf"^## {re.escape(name)}\n((?s:.*?))(?=^## |\Z)", file.read(), re.M)
    if not found:
        sys.exit(f"{path}: no section '{name}'")
    return body(found[1], manual)


def page(path, name, pages):
    """A whole page: its title is the manual's NAME, and what precedes its sections DESCRIPTION."""
    with open(path, encoding="utf-8") as file:
        first, text = file.read().split("\n", 1)
    purpose = first.removeprefix("# ")
    return (f".SH NAME\n{name.replace('-', chr(92) + '-')} \\- "
            f"{roff.plain(purpose[0].lower() + purpose[1:])}\n"
            f".SH DESCRIPTION\n{body(text)}{roff.see_also(pages)}")
