"""Faults of the segment: upgraded, deleted, overwritten, truncated, replaced; and of the memory that it is in."""

import math
import os
import shutil
import signal

import earlier_layout
from kinds import COLLECTORS, collector_of, drawer, kind, mend_group, put_down, revive
from oracle import MENDED
from programs import Crashed

# Each gives an option another value; all of these geometries have room for everybody.
GEOMETRIES = (("max-scopes", (256, 512, 300)), ("max-histories", (8, 4, 12)), ("events", (64, 128, 256)),
              ("max-streams", (64, 32, 128)))
SCRIBBLED = 3, 4, 5, 7  # sections of the segment: rings, table, activities, minutes
RUNNING = (("workers", (1, 2, 3)), ("receive", ("io_uring", "recvmmsg")))


def change(collector, draw, choices):
    """Give the collector another value of one of its options."""
    option, values = draw.choice(choices)
    options = collector.service.options
    options[option] = draw.choice([value for value in values if value != options[option]])


def replace_counts(collector):
    """The next segment begins with nobody."""
    collector.ledger.lose()
    collector.ledger.doubt()


def restart_changed(world, fault, choices):
    """Restart a collector with another value of one of its options."""
    collector = collector_of(world, fault.target)
    put_down(world, collector, signal.SIGTERM)
    change(collector, drawer(fault), choices)
    yield
    yield from revive(world, collector)


@kind("upgraded", COLLECTORS, claims=("tmpfs",))
def upgraded(world, fault):
    """Another geometry: everything moves."""
    yield from restart_changed(world, fault, GEOMETRIES)


@kind("other workers", COLLECTORS)
def other_workers(world, fault):
    """Another number of workers, or another way to receive."""
    yield from restart_changed(world, fault, RUNNING)


@kind("upgraded from an earlier version", COLLECTORS, claims=("tmpfs",))
def upgraded_from_earlier(world, fault):
    """The segment is one that an earlier version has left, which readers can't read."""
    collector = collector_of(world, fault.target)
    put_down(world, collector, signal.SIGTERM)
    collector.ledger.be_nameless()
    earlier_layout.make_earlier(collector.segment, drawer(fault).choice((2, 3)))
    yield
    yield from revive(world, collector)
    collector.ledger.be_nameless(collector.ledger.now() + 1)


@kind("other table", COLLECTORS, claims=("tmpfs",))
def other_table(world, fault):
    """Restarted with another --max-entries: counts begin anew, and say so."""
    collector = collector_of(world, fault.target)
    put_down(world, collector, signal.SIGTERM)
    change(collector, drawer(fault), (("max-entries", (20000, 24000, 16000)),))
    replace_counts(collector)
    collector.counts_began = False  # counters move
    collector.ledger.be_nameless()
    yield
    yield from revive(world, collector, anew=True)
    collector.ledger.be_nameless(collector.ledger.now() + 1)


@kind("segment deleted", COLLECTORS, claims=("tmpfs",))
def segment_deleted(world, fault):
    """Under a running collector: it has its name again within 5 s."""
    collector = collector_of(world, fault.target)
    os.unlink(collector.segment)
    collector.ledger.be_nameless(collector.ledger.now() + MENDED)
    yield


@kind("segment moved", COLLECTORS, claims=("tmpfs",))
def segment_moved(world, fault):
    collector = collector_of(world, fault.target)
    os.rename(collector.segment, collector.segment + ".moved")
    collector.ledger.be_nameless(collector.ledger.now() + MENDED)
    yield
    while not os.path.exists(collector.segment):
        yield
    if os.path.exists(collector.segment + ".moved"):
        os.unlink(collector.segment + ".moved")


def clean(collector):
    """Remove what the collector has moved aside."""
    home = os.path.dirname(collector.segment)
    for name in os.listdir(home):
        if name != os.path.basename(collector.segment):
            os.unlink(os.path.join(home, name))


