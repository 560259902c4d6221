"""The completion of presencectl: sites, rooms and other names, in a real bash and zsh on a terminal,
and as a real fish lists them."""

import contextlib
import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time
import unittest

from harness import BUILD, DEADLINE, PRESENCECTL, native, visitor
from test_presencectl import SITE, CtlCase

GENERATED = os.path.join(BUILD, "tools/generated")
SCRIPT = os.path.join(GENERATED, "presencectl")
LOADER = "/usr/share/bash-completion/bash_completion"
# Each with the beginning that is typed, as the shell wants it: bare, in ' and in ".
ROOMS = {
    "/my room": ("/my\\ r", "'/my r", '"/my r'),
    "/col:on a": ("/col:on", "'/col:", '"/col:'),
    "/it's": ("/it", "'/it", '"/it\''),
    '/say "hi"': ("/say", "'/say \"", '"/say \\"'),
    "/back\\slash": ("/back\\\\", "'/back\\", '"/back\\\\s'),
    "/$HOME/`id`": ("/\\$", "'/$", '"/\\$'),
    "/eq=u&al;|<(x)>": ("/eq=", "'/eq=", '"/eq'),
    "/ünï 日本": ("/ü", "'/ün", '"/ünï '),
    "/@at": ("/@", "'/@", '"/@'),
    "/ends with '": ("/ends\\ ", "'/en", '"/en'),
    "/bang!": ("/ban", "'/bang", '"/bang'),
    "/glob*[a]?{b,c}~^": ("/glob", "'/glob*", '"/glob*[a]'),
    "~tilde#": ("\\~", "'~", '"~'),
    " blank": ("\\ ", "' ", '" '),
    "/wide\u3000space": ("/wide", "'/wide\u3000", '"/wide'),
}


def environment(segment, locale="C.UTF-8"):
    return {**os.environ, "TERM": "dumb", "LC_ALL": locale, "PS1": "$ ", "HISTFILE": "",
            "INPUTRC": "/dev/null", "PRESENCE_SEGMENT": segment,
            "PATH": f"{os.path.dirname(PRESENCECTL)}:{os.environ['PATH']}"}


class Bash:
    """An interactive shell; its last line can be asked for with Ctrl-G."""

    command = ["bash", "--norc", "--noprofile", "-i"]
    setup = (f"source {SCRIPT}", "bind 'set bell-style none'",
             r"""bind -x '"\C-g": printf "<<%s>>" "$READLINE_LINE"'""")

    def __init__(self, segment, *setup, locale="C.UTF-8"):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            self.command, stdin=slave, stdout=slave, stderr=slave, env=environment(segment, locale),
            preexec_fn=lambda: (os.setsid(), fcntl.ioctl(slave, termios.TIOCSCTTY, 0)))
        os.close(slave)
        for line in (*setup, *self.setup):
            self.type(line)
            self.enter()

    def close(self):
        os.close(self.master)
        self.process.kill()
        self.process.wait()

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self, pattern):
        """The first match in what it writes from now on."""
        out, end = b"", time.monotonic() + DEADLINE
        while not (found := re.search(pattern, out.decode(errors="replace"), re.S)):
            if not select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"waited in vain for {pattern} in {out!r}")
            out += os.read(self.master, 65536)
        return found

    def complete(self, text):
        """The line after a tab."""
        self.type(f"{text}\t\a")
        return self.wait("<<(.*)>>")[1].replace("\r\n", "")

    def enter(self):
        """Run the line; returns what it prints."""
        self.type("; echo do''ne\r")
        return self.wait("\r?\n(.*)done\r?\n")[1]

    def clear(self):
        self.type("\x15\x0b")


class Zsh(Bash):
    command = ["zsh", "-f", "-i"]
    setup = (f"fpath=({GENERATED} $fpath)", "autoload -U compinit; compinit -C -D", "bindkey -e",
             'show() { print -rn -- "<<$BUFFER>>" }', "zle -N show; bindkey '^G' show")


