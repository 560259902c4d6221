"""Render the completion for bash, from a program's table of options."""

from completion import (commands_with, entries, fill, function, is_name, is_path, of_command,
                        words)

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


def pattern(names, separator="|"):
    return separator.join(f"--{name}" for name in names)


def values(table):
    """The cases of an option whose value is typed."""
    paths = [entry["name"] for entry in entries(table) if is_path(entry)]
    yield "    " + " | ".join([f"--{path}" for path in paths] + ["'>'"]) + \
        f") _{function(table)}_files; return ;;"
    for entry in entries(table):
        source = ""
        if words(entry):
            source = f"printf '%s\\n' {' '.join(words(entry))}"
        elif is_name(table, entry):
            source = f"_{function(table)}_names top --by {entry['name']}"
        if source:
            yield f"    --{entry['name']}) _{function(table)}_offer < <({source}); return ;;"


def command_options(table):
    """The options of the command on the line, beside those of all commands."""
    cases = ""
    for number, command in enumerate(table["commands"]):
        names = [entry["name"] for entry in entries(table) if of_command(entry, number)]
        if names:
            cases += f'    {command["name"]}) options+=" {pattern(names, " ")}" ;;\n'
    return f"    case ${{arguments[0]-}} in\n{cases}    esac\n"


def completion(table):
    general = [entry["name"] for entry in entries(table) if not entry["commands"]]
    options = f'    options="{pattern(general, " ")}"\n'
    text = COMPLETION
    if table["commands"]:
        options += command_options(table)
        text = text.replace("_@function@()\n", NAMES + "_@function@()\n")
    text = fill(text, values="\n".join(values(table)), options=options,
                words=WORDS if table["commands"] else "",
                valued=pattern([entry["name"] for entry in entries(table) if not entry["flag"]]))
    return fill(text, function=function(table), program=table["program"],
                commands=" ".join(command["name"] for command in table["commands"]),
                of_a_site="|".join(commands_with(table, "SITE")),
                of_a_room="|".join(commands_with(table, "ROOM")))
