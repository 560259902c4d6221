"""The dashboard when its stream or its server goes silent, and after the machine has slept."""

import signal
import time
import unittest

from badge import OUT_OF_REACH
from dashboard import DashboardCase
from harness import freeze, wait_until

SILENCE = 40  # seconds after which the page opens a stream anew


class Streams(DashboardCase):
    def skip_time(self, seconds, then=""):
        self.browser.run("""
            const now = performance.now.bind(performance);
            performance.now = () => now() + 1000 * arguments[0];
        """ + then, seconds)

    def begin_with_proxy(self):
        self.before_page("""
            window.opened = [];
            window.EventSource = class extends EventSource {
                constructor(...given) {
                    super(...given);
                    opened.push(this);
                }
            };
        """)
        self.begin()
        self.put_proxy()
        self.people([1])
        self.open()
        self.wait_number("1")
        # The number may have been polled: the stream takes its time on a busy machine.
        wait_until(lambda: self.proxy.streams == 1, lambda: f"a stream: {self.proxy.streams}")

    def test_stream_goes_silent(self):
        """A stream that sends nothing for 40 s is opened anew; what keeps it alive counts."""
        self.begin_with_proxy()
        for _ in range(3):
            self.skip_time(30, "opened[0].dispatchEvent(new MessageEvent('alive', { data: '{}' }))")
        self.wait_number("1")
        self.assertEqual(self.proxy.streams, 1)
        self.proxy.holds = True
        self.skip_time(45)
        wait_until(lambda: self.proxy.streams == 2, "another stream")
        self.assertEqual(self.browser.run("return opened[0].readyState"), 2)
        self.proxy.holds = False
        self.people([2])
        self.wait_number("2")

    def test_half_open_stream(self):
        """The collector stops behind a half-open stream: what is polled says so."""
        begun = time.monotonic()
        self.begin_with_proxy()
        self.proxy.holds = True
        self.people([2])
        self.wait_number("2")
        self.collector.stop()
        self.wait_number("2", "stale")
        if time.monotonic() - begun < SILENCE:  # a busy machine may take longer
            self.assertEqual(self.proxy.streams, 1)

    def test_not_confirmed(self):
        """A number that nobody confirms any more is not live, though the server answers."""
        self.tolerated = ("503",)
        self.begin_with_proxy()
        self.proxy.holds = True
        self.proxy.edit = lambda path, text: None
        self.skip_time(45)
        self.wait_number("1", "stale")
        self.assertRegex(self.text("#mark"), r"^Not confirmed since \d\d:\d\d:\d\d$")

    def test_sleep(self):
        """After the machine has slept an old number is not live, even if the page's clock stood still."""
        self.begin()
        self.people([1])
        self.open()
        self.wait_number("1")
        freeze(self.web.process)
        self.addCleanup(self.web.process.send_signal, signal.SIGCONT)
        self.browser.run("""
            const [at, now] = [performance.now(), Date.now.bind(Date)];
            performance.now = () => at;
            Date.now = () => now() + 3600000;
        """)
        self.wait_number("1", "stale")
        self.web.process.send_signal(signal.SIGCONT)
        self.wait_number("1")

    def test_server_out_of_reach(self):
        """Without a server the number is marked as old; it resumes when the server is back."""
        self.tolerated = OUT_OF_REACH
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
        self.assertRegex(self.text("#health"), r"^Health\s+Collector\s+–\s+no answer$")
        self.assertIn("Last known", self.text("#meaning"))
        self.web = self.serve(collector=self.collector, listen=f"127.0.0.1:{port}")
        self.people([20])
        self.wait_number("16")


if __name__ == "__main__":
    unittest.main()
