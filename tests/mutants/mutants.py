"""Mutants: faults that somebody could bring in, each a change of one file, and the tests that have to notice.

A file of mutants names the file that is changed, the tests that every mutant of it is tried on in the end,
and the mutants. Several mutants, and several files, may follow each other:

    @file include/core/ring.h
    @tests ring, model

    --- ring-1
    A window of one minute too many is counted.
    tests: ring
    <<<
    (window_s + 59) / 60
    ===
    window_s / 60 + 1
    >>>

The old text stands in the file exactly once; a mutant may have several changes, each applied to what the one
before has left. The tests of a mutant, the most likely first, are tried before those of the file. Lines
that begin with # between the mutants are comments."""

import glob
import hashlib
import os
import re
from dataclasses import dataclass, field

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
HERE = os.path.join(TOP, "tests/mutants")
SURVIVORS = os.path.join(HERE, "survivors.md")


class Fault(Exception):
    """A file of mutants, or a mutant, that cannot be used."""


@dataclass
class Mutant:
    name: str
    path: str  # of the file that is changed, from the top of the tree
    origin: str  # of the file that describes the mutant
    breaks: str = ""
    tests: list = field(default_factory=list)
    last_tests: list = field(default_factory=list)
    changes: list = field(default_factory=list)  # (old, new)

    def all_tests(self):
        """Its tests, the most likely to kill it first, and then those of its file."""
        return list(dict.fromkeys(self.tests + self.last_tests))

    def apply(self, text):
        """Return the file's text with the fault in it."""
        for old, new in self.changes:
            if text.count(old) != 1:
                raise Fault(f"{self.name}: {self.path} has the old text {text.count(old)} times: {old!r}")
            text = text.replace(old, new)
        return text

    def digest(self):
        """Tell versions of the mutant from each other."""
        return hashlib.sha256(repr((self.path, self.changes, self.all_tests())).encode()).hexdigest()[:12]


def names(text):
    return [name.strip() for name in text.split(",") if name.strip()]


class Parser:
    def __init__(self, origin, text):
        self.origin, self.lines, self.at = origin, text.split("\n"), 0
        self.path, self.last_tests, self.mutants = None, [], []

    def fault(self, what):
        return Fault(f"{self.origin}:{self.at}: {what}")

    def line(self):
        if self.at == len(self.lines):
            raise self.fault("ends within a mutant")
        self.at += 1
        return self.lines[self.at - 1]

    def until(self, mark):
        """Read the lines before a mark."""
        lines = []
        while (line := self.line()) != mark:
            lines.append(line)
        return "\n".join(lines)

    def head(self, mutant):
        """Read what stands before the first change."""
        while (line := self.line()) != "<<<":
            if line.startswith("tests:"):
                mutant.tests = names(line[len("tests:"):])
            else:
                mutant.breaks = f"{mutant.breaks} {line}".strip()

    def mutant(self, name):
        mutant = Mutant(name, self.path, os.path.basename(self.origin), last_tests=self.last_tests)
        self.head(mutant)
        while True:
            mutant.changes.append((self.until("==="), self.until(">>>")))
            if self.at == len(self.lines) or self.lines[self.at] != "<<<":
                break
            self.at += 1
        if not mutant.breaks or not mutant.all_tests() or not mutant.path:
            raise self.fault(f"{name} lacks a file, tests, or a line that says what breaks")
        return mutant

    def parse(self):
        while self.at < len(self.lines):
            line = self.line()
            if line.startswith("@file "):
                self.path = line.split(None, 1)[1].strip()
            elif line.startswith("@tests "):
                self.last_tests = names(line.split(None, 1)[1])
            elif line.startswith("--- "):
                self.mutants.append(self.mutant(line[4:].strip()))
            elif line and not line.startswith("#"):
                raise self.fault(f"{line!r} is no part of a mutant")
        return self.mutants


def load():
    """All mutants, in the order of their files."""
    mutants = []
    for path in sorted(glob.glob(os.path.join(HERE, "*.mutants"))):
        with open(path, encoding="utf-8") as file:
            mutants += Parser(path, file.read()).parse()
    return mutants


def survivors(text=None):
    """{name: "equivalent" or "alive"} of those that survivors.md explains, each in a line of a list below
    the heading that says which."""
    if text is None:
        with open(SURVIVORS, encoding="utf-8") as file:
            text = file.read()
    found, kind = {}, None
    for line in text.split("\n"):
        if line.startswith("## "):
            kind = line[3:].strip().lower()
        elif match := re.match(r"- `([^`]+)`: \S", line):
            found[match[1]] = kind
    return found
