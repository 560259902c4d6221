"""Render the completion for fish, from a program's table of options."""

from completion import (commands_with, entries, fill, function, is_name, is_path, of_command,
                        words)

# Of a program with commands: what may stand on the line depends on those before the cursor.
COMMANDS = r"""# The arguments before the cursor. given: what of them says which segment is read; only: -- was there.
function __@function@_arguments
    set -g __@function@_given
    set -g __@function@_only
    set -l option
    for word in (commandline -opc)[2..]
        if test -n "$option"
            contains -- $option --segment --config && set -a __@function@_given $option $word
            set option
        else if test -n "$__@function@_only"; or not string match -q -- '-*' $word
            echo -- $word
        else if test "$word" = --
            set __@function@_only 1
        else if string match -qr -- '^--(segment|config)=' $word
            set -a __@function@_given $word
        else if contains -- $word @valued@
            set option $word
        end
    end
end

# True if the command is one of these and has that many arguments; without commands: if there is none.
function __@function@_at -a count
    set -l words (__@function@_arguments)
    test (count $words) -eq $count; and begin
        not set -q argv[2]; or contains -- "$words[1]" $argv[2..]
    end
end

function __@function@_has
    set -l words (__@function@_arguments)
    contains -- "$words[1]" $argv
end

# Print the sites, or what the site on the command line has.
function __@function@_names
    set -l words (__@function@_arguments)
    test "$argv[1]" = sites; or set argv $argv --all -- "$words[2]"
    set -l names (@program@ (string replace -r '^~/' ~/ -- $__@function@_given) --names --limit 0 \
        $argv 2>/dev/null)
    test -n "$__@function@_only"; and string join -- \n $names; or string match -v -- '-*' $names
end

complete -c @program@ -n '__@function@_at 0' -a help -d 'explain a command'
complete -c @program@ -k -n '__@function@_at 1 @of_a_site@' -a '(__@function@_names sites)'
complete -c @program@ -k -n '__@function@_at 2 @of_a_room@' -a '(__@function@_names top --by room)'
"""


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def value(table, entry):
    """How the value of an option is completed."""
    if entry["flag"]:
        return ""
    if is_path(entry):
        return " -rF"
    if words(entry):
        return f" -xka {quoted(' '.join(words(entry)))}"
    if is_name(table, entry):
        return f" -xka '(__{function(table)}_names top --by {entry['name']})'"
    return " -x"


def option(table, entry):
    commands = [command["name"] for number, command in enumerate(table["commands"])
                if of_command(entry, number)]
    condition = f" -n '__{function(table)}_has {' '.join(commands)}'" if commands else ""
    return (f"complete -c {table['program']}{condition} -l {entry['name']}{value(table, entry)} "
            f"-d {quoted(entry['help'])}\n")


def command(table, entry):
    return (f"complete -c {table['program']} -n '__{function(table)}_at 0; or "
            f"__{function(table)}_at 1 help' -a {entry['name']} -d {quoted(entry['summary'])}\n")


def completion(table):
    text = f"# fish completion for {table['program']}\n\ncomplete -c {table['program']} -f\n"
    if table["commands"]:
        text += "\n" + fill(
            COMMANDS, program=table["program"], function=function(table),
            of_a_site=" ".join(commands_with(table, "SITE")),
            of_a_room=" ".join(commands_with(table, "ROOM")),
            valued=" ".join(f"--{entry['name']}" for entry in entries(table) if not entry["flag"]))
        text += "".join(command(table, entry) for entry in table["commands"])
    return text + "".join(option(table, entry) for entry in entries(table))
