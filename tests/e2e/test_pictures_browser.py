"""Picture badges in real browsers: widths of texts, light and dark; and badges that badge-maker draws."""

import html
import unicodedata
import unittest
from urllib.parse import quote

from application import Application
from badge import seldom, shared
from browser import Browser
from documents import fenced, substitute
from firefox import Firefox
from harness import wait_until
from npm import run_script
from web import SITE, WebCase

# The characters whose widths are known: Latin, Greek, Cyrillic, punctuation and currencies.
KNOWN = ((0x21, 0x24f), (0x370, 0x525), (0x1e00, 0x1ef9), (0x1f00, 0x1fff), (0x2010, 0x2027), (0x2030, 0x205e), (0x20a0, 0x20b5))
OTHER_SCRIPTS = ("漢字かな", "한국어", "สวัสดี", "नमस्ते", "مباشر الآن", "👩\u200d👩\u200d👧 🇩🇪 ❤\ufe0f", "Z\u0351\u036b\u0343algo")
MIXED = ("viewing now", "ff fi ffi AV Te To", "Zürich Café", "Ελλάδα", "Москва", "12\u202f345+", "WWWiiilll", "a  b")

# Each label's svg is put into the page. Return for each of its texts the length it shall have, the
# one it has without that, its left and right end as drawn, and the ends of its ground.
MEASURE = """
const [sources, font] = arguments;
return document.fonts.ready.then(() => sources.map((source) => {
    document.body.innerHTML = source;
    const svg = document.querySelector('svg');
    if (font) svg.querySelector('g').setAttribute('font-family', font);
    const grounds = [...svg.querySelectorAll('path')].map((path) => path.getBBox());
    return [...svg.querySelectorAll('text')].map((text, at) => {
        const drawn = text.getBBox();
        const wanted = Number(text.getAttribute('textLength'));
        text.removeAttribute('textLength');
        const ground = grounds.at(at);
        return {
            wanted, natural: text.getComputedTextLength(),
            left: drawn.x - ground.x, right: ground.x + ground.width - drawn.x - drawn.width,
        };
    });
}));
"""

# Return where the picture is, once it is there.
LOADED = """
const picture = document.querySelector('img');
return picture.decode().then(() => {
    const { x, y, width, height } = picture.getBoundingClientRect();
    return [x, y, width, height];
});
"""

# Read colours of a screenshot at some points.
PIXELS = """
const [source, points] = arguments;
const screen = new Image();
screen.src = `data:image/png;base64,${source}`;
return screen.decode().then(() => {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: screen.width, height: screen.height });
    const context = canvas.getContext('2d');
    context.drawImage(screen, 0, 0);
    const read = ([x, y]) => [...context.getImageData(x, y, 1, 1).data.slice(0, 3)];
    return points.map((point) => read(point).map((part) => part.toString(16).padStart(2, '0')).join(''));
});
"""

# What shields.io does with an endpoint's answer.
BADGE_MAKER = """
import { makeBadge } from 'badge-maker';

const drawn = [];
for (const url of process.argv.slice(2)) {
    const { schemaVersion, cacheSeconds, isError, ...badge } = await (await fetch(url)).json();
    drawn.push([schemaVersion, cacheSeconds, Boolean(isError), makeBadge(badge)]);
}
console.log(JSON.stringify(drawn));
"""


def labels_of(first, last, size=40):
    """Texts of all characters of a block that are drawn, so many each."""
    drawn = [chr(code) for code in range(first, last + 1)
             if unicodedata.category(chr(code)) not in ("Cc", "Cf", "Cn", "Mn", "Me", "Zs")]
    return ["".join(drawn[at:at + size]) for at in range(0, len(drawn), size)]


