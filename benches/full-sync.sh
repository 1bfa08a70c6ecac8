#!/usr/bin/env bash
# A full synchronisation of MB megabytes under 50,000 writes a second, `node` beside redis-server: how many it took, how long,
# what memory, and the latency of PING meanwhile, in milliseconds. The primary has core 0 to itself; its replica, a server of
# the same kind, shares core 1 with the load. The data is in values of 1000 bytes, which are overwritten by 64 bytes each.
#
#   cargo build --release && benches/full-sync.sh [MB] [WRITES_PER_SECOND]
source "$(dirname "$0")/side-by-side.sh"
megabytes=${1:-1000} rate=${2:-50000}
# A replica that is behind by less than the data is not to be cut off.
limits=(--client-output-buffer-limit "replica 0 0 0" --repl-diskless-sync yes --repl-diskless-sync-delay 0)
start "${limits[@]}"
for server in node redis; do
    mkdir "$dir/$server-replica"
    program=$node
    if [ "$server" = redis ]; then program=redis-server; fi
    port=$((${port_of[$server]} + 10))
    (cd "$dir/$server-replica" && exec taskset -c 1 "$program" --port "$port" --bind 127.0.0.1 --save "" >log 2>&1) &
    pid_of[$server-replica]=$!
    until redis-cli -p "$port" ping 2>/dev/null | grep -q PONG; do :; done
    taskset -c 1 python3 - "$server" "${pid_of[$server]}" "${port_of[$server]}" "$port" "$megabytes" "$rate" <<'PY'
import multiprocessing, os, random, socket, sys, time

server, pid, port, replica_port, megabytes, rate = sys.argv[1], *map(int, sys.argv[2:])
KEYS, STORED, WRITTEN = megabytes * 1000, 1000, 64

class Link:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def line(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        answer = b""
        while not answer.endswith(b"\r\n"):
            answer += self.socket.recv(65536)
        if answer.startswith(b"$"):
            size = int(answer[1 : answer.index(b"\r\n")]) + answer.index(b"\r\n") + 4
            while len(answer) < size:
                answer += self.socket.recv(65536)
        return answer.decode()

    # So many commands that are answered with +OK.
    def many(self, request, count):
        self.socket.sendall(request)
        left = 5 * count
        while left > 0:
            left -= len(self.socket.recv(min(left, 65536)))

    def info(self, name):
        for line in self.line("INFO everything").splitlines():
            if line.startswith(name + ":"):
                return line.split(":")[1]

def sets(keys, size):
    value = random.randbytes(size // 2).hex()
    return "".join(f"*3\r\n$3\r\nSET\r\n$11\r\nkey:{key:07}\r\n${size}\r\n{value}\r\n" for key in keys).encode()

def write(stop):
    link, batch = Link(port), max(1, rate // 200)
    batches = [sets(random.sample(range(KEYS), batch), WRITTEN) for _ in range(100)]
    due = time.perf_counter()
    while not stop.is_set():
        link.many(random.choice(batches), batch)
        due += batch / rate
        # What was missed because the server was slow is not made up for.
        due = max(due, time.perf_counter() - 1)
        time.sleep(max(0, due - time.perf_counter()))

def ping(stop, result):
    link, waits = Link(port), []
    while not stop.is_set():
        for _ in range(200):
            sent = time.perf_counter()
            link.line("PING")
            waits.append(time.perf_counter() - sent)
            time.sleep(0.0002)
    result.put(sorted(waits))

# Memory of the server and of what it has forked, in bytes; pages that several share count once.
def memory():
    total = 0
    for process in [pid, *map(int, open(f"/proc/{pid}/task/{pid}/children").read().split())]:
        try:
            for line in open(f"/proc/{process}/smaps_rollup"):
                if line.startswith("Pss:"):
                    total += 1024 * int(line.split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total

primary, replica = Link(port), Link(replica_port)
for first in range(0, KEYS, 1000):
    primary.many(sets(range(first, min(first + 1000, KEYS)), STORED), min(1000, KEYS - first))
stop, result = multiprocessing.Event(), multiprocessing.Queue()
writer = multiprocessing.Process(target=write, args=(stop,))
pinger = multiprocessing.Process(target=ping, args=(stop, result))
writer.start()
time.sleep(2)
before, written = memory(), int(primary.info("total_commands_processed"))
pinger.start()
replica.line(f"REPLICAOF 127.0.0.1 {port}")
started, peak = time.perf_counter(), before
while True:
    peak = max(peak, memory())
    time.sleep(0.1)
    if replica.info("master_link_status") == "up":
        behind = int(primary.info("master_repl_offset")) - int(replica.info("slave_repl_offset"))
        # What is written in a twentieth of a second.
        if behind < rate * (WRITTEN + 50) // 20:
            break
    if time.perf_counter() - started > 600:
        break
seconds = time.perf_counter() - started
peak = max(peak, memory())
written = (int(primary.info("total_commands_processed")) - written) / seconds
stop.set()
waits = result.get()
writer.join(), pinger.join()
at = lambda share: 1000 * waits[min(len(waits) - 1, int(share * len(waits)))]
full, partial = primary.info("sync_full"), primary.info("sync_partial_ok")
print(
    f"{server:6} {full} full syncs, {partial} partial, in step after {seconds:.1f} s at {written:.0f} commands/s; "
    f"memory {before / 1e6:.0f} MB, at most {100 * (peak - before) / before:.1f} % more\n"
    f"       {len(waits)} pings, ms: p50 {at(0.5):.3f}, p99 {at(0.99):.3f}, p99.9 {at(0.999):.3f}, longest {at(1):.3f}"
)
PY
    kill "${pid_of[$server]}" "${pid_of[$server-replica]}"
    wait "${pid_of[$server]}" "${pid_of[$server-replica]}" 2>/dev/null || true
    unset "pid_of[$server]" "pid_of[$server-replica]"
done
