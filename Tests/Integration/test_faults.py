"""Nodes that die, stall, lie or fall behind: reads go on, writes are never doubled, nothing hangs, everything heals."""

import time

import pytest

from harness import route, wait_until
from load import Load
from resp import encode

pytestmark = pytest.mark.needs_proxy


def get(client, number):
    return client.call("GET", "k")


def prepare(topology, value="v"):
    topology.master.command("SET", "k", value)
    topology.synchronise()


def readable(proxy, port) -> bool:
    return proxy.nodes()[f"127.0.0.1:{port}"].readable


def test_killed_replica_is_not_noticed_by_readers(own_topology, make_proxy):
    prepare(own_topology)
    proxy = make_proxy(own_topology)
    with Load(proxy, get) as load:
        time.sleep(0.5)
        own_topology.replicas[0].kill()
        time.sleep(2.5)
    assert load.errors == [] and len(load.durations) > 500
    assert load.slowest < 3


def test_both_replicas_killed_and_readers_go_to_the_master(own_topology, make_proxy):
    prepare(own_topology)
    proxy = make_proxy(own_topology)
    with Load(proxy, get) as load:
        time.sleep(0.3)
        for replica in own_topology.replicas:
            replica.kill()
        time.sleep(2)
    assert load.errors == []
    assert own_topology.master.calls("get") > 10


def test_restarted_replica_comes_back_into_rotation(own_topology, make_proxy):
    prepare(own_topology)
    proxy = make_proxy(own_topology)
    replica = own_topology.replicas[0]
    with Load(proxy, get) as load:
        time.sleep(0.2)
        replica.kill()
        time.sleep(1.2)
        replica.start()
        wait_until(lambda: replica.calls("get") > 20, 10, 0.1, "the restarted replica gets no reads")
    assert load.errors == []


def test_pipelined_reads_survive_a_killed_replica_in_order(own_topology, make_proxy):
    control = own_topology.master.control
    control.send_bytes(b"".join(encode("SET", f"k{i}", f"v{i}") for i in range(200)))
    control.replies(200)
    own_topology.synchronise()
    proxy = make_proxy(own_topology)

    def burst(client, number):
        client.send_bytes(b"".join(encode("GET", f"k{i}") for i in range(200)))
        frames = client.replies(200)
        assert [frame.value for frame in frames] == [f"v{i}".encode() for i in range(200)], "replies lost, mixed up, or errors"

    with Load(proxy, burst, clients=3) as load:
        time.sleep(0.4)
        own_topology.replicas[1].kill()
        time.sleep(1.5)
    assert load.errors == []


def test_stopped_replica_delays_reads_for_seconds_at_most_and_others_not_at_all(own_topology, make_proxy):
    prepare(own_topology)
    proxy = make_proxy(own_topology)
    with Load(proxy, get, clients=6) as load, Load(proxy, lambda client, number: client.call("SET", f"w{number % 10}", "x"), clients=2) as writers:
        time.sleep(0.5)
        own_topology.replicas[0].pause()
        stopped = load.elapsed
        time.sleep(3.7)
        own_topology.replicas[0].resume()
        time.sleep(0.5)
    assert load.errors == [] and writers.errors == []
    assert load.slowest < 3, "a read waited for a stopped replica"
    assert load.slowest_after(stopped + 3.2) < 1, "reads are still sent to the stopped replica"
    assert writers.slowest < 1, "writes waited for a stopped replica"


@pytest.mark.timeout(40)
def test_stopped_replica_comes_back(own_topology, make_proxy):
    prepare(own_topology)
    proxy = make_proxy(own_topology)
    replica = own_topology.replicas[0]
    replica.pause()
    wait_until(lambda: not readable(proxy, replica.port), 10, 0.1, "a replica that answers nothing is still called readable")
    replica.resume()
    wait_until(lambda: readable(proxy, replica.port), 10, 0.1, "a replica that answers again gets no reads")


