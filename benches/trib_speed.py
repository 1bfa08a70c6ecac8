"""The cases of benches/trib-speed.sh: trib_speed.py TRIB NODE DIRECTORY RUNS DELAY_MS CASE..."""
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import time

TRIB, NODE, HOME = sys.argv[1:4]
RUNS, DELAY_MS, CASES = int(sys.argv[4]), float(sys.argv[5]), sys.argv[6:]
# A server's own port, and how much higher the port is that it announces when links are long.
FIRST, PROXY = 7941, 2000
SLOTS = int(os.environ.get("SLOTS", "1000"))
PEERS = os.environ.get("PEERS", "target/peers")
VALKEY_CLI = os.environ.get("VALKEY_CLI")


class Link:
    """A connection to a server on this host, past any proxy."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.sock.close()

    def send(self, commands):
        out = []
        for words in commands:
            words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
            out.append(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        self.sock.sendall(b"".join(out))
        return [self.reply() for _ in out]

    def call(self, *words):
        return self.send([words])[0]

    def reply(self):
        line = self.file.readline()
        head, rest = line[:1], line[1:-2].decode()
        if head == b"$":
            return None if rest == "-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if head == b"*":
            return [self.reply() for _ in range(int(rest))]
        return int(rest) if head == b":" else (head.decode() + rest if head == b"-" else rest)


def until(what):
    deadline = time.monotonic() + 60
    while not what():
        if time.monotonic() > deadline:
            sys.exit("a server does not get there")
        time.sleep(0.002)


class Servers:
    """Servers on this host, empty, until the end of a `with`."""

    made = 0

    def __init__(self, program, count, *, cluster=True, delayed=True, first=FIRST):
        self.ports = [first + index for index in range(count)]
        self.delayed = delayed and DELAY_MS > 0
        self.processes = []
        for port in self.ports:
            Servers.made += 1
            home = f"{HOME}/{Servers.made}"
            os.mkdir(home)
            words = [program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", home]
            words += ["--cluster-enabled", "yes"] if cluster else []
            if self.delayed and cluster:
                words += ["--cluster-announce-port", port + PROXY, "--cluster-announce-bus-port", port + 10000]
            self.start(words, home)
        if self.delayed:
            pairs = [f"{port + PROXY}:{port}" for port in self.ports]
            self.start([sys.executable, "benches/delay_proxy.py", DELAY_MS, *pairs], HOME)
        for port in self.ports:
            until(lambda: self.answers(port))
            if self.delayed:
                until(lambda: self.answers(port + PROXY))

    def start(self, words, home):
        log = open(f"{home}/out", "w")
        self.processes.append(subprocess.Popen([str(word) for word in words], stdout=log, stderr=log))

    def answers(self, port):
        try:
            with Link(port) as link:
                return link.call("PING") == "PONG"
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def addr(self, index):
        """As the tools are told it, and as the server announces itself."""
        return f"127.0.0.1:{self.ports[index] + (PROXY if self.delayed else 0)}"

    def addrs(self):
        return [self.addr(index) for index in range(len(self.ports))]

    def link(self, index):
        return Link(self.ports[index])

    def id(self, index):
        with self.link(index) as link:
            return link.call("CLUSTER", "MYID")

    def keys(self, index):
        with self.link(index) as link:
            return link.call("DBSIZE")

    def fill(self, index, slots, per_slot):
        """Keys of 64 bytes in slots that this server owns."""
        with self.link(index) as link:
            for some in range(0, len(slots), 50):
                link.send(("SET", f"key:{n}:{{{TAGS[slot]}}}", f"{n:064}")
                          for slot in slots[some:some + 50] for n in range(per_slot))

    def slots(self, index):
        """The slots that this server owns."""
        with self.link(index) as link:
            own = next(line for line in link.call("CLUSTER", "NODES").splitlines() if "myself" in line).split()[8:]
        ends = [[int(end) for end in part.split("-")] for part in own]
        return [slot for part in ends for slot in range(part[0], part[-1] + 1)]

    def empty(self):
        for index in range(len(self.ports)):
            with self.link(index) as link:
                link.call("FLUSHALL")

    def have_slots(self):
        """Whether every server sees all slots served, by as many owners as ever."""
        seen = set()
        for index in range(len(self.ports)):
            with self.link(index) as link:
                if "cluster_state:ok" not in link.call("CLUSTER", "INFO"):
                    return False
                lines = link.call("CLUSTER", "NODES").splitlines()
                seen.add(tuple(sorted((line.split()[0], *line.split()[8:]) for line in lines)))
        return len(seen) == 1


def slot_of(text):
    crc = 0
    for byte in text.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc & 16383


def make_tags():
    tags, number = {}, 0
    while len(tags) < 16384:
        tags.setdefault(slot_of(f"{number:x}"), f"{number:x}")
        number += 1
    return tags


TAGS = make_tags()


# A process begins with the greatest memory of the one that it comes from, so this one, which is small, starts it.
LAUNCHER = """
import os, sys, time
begun = time.perf_counter()
null = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
_, status, used = os.wait4(os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=null), 0)
print(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


def run(words):
    """Runs a tool to its end; gives the milliseconds, its CPU milliseconds, and its memory at most in MB."""
    place = {**os.environ, "XDG_STATE_HOME": HOME}
    ran = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *words], capture_output=True, text=True, env=place)
    took, cpu, memory, code = ran.stdout.split()
    if code != "0":
        sys.exit(f"{' '.join(words)}: {ran.stderr}")
    return float(took) * 1000, float(cpu) * 1000, float(memory) / 1024


