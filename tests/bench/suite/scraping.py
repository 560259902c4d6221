"""The cost of a scrape of presence-exporter, in its own process and over HTTP."""

import contextlib
import http.client
import re
import socket
import time

from collector import SITE, Collector
from machine import RECEIVER, Failure, Server, bench, report, run_json, tool
from results import Row

ROOMS = (100, 1000, 10_000)
HTTP_ROOMS = 1000


class Exporter(Server):
    def __init__(self, segment, rooms):
        super().__init__()
        self.start([tool("presence-exporter"), "--segment", segment, "--rooms", str(rooms),
                    "--web.listen-address", "127.0.0.1:0"],
                   lambda: "listening on" in self.output(), RECEIVER)
        self.port = int(re.search(r"listening on http://[^\s]*:(\d+)/", self.output())[1])


def fill(collector, rooms):
    """Send a visitor to each room, a few at a time, so that none is dropped."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(rooms):
            sender.sendto(f"PH1 site={SITE} visitor={number} room=/articles/{number}".encode(),
                          ("127.0.0.1", collector.port))
            if number % 100 == 99:
                collector.wait_idle()


def http_row(stack, quick):
    collector = Collector(100_000)
    stack.callback(collector.close)
    fill(collector, HTTP_ROOMS)
    exporter = Exporter(collector.segment, HTTP_ROOMS)
    stack.callback(exporter.close)
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port)
    stack.callback(connection.close)
    row = Row(f"the same over HTTP, {HTTP_ROOMS:,} rooms", "its own CPU, one connection", "/s")
    scrapes = 100 if quick else 500
    for _ in range(3):
        used, start = exporter.cpu_seconds(), time.perf_counter()
        for _ in range(scrapes):
            connection.request("GET", "/metrics")
            body = connection.getresponse().read()
        row.add(per_core=scrapes / (exporter.cpu_seconds() - used),
                ms=(time.perf_counter() - start) / scrapes * 1e3)
    if body.count(b"\npresence_room_active_visitors{") != HTTP_ROOMS:
        raise Failure("the scrape has not all rooms")
    row.note = f"{row.median('ms'):.2f} ms until it is read, {len(body):,} bytes"
    return row


def run(results, quick):
    rows = []
    for rooms in ROOMS:
        report(f"scrape: {rooms:,} rooms")
        row = Row(f"scrape, {rooms:,} rooms", "read and written", "/s")
        for _ in range(2 if quick else 3):
            scraped = run_json([bench("bench_scrape"), "--rooms", str(rooms), "--rounds", "5"])[0]
            for us in scraped["us"]:
                row.add(per_core=1e6 / us, us=us)
        row.note = f"{row.median('us'):.0f} µs, {scraped['bytes']:,} bytes"
        rows.append(row)
    with contextlib.ExitStack() as stack:
        rows.append(http_row(stack, quick))
    results.section("Scrapes a second by presence-exporter", rows)
