#!/usr/bin/env bash
# Brings the keys of a standalone server into a cluster of three stock servers: with redis-cli, with `trib import` and from
# a snapshot file. Prints the milliseconds of each. Needs redis-server and redis-cli.
#
#   TRIB=path/to/trib   another binary than the release build's
#   KEYS=200000         how many keys
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
trib=$(realpath "${TRIB:-target/release/trib}")
keys=${KEYS:-200000}
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT
source=7930
nodes=(7931 7932 7933)
for port in $source "${nodes[@]}"; do
    mkdir "$dir/$port"
    mode=$([ "$port" = $source ] && echo no || echo yes)
    (cd "$dir/$port" && exec redis-server --port "$port" --bind 127.0.0.1 --save "" --cluster-enabled "$mode" >log 2>&1) &
    pids+=($!)
done
for port in $source "${nodes[@]}"; do
    until redis-cli -p "$port" ping 2>/dev/null | grep -q PONG; do :; done
done
"$trib" create --yes "${nodes[@]/#/127.0.0.1:}" >/dev/null
redis-cli -p $source eval "for i = 1, $keys do redis.call('set', 'key:' .. i, 'value-' .. i) end" 0 >/dev/null
redis-cli -p $source save >/dev/null

measure() {
    local name=$1 begun ms count=0
    shift
    for port in "${nodes[@]}"; do redis-cli -p "$port" flushall >/dev/null; done
    begun=$(date +%s%N)
    "$@" >/dev/null
    ms=$((($(date +%s%N) - begun) / 1000000))
    for port in "${nodes[@]}"; do count=$((count + $(redis-cli -p "$port" dbsize))); done
    [ "$count" = "$keys" ] || { echo "$name: $count keys arrived" >&2; exit 1; }
    printf "%-28s %8d ms\n" "$name" "$ms"
}

seed=127.0.0.1:${nodes[0]}
measure "redis-cli, a copy" redis-cli --cluster import "$seed" --cluster-from 127.0.0.1:$source --cluster-copy
measure "trib, a copy" "$trib" import "$seed" --from 127.0.0.1:$source --copy
measure "trib, a copy, verified" "$trib" import "$seed" --from 127.0.0.1:$source --copy --verify
measure "trib, from a file" "$trib" import "$seed" --from "$dir/$source/dump.rdb"
measure "trib, moved" "$trib" import "$seed" --from 127.0.0.1:$source
