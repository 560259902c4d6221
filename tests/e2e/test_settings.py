"""How presenced is told what to do, and what it refuses to start with: one line that says why."""

import os
import re
import socket
import stat
import subprocess
import unittest

from harness import DEADLINE, PRESENCED, Case, own_mounts, run_daemon, wait_until

SMALL = ("--max-entries", "1000", "--max-scopes", "16")


class Settings(Case):
    def test_config_file(self):
        path = os.path.join(self.directory, "presenced.conf")
        with open(path, "w") as file:
            file.write(f"# what presenced is told\n\nlisten = 127.0.0.1:0\nsegment={self.segment}\n"
                       "max-entries = 5000\nmax-scopes = 64\nmax-window = 600\nwarm-up = 7\n"
                       "workers = 2\nreceive = recvmmsg\n")
        wanted = {"entries_capacity": 5000, "scopes_capacity": 64, "max_window_s": 600,
                  "warm_up_s": 7, "workers": 2, "receive": "recvmmsg"}
        for arguments, changes in ([], {}), (["--workers", "1", "--warm-up", "0"],
                                             {"workers": 1, "warm_up_s": 0}):
            with self.subTest(arguments=arguments):
                collector = self.start("--config", path, *arguments, small=False, listen=None)
                status = self.json("status")
                self.assertEqual({name: status[name] for name in wanted}, {**wanted, **changes})
                self.assertEqual(collector.stop(), 0)

    def test_segment_from_the_environment(self):
        process = subprocess.Popen(
            [PRESENCED, *SMALL, "--listen", "127.0.0.1:0"], stderr=subprocess.DEVNULL,
            env={**os.environ, "PRESENCE_SEGMENT": self.segment})
        try:
            wait_until(lambda: self.ctl("status")[0] == 0, "the segment that the environment names")
        finally:
            process.terminate()
            self.assertEqual(process.wait(timeout=DEADLINE), 0)

    def test_segment_mode_and_size(self):
        self.start()
        status = os.stat(self.segment)
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o640)
        self.assertEqual(status.st_size, self.json("status")["segment_bytes"])
        self.assertGreaterEqual(status.st_blocks * 512, status.st_size, "not reserved")

    def test_renamed_options(self):
        """An old name is wrong usage, and the line says the new one; --help does not show it."""
        path = os.path.join(self.directory, "old.conf")
        for old, new in (("max-visitors", "max-entries"), ("source-rate", "sender-rate"),
                         ("source-new", "sender-new")):
            with open(path, "w") as file:
                file.write(f"{old} = 100\n")
            for arguments in ([f"--{old}", "100"], ["--config", path]):
                with self.subTest(arguments=arguments):
                    result = run_daemon("--segment", self.segment, *arguments)
                    self.assert_refused(result, 2, rf"--{old} .*--{new}$")
            self.assertNotIn(f"--{old}", run_daemon("--help")[1])

    def test_help_and_version(self):
        status, out, err = run_daemon("--help")
        self.assertEqual((status, err), (0, ""))
        for option in ("listen segment max-entries max-scopes max-window max-histories events "
                       "max-streams warm-up workers receive site max-rooms-per-site allow sender-rate "
                       "sender-new keys xdp xdp-mode "
                       "config help version").split():
            self.assertIn(f"--{option}", out)
        self.assertIn("PRESENCE_SEGMENT", out)
        status, out, err = run_daemon("--version")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^presenced \d+\.\d+\.\d+\n$")

    def test_wrong_usage(self):
        """Each: exit 2, one line that names the option, and nothing happened."""
        wrong = {
            "listen": ["", "9514", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                       "127.0.0.1:9514x", " 127.0.0.1:9514", "localhost:9514", "300.0.0.1:1",
                       "::1:9514", "[::1]", "[::1", "[::1]9514", "[127.0.0.1]:1", ":9514",
                       "*:9514"],
            "max-entries": ["0", "-1", "", "ten", "1e6", "1 ", "0x10", "9" * 30],
            "max-scopes": ["0", "-5", "many", "9" * 12],
            "max-window": ["0", "3601", "5m", "-300", ""],
            "warm-up": ["-1", "soon", "", "1.5"],
            "workers": ["0", "-1", "two", "100000"],
            "receive": ["", "epoll", "IO_URING", "io_uring,recvmmsg"],
            "segment": [""],
            "config": ["/nonexistent/presenced.conf", "/"],
        }
        config = os.path.join(self.directory, "presenced.conf")
        for option, values in wrong.items():
            for value in values:
                with self.subTest(option=option, value=value):
                    arguments = ["--segment", self.segment, "--listen", "127.0.0.1:0"]
                    self.assert_refused(run_daemon(*arguments, f"--{option}", value), 2)
                    if option in ("config", "segment"):
                        continue
                    with open(config, "w") as file:
                        file.write(f"{option} = {value}\n")
                    if value == value.strip():
                        self.assert_refused(run_daemon(*arguments, "--config", config), 2)
        self.assertEqual(os.listdir(self.directory), ["presenced.conf"])

    def test_wrong_options(self):
        arguments = ["--segment", self.segment]
        too_many = [word for port in range(17) for word in ("--listen", f"127.0.0.1:{port}")]
        for wrong in (["--unknown"], ["-x"], ["extra"], ["--listen"], ["--help=yes"], too_many,
                      ["--workers", "1", "--", "extra"]):
            with self.subTest(wrong=wrong):
                self.assert_refused(run_daemon(*arguments, *wrong), 2)
        config = os.path.join(self.directory, "presenced.conf")
        for text in ("colour = red\n", "just words\n", "workers\n", "[section\n", "= 3\n",
                     "config = other.conf\n", "workers = 2\nworkers = none\n"):
            with self.subTest(config=text):
                with open(config, "w") as file:
                    file.write(text)
                self.assert_refused(run_daemon(*arguments, "--config", config), 2)
        self.assertEqual(os.listdir(self.directory), ["presenced.conf"])


