"""A total of groups in Redis: one room over all shards, for Redis and for who asks."""

import contextlib
import re
import subprocess

from machine import bench, report, run_json
from peer_redis import Redis
from results import Row

# Groups, shards of each, and relays that send to them.
CASES = (1, 3, 4), (2, 3, 4), (2, 8, 100)
ROUNDS = 3
US_OF_REDIS = 100  # targets, for one group of three shards
US_WHOLE = 1000


def command_us(redis):
    """Microseconds that Redis has spent in transactions, what they are made of included."""
    stats = subprocess.run(["redis-cli", "-s", redis.path, "INFO", "commandstats"], check=True,
                           capture_output=True, text=True).stdout
    spent = re.search(r"cmdstat_exec:calls=\d+,usec=(\d+)", stats)
    return int(spent[1]) if spent else 0


def measure(redis, groups, shards, streams, totals):
    row = Row(f"total of a room, {groups} × {shards} shards", f"{streams} relays, one at a time",
              "/s")
    for number in range(ROUNDS):
        command = [bench("bench_engine"), "--url", f"unix:{redis.path}", "--groups", str(groups),
                   "--shards", str(shards), "--streams", str(streams), "--totals", str(totals)]
        used, inside = redis.cpu_seconds(), command_us(redis)
        done = run_json(command + (["--fill"] if number == 0 else []))[0]
        used = redis.cpu_seconds() - used
        if number:  # the first one writes
            row.add(per_core=totals / used, whole_us=done["us"], whole_us_99=done["us_99"],
                    exec_us=(command_us(redis) - inside) / totals)
    row.note = (f"{row.median('whole_us'):.0f} µs whole, 99 % within "
                f"{row.median('whole_us_99'):.0f} µs; {row.median('exec_us'):.0f} µs of it are "
                "the commands")
    return row


def run(results, quick):
    rows = []
    for groups, shards, streams in CASES:
        report(f"engine: {groups} × {shards} shards")
        with contextlib.closing(Redis()) as redis:
            rows.append(measure(redis, groups, shards, streams, 3000 if quick else 20_000))
    results.section("Totals of groups a second of Redis", rows)
    results.at_most(12, "a total of one room over three shards, in Redis", rows[0].median("exec_us"),
                    US_OF_REDIS, "µs")
    results.at_most(12, "the same, whole", rows[0].median("whole_us"), US_WHOLE, "µs")
