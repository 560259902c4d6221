"""Authentication: what is forged, of another time or key, what is replayed, and new keys."""

import json
import os
import signal
import subprocess
import threading
import time
import unittest

from harness import (DEADLINE, PRESENCE_SEND, Case, native, native2, record, run_daemon, visitor,
                     wait_until)
from sign import signed, siphash

SITE = "keys.example"
KEYS = {7: bytes(range(16)), 8: bytes(range(100, 116)), 200: os.urandom(16)}
GOLDEN_SIGNED = bytes.fromhex(
    "50480101003701076955b90000010b00000000006578616d706c652e636f6d9b2d6f2e1c3a4f5b8d7e0a1b2c3d4e5f"
    "d4cb34e9109a969f")
GOLDEN_SIGNED_2 = bytes.fromhex(
    "50480201004807016955b900010203040506070800000002000100000b6578616d706c652e636f6d01010000000100"
    "009b2d6f2e1c3a4f5b8d7e0a1b2c3d4e5f2ac7e700bcaabd6e")


class Keys(Case):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, "keys")

    def write(self, *ids, mode=0o600, text=None):
        """Put a file of these keys in the old one's place, at once."""
        new = self.path + ".new"
        with open(new, "w") as file:
            file.write(text or "".join(f"{i} {KEYS[i].hex()}\n" for i in ids))
        os.chmod(new, mode)
        os.rename(new, self.path)

    def start_keyed(self, *arguments, **keywords):
        return self.start("--keys", self.path, *arguments, **keywords)

    def reload(self, collector, line):
        """SIGHUP; returns once the daemon has said so in one more line."""
        before = collector.output().count(line)
        collector.process.send_signal(signal.SIGHUP)
        wait_until(lambda: collector.output().count(line) > before, line)

    def check_reason(self, collector, datagram, reason):
        before = self.stats()
        self.send(collector, datagram() if callable(datagram) else datagram)
        after = self.wait_received(before["datagrams_received"] + 1)
        name = f"datagrams_rejected_{reason}" if reason else "datagrams_accepted"
        changed = {key for key, value in after.items()
                   if key.startswith("datagrams_") and value != before[key]}
        self.assertEqual(changed, {"datagrams_received", name})

    def test_presence_send(self):
        """Only what it signs with one of the keys is counted."""
        self.write(7, 8)
        collector = self.start_keyed()
        load = (PRESENCE_SEND, "--to", f"127.0.0.1:{collector.port}", "--site", SITE,
                "--visitors", "500", "--rate", "0", "--batch", "5")
        for key, accepted in ((None, 0), (f"7:{KEYS[8].hex()}", 0), (f"9:{KEYS[7].hex()}", 0),
                              (f"7:{KEYS[7].hex()}", 100), (f"8:{KEYS[8].hex()}", 100)):
            with self.subTest(key=key):
                before = self.stats()
                subprocess.run([*load, *(("--key", key) if key else ())], check=True,
                               stdout=subprocess.DEVNULL, timeout=DEADLINE)
                after = self.wait_received(before["datagrams_received"] + 100)
                self.assertEqual(after["datagrams_accepted"] - before["datagrams_accepted"],
                                 accepted)
                name = "datagrams_rejected_unauthenticated"
                self.assertEqual(after[name] - before[name], 100 - accepted)
        self.assertEqual(self.count(SITE), 500)

    def test_presence_send_with_a_key_file(self):
        """It signs with the first key; with a file it can't use it sends nothing."""
        self.write(8)
        collector = self.start_keyed()
        beat = (PRESENCE_SEND, "--to", f"127.0.0.1:{collector.port}", "--site", SITE, "--visitor", "v")
        mine = os.path.join(self.directory, "mine")

        def send(text, *arguments, mode=0o600):
            with open(mine, "w") as file:
                file.write(text)
            os.chmod(mine, mode)
            return subprocess.run([*beat, "--key-file", mine, *arguments], capture_output=True,
                                  text=True, timeout=DEADLINE)

        lines = {key: f"{key} {KEYS[key].hex()}\n" for key in KEYS}
        for text, name in ((f"# ours\n\n{lines[8]}{lines[7]}", "accepted"),
                           (f"\t8\t{KEYS[8].hex().upper()} # here\r\n", "accepted"),
                           (lines[7] + lines[8], "rejected_unauthenticated")):
            before = self.stats()
            done = send(text)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            after = self.wait_received(before["datagrams_received"] + 1)
            self.assertEqual(after[f"datagrams_{name}"], before[f"datagrams_{name}"] + 1, text)
        for text, mode, words in (("", 0o600, "mine: has no key"),
                                  (lines[8] + "7 short\n", 0o600, "mine:2: a line is ID HEX32"),
                                  (lines[8] + lines[8], 0o600, "mine:2: a second key with this id"),
                                  (lines[8], 0o644, "mine: its mode gives more than its owner needs"),
                                  (lines[8], 0o640, "mine: its mode gives more than its owner needs")):
            done = send(text, mode=mode)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1))
            self.assertRegex(done.stderr, f"^presence-send: cannot use the key file .*{words}")
            self.assertNotIn(KEYS[8].hex()[:8], done.stderr)
        for arguments in ("--text",), ("--key", f"8:{KEYS[8].hex()}"), ("--key-file", mine):
            self.assertEqual(send(lines[8], *arguments).returncode, 2)
        self.assertEqual(self.stats()["datagrams_received"], 3)
        load = (PRESENCE_SEND, *beat[1:5], "--room", "r", "--source", "s", "--event", "e", "--visitors", "400",
                "--rate", "0", "--batch", "200", "--key-file", mine)

        def datagrams():
            done = subprocess.run(load, capture_output=True, check=True, timeout=DEADLINE)
            return json.loads(done.stdout)["datagrams"]

        # A batch that takes longer than usual to fill is sent as it is.
        wait_until(lambda: datagrams() == 2, "a whole batch and its signature in each")

    def test_the_reference(self):
        self.assertEqual(siphash(KEYS[7], bytes(range(15))).hex(), "e545be4961ca29a1")
        self.assertEqual(siphash(KEYS[7], GOLDEN_SIGNED[:-8]), GOLDEN_SIGNED[-8:])
        beat = native2(record("example.com", [GOLDEN_SIGNED[31:47]]), stream=0x0102030405060708,
                       sequence=2)
        self.assertEqual(signed(beat, 7, KEYS[7], 1767225600), GOLDEN_SIGNED_2)

    def test_reasons(self):
        self.write(7, 8)
        for engine in ("io_uring", "recvmmsg"):
            with self.subTest(engine=engine):
                collector = self.start_keyed("--receive", engine, "--site", SITE)
                beat = native(SITE, [visitor(1)], room="/r")
                other = native("other", [visitor(1)])
                good = signed(beat, 7, KEYS[7])

                def later(seconds, datagram=beat):
                    """Signed as of so many seconds from when it is sent."""
                    return lambda: signed(datagram, 7, KEYS[7], int(time.time()) + seconds)

                for datagram, reason in (
                        (good, None),
                        (signed(beat, 8, KEYS[8]), None),
                        (beat, "unauthenticated"),
                        (b"PH1 site=keys.example visitor=1", "unauthenticated"),
                        (b"PH1 site=keys.example", "visitor"),
                        (b"hello", "malformed"),
                        (b"PH\3", "version"),
                        (good[:-1] + bytes([good[-1] ^ 1]), "unauthenticated"),
                        (good[:-8] + bytes(8), "unauthenticated"),
                        (good[:40] + b"x" + good[41:], "unauthenticated"),
                        (good[:9] + b"\0" + good[10:], "unauthenticated"),
                        (signed(beat, 7, KEYS[8]), "unauthenticated"),
                        (signed(beat, 9, KEYS[8]), "unauthenticated"),
                        (signed(beat, 200, KEYS[200]), "unauthenticated"),
                        (signed(beat, 200, KEYS[200], 0), "unauthenticated"),
                        (GOLDEN_SIGNED, "stale"),
                        (later(-33), "stale"),
                        (later(38), "stale"),  # a busy collector may be late
                        (signed(beat, 7, KEYS[7], 0), "stale"),
                        (signed(beat, 7, KEYS[7], 2**32 - 1), "stale"),
                        (later(-22), None),
                        (later(27), None),
                        (later(0, other), "site"),
                        (later(-99, other), "stale")):
                    self.check_reason(collector, datagram, reason)
                self.assertEqual(self.count(SITE), 1)
                self.assert_accounted(self.stats())
                collector.stop()

    def test_every_forgery(self):
        """One bit of a signed datagram is wrong: none of them is counted."""
        self.write(7)
        collector = self.start_keyed()
        good = signed(native(SITE, [visitor(1)]), 7, KEYS[7])
        forged = [good[:i // 8] + bytes([good[i // 8] ^ 1 << i % 8]) + good[i // 8 + 1:]
                  for i in range(8 * len(good))]
        self.send(collector, *forged)
        stats = self.wait_received(len(forged))
        self.assertEqual(stats["datagrams_accepted"], 0)
        self.assertEqual(stats["socket_drops"], 0)
        self.assertEqual(stats["datagrams_rejected_stale"], 0)  # a tag that fits is needed first
        self.assertEqual(self.ctl("count", SITE)[0], 4)

    def test_text_from_allowed_senders(self):
        self.write(7)
        collector = self.start_keyed("--allow", "127.0.0.0/8")
        self.check_reason(collector, b"PH1 site=keys.example visitor=1", None)
        self.check_reason(collector, native(SITE, [visitor(1)]), "unauthenticated")
        self.check_reason(collector, signed(native(SITE, [visitor(1)]), 7, KEYS[7]), None)
        collector.stop()
        collector = self.start_keyed("--allow", "192.0.2.0/24")
        self.check_reason(collector, b"PH1 site=keys.example visitor=1", "sender")
        self.check_reason(collector, signed(native(SITE, [visitor(1)]), 7, KEYS[7]), "sender")

    def test_a_replay_changes_nothing(self):
        """But what the original could: within 30 s it is one heartbeat more of the same visitor."""
        self.write(7)
        collector = self.start_keyed()
        datagram = signed(native(SITE, [visitor(1), visitor(2)], room="/r"), 7, KEYS[7])
        for _ in range(50):
            self.send(collector, datagram)
        self.wait_received(50)
        self.assertEqual(self.count(SITE), 2)
        self.assertEqual(self.count(SITE, "/r"), 2)
        stats = self.stats()
        self.assertEqual((stats["heartbeats_new"], stats["heartbeats_refreshed"]), (2, 98))

    def test_a_late_replay_is_stale(self):
        """The very bytes that were counted are not, once they are over 30 s old."""
        self.write(7)
        collector = self.start_keyed()

        def counted():
            """One of a while ago; on a busy machine it may be too old when it arrives."""
            signed_at = int(time.time()) - 26
            datagram = signed(native(SITE, [visitor(1)]), 7, KEYS[7], signed_at)
            before = self.stats()
            self.send(collector, datagram)
            after = self.wait_received(before["datagrams_received"] + 1)
            return after["datagrams_accepted"] and (datagram, signed_at)

        datagram, signed_at = wait_until(counted, "one to be counted")
        wait_until(lambda: time.time() >= signed_at + 31.1, "the datagram to grow old")
        for _ in range(3):
            self.check_reason(collector, datagram, "stale")
        stats = self.stats()
        self.assertEqual((stats["heartbeats_new"], stats["heartbeats_refreshed"]), (1, 0))

    def test_without_keys_tags_are_not_looked_at(self):
        collector = self.start()
        self.check_reason(collector, GOLDEN_SIGNED, None)
        self.check_reason(collector, GOLDEN_SIGNED[:-1] + b"\0", None)

    def test_a_rate_is_judged_before_signatures(self):
        """A forged sender is not counted but uses up the real one's rate (docs/deploying.md)."""
        self.write(7)
        collector = self.start_keyed("--sender-rate", "20")
        good = [signed(native(SITE, [visitor(i)]), 7, KEYS[7]) for i in range(20)]
        begin = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.send(collector, *[native(SITE, [visitor(99)])] * 300, *good)
        stats = self.wait_received(320)
        seconds = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - int(begin) + 1
        self.assertEqual(stats["datagrams_rejected_unauthenticated"] + stats["datagrams_accepted"] +
                         stats["sender_rate_exceeded"], 320)
        self.assertGreaterEqual(stats["datagrams_rejected_unauthenticated"], 20)
        self.assertGreaterEqual(stats["sender_rate_exceeded"], 320 - 20 * seconds)
        if seconds == 1:
            self.assertEqual(stats["datagrams_accepted"], 0)

    def test_rotation_loses_nothing(self):
        """Both keys for a while, under load, again and again: every datagram counts."""
        self.write(7)
        collector = self.start_keyed("--workers", "2", "--max-entries", "100000", small=False)
        current, done, sent = [7], threading.Event(), [0]

        def send():
            while not done.is_set():
                sent[0] += 1
                key = current[0]
                self.send(collector, signed(native(SITE, [visitor(sent[0])]), key, KEYS[key]))
                time.sleep(0.0005)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            for old, new in ((7, 8), (8, 200), (200, 7)) * 3:
                self.write(old, new)
                self.reload(collector, "reloaded 2 keys")
                current[0] = new
                count = sent[0] + 2  # the one that was being signed is out
                wait_until(lambda: sent[0] > count, "more heartbeats")
                self.wait_received(count)
                self.write(new)
                self.reload(collector, "reloaded 1 key")
        finally:
            done.set()
            sender.join()
        stats = self.wait_received(sent[0])
        self.assertEqual(stats["datagrams_accepted"], sent[0])
        self.assertEqual(self.count(SITE), sent[0])
        self.check_reason(collector, signed(native(SITE, [visitor(1)]), 8, KEYS[8]),
                          "unauthenticated")

    def test_a_bad_file_changes_nothing(self):
        self.write(7)
        collector = self.start_keyed()

        def beat():
            return signed(native(SITE, [visitor(1)]), 7, KEYS[7])

        for text, mode, words in (("7 short\n", 0o600, ":1: a line is ID HEX32"),
                                  (f"8 {KEYS[8].hex()}\n", 0o640, ": its mode gives more"),
                                  ("# none\n", 0o600, ": has no key")):
            self.write(text=text, mode=mode)
            self.reload(collector, f"cannot use the keys: {self.path}{words}")
            self.assertTrue(collector.output().endswith("; the 1 previous key stays in use\n"))
            self.check_reason(collector, beat, None)
            status = self.json("status")
            self.assertEqual(status["keys"], 1)
            self.assertIn(f"{self.path}{words}"[-90:], status["keys_refused"])
            self.assertRegex(self.ctl("status")[1], r"keys +1 previous; new ones were refused: .*" + words)
        os.unlink(self.path)
        self.reload(collector, f"cannot use the keys: {self.path}: No such file")
        self.check_reason(collector, beat, None)
        if os.geteuid() == 0:  # confined, it can't look up users, and can read what it owns alone
            self.write(8)
            os.chown(self.path, 65534, 65534)
            self.reload(collector, f"cannot use the keys: {self.path}: permission denied: only uid "
                        "65534 may read it; run as uid 65534")
            self.check_reason(collector, beat, None)
            os.unlink(self.path)
        self.write(7, 8)
        self.reload(collector, "reloaded 2 keys")
        status = self.json("status")
        self.assertEqual((status["keys"], status["keys_refused"]), (2, None))
        self.assertRegex(self.ctl("status")[1], r"keys +2\n")
        self.assertNotIn(KEYS[8].hex()[:8], collector.output())

    def test_a_path_of_any_bytes(self):
        """It may be no UTF-8, and is cut; status says all it says otherwise."""
        for number, name in enumerate(("é\udcff" * 30, "é" * 70, "x" + "é" * 70)):
            self.segment = os.path.join(self.directory, f"é\udcffsegment{number}")
            self.path = os.path.join(self.directory, name)
            self.write(7)
            collector = self.start_keyed()
            self.write(text="# none\n")
            self.reload(collector, "has no key")
            status = self.json("status")
            self.assertRegex(status["keys_refused"], r"^\.\.\..*\?: has no key$")
            self.assertTrue(status["segment"].endswith(rf"/\xc3\xa9\xffsegment{number}"))

    def test_refused_at_the_start(self):
        arguments = ("--segment", self.segment, "--listen", "127.0.0.1:0", "--keys", self.path)
        self.assert_refused(run_daemon(*arguments), 1, "No such file")
        self.write(7, mode=0o644)
        self.assert_refused(run_daemon(*arguments), 1, "its mode gives more than its owner needs: chmod 600")
        self.write(text="7 00\n")
        self.assert_refused(run_daemon(*arguments), 1, "keys:1: ")
        self.assertFalse(os.path.exists(self.segment))

    def test_sighup_without_keys(self):
        """After a start with keys: heartbeats need no signature any more."""
        self.write(7)
        self.assertEqual(self.start_keyed().stop(), 0)
        collector = self.start()
        collector.process.send_signal(signal.SIGHUP)
        self.check_reason(collector, native(SITE, [visitor(1)]), None)
        self.assertEqual(self.json("status")["keys"], 0)
        self.assertRegex(self.ctl("status")[1], "keys +none: heartbeats need no signature\n")
        self.assertEqual(collector.stop(), 0)


if __name__ == "__main__":
    unittest.main()
