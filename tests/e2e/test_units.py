"""The services as their units run them: users, groups and capabilities, and the group `presence`.

setpriv does what the units say, in a root whose lists of users and groups have what systemd-sysusers
makes of the package's file; only these processes see them. test_services.py has a real systemd.
"""

import grp
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import unittest
from unittest import mock

import harness
from documents import fenced
from exporter import PRESENCE_EXPORTER, ExporterCase
from harness import (
    BUILD, DEADLINE, PRESENCE_RECORDER, PRESENCE_SEND, PRESENCECTL, free_port, native, own_mounts,
    visitor, wait_until,
)
from http_program import HttpProgram
from web import PRESENCE_WEB, SITE, Web

TOP = os.path.join(os.path.dirname(__file__), "../..")
STRANGER, SOMEBODY, FRIEND = 64123, 64201, 64202  # uids and groups: of people
UNITS = ("presenced", "presence-exporter", "presence-publisher", "presence-recorder", "presence-relay",
         "presence-web")
SMALL = ("--max-entries", "1000", "--max-scopes", "16", "--max-histories", "4", "--events", "64",
         "--warm-up", "0")


def unit_path(program):
    folder = "daemon" if program == "presenced" else f"tools/{program}"
    return os.path.join(BUILD, folder, f"{program}.service")


def unit(program):
    """The settings of a program's unit, as built; of those that are repeated the last one."""
    with open(unit_path(program)) as file:
        return dict(re.findall(r"^([A-Z]\w+)=(.*)$", file.read(), re.M))


