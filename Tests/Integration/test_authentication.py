"""requirepass, AUTH and HELLO AUTH with Redis's own texts; users that the nodes know."""

import pytest

from harness import DIRECT
from resp import Closed, Raw, encode

# Each list is one connection's life; replies must be the same bytes as from a redis-server with the same password.
CONVERSATIONS = [
    ["GET k", "SET k v", "PING", "ECHO x", "NOSUCH", "GET", "CLIENT ID", "COMMAND", "INFO", "MULTI", "EXEC", "SUBSCRIBE a", "SELECT 1", "AUTH secret", "GET k"],
    ["AUTH wrong", "AUTH", "AUTH a b c", "AUTH default wrong", "AUTH nobody secret", "GET k", "AUTH default secret", "GET k", "AUTH wrong", "GET k"],
    ["HELLO", "HELLO 3", "HELLO 3 AUTH default wrong", "HELLO 3 AUTH default", "HELLO 9 AUTH default secret", "HELLO 3 SETNAME x", "GET k", "HELLO 3 AUTH default secret", "HGETALL none"],
    ["HELLO 2 AUTH default secret SETNAME me", "CLIENT GETNAME", "RESET", "GET k", "AUTH secret", "GET k", "CLIENT GETNAME"],
    ["AUTH secret", "MULTI", "SET k v", "EXEC", "RESET", "EXEC", "PING"],
    ["RESET", "PING", "AUTH secret", "PING"],
    ["QUIT"],
    ["AUTH secret", "ACL WHOAMI", "SUBSCRIBE a", "UNSUBSCRIBE a", "ACL WHOAMI"],
    ["EVAL x", "OBJECT", "CONFIG GET maxmemory", "SCRIPT LOAD x", "WATCH k", "QUIT x"],
]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A topology and a proxy that both ask for the password `secret`."""
    from conftest import shared_processes
    from harness import Process, Proxy, Topology
    directory = tmp_path_factory.mktemp("guarded")
    known = set(map(id, Process.alive))
    topology = Topology(directory, password="secret")
    proxy = Proxy(directory, topology, "requirepass secret", password="secret")
    shared_processes.update(id(process) for process in Process.alive if id(process) not in known)
    yield topology, proxy
    proxy.kill()
    topology.kill()


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=[conversation[0].replace(" ", "-") + f"-{index}" for index, conversation in enumerate(CONVERSATIONS)])
def test_same_bytes_as_a_redis_with_requirepass(conversation, guarded):
    topology, proxy = guarded
    import re
    runs = []
    for port in (topology.master.port, proxy.port):
        topology.master.command("SET", "k", "value")
        topology.synchronise()
        with Raw(port) as client:
            replies = []
            for line in conversation:
                try:
                    frame = client.call(*line.split())
                except (Closed, OSError):
                    replies.append((line, "closed"))
                    break
                replies.append((line, re.sub(rb"(id\r\n):\d+", rb"\1:*", frame.raw)))
                topology.synchronise()
            runs.append(replies)
    assert runs[1] == runs[0]


def test_pipeline_around_auth(guarded):
    _, proxy = guarded
    with Raw(proxy.port) as client:
        client.send_bytes(encode("GET", "p") + encode("AUTH", "secret") + encode("SET", "p", "1") + encode("AUTH", "wrong") + encode("INCR", "p") + encode("PING"))
        values = [frame.raw for frame in client.replies(6)]
        assert values[0].startswith(b"-NOAUTH") and values[3].startswith(b"-WRONGPASS")
        assert [values[index] for index in (1, 2, 4, 5)] == [b"+OK\r\n", b"+OK\r\n", b":2\r\n", b"+PONG\r\n"]


def test_commands_before_authentication_never_reach_a_node(guarded):
    topology, proxy = guarded
    topology.reset_statistics()
    with Raw(proxy.port) as client:
        for command in (["SET", "sneaky", "1"], ["GET", "sneaky"], ["EVAL", "return redis.call('SET','sneaky','1')", "0"], ["MULTI"], ["SET", "sneaky", "1"], ["EXEC"], ["BLPOP", "x", "0"], ["PROXY", "TOPOLOGY"]):
            frame = client.call(*command)
            if command[0] != "PROXY" or not DIRECT:
                assert frame.value.code == "NOAUTH" or command[0] == "EXEC", frame
    assert topology.master.command("EXISTS", "sneaky") == 0


@pytest.mark.needs_proxy
def test_password_of_the_proxy_differs_from_that_of_the_nodes(make_topology, make_proxy):
    topology = make_topology(password="inner")
    proxy = make_proxy(topology, "requirepass outer\nbackend-password inner", password="outer")
    with Raw(proxy.port) as client:
        assert client.error("AUTH", "inner").code == "WRONGPASS"
        client.ok("AUTH", "outer")
        client.ok("SET", "k", "v")
        topology.synchronise()
        assert client.value("GET", "k") == b"v"
        client.ok("MULTI")
        client.call("GET", "k")
        assert client.value("EXEC") == [b"v"]


@pytest.mark.needs_proxy
def test_wrong_backend_password_is_a_clear_error_and_logged(make_topology, make_proxy):
    topology = make_topology(password="inner")
    proxy = make_proxy(topology, "backend-password wrong\nrequest-timeout 1000", wait=False)
    from harness import wait_until
    wait_until(proxy.answers, 5)
    with Raw(proxy.port) as client:
        assert client.call("SET", "k", "v", timeout=5).is_error
        assert client.call("PING").raw == b"+PONG\r\n"
    wait_until(lambda: "WRONGPASS" in proxy.log() or "password" in proxy.log().lower(), 5, message=proxy.log)


@pytest.mark.needs_proxy
def test_backend_user(make_topology, make_proxy):
    topology = make_topology()
    for node in topology.nodes:
        node.command("ACL", "SETUSER", "proxy", "on", ">pw", "~*", "&*", "+@all")
    proxy = make_proxy(topology, "backend-user proxy\nbackend-password pw")
    with proxy.connect() as client:
        client.ok("SET", "k", "v")
        topology.synchronise()
        assert client.value("GET", "k") == b"v"
        users = {line.split(b" user=")[1].split(b" ")[0] for line in topology.master.command("CLIENT", "LIST", "TYPE", "normal").splitlines()}
        assert b"proxy" in users


@pytest.mark.parametrize("proto", [2, 3])
def test_user_of_the_nodes_has_that_users_rights_on_every_route(proto, topology, proxy):
    """Permissions are those of the nodes, for shared, private, replica and script routes alike, and don't leak to other clients."""
    for node in topology.nodes:
        node.command("ACL", "SETUSER", "limited", "on", ">pw", "~mine:*", "&mine", "+@all", "-@dangerous", "-del")
    with proxy.connect(proto=proto) as limited, proxy.connect(proto=proto) as full:
        limited.ok("AUTH", "limited", "pw")
        for _ in range(5):
            assert limited.error("GET", "yours").code == "NOPERM"
            assert limited.error("SET", "yours", "x").code == "NOPERM"
            assert limited.error("DEL", "mine:a").code == "NOPERM"
            assert limited.error("EVAL", "return redis.call('GET', 'yours')", 0) is not None
            limited.ok("SET", "mine:a", "1")
            assert full.value("GET", "yours") is None
            full.ok("SET", "yours", "x")
            topology.synchronise()
            assert limited.value("GET", "mine:a") == b"1"
            assert full.value("GET", "mine:a") == b"1"
            assert full.value("DEL", "yours") == 1
        assert limited.error("BLPOP", "yours", 1).code == "NOPERM"
        assert limited.error("SUBSCRIBE", "yours").code == "NOPERM"
        limited.ok("MULTI")
        assert limited.error("SET", "yours", "x").code == "NOPERM"
        assert limited.error("EXEC").code == "EXECABORT"
        limited.ok("WATCH", "mine:a")
        limited.ok("UNWATCH")
        assert limited.value("ACL", "WHOAMI") == b"limited"
        assert full.value("ACL", "WHOAMI") == b"default"
        assert limited.call("RESET").raw == b"+RESET\r\n"
        assert limited.value("ACL", "WHOAMI") == b"default"
        limited.ok("SET", "yours", "x")


def test_nopass_user_and_disabled_user(topology, proxy):
    for node in topology.nodes:
        node.command("ACL", "SETUSER", "open", "on", "nopass", "~*", "+@all")
        node.command("ACL", "SETUSER", "closed", "off", ">pw", "~*", "+@all")
    with proxy.connect() as client:
        client.ok("AUTH", "open", "anything")
        assert client.value("ACL", "WHOAMI") == b"open"
        assert client.error("AUTH", "closed", "pw").code == "WRONGPASS"
        assert client.value("ACL", "WHOAMI") == b"open"


def test_password_changed_on_the_nodes_is_noticed(topology, proxy):
    for node in topology.nodes:
        node.command("ACL", "SETUSER", "bob", "on", ">old", "~*", "+@all")
    with proxy.connect() as client:
        client.ok("AUTH", "bob", "old")
    for node in topology.nodes:
        node.command("ACL", "SETUSER", "bob", "<old", ">new")
    with proxy.connect() as client:
        assert client.error("AUTH", "bob", "old").code == "WRONGPASS"
        client.ok("AUTH", "bob", "new")
        client.ok("SET", "k", "v")
