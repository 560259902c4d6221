"""presence-web: limits by client, sites, origins, API keys and tokens."""

import signal
import time
import unittest

from harness import SOON, native, visitor, wait_until
from web import SITE, WebCase, new_id, token

API_KEY = "an-api-key-of-the-tests"
JWT_KEY = "a key of the tests that is long enough for HS256"


class Limits(WebCase):
    def spend(self, touch, most=100):
        """Call touch(0), touch(1)... until one is refused. Return the refusal, how many were not, and
        the seconds that this took."""
        begun, taken = time.monotonic(), 0
        while (answer := touch(taken)).status != 429:
            taken += 1
            self.assertLess(taken, most, "the client is never refused")
        return answer, taken, time.monotonic() - begun

    def assert_ten_saved_up(self, taken, seconds):
        """Of one a second ten may be saved up, and others come while they are spent."""
        self.assertTrue(9 <= taken <= 11 + seconds, (taken, seconds))

    def test_default_client_rate(self):
        """50 a second, of which ten seconds' are saved up."""
        connection = self.serve().connect()
        self.addCleanup(connection.close)

        def touch(_):
            connection.request("POST", "/touch", "{}")
            response = connection.getresponse()
            response.read()
            return response

        _, taken, seconds = self.spend(touch, 4000)
        self.assertTrue(490 <= taken <= 510 + 50 * seconds, (taken, seconds))

    def test_client_rate(self):
        """Each client has a budget of its own; garbage is charged too."""
        web = self.serve("--client-rate", "1", "--trusted-proxy", "127.0.0.0/8",
                         collector=self.start())

        def touch(client, site=SITE):
            return web.touch({"site": site, "visitor": new_id()}, {"X-Forwarded-For": client})

        refused, *spent = self.spend(lambda _: touch("192.0.2.1", site=""))
        self.assert_ten_saved_up(*spent)
        self.assert_problem(refused, 429, "rate_limited")
        self.assertGreaterEqual(int(refused.headers["retry-after"]), 1)
        _, taken, seconds = self.spend(lambda _: touch("192.0.2.1"))
        self.assertLess(taken, 5 + seconds)
        self.assertEqual(touch("192.0.2.2").status, 200)
        _, *spent = self.spend(lambda host: touch(f"2001:db8::{host:x}"))  # one /64 is one client
        self.assert_ten_saved_up(*spent)
        self.assertEqual(touch("2001:db8:0:1::1").status, 200)

    def test_only_trusted_proxies_are_believed(self):
        """The client is the last address in the list that is no trusted proxy."""
        collector = self.start()
        web = self.serve("--client-rate", "1", collector=collector)

        def touch(forwarded):
            return web.touch({"site": SITE, "visitor": new_id()}, {"X-Forwarded-For": forwarded})

        _, *spent = self.spend(lambda i: touch(f"192.0.2.{i}"))
        self.assert_ten_saved_up(*spent)  # all of them are 127.0.0.1
        self.assertEqual(web.output().count("--trusted-proxy"), 1)
        web = self.serve("--client-rate", "1", "--trusted-proxy", "127.0.0.1", "--trusted-proxy",
                         "10.0.0.0/8", collector=collector)
        chains = ("192.0.2.{}, 198.51.100.1", "192.0.2.{}, 198.51.100.1, 10.1.2.3",
                  "127.0.0.1, 192.0.2.{},198.51.100.1:4711", "{}, [::ffff:198.51.100.1]:80")
        _, *spent = self.spend(lambda i: touch(chains[i % len(chains)].format(i)))
        self.assert_ten_saved_up(*spent)  # all of them are 198.51.100.1
        self.assertEqual(touch("198.51.100.1, 192.0.2.1").status, 200)

    def begin_counting_clients(self, *clients):
        """Allow each client one stream, which these have. Return the server, and a function that
        tells whether the client of a request with these headers has one."""
        web = self.serve("--client-streams", "1", "--trusted-proxy", "127.0.0.1",
                         "--trusted-proxy", "10.0.0.0/8", collector=self.start())
        for client in clients:
            self.open_stream(web, headers={"X-Forwarded-For": client})

        def has_stream(**headers):
            stream = web.stream(f"site={SITE}", {name.replace("_", "-"): value
                                                 for name, value in headers.items()})
            stream.close()
            return {200: False, 429: True}[stream.status]

        return web, has_stream

    def test_streams_of_a_network(self):
        """For streams, too, a client is an IPv4 address, mapped or not, or an IPv6 /64."""
        _, has_stream = self.begin_counting_clients("198.51.100.1", "2001:db8::1")
        for client in "198.51.100.1", "::ffff:198.51.100.1", "2001:db8::2", "2001:db8::ffff:1:2:3":
            self.assertTrue(has_stream(X_Forwarded_For=client), client)
        for client in "198.51.100.2", "::ffff:198.51.100.3", "2001:db8:0:1::1", "::198.51.100.1":
            self.assertFalse(has_stream(X_Forwarded_For=client), client)

    def test_what_proxies_send(self):
        """Forwarded and X-Real-IP are understood like X-Forwarded-For."""
        web, has_stream = self.begin_counting_clients("198.51.100.1")
        for client in ("198.51.100.1", "192.0.2.1, ,198.51.100.1", ", 198.51.100.1 ,,", "\t198.51.100.1:4711",
                       "unknown, 198.51.100.1, ,10.1.2.3,", '"192.0.2.1, 198.51.100.1'):
            self.assertTrue(has_stream(X_Forwarded_For=client), client)
        for client in ("for=198.51.100.1", "For = 198.51.100.1", 'FOR="198.51.100.1:4711"',
                       "proto=https;for=198.51.100.1;by=192.0.2.1;host=a", ",for=198.51.100.1,, ",
                       'for=192.0.2.1, for="[::ffff:198.51.100.1]:_port";host="a,b;for=192.0.2.2"',
                       'for="_hid\\"den", for="198.51.100.1";x="\\\\", for=10.1.2.3'):
            self.assertTrue(has_stream(Forwarded=client), client)
        for name, forged in ("X-Forwarded-For", "192.0.2.%d"), ("Forwarded", "for=192.0.2.%d"):
            # However much a stranger has sent, what the proxy has appended comes last.
            lines = [forged % number for number in range(1, 41)]
            lines.append(forged[:-len("192.0.2.%d")] + "198.51.100.1")
            for many in ", ".join(lines), f"\r\n{name}: ".join(lines):
                with web.raw(f"GET /stream?site={SITE} HTTP/1.1\r\nHost: x\r\n{name}: {many}\r\n\r\n".encode(),
                             wait=False) as connection:
                    self.assertEqual(connection.recv(65536)[9:12], b"429", name)
        self.assertTrue(has_stream(X_Real_IP="198.51.100.1"))
        self.assertTrue(has_stream(X_Real_IP="10.1.2.3", X_Forwarded_For="198.51.100.1, 10.1.2.3"))
        for client in "192.0.2.1", "198.51.100.1, 192.0.2.2", "2001:db8::1", "[2001:db8:1::1]:80":
            self.assertFalse(has_stream(X_Forwarded_For=client), client)
        for client in 'for="[2001:db8:2::1]"', "for=198.51.100.1, for=192.0.2.3;proto=http":
            self.assertFalse(has_stream(Forwarded=client), client)
        self.assertFalse(has_stream(X_Real_IP="192.0.2.4"))
        self.assertNotIn("different clients", web.output())

    def test_nobody_is_invented(self):
        """Where the client is hidden, or a stranger may have sent a header, it is the proxy."""
        web, has_stream = self.begin_counting_clients("198.51.100.1", "2001:db8::1")
        self.open_stream(web)
        for hidden in ("for=unknown", "for=_hidden", "for=192.0.2.1, for=_hidden", "for=192.0.2.1,proto=http",
                       'for="192.0.2.1', "for=192.0.2.1;for=192.0.2.1", 'for="192.0.2.1"x', "for=",
                       'for="[192.0.2.1"', "for=" + "1" * 900):
            self.assertTrue(has_stream(Forwarded=hidden), hidden)
        for number, begun in enumerate((
                ';x="', ';x="\\', ';x="\\"', ';x="\\\\"', ';x=a"', ';x="a"b"', ';"', ';"x', ';x"=', ';x="a" "',
                ';for="', ';x="a", for="', ', for=192.0.2.9;x="', ';x=";y=\\"', ';x="a;y="b";z="c', ';x=a b;y="')):
            # What a stranger sends, and what a proxy appends to it, or in a line of its own.
            for appended in ("for=198.51.100.1", 'for="198.51.100.1:80";by=_it', "for=_hidden",
                             'for="[2001:db8::1]";by="_a\\"b"'):
                forged = f"for=192.0.2.{number + 10}{begun}"
                self.assertTrue(has_stream(Forwarded=f"{forged}, {appended}"), (forged, appended))
            with web.raw(f"GET /stream?site={SITE} HTTP/1.1\r\nHost: x\r\nForwarded: {forged}\r\n"
                         "Forwarded: for=198.51.100.1\r\n\r\n".encode(), wait=False) as connection:
                self.assertEqual(connection.recv(65536)[9:12], b"429", forged)
        for odd in ("x", "=", "x=", "=y", "x y=z", "x=y z", 'x="y"z', 'x=y"z"', "x=(y)", "x=é", "for=10.1.2.3",
                    'x="y";x="', "\"x\"=y", "x=a\\b"):
            for forged in f"for=192.0.2.1;{odd}", f"{odd};for=192.0.2.1":
                self.assertTrue(has_stream(Forwarded=forged), forged)
        self.assertTrue(has_stream(X_Forwarded_For="192.0.2.1, unknown"))
        self.assertNotIn("different clients", web.output())
        for other in "Forwarded", "X_Real_IP":
            forged = {other: ("for=" if other == "Forwarded" else "") + "192.0.2.1"}
            self.assertTrue(has_stream(X_Forwarded_For="192.0.2.2", **forged), other)
        self.assertTrue(has_stream(X_Forwarded_For="192.0.2.1", Forwarded="for=_hidden"))
        self.assertEqual(web.output().count("name different clients"), 1, web.output())
        self.assertEqual(web.output().count("the trusted proxy 127.0.0.1 sends none of"), 1)
        untrusting = self.serve("--client-streams", "1")
        self.open_stream(untrusting)
        for name, value in ("Forwarded", "for=192.0.2.1"), ("X-Real-IP", "192.0.2.1"):
            stream = untrusting.stream(f"site={SITE}", {name: value})
            stream.close()
            self.assertEqual(stream.status, 429)
        self.assertEqual(untrusting.output().count("--trusted-proxy"), 1)

    def test_pictures_on_pages_of_others(self):
        """A picture's visitor is believed from pages of the site, and from no others: those would
        invent visitors."""
        collector = self.start("--warm-up", "0")
        web = self.serve("--client-rate", "0", collector=collector)

        def show(web, **headers):
            return web.get(f"/beacon.gif?site={SITE}&visitor={new_id()}",
                           {name.replace("_", "-"): value for name, value in headers.items()})

        for headers in (
                {"Referer": "https://evil.example/"}, {"Referer": f"https://{SITE}.evil.example/"},
                {"Referer": f"https://evil{SITE}/"}, {"Referer": f"https://evil.example/?https://{SITE}/"},
                {"Referer": f"https://{SITE}@evil.example/"}, {"Referer": "about:blank"},
                {"Referer": f"https://evil.example:8474/{SITE}"}, {"Origin": "null"},
                {"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"},
                {"Sec_Fetch_Site": "cross-site", "Referer": "https://evil.example/"},
                {"Sec_Fetch_Site": "anything"}, {"Referer": "https://" + "e" * 600},
                {}, {"Referer": ""}, {"Origin": "", "Sec_Fetch_Site": ""}, {"User_Agent": "mozilla/5"},
                {"Origin": "https://evil.example", "Referer": f"https://{SITE}/"}):
            answer = show(web, **headers)
            self.assertEqual((answer.status, answer.headers["content-type"]), (200, "image/gif"))
            self.assertIn("presence_visitor=", answer.headers["set-cookie"], headers)
        known = (
            {"User_Agent": "curl/7.88.1"}, {"User_Agent": ""},
            {"Referer": f"https://{SITE}/a?b"}, {"Referer": f"HTTPS://www.{SITE.upper()}:8443"},
            {"Origin": f"http://{SITE}:80"}, {"Sec_Fetch_Site": "same-origin"},
            {"Sec_Fetch_Site": "same-site"}, {"Sec_Fetch_Site": "none"},
            {"Sec_Fetch_Site": "cross-site", "Referer": f"https://{SITE}/"},
            {"Referer": f"http://127.0.0.1:{web.port}/own"})
        for headers in known:
            answer = show(web, **headers)
            self.assertEqual(answer.status, 200)
            self.assertNotIn("set-cookie", answer.headers, headers)
        self.wait_count(web, len(known))
        self.assertEqual(self.stats()["heartbeats_new"], len(known))
        strict = self.serve("--client-rate", "0", "--origin", "https://A.example", collector=collector)
        for headers, status in (
                ({"Referer": "https://a.example/b"}, 200), ({"Origin": "https://a.example"}, 200),
                ({"Referer": "https://a.example/", "Sec_Fetch_Site": "cross-site"}, 200),
                ({"Sec_Fetch_Site": "same-origin"}, 200), ({"User_Agent": "curl"}, 200),
                ({"Origin": "null"}, 403), ({"Origin": f"http://127.0.0.1:{strict.port}"}, 403),
                ({"Referer": f"https://{SITE}/"}, 403), ({"Referer": "https://a.example.evil.example/"}, 403),
                ({"Sec_Fetch_Site": "cross-site"}, 403), ({"Sec_Fetch_Site": "same-site"}, 403),
                ({"Origin": "https://evil.example", "Referer": "https://a.example/"}, 403)):
            answer = show(strict, **headers)
            self.assertEqual((answer.status, "set-cookie" in answer.headers), (status, False), headers)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            self.assertEqual(strict.touch({"site": SITE, "visitor": "v"}, named).status, status, headers)
            stream = strict.stream(f"site={SITE}", named)
            stream.close()
            self.assertEqual(stream.status, status, headers)

    def test_country(self):
        """Only a trusted proxy can name the country."""
        collector = self.start()
        arguments = ("--country-header", "X-Country")
        untrusting = self.serve(*arguments, collector=collector)
        trusting = self.serve(*arguments, "--trusted-proxy", "127.0.0.1", collector=collector)
        for web, country in ((untrusting, "FR"), (trusting, "de"), (trusting, "XX"),
                             (trusting, "D1"), (trusting, "DEU"), (trusting, ""),
                             (trusting, "T1"), (trusting, "zz"), (trusting, "A1")):
            answer = web.touch({"site": SITE, "visitor": new_id()}, {"X-Country": country})
            self.assertEqual(answer.status, 200)
        self.wait_received(9)
        countries = trusting.get(f"/api/analytics/sites/{SITE}/realtime").json["countries"]
        self.assertEqual(countries, [{"country": "DE", "visitors": 1}])

    def test_sites(self):
        """With --site no other is served, by any endpoint."""
        web = self.serve("--site", "Example.COM", "--site", "b.example", collector=self.start())
        self.assertEqual(self.counted(web, {"site": SITE, "visitor": "v"})["count"], 1)
        self.assert_problem(web.touch({"site": "other.example", "visitor": "v"}), 403,
                            "site_not_allowed")
        for path in ("/api/sites/other.example/live-user-count", "/stream?site=other.example",
                     "/api/sites/other.example/events", "/api/sites/other.example/history",
                     "/api/analytics/sites/other.example/realtime", "/beacon.gif?site=other.example"):
            self.assert_problem(web.get(path), 403, "site_not_allowed")

    def test_list_of_sites(self):
        collector = self.start("--warm-up", "0")
        self.send(collector, native("a.example", [visitor(1)]),
                  native("b.example", [visitor(i) for i in range(3)]))
        web = self.serve()

        def counted():
            """The answer, once all are counted: a site is there before its visitors are."""
            answer = web.get("/api/sites").json
            sites = [(line["site"], line["count"]) for line in answer["data"]]
            return sites == [("b.example", 3), ("a.example", 1)] and answer

        answer = wait_until(counted, lambda: f"both sites: {web.get('/api/sites').body}")
        self.assertFalse(answer["stale"])
        self.assertEqual(len(web.get("/api/sites?limit=1").json["data"]), 1)
        web = self.serve("--site", "a.example")
        self.assertEqual([line["site"] for line in web.get("/api/sites").json["data"]],
                         ["a.example"])


