"""What applications do with redis-py, against a server on 127.0.0.1: `clients.py SCENARIO PORT`.

A scenario that fails ends with a traceback and exit code 1. The writers go on until their input ends.
"""
import sys
import threading
import time

import redis
from redis.cluster import RedisCluster

HOST = "127.0.0.1"
# Before version 5 redis-py spoke RESP2 only.
PROTOCOLS = [{}] if int(redis.__version__.split(".")[0]) < 5 else [{"protocol": 2}, {"protocol": 3}]


def single(port):
    for options in PROTOCOLS:
        everyday(redis.Redis(host=HOST, port=port, **options))


def everyday(r):
    r.flushall()
    assert r.ping() is True
    # Any bytes are keys and values.
    blob = bytes(range(256))
    assert r.set(blob, blob) and r.get(blob) == blob and r.strlen(blob) == 256

    # Expiry, and the options of SET.
    assert r.set("once", 1, nx=True) is True and r.set("once", 2, nx=True) is None
    assert r.set("brief", "x", px=100_000) and 0 < r.pttl("brief") <= 100_000
    assert r.expire("once", 50) and r.ttl("once") == 50 and r.persist("once") and r.ttl("once") == -1
    assert r.set("gone", "x", px=1) and wait_for(lambda: r.get("gone") is None)

    # Pipelines: without a transaction, and with one.
    pipe = r.pipeline(transaction=False)
    for i in range(1000):
        pipe.set(f"p:{i}", i)
    assert pipe.execute() == [True] * 1000
    assert r.mget("p:0", "p:999", "p:1000") == [b"0", b"999", None]
    with r.pipeline() as pipe:
        assert pipe.incr("n").incr("n").lpush("l", 1, 2).lrange("l", 0, -1).execute() == [1, 2, 2, [b"2", b"1"]]
    with r.pipeline() as pipe:
        pipe.set("n", "word").incr("n").set("after", 1)
        results = pipe.execute(raise_on_error=False)
    assert isinstance(results[1], redis.ResponseError) and r.get("after") == b"1", results

    # Optimistic locking: the loser sees it.
    r.set("balance", 10)
    with r.pipeline() as pipe:
        pipe.watch("balance")
        r.incr("balance")
        pipe.multi()
        pipe.set("balance", 0)
        try:
            pipe.execute()
            raise AssertionError("the watched key was changed")
        except redis.WatchError:
            pass
    assert r.transaction(lambda p: p.multi() or p.incr("balance"), "balance") == [12]

    # Scans meet every key once the data stands still.
    assert sorted(r.scan_iter("p:*", count=50)) == sorted(f"p:{i}".encode() for i in range(1000))
    assert sorted(r.scan_iter(match="l*", _type="list")) == [b"l"]
    r.hset("h", mapping={f"f{i}": i for i in range(1000)})
    assert dict(r.hscan_iter("h", count=100)) == {f"f{i}".encode(): str(i).encode() for i in range(1000)}
    r.sadd("s", *range(1000))
    assert {int(m) for m in r.sscan_iter("s")} == set(range(1000))
    r.zadd("z", {f"m{i}": i / 2 for i in range(1000)})
    assert dict(r.zscan_iter("z")) == {f"m{i}".encode(): i / 2 for i in range(1000)}

    # Replies that differ between the protocols come out as the same values.
    assert r.hgetall("h")[b"f7"] == b"7" and r.smembers("s") >= {b"1", b"2"}
    assert r.zrange("z", 0, 1, withscores=True)[1][1] == 0.5 and r.zscore("z", "m3") == 1.5
    assert r.zincrby("z", 1.5, "m3") == 3.0 and r.zrank("z", "nobody") is None
    assert r.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert r.info("server")["redis_mode"] == "standalone" and r.client_list()[0]["db"] == "0"
    assert r.dump("once") and r.restore("copy", 0, r.dump("once")) and r.get("copy") == b"1"
    try:
        r.lpush("h", 1)
        raise AssertionError("a hash is no list")
    except redis.ResponseError as error:
        assert "WRONGTYPE" in str(error), error


