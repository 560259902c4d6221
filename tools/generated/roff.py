"""Text as roff: escaping, the names that stand in bold, and lines of at most 79 characters."""

import re

WIDTH = 79
ESCAPES = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
# Options, errors, counters and other names with underscores, manuals such as presenced(8), and headers such as
# User-Agent.
NAMES = (r"(?<![\w./-])(--[\w.-]*\w|-E[A-Z]{3,}|\$?\w*_\w+(?![\w.-]*\.\w)|[\w.-]*\w(?=\(\d\))"
         r"|[A-Z]\w*(?:-[A-Z]\w*)+)")


def ascii_only(text):
    """Every other character as an escape, which needs no locale."""
    return re.sub(r"[^\0-\x7f]", lambda found: rf"\[u{ord(found[0]):04X}]", text)


def literal(text):
    """Text in which every character stands for itself."""
    return ascii_only(re.sub(r"[\\'`^~-]", lambda found: ESCAPES[found[0]], text))


def bold(text):
    return rf"\fB{literal(text)}\fR"


def italic(text):
    return rf"\fI{literal(text)}\fR"


def plain(text):
    """Prose: apostrophes and hyphens are typography."""
    return ascii_only(text.replace("\\", r"\e").replace("^", r"\(ha").replace("~", r"\(ti"))


def prose(text):
    """Prose with names in bold."""
    parts = re.split(NAMES, text)
    return "".join(bold(part) if number % 2 else plain(part) for number, part in enumerate(parts))


def guarded(line):
    """A line of text that is not taken for a request."""
    return rf"\&{line}" if line.startswith((".", "'")) else line


def wrap(line):
    """A line of text as several, which roff fills again."""
    while len(line) > WIDTH:
        end = line.rfind(" ", 1, WIDTH + 1)
        while end > 0 and line[end - 1] == "\\":
            end = line.rfind(" ", 1, end - 1)
        if end <= 0:
            break
        yield guarded(line[:end])
        line = guarded(line[end + 1:])
    yield line


def paragraph(text):
    return "".join(line + "\n" for line in wrap(guarded(text)))


def item(tag, text, indent=""):
    """A tag, and text beside or below it."""
    return f".TP{f' {indent}' if indent else ''}\n{guarded(tag)}\n{text}"


def example(text, indent=4):
    """Lines as they stand."""
    lines = "".join(guarded(literal(line)) + "\n" for line in text.splitlines())
    return f".PP\n.RS {indent}\n.EX\n{lines}.EE\n.RE\n"


def title(page, section, date, version):
    """The first lines of a page. Text is neither adjusted nor hyphenated, since it is full of names."""
    return (f"'\\\" t\n"
            f'.TH {page.upper()} {section} "{date}" "presence {version}" "presence"\n'
            ".ds AD l\n.ad l\n.nr HY 0\n.nh\n")


def see_also(pages):
    """The section SEE ALSO; a page is written as in presenced(8)."""
    pages = sorted(pages, key=lambda page: (page[-2], page))
    lines = [f".BR {page[:-3].replace('-', chr(92) + '-')} {page[-3:]}" for page in pages]
    return ".SH SEE ALSO\n" + ",\n".join(lines) + "\n"


def finished(text):
    """The page with its long lines of text wrapped, and without paragraphs behind headings."""
    text = re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", text, flags=re.M)
    lines, kept = [], False
    for line in text.splitlines():
        kept = line in (".nf", ".EX", ".TS") or kept and line not in (".fi", ".EE", ".TE")
        lines += [line] if kept or line.startswith((".", "'")) else wrap(line)
    return "\n".join(lines) + "\n"