class Completion(CtlCase):
    def bash(self, *setup, **keywords):
        return contextlib.closing(Bash(self.segment, *setup, **keywords))

    def populate_rooms(self):
        """The nth of ROOMS has n visitors."""
        collector = self.start("--warm-up", "0")
        for number, room in enumerate(ROOMS):
            self.send(collector, native(SITE, [visitor(100 * number + n) for n in range(number + 1)],
                                        room=room))
        self.send(collector, native(SITE, [visitor(1)], room="/hidden\u200b"))
        self.wait_received(len(ROOMS) + 1)
        return collector

    def populate_names(self, collector=None):
        collector = collector or self.start("--warm-up", "0")
        before = self.stats()["datagrams_received"]
        self.send(collector, native("a site's.example", [visitor(1)], room="/x", country="DE",
                                    source="the news"),
                  native(SITE, [visitor(1)], room="-dash", source="a:b"),
                  native(SITE, [visitor(1)], room="/p:q r"), native(SITE, [visitor(1)], room="/p:q s"))
        self.wait_received(before + 4)
        file = os.path.join(self.directory, "my segment")
        os.symlink(self.segment, file)
        return file

    def test_rooms(self):
        """Whatever a room is called, and however its beginning is quoted, the command that is
        completed counts it."""
        self.populate_rooms()
        loaders = [()] + [(f"source {LOADER}",)] * os.path.exists(LOADER)
        for loader, locale in ((loaders[0], "C.UTF-8"), (loaders[-1], "C.UTF-8"), (loaders[-1], "C")):
            with self.bash(*loader, locale=locale) as bash:
                for number, (room, beginnings) in enumerate(ROOMS.items()):
                    for beginning in beginnings:
                        line = bash.complete(f"presencectl count {SITE} {beginning}")
                        self.assertRegex(bash.enter(), rf"(?m)^{number + 1}\r$", (loader, line))
                typed = f"presencectl count {SITE} /hid"  # its name does not show what it is
                self.assertEqual(bash.complete(typed), typed)

    def lines(self, file):
        """Beginnings of lines, and what bash and zsh both make of them."""
        site = "presencectl count a\\ site\\'s.example "
        return (
            ("presencectl top a\\ ", "presencectl top a\\ site\\'s.example "),
            (f"{site}--source ", f"{site}--source the\\ news "),
            (f"{site}--country=", f"{site}--country=DE "),
            (f"presencectl history {SITE} --source a", f"presencectl history {SITE} --source a:b "),
            (f"presencectl count {SITE} /p", f"presencectl count {SITE} /p:q\\ "),
            (f"presencectl count {SITE} -d", f"presencectl count {SITE} -d"),
            (f"presencectl count {SITE} -- -d", f"presencectl count {SITE} -- -dash "),
            (f"presencectl --segment {self.directory}/my",
             f"presencectl --segment {self.directory}/my\\ segment "),
            (f"presencectl --segment={self.directory}/my\\ segment sites --na",
             f"presencectl --segment={self.directory}/my\\ segment sites --names "),
            (f"PRESENCE_SEGMENT=/ presencectl --segment '{file}' peak a",
             f"PRESENCE_SEGMENT=/ presencectl --segment '{file}' peak a\\ site\\'s.example "),
            ("presencectl top --by=s", "presencectl top --by=source "),
            ("presencectl help see", "presencectl help seen "),
        )

    def test_other_names(self):
        file = self.populate_names()
        site = "presencectl count a\\ site\\'s.example "
        with self.bash("set -u") as bash:
            for typed, wanted in (
                *self.lines(file),
                (f"{site}--source=\"the", f"{site}--source=\"the news\" "),
                (f"presencectl sites --csv > {self.directory}/my",
                 f"presencectl sites --csv > {self.directory}/my\\ segment "),
            ):
                self.assertEqual(bash.complete(typed), wanted)
                bash.clear()

    def test_zsh(self):
        """Each room, with its beginning bare or quoted in turn, and other names. Zsh quotes by itself."""
        file = self.populate_names(self.populate_rooms())
        with contextlib.closing(Zsh(self.segment)) as zsh:
            for number, (room, beginnings) in enumerate(ROOMS.items()):
                line = zsh.complete(f"presencectl count {SITE} {beginnings[number % 3]}")
                self.assertRegex(zsh.enter(), rf"(?m)^{number + 1}\r$", line)
            for typed, wanted in (
                *self.lines(file),
                ("presencectl --json co", "presencectl --json count "),
            ):
                self.assertEqual(zsh.complete(typed), wanted)
                zsh.clear()

    def fish(self, lines):
        """The candidates that fish has for each line; it quotes by itself those that it inserts."""
        script = f"source {SCRIPT}.fish; for line in $argv; complete -C $line; echo; end"
        done = subprocess.run(["fish", "--no-config", "-c", script, *lines], capture_output=True,
                              text=True, check=True, env=environment(self.segment), timeout=DEADLINE)
        self.assertEqual(done.stderr, "")
        answers = done.stdout.split("\n\n")[:-1] if done.stdout else []
        return [[line.partition("\t")[0] for line in answer.splitlines()] for answer in answers]

    def test_fish(self):
        self.populate_rooms()
        rooms, one = self.fish([f"presencectl count {SITE} ", f"presencectl count {SITE} '/my "])
        self.assertEqual(rooms, list(reversed(ROOMS)))  # the busiest first
        self.assertEqual(one, ["/my room"])

    def test_other_names_in_fish(self):
        file = self.populate_names()
        site = "presencectl count a\\ site\\'s.example "
        cases = {
            "presencectl top a\\ ": ["a site's.example"],
            f"{site}--source ": ["the news"],
            f"{site}--country=": ["--country=DE"],
            f"presencectl history {SITE} --source a": ["a:b"],
            f"presencectl count {SITE} /p": ["/p:q r", "/p:q s"],
            f"presencectl count {SITE} -- -d": ["-dash"],
            f"presencectl --segment {self.directory}/my": [f"{self.directory}/my segment"],
            f"presencectl --segment={self.directory}/my\\ segment sites --na": ["--names"],
            f"PRESENCE_SEGMENT=/ presencectl --segment '{file}' peak a": ["a site's.example"],
            "presencectl top --by=s": ["--by=source"],
            "presencectl --json co": ["count"],
            "presencectl help see": ["seen"],
        }
        self.assertEqual(dict(zip(cases, self.fish(cases))), cases)

    def complete(self, *words):
        """The completions that bash offers for the last word."""
        done = subprocess.run(
            ["bash", "-c", 'source "$0"; COMP_WORDS=(presencectl "$@"); COMP_CWORD=$#; '
             '_presencectl; printf "%s\\n" "${COMPREPLY[@]}"', SCRIPT, *words],
            capture_output=True, text=True, check=True,
            env={**os.environ, "PATH": f"{os.path.dirname(PRESENCECTL)}:{os.environ['PATH']}",
                 "PRESENCE_SEGMENT": self.segment},
        )
        return done.stdout.split()

    def test_words(self):
        self.populate((1, "/", ""))
        self.assertEqual(self.complete("st"), ["stats", "status"])
        self.assertEqual(self.complete("--json", "co"), ["count"])
        self.assertEqual(self.complete("top", SITE, "--by", ""), ["room", "country", "source"])
        self.assertEqual(self.complete("count", "--w"), ["--window"])
        self.assertEqual(self.complete("help", "ver"), ["verify"])
        self.assertEqual(self.complete("count", "ex"), [SITE])
        self.assertEqual(self.complete("seen", SITE, ""), [])


if __name__ == "__main__":
    unittest.main()
