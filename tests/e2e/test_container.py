"""The container files: what they say fits the programs, and the programs run as the containers would.

No container is made here. The programs run as the image's user, without capabilities, in a mount
namespace with the volume that compose.yaml describes or Docker's own /dev/shm, and io_uring is refused
as Docker's seccomp profile does.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
import urllib.request

import yaml

from documents import TOP, build_packages, fenced, read
from harness import (
    BUILD, DEADLINE, Case, Collector, native, own_mounts, program, refuse_call, visitor, wait_until,
)

PROGRAMS = {"presenced": "daemon/presenced", "presencectl": "tools/presencectl/presencectl",
            "presence-web": "tools/presence-web/presence-web",
            "presence-exporter": "tools/presence-exporter/presence-exporter"}
COMPOSE = yaml.safe_load(read("container/compose.yaml"))
SERVICES = COMPOSE["services"]
DOCKERFILE = re.sub(r"\\\n\s*", "", read("container/Dockerfile"))
UID = re.search(r"useradd .*--uid (\d+)", DOCKERFILE)[1]
SITE = "example.com"
DOCKER_SHM = "mount -t tmpfs -o size=64m tmpfs /dev/shm"


def instruction(name):
    """The words of the Dockerfile's last instruction of that name, which is a list."""
    return json.loads(re.findall(rf"^{name}\b.*?(\[.*\])$", DOCKERFILE, re.M)[-1])


def volume():
    """The words that make the compose file's volume over a /dev/shm of its own."""
    options = COMPOSE["volumes"]["segment"]["driver_opts"]
    return (f"{DOCKER_SHM} && mkdir /dev/shm/presence && "
            f"mount -t {options['type']} -o {options['o']} {options['device']} /dev/shm/presence")


def without_io_uring():
    refuse_call(425, errno.EPERM)


class Files(unittest.TestCase):
    def test_packages(self):
        """The image is built with what packages.sh says, without the XDP filter."""
        installed = re.search(r"apt-get install -y --no-install-recommends (gcc .*)", DOCKERFILE)[1]
        self.assertEqual(installed.split(), build_packages())

    def test_one_user(self):
        """The volume belongs to the user whom the image makes, and who runs everything."""
        self.assertRegex(DOCKERFILE, rf"groupadd .*--gid {UID} presence && useradd .*--gid presence")
        self.assertIn("\nUSER presence\n", DOCKERFILE)
        self.assertIn(f"mode=0750,uid={UID},gid={UID}", COMPOSE["volumes"]["segment"]["driver_opts"]["o"])

    def test_one_segment(self):
        """The collector may write it, the others may not."""
        self.assertEqual({name: service["volumes"] for name, service in SERVICES.items()},
                         {"collector": ["segment:/dev/shm/presence"],
                          "exporter": ["segment:/dev/shm/presence:ro"],
                          "web": ["segment:/dev/shm/presence:ro"]})
        self.assertEqual({service["image"] for service in SERVICES.values()}, {"presence"})

    def test_documented_commands(self):
        """No Docker is here to run them: they name what is there."""
        build, run, up = (line.split() for line in fenced("sh containers").splitlines())
        self.assertEqual(build, ["docker", "build", "-f", "container/Dockerfile", "-t", "presence", "."])
        self.assertEqual(run, ["docker", "run", "--network", "host", "presence"])
        self.assertEqual(up, ["docker", "compose", "-f", "container/compose.yaml", "up"])
        self.assertEqual(SERVICES["collector"]["build"],
                         {"context": "..", "dockerfile": "container/Dockerfile"})