def test_stopped_master_fails_requests_after_the_timeout_and_heals(own_topology, make_proxy):
    prepare(own_topology)
    proxy = make_proxy(own_topology, "request-timeout 1000")
    with proxy.connect(timeout=10) as client, proxy.connect(timeout=10) as reader:
        client.ok("SET", "k", "v")
        own_topology.master.pause()
        start = time.monotonic()
        error = client.error("INCR", "n")
        waited = time.monotonic() - start
        assert 0.5 < waited < 4, f"answered after {waited:.1f} s with a request-timeout of 1 s: {error}"
        assert error.startswith("UNKNOWNOUTCOME"), error
        for _ in range(10):
            start = time.monotonic()
            assert reader.value("GET", "k") == b"v"
            assert time.monotonic() - start < 1
        own_topology.master.resume()
        wait_until(lambda: client.call("SET", "k", "again").raw == b"+OK\r\n", 8, 0.1, "does not heal")
        assert own_topology.master.command("GET", "n") in (b"1", None)


def test_requests_of_many_clients_on_a_stopped_master_all_end(own_topology, make_proxy):
    proxy = make_proxy(own_topology, "request-timeout 800")
    clients = [proxy.connect(timeout=8) for _ in range(50)]
    own_topology.master.pause()
    for client in clients:
        client.send_bytes(encode("SET", "k", "v") + encode("INCR", "n") + encode("PING"))
    for client in clients:
        first, second, third = client.replies(3, 8)
        assert first.is_error and second.is_error and third.raw == b"+PONG\r\n"
    own_topology.master.resume()
    for client in clients:
        wait_until(lambda: client.call("SET", "k", "v").raw == b"+OK\r\n", 8, 0.1)
        client.close()


def test_late_replies_never_reach_the_wrong_request(own_topology, make_proxy):
    """The replies to timed-out requests arrive after SIGCONT; no later request may take one of them."""
    proxy = make_proxy(own_topology, "request-timeout 500\nread-from master")
    with proxy.connect(timeout=8) as client:
        for index in range(20):
            client.ok("SET", f"k{index}", f"v{index}")
        for _ in range(3):
            own_topology.master.pause()
            client.send_bytes(b"".join(encode("GET", f"k{index}") for index in range(20)))
            assert all(frame.is_error for frame in client.replies(20, 8))
            own_topology.master.resume()
            wait_until(lambda: not client.call("EXISTS", "none").is_error, 8, 0.05)
            for index in range(20):
                assert client.value("GET", f"k{index}") == f"v{index}".encode()


def test_unanswered_write_is_an_unknown_outcome_and_never_sent_twice(topology, make_proxy, cutter):
    forwarder = cutter(topology.master.port)
    proxy = make_proxy(topology, "read-from master", master=forwarder.endpoint, replicas=[])
    with proxy.connect(timeout=8) as client:
        for expected in range(1, 11):
            forwarder.cut_after(b"INCR")
            error = client.error("INCR", "counted")
            assert error.startswith("UNKNOWNOUTCOME"), error
            assert topology.master.command("GET", "counted") == str(expected).encode()
        time.sleep(0.5)
        assert topology.master.command("GET", "counted") == b"10", "a write was sent again behind our back"
        wait_until(lambda: client.call("PING").raw == b"+PONG\r\n" and not client.call("EXISTS", "x").is_error, 5, 0.05)
        assert client.value("INCR", "counted") == 11


def test_write_lost_on_the_way_is_an_unknown_outcome_too(topology, make_proxy, cutter):
    """The proxy can't know that the request never arrived, so it must not send it again."""
    forwarder = cutter(topology.master.port)
    proxy = make_proxy(topology, "read-from master", master=forwarder.endpoint, replicas=[])
    with proxy.connect(timeout=8) as client:
        for _ in range(5):
            forwarder.cut_before(b"INCR")
            assert client.error("INCR", "lost").startswith("UNKNOWNOUTCOME")
            wait_until(lambda: not client.call("EXISTS", "x").is_error, 5, 0.05)
        assert topology.master.command("EXISTS", "lost") == 0