@unittest.skipIf(os.geteuid(), "needs root, to become other users")
class UnitCase(ExporterCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o755)
        self.own = os.path.join(self.directory, "presence")
        self.segment = os.path.join(self.own, "segment")
        self.root = self.make_root()
        self.keys = os.path.join(self.directory, "keys")

    def make_root(self):
        """A directory to mount the machine's root in, with lists of users and groups beside it."""
        lists = os.path.join(self.directory, "lists")
        for folder in "etc", "usr/lib/sysusers.d":
            os.makedirs(os.path.join(lists, folder))
        shutil.copy(os.path.join(TOP, "daemon/presence.sysusers"),
                    os.path.join(lists, "usr/lib/sysusers.d/presence.conf"))
        for name in "passwd", "group":
            with open(f"/etc/{name}") as file:
                kept = [line for line in file if not line.startswith("presence:")]
            with open(os.path.join(lists, "etc", name), "w") as file:
                file.writelines(kept)
                if name == "passwd":
                    file.write(f"somebody:x:{SOMEBODY}:{SOMEBODY}::/:/bin/sh\n"
                               f"friend:x:{FRIEND}:{FRIEND}::/:/bin/sh\n")
        subprocess.run(["systemd-sysusers", f"--root={lists}"], check=True, capture_output=True,
                       timeout=DEADLINE)
        path = os.path.join(lists, "etc/group")
        with open(path) as file:
            text = file.read()
        self.group = int(re.search(r"^presence:[^:]*:(\d+):$", text, re.M)[1])
        with open(path, "w") as file:
            file.write(re.sub(r"^(presence:.*:)$", r"\1friend", text, flags=re.M))
        os.chmod(path, 0o644)
        with open(os.path.join(lists, "etc/passwd")) as file:
            users = (line.split(":") for line in file)
            self.users = {words[0]: (int(words[2]), int(words[3])) for words in users}
        root = os.path.join(self.directory, "root")
        os.mkdir(root)
        mounts = " && ".join(f"mount --bind {lists}/etc/{name} {root}/etc/{name}"
                             for name in ("passwd", "group"))
        return own_mounts(f"mount --rbind / {root} && mount --make-rprivate {root} && {mounts} && "
                          f'exec chroot {root} "$@"')

    def as_unit(self, program):
        """The words that start a program as its unit says."""
        settings = unit(program)
        user, group = self.users[settings["User"]]
        self.assertEqual((settings["Group"], group), ("presence", self.group))
        words = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        for sets, name in (("inh-caps", "Ambient"), ("ambient-caps", "Ambient"),
                           ("bounding-set", "CapabilityBoundingSet")):
            named = settings.get("AmbientCapabilities" if name == "Ambient" else name, "")
            kept = named.lower().replace("cap_", "").split()
            words.append(f"--{sets}={','.join(['-all', *('+' + name for name in kept)])}")
        if settings.get("NoNewPrivileges") == "yes":
            words.append("--no-new-privs")
        return *self.root, *words

    def as_person(self, uid, *groups):
        return (*self.root, "setpriv", f"--reuid={uid}", f"--regid={uid}",
                f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups",
                "--inh-caps=-all", "--bounding-set=-all")

    def write_keys(self, text, group, mode=0o640):
        with open(self.keys, "w") as file:
            file.write(text)
        os.chmod(self.keys, mode)
        os.chown(self.keys, 0, group)

    def give(self):
        """What the unit does as root before it starts the collector; what that says."""
        before = unit("presenced")["ExecStartPre"]
        words = re.fullmatch(r"\+\S+/presenced --config \S+ (.*)", before)[1].split()
        done = self.run_in(self.root, harness.PRESENCED, *words, "--segment", self.segment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def ctl(self, *arguments, **_):
        done = self.run_in(self.root, PRESENCECTL, *arguments, "--segment", self.segment)
        return done.returncode, done.stdout, done.stderr

    def start_unit(self, *arguments):
        self.give()
        return self.start_by_hand(*arguments, prefix=self.as_unit("presenced"))

    def start_by_hand(self, *arguments, prefix):
        with mock.patch.object(harness, "PRESENCED", os.path.abspath(harness.PRESENCED)):
            return self.start(*SMALL, *arguments, small=False, prefix=prefix)

    def start_web(self, collector, *arguments, prefix=None):
        web = Web("--segment", self.segment, "--to", f"127.0.0.1:{collector.port}", *arguments,
                  prefix=prefix or self.as_unit("presence-web"))
        self.addCleanup(web.stop)
        return web

    def start_exporter(self, prefix):
        exporter = HttpProgram([*prefix, os.path.abspath(PRESENCE_EXPORTER), "--segment", self.segment,
                                "--web.listen-address", "127.0.0.1:0"])
        self.addCleanup(exporter.ensure_ended)
        return exporter.wait_ready()

    def run_in(self, prefix, program, *arguments, **keywords):
        return subprocess.run([*prefix, os.path.abspath(program), *arguments], capture_output=True,
                              text=True, timeout=DEADLINE, **keywords)

    def hang_up(self, program, words):
        before = program.output().count(words)
        program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: program.output().count(words) > before, words)

    def wait_counted(self, web, visitor):
        """Touch until the collector counts it: a busy machine may be later than the answer."""
        wait_until(lambda: web.touch({"site": SITE, "visitor": visitor}).json["counted"], visitor)


