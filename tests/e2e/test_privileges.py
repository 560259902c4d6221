"""The daemon keeps no privilege once it is set up, in any of its threads, and needs none."""

import contextlib
import os
import unittest

from harness import GOLDEN, Case


class Privileges(Case):
    @staticmethod
    def threads(collector):
        """What /proc says of each thread."""
        directory = f"/proc/{collector.process.pid}/task"
        for thread in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                with open(f"{directory}/{thread}/status") as file:
                    yield dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

    def check(self, collector):
        self.send(collector, GOLDEN)
        self.wait_received(1)
        threads = list(self.threads(collector))
        self.assertGreater(len(threads), 2)
        for status in threads:
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(status[name], 16), 0, name)
            self.assertEqual(status["NoNewPrivs"], "1")
            self.assertEqual(status["Seccomp"], "2")
        self.assertEqual(collector.stop(), 0)
        os.unlink(self.segment)

    def test_as_root(self):
        for engine in ("io_uring", "recvmmsg"):
            with self.subTest(engine=engine):
                self.check(self.start("--workers", "2", "--receive", engine))

    @unittest.skipIf(os.geteuid(), "needs root, to become another user")
    def test_as_nobody(self):
        self.let_anybody_in()
        self.check(self.start("--workers", "2", prefix=(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
            "--inh-caps=-all", "--bounding-set=-all")))


if __name__ == "__main__":
    unittest.main()
