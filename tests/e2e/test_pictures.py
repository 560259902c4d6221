"""presence-web: /badge.svg and /badge.json: what they show, hostile labels, caches and permission."""

import itertools
import os
import random
import re
import signal
import time
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from harness import native, visitor, wait_until
from side_by_side import main
from web import HOSTILE_NAMES, SITE, WebCase, token
from web_totals import TotalsCase
from written_shards import stream

API_KEY = "an-api-key-of-the-tests"
JWT_KEY = "a key of the tests that is long enough for HS256"
SVG = "{http://www.w3.org/2000/svg}"
LABEL = "viewing now"
WHITE = "#fff"

# A label, and what is shown of it.
LABELS = {
    **{name: name.replace("\u202e", "").replace("\u202c", "") for name in HOSTILE_NAMES},
    "\u2028\u2029": "", "\u200b": "",  # nothing is seen of them
    "": "", " ": "", "  a \u2028  b ": "a b", "\u00ad\ufeff\u2060": "", "\U000e0041": "",
    "a\ufffe\uffffb\U0001ffff": "a\ufffd\ufffdb\ufffd",  # no XML may contain the first two
    "1\u2066\u2067\u20682\u2069\u202a\u202b\u202d": "12",
    **{same: same for same in (
        "שלום \u200f!", "Z\u0351\u036b\u0343\u036aa\u0302\u033dlgo", "👩\u200d👩\u200d👧 ❤\ufe0f", "\"" * 255, "漢" * 85,
        "--><!--<![CDATA[</text></svg><svg onload='x'>&#0;&a;")},
}


def query(site=SITE, **parameters):
    return urlencode({"site": site, **parameters}, quote_via=quote)


class Picture:
    """What is drawn, after checks that it is what any picture is."""

    def __init__(self, test, answer):
        test.assertEqual(answer.status, 200, answer.body)
        test.assertEqual(answer.headers["content-type"], "image/svg+xml; charset=utf-8")
        self.root = ElementTree.fromstring(answer.body)
        self.texts = [text.text for text in self.root.iter(SVG + "text")]
        self.title = self.root.find(SVG + "title").text
        self.message = self.texts[-1]
        self.label = self.texts[0] if len(self.texts) == 2 else ""
        test.assertEqual(self.title, ": ".join(self.texts))
        test.assertEqual(self.root.get("aria-label"), self.title)
        names = [element.tag.removeprefix(SVG) for element in self.root.iter()]
        test.assertLessEqual(set(names), {"svg", "title", "style", "path", "g", "text"})
        test.assertLessEqual({name for element in self.root.iter() for name in element.attrib}, {
            "width", "height", "viewBox", "role", "aria-label", "class", "fill", "d", "font-family",
            "font-size", "text-anchor", "text-rendering", "style", "x", "y", "textLength",
            "lengthAdjust", "direction"})
        self.style = "".join(style.text for style in self.root.iter(SVG + "style"))
        self.width = int(self.root.get("width"))
        self.lengths = [float(text.get("textLength")) for text in self.root.iter(SVG + "text")]
        test.assertEqual(self.root.get("viewBox"), f"0 0 {self.width} 20")
        test.assertTrue(0 <= self.width - sum(self.lengths) - 12 * len(self.lengths) < len(self.lengths))
        test.assertTrue(all(self.lengths))

    def fills(self):
        """The colours of all classes, outside and inside the style for dark pages."""
        light = {element.get("class"): element.get("fill") for element in self.root.iter()
                 if element.get("class")}
        return light, {**light, **dict(re.findall(r"\.([\w-]+)\{fill:(#\w+)\}", self.style))}


class PictureCase(WebCase):
    def picture(self, web, headers=None, **parameters):
        return Picture(self, web.get(f"/badge.svg?{query(**parameters)}", headers))

    def shields(self, web, **parameters):
        answer = web.get(f"/badge.json?{query(**parameters)}")
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")
        self.assertTrue(answer.body.isascii())
        return answer.json

    def number(self, web, **parameters):
        """Return the picture, once it has a number: a program that is held up is silent meanwhile."""
        return wait_until(lambda: (picture := self.picture(web, **parameters)).message != "unknown" and picture,
                          f"a number of {parameters}")

    def wait_message(self, web, message, **parameters):
        """Wait until the picture shows that, never a 0 meanwhile."""
        def shown():
            picture = self.picture(web, **parameters)
            self.assertNotEqual(picture.message, "0")
            return picture.message == message and picture

        return wait_until(shown, f"the picture to show {message!r}")


