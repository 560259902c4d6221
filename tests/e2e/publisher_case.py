"""A collector, an engine and publishers, for the tests of presence-publisher."""

import os

from datagrams import native, visitor
from engine import RedisServer
from harness import Case, wait_until, with_defaults
from publisher import LIFETIME_MS, Publisher, Shard

WINDOW = 10  # seconds, the collector's only one


class PublisherCase(Case):
    """A collector of a short window, an engine, and publishers."""

    window = WINDOW
    labelled = None  # the only sites with rooms, countries and sources; None: it may be any

    def setUp(self):
        super().setUp()
        self.use(RedisServer(self.directory))

    def use(self, engine, shard=None):
        """Publish to this engine from now on; `shard`: read it there."""
        self.addCleanup(engine.ensure_ended)
        self.engine = engine
        self.shard = shard or Shard(engine)
        return engine

    def start(self, *arguments, **keywords):
        if not os.path.exists(self.segment):
            self.sent = 0  # datagrams to collectors of this segment
        arguments = with_defaults(("--max-window", str(self.window), "--warm-up", "0"), arguments)
        return super().start(*arguments, **keywords)

    def publish(self, *arguments, wait=True, url=None, **keywords):
        publisher = Publisher(self.segment, url or self.engine.url, *arguments, **keywords)
        self.addCleanup(publisher.ensure_ended)
        return publisher.wait_published() if wait else publisher

    def beat(self, collector, *numbers, site="example.com", **place):
        """A heartbeat of these visitors, or a leave with kind=LEAVE."""
        self.send(collector, native(site, [visitor(number) for number in numbers], **place))

    def send(self, collector, *datagrams):
        super().send(collector, *datagrams)
        self.sent += len(datagrams)

    def counted(self):
        """What presencectl says, without zeros: ({site: count}, {site: {field: count}})."""
        sites, scopes = {}, {}
        for entry in self.json("sites")["sites"]:
            site = entry["site"]
            sites[site] = entry["count"]
            scopes[site] = {} if site not in (self.labelled or [site]) else {
                kind[0] + label[kind]: label["count"]
                for kind, kinds in (("room", "rooms"), ("country", "countries"),
                                    ("source", "sources"))
                for label in self.json("top", site, "--by", kind, "--limit", "0")[kinds]
                if label["count"]}
        return {site: count for site, count in sites.items() if count}, scopes

    def published(self, sites=()):
        """What the engine has, without marks; None: it is not of one epoch. `sites` are looked up
        even if they have no count."""
        counts = self.shard.sites(self.window)
        if counts is None or not self.shard.state():
            return None
        scopes = {site: self.shard.site(site, self.window) for site in {*counts, *sites}}
        if None in scopes.values():
            return None
        return counts, {site: {name: value for name, value in fields.items() if name[0] != "?"}
                        for site, fields in scopes.items()}

    def wait_equal(self, sites=None):
        """Wait until the engine has what the collector counts of all that was sent, of so many sites
        if that is said."""
        self.wait_received(self.sent)

        def equal():
            counted, scopes = self.counted()
            return sites in (None, len(counted)) and self.published(scopes) == (counted, scopes)

        wait_until(equal, lambda: f"equal counts: {self.counted()}, {self.published()}")

    def assert_expiring(self):
        """Check that every key expires, and the shard's owner within 5 s."""
        for key in self.shard.engine.call("KEYS", f"{self.shard.key}*"):
            longest = 5000 if key.endswith(":owner") else LIFETIME_MS
            self.assertIn(self.shard.engine.call("PTTL", key), range(1, longest + 1), key)
