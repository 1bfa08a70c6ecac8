#!/usr/bin/env bash
# The CPU time that an idle cluster's bus costs: NODES servers with all slots among them, no clients, default node timeout;
# all of `node`, then all of redis-server. After everybody knows everybody and a while of rest, the CPU time of all processes
# over SECONDS is summed up, in milliseconds a second, with the part that is the bus's: the same servers are measured outside
# of a cluster first (their own timers run there, too).
#
#   cargo build --release && benches/idle-bus.sh [NODES] [SECONDS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
node=$(realpath "${NODE:-target/release/node}")
nodes=${1:-50} seconds=${2:-30} base=7400
dir=$(mktemp -d)
pids=()
stop() {
    kill -9 "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
    pids=()
}
trap 'stop; rm -rf "$dir"' EXIT

# start PROGRAM [DIRECTIVE VALUE]...
start() {
    local program=$1 i port
    shift
    for ((i = 0; i < nodes; i++)); do
        port=$((base + i))
        rm -rf "$dir/$port" && mkdir "$dir/$port"
        (cd "$dir/$port" && exec "$program" --port $port --bind 127.0.0.1 --save "" "$@" >log 2>&1) & pids+=($!)
    done
    for ((i = 0; i < nodes; i++)); do
        until redis-cli -p $((base + i)) ping 2>/dev/null | grep -q PONG; do sleep 0.05; done
    done
}

join() {
    local i
    for ((i = 0; i < nodes; i++)); do
        redis-cli -p $((base + i)) cluster addslotsrange $((i * 16384 / nodes)) $(((i + 1) * 16384 / nodes - 1)) >/dev/null
        redis-cli -p $((base + i)) cluster set-config-epoch $((i + 1)) >/dev/null
        redis-cli -p $((base + i)) cluster meet 127.0.0.1 $base >/dev/null
    done
    for ((i = 0; i < nodes; i++)); do
        until redis-cli -p $((base + i)) cluster info | tr -d '\r' | grep -c "^cluster_state:ok$\|^cluster_known_nodes:$nodes$" | grep -q 2; do sleep 0.2; done
    done
}

# CPU time of all servers so far, in ticks of 10 ms.
ticks() {
    local sum=0 pid fields
    for pid in "${pids[@]}"; do
        fields=($(sed 's/.*) //' "/proc/$pid/stat"))
        sum=$((sum + fields[11] + fields[12]))
    done
    echo $sum
}

# Milliseconds of CPU a second.
measure() {
    local before
    before=$(ticks)
    sleep "$seconds"
    echo $((($(ticks) - before) * 10 / seconds))
}

printf '%-8s %10s %12s %8s\n' "" "alone ms/s" "cluster ms/s" "bus ms/s"
for program in ${PROGRAMS:-"$node" redis-server}; do
    start "$program"
    sleep 5
    alone=$(measure)
    stop
    start "$program" --cluster-enabled yes
    join
    sleep 20
    cluster=$(measure)
    stop
    printf '%-8s %10d %12d %8d\n' "$(basename "$program" -server)" "$alone" "$cluster" $((cluster - alone))
done
