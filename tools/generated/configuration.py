"""The commented configuration of a program, from its table of options."""

import textwrap

COLUMNS = 80


def comment(text):
    return textwrap.fill(text, COLUMNS, initial_indent="# ", subsequent_indent="# ",
                         break_long_words=False, break_on_hyphens=False)


def about(entry):
    """What is said of an option: its help, and whether its value is only an example."""
    text = entry["help"][0].upper() + entry["help"][1:]
    if entry["repeatable"]:
        text += "; repeatable"
    return text + ("." if entry["fallback"] or entry["flag"] else ". For example:")


def value(entry):
    if entry["flag"]:
        return "no"
    return entry["fallback"] or entry["example"]


def configuration(table, section):
    """Every option, commented out, with its default or an example."""
    program = table["program"]
    parts = [comment(f"{program}.conf - the options of {program}, a NAME = VALUE a line; see "
                     f"{program}({section}) and presence.conf(5). A line that is commented out "
                     "shows the default, unless it is an example.")]
    for entry in table["entries"]:
        if entry["line_only"]:
            continue
        if entry["heading"]:
            parts.append(comment(f"---- {entry['name']} ----"))
        elif value(entry) is None:
            raise SystemExit(f"{program}: --{entry['name']} has neither .fallback nor .example")
        else:
            parts.append(f"{comment(about(entry))}\n#{entry['name']} = {value(entry)}")
    return "\n\n".join(parts) + "\n"
