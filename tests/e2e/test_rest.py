"""presence-web as PostgREST: the function that Supabase's client calls, its arguments and errors."""

import json
import threading
import time

from harness import native, visitor, wait_until, waiting_bytes
from side_by_side import main
from web import SITE, WebCase, new_id, token
from web_totals import TotalsCase

FUNCTION = "touch_website_active_visitor"
CALL = f"/rest/v1/rpc/{FUNCTION}"
JWT_KEY = "a key of the tests that is long enough for HS256"


def call(web, arguments, path=CALL, method="POST", **headers):
    """Send arguments as JSON, or a body as it is."""
    body = json.dumps(arguments) if isinstance(arguments, (dict, list)) else arguments
    return web.ask(method, path, body,
                   {name.replace("_", "-"): value for name, value in headers.items()})


def touch(web, person, minutes=5, **headers):
    return call(web, {"_visitor_id": person, "_window_minutes": minutes}, **headers)


class RestCase(WebCase):
    def counted_as(self, web, arguments, count):
        """Call until it is counted in time (a busy machine may be late), and compare the answer."""
        def answer():
            answer = call(web, arguments)
            self.assertIn(answer.status, (200, 503), answer.body)
            return answer.status == 200 and answer

        answer = wait_until(answer, f"{arguments} to be counted")
        self.assertEqual(answer.body, b"%d" % count, arguments)
        return answer

    def assert_error(self, answer, status, code, message=""):
        """Check that the answer has PostgREST's shape of an error, with a message that begins so."""
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(list(answer.json), ["code", "details", "hint", "message"])
        self.assertEqual(answer.json["code"], code, answer.body)
        self.assertTrue(answer.json["message"].startswith(message), answer.body)
        if status == 503 and code != "window_unpublished":
            self.assertEqual(answer.headers["retry-after"], "5")


