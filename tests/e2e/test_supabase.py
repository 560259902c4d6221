"""Supabase's client from npm, unmodified, with presence-web in place of a project: in Node.js, and a
React hook that counts active visitors, in pages of another origin."""

import functools
import json
import os
import signal
import time
import unittest

from badge import OUT_OF_REACH
from clients import ClientCase, in_chromium
from harness import freeze, native, visitor, wait_until
from npm import bundle, run_script
from web import SITE, WebCase, token

FUNCTION = "touch_website_active_visitor"
JWT_KEY = "a key of the tests that is long enough for HS256"

# Make each call with the client and print what it returns.
CALLS = """
import { createClient } from '@supabase/supabase-js';
import WebSocket from 'ws';

const [port, key, token, calls] = process.argv.slice(2);
const options = {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: WebSocket }, // Node.js has one of its own from version 22 on
};
if (token) options.accessToken = async () => token;
const supabase = createClient(`http://127.0.0.1:${port}`, key, options);
const shown = [];
for (const call of JSON.parse(calls)) {
    const { data, error, status, count } =
        await Promise.resolve(eval(call)).catch((error) => ({ error }));
    shown.push([status ?? 'thrown', data ?? null, error?.code ?? null, error?.message ?? null,
                count ?? null]);
}
console.log(JSON.stringify(shown));
process.exit();
"""


def rpc(arguments, more=""):
    return f"supabase.rpc('{FUNCTION}', {arguments}){more}"


class Node(WebCase):
    def calls(self, *calls, key="anon", bearer=""):
        """Return what the calls return: status, data, the error's code and message, count."""
        return run_script(CALLS, self.web.port, key, bearer, json.dumps(calls))

    def test_calls(self):
        """The number is data, and everything else an error that the client understands."""
        self.web = self.serve("--site", SITE, "--client-rate", "0",
                              collector=self.start("--warm-up", "0"))
        ann, bob = "{ _visitor_id: 'ann', _window_minutes: 5 }", "{ _visitor_id: ' bob ' }"
        for key in "anon", "sb_publishable_of_the_tests":
            wait_until(lambda key=key: self.calls(rpc(ann), rpc(bob), key=key)[1][:2] == [200, 2],
                       "both to be counted")
        one = [200, 2, None, None, None]
        expected = {
            rpc(ann): one,
            rpc("{ _visitor_id: 'ann', _window_minutes: undefined }"): one,
            rpc("{ _visitor_id: 'ann', _window_minutes: NaN }"): one,
            rpc(ann, ".single()"): one,
            rpc(ann, ".maybeSingle()"): one,
            rpc(ann, ".select()"): one,
            rpc(ann, ".throwOnError()"): one,
            f"supabase.rpc('{FUNCTION}', {ann}, {{ count: 'exact' }})": [*one[:4], 1],
        }
        wait_until(lambda: self.calls(*expected) == list(expected.values()), "numbers")
        unknown = "Could not find the function public."
        expected = {
            rpc("{ _visitor_id: '' }"): [400, None, "P0001", "visitor_id is required", None],
            rpc("{ _visitor_id: null }"): [400, None, "P0001", "visitor_id is required", None],
            rpc("{ _visitor_id: 'x'.repeat(129) }"):
                [400, None, "P0001", "visitor_id is too long", None],
            rpc("{ _visitor_id: '' }", ".throwOnError()"):
                ["thrown", None, "P0001", "visitor_id is required", None],
            rpc("{ _visitor_id: 'ann', _window_minutes: 2.5 }"):
                [400, None, "22P02", 'invalid input syntax for type integer: "2.5"', None],
            rpc("{}"): [404, None, "PGRST202", f"{unknown}{FUNCTION} without parameters in the "
                        "schema cache", None],
            "supabase.rpc('hello', { a: 1, b: 2 })":
                [404, None, "PGRST202", f"{unknown}hello(a, b) in the schema cache", None],
            "supabase.from('posts').select('*')":
                [404, None, "PGRST205", "Could not find the table 'public.posts' in the schema "
                 "cache", None],
            f"supabase.rpc('{FUNCTION}', {ann}, {{ get: true }})":
                [405, None, "25006", "cannot execute INSERT in a read-only transaction: call the "
                 "function by POST", None],
            f"supabase.schema('private').rpc('{FUNCTION}', {ann})":
                [406, None, "PGRST106", "Invalid schema: only public is exposed", None],
        }
        self.assertEqual(self.calls(*expected), list(expected.values()))

    def test_tokens(self):
        """Who has signed in has a token; the project's key is none."""
        self.web = self.serve("--site", SITE, "--jwt-key-file", self.secret("jwt", JWT_KEY),
                              collector=self.start())
        good = token(JWT_KEY, site=SITE, exp=time.time() + 600)
        ann = rpc("{ _visitor_id: 'ann' }")
        for key, bearer in (("anon", ""), (good, ""), ("anon", "other")):
            [[status, data, code, *_]] = self.calls(ann, key=key, bearer=bearer)
            self.assertEqual((status, data, code),
                             (401, None, "PGRST301" if bearer else "PGRST302"))
        wait_until(lambda: self.calls(ann, bearer=good)[0][:2] == [200, 1], "the number")

    def test_silence(self):
        """A number that is stale is an error."""
        collector = self.start()
        self.web = self.serve("--site", SITE, collector=collector)
        collector.stop()
        [[status, data, code, *_]] = self.calls(rpc("{ _visitor_id: 'ann' }"))
        self.assertEqual((status, data, code), (503, None, "stale"))


