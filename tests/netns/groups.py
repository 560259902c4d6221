"""Groups of collectors whose counts are in an engine, and a crowd that comes through two edges.

The edges are machines of their own with a relay each, and the collectors have an address each, so
that the way from one edge to one collector can be cut. The engine and its readers are here."""

import json
import os
import subprocess
import time

from cohorts import SITES, Crowd, Scope, boottime
from engine import RedisServer
from harness import DEADLINE, OUTCOMES, PRESENCECTL, waiting_bytes, wait_until
from library import Presence
from machines import Network
from presence_relay import RelayCase
from publisher import Publisher
from samples import EngineSamples, is_marked

LONG = bool(os.environ.get("TEST_LONG"))
SEED = int(os.environ.get("TEST_SEED") or time.time_ns() % 1000000)
EDGES = "10.0.0.11", "10.0.0.12"
PORT = 9514
# Seconds; everybody sends in each interval, and warming takes one and a half.
WINDOW, INTERVAL, WARM_UP = (30, 10, 15) if LONG else (15, 5, 8)
VISITORS = 20000 if LONG else 10000
LATEST = 8  # seconds that a number may be old that isn't called stale: state and tick (R6, R9)
NOWHERE = "02:00:00:00:00:01"  # a hardware address that nobody has


class Shard:
    """A collector and its publisher."""

    def __init__(self, case, group, number, count, address):
        self.case, self.group, self.number, self.count = case, group, number, count
        self.address = address
        self.name = f"{group}-{number}"
        self.collector, self.publisher = None, None

    @property
    def segment(self):
        return os.path.join(self.case.directory, self.name, "segment")

    def collect(self, wait=True):
        """Start the collector, also again on its old segment."""
        self.collector = self.case.start_in(
            self.name, *self.case.collector_options, listen=f"{self.address}:{PORT}", wait=wait)
        return self

    def publish(self):
        self.publisher = Publisher(
            self.segment, self.case.url, "--group", self.group, "--shard",
            f"{self.number}/{self.count}", *self.case.publisher_options)
        self.case.addCleanup(self.publisher.ensure_ended)
        return self