class Pictures:
    def setUp(self):
        super().setUp()
        self.browser = shared(self.kind)
        self.browser.complaints()
        self.application = Application()
        self.addCleanup(self.application.close)
        self.web = self.serve()

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [], "the console complains")
        super().tearDown()

    def show(self, body, scheme="light dark"):
        self.application.bodies["/"] = f'<meta name="color-scheme" content="{scheme}"><div>{body}</div>'
        self.browser.open(f"http://127.0.0.1:{self.application.port}/")

    def address(self, **parameters):
        more = "".join(f"&{name}={quote(value)}" for name, value in parameters.items())
        return f"http://127.0.0.1:{self.web.port}/badge.svg?site={SITE}{more}"

    def measure(self, labels, font=None):
        """Measure labels, which the number follows."""
        sources = [self.web.get(f"/badge.svg?site={SITE}&label={quote(label)}").body.decode()
                   for label in labels]
        self.show("")
        return self.browser.run(MEASURE, sources, font)

    def test_widths(self):
        """Texts are as wide as they are said to be, to a tenth of a pixel and the rounding of each
        character to a thousandth of its size."""
        labels = [*MIXED, *(label for block in KNOWN for label in labels_of(*block))]
        for label, texts in zip(labels, self.measure(labels)):
            for text in texts:
                self.assertAlmostEqual(text["wanted"], text["natural"], delta=0.35, msg=f"{label!r}: {text}")

    def test_any_script_and_font(self):
        """The text fills its place, whatever font draws it; a letter may lean over by a pixel or two."""
        labels = (*MIXED, *OTHER_SCRIPTS, "x" * 255)
        for font in None, "serif", "monospace", "Inter":
            for label, texts in zip(labels, self.measure(labels, font)):
                for text in texts:
                    for side in "left", "right":
                        self.assertTrue(3.5 < text[side] < 8.5, f"{font}, {label!r}: {text}")
        for label, (text, _) in zip(OTHER_SCRIPTS, self.measure(OTHER_SCRIPTS)):
            self.assertTrue(0.4 < text["wanted"] / text["natural"] < 2.5, f"{label!r}: {text}")

    def colors(self, picture, scheme="light dark"):
        """Show a picture on a page; return its size, and the colours of its left and right end."""
        self.show(picture, scheme)
        x, y, width, height = self.browser.run(LOADED)
        colors = self.browser.run(PIXELS, self.browser.picture(False),
                                  [(x + 3, y + height / 2), (x + width - 3, y + height / 2)])
        return (width, height), tuple(f"#{color}" for color in colors)

    def test_light_and_dark(self):
        """A picture is as light or dark as its page, or as it is told to be."""
        light, dark = ("#e6e9ec", "#656d76"), ("#343a42", "#636b75")
        for system in "light", "dark":
            self.set_scheme(system)
            for theme, scheme, expected in (
                    ("light", "dark", light), ("dark", "light", dark), ("auto", "light", light),
                    ("auto", "dark", dark), ("auto", "light dark", light if system == "light" else dark)):
                picture = f'<img src="{html.escape(self.address(theme=theme))}" alt="">'
                (width, height), colors = self.colors(picture, scheme)
                self.assertEqual((height, colors), (20, expected), (system, theme, scheme))
                self.assertGreater(width, 100)

    def test_opened_itself(self):
        """The policy that it comes with allows its style, and no complaint is heard."""
        self.set_scheme("dark")
        self.browser.open(self.address(label="</text><script>alert(1)</script>"))
        self.assertEqual(self.browser.run(
            "return getComputedStyle(document.querySelector('.presence-label')).fill"), "rgb(52, 58, 66)")
        self.assertEqual(self.browser.run("return document.querySelector('text').textContent"),
                         "</text><script>alert(1)</script>")


class InChromium(Pictures, WebCase):
    kind = Browser

    def set_scheme(self, scheme):
        self.browser.media(prefers_color_scheme=scheme)

    def test_document(self):
        """The line of the document, behind presence-web's own address, and a number."""
        line = substitute(fenced("html picture"), base=("/presence/", f"http://127.0.0.1:{self.web.port}/"))
        self.collector = self.start("--warm-up", "0")
        self.set_scheme("light")
        wait_until(lambda: self.colors(line)[1] == ("#e6e9ec", "#1a7f37"), "a number")

    def test_badge_maker(self):
        """It takes /badge.json and draws what we do, as wide as we do but for its narrower margins."""
        labels = ("viewing now", "", "Zürich Café", "<b>&\"'", "שלום")
        base = f"http://127.0.0.1:{self.web.port}/badge.json?site={SITE}&label="
        drawn = run_script(BADGE_MAKER, *(base + quote(label) for label in labels))
        for label, (version, seconds, is_error, picture) in zip(labels, drawn):
            self.assertEqual((version, seconds, is_error), (1, 300, True))
            self.show(picture)
            title = self.browser.run("return document.querySelector('svg title').textContent")
            self.assertEqual(title, f"{label}: unknown" if label else "unknown")
            theirs = self.browser.run("return Number(document.querySelector('svg').getAttribute('width'))")
            self.show(self.web.get(f"/badge.svg?site={SITE}&label={quote(label)}").body.decode())
            ours = self.browser.run("return Number(document.querySelector('svg').getAttribute('width'))")
            if not label or label in MIXED:  # it knows no other scripts' widths
                self.assertAlmostEqual(ours, theirs, delta=0.06 * ours + 5, msg=label)


@seldom
class InFirefox(Pictures, WebCase):
    kind = Firefox

    def set_scheme(self, scheme):
        self.browser.preference("layout.css.prefers-color-scheme.content-override",
                                {"dark": 0, "light": 1}[scheme])


if __name__ == "__main__":
    unittest.main()
