#!/usr/bin/env bash
# CPU time per request of `node` beside redis-server, in one run: the server on core 0, redis-benchmark on core 1,
# runs interleaved, medians. CPU time is steadier than requests per second on a machine that others use as well.
#
#   cargo build --release && benches/cpu-per-request.sh [RUNS]
source "$(dirname "$0")/side-by-side.sh"
runs=${1:-5}
start
# What is read is there: the first writes fill the keys.
for pipeline in 1 16 64; do
    requests=$([ $pipeline = 1 ] && echo 200000 || echo 2000000)
    for command in set get; do
        measure "$runs" "$command,pipelined:$pipeline" "$requests" -P $pipeline -r 100000 -d 64 -t $command
    done
done | table
