"""redis-py's client-side cache over RESP3 CLIENT TRACKING: python_redis_cache.py PORT."""

import sys
import time

import redis
from redis.cache import CacheConfig

# The library wants Redis 7.4; what it does on the wire works since 6.0.
redis.connection.CacheProxyConnection.MIN_ALLOWED_VERSION = "7.0.0"
port = int(sys.argv[1])
cached = redis.Redis(port=port, protocol=3, cache_config=CacheConfig(), decode_responses=True)
writer = redis.Redis(port=port, decode_responses=True)
writer.set("cached", "0")
for i in range(50):
    writer.set("cached", i)
    end = time.monotonic() + 5
    while cached.get("cached") != str(i):
        assert time.monotonic() < end, "the cache never saw the invalidation"
        time.sleep(0.005)
assert cached.get_cache() is not None and cached.get_cache().size >= 1
print("ok")
