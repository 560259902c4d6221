"""The dashboard in a real Chromium, fed by the real presence-web and collector. Screenshots of what
was judged are left in the build directory, under screenshots/."""

import json
import os
import re
import signal
import time
import unittest

from browser import Browser
from harness import BUILD, free_port, native, visitor, wait_until
from web import SITE, WebCase

SCREENSHOTS = os.path.join(BUILD, "screenshots")
DESKTOP = (1440, 900)
PHONE = (390, 844)

# What has too little contrast (WCAG 2.2, AA: 4.5, of large text 3) against what is behind it.
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
};
const over = ([...top], under) => top.slice(0, 3).map((part, at) => part * top[3] + under[at] * (1 - top[3]));
const behind = (element) => {
    if (!element) return [255, 255, 255];
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, behind(element.parentElement));
};
const light = (color) => {
    const [red, green, blue] = color.map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const weak = [];
let judged = 0;
while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.closest('.spoken, .skip, option, dialog')) continue;
    const style = getComputedStyle(element);
    const drawn = element.closest('svg') ? style.fill : style.color;
    // The bar of a list lies behind its text, beside it in the tree.
    const bar = element.parentElement.querySelector(':scope > .bar');
    let ground = behind(element);
    if (bar) ground = over(rgba(getComputedStyle(bar).backgroundColor), ground);
    const [high, low] = [light(over(rgba(drawn), ground)), light(ground)].sort((one, two) => two - one);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (high + 0.05) / (low + 0.05);
    judged += 1;
    if (ratio < (large ? 3 : 4.5)) weak.push(`${text} (${element.className || element.id}): ${ratio.toFixed(2)}`);
}
return [judged, weak];
"""


class DashboardCase(WebCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.tolerated = ()
        self.browser.size(*DESKTOP)
        self.browser.media(prefers_reduced_motion="reduce")
        self.browser.complaints()

    def tearDown(self):
        complaints = [each for each in self.browser.complaints()
                      if not any(word in each for word in self.tolerated)]
        self.browser.open("about:blank")
        self.assertEqual(complaints, [], "the console complains")
        super().tearDown()

    def begin(self, *arguments, daemon=("--warm-up", "0")):
        self.collector = self.start("--events", "16384", *daemon)
        self.web = self.serve(*arguments, collector=self.collector)

    def open(self, query=""):
        self.browser.open(f"http://127.0.0.1:{self.web.port}/{query}")

    def people(self, numbers, site=SITE, **place):
        self.send(self.collector, native(site, [visitor(number) for number in numbers], **place))

    def audience(self):
        """Fifteen visitors on four pages, some of them from somewhere."""
        self.people(range(0, 7), room="/", country="DE", source="news.example", kind=3)
        self.people(range(7, 11), room="/pricing", country="US", source="search.example", kind=3)
        self.people(range(11, 14), room="/docs", country="FR", kind=3)
        self.people([14], room="/checkout", kind=4, event="signup")

    def text(self, selector):
        return self.browser.run("return document.querySelector(arguments[0])?.innerText", selector)

    def list(self, section):
        """The rows of a list: [name, visitors]."""
        return self.browser.run("""
            return [...document.querySelectorAll(`#${arguments[0]} li`)].map((item) =>
                [item.querySelector('.name').textContent, item.querySelector('.visitors').textContent])
        """, section)

    def number(self):
        return self.browser.run("return document.querySelector('#number .spoken')?.textContent")

    def mark(self):
        return self.browser.run("return document.body.dataset.mark")

    def wait_number(self, text, mark="live"):
        try:
            wait_until(lambda: (self.number(), self.mark()) == (text, mark), f"{text} and {mark}")
        except AssertionError as late:
            raise AssertionError(f"{late}; it shows {self.number()} and {self.mark()}") from late

    def wait_text(self, selector, pattern):
        try:
            wait_until(lambda: re.search(pattern, self.text(selector) or ""),
                       f"{pattern!r} in {selector}")
        except AssertionError as late:
            raise AssertionError(f"{late}; there is {self.text(selector)!r}") from late

    def watch_number(self):
        """From now on every text of the number is kept; returned by watched()."""
        self.browser.run("""
            const spoken = document.querySelector('#number .spoken');
            window.watched = [spoken.textContent];
            new MutationObserver(() => watched.push(spoken.textContent))
                .observe(spoken, { childList: true, characterData: true, subtree: true });
        """)


class Numbers(DashboardCase):
    def test_everything(self):
        """Number, pages, countries, sources, feed, trend and health of a site that is busy."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        self.assertEqual(self.text("#mark"), "Live")
        self.assertIn("visitors in the last 5 minutes", self.text("#meaning"))
        self.assertIn(SITE, self.browser.run("return document.title"))
        wait_until(lambda: len(self.list("pages")) == 4, "the pages")
        self.assertEqual(self.list("pages"), [["/", "7"], ["/pricing", "4"], ["/docs", "3"], ["/checkout", "1"]])
        self.assertEqual(self.list("countries"), [["Germany", "7"], ["United States", "4"], ["France", "3"]])
        self.assertEqual(self.list("sources"), [["news.example", "7"], ["search.example", "4"]])
        self.wait_text("#feed ol", r"signup\s+/checkout")
        self.wait_text("#feed ol", r"Viewed\s+/pricing\s+United States · search.example")
        self.wait_text("#health", r"(?s)Collector\s+Listening.*The number\s+Complete.*This site\s+Heard")
        self.wait_text("#peak-today", r"^15\s+at \d\d:\d\d$")
        wait_until(lambda: "15 at " in self.browser.run(
            "return document.querySelector('.peak-name')?.textContent ?? ''"), "the peak in the chart")

    def test_pushed(self):
        """The number follows the stream; the feed does not repeat itself."""
        self.begin()
        self.people([0], room="/")
        self.open()
        self.wait_number("1")
        self.people([1], room="/new", kind=4, event="first")
        self.wait_text("#feed ol", r"first\s+/new")
        self.people([2], room="/new", kind=4, event="second")
        self.wait_text("#feed ol", r"second\s+/new")
        self.assertEqual(self.text("#feed ol").count("first"), 1)
        self.people(range(3, 1234), room="/")
        self.wait_number("1,234")

    def test_sites_and_windows(self):
        """Another site, another window: its numbers, in an address that can be kept."""
        self.begin()
        self.people(range(3), site="one.example")
        self.people(range(5), site="two.example")
        self.open()
        self.wait_number("5")
        self.choose("site", "one.example")
        self.wait_number("3")
        self.choose("minutes", "60")
        self.wait_text("#meaning", "last hour")
        self.assertRegex(self.browser.run("return location.search"), r"^\?site=one\.example&minutes=60$")
        self.open("?site=one.example&minutes=60")
        self.wait_number("3")
        self.wait_text("#meaning", "last hour")

    def choose(self, name, value):
        wait_until(lambda: self.browser.run(
            "return [...document.getElementById(arguments[0]).options].map(({ value }) => value)",
            name).count(value), f"{value} to be offered")
        self.browser.run("""
            const select = document.getElementById(arguments[0]);
            select.value = arguments[1];
            select.dispatchEvent(new Event('change'));
        """, name, value)

    def test_hostile_names(self):
        """Names of strangers are text: in lists, in the feed, in the picker, in the title."""
        names = ['<script>window.hacked = 1</script>', '"><img src=x onerror="window.hacked = 1">',
                 "'; window.hacked = 1; //", "</li><style>*{display:none}</style>", "__proto__",
                 "\u202edlrow\u2066 \u05d0", "&lt;b&gt;", "javascript:alert(1)"]
        self.begin()
        site = '<svg onload="window.hacked=1">.example'
        for number, name in enumerate(names):
            self.people([number], site=site, room=name, source=name, kind=4, event=name[:40])
        self.open()
        self.wait_number(str(len(names)))
        wait_until(lambda: len(self.list("pages")) == len(names), "the pages")
        self.assertEqual(sorted(name for name, _ in self.list("pages")), sorted(names))
        self.assertEqual(sorted(name for name, _ in self.list("sources")), sorted(names))
        kinds = "return [...document.querySelectorAll('#feed .kind')].map((each) => each.textContent)"
        wait_until(lambda: set(self.browser.run(kinds)) >= {name[:40] for name in names}, "the feed")
        self.assertEqual(self.browser.run("return document.getElementById('site').value"), site)
        self.assertEqual(self.browser.run("""
            return [window.hacked ?? null, document.querySelectorAll('img, script:not([src]), style').length,
                ({}).visitors ?? null]
        """), [None, 0, None])