class Arguments(RestCase):
    def setUp(self):
        super().setUp()
        self.web = self.serve("--site", SITE, "--client-rate", "0",
                              collector=self.start("--warm-up", "0"))

    def test_visitors(self):
        """Each is in the count at once; what is no text is its JSON."""
        spellings = [["ann", "  ann ", "ann  "], [42, "42"], [1.5], [True, "true"], [{"a": [1]}],
                     ["é" * 128, "  " + "é" * 128], ["💥" * 128], ["a b"], ["\t"]]
        for count, people in enumerate(spellings, 1):
            for person in people:
                self.counted_as(self.web, {"_visitor_id": person, "_window_minutes": 5}, count)
        self.assertEqual(self.live(self.web)["count"], len(spellings))
        self.assertEqual(self.web.touch({"site": SITE, "visitor": "ann"}).json["count"],
                         len(spellings))

    def test_no_visitors(self):
        required, long = "visitor_id is required", "visitor_id is too long"
        for person, message in ((None, required), ("", required), ("   ", required),
                                ("undefined", required), ("null", required), ("NaN", required),
                                ("-", required), ("\x7f", required),
                                ("00000000-0000-0000-0000-000000000000", required),
                                ("x" * 129, long), ("é" * 129, long), (" " + "💥" * 129, long),
                                ("x" * 128 + "\t", long), ([1] * 65, long)):
            answer = touch(self.web, person)
            self.assert_error(answer, 400, "P0001", message)
            if person in (None, "", "   ", "x" * 129):
                self.assertEqual(answer.json, {"code": "P0001", "details": None, "hint": None,
                                               "message": message})
        self.assert_error(touch(self.web, "a\0b"), 400, "22P05", "unsupported Unicode")
        self.assert_error(call(self.web, '{"_visitor_id":98765432109876543210}'), 400, "22003")
        self.assertEqual(self.live(self.web)["count"], 0)

    def test_windows(self):
        for minutes in (None, 5, "5", " +7 ", "\t-3", 0, -2147483648, 61, 2147483647):
            self.counted_as(self.web, {"_visitor_id": "ann", "_window_minutes": minutes}, 1)
        self.counted_as(self.web, {"_visitor_id": "ann"}, 1)
        for minutes in (5.5, 5.0, 1e300, "5.0", "", " ", "five", "0x5", "5 5", True, [], [5], {},
                        "<b>"):
            self.assert_error(touch(self.web, "bob", minutes), 400, "22P02",
                              "invalid input syntax for type integer")
        for minutes in (2147483648, -2147483649, 10 ** 18, "9" * 300):
            self.assert_error(touch(self.web, "bob", minutes), 400, "22003", "value \"")
        self.assertNotIn(b"<b>", touch(self.web, "bob", "<b>").body)
        self.assertEqual(self.live(self.web)["count"], 1)

    def test_functions(self):
        """What the function does not have, it is not called with; the error says with what."""
        unknown = "Could not find the function public."
        for arguments, names in (({}, " without parameters"), ("", " without parameters"),
                                 ("[]", " without parameters"), ("5", " without parameters"),
                                 ({"_window_minutes": 5}, "(_window_minutes)"),
                                 ({"_visitor_id": "a", "visitor": 1, "B": 2},
                                  "(B, _visitor_id, visitor)"),
                                 ({"_visitor_id": "a", "<b>": 1}, "(?, _visitor_id)")):
            answer = call(self.web, arguments)
            self.assert_error(answer, 404, "PGRST202",
                              f"{unknown}{FUNCTION}{names} in the schema cache")
            self.assertIn(f"public.{FUNCTION}(_visitor_id, _window_minutes)", answer.json["hint"])
        self.assertEqual(answer.json["details"],
                         f"Searched for the function public.{FUNCTION} with parameters ?, "
                         "_visitor_id or with a single unnamed json/jsonb parameter, but no matches "
                         "were found in the schema cache.")
        self.assert_error(call(self.web, {"x": 1}, "/rest/v1/rpc/hello"), 404, "PGRST202",
                          f"{unknown}hello(x) in")
        for body in ("{", "nope", b"\xff", "{} {}", b"\xef\xbb\xbf{}"):
            self.assert_error(call(self.web, body), 400, "PGRST102", "Empty or invalid json")
        self.assert_error(call(self.web, "[" * 4000), 400, "PGRST102", "Empty or invalid json")
        self.assert_error(call(self.web, "x" * 5000), 413, "too_large")

    def test_requests(self):
        read_only = "cannot execute INSERT in a read-only transaction"
        answer = call(self.web, None, f"{CALL}?_visitor_id=ann", "GET")
        self.assert_error(answer, 405, "25006", read_only)
        self.assertEqual(answer.headers["allow"], "POST, OPTIONS")
        self.assertEqual(call(self.web, None, CALL, "HEAD").status, 405)
        self.assert_error(call(self.web, None, CALL, "DELETE"), 405, "PGRST117")
        self.assert_error(call(self.web, None, "/rest/v1/posts?select=*", "GET"), 404, "PGRST205",
                          "Could not find the table 'public.posts' in")
        self.assert_error(call(self.web, {}, "/rest/v1/<b>"), 404, "PGRST205",
                          "Could not find the table 'public.?' in")
        self.assertEqual(self.live(self.web)["count"], 0)

    def test_headers(self):
        ann = {"_visitor_id": "ann"}
        answer = self.counted_as(self.web, ann, 1)
        self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")
        self.assertEqual(answer.headers["content-range"], "0-0/*")
        self.assertEqual(answer.headers["cache-control"], "no-store")
        for name, value, rows in (("Prefer", "return=minimal", "*"), ("Prefer", "count=exact", "1"),
                                  ("Accept", "application/vnd.pgrst.object+json", "*"),
                                  ("Content-Profile", "public", "*"),
                                  ("Content-Type", "text/plain", "*")):
            answer = wait_until(lambda: (answer := call(self.web, ann, **{name: value})).status == 200
                                and answer, "an answer")
            self.assertEqual((answer.body, answer.headers["content-range"]), (b"1", f"0-0/{rows}"))
        self.assert_error(call(self.web, ann, Content_Profile="private"), 406, "PGRST106")


