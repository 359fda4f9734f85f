"""Publishing and subscribing over threads, with many clients, slow ones and ones that vanish."""

import time

import pytest

from harness import DIRECT, wait_until
from resp import Raw, encode


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("subscribe, publish", [("SUBSCRIBE", "PUBLISH"), ("SSUBSCRIBE", "SPUBLISH")])
def test_every_subscriber_on_every_thread_gets_every_message_in_order(proto, subscribe, publish, proxy):
    subscribers = [proxy.connect(proto=proto) for _ in range(20)]
    try:
        for subscriber in subscribers:
            subscriber.send(subscribe, "channel")
            assert subscriber.read().value == [subscribe.lower().encode(), b"channel", 1]
        with proxy.connect() as publisher:
            publisher.send_bytes(b"".join(encode(publish, "channel", f"message {index}") for index in range(200)))
            assert {frame.value for frame in publisher.replies(200)} == {20}
        kind = b"smessage" if publish == "SPUBLISH" else b"message"
        for subscriber in subscribers:
            frames = subscriber.replies(200)
            assert [frame.value for frame in frames] == [[kind, b"channel", f"message {index}".encode()] for index in range(200)]
            assert {frame.kind for frame in frames} == {">" if proto == 3 else "*"}
    finally:
        for subscriber in subscribers:
            subscriber.close()


def test_subscribers_that_vanish_are_unsubscribed_upstream(topology, proxy):
    clients = [proxy.connect() for _ in range(10)]
    for client in clients:
        client.send("SUBSCRIBE", "gone")
        client.read()
        client.send("PSUBSCRIBE", "gon*")
        client.read()
    assert topology.master.command("PUBSUB", "NUMSUB", "gone") == [b"gone", 10]
    for index, client in enumerate(clients):
        client.close() if index % 2 else client.reset_connection()
    wait_until(lambda: topology.master.command("PUBSUB", "NUMSUB", "gone") == [b"gone", 0], 5)
    wait_until(lambda: topology.master.command("PUBSUB", "NUMPAT") == 0, 5)


def test_message_published_on_a_node_itself_arrives(topology, proxy):
    with proxy.connect() as client:
        client.send("SUBSCRIBE", "direct")
        client.read()
        topology.master.command("PUBLISH", "direct", "hello")
        assert client.read().value == [b"message", b"direct", b"hello"]


def test_large_message(proxy):
    with proxy.connect() as subscriber, proxy.connect() as publisher:
        subscriber.send("SUBSCRIBE", "large")
        subscriber.read()
        body = b"m" * 5_000_000
        assert publisher.value("PUBLISH", "large", body, timeout=10) == 1
        assert subscriber.read(10).value == [b"message", b"large", body]


def test_subscription_state_changes_in_one_pipeline(proxy):
    with proxy.connect() as client:
        client.send_bytes(encode("SET", "k", "1") + encode("GET", "k") + encode("SUBSCRIBE", "a") + encode("PING") + encode("UNSUBSCRIBE", "a")
                          + encode("INCR", "k") + encode("SUBSCRIBE", "b") + encode("GET", "k") + encode("UNSUBSCRIBE") + encode("INCR", "k"))
        values = [frame.value for frame in client.replies(10)]
        assert values[0] == b"OK"
        assert values[2:6] == [[b"subscribe", b"a", 1], [b"pong", b""], [b"unsubscribe", b"a", 0], 2]
        assert values[6] == [b"subscribe", b"b", 1]
        assert values[7].startswith("ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
        assert values[8:] == [[b"unsubscribe", b"b", 0], 3]


@pytest.mark.needs_proxy
def test_slow_subscriber_is_closed_and_others_are_not_delayed(topology, make_proxy):
    proxy = make_proxy(topology, "client-output-buffer-limit pubsub 1048576 0 0")
    slow = proxy.connect(receive_buffer=4096)
    slow.send("SUBSCRIBE", "busy")
    slow.read()
    with proxy.connect(timeout=10) as good, proxy.connect(timeout=10) as publisher:
        good.send("SUBSCRIBE", "busy")
        good.read()
        for index in range(200):
            publisher.value("PUBLISH", "busy", b"x" * 100_000)
            assert good.read().value[2] == b"x" * 100_000, index
        with pytest.raises((AssertionError, OSError)):
            while True:
                slow.read(3)
        assert publisher.call("PING").raw == b"+PONG\r\n"
    slow.close()


@pytest.mark.needs_proxy
def test_subscriptions_end_visibly_or_resume_when_the_master_restarts(own_topology, make_proxy):
    """A subscriber must not sit on a dead subscription without knowing: it is closed, or it gets messages again."""
    proxy = make_proxy(own_topology)
    with proxy.connect(timeout=10) as subscriber:
        subscriber.send("SUBSCRIBE", "news")
        subscriber.read()
        own_topology.master.restart()
        with proxy.connect(timeout=10) as publisher:
            wait_until(lambda: publisher.call("SET", "k", "v").raw == b"+OK\r\n", 10, 0.1)
            deadline = time.monotonic() + 8
            while time.monotonic() < deadline:
                publisher.call("PUBLISH", "news", "again")
                try:
                    frame = subscriber.read(0.2)
                except TimeoutError:
                    continue
                except (AssertionError, OSError):
                    return  # closed: the client's library subscribes again
                assert frame.value == [b"message", b"news", b"again"] or frame.is_error or frame.value[0] == b"subscribe"
                return
    pytest.fail("the subscriber is still connected and gets nothing")


@pytest.mark.parametrize("proto", [2, 3])
def test_monitor_shows_commands_of_others(proto, topology, master_proxy):
    with master_proxy.connect(proto=proto) as watcher, master_proxy.connect() as client:
        watcher.ok("MONITOR")
        client.ok("SET", "watched", 'va"l\r\nue\x00')
        client.value("GET", "watched")
        lines = []
        while sum(b"watched" in line for line in lines) < 2:
            frame = watcher.read()
            assert frame.kind == "+"
            lines.append(frame.value)
        lines = [line for line in lines if b"watched" in line]
        assert lines[0].endswith(b'"SET" "watched" "va\\"l\\r\\nue\\x00"')
        assert lines[1].endswith(b'"GET" "watched"')
        import re
        assert re.match(rb"\d+\.\d{6} \[0 [^ \]]+\] ", lines[0])
        watcher.send("RESET")
        while (frame := watcher.read()).value != b"RESET":
            assert frame.kind == "+"
        client.ok("SET", "watched", "unseen")
        watcher.send("ECHO", "end")
        frame = watcher.read()
        assert frame.value == b"end", frame
    wait_until(lambda: b"flags=O" not in topology.master.command("CLIENT", "LIST"), 5, message="a monitor connection is left on the master")


def test_monitor_ends_when_its_client_goes(topology, master_proxy):
    watcher = master_proxy.connect()
    watcher.ok("MONITOR")
    assert b"flags=O" in topology.master.command("CLIENT", "LIST")
    watcher.close()
    wait_until(lambda: b"flags=O" not in topology.master.command("CLIENT", "LIST"), 5, message="a monitor connection is left on the master")
