"""compile.py BUILD OPTION... FILE: check a file with gcc as the build does, with further options."""

import json
import os
import shlex
import subprocess
import sys

build, *options, path = sys.argv[1:]
for entry in json.load(open(os.path.join(build, "compile_commands.json"))):
    if os.path.relpath(os.path.join(entry["directory"], entry["file"])) == path:
        words = shlex.split(entry["command"])
        break
else:
    sys.exit(f"{path} is not compiled in {build}")
words = iter(words[words[0].endswith("ccache") + 1:])
command = ["gcc"]
for word in words:
    if word in ("-o", "-MQ", "-MF"):
        next(words)
    elif word != "-MD":
        command.append(word)
sys.exit(subprocess.run(command + options + ["-o", "/dev/null"], cwd=entry["directory"]).returncode)
