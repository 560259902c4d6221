"""Whose segment is believed, and what the collector does with names that others have taken."""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import unittest

from exporter import ExporterCase
from harness import (
    DEADLINE, PRESENCE_RECORDER, PRESENCECTL, PRESENCED, native, own_mounts, run_daemon, visitor,
    wait_until,
)
from web import Web

SITE = "example.com"
NOBODY = 65534
SMALL = ("--max-entries", "1000", "--max-scopes", "16", "--max-histories", "4", "--events", "64")


class SegmentCase(ExporterCase):
    """A segment in a directory of its own, below that of the test."""

    def setUp(self):
        super().setUp()
        self.own = os.path.join(self.directory, "presence")
        self.segment = os.path.join(self.own, "segment")

    def make(self, count=1, site=SITE, stop=True):
        """A collector's segment with that many visitors."""
        collector = self.start("--warm-up", "0", *SMALL, small=False)
        self.send(collector, native(site, [visitor(number) for number in range(1, count + 1)]))
        self.wait_received(1)
        if stop:
            self.assertEqual(collector.stop(), 0)
        return collector

    def refused(self, *arguments, prefix=(), path=None):
        return run_daemon("--segment", path or self.segment, "--listen", "127.0.0.1:0", *SMALL,
                          *arguments, prefix=prefix)

    def as_nobody(self):
        """A presenced that anybody may start, and what takes a program's privileges."""
        os.chmod(self.directory, 0o1777)
        copy = shutil.copy(PRESENCED, self.directory)
        return copy, ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                      "--inh-caps=-all", "--bounding-set=-all")

    def run_as_nobody(self):
        copy, prefix = self.as_nobody()
        done = subprocess.run([*prefix, copy, "--segment", self.segment, "--listen", "127.0.0.1:0",
                               *SMALL], capture_output=True, text=True, timeout=DEADLINE)
        return done.returncode, done.stdout, done.stderr

    def content(self):
        return {name: (os.lstat(os.path.join(self.directory, name)).st_ino)
                for name in os.listdir(self.directory)}


