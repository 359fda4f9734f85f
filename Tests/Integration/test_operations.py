"""What an operator sees and does: metrics, health, signals, logs."""

import json
import re
import signal
import socket
import threading
import time

import pytest

from harness import wait_until
from load import Load
from resp import Raw, encode

pytestmark = pytest.mark.needs_proxy

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.e+-]+|\+Inf|-Inf|NaN)(?: \d+)?$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse_metrics(text: str):
    """Prometheus text format 0.0.4, strictly; returns ({(name, labels): value}, {name: type})."""
    samples, types, helped = {}, {}, set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if not line:
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped") and name not in types, line
            types[name] = kind
        elif line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in helped, line
            helped.add(name)
        elif not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, f"not a sample: {line}"
            labels = tuple(sorted(LABEL.findall(match[2] or "")))
            assert match[2] is None or sum(len(f'{name}="{value}"') for name, value in labels) + len(labels) - 1 == len(match[2].rstrip(",")), line
            key = (match[1], labels)
            assert key not in samples, f"twice: {line}"
            samples[key] = float(match[3])
            base = re.sub(r"_(bucket|sum|count|total)$", "", match[1])
            assert match[1] in types or base in types, f"no TYPE for {line}"
    return samples, types


@pytest.fixture
def observed(topology, make_proxy):
    return make_proxy(topology, metrics=True)


def metrics(proxy):
    status, body = proxy.http("/metrics")
    assert status == 200
    return parse_metrics(body)


def summed(samples, pattern: str, **labels) -> float:
    return sum(value for (name, pairs), value in samples.items() if re.fullmatch(pattern, name) and labels.items() <= dict(pairs).items())


def test_metrics_are_prometheus_text_and_add_up(topology, observed):
    before, types = metrics(observed)
    assert "counter" in types.values() and "gauge" in types.values() and "histogram" in types.values()
    topology.reset_statistics()
    with observed.connect() as client:
        for index in range(100):
            client.call("SET", "k", index)
        for _ in range(300):
            client.call("GET", "k")
        client.call("NOSUCH")
    after, _ = metrics(observed)
    requests = next((name for name in types if re.fullmatch(r"\w*requests_total", name)), None) or next(name + "_total" for name in types if name.endswith("requests"))
    grown = summed(after, requests) - summed(before, requests)
    assert 401 <= grown <= 403, f"{requests} grew by {grown} for 401 requests"
    by_label = {pairs: value - before.get((name, pairs), 0) for (name, pairs), value in after.items() if name == requests and value - before.get((name, pairs), 0)}
    assert any(value == 300 for value in by_label.values()) and any(100 <= value <= 102 for value in by_label.values()), by_label
    for node in topology.nodes:
        text = f"127.0.0.1:{node.port}"
        assert any(text in value for _, pairs in after for _, value in pairs), f"no metric of {text}"


def test_histograms_are_consistent(topology, observed):
    with observed.connect() as client:
        for _ in range(200):
            client.call("GET", "k")
    samples, types = metrics(observed)
    histograms = [name for name, kind in types.items() if kind == "histogram"]
    assert histograms
    total = 0
    for name in histograms:
        series = {}
        for (sample, pairs), value in samples.items():
            if sample == f"{name}_bucket":
                bound = float(dict(pairs)["le"].replace("+Inf", "inf"))
                series.setdefault(tuple(pair for pair in pairs if pair[0] != "le"), []).append((bound, value))
        assert series, name
        for labels, buckets in series.items():
            buckets.sort()
            assert buckets[-1][0] == float("inf")
            values = [value for _, value in buckets]
            assert values == sorted(values), f"{name}{labels} is not cumulative"
            assert samples[(f"{name}_count", labels)] == values[-1]
            assert (f"{name}_sum", labels) in samples
            total += values[-1]
    assert total >= 200


def test_routed_reads_and_writes_by_node(topology, observed):
    with observed.connect() as client:
        before, _ = metrics(observed)
        for index in range(60):
            client.call("SET", "k", index)
            client.call("GET", "k")
        after, _ = metrics(observed)
    def grown(port, pattern):
        return sum(value - before.get((name, pairs), 0) for (name, pairs), value in after.items()
                   if any(f"127.0.0.1:{port}" == text for _, text in pairs) and re.search(pattern, name + str(pairs)) and name.endswith("_total"))
    assert grown(topology.master.port, "write") == 60
    assert sum(grown(replica.port, "read") for replica in topology.replicas) == 60
    assert sum(grown(replica.port, "write") for replica in topology.replicas) == 0


