"""docs/engine.md: its files and commands, pasted onto machines of their own, with a real Redis and stunnel."""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import unittest

from certificates import Certificates
from documents import fenced, read, substitute
from harness import DEADLINE, PRESENCE_RECORDER, wait_until
from publisher import PRESENCE_PUBLISHER
from topology import EDGES, GROUP_A, GROUP_B, SITE, RelaysCase, people
from web import PRESENCE_WEB

ENGINE, READER = "10.0.0.41", "10.0.0.51"
PUBLISHER, RECORDER, WEB = map(os.path.abspath, (PRESENCE_PUBLISHER, PRESENCE_RECORDER, PRESENCE_WEB))
REDIS = shutil.which("redis-server") or "redis-server"
STUNNEL = shutil.which("stunnel4") or "stunnel4"
# What precedes the document's lines in Redis's own file: here it is nobody's service.
REDIS_FILE = """dir %s
port 6379
"""


SENTINEL_FILE = """dir %s
port 26379
bind 10.0.0.41
protected-mode no
sentinel monitor presence 10.0.0.41 6379 1
sentinel auth-pass presence ADMINISTRATOR-PASSWORD
"""


class EngineCase(RelaysCase):
    """An engine on a machine of its own; publishers and readers on theirs."""

    def setUp(self):
        super().setUp()
        self.publishers = {}

    def start_engine(self, more=""):
        """Start Redis with the document's file, and make its users."""
        machine = self.machine(ENGINE)
        path = machine.write("redis.conf", REDIS_FILE % machine.directory + fenced("conf engine redis") + more)
        process = machine.run([REDIS, path], "redis")
        self.wait_listening(machine, 6379, process, "redis")
        self.assertEqual(set(self.shell(ENGINE, fenced("sh engine users")).split()), {"OK"})

    def password_file(self, address, user="PUBLISHER"):
        """Make the password file of a machine; returns its path."""
        path = os.path.join(self.machine(address).directory, "engine.password")
        text = fenced("sh engine password").replace("/etc/presence/engine.password", path)
        self.shell(address, substitute(text, mode=("-m 640 -g presence", "-m 600"),
                                       user=("PUBLISHER-", f"{user}-")))
        return path

    def configure(self, address, name, text, **changes):
        """Write a program's file, with the machine's own password file; returns its path."""
        return self.machine(address).write(name, substitute(text, password=(
            "/etc/presence/engine.password",
            os.path.join(self.machine(address).directory, "engine.password")), **changes))


    def start_publisher(self, address, **changes):
        self.password_file(address)
        path = self.configure(address, "publisher.conf", fenced("ini engine publisher"), **changes)
        machine = self.machine(address)
        self.publishers[address] = machine.run([PUBLISHER, "--config", path, "--segment", machine.segment],
                                               "publisher")

    def groups(self):
        """Return the groups that the engine has, as one line for each."""
        return self.redis_cli("hgetall '{presence}:groups'").split()

    def redis_cli(self, words):
        return self.shell(ENGINE, f"REDISCLI_AUTH=ADMINISTRATOR-PASSWORD redis-cli {words}")


