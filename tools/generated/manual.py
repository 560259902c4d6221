"""Render a program's manual, and presence.conf(5), from templates and tables of options.

Lines of a template that are replaced:
    @OPTIONS@               the program's options
    @ENVIRONMENT@           the variables that set its options
    @COMMAND NAME@          a command's tag and summary; the template goes on with what else is said of it
    @SECTION PAGE: NAME@    a section of a page of docs/, without its heading
    @SETTINGS@              each program's options as they stand in its file
"""

import re
import sys

import markdown
import roff

SEGMENT_OWNER = (
    "A user, by name or number, whose segment is trusted in addition to those of root, of the user "
    "who reads and of the user presence; see presenced(8).")


def sentence(text):
    return text[0].upper() + text[1:] + "."


def listed(words):
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def default(entry):
    values = [f"${entry['variable']}"] if entry["variable"] else []
    values += [entry["fallback"]] if entry["fallback"] else []
    return ["Default: " + ", or ".join(values) + "."] if values else []


def repeated(entry):
    return [f"May be given {entry['max'] or 'any number of'} times."] if entry["repeatable"] else []


# ---- options -------------------------------------------------------------------------------------

def described(table, entry):
    text = [sentence(entry["help"]), *repeated(entry)]
    if entry["details"]:
        text.append(entry["details"])
    commands = [command["name"] for number, command in enumerate(table["commands"])
                if entry["commands"] >> number & 1]
    done = roff.prose(" ".join(text))
    if commands:
        done += " For " + listed([roff.bold(name) for name in commands]) + "."
    return roff.paragraph(" ".join([done, *map(roff.prose, default(entry))]))


def option_tag(entry):
    name = roff.bold(f"--{entry['name']}")
    return f"{name} {roff.italic(entry['argument'])}" if entry["argument"] else name


def options(table):
    return "".join(f".SS {roff.plain(entry['name'])}\n" if entry["heading"] else
                   roff.item(option_tag(entry), described(table, entry))
                   for entry in table["entries"] + table["common"])


def environment(table):
    variables = {entry["variable"]: roff.prose(f"The default of --{entry['name']}.")
                 for entry in table["entries"] if entry["variable"]}
    if "PRESENCE_SEGMENT" in variables and table["program"] != "presenced":
        variables["PRESENCE_SEGMENT_OWNER"] = roff.prose(SEGMENT_OWNER)
    return "".join(roff.item(roff.bold(name), roff.paragraph(text))
                   for name, text in variables.items())


def command(table, name):
    entry = next(entry for entry in table["commands"] if entry["name"] == name)
    arguments = re.sub(r"\w+", lambda word: roff.italic(word[0]), entry["arguments"])
    text = f"Show {entry['summary']}. {' '.join(entry['details'].split())}"
    return roff.item(f"{roff.bold(name)} {arguments}".rstrip(), roff.paragraph(roff.prose(text.strip())))


# ---- presence.conf -------------------------------------------------------------------------------

def setting(entry):
    value = "yes" if entry["flag"] else entry["argument"]
    text = " ".join([sentence(entry["help"]), *repeated(entry), *default(entry)])
    return roff.item(f"{roff.bold(entry['name'])} = {roff.italic(value)}",
                     roff.paragraph(roff.prose(text)))


def settings(tables):
    """The options of each program; presencectl, which reads no file by default, is last."""
    tables = sorted(tables, key=lambda table: (bool(table["commands"]), table["program"] != "presenced"))
    return "".join(f".SH {table['program'].upper()}\n" + "".join(
        f".SS {roff.plain(entry['name'])}\n" if entry["heading"] else setting(entry)
        for entry in table["entries"] if not entry["line_only"]) for table in tables)


# ---- the page ------------------------------------------------------------------------------------

def filled(path, page, tables, docs, directories):
    """The template of a page, such as presenced.8, with its marks replaced.

    `directories`: what stands for @DATADIR@ and the like.
    """
    def replaced(mark):
        word, _, rest = mark[1].partition(" ")
        if word == "SECTION":
            source, name = rest.split(": ", 1)
            return markdown.section(f"{docs}/{source}", name, "{}({})".format(*page.rsplit(".", 1)))
        if word == "SETTINGS":
            return settings(tables)
        render = {"OPTIONS": options, "ENVIRONMENT": environment, "COMMAND": command}
        if word not in render:
            sys.exit(f"{path}: unknown mark @{mark[1]}@")
        return render[word](tables[0], *filter(None, [rest]))

    with open(path, encoding="utf-8") as file:
        text = re.sub(r"^@([A-Z]+(?: .*)?)@\n", replaced, file.read(), flags=re.M)
    for name, directory in directories.items():
        text = text.replace(f"@{name}@", roff.literal(directory))
    return text
