"""presence-relay: options as people type them, what is wrong with them, and what to do."""

import os
import resource
import socket
import unittest

from harness import enter_namespace, free_port, native, visitor, wait_until
from presence_relay import RelayCase, run_relay
from service_manager import ServiceManager

SHARDS_MAX, GROUPS_MAX, ADDRESSES_MAX = 64, 16, 16


def shards(number, network="192.0.2"):
    return ",".join(f"{network}.{i}:9514" for i in range(1, number + 1))


def with_addresses():
    """Let a program have a network namespace with 198.51.100.7, and a route to 198.51.100.8."""
    enter_namespace("net")
    os.system("ip link set lo up && ip address add 198.51.100.7/32 dev lo && "
              "ip route add 198.51.100.8/32 dev lo")


# What --to says, and parts of the line that refuses it.
WRONG = (
    ("A", "'A' does not say which group it is: write GROUP=ADDR:PORT"),
    ("192.0.2.1:9514", "does not say which group"),
    ("", "--to takes a group's name .* not ''"),
    ("=192.0.2.1:9514", "no name of a group before the ="),
    ("A B=192.0.2.1:9514", "no name of a group before the =.*1 to 63 letters, digits, _, . or -"),
    ("Zürich=192.0.2.1:9514", r"'Z\\xc3\\xbcrich=192.0.2.1:9514' has no name"),
    (f"{'a' * 64}=192.0.2.1:9514", "1 to 63"),
    ("A=", "shard 1 of group A is empty: give its ADDR:PORT, or no comma"),
    ("A=,192.0.2.1:9514", "shard 1 of group A is empty"),
    ("A=192.0.2.1:9514,", "shard 2 of group A is empty"),
    ("A=192.0.2.1:9514, ,192.0.2.2:9514", "shard 2 of group A is empty"),
    ("A=192.0.2.1", "'192.0.2.1', shard 1 of group A, has no port: write ADDR:PORT"),
    ("A=192.0.2.1:", "has no port: write ADDR:PORT"),
    ("A=[2001:db8::1]", "has no port: write ADDR:PORT"),
    ("A=192.0.2.1:0", "has port 0: give the port at which the collector listens"),
    ("A=192.0.2.1:65536", "has no port from 1 to 65535"),
    ("A=192.0.2.1:http", "has no port from 1 to 65535"),
    ("A=192.0.2.1:9514 192.0.2.2:9514", "commas separate shards"),
    ("A=192.0.2.1:9514;192.0.2.2:9514", "commas separate shards"),
    ("A=collector.example:9514", "names are not looked up"),
    ("A=localhost:9514", "'localhost:9514', shard 1 of group A, is no numeric address"),
    ("A=192.0.2.256:9514", "is no numeric address"),
    ("A=[192.0.2.1]:9514", "is no numeric address"),
    ("A=:9514", "is no numeric address"),
    ("A=udp://192.0.2.1:9514", "is no numeric address"),
    ("A=2001:db8::1:9514", "without brackets: write .ADDR.:PORT, such as .2001:db8::1.:9514"),
    ("A=::1", "without brackets"),
    ("A=[fe80::1%eth0]:9514", "is no numeric address"),
    ("A=[fe80::1]:9514", "is of one link only: give another address of that machine"),
    ("A=0.0.0.0:9514", "stands for all addresses: give the collector's own"),
    ("A=[::]:9514", "stands for all addresses"),
    ("A=224.0.0.1:9514", "is not the address of one machine"),
    ("A=255.255.255.255:9514", "is not the address of one machine"),
    ("A=[ff02::1]:9514", "is not the address of one machine"),
    (f"A={'9' * 400}:9514", "shard 1 of group A, is no address"),
    (f"A={shards(SHARDS_MAX + 1)}", "group A has more than 64 shards"),
    ("A=[::1]:9,[0:0:0:0:0:0:0:1]:9", r"\[::1\]:9 is given twice, as shard 1 of group A and as "
                                      "shard 2 of group A"),
    ("A=192.0.2.1:9514,[::ffff:192.0.2.1]:9514", "192.0.2.1:9514 is given twice"),
    ("A=192.0.2.1:9514,192.0.2.1:09514", "192.0.2.1:9514 is given twice"),
)


