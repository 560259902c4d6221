"""presence-web's picture, which counts pages without scripts."""

import re
import unittest

from harness import wait_until
from web import SITE, WebCase, new_id


class Beacon(WebCase):
    def test_beacon(self):
        """A picture counts pages without scripts: by an id, or by a cookie from the second on."""
        web = self.serve("--trusted-proxy", "127.0.0.1", collector=self.start())
        answer = web.beacon(f"room=/a&visitor={new_id()}")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "image/gif"))
        self.assertTrue(answer.body.startswith(b"GIF89a"))
        self.assertNotIn("set-cookie", answer.headers)
        self.wait_count(web, 1, query="?room=/a")
        answer = web.get(f"/beacon.gif?site={SITE}", {"X-Forwarded-Proto": "https"})
        self.assertIn("SameSite=None; Secure", answer.headers["set-cookie"])
        answer = web.get(f"/beacon.gif?site={SITE}")
        cookie = re.match(r"(presence_visitor=[0-9a-f-]{36}); Max-Age=31536000; HttpOnly; SameSite=Lax$",
                          answer.headers["set-cookie"])[1]
        for _ in range(2):
            answer = web.get(f"/beacon.gif?site={SITE}&kind=pageview", {"Cookie": cookie})
            self.assertNotIn("set-cookie", answer.headers)
        wait_until(lambda: self.stats()["pageviews"] == 2, "the page views")
        self.assertEqual(self.live(web)["count"], 2)
        for others in ('a="; {}', 'visitor={{"v":1,"id":"a"}}; {}', "a=b=c,d;{}", "é=ü; {}; {}2",
                       "Presence_Visitor=x; {}", "x; =y; ; {} ;"):
            answer = web.get(f"/beacon.gif?site={SITE}", {"Cookie": others.format(cookie, cookie)})
            self.assertNotIn("set-cookie", answer.headers, others)
        self.wait_received(9)
        for nobody in "undefined", "null", "NaN", "00000000-0000-0000-0000-000000000000", "%20":
            answer = web.beacon(f"visitor={nobody}")
            self.assertIn("set-cookie", answer.headers, nobody)
            answer = web.beacon(f"visitor={nobody}", {"Cookie": cookie})
            self.assertNotIn("set-cookie", answer.headers, nobody)
        self.assertEqual(self.live(web)["count"], 2)
        self.assert_problem(web.beacon(f"visitor={513 * 'v'}"), 400, "bad_request")
        answer = web.get(f"/beacon.gif?site={SITE}", {"Cookie": f"presence_visitor={513 * 'v'}"})
        self.assert_problem(answer, 400, "bad_request")
        self.assert_problem(web.get("/beacon.gif"), 400, "bad_request")

    def test_pages_that_embed_only_what_allows_it(self):
        """They can show the picture, of which that is said once."""
        page = f"https://{SITE}"
        for arguments, headers in ((), {}), (("--origin", page), {"Referer": f"{page}/"}), (
                ("--origin", page), {"Origin": page}):
            answer = self.serve(*arguments).get(f"/beacon.gif?site={SITE}", headers)
            self.assertEqual(answer.headers["cross-origin-resource-policy"], "cross-origin", headers)


if __name__ == "__main__":
    unittest.main()