class Silence(DashboardCase):
    def test_stale(self):
        """The last number stays, greyed, with its time: never 0."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        self.watch_number()
        self.collector.freeze()
        self.wait_number("15", "stale")
        self.assertRegex(self.text("#mark"), r"^Stale since \d\d:\d\d:\d\d$")
        self.assertRegex(self.text("#meaning"), r"^Last known, as of \d\d:\d\d:\d\d$")
        self.wait_text("#health", r"Collector\s+Silent\s+for \d+ s")
        self.assertEqual(self.browser.run(CONTRAST)[1], [])
        self.collector.thaw()
        self.wait_number("15")
        self.wait_text("#health", r"Collector\s+Listening")
        self.assertEqual(self.browser.run("return watched"), ["15"])

    def test_collector_restarts(self):
        """Not even a blink."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        self.watch_number()
        port = self.collector.port
        self.collector.stop(signal.SIGTERM)
        self.collector = self.start("--events", "16384", "--warm-up", "0",
                                    listen=f"127.0.0.1:{port}")
        self.people([99])
        self.wait_number("16")
        self.assertEqual(self.browser.run("return watched"), ["15", "16"])

    def test_warming(self):
        self.begin(daemon=())
        self.audience()
        self.open()
        self.wait_number("15", "warming")
        self.assertEqual(self.text("#mark"), "Warming up")
        self.assertIn("At least this many", self.text("#meaning"))
        self.wait_text("#health", r"The number\s+Lower bound\s+for (\d+ s|1 min.*) more")

    def test_nothing_known(self):
        """No collector, then no site: a dash, and what to do."""
        self.tolerated = ("503",)
        self.web = self.serve("--to", f"127.0.0.1:{free_port()}")
        self.open()
        wait_until(lambda: self.text("#mark") == "No collector", "it to say so")
        self.assertEqual((self.number(), self.text("#meaning")),
                         ("not known", "Not known until presenced runs"))
        self.assert_no_zero()
        self.open(f"?site={SITE}")
        wait_until(lambda: self.text("#mark") == "No collector", "it to say so")
        self.assertEqual(self.number(), "not known")
        self.assert_no_zero()

    def test_nobody_yet(self):
        self.begin()
        self.open()
        wait_until(lambda: self.text("#mark") == "No site yet", "it to say so")
        self.assertEqual(self.number(), "not known")
        self.people([1])
        self.open()
        self.wait_number("1")

    def assert_no_zero(self):
        for place in "#now", "#trend", "#pages", "#sources", "#countries":
            self.assertNotRegex(self.text(place), r"(?<![\d:.])0(?![\d:.])", place)

    def test_server_out_of_reach(self):
        """The number is marked as old, and goes on when the server is back."""
        self.tolerated = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING")
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        port = self.web.port
        self.web.stop()
        self.browser.run("""
            const now = performance.now.bind(performance);
            performance.now = () => now() + 20000;
        """)
        self.wait_number("15", "offline")
        self.assertIn("Last known", self.text("#meaning"))
        self.web = self.serve(collector=self.collector, listen=f"127.0.0.1:{port}")
        self.people([20])
        self.wait_number("16")

    def test_key(self):
        """Where reads need a key, it is asked for, kept in the tab and not in the address."""
        self.tolerated = ("401",)
        self.begin("--api-key-file", self.secret("keys", "a-key-of-32-letters-for-this-test"))
        self.audience()
        self.open(f"?site={SITE}")
        wait_until(lambda: self.browser.run("return document.getElementById('key').open"), "the question")
        self.browser.press(*"a-key-of-32-letters-for-this-test", "\ue007")
        wait_until(lambda: self.list("pages"), "the pages")
        self.wait_number("15")
        self.assertNotIn("a-key", self.browser.run("return location.href"))


