"""Who may include what: ARCHITECTURE.md, "Layers"."""

import os
import re
import unittest

import source

# By directory: what a file there may include, beside its own directory's files and the system's.
# Of several directories that fit a path, the longest counts.
ALLOWED = {
    "include/core": r"core/",
    "include/presence": r"$^",
    "lib/presence": r"core/|common/|presence/presence\.h",
    "lib/common": r"core/|presence/presence\.h",
    "lib/archive": r"core/|common/|presence/presence\.h",
    "lib/http": r"core/|common/|presence/presence\.h",
    "lib/receive": r"core/|common/|presence/presence\.h|(\.\./\.\./bpf/)?presence_spread(\.skel)?\.h",
    "lib/engine": r"common/|presence/presence\.h",
    "daemon": r"core/|common/|receive/|presence/presence\.h|(\.\./bpf/)?presence_xdp(\.skel)?\.h",
    "bpf": r"core/",
    "tools": r"common/|engine/|http/|archive/|receive/|presence/presence\.h",
    "tools/presence-publisher": r"common/|engine/|presence/(presence|scan)\.h",
}
SEARCHED = "include", "lib"


def own_layer(path):
    return max((layer for layer in ALLOWED if path.startswith(layer + "/")), key=len)


def find(including, name):
    """The tree's file that is meant; None: the system's, or one that the build makes."""
    for directory in (os.path.dirname(including), *SEARCHED):
        path = os.path.normpath(os.path.join(directory, name))
        if os.path.isfile(os.path.join(source.TOP, path)):
            return path
    return None


def faults(path, names, layer):
    """What of `names` a file of this layer may not include."""
    own = os.path.dirname(path)
    for name in names:
        found = find(path, name)
        ours = found or re.match(r"(core|common|engine|http|archive|receive|presence)/", name)
        if ours and not (found and os.path.dirname(found) == own) and \
                not re.match(ALLOWED[layer], name):
            yield f"{path} includes {name}"


def reached(path, seen):
    """Everything that a file includes, and what that includes."""
    for name in source.includes(path):
        found = find(path, name)
        if found and found not in seen:
            seen[found] = path
            reached(found, seen)
    return seen


class Layers(unittest.TestCase):
    def test_includes(self):
        wrong = [fault for path in source.files(*ALLOWED)
                 for fault in faults(path, source.includes(path), own_layer(path))]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_programs_never_see_the_contracts(self):
        """Not by a header of a library either."""
        wrong = [f"{path} gets {found} by {by}"
                 for path in source.files("tools")
                 for found, by in reached(path, {}).items() if found.startswith("include/core/")]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_finds_a_fault(self):
        for path, name, layer in (("tools/presence-send/load.c", "core/wire.h", "tools"),
                                  ("tools/presence-send/load.c", "presence/reader.h", "tools"),
                                  ("include/core/wire.h", "common/address.h", "include/core"),
                                  ("lib/common/log.c", "http/http_server.h", "lib/common"),
                                  ("lib/common/log.c", "../../daemon/ingest.h", "lib/common"),
                                  ("bpf/presence_xdp.bpf.c", "presence/presence.h", "bpf")):
            self.assertEqual(list(faults(path, [name], layer)), [f"{path} includes {name}"])


if __name__ == "__main__":
    unittest.main()
