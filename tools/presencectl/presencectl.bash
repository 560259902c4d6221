# bash completion for presencectl(1)

_presencectl()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local commands="count top sites peak history events watch explain seen stats status verify help"
    local common="--json --segment --help --version" options command="" site="" segment="" word i

    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --segment) segment=${COMP_WORDS[++i]} ;;
        --window | --by | --limit | --since | --step | --database | --country | --source) ((i++)) ;;
        -*) ;;
        *) if [[ -z $command ]]; then command=$word; elif [[ -z $site ]]; then site=$word; fi ;;
        esac
    done

    case $previous in
    --segment | --database) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --by) mapfile -t COMPREPLY < <(compgen -W "room country source" -- "$current"); return ;;
    --window) mapfile -t COMPREPLY < <(compgen -W "1m 5m 10m 30m 1h" -- "$current"); return ;;
    --since) mapfile -t COMPREPLY < <(compgen -W "10m 1h 6h 1d 1w" -- "$current"); return ;;
    --step) mapfile -t COMPREPLY < <(compgen -W "1m 5m 10m 1h 1d" -- "$current"); return ;;
    --limit | --country | --source) return ;;
    esac
    case $command in
    count) options="--window --country --source" ;;
    top) options="--window --by --limit" ;;
    sites) options="--window --limit" ;;
    peak) options="--database --country --source" ;;
    history) options="--since --step --table --csv --database --country --source" ;;
    events) options="--since --limit --follow --csv" ;;
    watch) options="--by --since" ;;
    explain) options="--country --source" ;;
    stats) options="--all" ;;
    *) options="" ;;
    esac

    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options $common" -- "$current")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
    elif [[ $command == help ]]; then
        [[ -n $site ]] || mapfile -t COMPREPLY < <(compgen -W "${commands% help}" -- "$current")
    elif [[ $command == @(count|top|seen|peak|history|events|watch|explain) && -z $site ]]; then
        # Sites without a character that would need quoting.
        mapfile -t COMPREPLY < <(compgen -W "$(
            presencectl ${segment:+--segment "$segment"} sites 2>/dev/null |
                awk 'NR > 2 && $1 ~ /^[A-Za-z0-9._-]+$/ { print $1 }')" -- "$current")
    fi
}

complete -F _presencectl presencectl
