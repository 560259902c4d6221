"""tests/bench/run, once everything is installed and built."""

import argparse
import json
import signal
import sys
import time

import audience
import beginning
import chart
import counting
import curves
import edge
import engine
import heartbeats
import latency
import machine
import memory
import publishing
import relaying
import results
import scraping
import workers

GROUPS = {
    "heartbeats": heartbeats, "edge": edge, "workers": workers, "count": counting, "memory": memory,
    "audience": audience, "latency": latency, "scrape": scraping,
    "relay": relaying, "publisher": publishing, "engine": engine, "beginning": beginning,
    "chart": curves,
}
QUIET = 0.5  # load average above which figures are not to be believed


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--markdown", metavar="FILE")
    parser.add_argument("--svg", metavar="FILE")
    parser.add_argument("--only", metavar="NAME", action="append", choices=GROUPS)
    return parser.parse_args()


def wanted_groups(wanted):
    names = wanted.only or list(GROUPS)
    if wanted.svg and "chart" not in names:
        names.append("chart")
    return names


def print_all(found, about, names, out):
    print(f"presence, {about['when']}, Linux {about['kernel']}, {about['processors']} × "
          f"{about['processor']}, {', '.join(names)}\n", file=out)
    results.print_table(found, out)
    results.print_targets(found, out)
    if about["load_before"] > QUIET:
        print(f"\nThe machine was busy (load average {about['load_before']:.2f} before): don't "
              "compare these figures with others.", file=out)


def main():
    wanted = arguments()
    names, about, found = wanted_groups(wanted), machine.describe(), results.Results()
    start = time.monotonic()
    for name in names:
        GROUPS[name].run(found, wanted.quick)
    machine.report_clear()
    about["seconds"], about["quick"] = round(time.monotonic() - start), wanted.quick
    print_all(found, about, names, sys.stdout)
    if wanted.json:
        with open(wanted.json, "w") as file:
            json.dump({"about": about, **found.as_json()}, file, indent=1)
    if wanted.markdown:
        with open(wanted.markdown, "w") as file:
            results.print_markdown(found, file)
    if wanted.svg:
        with open(wanted.svg, "w") as file:
            file.write(chart.draw(found.curves, about))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except (machine.Failure, OSError) as failure:
        machine.report_clear()
        print(f"tests/bench/run: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        machine.Server.close_all()
