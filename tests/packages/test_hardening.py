"""Every program and library that is installed is hardened, and none says where it was built.

PRESENCE_INSTALLED names a directory of unpacked packages, which are tested instead."""

import os
import platform
import re
import tempfile
import unittest

from documents import TOP
from harness import BUILD
from installed import build_options, install, installed_files, run

# How a function begins that may be called by a pointer (CET; BTI or PAC), and a probe of the stack.
LANDING = {"x86_64": "endbr64", "aarch64": "bti|paciasp"}.get(platform.machine())
PROBE = {"x86_64": b"\x48\x83\x0c\x24\x00"}.get(platform.machine())  # orq $0, (%rsp)


def contents(path):
    with open(path, "rb") as file:
        return file.read()


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = os.environ.get("PRESENCE_INSTALLED")
        if not directory:
            temporary = tempfile.TemporaryDirectory(prefix="presence-hardening-")
            cls.addClassCleanup(temporary.cleanup)
            directory = temporary.name
            install(directory)
        cls.files = [path for path in installed_files(directory) if not os.path.islink(path)]
        cls.elf = [path for path in cls.files if contents(path).startswith(b"\x7fELF")]
        cls.programs = [path for path in cls.elf if "bin/" in path]

    def check(self, paths, pattern, *command):
        """The command prints the pattern of each of the files."""
        for path in paths:
            with self.subTest(file=os.path.basename(path)):
                self.assertTrue(re.search(pattern, run([*command, path])),
                                f"{' '.join(command)} prints no {pattern}")

    def test_there_are_programs_and_a_library(self):
        self.assertEqual({os.path.basename(path) for path in self.programs},
                         {"presenced", "presencectl", "presence-send", "presence-exporter",
                          "presence-web", "presence-recorder", "presence-relay",
                          "presence-publisher"})
        others = set(self.elf) - set(self.programs)
        self.assertRegex(" ".join(others), r"^\S*/libpresence\.so\.[0-9.]+$")

    def test_position_independent(self):
        self.check(self.programs, r"FLAGS_1.*\bPIE\b", "readelf", "-Wd")

    def test_all_relocations_are_read_only(self):
        self.check(self.elf, r"\bGNU_RELRO\b", "readelf", "-Wl")
        self.check(self.elf, r"\bBIND_NOW\b|FLAGS_1.*\bNOW\b", "readelf", "-Wd")

    def test_the_stack_is_not_executable(self):
        self.check(self.elf, r"GNU_STACK.* RW +0x", "readelf", "-Wl")

    def test_stack_protector(self):
        self.check(self.elf, r"__stack_chk_fail\b", "readelf", "-W", "--dyn-syms")

    def test_fortified(self):
        if "PRESENCE_INSTALLED" not in os.environ and build_options()["optimization"] in ("plain", "0", "g"):
            self.skipTest("without optimisation nothing is fortified")
        self.check(self.elf, r"\b__(?!stack)\w+_chk\b", "readelf", "-W", "--dyn-syms")

    @unittest.skipUnless(PROBE, "unknown instruction")
    def test_stack_clash_protection(self):
        for path in self.elf:
            with self.subTest(file=os.path.basename(path)):
                self.assertTrue(PROBE in contents(path), "no probe of the stack")

    @unittest.skipUnless(LANDING, "unknown instruction")
    def test_calls_by_pointer_are_checked(self):
        for path in self.elf:
            name = "main" if path in self.programs else "presence_open"
            symbol = re.search(rf"^ *\d+: (\w+) .* {name}$", run(["readelf", "-Ws", path]), re.M)
            if not symbol:
                self.assertIn("PRESENCE_INSTALLED", os.environ)  # packages' programs are stripped
                continue
            start = int(symbol[1], 16)
            with self.subTest(file=os.path.basename(path)):
                text = run(["objdump", "-d", "--no-show-raw-insn", f"--start-address={start}",
                            f"--stop-address={start + 16}", path])
                self.assertRegex(re.search(r"^ *[0-9a-f]+:\s+(\S+)", text, re.M)[1], LANDING)

    def test_no_path_of_the_source_or_the_build(self):
        self.assertTrue(any(path.endswith("libpresence.a") for path in self.files))
        for path in self.files:
            for place in TOP, os.path.abspath(BUILD):
                with self.subTest(file=os.path.basename(path), place=place):
                    found = re.findall(re.escape(place.encode()) + rb"[\x20-\x7e]*", contents(path))
                    self.assertEqual(found, [])


if __name__ == "__main__":
    unittest.main()
