"""A world: collectors and everything around them, on a loopback and a tmpfs of their own, to which the
faults of a plan happen while readers read and an oracle judges what they are told."""

import collections
import contextlib
import os
import signal
import socket
import subprocess
import time

import kinds_limits  # noqa: F401 (the kinds register themselves)
import kinds_segment  # noqa: F401
import kinds_ways
from accounts import check_account, check_database
from engine import RedisServer
from harness import DEADLINE, enter_namespace, raise_loopback
from kinds import KINDS
from oracle import Ledger, Scope, Total, Wrong, boottime
from visitors import FENCE, FORMS, SITES, Crowd, Program, Sender
from programs import Crashed, Service
from readers import NOWHERE, Ctl, Http, Samples, Scrape

RELAY_PORT, WEB_PORT, EXPORTER_PORT = 9514, 8474, 9474
PAUSE = 0.06  # seconds between two turns
DELAY = 0.7  # seconds between two turns that show a machine which is too busy
RIGHT = 60.0  # seconds after a fault, or a delay, within which everything is right again
HANGING = 300  # seconds after which a step hangs
TMPFS, DISK = "24m", "2m"  # for segments, and for the recorder's database
SCOPES = [Scope("site", site) for site in SITES]
RECORDED = 20  # seconds after which a recorder has seen a site, or a total, whatever happened meanwhile
AHEAD = 10, 0.01  # readings that may show visitors twice, and which part of all
GROWTH = 16 << 20, 12  # bytes and descriptors by which a program may grow


class Collector:
    """A collector, its readers and what it was sent."""

    def __init__(self, world, name, port, plan):
        self.world, self.name, self.port = world, name, port
        self.ledger = Ledger(name, plan.window, plan.warm_up)
        self.home = os.path.join(world.directory, name)
        self.segment = os.path.join(self.home, "presence", "segment")
        self.service = Service(world, "collector", name, {
            "segment": self.segment, "listen": f"127.0.0.1:{port}", "max-entries": 20000, "max-scopes": 256,
            "max-histories": 8, "events": 64, "max-streams": 64, "max-window": plan.window,
            "warm-up": plan.warm_up, "workers": plan.workers, "receive": plan.receive}, stored=True)
        self.ctl = Ctl("--segment", self.segment)
        self.samples = None
        self.counts_began = True  # the segment's counters, when the ledger's sums did
        self.quiet = True  # nothing was interrupted: its account has to close


