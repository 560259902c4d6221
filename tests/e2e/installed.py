"""Shared by the tests of what is installed: the build's options, and an installation of it."""

import json
import os
import shlex
import subprocess

from harness import BUILD, DEADLINE


def run(command, **environment):
    """Run a command that has to succeed and return its output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * DEADLINE,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment})
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build_options():
    options = json.loads(run(["meson", "introspect", "--buildoptions", BUILD]))
    return {option["name"]: option["value"] for option in options}


def compiler():
    """Return the C compiler of the build, as words."""
    with open(os.path.join(BUILD, "compile_commands.json")) as commands:
        words = shlex.split(json.load(commands)[0]["command"])
    return words[:next(i for i, word in enumerate(words) if word.startswith("-"))]


def install(directory):
    run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", directory])


def installed_files(directory):
    """The paths of all files below the directory; a link to a file is one."""
    return sorted(os.path.join(path, name) for path, _, names in os.walk(directory) for name in names)
