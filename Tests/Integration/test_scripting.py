"""Scripts and functions: on the master, on replicas, and where script caches differ."""

import hashlib

import pytest

from harness import DIRECT


def sha(body: str) -> str:
    return hashlib.sha1(body.encode()).hexdigest()


def test_read_only_scripts_run_on_replicas(topology, proxy):
    topology.master.command("SET", "k", "v")
    topology.synchronise()
    topology.reset_statistics()
    with proxy.connect() as client:
        for _ in range(20):
            assert client.value("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "k") == b"v"
    if not DIRECT:
        assert all(replica.calls("eval_ro") > 0 for replica in topology.replicas)
        assert topology.master.calls("eval_ro") == 0


@pytest.mark.parametrize("introduce", ["script load", "eval", "eval_ro", "load on the master itself"])
@pytest.mark.parametrize("flush", ["none", "replicas", "one replica"])
def test_noscript_on_a_replica_is_healed(introduce, flush, topology, proxy):
    body = f"return {{'{introduce} {flush}', redis.call('GET', KEYS[1])}}"
    topology.master.command("SET", "k", "v")
    topology.synchronise()
    with proxy.connect() as client:
        if introduce == "script load":
            assert client.value("SCRIPT", "LOAD", body) == sha(body).encode()
        elif introduce == "eval":
            client.value("EVAL", body, 1, "k")
        elif introduce == "eval_ro":
            for _ in range(2):
                client.value("EVAL_RO", body, 1, "k")
            topology.master.command("SCRIPT", "LOAD", body)
        else:
            topology.master.command("SCRIPT", "LOAD", body)
        for replica in topology.replicas[:{"none": 0, "replicas": 2, "one replica": 1}[flush]]:
            replica.command("SCRIPT", "FLUSH")
        with proxy.connect() as other:
            for user in (client, other):
                for _ in range(10):
                    assert user.value("EVALSHA_RO", sha(body), 1, "k") == [f"{introduce} {flush}".encode(), b"v"]


def test_healing_keeps_the_order_of_a_pipeline(topology, proxy):
    from resp import encode
    body = "return 'scripted ' .. ARGV[1]"
    with proxy.connect() as client:
        client.value("SCRIPT", "LOAD", body)
        for replica in topology.replicas:
            replica.command("SCRIPT", "FLUSH")
        client.send_bytes(b"".join(encode("ECHO", index) + encode("EVALSHA_RO", sha(body), 0, index) + encode("EXISTS", "none") for index in range(50)))
        for index in range(50):
            assert [frame.value for frame in client.replies(3)] == [str(index).encode(), f"scripted {index}".encode(), 0]


def test_unknown_script_is_still_noscript(proxy):
    with proxy.connect() as client:
        for command in ("EVALSHA", "EVALSHA_RO"):
            assert client.call(command, "f" * 40, 0).raw == b"-NOSCRIPT No matching script. Please use EVAL.\r\n"


def test_script_flush_forgets_everywhere(topology, proxy):
    body = "return 'forgotten'"
    with proxy.connect() as client:
        client.value("SCRIPT", "LOAD", body)
        assert client.value("EVALSHA_RO", sha(body), 0) == b"forgotten"
        client.ok("SCRIPT", "FLUSH")
        for _ in range(6):
            assert client.error("EVALSHA_RO", sha(body), 0).code == "NOSCRIPT"
        assert client.error("EVALSHA", sha(body), 0).code == "NOSCRIPT"


def test_functions_reach_replicas(topology, proxy):
    with proxy.connect() as client:
        client.value("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function{function_name='peek', callback=function(k) return redis.call('GET', k[1]) end, flags={'no-writes'}}")
        client.ok("SET", "k", "v")
        topology.synchronise()
        topology.reset_statistics()
        for _ in range(20):
            assert client.value("FCALL_RO", "peek", 1, "k") == b"v"
        assert client.value("FCALL", "peek", 1, "k") == b"v"
    if not DIRECT:
        assert all(replica.calls("fcall_ro") > 0 for replica in topology.replicas)


def test_script_written_through_the_proxy_is_seen_by_the_same_script_on_any_client(topology, proxy):
    body = "redis.call('INCR', KEYS[1]) return redis.call('GET', KEYS[1])"
    with proxy.connect() as client:
        client.value("SCRIPT", "LOAD", body)
    for index in range(1, 11):
        with proxy.connect() as client:
            assert client.value("EVALSHA", sha(body), 1, "n") == str(index).encode()


def test_script_kill_from_another_client(topology, admin_proxy):
    topology.master.command("CONFIG", "SET", "lua-time-limit", "50")
    try:
        with admin_proxy.connect() as busy, admin_proxy.connect() as other:
            busy.send("EVAL", "while true do end", "0")
            from harness import wait_until
            wait_until(lambda: other.call("SCRIPT", "KILL").raw == b"+OK\r\n", 5, 0.05)
            assert busy.read().is_error
            other.ok("SET", "k", "v")
    finally:
        topology.master.forget_control()
        topology.master.command("CONFIG", "SET", "lua-time-limit", "5000")
