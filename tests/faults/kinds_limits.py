"""Limits that programs run into: descriptors, memory, threads, the queue of an interface."""

import math
import os
import resource
import shutil
import signal
import subprocess

from harness import DEADLINE
from kinds import COLLECTORS, EVERYWHERE, SERVERS, collector_of, drawer, kind, put_down, revive
from kinds_ways import ENGINE_BACK
from oracle import boottime
from programs import PATHS, Crashed

NOBODY = 65534  # a user without privileges, and without any other process


@kind("descriptors", {topology: names + ("a1",) for topology, names in SERVERS.items()}, claims=("http",))
def descriptors(world, fault):
    """No more files may be open than are now. Clients come all the same."""
    service = world.services[fault.target]
    before = service.limit(resource.RLIMIT_NOFILE, service.open_files() + drawer(fault).randrange(3))
    world.excuse(fault.target, 60.0)
    world.lasting = world.knock(fault.target, 20)
    yield
    service.limit(resource.RLIMIT_NOFILE, before)
    for client in world.lasting:
        client.close()
    world.excuse(fault.target, 2.0)


@kind("memory at start", COLLECTORS, claims=("tmpfs",), sanitized=False)
def memory_at_start(world, fault):
    """Too little address space: the collector says so and ends; the segment stays as it was."""
    collector = collector_of(world, fault.target)
    put_down(world, collector, signal.SIGTERM)
    limit = drawer(fault).choice((8, 16, 24)) << 20
    stopped = collector.ledger.silent_since
    collector.ledger.start()
    collector.service.begin(limits=[(resource.RLIMIT_AS, limit)])
    if collector.service.wait_refused(statuses=(1, 127)):
        collector.ledger.fall_silent(ended=True, since=stopped)
        yield
    else:
        collector.ledger.listen()
        yield
        put_down(world, collector, signal.SIGTERM)
    yield from revive(world, collector)


@kind("memory", SERVERS, claims=("http",), sanitized=False)
def memory(world, fault):
    """A server gets no more address space, while clients come."""
    service = world.services[fault.target]
    before = service.limit(resource.RLIMIT_AS, service.address_space() + (drawer(fault).randrange(3) << 16))
    world.excuse(fault.target, 60.0)
    clients = world.knock(fault.target, 50)
    service.ends_by_itself = True
    yield
    for client in clients:
        client.close()
    service.ends_by_itself = False
    if service.process.poll() is None:
        service.limit(resource.RLIMIT_AS, before)
    else:
        service.note_refused()
        service.begin()
    world.excuse(fault.target, 2.0)


@kind("threads", EVERYWHERE, claims=("tmpfs",), sanitized=False)
def threads(world, fault):
    """A user who may have one process only starts a collector of three workers, which says so and ends."""
    home = os.path.join(world.directory, f"nobody-{fault.number}")
    os.mkdir(home)
    os.chown(home, NOBODY, NOBODY)
    program = shutil.copy(PATHS["collector"], home)  # others may not reach the build
    done = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "prlimit", "--nproc=1",
         program, "--segment", os.path.join(home, "segment"), "--listen", "127.0.0.1:0",
         "--workers", "3", "--max-entries", "1000", "--max-scopes", "16", "--max-histories", "2",
         "--events", "64"], capture_output=True, text=True, timeout=DEADLINE, check=False)
    os.unlink(program)
    left = os.listdir(home)
    if done.returncode != 1 or done.stderr.count("\n") < 1 or left:
        raise Crashed(f"presenced without threads: {done.returncode}, {done.stderr!r}, left {left}")
    os.rmdir(home)
    yield


@kind("queue full", EVERYWHERE, claims=("ways", "http", "publisher"))
def queue_full(world, fault):
    """The interface takes nothing more (ENOBUFS): what is sent is lost, and nobody hangs. (A publisher that
    is started meanwhile would wait for its engine.)"""
    for collector in world.collectors:
        collector.ledger.deaf = True
        collector.ledger.doubt()
    world.pause_http = True
    if world.total:
        world.total.no_engine_until = math.inf
    world.tc("add", "dev", "lo", "root", "tbf", "rate", "8bit", "burst", "2000", "limit", "2000")
    yield
    world.tc("delete", "dev", "lo", "root")
    world.pause_http = False
    if world.total:
        world.total.no_engine_until = boottime() + ENGINE_BACK
    world.turn()
    for collector in world.collectors:
        collector.ledger.doubt()
        collector.ledger.deaf = False
    world.excuse_all(3.0)
