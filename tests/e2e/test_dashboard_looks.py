"""How the dashboard looks and is used: sizes, themes, contrast, keyboard, screen readers, chart.

Screenshots of what was judged are left in the build directory, under screenshots/."""

import os
import time
import unittest

from badge import seldom
from dashboard import CONTRAST, DESKTOP, DOWN, DashboardCase
from harness import BUILD, wait_until

SCREENSHOTS = os.path.join(BUILD, "screenshots")
PHONE = (390, 844)


class Looks(DashboardCase):
    def history(self):
        """Make a day of history: quiet at night, a peak, half an hour unmeasured."""
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
        """Draw that day in the page's own chart."""
        self.browser.run("""
            const { Chart } = await import('./chart.js');
            const { readMinutes } = await import('./trend.js');
            const box = document.getElementById('chart');
            const other = box.cloneNode(false);
            box.replaceWith(other);
            window.chart = new Chart(other);
            window.chart.show(readMinutes(arguments[0]), Date.now(), 24 * 3600000);
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

    @seldom
    def test_screens(self):
        """Light, dark, desktop, phone: nothing overflows, and every text has the contrast of AA."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        wait_until(lambda: self.list("pages") and self.text("#feed ol") and self.text("#health dl"),
                   "all of it")
        self.wait_text("#peak-today", "15")
        self.draw_day()
        for scheme in "light", "dark":
            self.shoot(f"desktop-{scheme}", DESKTOP, prefers_color_scheme=scheme)
            self.assertLessEqual(self.browser.run("return document.documentElement.scrollHeight"),
                                 DESKTOP[1], "a wall shows it without scrolling")
            self.shoot(f"phone-{scheme}", PHONE, phone=True, prefers_color_scheme=scheme)
        self.shoot("tablet", (820, 1180), prefers_color_scheme="light")
        self.shoot("wall", (1920, 1080), prefers_color_scheme="dark")

    def test_theme(self):
        """A picked theme wins over the system's, and is stored."""
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
        """Everything is reachable by Tab, focus is visible, and arrow keys read the chart."""
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
                const label = now.labels?.[0]?.innerText;
                const name = now.id || now.className || label || now.localName;
                return [name, getComputedStyle(now).outlineStyle]
            """)
            if name == "body":
                break
            reached.append(name)
            self.assertNotEqual(outline, "none", f"the focus on {name} is not seen")
        self.assertEqual(reached, ["skip", "site", "minutes", "theme", "5 min", "chart", "summary",
                                   "pause", "scroll"])

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
        self.assertFalse(
            self.browser.run("return document.querySelector('.tip').checkVisibility()"))

    def test_chart(self):
        """The line breaks where nothing was measured, the peak has a label, hours are a table."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        self.draw_day()
        lines = self.browser.run(
            "return [...document.querySelectorAll('.mean')].map((each) => each.className.baseVal)")
        self.assertEqual(lines, ["mean", "mean warming", "mean"])
        highest = max(minute["max"] for minute in self.history())
        self.assertIn(f"{highest:,} at ", self.content(".peak-name"))
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
        self.wait_text("#rows", r"\d\d:\d\d\s+\d+\s+\d+\s+15\s+14\s+15\s+0")

    def test_screen_readers(self):
        """The page has landmarks, headings, and names of all controls."""
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
            "presence", "Here now", "Last 5 minutes", "Active pages", "Sources", "Countries",
            "Live feed", "Health"])
        self.assertEqual(sorted(named("combobox")), ["Site", "Theme", "Window"])
        self.assertEqual(named("button"), ["Pause"])
        self.assertEqual(named("slider"), ["Visitors by time; arrow keys move"])
        self.assertEqual(named("radio"), ["5 min", "15 min", "1 h", "3 h", "6 h", "12 h", "24 h"])
        self.assertEqual(len(named("status")), 1)
        self.assertIn("15", named("StaticText"))

    def test_list_of_sites(self):
        """The list of sites has roles, names and contrast."""
        self.begin()
        self.people([1], site="b.example")
        self.wait_received(1)
        self.audience()
        self.open()
        self.wait_number("15")
        self.browser.run("document.getElementById('site').focus()")
        self.browser.press(DOWN)
        wait_until(lambda: len(self.sites()) == 2, "the list")
        self.browser.press(DOWN)
        nodes = {(node["role"]["value"], node["name"]["value"]): node
                 for node in self.browser.devtools("Accessibility.getFullAXTree")["nodes"]
                 if not node["ignored"]}
        self.assertIn(("listbox", "Sites"), nodes)
        self.assertIn(("option", "b.example 1"), nodes)
        field = {each["name"]: each["value"] for each in nodes["combobox", "Site"]["properties"]}
        self.assertTrue(field["expanded"]["value"])
        self.assertEqual(field["activedescendant"]["relatedNodes"][0]["idref"], "site-1")
        for scheme in "light", "dark":
            self.browser.media(prefers_reduced_motion="reduce", prefers_color_scheme=scheme)
            self.browser.settle()
            self.assertEqual(self.browser.run(CONTRAST)[1], [])


if __name__ == "__main__":
    unittest.main()
