"""Ports for the programs of one test process: no other has them, and the kernel never assigns them."""

import contextlib
import os
import random
import socket

IN_BLOCK = 50
OWN = "own"  # for `listen`: 127.0.0.1 and a port that stays the test's when nothing is bound to it

guards = []  # sockets whose names keep other test processes off our blocks of ports
ports_left = []
os.register_at_fork(after_in_child=ports_left.clear)  # they are the parent's: a child takes a block of its own


def take_block():
    """Take a block of ports, by a name that one process of a network namespace can have."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first = int(file.read().split()[0])
    blocks = range(max(first - 20000, 1024) // IN_BLOCK + 1, first // IN_BLOCK)
    for block in random.sample(blocks, len(blocks)):
        guard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            guard.bind(f"\0presence/tests/ports/{block}")
        except OSError:
            guard.close()
            continue
        guards.append(guard)
        ports_left.extend(range(block * IN_BLOCK, (block + 1) * IN_BLOCK))
        return
    raise RuntimeError(f"other tests have all ports below {first}, where the kernel's own begin")


def free_port(kind=socket.SOCK_STREAM):
    """Find a port that is free at all addresses, and that no earlier call has returned: it may not
    have been bound yet, or be bound again later."""
    while True:
        if not ports_left:
            take_block()
        port = ports_left.pop()
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            probe = probes.enter_context(socket.socket(socket.AF_INET, kind))
            probe.bind(("0.0.0.0", port))
            if os.path.exists("/proc/net/if_inet6"):
                probe = probes.enter_context(socket.socket(socket.AF_INET6, kind))
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(("::", port))
            return port


def own_address(listen, kind):
    """Return `listen`, or an address of our own for OWN."""
    return f"127.0.0.1:{free_port(kind)}" if listen == OWN else listen
