"""docs/memory-orders.md has a row for each atomic access that is stronger than relaxed, and no other."""

import collections
import re
import unittest

import source

PAGE = "docs/memory-orders.md"
FOLDERS = ("include", "lib", "daemon", "tools", "bpf")
DEFINITIONS = "include/core/atomics.h"
ACCESS = re.compile(r"\b(?:__)?(?:atomic|sync)_(\w+?)\s*\(")
OPERATIONS = {"load": "load", "load_n": "load", "load_bytes": "load", "has_bytes": "load", "store": "store",
              "store_n": "store", "store_bytes": "store", "swap_if": "swap", "val_compare_and_swap": "swap",
              "compare_exchange_n": "swap", "exchange": "exchange", "exchange_n": "exchange", "fetch_add": "add",
              "fetch_and_add": "add", "fetch_sub": "subtract", "add": "add", "thread_fence": "fence"}
ORDERS = {"ACQUIRE": "acquire", "RELEASE": "release", "ACQ_REL": "both", "SEQ_CST": "ordered"}
ROW = re.compile(r"^\| `(\w+)` \| (\w+)(?: `([^`]+)`)? \| (\w+) \| (.*?) \| .*? \| (.*?) \|$")


def arguments(code, at):
    """The arguments between the parentheses of which the first is at this place."""
    depth, end, cuts = 0, at, [at]
    while depth or end == at:
        depth += {"(": 1, ")": -1}.get(code[end], 0)
        if depth == 1 and code[end] == ",":
            cuts.append(end)
        end += 1
    cuts.append(end - 1)
    return [" ".join(code[begin + 1:end].split()) for begin, end in zip(cuts, cuts[1:])]


def split_name(name, given):
    """(operation, order) of an access, from the name of what is called and its arguments."""
    named = re.fullmatch(r"(.*)_(relaxed|acquire|release|ordered)", name)
    if named:
        return OPERATIONS[named[1]], named[2]
    orders = re.findall(r"__ATOMIC_(\w+)", " ".join(given))
    if "RELAXED" in orders:
        return OPERATIONS[name], "relaxed"
    return OPERATIONS[name], ORDERS[orders[0]] if orders else "ordered"


def accesses(code):
    """(function, operation, word, order) of each access that is not relaxed."""
    begins = [(match.start(), match[1]) for match in source.FUNCTION.finditer(code) if match[0].endswith("{")]
    for match in ACCESS.finditer(code):
        given = arguments(code, match.end() - 1)
        operation, order = split_name(match[1], given)
        function = [name for begin, name in begins if begin < match.start()][-1:]
        if order != "relaxed" and function:
            word = "" if operation == "fence" else given[0].lstrip("&")
            yield function[0], operation, word, order


def rows(text):
    """((file, function, operation, word, order), partners, what shows it) of each row."""
    path = ""
    for line in text.split("\n"):
        heading = re.fullmatch(r"### `([\w/.-]+)`", line)
        path = heading[1] if heading else path
        row = ROW.match(line)
        if row:
            yield (path, row[1], row[2], (row[3] or "").lstrip("&"), row[4]), row[5], row[6]


class Orders(unittest.TestCase):
    def test_code_and_page_agree(self):
        code = collections.Counter((path, *access) for path in source.files(*FOLDERS) if path != DEFINITIONS
                                   for access in accesses(source.split(path)[0]))
        page = collections.Counter(row for row, _, _ in rows(source.read(PAGE)))
        self.assertGreater(len(code), 80)
        self.assertEqual((sorted((code - page).elements()), sorted((page - code).elements())), ([], []),
                         "in the code alone, in the page alone")

    def test_partners_exist(self):
        for row, partners, _ in rows(source.read(PAGE)):
            with self.subTest(row=row):
                names = re.findall(r"`(\w+)`", partners)
                self.assertTrue(names or partners == "itself", partners)
                self.assertLessEqual(set(names), source.functions())

    def test_what_shows_it_exists(self):
        """A test or model is named by its folder and file below tests/."""
        for row, _, shown in rows(source.read(PAGE)):
            with self.subTest(row=row):
                for name in re.findall(r"`([\w/]+)`", shown):
                    folder, _, stem = name.partition("/")
                    found = source.files(f"tests/{folder}", suffix=rf"/(test_|check_)?{stem}\.(c|py|pml)")
                    self.assertTrue(found, name)

    def test_finds_a_fault(self):
        code = "static void f(int *a)\n{\n    atomic_store_release(&a[g(1)], 2);\n    atomic_load_relaxed(a);\n}\n"
        self.assertEqual(list(accesses(code)), [("f", "store", "a[g(1)]", "release")])
        code = "static void f(int *a)\n{\n    __atomic_exchange_n(a, 1,\n        __ATOMIC_ACQ_REL);\n}\n"
        self.assertEqual(list(accesses(code)), [("f", "exchange", "a", "both")])
        self.assertEqual(list(rows("### `a.c`\n| `f` | fence | release | `g` | x | `unit/ring` |")),
                         [(("a.c", "f", "fence", "", "release"), "`g`", "`unit/ring`")])


if __name__ == "__main__":
    unittest.main()
