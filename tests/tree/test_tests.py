"""Every end-to-end test is run: its name is in tests/e2e/meson.build. And every unit test that starts threads
runs with the thread sanitizer: tests/unit/meson.build lists it."""

import re
import unittest

import source


def left_out(tests, build):
    """The tests of which no name stands in a build file."""
    names = set(re.findall(r"'(\w+)'", build))
    return [path for path in tests if re.search(r"test_(\w+)\.py", path)[1] not in names]


def without_sanitizer(tests, build):
    """The unit tests, {path: text}, that start threads themselves and are not in the list `threaded`."""
    threaded = re.search(r"^threaded = \[(.*?)\]", build, re.MULTILINE | re.DOTALL)[1]
    names = set(re.findall(r"'(\w+)'", threaded))
    return [path for path, text in tests.items()
            if "pthread_create(" in text and re.search(r"test_(\w+)\.c", path)[1] not in names]


class Tests(unittest.TestCase):
    def test_all_are_run(self):
        tests = source.files("tests/e2e", suffix=r"/test_\w+\.py")
        self.assertGreater(len(tests), 50)
        self.assertEqual(left_out(tests, source.read("tests/e2e/meson.build")), [])

    def test_finds_a_fault(self):
        tests = ["tests/e2e/test_keys.py", "tests/e2e/test_web.py"]
        self.assertEqual(left_out(tests, "['keys', 'web_touch']"), tests[1:])

    def test_threads_are_sanitized(self):
        tests = {path: source.read(path)
                 for path in source.files("tests/unit", suffix=r"/test_\w+\.c")}
        self.assertGreater(len(tests), 100)
        self.assertEqual(without_sanitizer(tests, source.read("tests/unit/meson.build")), [])

    def test_finds_an_unsanitized_one(self):
        tests = {"tests/unit/test_worker.c": "pthread_create(&thread", "tests/unit/test_hash.c": "",
                 "tests/unit/test_web.c": "if (pthread_create(&one"}
        self.assertEqual(without_sanitizer(tests, "x = ['web']\nthreaded = [\n  'worker',\n]\n"),
                         ["tests/unit/test_web.c"])


if __name__ == "__main__":
    unittest.main()