@unittest.skipIf(os.geteuid(), "needs root, to give files away")
class Readers(SegmentCase):
    def mode(self, path, mode, owner=0):
        os.chown(path, owner, owner)
        os.chmod(path, mode)

    def assert_distrusted(self, pattern, environment=None):
        """One line and exit 1 from what ends; what serves goes on without a number."""
        for arguments in ("count", SITE), ("status",), ("sites",), ("verify",), ("stats",):
            status, out, err = self.ctl(*arguments, environment=environment)
            self.assertEqual((status, out, err.count("\n")), (1, "", 1), err)
            self.assertRegex(err, f"^presencectl: cannot read the segment .*: not trusted: .*{pattern}")
        done = subprocess.run(
            [PRESENCE_RECORDER, "--once", "--segment", self.segment, "--database",
             os.path.join(self.directory, "history.db")], capture_output=True, text=True,
            timeout=DEADLINE, env={**os.environ, **(environment or {})})
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1))
        self.assertRegex(done.stderr, f"not trusted: .*{pattern}")

    def assert_believed(self, environment=None):
        self.assertEqual(self.ctl("count", SITE, environment=environment)[1], "1\n")

    def test_owners_and_modes(self):
        self.make()  # and stopped: running, it would have its name back
        self.assert_believed()
        cases = [
            ("file of another", "segment", 0o640, NOBODY,
             r"segment belongs to nobody \(uid 65534\)"),
            ("directory of another", "directory", 0o750, NOBODY, "presence belongs to nobody"),
            ("group writes file", "segment", 0o660, 0, "others than .* write .*segment .mode 0660"),
            ("others write file", "segment", 0o642, 0, r"\(mode 0642\)"),
            ("group writes directory", "directory", 0o770, 0, r"\(mode 0770\)"),
            ("others write directory", "directory", 0o757, 0, r"\(mode 0757\)"),
            ("sticky, but another's", "directory", 0o1777, NOBODY, "presence belongs to nobody"),
        ]
        for what, which, mode, owner, pattern in cases:
            with self.subTest(what):
                path = self.segment if which == "segment" else self.own
                before = os.stat(path)
                self.mode(path, mode, owner)
                self.assert_distrusted(pattern)
                if owner:
                    for name in "nobody", str(NOBODY):
                        environment = {"PRESENCE_SEGMENT_OWNER": name}
                        if what.startswith("sticky"):
                            self.assert_distrusted("mode 1777", environment)
                        else:
                            self.assert_believed(environment)
                    for name in "no-such-user", "1", "", "0", str(2**32 - 1), str(2**32), "-1":
                        self.assert_distrusted(pattern, {"PRESENCE_SEGMENT_OWNER": name})
                self.mode(path, stat.S_IMODE(before.st_mode), before.st_uid)
                self.assert_believed()
        self.mode(self.own, 0o1777)  # as /dev/shm
        self.assert_believed()

    def test_links(self):
        """They are followed when their owner is trusted, and what they lead to is judged."""
        self.make()
        real = self.segment
        os.mkdir(self.path("links"), 0o755)
        os.chmod(self.path("links"), 0o1777)
        file, directory = self.path("links/file"), self.path("links/directory")
        os.symlink(real, file)
        os.symlink("../presence", directory)
        for link, segment in (file, file), (directory, f"{directory}/segment"):
            with self.subTest(link=link):
                self.segment = segment
                self.assert_believed()
                os.lchown(link, NOBODY, NOBODY)
                self.assert_distrusted(f"{link} belongs to nobody")
                os.lchown(link, 0, 0)
                for path in real, self.own:
                    os.chown(path, NOBODY, NOBODY)
                    self.assert_distrusted("(segment|presence|directory) belongs to nobody")
                    os.chown(path, 0, 0)
                self.assert_believed()
        os.unlink(file)
        os.symlink("file", file)
        self.segment = file
        status, out, err = self.ctl("count", SITE)
        self.assertEqual((status, out, err.count("\n")), (1, "", 1), err)

    def path(self, name):
        return os.path.join(self.directory, name)

    def with_user(self, name, uid):
        """What makes a program find a user of that name: a list of users that only it sees."""
        passwd = self.path("passwd")
        with open("/etc/passwd") as file:
            lines = [line for line in file if not line.startswith(f"{name}:")]
        with open(passwd, "w") as file:
            file.write("".join(lines) + f"{name}:x:{uid}:{uid}::/:/bin/false\n")
        root = self.path("root")
        os.mkdir(root)
        return own_mounts(f"mount --rbind / {root} && mount --make-rprivate {root} && "
                          f'mount --bind {passwd} {root}/etc/passwd && exec chroot {root} "$@"')

    def give_away(self, uid):
        for path in self.own, self.segment:
            os.chown(path, uid, uid)

    def test_user_presence(self):
        self.make()
        self.give_away(4711)
        self.assert_distrusted("uid 4711")
        done = subprocess.run([*self.with_user("presence", 4711), PRESENCECTL, "count", SITE,
                               "--segment", self.segment], capture_output=True, text=True,
                              timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stdout), (3, "1\n"), done.stderr)

    def test_programs_that_serve(self):
        """They go on without a number, and find users by name although they are confined."""
        self.make(stop=False)
        os.chmod(self.own, 0o755)  # they have no privilege to read what is not theirs
        os.chmod(self.segment, 0o644)
        self.give_away(NOBODY)
        exporter = self.export()
        self.assertFalse(self.is_up(exporter))
        self.assertRegex(exporter.output(), "cannot read the segment .*presence belongs to .*65534")
        web = Web("--segment", self.segment, "--client-rate", "0")
        self.addCleanup(web.stop)
        self.assertEqual(web.get(f"/api/sites/{SITE}/live-user-count").status, 503)
        self.assertRegex(web.output(), "cannot read the segment .*presence belongs to .*65534")
        named = {"PRESENCE_SEGMENT_OWNER": "nobody"}
        self.wait_up(self.export(environment=named))
        other = Web("--segment", self.segment, environment=named)
        self.addCleanup(other.stop)
        self.assertEqual(other.get(f"/api/sites/{SITE}/live-user-count").json["count"], 1)
        self.give_away(0)
        self.wait_up(exporter)
        answer = wait_until(lambda: (answer := web.get(f"/api/sites/{SITE}/live-user-count")).status
                            == 200 and answer, "presence-web to believe it")
        self.assertEqual(answer.json["count"], 1)