class RelayOptions(RelayCase):
    def assert_wrong(self, arguments, pattern):
        status, out, err = run_relay(*arguments, "--web.listen-address", "127.0.0.1:0")
        with self.subTest(arguments=arguments):
            self.assertEqual((status, out), (2, ""), err)
            self.assertEqual(err.count("\n"), 1, err)
            self.assertRegex(err, r"\Apresence-relay: ")
            self.assertRegex(err, pattern)

    def test_wrong_targets(self):
        for value, pattern in WRONG:
            self.assert_wrong(("--to", value), pattern)

    def test_wrong_groups(self):
        self.assert_wrong((), "--to: say which collectors to send to, such as --to A=")
        self.assert_wrong(("--to", "A=192.0.2.1:9514", "--to", "A=192.0.2.2:9514"),
                          "group A is given twice .*name all its shards in one --to, and a copy as "
                          "another group")
        self.assert_wrong(("--to", "A=192.0.2.1:9514", "--to", "B=192.0.2.1:9514"),
                          "192.0.2.1:9514 is given twice, as shard 1 of group A and as shard 1 of "
                          "group B")
        many = [word for i in range(GROUPS_MAX + 1) for word in ("--to", f"g{i}=192.0.2.{i}:9514")]
        self.assert_wrong(many, "there are more than 16 groups")
        # A shell has made two words of it.
        self.assert_wrong(("--to", "A=192.0.2.1:9514,", "192.0.2.2:9514"),
                          "unexpected argument '192.0.2.2:9514'")

    def test_wrong_numbers(self):
        to = "--to", "A=192.0.2.1:9514"
        for hold in ("0", "1001", "50ms", "-1", ""):
            self.assert_wrong((*to, "--hold", hold), "--hold takes a whole number from 1 to 1000")
        self.assert_wrong((*to, "--hold", "5", "--hold", "6"), "--hold is given twice")
        self.assert_wrong((*to, "--allow", "10.0.0.0/33"), "--allow takes an address or a network")
        self.assert_wrong((*to, "--listen", "localhost:9514"), "--listen takes a numeric address")
        self.assert_wrong((*to, "--receive", "epoll"), "--receive takes auto, io_uring or recvmmsg")
        self.assert_wrong((*to, "--web.listen-address", "nowhere"), "--web.listen-address takes HOST:PORT")
        self.assert_wrong((*to, *("--web.listen-address", "127.0.0.1:0") * ADDRESSES_MAX),
                          f"--web.listen-address .* {ADDRESSES_MAX} times")

    def test_loops(self):
        """What it would send to itself is refused, by whichever address."""
        port = free_port(socket.SOCK_DGRAM)
        for listen, target in (("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"),
                               ("0.0.0.0", "127.9.8.7"), ("[::1]", "[::1]"), ("[::]", "[::1]"),
                               ("127.0.0.1", "[::ffff:127.0.0.1]")):
            self.assert_wrong(("--listen", f"{listen}:{port}", "--to", f"A={target}:{port}"),
                              "this relay itself, which listens on .*: give the collector's address")
        self.assert_wrong(("--listen", "127.0.0.1:0", "--listen", f"127.0.0.1:{port}",
                           "--to", f"A=192.0.2.1:9514,127.0.0.1:{port}"),
                          f"127.0.0.1:{port}, shard 2 of group A, is this relay itself")

    def test_loop_by_a_socket_unit(self):
        """Nor does it send to a socket that the service manager has opened for it."""
        manager = ServiceManager(self.directory)
        self.addCleanup(manager.close)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed:
            passed.bind(("127.0.0.1", 0))
            manager.passed.append(("presence-relay.socket", passed.fileno()))
            address = f"127.0.0.1:{passed.getsockname()[1]}"
            relay = self.relay("--to", f"A={address}", wait=False, **manager.keywords())
            wait_until(lambda: relay.process.poll() is not None, "it to end")
        self.assertEqual(relay.process.returncode, 1)
        self.assertIn(f"{address}, shard 1 of group A, is this relay itself", relay.output())

    @unittest.skipUnless(os.geteuid() == 0, "needs a network namespace with an address")
    def test_own_addresses(self):
        """All addresses are those of the machine, not only loopback."""
        port = free_port(socket.SOCK_DGRAM)
        relay = self.relay("--listen", f"0.0.0.0:{port}", "--to", f"A=198.51.100.7:{port}",
                           wait=False, preexec=with_addresses)
        wait_until(lambda: relay.process.poll() is not None, "it to end")
        self.assertEqual(relay.process.returncode, 2)
        self.assertIn("is this relay itself", relay.output())
        # Somebody else's address with the same port is fine, and so is another port.
        for target in f"198.51.100.8:{port}", f"198.51.100.7:{port + 1}":
            self.relay("--listen", f"0.0.0.0:{port}", "--to", f"A={target}",
                       preexec=with_addresses).stop()

    def test_forms(self):
        """Blanks, IPv6, the longest names and numbers are all right."""
        collectors = self.start(listen="127.0.0.1:0"), self.start_in("v6", listen="[::1]:0")
        v4, v6 = (collector.address for collector in collectors)
        name = "a-Z_0." + "9" * 57
        relay = self.relay("--to", f" {name} = {v4} ,\t[0:0::1]:{collectors[1].port} ",
                           "--hold", "1")
        port = relay.relay_port
        for i in range(50):
            self.socket.sendto(native("forms.example", [visitor(i)]), ("127.0.0.1", port))
        for shard, address in enumerate((v4, v6), start=1):
            wait_until(lambda labels={"group": name, "shard": str(shard), "target": address}:
                       relay.value("target_heartbeats_total", **labels), "heartbeats to be sent")
        self.assertEqual(relay.value("group_shards", group=name), 2)
        self.assertEqual(relay.stop(), 0)

    def test_groups_at_their_most(self):
        """All of them, also where a process may have but 1024 files at first."""
        def with_few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE,
                               (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

        def groups(port):
            return "".join(f"to = g{i}=" + ",\n  ".join(f"127.{i}.0.{j}:{port}"
                                                        for j in range(1, SHARDS_MAX + 1)) + "\n"
                           for i in range(GROUPS_MAX))

        relay = self.relay("--config", self.write("relay.conf", groups(9)), preexec=with_few_files)
        self.assertEqual(relay.value("group_shards", group="g15"), SHARDS_MAX)
        self.write("relay.conf", groups(19))
        relay.hang_up()
        relay.wait_logged("reloaded: sending to 1024 collectors in 16 groups")
        self.assertEqual(relay.stop(), 0)

    def test_a_low_limit_of_files(self):
        """It takes as many files as it can get, also if those are not enough for all groups."""
        def with_few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1024))

        groups = [word for i in range(5) for word in ("--to", f"g{i}={shards(60, f'127.{i}.0')}")]
        relay = self.relay(*groups, preexec=with_few_files)
        self.assertEqual(relay.stop(), 0)

    def test_file(self):
        """A file's groups add to those of the command line, and a long one takes several lines."""
        all_shards = shards(SHARDS_MAX, "127.1.0").split(",")
        lines = [",".join(all_shards[i:i + 8]) + "," for i in range(0, SHARDS_MAX, 8)]
        path = self.write("relay.conf", f"# groups\nto = A = {lines[0]}\n"
                          + "".join(f"     {line}\n" for line in lines[1:])[:-2]
                          + "\nto = B=127.0.0.2:9\nhold = 100\n")
        relay = self.relay("--config", path, "--to", "C=127.0.0.3:9")
        self.assertEqual([relay.value("group_shards", group=name) for name in "ABC"], [64, 1, 1])
        self.assertEqual(relay.stop(), 0)
        self.assert_wrong(("--config", path, "--to", "B=127.0.0.4:9"),
                          "group B is given twice .the command line adds to the file.")
        self.assert_wrong(("--config", path, "--hold", "5", "--to", "C=127.0.0.2:9"),
                          "127.0.0.2:9 is given twice, as shard 1 of group B and as shard 1 of "
                          "group C")

    def test_long_lines(self):
        """The reader of files stops at 199 bytes: it says so, and how to go on."""
        path = self.write("relay.conf", f"hold = 5\nto = A={shards(14)}\n")
        self.assert_wrong(("--config", path), f"{path}:2: .*longer than 199 bytes: a list of values may go "
                                              "on in the next line, behind a space")
        # A line that ends with a comma goes on in one without a group, and in no other.
        path = self.write("relay.conf", "to = A=127.0.0.1:9,\nto = B=127.0.0.2:9\n")
        self.assert_wrong(("--config", path), "shard 2 of group A is empty")
        path = self.write("relay.conf", "to = A=127.0.0.1:9\n  127.0.0.2:9\n")
        self.assert_wrong(("--config", path), "'127.0.0.2:9' does not say which group")

    def test_keys(self):
        """A file of keys that cannot be used keeps it from starting, with one line."""
        to = "--to", "A=127.0.0.1:9"
        for text, mode, pattern in (
                ("", 0o600, "no key"), ("7 00\n", 0o600, ":1: "), ("7 " + "0" * 32, 0o644, "mode"),
                ("0 " + "0" * 32, 0o600, ":1: ")):
            path = self.write("key", text, mode)
            status, out, err = run_relay(*to, "--listen", "127.0.0.1:0", "--key-file", path)
            self.assertEqual((status, out, err.count("\n")), (1, "", 1), err)
            self.assertRegex(err, f"--key-file {path}.*{pattern}")
        status, _, err = run_relay(*to, "--listen", "127.0.0.1:0", "--key-file", "/nowhere")
        self.assertEqual((status, err.count("\n")), (1, 1), err)
        self.assertIn("--key-file /nowhere: No such file", err)


if __name__ == "__main__":
    unittest.main()
