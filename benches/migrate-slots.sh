#!/usr/bin/env bash
# Moves 4,096 slots with a million small keys from one `node` to another while a writer writes to all of these slots.
# Prints what the move cost per key, and for how long writes to a slot had to wait. Needs python3.
#
#   NODE=path/to/node   another binary than the release build's
#   KEYS=1000000        how many keys
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
node=$(realpath "${NODE:-target/release/node}")
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT
for port in 7901 7902; do
    mkdir "$dir/$port"
    (cd "$dir/$port" && exec "$node" --port $port --bind 127.0.0.1 --save "" --cluster-enabled yes >log 2>&1) & pids+=($!)
done
for port in 7901 7902; do
    until redis-cli -p $port ping 2>/dev/null | grep -q PONG; do :; done
done
redis-cli -p 7901 cluster addslotsrange 0 8191 >/dev/null
redis-cli -p 7902 cluster addslotsrange 8192 16383 >/dev/null
redis-cli -p 7902 cluster set-config-epoch 2 >/dev/null
redis-cli -p 7901 cluster set-config-epoch 1 >/dev/null
redis-cli -p 7901 cluster meet 127.0.0.1 7902 >/dev/null
for port in 7901 7902; do
    until redis-cli -p $port cluster info | grep -q cluster_state:ok; do sleep 0.1; done
done
python3 - "${KEYS:-1000000}" "${pids[@]}" <<'PYTHON'
import os, socket, sys, threading, time

KEYS, SLOTS, CONNECTIONS = int(sys.argv[1]), 4096, 8
PIDS = sys.argv[2:]

def slot(text):
    crc = 0
    for byte in text:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc & 16383

tags, number = [None] * SLOTS, 0
while None in tags:
    tag = b"%x" % number
    if slot(tag) < SLOTS and tags[slot(tag)] is None:
        tags[slot(tag)] = tag
    number += 1

def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

def connect(port):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection

def line(connection):
    got = b""
    while not got.endswith(b"\r\n"):
        got += connection.recv(4096)
    return got

def cpu():
    ticks = [open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split() for pid in PIDS]
    return [(int(t[11]) + int(t[12])) / os.sysconf("SC_CLK_TCK") for t in ticks]

source = connect(7901)
for first in range(0, KEYS, 5000):
    count = min(5000, KEYS - first)
    source.sendall(b"".join(
        command(b"SET", b"{%s}%d" % (tags[n % SLOTS], n), b"value:%016d" % n) for n in range(first, first + count)))
    left = 5 * count
    while left:
        left -= len(source.recv(1 << 16))

stop, began, ended = threading.Event(), [None], [None]
longest = [0.0] * SLOTS
seen = {"writes": 0, "MOVED": 0, "other": 0}

def write(mine):
    """Writes to some slots in turn, and notes the longest wait for each while the move is under way."""
    ports = {7901: connect(7901), 7902: connect(7902)}
    at = {n: 7901 for n in mine}
    while not stop.is_set():
        for n in mine:
            start = time.perf_counter()
            while True:
                ports[at[n]].sendall(command(b"INCR", b"{%s}counter" % tags[n]))
                reply = line(ports[at[n]])
                if reply.startswith(b":"):
                    break
                if not reply.startswith(b"-MOVED"):
                    seen["other"] += 1
                    print(reply)
                    break
                seen["MOVED"] += 1
                at[n] = int(reply.rsplit(b":", 1)[1])
            end = time.perf_counter()
            seen["writes"] += 1
            if began[0] and (ended[0] is None or start < ended[0]):
                longest[n] = max(longest[n], end - start)
            if stop.is_set():
                break

threads = [threading.Thread(target=write, args=(range(i, SLOTS, CONNECTIONS),)) for i in range(CONNECTIONS)]
[thread.start() for thread in threads]
time.sleep(1)
target = connect(7902)
target.sendall(command(b"CLUSTER", b"MYID"))
identity = line(target).split(b"\r\n")[1]
before = cpu()
began[0] = time.perf_counter()
source.sendall(command(b"CLUSTER", b"MIGRATESLOTS", b"SLOTSRANGE", b"0", b"%d" % (SLOTS - 1), b"NODE", identity))
assert line(source) == b"+OK\r\n"
def state():
    source.sendall(command(b"CLUSTER", b"GETSLOTMIGRATIONS"))
    got = b""
    while b"remaining_repl_size\r\n:" not in got or not got.endswith(b"\r\n"):
        got += source.recv(1 << 16)
    return got.split(b"\r\n$5\r\nstate\r\n")[1].split(b"\r\n")[1].decode()
while state() not in ("success", "failed", "cancelled"):
    time.sleep(0.005)
ended[0] = time.perf_counter()
after = cpu()
print("state:", state())
time.sleep(1)
stop.set()
[thread.join() for thread in threads]
took = ended[0] - began[0]
print(f"{KEYS} keys in {took:.2f} s: {took / KEYS * 1e6:.2f} us per key in all "
      f"(CPU of the source {after[0] - before[0]:.2f} s, of the target {after[1] - before[1]:.2f} s, writes included)")
waits = sorted(wait * 1000 for wait in longest)
print(f"longest wait for a write to a slot: p50 {waits[SLOTS // 2]:.1f} ms, p99 {waits[SLOTS * 99 // 100]:.1f} ms, "
      f"max {waits[-1]:.1f} ms")
print(f"{seen['writes']} writes, {seen['MOVED']} times MOVED, {seen['other']} other errors")
PYTHON
redis-cli -p 7901 dbsize
redis-cli -p 7902 dbsize
