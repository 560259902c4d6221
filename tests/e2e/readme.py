"""The configurations in README.md, as a reader would paste them."""

import os
import re

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../README.md")


def fenced(language):
    """The texts of README's fenced blocks in that language, in order."""
    with open(README, encoding="utf-8") as file:
        return re.findall(rf"^```{language}\n(.*?)^```$", file.read(), re.DOTALL | re.MULTILINE)


def substitute(text, **changes):
    """The text with each pair's first string replaced by its second; the names say what it is.

    Fails when a string is not there exactly once: then README has changed, and the test has not.
    """
    for what, (old, new) in changes.items():
        if text.count(old) != 1:
            raise AssertionError(f"README.md: {what} is not there as {old!r}, once")
        text = text.replace(old, new)
    return text
