"""One cluster of benches/failover-time.sh: failover_time.py KIND KILLS NODE DIRECTORY"""
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

kind, kills, node, home = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
PRIMARIES = 3
BASE = {"node": 7310, "redis": 7320, "mixed": 7330}[kind]
TIMEOUT_MS = 2000
random.seed(kills)


def program(index):
    if kind == "mixed":
        # Primaries node, redis, node; their replicas redis, node, redis.
        return node if (index % PRIMARIES + index // PRIMARIES) % 2 == 0 else "redis-server"
    return node if kind == "node" else "redis-server"


class Refused(Exception):
    pass


class Link:
    """A connection with a timeout for everything."""

    def __init__(self, port, timeout=0.25):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.settimeout(timeout)
        self.file = self.sock.makefile("rb")

    def call(self, *words):
        out = b"*%d\r\n" % len(words)
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            out += b"$%d\r\n%s\r\n" % (len(word), word)
        self.sock.sendall(out)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("closed")
        head, rest = line[:1], line[1:-2]
        if head == b"-":
            raise Refused(rest.decode())
        if head == b":":
            return int(rest)
        if head == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if head == b"*":
            return [self.reply() for _ in range(int(rest))]
        return rest.decode()

    def close(self):
        self.file.close()
        self.sock.close()


class Server:
    def __init__(self, index):
        self.port, self.home = BASE + index, f"{home}/{index}"
        self.program = program(index)
        os.makedirs(self.home)
        self.start()

    def start(self):
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--save", "",
                 "--cluster-node-timeout", str(TIMEOUT_MS), "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
                 "--logfile", f"{self.home}/log", "--dir", self.home]
        self.process = subprocess.Popen([self.program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait(f"{self.port} answers", lambda: self.ask("PING") == "PONG")

    def ask(self, *words):
        link = Link(self.port, 2)
        try:
            return link.call(*words)
        finally:
            link.close()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def wait(what, done, limit=60):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if done():
                return
        except (OSError, Refused, IndexError):
            pass
        time.sleep(0.02)
    raise SystemExit(f"{kind}: not within {limit} s: {what}")


class Writer(threading.Thread):
    """Writes to one shard without pause, wherever its primary is, and notes the first success after `mark`."""

    def __init__(self, ports, key):
        super().__init__(daemon=True)
        self.ports, self.key = ports, key
        self.mark, self.first = None, None
        self.promised, self.count, self.stop = {}, 0, False

    def run(self):
        link, at = None, 0
        while not self.stop:
            try:
                if link is None:
                    link = Link(self.ports[at])
                name, value = f"{{{self.key}}}:{self.count}", str(self.count)
                link.call("SET", name, value)
                now = time.monotonic()
                if self.mark is not None and now > self.mark:
                    self.mark, self.first = None, now
                if self.count % 10 == 0 and link.call("WAIT", 1, 100) >= 1:
                    self.promised[name] = value
                self.count += 1
                time.sleep(0.001)
            except (OSError, Refused, ValueError):
                if link is not None:
                    link.close()
                link, at = None, (at + 1) % len(self.ports)
                time.sleep(0.005)


def tag_of(server):
    """A hash tag of which the server has the slot."""
    for tag in range(1000):
        try:
            server.ask("SET", f"{{{tag}}}", "x")
            return str(tag)
        except Refused:
            pass
    raise SystemExit("no slot is served")


servers = []
try:
    servers = [Server(i) for i in range(2 * PRIMARIES)]
    for i, server in enumerate(servers):
        server.ask("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        if i < PRIMARIES:
            server.ask("CLUSTER", "ADDSLOTSRANGE", i * 16384 // PRIMARIES, (i + 1) * 16384 // PRIMARIES - 1)
        if i > 0:
            server.ask("CLUSTER", "MEET", "127.0.0.1", BASE)
    everybody = f"cluster_known_nodes:{len(servers)}\r"
    wait("all know all", lambda: all(everybody in s.ask("CLUSTER", "INFO") for s in servers))
    shards = [[servers[i], servers[i + PRIMARIES]] for i in range(PRIMARIES)]
    for primary, replica in shards:
        own = primary.ask("CLUSTER", "MYID")
        wait("its primary is known", lambda: own in replica.ask("CLUSTER", "NODES"))
        replica.ask("CLUSTER", "REPLICATE", own)
    wait("the cluster is up", lambda: all("cluster_state:ok" in s.ask("CLUSTER", "INFO") for s in servers))
    writers = []
    for shard in shards:
        wait("its replica is whole", lambda: shard[1].ask("ROLE")[3] == "connected")
        writers.append(Writer([s.port for s in shard], tag_of(shard[0])))
    for writer in writers:
        writer.start()
    times = []
    for round_ in range(kills):
        number = round_ % PRIMARIES
        shard, writer = shards[number], writers[number]
        primary = next(s for s in shard if s.ask("ROLE")[0] == "master")
        other = next(s for s in shard if s is not primary)
        wait("the replica is whole", lambda: other.ask("ROLE")[3] == "connected")
        wait("all know it", lambda: all("fail" not in s.ask("CLUSTER", "NODES") for s in servers))
        # Not in step with anybody's timers.
        time.sleep(1 + random.random())
        primary.kill()
        killed = time.monotonic()
        # A reply that was on its way may still be read.
        writer.first, writer.mark = None, killed + 0.05
        wait("writes succeed again", lambda: writer.first is not None)
        times.append((writer.first - killed, os.path.basename(other.program)))
        primary.start()
        wait("the old primary is a replica", lambda: primary.ask("ROLE")[0] == "slave" and primary.ask("ROLE")[3] == "connected")
    for writer in writers:
        writer.stop = True
    for writer in writers:
        writer.join()
    lost = 0
    for shard, writer in zip(shards, writers):
        primary = next(s for s in shard if s.ask("ROLE")[0] == "master")
        link = Link(primary.port, 5)
        lost += sum(link.call("GET", name) != value for name, value in writer.promised.items())
    promised = sum(len(w.promised) for w in writers)
    print(f"{kind:6} {sum(w.count for w in writers)} writes, {promised} waited for, {lost} of those lost")
    for heir in sorted({heir for _, heir in times}) + [None] * (kind == "mixed"):
        took = sorted(time for time, who in times if heir in (who, None))
        at = lambda share: took[min(len(took) - 1, int(share * len(took)))]
        print(f"{kind:6} {len(took)} kills, then {heir or 'either'} takes over; seconds without writes: p50 {at(0.5):.2f}, "
              f"p95 {at(0.95):.2f}, max {took[-1]:.2f}", flush=True)
finally:
    for server in servers:
        server.process.kill()
        server.process.wait()
