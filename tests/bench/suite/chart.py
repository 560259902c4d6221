"""The chart, as SVG: throughput and memory against active visitors, both axes logarithmic."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 1060, 444
TOP, BOTTOM = 74, 80  # margins of the panels
PANEL_WIDTH, LABEL_WIDTH, LEFT = 300, 150, 58
LABEL_GAP = 15

NAMES = {
    "presence": "presence", "ZADD": "Redis ZADD", "PFADD": "Redis PFADD (estimate)",
    "PostgreSQL": "PostgreSQL",
}
LIGHT = {
    "paper": "#ffffff", "ink": "#1f2328", "faint": "#59636e", "grid": "#d8dee4",
    "presence": "#0969da", "ZADD": "#bc4c00", "PFADD": "#8250df", "PostgreSQL": "#1a7f37",
}
DARK = {
    "paper": "#0d1117", "ink": "#e6edf3", "faint": "#9198a1", "grid": "#2f353d",
    "presence": "#58a6ff", "ZADD": "#f0883e", "PFADD": "#bc8cff", "PostgreSQL": "#3fb950",
}


def colour_rules(colours):
    rules = [
        f".paper{{fill:{colours['paper']}}}.label{{stroke:{colours['paper']}}}",
        f"text{{fill:{colours['faint']}}}",
        f".title,.heading{{fill:{colours['ink']}}}", f".grid{{stroke:{colours['grid']}}}",
    ]
    for name in NAMES:
        kind = name.lower()
        rules.append(f".line.{kind}{{stroke:{colours[name]}}}"
                     f".label.{kind},circle.{kind}{{fill:{colours[name]}}}")
    return "".join(rules)


def style():
    return (
        "text{font:12px system-ui,sans-serif}.title{font-size:16px;font-weight:600}"
        ".heading{font-size:13px;font-weight:600}.small{font-size:10px}"
        ".label{font-weight:600;stroke-width:4;paint-order:stroke}"
        ".line{fill:none;stroke-width:2;stroke-linejoin:round}"
        f"{colour_rules(LIGHT)}@media (prefers-color-scheme:dark){{{colour_rules(DARK)}}}"
    )


def power(exponent, unit=""):
    """Format 10^exponent: 100 k, 10 M."""
    letter = ("", " k", " M", " G", " T")[exponent // 3]
    space = "" if letter or not unit else " "
    return f"{10 ** (exponent % 3)}{letter}{space}{unit}"


class Panel:
    """Draw one diagram. `left` is its axis's position."""

    def __init__(self, left, heading, points, unit):
        self.left, self.heading, self.unit = left, heading, unit
        values = [value for series in points.values() for _, value in series]
        self.points = points
        self.low = math.floor(math.log10(min(values)))
        self.high = math.ceil(math.log10(max(values)))

    def x(self, visitors):
        return self.left + (math.log10(visitors) - 4) / 4 * PANEL_WIDTH

    def y(self, value):
        height = HEIGHT - TOP - BOTTOM
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - part * height

    def axes(self):
        right, bottom = self.left + PANEL_WIDTH, HEIGHT - BOTTOM
        yield f'<text class="heading" x="{self.left}" y="{TOP - 16}">{escape(self.heading)}</text>'
        for exponent in range(self.low, self.high + 1):
            y = self.y(10**exponent)
            yield f'<path class="grid" d="M{self.left} {y:.1f}H{right}"/>'
            yield (f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">'
                   f"{power(exponent, self.unit)}</text>")
        for exponent in range(4, 9):
            x = self.x(10**exponent)
            yield (f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">'
                   f"{power(exponent)}</text>")
        yield (f'<text x="{(self.left + right) / 2}" y="{bottom + 42}" text-anchor="middle">'
               "active visitors</text>")

    def lines(self):
        for name, series in self.points.items():
            places = [(self.x(visitors), self.y(value)) for visitors, value in series]
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            yield f'<path class="line {name.lower()}" d="M{path}"/>'
            for (x, y), (visitors, value) in zip(places, series):
                yield (f'<circle class="{name.lower()}" cx="{x:.1f}" cy="{y:.1f}" r="3.5">'
                       f"<title>{escape(NAMES[name])}, {visitors:,} visitors: {value:,.0f}"
                       "</title></circle>")

    def labels(self):
        """Put labels at the lines' ends, moved apart where they would touch."""
        ends = [(self.y(series[-1][1]), self.x(series[-1][0]), name)
                for name, series in self.points.items()]
        last = -math.inf
        for y, x, name in sorted(ends):
            y = last = max(y, last + LABEL_GAP)
            yield (f'<text class="label {name.lower()}" x="{x + 9:.1f}" y="{y + 4:.1f}">'
                   f"{escape(NAMES[name])}</text>")

    def draw(self):
        return [*self.axes(), *self.lines(), *self.labels()]


def draw(curves, about):
    def points(key):
        return {name: curve[key] for name, curve in curves.items() if curve[key]}

    second = LEFT + PANEL_WIDTH + LABEL_WIDTH + 70
    panels = [
        Panel(LEFT, "Heartbeats a CPU second", points("throughput"), ""),
        Panel(second, "Memory", points("memory"), "B"),
    ]
    title = "Counting who is here: throughput and memory"
    what = (f"Linux {about['kernel']}, {about['processor']}; medians; presence and Redis with 80 "
            "and 40 ids a message, PostgreSQL upserts one and counts")
    body = "\n".join(line for panel in panels for line in panel.draw())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">\n'
        f"<title>{title}</title>\n<desc>{escape(what)}</desc>\n<style>{style()}</style>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" class="paper"/>\n'
        f'<text class="title" x="{LEFT - 42}" y="28">{title}</text>\n'
        f'<text x="{LEFT - 42}" y="{HEIGHT - 12}" class="small">{escape(what)}'
        f"</text>\n{body}\n</svg>\n"
    )
