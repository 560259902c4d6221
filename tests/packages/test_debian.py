"""Debian packages of this commit and of the one before, built, compared and upgraded in bare roots."""

import os
import subprocess
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@unittest.skipUnless(os.environ.get("TEST_LONG"), "makes bare roots: TEST_LONG")
class Debian(unittest.TestCase):
    def check(self, release):
        """The last commit is tested."""
        done = subprocess.run([os.path.join(TESTS, "bare/root"), "--boot", release,
                               "tests/packages/in_root"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(release, done.stdout[-10000:], sep="\n")
        self.assertEqual(done.returncode, 0)

    def test_debian_12(self):
        self.check("bookworm")

    def test_debian_13(self):
        self.check("trixie")


if __name__ == "__main__":
    unittest.main()
