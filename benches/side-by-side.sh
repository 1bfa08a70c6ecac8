# Sourced by the benchmarks that run `node` beside redis-server: both servers on core 0, the load on core 1.
#
#   NODE=path/to/node   another binary than the release build's
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
node=$(realpath "${NODE:-target/release/node}")
dir=$(mktemp -d)
declare -A pid_of=() port_of=([node]=7901 [redis]=7902)
trap 'kill "${pid_of[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT

# start [DIRECTIVE VALUE]...: both servers, empty, without saving.
start() {
    mkdir "$dir/node" "$dir/redis"
    (cd "$dir/node" && exec taskset -c 0 "$node" --port 7901 --bind 127.0.0.1 --save "" "$@" >log 2>&1) & pid_of[node]=$!
    (cd "$dir/redis" && exec taskset -c 0 redis-server --port 7902 --bind 127.0.0.1 --save "" "$@" >log 2>&1) & pid_of[redis]=$!
    local port
    for port in "${port_of[@]}"; do
        until redis-cli -p "$port" ping 2>/dev/null | grep -q PONG; do :; done
    done
}

# CPU time of a server so far, in ticks of 10 ms.
ticks() { awk '{ print $14 + $15 }' "/proc/${pid_of[$1]}/stat"; }

# load PORT REDIS-BENCHMARK-ARGUMENT...
load() { taskset -c 1 redis-benchmark -q -p "$@" >/dev/null 2>&1; }

# measure RUNS CASE REQUESTS REDIS-BENCHMARK-ARGUMENT...: prints "CASE SERVER MICROSECONDS" for each run, the servers
# in turn.
measure() {
    local runs=$1 name=$2 requests=$3 server before
    shift 3
    for _ in $(seq "$runs"); do
        for server in node redis; do
            before=$(ticks $server)
            load "${port_of[$server]}" -c 50 -n "$requests" "$@"
            echo "$name $server $((($(ticks $server) - before) * 10000)) $requests"
        done
    done
}

# Reads what `measure` prints and shows the medians and their ratio.
table() {
    awk '
    { if (!($1 in seen)) { seen[$1] = 1; order[++cases] = $1 } value[$1, $2, ++n[$1, $2]] = $3 / $4 }
    function median(name, server,    count, i, j, t, list) {
        count = n[name, server]
        for (i = 1; i <= count; i++) list[i] = value[name, server, i]
        for (i = 2; i <= count; i++) for (j = i; j > 1 && list[j] < list[j - 1]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
        return list[int((count + 1) / 2)]
    }
    END {
        printf "%-22s %10s %10s %7s\n", "CPU per request", "node us", "redis us", "ratio"
        for (i = 1; i <= cases; i++) {
            a = median(order[i], "node"); b = median(order[i], "redis")
            printf "%-22s %10.3f %10.3f %7.2f\n", order[i], a, b, a / b
        }
    }'
}