def show(case, times, bars=()):
    """The medians, and of each bar (name, other, limit) whether the ratio of the two keeps to it."""
    print(f"{case} ({'loopback' if not DELAY_MS else f'{DELAY_MS:g} ms of delay'}, {RUNS} runs)")
    middle = {name: statistics.median(runs) for name, runs in times.items()}
    for name, runs in times.items():
        print(f"  {name:34} {middle[name]:9.1f} ms   ({min(runs):.1f} to {max(runs):.1f})")
    for name, other, limit in bars:
        ratio = middle[name] / middle[other]
        print(f"  {'met   ' if ratio <= limit else 'MISSED'} {name} / {other}: {ratio:.3f}, at most {limit}")
    sys.stdout.flush()


def show_bar(name, value, unit, limit):
    print(f"  {'met   ' if value <= limit else 'MISSED'} {name}: {value:.2f} {unit}, at most {limit}", flush=True)


def form(servers):
    run([TRIB, "create", "--yes", *servers.addrs()])
    until(servers.have_slots)


def create():
    """Until every shard has taken a write, from the moment the tool is started. A primary takes none in its first two
    seconds, so that is all that can be seen on servers that have just been started."""
    tools = {
        "redis-cli": ["redis-cli", "--cluster", "create"],
        "trib": [TRIB, "create", "--yes", "--replicas", "1"],
    }
    for age in (0, 3):
        times = {name: [] for name in tools}
        for _ in range(RUNS):
            for name, words in tools.items():
                with Servers("redis-server", 6, delayed=False) as servers:
                    time.sleep(age)
                    end = ["--cluster-replicas", "1", "--cluster-yes"] if name == "redis-cli" else []
                    begun = time.perf_counter()
                    tool = subprocess.Popen([*words, *servers.addrs(), *end], stdout=subprocess.DEVNULL)
                    # Both make the first three the primaries, with a third of the slots each.
                    for index, slot in enumerate((0, 8000, 16000)):
                        with servers.link(index) as link:
                            until(lambda: link.call("SET", f"{{{TAGS[slot]}}}", "x") == "OK")
                    times[name].append((time.perf_counter() - begun) * 1000)
                    assert tool.wait() == 0
        how = "just started" if age == 0 else f"up for {age} s"
        show(f"create of 3 + 3 that are {how}, until every shard has taken a write", times, [("trib", "redis-cli", 1)])


def reshard(case, sources, per_slot, bars):
    """Slots go to the third server and come back untimed."""
    each = SLOTS // len(sources)
    with Servers("redis-server", 3) as servers:
        form(servers)
        ids = [servers.id(index) for index in range(3)]
        firsts = {index: first_slot(servers, index) for index in sources}
        if per_slot:
            for index, first in firsts.items():
                # One more, since the tools share 1,000 slots between two sources in two ways.
                servers.fill(index, range(first, first + each + 1), per_slot)
        names = ",".join(ids[index] for index in sources)
        common = ["--cluster-from", names, "--cluster-to", ids[2], "--cluster-slots", str(SLOTS), "--cluster-yes"]
        redis_cli = ["redis-cli", "--cluster", "reshard", servers.addr(0), *common]
        tools = {"redis-cli": redis_cli}
        if per_slot:
            tools["redis-cli, pipeline 100"] = [*redis_cli, "--cluster-pipeline", "100"]
        tools["trib"] = [TRIB, "reshard", servers.addr(0), "--from", names, "--to", ids[2],
                         "--slots", str(SLOTS), "--yes"]
        times = {name: [] for name in tools}
        for _ in range(RUNS):
            for name, words in tools.items():
                times[name].append(run(words)[0])
                assert servers.keys(2) == SLOTS * per_slot, f"{servers.keys(2)} keys arrived"
                until(servers.have_slots)
                give_back(servers, ids, firsts)
        show(case, times, bars)


