"""Make manuals, completions and configurations from tables of options and pages of docs/.

A table is what PROGRAM-options prints. A page is a manual's file name, such as presenced.8; its
release is a date and a version.

    render.py OUTPUT manual PAGE RELEASE DOCS DATADIR SYSCONFDIR TEMPLATE TABLE...
    render.py OUTPUT document PAGE RELEASE SEE-ALSO MARKDOWN
    render.py OUTPUT library PAGE RELEASE SEE-ALSO HEADER MARKDOWN SECTION
    render.py OUTPUT conf TABLE SECTION
    render.py OUTPUT bash|zsh|fish TABLE

OUTPUT is the file that is written. SEE-ALSO: manuals, as in "presenced(8) presencectl(1)". The last
two arguments of `library` are a page of docs/ and its section with the examples.
"""

import json
import sys

import bash
import configuration
import fish
import header
import manual
import markdown
import roff
import zsh


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def paged(page, release, text):
    """A manual with its first lines."""
    name, section = page.rsplit(".", 1)
    return roff.finished(roff.title(name, section, *release.split()) + text)


def render_manual(page, release, docs, datadir, sysconfdir, template, *tables):
    return paged(page, release, manual.filled(template, page, list(map(load, tables)), docs,
                                              {"DATADIR": datadir, "SYSCONFDIR": sysconfdir}))


def render_document(page, release, see_also, path):
    return paged(page, release, markdown.page(path, page.rsplit(".", 1)[0], see_also.split()))


def render_library(page, release, see_also, path, *examples):
    return paged(page, release, header.page(path, examples, see_also.split()))


RENDER = {
    "manual": render_manual,
    "document": render_document,
    "library": render_library,
    "conf": lambda table, section: configuration.configuration(load(table), section),
    "bash": lambda table: bash.completion(load(table)),
    "zsh": lambda table: zsh.completion(load(table)),
    "fish": lambda table: fish.completion(load(table)),
}


if __name__ == "__main__":
    rendered = RENDER[sys.argv[2]](*sys.argv[3:])
    with open(sys.argv[1], "w", encoding="utf-8") as output:
        output.write(rendered)
