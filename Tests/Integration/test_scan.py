"""Cursors belong to the node that gave them: a full iteration returns every element, whichever connection carries it on."""

import itertools
import random

import pytest

from harness import wait_until
from resp import encode

COUNT = 1000
KINDS = {
    "SCAN": ([], lambda: [encode("SET", f"key:{i}", i) for i in range(COUNT)], lambda items: set(items), {f"key:{i}".encode() for i in range(COUNT)}),
    "HSCAN": (["big"], lambda: [encode("HSET", "big", f"field:{i}", f"value {i}") for i in range(COUNT)], lambda items: set(items[::2]), {f"field:{i}".encode() for i in range(COUNT)}),
    "SSCAN": (["big"], lambda: [encode("SADD", "big", f"member:{i}") for i in range(COUNT)], lambda items: set(items), {f"member:{i}".encode() for i in range(COUNT)}),
    "ZSCAN": (["big"], lambda: [encode("ZADD", "big", i, f"member:{i}") for i in range(COUNT)], lambda items: set(items[::2]), {f"member:{i}".encode() for i in range(COUNT)}),
}


@pytest.fixture(params=KINDS)
def filled(request, topology):
    """A large collection in sync on all nodes: the command, its key, how to read a page, what a full iteration must return."""
    key, fill, names, everything = KINDS[request.param]
    requests = fill()
    topology.master.control.send_bytes(b"".join(requests))
    topology.master.control.replies(len(requests))
    topology.synchronise()
    return [request.param, *key], names, everything


def iterate(clients, command, *options):
    """One full iteration, each page from the next of `clients` in turn."""
    cursor, found, pages = b"0", [], 0
    for client in itertools.cycle(clients):
        cursor, items = client.value(*command, cursor, *options)
        assert cursor.isdigit() and int(cursor) < 1 << 64, f"a cursor that clients can't parse: {cursor!r}"
        found += items
        pages += 1
        assert pages < 10_000, "the iteration never ends"
        if cursor == b"0":
            return found, pages


@pytest.mark.parametrize("proto", [2, 3])
def test_full_iteration_returns_every_element(filled, proto, proxy):
    command, names, everything = filled
    with proxy.connect(proto=proto) as client:
        found, pages = iterate([client], command)
        assert names(found) == everything and pages > 10
        found, _ = iterate([client], command, "COUNT", "100")
        assert names(found) == everything
        found, _ = iterate([client], command, "MATCH", "*1*")
        assert names(found) == {name for name in everything if b"1" in name}


def test_cursor_of_one_connection_serves_another(filled, proxy):
    command, names, everything = filled
    clients = [proxy.connect() for _ in range(8)]
    try:
        found, _ = iterate(clients, command)
        assert names(found) == everything
    finally:
        for client in clients:
            client.close()


def test_new_connection_for_every_page(filled, proxy):
    command, names, everything = filled

    class Fresh:
        def value(self, *words):
            with proxy.connect() as client:
                return client.value(*words)

    found, _ = iterate([Fresh()], command, "COUNT", "50")
    assert names(found) == everything


def test_many_interleaved_iterations(filled, proxy):
    command, names, everything = filled
    generator = random.Random(1)
    with proxy.connect() as client:
        runs = [[b"0", set(), False] for _ in range(20)]
        while not all(done for _, _, done in runs):
            run = generator.choice([run for run in runs if not run[2]])
            cursor, items = client.value(*command, run[0], "COUNT", "100")
            run[0] = cursor
            run[1] |= names(items)
            run[2] = cursor == b"0"
        assert all(found == everything for _, found, _ in runs)


def test_pipelined_iterations(filled, proxy):
    command, names, everything = filled
    with proxy.connect() as client:
        runs = {index: [b"0", set()] for index in range(10)}
        while runs:
            client.send_bytes(b"".join(encode(*command, cursor) + encode("PING") for cursor, _ in runs.values()))
            for index in list(runs):
                cursor, items = client.read().value
                assert client.read().raw == b"+PONG\r\n"
                runs[index][0] = cursor
                runs[index][1] |= names(items)
                if cursor == b"0":
                    assert runs.pop(index)[1] == everything


