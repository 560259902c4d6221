"""Targets 1 to 4: the cost of a heartbeat from the socket to the count, beside loops that receive
and discard, Redis and PostgreSQL. All keep running; each round measures every one of them once."""

import contextlib

from collector import Collector, Discarder, measure, paced_sender, presence_send
from cores import Moments, shortest_work, watch
from machine import report
from peer_postgresql import PostgreSQL
from peer_redis import Redis
from results import Row, number

SINGLE_RATE = 500_000  # heartbeats a second
SINGLE_VISITORS = 1_000_000
ROOM_BYTES = 8
BATCH = 80
BATCHED_RATE = 10_000_000
LABELLED_RATE = 3_000_000
LABELS = ("--rooms", "100", "--countries", "10", "--sources", "10")
POSTGRESQL_VISITORS = 100_000


class Plan:
    """How much of everything."""

    def __init__(self, quick):
        self.rounds = 5 if quick else 21  # many and short: the machine's speed drifts by the second
        self.seconds = 0.5
        self.visitors = 10_000_000
        self.labelled_visitors = (2_500_000,) if quick else (2_500_000, 10_000_000)
        self.redis_visitors = 1_000_000 if quick else 10_000_000
        self.postgresql_seconds = 1


class Contest:
    """All participants, in the order of their turns."""

    def __init__(self, plan, stack):
        self.plan, self.stack = plan, stack
        self.turns = []  # (row, function that measures it once)

    def enter(self, what, how, turn):
        row = Row(what, how)
        self.turns.append((row, turn))
        return row

    def up(self, server):
        self.stack.callback(server.close)
        return server

    def run(self):
        for count in range(self.plan.rounds):
            for row, turn in self.turns:
                report(f"heartbeats: round {count + 1} of {self.plan.rounds}, {row.what}")
                row.add(**turn())


def single(contest, what, receiver, room_bytes=0, text=False):
    """A receiver of single heartbeats."""
    plan = contest.plan

    def send():
        return paced_sender(receiver.address, SINGLE_VISITORS, SINGLE_RATE, plan.seconds,
                            room_bytes, text)

    measure(receiver, send)  # they arrive; later they are refreshed
    return contest.enter(what, "1, no GSO, no GRO", lambda: measure(receiver, send))


def enter_singles(contest):
    def discard(what, program, *arguments):
        return single(contest, f"{what}, discard",
                      contest.up(Discarder(program, "--no-offload", *arguments)))

    recvmmsg = discard("recvmmsg(64)", "discard_recvmmsg")
    woken = discard("io_uring, woken for each", "discard_io_uring")
    io_uring = discard("io_uring, 32 or 1 ms (limit)", "discard_io_uring", "--gather")

    def presenced(what, *arguments, **load):
        row = single(contest, what, contest.up(Collector(3 * SINGLE_VISITORS, *arguments)), **load)
        row.limit = io_uring
        row.peers["recvmmsg"] = recvmmsg
        return row

    return {
        "recvmmsg": recvmmsg, "io_uring woken": woken, "io_uring": io_uring,
        "native": presenced("presenced"),
        "native recvmmsg": presenced("presenced --receive recvmmsg", "--receive", "recvmmsg"),
        "native room": presenced("presenced, with a room", room_bytes=ROOM_BYTES),
        "text": presenced("presenced, text from nginx", text=True),
        "text room": presenced("presenced, text from nginx, with a room", room_bytes=ROOM_BYTES,
                               text=True),
    }


def send_batches(plan, receiver, visitors, rate, *places):
    """Let all visitors arrive; returns a turn of full datagrams."""
    def turn(seconds=plan.seconds):
        return measure(receiver, lambda: presence_send(receiver.address, visitors, rate, seconds,
                                                       "--batch", str(BATCH), *places))

    turn(None)
    return turn


class Batched:
    """A presenced that gets full datagrams: alone, and watched meanwhile (see cores.py)."""

    HOW = f"{BATCH}, GSO, GRO"

    def __init__(self, contest, what, visitors, words, rate, *places):
        collector = contest.up(Collector(words * visitors))
        turn = send_batches(contest.plan, collector, visitors, rate, *places)
        self.what = f"{what}{visitors:,} visitors"
        self.moments = Moments()
        self.row = contest.enter(f"presenced, {self.what}", self.HOW, turn)
        self.watched = contest.enter("the same on a whole core", self.HOW,
                                     lambda: self.watch(collector, turn))

    def watch(self, collector, turn):
        with watch(collector, self.moments):
            return turn()

    def whole_row(self, shortest):
        """Return its runs on a whole core; none if it hardly ever had one."""
        row = Row(self.watched.what, self.HOW)
        rate = self.moments.rate(shortest)
        if rate:
            row.add(per_core=rate, dropped=self.watched.dropped)
            row.note = f"{self.moments.describe(shortest)} of 10 ms; " \
                       f"in all {number(self.watched.median())}"
        return row


