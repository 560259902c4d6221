"""The tree's C files, each in two parts: its code and its comments."""

import functools
import os
import re
import subprocess

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
PART = re.compile(r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])+' | [^/"']+ | .""",
                  re.S | re.X)
FUNCTION = re.compile(r"^(?!typedef|struct \w+ \{|enum|return|else)[A-Za-z_][\w\s*(),]*?"
                      r"\b(\w+)\((?:[^;{}]|\n)*?\)[^;{}()=]*[;{]", re.M)
MACRO = re.compile(r"^#\s*define\s+(\w+)", re.M)


@functools.cache
def files(*directories, suffix=r"\.(c|h|def|cc)"):
    """The paths of the files that git knows in these directories, or in the whole tree."""
    listed = subprocess.run(["git", "-C", TOP, "ls-files", "--cached", "--others",
                             "--exclude-standard", "--", *directories],
                            check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted({path for path in listed if re.search(suffix + "$", path)
                   and os.path.isfile(os.path.join(TOP, path))})


@functools.cache
def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as file:
        return file.read()


@functools.cache
def split(path):
    """(code, comments): strings are left out of the code. A comment is a pair of its first line's
    number and its text."""
    code, comments, line = [], [], 1
    for part in PART.findall(read(path)):
        if part.startswith(("/*", "//")):
            comments.append((line, part))
            code.append(" " + "\n" * part.count("\n"))
        elif part[0] in "\"'" and len(part) > 1 and not part.startswith('"core/'):
            code.append(part[0] * 2)
        else:
            code.append(part)
        line += part.count("\n")
    return "".join(code), comments


def includes(path):
    """The files that this one includes, as it writes them."""
    return re.findall(r'^#\s*include\s+["<]([^">]+)[">]', read(path), re.M)


@functools.cache
def functions():
    """The names of all functions and macros of the tree."""
    names = set()
    for path in files():
        code = split(path)[0]
        names.update(FUNCTION.findall(code))
        names.update(MACRO.findall(code))
    return names


@functools.cache
def identifiers():
    """All words of all code, and of generated files' names."""
    words = set()
    for path in files():
        words.update(re.findall(r"[A-Za-z_]\w*", split(path)[0]))
    return words
