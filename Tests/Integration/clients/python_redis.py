"""redis-py or valkey-py (same interface): python_redis.py MODULE PORT PROTOCOL [hiredis parser comes by itself when installed]."""

import importlib
import sys
import threading
import time

module, port, protocol = importlib.import_module(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
Client = module.Redis if hasattr(module, "Redis") else module.Valkey
r = Client(host="127.0.0.1", port=port, protocol=protocol, decode_responses=True, socket_timeout=10)


def eventually(condition):
    """Replicas may be a moment behind."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


assert r.ping()
r.flushall()
assert r.set("k", "v") and r.set("k", "w", get=True) == "v"
eventually(lambda: r.get("k") == "w")
assert r.incrby("n", 5) == 5 and r.incrbyfloat("f", 1.5) == 1.5
assert r.hset("h", mapping={"a": "1", "b": "2"}) == 2
eventually(lambda: r.hgetall("h") == {"a": "1", "b": "2"})
assert r.rpush("l", 1, 2, 3) == 3
eventually(lambda: r.lrange("l", 0, -1) == ["1", "2", "3"])
assert r.sadd("s", "x", "y") == 2
eventually(lambda: set(r.smembers("s")) == {"x", "y"})
assert r.zadd("z", {"one": 1, "two": 2.5}) == 2
eventually(lambda: [tuple(pair) for pair in r.zrange("z", 0, -1, withscores=True)] == [("one", 1.0), ("two", 2.5)])
eventually(lambda: r.zscore("z", "two") == 2.5)
assert r.geoadd("g", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")) == 2
eventually(lambda: abs(r.geodist("g", "Palermo", "Catania", unit="km") - 166.274) < 0.1)
assert r.expire("k", 100) and r.setbit("bits", 7, 1) == 0 and r.pfadd("hll", 1, 2, 3)
eventually(lambda: 0 < r.ttl("k") <= 100)
assert r.type("k") == "string" and r.exists("k", "none") == 1

# Pipelines and transactions
with r.pipeline(transaction=False) as p:
    for i in range(1000):
        p.set(f"p{i}", i)
    assert all(p.execute())
with r.pipeline() as p:
    assert p.set("t", 1).incr("t").get("t").execute() == [True, 2, "2"]
with r.pipeline() as p:
    p.watch("t")
    r.set("t", 10)
    p.multi()
    p.incr("t")
    try:
        p.execute()
        raise SystemExit("WATCH did not see the change")
    except module.WatchError:
        pass
r.transaction(lambda p: (p.multi(), p.incr("t")), "t")
assert r.get("t") in ("10", "11")
try:
    r.lpush("k", "x")
    raise SystemExit("no WRONGTYPE")
except module.ResponseError as error:
    assert "WRONGTYPE" in str(error)

# Scripts, functions, locks
script = r.register_script("return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}")
assert script(keys=["counter"], args=["a"]) == ["counter", "a", 1]
assert r.script_exists(script.sha) == [True]
assert r.eval_ro("return redis.call('EXISTS', KEYS[1])", 1, "nothing") == 0
r.function_flush()
assert r.function_load("#!lua name=lib\nredis.register_function('f', function(k, a) return a[1] end)") == "lib"
assert r.fcall("f", 0, "arg") == "arg"
with r.lock("lock", timeout=5):
    assert r.exists("lock") in (0, 1)

# Publish and subscribe, on a thread and by hand
received = []
p = r.pubsub()
p.subscribe(**{"ch": lambda message: received.append(message["data"])})
p.psubscribe(**{"pat*": lambda message: received.append(message["data"])})
thread = p.run_in_thread(sleep_time=0.01)
eventually(lambda: dict(r.pubsub_numsub("ch")) == {"ch": 1} and r.pubsub_numpat() == 1)
assert r.publish("ch", "hello") == 1
eventually(lambda: received == ["hello"])
thread.stop()
thread.join(5)
q = r.pubsub()
q.ssubscribe("shard")
assert q.get_message(timeout=2)["type"] == "ssubscribe"
assert r.spublish("shard", "m") == 1
if hasattr(q, "get_sharded_message"):
    assert q.get_sharded_message(timeout=2)["data"] == "m"
q.close()

# Scans, streams, blocking
eventually(lambda: len(set(r.scan_iter(match="p*", count=37))) == 1000)
r.hset("big", mapping={f"f{i}": i for i in range(2000)})
eventually(lambda: len(dict(r.hscan_iter("big", count=50))) == 2000)
assert r.xadd("st", {"a": "1"}, id="1-1") == "1-1"
assert r.xgroup_create("st", "g", id="0")
entries = r.xreadgroup("g", "c", {"st": ">"}, count=10)
assert "1-1" in str(entries) and r.xack("st", "g", "1-1") == 1
eventually(lambda: r.xlen("st") == 1)
assert r.xread({"st": "$"}, block=50) in ([], {}, None)
threading.Timer(0.2, lambda: r.rpush("queue", "job")).start()
assert list(r.blpop("queue", timeout=5)) == ["queue", "job"]
assert r.blpop("queue", timeout=0.2) is None
assert r.blmove("l", "l2", timeout=1) == "1"

# Connection state
c = Client(host="127.0.0.1", port=port, protocol=protocol, db=3, client_name="named", decode_responses=True)
assert c.client_getname() == "named" and isinstance(c.client_id(), int)
assert c.set("k", "three")
eventually(lambda: c.get("k") == "three" and r.get("k") == "w")
assert any(line["name"] == "named" for line in r.client_list())
assert r.info()["role"] == "master" and "redis_version" in r.info("server")
assert r.config_get("maxmemory") == {"maxmemory": "0"}
assert r.command_count() > 200 and "get" in r.command()
assert r.dbsize() > 1000 and r.time() and r.acl_whoami() == "default"
assert r.memory_usage("k") > 10 and r.object("encoding", "n") == "int"
with r.monitor() as m:
    r.set("monitored", "1")
    assert any("monitored" in m.next_command()["command"] for _ in range(50))
if protocol == 3:
    assert r.execute_command("HELLO")["proto"] == 3

# Many threads on one pool
failures = []


def work(index):
    try:
        for i in range(100):
            r.set(f"thread{index}", i)
            assert r.incr(f"count{index}") == i + 1
    except BaseException as error:
        failures.append(error)


threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
[thread.start() for thread in threads]
[thread.join(20) for thread in threads]
assert not failures, failures
print("ok")
