#!/usr/bin/env bash
# How long `trib` takes beside redis-cli, in one run, in turns on the same servers: medians of RUNS runs, in milliseconds.
#
#   benches/trib-speed.sh [CASE]...
#
#   create   3 + 3 empty redis-servers become a cluster that has taken a write on every shard
#   empty    1,000 empty slots go from one redis-server to another
#   one      1,000 slots with 60,000 keys of 64 bytes, from one redis-server
#   two      the same from two redis-servers, half each
#   import   200,000 keys of a standalone redis-server are copied into a cluster of three
#   ways     20,000 keys of a standalone redis-server are moved into a cluster, by both ways that `trib import` knows
#   atomic   1,000 slots with 60,000 and with 300,000 keys, from one `node` to another
#   valkey   1,000 slots with 60,000 keys, from one valkey-server 9.1 to another, beside valkey-cli 9 (or what it takes at the
#            least) and valkey-cli 8.1; needs the programs that .ci/peers fetches
#   check    `trib check` of 10 and of 100 redis-servers, empty and with 163,840 keys, with its memory
#
# Without a CASE, all but `valkey`. Needs redis-server, redis-cli and python3. TMPDIR=/dev/shm keeps the disk out of it, which
# otherwise slows down redis-cli more than `trib`: servers write their configuration with every slot that is moved alone.
#
#   TRIB, NODE=path/to/...   other binaries than the release build's
#   PEERS=target/peers       where .ci/peers has put other servers
#   VALKEY_CLI=path/to/...   a valkey-cli 9, as Debian's valkey-tools have it since version 14
#   RUNS=5                   runs of each
#   SLOTS=1000               slots that are moved, and 200 times as many keys that are imported: fewer for long links
#   DELAY_MS=1               every link to a server is so much longer, in each direction: each server announces the port of a
#                            small proxy (benches/delay_proxy.py) that holds back what it passes on. Not for `create` and `check`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
trib=$(realpath "${TRIB:-target/release/trib}")
node=$(realpath "${NODE:-target/release/node}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
[ $# -gt 0 ] || set -- create empty one two import ways atomic check
python3 benches/trib_speed.py "$trib" "$node" "$dir" "${RUNS:-5}" "${DELAY_MS:-0}" "$@"
