# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_trib_global_optspecs
    string join \n a/pass= askpass user= no-auth-warning t/connect-timeout= y/yes v/verbose color= h/help V/version
end

function __fish_trib_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_trib_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_trib_using_subcommand
    set -l cmd (__fish_trib_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c trib -n "__fish_trib_needs_command" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_needs_command" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_needs_command" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_needs_command" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_needs_command" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_needs_command" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_needs_command" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_needs_command" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_needs_command" -s V -l version -d 'Print version'
complete -c trib -n "__fish_trib_needs_command" -f -a "create" -d 'Create a cluster from empty nodes'
complete -c trib -n "__fish_trib_needs_command" -f -a "check" -d 'Check that the cluster is healthy: agreement, open slots, coverage, dead nodes'
complete -c trib -n "__fish_trib_needs_command" -f -a "info" -d 'Show keys, slots and replicas of every primary'
complete -c trib -n "__fish_trib_needs_command" -f -a "fix" -d 'Repair open slots, slots that nobody owns or several, and disagreement about them'
complete -c trib -n "__fish_trib_needs_command" -f -a "reshard" -d 'Move slots, with their keys, from some primaries to another one'
complete -c trib -n "__fish_trib_needs_command" -f -a "rebalance" -d 'Move slots so that every primary owns its share of them'
complete -c trib -n "__fish_trib_needs_command" -f -a "add-node" -d 'Add a node, as an empty primary or with --slave as a replica'
complete -c trib -n "__fish_trib_needs_command" -f -a "del-node" -d 'Remove a node that owns no slots, also a dead one'
complete -c trib -n "__fish_trib_needs_command" -f -a "set-timeout" -d 'Set the node timeout of every node, now and in its configuration file'
complete -c trib -n "__fish_trib_needs_command" -f -a "call" -d 'Run a command on every node'
complete -c trib -n "__fish_trib_needs_command" -f -a "import" -d 'Move the keys of a standalone server into the cluster'
complete -c trib -n "__fish_trib_needs_command" -f -a "up" -d 'Start a cluster on this machine'
complete -c trib -n "__fish_trib_needs_command" -f -a "down" -d 'Stop a cluster that \'trib up\' started'
complete -c trib -n "__fish_trib_needs_command" -f -a "ps" -d 'List the nodes of a cluster that \'trib up\' started'
complete -c trib -n "__fish_trib_needs_command" -f -a "help" -d 'Print help, of a subcommand when one is named'
complete -c trib -n "__fish_trib_using_subcommand create" -l replicas -l replica -d 'Replicas of each primary' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l wait -d 'How long the nodes may take to join, and then to come up' -r
complete -c trib -n "__fish_trib_using_subcommand create" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand create" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand create" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand create" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand create" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand create" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand check" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand check" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand check" -l search-multiple-owners -d 'Also look for slots whose keys are on several primaries'
complete -c trib -n "__fish_trib_using_subcommand check" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand check" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand check" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand check" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand info" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand info" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand info" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand info" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand info" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand info" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand fix" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l pipeline -d 'Most keys in one MIGRATE [default: as many as take about 10 ms]' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand fix" -l search-multiple-owners -d 'Also look for slots whose keys are on several primaries'
complete -c trib -n "__fish_trib_using_subcommand fix" -l fix-with-unreachable-masters -l fix-with-unreachable-primaries -d 'Give away the slots of primaries that do not answer: their keys are lost unless they come back'
complete -c trib -n "__fish_trib_using_subcommand fix" -l dry-run -d 'Show what would be done, and do nothing'
complete -c trib -n "__fish_trib_using_subcommand fix" -l replace -d 'Overwrite keys that exist on the receiving node'
complete -c trib -n "__fish_trib_using_subcommand fix" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand fix" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand fix" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand fix" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand fix" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l from -d 'The primaries that give slots, separated by commas, or \'all\'' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l to -d 'The primary that receives them' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l slots -d 'How many slots to move' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l pipeline -d 'Most keys in one MIGRATE [default: as many as take about 10 ms]' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand reshard" -l dry-run -d 'Show what would be moved, and move nothing'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l replace -d 'Overwrite keys that exist on the receiving node'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand reshard" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand reshard" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand reshard" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l weight -d 'Weight of a node, named by the beginning of its ID; may be given for several nodes' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l threshold -d 'How far from its share a node may be, in percent of the slots it owns' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l pipeline -d 'Most keys in one MIGRATE [default: as many as take about 10 ms]' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l auto-weights -d 'Weigh every node that is not named by the memory it may use (maxmemory)'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l use-empty-masters -l use-empty-primaries -d 'Give slots to primaries that own none'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l simulate -d 'Show what would be moved, and move nothing'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l dry-run -d 'The same, and end with 4 when there is something to move'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l replace -d 'Overwrite keys that exist on the receiving node'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l master-id -l primary-id -d 'The primary to replicate (implies --slave); without it the one with the fewest replicas' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l wait -d 'How long the node may take to join, and then to come up' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand add-node" -l slave -l replica -d 'Add it as a replica'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand add-node" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand add-node" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand add-node" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand del-node" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand del-node" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand del-node" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand del-node" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand del-node" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand call" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand call" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand call" -l only-masters -l only-primaries -d 'Only on primaries'
complete -c trib -n "__fish_trib_using_subcommand call" -l only-replicas -d 'Only on replicas'
complete -c trib -n "__fish_trib_using_subcommand call" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand call" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand call" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand call" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand call" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand import" -l from -d 'The server to take the keys from' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l from-user -d 'User on the source' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l from-pass -d 'Password of the source' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l pipeline -d 'Keys in one MIGRATE' -r
complete -c trib -n "__fish_trib_using_subcommand import" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand import" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand import" -l from-askpass -d 'Ask for the password of the source'
complete -c trib -n "__fish_trib_using_subcommand import" -l copy -d 'Leave the keys on the source'
complete -c trib -n "__fish_trib_using_subcommand import" -l replace -d 'Overwrite keys that exist in the cluster'
complete -c trib -n "__fish_trib_using_subcommand import" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand import" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand import" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand import" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand up" -l port -d 'Port of the first node; the others follow [default: 7000]' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l dir -d 'Where the nodes live' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -l server-bin -d 'The server program to start instead of \'node\'' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand up" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand up" -l allow-few -d 'Allow fewer than 3 primaries'
complete -c trib -n "__fish_trib_using_subcommand up" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand up" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand up" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand up" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand down" -l dir -d 'Where the nodes live' -r -F
complete -c trib -n "__fish_trib_using_subcommand down" -l grace -d 'How long the nodes may take to save and end before they are killed' -r
complete -c trib -n "__fish_trib_using_subcommand down" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand down" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand down" -l purge -d 'Delete the data and everything else \'trib up\' made'
complete -c trib -n "__fish_trib_using_subcommand down" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand down" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand down" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand down" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand ps" -l dir -d 'Where the nodes live' -r -F
complete -c trib -n "__fish_trib_using_subcommand ps" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand ps" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand ps" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand ps" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand ps" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand help" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand help" -s t -l connect-timeout -d 'How long a connection may take to come up' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand help" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand help" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand help" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand help" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'
