"""Bare roots of Debian 12 and 13: builds and tests there and for 64-bit Arm, and a newcomer's first hour.

They download packages for hours' worth of installing, so all of them run only with TEST_LONG."""

import os
import subprocess
import unittest

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(DIRECTORY, "root")
RELEASES = ("bookworm", "trixie")


@unittest.skipUnless(os.environ.get("TEST_LONG"), "makes bare roots: TEST_LONG")
class Bare(unittest.TestCase):
    def run_it(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-20000:])
        return done.stdout
