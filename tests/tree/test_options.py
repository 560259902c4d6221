"""Every option of every program is used by an end-to-end test, for what it does: not only for its errors."""

import ast
import glob
import json
import os
import re
import unittest

import source

BUILD = os.environ.get("PRESENCE_BUILD", os.path.join(source.TOP, "build/release"))
# Tests of all options alike: they use none.
GENERIC = {"test_options", "test_completion", "test_manuals"}
# Whose command line a call has, by the name of the function or class. Others are judged by the file.
STARTS = {
    "presenced": {"Collector", "run_daemon", "start_keyed", "start_managed"},
    "presencectl": {"count", "ctl", "json", "run_ctl"},
    "presence-send": {"load", "run_send"},
    "presence-exporter": {"export", "run_exporter"},
    "presence-web": {"Web", "run_web", "serve", "start_web"},
    "presence-recorder": {"record", "run_recorder"},
    "presence-relay": {"Relay", "relay", "run_relay", "start_relay"},
    "presence-publisher": {"Publisher", "publish", "run_publisher", "start_publisher"},
}
# What methods of these classes start, where others of the same name start something else.
CLASSES = {
    "TotalsCase": ("presence-web", {"begin", "begin_groups"}),
    "RecorderCase": ("presence-recorder", {"begin", "command"}),
}
# Nothing is done there: the option is refused.
REFUSED = re.compile(r"wrong|usage|refus|assert_unknown")
# PROGRAM --OPTION: why no end-to-end test can use it.
EXCEPT = {}
OPTION = re.compile(r"(?:^|(?<=\s))--([a-z][a-z.-]*)(?![\w.-])")


def tables():
    """{program: the names of its options}"""
    found = {}
    for path in glob.glob(os.path.join(BUILD, "tools/generated/*.options.json")):
        with open(path, encoding="utf-8") as file:
            found[os.path.basename(path).removesuffix(".options.json")] = {
                entry["name"] for entry in json.load(file)["entries"] if not entry["heading"]}
    return found


def called(node):
    return getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""


def uses(node, around=()):
    """(option, the functions that it is within and that it is passed to, the innermost last) of each
    option in the code's strings."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a comment
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        for name in OPTION.findall(node.value):
            yield name, around
    name = getattr(node, "name", "") if isinstance(node, ast.FunctionDef) else called(node)
    for child in ast.iter_child_nodes(node):
        yield from uses(child, (*around, name) if name else around)


def used(text, programs):
    """Pairs of program and option that a test uses. An option of several programs is of that which the call
    starts, or else of the only one of them that the file is about."""
    owners = {}
    for program, names in programs.items():
        for name in names:
            owners.setdefault(name, set()).add(program)
    about = {program for program in programs
             if re.search(rf"\b{program}\b|\b{program.upper().replace('-', '_')}\b", text)}
    starts = {program: set(names) for program, names in STARTS.items()}
    for case, (program, names) in CLASSES.items():
        if re.search(rf"\b{case}\b", text):
            starts[program] |= names
    for name, around in uses(ast.parse(text)):
        if REFUSED.search(" ".join(around)) or name not in owners:
            continue
        started = {program for program in owners[name] if starts[program] & set(around[-2:])}
        if len(owners[name]) == 1:
            started = owners[name]
        elif not started and len(owners[name] & about) == 1:
            started = owners[name] & about
        yield from ((program, name) for program in started)


class Options(unittest.TestCase):
    def test_each_is_used(self):
        programs = tables()
        self.assertEqual(set(programs), set(STARTS), f"build it first: {BUILD}")
        found = set()
        for path in source.files("tests/e2e", suffix=r"\.py"):
            if os.path.basename(path).removesuffix(".py") not in GENERIC:
                found.update(used(source.read(path), programs))
        unused = {f"{program} --{name}" for program, names in programs.items() for name in names
                  if (program, name) not in found}
        self.assertEqual(unused - set(EXCEPT), set(), "no test of tests/e2e uses these")
        self.assertEqual(set(EXCEPT) - unused, set(), "these are used: no exceptions")

    def test_finds_a_fault(self):
        programs = {"presenced": {"listen", "keys"}, "presence-web": {"listen", "to"}, "presencectl": {"json"}}
        for text, expected in (
            ("self.start('--keys', x)", {("presenced", "keys")}),
            ("serve('--listen', x)\nrun_daemon(f'--listen={x}')", {("presence-web", "listen"), ("presenced", "listen")}),
            ("start('--listen', x)", set()),
            ("PRESENCED\nstart('--listen', x)", {("presenced", "listen")}),
            ("def test_wrong_usage():\n  start('--keys')", set()),
            ("def f():\n  '''as --keys does'''", set()),
            ("class A(TotalsCase):\n  begin('--listen')", {("presence-web", "listen")}),
            ("shell('presencectl count --json --keyserver')", {("presencectl", "json")}),
        ):
            self.assertEqual(set(used(text, programs)), expected, text)


if __name__ == "__main__":
    unittest.main()
