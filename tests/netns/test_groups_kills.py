"""R9: publishers, relays, collectors, presence-web and the engine are killed at random moments under
load. No number is ever too high, and none too low that isn't marked."""

import json
import os
import random
import signal
import sys
import unittest

from cohorts import SITES, boottime
from groups import EDGES, LONG, PORT, SEED, GroupsCase
from harness import DEADLINE, wait_until
from samples import WebSamples, is_marked
from web import Web

TOLERANCE = 0.005
KILLS = 200 if LONG else 20


class Kills(GroupsCase):
    # What a collector that is away doesn't hear are leaves: few may be too many for too long.
    crowd_options = {"leaves": 0.001, "stops": 0.004}

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.web = None

    def pause(self, most):
        until = boottime() + self.random.uniform(0, most)
        wait_until(lambda: boottime() > until, "some time to pass")

    def serve(self):
        self.web = Web("--engine", self.url, "--to", f"{EDGES[0]}:{PORT}")
        self.addCleanup(self.end_web, self.web)
        return self.web

    @staticmethod
    def end_web(web):
        if web.process.poll() is None:
            web.stop(signal.SIGKILL)

    # ---- who is killed ----

    def kill_publisher(self):
        shard = self.random.choice(self.shards())
        shard.publisher.stop(signal.SIGKILL)
        self.pause(3)
        shard.publish()

    def kill_collector(self):
        shard = self.random.choice(self.shards())
        shard.collector.stop(signal.SIGKILL)
        self.pause(3)
        shard.collect()

    def kill_relay(self):
        edge = self.random.randrange(len(self.relays))
        with self.crowd.doubt(edge):
            self.relays[edge].stop(signal.SIGKILL)
            self.pause(1)
            self.start_relay(edge)

    def kill_web(self):
        self.web.stop(signal.SIGKILL)
        self.reader.web = self.serve()

    def kill_engine(self):
        self.server.kill()
        self.pause(2)
        self.server.start()

    # ---- the test ----

    def test_kills(self):
        self.start_groups()
        self.sample()
        self.reader = WebSamples(self.serve(), SITES[0], self.window)
        self.addCleanup(self.reader.stop)
        kinds = (self.kill_publisher, self.kill_collector, self.kill_relay, self.kill_web,
                 self.kill_engine)
        done = []
        for _ in range(KILLS):
            self.pause(1.5)
            kind = self.random.choice(kinds)
            done.append((f"{boottime():.1f}", kind.__name__))
            kind()
        self.samples.wait_for(lambda sample: not sample.error and not any(map(is_marked, sample.answers)),
                              "numbers without a mark", deadline=2 * DEADLINE)
        self.crowd.stop()
        samples = self.samples.stop()
        print(done)
        errors = sum(bool(sample.error) for sample in samples)
        marked = sum(any(map(is_marked, sample.answers)) for sample in samples if not sample.error)
        print(f"of {len(samples)} polls {errors} failed, and {marked} were marked")
        self.judge_samples(samples, TOLERANCE)
        answers = self.reader.stop()
        lowest, highest = self.judge(self.samples.scopes[0], answers, TOLERANCE)
        print(f"{len(answers)} answers of presence-web, {sum(map(is_marked, answers))} marked: "
              f"{lowest:+.2%} to {highest:+.2%}")
        # One that is started while there is no engine has no last number, either.
        others = [body for status, body in self.reader.failures if (status, json.loads(body)["error"])
                  != (503, "no_engine")]
        self.assertEqual(others, [])
        self.assertGreater(len(answers), KILLS)


if __name__ == "__main__":
    if os.geteuid():
        print("needs root, for network namespaces")
        sys.exit(77)  # skipped
    unittest.main()
