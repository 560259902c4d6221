"""Render a program's table of options, as PROGRAM-options prints it.

    render.py man TABLE TEMPLATE DATADIR SYSCONFDIR
                                             the manual: the template, with the list of options in
                                             place of its line @OPTIONS@, and the directories where
                                             files are installed
    render.py bash TABLE                     the completion
    render.py conf TABLE SECTION             the commented configuration, which names the manual

In help and details, names of options, of counters and of manuals, such as presenced(8), become bold.
"""

import json
import re
import sys

from configuration import configuration

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
    return text + CONFIG + HELP


def manual(table, path, datadir, sysconfdir):
    with open(path, encoding="utf-8") as file:
        before, place, after = file.read().partition("@OPTIONS@\n")
    if not place:
        sys.exit(f"{path}: no line @OPTIONS@")
    text = before + options(table) + after
    for name, directory in (("@DATADIR@", datadir), ("@SYSCONFDIR@", sysconfdir)):
        text = text.replace(name, directory.replace("-", r"\-"))
    return text


# ---- the completion ------------------------------------------------------------------------------

COMPLETION = r"""# bash completion for @program@

# Split the command line up to the cursor. words: those before the last one, without their quotes;
# word: the last one, likewise; kept: its beginning, which readline leaves as it is; quote: the one
# that is open.
_@function@_split()
{
    local line=${COMP_LINE-} before="" begun="" next c i

    line=${line:0:COMP_POINT}
    [[ -n ${COMP_LINE-} ]] || line="${COMP_WORDS[*]:0:COMP_CWORD + 1}"
    words=() word="" kept="" quote=""
    for ((i = 0; i < ${#line}; i++)); do
        c=${line:i:1}
        if [[ -n $quote && $c == "$quote" ]]; then
            quote="" kept=$before
        elif [[ $quote == "'" ]]; then
            word+=$c
        elif [[ $c == \\ ]]; then
            ((++i))
            next=${line:i:1}
            [[ -z $quote || -z $next || $next == [\"\$\\\`] ]] || word+=\\
            word+=$next begun=1
        elif [[ -n $quote ]]; then
            word+=$c
        elif [[ $c == [\'\"] ]]; then
            quote=$c before=$kept kept=$word begun=1
        elif [[ $c == [$' \t\n'] ]]; then
            [[ -z $begun ]] || words+=("$word")
            word="" kept="" begun=""
        else
            [[ $c != @ || $COMP_WORDBREAKS != *@* ]] || kept=$word # readline replaces the @, too
            word+=$c begun=1
            [[ $c == @ || $COMP_WORDBREAKS != *"$c"* ]] || kept=$word
        fi
    done
}

# Quote a name as the shell wants it where the cursor is.
_@function@_quote()
{
    local c

    case $quote in
    \') name=${name//\'/"'\\''"} ;;
    \")
        for c in \\ \" \$ \`; do
            name=${name//"$c"/"\\$c"}
        done
        name=${name//!/'"\!"'}
        ;;
    *)
        [[ $name == *[]\\\ \!\"\#\$\&\'\(\)\*\;\<\>\?\[\^\`\{\|\}~]* ]] || return
        for c in \\ ' ' ! \" \# \$ \& \' \( \) \* \; \< \> \? [ ] ^ \` { \| } \~; do
            name=${name//"$c"/"\\$c"}
        done
        ;;
    esac
}

# Offer those of the names on stdin, one a line, that begin with the last word.
_@function@_offer()
{
    local name

    COMPREPLY=()
    while IFS= read -r name; do
        [[ $name != -* || -n $option || -n $only || $word == -* ]] || continue
        name=$head$name
        [[ $name == "$word"* ]] || continue
        name=${name:${#kept}}
        _@function@_quote
        [[ -z $quote || $name != *"$quote" ]] || name+=$quote # readline adds no second one
        COMPREPLY+=("$name")
    done
}

_@function@_files()
{
    local name

    compopt -o filenames 2>/dev/null
    COMPREPLY=()
    while IFS= read -r name; do
        name=$head$name
        COMPREPLY+=("${name:${#kept}}")
    done < <(compgen -f -- "${word#"$head"}")
}

_@function@()
{
    local IFS=$' \t\n' words word kept quote arguments=() given=() option="" only="" head="" options i

    _@function@_split
    for ((i = 1; i < ${#words[@]}; i++)); do
        if [[ ${words[i]} == *[\<\>] ]]; then # a redirection
            ((++i < ${#words[@]})) || option=">"
        elif [[ -n $only || ${words[i]} != -* ]]; then
            arguments+=("${words[i]}")
        elif [[ ${words[i]} == -- ]]; then
            only=1
        elif [[ ${words[i]} == @(@valued@) ]]; then
            option=${words[i++]}
            ((i < ${#words[@]})) || break
            [[ $option != @(--segment|--config) ]] || given+=("$option" "${words[i]}")
            option=""
        elif [[ ${words[i]} == @(--segment|--config)=* ]]; then
            given+=("${words[i]}")
        fi
    done
    if [[ -z $option$only && $word == --*=* ]]; then
        option=${word%%=*} head=$option=
    fi

    case $option in
@values@
    --*) return ;;
    esac
@options@    if [[ $word == -* && -z $only ]]; then
        _@function@_offer < <(printf '%s\n' $options)
@words@    fi
}

complete -F _@function@ @program@
"""
WORDS = r"""    elif ((${#arguments[@]} == 0)); then
        _@function@_offer < <(printf '%s\n' @commands@ help)
    elif [[ ${arguments[0]} == help ]]; then
        ((${#arguments[@]} > 1)) || _@function@_offer < <(printf '%s\n' @commands@)
    elif [[ ${arguments[0]} == @(@of_a_site@) ]] && ((${#arguments[@]} == 1)); then
        _@function@_offer < <(_@function@_names sites)
    elif [[ ${arguments[0]} == @(@of_a_room@) ]] && ((${#arguments[@]} == 2)); then
        _@function@_offer < <(_@function@_names top --by room)
"""
NAMES = r"""# Print the sites, or what the site on the command line has.
_@function@_names()
{
    [[ $1 == sites ]] || set -- "$@" --all -- "${arguments[1]}"
    @program@ "${given[@]/#\~\//$HOME/}" --names --limit 0 "$@" 2>/dev/null
}

"""


