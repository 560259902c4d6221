"""What has to be true of a collector and of the recorder's database when everything has ended."""

import contextlib
import json
import sqlite3

from harness import OUTCOMES
from oracle import Wrong

BURST = 256  # datagrams that a killed worker may have received and counted in part


def check_account(collector):
    """R7: received = accepted + rejected, and every visitor has an outcome; table and counts agree."""
    status, out, err = collector.ctl.run("stats", "--json")
    if status != 3:
        raise Wrong(f"{collector.name}: stats of a stopped collector: {status}, {err}")
    stats = json.loads(out)
    rejected = sum(value for name, value in stats.items() if name.startswith("datagrams_rejected_"))
    missing = stats["datagrams_received"] - stats["datagrams_accepted"] - rejected
    if abs(missing) > (0 if collector.quiet else BURST * 3):
        raise Wrong(f"{collector.name}: the account does not close: {stats}")
    outcomes = sum(stats[name] for name in OUTCOMES)
    if outcomes < stats["datagrams_accepted"] - stats["datagrams_empty"] - (0 if collector.quiet else BURST):
        raise Wrong(f"{collector.name}: visitors without an outcome: {stats}")
    ledger = collector.ledger
    if not ledger.surely <= outcomes:
        raise Wrong(f"{collector.name}: {ledger.surely} heartbeats surely came, {outcomes} have an outcome")
    if collector.counts_began and outcomes > ledger.surely + 2 * (ledger.perhaps + ledger.flying()):
        raise Wrong(f"{collector.name}: {outcomes} heartbeats have an outcome; {ledger.surely} surely came, "
                    f"{ledger.perhaps} perhaps, {ledger.flying()} were under way")
    status, out, err = collector.ctl.run("verify")
    if status != 3 and (collector.quiet or status != 1):
        raise Wrong(f"{collector.name}: verify: {status}, {out}{err}")


def check_database(path, sites):
    """The recorder has ended: its database is sound, and has the sites."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        found = database.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            raise Wrong(f"the recorder's database: {found}")
        named = {site for site, in database.execute(
            "SELECT site FROM minute JOIN scope ON scope.id = scope WHERE kind = 0")}
    if not set(sites) <= named:
        raise Wrong(f"the recorder's database lacks sites: it has {named}")