@functools.cache
def hook():
    return bundle(os.path.join(os.path.dirname(__file__), "active_visitors.jsx"))


# Before the page: its minutes are the test's, and calls of the function are recorded.
BEFORE = """
    const work = new Map();
    const { setInterval: repeat, clearInterval: forget, fetch: ask } = window;
    window.setInterval = (call, wait) => {
        const id = repeat(wait === 60_000 ? () => {} : call, wait);
        if (wait === 60_000) work.set(id, call);
        return id;
    };
    window.clearInterval = (id) => {
        work.delete(id);
        forget(id);
    };
    window.passMinute = () => [...work.values()].forEach((call) => call());
    window.asked = { now: 0, most: 0, ended: 0, people: [] };
    window.fetch = async (where, options) => {
        if (!`${where}`.includes('/rest/v1/rpc/')) return ask(where, options);
        asked.now += 1;
        asked.most = Math.max(asked.most, asked.now);
        asked.people.push(JSON.parse(options.body)._visitor_id);
        try {
            return await ask(where, options);
        } finally {
            asked.now -= 1;
            asked.ended += 1;
        }
    };
"""


@in_chromium
class Hook(ClientCase):
    def setUp(self):
        super().setUp()
        self.before_page = BEFORE
        self.tolerated = (*OUT_OF_REACH, "status of 503")
        self.collector = self.start("--warm-up", "0")
        self.web = self.serve("--count-bots", "--rest-site", SITE, collector=self.collector)
        self.pages.pages["/app.js"] = hook(), {"Content-Type": "text/javascript"}
        self.pages.other = lambda _: self.pages.page(
            f"<div id='root'></div><script>window.project = 'http://127.0.0.1:{self.web.port}';"
            "window.projectKey = 'anon';</script><script src='/app.js'></script>")

    def shown(self):
        return self.browser.run("return document.getElementById('badge')?.textContent ?? null")

    def wait_shown(self, text):
        """Wait until the badge shows that, letting minutes pass: an answer may have been late."""
        def shows():
            if self.shown() == text:
                return True
            self.browser.run("if (!asked.now) passMinute()")
            return False

        wait_until(shows, lambda: f"the badge to show {text!r}; it shows {self.shown()!r}: "
                   f"{self.browser.run('return asked')}")

    def asked(self, what="ended"):
        return self.browser.run(f"return asked.{what}")

    def wait_answers(self):
        wait_until(lambda: self.asked("now") == 0, "answers")

    def test_two_people(self):
        """Each is in the number from their first call on, and keeps their id."""
        self.send(self.collector, native(SITE, [visitor(7)]))
        ann = self.visit("ann")
        self.wait_shown("2 active now")
        self.visit("bob")
        self.wait_shown("3 active now")
        self.browser.switch(ann)
        self.wait_shown("3 active now")
        self.browser.open(f"http://ann.localhost:{self.pages.port}/other")
        self.wait_shown("3 active now")
        self.assertEqual(self.json("count", SITE)["count"], 3)

    def test_hidden_tabs(self):
        """A tab that is hidden reports nothing, and comes back at once."""
        self.visit(kind="window")
        self.wait_shown("1 active now")
        self.browser.minimize()
        wait_until(lambda: self.browser.run("return document.hidden") and self.shown() is None,
                   "the badge to hide")
        self.wait_answers()
        before = self.asked()
        self.browser.run("passMinute(); passMinute()")
        self.assertEqual(self.asked("people.length"), before)
        self.browser.restore()
        wait_until(lambda: self.asked() > before, "a call")
        self.wait_shown("1 active now")

    def test_one_call_at_a_time(self):
        """A server that hangs has one call, however many minutes pass."""
        self.visit()
        self.wait_shown("1 active now")
        self.wait_answers()
        before = self.asked()
        freeze(self.web.process)
        try:
            self.browser.run("passMinute(); passMinute(); passMinute()")
            self.assertEqual(self.asked("people.length"), before + 1)
            self.assertEqual(self.shown(), "1 active now")
        finally:
            self.web.process.send_signal(signal.SIGCONT)
        self.wait_answers()
        self.assertEqual((self.asked(), self.asked("most")), (before + 1, 1))

    def test_failures(self):
        """Without a fresh number, and without a server, there is no badge; with them it is back."""
        self.visit()
        self.wait_shown("1 active now")
        self.collector.stop()
        self.wait_shown(None)
        self.assertTrue(any("stale" in each for each in self.browser.console()))
        self.collector = self.start("--warm-up", "0", listen=f"127.0.0.1:{self.collector.port}")
        self.wait_shown("1 active now")
        port = self.web.port
        self.web.stop()
        self.wait_shown(None)
        self.web = self.serve("--count-bots", "--rest-site", SITE, collector=self.collector,
                              listen=f"127.0.0.1:{port}")
        self.wait_shown("1 active now")


if __name__ == "__main__":
    unittest.main()