@unittest.skipIf(os.geteuid(), "needs root, for mounts and other users")
class Containers(Case):
    AS_USER = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all",
               "--bounding-set=-all", "--no-new-privs")

    def start_collector(self, mounts, command):
        """Start what a container's command says, with these mounts."""
        name, *arguments = command
        self.assertEqual(name, "presenced")
        arguments = [word.replace("/etc/presence", self.configurations()) for word in arguments]
        collector = Collector("/dev/shm/presence/segment", *arguments, listen=None,
                              preexec=without_io_uring,
                              prefix=(*own_mounts(f'{mounts} && exec "$@"'), *self.AS_USER))
        self.addCleanup(self.ensure_ended, collector)
        return collector

    def configurations(self):
        """Return a directory with those of the image, which its user can reach wherever the tree is."""
        directory = self.enterContext(tempfile.TemporaryDirectory(dir="/var/tmp"))
        os.chmod(directory, 0o755)
        shutil.copy(os.path.join(TOP, "container/presenced.conf"), directory)
        return directory

    def inside(self, collector, command):
        """The words that run a container's command beside a collector."""
        name, *arguments = command
        return ("nsenter", f"--target={collector.process.pid}", "--mount", *self.AS_USER,
                os.path.abspath(os.path.join(BUILD, PROGRAMS[name])), *arguments)

    def ask(self, collector, *arguments):
        """Run presencectl beside a collector, which has to succeed."""
        return subprocess.run(self.inside(collector, ("presencectl", *arguments)), check=True,
                              capture_output=True, text=True, timeout=DEADLINE).stdout

    def wait_counted(self, collector):
        self.socket.sendto(native(SITE, [visitor(1), visitor(2)]), ("127.0.0.1", 9514))
        wait_until(lambda: json.loads(self.ask(collector, "stats", "--json"))["heartbeats_new"] == 2,
                   "both to be counted")

    def wait_answer(self, collector, name, url, words):
        """Start a service of the compose file beside a collector, and wait until its answer has these
        words: of a busy collector it may not have a number for a moment."""
        self.enterContext(program(self.inside(collector, SERVICES[name]["command"]),
                                  preexec_fn=without_io_uring))

        def answer():
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=DEADLINE) as reply:
                return reply.read().decode()
            return ""

        wait_until(lambda: words in answer(), lambda: f"{name} to answer {words}, not {answer()}")

    def test_compose(self):
        """All three on one segment. The log and the status say that io_uring is refused."""
        collector = self.start_collector(volume(), SERVICES["collector"]["command"]).wait_ready()
        self.assertIn("io_uring is not available here (Operation not permitted): using recvmmsg",
                      collector.output())
        self.wait_counted(collector)
        self.assertEqual(json.loads(self.ask(collector, "status", "--json"))["receive"], "recvmmsg")
        self.wait_answer(collector, "exporter", "http://127.0.0.1:9474/metrics",
                         f'presence_active_visitors{{site="{SITE}",window="5m"}} 2\n')
        self.wait_answer(collector, "web", f"http://127.0.0.1:8474/api/sites/{SITE}/live-user-count",
                         '{"count":2,')
        self.ask(collector, *instruction("HEALTHCHECK")[1:])
        self.assert_room_for_two(collector)

    def test_image_alone(self):
        """Its own command fits the /dev/shm that Docker makes."""
        collector = self.start_collector(DOCKER_SHM, instruction("CMD")).wait_ready()
        self.wait_counted(collector)
        self.assert_room_for_two(collector)

    def assert_room_for_two(self, collector):
        """A second segment is needed while settings change."""
        size = os.stat(f"/proc/{collector.process.pid}/root/dev/shm/presence/segment").st_size
        left = os.statvfs(f"/proc/{collector.process.pid}/root/dev/shm/presence")
        self.assertGreater(left.f_bavail * left.f_frsize, size)

    def test_what_does_not_fit(self):
        """The line says how much is needed, how much there is, and what to do."""
        collector = self.start_collector(DOCKER_SHM, ["presenced"])
        self.assertEqual(collector.process.wait(timeout=DEADLINE), 1)
        self.assertRegex(collector.output(), r"cannot reserve 1\d\d\.\d MB .*No space left on device "
                         r"\(67\.1 MB are free\).*--shm-size.*--max-histories")


if __name__ == "__main__":
    unittest.main()