def enter_batches(contest):
    plan = contest.plan
    discarder = contest.up(Discarder("discard_io_uring"))
    limit = contest.enter("io_uring, discard (limit)", Batched.HOW,
                          send_batches(plan, discarder, plan.visitors, BATCHED_RATE))
    site = Batched(contest, "", plan.visitors, 1, BATCHED_RATE)
    labels = [Batched(contest, "4 words each, ", visitors, 4, LABELLED_RATE, *LABELS)
              for visitors in plan.labelled_visitors]
    return limit, site, labels


def enter_redis(contest):
    plan = contest.plan
    redis = contest.up(Redis())
    for key, visitors in (("few", 1_000_000), ("many", plan.redis_visitors)):
        report(f"heartbeats: Redis takes {visitors:,} visitors")
        redis.fill(key, visitors)

    def enter(what, key, command, visitors, batch, commands):
        return contest.enter(f"Redis {what}, {visitors:,} visitors", f"{batch}, pipelined",
                             lambda: redis.measure(command, key, visitors, batch,
                                                   commands))

    return {
        "ZADD 1": enter("ZADD", "few", "zadd", 1_000_000, 1, 100_000),
        "ZADD 40": enter("ZADD", "many", "zadd", plan.redis_visitors, 40, 5_000),
        "PFADD 40": enter("PFADD (estimate, no window)", "estimate", "pfadd", plan.visitors, 40,
                          100_000),
    }


def enter_postgresql(contest):
    plan = contest.plan
    postgresql = contest.up(PostgreSQL())
    postgresql.fill(POSTGRESQL_VISITORS)

    def enter(what, function):
        return contest.enter(f"PostgreSQL {what}, {POSTGRESQL_VISITORS:,} visitors", "1",
                             lambda: postgresql.measure(function, POSTGRESQL_VISITORS,
                                                        plan.postgresql_seconds))

    return {"PostgreSQL": enter("upsert and count", "heartbeat"),
            "upsert": enter("upsert alone", "touch")}


def judge_batches(results, site, labels, peers):
    """Compare with targets on whole cores, or on what there was. Returns the rows of cores."""
    shortest = shortest_work(*(batched.moments for batched in (site, *labels)))
    whole = {batched: batched.whole_row(shortest) for batched in (site, *labels)}
    of_core = ", on a whole core" if all(row.runs for row in whole.values()) else ""
    best = whole if of_core else {batched: batched.row for batched in whole}

    def is_clean(batched):
        return not batched.row.dropped and not batched.watched.dropped

    results.at_least(2, f"batched{of_core}: heartbeats a CPU second", best[site].median() / 1e6, 30,
                     "M", is_clean(site), f"in all turns {number(site.row.median())}")
    results.at_least(2, "batched: of Redis ZADD, 40 ids", site.row.ratio(peers["ZADD 40"]), 100)
    results.at_least(2, "batched: of Redis PFADD, 40 ids", site.row.ratio(peers["PFADD 40"]), 1.8)
    for batched in labels:
        results.at_least(4, f"{batched.what}{of_core}: of target 2",
                         best[batched].ratio(best[site]), 0.25, clean=is_clean(batched),
                         remark=f"in all turns {batched.row.ratio(site.row):.3g}")
    return whole


def judge_singles(results, singles):
    native = singles["native"]
    results.at_least(1, "single heartbeats: of recvmmsg and discard",
                     native.ratio(singles["recvmmsg"]), 1.4, clean=not native.dropped)
    results.at_least(1, "single heartbeats: of io_uring and discard",
                     native.ratio(singles["io_uring"]), 0.8, clean=not native.dropped)
    for form, what in (("", "target 1"), (" room", "the same native, both with a room")):
        text, same = singles["text" + form], singles["native" + form]
        results.at_least(3, f"text from nginx: of {what}", text.ratio(same), 0.8,
                         clean=not text.dropped)


def run(results, quick):
    plan = Plan(quick)
    with contextlib.ExitStack() as stack:
        contest = Contest(plan, stack)
        report("heartbeats: starting everybody")
        singles, (limit, site, labels) = enter_singles(contest), enter_batches(contest)
        peers = {**enter_redis(contest), **enter_postgresql(contest)}
        contest.run()
    judge_singles(results, singles)
    whole = judge_batches(results, site, labels, peers)
    for batched in (site, *labels):
        batched.row.limit = limit
    for row in (singles["native"], singles["native room"], singles["native recvmmsg"],
                singles["text"], singles["text room"], *(each.row for each in (site, *labels))):
        row.peers.update((name, peers[name])
                         for name in ("ZADD 1", "ZADD 40", "PFADD 40", "PostgreSQL"))
    results.section(f"Heartbeats a CPU second: one a datagram, {SINGLE_RATE:,}/s, 32 at once",
                    singles.values())
    results.section(f"Heartbeats a CPU second: {BATCH} a datagram, {BATCHED_RATE:,}/s "
                    f"(4 words each: {LABELLED_RATE:,}/s)",
                    [limit, *(row for batched in (site, *labels)
                              for row in (batched.row, whole[batched]))])
    results.section("The same from peers on unix sockets, nothing on disk, as fast as they can",
                    peers.values())
