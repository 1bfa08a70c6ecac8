#!/usr/bin/env bash
# CPU time per request of `node` beside redis-server, in one run: the server on core 0, redis-benchmark on core 1,
# runs interleaved, medians. CPU time is steadier than requests per second on a machine that others use as well.
#
#   cargo build --release && benches/cpu-per-request.sh [RUNS]
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-5}
node=${NODE:-target/release/node}
node=$(realpath "$node")
dir=$(mktemp -d)
trap 'kill $node_pid $redis_pid 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT
mkdir "$dir/node" "$dir/redis"
(cd "$dir/node" && exec taskset -c 0 "$node" --port 7901 --bind 127.0.0.1 --save "" >log 2>&1) & node_pid=$!
(cd "$dir/redis" && exec taskset -c 0 redis-server --port 7902 --bind 127.0.0.1 --save "" >log 2>&1) & redis_pid=$!
for port in 7901 7902; do
    until redis-cli -p $port ping 2>/dev/null | grep -q PONG; do :; done
done
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
for pipeline in 1 16 64; do
    requests=$([ $pipeline = 1 ] && echo 200000 || echo 2000000)
    for command in get set; do
        for _ in $(seq "$runs"); do
            for server in "node $node_pid 7901" "redis $redis_pid 7902"; do
                read -r name pid port <<<"$server"
                before=$(ticks "$pid")
                taskset -c 1 redis-benchmark -p "$port" -c 50 -P $pipeline -n "$requests" -r 100000 -d 64 -t $command -q >/dev/null 2>&1
                after=$(ticks "$pid")
                echo "$pipeline $command $name $(((after - before) * 10000)) $requests"
            done
        done
    done
done | awk '
    { key = $1 " " $2; n[key, $3]++; value[key, $3, n[key, $3]] = $4 / $5; if (!(key in seen)) { seen[key] = 1; order[++keys] = key } }
    function median(key, name,    count, i, j, t, list) {
        count = n[key, name]
        for (i = 1; i <= count; i++) list[i] = value[key, name, i]
        for (i = 2; i <= count; i++) for (j = i; j > 1 && list[j] < list[j - 1]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
        return list[int((count + 1) / 2)]
    }
    END {
        printf "%-10s %-5s %12s %12s %7s\n", "pipelined", "", "node us", "redis us", "ratio"
        for (i = 1; i <= keys; i++) {
            split(order[i], part, " "); a = median(order[i], "node"); b = median(order[i], "redis")
            printf "%-10s %-5s %12.3f %12.3f %7.2f\n", part[1], part[2], a, b, a / b
        }
    }'