def first_slot(servers, index):
    with servers.link(index) as link:
        own = next(line for line in link.call("CLUSTER", "NODES").splitlines() if "myself" in line)
        return int(own.split()[8].split("-")[0])


def give_back(servers, ids, firsts):
    """The lowest slots of the third server go to where they came from."""
    for index, first in sorted(firsts.items(), key=lambda pair: pair[1]):
        with servers.link(2) as link:
            own = next(line for line in link.call("CLUSTER", "NODES").splitlines() if "myself" in line)
        count = 0
        for one in own.split()[8:]:
            low, _, high = one.partition("-")
            if int(low) == first:
                count = int(high or low) - first + 1
        run([TRIB, "reshard", servers.addr(0), "--from", ids[2], "--to", ids[index], "--slots", str(count), "--yes"])
    until(servers.have_slots)


def empty():
    reshard(f"{SLOTS:,} empty slots", [0], 0, [("trib", "redis-cli", 0.2)])


def one():
    reshard(f"{SLOTS:,} slots with {60 * SLOTS:,} keys, from one source", [0], 60,
            [("trib", "redis-cli", 0.45), ("trib", "redis-cli, pipeline 100", 0.9)])


def two():
    reshard(f"{SLOTS:,} slots with {60 * SLOTS:,} keys, from two sources", [0, 1], 60,
            [("trib", "redis-cli", 0.3), ("trib", "redis-cli, pipeline 100", 0.6)])


def importing():
    keys = 200 * SLOTS
    with Servers("redis-server", 3) as servers, Servers("redis-server", 1, cluster=False, first=7961) as source:
        form(servers)
        with source.link(0) as link:
            for some in range(0, keys, 5000):
                link.send(("SET", f"key:{n}", f"{n:064}") for n in range(some, min(some + 5000, keys)))
        cluster, origin = servers.addr(0), source.addr(0)
        tools = {
            "redis-cli": ["redis-cli", "--cluster", "import", cluster, "--cluster-from", origin, "--cluster-copy"],
            "trib": [TRIB, "import", cluster, "--from", origin, "--copy"],
        }
        times = {name: [] for name in tools}
        for _ in range(RUNS):
            for name, words in tools.items():
                servers.empty()
                times[name].append(run(words)[0])
                arrived = sum(servers.keys(index) for index in range(3))
                assert arrived == keys, f"{arrived} keys arrived"
        show(f"import of {keys:,} keys", times, [("trib", "redis-cli", 0.1)])


def ways():
    """Both move keys, one by one server's MIGRATE, one by DUMP, RESTORE and a deletion under WATCH."""
    keys = 20_000
    with Servers("redis-server", 3) as servers, Servers("redis-server", 1, cluster=False, first=7961) as source:
        form(servers)
        origin = source.addr(0)
        times = {"migrate": [], "dump": []}
        for _ in range(RUNS):
            for way, runs in times.items():
                servers.empty()
                with source.link(0) as link:
                    link.send(("SET", f"key:{n}", f"{n:064}") for n in range(keys))
                runs.append(run([TRIB, "import", servers.addr(0), "--from", origin, "--via", way])[0])
                assert sum(servers.keys(index) for index in range(3)) == keys and source.keys(0) == 0
        show(f"import that moves {keys:,} keys, by the server's MIGRATE and by DUMP, RESTORE and WATCH", times)


def atomic():
    for per_slot in (60, 300):
        with Servers(NODE, 3) as servers:
            form(servers)
            ids = [servers.id(index) for index in range(3)]
            servers.fill(0, range(SLOTS), per_slot)
            words = [TRIB, "reshard", servers.addr(0), "--from", ids[0], "--to", ids[2], "--slots", str(SLOTS), "--yes"]
            times = []
            for _ in range(RUNS):
                times.append(run(words)[0])
                assert servers.keys(2) == SLOTS * per_slot, f"{servers.keys(2)} keys arrived"
                until(servers.have_slots)
                give_back(servers, ids, {0: 0})
            keys = SLOTS * per_slot
            show(f"{SLOTS:,} slots with {keys:,} keys between `node`s", {"trib": times})
            middle = statistics.median(times)
            if per_slot == 60:
                show_bar("in all", middle, "ms", 150)
            else:
                show_bar("per key", middle * 1000 / keys, "us", 2.5)


