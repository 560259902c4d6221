"""Bare roots of Debian 12 and 13: tests there and for 64-bit Arm, a newcomer's first hour, an installation
without packages, the packages of the last commit, the container's steps.

All of it takes hours and installs gigabytes, so it runs only with TEST_LONG."""

import os
import select
import subprocess
import tempfile
import unittest

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
BOOT = os.path.join(DIRECTORY, "../boot")
DEADLINE = 60  # seconds
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
                self.assertRegex(said, r"(?m)^relay: \d+ s$")

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


@unittest.skipUnless(os.environ.get("TEST_LONG"), "needs slirp4netns: TEST_LONG")
class Boot(unittest.TestCase):
    def test_settings_of_the_machine(self):
        tries = ("! echo 4 >/proc/sys/kernel/printk", "echo 1 >/proc/sys/net/ipv4/ip_forward",
                 "! setpriv --dump | grep -E 'bounding.*sys_module'")
        booted = "! setpriv --dump | grep -E 'bounding.*sys_time'"
        shifted = "unshare --time --monotonic 100 true"
        for options, extra in (("--plain",), shifted), (("--unit", "basic.target"), booted):
            for command in (*tries, extra):
                with self.subTest(options=options, command=command):
                    done = subprocess.run([BOOT, *options, "/", "sh", "-c", command], timeout=2 * DEADLINE,
                                          stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    self.assertEqual(done.returncode, 0)

    def test_root_that_cannot_be_entered(self):
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "etc"), "w"):
                pass
            done = subprocess.run([BOOT, "--plain", "--network", root, "true"], timeout=DEADLINE,
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"cannot enter {root}", done.stderr)

    def test_killed(self):
        """Its processes end with it, and the next start removes what it left."""
        boot = subprocess.Popen([BOOT, "--plain", "--network", "/", "sh", "-c", "echo; exec sleep 1000"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(boot.stdout.close)
        boot.stdout.readline()
        with open(f"/proc/{boot.pid}/task/{boot.pid}/children") as file:
            children = file.read().split()
        self.assertEqual(len(children), 2)  # the command's, and the network's
        with open(f"/proc/{children[0]}/cgroup") as file:
            left = os.path.join("/tmp", os.path.basename(file.read().strip().splitlines()[-1]))
        self.assertTrue(os.path.isdir(left), left)
        ends = [os.pidfd_open(int(child)) for child in children]
        boot.kill()
        boot.wait()
        for end in ends:
            self.assertTrue(select.select([end], [], [], DEADLINE)[0], "it goes on")
            os.close(end)
        self.assertEqual(boot.stdout.read(), b"")  # the command has ended
        subprocess.run([BOOT, "--plain", "/", "true"], check=True, timeout=DEADLINE)
        self.assertFalse(os.path.exists(left), left)


if __name__ == "__main__":
    unittest.main()
