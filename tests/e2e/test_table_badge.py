"""The table of people.py through the badge: each person visits their pages in a real Chromium, at
plain http:// names, as they would."""

import json
import os
import unittest

from application import Application
from badge import STILL
from browser import Browser
from harness import wait_until
from table import TableCase
from web import WebCase

# Edges see no leaves, nor does the table: a visitor who goes to another page stays for the window.
BEFORE = "navigator.sendBeacon = () => true;"


class BadgeTable(TableCase, WebCase):
    def setUp(self):
        super().setUp()
        self.begin_collector()
        web = self.serve("--count-bots", collector=self.collector)
        application = Application(badge=f"http://127.0.0.1:{web.port}")
        self.addCleanup(application.close)
        self.port = application.port
        self.browser = Browser("--host-resolver-rules="
                               "MAP *example.com 127.0.0.1, MAP *.example 127.0.0.1")
        self.addCleanup(self.browser.close)
        with open(os.path.join(os.path.dirname(__file__), "badge_page.js")) as script:
            self.before = STILL + script.read() + BEFORE
        self.browser.devtools("Page.enable")
        self.browser.devtools("Network.enable")
        self.script = None
        self.who = None

    def report(self, request):
        if request.kind == "heartbeat":
            self.stay(request)
        elif not request.unvisited:
            self.prepare(request)
            self.navigate(request)
            self.wait_reported(request)

    def prepare(self, request):
        """Set the cookies and the referrer of the request, and no other person's."""
        if self.script:
            self.browser.devtools("Page.removeScriptToEvaluateOnNewDocument",
                                  identifier=self.script)
        referrer = json.dumps(request.referrer)
        source = (self.before +
                  f"Object.defineProperty(document, 'referrer', {{ value: {referrer} }});")
        if (request.who, request.host) != self.who:
            source += "for (const storage of [localStorage, sessionStorage]) storage.clear();"
        self.who = request.who, request.host
        self.script = self.browser.devtools("Page.addScriptToEvaluateOnNewDocument",
                                            source=source)["identifier"]
        self.browser.devtools("Network.clearBrowserCookies")
        pairs = [pair for header in request.cookies for pair in header.split("; ")]
        names = [pair.partition("=")[0] for pair in pairs]
        for number, (name, pair) in enumerate(zip(names, pairs)):
            # Of two with one name that with the longer path comes first.
            path = request.path if name in names[number + 1:] else "/"
            done = self.browser.devtools("Network.setCookie", name=name, path=path,
                                         value=pair.partition("=")[2], url=self.url(request, "/"))
            self.assertTrue(done["success"], pair)

    def url(self, request, path):
        return f"http://{request.host}:{self.port}{path}"

    def navigate(self, request):
        if request.method == "GET":
            self.browser.devtools("Page.navigate", url=self.url(request, request.path))
            return
        self.browser.open(self.url(request, "/status/404"))
        self.browser.leave("""
            const form = document.body.appendChild(document.createElement('form'));
            form.method = 'POST';
            form.action = arguments[0];
            form.submit();
        """, request.path)
        wait_until(lambda: self.browser.run("return location.pathname") == request.path,
                   "the form to be sent")

    def wait_reported(self, request):
        """Wait until the page is loaded, and has sent its report, if it sends one."""
        done = "return document.readyState === 'complete' && window.asked?.now === 0 && asked.ended"
        least = 1 if request.kind else 0
        wait_until(lambda: type(sent := self.browser.run(done)) is int and sent >= least,
                   lambda: f"{request.path} to report: {self.browser.run('return asked')}")

    def stay(self, request):
        """Let the open page stay open for a minute."""
        self.assertEqual(self.browser.run("return location.pathname"), request.page)
        asked = self.browser.run("return asked.ended")
        self.browser.run("advance(60000)")
        wait_until(lambda: self.browser.run("return asked.ended") > asked, "the heartbeat")

    def test(self):
        self.check_table(0)


if __name__ == "__main__":
    unittest.main()
