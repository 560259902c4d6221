"""A copy of the tree with a release build of its own, where a fault is put in, built and tested."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time

from mutants import TOP

OPTIONS = ["-Dtests=enabled", "-Dxdp=enabled"]
SKIPPED = 77  # Meson's exit status of a test that can't run here
PATIENCE = 3  # what tests/run multiplies time limits by
GRACE_S = 10  # to end after SIGTERM


class Broken(Exception):
    """The tree without a fault, or the machine, is not fit for this."""


class Stopped(Exception):
    """Somebody wants this to end."""


def tree_files():
    """The paths of the tree's files, as they are here, whether committed or not."""
    listed = subprocess.run(["git", "-C", TOP, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            check=True, capture_output=True, text=True).stdout.split("\0")
    return {path for path in listed if path and os.path.isfile(os.path.join(TOP, path))}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def take_number():
    """Take the first copy that no other run has. Returns its number, and a file that holds it while it is open."""
    os.makedirs(os.path.join(TOP, "build/mutants"), exist_ok=True)
    number = 1
    while True:
        lock = open(os.path.join(TOP, f"build/mutants/{number}.lock"), "wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number, lock
        except BlockingIOError:
            lock.close()
            number += 1


class Workshop:
    def __init__(self):
        number, self.lock = take_number()
        self.number = number
        self.top = os.path.join(TOP, f"build/mutants/{number}/tree")
        self.build_directory = os.path.join(TOP, f"build/mutants/{number}/release")
        self.tests, self.targets, self.built = {}, {}, set()
        self.seconds = {}  # that tests took without a fault
        self.unfit = set()  # tests that fail without one
        self.changed = self.process = self.log_path = None
        self.stopped = False

    def path(self, name):
        return os.path.join(self.top, name)

    def log_to(self, name):
        directory = os.path.join(TOP, "build/mutants/log")
        os.makedirs(directory, exist_ok=True)
        self.log_path = os.path.join(directory, name)
        open(self.log_path, "wb").close()

    def copy_tree(self):
        """Make the copy like the tree; files that are the same keep their times, so they aren't built again."""
        wanted = tree_files()
        for name in wanted:
            source = os.path.join(TOP, name)
            if os.path.exists(self.path(name)) and read(source) == read(self.path(name)):
                continue
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            shutil.copyfile(source, self.path(name))
            shutil.copymode(source, self.path(name))
        for directory, _, files in os.walk(self.top):
            for name in files:
                path = os.path.join(directory, name)
                if os.path.relpath(path, self.top) not in wanted:
                    os.unlink(path)

    def prepare(self):
        """Copy the tree, and configure the build where that wasn't done before."""
        os.makedirs(self.top, exist_ok=True)
        self.copy_tree()
        packages = os.path.join(TOP, "build/packages")  # that tests/run has unpacked
        link = os.path.join(os.path.dirname(self.build_directory), "packages")  # tests look beside their build
        if os.path.isdir(packages) and not os.path.lexists(link):
            os.symlink(packages, link)
        if not os.path.exists(os.path.join(self.build_directory, "build.ninja")):
            if self.run(["meson", "setup", *OPTIONS, self.build_directory, self.top]):
                raise Broken(f"cannot configure: see {self.log_path}")
        elif self.run(["ninja", "-C", self.build_directory, "build.ninja"]):
            raise Broken(f"cannot configure again: see {self.log_path}")
        self.load_tests()

    def load_tests(self):
        """Learn from Meson which tests there are, and what has to be built for them."""
        def information(name):
            with open(os.path.join(self.build_directory, f"meson-info/intro-{name}.json"), encoding="utf-8") as file:
                return json.load(file)
        self.tests = {test["name"]: test for test in information("tests")}
        self.targets = {target["id"]: [os.path.relpath(name, self.build_directory) for name in target["filename"]]
                        for target in information("targets")}

    def run(self, command, timeout=None, **options):
        """Run a command with its output in the log. Returns its exit status, or None after the timeout."""
        if self.stopped:
            raise Stopped
        with open(self.log_path, "ab") as log:
            log.write(f"\n$ {' '.join(command)}\n".encode())
            log.flush()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, **options)
            try:
                status = self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                log.write(f"\nno end after {timeout} s\n".encode())
                status = None
            finally:
                self.end_process()
        if self.stopped:
            raise Stopped
        return status

    def end_process(self):
        """End the command if it still runs, ninja with its compilers, and kill what it has left."""
        self.process.terminate()
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def stop(self):
        """Make what runs end, from another thread; what is asked for afterwards is refused."""
        self.stopped = True
        if self.process:
            self.process.terminate()

    def build(self, names):
        """Build what these tests need, with the processor time that nobody else wants. Returns the compiler's
        words if it fails."""
        unknown = [name for name in names if name not in self.tests]
        if unknown:
            raise Broken(f"no test is called {', '.join(unknown)}")
        begin = os.path.getsize(self.log_path)
        targets = {file for name in names for id in self.tests[name]["depends"] for file in self.targets[id]}
        if targets <= self.built:
            return None
        if self.run(["chrt", "--idle", "0", "ninja", "-C", self.build_directory, *sorted(targets)]):
            return read(self.log_path)[begin:].decode(errors="replace") or "failed"
        self.built |= targets
        return None

    def limit(self, name):
        """Return after how many seconds a test is taken to hang: ten times as long as without a fault, but no later
        than Meson would say so."""
        limit = self.tests[name]["timeout"] * PATIENCE
        return min(limit, 30 + 10 * self.seconds[name]) if name in self.seconds else limit

    def test(self, name):
        """Run a test. Returns how it failed, or None."""
        test = self.tests[name]
        begin = time.monotonic()
        status = self.run(test["cmd"], self.limit(name), env={**os.environ, **test["env"]},
                          cwd=test["workdir"] or self.build_directory)
        self.seconds.setdefault(name, time.monotonic() - begin)
        if status == SKIPPED:
            raise Broken(f"{name} cannot run here: see {self.log_path}")
        if status is None:
            return "didn't end"
        return None if status == 0 else f"failed ({status})"

    def apply(self, mutant):
        """Put a fault in."""
        path = self.path(mutant.path)
        text = read(path).decode()
        faulty = mutant.apply(text)
        self.changed, self.built = (path, text), set()
        with open(path, "w", encoding="utf-8") as file:
            file.write(faulty)

    def restore(self):
        """Take the fault out again."""
        if self.changed:
            path, text = self.changed
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            self.changed, self.built = None, set()
