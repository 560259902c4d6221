"""Render a program's table of options, from what PROGRAM-options prints.

    render.py man PROGRAM-options TEMPLATE   the manual: the template, with the list of options in
                                             place of its line @OPTIONS@
    render.py bash PROGRAM-options           the completion

In help and details, names of options, of counters and of manuals, such as presenced(8), become bold.
"""

import json
import re
import subprocess
import sys

CONFIG = r""".TP
.BI \-\-config " FILE"
Read these options from a file, a NAME = VALUE a line of at most 199 bytes, # and ; for comments.
An option that stands alone on the command line is yes or no there.
The command line wins over the file; options that may be given several times add up.
"""
HELP = r""".TP
.BR \-\-help ", " \-h
Show the options.
.TP
.B \-\-version
Show the version.
"""


# ---- the manual ----------------------------------------------------------------------------------

def bold(text):
    return r"\fB" + text.replace("-", r"\-") + r"\fP"


def sentences(text):
    """Prose as roff, with names in bold."""
    names = r"(?<![\w.-])(--[\w.-]*\w|\w*_\w+(?![\w.-]*\.\w)|[\w-]+(?=\(\d\)))"
    return re.sub(names, lambda name: bold(name[0]), text.replace("\\", r"\e"))


def listed(words):
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def default(entry):
    values = [bold(f"${entry['variable']}")] if entry["variable"] else []
    values += [entry["fallback"]] if entry["fallback"] else []
    return ["Default: " + ", or ".join(values) + "."] if values else []


def described(table, entry):
    text = [entry["help"][0].upper() + sentences(entry["help"][1:]) + "."]
    if entry["repeatable"]:
        text.append(f"May be given {entry['max'] or 'any number of'} times.")
    if entry["details"]:
        text.append(sentences(entry["details"]))
    commands = [name for number, (name, _) in enumerate(table["commands"])
                if entry["commands"] >> number & 1]
    if commands:
        text.append("For " + listed([bold(name) for name in commands]) + ".")
    return r"\&" + " ".join(text + default(entry))


def tag(entry):
    name = r"\-\-" + entry["name"].replace("-", r"\-")
    return f'.BI {name} " {entry["argument"]}"' if entry["argument"] else f".B {name}"


def options(table):
    text = "".join(f".SS {entry['name']}\n" if entry["heading"] else
                   f".TP\n{tag(entry)}\n{described(table, entry)}\n" for entry in table["entries"])
    return text + (CONFIG if table["config"] else "") + HELP


def manual(table, path):
    with open(path, encoding="utf-8") as file:
        before, place, after = file.read().partition("@OPTIONS@\n")
    if not place:
        sys.exit(f"{path}: no line @OPTIONS@")
    return before + options(table) + after


# ---- the completion ------------------------------------------------------------------------------

ONE = """\
_{function}()
{{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
{search}
    case $previous in
{values}
    esac
{options}    if [[ $current == -* ]]; then
        {answer} "{names}" -- "$current")
{words}    fi
}}

complete -F _{function} {program}
"""
SEARCH = """\
    local options="" command="" site="" segment="" word i commands="{commands} help"

    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        case $word in
        --segment) segment=${{COMP_WORDS[++i]}} ;;
        {valued}) ((i++)) ;;
        -*) ;;
        *) if [[ -z $command ]]; then command=$word; elif [[ -z $site ]]; then site=$word; fi ;;
        esac
    done
"""
WORDS = """\
    elif [[ -z $command ]]; then
        {answer} "$commands" -- "$current")
    elif [[ $command == help ]]; then
        [[ -n $site ]] || {answer} "${{commands% help}}" -- "$current")
    elif [[ $command == @({of_a_site}) && -z $site ]]; then
        # Sites without a character that would need quoting.
        {answer} "$(
            {program} ${{segment:+--segment "$segment"}} sites 2>/dev/null |
                awk 'NR > 2 && $1 ~ /^[A-Za-z0-9._-]+$/ {{ print $1 }}')" -- "$current")
"""
ANSWER = "mapfile -t COMPREPLY < <(compgen -W"


def pattern(names):
    return " | ".join(f"--{name}" for name in names)


def values(table, entries):
    """The cases of the word before the cursor: an option, whose value is completed."""
    paths = ["config"] if table["config"] else []
    paths += [entry["name"] for entry in entries if entry["argument"] in ("PATH", "FILE")]
    chosen = {entry["name"]: entry["suggestions"] or " ".join(entry["words"]) for entry in entries}
    if paths:
        yield f'    {pattern(paths)}) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;'
    for name, words in chosen.items():
        if words:
            yield f'    --{name}) {ANSWER} "{words}" -- "$current"); return ;;'
    free = [entry["name"] for entry in entries
            if not entry["flag"] and entry["name"] not in paths and not chosen[entry["name"]]]
    if free:
        yield f"    {pattern(free)}) return ;;"


def names(entries, command=None):
    return " ".join(f"--{entry['name']}" for entry in entries
                    if (entry["commands"] >> command & 1 if command is not None
                        else not entry["commands"]))


def command_options(table, entries):
    cases = "".join(f'    {name}) options="{names(entries, number)}" ;;\n'
                    for number, (name, _) in enumerate(table["commands"]))
    return f"    case $command in\n{cases}    esac\n"


def completion(table):
    entries = [entry for entry in table["entries"] if not entry["heading"]]
    program, commands = table["program"], table["commands"]
    search = options_of = words = ""
    if commands:
        search = SEARCH.format(
            commands=" ".join(name for name, _ in commands),
            valued=pattern([entry["name"] for entry in entries if not entry["flag"]] +
                           ["config"] * table["config"]))
        options_of = command_options(table, entries)
        words = WORDS.format(answer=ANSWER, program=program, of_a_site="|".join(
            name for name, arguments in commands if "SITE" in arguments))
    common = names(entries) + (" --config" if table["config"] else "") + " --help --version"
    return f"# bash completion for {program}\n\n" + ONE.format(
        function=program.replace("-", "_"), program=program, search=search, options=options_of,
        values="\n".join(values(table, entries)), answer=ANSWER, words=words,
        names=("$options " if commands else "") + common)


def main():
    what, program, *template = sys.argv[1:]
    table = json.loads(subprocess.run([program], capture_output=True, check=True).stdout)
    sys.stdout.write(manual(table, *template) if what == "man" else completion(table))


if __name__ == "__main__":
    main()
