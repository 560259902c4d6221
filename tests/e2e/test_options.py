"""Every program's options: --help, the completion and the shipped configuration have the same ones."""

import json
import os
import re
import socket
import subprocess
import tempfile
import unittest

from harness import BUILD, DEADLINE, asan_options

GENERATED = os.path.join(BUILD, "tools/generated")
PROGRAMS = {
    "presenced": "daemon", "presencectl": "tools/presencectl", "presence-send": "tools/presence-send",
    "presence-exporter": "tools/presence-exporter", "presence-recorder": "tools/presence-recorder",
    "presence-publisher": "tools/presence-publisher", "presence-relay": "tools/presence-relay",
    "presence-web": "tools/presence-web",
}
LINE_ONLY = {("presence-recorder", "once"), ("presenced", "give-to")}
# May be given any number of times.
WITHOUT_LIMIT = {("presenced", "site"), ("presence-relay", "to")}
# A value that an option takes, by what --help calls it.
VALUES = {
    "5m": "5m", "6h": "6h", "10m": "10m", "400d": "400d", "ADDR:PORT": "127.0.0.1:9", "CC": "DE",
    "CIDR": "10.0.0.0/8", "GROUP=ADDR:PORT[,ADDR:PORT...]": "A=127.0.0.1:9", "METHOD": "auto", "FILE": "/x", "HOST:PORT": "127.0.0.1:9", "ID": "v",
    "ID:HEX32": "1:" + "0" * 32, "ID=SITE": "1=a", "INTERFACE": "lo", "K/N": "1/1", "KIND": "room", "MODE": "auto", "MS": "1", "N": "1",
    "NAME": "a", "ORIGIN": "null", "NETWORK": "::1", "PATH": "/x", "R": "1", "ROOM": "/x",
    "SECONDS": "1", "SITE": "a", "SOURCE": "a", "URL": "redis://h", "USER": "a", "/PATH": "/x",
}


def program_path(program, suffix=""):
    return os.path.join(BUILD, PROGRAMS[program], program + suffix)


def run(program, *arguments):
    """Run it; the address sanitizer's search for leaks would take longer than all the rest."""
    return subprocess.run([program_path(program), *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=DEADLINE,
                          env={**os.environ, **asan_options("detect_leaks=0")})


def table_of(program):
    """The program's options, as the manual and the completion are made from them."""
    done = subprocess.run([program_path(program, "-options")], capture_output=True, check=True)
    return [entry for entry in json.loads(done.stdout)["entries"] if not entry["heading"]]


def value_of(program, entry):
    if program == "presence-send" and entry["name"] == "kind":
        return "leave"
    return VALUES[entry["argument"]]


def options_of(program):
    """The options that --help shows, in order."""
    done = run(program, "--help")
    assert (done.returncode, done.stderr) == (0, ""), done
    return re.findall(r"^  (--[a-z.-]+)", done.stdout, re.M)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def complete(program, *words):
    """What bash offers for the last word."""
    function = "_" + program.replace("-", "_")
    script = f'source "$0"; COMP_WORDS=({program} "$@"); COMP_CWORD=$#; {function}; ' \
             'printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script, os.path.join(GENERATED, program), *words],
                          capture_output=True, text=True, check=True, timeout=DEADLINE)
    assert done.stderr == "", done.stderr
    return done.stdout.split()


class Options(unittest.TestCase):
    def test_completions_have_all_options(self):
        for program in PROGRAMS:
            with self.subTest(program=program):
                offered = complete(program, "--")
                if program == "presencectl":  # those of a command follow the command
                    for command in complete(program, "")[:-1]:
                        offered += complete(program, command, "--")
                self.assertEqual(set(offered), set(options_of(program)))

    def test_completions_of_zsh_and_fish(self):
        """They have the same options, and the shells can read them."""
        for program in PROGRAMS:
            for file, pattern, check in (
                (f"_{program}", r"^ +'\*?--([a-z.-]+)[=\[]", ["zsh", "-fn"]),
                (f"{program}.fish", r" -l ([a-z.-]+) -", ["fish", "--no-config", "-n"]),
            ):
                path = os.path.join(GENERATED, file)
                named = {f"--{name}" for name in re.findall(pattern, read(path), re.M)}
                self.assertEqual(named, set(options_of(program)), file)
                done = subprocess.run([*check, path], capture_output=True, text=True, timeout=DEADLINE)
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""), file)

    def test_values_are_completed(self):
        for program, words, values in (
            ("presenced", ("--receive", ""), ["auto", "io_uring", "recvmmsg"]),
            ("presence-exporter", ("--window", "5"), ["5m"]),
            ("presence-send", ("--kind", "p"), ["pageview"]),
            ("presence-relay", ("--receive", "r"), ["recvmmsg"]),
            ("presence-web", ("--site", ""), []),
            ("presence-recorder", ("--database", GENERATED + "/presenced.c"),
             [GENERATED + "/presenced.conf"]),
        ):
            self.assertEqual(complete(program, *words), values, program)


