"""Shared by the tests of rooms: WebSockets as the npm package `ws` opens them."""

import contextlib
import json
import os
import subprocess
import threading
import time
import urllib.parse

from harness import BUILD, DEADLINE, wait_until
from web import SITE, WebCase

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARIES = os.path.join(os.path.abspath(BUILD), "../packages/npm/node_modules")


class Node:
    """A node that has many WebSockets (sockets.js)."""

    def __init__(self):
        self.sockets = []
        self.process = subprocess.Popen(
            ["node", os.path.join(HERE, "sockets.js")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env={**os.environ, "NODE_PATH": LIBRARIES})
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

    def wait_told(self, *expected):
        """Wait until it was told these, and nothing else."""
        wait_until(lambda: len(self.told()) >= len(expected),
                   lambda: f"{expected}; it was told {self.events}")
        if self.told() != list(expected):
            raise AssertionError(f"it was told {self.told()} and not {expected}")

    def wait_viewers(self, number):
        wait_until(lambda: self.viewers() == number, lambda: f"{number} viewers: {self.events}")

    def wait_closed(self):
        """Wait until it is closed. Return the code and the reason."""
        return tuple(wait_until(lambda: self.of("close"), lambda: f"it to be closed: {self.events}")[0][1])

    def wait_refused(self):
        """Wait until the handshake is refused. Return the status, the headers and the body."""
        return wait_until(lambda: self.of("refused"), lambda: f"it to be refused: {self.events}")[0][1]

    def pongs(self):
        return self.messages().count({"type": "pong"})

    def ping(self):
        """Ping and wait for the answer."""
        pongs = self.pongs()
        self.send('{"type":"ping"}')
        wait_until(lambda: self.pongs() > pongs, lambda: f"a pong: {self.events}")

    def send(self, text):
        self.node.command("send", self.number, text)

    def close(self):
        self.node.command("close", self.number)

    def terminate(self):
        self.node.command("terminate", self.number)


class RoomsCase(WebCase):
    """A test with visitors in rooms."""

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
        wait_until(lambda: socket.viewers() is not None, lambda: f"{visitor} to join: {socket.events}")
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
