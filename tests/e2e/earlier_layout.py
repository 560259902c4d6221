"""Segments as earlier versions have left them."""

import os
import struct

HEADERS = {2: 592, 3: 816, 4: 944}  # bytes, by version
HEADER = 944
GEOMETRY = 88
STREAMS = GEOMETRY + 40 + 16 * 9  # the last section, which earlier versions did not have


def section(path, number):
    """Offset and size of one of a segment's sections."""
    with open(path, "rb") as file:
        return struct.unpack("=QQ", os.pread(file.fileno(), 16, GEOMETRY + 40 + 16 * number))


def make_earlier(path, version):
    """Turn a segment whose collector has ended into one of an earlier version. It is another file:
    readers may have this one mapped."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    end = struct.unpack_from("=Q", data, STREAMS)[0]
    struct.pack_into("=H", data, 8, version)
    struct.pack_into("=IQ", data, 12, HEADERS[version], end)
    struct.pack_into("=I", data, GEOMETRY + 36, 0)
    struct.pack_into("=QQ", data, STREAMS, 0, 0)
    data[HEADERS[version]:HEADER] = bytes(HEADER - HEADERS[version])
    status = os.stat(path)
    with open(path + ".earlier", "wb") as file:
        os.fchmod(file.fileno(), status.st_mode)
        os.fchown(file.fileno(), status.st_uid, status.st_gid)
        file.write(data[:end])
    os.rename(path + ".earlier", path)
