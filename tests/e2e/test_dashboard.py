"""The dashboard of a busy site: numbers, lists, feed, and hostile names."""

import unittest

from dashboard import DashboardCase
from harness import wait_until
from web import SITE


class Numbers(DashboardCase):
    def test_everything(self):
        """It shows number, pages, countries, sources, feed, trend and health of a busy site."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        self.assertEqual(self.text("#mark"), "Live")
        self.assertIn("visitors in the last 5 minutes", self.text("#meaning"))
        self.assertIn(SITE, self.browser.run("return document.title"))
        wait_until(lambda: len(self.list("pages")) == 4, "the pages")
        self.assertEqual(self.list("pages"),
                         [["/", "7"], ["/pricing", "4"], ["/docs", "3"], ["/checkout", "1"]])
        self.assertEqual(self.list("countries"),
                         [["Germany", "7"], ["United States", "4"], ["France", "3"]])
        self.assertEqual(self.list("sources"), [["news.example", "7"], ["search.example", "4"]])
        self.wait_text("#feed ol", r"signup\s+/checkout")
        self.wait_text("#feed ol", r"Viewed\s+/pricing\s+United States · search.example")
        self.wait_text("#health", r"Collector\s+Listening")
        self.wait_text("#health", r"The number\s+Complete")
        self.wait_text("#health", r"This site\s+Heard")
        self.wait_text("#peak-today", r"^15\s+at \d\d:\d\d$")
        wait_until(lambda: "15 at " in (self.content(".peak-name") or ""), "the peak in the chart")

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

    def test_stream_held_up(self):
        """If a proxy holds the stream up, the number is polled."""
        script = self.browser.devtools("Page.addScriptToEvaluateOnNewDocument", source="""
            window.EventSource = class extends EventTarget {
                readyState = 1;
                close() {}
            };
        """)["identifier"]
        self.addCleanup(self.browser.devtools, "Page.removeScriptToEvaluateOnNewDocument",
                        identifier=script)
        self.begin()
        self.people([1])
        self.open()
        self.wait_number("1")
        self.people([2])
        self.wait_number("2")

    def test_sites_and_windows(self):
        """Picking a site and a window shows its numbers, and an address that can be bookmarked."""
        self.begin()
        self.people(range(3), site="one.example")
        self.people(range(5), site="two.example")
        self.open()
        self.wait_number("5")
        self.choose("site", "one.example")
        self.wait_number("3")
        self.choose("minutes", "60")
        self.wait_text("#meaning", "last hour")
        self.assertEqual(self.browser.run("return location.search"),
                         "?site=one.example&minutes=60")
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

    def test_a_site_that_is_not_served(self):
        """A refusal shows the server's message, and asks for no key."""
        self.tolerated = ("403",)
        self.begin("--site", SITE)
        self.people([1])
        self.open("?site=other.example")
        wait_until(lambda: self.text("#mark") == "Refused", "it to say so")
        self.assertEqual(self.number(), "not known")
        self.assertIn("site", self.text("#meaning"))
        self.assertFalse(self.browser.run("return document.getElementById('key').open"))

    def test_hostile_names(self):
        """Hostile names are text: in lists, in the feed, in the picker, in the title."""
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
        wait_until(lambda: set(self.browser.run(
            "return [...document.querySelectorAll('#feed .kind')].map((each) => each.textContent)"
        )) >= {name[:40] for name in names}, "the feed")
        self.assertEqual(self.browser.run("return document.getElementById('site').value"), site)
        self.assertEqual(self.browser.run("""
            const made = document.querySelectorAll('img, script:not([src]), style');
            return [window.hacked ?? null, made.length, ({}).visitors ?? null]
        """), [None, 0, None])


if __name__ == "__main__":
    unittest.main()
