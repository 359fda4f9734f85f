"""No client can tell the proxy from one Redis: every script gives the same bytes through the proxy as from redis-server itself.

Each script under `scripts/` runs three ways: on a master with two replicas itself, through the proxy with `read-from master`, and
through the proxy with `read-from prefer-replica` (after each step the replicas catch up first, so that reads are deterministic);
all in RESP2 and in RESP3.
"""

import pytest

from conftest import FAILED, reset
from harness import Proxy, Topology
from script import Runner, differences, load_all

SCRIPTS = load_all()
_references: dict = {}


def cases():
    for script in SCRIPTS:
        for proto in (2, 3):
            if f"resp{5 - proto}" in script.options:
                continue
            for policy in ("master", "prefer-replica"):
                yield pytest.param(script, proto, policy, id=f"{script.identifier}-resp{proto}-{policy}")


@pytest.fixture
def reference(shared, tmp_path_factory):
    return shared.get("reference", lambda: Topology(tmp_path_factory.mktemp("reference")))


@pytest.fixture
def subject(request, shared, tmp_path_factory):
    """Makes the topology under test and the port of a proxy in front of it."""

    def make(policy: str, admin: bool) -> tuple[Topology, int]:
        topology = shared.get("topology", lambda: Topology(tmp_path_factory.mktemp("topology")))
        reset(topology)
        config = f"read-from {policy}" + ("\nadmin-commands allow" if admin else "")
        proxy = shared.get(("proxy", policy, admin), lambda: Proxy(tmp_path_factory.mktemp("proxy"), topology, config,
                                                                  name=f"proxy-{policy}{'-admin' if admin else ''}"))
        return topology, proxy.port

    yield make
    if request.node.stash.get(FAILED, False):
        shared.drop_all()


def expected(script, proto, reference):
    """What redis-server itself answers; the same for both policies, so kept."""
    key = (script.identifier, proto)
    if key not in _references:
        reset(reference)
        outcome = Runner(reference.master.port, reference, proto, settle=False).run(script)
        step, last = outcome[-1]
        assert not (isinstance(last, str) and last.startswith("<")), f"the script itself is wrong at line {step.line}: {step.source}: {last}"
        _references[key] = outcome
    return _references[key]


@pytest.mark.parametrize("script, proto, policy", cases())
def test_same_bytes_as_redis(script, proto, policy, reference, subject):
    wanted = expected(script, proto, reference)
    topology, port = subject(policy, "admin" in script.options)
    got = Runner(port, topology, proto, settle=policy != "master" and "unsettled" not in script.options).run(script)
    difference = differences(wanted, got)
    if difference:
        pytest.fail(f"{script.identifier} in RESP{proto}, read-from {policy}:\n{difference}", pytrace=False)


# Commands that no script may run: they stop or re-wire servers, or belong to links between servers. They have their own tests.
NOT_SCRIPTED = {"shutdown", "sync", "psync", "replconf", "restore-asking", "monitor", "failover", "slaveof", "replicaof"}


def test_scripts_cover_every_command(reference):
    """Every command and subcommand that redis-server knows is part of some script."""
    used = set()
    for script in SCRIPTS:
        for step in script.steps:
            if step.action in ("call", "send") and step.words:
                words = [word.decode("latin-1").lower() for word in step.words[:2]]
                used |= {words[0], "|".join(words)}
    known = {name.decode() for name in reference.master.command("COMMAND", "LIST")}
    missing = {name for name in known if name not in used and name.split("|")[0] not in NOT_SCRIPTED}
    # Cluster subcommands all meet the same error on a server without cluster mode.
    missing = {name for name in missing if not name.startswith("cluster|")}
    assert not missing, sorted(missing)
