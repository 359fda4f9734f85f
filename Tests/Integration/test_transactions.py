"""Transactions over private connections: isolated, atomic, returned clean."""

import threading
import time

import pytest

from harness import wait_until
from resp import encode


def test_optimistic_counter_of_many_clients_loses_no_update(topology, proxy):
    failures, retries = [], []

    def work():
        try:
            with proxy.connect() as client:
                for _ in range(20):
                    while True:
                        client.ok("WATCH", "counter")
                        value = int(client.value("GET", "counter") or 0)
                        client.ok("MULTI")
                        client.call("SET", "counter", value + 1)
                        if client.value("EXEC") is not None:
                            break
                        retries.append(1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not failures
    assert topology.master.command("GET", "counter") == b"160"
    assert retries, "nobody ever collided: the test tests nothing"


def test_read_after_watch_sees_the_watched_node(topology, proxy):
    """GET between WATCH and MULTI must come from the node that watches, or a stale read passes the check."""
    for replica in topology.replicas:
        replica.command("CONFIG", "SET", "replica-read-only", "no")
        replica.command("SET", "w", "stale")
    try:
        with proxy.connect() as client:
            topology.master.command("SET", "w", "fresh")
            for replica in topology.replicas:
                replica.command("SET", "w", "stale")
            client.ok("WATCH", "w")
            assert client.value("GET", "w") == b"fresh"
            client.ok("UNWATCH")
    finally:
        for replica in topology.replicas:
            replica.command("CONFIG", "SET", "replica-read-only", "yes")
        topology.master.command("DEL", "w")


def test_whole_transaction_in_one_pipeline(proxy):
    with proxy.connect() as client:
        one = encode("MULTI") + encode("SET", "t", "1") + encode("INCR", "t") + encode("GET", "t") + encode("EXEC")
        client.send_bytes((one + encode("PING")) * 100)
        for _ in range(100):
            frames = client.replies(6)
            assert [frame.raw for frame in frames[:4]] == [b"+OK\r\n"] + [b"+QUEUED\r\n"] * 3
            assert frames[4].value == [b"OK", 2, b"2"]
            assert frames[5].raw == b"+PONG\r\n"


def test_transaction_is_atomic_for_others(topology, proxy):
    stop = threading.Event()
    failures = []

    def move():
        try:
            with proxy.connect() as client:
                while not stop.is_set():
                    client.send_bytes(encode("MULTI") + encode("INCRBY", "left", -1) + encode("INCRBY", "right", 1) + encode("EXEC"))
                    assert not client.replies(4)[-1].is_error
        except BaseException as error:
            failures.append(error)

    topology.master.command("MSET", "left", "1000", "right", "0")
    threads = [threading.Thread(target=move, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        left, right = topology.master.command("MGET", "left", "right")
        assert int(left) + int(right) == 1000
    stop.set()
    for thread in threads:
        thread.join(5)
    assert not failures


def test_connection_is_returned_clean(topology, proxy):
    """Clients that leave in every state must not leave anything behind for the next one: MULTI, WATCH, database, name, user, protocol."""
    for state in (["MULTI"], ["MULTI", "SET dirty 1"], ["WATCH a"], ["SELECT 5", "WATCH a"], ["HELLO 3", "MULTI"], ["CLIENT SETNAME dirty", "MULTI"],
                  ["SELECT 7", "MULTI", "GET a"], ["CLIENT TRACKING ON"], ["SUBSCRIBE a"], ["SELECT 3", "SUBSCRIBE a"], ["MONITOR"], ["CLIENT NO-EVICT ON"]):
        for _ in range(4):
            with proxy.connect() as client:
                if state[0] == "CLIENT TRACKING ON":
                    client.hello3()
                for line in state:
                    assert not client.call(*line.split()).is_error, state
        for _ in range(8):
            with proxy.connect() as client:
                client.ok("MULTI")
                assert client.call("SET", "clean", "1").raw == b"+QUEUED\r\n"
                assert client.call("CLIENT", "GETNAME").raw == b"+QUEUED\r\n"
                assert client.call("HGETALL", "none").raw == b"+QUEUED\r\n"
                assert client.value("EXEC") == [b"OK", None, []]
                assert client.value("GETDEL", "clean") == b"1", "the transaction ran in another database"
    assert topology.master.command("EXISTS", "dirty") == 0


def test_private_connections_are_pooled(topology, proxy):
    """A thousand transactions one after the other must not open a thousand connections."""
    before = int(topology.master.info("stats")["total_connections_received"])
    for _ in range(20):
        with proxy.connect() as client:
            for _ in range(50):
                client.send_bytes(encode("MULTI") + encode("INCR", "n") + encode("EXEC"))
                assert not client.replies(3)[-1].is_error
    from harness import DIRECT
    if not DIRECT:
        assert int(topology.master.info("stats")["total_connections_received"]) - before < 40


def test_idle_transaction_does_not_hold_up_others(topology, proxy):
    idle = [proxy.connect() for _ in range(50)]
    try:
        for client in idle:
            client.ok("MULTI")
            client.call("SET", "k", "v")
        with proxy.connect() as client:
            start = time.monotonic()
            for index in range(100):
                client.send_bytes(encode("MULTI") + encode("SET", "j", index) + encode("EXEC"))
                client.replies(3)
            assert time.monotonic() - start < 3
    finally:
        for client in idle:
            client.close()


@pytest.mark.needs_proxy
def test_transaction_cut_at_exec_has_an_unknown_outcome_and_runs_at_most_once(topology, make_proxy, cutter):
    forwarder = cutter(topology.master.port)
    proxy = make_proxy(topology, "read-from master", master=forwarder.endpoint, replicas=[])
    with proxy.connect() as client:
        for expected in range(1, 6):
            client.ok("MULTI")
            client.call("INCR", "once")
            forwarder.cut_after(b"EXEC")
            assert client.error("EXEC").startswith("UNKNOWNOUTCOME")
            assert topology.master.command("GET", "once") == str(expected).encode()
            wait_until(lambda: client.call("SET", "alive", "1").raw == b"+OK\r\n", 5, 0.05)
            assert topology.master.command("GET", "once") == str(expected).encode()


@pytest.mark.needs_proxy
def test_transaction_whose_connection_breaks_before_exec_fails_and_runs_nothing(own_topology, make_proxy, cutter):
    forwarder = cutter(own_topology.master.port)
    proxy = make_proxy(own_topology, "read-from master", master=forwarder.endpoint, replicas=[])
    with proxy.connect() as client:
        client.ok("MULTI")
        client.call("INCR", "never")
        forwarder.cut()
        wait_until(lambda: forwarder.cuts > 0, 2)
        time.sleep(0.1)
        client.call("INCR", "never")
        frame = client.call("EXEC")
        assert frame.is_error, f"EXEC after a lost connection answered {frame!r}"
        assert own_topology.master.command("EXISTS", "never") == 0
        wait_until(lambda: client.call("SET", "alive", "1").raw == b"+OK\r\n", 5, 0.05)
        assert own_topology.master.command("EXISTS", "never") == 0


@pytest.mark.needs_proxy
def test_watch_on_a_lost_connection_never_lets_exec_succeed(own_topology, make_proxy, cutter):
    forwarder = cutter(own_topology.master.port)
    proxy = make_proxy(own_topology, "read-from master", master=forwarder.endpoint, replicas=[])
    with proxy.connect() as client:
        client.ok("WATCH", "guard")
        forwarder.cut()
        time.sleep(0.2)
        own_topology.master.command("SET", "guard", "changed")
        frames = [client.call("MULTI"), client.call("SET", "result", "wrong"), client.call("EXEC")]
        assert frames[-1].is_error or frames[-1].value is None, frames
        assert own_topology.master.command("EXISTS", "result") == 0