def test_accounting_of_pipelined_increments_over_many_cuts(topology, make_proxy, cutter):
    forwarder = cutter(topology.master.port)
    proxy = make_proxy(topology, "read-from master", master=forwarder.endpoint, replicas=[])
    confirmed = unknown = 0
    with proxy.connect(timeout=10) as client:
        for _ in range(20):
            client.send_bytes(encode("INCR", "sum") * 100)
            time.sleep(0.003)
            forwarder.cut()
            last = 0
            for frame in client.replies(100, 10):
                if frame.is_error:
                    # UNKNOWNOUTCOME may have run; any other error promises that it did not.
                    unknown += frame.value.startswith("UNKNOWNOUTCOME")
                else:
                    confirmed += 1
                    assert frame.value > last
                    last = frame.value
        total = int(topology.master.command("GET", "sum") or 0)
    assert confirmed <= total <= confirmed + unknown, f"{confirmed} confirmed, {unknown} unknown, {total} happened"
    assert confirmed > 0


def test_read_whose_connection_breaks_is_retried_elsewhere(topology, make_proxy, cutter):
    prepare(topology)
    forwarders = [cutter(replica.port) for replica in topology.replicas]
    proxy = make_proxy(topology, replicas=[forwarder.endpoint for forwarder in forwarders])
    with proxy.connect(timeout=8) as client:
        for index in range(30):
            forwarders[index % 2].cut_after(b"GET")
            assert client.value("GET", "k") == b"v"


def test_write_never_sent_is_retried_until_the_master_is_back(own_topology, make_proxy):
    proxy = make_proxy(own_topology, "request-timeout 8000", replicas=[])
    with proxy.connect(timeout=12) as client:
        client.ok("SET", "k", "v")
        own_topology.master.kill()
        time.sleep(0.3)
        client.send("SET", "held", "x")
        time.sleep(0.4)
        own_topology.master.start()
        assert client.read(10).raw == b"+OK\r\n"
        assert own_topology.master.command("GET", "held") == b"x"


def test_master_down_is_said_clearly(own_topology, make_proxy):
    prepare(own_topology)
    proxy = make_proxy(own_topology, "request-timeout 400")
    with proxy.connect(timeout=8) as client:
        own_topology.master.kill()
        wait_until(lambda: not any(node.is_master for node in proxy.nodes().values()), 8, 0.1)
        start = time.monotonic()
        error = client.error("SET", "k", "x")
        assert error.startswith("MASTERDOWN"), error
        assert time.monotonic() - start < 3
        assert client.value("GET", "k") == b"v", "replicas still serve reads"
        assert client.call("PING").raw == b"+PONG\r\n"
        for command in (["MULTI"], ["EVAL", "return 1", "0"], ["BLPOP", "q", "0"], ["SUBSCRIBE", "a"], ["WATCH", "k"], ["PUBLISH", "a", "b"], ["INFO"]):
            with proxy.connect(timeout=8) as other:
                frame = other.call(*command)
                if command != ["MULTI"]:
                    assert frame.is_error or command[0] == "INFO", (command, frame)
        own_topology.master.start()
        wait_until(lambda: client.call("SET", "k", "x").raw == b"+OK\r\n", 8, 0.1)


@pytest.mark.parametrize("policy", ["master", "prefer-master", "replica", "prefer-replica", "any"])
def test_read_policies_when_the_master_is_down(policy, own_topology, make_proxy):
    prepare(own_topology)
    proxy = make_proxy(own_topology, f"read-from {policy}\nrequest-timeout 1000")
    own_topology.master.kill()
    with proxy.connect(timeout=8) as client:
        wait_until(lambda: not any(node.is_master for node in proxy.nodes().values()), 8, 0.1)
        frame = client.call("GET", "k")
        if policy == "master":
            assert frame.is_error and frame.value.startswith("MASTERDOWN")
        else:
            assert frame.value == b"v"


