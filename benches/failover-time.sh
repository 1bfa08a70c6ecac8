#!/usr/bin/env bash
# How long writes fail after a primary is killed: clusters of three primaries and three replicas with a node timeout of
# two seconds, one of `node`s, one of redis-servers, one of both (each shard has one of either kind). KILLS times a primary is
# killed with SIGKILL while writers are at all shards; the time runs until a write to its slots is acknowledged again. The dead
# server comes back, and the next round begins when its shard is whole. Every tenth write is waited for with WAIT 1; none of
# those that a replica had acknowledged may be missing at the end.
#
#   cargo build --profile quick && NODE=target/quick/node benches/failover-time.sh [KILLS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
node=$(realpath "${NODE:-target/release/node}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for kind in ${KINDS:-node redis mixed}; do
    python3 benches/failover_time.py "$kind" "${1:-10}" "$node" "$dir/$kind"
done
