"""The log relays rsyslog and syslog-ng, with the recipes of docs/deploying.md or others.

tests/run unpacks them under build/packages: installed, they would be the machine's own log daemon, and
one would replace the other.
"""

import glob
import os
import re
import shutil
import socket
import subprocess

from documents import fenced
from harness import BUILD, bound_sockets, free_port, program, wait_until

PACKAGES = os.path.join(os.path.abspath(BUILD), "../packages")
PATH = os.environ["PATH"] + ":/usr/sbin"


def find(package, name):
    """A program of a package, unpacked or installed; None: neither."""
    unpacked = os.path.join(PACKAGES, package, "usr/sbin", name)
    return unpacked if os.path.exists(unpacked) else shutil.which(name, path=PATH)


def changed(text, changes):
    """A configuration with pairs of an old and a new text."""
    for old, new in changes:
        text = text.replace(old, new)
    return text


class Relay:
    """Goes before harness.Case. `name` tells apart several of a test."""

    def run_relay(self, command, port, kind="udp", **keywords):
        """Start it, and wait until it receives at the port, of UDP or TCP."""
        process = self.enterContext(program(command, **keywords))

        def bound():
            self.assertIsNone(process.poll(), "the relay has ended")
            # A connection of a relay before it has the address, too, but another state.
            return any(fields[3] == ("0A" if kind == "tcp" else "07")
                       for fields in bound_sockets(f"127.0.0.1:{port}", kind))

        wait_until(bound, f"port {port} to be bound")

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class RsyslogRelay(Relay):
    def start_relay(self, configuration, port, name="rsyslog", kind="udp"):
        rsyslogd = find("rsyslog", "rsyslogd")
        if not rsyslogd:
            self.skipTest("there is no rsyslogd: run tests/run once")
        path = self.write(f"{name}.conf",
                          f'global(workDirectory="{self.directory}")\n{configuration}')
        command = [rsyslogd, "-n", "-f", path, "-i", os.path.join(self.directory, f"{name}.pid")]
        for modules in glob.glob(os.path.join(PACKAGES, "rsyslog/usr/lib/*/rsyslog")):
            command += ["-M", modules]
        self.run_relay(command, port, kind)

    def start_recipe(self, before="", changes=(), name="rsyslog", kind="udp", port=None):
        """The recipe, after what else is in the configuration, with pairs of an old and a new text;
        returns the port that it listens at."""
        port = port or free_port(socket.SOCK_DGRAM)
        self.start_relay(before + changed(fenced("rsyslog"), (
            *changes, ('port="9514"', f'port="{self.collector.port}"'),
            ('port="1514"', f'port="{port}"'))), port, name, kind)
        return port


class SyslogNgRelay(Relay):
    def start_relay(self, configuration, port, name="syslog-ng", kind="udp"):
        syslog_ng = find("syslog-ng-core", "syslog-ng")
        if not syslog_ng:
            self.skipTest("there is no syslog-ng: run tests/run once")
        libraries = os.path.join(PACKAGES, "syslog-ng-core/usr/lib/syslog-ng")
        environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
        said = subprocess.run([syslog_ng, "--version"], capture_output=True, text=True, check=True,
                              env=environment).stdout
        version = re.search("Config version: (.*)", said)[1]
        path = self.write(f"{name}.conf", f"@version: {version}\n{configuration}")
        command = [syslog_ng, "--foreground", "--no-caps", f"--cfgfile={path}"]
        for option in ("persist-file", "pidfile", "control"):
            command.append(f"--{option}={os.path.join(self.directory, f'{name}-{option}')}")
        for modules in glob.glob(os.path.join(libraries, "*/")):
            command.append(f"--module-path={modules}")
        self.run_relay(command, port, kind, env=environment)

    def start_recipe(self, changes=(), name="syslog-ng", kind="udp", port=None):
        port = port or free_port(socket.SOCK_DGRAM)
        self.start_relay(changed(fenced("syslog-ng"), (
            *changes, ("port(9514)", f"port({self.collector.port})"),
            ("port(1514)", f"port({port})"))), port, name, kind)
        return port
