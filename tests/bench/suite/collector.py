"""The presenced that is measured, and its senders."""

import json
import os
import re
import subprocess
import time

from machine import (PRESENCED, RECEIVER, Failure, Server, bench, free_port,
                     memory_of, run_json, tool, udp_sockets, wait_until)

SITE = "example.com"
SETTLED_S = 1.0  # without another datagram counted: there is none left


class Receiver(Server):
    """A receiver of datagrams on a port of loopback."""

    port = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def drops(self):
        return udp_sockets(self.port)[1]

    def wait_idle(self):
        """Wait until it has received everything that was sent."""
        wait_until(lambda: udp_sockets(self.port)[0] == 0, f"{self.name} to keep up")
        time.sleep(0.01)  # a burst is gathered for 1 ms

    def received(self):
        """Return the datagrams that it has counted so far; None if it doesn't count them."""
        return None


class Discarder(Receiver):
    """A loop that receives and discards."""

    def __init__(self, program, *arguments):
        super().__init__()
        self.port = free_port()
        self.start([bench(program), "--listen", self.address, *arguments],
                   lambda: udp_sockets(self.port), RECEIVER)


class Collector(Receiver):
    """presenced on a new segment, with one worker by default."""

    def __init__(self, visitors, *arguments, workers=1, processors=RECEIVER):
        super().__init__()
        self.segment = os.path.join(self.make_directory(), "segment")
        self.start([PRESENCED, "--listen", "127.0.0.1:0", "--segment", self.segment,
                    "--max-entries", str(visitors), "--workers", str(workers), *arguments],
                   lambda: "ready:" in self.output(), processors)
        self.port = int(re.search(r"listening on [^\s]*:(\d+)", self.output())[1])

    def ctl(self, *arguments):
        command = [tool("presencectl"), *arguments, "--segment", self.segment]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Failure(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def stats(self):
        return json.loads(self.ctl("stats", "--json"))

    def count(self, window):
        return json.loads(self.ctl("count", SITE, "--window", window, "--json"))["count"]

    def received(self):
        return self.stats()["datagrams_received"]

    def memory(self):
        """Return the bytes of the segment, all of it reserved, and of the process's own memory."""
        own = memory_of(self.pid)
        return os.stat(self.segment).st_blocks * 512 + own["RssAnon"] + own["RssFile"]


def presence_send(address, visitors, rate, seconds, *arguments):
    """Send load with presence-send; returns its summary. `seconds` None: each visitor once."""
    return run_json(send_command(address, visitors, rate, seconds, *arguments))[0]


def send_command(address, visitors, rate, seconds, *arguments):
    duration = ["--duration", str(seconds)] if seconds else []
    return [tool("presence-send"), "--to", address, "--site", SITE, "--visitors", str(visitors),
            "--rate", str(rate), *duration, *arguments]


def paced_sender(address, visitors, rate, seconds, room_bytes=0, text=False, senders=1):
    """Send single heartbeats, 32 at once; returns a summary like presence-send's."""
    sent = run_json([bench("paced_sender"), "--to", address, "--rate", str(rate),
                     "--seconds", str(seconds), "--visitors", str(visitors),
                     "--bytes", str(47 + room_bytes), "--senders", str(senders),
                     *(["--text"] if text else [])])[0]
    if sent["failed"]:
        raise Failure(f"the kernel would not send {sent['failed']} datagrams")
    return {"heartbeats": sent["sent"], "datagrams": sent["sent"], "seconds": sent["seconds"],
            "rate": sent["sent"] / sent["seconds"]}


def count_dropped(receiver, sent, received_before, drops_before):
    """Return how many datagrams of `sent` did not arrive, once all others were counted. The kernel's
    figure counts a train of GSO as one, so it is used only if the receiver has none."""
    if received_before is None:
        return receiver.drops() - drops_before
    last = None
    end = time.monotonic() + SETTLED_S
    while time.monotonic() < end:
        received = receiver.received() - received_before
        if received == sent:
            return 0
        if received != last:
            last, end = received, time.monotonic() + SETTLED_S
    if receiver.drops() == drops_before:
        raise Failure(f"of {sent} datagrams {last} were counted, and none dropped")
    return sent - last


def measure(receiver, send):
    """Measure what `send()` costs the receiver: heartbeats a CPU second, and losses."""
    used, drops, received = receiver.cpu_seconds(), receiver.drops(), receiver.received()
    sent = send()
    receiver.wait_idle()
    dropped = count_dropped(receiver, sent["datagrams"], received, drops)
    used = receiver.cpu_seconds() - used
    arrived = sent["heartbeats"] * (1 - dropped / sent["datagrams"])
    return {"per_core": arrived / used, "dropped": dropped, "rate": sent["rate"],
            "busy": used / sent["seconds"]}
