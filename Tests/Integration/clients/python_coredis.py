"""coredis: python_coredis.py PORT."""

import sys

import anyio
import coredis


async def main():
    r = coredis.Redis(port=int(sys.argv[1]), decode_responses=True)
    async with r:
        await r.flushall()
        assert await r.set("k", "v")
        with anyio.fail_after(5):
            while await r.get("k") != "v":
                await anyio.sleep(0.01)
        assert await r.incr("n") == 1
        assert await r.hset("h", {"a": "1"}) == 1
        assert await r.rpush("l", ["1", "2"]) == 2
        assert await r.zadd("z", {"m": 1.5}) == 1
        with anyio.fail_after(5):
            while await r.hgetall("h") != {"a": "1"}:
                await anyio.sleep(0.01)
        assert await r.eval("return ARGV[1]", args=["x"]) == "x"
        assert await r.blpop(["l"], timeout=1) == ["l", "1"]
        async with r.pipeline(transaction=True) as p:
            results = [p.set("t", "1"), p.incr("t")]
        assert await results[0] and await results[1] == 2
        async with r.pubsub(channels=["ch"]) as s:
            await anyio.sleep(0.2)
            assert await r.publish("ch", "m") == 1
            with anyio.fail_after(5):
                async for message in s:
                    if message["type"] == "message":
                        assert message["data"] == "m"
                        break


anyio.run(main)
print("ok")
