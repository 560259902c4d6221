"""Certificates and bcrypt hashes for tests, made by openssl and libcrypt."""

import ctypes
import os
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


class Certificates:
    """An authority in a directory, and what it signs: NAME.pem and NAME.key."""

    def __init__(self, directory, name="ca"):
        self.directory, self.name = directory, name
        self.ca = self.path(f"{name}.pem")
        self.make(name, "-x509", "-out", self.ca)

    def path(self, name):
        return os.path.join(self.directory, name)

    def make(self, name, *arguments):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", self.path(f"{name}.key"), "-subj", f"/CN={name}", *arguments)

    def sign(self, name, *, client=False, address="127.0.0.1"):
        """Make a certificate for this machine, as localhost or this address, or for a client."""
        extensions = self.path("extensions")
        with open(extensions, "w", encoding="utf-8") as file:
            file.write("extendedKeyUsage=clientAuth\n" if client else
                       f"extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:{address}\n")
        self.make(name, "-out", self.path("request"))
        openssl("x509", "-req", "-in", self.path("request"), "-CA", self.ca, "-CAkey",
                self.path(f"{self.name}.key"), "-CAcreateserial", "-extfile", extensions,
                "-out", self.path(f"{name}.pem"))


def bcrypt(password, cost=4, prefix="$2b$"):
    """As htpasswd -nB makes it."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return crypt(password.encode(), f"{prefix}{cost:02}$abcdefghijklmnopqrstuu".encode()).decode()
