"""Limits that leave no room for the collector: one line names the limit and what to do, exit 1."""

import contextlib
import os
import re
import unittest

from harness import Case, native, run_daemon, visitor, wait_until

SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"
SMALL = ("--max-entries", "1000", "--max-scopes", "16", "--max-histories", "4", "--events", "64")
SITE = "example.com"


def is_removed(group):
    with contextlib.suppress(OSError):
        os.rmdir(group)
    return not os.path.exists(group)


@contextlib.contextmanager
def memory_group(limit):
    """A control group that may have so many bytes of memory; what makes a program begin in it.
    Either version, wherever it is mounted; None where groups can't be made."""
    for base, version in (("/sys/fs/cgroup/memory", 1), ("/sys/fs/cgroup", 2),
                          ("/sys/fs/cgroup/unified", 2)):
        with open("/proc/self/cgroup") as file:
            pattern = r"^\d+:[^:]*\bmemory\b[^:]*:(.*)$" if version == 1 else r"^0::(.*)$"
            found = re.search(pattern, file.read(), re.M)
        if not found:
            continue
        name = "memory.limit_in_bytes" if version == 1 else "memory.max"
        group = f"{base}{found[1].rstrip('/')}/presence-test-{os.getpid()}"
        try:
            os.mkdir(group)
        except OSError:
            continue
        try:
            with open(f"{group}/{name}", "w") as file:
                file.write(str(limit))
        except OSError:
            os.rmdir(group)
            continue
        try:
            yield ("sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh")
        finally:
            wait_until(lambda: is_removed(group), "the control group to be empty")
        return
    yield None


class Limits(Case):
    def refused(self, prefix, *arguments):
        return run_daemon("--segment", self.segment, "--listen", "127.0.0.1:0", *arguments,
                          prefix=prefix)

    def assert_told(self, result, *patterns):
        self.assert_refused(result, 1, *patterns)
        self.assertEqual(os.listdir(self.directory), [])

    def test_file_size(self):
        for limit in 0, 4096, 100000:
            with self.subTest(limit=limit):
                self.assert_told(self.refused(("prlimit", f"--fsize={limit}"), *SMALL),
                                 "RLIMIT_FSIZE", rf"files may have {limit / 1e6:.1f} MB at most",
                                 "raise that limit, or lower --max-entries")

    def test_a_log_that_may_not_grow(self):
        """It is no reason to end. A segment that is there already needs no limit to be raised."""
        self.start(*SMALL, small=False).stop()
        collector = self.start(*SMALL, small=False, prefix=("prlimit", "--fsize=300"), wait=False)
        wait_until(lambda: self.json("status")["state"] == "listening", "presenced")
        self.assertIsNone(collector.process.poll())
        self.assertEqual(collector.stop(), 0)

    @unittest.skipIf(SANITIZED, "sanitizers take all the address space")
    def test_address_space(self):
        self.assert_told(self.refused(("prlimit", f"--as={100 << 20}")), "RLIMIT_AS",
                         r"104\.9 MB of address space", "--max-entries")

    @unittest.skipIf(SANITIZED or os.geteuid(), "needs root, and a program of its usual size")
    def test_memory_of_the_control_group(self):
        with memory_group(64 << 20) as prefix:
            if not prefix:
                self.skipTest("no control group can be made here")
            self.assert_told(self.refused(prefix), r"control group may have 67\.1 MB of memory",
                             r"memory\.(max|limit_in_bytes)", "--max-entries")
            collector = self.start(*SMALL, small=False, prefix=prefix)
            self.send(collector, native(SITE, [visitor(1)]))
            self.wait_received(1)
            self.assertEqual(self.count(SITE), 1)
            self.assertEqual(collector.stop(), 0)

    @unittest.skipIf(SANITIZED or os.geteuid(), "needs root, and a program of its usual size")
    def test_no_memory_for_a_copy(self):
        """A group that has room for one segment, but not for a second one: nobody is killed."""
        with memory_group(80 << 20) as prefix:
            if not prefix:
                self.skipTest("no control group can be made here")
            collector = self.start("--max-entries", "4000000", "--max-scopes", "256",
                                   "--max-histories", "16", "--events", "256", "--warm-up", "0",
                                   small=False, prefix=prefix)
            self.send(collector, native(SITE, [visitor(1)]))
            self.wait_received(1)
            os.unlink(self.segment)
            wait_until(lambda: "can't be made: its control group" in collector.output(), "a line")
            self.assertIsNone(collector.process.poll())
            self.assertEqual(collector.stop(), 0)


if __name__ == "__main__":
    unittest.main()
