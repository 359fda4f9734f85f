"""redis.asyncio: python_asyncio.py PORT."""

import asyncio
import sys

import redis.asyncio as redis


async def main():
    r = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
    await r.flushall()
    assert await r.set("k", "v")
    await asyncio.gather(*(r.incr("n") for _ in range(50)))
    assert int(await r.eval("return redis.call('GET', 'n')", 0)) == 50
    async with r.pipeline(transaction=True) as p:
        assert await p.set("a", 1).incr("a").execute() == [True, 2]
    pubsub = r.pubsub()
    await pubsub.subscribe("ch")
    assert (await pubsub.get_message(timeout=2))["type"] == "subscribe"
    assert await r.publish("ch", "m") == 1
    assert (await pubsub.get_message(timeout=2))["data"] == "m"
    await pubsub.aclose()
    blocked = asyncio.create_task(r.blpop("q", timeout=5))
    await asyncio.sleep(0.1)
    await r.rpush("q", "x")
    assert list(await blocked) == ["q", "x"]
    # A cancelled blocking call closes its connection; the element must stay.
    cancelled = asyncio.create_task(r.blpop("q", timeout=0))
    await asyncio.sleep(0.2)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    await asyncio.sleep(0.3)
    await r.rpush("q", "kept")
    assert list(await r.blpop("q", timeout=2)) == ["q", "kept"]
    for i in range(300):
        await r.sadd("s", f"member{i}")
    await asyncio.sleep(0.3)
    assert len({member async for member in r.sscan_iter("s")}) == 300
    await r.aclose()


asyncio.run(asyncio.wait_for(main(), 25))
print("ok")
