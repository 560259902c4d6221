"""The dashboard of a busy site: numbers, lists, feed, and hostile names."""

import unittest

from dashboard import DOWN, ENTER, ESCAPE, DashboardCase
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
        pages = [["/", "7"], ["/pricing", "4"], ["/docs", "3"], ["/checkout", "1"]]
        wait_until(lambda: self.list("pages") == pages, lambda: f"the pages: {self.list('pages')}")
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
        self.people([2], room="/away", kind=4, event="outbound")
        self.people([2], kind=2)
        for line in r"Entered\s+/new", r"Outbound\s+/away", r"Left\s+the site":
            self.wait_text("#feed ol", line)
        self.assertEqual(self.text("#feed ol").count("first"), 1)
        self.people(range(3, 1235), room="/")
        self.wait_number("1,234")

    def test_stream_held_up(self):
        """If a proxy holds the stream up, the number is polled."""
        self.before_page("""
            window.EventSource = class extends EventTarget {
                readyState = 1;
                close() {}
            };
        """)
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
        self.wait_received(2)
        self.open()
        self.wait_number("5")
        self.search("one")
        self.browser.press(ENTER)
        self.wait_number("3")
        self.browser.run("""
            const select = document.getElementById('minutes');
            select.value = '60';
            select.dispatchEvent(new Event('change'));
        """)
        self.wait_text("#meaning", "last hour")
        self.assertEqual(self.browser.run("return location.search"),
                         "?site=one.example&minutes=60")
        self.open("?site=one.example&minutes=60")
        self.wait_number("3")
        self.wait_text("#meaning", "last hour")

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
        self.wait_received(len(names))
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


class Sites(DashboardCase):
    def thousand(self):
        self.begin(daemon=("--warm-up", "0", "--max-scopes", "4096"))
        self.people(range(3), site="a.example")
        for first in range(0, 1000, 100):
            for number in range(first, first + 100):
                self.people([number], site=f"site-{number}.example")
            self.wait_received(1 + first + 100)
        self.open()
        self.wait_number("3")

    def note(self):
        return self.text(".popup p")

    def test_search(self):
        """A thousand sites can be searched; the list says how many it leaves out."""
        self.thousand()
        self.browser.run("document.getElementById('site').focus()")
        self.browser.press(DOWN)
        wait_until(lambda: len(self.sites()) == 100, "the busiest sites")
        self.assertEqual(self.sites()[0], ["a.example", "3"])
        self.assertEqual(self.note(), "The busiest 100 of 1,001 sites: type to find others")
        self.search("e-9")
        self.assertEqual(self.note(), "The busiest 100 of 111 sites: type more to find others")
        self.browser.press(*"99")
        wait_until(lambda: self.sites() == [["site-999.example", "1"]], "one site")
        self.assertEqual(self.note(), "1 site found")
        self.browser.press(*"9")
        wait_until(lambda: self.note() == "No site has this in its name", "it to say so")
        self.browser.press(ESCAPE)
        self.assertEqual(self.browser.run("return document.getElementById('site').value"),
                         "a.example")
        self.assertEqual(self.sites(), [])

    def test_pick(self):
        """Enter and a click pick a site; one that is named exactly so is the first."""
        self.thousand()
        self.search("site-7.example")
        self.browser.press(ENTER)
        self.wait_number("1")
        self.assertIn("site=site-7.example", self.browser.run("return location.search"))
        self.search("site-1")
        self.browser.press(DOWN, DOWN)
        chosen = "return document.querySelector('#sites [aria-selected=true]').id"
        self.assertEqual(self.browser.run(chosen), self.browser.run(
            "return document.getElementById('site').getAttribute('aria-activedescendant')"))
        self.browser.run("document.querySelectorAll('#sites .name')[3].click()")
        wait_until(lambda: "site=site-101.example" in self.browser.run("return location.search"),
                   lambda: self.browser.run("return location.search"))
        self.assertEqual(self.browser.run("return document.getElementById('site').value"),
                         "site-101.example")
        self.browser.press(*"A.EX", ENTER)  # before there is an answer
        self.wait_number("3")

    def test_long_lists(self):
        """A list of pages that is not all of them says so."""
        self.begin()
        for number in range(8):
            self.people([number], room=f"/{number}")
        self.open()
        wait_until(lambda: len(self.list("pages")) == 8, "the pages")
        says = "return document.querySelector('#pages .aside').checkVisibility()"
        self.assertFalse(self.browser.run(says))
        self.people([9], room="/9")
        wait_until(lambda: self.browser.run(says), "it to say so")
        self.assertEqual(self.text("#pages .aside"), "the busiest 8")
        self.assertEqual(len(self.list("pages")), 8)


if __name__ == "__main__":
    unittest.main()
