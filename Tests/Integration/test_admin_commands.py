"""What would harm the nodes is refused unless `admin-commands allow`; commands can be renamed and denied."""

import pytest

from harness import wait_until

HARMFUL = [
    ["SHUTDOWN"], ["SHUTDOWN", "NOSAVE"], ["REPLICAOF", "NO", "ONE"], ["REPLICAOF", "127.0.0.1", "1"], ["SLAVEOF", "NO", "ONE"], ["FAILOVER"], ["FAILOVER", "ABORT"],
    ["DEBUG", "SLEEP", "0"], ["DEBUG", "SEGFAULT"], ["DEBUG", "JMAP"], ["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "REWRITE"], ["MODULE", "LOAD", "/x.so"], ["MODULE", "UNLOAD", "x"],
    ["SYNC"], ["PSYNC", "?", "-1"], ["REPLCONF", "listening-port", "1"],
]


@pytest.mark.needs_proxy
@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("command", HARMFUL, ids=["-".join(command).replace("/", "") for command in HARMFUL])
def test_refused_by_default_and_the_connection_goes_on(command, proto, topology, proxy):
    topology.reset_statistics()
    with proxy.connect(proto=proto) as client:
        for form in (command, [command[0].lower(), *command[1:]]):
            error = client.error(*form)
            assert error.code in ("ERR", "NOPERM"), error
            assert command[0].lower() in error.lower(), f"the error does not say which command: {error}"
            # Links between servers never go through a proxy; for the rest the error names the directive that allows them.
            assert "admin-commands" in error or command[0] in ("SYNC", "PSYNC", "REPLCONF"), f"the error does not say which directive: {error}"
        client.ok("SET", "still", "usable")
        client.ok("MULTI")
        assert client.call(*command).is_error
        assert client.call("SET", "never", "1").raw == b"+QUEUED\r\n"
        assert client.error("EXEC").code == "EXECABORT"
        assert client.call("PING").raw == b"+PONG\r\n"
    for node in topology.nodes:
        assert node.process.running
        name = "|".join(word.lower() for word in command[:2]) if command[0] in ("CONFIG", "MODULE") else command[0].lower()
        assert node.calls(name) == 0
    assert topology.master.command("EXISTS", "never") == 0
    assert topology.master.info("replication")["role"] == "master"


@pytest.mark.needs_proxy
@pytest.mark.parametrize("script", ["return redis.call('CONFIG', 'SET', 'maxmemory', '1')", "return redis.call('SHUTDOWN')", "return redis.call('DEBUG', 'SLEEP', '0')"])
def test_refused_by_the_server_inside_scripts(script, topology, proxy):
    with proxy.connect() as client:
        client.error("EVAL", script, 0)
        client.ok("SET", "k", "v")
    assert topology.master.command("CONFIG", "GET", "maxmemory") == [b"maxmemory", b"0"]


def test_allowed_with_admin_commands(topology, admin_proxy):
    with admin_proxy.connect() as client:
        client.ok("CONFIG", "SET", "slowlog-max-len", "77")
        assert topology.master.command("CONFIG", "GET", "slowlog-max-len") == [b"slowlog-max-len", b"77"]
        assert client.value("CONFIG", "GET", "slowlog-max-len") == [b"slowlog-max-len", b"77"]
        client.ok("CONFIG", "SET", "slowlog-max-len", "128")
        client.ok("DEBUG", "SLEEP", "0")
        client.ok("REPLICAOF", "NO", "ONE")
        client.ok("CONFIG", "RESETSTAT")


@pytest.mark.needs_proxy
def test_shutdown_is_passed_on_when_allowed(own_topology, make_proxy):
    proxy = make_proxy(own_topology, "admin-commands allow")
    with proxy.connect() as client:
        client.send("SHUTDOWN", "NOSAVE")
        wait_until(lambda: not own_topology.master.process.running, 5)
        wait_until(lambda: client.call("PING").raw == b"+PONG\r\n", 5)


@pytest.mark.needs_proxy
def test_harmless_administration_is_allowed_by_default(topology, proxy):
    with proxy.connect() as client:
        for command in (["CONFIG", "GET", "maxmemory"], ["SLOWLOG", "GET"], ["SLOWLOG", "LEN"], ["LATENCY", "LATEST"], ["MEMORY", "DOCTOR"], ["COMMAND", "COUNT"], ["ACL", "WHOAMI"],
                        ["ACL", "LIST"], ["CLIENT", "LIST"], ["DBSIZE"], ["INFO"], ["ROLE"], ["LASTSAVE"], ["MODULE", "LIST"], ["OBJECT", "HELP"], ["CONFIG", "HELP"]):
            assert not client.call(*command).is_error, command


@pytest.mark.needs_proxy
def test_renamed_command(topology, make_proxy):
    proxy = make_proxy(topology, 'rename-command FLUSHALL wipe-everything\nrename-command KEYS ""\nrename-command GET fetch')
    with proxy.connect() as client:
        client.ok("SET", "k", "v")
        topology.synchronise()
        assert client.error("FLUSHALL") == "ERR unknown command 'FLUSHALL', with args beginning with: "
        assert client.error("KEYS", "*") == "ERR unknown command 'KEYS', with args beginning with: '*' "
        assert client.error("GET", "k").startswith("ERR unknown command 'GET'")
        assert client.value("fetch", "k") == b"v"
        assert client.value("FETCH", "k") == b"v"
        client.send_bytes(b"fetch k\r\n")
        assert client.read().value == b"v"
        client.ok("MULTI")
        assert client.call("FETCH", "k").raw == b"+QUEUED\r\n"
        assert client.value("EXEC") == [b"v"]
        client.ok("MULTI")
        assert client.error("KEYS", "*").startswith("ERR unknown command 'KEYS'")
        assert client.error("EXEC").code == "EXECABORT"
        client.ok("wipe-everything")
        assert topology.master.command("DBSIZE") == 0


@pytest.mark.needs_proxy
def test_denied_command(topology, make_proxy):
    proxy = make_proxy(topology, "deny-command FLUSHALL\ndeny-command CONFIG|GET\ndeny-command eval")
    with proxy.connect() as client:
        client.ok("SET", "k", "v")
        for command in (["FLUSHALL"], ["flushall"], ["CONFIG", "GET", "maxmemory"], ["config", "get", "*"], ["EVAL", "return 1", "0"]):
            error = client.error(*command)
            assert error.code in ("ERR", "NOPERM") and command[0].lower() in error.lower(), error
        assert not client.call("CONFIG", "HELP").is_error
        assert not client.call("EVAL_RO", "return 1", "0").is_error
        client.ok("FLUSHDB")
        client.ok("MULTI")
        assert client.call("FLUSHALL").is_error
        assert client.error("EXEC").code == "EXECABORT"


@pytest.mark.needs_proxy
def test_proxy_command_help_and_errors(proxy):
    with proxy.connect() as client:
        lines = client.value("PROXY", "HELP")
        text = b"\n".join(lines).upper()
        for name in (b"TOPOLOGY", b"ROUTE", b"STATS", b"CONFIG", b"READ-FROM"):
            assert name in text, name
        assert client.error("PROXY").startswith("ERR wrong number of arguments for 'proxy' command")
        assert "NOSUCH" in client.error("PROXY", "NOSUCH").upper()
        assert client.call("PROXY", "ROUTE").is_error
        assert client.call("PROXY", "CONFIG").is_error
        assert client.value("PROXY", "READ-FROM") == b"prefer-replica"
        assert client.call("PROXY", "READ-FROM", "nearest").is_error
        assert client.call("PING").raw == b"+PONG\r\n"