class BadPlaces(Case):
    """Where the segment can't be: exit 1, one line, nothing left behind and nothing harmed."""

    def refused(self, path, *arguments, prefix=()):
        return run_daemon("--segment", path, "--listen", "127.0.0.1:0", *(arguments or SMALL),
                          prefix=prefix)

    def path(self, name):
        return os.path.join(self.directory, name)

    def test_what_is_no_segment_is_left_alone(self):
        os.mkdir(self.path("directory"))
        os.mkfifo(self.path("fifo"))
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path("socket"))
        os.symlink("/dev/null", self.path("device"))
        contents = {"short": b"x", "text": b"not a segment\n" * 1000, "zeros": bytes(1 << 20)}
        for name, data in contents.items():
            with open(self.path(name), "wb") as file:
                file.write(data)
        before = {name: os.lstat(self.path(name)) for name in os.listdir(self.directory)}
        for name in before:
            with self.subTest(name=name):
                self.assert_refused(self.refused(self.path(name)), 1, re.escape(self.path(name)))
        after = {name: os.lstat(self.path(name)) for name in os.listdir(self.directory)}
        self.assertEqual({name: (status.st_ino, status.st_mode, status.st_mtime_ns)
                          for name, status in after.items()},
                         {name: (status.st_ino, status.st_mode, status.st_mtime_ns)
                          for name, status in before.items()})
        for name, data in contents.items():
            with open(self.path(name), "rb") as file:
                self.assertEqual(file.read(), data)

    def test_missing_directory(self):
        """The last one is made (test_segment_trust), but only that."""
        self.assert_refused(self.refused(self.path("missing/below/segment")), 1, "No such file")
        self.assertEqual(os.listdir(self.directory), [])

    def test_unwritable_directory(self):
        closed = self.path("closed")
        os.mkdir(closed, 0o555)
        # Without what lets root write anywhere.
        prefix = () if os.geteuid() else ("setpriv", "--bounding-set=-dac_override")
        self.assert_refused(self.refused(f"{closed}/segment", prefix=prefix), 1,
                            "Permission denied", re.escape(closed))
        self.assertEqual(os.listdir(closed), [])

    def in_small_tmpfs(self, script):
        """Run a shell script, with presenced as $1, in a tmpfs of 2 MB that only it sees."""
        place = self.directory
        mount = f"mount -t tmpfs -o size=2m none {place} && cd {place} || exit 99; "
        done = subprocess.run(
            [*own_mounts(mount + script), os.path.abspath(PRESENCED)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
        self.assertNotEqual(done.returncode, 99, done.stderr)
        return done

    @unittest.skipIf(os.geteuid(), "needs root, to mount")
    def test_full_tmpfs(self):
        for size in ("--max-entries 10000000", "--max-entries 1000 --max-scopes 1000",
                     "--max-entries 400000 --max-scopes 1"):
            with self.subTest(size=size):
                done = self.in_small_tmpfs(f'"$1" --segment segment --listen 127.0.0.1:0 {size}; '
                                           "echo $? $(ls -A)")
                self.assertEqual(done.stdout, "1\n")
                self.assert_refused((1, "", done.stderr), 1, "No space left", r"\d+ MB",
                                    "--max-entries")

    @unittest.skipIf(os.geteuid(), "needs root, to mount")
    def test_no_room_to_replace_a_segment(self):
        """The old one stays as it was."""
        done = self.in_small_tmpfs(
            'small="--max-entries 1000 --max-scopes 16 --max-histories 4 --events 64"; : >log; '
            '"$1" --segment segment --listen 127.0.0.1:0 $small 2>log & '
            "while ! grep -q ready log; do :; done; kill $!; wait $!; "
            "before=$(md5sum segment); : >segment.newer; "
            '"$1" --segment segment --listen 127.0.0.1:0 --max-entries 10000000; echo $? >status; '
            '[ "$before" = "$(md5sum segment)" ] && echo same; cat status; ls -A')
        self.assertEqual(done.stdout.split(), ["same", "1", "log", "segment", "segment.newer",
                                               "status"])
        self.assert_refused((1, "", done.stderr), 1, "No space left", "beside the old one",
                            "remove the old one", "remove its .newer, which a downgrade kept")


if __name__ == "__main__":
    unittest.main()
