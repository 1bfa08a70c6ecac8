#!/usr/bin/env bash
# The latency of PING, in milliseconds, while ten million keys (or KEYS) are written and then expire, `node` beside
# redis-server: each server alone on core 0, the load on core 1.
#
#   cargo build --release && benches/expiry-latency.sh [KEYS]
source "$(dirname "$0")/side-by-side.sh"
keys=${1:-10000000}
start
for server in node redis; do
    port=${port_of[$server]}
    # All keys have expired 20 s after the last one was written.
    { taskset -c 1 redis-benchmark -q -p "$port" -n "$keys" -r 1000000000 -c 10 -P 100 SET key:__rand_int__ v PX 20000 >/dev/null 2>&1; } &
    writer=$!
    {
        # Pings go on from the first write to the last expiry.
        while kill -0 $writer 2>/dev/null || [ "$(redis-cli -p "$port" dbsize)" -gt 0 ]; do
            taskset -c 1 redis-benchmark --csv -p "$port" -c 1 -n 20000 -t ping_mbulk | tail -1
        done
    } | tr -d '"' | awk -F, -v server=$server '
        { n++; p50 += $5; if ($7 > p99) p99 = $7; if ($8 > max) max = $8 }
        END { printf "%-6s ping ms: mean of p50 %.3f, worst p99 of 20,000 %.3f, worst of all %.3f\n", server, p50 / n, p99, max }'
    wait $writer
done
