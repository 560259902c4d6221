"""Mutants fit the tree: their old texts are there, once each, their tests exist, no folder is without any."""

import json
import os
import sys
import unittest

import source

sys.path.insert(0, os.path.join(source.TOP, "tests/mutants"))

import mutants  # noqa: E402

WITHOUT = {"include/presence", "lib/presence/examples"}  # declarations, and what documents show
LIST = "@file f.c\n@tests model\n--- one\nIt breaks.\ntests: table, model\n<<<\nage < 1\n===\nage <= 1\n>>>\n"


def tests():
    with open(os.path.join(os.environ["PRESENCE_BUILD"], "meson-info/intro-tests.json"), encoding="utf-8") as file:
        return [test["name"] for test in json.load(file)]


class Mutants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mutants = mutants.load()

    def test_apply(self):
        for mutant in self.mutants:
            with self.subTest(mutant.name):
                text = source.read(mutant.path)
                self.assertNotEqual(mutant.apply(text), text)

    def test_faults_differ(self):
        found = {}
        for mutant in self.mutants:
            faulty = "".join(mutant.apply(source.read(mutant.path)).split())
            other = found.setdefault((mutant.path, faulty), mutant.name)
            self.assertEqual(other, mutant.name, "the same fault twice")

    def test_names_differ(self):
        names = [mutant.name for mutant in self.mutants]
        self.assertEqual(len(names), len(set(names)))

    def test_tests_exist(self):
        known = tests()
        self.assertEqual(len(known), len(set(known)), "two tests have one name")
        for mutant in self.mutants:
            self.assertEqual(set(mutant.all_tests()) - set(known), set(), mutant.name)

    def test_survivors_exist(self):
        survivors = mutants.survivors()
        self.assertEqual(set(survivors) - {mutant.name for mutant in self.mutants}, set())
        self.assertLessEqual(set(survivors.values()), {"equivalent", "alive"})

    def test_each_folder_has_some(self):
        folders = {os.path.dirname(mutant.path) for mutant in self.mutants}
        product = {os.path.dirname(path) for path in source.files("include", "lib", "daemon", "bpf", "tools")}
        self.assertEqual(product - folders, WITHOUT)

    def test_finds_a_fault(self):
        mutant, = mutants.Parser("list", LIST).parse()
        self.assertEqual((mutant.breaks, mutant.all_tests()), ("It breaks.", ["table", "model"]))
        self.assertEqual(mutant.apply("if (age < 1)"), "if (age <= 1)")
        self.assertRaises(mutants.Fault, mutant.apply, "age < 1, age < 1")
        self.assertRaises(mutants.Fault, mutants.Parser("list", LIST.replace(">>>", "")).parse)
        self.assertEqual(mutants.survivors("## Alive\n- `one`: nobody sees it\n- `two`\n"), {"one": "alive"})


if __name__ == "__main__":
    unittest.main()
