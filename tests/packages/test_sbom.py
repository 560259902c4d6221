"""tools/sbom: the bill of materials of this build has all that its programs are linked with, and each licence."""

import functools
import glob
import importlib.machinery
import importlib.util
import json
import os
import re
import sys
import unittest
from unittest import mock

from documents import TOP
from harness import BUILD, PRESENCED
from installed import installed_files, run

SBOM = os.path.join(TOP, "tools/sbom")
TOOLS = ("presencectl", "presence-send", "presence-exporter", "presence-web", "presence-recorder", "presence-relay",
         "presence-publisher")
# The types of components in CycloneDX 1.5 that we use.
TYPES = {"application", "file", "library"}


def module():
    """The script as a module, which leaves no file beside it."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("sbom", SBOM)
    loaded = importlib.util.module_from_spec(importlib.util.spec_from_loader("sbom", loader))
    loader.exec_module(loaded)
    return loaded


class Bill(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bill = json.loads(run([SBOM, BUILD]))
        cls.components = {component["bom-ref"]: component for component in cls.bill["components"]}
        cls.needs = {edge["ref"]: set(edge["dependsOn"]) for edge in cls.bill["dependencies"]}

    def linked(self, how):
        """The packages that are linked in this way, without the "-dev"."""
        return {re.sub(r"-dev$", "", part["name"]) for part in self.components.values()
                if {"name": "presence:linked", "value": how} in part.get("properties", ())}

    def test_the_schemas_required_fields(self):
        self.assertEqual((self.bill["bomFormat"], self.bill["specVersion"]), ("CycloneDX", "1.5"))
        self.assertGreaterEqual(self.bill["version"], 1)
        parts = [self.bill["metadata"]["component"], *self.bill["components"]]
        self.assertEqual(len({part["bom-ref"] for part in parts}), len(parts))
        for part in parts:
            self.assertIn(part["type"], TYPES, part)
            self.assertTrue(part["name"], part)
            for licence in part.get("licenses", ()):
                self.assertEqual(list(licence), ["expression"], part)
            for entry in part.get("properties", ()):
                self.assertEqual(set(entry), {"name", "value"}, part)
            if "purl" in part:
                self.assertRegex(part["purl"], r"^pkg:deb/debian/[a-z0-9+.-]+@[^?:+]+\?arch=\w+$")
        known = {part["bom-ref"] for part in parts}
        self.assertEqual(len(self.needs), len(self.bill["dependencies"]), "a reference has two lists")
        for ref, needs in self.needs.items():
            self.assertLessEqual({ref, *needs}, known)

    def test_every_needed_library_is_in_it(self):
        """As programs name them, and as the loader finds them."""
        paths = [PRESENCED, max(glob.glob(os.path.join(BUILD, "lib/presence/libpresence.so.*[0-9]")), key=len),
                 *(os.path.join(BUILD, "tools", name, name) for name in TOOLS)]
        self.assertEqual({os.path.basename(path) for path in paths},
                         {part["name"] for part in self.components.values()
                          if part["type"] == "application" or part["name"].startswith("libpresence")})
        for path in paths:
            needed = re.findall(r"NEEDED.*\[(.*)\]", run(["readelf", "-Wd", path]))
            self.assertTrue(needed)
            found = dict(re.findall(r"^\s+(\S+) => (\S+) ", run(["ldd", path]), re.M))
            names = {self.components[ref]["name"] for ref in self.needs[os.path.basename(path)]}
            for name in needed:
                self.assertIn(self.package(os.path.realpath(found[name])), names, f"{path} needs {name}")

    @staticmethod
    @functools.cache
    def package(path):
        """The package of a library, which is in the list of its files."""
        for listed in glob.glob("/var/lib/dpkg/info/lib*.list") + glob.glob("/var/lib/dpkg/info/zlib*.list"):
            with open(listed, encoding="utf-8") as file:
                lines = file.read().splitlines()
            if path in lines or path.removeprefix("/usr") in lines:
                return re.match(r"[^:]+", os.path.basename(listed).removesuffix(".list"))[0]
        raise AssertionError(f"{path} belongs to no package")

    def test_licences(self):
        """Each component of ours, or that we link or contain, has one."""
        for part in self.components.values():
            if {"name": "presence:linked", "value": "indirect"} not in part.get("properties", ()):
                self.assertTrue(part.get("licenses"), part)

    def test_what_is_linked_in(self):
        """Archives, headers with code, programs for the kernel, and all that browsers get."""
        self.assertLessEqual({"libxxhash"}, self.linked("static"))
        symbols = run(["nm", os.path.join(BUILD, "tools/presencectl/presencectl")])
        for symbol, package in (("sqlite3_open", "libsqlite3"), ("redisConnect", "libhiredis"),
                                ("ini_parse", "libinih"), ("deflate", "zlib1g")):
            inside = bool(re.search(rf" T {symbol}\n", symbols))
            self.assertEqual(package in self.linked("static"), inside, package)
        for folder, suffix in (("bpf", ".bpf.c"), ("tools/presence-web/static", ".js")):
            files = [path for path in installed_files(os.path.join(TOP, folder)) if path.endswith(suffix)]
            self.assertTrue(files)
            for path in files:
                self.assertIn(os.path.relpath(path, TOP), self.components)


class Licences(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sbom = module()

    def test_compatible(self):
        for expression, shared, expected in (
                ("MIT", False, True), ("LGPL-2.1-or-later", True, True), ("LGPL-2.1-or-later", False, False),
                ("GPL-2.0-only", True, False), ("AGPL-3.0-only", True, False), ("GPL-2.0-only OR MIT", False, True),
                ("MIT AND GPL-2.0-only", True, False), ("LGPL-3.0-or-later OR GPL-2.0-or-later", True, True),
                ("SSPL-1.0", True, False), ("", True, False)):
            self.assertEqual(self.sbom.compatible(expression, shared), expected, expression)

    def test_copyright_files(self):
        text = ("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles:\n *\n"
                "License: GPL-2+\n x\n\nFiles: a/* b.c\n  c/*\nLicense: Expat or LGPL-2.1+\n")
        read = self.sbom.machine_readable
        self.assertEqual((read(text, "*"), read(text, "c/*")), ("GPL-2+", "Expat or LGPL-2.1+"))
        self.assertIsNone(read(text, "d/*"))
        self.assertIsNone(read("Files: *\nLicense: MIT\n", "*"), "no format")
        self.assertEqual(self.sbom.as_spdx("Expat or LGPL-2.1+"), "MIT OR LGPL-2.1-or-later")
        self.assertIsNone(self.sbom.as_spdx("Expat or homemade"))

    def test_what_may_not_be_linked_fails(self):
        facts = ("1.0", "amd64", "somebodys")
        for stated, linkage, message in (("GPL-3.0-only", "shared", "can't be linked"),
                                         ("LGPL-2.1-or-later", "static", "can't be linked"),
                                         (None, "shared", "no licence that is known")):
            with mock.patch.object(self.sbom, "licence_of", return_value=(stated, "/x")), \
                    self.assertRaisesRegex(SystemExit, message):
                self.sbom.component("libx1", facts, {linkage})


if __name__ == "__main__":
    unittest.main()
