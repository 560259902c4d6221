"""Whatever arrives at the socket is counted under its reason and harms nothing; whatever stands
where a segment should be is refused in one line.

What becomes of a datagram is written down in bad_datagrams.py.
"""

import os
import random
import struct
import subprocess
import unittest

from bad_datagrams import (
    BOTH, LABELS, NATIVE2_ACCEPTED, NATIVE2_MALFORMED, NATIVE_ACCEPTED, NATIVE_MALFORMED,
    NATIVE_VISITOR, TEXT, TEXT_ACCEPTED, TEXT_MALFORMED, TEXT_MALFORMED_BYTES, TEXT_VISITOR, UUID,
    VERSION, patched, raw_native, reason,
)
from harness import DEADLINE, ENGINES, GOLDEN, PRESENCECTL, Case, native, visitor

SEED = int(os.environ.get("TEST_SEED", random.SystemRandom().randrange(1 << 32)))
SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"  # then a program takes long to start
SEGMENT_ABI = 5


class Datagrams(Case):
    """Each test runs with both engines."""

    def setUp(self):
        super().setUp()
        self.collector = None

    def begin(self, engine, *arguments):
        if self.collector:
            self.assertEqual(self.collector.stop(), 0)
            os.unlink(self.segment)
        self.collector = self.start("--receive", engine, "--events", "0", *arguments)
        self.send(self.collector, GOLDEN)
        self.counters = self.wait_received(1)

    def changes(self, datagrams):
        """Send them; what that has changed of all counters, but those of the receiving itself."""
        before = self.counters
        self.send(self.collector, *datagrams)
        self.counters = after = self.wait_received(before["datagrams_received"] + len(datagrams))
        self.assertIsNone(self.collector.process.poll(), self.collector.output())
        return {name: after[name] - before[name] for name in after
                if after[name] != before[name] and not name.startswith("receive_")}

    def assert_rejected(self, why, datagrams):
        """All are counted under this reason, and nothing else has changed."""
        datagrams = [data.encode() if isinstance(data, str) else data for data in datagrams]
        before = self.json("sites")["sites"], self.count("example.com", "/pricing")
        wanted = {"datagrams_received": len(datagrams), f"datagrams_rejected_{why}": len(datagrams)}
        if self.changes(datagrams) != wanted:
            for data in datagrams:
                self.assertEqual(
                    self.changes([data]),
                    {"datagrams_received": 1, f"datagrams_rejected_{why}": 1}, data)
        sites = self.json("sites")["sites"]
        for site in before[0] + sites:
            del site["last_heartbeat_s"]
        self.assertEqual((sites, self.count("example.com", "/pricing")), before)

    def assert_accepted(self, datagrams, **counters):
        """Each is a heartbeat of somebody who is there already."""
        datagrams = [data.encode() if isinstance(data, str) else data for data in datagrams]
        for data in datagrams:
            changes = self.changes([data])
            for name in ("scopes_created", "custom_events", "pageviews", "heartbeats_new",
                         "heartbeats_refreshed"):
                changes.pop(name, None)
            wanted = {"datagrams_received": 1, "datagrams_accepted": 1, **counters}
            self.assertEqual(changes, wanted, data)

    def test_native(self):
        for engine in ENGINES:
            with self.subTest(engine=engine):
                self.begin(engine)
                self.assert_rejected("malformed", NATIVE_MALFORMED)
                self.assert_rejected("visitor", NATIVE_VISITOR)
                self.assert_rejected("version", VERSION)
                self.assert_accepted(NATIVE_ACCEPTED)
                self.assert_rejected("malformed", NATIVE2_MALFORMED)
                self.assert_accepted(NATIVE2_ACCEPTED)
                self.assertEqual(self.ctl("verify")[0], 0)

    def test_text(self):
        for engine in ENGINES:
            with self.subTest(engine=engine):
                self.begin(engine)
                self.assert_rejected("malformed", TEXT_MALFORMED)
                self.assert_rejected("malformed", TEXT_MALFORMED_BYTES)
                self.assert_rejected("visitor", TEXT_VISITOR)
                self.assert_accepted(TEXT_ACCEPTED)
                for words, invalid, too_long in LABELS:
                    wanted = {"label_invalid": invalid, "room_too_long": too_long}
                    wanted = {name: number for name, number in wanted.items() if number}
                    self.assert_accepted([TEXT.encode() + b" " + words], **wanted)
                self.assertEqual(self.count("a.example"), 1)
                self.assertEqual(self.json("top", "a.example", "--by", "country")["countries"][0]
                                 ["country"], "DE")
                self.assertEqual(self.ctl("verify")[0], 0)

    def test_text_cut_short(self):
        """HAProxy cuts lines silently. Cut in a name or id, it is another name or id."""
        text = b"PH1 site=cut.example visitor=someone room=/pricing country=DE"
        self.begin("recvmmsg")
        expected = {"malformed": [], "visitor": [], "accepted": []}
        for length in range(1, len(text) + 1):
            words = dict(word.partition(b"=")[::2] for word in text[4:length].split())
            whole_words = all(b"=" in word for word in text[4:length].split())
            if length < 5 or not whole_words or not words.get(b"site"):
                why = "malformed"
            else:
                why = "accepted" if words.get(b"visitor") else "visitor"
            expected[why].append(text[:length])
        for why in "malformed", "visitor":
            self.assert_rejected(why, expected[why])
        changes = self.changes(expected["accepted"])
        # So many ids begin "someone", and "country=D" is no country.
        self.assertEqual(changes["heartbeats_new"], len("someone"))
        self.assertEqual(changes["label_invalid"], 1)
        self.assertEqual(self.count("cut.example"), len("someone"))

    def test_flipped_bits_and_random_bytes(self):
        """Every bit of two datagrams, and random damage, against the rules written anew."""
        generator = random.Random(SEED)
        datagrams = [patched(bit // 8, bytes([good[bit // 8] ^ 1 << bit % 8]), good)
                     for good in (GOLDEN, BOTH) for bit in range(len(good) * 8)]
        for number in range(3000):
            data = bytearray(generator.choice((GOLDEN, native("b.example", [visitor(1)]), BOTH, BOTH,
                                               raw_native(kind=4, event=b"buy", country=b"FR"))))
            for _ in range(generator.randrange(4)):
                data[generator.randrange(len(data))] = generator.choice(
                    (0, 1, 2, 0x40, 0x7f, 0x80, 0xff, generator.randrange(256)))
            if generator.random() < 0.3:
                del data[generator.randrange(len(data)):]
            if generator.random() < 0.3:
                data += generator.randbytes(generator.choice((1, 8, 16, 100)))
            if generator.random() < 0.7 and len(data) >= 6:
                data[4:6] = len(data).to_bytes(2, "big")
            if len(data) >= 28 and data[2] == 2 and any(data[12:20]):
                data[12:20] = b"\xff" + number.to_bytes(7, "big")  # or it may be a duplicate
            datagrams.append(bytes(data))
        wanted = {"datagrams_received": len(datagrams), "datagrams_accepted": 0}
        for data in datagrams:
            why = reason(data)
            name = f"datagrams_rejected_{why}" if why else "datagrams_accepted"
            wanted[name] = wanted.get(name, 0) + 1
        for engine in ENGINES:
            with self.subTest(engine=engine, TEST_SEED=SEED):
                self.begin(engine, "--max-scopes", "4096")
                changes = self.changes(datagrams)
                self.assertEqual({name: number for name, number in changes.items()
                                  if name.startswith("datagrams_")}, wanted)
                self.assertEqual(self.ctl("verify")[0], 0)

    def test_the_largest_datagrams(self):
        """65,507 bytes: all that UDP over IPv4 carries."""
        longest = 65507
        full = native("large.example", [visitor(i) for i in range(4092)], room="/x")
        self.assertEqual(len(full), longest)
        head = b"PH1 site=large.example visitor=1 "

        def filled(data):
            return data + b"x" * (longest - len(data))

        for engine in ENGINES:
            with self.subTest(engine=engine):
                self.begin(engine)
                self.assertEqual(self.changes([full]), {
                    "datagrams_received": 1, "datagrams_accepted": 1, "heartbeats_new": 4092,
                    "scopes_created": 2})
                self.assertEqual(self.count("large.example", "/x"), 4092)
                self.assert_rejected("malformed", [
                    patched(4, b"\xff\xff", full), patched(12, b"\xff\xff", full), full[:-1],
                    bytes(longest), filled(head), filled(b"PH1 site="), filled(head + b"kind="),
                    filled(head + b'kind="'), filled(head + b"event=")])
                self.assert_rejected("version", [filled(b"PH")])
                self.assert_rejected("visitor", [filled(b"PH1 site=large.example visitor=")])
                self.assert_accepted([filled(head + b"unknown=")])
                self.assert_accepted([filled(head + b"room=/")], room_too_long=1)
                self.assert_accepted([filled(head + b"source="), filled(head + b"country="),
                                      filled(head + b'room="')], label_invalid=1)
                self.assertEqual(self.count("large.example"), 4093)

    def test_empty_datagrams_among_valid_ones(self):
        """They end a multishot receive, which must not lose what comes next."""
        for engine in ENGINES:
            for workers in "1", "2":
                with self.subTest(engine=engine, workers=workers):
                    self.begin(engine, "--workers", workers)
                    datagrams = []
                    for number in range(1000):
                        datagrams += [b""] * (number % 3) + [native("a.example", [visitor(number)])]
                    changes = self.changes(datagrams)
                    self.assertEqual(changes["datagrams_rejected_malformed"], len(datagrams) - 1000)
                    self.assertEqual(changes["heartbeats_new"], 1000)
                    self.assertEqual(self.count("a.example"), 1000)


class Segments(Case):
    """What presencectl says to a file that is no segment it can read."""

    COMMANDS = (("count", "example.com"), ("count", "example.com", "/pricing"),
                ("top", "example.com"), ("sites",), ("seen", "example.com", UUID), ("stats",),
                ("status",), ("verify",), ("count", "example.com", "--json"), ("sites", "--json"))

    def setUp(self):
        super().setUp()
        collector = self.start("--max-entries", "100", "--max-scopes", "8",
                               "--max-histories", "4", "--events", "64", small=False)
        self.send(collector, GOLDEN)
        self.wait_received(1)
        self.assertEqual(collector.stop(), 0)
        with open(self.segment, "rb") as file:
            self.good = file.read()
        self.bad = os.path.join(self.directory, "bad")

    def write(self, data):
        with open(self.bad, "wb") as file:
            file.write(data)

    def patch(self, offset, kind, value):
        """The good segment with one field of its header changed."""
        data = bytearray(self.good)
        struct.pack_into("=" + kind, data, offset, value)
        return bytes(data)

    def assert_refused(self, *patterns, commands=COMMANDS):
        for command in commands:
            status, out, err = self.ctl(*command, segment=self.bad)
            self.assertEqual((status, out), (1, ""), (command, err))
            self.assertEqual(err.count("\n"), 1, err)
            for pattern in (r"^presencectl: ", self.bad, *patterns):
                self.assertRegex(err, pattern)

    def test_the_good_one(self):
        self.write(self.good)
        self.assertEqual(self.ctl("count", "example.com", segment=self.bad)[:2], (3, "2\n"))
        self.write(self.patch(10, "H", 7))  # a higher minor version only adds
        self.assertEqual(self.ctl("count", "example.com", segment=self.bad)[:2], (3, "2\n"))

    def test_no_file(self):
        self.assert_refused("start presenced")

    def test_no_regular_file(self):
        os.mkdir(self.bad)
        self.assert_refused()
        os.rmdir(self.bad)
        os.mkfifo(self.bad)
        self.assert_refused()
        os.unlink(self.bad)
        os.symlink("/dev/zero", self.bad)
        self.assert_refused()

    def test_truncated(self):
        size = len(self.good)
        for length in (0, 1, 7, 8, 9, 100, 319, 320, 591, 592, 593, 4095, 4096, size // 2,
                       size - 4096, size - 1):
            with self.subTest(length=length):
                self.write(self.good[:length])
                self.assert_refused(commands=self.COMMANDS[:1])
        self.assert_refused()

    def test_foreign(self):
        generator = random.Random(SEED)
        for data in (b"# a text file\n" * 1000, bytes(len(self.good)), b"\xff" * len(self.good),
                     b"\x7fELF" + self.good[4:], generator.randbytes(len(self.good))):
            with self.subTest(data=data[:8], TEST_SEED=SEED):
                self.write(data)
                self.assert_refused(commands=self.COMMANDS[:1])
        self.assert_refused()

    def test_other_versions(self):
        self.write(self.patch(8, "H", SEGMENT_ABI + 1))
        self.assert_refused("newer")
        self.write(self.patch(8, "H", 0xffff))
        self.assert_refused("newer", commands=self.COMMANDS[:1])
        self.write(self.patch(8, "H", 0))
        self.assert_refused()

    def test_another_boot(self):
        self.write(self.patch(24, "B", self.good[24] ^ 1))
        self.assert_refused("boot")

    def test_sizes_that_do_not_add_up(self):
        """Every word of the sizes and the geometry, by a little and by a lot."""
        generator = random.Random(SEED)
        # What still makes the same layout is no damage: about as many visitors, another window.
        harmless = {(88, 99), (88, 101), (112, (4 << 32) + 3599)}
        for offset, kind in [(12, "I"), (16, "Q"), *((at, "Q") for at in range(88, 320, 8))]:
            good = struct.unpack_from("=" + kind, self.good, offset)[0]
            limit = 1 << 8 * struct.calcsize(kind)
            values = {0, 1, good + 1, (good - 1) % limit, good + 4096, good * 2, limit - 1,
                      limit // 2, limit - 4096} - {good}
            if SANITIZED:
                values = set(generator.sample(sorted(values), 3))
            for value in values:
                if (offset, value) not in harmless:
                    with self.subTest(offset=offset, value=value, TEST_SEED=SEED):
                        self.write(self.patch(offset, kind, value % limit))
                        self.assert_refused(commands=self.COMMANDS[:1])

    def test_damaged_contents(self):
        """Random damage behind a header that is right: any answer, but an answer."""
        generator = random.Random(SEED)
        for number in range(20 if SANITIZED else 40):
            data = bytearray(self.good)
            for _ in range(generator.choice((10, 1000, 20000))):
                data[generator.randrange(320 if number % 4 else 4096, len(data))] = (
                    generator.choice((0, 1, 0xff, generator.randrange(256))))
            self.write(data)
            command = self.COMMANDS[number % len(self.COMMANDS)]
            with self.subTest(command=command, number=number, TEST_SEED=SEED):
                done = subprocess.run([PRESENCECTL, *command, "--segment", self.bad],
                                      capture_output=True, timeout=DEADLINE)
                self.assertIn(done.returncode, (0, 1, 3, 4), done.stderr)
                shown = (done.stdout + done.stderr).decode()
                self.assertNotRegex(shown, r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_the_daemon_survives_damaged_contents(self):
        """It goes on with such a segment, right or wrong, and ends in good order."""
        generator = random.Random(SEED)
        self.unaccountable.add(self.segment)  # counters are damaged, too
        for number in range(4 if SANITIZED else 8):
            data = bytearray(self.good)
            for _ in range(generator.choice((10, 1000, 20000))):
                data[generator.randrange(4096, len(data))] = generator.choice(
                    (0, 1, 0xff, generator.randrange(256)))
            os.unlink(self.segment)
            with open(self.segment, "wb") as file:
                file.write(data)
            with self.subTest(number=number, TEST_SEED=SEED):
                collector = self.start("--max-entries", "100", "--max-scopes", "8", small=False)
                self.send(collector, GOLDEN, raw_native(kind=2),
                          raw_native(room=b"/x", visitors=20))
                for command in self.COMMANDS[:7]:
                    self.assertIn(self.ctl(*command)[0], (0, 1, 3, 4))
                self.assertEqual(collector.stop(), 0)

    def test_the_daemon_replaces_what_it_cannot_use(self):
        another_boot = self.patch(24, "B", self.good[24] ^ 1)
        for data in (self.patch(8, "H", 2), self.patch(8, "H", 0), another_boot, self.good[:4096],
                     self.good[:400], self.patch(104, "I", 9), b""):
            with self.subTest(size=len(data)):
                with open(self.segment, "wb") as file:
                    file.write(data)
                collector = self.start("--max-entries", "100", "--max-scopes", "8", small=False)
                self.assertIn("replaced", collector.output())
                self.assertEqual(self.ctl("count", "example.com")[0], 4)
                self.send(collector, GOLDEN)
                self.wait_received(1)
                self.assertEqual(self.count("example.com"), 2)
                self.assertEqual(collector.stop(), 0)


if __name__ == "__main__":
    unittest.main()
