"""README.md and docs/: each code block is run by a test, each link leads somewhere, and the commands
and datagrams that no other test runs do what the text says."""

import glob
import os
import re
import subprocess
import unittest

from documents import PAGES, TOP, blocks, build_packages, fenced, prose, read, substitute
from engine import RedisServer
from harness import BUILD, DEADLINE, Case, native, program, wait_until
from written_shards import WrittenShards
from xxh3 import identity_of, shard_of

PROGRAMS = ("daemon/presenced", "tools/presencectl/presencectl", "tools/presence-send/presence-send",
            "tools/presence-web/presence-web", "tools/presence-exporter/presence-exporter",
            "tools/presence-recorder/presence-recorder", "tools/presence-relay/presence-relay",
            "tools/presence-publisher/presence-publisher")


class Pages(unittest.TestCase):
    def test_each_block_is_run(self):
        claimed = set()
        for path in glob.glob(os.path.join(TOP, "tests/e2e/*.py")):
            with open(path, encoding="utf-8") as file:
                claimed.update(re.findall(r'\bfenced\("([^"]+)"\)', file.read()))
        names = [name for _, name, _ in blocks() if name != "text"]
        self.assertEqual(sorted(names), sorted(set(names)), "two blocks have one name")
        for page, name, text in blocks():
            with self.subTest(page=page, name=name):
                self.assertTrue(name, f"a block without a name: {text}")
                self.assertIn(name, claimed | {"text"}, "no test calls fenced() with it")

    def test_no_block_hides(self):
        """Indented code has no name, and a block within a list is not found."""
        for page in PAGES:
            with self.subTest(page=page):
                self.assertNotRegex(prose(page), r"(?m)^ *(```|~~~)|\n\n( {4}|\t)\S")

    def test_links(self):
        """To files of the tree and to headings, as GitHub names them."""
        anchors = {page: [re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-")
                          for title in re.findall(r"^#+ (.*)$", prose(page), re.M)]
                   for page in PAGES}
        for page in PAGES:
            for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page)):
                file, _, anchor = link.partition("#")
                target = os.path.normpath(os.path.join(os.path.dirname(page), file)) if file else page
                with self.subTest(page=page, link=link):
                    self.assertTrue(os.path.exists(os.path.join(TOP, target)))
                    if anchor:
                        self.assertIn(anchor, anchors[target])


class Install(Case):
    """The commands of README.md and docs/deploying.md that install presence; those that change the system
    are only noted."""

    def note(self, block):
        """Run a block, and return the commands that would have changed the system."""
        noted = os.path.join(self.directory, "noted")
        for name in ("apt-get", "dpkg-buildpackage", "meson", "ninja", "ldconfig", "systemctl",
                     "systemd-sysusers"):
            path = os.path.join(self.directory, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755), "w") as file:
                file.write(f'#!/bin/sh\necho "${{0##*/}} $*" >> {noted}\n')
        subprocess.run(["bash", "-euc", block], check=True, timeout=DEADLINE, cwd=TOP,
                       env={**os.environ, "PATH": f"{self.directory}:{os.environ['PATH']}"})
        with open(noted) as file:
            return file.read().splitlines()

    def test_without_packages(self):
        packages, *commands = self.note(fenced("sh install"))
        self.assertEqual(packages.split(), ["apt-get", "install", *build_packages()])
        self.assertEqual(commands, ["meson setup --prefix=/usr build/package",
                                    "ninja -C build/package install", "ldconfig ",
                                    "systemd-sysusers ", "systemctl daemon-reload",
                                    "systemctl enable presenced", "systemctl restart presenced",
                                    "systemctl try-restart presence-exporter presence-publisher "
                                    "presence-relay presence-web presence-recorder"])

    def test_packages(self):
        """tests/packages runs them in earnest."""
        self.assertEqual(self.note(fenced("sh package")),
                         ["apt-get build-dep ./", "dpkg-buildpackage -b -us -uc",
                          "apt-get install ../presence_*.deb"])


