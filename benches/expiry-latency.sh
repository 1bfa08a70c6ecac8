#!/usr/bin/env bash
# The latency of PING, in milliseconds, while ten million keys (or KEYS) are written and then expire, `node` beside
# redis-server: each server alone on core 0, the load on core 1. Every ping from the first write to the last expiry counts.
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
    taskset -c 1 python3 - "$port" "$writer" "$server" <<'PY'
import os, socket, sys, time

port, writer, server = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
link = socket.create_connection(("127.0.0.1", port))
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

def ask(line):
    link.sendall(line)
    answer = b""
    while not answer.endswith(b"\r\n"):
        answer += link.recv(64)
    return answer

def writing():
    try:
        return open(f"/proc/{writer}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False

waits = []
while writing() or ask(b"DBSIZE\r\n") != b":0\r\n":
    for _ in range(2000):
        sent = time.perf_counter()
        ask(b"PING\r\n")
        waits.append(time.perf_counter() - sent)
waits.sort()
at = lambda share: 1000 * waits[min(len(waits) - 1, int(share * len(waits)))]
print(f"{server:6} {len(waits)} pings, ms: p50 {at(0.5):.3f}, p99 {at(0.99):.3f}, p99.9 {at(0.999):.3f}, longest {at(1):.3f}")
PY
    wait $writer
done
