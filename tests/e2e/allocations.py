"""Programs of which one allocation of memory fails, as the test chooses."""

import json
import mmap
import os
import struct
import tempfile

from harness import BUILD

LIBRARY = os.path.join(os.path.abspath(BUILD), "tests/e2e/fail_allocations.so")
ALL_SUCCEED = -1
MANY = 10**9


class Allocations:
    """Those of the programs that are started with `environment`."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="presence-allocations-", dir="/dev/shm")
        self.file.write(struct.pack("=q", ALL_SUCCEED))
        self.file.flush()
        self.plan = mmap.mmap(self.file.fileno(), 8)
        self.environment = {"LD_PRELOAD": LIBRARY, "FAIL_ALLOCATIONS": self.file.name}

    def fail_after(self, number):
        """Let one fail after so many."""
        self.plan[:8] = struct.pack("=q", number)

    def succeed(self):
        """Let all succeed again."""
        self.fail_after(ALL_SUCCEED)

    def count(self, act):
        """Return how many are made while act() runs, and what it returns."""
        self.fail_after(MANY)
        result = act()
        made = MANY - struct.unpack("=q", self.plan[:8])[0]
        self.succeed()
        return made, result

    def close(self):
        self.plan.close()
        self.file.close()


def shape(text, exact=()):
    """What is the same in the JSON of two moments: members, and the type of what they hold, or its
    value for those named in `exact`. Of an array its first element; of text that is no JSON, its number
    of lines."""
    def of(value):
        if isinstance(value, dict):
            return {name: member if name in exact else of(member) for name, member in value.items()}
        return [of(each) for each in value[:1]] if isinstance(value, list) else type(value).__name__

    try:
        return of(json.loads(text))
    except ValueError:
        return text.count("\n")
