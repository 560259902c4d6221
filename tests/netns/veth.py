"""Two network namespaces and a veth pair between them: the collector's and the senders'.

The test's own process lives in the collector's; what it starts "outside" in the senders'.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess

from harness import DEADLINE, new_namespace, wait_until

INSIDE, OUTSIDE = "presence0", "presence1"  # the interfaces
V4, V6 = "192.0.2.1", "2001:db8::1"  # the collector's addresses
V4_OUTSIDE, V6_OUTSIDE = "192.0.2.2", "2001:db8::2"
CLONE_NEWNET = 0x40000000


def ip(*arguments, prefix=()):
    """Run ip(8); returns what its JSON says, if anything."""
    done = subprocess.run([*prefix, "ip", "-json", *arguments], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    if done.returncode:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def tc(*arguments, prefix=()):
    subprocess.run((*prefix, "tc", *arguments), check=True, timeout=DEADLINE)


class Pair:
    """The pair, while the context lasts."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(new_namespace("net"))
            self.outside = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
            stack.callback(self.end_outside)
            mine = os.readlink("/proc/self/ns/net")
            wait_until(lambda: os.readlink(f"/proc/{self.outside.pid}/ns/net") != mine,
                       "the other namespace")
            self.prefix = ("nsenter", "--net", "--target", str(self.outside.pid))
            ip("link", "set", "lo", "up")
            ip("link", "add", INSIDE, "type", "veth", "peer", "name", OUTSIDE, "netns",
               str(self.outside.pid))
            for name, prefix, addresses in ((INSIDE, (), (f"{V4}/24", f"{V6}/64")),
                                            (OUTSIDE, self.prefix,
                                             (f"{V4_OUTSIDE}/24", f"{V6_OUTSIDE}/64"))):
                for address in addresses:
                    # Nobody else is there: an address can be used at once.
                    nodad = ["nodad"] if ":" in address else []
                    ip("address", "add", address, "dev", name, *nodad, prefix=prefix)
                ip("link", "set", name, "up", prefix=prefix)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def end_outside(self):
        self.outside.kill()
        self.outside.wait()

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, protocol=0):
        """A socket of the senders' namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net") as mine, \
                open(f"/proc/{self.outside.pid}/ns/net") as theirs:
            if libc.setns(theirs.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot enter the other namespace")
            try:
                return socket.socket(family, kind, protocol)
            finally:
                libc.setns(mine.fileno(), CLONE_NEWNET)

    def run(self, *command, timeout=DEADLINE):
        """Run a program in the senders' namespace; returns its standard output."""
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout)
        if done.returncode:
            raise AssertionError(f"{command[0]} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    @staticmethod
    def filter():
        """What is attached to the collector's interface: "native", "generic" or None."""
        link = ip("link", "show", INSIDE)[0]
        return {1: "native", 2: "generic"}[link["xdp"]["mode"]] if "xdp" in link else None

    def lost(self):
        """Packets to the collector that the veth's queue had no room for.

        The senders' end counts each of them; the other one counts those a second time that were
        sent as frames, without a socket (veth_get_stats64 in drivers/net/veth.c)."""
        outside = ip("-statistics", "link", "show", OUTSIDE, prefix=self.prefix)[0]["stats64"]
        return outside["tx"]["dropped"]

    def silence(self):
        """Let nothing reach the collector but what the test sends: no IPv6 from the senders' end.

        Its solicitations come from a timer on any processor, and a veth that is busy goes on being
        polled where the first packet came: then its senders no longer wait for the polling."""
        self.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{OUTSIDE}/disable_ipv6")

    @staticmethod
    def hardware(name, prefix=()):
        return bytes.fromhex(ip("link", "show", name, prefix=prefix)[0]["address"].replace(":", ""))

    def ethernet(self):
        """The Ethernet header of a frame to the collector."""
        return self.hardware(INSIDE) + self.hardware(OUTSIDE, self.prefix) + b"\x08\x00"


def receive_in_batches(name, on):
    """Let a veth poll for its packets as if it had a native XDP program (GRO, linux/ethtool.h)."""
    value = ctypes.create_string_buffer(struct.pack("II", 0x2c, on))  # ETHTOOL_SGRO
    request = struct.pack("16sP16x", name.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8946, request)  # SIOCETHTOOL


def poll_in_thread(name):
    """Let a veth that polls do so in a thread of the kernel, instead of at once after each packet
    (Documentation/networking/napi.rst)."""
    path = f"/sys/class/net/{name}/threaded"  # of a /sys that shows this namespace
    subprocess.run(("unshare", "--mount", "sh", "-c", f"mount -t sysfs none /sys && echo 1 > {path}"),
                   check=True, timeout=DEADLINE)


@contextlib.contextmanager
def random_loss(name, part, prefix=()):
    """Let an interface drop that part of the packets that arrive there, by chance (tc-bpf(8)). A
    train that the kernel has not cut is one packet."""
    load, at_least, give = 0x20, 0x35, 0x06  # BPF_LD|W|ABS, BPF_JMP|JGE|K, BPF_RET|K of linux/filter.h
    chance, accept, shot = 0xfffff000 + 56, 0, 2  # SKF_AD_RANDOM, TC_ACT_OK, TC_ACT_SHOT
    steps = ((load, 0, 0, chance), (at_least, 0, 1, int(part * 2**32)), (give, 0, 0, accept),
             (give, 0, 0, shot))
    words = ",".join(" ".join(map(str, step)) for step in steps)
    tc("qdisc", "add", "dev", name, "clsact", prefix=prefix)
    tc("filter", "add", "dev", name, "ingress", "bpf", "da", "bytecode", f"{len(steps)},{words}",
       prefix=prefix)
    try:
        yield
    finally:
        tc("qdisc", "delete", "dev", name, "clsact", prefix=prefix)


def open_tap(name):
    """A new tap interface, as a file: each write is a frame that arrives there (tuntap.rst)."""
    tap = open("/dev/net/tun", "r+b", buffering=0)
    fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x1002))  # IFF_TAP, NO_PI
    return tap


def udp(payload, port, source=V4_OUTSIDE, destination=V4, fragment=0):
    """An IPv4 packet of one UDP datagram; its UDP checksum is absent."""
    datagram = struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 7, fragment, 64, 17, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    return header[:10] + struct.pack(">H", ~total & 0xffff) + header[12:] + datagram
