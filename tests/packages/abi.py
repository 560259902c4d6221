"""The ABI of libpresence as libabigail sees it. Run by itself it prints what belongs into
lib/presence/presence.abi, the ABI of the release before; CONTRIBUTING.md says when."""

import json
import os
import shlex
import subprocess
import tempfile

from documents import TOP
from harness import BUILD, DEADLINE
from installed import run

BASELINE = os.path.join(TOP, "lib/presence/presence.abi")
HEADERS = os.path.join(TOP, "include/presence")
# Leave out what depends on the compiler and the machine, and what no program can see.
PUBLIC = ["--headers-dir", HEADERS, "--drop-private-types", "--exported-interfaces-only",
          "--no-architecture", "--no-show-locs", "--no-comp-dir-path", "--no-corpus-path",
          "--no-elf-needed", "--no-parameter-names", "--no-write-default-sizes",
          "--type-id-style", "hash"]


def compile_library(path, *flags):
    """Compile libpresence as the build does, but with a description of its types."""
    with open(os.path.join(BUILD, "compile_commands.json")) as file:
        commands = [one for one in json.load(file) if "/libpresence.so." in one["output"]]
    words = shlex.split(commands[0]["command"])
    words = words[:words.index("-MD")]
    run(["env", "-C", BUILD, *words, "-g", "-O0", "-U_FORTIFY_SOURCE", "-w", *flags, "-shared",
         "-Wl,-soname,libpresence.so.0", *(one["file"] for one in commands), "-o", path])


def describe(library):
    return run(["abidw", *PUBLIC, library])


def changes(description):
    """Return abidiff's report of what is no longer as in the baseline; empty if all is."""
    done = subprocess.run(["abidiff", "--no-added-syms", BASELINE, description],
                          capture_output=True, text=True, timeout=DEADLINE)
    return f"{done.stdout}{done.stderr}({done.returncode})" if done.returncode else ""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        compile_library(os.path.join(directory, "libpresence.so"))
        print(describe(os.path.join(directory, "libpresence.so")), end="")