@pytest.mark.parametrize("policy", ["master", "replica", "prefer-replica", "any"])
def test_read_policies_when_the_replicas_are_down(policy, own_topology, make_proxy):
    prepare(own_topology)
    proxy = make_proxy(own_topology, f"read-from {policy}\nrequest-timeout 1000")
    for replica in own_topology.replicas:
        replica.kill()
    with proxy.connect(timeout=8) as client:
        wait_until(lambda: not any(node.readable for node in proxy.nodes().values() if not node.is_master), 8, 0.1)
        frame = client.call("GET", "k")
        assert frame.is_error if policy == "replica" else frame.value == b"v", frame


def test_node_that_is_not_a_master_gets_no_writes(own_topology, make_proxy):
    """`master` names a node whose ROLE says slave: made writable, so that a write would be taken."""
    wrong, other = own_topology.replicas
    wrong.command("CONFIG", "SET", "replica-read-only", "no")
    proxy = make_proxy(own_topology, "request-timeout 400", master=wrong.port, replicas=[other.port], wait=False)
    wait_until(proxy.answers, 5)
    with proxy.connect(timeout=8) as client:
        for _ in range(3):
            assert client.error("SET", "astray", "x").startswith("MASTERDOWN")
        wait_until(lambda: client.call("GET", "none").raw == b"$-1\r\n", 8, 0.1, "the replica is fine and gets no reads")
        client.send_bytes(encode("MULTI") + encode("SET", "astray", "x") + encode("EXEC"))
        assert client.replies(3)[-1].is_error
    assert wrong.command("EXISTS", "astray") == 0


def test_master_that_is_demoted_gets_no_more_writes_and_may_return(own_topology, make_proxy):
    proxy = make_proxy(own_topology, "request-timeout 1000")
    master, other = own_topology.master, own_topology.replicas[0]
    with proxy.connect(timeout=8) as client:
        client.ok("SET", "k", "v")
        other.command("REPLICAOF", "NO", "ONE")
        master.command("REPLICAOF", "127.0.0.1", other.port)
        late = client.call("SET", "k", "late")
        if late.is_error:
            assert late.value.startswith("MASTERDOWN"), late
        else:
            assert other.command("GET", "k") == b"late", "the hand-over was confirmed by both, so the write went along"
        master.command("REPLICAOF", "NO", "ONE")
        wait_until(lambda: client.call("SET", "k", "back").raw == b"+OK\r\n", 8, 0.1)


def test_replica_promoted_by_hand_gets_no_reads(own_topology, make_proxy):
    """A node that calls itself master but isn't the named one has its own history: its data must not be shown."""
    prepare(own_topology)
    proxy = make_proxy(own_topology)
    astray = own_topology.replicas[0]
    astray.command("REPLICAOF", "NO", "ONE")
    astray.command("SET", "k", "astray")
    wait_until(lambda: not readable(proxy, astray.port), 8, 0.1)
    with proxy.connect() as client:
        assert {client.value("GET", "k") for _ in range(50)} == {b"v"}


def test_replica_with_its_link_down_gets_no_reads(own_topology, make_proxy, cutter):
    forwarder = cutter(own_topology.master.port)
    astray = own_topology.replicas[0]
    astray.command("REPLICAOF", "127.0.0.1", forwarder.port)
    own_topology.synchronise(10)
    prepare(own_topology, "old")
    proxy = make_proxy(own_topology)
    forwarder.listen(False)
    forwarder.cut()
    wait_until(lambda: astray.info("replication")["master_link_status"] == "down", 5)
    wait_until(lambda: not readable(proxy, astray.port), 8, 0.1, "a replica without a master is still called readable")
    own_topology.master.command("SET", "k", "new")
    time.sleep(0.2)
    with proxy.connect() as client:
        assert {client.value("GET", "k") for _ in range(50)} == {b"new"}
    forwarder.listen(True)
    wait_until(lambda: readable(proxy, astray.port), 10, 0.1)


