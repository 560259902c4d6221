"""Shards of groups as presence-publisher writes them (lib/engine/engine_keys.h and engine_shard.h), by
hand: for states in which real ones are too seldom."""

import threading
import time

from publisher import LIFETIME_MS

FRESH_EVERY = 0.5  # seconds from one write of a fresh shard's state to the next
# What a test has deleted stays deleted.
RENEW = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'as_of', ARGV[1]) end"
FRESH = {"version": 1, "windows": "300", "stale": 0, "unknown": 0, "warming": 0, "segment": "1",
         "streams": "", "streams_full": 0}


def stream(number, target=0, age=0, heartbeats=3000, expected=3000, lost=0, before=None):
    """A line of `streams`. `before`: heartbeats, expected and lost 30 s ago."""
    before = before or (heartbeats // 2, expected // 2, 0)
    return " ".join(map(str, (f"{number:016x}", target, age, heartbeats, expected, lost, *before))) + "\n"


class WrittenShards:
    """Shards in an engine. Those that shall be fresh are renewed until `close`, also while the test
    waits, since four seconds may pass on a busy machine."""

    def __init__(self, engine):
        self.engine = engine
        self.fresh = {}  # key: fields that change with each second
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.renew)
        self.thread.start()

    def close(self):
        self.ended.set()
        self.thread.join()

    def renew(self):
        with self.engine.client() as client:
            while not self.ended.wait(FRESH_EVERY):
                with self.lock:
                    for key, as_of in self.fresh.items():
                        if as_of is None:
                            client.call("EVAL", RENEW, 1, key, int(time.time()))
                        client.call("PEXPIRE", key, LIFETIME_MS)

    def write(self, group, shard, shards, counts, age_ms=None, epoch=None, registered=None, **state):
        """Write a shard anew. `counts` are {window: {site: {field: value}}}, the site's own count at
        "". With `age_ms` the shard was last written so long ago, otherwise it is fresh.
        `registered`: what the group's number of shards is said to be, if not `shards`."""
        key = f"{{presence}}:{group}:{shard}"
        epoch = epoch or f"{shard:016x}"
        windows = " ".join(map(str, sorted(counts)))
        fields = {**FRESH, "epoch": epoch, "shards": shards, "windows": windows,
                  "as_of": int(time.time() - (age_ms or 0) / 1000), "host": f"{group}-{shard}", **state}
        with self.lock, self.engine.client() as client:
            self.fresh.pop(key, None)
            leftovers = client.call("KEYS", f"{key}:*")
            client.call("MULTI")
            client.call("HSET", "{presence}:groups", group, registered or shards)
            client.call("DEL", key, *leftovers)
            client.call("HSET", key, *(word for pair in fields.items() for word in pair))
            client.call("PEXPIRE", key, LIFETIME_MS - (age_ms or 0))
            for window, sites in counts.items():
                self.write_window(client, f"{key}:{window}", epoch, sites)
            client.call("EXEC")
            if age_ms is None:
                self.fresh[key] = state.get("as_of")

    @staticmethod
    def write_window(client, key, epoch, sites):
        client.call("HSET", key, "", epoch)
        client.call("PEXPIRE", key, LIFETIME_MS)
        for site, fields in sites.items():
            if "" in fields:
                client.call("HSET", key, site, fields[""])
            client.call("HSET", f"{key}:{site}", "", epoch,
                        *(word for name, value in fields.items() if name for word in (name, value)))
            client.call("PEXPIRE", f"{key}:{site}", LIFETIME_MS)
