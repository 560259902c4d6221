"""The manuals: groff and mandoc read them without a warning, they fit a terminal of 80 columns, and
nothing is missing of what they are made from."""

import functools
import glob
import os
import re
import shlex
import subprocess
import tempfile
import textwrap
import unittest

from documents import read
from test_options import GENERATED, PROGRAMS, options_of, run, table_of

PAGES = {os.path.basename(path): path for path in glob.glob(GENERATED + "/*.[1-8]")}
EXPECTED = {
    "presenced.8", "presencectl.1", "presence-send.1", "presence-exporter.8", "presence-web.8",
    "presence-recorder.8", "presence-relay.8", "libpresence.3", "presence-protocol.7", "presence-counting.7",
    "presence-topologies.7", "presence-engine.7", "presence-publisher.8", "presence.conf.5",
}
OTHERS = {"sqlite3.1"}  # in other packages


@functools.cache
def rendered(page):
    """The page as groff shows it in a terminal of 80 columns, and its warnings."""
    done = subprocess.run(
        ["groff", "-t", "-ww", "-man", "-Tutf8", "-P-cbou", "-rLL=78n", PAGES[page]], timeout=60,
        capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}, check=True)
    return done.stdout, done.stderr


def text_of(page):
    return rendered(page)[0]


def tags(text, indent=7):
    """The first words of a list: what stands left of its texts."""
    return re.findall(rf"^ {{{indent}}}(\S+)", text, re.M)


class Manuals(unittest.TestCase):
    def test_all_are_built(self):
        self.assertEqual(set(PAGES), EXPECTED)

    def test_groff_and_mandoc_warn_of_nothing(self):
        for page in PAGES:
            with self.subTest(page=page):
                text, warnings = rendered(page)
                self.assertEqual(warnings, "")
                self.assertLessEqual(max(map(len, text.splitlines())), 80)
                self.assertNotRegex(text[text.index("\nNAME\n"):].rstrip().rpartition("\n")[0].rstrip(),
                                    "\n\n\n")
        lint = subprocess.run(["mandoc", "-T", "lint", *PAGES.values()], capture_output=True,
                              text=True, timeout=60)
        # mandoc looks for other manuals where they are not installed yet.
        found = [line for line in lint.stdout.splitlines()
                 if "referenced manual not found" not in line]
        self.assertEqual(found, [])

    def test_references_exist(self):
        """Every manual that another one names is ours, or known to be another package's."""
        for page in PAGES:
            named = {f"{name}.{section}" for name, section in
                     re.findall(r"([a-z][\w.-]+)\((\d)\)", text_of(page))}
            self.assertEqual(named - set(PAGES) - OTHERS, set(), page)
            self.assertRegex(text_of(page), r"(?m)^SEE ALSO\n +\S+\(\d\)")

    def test_sections_exist(self):
        """A section that a manual names in capitals is in it, or in the manual named with it."""
        found = 0
        for page in PAGES:
            words = " ".join(text_of(page).split())
            for name, other, section in re.findall(
                    r"(?:[Ss]ee )((?:[A-Z]{3,} ?)+)\b(?: ?in ([\w.-]+)\((\d)\))?", words):
                there = f"{other}.{section}" if other else page
                self.assertRegex(text_of(there), rf"(?m)^{name.strip()}$", (page, there))
                found += 1
        self.assertGreater(found, 8)


class Sources(unittest.TestCase):
    """What a manual is made from is all there."""

    def test_options(self):
        settings = re.split(r"^(PRESENCE[A-Z-]+)$", text_of("presence.conf.5"), flags=re.M)
        settings = dict(zip(settings[1::2], settings[2::2]))
        for program in PROGRAMS:
            page = next(page for page in PAGES if page.rsplit(".", 1)[0] == program)
            listed = re.search(r"^OPTIONS$(?s:.*?)^\S", text_of(page), re.M)[0]
            self.assertEqual([tag for tag in tags(listed) if tag.startswith("--")],
                             options_of(program))
            names = re.findall(r"^ {7}([a-z.-]+) = ", settings[program.upper()], re.M)
            self.assertEqual(names, [entry["name"] for entry in table_of(program)
                                     if not entry["line_only"]], program)

    def test_commands(self):
        text = text_of("presencectl.1")
        listed = re.search(r"^COMMANDS$(?s:.*?)^OPTIONS$", text, re.M)[0]
        commands = run("presencectl", "--help").stdout.partition("Options:")[0]
        commands = re.findall(r"^  ([a-z]+) ", commands, re.M)
        self.assertEqual(tags(listed), commands)

    def test_library(self):
        """Each function has its declaration and is described, some together; each type has its
        members."""
        text = text_of("libpresence.3")
        header = read("include/presence/presence.h")
        for function in re.findall(r"^PRESENCE_API [^(]*?(\w+)\(", header, re.M):
            self.assertRegex(text, rf"(?m)^ {{7}}\w.*\b{function}\((?s:.{{,300}}?)\);\n"
                                   rf"(?: {{7}}\w[^;]*\);\n)* {{11}}\w")
        words = set(re.findall(r"\w+", text))
        for body in re.findall(r"^(?:struct|enum) \w+ \{((?s:.*?))^\};", header, re.M):
            code = re.sub(r"/\*(?s:.*?)\*/", "", body)
            self.assertLessEqual(set(re.findall(r"\w+", code)), words)

    def test_documents(self):
        """Each section and each word of a page of docs/ is in its manual, but for files that it links."""
        for name in "counting", "engine", "protocol", "topologies":
            source, text = read(f"docs/{name}.md"), text_of(f"presence-{name}.7")
            headings = re.findall("^## (.*)$", source, re.M)
            self.assertEqual([line for line in re.findall(r"^\S.*$", text, re.M)
                              if line in map(str.upper, headings)], list(map(str.upper, headings)))
            prose = re.sub(r"^#.*$|^```(?s:.*?)^```$|\]\(\S+\)|^\|.*\|\n(?=\|-)", "", source, flags=re.M)
            missing = set(re.findall(r"\w+", prose)) - set(re.findall(r"\w+", text))
            self.assertEqual(missing - {"md"}, set())

    def test_examples(self):
        """A command of a manual fits a line. Its program accepts it, up to a pipe, and prints its help."""
        for program in PROGRAMS:
            page = next(page for page in PAGES if page.rsplit(".", 1)[0] == program)
            examples = re.search(r"^EXAMPLES$(?s:.*?)^SEE", text_of(page), re.M)[0]
            commands = re.findall(rf"^ {{7}}({program}\b.*(?:\n {{7}}\S.*)*)", examples, re.M)
            self.assertTrue(commands, page)
            for command in commands:
                self.assertNotIn("\n", command)
                words = shlex.split(re.split("[|>]", command)[0])
                done = run(program, *words[1:], "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""), command)

    def test_the_example_of_a_configuration(self):
        """presenced accepts its lines."""
        example = re.search(r"^EXAMPLES$(?s:.*?)(^ {11}#(?s:.*?))^SEE", text_of("presence.conf.5"), re.M)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(textwrap.dedent(example[1]) + "no-such = 1\n")
            file.flush()
            done = run("presenced", "--config", file.name)
        self.assertEqual(done.stderr, f"presenced: {file.name}: no option 'no-such'; see presenced --help\n")


if __name__ == "__main__":
    unittest.main()