def test_replica_too_many_bytes_behind_gets_no_reads(own_topology, make_proxy, cutter):
    forwarder = cutter(own_topology.master.port)
    astray = own_topology.replicas[0]
    astray.command("REPLICAOF", "127.0.0.1", forwarder.port)
    own_topology.synchronise(10)
    prepare(own_topology, "old")
    proxy = make_proxy(own_topology, "max-replica-lag-bytes 10000")
    forwarder.stall_replies = True
    for _ in range(50):
        own_topology.master.command("SET", "k", "new" + "x" * 1000)
    wait_until(lambda: not readable(proxy, astray.port), 8, 0.1, "a replica 50 KB behind a limit of 10 KB is called readable")
    with proxy.connect() as client:
        assert {client.value("GETRANGE", "k", 0, 2) for _ in range(50)} == {b"new"}
    forwarder.stall_replies = False
    wait_until(lambda: readable(proxy, astray.port), 10, 0.1)


@pytest.mark.timeout(45)
def test_replica_too_many_seconds_behind_gets_no_reads(own_topology, make_proxy, cutter):
    own_topology.master.command("CONFIG", "SET", "repl-ping-replica-period", "1")
    forwarder = cutter(own_topology.master.port)
    astray = own_topology.replicas[0]
    astray.command("REPLICAOF", "127.0.0.1", forwarder.port)
    own_topology.synchronise(10)
    prepare(own_topology, "old")
    proxy = make_proxy(own_topology, "max-replica-lag-seconds 3")
    forwarder.stall_replies = True
    own_topology.master.command("SET", "k", "new")
    wait_until(lambda: not readable(proxy, astray.port), 12, 0.1, "a replica that has heard nothing for over 3 s is called readable")
    with proxy.connect() as client:
        assert {client.value("GET", "k") for _ in range(50)} == {b"new"}
    forwarder.stall_replies = False
    wait_until(lambda: readable(proxy, astray.port), 10, 0.1)


@pytest.mark.timeout(45)
def test_replica_in_full_sync_gets_no_reads(make_topology, make_proxy):
    """A new replica is empty until its first sync has ended; readers must never see that emptiness."""
    topology = make_topology(replicas=1)
    control = topology.master.control
    control.send_bytes(b"".join(encode("SET", f"k{i}", "v") for i in range(400)))
    control.replies(400)
    topology.synchronise()
    topology.master.command("CONFIG", "SET", "rdb-key-save-delay", "8000")
    fresh = topology.add_replica("--replica-serve-stale-data", "yes")
    proxy = make_proxy(topology, expect_replicas=False)
    synced_at = None
    with proxy.connect() as client:
        end = time.monotonic() + 15
        reads = 0
        while time.monotonic() < end:
            assert client.value("GET", f"k{reads % 400}") == b"v", "an empty answer of a replica in full sync was shown"
            reads += 1
            if synced_at is None and reads % 50 == 0:
                info = fresh.info("replication")
                if info["master_link_status"] == "up" and info["master_sync_in_progress"] == "0":
                    synced_at = reads
            if synced_at is not None and fresh.calls("get") > 20:
                break
        assert synced_at and synced_at > 50, "the sync was over before anything could be tested"
        assert fresh.calls("get") > 20, "after its sync the replica gets no reads"


@pytest.mark.timeout(45)
def test_loading_replica_gets_no_reads_and_no_error_is_shown(own_topology, make_proxy):
    replica = own_topology.replicas[0]
    control = own_topology.master.control
    control.send_bytes(b"".join(encode("SET", f"k{i}", "v" * 100) for i in range(3000)))
    control.replies(3000)
    own_topology.synchronise()
    replica.command("SAVE")
    proxy = make_proxy(own_topology)
    replica.kill()
    replica.arguments += ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
    replica.start(wait=False)
    with Load(proxy, lambda client, number: client.call("GET", f"k{number % 3000}")) as load:
        wait_until(lambda: b"loading:1" in _try_info(replica), 5, 0.02, "the replica never says that it is loading")
        time.sleep(1.5)
        assert replica.control.call("GET", "k1").value.code == "LOADING"
    assert load.errors == []


def _try_info(replica) -> bytes:
    try:
        return replica.command("INFO", "persistence")
    except (OSError, AssertionError):
        replica.forget_control()
        return b""