class Directory(SegmentCase):
    def test_it_is_made(self):
        for mask in 0, 0o22, 0o77, 0o777:
            with self.subTest(mask=mask):
                collector = self.start(*SMALL, small=False, preexec=lambda: os.umask(mask))
                self.assertEqual(stat.S_IMODE(os.stat(self.own).st_mode), 0o750)
                self.assertEqual(stat.S_IMODE(os.stat(self.segment).st_mode), 0o640)
                self.assertEqual(os.listdir(self.own), ["segment"])
                self.assertEqual(collector.stop(), 0)
                shutil.rmtree(self.own)
        path = f"{self.own}/deeper/segment"
        self.assert_refused(self.refused(path=path), 1, f"{self.own}/deeper.*No such file")
        self.assertEqual(os.listdir(self.directory), [])

    @unittest.skipIf(os.geteuid(), "needs root, to mount")
    def test_default_path(self):
        """In a /dev/shm of its own: presenced and presencectl, nothing said to either."""
        script = ('mount -t tmpfs -o mode=1777 none /dev/shm && cd / && '
                  '{ "$1" --listen 127.0.0.1:0 --max-entries 1000 --max-scopes 16 & } && '
                  'until "$2" status >/dev/null 2>&1; do kill -0 $! || exit 9; done; '
                  'stat -c "%n %a" /dev/shm/* /dev/shm/*/*; kill $!; wait $!')
        done = subprocess.run([*own_mounts(script), os.path.abspath(PRESENCED),
                               os.path.abspath(PRESENCECTL)], capture_output=True, text=True,
                              timeout=DEADLINE,
                              env={**os.environ, "PRESENCE_SEGMENT": ""})
        self.assertEqual(done.stdout, "/dev/shm/presence 750\n/dev/shm/presence/segment 640\n",
                         done.stderr)

    def test_open_modes(self):
        os.mkdir(self.own)
        os.chmod(self.own, 0o777)
        collector = self.start(*SMALL, small=False)
        self.assertEqual(stat.S_IMODE(os.stat(self.own).st_mode), 0o755)
        self.assertRegex(collector.output(),
                         "could write the directory .* .mode 0777.: made it 0755")
        self.assertEqual(collector.stop(), 0)
        os.chmod(self.segment, 0o666)
        os.chmod(self.own, 0o1777)
        collector = self.start(*SMALL, small=False)
        self.assertEqual(stat.S_IMODE(os.stat(self.own).st_mode), 0o1777 if os.geteuid() == 0
                         else 0o1755)
        self.assertEqual(stat.S_IMODE(os.stat(self.segment).st_mode), 0o640)
        self.assertEqual(self.ctl("status")[0], 0)

    @unittest.skipIf(os.geteuid(), "needs root, to become another user")
    def test_open_directory_of_root(self):
        os.mkdir(self.own)
        os.chmod(self.own, 0o777)
        self.assert_refused(self.run_as_nobody(), 1,
                            f"may write the directory {self.own} .*chmod go-w")
        self.assertEqual(os.listdir(self.own), [])

    def test_old_segment_where_the_directory_should_be(self):
        """It is moved into it, and counting goes on."""
        new, self.segment = self.segment, self.own
        self.make(count=3)
        self.segment = new
        inode = os.stat(self.own).st_ino
        collector = self.start("--warm-up", "0", *SMALL, small=False, preexec=lambda: os.umask(0o77))
        self.assertIn(f"moved the segment of an earlier presenced from {self.own} to {new}",
                      collector.output())
        self.assertIn("attached", collector.output())
        self.assertEqual(os.stat(new).st_ino, inode)
        self.assertEqual(stat.S_IMODE(os.stat(self.own).st_mode), 0o750)
        self.assertEqual(self.count(SITE), 3)
        self.assertEqual(os.listdir(self.directory), ["presence"])
        self.assertEqual(os.listdir(self.own), ["segment"])

    def test_old_segment_in_use(self):
        new, self.segment = self.segment, self.own
        self.make(stop=False)
        before = self.content()
        self.assert_refused(self.refused(path=new), 1, f"{self.own} is in use by another presenced")
        self.assertEqual(self.content(), before)

    def test_other_things_where_the_directory_should_be(self):
        def symlink():
            os.symlink("/nonexistent/place", self.own)

        def bound():
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(self.own)

        def file(data):
            with open(self.own, "wb") as text:
                text.write(data)

        for what, make in (("file", lambda: file(b"a letter")), ("empty", lambda: file(b"")),
                           ("short", lambda: file(b"RESENCE")), ("socket", bound),
                           ("fifo", lambda: os.mkfifo(self.own)), ("link", symlink)):
            with self.subTest(what):
                make()
                before = self.content()
                words = "is a file" if stat.S_ISREG(os.lstat(self.own).st_mode) else "is no directory"
                self.assert_refused(self.refused(), 1, f"{self.own} {words}, where")
                self.assertEqual(self.content(), before)
                os.unlink(self.own)

    def test_linked_directory(self):
        real = os.path.join(self.directory, "real")
        os.mkdir(real, 0o750)
        os.symlink("real", self.own)
        self.make(stop=False)
        self.assertEqual(os.listdir(real), ["segment"])
        os.unlink(self.segment)
        wait_until(lambda: os.path.exists(self.segment), "the lost segment's name, through the link")
        self.assertTrue(os.path.islink(self.own))