class Numbers(PictureCase):
    def test_number(self):
        """Both have the number of the place, and fetching them counts nobody."""
        self.collector = self.start("--warm-up", "0")
        web = self.serve("--site-alias", f"7={SITE}", collector=self.collector)
        for name, room in ("anna", "/a"), ("bert", "/a"), ("carl", "/b"):
            self.counted(web, {"site": SITE, "visitor": name, "room": room})
        before = self.not_empty(self.stats())
        for parameters, message in (
                ({}, "3"), ({"room": "/a"}, "2"), ({"room": "/b/", "minutes": 1}, "1"), ({"room": "/c"}, "0"),
                ({"site": "elsewhere.example"}, "0"), ({"site": "7", "room": "/a"}, "2"), ({"room": ""}, "3")):
            with self.subTest(parameters):
                picture = self.number(web, headers={"Cookie": "presence_visitor=dora"}, **parameters)
                self.assertEqual((picture.label, picture.message), (LABEL, message))
                shields = wait_until(lambda: "isError" not in (answer := self.shields(web, **parameters)) and answer,
                                     "a number for shields.io")
                self.assertEqual(shields, {"schemaVersion": 1, "label": LABEL, "message": message,
                                           "color": "brightgreen", "cacheSeconds": 300})
        self.assertEqual(self.not_empty(self.stats()), before)

    def test_lower_bound(self):
        """While the collector warms up, a number is the least, and nobody is unknown."""
        web = self.serve(collector=self.start())
        self.counted(web, {"site": SITE, "visitor": "anna", "room": "/a"})
        self.assertEqual(self.number(web).message, "1+")
        wait_until(lambda: self.shields(web)["message"] == "1+", "the least number")
        self.assertEqual(self.picture(web, site="elsewhere.example").message, "unknown")
        web.touch({"site": SITE, "visitor": "anna", "room": "/a", "kind": "leave"})
        self.wait_message(web, "unknown", room="/a")

    def check_restart(self, web, how):
        begun = time.monotonic()
        self.collector.process.send_signal(how)
        self.collector.process.wait()
        seen = {self.picture(web).message}
        self.collector = self.start("--warm-up", "0")
        seen.add(self.wait_message(web, "2").message)
        if time.monotonic() - begun < 2:  # a busy machine may take longer, and unknown is right
            self.assertEqual(seen, {"2"})

    def test_silence(self):
        """A number that is stale, or not there, is unknown; a restart isn't seen."""
        web = self.serve()
        self.assertEqual(self.picture(web).message, "unknown")
        self.collector = self.start("--warm-up", "0")
        self.send(self.collector, native(SITE, [visitor(1), visitor(2)]))
        wait_until(lambda: self.picture(web).message == "2", "both visitors")
        self.check_restart(web, signal.SIGKILL)
        self.check_restart(web, signal.SIGTERM)
        self.collector.freeze()
        unknown = self.wait_message(web, "unknown")
        self.collector.thaw()
        self.assertIn("presence-unknown", unknown.fills()[0])
        self.wait_message(web, "2")
        self.collector.process.send_signal(signal.SIGTERM)
        self.collector.process.wait()
        self.wait_message(web, "unknown")
        self.assertEqual(self.shields(web, label="who"), {
            "schemaVersion": 1, "label": "who", "message": "unknown", "color": "lightgrey",
            "cacheSeconds": 300, "isError": True})


