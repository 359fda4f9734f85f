"""Pipelines of any depth, split anywhere, with replies strictly in order; values of any size."""

import hashlib
import os
import random
import socket
import threading
import time

import pytest

from harness import DIRECT, Proxy, wait_until
from resp import Raw, encode, parse

PIPELINE = b"".join([
    encode("SET", "key", "va\r\nlue"), encode("GET", "key"), encode("DEL", "l"), encode("RPUSH", "l", "a", "", "ccc"), encode("LRANGE", "l", "0", "-1"),
    b"PING\r\n", b'SET inline "quoted \\x41"\r\n', b"GET inline\r\n", encode("NOSUCH", "x"), encode("GET"), encode("MULTI"), encode("GET", "key"),
    encode("EXEC"), encode("ECHO", b"\x00\xff$3\r\n*1\r\n"), encode("MGET", "key", "none", "inline"), encode("HGETALL", "none"), encode("TYPE", "l"),
])


def replies_to(port: int, data: bytes, count: int) -> bytes:
    with Raw(port) as client:
        client.send_bytes(data)
        return b"".join(frame.raw for frame in client.replies(count))


@pytest.fixture
def expected(topology):
    replies_to(topology.master.port, PIPELINE, 17)
    return replies_to(topology.master.port, PIPELINE, 17)


def test_pipeline_split_at_every_byte(topology, master_proxy, expected):
    with master_proxy.connect() as client:
        for split in range(1, len(PIPELINE)):
            client.send_bytes(PIPELINE[:split])
            time.sleep(0.0005)
            client.send_bytes(PIPELINE[split:])
            got = b"".join(frame.raw for frame in client.replies(17))
            assert got == expected, f"split at byte {split}"


def test_pipeline_sent_byte_by_byte(master_proxy, expected):
    with master_proxy.connect() as client:
        for byte in PIPELINE:
            client.send_bytes(bytes([byte]))
        assert b"".join(frame.raw for frame in client.replies(17)) == expected


def test_pipeline_in_random_pieces_from_many_clients(master_proxy, expected):
    generator = random.Random(3)
    clients = [master_proxy.connect() for _ in range(20)]
    try:
        for client in clients:
            client.call("SELECT", "0")
        for _ in range(20):
            positions = [0] * len(clients)
            while any(position < len(PIPELINE) for position in positions):
                index = generator.randrange(len(clients))
                if positions[index] < len(PIPELINE):
                    size = generator.choice([1, 2, 3, 7, 30, 200])
                    clients[index].send_bytes(PIPELINE[positions[index]:positions[index] + size])
                    positions[index] += size
            for client in clients:
                frames = client.replies(17)
                # Twenty clients rewrite the same list, so only what no other client changes is compared.
                assert [frame.kind for frame in frames] == [parse_kind(item) for item in split_frames(expected)]
                assert frames[1].value == b"va\r\nlue" and frames[13].value == b"\x00\xff$3\r\n*1\r\n"
    finally:
        for client in clients:
            client.close()


def split_frames(data: bytes) -> list[bytes]:
    frames, position = [], 0
    while position < len(data):
        frame, position = parse(data, position)
        frames.append(frame.raw)
    return frames


def parse_kind(data: bytes) -> str:
    return chr(data[0])


@pytest.mark.needs_proxy
@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_replies_of_nodes_split_at_every_byte(topology, make_proxy, cutter, expected, chunk):
    forwarder = cutter(topology.master.port)
    proxy = make_proxy(topology, "read-from master", master=forwarder.endpoint, replicas=[])
    forwarder.chunk = chunk
    for _ in range(3):
        assert replies_to(proxy.port, PIPELINE, 17) == expected


def pump(client: Raw, data: bytes) -> threading.Thread:
    """Sends on another thread while this one reads, as a client with deep pipelines has to."""
    def send():
        client.socket.sendall(data)
    client.socket.settimeout(25)
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.mark.timeout(60)
def test_hundred_thousand_commands_in_one_pipeline(topology, master_proxy):
    """Unique values written and read back at once: any reply out of order or lost shows."""
    count = 50_000
    data = b"".join(encode("SET", f"k{i % 977}", f"value {i}") + encode("GET", f"k{i % 977}") for i in range(count))
    with master_proxy.connect(timeout=40) as client:
        sender = pump(client, data)
        for i in range(count):
            assert client.read().raw == b"+OK\r\n", i
            value = f"value {i}".encode()
            assert client.read().raw == b"$%d\r\n%b\r\n" % (len(value), value)
        sender.join(5)
        client.assert_quiet(0.05)


