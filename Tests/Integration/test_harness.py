"""The tests' own tools: the RESP reader, the forwarder that fails on request, the comparison of scripts."""

import pytest

import script
from harness import Cutter
from resp import Closed, Malformed, NeedMore, Raw, encode, parse

FRAMES = [
    b"+OK\r\n", b"-ERR no\r\n", b":-12\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"$5\r\na\r\nbc\r\n", b"*-1\r\n", b"*0\r\n", b"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
    b"_\r\n", b",3.25\r\n", b",inf\r\n", b"#t\r\n", b"#f\r\n", b"(123456789012345678901234567890\r\n", b"=8\r\ntxt:text\r\n", b"!5\r\nERR x\r\n",
    b"%1\r\n+a\r\n:1\r\n", b"~2\r\n:1\r\n:2\r\n", b">2\r\n+message\r\n+x\r\n", b"|1\r\n+ttl\r\n:1\r\n*1\r\n:2\r\n",
]


@pytest.mark.parametrize("frame", FRAMES)
def test_reader_takes_exactly_one_frame_and_waits_at_every_split(frame):
    assert parse(frame + b"+NEXT\r\n")[0].raw == frame
    for end in range(len(frame)):
        with pytest.raises(NeedMore):
            parse(frame[:end])


@pytest.mark.parametrize("garbage", [b"hello\r\n", b"$3\r\nabcd\r\n", b":x\r\n", b"*-2\r\n", b"#x\r\n", b"$-2\r\n", b"+a\nb\r\n"])
def test_reader_refuses_what_is_not_resp(garbage):
    with pytest.raises(Malformed):
        parse(garbage)


def test_words_split_as_redis_cli_does():
    assert script.split(r'''SET "a b" 'c"d' "\x00\r\n\"" plain''') == [b"SET", b"a b", b'c"d', b"\x00\r\n\"", b"plain"]


def test_a_difference_in_one_byte_is_reported(topology):
    scripts = [script.Script("x", "x", set(), [script.parse_step(line, "x", 1) for line in lines]) for lines in (["SET k v", "GET k"], ["SET k w", "GET k"])]
    first, second = (script.Runner(topology.master.port, topology, 2, settle=True).run(item) for item in scripts)
    assert script.differences(first, first) == ""
    assert "$1\\r\\nw" in script.differences(first, second)


def test_forwarder_passes_counts_and_cuts(topology, cutter):
    forwarder = cutter(topology.master.port)
    with Raw(forwarder.port) as client:
        client.ok("SET", "k", "v")
        assert forwarder.request_bytes == len(encode("SET", "k", "v"))
        forwarder.chunk = 1
        assert client.value("GET", "k") == b"v"
        forwarder.cut_after(b"INCR")
        with pytest.raises(Closed):
            client.call("INCR", "n")
    assert topology.master.command("GET", "n") == b"1"
    forwarder.cut_before(b"INCR")
    with Raw(forwarder.port) as client, pytest.raises(Closed):
        client.call("INCR", "n")
    assert topology.master.command("GET", "n") == b"1"
    with Raw(forwarder.port, timeout=0.3) as client:
        forwarder.stall_replies = True
        with pytest.raises(TimeoutError):
            client.call("PING")
        forwarder.stall_replies = False
        assert client.read(2).raw == b"+PONG\r\n"
        forwarder.swallow_replies = True
        with pytest.raises(TimeoutError):
            client.call("PING")
    forwarder.listen(False)
    with pytest.raises(ConnectionRefusedError):
        Raw(forwarder.port)
    forwarder.listen(True)
    Raw(forwarder.port).close()
