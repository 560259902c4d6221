"""The clients of other systems that docs/web.md names: a test runs each, in the version that is named."""

import re
import unittest

import source


def table(text):
    """The rows of the table of clients, each a list of its cells."""
    section = re.search(r"^## Clients of other systems$(.*?)(?:^## |\Z)", text, re.M | re.S)[1]
    first = re.search(r"(?:^\|.*\|\n)+", section, re.M)[0]  # others describe addresses
    rows = re.findall(r"^\|(.*)\|$", first, re.M)
    return [[cell.strip() for cell in row.split("|")] for row in rows[2:]]


def packages(rows):
    """(name, version) of the packages in the column of clients."""
    return [pair for row in rows for pair in re.findall(r"`([@\w./-]+)` (\d[\w.]*)", row[1])]


class Clients(unittest.TestCase):
    def setUp(self):
        self.rows = table(source.read("docs/web.md"))
        pinned = re.search(r"packages_npm=\((.*?)\)", source.read("tools/packages.sh"), re.S)[1].split()
        self.pinned = [tuple(package.rsplit("@", 1)) for package in pinned]

    def test_versions(self):
        """A package of the table is fetched in just that version."""
        self.assertGreater(len(packages(self.rows)), 1)
        self.assertEqual(set(packages(self.rows)) - set(self.pinned), set())

    def test_tests(self):
        """A test imports it."""
        tests = [source.read(path) for path in source.files("tests/e2e", suffix=r"\.(py|js)")]
        for name, _ in packages(self.rows):
            self.assertTrue(any(re.search(rf"(from|import|require\() ?['\"]{re.escape(name)}\b", test)
                                for test in tests), name)

    def test_rows(self):
        """A row has four cells, and says what never will work."""
        for row in self.rows:
            self.assertEqual(len(row), 4, row)
            self.assertTrue(all(row), row)

    def test_finds_a_fault(self):
        rows = table("## Clients of other systems\n| a | b | c | d |\n|-|-|-|-|\n| X | `x-y` 1.2.3 | it | no |\n\n| y |\n## Y\n| z |\n")
        self.assertEqual(rows, [["X", "`x-y` 1.2.3", "it", "no"]])
        self.assertEqual(packages(rows), [("x-y", "1.2.3")])


if __name__ == "__main__":
    unittest.main()
