"""Cases of one test that mostly wait, several at a time."""

import multiprocessing
import unittest

from harness import DEADLINE

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