class Units(UnitCase):
    def test_all_services(self):
        """With the documented key file for all, and the segment of an earlier presenced."""
        block = fenced("sh keys").splitlines()
        make = "\n".join(block[:-1]).replace("/etc/presence/keys", self.keys)
        subprocess.run([*self.root, "bash", "-euc", make], check=True, timeout=DEADLINE)
        status = os.stat(self.keys)
        self.assertEqual((status.st_mode & 0o777, status.st_gid), (0o640, self.group))
        earlier = self.start(*SMALL, small=False)  # root's alone
        self.send(earlier, native(SITE, [visitor(1)]))
        self.wait_received(1)
        self.assertEqual(earlier.stop(), 0)
        self.assertEqual(self.give().count("to the user presence\n"), 2)
        self.assertEqual(self.give(), "")
        collector = self.start_unit("--keys", self.keys)
        self.assertIn(f"segment {self.segment}: attached", collector.output())
        self.assertEqual(self.count(SITE), 1)
        for path, mode in (self.own, 0o750), (self.segment, 0o640):
            status = os.stat(path)
            self.assertEqual((status.st_mode & 0o777, status.st_uid, status.st_gid),
                             (mode, *self.users["presence"]), path)
        web = self.start_web(collector, "--key-file", self.keys)
        self.wait_counted(web, "one")
        send = block[-1].split()
        self.assertEqual((send[0], send[1], send[2]),
                         ("presence-send", "--key-file", "/etc/presence/keys"))
        done = self.run_in(self.as_person(FRIEND, self.group), PRESENCE_SEND, "--key-file", self.keys,
                           *send[3:], "--to", collector.address)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        wait_until(lambda: self.count(SITE) == 3, "all visitors")
        self.assertEqual(self.stats()["datagrams_rejected_unauthenticated"], 0)

        exporter = self.start_exporter(self.as_unit("presence-exporter"))
        wait_until(lambda: self.is_up(exporter), exporter.output)
        state = os.path.join(self.directory, "state")  # as StateDirectory= makes it
        os.mkdir(state, 0o750)
        os.chown(state, *self.users["presence-recorder"])
        database = os.path.join(state, "history.db")
        wait_until(lambda: self.json("history", SITE)["history"], "a sample")
        done = self.run_in(self.as_unit("presence-recorder"), PRESENCE_RECORDER, "--once",
                           "--segment", self.segment, "--database", database)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (0, 1), done.stderr)
        done = self.run_in(self.as_person(FRIEND, self.group), PRESENCECTL, "history", SITE, "--json",
                           "--segment", self.segment, "--database", database)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_an_earlier_group(self):
        """A directory and a segment that the user presence had before there was the group."""
        self.start_unit().stop()
        for path in self.own, self.segment:
            os.chown(path, self.users["presence"][0], STRANGER)
        collector = self.start_unit()
        for path in self.own, self.segment:
            self.assertEqual(os.stat(path).st_gid, self.group)
            self.assertIn(f"gave {path} to the group presence\n", collector.output())

    def test_other_groups_cannot_have_keys(self):
        """At the start, and on SIGHUP: then the previous keys stay, and status says so."""
        text = f"7 {'07' * 16}\n"
        self.write_keys(text, self.group)
        collector = self.start_unit("--keys", self.keys)
        web = self.start_web(collector, "--key-file", self.keys)
        self.assertEqual((self.json("status")["keys"], self.json("status")["keys_refused"]), (1, None))
        for group, mode in (0, 0o640), (STRANGER, 0o640), (self.group, 0o644), (self.group, 0o660):
            with self.subTest(group=group, mode=oct(mode)):
                self.write_keys(text + f"8 {'08' * 16}\n", group, mode)
                reason = "its mode gives more" if group == self.group else "permission denied"
                self.hang_up(collector, f"{self.keys}: {reason}")
                self.assertIn("; the 1 previous key stays in use\n", collector.output())
                status = self.json("status")
                self.assertEqual(status["keys"], 1)
                self.assertIn(reason, status["keys_refused"])
                self.assertRegex(self.ctl("status")[1], r"keys +1 previous; new ones were refused: ")
                self.hang_up(web, f"--key-file {self.keys}: ")
                self.assertIn("stay in use\n", web.output())
                self.wait_counted(web, "v")
                # A service that starts now refuses them.
                done = self.run_in(self.as_unit("presence-web"), PRESENCE_WEB, "--key-file", self.keys,
                                   "--listen", f"127.0.0.1:{free_port()}")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stderr, "its mode gives more|permission denied")
        self.write_keys(text, self.group)
        self.hang_up(collector, "reloaded 1 key")
        self.assertEqual((self.json("status")["keys"], self.json("status")["keys_refused"]), (1, None))
        self.hang_up(web, "reloaded the key files")


