"""What is not RESP gets Redis's own words, closes that client, and nobody else notices."""

import pytest

from harness import Topology
from resp import Raw, encode

LONG = b"9" * 70_000

CASES = {
    "multibulk length is a word": b"*abc\r\n",
    "multibulk length is empty": b"*\r\n",
    "multibulk length has a space": b"* 1\r\n",
    "multibulk length too large": b"*2147483648\r\n",
    "multibulk length beyond 64 bits": b"*99999999999999999999999999\r\n",
    "dollar expected, letter found": b"*1\r\nfoo\r\n",
    "dollar expected, colon found": b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n:1\r\n",
    "dollar expected, unprintable found": b"*1\r\n\x01\x02\r\n",
    "bulk length is a word": b"*1\r\n$abc\r\n",
    "bulk length is empty": b"*1\r\n$\r\n",
    "bulk length negative": b"*1\r\n$-1\r\n",
    "bulk length with plus": b"*1\r\n$+4\r\nPING\r\n",
    "bulk length over 512 MB": b"*2\r\n$3\r\nGET\r\n$536870913\r\n",
    "bulk length beyond 64 bits": b"*2\r\n$3\r\nGET\r\n$99999999999999999999999999\r\n",
    "multibulk count string without end": b"*" + LONG,
    "bulk count string without end": b"*1\r\n$" + LONG,
    "inline request without end": b"A" * 70_000,
    "double quote not closed": b'SET k "abc\r\n',
    "single quote not closed": b"SET k 'abc\r\n",
    "text after a closing quote": b'GET "a"b\r\n',
    "after a good command": b"PING\r\n*1\r\n$4\r\nPING\r\n*x\r\n",
    "between good commands": encode("SET", "pe", "1") + b"*1\r\nfoo\r\n" + encode("SET", "pe", "2"),
    "after a command that is still answered by a node": encode("SET", "pe", "3") + encode("GET", "pe") + b"$oops\r\n*1\r\n+\r\n",
    "http post": b"POST / HTTP/1.1\r\nHost: example\r\nContent-Length: 5\r\n\r\nSET k",
    "http host header": b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
}


@pytest.mark.parametrize("garbage", list(CASES.values()), ids=[name.replace(" ", "-") for name in CASES])
def test_same_words_as_redis_and_only_that_client_closed(garbage, topology, master_proxy):
    with Raw(topology.master.port) as direct:
        direct.send_bytes(garbage)
        expected = direct.read_until_closed(2)
    with master_proxy.connect() as one, master_proxy.connect() as two, master_proxy.connect() as three, master_proxy.connect() as bad:
        others = [one, two, three]
        for other in others:
            other.ok("SET", "other", "x")
        bad.send_bytes(garbage)
        assert bad.read_until_closed(3) == expected
        for other in others:
            assert other.value("GET", "other") == b"x"
    assert topology.master.command("GET", "pe") != b"2", "a command after the protocol error was run"


# What looks wrong and Redis takes all the same.
TOLERATED = {
    "empty and negative multibulk": b"*0\r\n*-1\r\n*-10\r\n" + encode("PING"),
    "bulk end is not checked": b"*1\r\n$4\r\nPINGxx" + encode("PING"),
    "leading zeros": b"*01\r\n$4\r\nPING\r\n",
    "inline with many spaces": b"    PING      \r\n",
    "newline only": b"\n\n\r\nPING\n",
}


@pytest.mark.parametrize("data", list(TOLERATED.values()), ids=[name.replace(" ", "-") for name in TOLERATED])
def test_tolerates_what_redis_tolerates(data, topology, master_proxy):
    answers = []
    for port in (topology.master.port, master_proxy.port):
        with Raw(port) as client:
            client.send_bytes(data)
            client.send("ECHO", "end of test")
            received = b""
            while not received.endswith(b"end of test\r\n"):
                try:
                    received += client.read(2).raw
                except AssertionError as error:
                    received += f"<{type(error).__name__}>".encode()
                    break
            answers.append(received)
    assert answers[1] == answers[0]


def test_limits_before_authentication(make_topology, make_proxy):
    """networking.c: an unauthenticated client may send at most 10 arguments of 16 KiB."""
    topology: Topology = make_topology(password="secret")
    proxy = make_proxy(topology, "requirepass secret", password="secret")
    for data in (b"*11\r\n", b"*1\r\n$16385\r\n"):
        answers = []
        for port in (topology.master.port, proxy.port):
            with Raw(port) as client:
                client.send_bytes(data)
                answers.append(client.read_until_closed(3))
        assert answers[1] == answers[0]
        assert answers[0].startswith(b"-ERR Protocol error: unauthenticated")


@pytest.mark.needs_proxy
def test_bulk_longer_than_configured_is_refused(topology, make_proxy):
    proxy = make_proxy(topology, "proto-max-bulk-len 1mb")
    with proxy.connect() as client:
        client.ok("SET", "k", b"x" * (1 << 20))
        client.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n")
        assert client.read_until_closed(3) == b"-ERR Protocol error: invalid bulk length\r\n"


@pytest.mark.needs_proxy
def test_random_bytes_never_disturb_others(proxy):
    import random
    generator = random.Random(7)
    pieces = [b"*", b"$", b"\r\n", b"3", b"-1", b"GET", b"SET", b"k", b"\x00", b"\xff", b" ", b"'", b'"', b"%", b"~", b">", b"|", b"MULTI", b"EXEC", b"99999999"]
    with proxy.connect() as witness:
        witness.ok("SET", "witness", "here")
        for _ in range(300):
            with proxy.connect(timeout=2) as fuzzer:
                fuzzer.send_bytes(b"".join(generator.choice(pieces) for _ in range(generator.randrange(1, 60))))
            assert witness.call("PING").raw == b"+PONG\r\n"
        assert witness.value("STRLEN", "witness") in (4, 0)  # a fuzzer may have written; the connection is what counts
    assert proxy.process.running