class OneNumber(EngineCase):
    """Three shards and a copy, edges with relays, an engine, and readers on another machine."""

    def setUp(self):
        super().setUp()
        self.start_edges(fenced("ini topology relay to shards"))
        for address in (*GROUP_A, *GROUP_B):
            self.start_signed(address)
        self.wait_heard(*GROUP_A, *GROUP_B)
        self.start_engine()
        for number, address in enumerate(GROUP_A, 1):
            self.start_publisher(address, group=("group = A", "group = A"), shard=("1/3", f"{number}/3"))
        self.start_publisher(GROUP_B[0], group=("group = A", "group = B"), shard=("1/3", "1/1"))
        self.password_file(READER, "READER")
        self.reader_file = self.configure(READER, "engine.conf", fenced("ini engine reader"))
        self.database = os.path.join(self.machine(READER).directory, "totals.db")

    def ctl_block(self, text, **changes):
        """Run a command of the document on the readers' machine, with the file there."""
        return self.shell(READER, substitute(
            text, file=("/etc/presence/engine.conf", self.reader_file), **changes))

    def status(self):
        return self.ctl_block(fenced("sh engine status"))

    def total_is(self, number):
        with contextlib.suppress(AssertionError):  # no group is whole yet
            return self.ctl_block(fenced("sh engine count")) == f"{number}\n"

    def wait_number(self, number):
        wait_until(lambda: self.total_is(number), lambda: f"{number}: {self.status()}")

    def start_reader(self, program, text):
        name = os.path.basename(program)
        path = self.configure(READER, f"{name}.conf", text)
        return self.machine(READER).run([program, "--config", path], name)

    def get(self, path, arguments=""):
        return json.loads(self.shell(READER, f"curl -sS {arguments} http://127.0.0.1:8474{path}"))

    def test_keys(self):
        """What redis-cli shows is what the collector counts."""
        self.browse(EDGES[0], *((person, "/pricing") for person in people(0, 100)))
        self.wait_total(GROUP_A, 100)
        first = self.count_at(GROUP_A[0])

        def shown():
            return self.shell(ENGINE, fenced("sh engine keys")).splitlines()

        wait_until(lambda: shown()[-2:] == [str(first), str(first)], shown)
        lines = shown()
        self.assertEqual(dict(zip(lines[0:4:2], lines[1:4:2])), {"A": "3", "B": "1"})
        self.assertEqual(lines[4:8], ["1", "0", "0", "0"])
        self.assertRegex(lines[8], "^[0-9a-f]{16}$")
        self.assertLess(7_200_000 - int(lines[9]), 1000 * DEADLINE)

    def test_as_pasted(self):
        total = self.browse_both(0, 200)
        for address in GROUP_A, GROUP_B:
            self.wait_total(address, total)
        self.wait_number(total)
        # Group B may have it before A has.
        wait_until(lambda: re.search(rf"(?m)^A +all 3 +whole +{total}\b", self.status()), self.status)
        header = re.search(r"(?m)^GROUP .*", read("docs/engine.md"))[0]
        self.assertEqual(self.status().splitlines()[0].split(), header.split())
        self.assertRegex(self.status(), r"(?m)^B +1 of 1 +fresh ")
        with self.subTest("presence-recorder"):
            seconds = itertools.count(3)
            wait_until(lambda: self.record(total, next(seconds)),
                       lambda: self.machine(READER).said("presence-recorder"))
        with self.subTest("presence-web"):
            self.machine(READER).write("relay.key", self.key_lines()[0], 0o600)
            self.start_relay(READER, fenced("ini topology relay to shards"))
            self.start_reader(WEB, substitute(
                fenced("ini engine web"), database=("/var/lib/presence/totals.db", self.database)))
            wait_until(lambda: "listening on" in self.machine(READER).said("presence-web"), "presence-web")
            live = f"/api/sites/{SITE}/live-user-count"
            wait_until(lambda: self.get(live).get("count") == total, lambda: self.get(live))
            self.assertFalse(self.get(live)["stale"])
            self.assertEqual(self.get(f"/api/sites/{SITE}/history")["peak"]["today"]["count"], total)
            total += 1
            touched = self.get("/touch", f"-H 'Content-Type: application/json' -H 'Origin: http://{SITE}' "
                               f"""-d '{{"site":"{SITE}","visitor":"somebody-new"}}'""")
            self.assertEqual(touched["count"], total)
        with self.subTest("a shard dies, and the copy answers"):
            self.collectors[GROUP_A[1]].stop(signal.SIGKILL)
            wait_until(lambda: not self.is_whole("A"), "group A to be left out")
            self.assertTrue(self.total_is(total))
        with self.subTest("forgotten"):
            for address in GROUP_A:
                self.publishers[address].terminate()
                self.publishers[address].wait(DEADLINE)
            password = os.path.join(self.machine(GROUP_A[0]).directory, "engine.password")
            self.shell(GROUP_A[0], substitute(fenced("sh engine forget"), password=(
                "/etc/presence/engine.password", password)))
            self.assertTrue(self.total_is(total))
            self.assertEqual(self.shell(ENGINE, fenced("sh engine keys")).splitlines()[:3], ["B", "1", ""])
        # Nobody has needed a right that they don't have, and each right was used.
        self.assertEqual(self.redis_cli("acl log"), "\n")
        used = set(re.findall(r"cmdstat_(\w+):", self.redis_cli("info commandstats")))
        granted = set(re.findall(r" \+(\w+)", fenced("sh engine users")))
        self.assertEqual(granted - used, {"role"})  # that is for Sentinel

    def record(self, total, seconds):
        """Have the recorder ask the engine for so long; its running minute is stored at its end.
        Return whether it has the total."""
        recorder = self.start_reader(RECORDER, substitute(
            fenced("ini engine recorder"), database=("/var/lib/presence/totals.db", self.database)))
        ages = r" age=(\d+) .* cmd=exec user=reader "
        wait_until(lambda: any(int(age) >= seconds for age in re.findall(ages, self.redis_cli("client list"))),
                   lambda: self.machine(READER).said("presence-recorder"))
        recorder.terminate()
        recorder.wait(DEADLINE)
        with contextlib.suppress(AssertionError):  # there are no peaks yet
            return re.search(rf"(?m)^today +{total} ", self.ctl_block(
                fenced("sh engine peak"), database=("/var/lib/presence/totals.db", self.database)))

    def is_whole(self, group):
        status = json.loads(self.ctl_block(f"{fenced('sh engine status').strip()} --json\n"))
        whole, = [each["whole"] for each in status["groups"] if each["name"] == group]
        return whole


