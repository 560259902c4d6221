"""What comments and documents name exists."""

import os
import re
import unittest

import source

# Of the kernel and of libraries, and called nowhere in the tree.
ELSEWHERE = {"abort", "calloc", "fork", "landlock_restrict_self", "malloc", "no_new_privs",
             "run_bpf_filter", "sched_attr", "sched_setattr", "sd_listen_fds", "sd_notify",
             "tun_get_user"}
NAME = re.compile(r"(?<![\w/.$%-])([a-z][a-z0-9]*(?:_[a-z0-9]+)+)\b(?![\w*./-])")
CALL = re.compile(r"\b([A-Za-z_]\w*)\(\)")
PAIR = re.compile(r"[Pp]airs? with (.{0,80})")


def known():
    stems = {os.path.basename(path).partition(".")[0] for path in source.files(suffix="")}
    return source.identifiers() | stems | ELSEWHERE


def in_one_line(comment):
    return re.sub(r"\s*\n\s*\*?\s*", " ", comment)


def unknown(text):
    """The names in a comment that are nowhere else."""
    return [name for name in (*NAME.findall(text), *CALL.findall(text)) if name not in known()]


def lonely(comment):
    """Does it say of an atomic access that it pairs with something, and no function that does?"""
    return any("itself" not in match and not source.functions() & set(re.findall(r"\w+", match))
               for match in PAIR.findall(in_one_line(comment)))


class Comments(unittest.TestCase):
    def comments(self):
        for path in source.files():
            for line, comment in source.split(path)[1]:
                yield f"{path}:{line}", comment

    def test_names_exist(self):
        wrong = [f"{where}: there is no {name}" for where, comment in self.comments()
                 for name in unknown(comment)]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_atomics_name_their_partner(self):
        wrong = [where for where, comment in self.comments() if lonely(comment)]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_documents_name_what_exists(self):
        wrong = [f"{path}: there is no {name}()" for path in source.files(suffix=r"\.md")
                 for name in re.findall(r"`([a-z_]\w*)\(\)`", source.read(path))
                 if name not in known()]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_finds_a_fault(self):
        self.assertEqual(unknown("/* as free_no_entry does */"), ["free_no_entry"])
        self.assertEqual(unknown("/* see nowhere() and scope_find() */"), ["nowhere"])
        self.assertTrue(lonely("/* Release: pairs with readers'\n * acquire. */"))
        self.assertFalse(lonely("/* pairs with\n * scope_find's acquire */"))


if __name__ == "__main__":
    unittest.main()
