"""A stand-in for the service manager, as far as a service can tell: a socket for sd_notify(3), a
descriptor store, and what sd_listen_fds(3) reads. Written from the manual pages."""

import array
import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import threading
import time

from harness import wait_until

HIGH = 400  # stored descriptors are passed by numbers from here on, and moved down by a shell
KCMP = {"x86_64": 312, "aarch64": 272}[os.uname().machine]
LIBC = ctypes.CDLL(None, use_errno=True)


def is_same(a, b):
    """True if two descriptors are one open file (kcmp(2), KCMP_FILE)."""
    pid = os.getpid()
    return LIBC.syscall(KCMP, pid, pid, 0, a, b) == 0


def cookie(descriptor):
    """What names a socket for as long as it is open, whoever holds it (SO_COOKIE)."""
    with contextlib.closing(socket.socket(fileno=os.dup(descriptor))) as one:
        return struct.unpack("=Q", one.getsockopt(socket.SOL_SOCKET, 57, 8))[0]


class ServiceManager:
    """Keeps what services store, and passes it to those that are started with keywords()."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.store = []  # (name, descriptor) in the order in which they came
        self.passed = []  # the same, of sockets that a socket unit opened
        self.messages = []  # each as a dictionary, but for those about descriptors
        self.deaf = False  # it stores nothing
        self.room = 4096  # for so many descriptors
        self.lag = 0  # seconds until it removes what it is told to
        self.lock = threading.Lock()
        # As many messages may wait as systemd lets: a program does not wait long for a starved thread.
        with contextlib.suppress(OSError), open("/proc/sys/net/unix/max_dgram_qlen", "w") as file:
            file.write("512")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.end, self.ended = os.pipe()
        self.thread = threading.Thread(target=self.receive)
        self.thread.start()

    def close(self):
        os.close(self.ended)
        self.thread.join()
        self.lose()
        self.socket.close()
        os.close(self.end)
        os.unlink(self.path)

    def receive(self):
        while True:
            ready, _, _ = select.select([self.socket, self.end], [], [])
            if self.end in ready:
                return
            size = array.array("i").itemsize
            text, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(16 * size))
            descriptors = array.array("i")
            for _, kind, data in ancillary:
                if kind == socket.SCM_RIGHTS:
                    descriptors.frombytes(data[:len(data) - len(data) % size])
            message = dict(line.split("=", 1) for line in text.decode().splitlines())
            if self.lag and "FDSTOREREMOVE" in message:
                time.sleep(self.lag)
            with self.lock:
                self.handle(message, list(descriptors))

    def handle(self, message, descriptors):
        name = message.get("FDNAME", "stored")
        if "FDSTOREREMOVE" in message:
            for one in [one for one in self.store if one[0] == name]:
                self.store.remove(one)
                os.close(one[1])
        elif "FDSTORE" in message and ":" not in name and len(name) < 256:
            for descriptor in descriptors:
                known = any(is_same(descriptor, other) for _, other in self.store)
                if self.deaf or known or len(self.store) >= self.room:
                    os.close(descriptor)
                else:
                    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH)
                    os.close(descriptor)
                    self.store.append((name, high))
        else:
            for descriptor in descriptors:
                os.close(descriptor)
            self.messages.append(message)

    def add(self, name, descriptor):
        """Store a descriptor of the test's own."""
        with self.lock:
            self.store.append((name, fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH)))

    def lose(self, keep=lambda name: False):
        """Close what is stored, but for names that are kept."""
        with self.lock:
            for name, descriptor in self.store:
                if not keep(name):
                    os.close(descriptor)
            self.store = [one for one in self.store if keep(one[0])]

    def names(self):
        with self.lock:
            return [name for name, _ in self.store]

    def cookies(self):
        """The stored sockets: name to cookie."""
        with self.lock:
            return {name: cookie(one) for name, one in self.store if "-socket-" in name}

    def inodes(self):
        """The stored sockets: inode to worker."""
        with self.lock:
            return {os.fstat(one).st_ino: int(name.split("-")[2]) for name, one in self.store
                    if "-socket-" in name}

    def said(self, key):
        with self.lock:
            return [message[key] for message in self.messages if key in message]

    def wait_said(self, key, times=1):
        return wait_until(lambda: len(self.said(key)) >= times and self.said(key)[-1],
                          f"{key} from the service")

    def settle(self):
        """Wait until all that has come so far is handled: messages are in the order of their coming."""
        mark = str(len(self.said("MARK")))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(f"MARK={mark}".encode(), self.path)
        wait_until(lambda: mark in self.said("MARK"), "the service manager to come to a message")

    def keywords(self, prefix=(), environment=None):
        """The keywords for Case.start that let a service have this manager. What the one before has
        said comes first: it may have had descriptors removed, which are closed then."""
        self.settle()
        with self.lock:
            all_passed = self.passed + self.store
            moves = " ".join(f"{3 + i}<&{one} {one}<&-" for i, (_, one) in enumerate(all_passed))
            listen = {"LISTEN_FDS": str(len(all_passed)),
                      "LISTEN_FDNAMES": ":".join(name for name, _ in all_passed)}
            return {
                "descriptors": [one for _, one in all_passed],
                "environment": {"NOTIFY_SOCKET": self.path, **(listen if all_passed else {}),
                                **(environment or {})},
                "prefix": ("bash", "-c", f'export LISTEN_PID=$$; exec "$@" {moves}', "bash",
                           *prefix),
            }
