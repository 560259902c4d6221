"""SECURITY.md: each promise has a mechanism and a test, and what it names exists."""

import os
import re
import unittest

import source

NAME = re.compile(r"`(e2e|fuzz|model|netns|packages|stress|unit)/(test_\w+) (?:(\w+)\.)?(\w+)`")
PATH = re.compile(r"`((?:bpf|daemon|debian|include|lib|tools)/[\w./-]+)[ `]")


def promises(text):
    """The rows of the tables with a column "shown by", each a list of three cells."""
    tables = re.findall(r"^\| promise \| by \| shown by \|\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    return [[cell.strip() for cell in row.strip("|").split("|")]
            for table in tables for row in table.splitlines()]


def missing(folder, name, case, method):
    """Why there is no such test, or None."""
    for suffix in ".py", ".c":
        path = f"tests/{folder}/{name}{suffix}"
        if not os.path.exists(os.path.join(source.TOP, path)):
            continue
        text = source.read(path)
        if suffix == ".py":
            found = re.search(rf"^class {case}\b.*?^    def {method}\(", text, re.M | re.S)
            body = found and "\nclass " not in found[0]
        else:
            body = case is None and re.search(rf"^\s*(static )?void {method}\(", text, re.M) and \
                re.search(rf"\b{method}\b(?!\(void \*\*)", text.replace(f"void {method}(", ""))
        return None if body else f"{path} has no {case or ''} {method}"
    return f"there is no tests/{folder}/{name}"


def faults(text):
    for row in promises(text):
        if len(row) != 3 or not all(row):
            yield f"not three cells: {row}"
        elif not NAME.search(row[2]):
            yield f"no test: {row[0]}"
        elif NAME.sub("", row[2]).strip(", "):
            yield f"not a test's name: {row[2]}"
    yield from filter(None, (missing(folder, name, case or None, method)
                             for folder, name, case, method in NAME.findall(text)))
    for path in PATH.findall(text):
        if not os.path.exists(os.path.join(source.TOP, path)):
            yield f"there is no {path}"


class Security(unittest.TestCase):
    def test_promises(self):
        text = source.read("SECURITY.md")
        self.assertGreater(len(promises(text)), 30)
        self.assertEqual(list(faults(text)), [])

    def test_what_is_named_is_run(self):
        """By its folder's list of tests."""
        for folder, name, *_ in NAME.findall(source.read("SECURITY.md")):
            build = source.read(f"tests/{folder}/meson.build")
            words = name.split("_")
            names = [name, *("[ _]".join(words[i:]) for i in range(1, 2 if folder in ("e2e", "unit") else len(words)))]
            self.assertRegex(build, rf"'({'|'.join(names)})[.'_]", f"{folder}/{name}")

    def test_it_is_short_and_linked(self):
        self.assertLessEqual(source.read("SECURITY.md").count("\n"), 150)
        self.assertIn("(SECURITY.md)", source.read("README.md"))

    def test_finds_a_fault(self):
        head = "| promise | by | shown by |\n|---|---|---|\n"
        for row, count in (
            ("| a | `daemon/keys.c` | `e2e/test_keys Keys.test_reasons` |", 0),
            ("| a | b | `unit/test_key_file only_the_owner_and_a_group_may_read` |", 0),
            ("| a | b | |", 1), ("| a | b | somewhere |", 1), ("| a | b | `e2e/test_keys Keys.test_reasons`, or so |", 1),
            ("| a | b | `e2e/test_keys Keys.test_nothing` |", 1), ("| a | b | `e2e/test_keys Locks.test_reasons` |", 1),
            ("| a | b | `e2e/test_nothing Keys.test_reasons` |", 1), ("| a | b | `unit/test_key_file nothing` |", 1),
            ("| a | `daemon/nothing.c` | `e2e/test_keys Keys.test_reasons` |", 1),
        ):
            self.assertEqual(len(list(faults(f"{head}{row}\n"))), count, row)


if __name__ == "__main__":
    unittest.main()
