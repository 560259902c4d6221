"""The code blocks of README.md, docs/ and the other pages, as a reader would paste them.

A block's name is what follows its opening backticks: "nginx", or "nginx behind a proxy". Only `text`,
for pictures and output, may occur more than once. A test claims a block by calling fenced() with its
name; test_documents.py fails when a block is claimed by none.
"""

import glob
import os
import re
import subprocess

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
PAGES = sorted(glob.glob("*.md", root_dir=TOP) + glob.glob("docs/*.md", root_dir=TOP) +
               glob.glob("tests/*.md", root_dir=TOP))


def read(page):
    with open(os.path.join(TOP, page), encoding="utf-8") as file:
        return file.read()


def blocks():
    """Every fenced block of every page: (page, name, text)."""
    for page in PAGES:
        for name, text in re.findall(r"^```(.*)\n((?s:.*?))^```$", read(page), re.M):
            yield page, name, text


def prose(page):
    """The page without its blocks."""
    return re.sub(r"^```.*\n(?s:.*?)^```$", "", read(page), flags=re.M)


def fenced(name):
    """The text of the one block that has this name."""
    texts = [text for _, other, text in blocks() if other == name]
    if len(texts) != 1:
        raise AssertionError(f"{len(texts)} blocks are named {name!r}; there must be one")
    return texts[0]


def build_packages():
    """The packages that tools/packages.sh installs to build presence."""
    return subprocess.run(["bash", "-c", '. tools/packages.sh; echo "${packages_build[@]}"'], cwd=TOP,
                          check=True, capture_output=True, text=True).stdout.split()


def substitute(text, **changes):
    """The text with each pair's first string replaced by its second; the keywords describe the change.

    Fails when a string does not occur exactly once: the document has changed, and the test has not.
    """
    for what, (old, new) in changes.items():
        if text.count(old) != 1:
            raise AssertionError(f"the block's {what}: {old!r} occurs {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text
