"""Fixtures of the integration tests.

    python3 -m pytest -q Tests/Integration               everything that takes up to 5 s each
    python3 -m pytest -q Tests/Integration --slow        all
    SWITCHYARD=/path/to/switchyard python3 -m pytest ...  another executable
    SWITCHYARD_DIRECT=1 python3 -m pytest ...             no proxy: the tests of transparency against a redis-server itself
"""

from __future__ import annotations

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import harness  # noqa: E402
from harness import DIRECT, Cutter, Process, Proxy, Redis, Topology  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", default=os.environ.get("SWITCHYARD_SLOW", "") not in ("", "0"), help="run slow tests too")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if DIRECT and "needs_proxy" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs the proxy, and SWITCHYARD_DIRECT is set"))
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow; run with --slow"))


def pytest_report_header(config):
    return "proxy: none, redis-server itself" if DIRECT else f"proxy: {harness.binary()}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        for process in list(Process.alive):
            log = process.log()
            if process.name.startswith("proxy") or not process.running:
                report.sections.append((f"log of {process.name} (pid {process.pid}, {'running' if process.running else 'exited with %s' % process.popen.returncode})", log[-4000:]))
    return report


FAILED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def _no_process_left_behind(request):
    """Kills what a test started, even when it failed; what fixtures of a wider scope started stays."""
    before = set(map(id, Process.alive))
    yield
    for process in list(Process.alive):
        if id(process) not in before and id(process) not in shared_processes:
            process.kill()


# Processes of session-wide fixtures, which outlive the test that happened to start them.
shared_processes: set[int] = set()


class Shared:
    """Session-wide servers by key, made on demand and thrown away when a test that used them failed."""

    def __init__(self, factory):
        self.factory = factory
        self.made: dict = {}

    def get(self, key, make):
        if key in self.made and not self.healthy(self.made[key]):
            # Whatever else there is was made for it or made it fail.
            self.drop_all()
        if key not in self.made:
            known = set(map(id, Process.alive))
            self.made[key] = make()
            shared_processes.update(id(process) for process in Process.alive if id(process) not in known)
        return self.made[key]

    @staticmethod
    def healthy(thing) -> bool:
        nodes = thing.nodes if isinstance(thing, Topology) else [thing]
        return all(node.process is None or node.process.running for node in nodes)

    def drop(self, key) -> None:
        thing = self.made.pop(key, None)
        if thing is not None:
            thing.kill()

    def drop_all(self) -> None:
        for key in list(self.made):
            self.drop(key)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    holder = Shared(tmp_path_factory)
    yield holder
    holder.drop_all()


@pytest.fixture
def redis(tmp_path):
    """Makes redis-servers: redis(*arguments, replica_of=port)."""
    made = []

    def make(*arguments, **options) -> Redis:
        made.append(Redis(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for node in made:
        node.kill()


@pytest.fixture
def make_topology(tmp_path):
    made = []

    def make(*arguments, **options) -> Topology:
        made.append(Topology(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for topology in made:
        topology.kill()


@pytest.fixture
def topology(request, shared, tmp_path_factory):
    """A master and two replicas, in sync and empty, shared by the tests that leave its processes alone."""
    thing = shared.get("topology", lambda: Topology(tmp_path_factory.mktemp("topology")))
    reset(thing)
    yield thing
    if request.node.stash.get(FAILED, False):
        shared.drop_all()


@pytest.fixture
def own_topology(make_topology):
    """A master and two replicas for tests that stop or kill them."""
    return make_topology()


@pytest.fixture
def make_proxy(tmp_path):
    """Makes proxies: make_proxy(topology, 'directive value\\n...', **options of Proxy)."""
    made = []

    def make(*arguments, **options) -> Proxy:
        made.append(Proxy(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for proxy in made:
        proxy.kill()


@pytest.fixture
def proxy(request, shared, topology, tmp_path_factory):
    """A proxy with default options in front of `topology`, two threads, shared."""
    return shared.get("proxy", lambda: Proxy(tmp_path_factory.mktemp("proxy"), topology, name="proxy-default"))


@pytest.fixture
def master_proxy(shared, topology, tmp_path_factory):
    """A proxy with `read-from master`: reads see every write."""
    return shared.get("proxy-master", lambda: Proxy(tmp_path_factory.mktemp("proxy"), topology, "read-from master", name="proxy-read-master"))


@pytest.fixture
def admin_proxy(shared, topology, tmp_path_factory):
    """A proxy with `read-from master` and `admin-commands allow`."""
    return shared.get("proxy-admin", lambda: Proxy(tmp_path_factory.mktemp("proxy"), topology, "read-from master\nadmin-commands allow", name="proxy-admin"))


@pytest.fixture
def client(proxy):
    with proxy.connect() as connection:
        yield connection


@pytest.fixture
def cutter():
    """Makes forwarders: cutter(target_port)."""
    made = []

    def make(target, **options) -> Cutter:
        made.append(Cutter(target, **options))
        return made[-1]

    yield make
    for forwarder in made:
        forwarder.close()


# Settings that scripts may change on a node, with the values that they start with.
DEFAULT_SETTINGS = {
    "maxmemory": "0", "maxmemory-policy": "noeviction", "slowlog-log-slower-than": "10000", "latency-monitor-threshold": "0",
    "notify-keyspace-events": "", "min-replicas-to-write": "0", "tracking-table-max-keys": "1000000", "lua-time-limit": "5000",
    "list-max-listpack-size": "-2", "hash-max-listpack-entries": "128", "zset-max-listpack-entries": "128", "set-max-intset-entries": "512",
}


def reset(topology: Topology) -> None:
    """Empties a topology and undoes what a script may have changed."""
    master = topology.master
    if master.info("replication")["role"] != "master":
        master.command("REPLICAOF", "NO", "ONE")
    for node in topology.nodes:
        node.command("CLIENT", "UNPAUSE")
        node.command("SCRIPT", "FLUSH")
        node.command("CONFIG", "RESETSTAT")
        node.command("SLOWLOG", "RESET")
        node.command("LATENCY", "RESET")
        node.command("ACL", "LOG", "RESET")
        node.command("CONFIG", "SET", *(word for pair in DEFAULT_SETTINGS.items() for word in pair))
        for user in node.command("ACL", "USERS"):
            if user != b"default":
                node.command("ACL", "DELUSER", user)
    master.command("FLUSHALL")
    master.command("FUNCTION", "FLUSH")
    topology.synchronise()
