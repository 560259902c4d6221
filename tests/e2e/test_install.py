"""Installed programs, library, header and pkg-config file work."""

import glob
import json
import os
import re
import tempfile
import unittest
from unittest import mock

import harness
from documents import PAGES, TOP, fenced, read
from harness import Case, native, private_loopback, visitor
from installed import build_options, compiler, install, installed_files, run

EXAMPLES = os.path.join(os.path.dirname(__file__), "../../lib/presence/examples")
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
READER = r"""
#include <presence/presence.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct presence *presence;
    struct presence_reading reading;
    int error = argc == 3 ? presence_open(argv[1], &presence) : -1;

    if (error == 0) {
        error = presence_count(presence, argv[2], NULL, 0, &reading);
        presence_close(presence);
    }
    if (error == 0)
        printf("%lu in %lu s\n", (unsigned long)reading.count, (unsigned long)reading.window_s);
    return error != 0;
}
"""


class Install(Case):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="presence-install-")
        cls.addClassCleanup(directory.cleanup)
        cls.top, options = directory.name, build_options()
        install(cls.top)
        cls.prefix = cls.top + options["prefix"]
        cls.library = os.path.join(cls.prefix, options["libdir"])
        cls.compiler, cls.sanitizers = compiler(), []
        if options["b_sanitize"] != "none":
            cls.sanitizers = [f"-fsanitize={options['b_sanitize']}"]

    def installed(self, *names):
        return os.path.join(self.prefix, *names)

    def pkg_config(self, *arguments):
        """Ask pkg-config about the files as if the directory were the root of a system in which no
        other library has development files."""
        return run(["pkg-config", *arguments, "presence"],
                   PKG_CONFIG_LIBDIR=os.path.join(self.library, "pkgconfig"),
                   PKG_CONFIG_SYSROOT_DIR=self.top).split()

    def compile(self, source, *flags, static=False, language="c"):
        """Compile and link a file with pkg-config's flags; return the program's path."""
        program = os.path.join(self.directory, f"program-{len(os.listdir(self.directory))}")
        words = list(self.compiler)
        if language == "c++":  # what goes before the compiler, like ccache, stays
            words[-1] = words[-1].replace("clang", "clang++") if "clang" in words[-1] else "g++"
        libraries = self.pkg_config("--libs")
        if static:
            archive = os.path.join(self.library, "libpresence.a")
            libraries = [archive if word == "-lpresence" else word for word in libraries]
        run([*words, *self.sanitizers, *STRICT, *flags, *self.pkg_config("--cflags"),
             "-x", language, source, "-x", "none", *libraries, "-o", program])
        return program

    def source(self, text):
        path = os.path.join(self.directory, "source.c")
        with open(path, "w") as file:
            file.write(text)
        return path

    def test_files(self):
        """Each file is where the documents say, and each place that they name has some."""
        files = [path.removeprefix(self.top) for path in installed_files(self.top)]
        self.assert_documented(self.documented_places(build_options()["prefix"]), files)
        for name in ("sbin/presenced", "bin/presencectl", "bin/presence-send",
                     "include/presence/presence.h", "share/man/man8/presenced.8",
                     "share/man/man1/presencectl.1", "share/man/man1/presence-send.1",
                     "bin/presence-exporter", "share/man/man8/presence-exporter.8",
                     "bin/presence-web", "share/man/man8/presence-web.8",
                     "lib/systemd/system/presence-web.service",
                     "lib/systemd/system/presence-exporter.service",
                     "sbin/presence-publisher", "share/man/man8/presence-publisher.8",
                     "lib/systemd/system/presence-publisher.service",
                     "sbin/presence-relay", "share/man/man8/presence-relay.8",
                     "lib/systemd/system/presence-relay.service",
                     "share/man/man8/presence-recorder.8", "share/man/man7/presence-protocol.7",
                     "share/man/man7/presence-counting.7", "share/man/man7/presence-topologies.7",
                     "share/man/man7/presence-engine.7",
                     "share/man/man5/presence.conf.5",
                     "share/man/man3/libpresence.3",
                     "share/bash-completion/completions/presencectl",
                     "share/presence/presence-dashboard.json"):
            with self.subTest(name=name):
                self.assertTrue(os.path.isfile(self.installed(name)))
        for name in "libpresence.so", "libpresence.so.0", "libpresence.a", "pkgconfig/presence.pc":
            with self.subTest(name=name):
                self.assertTrue(os.path.isfile(os.path.join(self.library, name)))
        # The public API is one header; the contracts in include/core are internal.
        self.assertEqual(os.listdir(self.installed("include/presence")), ["presence.h"])

    def test_files_with_other_prefix(self):
        """The same for --prefix=/usr, as meson plans it; /etc has the same files for any prefix."""
        build = os.path.join(self.directory, "build")
        run(["meson", "setup", "--prefix=/usr", "-Dtests=disabled", build, TOP])
        planned = json.loads(run(["meson", "introspect", "--installed", build])).values()
        places = {place for place in self.documented_places("/usr") if not place.startswith("/etc/")}
        self.assert_documented(places, planned)

    def test_configurations_are_kept(self):
        """Installing again leaves what an operator has changed, puts the new one beside it, and brings
        back what is missing."""
        changed, removed = (os.path.join(self.top, "etc", name) for name in
                            ("presence/presenced.conf", "prometheus/rules/presence.rules.yml"))
        with open(changed) as file:
            shipped = file.read()
        with open(changed, "a") as file:
            file.write("workers = 2\n")
        os.unlink(removed)
        install(self.top)
        with open(changed) as file:
            self.assertEqual(file.read(), shipped + "workers = 2\n")
        with open(changed + ".new") as file:
            self.assertEqual(file.read(), shipped)
        self.assertTrue(os.path.exists(removed))
        with open(changed, "w") as file:
            file.write(shipped)
        install(self.top)
        self.assertFalse(os.path.exists(changed + ".new"))

    @staticmethod
    def documented_places(prefix):
        """The directories in the table "Where files go"."""
        section = read("docs/deploying.md").partition("## Where files go")[2].partition("\n## ")[0]
        places = {path for row in re.findall(r"^\|(?:.*?)\|(.*)\|$", section, re.M)
                  for path in re.findall(r"`((?:PREFIX)?/\S+)`", row)}
        architecture = os.path.basename(build_options()["libdir"])
        places = {path.replace("PREFIX", prefix).replace("x86_64-linux-gnu", architecture)
                  for path in places}
        if prefix == "/usr":
            places.remove("/etc/fish/completions")
        return {path for path in places if path.startswith((f"{prefix}/share/", "/etc/")) or
                "/share/" not in path}

    def assert_documented(self, places, files):
        self.assertEqual({os.path.dirname(file) for file in files}, places)

    def test_documented_paths(self):
        """What manuals and documents say is installed is there; documents are for --prefix=/usr."""
        named = set()
        for page in glob.glob(self.installed("share/man/man*/*")):
            with open(page, encoding="utf-8") as file:
                files = re.findall(r"^\.I (/\S*(?:share/presence|etc)/\S+\.\w+)$", file.read(), re.M)
            named |= {name.replace("\\-", "-") for name in files}
        names = {os.path.basename(name) for name in named}
        self.assertLessEqual({"presence.rules.yml", "presence-totals.rules.yml",
                              "presence-dashboard.json", "presence-web.conf"}, names)
        for name in named:
            self.assertTrue(os.path.isfile(self.top + name), name)
        self.assertIn("--prefix=/usr ", fenced("sh install"))
        documented = {name for page in PAGES
                      for name in re.findall(r"/usr/(share/presence/\S*\w)", read(page))}
        self.assertIn("share/presence/presence-dashboard.json", documented)
        for name in documented:
            self.assertTrue(os.path.isfile(self.installed(name)), name)
        documented = {name for page in PAGES for name in re.findall(r"/etc/\S*\.rules\.yml", read(page))}
        self.assertEqual(len(documented), 2)
        for name in documented:
            self.assertTrue(os.path.isfile(self.top + name), name)

    def test_versions_agree(self):
        version, = self.pkg_config("--modversion")
        for name in ("sbin/presenced", "bin/presencectl", "bin/presence-send",
                     "bin/presence-exporter"):
            program = self.installed(name)
            self.assertEqual(run([program, "--version"]),
                             f"{os.path.basename(name)} {version}\n")
            self.assertIn("Usage", run([program, "--help"]))
        for page in glob.glob(self.installed("share/man/man*/*")):
            with open(page) as file:
                text = file.read()
            self.assertIn(version, text, page)
            self.assertNotIn("@", re.sub(r"[\w.]+@[\w.]+", "", text), page)

    def test_exported_symbols(self):
        """The library exports what the header declares, and nothing else."""
        with open(self.installed("include/presence/presence.h")) as header:
            declared = re.findall(r"^PRESENCE_API [^(]*?(\w+)\(", header.read(), re.M)
        lines = run(["nm", "--dynamic", "--defined-only",
                     os.path.join(self.library, "libpresence.so")]).splitlines()
        exported = [line.split()[2] for line in lines if line.split()[1] in "TDBRVW"]
        exported = [name for name in exported if not name.startswith(("__", "lprof"))]  # of sanitizers, coverage
        self.assertEqual(sorted(exported), sorted(declared))
        self.assertEqual({os.readlink(self.installed(f"share/man/man3/{name}.3"))
                          for name in declared}, {"libpresence.3"})
        self.assertIn("presence_count", declared)

    def test_header_alone(self):
        """The header compiles in the oldest C that has its types, and in C++."""
        include = self.source("#include <presence/presence.h>\n"
                              "int main(void) { return presence_open ? 0 : 1; }\n")
        self.compile(include, "-std=c99", "-Wno-address")
        self.compile(include, "-std=c++11", "-Wno-address", language="c++")

    def test_programs_and_library(self):
        """Installed presenced counts what an example sends; C and C++ programs read it."""
        reader = self.source(READER)
        readers = [self.compile(reader, static=static, language=language)
                   for static in (False, True) for language in ("c", "c++")]
        with mock.patch.object(harness, "PRESENCED", self.installed("sbin/presenced")):
            collector = self.start()
        self.send(collector, native("a.example", [visitor(i) for i in range(42)]))
        self.wait_received(1)
        for program in readers:
            self.assertEqual(run([program, self.segment, "a.example"],
                                 LD_LIBRARY_PATH=self.library), "42 in 300 s\n")
        self.assertEqual(run([self.installed("bin/presencectl"), "count", "a.example"],
                             PRESENCE_SEGMENT=self.segment), "42\n")
        run([self.installed("bin/presence-send"), "--to", collector.address, "--site", "a.example",
             "--visitor", "somebody"])
        self.wait_received(2)
        self.assertEqual(self.count("a.example"), 43)

    def test_the_documented_program(self):
        program = self.compile(self.source(fenced("c count")))
        collector = self.start()
        self.send(collector, native("example.com", [visitor(i) for i in range(7)]))
        self.wait_received(1)
        self.assertEqual(run([program], LD_LIBRARY_PATH=self.library, PRESENCE_SEGMENT=self.segment),
                         "7\n")

    def test_every_example_compiles(self):
        examples = glob.glob(os.path.join(EXAMPLES, "*.c"))
        self.assertTrue(examples)
        for example in examples:
            for static in False, True:
                with self.subTest(example=os.path.basename(example), static=static):
                    self.compile(example, static=static)

    @unittest.skipIf(os.geteuid(), "needs root, for a loopback of its own")
    def test_the_example_sends(self):
        """The example sends to the default address."""
        with private_loopback():
            collector = self.start(listen=None)
            for number, static in enumerate((False, True)):
                program = self.compile(os.path.join(EXAMPLES, "send.c"), static=static)
                run([program, "a.example", "/pricing", "one", "two", f"more-{number}"],
                    LD_LIBRARY_PATH=self.library)
                self.wait_received(number + 1)  # all in one datagram
            self.assertEqual((self.count("a.example"), self.count("a.example", "/pricing")), (4, 4))
            self.assertEqual(self.ctl("seen", "a.example", "more-1")[0], 0)
            self.assertEqual(collector.stop(), 0)


if __name__ == "__main__":
    unittest.main()