class GiveTo(UnitCase):
    """What `presenced --give-to presence` gives, and what it doesn't."""

    def owners(self, *paths):
        return [os.lstat(path).st_uid for path in paths]

    def refuse(self):
        done = self.run_in(self.root, harness.PRESENCED, "--give-to", "presence", "--segment", self.segment)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        return done.stderr

    def leave_segment(self):
        self.assertEqual(self.start(*SMALL, small=False).stop(), 0)

    def test_a_stranger_had_the_name(self):
        os.mkdir(self.own)
        os.chown(self.own, STRANGER, STRANGER)
        with open(self.segment, "wb") as file:
            file.write(b"PRESENCE" + bytes(4096))
        self.assertIn("moved it aside", self.give())
        self.assertEqual(os.listdir(self.own), [])
        self.assertEqual(self.owners(self.own), [self.users["presence"][0]])
        self.start_unit()

    def test_a_file_of_a_stranger(self):
        self.leave_segment()
        os.chown(self.segment, STRANGER, STRANGER)
        self.assertIn("moved it aside", self.give())
        self.assertFalse(os.path.exists(self.segment))

    def test_what_is_not_ours(self):
        """A directory that others may enter; a file that is no segment, or has another name; a link."""
        self.leave_segment()
        os.chmod(self.own, 0o755)
        self.give()
        self.assertEqual(self.owners(self.own, self.segment), [0, self.users["presence"][0]])
        os.chmod(self.own, 0o1770)  # a group shares it
        self.give()
        self.assertEqual(self.owners(self.own), [0])
        os.chown(self.segment, 0, 0)
        os.link(self.segment, self.segment + "-too")
        self.give()
        self.assertEqual(self.owners(self.own, self.segment), [0, 0])
        os.unlink(self.segment)
        os.symlink(self.segment + "-too", self.segment)
        self.give()
        self.assertEqual(self.owners(self.segment, self.segment + "-too"), [0, 0])
        os.unlink(self.segment)
        with open(self.segment, "w") as file:
            file.write("something else\n")
        self.give()
        self.assertEqual(self.owners(self.segment), [0])
        os.unlink(self.segment)
        os.mkfifo(self.segment)  # nobody will ever write to it
        self.give()

    def test_a_directory_on_a_disk(self):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
            if os.stat(home).st_dev == os.stat("/dev/shm").st_dev:
                self.skipTest("/var/tmp is a tmpfs")
            self.segment = os.path.join(home, "segment")
            self.assertEqual(self.give(), "")
            self.assertEqual(self.owners(home), [0])

    def test_no_directory(self):
        self.segment = "segment"
        self.assertIn("cannot give segment to the user presence: name a file with its directory", self.refuse())

    def test_links_to_the_directory(self):
        """Root's are followed, one after another; a way that anybody else's is part of is not."""
        real = os.path.join(self.directory, "real")
        second = os.path.join(self.directory, "second")
        user = self.users["presence"][0]
        self.leave_segment()
        os.rename(self.own, real)
        os.symlink("real/", second)
        os.symlink(second + "/", self.own)
        self.assertEqual(self.give().count("to the user presence\n"), 2)
        self.assertEqual(self.owners(self.own, real, self.segment), [0, user, user])
        self.start_unit().stop()
        for owner in user, STRANGER:
            for path in real, self.segment:
                os.chown(path, 0, 0)
            os.lchown(second, owner, owner)
            self.assertIn("is no directory, where that of the segment should be", self.refuse())
            os.lchown(self.own, owner, owner)
            self.assertIn(f"{self.own} belonged to ", self.give())
            self.assertEqual(self.owners(self.own, real, f"{real}/segment"), [user, 0, 0])
            os.rmdir(self.own)
            os.lchown(second, 0, 0)
            os.symlink(second + "/", self.own)

    def test_what_a_link_leads_to_keeps_its_mode(self):
        real = os.path.join(self.directory, "real")
        os.mkdir(real)
        os.chmod(real, 0o770)
        os.symlink(real, self.own)
        self.assertIn("others than its owner may write the directory", self.refuse())
        self.assertEqual((os.stat(real).st_mode & 0o7777, *self.owners(real)), (0o770, 0))

    def test_access_control_lists_are_not_given(self):
        lists = ("system.posix_acl_access", "system.posix_acl_default")
        # Version 2; for the owner, SOMEBODY, the group, the mask and others: rwx, rwx, -, rwx, -.
        value = struct.pack("<I" + "HHI" * 5, 2, 1, 7, 2**32 - 1, 2, 7, SOMEBODY, 4, 0, 2**32 - 1,
                            16, 7, 2**32 - 1, 32, 0, 2**32 - 1)
        self.leave_segment()
        for path, name in (self.own, lists[0]), (self.own, lists[1]), (self.segment, lists[0]):
            os.setxattr(path, name, value)
        self.give()
        for path, mode in (self.own, 0o750), (self.segment, 0o640):
            self.assertEqual([name for name in os.listxattr(path) if name in lists], [], path)
            self.assertEqual((os.stat(path).st_mode & 0o777, *self.owners(path)),
                             (mode, self.users["presence"][0]), path)

    def test_a_segment_in_use(self):
        """Nothing changes, not even the mode of its directory; once its collector has ended, it is given."""
        collector = self.start(*SMALL, small=False)
        os.chmod(self.own, 0o770)
        self.assertIn(f"the segment {self.segment} is in use by another presenced: stop that one",
                      self.refuse())
        self.assertEqual(self.owners(self.own, self.segment), [0, 0])
        self.assertEqual(os.stat(self.own).st_mode & 0o7777, 0o770)
        self.assertEqual(collector.stop(), 0)
        self.give()
        unit = self.start_unit()
        self.assertIn("is in use by another presenced", self.refuse())
        self.assertEqual(unit.stop(), 0)
        self.start_unit()

    def test_who_may(self):
        for prefix, user, reason in ((self.as_person(SOMEBODY), "presence", "only root can"),
                                     (self.root, "nosuch", "no such user")):
            done = self.run_in(prefix, harness.PRESENCED, "--give-to", user, "--segment", self.segment)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
            self.assertIn(reason, done.stderr)
            self.assertFalse(os.path.exists(self.own))


