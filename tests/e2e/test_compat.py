"""Clients of other systems, at their own addresses."""

import unittest

from web import SITE, WebCase


class Counts(WebCase):
    def setUp(self):
        super().setUp()
        self.web = self.serve(collector=self.start())
        self.counted(self.web, {"site": SITE, "visitor": "anna"})

    def test_plausible(self):
        answer = self.web.get(f"/api/v1/stats/realtime/visitors?site_id={SITE}")
        self.assertEqual((answer.status, answer.body), (200, b"1"))

    def test_umami(self):
        self.assertEqual(self.web.get(f"/api/websites/{SITE}/active").json, {"visitors": 1})


if __name__ == "__main__":
    unittest.main()