class Access(WebCase):
    def test_api_key(self):
        """With API keys, reading needs one; touches and the files never do."""
        collector = self.start("--warm-up", "0")
        web = self.serve("--api-key-file", self.secret("keys", "# ours", "", API_KEY, API_KEY + "2"),
                         collector=collector)
        for path in ("/api/sites", "/api/status", "/api/senders", f"/api/sites/{SITE}/live-user-count",
                     f"/api/analytics/sites/{SITE}/realtime", f"/api/sites/{SITE}/history"):
            answer = web.get(path)
            self.assert_problem(answer, 401, "key_missing")
            self.assertIn("Bearer", answer.headers["www-authenticate"])
            for wrong in "Bearer", "Bearer ", "Bearer nonsense", f"Bearer {API_KEY}x", "Bearer # ours":
                self.assertEqual(web.get(path, {"Authorization": wrong}).status, 401, wrong)
            for right in f"Bearer {API_KEY}", f"bearer  {API_KEY}2":
                self.assertEqual(web.get(path, {"Authorization": right}).status, 200, right)
        self.assertEqual(self.counted(web, {"site": SITE, "visitor": "v"})["count"], 1)
        self.assertEqual(self.open_stream(web).event()["data"]["count"], 1)
        for path in "/", "/badge.js", "/-/healthy":
            self.assertEqual(web.get(path).status, 200)

    def test_new_keys(self):
        """SIGHUP reloads the key files; a bad one changes nothing."""
        path = self.secret("keys", API_KEY)
        web = self.serve("--api-key-file", path, collector=self.start())
        self.secret("keys", "another-key-of-the-tests")
        web.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded the key files" in web.output(), "the keys to be reloaded")
        self.assertEqual(web.get("/api/sites", {"Authorization": f"Bearer {API_KEY}"}).status, 401)
        good = {"Authorization": "Bearer another-key-of-the-tests"}
        self.assertEqual(web.get("/api/sites", good).status, 200)
        self.secret("keys", "short")
        web.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "too short" in web.output(), "the keys to be refused")
        self.assertEqual(web.get("/api/sites", good).status, 200)

    def test_tokens(self):
        """A token is valid for a place and a time, and signed by one of the keys."""
        web = self.serve("--client-rate", "0", "--jwt-key-file",
                         self.secret("keys", "x" * 40, JWT_KEY), collector=self.start())
        now = int(time.time())
        room = {"site": SITE, "room": "/a", "exp": now + 600}

        def touch(claims=None, key=JWT_KEY, **fields):
            if claims:
                fields["token"] = token(key, **claims)
            return web.touch({"site": SITE, "visitor": "v", "room": "/a", **fields})

        self.counted(web, {"site": SITE, "visitor": "v", "room": "/a",
                           "token": token(JWT_KEY, **room)})
        self.assertEqual(touch(room, key="x" * 40).status, 200)
        self.assertEqual(touch({**room, "room": "//a/"}).status, 200)
        self.assertEqual(touch({**room, "site": SITE.upper()}, room="//a//").status, 200)
        self.assertEqual(touch({"site": SITE, "exp": now + 60}).status, 200)
        self.assertEqual(touch({**room, "sub": "v", "nbf": now - 5}).status, 200)
        self.assertEqual(touch(room, room=None, kind="leave").status, 200)
        then = int(time.time())
        self.assertEqual(touch({**room, "exp": then - 15, "nbf": then + 15, "iat": then + 15}).status, 200)
        self.assertEqual(touch({**room, "sub": 42, "iat": now}, visitor="42").status, 200)
        self.assertEqual(touch({**room, "header": {"kid": "1", "cty": "x"}}).status, 200)
        header = {"Authorization": f"Bearer {token(JWT_KEY, **room)}"}
        self.assertEqual(web.touch({"site": SITE, "visitor": "v", "room": "/a"}, header).status, 200)
        for claims, status, code in (
                (None, 401, "token_missing"),
                ({**room, "exp": int(time.time()) - 30}, 401, "token_expired"),
                ({**room, "nbf": now + 600}, 401, "token_invalid"),
                ({**room, "iat": now + 600}, 401, "token_invalid"),
                ({**room, "iat": "today"}, 401, "token_invalid"),
                ({**room, "header": {"crit": ["exp"]}}, 401, "token_invalid"),
                ({**room, "header": {"crit": []}}, 401, "token_invalid"),
                ({**room, "header": {"b64": False, "crit": ["b64"]}}, 401, "token_invalid"),
                ({**room, "sub": 43}, 403, "token_other_visitor"),
                ({**room, "sub": True}, 403, "token_other_visitor"),
                ({"site": SITE, "room": "/a"}, 401, "token_invalid"),
                ({**room, "exp": "soon"}, 401, "token_invalid"),
                ({**room, "algorithm": "none"}, 401, "token_invalid"),
                ({**room, "algorithm": "HS512"}, 401, "token_invalid"),
                ({**room, "room": "/b"}, 403, "token_other_place"),
                ({**room, "room": 5}, 403, "token_other_place"),
                ({**room, "site": "other.example"}, 403, "token_other_place"),
                ({"room": "/a", "exp": now + 60}, 403, "token_other_place"),
                ({**room, "sub": "somebody"}, 403, "token_other_visitor")):
            with self.subTest(claims=claims):
                self.assert_problem(touch(claims), status, code)
        self.assert_problem(touch(room, key="y" * 40), 401, "token_invalid")
        self.assert_problem(touch(room, room=None), 403, "token_other_place")
        good = token(JWT_KEY, **room)
        for bad in "", "nonsense", good[:-4], good + "x", good.replace(".", ""), "." + good:
            self.assertEqual(touch(token=bad).status, 401, bad)
        self.assertEqual(web.get(f"/beacon.gif?site={SITE}&visitor=v").status, 401)
        self.assertEqual(
            web.get(f"/beacon.gif?site={SITE}&room=/a&visitor=v&token={good}").status, 200)
        self.assertEqual(self.live(web)["count"], 2)  # reading takes no token

    def test_streams_take_tokens(self):
        """Streams take tokens in the query, or an API key, and end when a token expires; what has
        begun within half a minute after that, with that half a minute."""
        web = self.serve("--jwt-key-file", self.secret("jwt", JWT_KEY),
                         "--api-key-file", self.secret("api", API_KEY),
                         collector=self.start("--warm-up", "0"))
        claims = {"site": SITE, "room": "/a"}
        query = f"site={SITE}&room=/a"
        self.assert_problem(web.get(f"/stream?{query}"), 401, "token_missing")
        other = token(JWT_KEY, **claims, exp=int(time.time()) + 600)
        self.assert_problem(web.get(f"/stream?site={SITE}&room=/b&token={other}"), 403,
                            "token_other_place")
        keyed = self.open_stream(web, query, {"Authorization": f"Bearer {API_KEY}"})

        def open_in_time():
            """What ends in 6 s and in 5 s, unless a busy machine is late."""
            now = int(time.time())
            tokens = [token(JWT_KEY, **claims, sub=42, exp=now - 24), token(JWT_KEY, **claims, exp=now + 5)]
            streams = [web.stream(f"{query}&token={each}") for each in tokens]
            for each in streams:
                self.addCleanup(each.close)
            if time.time() < now + 5:
                self.assertEqual([each.status for each in streams], [200, 200])
                return now, *streams

        now, late, stream = wait_until(open_in_time, "two streams in time")
        self.assertEqual(stream.event()["data"]["count"], 0)
        self.assertIsNone(stream.event())
        self.assertGreaterEqual(time.time(), now + 5)
        self.assertEqual(late.event()["data"]["count"], 0)
        self.assertIsNone(late.event())
        self.assertTrue(now + 6 <= time.time() < now + 5 + SOON, time.time() - now)
        self.assertEqual(keyed.event()["data"]["count"], 0)

    def test_origins(self):
        """Without --origin any page is answered; with it only pages of those."""
        collector = self.start()
        web = self.serve(collector=collector)
        page = {"Origin": "https://a.example"}
        for path in "/api/sites", f"/beacon.gif?site={SITE}", "/badge.js", "/nothing":
            self.assertEqual(web.get(path, page).headers["access-control-allow-origin"], "*", path)
        answer = web.touch({"site": SITE, "visitor": "v"}, page)
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        # A leave is sent without CORS: isolated pages (COEP) complain of answers without this.
        self.assertEqual(answer.headers["cross-origin-resource-policy"], "cross-origin")
        self.assertNotIn("access-control-allow-credentials", answer.headers)
        web = self.serve("--origin", "https://A.Example", "--origin", "http://b.example:8080",
                         collector=collector)
        answer = web.touch({"site": SITE, "visitor": "v"}, page)
        self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]),
                         (200, "https://a.example"))
        self.assertEqual(answer.headers["cross-origin-resource-policy"], "cross-origin")
        self.assertIn("Origin", answer.headers["vary"])
        foreign = {"Origin": "https://evil.example"}
        answer = web.touch({"site": SITE, "visitor": "w"}, foreign)
        self.assert_problem(answer, 403, "origin_not_allowed")
        self.assertNotIn("access-control-allow-origin", answer.headers)
        self.assertNotIn("cross-origin-resource-policy", answer.headers)
        # What was refused, or had no origin, is kept by no cache for the pages that are answered.
        self.assertIn("Origin", answer.headers["vary"])
        for path in "/api/sites", f"/api/live?site={SITE}", "/nothing":
            for headers in foreign, {}:
                self.assertIn("Origin", web.get(path, headers).headers["vary"], (path, headers))
        self.assert_problem(web.get(f"/stream?site={SITE}", foreign), 403, "origin_not_allowed")
        answer = web.get("/api/sites", foreign)
        self.assertNotIn("access-control-allow-origin", answer.headers)
        for anybody in foreign, {"Origin": "null"}, {}:
            tag = {"If-None-Match": "*"}
            for headers, status in (anybody, 200), ({**anybody, **tag}, 304):
                answer = web.get("/badge.js", headers)
                self.assertEqual((answer.status, answer.headers["access-control-allow-origin"],
                                  answer.headers["cross-origin-resource-policy"]),
                                 (status, "*", "cross-origin"))

    def test_sandboxed_frames(self):
        """Pages of sandboxed frames have the origin null, which can be allowed like any other."""
        collector = self.start()
        opaque = {"Origin": "null"}
        for arguments, status, allowed in (
                ((), 200, "*"), (("--origin", "https://a.example"), 403, None),
                (("--origin", "https://a.example", "--origin", "null"), 200, "null")):
            web = self.serve(*arguments, collector=collector)
            stream = web.stream(f"site={SITE}", opaque)
            self.addCleanup(stream.close)
            for answer in web.touch({"site": SITE, "visitor": "v"}, opaque), stream:
                self.assertEqual((answer.status, answer.headers.get("access-control-allow-origin")),
                                 (status, allowed))
            asked = {**opaque, "Access-Control-Request-Method": "POST",
                     "Access-Control-Request-Headers": "content-type"}
            answer = web.ask("OPTIONS", "/touch", headers=asked)
            self.assertEqual(answer.headers.get("access-control-allow-origin"), allowed)

    def test_preflight(self):
        web = self.serve(collector=self.start())
        asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "content-type"}
        for path, methods in (("/touch", "POST, OPTIONS"), ("/stream", "GET, HEAD, OPTIONS"),
                              (f"/api/sites/{SITE}/live-user-count", "GET, HEAD, OPTIONS")):
            answer = web.ask("OPTIONS", path, headers=asked)
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.assertEqual(answer.headers["access-control-allow-origin"], "*")
            self.assertEqual(answer.headers["access-control-allow-methods"], methods)
            self.assertEqual(answer.headers["access-control-max-age"], "86400")
            for header in "Authorization", "Content-Type", "Last-Event-ID":
                self.assertIn(header, answer.headers["access-control-allow-headers"])
        self.assertEqual(web.ask("OPTIONS", "/nothing").status, 404)


if __name__ == "__main__":
    unittest.main()