class Names(unittest.TestCase):
    """Options and counters that README.md and docs/ mention exist."""

    # Of meson, systemctl, docker, logger, pkg-config and tests/bench/run; a property of the badge's style.
    OTHERS = {"--prefix", "--sysconfdir", "--create", "--now", "--network", "--shm-size",
              "--security-opt", "--udp", "--server", "--port", "--size", "--tag", "--libs", "--svg",
              "--markdown", "--only", "--quick", "--presence-color"}

    def mentioned(self, pattern):
        return {name for page in PAGES if page.startswith(("README", "docs/"))
                for name in re.findall(pattern, read(page))}

    def test_options(self):
        known = set(self.OTHERS)
        for name in PROGRAMS:
            known.update(re.findall(r"--[a-z.-]+", subprocess.run(
                [os.path.join(BUILD, name), "--help"], capture_output=True, text=True, check=True,
                timeout=DEADLINE).stdout))
        self.assertEqual(self.mentioned(r"--[a-z][a-z.-]*[a-z]") - known, set())

    def test_counters(self):
        with open(os.path.join(TOP, "include/core/counters.def")) as file:
            known = set(re.findall(r"^X\((\w+)", file.read(), re.M))
        known.add("custom_event")  # a type of event in presence-web's API
        named = self.mentioned(
            r"`((?:datagrams|heartbeats|sender|label|site|xdp|socket|events|custom|table|scopes)_\w+)`")
        named -= set(re.findall(r"`(\w+)`", read("docs/memory-orders.md")))  # functions, no counters
        self.assertGreater(len(named), 10)
        self.assertEqual({name for name in named if not name.endswith("_")} - known, set())


@unittest.skipIf(os.geteuid(), "needs root, for ports and interfaces of its own")
class Commands(Case):
    """The shell blocks, with the programs of the build and a directory for /etc/presence."""

    def setUp(self):
        super().setUp()
        path = os.path.join(self.directory, "bin")
        os.mkdir(path)
        for name in PROGRAMS:
            os.symlink(os.path.abspath(os.path.join(BUILD, name)),
                       os.path.join(path, os.path.basename(name)))
        self.environment = {**os.environ, "PRESENCE_SEGMENT": self.segment,
                            "PATH": f"{path}:{os.environ['PATH']}"}

    def run_shell(self, text):
        done = subprocess.run(
            ["bash", "-euc", text], cwd=self.directory, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def start_shell(self, text):
        """A block that runs until it is ended."""
        shell = program(["bash", "-euc", f"exec {text}"], cwd=self.directory, env=self.environment)
        self.enterContext(shell)

    def make_keys(self):
        """The key file of the text; the last command of the block, which sends with it, is left."""
        self.keys = os.path.join(self.directory, "keys")
        block = substitute(fenced("sh keys"), mode=("-m 640 -g presence", "-m 600"))  # see test_units
        *make, send = block.replace("/etc/presence/keys", self.keys).splitlines()
        self.run_shell("\n".join(make))
        return send

    def test_senders(self):
        self.start(listen=None)
        with open(os.path.join(self.directory, "ids"), "w") as file:
            file.write("one\ntwo\n")
        self.run_shell(fenced("sh senders"))
        wait_until(lambda: (stats := self.stats())["heartbeats_refreshed"] == 1 and
                   stats["heartbeats_new"] == 3, "all four")
        self.assertEqual(self.count("example.com"), 3)
        self.assertEqual(self.count("example.com", "/pricing"), 1)

    def test_keys(self):
        send = self.make_keys()
        self.start("--keys", self.keys, listen=None)
        self.run_shell("presence-send --site example.com --visitor unsigned")
        self.run_shell(send)
        self.wait_received(2)
        self.assertEqual(self.count("example.com"), 1)

    def test_strangers(self):
        self.make_keys()
        subprocess.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "eth1"], check=True)
        self.addCleanup(subprocess.run, ["ip", "link", "delete", "eth0"], check=True)
        for command in ("address add 192.0.2.10/24 dev eth0", "link set eth0 up", "link set eth1 up"):
            subprocess.run(["ip", *command.split()], check=True)
        self.start_shell(substitute(fenced("sh strangers"), keys=("/etc/presence/keys", self.keys)))
        wait_until(lambda: self.ctl("status")[0] == 0, "the collector to listen")
        self.assertEqual(self.json("status")["filter_interface"], "eth0")

    def test_presence_web(self):
        self.start_shell(fenced("sh presence-web"))
        wait_until(lambda: subprocess.run(
            ["curl", "-fsS", "http://127.0.0.1:8474/-/healthy"], capture_output=True,
            check=False).returncode == 0, "presence-web to answer")

    def test_presence_web_totals(self):
        engine = RedisServer(self.directory)
        self.addCleanup(engine.ensure_ended)
        shards = WrittenShards(engine)
        self.addCleanup(shards.close)
        shards.write("A", 1, 1, {300: {"example.com": {"": 1}}})
        self.start_shell(substitute(fenced("sh presence-web-totals"),
                                    engine=("redis://redis.example", engine.url)))
        wait_until(lambda: subprocess.run(
            ["curl", "-fsS", "http://127.0.0.1:8474/-/ready"], capture_output=True,
            check=False).returncode == 0, "presence-web to read totals")


