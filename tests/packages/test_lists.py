"""The packages' lists name what is installed: each file once, and nothing else."""

import fnmatch
import glob
import os
import re
import tempfile
import unittest

from installed import build_options, install, installed_files

DEBIAN = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../debian"))


def entries():
    """Pairs of a package and what its list names."""
    for path in glob.glob(os.path.join(DEBIAN, "*.install")):
        with open(path, encoding="utf-8") as file:
            for line in filter(None, (line.split("#")[0].split() for line in file)):
                yield os.path.basename(path).removesuffix(".install"), line[0]


def as_packaged(path, options):
    """The name that a file of this build has in a package, which is built with --prefix=/usr and the
    architecture's directory for libraries."""
    directories = (
        (os.path.join(options["prefix"], options["libdir"]), "/usr/lib/ARCHITECTURE"),
        ("/etc/fish/completions", "/usr/share/fish/vendor_completions.d"),
        (options["prefix"], "/usr"),
    )
    for ours, packaged in directories:
        if path.startswith(ours + "/"):
            return (packaged + path[len(ours):])[1:]
    return path[1:]


class Lists(unittest.TestCase):
    def test_the_lists_name_what_is_installed(self):
        with tempfile.TemporaryDirectory(prefix="presence-lists-") as directory:
            install(directory)
            options = build_options()
            files = [as_packaged(path[len(directory):], options)
                     for path in installed_files(directory)]
        unused = set(entries())
        for path in files:
            named = [(package, name) for package, name in entries()
                     if fnmatch.fnmatch(path, name) or fnmatch.fnmatch(path, name + "/*")]
            self.assertEqual(len(named), 1, f"debian/*.install: {path} is named by {named}")
            unused -= set(named)
        self.assertEqual(unused, set(), "debian/*.install: these are not installed")

    def test_what_belongs_to_which_package(self):
        lists = dict.fromkeys(package for package, _ in entries())
        with open(os.path.join(DEBIAN, "control"), encoding="utf-8") as file:
            self.assertEqual(sorted(lists), sorted(re.findall(r"^Package: (\S+)$", file.read(), re.M)))


if __name__ == "__main__":
    unittest.main()
