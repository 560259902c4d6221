"""Make the directory that programs of a coverage build write their counters to, whoever runs them."""

import os
import struct
import sys

# A default access control list as linux/posix_acl_xattr.h lays it out: version 2, and read, write and search for the
# owner, the group and all others. Files that are made there have it whatever the umask is.
ENTRIES = ((0x01, 7), (0x04, 7), (0x20, 7))  # ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_OTHER
NOBODY = 0xFFFFFFFF  # ACL_UNDEFINED_ID


def main(directory):
    os.makedirs(directory, exist_ok=True)
    os.chmod(directory, 0o777)
    entries = b"".join(struct.pack("<HHI", tag, access, NOBODY) for tag, access in ENTRIES)
    os.setxattr(directory, "system.posix_acl_default", struct.pack("<I", 2) + entries)


if __name__ == "__main__":
    main(sys.argv[1])
