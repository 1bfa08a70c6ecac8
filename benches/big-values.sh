#!/usr/bin/env bash
# CPU time of commands over big values, `node` beside redis-server in one run, medians of interleaved runs.
#
#   cargo build --release && benches/big-values.sh [RUNS]
source "$(dirname "$0")/side-by-side.sh"
runs=${1:-5}
start
# fill COMMAND KEY COUNT AWK-PRINTF-OF-MEMBER-m
fill() {
    awk -v head="$1 $2" -v count="$3" "BEGIN {
        for (i = 0; i < count; i += 100) { printf \"%s\", head; for (m = i; m < i + 100; m++) printf $4; printf \"\\r\\n\" }
    }" >"$dir/commands"
    local port
    for port in "${port_of[@]}"; do redis-cli -p "$port" --pipe <"$dir/commands" >/dev/null; done
}
fill SADD set:1 100000 '" member:%d", m'
fill SADD set:2 100000 '" member:%d", m + 50000'
fill ZADD zset 1000000 '" %d member:%d", m, m'
fill RPUSH numbers 100000 '" %d", (m * 7919) % 1000003'
fill RPUSH list 10000 '" element:%d", m'
# One client, no pipeline: what counts is the time inside the command and of writing its reply.
one() {
    local name=$1 times=$2 server before
    shift 2
    for _ in $(seq "$runs"); do
        for server in node redis; do
            before=$(ticks $server)
            load "${port_of[$server]}" -c 1 -n "$times" "$@"
            echo "$name $server $((($(ticks $server) - before) * 10000)) $times"
        done
    done
}
{
    one sunion-2x100000 20 SUNION set:1 set:2
    one sinter-2x100000 20 SINTERCARD 2 set:1 set:2
    one zrangebyscore-1000000 10 ZRANGEBYSCORE zset -inf +inf
    one sort-100000 20 SORT numbers LIMIT 0 10
    one lrange-10000 500 LRANGE list 0 -1
} | table
