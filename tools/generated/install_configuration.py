"""Install configurations, but never over one that is there: it may be the operator's. One that differs
gets the new one beside it, as NAME.new.

Usage: install_configuration.py DIRECTORY FILE...     (run by meson; DESTDIR is heeded)
"""

import contextlib
import filecmp
import os
import shutil
import sys


def install(file, path):
    shutil.copyfile(file, path)
    os.chmod(path, 0o644)


directory, *files = sys.argv[1:]
target = os.environ.get("DESTDIR", "") + directory
os.makedirs(target, exist_ok=True)
for file in files:
    path = os.path.join(target, os.path.basename(file))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + ".new")
    if not os.path.lexists(path):
        install(file, path)
    elif not os.path.exists(path) or not filecmp.cmp(file, path, shallow=False):
        install(file, path + ".new")
        print(f"Keeping {path}; the new one is {path}.new")