def fill(text, **values):
    """The text with its @names@ replaced."""
    return re.sub(r"@(\w+)@", lambda name: values.get(name[1], name[0]), text)


def pattern(names, separator="|"):
    return separator.join(f"--{name}" for name in names)


def values(table, entries):
    """The cases of an option whose value is typed."""
    paths = ["config"] + [entry["name"] for entry in entries if entry["argument"] in ("PATH", "FILE")]
    yield "    " + " | ".join([f"--{path}" for path in paths] + ["'>'"]) + \
        ") _@function@_files; return ;;"
    for entry in entries:
        words = entry["suggestions"] or " ".join(entry["words"])
        if words:
            yield (f"    --{entry['name']}) _@function@_offer < <(printf '%s\\n' {words}); "
                   "return ;;")
        elif table["commands"] and entry["name"] in ("country", "source"):
            yield (f"    --{entry['name']}) _@function@_offer < <(_@function@_names top "
                   f"--by {entry['name']}); return ;;")


def option_names(entries, command=None):
    return pattern([entry["name"] for entry in entries
                    if (entry["commands"] >> command & 1 if command is not None
                        else not entry["commands"])], " ")


def command_options(table, entries):
    cases = "".join(f'    {name}) options+=" {option_names(entries, number)}" ;;\n'
                    for number, (name, _) in enumerate(table["commands"])
                    if option_names(entries, number))
    return f"    case ${{arguments[0]-}} in\n{cases}    esac\n"


def completion(table):
    entries = [entry for entry in table["entries"] if not entry["heading"]]
    commands = table["commands"]
    options = f'    options="{option_names(entries)} --config --help --version"\n'
    text = COMPLETION
    if commands:
        options += command_options(table, entries)
        text = text.replace("_@function@()\n", NAMES + "_@function@()\n")
    text = fill(text, values="\n".join(values(table, entries)), options=options,
                words=WORDS if commands else "",
                valued=pattern([entry["name"] for entry in entries if not entry["flag"]] + ["config"]))
    return fill(text, function=table["program"].replace("-", "_"), program=table["program"],
                commands=" ".join(name for name, _ in commands),
                of_a_site="|".join(name for name, arguments in commands if "SITE" in arguments),
                of_a_room="|".join(name for name, arguments in commands if "ROOM" in arguments))


def main():
    what, path, *arguments = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        table = json.load(file)
    render = {"man": manual, "bash": completion, "conf": configuration}[what]
    sys.stdout.write(render(table, *arguments))


if __name__ == "__main__":
    main()
