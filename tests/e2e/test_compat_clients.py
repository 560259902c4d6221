"""Plausible's and Umami's clients from npm, unmodified, show what presence-web counts."""

import signal
import unittest

from harness import wait_until
from npm import run_script
from web import SITE, WebCase

KEY = "an-api-key-of-the-tests"
UMAMI_ID = "5D8C9CC9-3ba2-4fb1-9e11-0123456789ab"
NUMBER = "42"

# The client has no base URL: have Node.js connect to us instead of to plausible.io.
PLAUSIBLE = """
import https from 'node:https';
import net from 'node:net';
import plausible from 'plausible-api';

const [port, key, ...sites] = process.argv.slice(2);
const hosts = new Set();
https.globalAgent.createConnection = ({ host }) => {
    hosts.add(host);
    return net.connect(port, '127.0.0.1');
};
const Client = plausible.default ?? plausible;
const answers = [];
for (const site of sites)
    answers.push(await new Client(key).getRealtimeVisitors(site).catch((error) => error.message));
console.log(JSON.stringify({ answers, hosts: [...hosts] }));
"""

UMAMI = """
import { UmamiClient, isUmamiApiError } from '@umami/api-client';

const [port, key, ...ids] = process.argv.slice(2);
const baseUrl = `http://127.0.0.1:${port}/api`;
const ways = [{ token: key }, { apiKey: key }, { apiKey: key, token: 'another system knows it' }];
const answers = [];
for (const websiteId of ids) {
    for (const way of ways) {
        const client = new UmamiClient({ baseUrl, ...way });
        answers.push(await client.getWebsiteActive({ websiteId }).catch((error) =>
            [isUmamiApiError(error), error.status, error.code, error.message]));
    }
}
console.log(JSON.stringify(answers));
"""


class Clients(WebCase):
    def begin(self):
        """Have two visitors on the site, one of them in a room."""
        self.collector = self.start()
        self.web = self.serve("--api-key-file", self.secret("keys", KEY),
                              "--site-alias", f"{UMAMI_ID}={SITE}", "--site-alias", f"{NUMBER}={SITE}",
                              "--site", SITE, collector=self.collector)
        for visitor in "anna", "bert":
            self.counted(self.web, {"site": SITE, "visitor": visitor, "room": f"/{visitor}"})

    def silence(self):
        """Kill the collector, and wait until its numbers are stale."""
        self.collector.process.send_signal(signal.SIGKILL)
        self.collector.process.wait()
        wait_until(lambda: self.web.get("/-/ready").status == 503, "the number to be stale")

    def plausible(self, key, *sites):
        shown = run_script(PLAUSIBLE, self.web.port, key, *sites)
        self.assertEqual(shown["hosts"], ["plausible.io"])
        return shown["answers"]

    def umami(self, key, *ids):
        return run_script(UMAMI, self.web.port, key, *ids)

    def wait_for(self, answers, ask):
        """Wait until that is what a client shows: a collector that is held up is silent meanwhile."""
        wait_until(lambda: ask() == answers, f"the client to show {answers}")

    def test_plausible(self):
        """It shows the number, or why there is none."""
        self.begin()
        self.wait_for([2, 2, 2], lambda: self.plausible(KEY, SITE, NUMBER, UMAMI_ID))
        self.assertRegex(self.plausible(KEY, "other.example")[0],
                         "^API Error: this server does not serve that site")
        self.assertRegex(self.plausible("wrong-key-of-the-tests", SITE)[0], "^API Error: this API key")

    def test_umami(self):
        """Likewise, with the key wherever the client puts it."""
        self.begin()
        self.wait_for(9 * [{"visitors": 2}], lambda: self.umami(KEY, SITE, NUMBER, UMAMI_ID))
        for answer in self.umami(KEY, "other.example"):
            self.assertEqual(answer[:3], [True, 403, "forbidden"])
            self.assertIn("does not serve that site", answer[3])
        for answer in self.umami("wrong-key-of-the-tests", NUMBER):
            self.assertEqual(answer[:3], [True, 401, "unauthorized"])

    def test_silence(self):
        """No client shows a number of a collector that is silent."""
        self.begin()
        self.silence()
        self.assertRegex(self.plausible(KEY, SITE)[0], "^API Error: .*collector")
        for answer in self.umami(KEY, NUMBER):
            self.assertEqual(answer[:3], [True, 503, "service-unavailable"])
            self.assertIn("collector", answer[3])


if __name__ == "__main__":
    unittest.main()
