# steps.sh - what the scripts in a bare root share. To be sourced there, in the tree.

# block NAME: print the code block of the documents that has this name
block() {
    awk -v opening="\`\`\`$1" '$0 == opening { inside = found = 1; next } /^```$/ { inside = 0 } inside
        END { exit !found }' README.md docs/*.md || { echo "no block '$1'" >&2; return 1; }
}

# wait_for WHAT COMMAND...: wait until the command succeeds, for a minute at most
wait_for() {
    local what=$1 deadline=$((SECONDS + 60))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || { echo "no $what within a minute: $*" >&2; "$@" || true; return 1; }
        sleep 0.5
    done
}
