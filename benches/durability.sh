#!/usr/bin/env bash
# What durability costs, `node` beside redis-server: each server on core 0, with its threads and children; the load on core 1.
#
#   save      a million keys (or KEYS) of 100 bytes under full write load: how long BGSAVE takes, the latency of PING meanwhile,
#             and the peak of memory (the server and its children) over what it was before; then how long loading takes
#   always    `appendfsync always`: writes per second of 50 writers, and reads per second of 10 readers of other keys beside
#   everysec  writes per second, 16 pipelined: without the log, and with `appendfsync everysec`
#
#   cargo build --release && benches/durability.sh [save|always|everysec|all] [KEYS]
source "$(dirname "$0")/side-by-side.sh"
what=${1:-all}
keys=${2:-1000000}

stop() { kill "${pid_of[@]}" 2>/dev/null || true; wait "${pid_of[@]}" 2>/dev/null || true; rm -rf "$dir/node" "$dir/redis"; }
info() { redis-cli -p "$1" info | tr -d '\r' | awk -F: -v name="$2" '$1 == name { print $2 }'; }

# Writes per second of redis-benchmark's SET, with its arguments.
rate() { taskset -c 1 redis-benchmark --csv -p "$@" 2>/dev/null | tr -d '"' | awk -F, '$1 == "SET" || $1 == "GET" { print $2 }'; }

save() {
    start
    echo "save: $keys keys of 100 bytes under full write load"
    for server in node redis; do
        port=${port_of[$server]}
        [ $server = redis ] && redis-cli -p "$port" config set oom-score-adj no >/dev/null
        # Of its own commands redis-benchmark fills in the values; in those that it is given it leaves __data__ as it is.
        taskset -c 1 redis-benchmark -q -p "$port" -n "$((keys * 3))" -r "$keys" -d 100 -c 10 -P 100 -t set >/dev/null 2>&1
        [ "$(redis-cli -p "$port" strlen "$(redis-cli -p "$port" randomkey)")" = 100 ] || { echo "the values are not of 100 bytes" >&2; exit 1; }
        taskset -c 1 redis-benchmark -q -p "$port" -n 2000000000 -r "$keys" -d 100 -c 50 -t set >/dev/null 2>&1 &
        writer=$!
        sleep 2
        taskset -c 1 python3 - "$port" "${pid_of[$server]}" "$server" <<'PY'
import os, socket, sys, threading, time

port, pid, server = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def connect():
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link

def info(link, name):
    link.sendall(b"INFO persistence\r\n")
    answer = b""
    while b"\r\n" not in answer or len(answer) < int(answer[1:answer.index(b"\r\n")]) + answer.index(b"\r\n") + 4:
        answer += link.recv(65536)
    for line in answer.split(b"\r\n"):
        if line.startswith(name + b":"):
            return line.split(b":")[1]

def memory():
    """What the server and its children take, in bytes; what they share counts once."""
    children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    total = 0
    for process in [str(pid)] + children:
        try:
            for line in open(f"/proc/{process}/smaps_rollup"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total

idle = memory()
peak, over = idle, False

def watch():
    global peak
    while not over:
        peak = max(peak, memory())
        time.sleep(0.1)

watcher = threading.Thread(target=watch)
watcher.start()
try:
    # This thread goes before the load on their core: else it would measure how long that keeps it waiting.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
except PermissionError:
    print("not allowed to go before the load: latencies are those of this core, too", file=sys.stderr)
link, other = connect(), connect()
waits = []
started = time.perf_counter()
other.sendall(b"BGSAVE\r\n")
other.recv(64)
looked = started
while True:
    sent = time.perf_counter()
    link.sendall(b"PING\r\n")
    link.recv(64)
    back = time.perf_counter()
    waits.append(back - sent)
    if back - looked > 0.05:
        looked = back
        if info(other, b"rdb_bgsave_in_progress") == b"0":
            break
took = time.perf_counter() - started
over = True
watcher.join()
waits.sort()
at = lambda share: 1000 * waits[min(len(waits) - 1, int(share * len(waits)))]
print(f"{server:6} saved in {took:.2f} s; {len(waits)} pings, ms: p50 {at(0.5):.2f}, p99 {at(0.99):.2f}, p99.9 {at(0.999):.2f}, "
      f"longest {at(1):.2f}; memory {idle >> 20} MiB, at most {peak / idle:.2f} times as much")
PY
        kill $writer; wait $writer 2>/dev/null || true
    done
    # The same file for both, read twice: from the disk, and from memory.
    redis-cli -p 7902 save >/dev/null
    cp "$dir/redis/dump.rdb" "$dir/dump.rdb"
    stop
    mkdir "$dir/load"
    for server in node redis node redis; do
        cp "$dir/dump.rdb" "$dir/load/dump.rdb"
        program=$([ $server = node ] && echo "$node" || echo redis-server)
        # Loading may use both cores: that is what a second thread is for.
        (cd "$dir/load" && exec "$program" --port "${port_of[$server]}" --bind 127.0.0.1 --save "" >"log.$server" 2>&1) & pid_of[$server]=$!
        until [ "$(redis-cli -p "${port_of[$server]}" ping 2>/dev/null)" = PONG ] && [ "$(info "${port_of[$server]}" loading)" = 0 ]; do sleep 0.05; done
        echo "$server loads: $(grep -o 'DB loaded from disk: [0-9.]* seconds' "$dir/load/log.$server")"
        kill "${pid_of[$server]}"; wait "${pid_of[$server]}" 2>/dev/null || true
        rm "$dir/load/log.$server"
    done
    rm -rf "$dir/load"
}

always() {
    start --appendonly yes --appendfsync always
    echo "always: 50 writers alone, then with 10 readers of other keys beside them; per second"
    for server in node redis node redis node redis node redis node redis; do
        port=${port_of[$server]}
        redis-cli -p "$port" set other value >/dev/null
        alone=$(rate "$port" -n 200000 -r 100000 -c 50 -t set)
        taskset -c 1 redis-benchmark -q -p "$port" -n 2000000000 -r 100000 -c 50 -t set >/dev/null 2>&1 &
        writer=$!
        sleep 1
        before=$(redis-cli -p "$port" info commandstats | grep -o 'cmdstat_get:calls=[0-9]*' | cut -d= -f2 || true)
        timeout 5 taskset -c 1 redis-benchmark -q -p "$port" -n 2000000000 -c 10 GET other >/dev/null 2>&1 || true
        after=$(redis-cli -p "$port" info commandstats | grep -o 'cmdstat_get:calls=[0-9]*' | cut -d= -f2)
        kill $writer; wait $writer 2>/dev/null || true
        echo "$server writes $alone, reads beside them $(((after - ${before:-0}) / 5))"
    done
    stop
}

everysec() {
    echo "everysec: SETs per second, 16 pipelined"
    for log in no yes; do
        start --appendonly $log --appendfsync everysec --auto-aof-rewrite-percentage 0
        for server in node redis node redis node redis node redis node redis; do
            echo "$server appendonly $log: $(rate "${port_of[$server]}" -n 2000000 -r 100000 -c 50 -P 16 -t set)"
        done
        stop
    done
}

case $what in
    all) save; always; everysec ;;
    *) $what ;;
esac
