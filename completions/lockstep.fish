# fish completion of lockstep: asks the program itself, which looks at the inventory and the record and at nothing else.
function __lockstep_candidates
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] __complete -- $words[2..-1] 2>/dev/null)
    for line in $found
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c lockstep -f -a '(__lockstep_candidates)'