def valkey():
    """Between servers of Valkey 9.1. Where valkey-cli 9 is not at hand, what it takes at the least stands for it: its start and
    its look at the cluster, as valkey-cli 8.1's `info` does them, one CLUSTER MIGRATESLOTS for the pair, then CLUSTER
    GETSLOTMIGRATIONS every 100 ms. valkey-cli 8.1 moves key by key."""
    with Servers(f"{PEERS}/valkey-server-9.1", 3) as servers:
        form(servers)
        ids = [servers.id(index) for index in range(3)]
        servers.fill(0, range(SLOTS), 60)
        common = ["--cluster-from", ids[0], "--cluster-to", ids[2], "--cluster-slots", str(SLOTS), "--cluster-yes"]
        by_keys = [f"{PEERS}/valkey-cli-8.1", "--cluster", "reshard", servers.addr(0), *common]
        look = [f"{PEERS}/valkey-cli-8.1", "--cluster", "info", servers.addr(0)]
        ours = [TRIB, "reshard", servers.addr(0), "--from", ids[0], "--to", ids[2], "--slots", str(SLOTS), "--yes"]
        ways = {
            "valkey-cli 8.1": lambda: run(by_keys)[0],
            "valkey-cli 8.1, pipeline 100": lambda: run([*by_keys, "--cluster-pipeline", "100"])[0],
            "trib": lambda: run(ours)[0],
        }
        if VALKEY_CLI:
            theirs = "valkey-cli 9"
            words = [VALKEY_CLI, "--cluster", "reshard", servers.addr(0), *common, "--cluster-use-atomic-slot-migration"]
            ways[theirs] = lambda: run(words)[0]
        else:
            theirs = "valkey-cli 9, at the least"
            ways[theirs] = lambda: run(look)[0] + push(servers, ids[2])
        times = {name: [] for name in ways}
        for _ in range(RUNS):
            for name, way in ways.items():
                # The servers take some steps of a migration ten times a second: nobody is to begin in step with that.
                time.sleep(random.uniform(0, 0.1))
                times[name].append(way())
                assert servers.keys(2) == SLOTS * 60, f"{servers.keys(2)} keys arrived"
                until(servers.have_slots)
                give_back(servers, ids, {0: 0})
                # What has left is deleted in the background.
                until(lambda: servers.keys(2) == 0)
        show(f"{SLOTS:,} slots with {60 * SLOTS:,} keys between servers of Valkey 9.1", times,
             [("trib", theirs, 1), ("trib", "valkey-cli 8.1, pipeline 100", 1)])


def push(servers, target):
    """The milliseconds until the first server knows that it has given its lowest slots to this one."""
    begun = time.perf_counter()
    with servers.link(0) as link:
        assert link.call("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, SLOTS - 1, "NODE", target) == "OK"
        while True:
            latest = link.call("CLUSTER", "GETSLOTMIGRATIONS")[0]
            state = dict(zip(latest[::2], latest[1::2]))["state"]
            if state == "success":
                return (time.perf_counter() - begun) * 1000
            assert state not in ("failed", "cancelled"), latest
            time.sleep(0.1)


def check():
    for count in (10, 100):
        with Servers("redis-server", count, delayed=False) as servers:
            form(servers)
            for per_slot in (0, 10):
                for index in range(count if per_slot else 0):
                    servers.fill(index, servers.slots(index), per_slot)
                runs = [run([TRIB, "check", servers.addr(0)]) for _ in range(RUNS)]
                show(f"check of {count} nodes with {16384 * per_slot:,} keys", {"trib": [took for took, _, _ in runs]})
                took, cpu, memory = (statistics.median(column) for column in zip(*runs))
                print(f"  CPU {cpu:.0f} ms, memory at most {memory:.1f} MB")
                show_bar("in all", took / 1000, "s", 0.3)


ALL = {"create": create, "empty": empty, "one": one, "two": two, "import": importing, "ways": ways, "atomic": atomic,
       "valkey": valkey, "check": check}
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
for case in CASES:
    ALL[case]()
