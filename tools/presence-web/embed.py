#!/usr/bin/env python3
"""Write a C file with the contents of static files: embed.py OUTPUT FILE..."""

import gzip
import hashlib
import os
import sys

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


def array(name, content):
    lines = [", ".join(map(str, content[i:i + 20])) for i in range(0, len(content), 20)]
    return f"static const unsigned char {name}[] = {{\n    " + ",\n    ".join(lines) + ",\n};\n"


def main(output, *paths):
    parts = ['#include "routes.h"\n']
    entries = []
    for number, path in enumerate(paths):
        name = os.path.basename(path)
        kind = os.path.splitext(name)[1]
        if kind not in TYPES:
            sys.exit(f"{path}: embed.py knows no content type for {kind or 'a name without ending'}")
        with open(path, "rb") as file:
            content = file.read()
        packed = gzip.compress(content, 9, mtime=0)
        tag = hashlib.sha256(content).hexdigest()[:16]
        parts.append(array(f"content_{number}", content))
        parts.append(array(f"packed_{number}", packed))
        url = "/" if name == "index.html" else "/" + name
        entries.append(
            f'    {{"{url}", "{TYPES[kind]}", "\\"{tag}\\"", "\\"{tag}-gz\\"",\n'
            f"     content_{number}, sizeof(content_{number}), packed_{number}, "
            f"sizeof(packed_{number})}},\n")
    parts.append("const struct file files[] = {\n" + "".join(entries) + "};\n")
    parts.append("const size_t files_count = sizeof(files) / sizeof(files[0]);\n")
    with open(output, "w", encoding="ascii") as file:
        file.write("\n".join(parts))


main(*sys.argv[1:])
