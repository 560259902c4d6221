"""Programs that are linked with libpresence of the release before run with this one."""

import os
import re
import tempfile
import unittest

import abi
from documents import read

HINT = "libpresence is not what it was in lib/presence/presence.abi; see CONTRIBUTING.md\n"


class Abi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="presence-abi-")
        cls.addClassCleanup(directory.cleanup)
        library = os.path.join(directory.name, "libpresence.so")
        abi.compile_library(library)
        cls.description = os.path.join(directory.name, "now.abi")
        with open(cls.description, "w", encoding="utf-8") as file:
            file.write(abi.describe(library))

    def test_what_was_released_has_not_changed(self):
        report = abi.changes(self.description)
        self.assertFalse(report, HINT + report)

    def test_the_baseline_says_something(self):
        """It has functions and types, all of which are still there, or nothing would be compared."""
        baseline, now = (set(re.findall(r"<(?:function|class|enum)-decl name='(\w+)'", read(path)))
                         for path in (abi.BASELINE, self.description))
        self.assertLessEqual(baseline, now)
        self.assertLessEqual({"presence_count", "presence_reading", "presence_kind"}, baseline)

    def test_the_package_lists_each_symbol(self):
        header = read("include/presence/presence.h")
        symbols = read("debian/libpresence0.symbols")
        self.assertEqual(sorted(re.findall(r"^ (\w+)@Base [\d.]+$", symbols, re.M)),
                         sorted(re.findall(r"^PRESENCE_API [^(]*?(\w+)\(", header, re.M)))


if __name__ == "__main__":
    unittest.main()