def inode(path):
    """Which file has the name; None: none has."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


@kind("segment replaced", COLLECTORS, claims=("tmpfs",))
def segment_replaced(world, fault):
    """Under a running collector, by a file that is none, or by a copy of an older one."""
    collector, draw = collector_of(world, fault.target), drawer(fault)
    other = os.path.join(collector.home, "other")
    if draw.random() < 0.5:
        shutil.copyfile(collector.segment, other)
        os.truncate(other, draw.randrange(1, os.path.getsize(other)))
    else:
        write_garbage(other, 100000, draw)
    os.chmod(other, 0o640)
    mine = inode(other)
    os.rename(other, collector.segment)
    collector.ledger.be_nameless(collector.ledger.now() + MENDED)
    yield
    while inode(collector.segment) in (mine, None):
        yield
    clean(collector)


def write_garbage(path, size, draw):
    with open(path, "wb") as file:
        file.write(draw.randbytes(size))


def lost(world, fault, damage):
    """While the collector is down, `damage` its segment: the next one begins with nobody."""
    collector, draw = collector_of(world, fault.target), drawer(fault)
    put_down(world, collector, draw.choice((signal.SIGKILL, signal.SIGTERM)))
    replace_counts(collector)
    collector.ledger.be_nameless()
    damage(collector, draw)
    yield
    yield from revive_or_remove(world, collector)
    collector.ledger.be_nameless(collector.ledger.now() + 1)


def revive_or_remove(world, collector):
    """Start it anew. A file that can't be told from somebody else's is left alone: it has to be removed."""
    service = collector.service
    service.ends_by_itself = True
    yield from revive(world, collector, anew=True)
    service.ends_by_itself = False
    if service.process.poll() is not None:
        service.note_refused()
        if "was left alone" not in service.output(service.said_before):
            raise Crashed(f"{service.name}: {service.output(service.said_before)}")
        os.unlink(collector.segment)
        yield from revive(world, collector, anew=True)


@kind("segment lost", COLLECTORS, claims=("tmpfs",))
def segment_lost(world, fault):
    yield from lost(world, fault, lambda collector, draw: os.unlink(collector.segment))


@kind("segment overwritten", COLLECTORS, claims=("tmpfs",))
def segment_overwritten(world, fault):
    """In place: readers have it mapped."""
    def overwrite(collector, draw):
        collector.ledger.garbled_until = math.inf
        size = os.path.getsize(collector.segment)
        with open(collector.segment, "r+b") as file:
            file.write(draw.randbytes(draw.choice((8, 1000, size))))

    yield from lost(world, fault, overwrite)


@kind("segment scribbled", COLLECTORS, claims=("tmpfs",))
def segment_scribbled(world, fault):
    """Somebody writes garbage over what a running collector counts. Numbers may be wrong then, but nothing
    crashes or hangs, and the next collector begins with nobody."""
    collector, draw = collector_of(world, fault.target), drawer(fault)
    collector.ledger.garbled_until = math.inf
    for number in SCRIBBLED:
        scribble(collector.segment, draw, *earlier_layout.section(collector.segment, number))
    yield
    put_down(world, collector, draw.choice((signal.SIGKILL, signal.SIGTERM)))
    replace_counts(collector)
    collector.counts_began = collector.quiet = False
    yield from revive(world, collector, anew=True)


def scribble(path, draw, offset, size):
    """Write random words to some of a file's words in place."""
    with open(path, "r+b", buffering=0) as file:
        for _ in range(200):
            file.seek(offset + 8 * draw.randrange(size // 8))
            file.write(draw.randbytes(8))


@kind("segment truncated", COLLECTORS, claims=("tmpfs",))
def segment_truncated(world, fault):
    """Another file has its name, which is shorter: cut off, or empty."""
    def truncate(collector, draw):
        shutil.copy(collector.segment, collector.segment + ".short")
        os.truncate(collector.segment + ".short",
                    draw.choice((0, 1, 500, 944, draw.randrange(os.path.getsize(collector.segment)))))
        os.rename(collector.segment + ".short", collector.segment)

    yield from lost(world, fault, truncate)


# ---- no room ----------------------------------------------------------------------------------------


def fill(directory):
    """Fill a file system; returns the file that does."""
    path = os.path.join(directory, "filler")
    with open(path, "wb", buffering=0) as file:
        for size in 1 << 20, 1 << 12:
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return path


@kind("tmpfs full", COLLECTORS, claims=("tmpfs",))
def tmpfs_full(world, fault):
    """While the collector runs, restarts, or would need a larger segment: then it says so and ends."""
    collector, draw = collector_of(world, fault.target), drawer(fault)
    filler, service = fill(world.directory), collector.service
    what = draw.choice(("run", "restart", "upgrade", "delete"))
    if what == "restart":
        put_down(world, collector, signal.SIGTERM)
        yield from revive(world, collector)
    elif what == "upgrade":
        put_down(world, collector, signal.SIGTERM)
        change(collector, draw, GEOMETRIES)
        service.begin()
        if not service.wait_refused():  # a reader has just let go of a deleted segment: there is room
            collector.ledger.listen()
            mend_group(world, collector.name)
            what = "run"
    elif what == "delete":
        os.unlink(collector.segment)
        collector.ledger.be_nameless()
    yield
    os.unlink(filler)
    if what == "upgrade":
        yield from revive(world, collector)
    elif what == "delete":
        collector.ledger.be_nameless(collector.ledger.now() + MENDED)


@kind("disk full", {"alone": ("recorder",), "engine": ("recorder",)}, claims=("disk",))
def disk_full(world, fault):
    """The recorder's. It goes on once there is room."""
    filler = fill(os.path.join(world.directory, "disk"))
    service = world.services["recorder"]
    restarts = drawer(fault).random() < 0.5
    if restarts:
        service.end(failing=True)
        service.begin()
        service.ends_by_itself = True
    yield
    os.unlink(filler)
    service.ends_by_itself = False
    if service.process.poll() is not None:
        service.note_refused()
        service.begin()
