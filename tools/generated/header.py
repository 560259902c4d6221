"""Render the public header as libpresence(3): its declarations and their comments, in its order."""

import re
import textwrap

import markdown
import roff

COLUMNS = markdown.CODE_COLUMNS
MEMBER_COLUMNS = 30  # a longer member has its comment below
COMMENT = r"/\*((?s:.*?))\*/"
# A comment, a definition of a constant, of a type or of a function; nothing else is shown.
TOKEN = re.compile(rf"""
    {COMMENT.replace(" ", "[ ]")}(?P<gap>\n*)
    | ^\#define[ ](?P<constant>PRESENCE_(?!API|PRESENCE_H)\w+)[ ]+(?P<value>\S+)
      (?:[ ]*/\*(?P<about>(?s:.*?))\*/)?(?P<end>\n*)
    | ^(?P<kind>struct|enum)[ ](?P<name>\w+)[ ]\{{\n(?P<body>(?s:.*?))^\}};
    | ^PRESENCE_API[ ](?P<function>[^;]*);(?P<more>\n(?=PRESENCE_API))?
    """, re.X | re.M)


def uncommented(text):
    """A comment's text: its paragraphs, without stars."""
    text = re.sub(r"\n *\*? ?", "\n", text).strip()
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]


def described(paragraphs):
    return ".PP\n".join(roff.paragraph(markdown.inline(text)) for text in paragraphs)


# ---- code ----------------------------------------------------------------------------------------

def commented(line, comment, width):
    """A line of code and its comment, which is wrapped beside it or, if there is no room, below."""
    if not comment:
        return [line]
    text = f"/* {comment}\xa0*/"
    if len(line) > width:
        if len(line) + 1 + len(text) <= COLUMNS:
            return [f"{line} {text}"]
        indent = re.match(" *", line)[0] + "    "
        return [line, *textwrap.wrap(text, COLUMNS, initial_indent=indent,
                                     subsequent_indent=indent + "   ")]
    return textwrap.wrap(text, COLUMNS, initial_indent=f"{line:<{width}} ",
                         subsequent_indent=" " * (width + 4), break_on_hyphens=False)


def aligned(pairs):
    """Lines of code and their comments."""
    fitting = [len(line) for line, _ in pairs if len(line) <= MEMBER_COLUMNS]
    width = max(fitting, default=0)
    return [text.replace("\xa0", " ") for line, comment in pairs
            for text in commented(line, comment, width)]


def members(body):
    """The members of a type: each with its comment, or ""."""
    pattern = rf"\s*([^;,/]+?(?:\[[^\]]*\])?(?:, *\**\w+)*[;,])[ ]*(?:{COMMENT})?"
    for code, comment in re.findall(pattern, body):
        yield "    " + " ".join(code.split()), " ".join(uncommented(comment))


def signature(text):
    """A function's declaration, with the names of its parameters in italics."""
    head, arguments = " ".join(text.split()).rstrip(")").split("(", 1)
    lines, indent = [f"{head}("], len(head) + 1
    if indent > COLUMNS // 2:
        indent = 8
    words = [f"{word}{',' if number else ');'}" for number, word in
             zip(range(arguments.count(","), -1, -1), arguments.split(", "))]
    for word in words:
        last = lines[-1]
        space = "" if last.endswith("(") else " "
        if len(last) + len(space) + len(word) > COLUMNS or (indent == 8 and last.endswith("(")):
            lines.append(" " * indent + word)
        else:
            lines[-1] += space + word
    return "".join(roff.guarded(re.sub(r"(\w+)((?:\[\d*\])?(?:,|\);))", r"\\fI\1\\fB\2",
                                       rf"\fB{roff.literal(line)}")) + "\\fR\n" for line in lines)


# ---- the page ------------------------------------------------------------------------------------

def items(text):
    """The header's parts, in order: (comment's paragraphs, code, functions) or a heading."""
    comment, constants, functions = [], [], []
    for token in TOKEN.finditer(text):
        if token["constant"]:
            constants.append((f"#define {token['constant']} {token['value']}",
                              " ".join(uncommented(token["about"] or ""))))
            if len(token["end"]) > 1:
                yield comment, aligned(constants), []
                comment, constants = [], []
        elif token["kind"]:
            lines = aligned(list(members(token["body"])))
            yield comment, [f"{token['kind']} {token['name']} {{", *lines, "};"], []
            comment = []
        elif token["function"]:
            functions.append(token["function"])
            if not token["more"]:
                yield comment, aligned(constants), functions
                comment, constants, functions = [], [], []
        elif heading := re.match(r" ---- ([\w ]+?) -", token[1]):
            yield heading[1], [], []
        else:
            comment = uncommented(token[1])
            if len(token["gap"]) > 1:
                yield comment, [], []
                comment = []


def rendered(comment, code, functions):
    if isinstance(comment, str):
        return f".SH {comment.upper()}\n"
    out = roff.example("\n".join(code), indent=0) if code and not functions else ""
    if not code and not functions:
        return f".PP\n{described(comment)}"
    if functions:
        lines = "".join(roff.literal(line) + "\n" for line in code)
        out = f".PP\n.nf\n{lines}{''.join(map(signature, functions))}.fi\n"
        return out + f".RS 4\n{described(comment)}.RE\n" if comment else out
    return (f".PP\n{described(comment)}" if comment else "") + out


def page(path, examples, pages):
    """The whole manual. `examples`: a page of docs/ and the name of one of its sections."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    head, rest = re.match(rf"{COMMENT}((?s:.*))", text).groups()
    title, *about = uncommented(head)
    purpose = re.split(" - |:", title)[1]
    out = (f".SH NAME\nlibpresence \\- {roff.plain(purpose)}\n"
           ".SH LIBRARY\nPresence library (libpresence, \\fI\\-lpresence\\fR)\n"
           ".SH SYNOPSIS\n.nf\n\\fB#include <presence/presence.h>\\fR\n.fi\n"
           f".SH DESCRIPTION\n{described(about)}")
    out += "".join(rendered(*part) for part in items(rest))
    return out + f".SH EXAMPLES\n{markdown.section(*examples, 'libpresence(3)')}{roff.see_also(pages)}"
