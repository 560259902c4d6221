"""Ways to place the badge's tag, and pages that change their address."""

import unittest

from clients import ClientCase, mostly_in_chromium
from web import SITE


@mostly_in_chromium
class Scripts(ClientCase):
    """Ways to place the tag in a page."""

    def look(self, body, head="", path="/page", before=""):
        self.pages.other = lambda _: self.pages.page(body, head)
        return self.visit(path=path, before=before)

    def test_module(self):
        self.begin()
        self.look(f'<p id=here>{self.pages.script("type=module", label="here")}</p>')
        self.wait_badges("1 here")
        self.wait_counted(1, "/page")
        self.wait_streams(1)
        self.assertEqual(self.browser.run(
            "return document.querySelector('.presence-badge').parentNode.id"), "here")

    def test_two_modules_and_a_script(self):
        """Each tag shows its own place, though a module runs only once."""
        self.begin()
        self.crowd([5, 6], "/other")
        self.look(f'<p>{self.pages.script("type=module", label="here")}</p>'
                  f'<p>{self.pages.script("type=module", watch="/other", label="there")}</p>'
                  f'<p>{self.pages.script(count="site", label="in all")}</p>')
        self.wait_badges("1 here", "2 there", "3 in all")
        self.wait_streams(1)
        self.wait_rooms(page=1, other=2)

    def test_loader_that_removes_the_script(self):
        """A tag manager can add the badge, also to an element that is created again."""
        self.begin()
        self.look(f"""<p id=place></p><script>
            const script = document.createElement('script');
            script.src = '{self.pages.base}/badge.js';
            script.dataset.site = '{SITE}';
            script.dataset.target = '#place';
            script.onload = () => script.remove();
            document.head.append(script);
        </script>""")
        self.wait_badges("1 viewing now")
        self.assertEqual(self.browser.run("return document.head.querySelectorAll('script').length"),
                         0)
        self.crowd([5])
        self.wait_badges("2 viewing now")
        self.wait_touches(1)
        self.browser.run("advance(60000)")
        self.wait_touches(2)
        self.browser.run("""
            const place = document.createElement('p');
            document.getElementById('place').replaceWith(place);
            place.id = 'place';
        """)
        self.wait_badges("2 viewing now")
        self.wait_streams(1)

    def test_two_scripts(self):
        """The visitor is in the first badge's room; other badges only show theirs."""
        self.begin()
        self.crowd([5, 6], "/other")
        self.look(f'<p>{self.pages.script("")}</p><p>{self.pages.script("", room="/other")}</p>')
        self.wait_badges("1 viewing now", "2 viewing now")
        self.wait_streams(1)
        self.wait_rooms(page=1, other=2)
        self.browser.run("advance(60000)")
        self.wait_touches(2)

    def test_target_that_comes_later(self):
        self.begin()
        self.look("<p>text</p>", head=self.pages.script(target="#late"))
        self.wait_counted(1, "/page")
        self.browser.run("""
            const late = document.createElement('p');
            late.id = 'late';
            document.body.append(late);
        """)
        self.wait_badges("1 viewing now")


@mostly_in_chromium
class Addresses(ClientCase):
    """Applications of one page that change its address."""

    def follow(self, before):
        self.begin()
        self.visit(path="/start", before=before)
        self.wait_seen("1 viewing now")
        self.crowd([7, 8], "/list")
        self.browser.run("history.pushState(null, '', '/list')")
        self.wait_seen("3 viewing now")
        self.wait_rooms(list=3)
        # Neither of these is another place.
        self.browser.run("history.replaceState(null, '', '/list?page=2'); location.hash = 'there'")
        self.browser.run("history.replaceState(null, '', '/alone')")
        self.wait_seen("1 viewing now")
        self.wait_rooms(list=2, alone=1)
        self.browser.run("history.pushState(null, '', '/list/'); history.pushState(null, '', '/b')")
        self.wait_rooms(list=2, b=1)
        self.browser.run("history.go(-2)")
        self.wait_rooms(list=2, alone=1)
        self.wait_seen("1 viewing now")
        self.assertEqual({body["kind"] for body in self.touches()}, {"pageview"})
        self.wait_streams(1)
        self.assertEqual(self.count(SITE), 3)

    def test_with_the_navigation_api(self):
        self.follow("")

    def test_slow_touches(self):
        """A leave is sent without waiting, and must not overtake the touch of its room."""
        self.follow("const ask = fetch, later = setTimeout; window.fetch = async (...request) => {"
                    "    await new Promise((done) => later(done, 300));"
                    "    return ask(...request);"
                    "};")

    def test_without_the_navigation_api(self):
        self.follow("delete window.navigation; delete Window.prototype.navigation;"
                    "if ('navigation' in window)"
                    "    Object.defineProperty(window, 'navigation', { value: undefined });")


if __name__ == "__main__":
    unittest.main()