class World:
    def __init__(self, plan, directory):
        self.plan, self.directory = plan, directory
        self.stack = contextlib.ExitStack()
        self.tally = collections.Counter()  # readings that were judged, by reader
        self.history = []  # the faults so far
        self.collectors, self.services, self.links = [], {}, []
        self.engine = self.total = self.web = self.exporter = self.total_ctl = None
        self.turns, self.turned_at, self.delayed_at, self.last_fence = 0, 0.0, 0.0, 0.0
        self.pause_http = False
        self.excused = collections.defaultdict(lambda: -float("inf"))  # HTTP server: until when it may fail
        self.baseline = {}

    # ---- beginning and end ----

    def begin(self):
        enter_namespace("net")
        raise_loopback()
        enter_namespace("mount")
        subprocess.run(["mount", "--make-private", "/dev/shm"], check=True)
        self.mount(self.directory, TMPFS)
        os.chmod(self.directory, 0o755)
        os.mkdir(os.path.join(self.directory, "disk"))
        self.mount(os.path.join(self.directory, "disk"), DISK)
        getattr(self, f"begin_{self.plan.topology}")()
        self.wait_started()
        if self.total:
            self.total.no_engine_until = boottime() + kinds_ways.ENGINE_BACK  # nobody had published there
        for collector in self.collectors:
            collector.samples = Samples(collector.segment)
            self.stack.callback(collector.samples.close)
        self.begin_senders()

    @staticmethod
    def mount(place, size):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", place], check=True)

    def add(self, role, name, options, stored=False):
        service = self.services[name] = Service(self, role, name, options, stored)
        self.stack.callback(service.close)
        return service

    def add_collector(self, name, port):
        collector = Collector(self, name, port, self.plan)
        self.collectors.append(collector)
        self.services[name] = collector.service
        self.stack.callback(collector.service.close)
        collector.ledger.listen_anew(collector.ledger.now())
        collector.service.begin()
        return collector

    def add_web(self, **options):
        self.add("web", "web", {"listen": f"127.0.0.1:{WEB_PORT}", **options}).begin()
        self.web = Http(WEB_PORT, "presence-web")

    def add_recorder(self, **options):
        self.database = os.path.join(self.directory, "disk", "history.db")
        self.add("recorder", "recorder", {"database": self.database, **options}).begin()

    def begin_alone(self):
        only = self.add_collector("a1", 9601)
        self.add_web(segment=only.segment)
        self.add("exporter", "exporter", {
            "segment": only.segment, "web.listen-address": f"127.0.0.1:{EXPORTER_PORT}"}).begin()
        self.exporter = Scrape(EXPORTER_PORT, "exporter")
        self.add_recorder(segment=only.segment)
        self.targets, self.port = [[only.ledger]], only.port

    def begin_groups(self, sizes):
        """Start groups, and a relay that sends to them through links that can be rough."""
        self.targets, to = [], []
        for group, size in zip("AB", sizes):
            shards = [self.add_collector(f"{group.lower()}{number + 1}", 9601 + 10 * len(to) + number)
                      for number in range(size)]
            self.targets.append([shard.ledger for shard in shards])
            ports = [self.add_link(shard) for shard in shards]
            to.append(f"{group}=" + ",".join(f"127.0.0.1:{port}" for port in ports))
        self.add("relay", "relay", {"listen": f"127.0.0.1:{RELAY_PORT}", "to": to,
                                    "web.listen-address": "127.0.0.1:9475"}, stored=True).begin()
        self.port = RELAY_PORT

    def add_link(self, shard):
        link = kinds_ways.Link(shard, f"{self.plan.seed} {self.plan.index} {shard.name}")
        self.links.append(link)
        self.stack.callback(link.close)
        return link.port

    def begin_relay(self):
        self.begin_groups((1, 1))
        self.add_web(segment=self.collectors[0].segment)

    def begin_engine(self):
        self.begin_groups((2, 1))
        self.engine = RedisServer(self.directory, port=6379, prefix=("setpriv", "--pdeathsig", "KILL"))
        self.stack.callback(self.engine.ensure_ended)
        for collector in self.collectors:
            group, shard = collector.name[0].upper(), collector.name[1:]
            self.add("publisher", f"publisher-{collector.name}", {
                "segment": collector.segment, "engine": self.engine.url, "group": group,
                "shard": f"{shard}/{len(self.targets['AB'.index(group)])}"}).begin()
        self.total = Total(self.targets)
        self.total_ctl = Ctl("--engine", self.engine.url)
        self.add_web(engine=self.engine.url)
        self.add_recorder(engine=self.engine.url)

    def wait_started(self):
        end = time.monotonic() + RIGHT
        while not all([service.is_ready() for service in self.services.values() if service.role != "recorder"]):
            if time.monotonic() > end:
                raise Crashed("not started: " + ", ".join(name for name, one in self.services.items()
                                                          if one.state == "starting"))
            time.sleep(0.01)

    def begin_senders(self):
        forms = FORMS if self.plan.topology == "alone" else FORMS[:3]
        senders = [Program(self, self.port, self.targets) if form == "send"
                   else Sender(form, self.port, self.targets) for form in forms]
        for sender in senders:
            self.stack.callback(sender.close)
            if isinstance(sender, Program):
                self.services["send"] = sender.service
        self.crowd = Crowd(senders, len(self.targets[0]), f"{self.plan.seed} {self.plan.index}")

    # ---- time passes ----

    def run(self):
        signal.alarm(HANGING)
        self.begin()
        self.become_right(True)
        self.measure()
        for number, step in enumerate(self.plan.steps):
            self.take(number, step)
        self.check_growth()
        self.check_ahead()
        self.finish()

    def take(self, number, step):
        """One step: its faults happen, overlapping, and end in the same order; then all is right again."""
        running = []
        signal.alarm(HANGING)
        self.crowd.act(2 * number)
        for fault in step:
            self.spin(fault.offset)
            self.history.append((round(boottime(), 2), fault))
            happening = KINDS[fault.kind].happen(self, fault)
            next(happening, None)
            running.append((time.monotonic() + fault.duration, happening))
        self.crowd.act(2 * number + 1)
        for until, happening in running:
            self.spin(until - time.monotonic())
            for _ in happening:
                self.spin(PAUSE)
        self.become_right()

    def spin(self, seconds):
        """Let time pass: everybody goes on."""
        end = time.monotonic() + seconds
        while True:
            self.turn()
            if time.monotonic() >= end:
                return
            time.sleep(PAUSE)

    def turn(self):
        self.turns += 1
        self.note_delay()
        self.turned_at = boottime()
        for service in self.services.values():
            service.check()
            service.is_ready()
        self.crowd.refresh()
        if boottime() - self.last_fence > 0.1:
            self.crowd.fence()
            self.last_fence = boottime()
        self.settle()
        self.read()
        if self.turns % 50 == 0:
            for collector in self.collectors:
                collector.ledger.forget()

    def note_delay(self):
        """Nobody is blamed for being late on a machine where this turn is."""
        if boottime() - self.turned_at > DELAY:
            self.delayed_at = boottime()
            for judge in self.judges():
                judge.calm_since = self.delayed_at

    def judges(self):
        return [collector.ledger for collector in self.collectors] + [self.total] * bool(self.total)

    def settle(self):
        for collector in self.collectors:
            self.crowd.settle(collector.ledger, lambda visitors: collector.samples.seen(FENCE, visitors))

    # ---- reading ----

    def judge(self, judge, readings):
        self.note_delay()
        for reading in readings:
            strict = judge(reading)
            self.tally[reading.source] += 1
            self.tally["unmarked"] += strict

    def scopes(self):
        """Sites, one nobody is at, and a room or label in turn."""
        kind, name = (("room", f"/room/{self.turns % 6}"), ("country", "DE"), ("source", "feed.example"),
                      ("room", "/room/0"))[self.turns % 4]
        return [*SCOPES, Scope("site", NOWHERE), Scope(kind, SITES[self.turns % 2], name)]

    def place(self):
        """Of those that presence-web counts: a site or a room."""
        return next(one for one in self.scopes()[-1 - self.turns // 3 % 4:] if one.kind in ("site", "room"))

    def read(self):
        """One turn of readers: libpresence each time, the others in turn."""
        for collector in self.collectors:
            self.judge(collector.ledger.judge, collector.samples.count(*self.scopes()))
        turn, collector = self.turns, self.collectors[self.turns % len(self.collectors)]
        scope = self.scopes()[turn // 3 % 4]
        if turn % 3 == 0 and self.reads_http():
            self.judge_http("web", self.web.count(self.place()))
        if turn % 5 == 1 and self.reads_http("exporter"):
            for reading in self.exporter.scrape(SITES + (NOWHERE,)):
                self.judge_http("exporter", reading)
        if turn % self.plan.every == 2:
            self.judge(collector.ledger.judge, [collector.ctl.count(scope)])
        if turn % (4 * self.plan.every) == 5:
            self.judge(collector.ledger.judge, [collector.ctl.plain(SCOPES[turn % 2])])
            self.judge(self.judge_listed(collector), collector.ctl.sites())
            self.judge(self.judge_listed(collector), collector.samples.list("room", SITES[0]))
        if self.total and turn % self.plan.every == 1 and not self.pause_http:
            self.judge(self.total.judge, [self.total_ctl.count(scope)])

    def judge_listed(self, collector):
        """A list names only scopes that somebody was sent to."""
        def judge(reading):
            if reading.answer != "none" and reading.scope.site == FENCE:
                return False
            strict = collector.ledger.judge(reading)
            if reading.answer != "none" and reading.count and not collector.ledger.touching.get(reading.scope):
                raise Wrong(f"{reading}: nobody was ever there")
            return strict

        return judge

    def judge_http(self, name, reading):
        """Of a server that has to answer."""
        total = self.total and name == "web"
        self.judge(self.total.judge if total else self.collectors[0].ledger.judge, [reading])

    def excuse(self, name, seconds):
        """A server may have no answer until then."""
        self.excused[name] = boottime() + seconds

    def excuse_all(self, seconds):
        for name in ("web", "exporter"):
            self.excuse(name, seconds)

    def reads_http(self, name="web"):
        """Whether the server is there, and has to answer."""
        service = self.services.get(name)
        return (service is not None and service.state == "up" and not self.pause_http and
                boottime() > self.excused[name])

    def read_crowd(self, number, site):
        for reading in self.web.crowd(number, Scope("site", site)):
            self.judge_http("web", reading)

    def knock(self, name, number):
        """Open connections that ask for nothing yet, as far as that can be done."""
        port = {"web": WEB_PORT, "exporter": EXPORTER_PORT}.get(name)
        clients = []
        with contextlib.suppress(OSError):
            for _ in range(number if port else 0):
                clients.append(socket.create_connection(("127.0.0.1", port), timeout=1))
        return clients

    @staticmethod
    def tc(*words):
        subprocess.run(["tc", "qdisc", *words], check=True, timeout=DEADLINE)

    # ---- being right ----

    def become_right(self, first=False):
        """Wait until every reader shows numbers without a mark, of all that was sent."""
        begun, why = boottime(), "?"
        while why:
            if boottime() - max(begun, self.delayed_at) > RIGHT:
                raise Wrong(f"not right after {RIGHT} s: {why}")
            self.spin(PAUSE)
            if first:
                self.crowd.refresh(100)
            why = self.is_wrong(begun)

    def is_wrong(self, begun):
        """Return what is not yet right, with all that was sent until then; or nothing."""
        for name, service in self.services.items():
            if service.state != "up" and not (service.role == "recorder" and service.state == "starting"):
                return f"{name} is {service.state}: {service.output(service.said_before)[-500:]}"
        for collector in self.collectors:
            if not collector.ledger.is_settled(until=begun + collector.ledger.shift):
                return f"{collector.name} lacks {[*map(len, collector.ledger.pending.values())]}"
            if not os.path.exists(collector.segment):
                return f"{collector.segment} is not there"
            for reading in collector.samples.count(*SCOPES):
                collector.ledger.judge(reading)
                if reading.answer == "none" or reading.stale or reading.warming or reading.partial:
                    return reading
        for name in ("web", "exporter"):
            if name in self.services and not self.reads_http(name):
                return f"{name} need not answer yet"
        others = [self.total_ctl.count(SCOPES[0])] if self.total else []
        if self.web:
            others.append(self.web.count(SCOPES[0]))
        if self.exporter:
            others += self.exporter.scrape(SITES)
        for reading in others:
            if reading.answer == "none" or reading.stale or reading.warming or reading.partial:
                return reading
        return None

    def measure(self):
        for name, service in self.services.items():
            self.baseline[name] = (dict(service.options), service.own_memory(), service.open_files())

    def check_growth(self):
        """What runs has not grown since it was first right; also what was started anew meanwhile, with the
        same options."""
        for name, service in self.services.items():
            options, memory, files = self.baseline[name]
            if options != service.options:
                continue
            grown = service.own_memory() - memory, service.open_files() - files
            if grown[1] > GROWTH[1] or (not self.plan.sanitized and grown[0] > GROWTH[0]):
                raise Wrong(f"{name} has grown by {grown[0]} bytes and {grown[1]} descriptors")

    def check_ahead(self):
        """Hardly any reading showed visitors twice: that lasts no longer than it takes to apply a batch, or
        until a worker has a processor again."""
        ahead = sum(judge.ahead for judge in self.judges())
        judged = sum(self.tally.values()) - self.tally["unmarked"]
        self.tally["ahead"] = ahead
        if ahead > AHEAD[0] + AHEAD[1] * judged:
            raise Wrong(f"{ahead} of {judged} readings showed visitors twice")

    def finish(self):
        """End everything. Accounts close (R7), and table and counts agree."""
        signal.alarm(HANGING)
        for name in [name for name in self.services if name not in {one.name for one in self.collectors}]:
            if name != "send":
                self.services[name].end()
        for collector in self.collectors:
            collector.service.end()
            check_account(collector)
        if "recorder" in self.services:
            # Of totals, a recorder that is killed loses the running minute: nobody else keeps it.
            keeps = not self.total or self.services["recorder"].longest > RECORDED
            check_database(self.database, self.crowd.sites(RECORDED) if keeps else ())
        self.stack.close()

    def logs(self):
        """The end of what each program has said."""
        return "\n".join(f"--- {name}: {service.output()[-1500:]}" for name, service in self.services.items()
                         if os.path.exists(service.log))

    def unmount(self):
        for place in (os.path.join(self.directory, "disk"), self.directory):
            subprocess.run(["umount", "--lazy", place], check=False, stderr=subprocess.DEVNULL)
