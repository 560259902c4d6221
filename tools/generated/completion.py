"""What the completions of all shells take from a table of options."""

import re


def fill(text, **values):
    """The text with its @names@ replaced."""
    return re.sub(r"@(\w+)@", lambda name: values.get(name[1], name[0]), text)


def entries(table):
    return [entry for entry in table["entries"] + table["common"] if not entry["heading"]]


def is_path(entry):
    return entry["argument"] in ("PATH", "FILE")


def words(entry):
    """The values to offer for an option, if they are known."""
    return entry["suggestions"].split() if entry["suggestions"] else entry["words"]


def is_name(table, entry):
    """True if the collector knows the values: presencectl lists them `--by` the option's name."""
    return bool(table["commands"]) and entry["name"] in ("country", "source")


def of_command(entry, number):
    """True if the option belongs to that command, but not to all of them."""
    return bool(entry["commands"] >> number & 1)


def commands_with(table, argument):
    return [command["name"] for command in table["commands"] if argument in command["arguments"]]


def function(table):
    return table["program"].replace("-", "_")
