"""Run clang-tidy on files, side by side, and print what it finds, but for what clang-tidy.suppressions has."""

import argparse
import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys

SUPPRESSIONS = os.path.join(os.path.dirname(__file__), "clang-tidy.suppressions")
FINDING = re.compile(r"^(\S+):(\d+):\d+: (?:error|warning): .* \[([^]]+)\]$", re.M)

Suppression = collections.namedtuple("Suppression", "check path text")


def read_suppressions():
    """The lines CHECK PATH TEXT: a finding on a line that has the text."""
    lines = [line.split(None, 2) for line in open(SUPPRESSIONS).read().splitlines()]
    return {Suppression(*line) for line in lines if line and line[0] != "#"}


def look(options, path):
    """All that clang-tidy prints on a file. Its standard error counts warnings, unless it says why it failed."""
    done = subprocess.run(["clang-tidy", "-p", options.database, "--quiet", f"--checks={options.checks}",
                           "--extra-arg=-Wno-unknown-warning-option", path], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 or FINDING.search(done.stdout) else done.stdout + done.stderr


def name_of(base, path):
    """A file's name from the checkout on, or from the build directory on if it was generated there."""
    name = os.path.normpath(path)
    return name if not name.startswith((os.pardir, os.sep)) else os.path.relpath(os.path.join(base, path))


def findings(base, output):
    """(name, line, checks, text with its notes) of each finding; or all of it, if it failed otherwise."""
    begins = [match.start() for match in FINDING.finditer(output)]
    if output.strip() and begins[:1] != [0]:
        yield None, 0, "", output[:begins[0]] if begins else output
    for begin, end in zip(begins, [*begins[1:], len(output)]):
        path, line, checks = FINDING.match(output, begin).groups()
        yield name_of(base, path), int(line), checks, output[begin:end]


def suppression(stay, path, checks, text):
    """The suppression of a finding, or None. clang-tidy prints the line of the source behind the finding."""
    source = (text.splitlines() + ["", ""])[1]
    return next((each for each in stay
                 if each.check in checks.split(",") and each.path == path and each.text in source), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", default="", help="beside those of .clang-tidy")
    parser.add_argument("--all", action="store_true", help="these are all files: each suppression has to be of use")
    parser.add_argument("database", help="the directory of compile_commands.json")
    parser.add_argument("paths", nargs="+")
    options = parser.parse_args()
    stay, shown, used = read_suppressions(), set(), set()
    base = json.load(open(os.path.join(options.database, "compile_commands.json")))[0]["directory"]
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for output in pool.map(lambda path: look(options, path), options.paths):
            for path, line, checks, text in findings(base, output):
                if reason := suppression(stay, path, checks, text):
                    used.add(reason)
                elif (path, line, checks) not in shown:  # a header's come again in each file that includes it
                    shown.add((path, line, checks))
                    print(text, end="", flush=True)
    useless = stay - used if options.all else set()
    for reason in useless:
        print("clang-tidy.suppressions: no such finding:", *reason)
    return bool(shown or useless)


if __name__ == "__main__":
    sys.exit(main())
