# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_trib_global_optspecs
    string join \n a/pass= askpass user= u/uri= auth-file= no-auth-warning t/connect-timeout= read-timeout= 4/ipv4 6/ipv6 map= inventory= tls sni= cacert= cacertdir= cert= key= insecure verify-name tls-ciphers= tls-ciphersuites= journal= lock-wait= force y/yes json v/verbose color= h/help V/version
end

function __fish_trib_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    set cmd (string match -v -- '@*' $cmd)
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
complete -c trib -n "__fish_trib_needs_command" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_needs_command" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_needs_command" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_needs_command" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_needs_command" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_needs_command" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_needs_command" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_needs_command" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_needs_command" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_needs_command" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_needs_command" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_needs_command" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_needs_command" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_needs_command" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_needs_command" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_needs_command" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_needs_command" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_needs_command" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_needs_command" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_needs_command" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_needs_command" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_needs_command" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_needs_command" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_needs_command" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_needs_command" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_needs_command" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_needs_command" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_needs_command" -s V -l version -d 'Print version'
complete -c trib -n "__fish_trib_needs_command" -f -a "create" -d 'Create a cluster from empty nodes'
complete -c trib -n "__fish_trib_needs_command" -f -a "check" -d 'Check that the cluster is healthy: agreement, open slots, coverage, dead nodes, and what would not survive a failure'
complete -c trib -n "__fish_trib_needs_command" -f -a "info" -d 'Show keys, slots and replicas of every primary'
complete -c trib -n "__fish_trib_needs_command" -f -a "fix" -d 'Repair open slots, slots that nobody owns or several, and disagreement about them'
complete -c trib -n "__fish_trib_needs_command" -f -a "reshard" -d 'Move slots, with their keys, from some primaries to another one'
complete -c trib -n "__fish_trib_needs_command" -f -a "rebalance" -d 'Move slots so that every primary owns its share of them, or of what they cost'
complete -c trib -n "__fish_trib_needs_command" -f -a "add-node" -d 'Add a node, as an empty primary or with --slave as a replica'
complete -c trib -n "__fish_trib_needs_command" -f -a "del-node" -d 'Remove a node, also a dead one'
complete -c trib -n "__fish_trib_needs_command" -f -a "drain" -d 'Move all slots of some primaries to the others'
complete -c trib -n "__fish_trib_needs_command" -f -a "forget-failed" -d 'Remove all nodes that have failed and own no slots'
complete -c trib -n "__fish_trib_needs_command" -f -a "failover" -d 'Let a replica take over from its primary, in an orderly way'
complete -c trib -n "__fish_trib_needs_command" -f -a "rebalance-roles" -d 'Spread the primaries evenly over hosts, or over zones and their hosts, by the fewest failovers'
complete -c trib -n "__fish_trib_needs_command" -f -a "roll" -d 'Restart all nodes one by one, while the cluster serves'
complete -c trib -n "__fish_trib_needs_command" -f -a "reset" -d 'Reset nodes: they forget their slots and all other nodes'
complete -c trib -n "__fish_trib_needs_command" -f -a "set-timeout" -d 'Set the node timeout of every node, now and in its configuration file'
complete -c trib -n "__fish_trib_needs_command" -f -a "call" -d 'Run a command on every node'
complete -c trib -n "__fish_trib_needs_command" -f -a "import" -d 'Bring keys into the cluster: of a server, of another cluster, or of a snapshot file'
complete -c trib -n "__fish_trib_needs_command" -f -a "backup" -d 'Save a snapshot of every primary, and the shape of the cluster, in a directory'
complete -c trib -n "__fish_trib_needs_command" -f -a "restore" -d 'Restore a backup into a cluster, of whatever shape'
complete -c trib -n "__fish_trib_needs_command" -f -a "verify" -d 'Check that a backup is whole, and that a cluster has all that is in it'
complete -c trib -n "__fish_trib_needs_command" -f -a "apply" -d 'Carry out a plan that \'--dry-run --json\' has printed'
complete -c trib -n "__fish_trib_needs_command" -f -a "jobs" -d 'List what was changed from this host, and how it ended'
complete -c trib -n "__fish_trib_needs_command" -f -a "resume" -d 'Finish what a run that was cut off had begun'
complete -c trib -n "__fish_trib_needs_command" -f -a "undo" -d 'Take back what a run did, whether it was finished or cut off'
complete -c trib -n "__fish_trib_needs_command" -f -a "status" -d 'Show shards, roles, slots, keys, memory, load and lag of all nodes'
complete -c trib -n "__fish_trib_needs_command" -f -a "slots" -d 'List the ranges of slots with their primaries and replicas, or the slots that are used most'
complete -c trib -n "__fish_trib_needs_command" -f -a "where" -d 'Show where keys live: slot, primary, replicas, and what is stored'
complete -c trib -n "__fish_trib_needs_command" -f -a "bigkeys" -d 'List the biggest keys of every type'
complete -c trib -n "__fish_trib_needs_command" -f -a "top" -d 'Show shards, roles, load, memory and lag on a live screen'
complete -c trib -n "__fish_trib_needs_command" -f -a "cli" -d 'Talk with a server: type commands, or give one on the command line'
complete -c trib -n "__fish_trib_needs_command" -f -a "config" -d 'Read, set and compare the servers\' configuration on all nodes'
complete -c trib -n "__fish_trib_needs_command" -f -a "up" -d 'Start a cluster on this machine'
complete -c trib -n "__fish_trib_needs_command" -f -a "down" -d 'Stop a cluster that \'trib up\' started'
complete -c trib -n "__fish_trib_needs_command" -f -a "ps" -d 'List the nodes of a cluster that \'trib up\' started'
complete -c trib -n "__fish_trib_needs_command" -f -a "help" -d 'Print help, of a subcommand when one is named'
complete -c trib -n "__fish_trib_using_subcommand create" -l replicas -l replica -d 'Replicas of each primary' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l spread -d 'Keep primaries apart from each other and from their replicas' -r -f -a "host\t'Hosts'
zone\t'Availability zones, and the hosts of a zone'"
complete -c trib -n "__fish_trib_using_subcommand create" -l zone -d 'The zone of a node, or of all nodes of a host; may be given many times. Without it the zone is what the server tells (its directive availability-zone)' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand create" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand create" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand create" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand create" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand create" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand create" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand create" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand create" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand create" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand create" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand create" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand create" -l allow-few -d 'Allow fewer than 3 primaries, of which none can be replaced by itself when it fails'
complete -c trib -n "__fish_trib_using_subcommand create" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand create" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand create" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand create" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand create" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand create" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand create" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand create" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand create" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand create" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand create" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand create" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand check" -l fail-on -d 'What makes the check fail' -r -f -a "note\t'Worth knowing'
warn\t'Works, but would not survive something that happens'
error\t'Does not work'"
complete -c trib -n "__fish_trib_using_subcommand check" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand check" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand check" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand check" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand check" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand check" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand check" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand check" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand check" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand check" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand check" -l search-multiple-owners -d 'Also look for slots whose keys are on several primaries'
complete -c trib -n "__fish_trib_using_subcommand check" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand check" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand check" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand check" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand check" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand check" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand check" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand check" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand check" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand check" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand check" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand info" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand info" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand info" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand info" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand info" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand info" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand info" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand info" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand info" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand info" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand info" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand info" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand info" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand info" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand info" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand info" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand info" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand info" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand info" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand info" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand info" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand fix" -l allow -d 'Make only repairs of these kinds [default: all]' -r -f -a "close\t'Close slots that are open without need: no key is moved'
finish\t'Finish moves that were begun: the slot goes to where it was going'
home\t'Bring keys that are elsewhere to the owner of their slot'
owner\t'Choose an owner, the one with most keys, for a slot that several claim, or an open one that nobody claims'
cover-empty\t'Give slots that nobody owns, and of which nobody holds a key, to the primaries with the fewest'
cover-keys\t'Give slots that nobody owns to the primary that holds most keys of them'"
complete -c trib -n "__fish_trib_using_subcommand fix" -l on-conflict -d 'Which value stays where a key exists on two nodes with different values' -r -f -a "fail\t'None is touched, and the slot stays open'
replace\t'The value that travels: it overwrites the one at the node that owns the slot in the end (as --replace)'
keep\t'The value at the node that owns the slot in the end: the one that travels is dropped'"
complete -c trib -n "__fish_trib_using_subcommand fix" -l quarantine -d 'Save every value that is overwritten or dropped in this directory first: a line of JSON with the key, the time to live and the DUMP, which \'trib undo\' or \'trib import --from FILE\' puts back' -r -F
complete -c trib -n "__fish_trib_using_subcommand fix" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l pipeline -d 'Most keys in one MIGRATE [default: as many as take about 10 ms]' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l max-keys-per-sec -d 'Move no more keys a second than this, over all nodes. Servers that move slots themselves are given so many at a time' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l max-bytes-per-sec -d 'Move no more bytes a second than this, over all nodes, as MEMORY USAGE counts them; with a unit as in 10mb' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l pause-if-p99-over -d 'Move nothing while the giving or the receiving node answers a PING in 100 later than this' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand fix" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand fix" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand fix" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand fix" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand fix" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand fix" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand fix" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand fix" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand fix" -l search-multiple-owners -d 'Also look for slots whose keys are on several primaries'
complete -c trib -n "__fish_trib_using_subcommand fix" -l fix-with-unreachable-masters -l fix-with-unreachable-primaries -d 'Give away the slots of primaries that do not answer: their keys are lost unless they come back'
complete -c trib -n "__fish_trib_using_subcommand fix" -l replace -d 'Overwrite keys that exist on the receiving node'
complete -c trib -n "__fish_trib_using_subcommand fix" -l ignore-memory -d 'Move slots even if the receiving node seems to have too little memory for their keys'
complete -c trib -n "__fish_trib_using_subcommand fix" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand fix" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand fix" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand fix" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand fix" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand fix" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand fix" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand fix" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand fix" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand fix" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand fix" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand fix" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand fix" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l from -d 'The primaries that give slots, separated by commas, or \'all\'' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l to -d 'The primary that receives them' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l slots -d 'How many slots to move' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l pipeline -d 'Most keys in one MIGRATE [default: as many as take about 10 ms]' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l max-keys-per-sec -d 'Move no more keys a second than this, over all nodes. Servers that move slots themselves are given so many at a time' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l max-bytes-per-sec -d 'Move no more bytes a second than this, over all nodes, as MEMORY USAGE counts them; with a unit as in 10mb' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l pause-if-p99-over -d 'Move nothing while the giving or the receiving node answers a PING in 100 later than this' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l engine -d 'Who moves the slots' -r -f -a "auto\t'The servers where both can, else this program'
atomic\t'The servers, all slots of a pair of nodes at once or not at all (CLUSTER MIGRATESLOTS, or CLUSTER MIGRATION of Redis 8.4)'
migrate\t'This program, key by key (MIGRATE)'"
complete -c trib -n "__fish_trib_using_subcommand reshard" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand reshard" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand reshard" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand reshard" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand reshard" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand reshard" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand reshard" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand reshard" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand reshard" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand reshard" -l replace -d 'Overwrite keys that exist on the receiving node'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l ignore-memory -d 'Move slots even if the receiving node seems to have too little memory for their keys'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l use-atomic-slot-migration -d 'The same as --engine atomic, as valkey-cli has it'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand reshard" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand reshard" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand reshard" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand reshard" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand reshard" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand reshard" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l weight -d 'Weight of a node, named by the beginning of its ID or by its address; may be given for several nodes' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l by -d 'What to share out' -r -f -a "slots\t'Slots'
keys\t'Keys'
memory\t'Bytes of memory, estimated from a few keys of each slot where the server does not count them'
ops\t'Time of the processor, measured for a while (Valkey 8, Redis 8.2 and later, with cluster-slot-stats-enabled)'"
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l sample -d 'With --by ops, how long is measured what the slots cost: seconds, or with a unit (500ms, 1m) [default: 2s]' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l zone -d 'The zone of a node, or of all nodes of a host; may be given many times. Without it the zone is what the server tells (its directive availability-zone)' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l threshold -d 'How far from its share a node may be, in percent of what it has' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l pipeline -d 'Most keys in one MIGRATE [default: as many as take about 10 ms]' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l max-keys-per-sec -d 'Move no more keys a second than this, over all nodes. Servers that move slots themselves are given so many at a time' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l max-bytes-per-sec -d 'Move no more bytes a second than this, over all nodes, as MEMORY USAGE counts them; with a unit as in 10mb' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l pause-if-p99-over -d 'Move nothing while the giving or the receiving node answers a PING in 100 later than this' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l engine -d 'Who moves the slots' -r -f -a "auto\t'The servers where both can, else this program'
atomic\t'The servers, all slots of a pair of nodes at once or not at all (CLUSTER MIGRATESLOTS, or CLUSTER MIGRATION of Redis 8.4)'
migrate\t'This program, key by key (MIGRATE)'"
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l auto-weights -d 'Weigh every node that is not named by the memory it may use (maxmemory, else all that its machine has)'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l same-zone -d 'Move no slot to a node of another zone: each zone is balanced for itself'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l use-empty-masters -l use-empty-primaries -d 'Give slots to primaries that own none'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l simulate -d 'Show what would be moved, and move nothing'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l replace -d 'Overwrite keys that exist on the receiving node'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l ignore-memory -d 'Move slots even if the receiving node seems to have too little memory for their keys'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l use-atomic-slot-migration -d 'The same as --engine atomic, as valkey-cli has it'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand rebalance" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l master-id -l primary-id -d 'The primary to replicate, by its ID or address (implies --slave); without it the one with the fewest replicas, of these one in another zone and on another host' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l zone -d 'The zone of a node, or of all nodes of a host; may be given many times. Without it the zone is what the server tells (its directive availability-zone)' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand add-node" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand add-node" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand add-node" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand add-node" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand add-node" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand add-node" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand add-node" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand add-node" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand add-node" -l slave -l replica -l as-replica -d 'Add it as a replica'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand add-node" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand add-node" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand add-node" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand add-node" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand add-node" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand add-node" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l replicas -d 'What becomes of its replicas' -r -f -a "spread\t'They are given to the primaries with the fewest'
remove\t'They are removed with it'"
complete -c trib -n "__fish_trib_using_subcommand del-node" -l weight -d 'Weight of a node that receives slots, named by the beginning of its ID or by its address; may be given for several nodes' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l pipeline -d 'Most keys in one MIGRATE [default: as many as take about 10 ms]' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l max-keys-per-sec -d 'Move no more keys a second than this, over all nodes. Servers that move slots themselves are given so many at a time' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l max-bytes-per-sec -d 'Move no more bytes a second than this, over all nodes, as MEMORY USAGE counts them; with a unit as in 10mb' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l pause-if-p99-over -d 'Move nothing while the giving or the receiving node answers a PING in 100 later than this' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l engine -d 'Who moves the slots' -r -f -a "auto\t'The servers where both can, else this program'
atomic\t'The servers, all slots of a pair of nodes at once or not at all (CLUSTER MIGRATESLOTS, or CLUSTER MIGRATION of Redis 8.4)'
migrate\t'This program, key by key (MIGRATE)'"
complete -c trib -n "__fish_trib_using_subcommand del-node" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand del-node" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand del-node" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand del-node" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand del-node" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand del-node" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand del-node" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand del-node" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand del-node" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand del-node" -l drain -d 'Move its slots to the other primaries first'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l use-empty-masters -l use-empty-primaries -d 'Also give slots to primaries that own none'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l replace -d 'Overwrite keys that exist on the receiving node'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l ignore-memory -d 'Move slots even if the receiving node seems to have too little memory for their keys'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l use-atomic-slot-migration -d 'The same as --engine atomic, as valkey-cli has it'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand del-node" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand del-node" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand del-node" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand del-node" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand del-node" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand del-node" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand drain" -l replicas -d 'What becomes of the replicas of a drained node' -r -f -a "leave\t'What the servers make of it: they stay with the node, or follow it to its new primary'
spread\t'They are given to the primaries with the fewest'"
complete -c trib -n "__fish_trib_using_subcommand drain" -l weight -d 'Weight of a node that receives slots, named by the beginning of its ID or by its address; may be given for several nodes' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l pipeline -d 'Most keys in one MIGRATE [default: as many as take about 10 ms]' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l max-keys-per-sec -d 'Move no more keys a second than this, over all nodes. Servers that move slots themselves are given so many at a time' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l max-bytes-per-sec -d 'Move no more bytes a second than this, over all nodes, as MEMORY USAGE counts them; with a unit as in 10mb' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l pause-if-p99-over -d 'Move nothing while the giving or the receiving node answers a PING in 100 later than this' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l engine -d 'Who moves the slots' -r -f -a "auto\t'The servers where both can, else this program'
atomic\t'The servers, all slots of a pair of nodes at once or not at all (CLUSTER MIGRATESLOTS, or CLUSTER MIGRATION of Redis 8.4)'
migrate\t'This program, key by key (MIGRATE)'"
complete -c trib -n "__fish_trib_using_subcommand drain" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand drain" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand drain" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand drain" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand drain" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand drain" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand drain" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand drain" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand drain" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand drain" -l use-empty-masters -l use-empty-primaries -d 'Also give slots to primaries that own none'
complete -c trib -n "__fish_trib_using_subcommand drain" -l replace -d 'Overwrite keys that exist on the receiving node'
complete -c trib -n "__fish_trib_using_subcommand drain" -l ignore-memory -d 'Move slots even if the receiving node seems to have too little memory for their keys'
complete -c trib -n "__fish_trib_using_subcommand drain" -l use-atomic-slot-migration -d 'The same as --engine atomic, as valkey-cli has it'
complete -c trib -n "__fish_trib_using_subcommand drain" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand drain" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand drain" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand drain" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand drain" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand drain" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand drain" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand drain" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand drain" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand drain" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand drain" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand drain" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand drain" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand forget-failed" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand failover" -l shard -d 'The shard: its primary, or any node of it, by the beginning of an ID or by address' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l to -d 'The replica that is to take over' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand failover" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand failover" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand failover" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand failover" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand failover" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand failover" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand failover" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand failover" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand failover" -l forced -d 'Do not ask the primary, which may be dead: most of the primaries vote. Writes that the replica does not have are lost'
complete -c trib -n "__fish_trib_using_subcommand failover" -l takeover -d 'Do not ask anybody: for a cluster that has lost most of its primaries. What the replica does not have is lost, and if the others still serve somewhere, slots may have two owners for a while'
complete -c trib -n "__fish_trib_using_subcommand failover" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand failover" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand failover" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand failover" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand failover" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand failover" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand failover" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand failover" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand failover" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand failover" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand failover" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand failover" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand failover" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand failover" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l by -d 'What the primaries are spread over [default: host, or zone where --zone is given]' -r -f -a "host\t''
zone\t'The availability zones that the servers tell, or --zone, and then the hosts of each'"
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l zone -d 'The zone of a node, or of all nodes of a host; may be given many times. Without it the zone is what the server tells (its directive availability-zone)' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l prefer -d 'Nodes that are to be primaries whatever else is even, separated by commas' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand rebalance-roles" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand roll" -l restart -d 'Command of the shell that restarts one node; {host}, {port}, {addr}, {id} and {role} stand for the node' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l only -d 'Restart only these' -r -f -a "replicas\t''
primaries\t''"
complete -c trib -n "__fish_trib_using_subcommand roll" -l skip -d 'Nodes to leave alone, separated by commas: those that are done when going on after a failure' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l pause -d 'Rest between two nodes' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l max-lag -d 'Bytes that a replica may lack of its primary\'s stream and count as in sync' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l wait -d 'How long one node may take to restart, load and get in sync: seconds, or with a unit (60s, 10m)' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand roll" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand roll" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand roll" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand roll" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand roll" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand roll" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand roll" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand roll" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand roll" -l back -d 'Make each primary a primary again after its restart'
complete -c trib -n "__fish_trib_using_subcommand roll" -l allow-downtime -d 'Also restart primaries that have no replica: their slots are not served meanwhile'
complete -c trib -n "__fish_trib_using_subcommand roll" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand roll" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand roll" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand roll" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand roll" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand roll" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand roll" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand roll" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand roll" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand roll" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand roll" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand roll" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand roll" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand reset" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand reset" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand reset" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand reset" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand reset" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand reset" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand reset" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand reset" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand reset" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand reset" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand reset" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand reset" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand reset" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand reset" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand reset" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand reset" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand reset" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand reset" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand reset" -l hard -d 'Also a new node ID, and all epochs back to zero (CLUSTER RESET HARD)'
complete -c trib -n "__fish_trib_using_subcommand reset" -l flush -d 'Delete the keys that the nodes hold'
complete -c trib -n "__fish_trib_using_subcommand reset" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand reset" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand reset" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand reset" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand reset" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand reset" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand reset" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand reset" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand reset" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand reset" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand reset" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand reset" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand reset" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand set-timeout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand call" -l on -d 'Which nodes: all, primaries, replicas, or zone:NAME for those of one availability zone' -r
complete -c trib -n "__fish_trib_using_subcommand call" -s X -l stdin-tag -d 'Read the argument that is this word from stdin' -r
complete -c trib -n "__fish_trib_using_subcommand call" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand call" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand call" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand call" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand call" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand call" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand call" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand call" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand call" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand call" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand call" -l only-masters -l only-primaries -d 'Only on primaries'
complete -c trib -n "__fish_trib_using_subcommand call" -l only-replicas -l only-slaves -d 'Only on replicas'
complete -c trib -n "__fish_trib_using_subcommand call" -s x -l stdin -d 'Read the last argument from stdin'
complete -c trib -n "__fish_trib_using_subcommand call" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand call" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand call" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand call" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand call" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand call" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand call" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand call" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand call" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand call" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand call" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand call" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand import" -l from -d 'Where the keys come from: a server, any node of another cluster, an RDB file, or - for stdin. A @NAME of the inventory stands for its addresses, user, auth-file, TLS and map' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l from-user -d 'User on the source' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l from-pass -d 'Password of the source (environment: TRIB_FROM_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l from-db -d 'The database of the source, or all [default: all; with --cluster: 0]' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l via -d 'Who carries the keys' -r -f -a "dump\t'This program, with DUMP and RESTORE'
migrate\t'The source, with MIGRATE: it has to reach the cluster, and to speak TLS just as the cluster does'"
complete -c trib -n "__fish_trib_using_subcommand import" -l timeout -d 'How long a node may be silent, and one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l match -d 'Only keys of this pattern' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l on-conflict -d 'What happens to a key that the cluster has already [default: report; with --cluster: fail]' -r -f -a "report\t'It is left alone and reported, and the command ends with an error'
skip\t'It is left alone'
replace\t'It is overwritten'
fail\t'The first one ends the command'"
complete -c trib -n "__fish_trib_using_subcommand import" -l quarantine -d 'Save every value that is overwritten in this directory first, as \'trib fix\' does' -r -F
complete -c trib -n "__fish_trib_using_subcommand import" -l jobs -d 'How many batches of keys are on their way at a time' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l pipeline -d 'Most keys in a batch [default: 250 where keys are moved, else 1000]' -r
complete -c trib -n "__fish_trib_using_subcommand import" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand import" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand import" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand import" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand import" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand import" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand import" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand import" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand import" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand import" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand import" -l from-askpass -d 'Ask for the password of the source'
complete -c trib -n "__fish_trib_using_subcommand import" -l from-tls -d 'Speak TLS with the source, by the same certificates'
complete -c trib -n "__fish_trib_using_subcommand import" -l copy -d 'Leave the keys on the source'
complete -c trib -n "__fish_trib_using_subcommand import" -l replace -d 'Overwrite keys that exist in the cluster: the same as --on-conflict replace'
complete -c trib -n "__fish_trib_using_subcommand import" -l verify -d 'Read every value back from the cluster and compare it, before it is deleted at the source'
complete -c trib -n "__fish_trib_using_subcommand import" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand import" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand import" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand import" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand import" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand import" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand import" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand import" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand import" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand import" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand import" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand import" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand backup" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand backup" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand backup" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand backup" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand backup" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand backup" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand backup" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand backup" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand backup" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand backup" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand backup" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand backup" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand backup" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand backup" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand backup" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand backup" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand backup" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand backup" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand backup" -l from-replicas -d 'Have replicas make the snapshots, where a primary has one'
complete -c trib -n "__fish_trib_using_subcommand backup" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand backup" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand backup" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand backup" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand backup" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand backup" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand backup" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand backup" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand backup" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand backup" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand backup" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand restore" -l match -d 'Only keys of this pattern' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l on-conflict -d 'What happens to a key that the cluster has already [default: report; with --cluster: fail]' -r -f -a "report\t'It is left alone and reported, and the command ends with an error'
skip\t'It is left alone'
replace\t'It is overwritten'
fail\t'The first one ends the command'"
complete -c trib -n "__fish_trib_using_subcommand restore" -l quarantine -d 'Save every value that is overwritten in this directory first, as \'trib fix\' does' -r -F
complete -c trib -n "__fish_trib_using_subcommand restore" -l jobs -d 'How many batches of keys are on their way at a time' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l pipeline -d 'Most keys in a batch [default: 250 where keys are moved, else 1000]' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand restore" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand restore" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand restore" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand restore" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand restore" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand restore" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand restore" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand restore" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand restore" -l replace -d 'Overwrite keys that exist in the cluster: the same as --on-conflict replace'
complete -c trib -n "__fish_trib_using_subcommand restore" -l verify -d 'Read every value back from the cluster and compare it, before it is deleted at the source'
complete -c trib -n "__fish_trib_using_subcommand restore" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand restore" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand restore" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand restore" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand restore" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand restore" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand restore" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand restore" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand restore" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand restore" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand restore" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand restore" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand verify" -l jobs -d 'How many batches of keys are compared at a time' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand verify" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand verify" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand verify" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand verify" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand verify" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand verify" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand verify" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand verify" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand verify" -l csv -d 'Print commas instead of a table. Keys are as with --json'
complete -c trib -n "__fish_trib_using_subcommand verify" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand verify" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand verify" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand verify" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand verify" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand verify" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand verify" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand verify" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand verify" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand verify" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand verify" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand apply" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand apply" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand apply" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand apply" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand apply" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand apply" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand apply" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand apply" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand apply" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand apply" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand apply" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand apply" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand apply" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand apply" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand apply" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand apply" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand apply" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand apply" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand apply" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand apply" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand apply" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand apply" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand apply" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand apply" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand apply" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand apply" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand apply" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand apply" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand apply" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand jobs" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand jobs" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand jobs" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand jobs" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand jobs" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand jobs" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand jobs" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand jobs" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand jobs" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand jobs" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand jobs" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand jobs" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand jobs" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand jobs" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand jobs" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand jobs" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand jobs" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand jobs" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand jobs" -l unfinished -d 'Only jobs that are running, interrupted or failed'
complete -c trib -n "__fish_trib_using_subcommand jobs" -l csv -d 'Print commas instead of a table. Keys are as with --json'
complete -c trib -n "__fish_trib_using_subcommand jobs" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand jobs" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand jobs" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand jobs" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand jobs" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand jobs" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand jobs" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand jobs" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand jobs" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand jobs" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand jobs" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand jobs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand resume" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l pipeline -d 'Most keys in one MIGRATE [default: as many as take about 10 ms]' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l max-keys-per-sec -d 'Move no more keys a second than this, over all nodes. Servers that move slots themselves are given so many at a time' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l max-bytes-per-sec -d 'Move no more bytes a second than this, over all nodes, as MEMORY USAGE counts them; with a unit as in 10mb' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l pause-if-p99-over -d 'Move nothing while the giving or the receiving node answers a PING in 100 later than this' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l engine -d 'Who moves the slots' -r -f -a "auto\t'The servers where both can, else this program'
atomic\t'The servers, all slots of a pair of nodes at once or not at all (CLUSTER MIGRATESLOTS, or CLUSTER MIGRATION of Redis 8.4)'
migrate\t'This program, key by key (MIGRATE)'"
complete -c trib -n "__fish_trib_using_subcommand resume" -l restart -d 'The command that restarts a node, for a roll: the journal does not keep it' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l from-pass -d 'Password of the source, for an import (environment: TRIB_FROM_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand resume" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand resume" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand resume" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand resume" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand resume" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand resume" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand resume" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand resume" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand resume" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand resume" -l replace -d 'Overwrite keys that exist on the receiving node'
complete -c trib -n "__fish_trib_using_subcommand resume" -l ignore-memory -d 'Move slots even if the receiving node seems to have too little memory for their keys'
complete -c trib -n "__fish_trib_using_subcommand resume" -l use-atomic-slot-migration -d 'The same as --engine atomic, as valkey-cli has it'
complete -c trib -n "__fish_trib_using_subcommand resume" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand resume" -l from-askpass -d 'Ask for the password of the source'
complete -c trib -n "__fish_trib_using_subcommand resume" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand resume" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand resume" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand resume" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand resume" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand resume" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand resume" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand resume" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand resume" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand resume" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand resume" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand undo" -l wait -d 'How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l timeout -d 'How long one MIGRATE may take' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l pipeline -d 'Most keys in one MIGRATE [default: as many as take about 10 ms]' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l max-keys-per-sec -d 'Move no more keys a second than this, over all nodes. Servers that move slots themselves are given so many at a time' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l max-bytes-per-sec -d 'Move no more bytes a second than this, over all nodes, as MEMORY USAGE counts them; with a unit as in 10mb' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l pause-if-p99-over -d 'Move nothing while the giving or the receiving node answers a PING in 100 later than this' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l engine -d 'Who moves the slots' -r -f -a "auto\t'The servers where both can, else this program'
atomic\t'The servers, all slots of a pair of nodes at once or not at all (CLUSTER MIGRATESLOTS, or CLUSTER MIGRATION of Redis 8.4)'
migrate\t'This program, key by key (MIGRATE)'"
complete -c trib -n "__fish_trib_using_subcommand undo" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand undo" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand undo" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand undo" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand undo" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand undo" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand undo" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand undo" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand undo" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand undo" -l no-wait -d 'Do not wait for that'
complete -c trib -n "__fish_trib_using_subcommand undo" -l replace -d 'Overwrite keys that exist on the receiving node'
complete -c trib -n "__fish_trib_using_subcommand undo" -l ignore-memory -d 'Move slots even if the receiving node seems to have too little memory for their keys'
complete -c trib -n "__fish_trib_using_subcommand undo" -l use-atomic-slot-migration -d 'The same as --engine atomic, as valkey-cli has it'
complete -c trib -n "__fish_trib_using_subcommand undo" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand undo" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand undo" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand undo" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand undo" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand undo" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand undo" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand undo" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand undo" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand undo" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand undo" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand undo" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand undo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand status" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand status" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand status" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand status" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand status" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand status" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand status" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand status" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand status" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand status" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand status" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand status" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand status" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand status" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand status" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand status" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand status" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand status" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand status" -l csv -d 'Print commas instead of a table. Keys are as with --json'
complete -c trib -n "__fish_trib_using_subcommand status" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand status" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand status" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand status" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand status" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand status" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand status" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand status" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand status" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand status" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand status" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand slots" -l hot -d 'Only the slots that are used most, so many of them' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -l by -d 'By what they are used most' -r -f -a "keys\t'Keys'
cpu\t'Time of the processor'
in\t'Bytes that came in'
out\t'Bytes that went out'
memory\t'Bytes of memory'"
complete -c trib -n "__fish_trib_using_subcommand slots" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand slots" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand slots" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand slots" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand slots" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand slots" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand slots" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand slots" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand slots" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand slots" -l keys -d 'Count the keys of every range'
complete -c trib -n "__fish_trib_using_subcommand slots" -l csv -d 'Print commas instead of a table. Keys are as with --json'
complete -c trib -n "__fish_trib_using_subcommand slots" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand slots" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand slots" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand slots" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand slots" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand slots" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand slots" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand slots" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand slots" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand slots" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand slots" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand slots" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand where" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand where" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand where" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand where" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand where" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand where" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand where" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand where" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand where" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand where" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand where" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand where" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand where" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand where" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand where" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand where" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand where" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand where" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand where" -l csv -d 'Print commas instead of a table. Keys are as with --json'
complete -c trib -n "__fish_trib_using_subcommand where" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand where" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand where" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand where" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand where" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand where" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand where" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand where" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand where" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand where" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand where" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand where" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l top -d 'How many keys of each type' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l by -d 'What makes a key big' -r -f -a "memory\t'The memory that it takes'
length\t'Its elements, or the bytes of a string'"
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l type -d 'Only keys of this type' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l match -d 'Only keys of this pattern' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l from-replicas -d 'Ask a replica, where a primary has one'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l csv -d 'Print commas instead of a table. Keys are as with --json'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand bigkeys" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand top" -l every -d 'Between two looks at the cluster' -r
complete -c trib -n "__fish_trib_using_subcommand top" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand top" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand top" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand top" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand top" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand top" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand top" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand top" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand top" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand top" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand top" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand top" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand top" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand top" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand top" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand top" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand top" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand top" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand top" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand top" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand top" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand top" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand top" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand top" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand top" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand top" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand top" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand top" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand top" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand cli" -s n -l db -d 'The database' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -l form -d 'How replies are shown [default: pretty on a terminal, else raw]' -r -f -a "pretty\t'For people: types are shown, strings quoted, elements numbered'
raw\t'The bytes themselves, a line for each element'
csv\t'Commas'
json\t'JSON'"
complete -c trib -n "__fish_trib_using_subcommand cli" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand cli" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand cli" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand cli" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand cli" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand cli" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand cli" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand cli" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand cli" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand cli" -s c -l cluster-mode -d 'Follow redirections to the other nodes of a cluster'
complete -c trib -n "__fish_trib_using_subcommand cli" -s 3 -l resp3 -d 'Speak RESP3'
complete -c trib -n "__fish_trib_using_subcommand cli" -l raw -d 'The same as --form raw'
complete -c trib -n "__fish_trib_using_subcommand cli" -l no-raw -d 'The same as --form pretty'
complete -c trib -n "__fish_trib_using_subcommand cli" -l csv -d 'The same as --form csv'
complete -c trib -n "__fish_trib_using_subcommand cli" -s x -l stdin -d 'Read the last argument from stdin'
complete -c trib -n "__fish_trib_using_subcommand cli" -l pipe -d 'Send stdin to the server as it is, commands in the protocol, and count the replies'
complete -c trib -n "__fish_trib_using_subcommand cli" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand cli" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand cli" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand cli" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand cli" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand cli" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand cli" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand cli" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand cli" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand cli" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand cli" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand cli" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -f -a "get" -d 'Show parameters on every node'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -f -a "set" -d 'Set a parameter on every node'
complete -c trib -n "__fish_trib_using_subcommand config; and not __fish_seen_subcommand_from get set diff" -f -a "diff" -d 'Show the parameters that are not the same on all nodes; ends with 3 when there are any'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l csv -d 'Print commas instead of a table. Keys are as with --json'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -s x -l stdin -d 'Read the value from stdin, without the newline at its end: for secrets, which others see on a command line'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l rewrite -d 'Keep it in the configuration files, too'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l dry-run -d 'Show what would be done (with --json as a plan for \'trib apply\'), do nothing, and end with 4 if there is something to do'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l all -d 'Also those that are each node\'s own, such as port and dir'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l csv -d 'Print commas instead of a table. Keys are as with --json'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand config; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand up" -l port -d 'Port of the first node; the others follow [default: 7000]' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l dir -d 'Where the nodes live' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -l server-bin -d 'The server program to start instead of \'node\'' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand up" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand up" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand up" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand up" -l allow-few -d 'Allow fewer than 3 primaries'
complete -c trib -n "__fish_trib_using_subcommand up" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand up" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand up" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand up" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand up" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand up" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand up" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand up" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand up" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand up" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand up" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand down" -l dir -d 'Where the nodes live' -r -F
complete -c trib -n "__fish_trib_using_subcommand down" -l grace -d 'How long the nodes may take to save and end before they are killed' -r
complete -c trib -n "__fish_trib_using_subcommand down" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand down" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand down" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand down" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand down" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand down" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand down" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand down" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand down" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand down" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand down" -l purge -d 'Delete the data and everything else \'trib up\' made'
complete -c trib -n "__fish_trib_using_subcommand down" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand down" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand down" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand down" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand down" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand down" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand down" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand down" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand down" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand down" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand down" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand ps" -l dir -d 'Where the nodes live' -r -F
complete -c trib -n "__fish_trib_using_subcommand ps" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand ps" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand ps" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand ps" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand ps" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand ps" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand ps" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand ps" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand ps" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand ps" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand ps" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand ps" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand ps" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand ps" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand ps" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand ps" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand ps" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand ps" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand ps" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand ps" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c trib -n "__fish_trib_using_subcommand help" -s a -l pass -d 'Password for every node (environment: REDISCLI_AUTH)' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l user -d 'User to authenticate as' -r
complete -c trib -n "__fish_trib_using_subcommand help" -s u -l uri -d 'User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be written like that, too' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l auth-file -d 'Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *' -r -F
complete -c trib -n "__fish_trib_using_subcommand help" -s t -l connect-timeout -d 'How long a connection may take to come up; 0 for as long as it takes' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l read-timeout -d 'How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l map -d 'Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes may be named by either' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l inventory -d 'Where clusters are described that are named as in \'trib @prod check\' [default: trib/clusters.toml in $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user, auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets' -r -F
complete -c trib -n "__fish_trib_using_subcommand help" -l sni -d 'Name to ask the nodes for' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l cacert -d 'Certificates of the authorities to trust, instead of the system\'s' -r -F
complete -c trib -n "__fish_trib_using_subcommand help" -l cacertdir -d 'Directory with such certificates' -r -F
complete -c trib -n "__fish_trib_using_subcommand help" -l cert -d 'Certificate to show to the nodes' -r -F
complete -c trib -n "__fish_trib_using_subcommand help" -l key -d 'Its private key' -r -F
complete -c trib -n "__fish_trib_using_subcommand help" -l tls-ciphers -d 'Ciphers for TLS 1.2, by OpenSSL\'s names with colons between them' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l tls-ciphersuites -d 'Cipher suites for TLS 1.3' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l journal -d 'Where the journal is kept that \'trib jobs\', \'resume\' and \'undo\' read [default: $XDG_STATE_HOME/trib/jobs, else ~/.local/state/trib/jobs]' -r -F
complete -c trib -n "__fish_trib_using_subcommand help" -l lock-wait -d 'While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once' -r
complete -c trib -n "__fish_trib_using_subcommand help" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c trib -n "__fish_trib_using_subcommand help" -l askpass -d 'Ask for the password'
complete -c trib -n "__fish_trib_using_subcommand help" -l no-auth-warning -d 'Do not warn about a password on the command line'
complete -c trib -n "__fish_trib_using_subcommand help" -s 4 -l ipv4 -d 'Only IPv4 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand help" -s 6 -l ipv6 -d 'Only IPv6 addresses of host names'
complete -c trib -n "__fish_trib_using_subcommand help" -l tls -d 'Speak TLS with the nodes'
complete -c trib -n "__fish_trib_using_subcommand help" -l insecure -d 'Trust any certificate'
complete -c trib -n "__fish_trib_using_subcommand help" -l verify-name -d 'Also look whether the certificate is for the node\'s name or address (always so without --cacert)'
complete -c trib -n "__fish_trib_using_subcommand help" -l force -d 'When another trib holds the cluster\'s lock, break it: its lock connections are closed, upon which it stops as after Ctrl-C, if it still can. For one that hangs, or whose host is gone'
complete -c trib -n "__fish_trib_using_subcommand help" -s y -l yes -d 'Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)'
complete -c trib -n "__fish_trib_using_subcommand help" -l json -d 'Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they are not UTF-8 they come in hexadecimal behind \'hex:\', as does text that begins with \'hex:\''
complete -c trib -n "__fish_trib_using_subcommand help" -s v -l verbose -d 'Say more about what is done'
complete -c trib -n "__fish_trib_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'

function __fish_trib_names
    set -l words (commandline -o)
    set -l inventory
    for at in (seq (count $words))
        switch $words[$at]
            case --inventory
                set inventory --inventory=(string replace -r '^~/' "$HOME/" -- $words[(math $at + 1)])
            case '--inventory=*'
                set inventory (string replace -r '=~/' "=$HOME/" -- $words[$at])
        end
    end
    trib $inventory @ 2>/dev/null | string replace -r '(.+)' '@$1\tcluster'
end

complete -c trib -n "string match -q -- '@*' (commandline -ct)" -f -a "(__fish_trib_names)"
