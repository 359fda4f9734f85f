"""Blocking commands: they hold up nobody, a client that goes away takes nothing with it, CLIENT UNBLOCK reaches every thread."""

import threading
import time

import pytest

from harness import wait_until
from resp import Raw, encode


def blocked(topology) -> int:
    return int(topology.master.info("clients")["blocked_clients"])


def wait_blocked(topology, count: int) -> None:
    wait_until(lambda: blocked(topology) == count, 5, message=lambda: f"{blocked(topology)} blocked clients on the master, not {count}")


# command -> (how to feed it, how to count what is left)
COMMANDS = {
    "BLPOP": (["BLPOP", "q", "0"], ["RPUSH", "q", "x"], ["LLEN", "q"]),
    "BRPOP": (["BRPOP", "q", "0"], ["RPUSH", "q", "x"], ["LLEN", "q"]),
    "BRPOPLPUSH": (["BRPOPLPUSH", "q", "other", "0"], ["RPUSH", "q", "x"], ["LLEN", "q"]),
    "BLMOVE": (["BLMOVE", "q", "other", "LEFT", "RIGHT", "0"], ["RPUSH", "q", "x"], ["LLEN", "q"]),
    "BLMPOP": (["BLMPOP", "0", "1", "q", "LEFT"], ["RPUSH", "q", "x"], ["LLEN", "q"]),
    "BZPOPMIN": (["BZPOPMIN", "q", "0"], ["ZADD", "q", "1", "x"], ["ZCARD", "q"]),
    "BZPOPMAX": (["BZPOPMAX", "q", "0"], ["ZADD", "q", "1", "x"], ["ZCARD", "q"]),
    "BZMPOP": (["BZMPOP", "0", "1", "q", "MIN"], ["ZADD", "q", "1", "x"], ["ZCARD", "q"]),
    "XREADGROUP": (["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"], ["XADD", "s", "1-1", "f", "v"], ["XLEN", "s"]),
    "XREAD": (["XREAD", "BLOCK", "0", "STREAMS", "s", "$"], ["XADD", "s", "1-1", "f", "v"], ["XLEN", "s"]),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("how", ["close", "reset", "kill"])
def test_disconnect_while_blocked_loses_nothing(name, how, topology, proxy):
    command, feed, count = COMMANDS[name]
    topology.master.command("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    with proxy.connect() as other:
        client = proxy.connect()
        identifier = client.value("CLIENT", "ID")
        client.send(*command)
        wait_blocked(topology, 1)
        if how == "close":
            client.close()
        elif how == "reset":
            client.reset_connection()
        else:
            assert other.value("CLIENT", "KILL", "ID", identifier) == 1
        wait_blocked(topology, 0)
        assert not other.call(*feed).is_error
        assert topology.master.command(*count) == 1
        assert topology.master.command("LLEN", "other") == 0
        if name == "XREADGROUP":
            assert topology.master.command("XPENDING", "s", "g")[0] == 0


def test_element_pushed_at_the_moment_of_disconnect_is_popped_or_kept_but_counted_once(topology, proxy):
    """Races on purpose: whatever happens, pushed = received + left, except elements sent to a socket whose client had gone."""
    with proxy.connect() as pusher:
        for round_number in range(30):
            client = proxy.connect()
            client.send("BLMOVE", f"q{round_number}", "archive", "LEFT", "RIGHT", "0")
            if round_number % 2:
                wait_blocked(topology, 1)
            pusher.send("RPUSH", f"q{round_number}", "x")
            client.close()
            assert pusher.read().value >= 0
            if round_number % 2:
                wait_blocked(topology, 0)
        wait_blocked(topology, 0)
    left = sum(topology.master.command("LLEN", f"q{round_number}") for round_number in range(30))
    assert topology.master.command("LLEN", "archive") + left == 30


def test_many_blocked_clients_delay_nobody(topology, proxy):
    waiting = [proxy.connect() for _ in range(100)]
    try:
        for index, client in enumerate(waiting):
            client.send("BLPOP", f"never{index % 10}", "0")
        wait_blocked(topology, 100)
        with proxy.connect() as client:
            start = time.monotonic()
            for index in range(200):
                client.ok("SET", "k", index)
                client.value("GET", "k")
            assert time.monotonic() - start < 3
        with proxy.connect() as client:
            assert client.value("RPUSH", "never3", *range(10)) == 10
        got = sorted(int(client.read().value[1]) for client in waiting[3::10])
        assert got == list(range(10))
    finally:
        for client in waiting:
            client.close()
    wait_blocked(topology, 0)


def test_first_blocked_is_first_served_over_all_threads(topology, proxy):
    clients = []
    try:
        for index in range(12):
            client = proxy.connect()
            client.send("BLPOP", "q", "0")
            wait_blocked(topology, index + 1)
            clients.append(client)
        with proxy.connect() as pusher:
            for index in range(12):
                pusher.value("RPUSH", "q", index)
        assert [int(client.read().value[1]) for client in clients] == list(range(12))
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("mode, reply", [(None, b"*-1\r\n"), ("TIMEOUT", b"*-1\r\n"), ("ERROR", b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")])
def test_client_unblock_reaches_clients_on_every_thread(mode, reply, topology, proxy):
    with proxy.connect() as other:
        for _ in range(8):  # with two threads, eight clients are all but surely on both
            with proxy.connect() as client:
                identifier = client.value("CLIENT", "ID")
                assert other.value("CLIENT", "UNBLOCK", identifier) == 0
                client.send("BLPOP", "q", "0")
                wait_blocked(topology, 1)
                assert other.value("CLIENT", "UNBLOCK", identifier, *([mode] if mode else [])) == 1
                assert client.read().raw == reply
                assert client.call("PING").raw == b"+PONG\r\n"
                assert other.value("CLIENT", "UNBLOCK", identifier) == 0
        wait_blocked(topology, 0)


@pytest.mark.parametrize("name", ["BLMOVE", "BZPOPMIN", "BLMPOP", "XREAD", "XREADGROUP"])
def test_client_unblock_of_every_kind(name, topology, proxy):
    topology.master.command("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    with proxy.connect() as client, proxy.connect() as other:
        identifier = client.value("CLIENT", "ID")
        client.send(*COMMANDS[name][0])
        wait_blocked(topology, 1)
        assert other.value("CLIENT", "UNBLOCK", identifier, "ERROR") == 1
        assert client.read().raw == b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"


def test_client_unblock_of_wait(own_topology, make_proxy):
    proxy = make_proxy(own_topology)
    with proxy.connect() as client, proxy.connect() as other:
        identifier = client.value("CLIENT", "ID")
        client.ok("SET", "k", "v")
        client.send("WAIT", "9", "0")
        wait_until(lambda: blocked(own_topology) == 1, 3)
        assert other.value("CLIENT", "UNBLOCK", identifier) == 1
        assert client.read().value in (0, 1, 2)
        client.ok("SET", "k", "w")


def test_wait_counts_replicas_that_have_the_write(topology, proxy):
    with proxy.connect() as client, proxy.connect() as other:
        for index in range(10):
            client.ok("SET", "k", index)
            assert client.value("WAIT", "2", "2000") == 2
            assert [replica.command("GET", "k") for replica in topology.replicas] == [str(index).encode()] * 2
        client.ok("SET", "k", "pipelined")
        client.send_bytes(encode("SET", "k", "last") + encode("WAIT", "2", "2000") + encode("GET", "k"))
        assert [frame.value for frame in client.replies(3)] == [b"OK", 2, b"last"]
        client.send("WAIT", "5", "700")
        start = time.monotonic()
        other.ok("SET", "j", "1")
        assert time.monotonic() - start < 0.5, "WAIT of one client delayed another"
        assert client.read().value == 2


def test_wait_waits_for_writes_of_this_connection(own_topology, make_proxy):
    """With both replicas stopped a WAIT after a write must not claim that they have it."""
    proxy = make_proxy(own_topology)
    with proxy.connect() as client:
        client.ok("SET", "k", "v")
        assert client.value("WAIT", "2", "2000") == 2
        for replica in own_topology.replicas:
            replica.pause()
        client.ok("SET", "k", "w")
        assert client.value("WAIT", "1", "300") == 0
        for replica in own_topology.replicas:
            replica.resume()
        client.ok("SET", "k", "x")
        assert client.value("WAIT", "2", "5000", timeout=8) == 2


def test_fractional_timeouts_are_kept(proxy):
    with proxy.connect() as client:
        for command in (["BLPOP", "none", "0.3"], ["BLMPOP", "0.3", "1", "none", "LEFT"], ["BZPOPMIN", "none", "0.3"], ["XREAD", "BLOCK", "300", "STREAMS", "none", "$"]):
            start = time.monotonic()
            frame = client.call(*command)
            assert frame.raw in (b"*-1\r\n", b"_\r\n")
            assert 0.25 < time.monotonic() - start < 1.0


@pytest.mark.needs_proxy
def test_blocking_outlives_the_request_timeout(topology, make_proxy):
    proxy = make_proxy(topology, "request-timeout 500")
    with proxy.connect() as client, proxy.connect() as other:
        client.send("BLPOP", "q", "0")
        wait_blocked(topology, 1)
        time.sleep(1.2)
        other.value("RPUSH", "q", "x")
        assert client.read().value == [b"q", b"x"]


@pytest.mark.needs_proxy
def test_blocked_client_gets_an_error_when_the_master_dies(own_topology, make_proxy):
    proxy = make_proxy(own_topology)
    with proxy.connect() as client:
        client.send("BLPOP", "q", "0")
        wait_until(lambda: blocked(own_topology) == 1, 3)
        own_topology.master.kill()
        assert client.read(8).is_error
        assert client.call("PING").raw == b"+PONG\r\n"


def test_blocking_commands_of_many_threads_deliver_each_element_once(topology, proxy):
    received, lock = [], threading.Lock()
    failures = []

    def consume():
        try:
            with proxy.connect(timeout=15) as client:
                while True:
                    value = client.value("BRPOP", "work", "10")[1]
                    if value == b"stop":
                        return
                    with lock:
                        received.append(int(value))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=consume, daemon=True) for _ in range(10)]
    for thread in threads:
        thread.start()
    with proxy.connect() as producer:
        for start in range(0, 1000, 50):
            producer.send_bytes(b"".join(encode("LPUSH", "work", index) for index in range(start, start + 50)))
            producer.replies(50)
        producer.value("LPUSH", "work", *["stop"] * 10)
    for thread in threads:
        thread.join(15)
    assert not failures
    assert sorted(received) == list(range(1000))
