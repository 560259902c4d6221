"""presence-web in front of a collector with keys: what it signs, and with which key."""

import os
import signal
import unittest

from harness import native, visitor, wait_until
from sign import signed
from web import SITE, WebCase, new_id

KEYS = {number: os.urandom(16) for number in (7, 8, 9)}


def line(number):
    return f"{number} {KEYS[number].hex()}"


class Signing(WebCase):
    def start_keyed(self, *numbers):
        return self.start("--keys", self.secret("collector", *map(line, numbers)))

    def hang_up(self, web, words):
        """Send SIGHUP and wait until the log says that it was handled."""
        before = web.output().count(words)
        web.process.send_signal(signal.SIGHUP)
        wait_until(lambda: web.output().count(words) > before, words)

    def rejected(self):
        return self.stats()["datagrams_rejected_unauthenticated"]

    def test_counted(self):
        """Every kind of heartbeat is signed, also with a long room and a country."""
        web = self.serve("--key-file", self.secret("web", "# ours", "", " 7\t" + KEYS[7].hex() +
                                                   " # the first", line(9)),
                         collector=self.start_keyed(8, 7))
        people = [new_id() for _ in range(20)]
        for person in people:
            self.counted(web, {"site": SITE, "visitor": person, "room": "/r" * 100})
        web.touch({"site": SITE, "visitor": people[0], "kind": "pageview"})
        web.touch({"site": SITE, "visitor": people[1], "kind": "leave"})
        self.wait_count(web, 19)
        stats = self.wait_received(len(people) + 2)  # and more, where an answer was late
        self.assertEqual(stats["datagrams_accepted"], stats["datagrams_received"])

    def test_other_keys_are_rejected(self):
        """Without a key, with an unknown id or with another key, heartbeats are rejected."""
        collector = self.start_keyed(7)
        for arguments in ((), ("--key-file", self.secret("unknown", line(8))),
                          ("--key-file", self.secret("wrong", f"7 {KEYS[8].hex()}"))):
            with self.subTest(arguments=arguments):
                before = self.rejected()
                web = self.serve(*arguments, collector=collector)
                self.assertFalse(web.touch({"site": SITE, "visitor": "v"}).json["counted"])
                wait_until(lambda: self.rejected() > before, "the heartbeat to be rejected")
                self.assertEqual(web.stop(), 0)
        self.assertEqual(self.stats()["datagrams_accepted"], 0)

    def test_a_new_key(self):
        """The collector gets it first, then presence-web; no heartbeat is lost, a bad file changes
        nothing."""
        collector = self.start_keyed(7)
        web = self.serve("--key-file", self.secret("web", line(7)), collector=collector)
        self.counted(web, {"site": SITE, "visitor": "1"})
        self.secret("collector", line(7), line(8))
        collector.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded 2 keys" in collector.output(), "the collector's keys")
        self.secret("web", line(8))
        self.hang_up(web, "reloaded the key files")
        self.secret("collector", line(8))
        collector.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded 1 key" in collector.output(), "the collector's key")
        self.counted(web, {"site": SITE, "visitor": "2"})
        for text, words in (("8 short", "web:1: a line is ID HEX32"), ("# none", "web: has no key")):
            self.secret("web", text)
            self.hang_up(web, words)
            self.assertTrue(web.output().endswith("; the previous keys stay in use\n"))
        os.chmod(self.secret("web", line(9)), 0o644)
        self.hang_up(web, "chmod")
        self.counted(web, {"site": SITE, "visitor": "3"})
        self.assertEqual(self.rejected(), 0)
        self.assertEqual(self.live(web)["count"], 3)
        for key in KEYS.values():
            self.assertNotIn(key.hex()[:8], web.output())

    def test_the_collectors_own_file(self):
        """The collector's key file works for both, where one user runs both."""
        path = self.secret("collector", line(7), line(8))
        collector = self.start("--keys", path)
        web = self.serve("--key-file", path, collector=collector)
        self.counted(web, {"site": SITE, "visitor": "v"})
        self.send(collector, signed(native(SITE, [visitor(1)]), 8, KEYS[8]))
        self.wait_count(web, 2)
        self.assertEqual(self.rejected(), 0)


if __name__ == "__main__":
    unittest.main()
