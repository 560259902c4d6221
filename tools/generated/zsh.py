"""Render the completion for zsh, from a program's table of options."""

from completion import (commands_with, entries, fill, function, is_name, is_path, of_command,
                        words)

COMPLETION = r"""#compdef @program@

_@function@()
{
    local -a specs

    specs=(
@options@
    )
    _arguments -S : $specs
}

_@function@ "$@"
"""
# Of a program with commands: what may stand on the line depends on those before the cursor.
COMMANDS = r"""#compdef @program@

# Offer the sites, or what the site on the command line has.
_@function@_names()
{
    local -a names

    [[ $1 == sites ]] || set -- "$@" --all -- "$arguments[2]"
    names=("${(@f)$(@program@ "${given[@]/#\~\//$HOME/}" --names --limit 0 "$@" 2>/dev/null)}")
    names=("${(@)names:#}")
    [[ -n $only ]] || names=("${(@)names:#-*}")
    compadd "$expl[@]" -a names
}

_@function@_commands()
{
    local -a commands

    commands=(
@commands@
    )
    _describe -t commands command commands
}

_@function@()
{
    local -a options specs arguments given
    local only word i

    for ((i = 2; i < CURRENT; i++)); do
        word=${(Q)words[i]}
        if [[ -n $only || $word != -* ]]; then
            arguments+=("$word")
        elif [[ $word == -- ]]; then
            only=1
        elif [[ $word == --(segment|config)=* ]]; then
            given+=("$word")
        elif [[ $word == (@valued@) ]]; then
            ((++i < CURRENT)) || break
            [[ $word != --(segment|config) ]] || given+=("$word" "${(Q)words[i]}")
        fi
    done

    options=(
@options@
    )
    specs=('1:command:_@function@_commands')
    case $arguments[1] in
@cases@
    esac
    case $arguments[1] in
    help) specs+=('2:command:_@function@_commands') ;;
    @of_a_room@) specs+=('2:site: _@function@_names sites' '3:room: _@function@_names top --by room') ;;
    @of_a_site@) specs+=('2:site: _@function@_names sites') ;;
    esac
    if [[ -n $only ]]; then # only arguments are left, also those that begin with a dash
        words=("$words[1]" "${(@q)arguments}" "${(@)words[CURRENT,-1]}")
        CURRENT=$(($#arguments + 2)) options=()
    fi
    _arguments : $options $specs
}

_@function@ "$@"
"""


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def escaped(text, characters):
    return "".join("\\" + one if one in "\\" + characters else one for one in text)


def action(table, entry):
    """How the value of an option is completed."""
    if words(entry):
        return f"({' '.join(words(entry))})"
    if is_path(entry):
        return "_files"
    if is_name(table, entry):
        return f" _{function(table)}_names top --by {entry['name']}"
    return " "


def spec(table, entry):
    """An option as _arguments wants it."""
    text = ("*" if entry["repeatable"] else "") + f"--{entry['name']}"
    text += ("" if entry["flag"] else "=") + f"[{escaped(entry['help'], '[]')}]"
    if not entry["flag"]:
        text += f":{escaped(entry['argument'], ':')}:{action(table, entry)}"
    return quoted(text)


def specs(table, chosen, indent):
    return "\n".join(f"{' ' * indent}{spec(table, entry)}" for entry in chosen)


def cases(table):
    """The options of the command on the line, beside those of all commands."""
    for number, command in enumerate(table["commands"]):
        chosen = [entry for entry in entries(table) if of_command(entry, number)]
        if chosen:
            yield (f"    {command['name']})\n        options+=(\n{specs(table, chosen, 12)}\n"
                   "        )\n        ;;")


def commands(table):
    summaries = [(command["name"], command["summary"]) for command in table["commands"]]
    lines = [f"{name}:{escaped(summary, ':')}"
             for name, summary in [*summaries, ("help", "explain a command")]]
    return "\n".join(f"        {quoted(line)}" for line in lines)


def completion(table):
    options = specs(table, [entry for entry in entries(table) if not entry["commands"]], 8)
    rooms = commands_with(table, "ROOM")
    return fill(COMMANDS if table["commands"] else COMPLETION, options=options,
                program=table["program"], function=function(table), commands=commands(table),
                cases="\n".join(cases(table)), of_a_room="|".join(rooms),
                of_a_site="|".join(name for name in commands_with(table, "SITE") if name not in rooms),
                valued="|".join(f"--{entry['name']}" for entry in entries(table) if not entry["flag"]))
