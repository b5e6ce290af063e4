# bash completion of lockstep: asks the program itself, which looks at the inventory and the record and at nothing else.
_lockstep() {
    local line files=no current=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    # bash takes : and = for the ends of words.
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}") joined=() i
    for ((i = 0; i < ${#words[@]}; i++)); do
        if [[ ${#joined[@]} -gt 0 && ${words[i]} =~ ^[:=]+$ ]]; then
            joined[-1]+=${words[i]}
            if ((i + 1 < ${#words[@]})); then joined[-1]+=${words[++i]}; fi
        else
            joined+=("${words[i]}")
        fi
    done
    local typed=${joined[-1]-}
    local before=${typed%"$current"}
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        case $line in
            :files) files=yes ;;
            *) COMPREPLY+=("${line#"$before"}") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete -- "${joined[@]}" 2>/dev/null)
    if [ "$files" = yes ]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current")
    fi
    # An input, `target=`, goes on with its value.
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _lockstep lockstep
