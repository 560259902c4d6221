"""Rows, ratios and targets, and their table."""

import statistics

PEERS = ("recvmmsg", "ZADD 1", "ZADD 40", "PFADD 40", "PostgreSQL", "ZCOUNT", "text", "presenced")


class Row:
    """Runs of one thing: how many a CPU second, or a `unit`."""

    def __init__(self, what, how="", unit="/s"):
        self.what, self.how, self.unit = what, how, unit
        self.runs = []  # dicts with at least per_core
        self.limit = None  # a Row: the most that could be
        self.peers = {}  # name -> Row
        self.note = ""

    def add(self, **run):
        self.runs.append(run)

    def values(self, key="per_core"):
        return [run[key] for run in self.runs]

    def median(self, key="per_core"):
        return statistics.median(self.values(key))

    @property
    def dropped(self):
        return sum(run.get("dropped", 0) for run in self.runs)

    def ratio(self, other):
        """Return how many times the other: the median of each round's ratio, if they took turns."""
        if other is None or not other.runs:
            return None
        if len(self.runs) == len(other.runs) and len(self.runs) > 1:
            return statistics.median(a / b for a, b in zip(self.values(), other.values()))
        return self.median() / other.median()

    def as_json(self):
        return {
            "what": self.what, "how": self.how, "unit": self.unit, "runs": self.runs,
            "median": self.median(), "dropped": self.dropped, "note": self.note,
            "ratio_to_limit": self.ratio(self.limit),
            "ratio_to_peers": {name: self.ratio(row) for name, row in self.peers.items()},
        }


class Target:
    """One of the targets, or a part of one."""

    def __init__(self, number, wanted, measured, is_met):
        self.number, self.wanted, self.measured, self.is_met = number, wanted, measured, is_met

    def as_json(self):
        return {"target": self.number, "wanted": self.wanted, "measured": self.measured,
                "met": self.is_met}


class Results:
    """The results of a run of the suite."""

    def __init__(self):
        self.sections = []  # (title, rows)
        self.targets = []
        self.curves = {}  # name -> {"throughput": [(visitors, value)], "memory": ...}

    def section(self, title, rows):
        self.sections.append((title, [row for row in rows if row.runs]))

    def target(self, number, wanted, measured, is_met):
        self.targets.append(Target(number, wanted, measured, bool(is_met)))

    def at_least(self, number, wanted, value, bound, unit="×", clean=True, remark=""):
        """Add a target that is a lower bound. `clean`: nothing was dropped."""
        measured = f"{value:.3g} {unit}" + (f" ({remark})" if remark else "")
        measured += "" if clean else ", but datagrams were dropped"
        self.target(number, f"{wanted} ≥ {bound:g} {unit}", measured, value >= bound and clean)

    def at_most(self, number, wanted, value, bound, unit, remark=""):
        measured = f"{value:.3g} {unit}" + (f" ({remark})" if remark else "")
        self.target(number, f"{wanted} ≤ {bound:g} {unit}", measured, value <= bound)

    def as_json(self):
        return {
            "sections": [{"title": title, "rows": [row.as_json() for row in rows]}
                         for title, rows in self.sections],
            "targets": [target.as_json() for target in sorted_targets(self.targets)],
            "curves": self.curves,
        }


def sorted_targets(targets):
    return sorted(targets, key=lambda target: target.number)


def number(value):
    """Format a number: 1.23 M, 456 k, 7.8."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def ratio(value):
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"


def row_cells(row, peers):
    spread = f"{number(min(row.values()))} to {number(max(row.values()))}"
    cells = [row.what, row.how, number(row.median()) + row.unit,
             spread if len(row.runs) > 1 else "", ratio(row.ratio(row.limit))]
    cells += [ratio(row.ratio(row.peers.get(peer))) for peer in peers]
    has_drops = any("dropped" in run for run in row.runs)
    return cells + [", ".join(filter(None, [f"{row.dropped} dropped" if has_drops else "",
                                            row.note]))]


def print_table(results, out):
    """Print all sections as one table, without columns of peers that nothing was compared with."""
    rows = [row for _, rows in results.sections for row in rows]
    peers = [peer for peer in PEERS if any(peer in row.peers for row in rows)]
    head = ["", "", "per core", "spread", "limit", *peers, ""]
    lines = [head, ["", "", "median", "of runs", "×", *["×"] * len(peers), ""]]
    for title, section in results.sections:
        lines += [[], [title]] + [row_cells(row, peers) for row in section]
    full = [line for line in lines if len(line) > 1]
    widths = [max(len(line[i]) for line in full) for i in range(len(head))]
    for line in lines:
        cells = line
        if len(line) > 1:
            cells = [cell.ljust(width) if i < 2 or i == len(widths) - 1 else cell.rjust(width)
                     for i, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip(), file=out)


def print_markdown(results, out):
    """The same for a document: one table per section, without its empty columns."""
    def line(cells):
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |", file=out)

    for title, rows in results.sections:
        peers = [peer for peer in PEERS if any(peer in row.peers for row in rows)]
        head = [title, "datagrams", "median", "spread", "of the limit",
                *[f"of {peer}" for peer in peers], "notes"]
        table = [row_cells(row, peers) for row in rows]
        shown = [i for i in range(len(head)) if i == 0 or any(cells[i] for cells in table)]
        print(file=out)
        line([head[i] for i in shown])
        line(["---" if i == 0 else "---:" for i in shown])
        for cells in table:
            line([cells[i] for i in shown])
    print(file=out)
    line(["", "target", "measured", ""])
    line(["---:", "---", "---", "---"])
    for cells in target_cells(results):
        line(cells)


def target_cells(results):
    return [[str(target.number), target.wanted, target.measured,
             "met" if target.is_met else "NOT met"] for target in sorted_targets(results.targets)]


def print_targets(results, out):
    targets = target_cells(results)
    if not targets:
        return
    widths = [max(len(line[i]) for line in targets) for i in range(4)]
    print("\nTargets", file=out)
    for line in targets:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip(), file=out)
