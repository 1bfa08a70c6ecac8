#!/usr/bin/env bash
# Memory per item, a million items a case, `node` beside redis-server: the growth of used_memory over the number of items.
#
#   cargo build --release && benches/memory-per-item.sh
source "$(dirname "$0")/side-by-side.sh"
start
used() { redis-cli -p "$1" info memory | tr -d '\r' | awk -F: '$1 == "used_memory" { print $2 }'; }

# The commands of a case, as redis-cli --pipe reads them. Keys have 16 bytes, members and fields 8.
commands() {
    awk -v case="$1" '
    BEGIN {
        value64 = sprintf("%064d", 7); gsub("0", "v", value64)
        if (case == "value")   for (i = 0; i < 1000000; i++) printf "SET key:%012d %s\r\n", i, value64
        if (case == "ttl")     for (i = 0; i < 1000000; i++) printf "SET key:%012d %s EX %d\r\n", i, value64, 100000 + i
        if (case == "integer") for (i = 0; i < 1000000; i++) printf "SET key:%012d %d\r\n", i, 1000000 + i
        if (case == "hash") for (i = 0; i < 100000; i++) {
            printf "HSET key:%012d", i
            for (f = 0; f < 10; f++) printf " field:%02d value:%05d", f, (i * 10 + f) % 100000
            printf "\r\n"
        }
        if (case == "zset" || case == "set" || case == "list") for (i = 0; i < 100; i++) for (n = 0; n < 10000; n += 100) {
            printf "%s key:%012d", case == "zset" ? "ZADD" : case == "set" ? "SADD" : "RPUSH", i
            for (m = n; m < n + 100; m++) {
                if (case == "zset") printf " %d.5", m
                if (case == "list") printf " element:%06d", m; else printf " m%07d", m
            }
            printf "\r\n"
        }
    }'
}

printf "%-34s %8s %8s\n" "bytes per item" "node" "redis"
for case in value ttl integer hash zset set list; do
    declare -A bytes=()
    for server in node redis; do
        port=${port_of[$server]}
        redis-cli -p "$port" flushall sync >/dev/null
        before=$(used "$port")
        commands $case | redis-cli -p "$port" --pipe >/dev/null
        bytes[$server]=$(awk -v a="$before" -v b="$(used "$port")" 'BEGIN { printf "%.1f", (b - a) / 1000000 }')
    done
    case $case in
        value) name="key of 16, value of 64 bytes" ;; ttl) name="the same with an expiry" ;;
        integer) name="key of 16 bytes, integer" ;; hash) name="field in a hash of 10" ;;
        zset) name="member in a sorted set of 10,000" ;; set) name="member in a set of 10,000" ;;
        list) name="element in a list of 10,000" ;;
    esac
    printf "%-34s %8s %8s\n" "$name" "${bytes[node]}" "${bytes[redis]}"
done