class Settings(unittest.TestCase):
    def test_exposure(self):
        """What systemd-analyze makes of the units: from 0 (safe) to 10; and what it doesn't ask."""
        for program in UNITS:
            with self.subTest(program):
                done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager",
                                       unit_path(program)], capture_output=True, text=True,
                                      timeout=DEADLINE)
                level = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
                self.assertIsNotNone(level, done.stderr)
                print(program, level[1])
                self.assertLessEqual(float(level[1]), 2.0)
                settings = unit(program)
                self.assertNotIn("DynamicUser", settings)  # they would delete the segment
                self.assertNotIn("RemoveIPC", settings)
                self.assertEqual((settings["Restart"], settings["StartLimitIntervalSec"]),
                                 ("always", "0"))


class WhoMayRead(UnitCase):
    def test_root_joins_the_group(self):
        """Programs that root starts by hand give up the right to read everything, not to read counts."""
        collector = self.start_unit()
        self.send(collector, native(SITE, [visitor(1)]))
        self.wait_received(1)
        self.assertEqual(self.start_web(collector, prefix=self.root).get("/api/sites").status, 200)
        web = self.start_web(collector, prefix=(*self.root, "setpriv", f"--groups={FRIEND}"))
        with open(f"/proc/{web.process.pid}/status") as file:
            groups = re.search(r"^Groups:(.*)$", file.read(), re.M)[1]
        self.assertLessEqual({FRIEND, self.group}, set(map(int, groups.split())))  # root's own, too
        self.wait_up(self.start_exporter(self.root))

    def test_root_starts_a_collector(self):
        """By hand, in the directory that tmpfiles.d makes, without the right to enter everything."""
        os.mkdir(self.own)
        os.chmod(self.own, 0o750)
        os.chown(self.own, self.users["presence"][0], self.group)
        collector = self.start_by_hand(prefix=self.root)
        self.send(collector, native(SITE, [visitor(1)]))
        self.wait_received(1)
        self.assertEqual(self.count(SITE), 1)

    def test_root_is_told_which_group_to_join(self):
        """On SIGHUP: without its privileges it enters another user's directory only by a group."""
        private = os.path.join(self.directory, "private")
        os.mkdir(private)
        os.chmod(private, 0o750)
        os.chown(private, SOMEBODY, grp.getgrnam("adm").gr_gid)
        self.keys = os.path.join(private, "keys")
        self.write_keys("7 " + "07" * 16 + "\n", 0, 0o600)
        collector = self.start_by_hand("--keys", self.keys, prefix=(*self.root, "setpriv", "--clear-groups"))
        self.hang_up(collector, "the group adm may read it; join it with `usermod -aG adm root`")

    def test_a_service_is_told_what_else_it_needs(self):
        """Not to join the group that it has: a directory on the way is open to that."""
        private = os.path.join(self.directory, "private")
        os.mkdir(private)
        os.chmod(private, 0o710)
        os.chown(private, 0, self.group)
        self.keys = os.path.join(private, "keys")
        self.write_keys("7 " + "07" * 16 + "\n", 0)
        done = self.run_in(self.as_unit("presence-web"), PRESENCE_WEB, "--key-file", self.keys,
                           "--listen", f"127.0.0.1:{free_port()}")
        self.assertEqual(done.returncode, 1)
        self.assertIn("permission denied: only root may read it; run as root", done.stderr)

    def test_a_user_is_told_which_group_to_join(self):
        collector = self.start_unit()
        self.send(collector, native(SITE, [visitor(1)]))
        self.wait_received(1)
        join = (r"permission denied: the group presence may read it; join it with "
                r"`usermod -aG presence somebody` \(as root\), and log in again\n")
        somebody = self.as_person(SOMEBODY)
        for arguments in ("count", SITE), ("status",), ("top", SITE), ("events", SITE):
            done = self.run_in(somebody, PRESENCECTL, *arguments, "--segment", self.segment)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, f"^presencectl: cannot read the segment .*: {join}$")
        with tempfile.TemporaryDirectory() as home:
            os.chown(home, SOMEBODY, SOMEBODY)
            done = self.run_in(somebody, PRESENCE_RECORDER, "--once", "--segment", self.segment,
                               "--database", os.path.join(home, "history.db"))
        self.assertRegex(done.stderr, join)
        web = self.start_web(collector, prefix=somebody)  # looked up before it was confined
        self.assertEqual(web.get("/api/sites").status, 503)
        self.assertRegex(web.output(), join)
        exporter = self.start_exporter(somebody)
        self.assertFalse(self.is_up(exporter))
        self.assertRegex(exporter.output(), join)
        os.chown(self.own, -1, grp.getgrnam("adm").gr_gid)  # any other group that has a name
        web = self.start_web(collector, prefix=somebody)
        self.assertEqual(web.get("/api/sites").status, 503)
        self.assertIn(": the group adm may read it; join it with `usermod -aG adm somebody`", web.output())
        os.chown(self.own, -1, self.group)

        def count(uid, *groups):
            return self.run_in(self.as_person(uid, *groups), PRESENCECTL, "count", SITE, "--segment",
                               self.segment)

        self.assertRegex(count(FRIEND).stderr, "friend is in it since the last login: log in again")
        self.assertEqual(count(FRIEND, self.group).stdout, "1\n")
        self.assertRegex(count(SOMEBODY + 7).stderr, "SupplementaryGroups=presence")
        os.chown(self.own, 0, 0)  # nobody should join root's group
        self.assertRegex(count(SOMEBODY).stderr, "only root may read it; run as root, or give it to the "
                         "group presence")
        self.write_keys("7 " + "07" * 16 + "\n", self.group)
        done = self.run_in(somebody, PRESENCE_SEND, "--key-file", self.keys, "--site", SITE,
                           "--visitor", "v", "--to", collector.address)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, f"^presence-send: cannot use the key file {self.keys}: {join}$")


if __name__ == "__main__":
    unittest.main()
