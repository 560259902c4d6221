"""Every end-to-end test is run: its name is in tests/e2e/meson.build."""

import re
import unittest

import source


def left_out(tests, build):
    """The tests of which no name stands in a build file."""
    names = set(re.findall(r"'(\w+)'", build))
    return [path for path in tests if re.search(r"test_(\w+)\.py", path)[1] not in names]


class Tests(unittest.TestCase):
    def test_all_are_run(self):
        tests = source.files("tests/e2e", suffix=r"/test_\w+\.py")
        self.assertGreater(len(tests), 50)
        self.assertEqual(left_out(tests, source.read("tests/e2e/meson.build")), [])

    def test_finds_a_fault(self):
        tests = ["tests/e2e/test_keys.py", "tests/e2e/test_web.py"]
        self.assertEqual(left_out(tests, "['keys', 'web_touch']"), tests[1:])


if __name__ == "__main__":
    unittest.main()
