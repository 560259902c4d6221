"""Install configurations, but never over one that is there: it is the operator's.

Usage: install_configuration.py DIRECTORY FILE...     (run by meson; DESTDIR is heeded)
"""

import filecmp
import os
import shutil
import sys

directory, *files = sys.argv[1:]
target = os.environ.get("DESTDIR", "") + directory
os.makedirs(target, exist_ok=True)
for file in files:
    path = os.path.join(target, os.path.basename(file))
    if not os.path.exists(path):
        shutil.copyfile(file, path)
        os.chmod(path, 0o644)
    elif not filecmp.cmp(file, path, shallow=False):
        print(f"Keeping {path}, which differs from {file}")