class Values(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.config = os.path.join(directory.name, "program.conf")

    def write(self, *lines):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        return ["--config", self.config]

    def assert_wrong(self, program, arguments, message):
        done = run(program, *arguments, *(["sites"] if program == "presencectl" else []))
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (2, "", f"{program}: {message}\n"), arguments)

    def test_one_value_is_given_once(self):
        """Every option that takes one, in both forms, and in a file."""
        for program in PROGRAMS:
            for entry in table_of(program):
                name = entry["name"]
                if entry["repeatable"]:
                    continue
                value = "yes" if entry["flag"] else value_of(program, entry)
                twice = f"--{name} is given twice"
                if not entry["flag"]:
                    self.assert_wrong(program, [f"--{name}={value}"] * 2, twice)
                    self.assert_wrong(program, [f"--{name}", value, f"--{name}={value}"], twice)
                lines = self.write(*[f"{name} = {value}"] * 2)
                self.assert_wrong(program, lines, twice if not entry["line_only"] else
                                  f"{self.config}: '{name}' is for the command line only: give it there")
            self.assert_wrong(program, self.write() + [f"--config={self.config}"],
                              "--config is given twice")

    def test_values_that_are_given_too_often(self):
        """The limit is the one that the manual names."""
        limits = {(program, entry["name"]): (entry["max"], value_of(program, entry))
                  for program in PROGRAMS for entry in table_of(program) if entry["repeatable"]}
        self.assertEqual({which for which, (limit, _) in limits.items() if not limit}, WITHOUT_LIMIT)
        for (program, name), (limit, value) in limits.items():
            if limit:
                self.assert_wrong(program, self.write(*[f"{name} = {value}"] * (limit + 1)),
                                  f"--{name} can be given at most {limit} times")

    def test_options_for_the_command_line_only(self):
        """A service's file can't make it end at once, nor let it do something else."""
        self.assertEqual({(program, entry["name"]) for program in PROGRAMS
                          for entry in table_of(program) if entry["line_only"]}, LINE_ONLY)

    def test_files_are_read_alike(self):
        """Every program has --config, with one grammar and the same errors."""
        directory = os.path.dirname(self.config)
        cannot = "cannot read the configuration file"
        for program in PROGRAMS:
            see = f"see {program} --help"
            for lines, message in ((("no-such = 1",), f"{self.config}: no option 'no-such'; {see}"),
                                   (("# a", "; b", "[c]", "to"),
                                    f"{self.config}:4: not a NAME = VALUE line"),
                                   (("help = yes",), f"{self.config}: no option 'help'; {see}"),
                                   (("config = x",), f"{self.config}: no option 'config'; {see}")):
                self.assert_wrong(program, self.write(*lines), message)
            self.assert_wrong(program, ["--config", directory],
                              f"{cannot} {directory}: Is a directory")
            self.assert_wrong(program, [f"--config={self.config}x"],
                              f"{cannot} {self.config}x: No such file or directory")

    def test_shipped_files_name_options(self):
        """Every option once, commented out, with a value that the program accepts."""
        for program in PROGRAMS.keys() - {"presencectl"}:
            text = read(GENERATED, f"{program}.conf")
            lines = re.findall(r"^#(\S.*)$", text, re.M)
            self.assertEqual([line.partition(" = ")[0] for line in lines],
                             [entry["name"] for entry in table_of(program)
                              if not entry["line_only"]])
            self.assertEqual(set(re.findall("^.?", text, re.M)), {"#", ""}, program)
            self.assertLessEqual(max(map(len, text.splitlines())), 80)
            for line in lines:
                self.assert_wrong(program, self.write(line, "no-such = 1"),
                                  f"{self.config}: no option 'no-such'; see {program} --help")

    def test_command_line_wins_over_the_file(self):
        """The segment that cannot be read is that of the command line; so are the names sent."""
        config = self.write("segment = /nowhere/file")
        for program, arguments in (("presencectl", ["sites"]), ("presence-recorder", [
                "--once", "--database", self.config + ".db"])):
            self.assertIn("/nowhere/file", run(program, *config, *arguments).stderr)
            done = run(program, "--segment=/nowhere/line", *arguments, *config)
            self.assertRegex(done.stderr, "/nowhere/line: no such file")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(DEADLINE)
            config = self.write(f"to = 127.0.0.1:{receiver.getsockname()[1]}", "text = yes",
                                "site = file.example", "room = /file", "visitor = v")
            done = run("presence-send", "--site", "line.example", *config)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(receiver.recv(2048), b"site=line.example .*room=/file")

    def test_programs_listen_on_loopback(self):
        """Unless they are told otherwise."""
        listening = [(program, entry["fallback"]) for program in PROGRAMS for entry in table_of(program)
                     if "listen" in entry["name"]]
        self.assertEqual(len(listening), 5)
        for program, address in listening:
            self.assertRegex(address, r"^127\.0\.0\.1:\d+$", program)

    def test_help_is_short_too(self):
        for program in PROGRAMS:
            done = run(program, "-h")
            self.assertEqual((done.returncode, done.stderr, done.stdout),
                             (0, "", run(program, "--help").stdout))
        self.assertEqual(run("presencectl", "top", "-h").stdout,
                         run("presencectl", "help", "top").stdout)


if __name__ == "__main__":
    unittest.main()