class Sentinel(EngineCase):
    def test_publisher_finds_the_master(self):
        """It knows Sentinels alone, of which the first one answers."""
        self.start_engine()
        machine = self.machine(ENGINE)
        path = machine.write("sentinel.conf", SENTINEL_FILE % machine.directory, 0o600)
        process = machine.run([REDIS, path, "--sentinel"], "sentinel")
        self.wait_listening(machine, 26379, process, "sentinel")
        address = GROUP_A[0]
        self.start_text_collectors(address)
        self.start_publisher(address, engine=("engine = redis://10.0.0.41\n", fenced("ini engine sentinel")))
        wait_until(lambda: self.groups() == ["A", "3"], lambda: self.machine(address).said("publisher"))


class Tls(EngineCase):
    """The engine by stunnel, which believes the right certificate only."""

    def start_engine_for(self, address):
        """Start the engine with a certificate for an address, and return the authority's."""
        directory = self.machine(ENGINE).directory
        certificates = Certificates(directory)
        certificates.sign("redis", address=address)
        self.start_engine(substitute(
            fenced("conf engine tls redis"), certificate=("/etc/redis/redis.pem", f"{directory}/redis.pem"),
            key=("/etc/redis/redis.key", f"{directory}/redis.key"),
            authority=("/etc/redis/ca.pem", certificates.ca)))
        return certificates.ca

    def start_stunnel(self, address, authority):
        machine = self.machine(address)
        path = machine.write("stunnel.conf", substitute(
            fenced("ini engine stunnel"), authority=("/etc/presence/engine-ca.pem", authority)))
        process = machine.run([STUNNEL, path], "stunnel")
        wait_until(lambda: process.poll() is None and "Configuration successful" in machine.said("stunnel"),
                   lambda: f"stunnel to listen: {machine.said('stunnel')}")

    def publish(self, authority):
        """Start a collector, and a publisher that reaches the engine by stunnel."""
        address = GROUP_A[0]
        self.start_text_collectors(address)
        self.start_stunnel(address, authority)
        engine = fenced("ini engine stunnel publisher").splitlines()[-1]
        self.start_publisher(address, engine=("engine = redis://10.0.0.41", engine))
        return self.machine(address)

    def assert_refused(self, machine, reason):
        wait_until(lambda: re.search(reason, machine.said("stunnel")), lambda: machine.said("stunnel"))
        wait_until(lambda: "cannot" in machine.said("publisher"), lambda: machine.said("publisher"))
        self.assertEqual(self.groups(), [])

    def test_stunnel(self):
        machine = self.publish(self.start_engine_for(ENGINE))
        wait_until(lambda: self.groups() == ["A", "3"],
                   lambda: machine.said("stunnel") + machine.said("publisher"))

    def test_another_authority(self):
        self.start_engine_for(ENGINE)
        stranger = os.path.join(self.directory, "stranger")
        os.mkdir(stranger)
        self.assert_refused(self.publish(Certificates(stranger).ca), "certificate verify failed")

    def test_another_address(self):
        self.assert_refused(self.publish(self.start_engine_for("10.0.0.42")), "certificate verify failed")


