"""Kinds of faults. Each is a generator: up to its first yield the fault happens, the rest ends it, and
yields while it waits. The ledgers are told what the rules make of it."""

import collections
import random
import signal

# What happens, to whom in which topology, and what else nothing else may happen to at the same time.
Kind = collections.namedtuple("Kind", "name happen targets claims long sanitized")
KINDS = {}
COLLECTORS = {"alone": ("a1",), "relay": ("a1", "b1"), "engine": ("a1", "a2", "b1")}
PUBLISHERS = {"engine": ("publisher-a1", "publisher-a2", "publisher-b1")}
SERVERS = {"alone": ("web", "exporter"), "relay": ("web",), "engine": ("web",)}
RELAYS = {"relay": ("relay",), "engine": ("relay",)}
RECORDERS = {"alone": ("recorder",), "engine": ("recorder",)}
ENGINES = {"engine": ("engine",)}
EVERYWHERE = {"alone": ("",), "relay": ("",), "engine": ("",)}


def kind(name, targets, claims=(), long=0.0, sanitized=True):
    """Register a kind. `long` is a duration in seconds that some of its faults have, so that readers
    notice; not all kinds can be seen by sanitizers."""
    def register(happen):
        KINDS[name] = Kind(name, happen, targets, frozenset(claims), long, sanitized)
        return happen

    return register


def drawer(fault):
    return random.Random(fault.seed)


def collector_of(world, name):
    return next(one for one in world.collectors if name.endswith(one.name))


def break_group(world, name):
    """A shard is not fresh: its group isn't whole (R9)."""
    if world.total:
        world.total.break_shard(name[-2:])


def mend_group(world, name):
    if world.total:
        world.total.mend_shard(name[-2:])


def begin_and_wait(world, service, **keywords):
    service.begin(**keywords)
    while not service.is_ready():
        yield
        if service.process.poll() == 1 and service.ends_by_itself:
            return
        if service.role == "recorder":
            return


# ---- collectors -----------------------------------------------------------------------------------


def revive(world, collector, anew=False):
    """Start a collector again, with the sockets that it has stored."""
    collector.ledger.start()
    mend_group(world, collector.name)
    begun = collector.ledger.now()
    yield from begin_and_wait(world, collector.service)
    if collector.service.process.poll() is not None:
        return
    if anew:
        collector.ledger.listen_anew(begun)
        collector.ctl.check_listening(begun, collector.ledger.shift)
        world.judge(collector.ledger.judge, [collector.ctl.count(world.scopes()[0])])
    else:
        collector.ledger.listen()


def put_down(world, collector, how):
    if how == signal.SIGKILL:
        collector.quiet = False
        collector.ledger.kill()
        collector.service.end(how)
        collector.ledger.fall_silent()
    else:
        collector.service.end(how)
        collector.ledger.fall_silent(ended=True)
    break_group(world, collector.name)


@kind("collector killed", COLLECTORS, long=4.2)
def collector_killed(world, fault):
    collector = collector_of(world, fault.target)
    put_down(world, collector, signal.SIGKILL)
    yield
    yield from revive(world, collector)


@kind("collector frozen", COLLECTORS, long=4.2)
def collector_frozen(world, fault):
    collector = collector_of(world, fault.target)
    collector.service.freeze()
    collector.ledger.fall_silent()
    break_group(world, fault.target)
    yield
    collector.ledger.listen()
    mend_group(world, fault.target)
    collector.service.thaw()


@kind("all collectors frozen", {"engine": ("a1",), "relay": ("a1",)}, claims=("a2", "b1"), long=11.5)
def all_frozen(world, fault):
    """Then no group is whole."""
    for collector in world.collectors:
        collector.service.freeze()
        collector.ledger.fall_silent()
        break_group(world, collector.name)
    yield
    for collector in world.collectors:
        collector.ledger.listen()
        mend_group(world, collector.name)
        collector.service.thaw()


@kind("collector restarted", COLLECTORS)
def collector_restarted(world, fault):
    collector = collector_of(world, fault.target)
    put_down(world, collector, signal.SIGTERM)
    yield
    yield from revive(world, collector)


@kind("collector stopped", COLLECTORS)
def collector_stopped(world, fault):
    """And its sockets are given up: what is sent meanwhile goes nowhere."""
    collector = collector_of(world, fault.target)
    collector.ledger.doubt()
    collector.ledger.deaf = True
    put_down(world, collector, signal.SIGTERM)
    collector.service.manager.settle()
    collector.service.manager.lose()
    yield
    yield from revive(world, collector)
    collector.ledger.doubt()
    collector.ledger.deaf = False


# ---- the others -------------------------------------------------------------------------------------


def lose_in_relay(world, fault):
    if fault.target == "relay":
        for collector in world.collectors:
            collector.ledger.doubt()


def end_service(world, fault, how):
    """Returns the service, which is down."""
    service = world.services[fault.target]
    if how == signal.SIGKILL:
        lose_in_relay(world, fault)
    service.end(how)
    if "publisher" in fault.target:
        break_group(world, fault.target)
    return service


def begin_service(world, fault, service):
    yield from begin_and_wait(world, service)
    if "publisher" in fault.target:
        mend_group(world, fault.target)
    world.excuse(fault.target, 1.0)


OTHERS = {topology: tuple(name for names in (SERVERS, RELAYS, RECORDERS) for name in names.get(topology, ()))
          for topology in EVERYWHERE}


def register_others(name, targets, long):
    """The three kinds that any program knows."""
    @kind(f"{name} killed", targets, long=long)
    def killed(world, fault):
        service = end_service(world, fault, signal.SIGKILL)
        yield
        yield from begin_service(world, fault, service)

    @kind(f"{name} restarted", targets)
    def restarted(world, fault):
        service = end_service(world, fault, signal.SIGTERM)
        yield
        yield from begin_service(world, fault, service)

    @kind(f"{name} frozen", targets, long=long)
    def frozen(world, fault):
        service = world.services[fault.target]
        service.freeze()
        if "publisher" in fault.target:
            break_group(world, fault.target)
        yield
        if "publisher" in fault.target:
            mend_group(world, fault.target)
        service.thaw()
        world.excuse(fault.target, 1.0)

    return killed, restarted, frozen


register_others("publisher", PUBLISHERS, 12.0)
register_others("relay", RELAYS, 0.0)
register_others("web", {topology: ("web",) for topology in EVERYWHERE}, 0.0)
register_others("exporter", {"alone": ("exporter",)}, 0.0)
register_others("recorder", RECORDERS, 0.0)


@kind("sender killed", {"alone": ("send",)})
def sender_killed(world, fault):
    """presence-send: what it held is lost, and the next one begins another stream."""
    service = world.services["send"]
    for collector in world.collectors:
        collector.ledger.doubt(["send"])
        collector.ledger.deaf_to.add("send")
    service.end(signal.SIGKILL)
    service.process.stdin.close()
    yield
    service.begin()
    for collector in world.collectors:
        collector.ledger.doubt(["send"])
        collector.ledger.deaf_to.discard("send")


# ---- 200 readers ------------------------------------------------------------------------------------


@kind("200 readers", EVERYWHERE)
def two_hundred_readers(world, fault):
    """Who all come at once."""
    collector = drawer(fault).choice(world.collectors)
    site = drawer(fault).choice(("shop.example", "news.example"))
    world.judge(collector.ledger.judge, collector.samples.crowd(200, site))
    if world.reads_http():
        world.read_crowd(200, site)
    yield