class GroupsCase(RelayCase):
    collector_options = ("--max-entries", "400000", "--max-scopes", "1024", "--max-window",
                         str(WINDOW), "--warm-up", str(WARM_UP))
    publisher_options = ()
    crowd_options = {}
    window = WINDOW

    def setUp(self):
        super().setUp()
        print(f"TEST_SEED={SEED}")
        self.network = self.enterContext(Network(self.directory))
        self.edges = [self.network.machine(address) for address in EDGES]
        self.groups, self.addresses = {}, 0
        self.relays = [None] * len(self.edges)
        self.crowd, self.samples = None, None
        self.start_engine()

    def start_engine(self):
        self.server = RedisServer(self.directory)
        self.addCleanup(self.server.ensure_ended)
        self.url = self.server.url

    # ---- collectors, publishers and relays ----

    def add_group(self, name, count):
        """Start a group's collectors and publishers."""
        shards = self.groups[name] = []
        for number in range(1, count + 1):
            self.addresses += 1
            address = f"10.0.0.{20 + self.addresses}"
            subprocess.run(["ip", "address", "add", f"{address}/24", "dev", "network"], check=True,
                           timeout=DEADLINE)
            shards.append(Shard(self, name, number, count, address).collect().publish())
        return shards

    def shards(self):
        return [shard for shards in self.groups.values() for shard in shards]

    def relay_file(self, edge):
        """Write an edge's configuration, with the groups of now; returns its path."""
        lines = [f"to = {name}=" + ",".join(f"{shard.address}:{PORT}" for shard in shards)
                 for name, shards in self.groups.items()]
        return self.write(f"relay-{edge}.conf", "\n".join(lines) + "\n")

    def start_relay(self, edge):
        self.relays[edge] = self.relay(
            "--config", self.relay_file(edge), "--listen", f"{EDGES[edge]}:{PORT}",
            "--web.listen-address", f"{EDGES[edge]}:9475", prefix=self.edges[edge].prefix)
        return self.relays[edge]

    def reload_relays(self):
        """Have the relays send to the groups of now."""
        for edge, relay in enumerate(self.relays):
            self.relay_file(edge)
            times = relay.output().count("reloaded")
            relay.hang_up()
            wait_until(lambda: relay.output().count("reloaded") > times,
                       lambda: f"the relay to reload: {relay.output()}")

    def start_groups(self, groups=(("A", 3), ("B", 1))):
        """Start it all, and let the crowd come until everything is steady: everybody has come, and
        those who stop leave as fast as others come."""
        for name, count in groups:
            self.add_group(name, count)
        for edge in range(len(self.edges)):
            self.start_relay(edge)
        self.start_crowd()
        self.wait_steady()

    def start_crowd(self):
        options = {"visitors": VISITORS, "interval": INTERVAL, **self.crowd_options}
        self.crowd = Crowd([(address, PORT) for address in EDGES], SEED, **options)
        self.addCleanup(self.crowd.stop)
        self.begin = boottime()
        self.crowd.start()

    def wait_steady(self):
        """Wait until everybody has come and no collector warms up."""
        steady = self.begin + max(self.crowd.interval, WARM_UP) + 4
        wait_until(lambda: boottime() > steady, "everybody to come", 3 * DEADLINE)

    def wait_for_room(self):
        """Wait until no collector has so much to read that it could lose anything."""
        wait_until(lambda: all(max(waiting_bytes(f"{shard.address}:{PORT}")) < 100000
                               for shard in self.shards()), "the collectors to keep up")

    def check_accounts(self, **others):
        """Each group has counted each visitor of each datagram once, and as many others as said, and
        nothing was lost on the way to it."""
        for name, shards in self.groups.items():
            readers = [Presence(self, shard.segment) for shard in shards]
            expected = self.crowd.heartbeats() + others.get(name, 0)

            def total(*counters):
                return sum(reader.counter(counter) for reader in readers for counter in counters)

            wait_until(lambda: total(*OUTCOMES) == expected,
                       lambda: f"{expected} heartbeats in {name}: {total(*OUTCOMES)}")
            self.assertEqual(total("socket_drops"), 0)
            self.assertEqual(total("streams_expected"), total("streams_received"))

    # ---- ways between edges and collectors ----

    def cut(self, edge, group):
        """Let nothing more get from an edge to a group; nobody there is told."""
        for shard in self.groups[group]:
            self.edges[edge].ip("neighbour", "replace", shard.address, "lladdr", NOWHERE, "nud",
                                "permanent", "dev", "eth0")

    def mend(self, edge, group):
        for shard in self.groups[group]:
            self.edges[edge].ip("neighbour", "delete", shard.address, "dev", "eth0")

    # ---- reading ----

    def sites(self):
        return [Scope("site", site) for site in SITES]

    def sample(self, scopes=None, **options):
        """Begin to read all sites, or these scopes."""
        self.samples = EngineSamples(self.url, scopes or self.sites(), self.window, **options)
        self.addCleanup(self.samples.stop)
        return self.samples

    def engine_ctl(self, *arguments):
        """Run presencectl on the engine; returns (exit status, stdout, stderr)."""
        done = subprocess.run([PRESENCECTL, *arguments, "--engine", self.url], capture_output=True,
                              text=True, timeout=DEADLINE, check=False)
        return done.returncode, done.stdout, done.stderr

    def status(self):
        return json.loads(self.engine_ctl("status", "--json")[1])

    # ---- judging ----

    def bounds(self, scopes):
        return {scope: self.crowd.bounds(scope, self.window) for scope in scopes}

    def range_of(self, bounds, answer):
        """The least and the most that an answer could be, of the time that it says it is of."""
        shift = time.time() - boottime()
        first = int(answer.as_of - shift + 0.5)
        if not answer.stale and answer.begin - first > LATEST:
            self.fail(f"{answer} is {answer.begin - first} s old and isn't called stale")
        return bounds.between(min(first, int(answer.begin)), int(answer.end))

    def error_of(self, bounds, answer):
        """How much an answer is too low (below 0) or too high, as a part of what it should be."""
        least, most = self.range_of(bounds, answer)
        return (min(answer.count - least, 0) + max(answer.count - most, 0)) / max(most, 1)

    def judge(self, scope, answers, tolerance, bounds=None):
        """No answer is too high, and none too low that isn't marked. Returns the worst errors."""
        bounds = bounds or self.crowd.bounds(scope, self.window)
        lowest, highest = 0, 0
        for answer in answers:
            if answer.count is None:
                self.assertTrue(is_marked(answer), f"{scope} is unknown: {answer}")
                continue
            error = self.error_of(bounds, answer)
            what = f"{scope}: {answer}, not {self.range_of(bounds, answer)}: {error:+.2%}"
            self.assertLessEqual(error, tolerance, what)
            highest = max(highest, error)
            if not is_marked(answer):
                self.assertGreaterEqual(error, -tolerance, what)
                lowest = min(lowest, error)
        return lowest, highest

    def judge_samples(self, samples, tolerance, scopes=None):
        """Judge the samples' answers that are of these scopes. Prints and returns the worst errors."""
        worst = []
        for index, scope in enumerate(self.samples.scopes):
            if scopes is None or scope in scopes:
                answers = [sample.answers[index] for sample in samples if sample.answers]
                worst.append(self.judge(scope, list(filter(None, answers)), tolerance))
        lowest, highest = min(low for low, _ in worst), max(high for _, high in worst)
        print(f"{len(samples)} samples of {len(worst)} scopes: {lowest:+.2%} to {highest:+.2%}")
        return lowest, highest
