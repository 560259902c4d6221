"""Every program's options: --help, the manual and the completion have the same ones."""

import os
import re
import subprocess
import unittest

from harness import BUILD

GENERATED = os.path.join(BUILD, "tools/generated")
PROGRAMS = {
    "presenced": "daemon", "presencectl": "tools/presencectl", "presence-send": "tools/presence-send",
    "presence-exporter": "tools/presence-exporter", "presence-recorder": "tools/presence-recorder",
    "presence-web": "tools/presence-web",
}
SECTIONS = {"presenced": 8, "presence-exporter": 8, "presence-web": 8}


def run(program, *arguments):
    return subprocess.run([os.path.join(BUILD, PROGRAMS[program], program), *arguments],
                          capture_output=True, text=True, timeout=30)


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
                          capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == "", done.stderr
    return done.stdout.split()


class Options(unittest.TestCase):
    def test_manuals_have_all_options(self):
        for program in PROGRAMS:
            with self.subTest(program=program):
                path = os.path.join(GENERATED, f"{program}.{SECTIONS.get(program, 1)}")
                manual = read(path).replace("\\-", "-")
                tags = re.findall(r"^\.TP\n\.B\w* (--[a-z.-]+)(?:\", \" (--[a-z]+))?", manual, re.M)
                named = [option for tag in tags for option in tag if option]
                named += re.findall(r'^\.BR --help ", " (--version)', manual, re.M)
                self.assertEqual(named, options_of(program))
                done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", "-z", path],
                                      capture_output=True, text=True, timeout=30)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_completions_have_all_options(self):
        for program in PROGRAMS:
            with self.subTest(program=program):
                offered = complete(program, "--")
                if program == "presencectl":  # those of a command follow the command
                    for command in complete(program, "")[:-1]:
                        offered += complete(program, command, "--")
                self.assertEqual(set(offered), set(options_of(program)))

    def test_values_are_completed(self):
        for program, words, values in (
            ("presenced", ("--receive", ""), ["auto", "io_uring", "recvmmsg"]),
            ("presence-exporter", ("--window", "5"), ["5m"]),
            ("presence-send", ("--kind", "p"), ["pageview"]),
            ("presence-web", ("--site", ""), []),
            ("presence-recorder", ("--database", GENERATED + "/presenced."),
             [GENERATED + "/presenced.8"]),
        ):
            self.assertEqual(complete(program, *words), values, program)

    def test_one_value_is_given_once(self):
        for program, option in (("presenced", "--workers=1"), ("presencectl", "--window=5m"),
                                ("presence-send", "--site=a"), ("presence-web", "--client-rate=1"),
                                ("presence-exporter", "--sites=1"),
                                ("presence-recorder", "--retention=1d")):
            name = option.partition("=")[0]
            arguments = ("sites",) if program == "presencectl" else ()
            done = run(program, *arguments, option, option)
            self.assertEqual((done.returncode, done.stdout, done.stderr),
                             (2, "", f"{program}: {name} is given twice\n"))


if __name__ == "__main__":
    unittest.main()
