"""The models of this directory, which spin searches for a state that must not be; and each again with each of
its faults (a swap that became a store, a look that is left out), of which the search has to find all.

With TEST_LONG the bounds are larger."""

import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(DIRECTORY, "../tree"))

import source  # noqa: E402

MODELS = {os.path.basename(path)[:-len(".pml")]: path for path in sorted(glob.glob(os.path.join(DIRECTORY, "*.pml")))}
LARGE = bool(os.environ.get("TEST_LONG"))
DEADLINE = 3600 if LARGE else 300  # seconds
MOST_STEPS = 1000000 if LARGE else 10000
FAULT = re.compile(r"^#define (\w+) +(\d+) /\* (.*) \*/$", re.M)


def text(model):
    with open(MODELS[model], encoding="utf-8") as file:
        return file.read()


def faults(model):
    """Name and number of each."""
    return {name: int(number) for name, number, _ in FAULT.findall(text(model))}


def compile_model(directory, model):
    """Make the program that searches."""
    at = os.path.join(directory, model)
    os.mkdir(at)
    subprocess.run(["spin", "-a", MODELS[model]], cwd=at, check=True, timeout=DEADLINE, stdout=subprocess.DEVNULL)
    subprocess.run(["gcc", "-O1", "-w", "-DSAFETY", *["-DCOLLAPSE"] * LARGE, "-o", "search", "pan.c"],
                   cwd=at, check=True, timeout=DEADLINE)
    return at


def search(at, fault=0, large=False):
    """What a search prints. -w is the binary logarithm of its table's first size."""
    return subprocess.run(["./search", f"-m{MOST_STEPS}", "-w24" if large else "-w20"], cwd=at, timeout=DEADLINE,
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "FAULT": str(fault), "LARGE": str(int(large))}).stdout


class Spin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.pool = concurrent.futures.ThreadPoolExecutor(2)
        cls.addClassCleanup(cls.pool.shutdown)
        cls.programs = dict(zip(MODELS, cls.pool.map(lambda model: compile_model(directory.name, model), MODELS)))

    def test_as_written(self):
        reports = self.pool.map(lambda model: search(self.programs[model], large=LARGE), MODELS)
        for model, report in zip(MODELS, reports):
            with self.subTest(model=model):
                self.assertRegex(report, r"errors: 0\n", report)
                self.assertNotRegex(report, r"max search depth too small|Search not completed", report)
                print(model, re.search(r"\S+ states, stored", report)[0])

    def test_each_fault_is_found(self):
        chosen = [(model, name, number) for model in MODELS for name, number in faults(model).items()]
        reports = self.pool.map(lambda fault: search(self.programs[fault[0]], fault[2]), chosen)
        for (model, name, _), report in zip(chosen, reports):
            with self.subTest(model=model, fault=name):
                self.assertRegex(report, r"assertion violated|invalid end state \(", report)
                self.assertRegex(report, r"errors: 1\n", report)


class Text(unittest.TestCase):
    """The models follow the code: what their comments name is there."""

    def test_functions_exist(self):
        there = {name for path in source.files("include", "lib", "daemon")
                 for name in re.findall(r"\b(\w+)\(", source.split(path)[0])}
        for model in MODELS:
            named = {name for comment in re.findall(r"/\*.*?\*/", text(model), re.S)
                     for name in re.findall(r"\b(\w+)\(\)", comment)}
            with self.subTest(model=model):
                self.assertGreater(len(named), 5)
                self.assertEqual(named - there, set())

    def test_files_exist(self):
        for model in MODELS:
            named = re.findall(r"\b((?:include|lib|daemon)/[\w/]+\.[ch])\b", text(model))
            with self.subTest(model=model):
                self.assertEqual([path for path in named if not os.path.exists(os.path.join(source.TOP, path))], [])

    def test_faults_are_used(self):
        for model in MODELS:
            numbers = list(faults(model).values())
            with self.subTest(model=model):
                self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
                for name in faults(model):
                    self.assertGreater(len(re.findall(rf"\b{name}\b", text(model))), 1, name)


if __name__ == "__main__":
    unittest.main()
