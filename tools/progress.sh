# progress.sh - show how far an installation or a build is. To be sourced.

# show TEXT: on a terminal in the place of the text before, otherwise on a line of its own
show() {
    if [ -t 2 ]; then
        printf '\r\e[K%.*s' "$(($(stty size <&2 2>/dev/null | cut -d' ' -f2 || echo 80) - 1))" "$1" >&2
    else
        echo "$1" >&2
    fi
}

# show_end: remove the text from the terminal
show_end() {
    [ ! -t 2 ] || printf '\r\e[K' >&2
}

# show_steps LOG WORD: append what install_missing or ninja prints to LOG, and show how far it is.
# Without a terminal, ninja's steps take ten lines.
show_steps() {
    local line steps all
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$1"
        case $line in
        installing:*) show "$line" ;;
        Unpacking* | 'Setting up'*)
            if [ -t 2 ]; then show "$2: ${line%% (*}"; fi
            ;;
        '['*/*'] '*)
            line=${line#[} line=${line%%]*} steps=${line%/*} all=${line#*/}
            if [ -t 2 ] || [ $((steps * 10 / all)) -ne $(((steps - 1) * 10 / all)) ]; then
                show "$2: $steps of $all"
            fi
            ;;
        esac
    done
}
