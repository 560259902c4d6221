"""The badge where the clock is set, ahead and back."""

import unittest

from clients import ClientCase, mostly_in_chromium
from harness import wait_until

OTHER_CLOCK = "const now = Date.now; window.jump = 0; Date.now = () => now() + jump;"
# Touches are counted, but no answer has a number.
NOT_SEEN = """
    const { fetch: ask } = window;
    window.fetch = async (...request) => {
        await ask(...request);
        return new Response('{"counted":false,"reason":"not_seen","message":"late"}');
    };
"""


@mostly_in_chromium
class Clocks(ClientCase):
    def set_clock(self, hours):
        self.browser.run(f"window.jump = {hours} * 3600e3; advance(5000)")

    def test_clock(self):
        """It recovers after the machine has slept and the clock was set back."""
        self.begin()
        self.visit(before=OTHER_CLOCK)
        self.wait_seen("1 viewing now")
        self.set_clock(8)
        self.wait_touches(2)
        self.set_clock(-8)
        self.wait_touches(3)
        self.wait_seen("1 viewing now")

    def test_clock_set_back_without_answers(self):
        """After the clock was set back, the stream's number is shown without a touch's answer."""
        self.begin()
        self.visit(before=OTHER_CLOCK + NOT_SEEN)
        self.wait_seen("1 viewing now")
        for hours in 8, -8:
            before = self.browser.run("return shown.length")
            self.set_clock(hours)
            wait_until(lambda: self.browser.run("return shown.slice(arguments[0])", before) ==
                       [None, "1 viewing now"], f"the number at {hours} h")

    def test_clock_set_back_while_the_stream_is_lost(self):
        """A lost stream is opened again after the clock was set back."""
        self.begin()
        self.visit(before=OTHER_CLOCK + """
            window.streams = [];
            const { EventSource: Original } = window;
            window.EventSource = class extends Original {
                constructor(...more) {
                    super(...more);
                    streams.push(this);
                }
            };
        """)
        self.wait_seen("1 viewing now")
        wait_until(lambda: self.browser.run("return streams.length") == 1, "a stream")
        self.browser.run("window.jump = 8 * 3600e3; streams[0].onerror()")
        self.set_clock(0)
        wait_until(lambda: self.browser.run("return streams.length") == 2, "the next stream")


if __name__ == "__main__":
    unittest.main()