@unittest.skipIf(os.geteuid(), "needs root, to give files away")
class Strangers(SegmentCase):
    """Each name taken by somebody else, as each kind of file."""

    @contextlib.contextmanager
    def taken(self, name, kind, mode=0o755):
        path = os.path.join(self.directory, name)
        victim = os.path.join(self.directory, "victim")
        if kind == "directory":
            os.mkdir(path)
            with open(f"{path}/segment", "w") as file:
                file.write("forged")
            os.chmod(path, mode)
        elif kind == "file":
            with open(path, "w") as file:
                file.write("forged")
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            os.mkdir(victim, 0o750)
            os.symlink(victim if kind == "link" else f"{victim}/new", path)
        os.lchown(path, NOBODY, NOBODY)
        yield path, os.lstat(path).st_ino
        if kind.startswith("link"):
            self.assertEqual(os.listdir(victim), [], "the link was followed")
            os.rmdir(victim)

    KINDS = ["directory", "file", "fifo", "link", "link to nothing"]

    def test_root_moves_them_aside(self):
        for name in "presence", "presence/segment":
            for kind in self.KINDS:
                with self.subTest(name=name, kind=kind):
                    if "/" in name:
                        os.mkdir(self.own, 0o750)
                    with self.taken(name, kind) as (path, inode):
                        collector = self.make(count=2, stop=False)
                        aside = f"{path}.untrusted-{collector.process.pid}"
                        self.assertEqual(os.lstat(aside).st_ino, inode)
                        self.assertEqual(os.lstat(aside).st_uid, NOBODY)
                        lines = [line for line in collector.output().splitlines() if aside in line]
                        self.assertEqual(len(lines), 1, collector.output())
                        self.assertRegex(lines[0],
                                         r"belonged to nobody \(uid 65534\).*moved it aside")
                        self.assertEqual(self.count(SITE), 2)
                        self.assertEqual(collector.stop(), 0)
                        if kind == "directory":
                            with open(f"{aside}/segment") as file:
                                self.assertEqual(file.read(), "forged")
                    shutil.rmtree(self.own)
                    if os.path.isdir(aside) and not os.path.islink(aside):
                        shutil.rmtree(aside)
                    elif os.path.lexists(aside):
                        os.unlink(aside)

    def test_two_slashes(self):
        """Before the segment's name: a link to its directory is no more followed."""
        self.segment = f"{self.own}//segment"
        with self.taken("presence", "link") as (path, inode):
            collector = self.start(*SMALL, small=False)
            self.assertEqual(os.lstat(f"{path}.untrusted-{collector.process.pid}").st_ino, inode)

    def test_a_name_for_what_is_moved_that_is_taken(self):
        """Nothing is overwritten; a number is added."""
        with self.taken("presence", "directory", mode=0o700) as (path, inode):
            # Only a shell that becomes presenced knows the pid, and takes its first names.
            script = (f'mkdir {path}.untrusted-$$ && echo kept >{path}.untrusted-$$/file && '
                      f'echo kept >{path}.untrusted-$$-1 && exec "$@"')
            collector = self.start(*SMALL, small=False, prefix=("sh", "-c", script, "sh"))
            aside = f"{path}.untrusted-{collector.process.pid}"
            self.assertEqual(os.stat(f"{aside}-2").st_ino, inode)
            for kept in f"{aside}/file", f"{aside}-1":
                with open(kept) as file:
                    self.assertEqual(file.read(), "kept\n")

    def test_others_stop(self):
        for name in "presence", "presence/segment":
            for kind in self.KINDS:
                with self.subTest(name=name, kind=kind):
                    if "/" in name:
                        os.mkdir(self.own, 0o750)
                        os.chown(self.own, NOBODY, NOBODY)
                    with self.taken(name, kind) as (path, inode):
                        os.lchown(path, 4711, 4711)
                        self.assert_refused(
                            self.run_as_nobody(), 1,
                            rf"{path} belongs to 4711 \(uid 4711\).*remove it, or choose")
                        self.assertEqual(os.lstat(path).st_ino, inode)
                    os.unlink(os.path.join(self.directory, "presenced"))
                    if os.path.isdir(self.own) and not os.path.islink(self.own):
                        shutil.rmtree(self.own)
                    else:
                        os.unlink(self.own)
                    self.assertEqual(os.listdir(self.directory), [])

    def test_a_home_is_not_moved(self):
        """Root that is told to put its segment into somebody's directory on a disk refuses."""
        with tempfile.TemporaryDirectory(dir="/var/tmp") as above:
            home = os.path.join(above, "home")
            os.mkdir(home)
            os.chown(home, NOBODY, NOBODY)
            if os.stat(home).st_dev == os.stat("/dev/shm").st_dev:
                self.skipTest("/var/tmp is a tmpfs")
            self.assert_refused(self.refused(path=f"{home}/segment"), 1,
                                f"{home} belongs to nobody")
            self.assertEqual(os.listdir(above), ["home"])


if __name__ == "__main__":
    unittest.main()