class Looks(PictureCase):
    def test_labels(self):
        """Whatever a label contains is text, and no more than that."""
        web = self.serve()
        for label, shown in LABELS.items():
            with self.subTest(label=label):
                for theme in "auto", "dark":
                    picture = self.picture(web, label=label, theme=theme)
                    self.assertEqual((picture.label, picture.message), (shown, "unknown"))
                self.assertEqual(self.shields(web, label=label)["label"], shown)

    def test_random_labels(self):
        """Any text at all makes a picture, with the same label in both."""
        web = self.serve()
        seed = int(os.environ.get("TEST_SEED", time.time_ns()))
        chance = random.Random(seed)
        kinds = (range(0x20, 0x7f), range(0xa0, 0x800), range(0x800, 0xd800), range(0xe000, 0x10000),
                 range(0x10000, 0x110000), (0x20, 0x200d, 0x202e, 0x2028, 0xfe0f, 0xfffe, 0xffff, 0x1ffff))
        for _ in range(200):
            label = "".join(chr(chance.choice(chance.choice(kinds))) for _ in range(chance.randrange(64)))
            with self.subTest(label=label, seed=seed):
                picture = self.picture(web, label=label)
                self.assertEqual(picture.label, self.shields(web, label=label)["label"])
                self.assertLessEqual(len(picture.label), len(label))

    def test_names(self):
        """Names of places appear in no picture."""
        web = self.serve()
        plain = web.get(f"/badge.svg?{query()}").body
        for name in HOSTILE_NAMES:
            self.assertEqual(web.get(f"/badge.svg?{query(site=name, room=name)}").body, plain)

    def test_direction(self):
        """The first letter says in which direction a label is read."""
        web = self.serve()
        for label, direction in (
                ("now!", None), ("42 שלום", "rtl"), ("(مباشر now)", "rtl"), ("now שלום", None),
                ("👍 שלום", "rtl"), ("été", None), ("漢 שלום", None), ("42", None)):
            root = self.picture(web, label=label).root
            self.assertEqual([text.get("direction") for text in root.iter(SVG + "text")], [direction, None])

    def test_contrast(self):
        """Every text can be read, in light and dark (WCAG 2.2, AA)."""
        def light(color):
            color = color.removeprefix("#")
            parts = [int(part * (3 - len(color) // 3), 16) / 255
                     for part in re.findall("." * (len(color) // 3), color)]
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

        def contrast(one, two):
            low, high = sorted((light(one), light(two)))
            return (high + 0.05) / (low + 0.05)

        self.assertAlmostEqual(contrast("#000", "#ffffff"), 21)
        web = self.serve()
        unknown = {theme: self.picture(web, theme=theme).fills() for theme in ("auto", "light", "dark")}
        self.start("--warm-up", "0")
        known = {theme: self.number(web, theme=theme).fills() for theme in unknown}
        for fills, ground in (unknown, "presence-unknown"), (known, "presence-known"):
            self.assertEqual(fills["auto"][0], fills["light"][0])
            self.assertEqual({name: fills["auto"][1][name] for name in fills["dark"][0]}, fills["dark"][0])
            self.assertEqual(*fills["light"])
            for colors in fills["light"][0], fills["dark"][0]:
                self.assertGreaterEqual(contrast(colors[ground], WHITE), 4.5)
                label = contrast(colors["presence-label"], colors["presence-label-text"])
                self.assertGreaterEqual(label, 4.5)


class Requests(PictureCase):
    def test_refused(self):
        """What is wrong with a request is said, and not repeated."""
        web = self.serve("--site", SITE, "--origin", "https://example.com")
        for path, status in (
                ("", 400), ("site=", 400), ("site=other.example", 403), (f"site={SITE}&site={SITE}", 400),
                (f"site={SITE}&room=/a&room=/b", 400), (f"site={SITE}&theme=blue", 400), (f"site={SITE}&theme=", 400),
                (f"site={SITE}&theme=dark&theme=light", 400), (f"site={SITE}&minutes=x", 400),
                (f"site={SITE}&label={'x' * 256}", 400), (f"site={SITE}&label={'%e6%bc%a2' * 86}", 400),
                (f"site={SITE}&label=a&label=b", 400), (f"site={SITE}&label=%ff", 400),
                (f"site={SITE}&label=%ed%a0%80", 400), (f"site={SITE}&label=a%00b", 400),
                (f"site={SITE}&label=%0amark", 400), (f"site={SITE}&label=%c2%85", 400),
                (f"site={SITE}&room=%0amark", 400)):
            for name in "/badge.svg", "/badge.json":
                with self.subTest(name=name, path=path):
                    answer = web.get(f"{name}?{path}")
                    self.assertEqual(answer.status, status, answer.body)
                    self.assertTrue(answer.json["message"])
                    self.assertNotIn(b"mark", answer.body)
                    self.assertEqual(answer.headers["cache-control"], "no-store")
        other = {"Referer": "https://other.example/page"}
        self.assert_problem(web.get(f"/badge.svg?{query()}", other), 403, "origin_not_allowed")
        own = {"Referer": "https://example.com/page"}
        self.assertEqual(web.get(f"/badge.svg?{query()}", own).headers["cross-origin-resource-policy"], "cross-origin")
        self.assertEqual(web.ask("POST", f"/badge.svg?{query()}").status, 405)
        asked = web.ask("OPTIONS", f"/badge.json?{query()}", headers={"Origin": "https://example.com"})
        self.assertEqual((asked.status, asked.headers["access-control-allow-methods"]), (204, "GET, HEAD, OPTIONS"))

    def test_caches(self):
        """A picture is kept for seconds, and not sent twice."""
        web = self.serve()
        for name in "/badge.svg", "/badge.json":
            path = f"{name}?{query()}"
            first = web.get(path)
            tag = first.headers["etag"]
            self.assertRegex(tag, r'^"[0-9a-f]{16}"$')
            self.assertEqual(first.headers["cache-control"], "public, max-age=5")
            self.assertEqual(first.headers["access-control-allow-origin"], "*")
            for known in tag, f"W/{tag}", f'"other", {tag}', "*":
                again = web.get(path, {"If-None-Match": known})
                self.assertEqual((again.status, again.body), (304, b""), known)
                self.assertEqual((again.headers["etag"], again.headers["cache-control"]), (tag, "public, max-age=5"))
            head = web.ask("HEAD", path)
            self.assertEqual((head.status, head.body, head.headers["etag"]), (200, b"", tag))
            self.assertEqual(head.headers["content-length"], str(len(first.body)))
            changed = web.get(path + "&label=other", {"If-None-Match": tag})
            self.assertEqual(changed.status, 200)
            self.assertNotEqual(changed.headers["etag"], tag)
        unknown = web.get(path).headers["etag"]
        self.start("--warm-up", "0")
        wait_until(lambda: web.get(path, {"If-None-Match": unknown}).status == 200, "a number to replace it")

    def test_permission(self):
        """Where tokens are needed, a picture needs one for its place, and is in no cache."""
        web = self.serve("--jwt-key-file", self.secret("jwt", JWT_KEY),
                         "--api-key-file", self.secret("api", API_KEY))
        now = int(time.time())
        mine = token(JWT_KEY, site=SITE, room="/a", exp=now + 600)
        for name in "/badge.svg", "/badge.json":
            for more, headers, status in (
                    ({}, {}, 401), ({"token": mine}, {}, 200), ({}, {"Authorization": f"Bearer {mine}"}, 200),
                    ({"token": mine + "x"}, {}, 401), ({"token": mine, "room": "/b"}, {}, 403),
                    ({"token": token(JWT_KEY, site=SITE, exp=now - 600)}, {}, 401),
                    ({}, {"Authorization": f"Bearer {API_KEY}"}, 200), ({}, {"Authorization": "Bearer wrong"}, 401)):
                with self.subTest(name=name, more=more, headers=headers):
                    answer = web.get(f"{name}?{query(**{'room': '/a', **more})}", headers)
                    self.assertEqual(answer.status, status, answer.body)
                    self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertNotIn(mine, web.output())
        web = self.serve("--api-key-file", self.secret("api2", API_KEY))
        self.assertEqual(self.picture(web).message, "unknown")  # as a stream, open to all


class Totals(TotalsCase, PictureCase):
    def test_totals(self):
        """The first request waits for its number; digits are in groups from five on."""
        counts = {"0": 0, "7": 7, "9999": 9999, "10\u202f000": 10000, "123\u202f456": 123456,
                  "1\u202f234\u202f567": 1234567, "18\u202f446\u202f744": 18446744,
                  "5\u202f000\u202f000\u202f000": 5 * 10**9}
        self.write("A", {"": 5, **{f"r/{count}": count for count in counts.values()}})
        web = self.begin("--no-compat")
        new = itertools.count()
        wait_until(lambda: self.picture(web, room=f"/new/{next(new)}").message == "0", "a first request that waits")
        for message, count in counts.items():
            self.assertEqual(self.number(web, room=f"/{count}").message, message)
        self.assertEqual(self.number(web, room="/nobody").message, "0")
        wait_until(lambda: self.shields(web, room="/9999")["message"] == "9999", "a number for shields.io")
        self.write("A", {"": 6}, warming=1)
        self.wait_message(web, "6+")
        wait_until(lambda: self.picture(web, room="/nobody").message == "unknown", "nobody to be unknown")
        self.write("A", {"": 8}, streams=stream(1, lost=100))
        self.wait_message(web, "8+")
        self.freeze_engine()
        self.wait_message(web, "unknown")
        self.assertEqual(self.picture(web, site="asked.for.now").message, "unknown")
        self.assert_problem(web.get(f"/badge.svg?{query(minutes=7)}"), 400, "bad_request")


if __name__ == "__main__":
    main()
