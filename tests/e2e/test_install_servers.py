"""Servers that the tests need are announced before they are installed, and stopped again.

apt-get, dpkg and systemctl are stand-ins that keep what is installed and what runs in files.
"""

import os
import shutil
import subprocess
import tempfile
import unittest

from documents import TOP
from harness import DEADLINE

STAND_INS = {
    "apt-get": """
[ "$1" = install ] || exit 0
for package; do case $package in -*|install) continue ;; esac
    echo "$package" >> packages
    echo "$package.service" >> enabled
    [ "$package" = "$broken" ] || echo "$package.service" >> running
done
echo somebody-elses.service >> running
[ -z "$broken" ]
""",
    "dpkg-query": """
case $3 in
'${db:Status-Status}') grep -qx "$4" packages && echo -n installed ;;
*) cat packages ;;
esac
""",
    "dpkg": 'shift; for package; do echo "/lib/systemd/system/$package.service"; done',
    "systemctl": """
case $1 in
list-units) sed 's/$/ loaded active running/' running ;;
list-unit-files) sed 's/$/ enabled enabled/' enabled ;;
disable) echo "$*" >> disabled ;;
esac
""",
}


SERVERS = set(subprocess.run(["bash", "-c", '. tools/packages.sh; echo "${packages_servers[@]}"'], cwd=TOP, text=True,
                             check=True, capture_output=True).stdout.split())


def disabling(*packages):
    """What systemctl is told for the services of these packages."""
    return f"disable --quiet --now {' '.join(sorted(f'{name}.service' for name in packages))}\n"


@unittest.skipIf(os.geteuid(), "needs root, or sudo would ask for a password")
class InstallServers(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="presence-servers-")
        self.addCleanup(shutil.rmtree, self.directory)
        for name, text in STAND_INS.items():
            with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT, 0o755), "w") as file:
                file.write(f"#!/bin/bash\n{text}")

    def path(self, name):
        return os.path.join(self.directory, name)

    def install(self, installed, running, broken=""):
        """Install the servers, one of which fails to start; return what is said, and what systemctl
        was told to disable."""
        for name, lines in (("packages", installed), ("running", running), ("enabled", running),
                            ("disabled", ())):
            with open(self.path(name), "w") as file:
                file.writelines(f"{line}\n" for line in lines)
        done = subprocess.run(
            ["bash", "-euc", f'. {TOP}/tools/packages.sh; install_servers "${{packages_servers[@]}}"'],
            cwd=self.directory, capture_output=True, text=True, timeout=DEADLINE,
            env={**os.environ, "PATH": f"{self.directory}:{os.environ['PATH']}", "broken": broken})
        self.assertEqual((done.returncode, done.stdout), (1 if broken else 0, ""), done.stderr)
        with open(self.path("disabled")) as file:
            return done.stderr, file.read()

    def test_new_ones_are_stopped(self):
        said, disabled = self.install(["libc6"], ["ssh.service"])
        first = said.splitlines()[0]
        self.assertIn("stopped and disabled after the installation", first)
        for name in SERVERS:
            self.assertIn(name, first)
        self.assertEqual(disabled, disabling(*SERVERS))

    def test_one_fails_to_start(self):
        """It is disabled, too, and so are those that started; the failure is the caller's."""
        _, disabled = self.install([], [], broken="prometheus")
        self.assertEqual(disabled, disabling(*SERVERS))

    def test_what_ran_before_goes_on(self):
        """A server that was installed, and one that runs from elsewhere."""
        said, disabled = self.install(["haproxy"], ["haproxy.service", "nginx-light.service"])
        self.assertNotIn("haproxy", said)
        self.assertEqual(disabled, disabling(*SERVERS - {"haproxy", "nginx-light"}))

    def test_nothing_to_do(self):
        self.assertEqual(self.install(sorted(SERVERS), []), ("", ""))


if __name__ == "__main__":
    unittest.main()
