"""Faults of the ways between programs, of the engine, and of the clocks."""

import os
import random
import signal
import struct
import subprocess
import sys

from kinds import (
    COLLECTORS, ENGINES, RELAYS, collector_of, drawer, kind, mend_group, put_down, revive,
)
from oracle import boottime
from programs import die_with_parent

FORWARDER = os.path.join(os.path.dirname(__file__), "../netns/forwarder.py")
ENGINE_BACK = 6.0  # seconds after which everything is in the engine again, and read


class Link:
    """The way from relays to a collector: a forwarder that is seeded."""

    def __init__(self, collector, seed):
        self.collector = collector
        self.process = subprocess.Popen([sys.executable, FORWARDER, "127.0.0.1", str(collector.port), seed],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)
        self.port = int(self.process.stdout.readline())
        self.tell("calm")

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        if self.process.stdout.readline().strip() != word:
            raise AssertionError("the forwarder does not answer")

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@kind("way rough", {"relay": ("a1", "b1"), "engine": ("a1", "a2", "b1")})
def way_rough(world, fault):
    """Datagrams of a relay are lost, repeated, late and in another order."""
    link = next(link for link in world.links if link.collector.name == fault.target)
    ledger = link.collector.ledger
    ledger.doubt()
    ledger.rough = True
    link.tell("rough")
    yield
    link.tell("calm")
    ledger.doubt()
    ledger.rough = False
    world.crowd.drop_fences(ledger)


@kind("sender rough", {"alone": ("a1",)})
def sender_rough(world, fault):
    """The same between the senders and the collector."""
    collector, draw = world.collectors[0], drawer(fault)
    ledger = collector.ledger
    ledger.doubt()
    ledger.rough = True
    held = []
    for sender in world.crowd.senders:
        sender.transmit = rough_transmit(sender, draw, held)
    yield
    for sender in world.crowd.senders:
        del sender.transmit
    random.Random(fault.seed).shuffle(held)
    for sender, datagram in held:
        sender.transmit(datagram)
    ledger.doubt()
    ledger.rough = False
    world.crowd.drop_fences(ledger)


def rough_transmit(sender, draw, held):
    def transmit(datagram):
        fate = draw.random()
        if fate < 0.2:
            return
        if fate < 0.5:
            held.append((sender, datagram))
        if fate < 0.3 or fate >= 0.5:
            type(sender).transmit(sender, datagram)

    return transmit


# ---- the engine -------------------------------------------------------------------------------------


def lose_engine(world):
    """Readers may find no engine, or nothing in it."""
    world.total.no_engine_until = float("inf")
    for collector in world.collectors:
        world.total.break_shard(collector.name)


def have_engine(world):
    world.total.no_engine_until = boottime() + ENGINE_BACK
    for collector in world.collectors:
        mend_group(world, collector.name)


def interrupt_engine(world, end, go_on):
    lose_engine(world)
    end()
    yield
    go_on()
    have_engine(world)


@kind("engine killed", ENGINES, claims=("publisher", "web"), long=11.0)
def engine_killed(world, fault):
    yield from interrupt_engine(world, world.engine.kill, world.engine.start)


@kind("engine frozen", ENGINES, claims=("publisher", "web"), long=4.0)
def engine_frozen(world, fault):
    yield from interrupt_engine(world, world.engine.freeze, world.engine.thaw)


@kind("engine flushed", ENGINES, claims=("publisher", "web"))
def engine_flushed(world, fault):
    """All that publishers wrote is gone; they write it anew."""
    lose_engine(world)
    world.engine.call("FLUSHALL")
    have_engine(world)
    yield


# ---- clocks -----------------------------------------------------------------------------------------


@kind("boottime ahead", COLLECTORS)
def boottime_ahead(world, fault):
    """A collector is started in a time namespace whose clock is ahead: as if nobody had listened for
    so long."""
    collector, draw = collector_of(world, fault.target), drawer(fault)
    put_down(world, collector, draw.choice((signal.SIGTERM, signal.SIGKILL)))
    gap = draw.choice((2, 5, 12, 30, 400, 90000))
    yield
    collector.ledger.step(gap)
    collector.service.ahead += gap
    yield from revive(world, collector, anew=gap > 11)


@kind("wall clock stepped", {topology: names + ("web",) for topology, names in COLLECTORS.items()},
      sanitized=False)
def wall_clock_stepped(world, fault):
    """Under a running program, back and forth: no count moves."""
    with open(world.services[fault.target].wall_clock, "r+b") as file:
        file.write(struct.pack("=q", drawer(fault).choice((-90000, -3600, -31, -2, 2, 31, 3600, 90000))))
    yield


@kind("relay reloaded", RELAYS)
def relay_reloaded(world, fault):
    """SIGHUP, which changes nothing here."""
    service = world.services["relay"]
    service.process.send_signal(signal.SIGHUP)
    yield
