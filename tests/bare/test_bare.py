"""Bare roots of Debian 12 and 13: tests there and for 64-bit Arm, a newcomer's first hour, an installation
without packages, the packages of the last commit, the container's steps.

All of it takes hours and installs gigabytes, so it runs only with TEST_LONG."""

import os
import subprocess
import tempfile
import unittest

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
RELEASES = ("bookworm", "trixie")


@unittest.skipUnless(os.environ.get("TEST_LONG"), "takes hours: TEST_LONG")
class Bare(unittest.TestCase):
    def run_it(self, script, *arguments):
        """Run a script of this directory, which has to succeed, and return what it prints."""
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            done = subprocess.run([os.path.join(DIRECTORY, script), *arguments],
                                  stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            output.seek(0)
            said = output.read()
        self.assertEqual(done.returncode, 0, said[-20000:])
        return said

    def test_all_tests(self):
        for release in RELEASES:
            with self.subTest(release=release):
                said = self.run_it("root", release, "tests/run", "--build", "release")
                self.assertRegex(said, r"\b[1-9]\d* passed, 0 failed, 0 skipped")

    def test_first_hour(self):
        for release in RELEASES:
            with self.subTest(release=release):
                said = self.run_it("root", "--user", "--boot", release, "tests/bare/first_hour")
                self.assertRegex(said, r"(?m)^xdp: \d+ s$")

    def test_without_packages(self):
        for release in RELEASES:
            for prefix in "/usr", "/usr/local":
                with self.subTest(release=release, prefix=prefix):
                    said = self.run_it("root", "--boot", release, "tests/bare/without_packages", prefix)
                    self.assertIn("everything works", said)

    def test_packages(self):
        """Those of the last commit and of the one before: built, compared, upgraded and removed."""
        for release in RELEASES:
            with self.subTest(release=release):
                self.run_it("root", "--boot", release, "tests/packages/in_root")

    def test_container(self):
        for release in RELEASES:
            with self.subTest(release=release):
                self.assertIn("container: built and used", self.run_it("container", release))

    def test_arm64(self):
        self.assertRegex(self.run_it("arm64"), r"(?m)^Fail: +0$")

    def test_nothing_is_left(self):
        """A root ends with its command, and so does all that the command has started."""
        name = f"{os.getpid()}"
        self.run_it("root", "trixie", "bash", "-c", f"exec -a bare-{name} sleep 1000 &")
        commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        self.assertNotIn(f"bare-{name}", commands.stdout)


if __name__ == "__main__":
    unittest.main()
