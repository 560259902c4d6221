"""What is fuzzed: each target has a small corpus, which tests/run replays, and a line in tests/README.md."""

import os
import re
import unittest

import source

FUZZ = os.path.join(source.TOP, "tests/fuzz")
FILES_MAX, BYTES_MAX, ALL_MAX = 150, 150 << 10, 1 << 20


def targets():
    return sorted(re.findall(r"^fuzz_(\w+)\.c$", "\n".join(os.listdir(FUZZ)), re.M))


def sizes(target):
    directory = os.path.join(FUZZ, "corpus", target)
    return [os.path.getsize(os.path.join(directory, name)) for name in os.listdir(directory)]


class Fuzz(unittest.TestCase):
    def test_corpora_are_small(self):
        self.assertEqual(sorted(os.listdir(os.path.join(FUZZ, "corpus"))), targets())
        for target in targets():
            self.assertTrue(1 <= len(sizes(target)) <= FILES_MAX, f"{target}: {len(sizes(target))} files")
            self.assertLessEqual(sum(sizes(target)), BYTES_MAX, target)
        self.assertLessEqual(sum(sum(sizes(target)) for target in targets()), ALL_MAX)

    def test_each_is_built_and_described(self):
        built, page = source.read("tests/fuzz/meson.build"), source.read("tests/README.md")
        for target in targets():
            self.assertIn(f"\n  '{target}': [", built)
            self.assertRegex(page, rf"\| .*`{target}`")


if __name__ == "__main__":
    unittest.main()
