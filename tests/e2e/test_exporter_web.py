"""presence-exporter with --web.config.file: HTTPS, passwords and headers; and compression."""

import base64
import concurrent.futures
import gzip
import os
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from certificates import Certificates, bcrypt
from exporter import PRESENCE_EXPORTER, ExporterCase
from harness import DEADLINE, SOON, native, processor_time, visitor, wait_until

SITE = "example.com"
COUNT = f'presence_active_visitors{{site="{SITE}",window="5m"}} 3\n'.encode()
COST = 9  # of a password's hash: over 25 ms
TLS = ("tls_server_config:", "  cert_file: server.pem", "  key_file: server.key")


class WebCase(ExporterCase):
    def setUp(self):
        super().setUp()
        # On another file system than the segment's, perhaps: it has to be allowed (Landlock).
        directory = tempfile.TemporaryDirectory(prefix="presence-web-")
        self.addCleanup(directory.cleanup)
        self.web = directory.name
        self.config = os.path.join(self.web, "web.yml")

    def write(self, *lines):
        """Replace the file at once, as editors and tools do."""
        with open(self.config + ".new", "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        os.rename(self.config + ".new", self.config)

    def serve(self, *lines):
        self.write(*lines)
        return self.export("--web.config.file", self.config)

    def curl(self, path, *arguments, scheme="https"):
        """(status, headers and body) of curl's request; status 0: there is no answer."""
        done = subprocess.run(
            ["curl", "-sS", "-i", "--cacert", os.path.join(self.web, "ca.pem"), "-w",
             "%{stderr}%{http_code}", "--max-time", str(int(DEADLINE)), *arguments,
             f"{scheme}://localhost:{self.exporter.port}{path}"],
            capture_output=True, timeout=2 * DEADLINE)
        return int(done.stderr[-3:]), done.stdout

    def wait_logged(self, text):
        wait_until(lambda: text in self.exporter.output(), lambda: f"'{text}' in the log: "
                   + self.exporter.output())


class Tls(WebCase):
    def setUp(self):
        super().setUp()
        self.certificates = Certificates(self.web)
        self.certificates.sign("server")
        collector = self.start("--warm-up", "0")
        self.send(collector, native(SITE, [visitor(i) for i in range(3)]))
        self.wait_received(1)

    def test_scrape(self):
        self.exporter = self.serve(*TLS, "http_server_config:", "  http2: true", "  headers:",
                                   "    Strict-Transport-Security: max-age=31536000",
                                   "    X-Frame-Options: deny", "basic_auth_users:",
                                   f"  prometheus: {bcrypt('right', prefix='$2y$')}")
        self.assertIn("listening on https://", self.exporter.output())
        status, answer = self.curl("/metrics", "-u", "prometheus:right", "--compressed")
        self.assertEqual(status, 200)
        self.assertIn(COUNT, answer)
        self.assertIn(b"\r\nContent-Encoding: gzip\r\n", answer)
        for path in "/metrics", "/-/healthy", "/", "/no-such":
            for user in (), ("-u", "prometheus:wrong"), ("-u", "somebody:right"):
                status, answer = self.curl(path, *user)
                self.assertEqual(status, 401, (path, user))
                for header in (b"WWW-Authenticate: Basic realm=",
                               b"Strict-Transport-Security: max-age=31536000\r\n",
                               b"X-Frame-Options: deny\r\n"):
                    self.assertEqual(answer.count(b"\r\n" + header), 1, answer)
        self.assertEqual(self.curl("/no-such", "-u", "prometheus:right")[0], 404)
        self.assertEqual(self.curl("/metrics", "-u", "prometheus:right", scheme="http")[0], 0)
        self.assertEqual(self.curl("/", "-u", "prometheus:right", "--tls-max", "1.1")[0], 0)
        self.assertEqual(self.curl("/", "-u", "prometheus:right", "--tls-max", "1.2")[0], 200)
        self.exporter.raw(b"garbage\r\n\r\n")
        self.assert_waits_for_handshake()
        self.assertEqual(self.exporter.output().count("\n"), 1, self.exporter.output())
        self.assertEqual(self.exporter.stop(), 0)

    def assert_waits_for_handshake(self):
        """A handshake that never ends costs next to nothing."""
        def idle():
            before, begin = processor_time(self.exporter.process), time.monotonic()
            time.sleep(1.5)  # nothing happens, which takes time to see
            used = processor_time(self.exporter.process) - before
            return used < 0.05 * (time.monotonic() - begin)

        with self.exporter.connect() as unfinished:
            unfinished.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            self.assertEqual(self.curl("/", "-u", "prometheus:right")[0], 200)
            wait_until(idle, "it to need no processor", SOON)  # the last request may need some yet

    def test_versions(self):
        self.exporter = self.serve(TLS[0], f"  cert_file: {self.web}/server.pem", f"  key_file: {self.web}/server.key",
                                   "  min_version: TLS13")
        self.assertEqual(self.curl("/metrics", "--tls-max", "1.2")[0], 0)
        self.assertEqual(self.curl("/metrics")[0], 200)
        self.write(*TLS, "  max_version: TLS12")
        self.assertEqual(self.curl("/metrics", "--tlsv1.3")[0], 0)
        self.assertEqual(self.curl("/metrics", "--tls-max", "1.2")[0], 200)

    def test_client_certificates(self):
        def curl(name):
            return self.curl("/metrics", *(["--cert", self.certificates.path(f"{name}.pem"), "--key",
                                            self.certificates.path(f"{name}.key")] if name else []))

        self.certificates.sign("client", client=True)
        Certificates(self.web, "stranger")
        for kind, welcome in (("NoClientCert", (None,)),
                              ("RequestClientCert", (None, "client", "stranger")),
                              ("VerifyClientCertIfGiven", (None, "client")),
                              ("RequireClientCert", ("client", "stranger")),  # a former name
                              ("RequireAnyClientCert", ("client", "stranger")),
                              ("RequireAndVerifyClientCert", ("client",))):
            authority = ["  client_ca_file: ca.pem"] if kind != "NoClientCert" else []
            lines = *TLS, f"  client_auth_type: {kind}", *authority
            if kind == "NoClientCert":
                self.exporter = self.serve(*lines)
            self.write(*lines)
            for name in None, "client", "stranger", "server":  # the server's is none of a client
                if name == "server" and kind in ("NoClientCert", "RequestClientCert",
                                                 "RequireClientCert", "RequireAnyClientCert"):
                    continue
                if kind == "NoClientCert" and name:
                    continue
                with self.subTest(kind=kind, certificate=name):
                    self.assertEqual(curl(name)[0], 200 if name in welcome else 0)

        self.write(*TLS)
        self.wait_logged("clients needed a certificate, which is given up by a restart only")
        self.assertEqual((curl(None)[0], curl("client")[0]), (0, 200))

    def test_changes(self):
        """What is changed holds at once; what is wrong is logged, and nothing changes."""
        def users(password, **others):
            return ["basic_auth_users:", *(f"  {name}: {bcrypt(word)}" for name, word
                                           in {"prometheus": password, **others}.items())]

        def status(password, user="prometheus"):
            return self.curl("/metrics", "-u", f"{user}:{password}")[0]

        self.exporter = self.serve(*TLS, *users("old"))
        self.assertEqual((status("old"), status("new")), (200, 401))
        opened = self.exporter.descriptors()
        self.write(*TLS, *users("new", other="x"))
        self.assertEqual((status("old"), status("new"), status("x", "other")), (401, 200, 200))
        for lines, problem in ((("basic_auth_users: [",), "not YAML"), (TLS, "basic_auth_users"),
                               ((), "restart"), (users("new"), "restart"),
                               ((*TLS, "unknown: 1"), "unknown key 'unknown'")):
            self.write(*lines)
            self.wait_logged(problem)
            self.assertEqual((status("old"), status("new")), (401, 200), lines)
        self.write(*TLS, *users("newest"))
        self.assertEqual((status("new"), status("newest")), (401, 200))
        # Another authority signs another certificate.
        before = self.exporter.output().count("reloaded")
        Certificates(self.web).sign("server")
        self.assertEqual(status("newest"), 200)
        self.exporter.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.exporter.output().count("reloaded") >= before + 2,
                   "the files to be read again")
        os.unlink(self.certificates.path("server.key"))
        self.wait_logged("server.key: No such file or directory; the former settings stay")
        self.assertEqual(status("newest"), 200)
        wait_until(lambda: self.exporter.descriptors() <= opened, "no file to stay open")


