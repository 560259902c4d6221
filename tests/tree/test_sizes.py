"""Sizes: files that are an idea, functions that fit on a screen, programs of few files."""

import unittest

import source

FILE_LINES = 500
LONGER = set()
FUNCTION_LINES = 45
PROGRAM_FILES = {"tools/presence-web": 52, "tools/presencectl": 37}


def long_functions(text):
    """(the line where it begins, how many it has) of those that are too long."""
    begin = None
    for number, line in enumerate(text.split("\n"), 1):
        if line == "{":
            begin = number
        elif line == "}" and begin:
            if number - begin - 1 > FUNCTION_LINES:
                yield begin, number - begin - 1
            begin = None


class Sizes(unittest.TestCase):
    def test_files(self):
        long = [(path, lines) for path in source.files(suffix=r"\.(c|h|py|js)")
                if path not in LONGER and (lines := source.read(path).count("\n")) > FILE_LINES]
        self.assertEqual(long, [])

    def test_functions(self):
        long = [f"{path}:{line}: {lines} lines" for path in source.files("include", "lib", "daemon", "bpf", "tools")
                for line, lines in long_functions(source.read(path))]
        self.assertEqual(long, [])

    def test_programs(self):
        for program, most in PROGRAM_FILES.items():
            count = len(source.files(program, suffix=r"\.[ch]"))
            self.assertLessEqual(count, most, program)

    def test_finds_a_fault(self):
        self.assertEqual(list(long_functions("f(void)\n{\n" + "x;\n" * 46 + "}\n")), [(2, 46)])


if __name__ == "__main__":
    unittest.main()