def wait_for(done, limit=30):
    deadline = time.monotonic() + limit
    while not done():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)
    return True


def cluster(port):
    # A replica is told to clients once the node that is asked has heard of its offset.
    wait_for(lambda: len(RedisCluster(host=HOST, port=port).get_replicas()) == 3)
    for options in PROTOCOLS:
        spread(RedisCluster(host=HOST, port=port, **options))


def spread(r):
    assert len(r.get_primaries()) == 3 and len(r.get_replicas()) == 3
    r.flushall(target_nodes=RedisCluster.PRIMARIES)
    for i in range(600):
        assert r.set(f"k:{i}", i)
    assert [r.get(f"k:{i}") for i in range(600)] == [str(i).encode() for i in range(600)]
    sizes = [r.dbsize(target_nodes=node) for node in r.get_primaries()]
    assert min(sizes) > 100 and sum(sizes) == 600, sizes

    # A pipeline over all nodes keeps its order.
    pipe = r.pipeline()
    for i in range(600):
        pipe.incr(f"k:{i}")
    assert pipe.execute() == [i + 1 for i in range(600)]

    # Several keys in one command, where a hash tag keeps them together.
    assert r.mset({"{user}:a": 1, "{user}:b": 2}) and r.mget("{user}:a", "{user}:b") == [b"1", b"2"]
    assert r.sadd("{user}:s", 1, 2, 3) and r.sadd("{user}:t", 3, 4) and r.sunion("{user}:s", "{user}:t")
    assert r.rename("{user}:a", "{user}:c") and r.exists("{user}:a", "{user}:b", "{user}:c") == 2
    for refused in [lambda: r.mset({"a": 1, "b": 2}), lambda: r.sunion("a", "b")]:
        try:
            refused()
            raise AssertionError("keys of different slots")
        except (redis.RedisError, redis.exceptions.RedisClusterException):
            pass
    assert r.mset_nonatomic({"a": 1, "b": 2, "c": 3}) and r.mget_nonatomic("a", "b", "c") == [b"1", b"2", b"3"]
    assert sorted(r.scan_iter("k:*")) == sorted(f"k:{i}".encode() for i in range(600))

    # Reads from replicas see what was acknowledged there.
    assert r.set("{user}:d", "x") and r.wait(1, 5000, target_nodes=r.get_node_from_key("{user}:d")) >= 1
    reader = RedisCluster(host=HOST, port=r.get_random_node().port, read_from_replicas=True)
    assert [reader.get("{user}:d") for _ in range(6)] == [b"x"] * 6


def until_input_ends():
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    return ended


def steady_writer(port):
    """Writes while slots move: no error may reach it, and nothing may be lost."""
    ended, written = until_input_ends(), 0
    r = RedisCluster(host=HOST, port=port, **PROTOCOLS[-1])
    while not ended.is_set():
        assert r.set(f"w:{written}", written)
        written += 1
        if written % 10 == 0:
            assert r.mset({f"{{t{written % 7}}}:a": written, f"{{t{written % 7}}}:b": written})
        if written == 100:
            print("writing", flush=True)
    for i in range(written):
        assert r.get(f"w:{i}") == str(i).encode(), i
    print(written)


def stubborn_writer(port):
    """Writes while a primary is lost: there may be errors for a while, and then none."""
    ended, since_error = until_input_ends(), 0
    connect = lambda: RedisCluster(host=HOST, port=port, **PROTOCOLS[-1])
    r, written, errors = connect(), 0, 0
    print("writing", flush=True)
    give_up = None
    while not (ended.is_set() and since_error > 300):
        try:
            assert r.set(f"w:{written % 300}", written)
            written += 1
            since_error += 1
        except (redis.RedisError, redis.exceptions.RedisClusterException):
            errors += 1
            since_error = 0
            time.sleep(0.05)
            if ended.is_set():
                # The cluster serves again. Version 4.3 of the client may not find that out any more; a new one has to.
                r = connect()
                give_up = give_up or time.monotonic() + 60
                assert time.monotonic() < give_up, "writes are refused"
    for i in range(300):
        assert r.get(f"w:{i}") is not None, i
    print(written, errors)


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]))