class Passwords(WebCase):
    def get(self, user=None, password="", path="/-/healthy"):
        headers = {}
        if user is not None:
            text = base64.b64encode(f"{user}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {text}"
        return self.exporter.get(path, **headers)[0]

    def test_headers(self):
        self.exporter = self.serve("basic_auth_users:", f"  'us er': {bcrypt('a:b')}",
                                   f"  '': {bcrypt('')}", f"  ü: {bcrypt('ü')}")
        right = base64.b64encode(b"us er:a:b").decode()
        for value, status in ((f"Basic {right}", 200), (f"basic  {right}", 200), (right, 401),
                              (f"Bearer {right}", 401), ("Basic", 401), ("Basic ", 401),
                              ("Basic !!!", 401), (f"Basic {right[:-1]}", 401),
                              ("Basic " + base64.b64encode(b"us er").decode(), 401),
                              ("Basic " + base64.b64encode(b"us er:a:b\0c").decode(), 401),
                              ("Basic " + base64.b64encode(b"us er:a:bc").decode(), 401),
                              ("Basic " + base64.b64encode(b"us er:" + b"x" * 5000).decode(), 401),
                              ("Basic " + base64.b64encode(b":").decode(), 200),
                              ("Basic " + base64.b64encode("ü:ü".encode()).decode(), 200)):
            for _ in range(2):  # the second answer is remembered
                got = self.exporter.get("/-/healthy", Authorization=value)[0]
                self.assertEqual(got, status, value)

    def test_flood(self):
        """Wrong passwords keep nobody waiting who has the right one, nor is any of them let in."""
        wrong, threads = 36, 20
        self.exporter = self.serve("basic_auth_users:", f"  prometheus: {bcrypt('right', COST)}",
                                   f"  second: {bcrypt('right', COST)}")
        self.assertEqual(self.get("prometheus", "right"), 200)
        answered, refused, checked = threading.Semaphore(0), [], []

        def ask(user, password):
            """The status; None if the exporter gave it up, which has to answer within 20 s: on a
            busy machine the guesses before it take longer."""
            try:
                return self.get(user, password)
            except ConnectionError:
                return None

        def guess(number):
            status = ask("prometheus" if number % 2 else "nobody", f"wrong {number}")
            refused.append(status)
            answered.release()
            return status

        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            guesses = [pool.submit(guess, number) for number in range(wrong)]
            answered.acquire()
            for _ in range(5):
                before = len(refused)
                self.assertEqual(self.get("prometheus", "right"), 200)
                if before <= wrong - threads:  # so many are before it
                    checked.append(len(refused) - before)
            # It has to wait for its turn once, and is not lost among guesses of its own address.
            wait_until(lambda: ask("second", "right") == 200, "the second to be let in")
            self.assertLessEqual({future.result() for future in guesses}, {401, None})
        self.assertIn(401, refused)
        # A scrape does not wait for the guesses that are before it; a busy machine answers some.
        self.assertLess(min(checked, default=0), threads - 8, checked)
        self.assertEqual(self.exporter.stop(), 0)

    def test_reload(self):
        """A right password is checked again only if its own user has changed, and a wrong one if any
        has: a renewed certificate must not send scrapes to the end of a flood."""
        def users(*others, hashed=bcrypt("right", 12)):
            self.write("basic_auth_users:", f"  prometheus: {hashed}", *others)

        def time_of(password):
            before = processor_time(self.exporter.process)
            self.assertEqual(self.get("prometheus", password), 200 if password == "right" else 401)
            return processor_time(self.exporter.process) - before

        users()
        self.exporter = self.export("--web.config.file", self.config)
        check = min(time_of("right"), time_of("wrong"))
        other = f"  other: {bcrypt('other')}"
        for change, known in ((lambda: None, ("right", "wrong")),
                              (lambda: users("# the same"), ("right", "wrong")),
                              (lambda: users(other), ("right",)),
                              (lambda: users(f"  another: {bcrypt('x')}", other), ("right",)),
                              (lambda: users(hashed=bcrypt("right", 12, "$2y$")), ())):
            reloads = self.exporter.output().count("reloaded")
            change()
            self.exporter.process.send_signal(signal.SIGHUP)
            wait_until(lambda: self.exporter.output().count("reloaded") > reloads, "the change")
            for password in "right", "wrong":
                self.assertEqual(time_of(password) < check / 3, password in known, (password, known))

    def test_end(self):
        """It ends at once, and those whose guesses wait are answered."""
        self.exporter = self.serve("basic_auth_users:", f"  prometheus: {bcrypt('right', COST)}")
        guesses = [self.enterContext(self.exporter.connect()) for _ in range(20)]
        for number, guess in enumerate(guesses):
            word = base64.b64encode(f"prometheus:wrong {number}".encode()).decode()
            guess.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {word}\r\n\r\n".encode())
        self.assertEqual(self.get(), 401)  # it has come to all of them
        self.assertEqual(self.exporter.stop(), 0)
        self.assertEqual({guess.recv(4096)[:12] for guess in guesses}, {b"HTTP/1.1 401"})

    def test_wrong_files(self):
        good = bcrypt("x")
        for text, problem in (
                ("tls_server_config:\n  cert_file: a.pem\n", ":2: .*needs cert_file and key_file"),
                ("tls_server_config:\n  cert_file: a\n  key_file: b\n", "/a: No such file"),
                ("tls_server_config:\n  cert_fil: a\n", ":2: unknown key 'cert_fil'"),
                ("tls_server_config:\n  min_version: TLS14\n", ":2: .*TLS13"),
                ("tls_server_config:\n  client_auth_type: Always\n", ":2: .*NoClientCert"),
                ("tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}\n",
                 "client_auth_type"),
                ("tls_server_config: {cert_file: a, key_file: b, "
                 "client_auth_type: RequireAndVerifyClientCert}\n", "needs client_ca_file"),
                ("tls_server_config: {cert_file: web.yml, key_file: web.yml}\n", "web.yml: "),
                ("tls_config: {}\n", ":1: unknown key 'tls_config'"),
                ("http_server_config:\n  headers:\n    Set-Cookie: a\n", ":3: unknown header 'Set-"),
                ("http_server_config:\n  headers:\n    x-frame-options: deny\n", ":3: unknown"),
                ("http_server_config:\n  headers:\n    X-Frame-Options: maybe\n", ":3: .*value"),
                ("http_server_config:\n  headers:\n    X-XSS-Protection: \"a\\r\\nb: c\"\n", ":3: "),
                ("http_server_config:\n  headers:\n    X-XSS-Protection: \"a\\nb: c\"\n", ":3: "),
                ("http_server_config:\n  http2: perhaps\n", ":2: .*true or false"),
                ("basic_auth_users:\n  a: secret\n", ":2: .*'a' is not a bcrypt hash"),
                (f"basic_auth_users:\n  a: {good}\n  a: {good}\n", ":3: 'a' is there twice"),
                (f"basic_auth_users:\n  a:b: {good}\n", ":2: .*colon"),
                (f"basic_auth_users:\n  a: {good.replace('$04$', '$31$')}\n", ":2: .*cost"),
                (f"basic_auth_users:\n  a: {good.replace('$2b', '$5b')}\n", "bcrypt"),
                ("basic_auth_users: [a]\n", "not a mapping"), ("- a\n", "not a mapping"),
                ("a: b\n---\nc: d\n", "unknown key"), ("{}\n---\n{}\n", "second document"),
                ("{}\n--- [", ":[23]: not YAML"), ("{}\n...\n}", "not YAML"), ("{}\n---\na: b: c", "not YAML"),
                ("{}\n...\n%YAML 9.9\n--- a", "not YAML"), ("{}\n\0", "not YAML"), ("{}\n]", "not YAML"),
                ("# nothing\n--- ~\n--- '", "not YAML"), ("{}\n---\n&a", "second document"),
                ("\t a", "not YAML"), ("basic_auth_users: &a\n  <<: *a\n", "bcrypt"),
                ("\0", "not YAML")):
            with self.subTest(text=text):
                self.write(text)
                self.assert_fails(self.config, problem)
        self.assert_fails(os.path.join(self.web, "none.yml"), "No such file or directory")
        self.assert_fails(self.web, "Is a directory")

    def assert_fails(self, path, problem):
        done = subprocess.run([PRESENCE_EXPORTER, "--web.listen-address", "127.0.0.1:0",
                               "--web.config.file", path], capture_output=True, text=True,
                              timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done)
        self.assertRegex(done.stderr, f"^presence-exporter: --web.config.file: .*{problem}")

    def test_as_many_users_as_there_may_be(self):
        """There are 64, one of them with a hash of the highest cost."""
        good = bcrypt("x")
        lines = ["basic_auth_users:", *(f"  user-{number}: {good}" for number in range(63)),
                 f"  costly: {good.replace('$04$', '$14$')}"]
        self.exporter = self.serve(*lines)
        self.assertEqual(self.get("user-62", "x"), 200)
        self.write(*lines, f"  user-64: {good}")
        self.assert_fails(self.config, ":66: more than 64 users")

    def test_nothing_configured(self):
        for text in "", "# nothing\n", "{}\n", "tls_server_config:\nbasic_auth_users: ~\n":
            self.exporter = self.serve(text)
            self.assertEqual(self.get(), 200)


class Compression(WebCase):
    def test_encodings(self):
        self.exporter = self.export()
        plain = self.exporter.get("/metrics")[2]
        for value, packed in (
                (None, False), ("", False), ("gzip", True), ("GZip", True), ("x-gzip", True),
                ("deflate, gzip;q=1.0, *;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.000", False),
                ("gzip;q=0.001", True), ("*", True), ("*;q=0", False), ("gzip;q=0, *", False),
                ("br, *;q=0.1", True), ("deflate", False), ("identity", False),
                ("gzip;q=0.5, identity", False), ("identity;q=0.5, gzip", True),
                ("gzip, identity", True), ("gzip;q=0.5, identity;q=0", True), ("gzipped", False),
                ("gzip;q=2", False), ("gzip;q=-1", False), (",,gzip,", True), ("*, gzip;q=0", False),
                ("identity;q=0, *;q=0", False), ("gzip;q=\"0\"", False)):
            with self.subTest(value=value):
                for method in "GET", "HEAD":
                    headers = {} if value is None else {"Accept-Encoding": value}
                    if value is None:
                        headers = {"Accept": "text/plain"}
                    answer = self.exporter.get("/metrics", method=method, **headers)
                    self.assertEqual(answer[1]["Content-Encoding"], "gzip" if packed else None)
                    self.assertEqual(answer[1]["Vary"], "Accept, Accept-Encoding")
                    if method == "GET":
                        body = gzip.decompress(answer[2]) if packed else answer[2]
                        self.assertEqual(body, plain)
        # Several headers are one list.
        answer = self.exporter.raw(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                   b"Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n\r\n")
        self.assertIn(b"\r\nContent-Encoding: gzip\r\n", answer)
        self.assertEqual(gzip.decompress(answer.partition(b"\r\n\r\n")[2]), plain)


if __name__ == "__main__":
    unittest.main()