@pytest.mark.timeout(60)
def test_hundred_thousand_reads_over_replicas_in_order(topology, proxy):
    """Static keys read over both replicas with writes to the master between them; every reply says which request it belongs to."""
    for i in range(1000):
        topology.master.control.send("SET", f"static{i}", f"content {i}")
    topology.master.control.replies(1000)
    topology.synchronise()
    generator = random.Random(5)
    plan = [generator.choice("rrrwe") for _ in range(100_000)]
    requests, keys = [], []
    for index, kind in enumerate(plan):
        key = generator.randrange(1000)
        keys.append(key)
        requests.append(encode("GET", f"static{key}") if kind == "r" else encode("SETRANGE", f"w{key}", 0, f"{index:06}") if kind == "w" else encode("ECHO", index))
    topology.reset_statistics()
    with proxy.connect(timeout=40) as client:
        sender = pump(client, b"".join(requests))
        for index, kind in enumerate(plan):
            value = client.read().value
            assert value == (f"content {keys[index]}".encode() if kind == "r" else 6 if kind == "w" else str(index).encode()), f"reply {index}"
        sender.join(5)
    if not DIRECT:
        assert all(replica.calls("get") > 0 for replica in topology.replicas)
        assert topology.master.calls("get") > 0, "a read behind a write of its pipeline must not overtake it"


def test_many_arguments_and_many_elements(master_proxy):
    count = 20_000
    with master_proxy.connect(timeout=15) as client:
        sender = pump(client, encode("MSET", *(word for i in range(count) for word in (f"m{i}", f"v{i}"))))
        assert client.read().raw == b"+OK\r\n"
        sender.join(5)
        pump(client, encode("MGET", *(f"m{i}" for i in range(count))))
        assert client.read().value == [f"v{i}".encode() for i in range(count)]
        pump(client, encode("RPUSH", "list", *range(count)))
        assert client.read().value == count
        assert client.value("LRANGE", "list", 0, -1) == [str(i).encode() for i in range(count)]


def test_values_of_many_sizes(master_proxy):
    sizes = sorted({size + delta for size in (0, 1, 64, 1024, 4096, 16_384, 32_768, 65_536, 131_072, 1 << 20) for delta in (-2, -1, 0, 1, 2) if size + delta >= 0})
    blob = os.urandom(max(sizes))
    with master_proxy.connect(timeout=10) as client:
        for size in sizes:
            client.ok("SET", "sized", blob[:size])
            assert client.value("GET", "sized") == blob[:size], size
        data = b"".join(encode("SET", f"s{size}", blob[:size]) + encode("GET", f"s{size}") for size in sizes)
        pump(client, data)
        for size in sizes:
            assert client.read().raw == b"+OK\r\n"
            assert client.read().value == blob[:size]