class Datagrams(Case):
    def test_native(self):
        collector = self.start()
        self.send(collector, bytes.fromhex(fenced("hex one visitor")))
        self.wait_received(1)
        self.assertEqual(self.count("example.com"), 1)
        self.send(collector, bytes.fromhex(fenced("hex two visitors")))
        self.wait_received(2)
        self.assertEqual(self.count("example.com"), 2)
        self.assertEqual(self.count("example.com", "/pricing"), 2)
        self.assertEqual(self.count("example.com", "--country", "DE"), 2)
        self.assertEqual(self.count("example.com", "--source", "news.example"), 2)

    def test_version_2(self):
        collector = self.start()
        self.send(collector, bytes.fromhex(fenced("hex two records")))
        self.wait_received(1)
        self.assertEqual(self.count("example.com"), 2)
        self.assertEqual(self.count("example.com", "/pricing"), 2)
        self.assertEqual(self.count("example.com", "/"), 1)
        self.assertEqual(self.count("example.com", "--country", "DE"), 2)
        self.assertEqual(self.count("example.com", "--source", "news.example"), 2)
        self.send(collector, bytes.fromhex(fenced("hex no record")),
                  bytes.fromhex(fenced("hex two records")))
        wait_until(lambda: self.stats()["datagrams_rejected_duplicate"] == 1, "the copy to arrive")
        stats = self.stats()
        self.assertEqual((stats["datagrams_received"], stats["datagrams_accepted"]), (3, 2))
        # Number 2 is missing.
        self.assertEqual((stats["streams_expected"], stats["streams_received"]), (3, 2))

    def test_signed(self):
        """The tags are right: they are rejected for their time alone."""
        keys = os.path.join(self.directory, "keys")
        with open(os.open(keys, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("7 000102030405060708090a0b0c0d0e0f\n")
        collector = self.start("--keys", keys)
        self.send(collector, bytes.fromhex(fenced("hex signed")),
                  bytes.fromhex(fenced("hex signed record")))
        self.assertEqual(self.wait_received(2)["datagrams_rejected_stale"], 2)

    def test_shards(self):
        """The text says which shard has two visitors, of three and of 64."""
        text = " ".join(read("docs/protocol.md").split())
        said = re.search(r"of three, visitor `(\S+)` is in shard (\d+), and `(\S+)` in shard (\d+); "
                         r"of 64 shards they are in (\d+) and (\d+)\.", text).groups()
        one, other = bytes.fromhex(said[0].replace("-", "")), identity_of(said[2])
        self.assertEqual([int(said[number]) for number in (1, 3, 4, 5)],
                         [shard_of(one, 3), shard_of(other, 3), shard_of(one, 64), shard_of(other, 64)])

    def test_text(self):
        """The leave of somebody who is there. Any id but a UUID is hashed."""
        collector = self.start()
        leave = fenced("ph1").encode()
        self.send(collector, leave.replace(b" kind=leave", b""))
        self.wait_received(1)
        self.assertEqual(self.count("example.com", "/pricing"), 1)
        self.send(collector, leave, b"PH1 site=example.com room=/ visitor=visitor-42",
                  native("example.com", [bytes.fromhex("d7e376ba990b40e96a72e153f117cecc")], "/"))
        self.wait_received(4)
        self.assertEqual(self.count("example.com", "/pricing"), 0)
        self.assertEqual(self.count("example.com", "/"), 1)


if __name__ == "__main__":
    unittest.main()
