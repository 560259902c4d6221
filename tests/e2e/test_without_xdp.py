"""A build without the filter, as if libbpf or clang were missing, says so; all else works."""

import json
import os
import subprocess
import tempfile
import unittest
from unittest import mock

import harness
from harness import GOLDEN, Case, run_daemon

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
WITHOUT = os.path.join(harness.BUILD, "tests/e2e/presenced")
BUILD_DEADLINE = 600.0


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=BUILD_DEADLINE)
    if done.returncode:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


class WithoutXdp(Case):
    """With what the tests' own build links instead of the filter."""

    @classmethod
    def setUpClass(cls):
        patch = mock.patch.object(harness, "PRESENCED", cls.presenced())
        patch.start()
        cls.addClassCleanup(patch.stop)

    @classmethod
    def presenced(cls):
        return WITHOUT

    def test_it_does_not_need_libbpf(self):
        said = run("readelf", "--dynamic", harness.PRESENCED)
        self.assertIn("NEEDED", said)
        self.assertNotIn("libbpf", said)

    def test_without_being_asked(self):
        collector = self.start()
        self.send(collector, GOLDEN)
        self.wait_received(1)
        self.assertEqual(self.count("example.com"), 2)

    def test_auto_goes_on(self):
        collector = self.start("--xdp", "lo")
        self.assertRegex(collector.output(), "cannot filter at lo: .*built without the filter.*; "
                                             "going on without")
        self.send(collector, GOLDEN)
        self.wait_received(1)
        status = self.json("status")
        self.assertEqual((status["filter"], status["filter_interface"]), ("none", "lo"))
        self.assertRegex(status["filter_reason"], "built without the filter")

    def test_a_hash_spreads_senders(self):
        collector = self.start("--workers", "2")
        self.assertRegex(collector.output(), "over workers by hash, .*built without BPF")
        status = self.json("status")
        self.assertEqual(status["spread"], "hash")
        self.assertRegex(status["spread_reason"], "built without BPF")
        self.send(collector, GOLDEN)
        self.wait_received(1)

    def test_others_end(self):
        for mode in ("native", "generic"):
            with self.subTest(mode=mode):
                status, out, err = run_daemon("--segment", self.segment, "--listen", "127.0.0.1:0",
                                              "--xdp", "lo", "--xdp-mode", mode)
                self.assertEqual((status, out), (1, ""), err)
                self.assertRegex(err, "cannot filter at lo: .*built without the filter")


@unittest.skipUnless(os.environ.get("TEST_LONG"), "builds presenced, which takes a minute: TEST_LONG")
class BuiltWithoutXdp(WithoutXdp):
    """As a user builds it."""

    @classmethod
    def presenced(cls):
        directory = tempfile.TemporaryDirectory(prefix="presence-without-xdp-")
        cls.addClassCleanup(directory.cleanup)
        cls.build_directory = directory.name
        cls.said = run("meson", "setup", directory.name, TOP, "-Dxdp=disabled", "-Dtests=disabled",
                       "-Dbuildtype=plain")
        run("ninja", "-C", directory.name, "daemon/presenced")
        return os.path.join(directory.name, "daemon/presenced")

    def test_a_warning_does_not_fail_it(self):
        """It is built with the defaults, and a user's compiler may be newer than ours."""
        said = run("meson", "introspect", "--buildoptions", self.build_directory)
        options = {option["name"]: option["value"] for option in json.loads(said)}
        self.assertEqual((options["werror"], options["warning_level"]), (False, "3"))

    def test_meson_says_so(self):
        self.assertRegex(self.said, r"XDP filter: no \(it needs libbpf, clang and bpftool\)")


if __name__ == "__main__":
    unittest.main()
