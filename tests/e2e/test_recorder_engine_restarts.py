"""presence-recorder --engine that is started again, in the same minute or after it: each minute is stored
once."""

import signal

from side_by_side import main
from totals_recorder import RecorderCase


class Restarts(RecorderCase):
    def test_restarts_continue_a_minute(self):
        self.write(50)
        first = self.begin(second=2)
        self.wait_chosen()
        self.end()
        before = self.minutes()[first]
        self.write(7)
        self.begin(second=min(before["seconds"] + 8, 50), minute=first)
        self.wait_sampled()
        self.end()
        after = self.minutes()[first]
        self.assertEqual((before["minimum"], before["maximum"]), (100, 100))
        self.assertEqual((after["minimum"], after["maximum"]), (14, 100))
        self.assertGreater(after["seconds"], before["seconds"])
        self.assertAlmostEqual(
            after["mean"], (100 * before["seconds"] + 14 * (after["seconds"] - before["seconds"])) /
            after["seconds"])

    def test_a_killed_recorder_loses_the_running_minute(self):
        self.write(5)
        self.begin(second=55)
        first = self.wait_stored()
        kept = self.minutes()[first]
        self.wait_sampled()
        self.end(signal.SIGKILL)
        self.assertEqual(self.minutes(), {first: kept})
        self.begin(second=55, minute=first + 1)
        self.wait_stored(after=first)
        self.end()
        self.assertEqual(self.minutes()[first], kept)
        self.assertEqual(self.query("SELECT count(*) FROM boot"), [(1,)])

    def test_the_clock_is_set_back(self):
        """A minute that is seen twice is stored once: as it was sampled for longer."""
        self.write(50)
        self.begin(second=50)
        first = self.wait_stored()
        kept = self.minutes()[first]
        self.end()
        self.write(7)
        self.begin(second=58, minute=first)
        self.wait_logged("recording the totals of")
        self.end()
        again = self.minutes()[first]
        self.assertGreaterEqual(again["seconds"], kept["seconds"])
        self.assertLessEqual(again["seconds"], 60)
        self.assertEqual(again["maximum"], 100)
        self.assertEqual(len(self.query("SELECT * FROM peak JOIN scope ON scope.id = scope "
                                        "WHERE kind = 0 AND site = 'a.example' AND count = 100")), 1)


if __name__ == "__main__":
    main()