class Permission(RestCase):
    def test_pages(self):
        """Pages may send what their version of the client has, and read the answer."""
        web = self.serve("--rest-site", SITE, "--origin", "https://a.example",
                         collector=self.start())
        wanted = "apikey,authorization,content-profile,content-type,x-client-info,x-new-one"
        for path in (CALL, "/rest/v1/posts"):
            answer = call(web, None, path, "OPTIONS", Origin="https://a.example",
                          Access_Control_Request_Headers=wanted)
            self.assertEqual(answer.status, 204)
            self.assertEqual(answer.headers["access-control-allow-headers"], wanted)
            self.assertEqual(answer.headers["access-control-allow-methods"], "POST, OPTIONS")
            self.assertEqual(answer.headers["access-control-allow-origin"], "https://a.example")
        answer = call(web, None, CALL, "OPTIONS", Origin="https://b.example",
                      Access_Control_Request_Headers="a;b")
        self.assertNotIn("access-control-allow-origin", answer.headers)
        self.assertNotIn(";", answer.headers["access-control-allow-headers"])
        self.assert_error(touch(web, "ann", Origin="https://b.example"), 403, "origin_not_allowed")
        answer = wait_until(lambda: (answer := touch(web, "ann", Origin="https://a.example")).status
                            == 200 and answer, "an answer")
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://a.example")

    def test_which_site(self):
        collector = self.start()
        for options, site in ((("--rest-site", "Shop.example"), "shop.example"),
                              (("--rest-site", "42", "--site-alias", f"42={SITE}"), SITE),
                              (("--site", "a.example", "--site", "b.example", "--rest-site",
                                "b.example"), "b.example")):
            web = self.serve(*options, collector=collector)
            self.counted_as(web, {"_visitor_id": "ann"}, 1)
            self.assertEqual(self.json("count", site)["count"], 1)
        for options in (), ("--site", "a.example", "--site", "b.example"):
            web = self.serve(*options, collector=collector)
            answer = touch(web, "ann")
            self.assert_error(answer, 404, "site_missing")
            self.assertIn("--rest-site", answer.json["message"])
        web = self.serve("--site", SITE, "--no-compat", collector=collector)
        self.assert_problem(touch(web, "ann"), 404, "not_found")
        self.assert_problem(call(web, None, CALL, "DELETE"), 404, "not_found")

    def test_tokens(self):
        """The key of a project is no token; one of ours is, for its site and visitor."""
        keys = self.secret("jwt", JWT_KEY)
        web = self.serve("--site", SITE, "--jwt-key-file", keys, collector=self.start())
        soon = time.time() + 600

        def ask(bearer=None, key="anon", person="ann"):
            headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
            return touch(web, person, apikey=key, **headers)

        self.assert_error(ask(), 401, "PGRST302")
        answer = ask("anon")
        self.assert_error(answer, 401, "PGRST302")
        self.assertIn("Bearer", answer.headers["www-authenticate"])
        good = token(JWT_KEY, site=SITE, exp=soon)
        self.assert_error(ask(good, key=good), 401, "PGRST302")
        for bearer in ("other", token("another key that is long enough for HS256", site=SITE,
                                      exp=soon),
                       token(JWT_KEY, site=SITE), token(JWT_KEY, site=SITE, exp=soon - 1200)):
            self.assert_error(ask(bearer), 401, "PGRST301")
        for claims in ({"site": "other.example"}, {"site": SITE, "room": "/a"}, {},
                       {"site": SITE, "sub": "bob"}):
            self.assert_error(ask(token(JWT_KEY, exp=soon, **claims)), 403, "42501")
        for claims in ({}, {"sub": "ann"}):
            bearer = token(JWT_KEY, site=SITE, exp=soon, **claims)
            wait_until(lambda: ask(bearer).status == 200, "an answer")
        self.assertEqual(self.json("count", SITE)["count"], 1)

    def test_rate(self):
        web = self.serve("--site", SITE, "--client-rate", "1", collector=self.start())
        answer = wait_until(lambda: (answer := call(web, "{")).status == 429 and answer, "a refusal")
        self.assertEqual(answer.json["code"], "rate_limited")
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)