def test_restarted_master_without_data_is_taken_up_again(own_topology, make_proxy):
    proxy = make_proxy(own_topology)
    with proxy.connect(timeout=10) as client:
        client.ok("SET", "k", "v")
        own_topology.master.restart()
        wait_until(lambda: client.call("SET", "k", "w").raw == b"+OK\r\n", 8, 0.05)
        wait_until(lambda: client.call("GET", "k").value == b"w", 10, 0.1)


def test_connection_storms_are_avoided(topology, make_proxy, cutter):
    """While a node refuses connections the proxy backs off instead of hammering it."""
    forwarder = cutter(topology.replicas[0].port)
    proxy = make_proxy(topology, replicas=[forwarder.endpoint, topology.replicas[1].port])
    forwarder.refuse = True
    forwarder.cut()
    before = forwarder.accepted
    with Load(proxy, lambda client, number: client.call("GET", "k"), clients=4) as load:
        time.sleep(3)
    assert load.errors == []
    assert forwarder.accepted - before < 100, f"{forwarder.accepted - before} connections in 3 s to a node that closes each"
    forwarder.refuse = False
    wait_until(lambda: proxy.nodes()[forwarder.endpoint].readable, 10, 0.1)


def test_node_that_accepts_and_answers_nothing(topology, make_proxy, cutter):
    forwarder = cutter(topology.replicas[0].port)
    forwarder.swallow_replies = True
    proxy = make_proxy(topology, "connect-timeout 500\nrequest-timeout 3000", replicas=[forwarder.endpoint, topology.replicas[1].port], expect_replicas=False)
    prepare(topology)
    with proxy.connect() as client:
        for _ in range(50):
            start = time.monotonic()
            assert client.value("GET", "k") == b"v"
            assert time.monotonic() - start < 2
    forwarder.swallow_replies = False
    forwarder.cut()
    wait_until(lambda: proxy.nodes()[forwarder.endpoint].readable, 10, 0.1)


def test_slow_script_on_the_master_delays_no_read_from_replicas(topology, proxy):
    prepare(topology)
    with proxy.connect(timeout=10) as busy, proxy.connect() as reader:
        busy.send("EVAL", "local t = redis.call('TIME') local start = t[1] * 1000000 + t[2] while true do t = redis.call('TIME') if t[1] * 1000000 + t[2] - start > 1500000 then return 'done' end end", "0")
        time.sleep(0.1)
        start = time.monotonic()
        for _ in range(100):
            assert reader.value("GET", "k") == b"v"
        assert time.monotonic() - start < 1
        assert busy.read().value == b"done"


def test_huge_reply_that_is_not_read_delays_nobody(topology, make_proxy):
    topology.master.command("SET", "huge", b"h" * 30_000_000)
    prepare(topology)
    proxy = make_proxy(topology, threads=1)
    with proxy.connect(receive_buffer=4096, timeout=20) as lazy, proxy.connect() as other:
        lazy.send_bytes(encode("GET", "huge") * 3)
        time.sleep(0.3)
        for index in range(100):
            start = time.monotonic()
            assert other.value("GET", "k") == b"v"
            other.ok("SET", "other", index)
            assert time.monotonic() - start < 1, "a client waited for another client's huge reply"
        for _ in range(3):
            assert len(lazy.read(15).value) == 30_000_000


def test_nodes_can_be_given_by_host_name(topology, make_proxy):
    proxy = make_proxy(topology, master=f"localhost:{topology.master.port}", replicas=[f"localhost:{replica.port}" for replica in topology.replicas])
    with proxy.connect() as client:
        client.ok("SET", "k", "v")
        assert "replica" in route(client, "GET", "k")["route"]


def test_proxy_started_before_its_nodes(redis, make_proxy, tmp_path):
    from harness import free_port
    port = free_port()
    proxy = make_proxy(None, "request-timeout 500", master=port, replicas=[], wait=False)
    wait_until(proxy.answers, 5)
    with proxy.connect(timeout=5) as client:
        assert client.error("SET", "k", "v").startswith("MASTERDOWN")
        redis(port=port)
        wait_until(lambda: client.call("SET", "k", "v").raw == b"+OK\r\n", 10, 0.1)
