"""Report which lines and branches ran: a table of folders with limits, and files with the details.

A line counts if it has code, in any program that has it. It ran if any of its regions did. A branch is one outcome of
one condition, as clang sees it: `a && b` has four, a `case` two. Conditions in macros don't count.
"""

import collections
import glob
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(TOP, "tests/tree"))
import source  # noqa: E402

# folder: per cent of lines and of branches at least, in all of it
LIMITS = {"daemon": (95, 85), "include": (95, 85), "lib": (95, 85), "tools": (85, 70)}


class File:
    """The lines and branches of a source file, over all programs."""

    def __init__(self, path):
        self.path = path
        self.code = source.split(path)[0].splitlines()
        self.ran = {}  # line: whether it ran
        self.outcomes = collections.Counter()  # (line, column, line, column, outcome): how often

    def add_lines(self, segments):
        """Count a line by the regions that begin in it, and by the one that it begins in, as llvm-cov does."""
        by_line = collections.defaultdict(list)
        for segment in segments:
            by_line[segment[0]].append(segment)
        around = None
        for line in range(segments[0][0], segments[-1][0] + 1) if segments else ():
            counts = [around[2]] if around and around[3] else []
            counts += [count for _, _, count, has_count, entry, gap in by_line[line] if has_count and entry and not gap]
            text = self.code[line - 1] if line <= len(self.code) else ""
            if counts and re.search(r"\w", text) and not text.startswith("#"):
                self.ran[line] = self.ran.get(line, False) or any(counts)
            around = by_line[line][-1] if by_line[line] else around

    def add_branches(self, branches, segments):
        counts = {(line, column): count for line, column, count, *_ in segments}
        for branch in branches:
            place, (true, false) = tuple(branch[:4]), branch[4:6]
            if not true and not false and counts.get(place[:2]):
                continue  # a constant
            self.outcomes[(*place, True)] += true
            self.outcomes[(*place, False)] += false

    def functions(self):
        """{line: the function that it belongs to}"""
        found, name, inside = {}, "", ""
        for number, text in enumerate(self.code, 1):
            head = re.match(r"[A-Za-z_][^;=(]*?\b(\w+)\(", text)
            if head and head[1] != "__attribute__":
                name = head[1]
            if text.startswith("{"):
                inside = name
            found[number] = inside or name
            if text.startswith("}"):
                inside = ""
        return found


def programs(build):
    """The programs and shared libraries of a build that count."""
    for path in sorted(glob.glob(build + "/**/*", recursive=True)):
        if os.path.isfile(path) and not os.path.islink(path) and ".p/" not in path and ".o" not in path[-2:]:
            with open(path, "rb") as file:
                content = file.read() if file.read(4) == b"\x7fELF" else b""
            if b"__llvm_covmap" in content:
                yield path


def export(program, profile):
    done = subprocess.run(["llvm-cov", "export", program, "-instr-profile", profile, "-skip-functions"],
                          capture_output=True)
    if done.returncode != 0:
        sys.exit(f"llvm-cov export {program}: {done.stderr.decode()}")
    return json.loads(done.stdout)["data"][0]["files"]


def load(build, profile):
    """{path: File} of the product"""
    found = {}
    product = set(source.files(*LIMITS))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for entries in pool.map(lambda program: export(program, profile), programs(build)):
            for entry in entries:
                path = os.path.normpath(entry["filename"])
                if path not in product:
                    continue
                file = found.setdefault(path, File(path))
                file.add_lines(entry["segments"])
                file.add_branches(entry["branches"], entry["segments"])
    return found


def share(ran, count):
    return 100 * ran / count if count else 100


def figures(files):
    """(lines that ran, lines, outcomes that were seen, outcomes)"""
    return (sum(sum(file.ran.values()) for file in files), sum(len(file.ran) for file in files),
            sum(bool(count) for file in files for count in file.outcomes.values()),
            sum(len(file.outcomes) for file in files))


def row(name, numbers):
    lines_ran, lines, seen, outcomes = numbers
    return (f"{name:44} {lines_ran:6} of {lines:6} {share(lines_ran, lines):6.1f} %"
            f" {seen:6} of {outcomes:6} {share(seen, outcomes):6.1f} %")


def print_table(files):
    """Print the folders, and return whether all reach their limits."""
    folders = collections.defaultdict(list)
    for path, file in files.items():
        parts = path.split("/")[:-1]
        for depth in {1, min(2, len(parts))}:
            folders["/".join(parts[:depth])].append(file)
    print(f"{'':44} {'lines':>23} {'branches':>23}")
    good = True
    for folder in sorted(folders):
        numbers = figures(folders[folder])
        lines, branches = LIMITS.get(folder, (0, 0))
        low = share(*numbers[:2]) < lines or share(*numbers[2:]) < branches
        print(row(folder, numbers) + (f"  below {lines} % or {branches} %" if low else ""))
        good = good and not low
    return good


def write_files(files, path):
    with open(path, "w", encoding="utf-8") as out:
        for name in sorted(files):
            print(row(name, figures([files[name]])), file=out)


def write_lines(files, path):
    """Write each line and branch that did not run."""
    with open(path, "w", encoding="utf-8") as out:
        for name in sorted(files):
            file = files[name]
            functions = file.functions()
            notes = collections.defaultdict(list)
            for line, ran in file.ran.items():
                if not ran:
                    notes[line].append("line")
            for (line, column, *_, outcome), count in sorted(file.outcomes.items()):
                if not count and file.ran.get(line):
                    notes[line].append(f"{column}:{'true' if outcome else 'false'}")
            text = source.read(name).splitlines()
            for line in sorted(notes):
                print(f"{name}:{line}: {functions[line]}: {' '.join(notes[line])}: {text[line - 1].strip()}", file=out)


def main(build, raw):
    directory = os.path.join(os.path.dirname(build), "coverage-report")
    os.makedirs(directory, exist_ok=True)
    profile = os.path.join(directory, "counted")
    subprocess.run(["llvm-profdata", "merge", "-o", profile, *glob.glob(raw + "/*.profraw")], check=True)
    files = load(build, profile)
    write_files(files, os.path.join(directory, "files.txt"))
    write_lines(files, os.path.join(directory, "lines.txt"))
    good = print_table(files)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*map(os.path.abspath, sys.argv[1:3])))
