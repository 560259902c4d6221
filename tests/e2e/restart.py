"""Shared by the tests of restarts: a load that goes on, and collectors that a stand-in for the
service manager looks after."""

import itertools
import math
import signal
import socket
import threading
import time

from harness import LEAVE, Case, native, visitor
from service_manager import ServiceManager

SITE = "restart.example"
BURST = 256  # buffers of an io_uring: what a killed worker may have received and not counted
WAITING = 8000  # datagrams that are sent, at most, while no collector runs: buffers hold them


class Load(threading.Thread):
    """Senders that send without a pause, until they are told to stop; and how many they sent."""

    def __init__(self, port, datagrams, senders=3, pause=0.002, host="127.0.0.1"):
        super().__init__()
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(senders)]
        for one in self.sockets:
            one.bind(("127.0.0.1", 0))
        self.target = (host, port)
        self.datagrams = datagrams  # an iterator over lists: one sender's, in order
        self.pause = pause
        self.most = math.inf  # when so many are sent it waits
        self.sent = 0
        self.stopping = False
        self.start()

    def run(self):
        for one in itertools.cycle(self.sockets):
            if self.stopping:
                return
            for datagram in next(self.datagrams):
                one.sendto(datagram, self.target)
                self.sent += 1
            time.sleep(self.pause)
            while self.sent > self.most and not self.stopping:
                time.sleep(0.001)

    def stop(self):
        self.stopping = True
        self.join()
        for one in self.sockets:
            one.close()
        self.sockets = []


def heartbeats(visitors):
    """Heartbeats of the same visitors, over and over, ten at a time."""
    for i in itertools.count(0, 10):
        yield [native(SITE, [visitor((i + j) % visitors)]) for j in range(10)]


def comings(senders, absent, counted):
    """Each visitor comes, leaves and comes back once, by one sender, while `absent` others do; the
    last `absent` ones don't come back. Counts those who did in counted[0]."""
    assert absent % senders == 0
    for i in itertools.count():
        counted[0] = max(i + 1 - absent, 0)
        yield [native(SITE, [visitor(i)]), native(SITE, [visitor(i)], kind=LEAVE),
               *([native(SITE, [visitor(i - absent)])] if i >= absent else [])]


class Restart(Case):
    def setUp(self):
        super().setUp()
        self.manager = ServiceManager(self.directory)
        self.loads = []
        self.addCleanup(self.manager.close)

    def start_managed(self, *arguments, prefix=(), wait=True, listen="127.0.0.1:0", **keywords):
        """Start a collector that has the manager, and wait until it says that it is ready. By default
        the manager's socket has the port that the kernel chose at the first start."""
        ready = len(self.manager.said("READY"))
        collector = self.start(*arguments, wait=wait, listen=listen, **self.manager.keywords(prefix),
                               **keywords)
        if wait:
            self.manager.wait_said("READY", ready + 1)
            for load in self.loads:
                load.most = math.inf
        return collector

    def load(self, collector, datagrams, **keywords):
        load = Load(collector.port, datagrams, **keywords)
        self.addCleanup(load.stop)
        self.loads.append(load)
        return load

    def counted(self):
        stats = self.stats()
        return stats["datagrams_received"] + stats["socket_drops"]

    def end(self, collector, how=signal.SIGTERM):
        """End the collector, by SIGTERM or SIGKILL. Its account is judged with the last one's, since
        that takes longer than a restart."""
        collector.judge = lambda _: None
        for load in self.loads:
            load.most = load.sent + WAITING
        if how == signal.SIGKILL:
            self.unaccountable.add(self.segment)
        self.assertEqual(collector.stop(how), 0 if how == signal.SIGTERM else -how)
        self.assertNotIn("the system call", collector.ended_with)