class Looks(DashboardCase):
    def history(self):
        """A day as the server would tell it: quiet at night, a peak, half an hour unmeasured."""
        now = int(time.time() // 60) * 60
        minutes = []
        for ago in range(1439, -1, -1):
            if 300 < ago < 330:
                continue
            mean = (900 + 500 * (720 - abs(ago - 720)) // 720 + ago * 7 % 23
                    + (700 if 600 < ago < 620 else 0))
            minutes.append({
                "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 60 * ago)),
                "min": mean - 30 - ago * 13 % 17, "mean": mean, "max": mean + 25 + ago * 11 % 29,
                "heartbeats": 900, "pageviews": 400, "entered": 40, "left": 30, "departed": 9,
                "warming": 270 < ago <= 300, "running": ago == 0})
        return minutes

    def draw_day(self):
        """Puts that day into the page's own chart."""
        self.browser.run("""
            const { Chart } = await import('./chart.js');
            const { readMinutes } = await import('./trend.js');
            const box = document.getElementById('chart');
            const other = box.cloneNode(false);
            box.replaceWith(other);
            window.chart = new Chart(other);
            window.chart.show(readMinutes(arguments[0]), Date.now());
        """, self.history())

    def shoot(self, name, size, phone=False, **media):
        self.browser.size(*size, phone=phone)
        self.browser.media(prefers_reduced_motion="reduce", **media)
        wait_until(lambda: self.browser.run("return innerWidth") == size[0], "the size")
        self.browser.settle()
        path = os.path.join(SCREENSHOTS, f"{name}.png")
        self.browser.screenshot(path, whole=phone)
        self.assertGreater(os.path.getsize(path), 20000)
        self.assertEqual(self.browser.run("return document.documentElement.scrollWidth"), size[0],
                         f"{name}: the page is wider than the screen")
        judged, weak = self.browser.run(CONTRAST)
        self.assertEqual(weak, [], name)
        self.assertGreater(judged, 40)

    def test_screens(self):
        """Light, dark, desktop, phone: nothing sticks out, every text has the contrast of AA."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        wait_until(lambda: self.list("pages") and self.text("#feed ol") and self.text("#health dl"), "all of it")
        self.draw_day()
        for scheme in "light", "dark":
            self.shoot(f"desktop-{scheme}", DESKTOP, prefers_color_scheme=scheme)
            self.assertLessEqual(self.browser.run("return document.documentElement.scrollHeight"),
                                 DESKTOP[1], "a wall shows it without scrolling")
            self.shoot(f"phone-{scheme}", PHONE, phone=True, prefers_color_scheme=scheme)
        self.shoot("tablet", (820, 1180), prefers_color_scheme="light")
        self.shoot("wall", (1920, 1080), prefers_color_scheme="dark")

    def test_theme(self):
        """A picked theme wins over the system's, and is remembered."""
        self.begin()
        self.people([1])
        ground = "return getComputedStyle(document.body).backgroundColor"
        self.browser.media(prefers_color_scheme="dark")
        self.open("?theme=light")
        self.wait_number("1")
        light = self.browser.run(ground)
        self.open()
        dark = self.browser.run(ground)
        self.assertNotEqual(light, dark)
        self.browser.run("""
            const theme = document.getElementById('theme');
            theme.value = 'light';
            theme.dispatchEvent(new Event('change'));
        """)
        self.open()
        self.assertEqual(self.browser.run(ground), light)

    def test_keyboard(self):
        """Everything is reached by Tab, its focus is seen, and the arrows read the chart."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        self.draw_day()
        self.browser.run("document.body.focus()")
        reached = []
        for _ in range(14):
            self.browser.press("\ue004")
            name, outline = self.browser.run("""
                const { activeElement: now } = document;
                return [now.id || now.className || now.localName, getComputedStyle(now).outlineStyle]
            """)
            if name == "body":
                break
            reached.append(name)
            self.assertNotEqual(outline, "none", f"the focus on {name} is not seen")
        self.assertEqual(reached, ["skip", "site", "minutes", "theme", "chart", "summary", "pause", "scroll"])

        self.browser.run("document.getElementById('chart').focus()")
        said = "return document.getElementById('chart').ariaValueText"
        newest = self.browser.run(said)
        self.assertRegex(newest, r"^\d\d:\d\d: [\d,]+ on average, between [\d,]+ and [\d,]+$")
        self.browser.press("\ue012")
        self.assertNotEqual(self.browser.run(said), newest)
        self.assertTrue(self.browser.run("return document.querySelector('.tip').checkVisibility()"))
        self.browser.press("\ue010")
        self.assertEqual(self.browser.run(said), newest)
        self.browser.press("\ue00c")
        self.assertFalse(self.browser.run("return document.querySelector('.tip').checkVisibility()"))

    def test_chart(self):
        """The line breaks where nothing was measured, the peak is named, hours are a table."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        self.draw_day()
        lines = self.browser.run("return [...document.querySelectorAll('.mean')].map((each) => each.className.baseVal)")
        self.assertEqual(lines, ["mean", "mean warming", "mean"])
        highest = max(minute["max"] for minute in self.history())
        self.assertIn(f"{highest:,} at ", self.browser.run("return document.querySelector('.peak-name').textContent"))
        gap = self.browser.run("""
            const [before, after] = document.querySelectorAll('.mean');
            return after.getBBox().x - before.getBBox().x - before.getBBox().width
        """)
        self.assertGreater(gap, 10)
        rows = self.browser.run("""
            const { buckets, readMinutes } = await import('./trend.js');
            return buckets(readMinutes(arguments[0]), 3600000)
        """, self.history())
        self.assertIn(len(rows), (24, 25))
        self.assertEqual(max(row["max"] for row in rows), highest)
        self.assertEqual(rows[10]["left"], 60 * 39)

        self.browser.run("document.querySelector('summary').click()")
        self.wait_text("#hours", r"\d\d:\d\d\s+\d+\s+\d+\s+15\s+14\s+15\s+0")

    def test_screen_readers(self):
        """Landmarks, headings and names of all that can be used."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        nodes = [node for node in self.browser.devtools("Accessibility.getFullAXTree")["nodes"]
                 if not node["ignored"]]

        def named(role):
            return [node["name"]["value"] for node in nodes if node["role"]["value"] == role]

        self.assertEqual(len(named("banner")), 1)
        self.assertEqual(len(named("main")), 1)
        self.assertEqual(named("heading"), [
            "presence", "Here now", "Last 24 hours", "Active pages", "Sources", "Countries",
            "Live feed", "Health"])
        self.assertEqual(named("combobox"), ["Site", "Window", "Theme"])
        self.assertEqual(named("button"), ["Pause"])
        self.assertEqual(named("slider"), ["Visitors by time; arrow keys move"])
        self.assertEqual(len(named("status")), 1)
        self.assertIn("15", named("StaticText"))


if __name__ == "__main__":
    unittest.main()