class Figures(unittest.TestCase):
    """The capacity on paper follows from figures that were measured, and from each other."""

    def test_they_were_measured(self):
        measured = read("docs/performance.md")
        self.assertRegex(measured, r"\| version 2, 10,000,000 visitors [^\n]* \| 3\.12 M/s \|[^\n]* 53\.8 bytes a heartbeat")
        self.assertRegex(measured, r"\| a segment for 65,000,000 visitors, filled \| 10\.7 bytes a word")
        self.assertRegex(measured, r"\| relay, groups of 3 and of 1 \|[^\n]* 1\.15 M/s")
        for figure in "3.12 M heartbeats", "10.7 bytes", "53.8 bytes", "1.15 M heartbeats":
            self.assertTrue(figure in " ".join(read("docs/engine.md").split()), figure)

    def rows(self, section):
        """The tables of a section: first cell to the numbers in the others."""
        text = read("docs/engine.md").partition(f"## {section}\n")[2].partition("\n## ")[0]
        rows = {}
        for line in re.findall(r"(?m)^\| (.*) \|$", text):
            name, *values = line.split(" | ")
            rows[name] = [number_of(value) for value in values]
        return rows

    def assert_near(self, shown, computed):
        for one, other in zip(shown, computed):
            self.assertAlmostEqual(one / other, 1, delta=0.05)

    def test_they_follow(self):
        rows = self.rows("Capacity on paper")
        visitors, shards = rows["visitors"], rows["shards"]
        beats = [number / 60 for number in visitors]
        self.assert_near(rows["heartbeats/s: V / 60"], beats)
        of_all = {"memory": [number * 4 * 10.7 for number in visitors],
                  "processors": [number / 1.56e6 for number in beats],
                  "network": [number * 53.8 * 8 for number in beats]}
        for name, values in of_all.items():
            row, = [values for title, values in rows.items() if title.startswith(f"{name}: ")]
            self.assert_near(row, values)
            each = [value / number for value, number in zip(values, shards)]
            self.assert_near(rows[f"each: {name}"], each)
            self.assertLessEqual(max(each), {"memory": 32e9, "processors": 8, "network": 5e9}[name])
        self.assert_near(rows["relays, all edges"], [number / 1.15e6 for number in beats])
        self.assert_near(rows["collectors, two groups"], [2 * number for number in shards])
        self.assertEqual(rows["shards of each group"], shards)
        fields = [2 * number * 100_000 for number in shards]
        self.assert_near(rows["fields a second"], fields)
        self.assert_near(rows["of the engine's thread"], [number * 0.36e-6 * 100 for number in fields])
        self.assert_near(rows["its memory: 94 bytes a field"], [number * 94 for number in fields])


def number_of(text):
    """1.08 M, 1,000 million, 2.8 GB, 0.47 Gbit/s, 7 %; None: no number."""
    found = re.fullmatch(r"([\d,.]+) ?(M\b|million|GB|MB|Gbit/s|%)?", text)
    factor = {"M": 1e6, "million": 1e6, "GB": 1e9, "MB": 1e6, "Gbit/s": 1e9}
    return found and float(found[1].replace(",", "")) * factor.get(found[2], 1)


if __name__ == "__main__":
    unittest.main()
