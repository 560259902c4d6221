"""Runs a script that uses packages from npm, as they are published."""

import json
import os
import subprocess
import tempfile

from harness import BUILD

MODULES = os.path.join(os.path.abspath(BUILD), "../packages/npm/node_modules")
TIMEOUT = 60


def run_script(source, *arguments):
    """Run an ES module with Node.js. Return what it prints last, decoded from JSON."""
    with tempfile.TemporaryDirectory() as directory:
        os.symlink(MODULES, os.path.join(directory, "node_modules"))
        path = os.path.join(directory, "script.mjs")
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
        done = subprocess.run(["node", path, *map(str, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        raise AssertionError(f"the script ended with {done.returncode}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def bundle(path):
    """Return a script for pages: a file of ours, with JSX, and all packages that it imports."""
    done = subprocess.run(
        ["esbuild", path, "--bundle", "--format=iife", "--jsx=automatic", "--log-level=warning",
         '--define:process.env.NODE_ENV="development"'],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT,
        env={**os.environ, "NODE_PATH": MODULES})
    if done.returncode != 0:
        raise AssertionError(f"esbuild ended with {done.returncode}: {done.stderr}")
    return done.stdout