class Numbers(RestCase):
    def test_others_are_counted(self):
        """In the window that is asked for; bots and prefetched pages only see the number."""
        collector = self.start("--warm-up", "0")
        web = self.serve("--site", SITE, collector=collector)
        self.send(collector, native(SITE, [visitor(number) for number in range(7)], room="/a"))
        self.wait_count(web, 7)
        self.counted_as(web, {"_visitor_id": "ann", "_window_minutes": 1}, 8)
        for headers in {"User-Agent": "Googlebot/2.1"}, {"Sec-Purpose": "prefetch"}:
            answer = touch(web, new_id(), **headers)
            self.assertEqual((answer.status, answer.body), (200, b"8"))
        self.assertEqual(self.live(web)["count"], 8)

    def test_no_false_number(self):
        """Without a fresh number, or without the visitor in it, there is an error."""
        web = self.serve("--site", SITE)
        for agent in "Mozilla/5.0", "Googlebot/2.1":
            self.assert_error(touch(web, "ann", User_Agent=agent), 503, "stale")
        collector = self.start("--max-entries", "1024", "--warm-up", "0")
        web = self.serve("--site", SITE, "--client-rate", "0", collector=collector)
        self.send(collector, *(native(SITE, [visitor(number) for number in range(first, first + 50)])
                               for first in range(0, 4000, 50)))
        self.wait_received(80)

        def refusal():
            answer = touch(web, new_id())
            return answer.status == 503 and answer.json["code"] == "table_full" and answer

        self.assert_error(wait_until(refusal, "a refusal"), 503, "table_full",
                          "the collector's table is full")

    def test_a_collector_that_is_late(self):
        """The answer waits for a collector that is held for longer than a touch waits."""
        collector = self.start()
        web = self.serve("--site", SITE, collector=collector)
        answers = []

        def answer():
            collector.freeze()
            asking = threading.Thread(target=lambda: answers.append(touch(web, new_id())))
            asking.start()
            try:
                wait_until(lambda: any(waiting_bytes(collector.address)), "the heartbeat to be sent")
                time.sleep(0.1)  # a touch waits for 20 ms
            finally:
                collector.thaw()
            asking.join()
            return answers[-1].status == 200

        wait_until(answer, "an answer with the visitor in it")


class Totals(TotalsCase, RestCase):
    def test_the_visitor_is_in_the_total(self):
        """Each is in the number that they get; bots see it."""
        self.begin_collector()
        web = self.begin("--to", f"127.0.0.1:{self.collector.port}", "--site", SITE)
        for count, person in enumerate(("ann", "bob"), 1):
            self.counted_as(web, {"_visitor_id": person}, count)
        answer = touch(web, new_id(), User_Agent="Googlebot/2.1")
        self.assertEqual((answer.status, answer.body), (200, b"2"))
        self.freeze_engine()
        wait_until(lambda: touch(web, "ann").status == 503, "the number to be stale")

    def test_windows(self):
        """Windows that are published can be asked for, also for the first time; no other is taken
        for them."""
        asked, unasked = (1, 5, 60), (2, 3, 4, 6, 15)
        self.write("A", {"": 0})
        self.shards.write("A", 1, 1, {60 * minutes: {SITE: {"": 100 + minutes}}
                                   for minutes in asked + unasked})
        self.socket.bind(("127.0.0.1", 0))  # heartbeats arrive there
        web = self.begin("--to", f"127.0.0.1:{self.socket.getsockname()[1]}", "--site", SITE,
                         "--client-rate", "0")
        wait_until(lambda: web.get("/-/ready").status == 200, "totals")
        bot = {"User-Agent": "Googlebot/2.1"}
        for minutes, number in ((1, 1), (0, 1), (-7, 1), (None, 5), (5, 5), (60, 60), (61, 60),
                                (999, 60)):
            self.assertEqual(touch(web, "bob", minutes, **bot).body, b"%d" % (100 + number), minutes)
        answers = (touch(web, "ann", minutes) for minutes in unasked)
        self.assertTrue(any(answer.status == 200 for answer in answers))  # a busy machine may be late
        for headers in {}, bot:
            answer = touch(web, "ann", 10, **headers)
            self.assert_error(answer, 503, "window_unpublished")
            self.assertIn("no totals are published for _window_minutes = 10", answer.json["message"])


if __name__ == "__main__":
    main()