def test_elements_that_stay_are_returned_while_others_change(filled, topology, proxy):
    """The guarantee of SCAN: what is there from start to end is returned, whatever else is added and removed."""
    command, names, everything = filled
    with proxy.connect() as client, proxy.connect() as writer:
        cursor, found, page = b"0", set(), 0
        while True:
            cursor, items = client.value(*command, cursor)
            found |= names(items)
            page += 1
            writer.send_bytes(b"".join({"SCAN": encode("SET", f"extra:{page}:{i}", 1), "HSCAN": encode("HSET", "big", f"extra:{page}:{i}", 1),
                                        "SSCAN": encode("SADD", "big", f"extra:{page}:{i}"), "ZSCAN": encode("ZADD", "big", 1, f"extra:{page}:{i}")}[command[0]] for i in range(5)))
            writer.replies(5)
            if cursor == b"0":
                break
        assert everything <= found


@pytest.mark.needs_proxy
def test_small_collections_give_cursor_zero_as_redis_does(topology, proxy):
    topology.master.command("HSET", "h", "f", "v")
    topology.master.command("SADD", "s", "1", "2")
    topology.synchronise()
    with proxy.connect() as client:
        assert client.value("HSCAN", "h", "0") == [b"0", [b"f", b"v"]]
        assert client.value("SSCAN", "s", "0") == [b"0", [b"1", b"2"]]
        assert client.value("SCAN", "0", "TYPE", "hash", "COUNT", "1000") == [b"0", [b"h"]]


def test_cursors_in_several_databases(topology, proxy):
    control = topology.master.connect()
    for database in (0, 3):
        control.ok("SELECT", database)
        control.send_bytes(b"".join(encode("SET", f"db{database}:{i}", 1) for i in range(500)))
        control.replies(500)
    control.close()
    topology.synchronise()
    with proxy.connect() as zero, proxy.connect() as three:
        three.ok("SELECT", 3)
        for client, database in ((zero, 0), (three, 3)):
            found, _ = iterate([client], ["SCAN"])
            assert set(found) == {f"db{database}:{i}".encode() for i in range(500)}


def test_scan_inside_transactions_and_scripts(topology, proxy):
    control = topology.master.control
    control.send_bytes(b"".join(encode("SET", f"tx:{i}", 1) for i in range(300)))
    control.replies(300)
    topology.synchronise()
    with proxy.connect() as client:
        cursor, found = b"0", set()
        while True:
            client.ok("MULTI")
            client.call("SCAN", cursor, "COUNT", "50")
            cursor, items = client.value("EXEC")[0]
            found |= set(items)
            if cursor == b"0":
                break
        assert len(found) == 300


@pytest.mark.needs_proxy
@pytest.mark.parametrize("name", ["SCAN", "HSCAN"])
def test_iteration_whose_node_died_fails_or_is_complete_but_never_skips(name, own_topology, make_proxy):
    key, fill, names, everything = KINDS[name]
    requests = fill()
    own_topology.master.control.send_bytes(b"".join(requests))
    own_topology.master.control.replies(len(requests))
    own_topology.synchronise()
    proxy = make_proxy(own_topology)
    with proxy.connect(timeout=8) as client:
        runs = []
        for _ in range(6):
            cursor, items = client.value(name, *key, "0", "COUNT", "200")
            runs.append([cursor, names(items)])
        for replica in own_topology.replicas:
            replica.kill()
        for cursor, found in runs:
            while cursor != b"0":
                frame = client.call(name, *key, cursor, "COUNT", "200")
                if frame.is_error:
                    break
                cursor, items = frame.value
                found |= names(items)
            else:
                assert found == everything, f"an iteration ended quietly with {len(found)} of {len(everything)} elements"


@pytest.mark.needs_proxy
@pytest.mark.parametrize("cursor", ["1", "12345", "18446744073709551615", "9223372036854775807"])
def test_invented_cursor_is_answered(cursor, proxy):
    """Redis takes any number as a cursor; an error that says so is fine too, silence or a crash is not."""
    with proxy.connect() as client:
        frame = client.call("SCAN", cursor)
        assert frame.is_error or len(frame.value) == 2
        assert client.error("SCAN", "notanumber") == "ERR invalid cursor"
        assert client.call("PING").raw == b"+PONG\r\n"
