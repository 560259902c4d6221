"""libpresence's reading half, for tests that ask it more often than they could start programs."""

import ctypes
import os

from harness import BUILD

KINDS = {"site": 0, "room": 1, "country": 2, "source": 3}
ENOENT = 2


class Reading(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("count", "window_s", "last_heartbeat_s")] + [
        (name, ctypes.c_bool) for name in ("exists", "known", "partial", "stale", "warming")] + [
        ("as_of", ctypes.c_int64), ("as_of_age_s", ctypes.c_uint64)]


class Entry(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 256), ("count", ctypes.c_uint32),
                ("last_heartbeat_s", ctypes.c_uint32), ("partial", ctypes.c_bool)]


class Listing(ctypes.Structure):
    _fields_ = [("entries", ctypes.POINTER(Entry)), ("length", ctypes.c_size_t),
                ("partial", ctypes.c_bool), ("site", Reading)]


class Presence:
    """A segment that is open for reading, as long as the test runs."""

    library = None

    def __init__(self, case, segment):
        if not self.library:
            Presence.library = ctypes.CDLL(os.path.join(BUILD, "lib/presence/libpresence.so"))
            self.library.presence_counter.restype = ctypes.c_uint64
        self.handle = ctypes.c_void_p()
        self.check(self.library.presence_open(segment.encode(), ctypes.byref(self.handle)))
        case.addCleanup(self.library.presence_close, self.handle)

    @staticmethod
    def check(result):
        if result < 0:
            raise OSError(-result, os.strerror(-result))

    def count(self, site, kind="site", name="", window=0):
        reading = Reading()
        self.check(self.library.presence_count_scope(
            self.handle, KINDS[kind], site.encode(), name.encode(), window, ctypes.byref(reading)))
        return reading.count

    def has_seen(self, site, identity):
        """Whether it knows the visitor with these 16 bytes on the site."""
        reading, text = Reading(), identity.hex()
        uuid = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        self.check(self.library.presence_seen(self.handle, site.encode(), uuid.encode(),
                                              ctypes.byref(reading)))
        return reading.exists

    def counter(self, name):
        return self.library.presence_counter(self.handle, name.encode())

    def listing(self, site, kind, window=0):
        """Return the count of each scope of a kind that has anybody, by its name."""
        listing = Listing()
        if kind == "site":
            result = self.library.presence_sites(self.handle, window, ctypes.byref(listing))
        else:
            result = self.library.presence_top(self.handle, site.encode(), KINDS[kind], window, 0,
                                               ctypes.byref(listing))
        self.check(result)
        found = {entry.name.decode(): entry.count for entry in listing.entries[:listing.length]
                 if entry.count}
        self.library.presence_listing_free(ctypes.byref(listing))
        return found
