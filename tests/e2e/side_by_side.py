"""Cases of one test, or tests of a file, that mostly wait, several at a time."""

import multiprocessing
import os
import sys
import unittest

from harness import DEADLINE, enter_namespace, raise_loopback

AT_ONCE = 4  # cases: they wait, but have to start programs, too


class SideBySide:
    """Goes before harness.Case."""

    def check_side_by_side(self, check, cases):
        """Call check(test, *case) for each case. Each is a process with a test of its own: another
        directory, segment and socket, and, as it has one thread, namespaces where it asks for them."""
        processes = multiprocessing.get_context("fork")
        free = processes.Semaphore(AT_ONCE)

        def run(case, number, answer):
            with free:
                test = type(self)(self._testMethodName)
                setattr(test, self._testMethodName, lambda: check(test, *case))
                test.search_for_leaks = number == 0  # the others run the same commands
                result = unittest.TestResult()
                test.run(result)
                answer.send([f"{case}\n{text}" for case, text in result.errors + result.failures])

        running = []
        for number, case in enumerate(cases):
            answer, theirs = processes.Pipe(duplex=False)
            process = processes.Process(target=run, args=(case, number, theirs))
            process.start()
            theirs.close()
            running.append((case, process, answer))
        for case, process, answer in running:
            with self.subTest(case=case):
                try:
                    said = answer.recv()
                except EOFError:
                    said = ["it ended without an answer"]
                finally:
                    process.join(DEADLINE)
                self.assertEqual(process.exitcode, 0)
                if said:
                    self.fail("\n".join(said))


def main():
    """Run the tests of a file that mostly wait, several at a time: each process has every fourth, and a
    network namespace of its own. With arguments it is unittest.main()."""
    if sys.argv[1:]:
        unittest.main()
    tests = []

    def collect(suite):
        for part in suite:
            collect(part) if isinstance(part, unittest.TestSuite) else tests.append(part)

    collect(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))

    def run(mine):
        if os.geteuid() == 0:
            enter_namespace("net")
            raise_loopback()
        result = unittest.TextTestRunner().run(unittest.TestSuite(mine))
        sys.exit(not result.wasSuccessful())

    running = [multiprocessing.get_context("fork").Process(target=run, args=(tests[first::AT_ONCE],))
               for first in range(AT_ONCE)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    sys.exit(any(process.exitcode for process in running))