def stream_set(client: Raw, key: str, size: int, block: bytes) -> None:
    client.send_bytes(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n" % (len(key), key.encode(), size), timeout=25)
    for start in range(0, size, len(block)):
        client.send_bytes(block[:min(len(block), size - start)], timeout=25)
    client.send_bytes(b"\r\n")
    assert client.read(25).raw == b"+OK\r\n"


def stream_get(client: Raw, key: str, size: int, block: bytes) -> None:
    client.send("GET", key)
    client.socket.settimeout(25)
    wanted, got = hashlib.sha1(), hashlib.sha1()
    for start in range(0, size, len(block)):
        wanted.update(block[:min(len(block), size - start)])
    header = b""
    while not header.endswith(b"\r\n"):
        header += client.socket.recv(1)
    assert header == b"$%d\r\n" % size
    left = size
    while left:
        data = client.socket.recv(min(left, 1 << 20))
        assert data, f"closed with {left} bytes to come"
        got.update(data)
        left -= len(data)
    assert client.socket.recv(2) == b"\r\n"
    assert got.digest() == wanted.digest()


class PeakMemory:
    """Samples a process's resident memory on a thread while a block runs."""

    def __init__(self, process):
        self.process = process

    def __enter__(self):
        self.before = self.peak = self.process.resident_bytes()
        self.running = True
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()
        return self

    def sample(self):
        while self.running:
            self.peak = max(self.peak, self.process.resident_bytes())
            time.sleep(0.005)

    def __exit__(self, *_):
        self.running = False
        self.thread.join(2)

    @property
    def growth(self) -> int:
        return self.peak - self.before


def large_value(master_proxy: Proxy, size: int, limit: int) -> None:
    block = os.urandom(1 << 20)
    with master_proxy.connect(timeout=25) as client:
        if DIRECT:
            stream_set(client, "large", size, block)
            stream_get(client, "large", size, block)
        else:
            with PeakMemory(master_proxy.process) as memory:
                stream_set(client, "large", size, block)
                stream_get(client, "large", size, block)
            assert memory.growth < limit, f"the proxy grew by {memory.growth >> 20} MB for a value of {size >> 20} MB"
        assert client.value("DEL", "large") == 1


@pytest.mark.timeout(60)
def test_value_of_100_megabytes_passes_without_being_held(master_proxy):
    large_value(master_proxy, 100 << 20, 64 << 20)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_value_of_512_megabytes_passes_without_being_held(redis, make_proxy, tmp_path):
    from harness import Topology
    topology = Topology(tmp_path, "--client-output-buffer-limit", "replica 0 0 0", replicas=0)
    proxy = make_proxy(topology, "read-from master\nrequest-timeout 60000")
    large_value(proxy, 512 << 20, 64 << 20)
    topology.kill()


@pytest.mark.timeout(60)
def test_large_values_of_several_clients_at_once_stay_intact(master_proxy):
    failures = []

    def work(index: int):
        try:
            block = bytes([index]) * 4099
            with master_proxy.connect(timeout=25) as client:
                for _ in range(3):
                    stream_set(client, f"big{index}", 5_000_000 + index, block)
                    stream_get(client, f"big{index}", 5_000_000 + index, block)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert not failures and not any(thread.is_alive() for thread in threads), failures


def test_slow_reader_gets_everything(master_proxy):
    with master_proxy.connect() as setup:
        setup.ok("SET", "chunk", b"c" * 65_536)
    with master_proxy.connect(receive_buffer=4096, timeout=10) as client:
        client.send_bytes(encode("GET", "chunk") * 100)
        time.sleep(0.3)
        for index in range(100):
            assert client.read().value == b"c" * 65_536
            if index % 10 == 0:
                time.sleep(0.02)


@pytest.mark.parametrize("sent", [b"PING\r\n", encode("GET", "half"), encode("GET", "half") * 500 + encode("SET", "half", "x" * 10_000) + encode("GET", "half")])
def test_client_that_ends_its_side_still_gets_its_replies(master_proxy, sent):
    """As in `printf 'GET k\\r\\n' | nc`: the client half-closes right after its last request."""
    with master_proxy.connect() as setup:
        setup.ok("SET", "half", "value")
    with Raw(master_proxy.port) as client:
        client.send_bytes(sent)
        if DIRECT:
            time.sleep(0.2)  # redis-server itself drops what it has not answered yet
        client.socket.shutdown(socket.SHUT_WR)
        received = client.read_until_closed(3)
    frames = split_frames(received)
    assert len(frames) == (502 if len(sent) > 100 else 1)
    assert frames[-1] == (b"+PONG\r\n" if sent == b"PING\r\n" else b"$10000\r\n" + b"x" * 10_000 + b"\r\n" if len(sent) > 100 else b"$5\r\nvalue\r\n")


@pytest.mark.needs_proxy
def test_request_left_unfinished_harms_nobody(master_proxy):
    """A client that stops in the middle of a large value and vanishes must not leave half a request on a shared connection."""
    with master_proxy.connect() as other:
        other.ok("SET", "k", "v")
        for _ in range(20):
            client = master_proxy.connect()
            client.send_bytes(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$1000000\r\n" + b"x" * 500_000)
            other.ok("SET", "k", "w")
            client.reset_connection()
            assert other.value("GET", "k", timeout=3) == b"w"
        assert other.value("EXISTS", "half") == 0


@pytest.mark.needs_proxy
def test_stalled_upload_delays_nobody(master_proxy):
    with master_proxy.connect() as stalled, master_proxy.connect() as other:
        stalled.send_bytes(b"*3\r\n$3\r\nSET\r\n$7\r\nstalled\r\n$10000000\r\n" + b"x" * 5_000_000)
        for index in range(50):
            start = time.monotonic()
            other.ok("SET", "k", index)
            assert other.value("GET", "k") == str(index).encode()
            assert time.monotonic() - start < 1
        stalled.send_bytes(b"x" * 5_000_000 + b"\r\n")
        assert stalled.read(10).raw == b"+OK\r\n"


@pytest.mark.needs_proxy
@pytest.mark.timeout(60)
def test_client_that_never_reads_costs_bounded_memory_that_is_given_back(topology, make_proxy):
    topology.master.command("SET", "chunk", b"c" * (1 << 20))
    topology.synchronise()
    proxy = make_proxy(topology)
    before = proxy.process.resident_bytes()
    greedy = [proxy.connect(receive_buffer=4096) for _ in range(4)]
    for client in greedy:
        client.socket.settimeout(0.5)
        for _ in range(20):
            try:
                client.socket.sendall(encode("GET", "chunk") * 100)
            except (socket.timeout, OSError):
                break
    with PeakMemory(proxy.process) as memory:
        with proxy.connect() as other:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                start = time.monotonic()
                assert other.value("STRLEN", "chunk") == 1 << 20
                assert time.monotonic() - start < 1, "another client was delayed"
                time.sleep(0.02)
    assert memory.peak - before < 256 << 20, f"grew to {memory.peak >> 20} MB for replies of 8 GB that nobody reads"
    for client in greedy:
        client.reset_connection()
    wait_until(lambda: proxy.process.resident_bytes() - before < 48 << 20, 10, 0.2,
               lambda: f"{(proxy.process.resident_bytes() - before) >> 20} MB were not given back")


@pytest.mark.needs_proxy
def test_memory_of_a_burst_is_given_back(topology, make_proxy):
    proxy = make_proxy(topology, "read-from master")
    before = proxy.process.resident_bytes()
    clients = [proxy.connect(timeout=15) for _ in range(50)]
    senders = [pump(client, encode("SET", f"burst{index}", b"b" * 2_000_000) + encode("GET", f"burst{index}")) for index, client in enumerate(clients)]
    for client in clients:
        client.replies(2, 15)
    for sender in senders:
        sender.join(5)
    for client in clients:
        client.close()
    wait_until(lambda: proxy.process.resident_bytes() - before < 48 << 20, 10, 0.2,
               lambda: f"{(proxy.process.resident_bytes() - before) >> 20} MB were not given back")
