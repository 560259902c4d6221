"""Shared by the tests of rooms: WebSockets as the npm package `ws` opens them."""

import contextlib
import functools
import json
import os
import subprocess
import threading
import time
import urllib.parse

from harness import DEADLINE, wait_until
from npm import MODULES
from web import SITE, WebCase

HERE = os.path.dirname(os.path.abspath(__file__))
ATTEMPTS = 4


class Node:
    """A node that has many WebSockets (sockets.js)."""

    def __init__(self):
        self.sockets = []
        self.process = subprocess.Popen(
            ["node", os.path.join(HERE, "sockets.js")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env={**os.environ, "NODE_PATH": MODULES})
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            number, what, *value = json.loads(line)
            self.sockets[number].events.append((what, *value))

    def command(self, *words):
        self.process.stdin.write(f"{json.dumps(words)}\n")
        self.process.stdin.flush()

    def open(self, url, headers=None):
        socket = Socket(self, len(self.sockets))
        self.sockets.append(socket)
        self.command("open", socket.number, {"url": url, "headers": headers or {}})
        return socket

    def close(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait(timeout=DEADLINE)
        self.process.stdout.close()


class Silence(AssertionError):
    """The collector was held up for so long that its number was stale."""


def again_after_silence(test):
    """Return a test that is run anew if a collector that was held up has ended a connection: a busy
    machine does that, too."""
    @functools.wraps(test)
    def run(self):
        for attempt in range(ATTEMPTS):
            first = len(self.node.sockets)
            try:
                return test(self)
            except AssertionError:
                sockets = self.node.sockets[first:]
                if attempt == ATTEMPTS - 1 or not any(socket.is_silenced() for socket in sockets):
                    raise
            self.tearDown()
            self.doCleanups()
            self.setUp()

    return run


class Socket:
    """One of them. What has happened on it is in `events`."""

    def __init__(self, node, number):
        self.node = node
        self.number = number
        self.events = []

    def of(self, *kinds):
        return [event for event in self.events if event[0] in kinds]

    def messages(self):
        return [json.loads(text) for _, text in self.of("message")]

    def told(self):
        """Return what it was told of the room: types and numbers."""
        return [(message["type"], message["viewers"]) for message in self.messages()
                if "viewers" in message]

    def viewers(self):
        """Return the number that it was told last; None: none yet."""
        return self.told()[-1][1] if self.told() else None

    def is_silenced(self):
        """True if it was closed or refused because there is no fresh number."""
        return any(value[0] in (503, 1013) for _, value in self.of("close", "refused"))

    def wait(self, condition, what):
        """Wait for something that does not happen while the collector is silent."""
        def happened():
            if not (value := condition()):
                if self.is_silenced():
                    raise Silence(f"the collector was silent; waited for {what}: {self.events}")
                if self.node.process.poll() is not None:
                    raise AssertionError(f"node ended with {self.node.process.returncode}")
            return value

        return wait_until(happened, lambda: f"{what}: {self.events}")

    def wait_told(self, *expected):
        """Wait until it was told these, and nothing else."""
        self.wait(lambda: len(self.told()) >= len(expected), expected)
        if self.told() != list(expected):
            raise AssertionError(f"it was told {self.told()} and not {expected}")

    def wait_viewers(self, number):
        self.wait(lambda: self.viewers() == number, f"{number} viewers")

    def wait_closed(self):
        """Wait until it is closed. Return the code and the reason."""
        return tuple(self.wait(lambda: self.of("close"), "it to be closed")[0][1])

    def wait_refused(self):
        """Wait until the handshake is refused. Return the status, the headers and the body."""
        return self.wait(lambda: self.of("refused"), "it to be refused")[0][1]

    def pongs(self):
        return self.messages().count({"type": "pong"})

    def ping(self):
        """Ping and wait for the answer."""
        pongs = self.pongs()
        self.send('{"type":"ping"}')
        self.wait(lambda: self.pongs() > pongs, "a pong")

    def send(self, text):
        self.node.command("send", self.number, text)

    def close(self):
        self.node.command("close", self.number)

    def terminate(self):
        self.node.command("terminate", self.number)


class RoomsCase(WebCase):
    """A test with visitors in rooms."""

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        for name, test in list(vars(cls).items()):
            if name.startswith("test_"):
                setattr(cls, name, again_after_silence(test))

    @classmethod
    def setUpClass(cls):
        cls.node = Node()
        cls.addClassCleanup(cls.node.close)

    def tearDown(self):
        for socket in self.node.sockets:
            with contextlib.suppress(BrokenPipeError):
                socket.terminate()
        super().tearDown()

    def connect(self, path, web=None, headers=None):
        return self.node.open(f"ws://127.0.0.1:{(web or self.web).port}{path}", headers)

    def join(self, visitor, room="/a", web=None, headers=None, **parameters):
        """Connect to a room."""
        query = {"site": SITE, "room": room, "visitor": visitor, **parameters}
        return self.connect(f"/ws?{urllib.parse.urlencode(query)}", web, headers)

    def joined(self, visitor, room="/a", **parameters):
        """Connect, and wait until it has joined."""
        socket = self.join(visitor, room, **parameters)
        socket.wait(lambda: socket.viewers() is not None, f"{visitor} to join")
        return socket

    def begin(self, *arguments, collector=("--warm-up", "0")):
        self.collector = self.start(*collector)
        self.web = self.serve(*arguments, collector=self.collector)

    def restart_collector(self):
        """Let the collector start anew. Return whether it was away for less than two seconds."""
        port, began = self.collector.port, time.monotonic()
        self.collector.stop()
        self.collector = self.start("--warm-up", "0", listen=f"127.0.0.1:{port}")
        return time.monotonic() - began < 2

    def counted_in(self, room=None):
        place = (SITE, room) if room else (SITE,)
        return self.json("count", *place)["count"]

    def wait_counted(self, count, room=None):
        wait_until(lambda: self.counted_in(room) == count,
                   lambda: f"{count} in {room}; there are {self.counted_in(room)}")