def test_health_and_readiness(own_topology, make_proxy):
    proxy = make_proxy(own_topology, metrics=True)
    assert proxy.http("/healthz")[0] == 200
    assert proxy.http("/readyz")[0] == 200
    assert proxy.http("/nothing")[0] == 404
    own_topology.master.kill()
    wait_until(lambda: proxy.http("/readyz")[0] == 503, 8, 0.1)
    assert proxy.http("/healthz")[0] == 200
    own_topology.master.start()
    wait_until(lambda: proxy.http("/readyz")[0] == 200, 8, 0.1)


@pytest.mark.parametrize("request_bytes", [b"GET /metrics HTTP/1.0\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
def test_http_of_every_kind(request_bytes, observed):
    with socket.create_connection(("127.0.0.1", observed.metrics_port), timeout=3) as connection:
        connection.sendall(request_bytes)
        received = b""
        while data := connection.recv(1 << 16):
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        assert re.match(rb"HTTP/1\.[01] (200|405) ", head) and b"text/plain" in head
        assert not request_bytes.startswith(b"GET") or (b" 200 " in head and body)


@pytest.mark.parametrize("garbage", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"A" * 100_000, b"*1\r\n$4\r\nPING\r\n"])
def test_bad_http_harms_nothing(garbage, observed):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", observed.metrics_port), timeout=3) as connection:
            try:
                connection.sendall(garbage)
                connection.settimeout(0.3)
                connection.recv(1000)
            except (socket.timeout, OSError):
                pass
    assert observed.http("/healthz")[0] == 200
    with observed.connect() as client:
        assert client.call("PING").raw == b"+PONG\r\n"


def test_silent_http_client_does_not_block_others(observed):
    connections = [socket.create_connection(("127.0.0.1", observed.metrics_port), timeout=3) for _ in range(20)]
    connections[0].sendall(b"GET /met")
    assert observed.http("/healthz", timeout=2)[0] == 200
    for connection in connections:
        connection.close()


def test_sigterm_delivers_replies_under_way_and_exits_with_zero(topology, make_proxy, cutter):
    forwarder = cutter(topology.master.port)
    proxy = make_proxy(topology, "read-from master", master=forwarder.endpoint, replicas=[])
    with proxy.connect(timeout=8) as busy, proxy.connect(timeout=8) as idle:
        idle.call("PING")
        forwarder.delay = 0.5
        busy.send_bytes(encode("SET", "k", "v") + encode("INCR", "drained") * 20 + encode("GET", "k"))
        time.sleep(0.1)
        proxy.process.signal(signal.SIGTERM)
        frames = busy.replies(22)
        assert frames[0].raw == b"+OK\r\n" and frames[20].value == 20 and frames[21].value == b"v"
        idle.read_until_closed(5)
    assert proxy.process.popen.wait(8) == 0
    with pytest.raises(ConnectionRefusedError):
        Raw(proxy.port)


def test_sigterm_under_load_loses_no_acknowledged_write_and_no_client_gets_half_a_reply(topology, make_proxy):
    proxy = make_proxy(topology)
    confirmed, failures = [0] * 4, []

    def work(index: int):
        try:
            with proxy.connect(timeout=8) as client:
                while True:
                    client.send_bytes(encode("INCR", f"c{index}") * 10)
                    for _ in range(10):
                        confirmed[index] = client.read().value
        except (AssertionError, OSError) as error:
            # Closed is expected; a reply cut in the middle is not.
            if "received before: b''" not in str(error) and "closed by the peer" in str(error):
                failures.append(error)

    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    proxy.process.signal(signal.SIGTERM)
    assert proxy.process.popen.wait(10) == 0
    for thread in threads:
        thread.join(5)
    assert not failures
    for index in range(4):
        total = int(topology.master.command("GET", f"c{index}"))
        assert 0 < confirmed[index] <= total <= confirmed[index] + 10


def test_sigterm_with_blocked_subscribed_and_silent_clients_ends_in_time(topology, make_proxy):
    proxy = make_proxy(topology)
    clients = [proxy.connect() for _ in range(4)]
    clients[0].send("BLPOP", "none", "0")
    clients[1].call("SUBSCRIBE", "a")
    clients[2].ok("MULTI")
    clients[3].send_bytes(b"*2\r\n$3\r\nGET\r\n$100\r\nabc")
    time.sleep(0.2)
    proxy.process.signal(signal.SIGTERM)
    assert proxy.process.popen.wait(15) == 0
    for client in clients:
        client.close()
    assert topology.master.command("LLEN", "none") == 0
    wait_until(lambda: topology.master.info("clients")["blocked_clients"] == "0", 5)


def test_second_sigterm_or_sigint_is_no_accident(topology, make_proxy):
    proxy = make_proxy(topology)
    proxy.process.signal(signal.SIGINT)
    assert proxy.process.popen.wait(10) in (0, -signal.SIGINT)


def test_sighup_reloads_what_can_be_reloaded_and_says_what_changed(topology, make_proxy):
    proxy = make_proxy(topology, "read-from master\nmaxclients 100")
    with proxy.connect() as client:
        client.ok("SET", "k", "v")
        text = proxy.config_path.read_text()
        proxy.config_path.write_text(text.replace("read-from master", "read-from prefer-replica").replace("maxclients 100", "maxclients 200"))
        proxy.process.signal(signal.SIGHUP)
        wait_until(lambda: client.value("PROXY", "CONFIG", "GET", "read-from")[1] == b"prefer-replica", 5, 0.05)
        assert client.value("PROXY", "CONFIG", "GET", "maxclients")[1] == b"200"
        topology.reset_statistics()
        for _ in range(20):
            client.call("GET", "k")
        assert topology.master.calls("get") == 0
        wait_until(lambda: "read-from" in proxy.log() and "maxclients" in proxy.log(), 3, message=proxy.log)
        proxy.config_path.write_text(text + "nonsense 1\n")
        proxy.process.signal(signal.SIGHUP)
        wait_until(lambda: "nonsense" in proxy.log(), 5, message=proxy.log)
        assert client.value("PROXY", "CONFIG", "GET", "read-from")[1] == b"prefer-replica", "a broken file must change nothing"
        client.ok("SET", "k", "still here")


def test_sighup_with_another_set_of_replicas(topology, make_proxy):
    first, second = topology.replicas
    proxy = make_proxy(topology, replicas=[first.port])
    with Load(proxy, lambda client, number: client.call("GET", "k"), clients=3) as load:
        time.sleep(0.2)
        proxy.config_path.write_text(proxy.config_path.read_text().replace(f"replica 127.0.0.1:{first.port}", f"replica 127.0.0.1:{second.port}"))
        topology.reset_statistics()
        proxy.process.signal(signal.SIGHUP)
        wait_until(lambda: second.calls("get") > 20, 10, 0.1, proxy.log)
        time.sleep(0.3)
        before = first.calls("get")
        time.sleep(0.5)
        assert first.calls("get") == before, "a replica that was removed still gets reads"
    assert load.errors == []


def test_json_log_lines_parse(own_topology, make_proxy):
    proxy = make_proxy(own_topology, "log-format json\nloglevel debug")
    own_topology.replicas[0].kill()
    with proxy.connect() as client:
        client.send_bytes(b'SET k "unbalanced\r\n')
        client.read_until_closed(2)
    wait_until(lambda: str(own_topology.replicas[0].port) in proxy.log(), 8, 0.1)
    proxy.process.terminate()
    lines = proxy.log().splitlines()
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert entry.get("level") in ("debug", "verbose", "notice", "warning"), line
        assert entry.get("message") or entry.get("msg"), line
        assert any(name in entry for name in ("time", "ts", "timestamp")), line


def test_text_log_says_what_an_operator_needs(own_topology, make_proxy):
    proxy = make_proxy(own_topology)
    replica = own_topology.replicas[0]
    replica.kill()
    wait_until(lambda: f"127.0.0.1:{replica.port}" in proxy.log().split("\n", 1)[-1], 8, 0.1)
    replica.start()
    wait_until(lambda: proxy.nodes()[f"127.0.0.1:{replica.port}"].readable, 10, 0.1)
    own_topology.master.kill()
    wait_until(lambda: not any(node.is_master for node in proxy.nodes().values()), 8, 0.1)
    assert f"127.0.0.1:{own_topology.master.port}" in proxy.log()
    assert len(proxy.log().splitlines()) < 60, "a log that repeats itself every second hides what matters"


def test_logfile(topology, make_proxy, tmp_path):
    proxy = make_proxy(topology, f"logfile {tmp_path}/own.log")
    wait_until(lambda: (tmp_path / "own.log").exists() and (tmp_path / "own.log").read_text(), 5)
    assert not proxy.log().strip()


def test_loglevel_warning_is_quiet(topology, make_proxy):
    proxy = make_proxy(topology, "loglevel warning")
    with proxy.connect() as client:
        client.ok("SET", "k", "v")
    assert proxy.process.terminate() == 0
    assert not proxy.log().strip(), proxy.log()
